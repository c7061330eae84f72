"""A file in S3 or on the web as a read-only file: only the blocks that are looked at are fetched."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from storage import s3
from storage.errors import FetchRefused
from storage.s3 import S3Profile, S3Uri
from storage.sources import is_web

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from storage.web import Web


class Remote(Protocol):
    """A file elsewhere, of one version for as long as it is read."""

    @property
    def size(self) -> int: ...

    @property
    def etag(self) -> str: ...

    def get(self, start: int, stop: int) -> bytes:
        """Bytes start … stop − 1. Raises SourceChanged when the file was replaced, Unreachable and kin."""
        ...

    def close(self) -> None: ...


class RangedFile(io.RawIOBase):
    """Seekable and readable; h5py and zipfile take it. Every block is of the file as it was when opened.

    requests, fetched: how often it was asked, and for how many bytes.
    Raises what `storage.sources.fetch` raises: ObjectMissing, AccessRefused, Unreachable, SourceChanged.
    """

    def __init__(self, remote: Remote, *, block_bytes: int = 1 << 20, blocks: int = 64) -> None:
        super().__init__()
        self._remote = remote
        self._block_bytes = block_bytes
        self._limit = blocks
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._position = 0
        self.requests = 0
        self.fetched = 0

    @property
    def size(self) -> int:
        return self._remote.size

    @property
    def etag(self) -> str:
        return self._remote.etag

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._remote.close()
        super().close()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"Cannot seek to {base + offset}: before the file begins.")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self.size - self._position))
        done = 0
        with self._lock:
            while done < wanted:
                index, skip = divmod(self._position, self._block_bytes)
                piece = self._block(index)[skip : skip + wanted - done]
                view[done : done + len(piece)] = piece
                done += len(piece)
                self._position += len(piece)
        return done

    def _block(self, index: int) -> bytes:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        start = index * self._block_bytes
        block = self._remote.get(start, min(start + self._block_bytes, self.size))
        self.requests += 1
        self.fetched += len(block)
        self._cache[index] = block
        if len(self._cache) > self._limit:
            self._cache.popitem(last=False)
        return block


class S3Object:
    """An object in S3, by ranges. Raises ObjectMissing, AccessRefused, Unreachable, SourceChanged."""

    def __init__(self, where: S3Uri, profile: S3Profile, *, retries: int = 3) -> None:
        self._where = where
        self._profile = profile
        self._client = profile.client()
        self._found = s3.head(self._client, where, profile)
        self._retries = retries

    @property
    def size(self) -> int:
        return self._found.size

    @property
    def etag(self) -> str:
        return self._found.etag.strip('"')

    def get(self, start: int, stop: int) -> bytes:
        with s3.explained(self._where, self._profile):
            return s3.try_again(lambda: self._get(start, stop), times=self._retries, wait=_wait)

    def close(self) -> None:
        """The client is shared, and stays."""

    def _get(self, start: int, stop: int) -> bytes:
        answer = self._client.get_object(
            Bucket=self._where.bucket, Key=self._where.key, Range=f"bytes={start}-{stop - 1}", IfMatch=self._found.etag
        )
        with closing(answer["Body"]) as body:
            return bytes(body.read())


def open_ranged(
    uri: str, *, profiles: Mapping[str, S3Profile], web: Web | None = None, block_bytes: int = 1 << 20
) -> RangedFile:
    """`s3://bucket/key`, an https:// address or a Google Drive link. web: how the web is reached; None: not at all.

    Raises what opening it raises; of the web also NoRanges where the server knows no parts.
    """
    if is_web(uri):
        if web is None:
            raise FetchRefused("Nothing is read from the web here.", hint="Upload the file instead.")
        from storage.web_ranged import WebFile

        return RangedFile(WebFile(uri, web), block_bytes=block_bytes)
    where = s3.parse_uri(uri)
    return RangedFile(S3Object(where, s3.profile_for(where.bucket, profiles)), block_bytes=block_bytes)


def _wait(fault: int) -> None:
    time.sleep(0.2 * 2**fault)
