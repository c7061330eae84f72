"""The artifact store in an S3 bucket: the same contract as a local folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from storage import s3
from storage.artifacts import check_key, check_prefix, content_key, missing, verified_digest
from storage.errors import BucketMissing, ObjectMissing
from storage.files import room_for
from storage.s3 import S3Profile, S3Uri
from storage.scratch import own_folder, private_tmp

UNFINISHED = timedelta(days=1)  # after which no upload in parts goes on: each part is tried for minutes at most  # ours
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


class S3Store:
    """Keys become `prefix/key`. A PUT to S3 is atomic: no partial names are needed."""

    def __init__(self, bucket: str, prefix: str = "", *, profile: S3Profile | None = None) -> None:
        self.bucket = bucket
        self.prefix = check_prefix(prefix)
        self._profile = profile or S3Profile()
        self._client = self._profile.client()

    @classmethod
    def from_uri(cls, uri: str, *, profile: S3Profile | None = None) -> Self:
        where = s3.parse_uri(uri, key_required=False)
        return cls(where.bucket, where.key, profile=profile)

    def __repr__(self) -> str:
        return f"S3Store({self.uri()!r}, profile={self._profile.name!r})"

    def put_bytes(self, key: str, data: bytes) -> None:
        where = self._where(key)
        with s3.explained(where, self._profile):
            self._client.put_object(Bucket=where.bucket, Key=where.key, Body=data)

    def put_file(self, key: str, path: Path) -> None:
        from boto3.exceptions import S3UploadFailedError

        where = self._where(key)
        with s3.explained(where, self._profile):
            try:
                self._client.upload_file(str(path), where.bucket, where.key)
            except S3UploadFailedError as error:
                cause = error.__context__  # boto3 hides which answer it was behind one class of its own
                raise s3.explain(cause if isinstance(cause, Exception) else error, where, self._profile) from error

    def put_once(self, key: str, data: bytes) -> bool:
        from botocore.exceptions import ClientError

        where = self._where(key)
        with s3.explained(where, self._profile):
            try:
                self._client.put_object(Bucket=where.bucket, Key=where.key, Body=data, IfNoneMatch="*")
            except ClientError as error:
                if s3.code_of(error) not in _TAKEN:
                    raise
                return self._settle_once(where, data, s3.code_of(error))
        return True

    def _settle_once(self, where: S3Uri, data: bytes, code: str) -> bool:
        """409 says that another writer was at it at the same moment and may have failed: ask once more."""
        if code == "PreconditionFailed":
            return False
        from botocore.exceptions import ClientError

        try:
            self._client.put_object(Bucket=where.bucket, Key=where.key, Body=data, IfNoneMatch="*")
        except ClientError as error:
            if s3.code_of(error) not in _TAKEN:
                raise
            return False
        return True

    def put_content(self, path: Path, *, sha256: str | None = None, move: bool = False) -> str:
        key = content_key(verified_digest(path, sha256))
        if not self.exists(key):
            self.put_file(key, path)
        if move:
            path.unlink()
        return key

    def get_bytes(self, key: str) -> bytes:
        where = self._where(key)
        with self._found(key), s3.explained(where, self._profile):
            answer = self._client.get_object(Bucket=where.bucket, Key=where.key)
            with closing(answer["Body"]) as body:
                return bytes(body.read())

    @contextmanager
    def open_local(self, key: str) -> Iterator[Path]:
        where = self._where(key)
        with own_folder(private_tmp()) as folder:
            path = folder / key.rpartition("/")[2]
            with room_for(key, folder), self._found(key), s3.explained(where, self._profile):
                self._client.download_file(where.bucket, where.key, str(path))
            yield path

    def exists(self, key: str) -> bool:
        try:
            s3.head(self._client, self._where(key), self._profile)
        except BucketMissing:
            raise
        except ObjectMissing:
            return False
        return True

    def size(self, key: str) -> int:
        with self._found(key):
            return s3.head(self._client, self._where(key), self._profile).size

    def list(self, prefix: str = "") -> list[str]:
        folder = check_prefix(prefix)
        base = self._full(folder) + "/" if self._full(folder) else ""
        where = S3Uri(self.bucket, base)
        cut = len(self.prefix) + 1 if self.prefix else 0
        with s3.explained(where, self._profile):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=base)
            return sorted(item["Key"][cut:] for page in pages for item in page.get("Contents", ()))

    def delete(self, key: str) -> bool:
        there = self.exists(key)
        where = self._where(key)
        with s3.explained(where, self._profile):
            self._client.delete_object(Bucket=where.bucket, Key=where.key)
        return there

    def delete_prefix(self, prefix: str) -> int:
        keys = self.list(check_key(check_prefix(prefix)))
        where = self._where(check_prefix(prefix))
        for start in range(0, len(keys), 1000):  # the most that one request may name
            names: list[dict[str, Any]] = [{"Key": self._full(key)} for key in keys[start : start + 1000]]
            with s3.explained(where, self._profile):
                self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": names, "Quiet": True})
        return len(keys)

    def sweep_unfinished(self) -> int:
        if not self.prefix:
            return 0  # others may keep theirs in the same bucket; a lifecycle rule of the bucket does it there
        base, cut, swept = f"{self.prefix}/", datetime.now(UTC) - UNFINISHED, 0
        where = S3Uri(self.bucket, base)
        with s3.explained(where, self._profile):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=base)
            for upload in [upload for page in pages for upload in page.get("Uploads", ())]:
                if upload["Initiated"] < cut:
                    self._client.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    swept += 1
        return swept

    def uri(self, key: str = "") -> str:
        full = self._full(check_key(key) if key else "")
        return f"s3://{self.bucket}/{full}".removesuffix("/")

    def presigned(self, key: str, *, seconds: int, name: str, media_type: str) -> str | None:
        where = self._where(key)
        asked = {
            "Bucket": where.bucket,
            "Key": where.key,
            "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "ResponseContentType": media_type,
        }
        with s3.explained(where, self._profile):
            return str(self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}".strip("/")

    def _where(self, key: str) -> S3Uri:
        return S3Uri(self.bucket, self._full(check_key(key)))

    @contextmanager
    def _found(self, key: str) -> Iterator[None]:
        try:
            yield
        except BucketMissing:
            raise
        except ObjectMissing as error:
            raise missing(key, self.uri()) from error
