"""How S3 is spoken to: the operator's profiles, addresses, and the service's refusals in our words."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeVar
from urllib.parse import urlsplit

from storage.errors import (
    AccessRefused,
    BadUri,
    BucketMissing,
    ObjectMissing,
    SourceChanged,
    StorageError,
    StoreFull,
    Unreachable,
)
from storage.files import display_name

T = TypeVar("T")

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_BAD_CREDENTIALS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"})
_BUSY = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500", "502", "504"})


@dataclass(frozen=True, slots=True)
class S3Profile:
    """One S3 service as the operator set it up. Without keys, boto3's own chain (environment, files, role) is asked.

    buckets: patterns such as `lab-*` that this profile answers for; empty: all that no other profile names.
    """

    name: str = "default"
    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    buckets: tuple[str, ...] = ()
    anonymous: bool = False
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0

    def client(self) -> Any:
        """The boto3 client of this profile; made once, safe to use from many threads."""
        return _client(self)

    @property
    def service(self) -> str:
        """The host as messages name it: never with credentials that an address may carry."""
        return (urlsplit(self.endpoint_url).hostname or "S3") if self.endpoint_url else "Amazon S3"


@functools.lru_cache(maxsize=16)
def _client(profile: S3Profile) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        signature_version=UNSIGNED if profile.anonymous else "s3v4",
        # Other services than Amazon's seldom have a host name a bucket.
        s3={"addressing_style": "path" if profile.endpoint_url else "auto"},
        retries={"total_max_attempts": 3, "mode": "standard"},
        connect_timeout=profile.connect_timeout_s,
        read_timeout=profile.read_timeout_s,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # A session of one's own: the default one may not be shared between threads.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=profile.endpoint_url,
        region_name=profile.region,
        aws_access_key_id=profile.access_key,
        aws_secret_access_key=profile.secret_key,
        aws_session_token=profile.session_token,
        config=config,
    )


@dataclass(frozen=True, slots=True)
class S3Uri:
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key, fit to be shown; never to be used as a path."""
        return display_name(self.key, fallback=self.bucket)


def parse_uri(uri: str, *, key_required: bool = True) -> S3Uri:
    """Raises BadUri."""
    scheme, separator, rest = uri.strip().partition("://")
    if not separator or scheme.lower() != "s3":
        raise BadUri(f"{shown(uri)} is not an S3 address.", hint="Write it as s3://bucket/key.")
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise BadUri(
            f"{shown(uri)} does not name a bucket.",
            hint="Write it as s3://bucket/key; the service and its credentials are set by the operator.",
        )
    if key_required and (not key or key.endswith("/")):
        raise BadUri(f"{shown(uri)} names no object.", hint="Write the whole key: s3://bucket/folder/file.h5ad.")
    if len(key.encode()) > 1024 or any(ord(c) < 32 for c in key):
        raise BadUri(f"The key of {shown(uri)} is too long or has control characters.", hint="Check the address.")
    return S3Uri(bucket, key)


def shown(text: str) -> str:
    """A user's text inside a message: quoted, one line, not endless, and no `user:secret@` of an address."""
    return repr(re.sub(r"//[^/@\s]*@", "//…@", text[:200]))


def profile_for(bucket: str, profiles: Mapping[str, S3Profile]) -> S3Profile:
    """The profile that names the bucket, else the first that names none. Raises AccessRefused."""
    for profile in profiles.values():
        if any(fnmatchcase(bucket, pattern) for pattern in profile.buckets):
            return profile
    for profile in profiles.values():
        if not profile.buckets:
            return profile
    raise AccessRefused(
        f"No S3 profile is set up for bucket {bucket!r}.",
        hint="Ask the operator to add one, or upload the file instead.",
    )


@contextmanager
def explained(where: S3Uri, profile: S3Profile) -> Iterator[None]:
    """Turns botocore's errors into ours."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise explain(error, where, profile) from error


def is_fault(error: Exception) -> bool:
    """Whether trying again may help: the network broke or the service was busy."""
    from botocore.exceptions import ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as NoConnection
    from urllib3.exceptions import HTTPError

    if isinstance(error, ClientError):
        return code_of(error) in _BUSY
    return isinstance(error, HTTPClientError | NoConnection | HTTPError | ConnectionError | TimeoutError) or (
        type(error).__name__ in {"IncompleteReadError", "ResponseStreamingError"}
    )


def code_of(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def explain(error: Exception, where: S3Uri, profile: S3Profile) -> StorageError:
    """What a botocore error means. The words of the service are not repeated: some echo what was signed."""
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, ClientError):
        return _explain_answer(code_of(error), status_of(error), where, profile)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return AccessRefused(
            f"{where} cannot be reached: S3 profile {profile.name!r} has no credentials.",
            hint="Where CrossView runs, set CROSSVIEW_S3_ACCESS_KEY_ID and CROSSVIEW_S3_SECRET_ACCESS_KEY, "
            "or an AWS profile, and start it again.",
        )
    if is_fault(error):
        return Unreachable(
            f"{profile.service} (S3 profile {profile.name!r}) does not answer: {type(error).__name__}.",
            hint="Check that the service is up and reachable from this machine, then try again.",
        )
    return StorageError(f"{where} could not be used through S3 profile {profile.name!r}: {type(error).__name__}.")


def _explain_answer(code: str, status: int, where: S3Uri, profile: S3Profile) -> StorageError:
    if code == "NoSuchBucket":
        return BucketMissing(
            f"There is no bucket {where.bucket!r} at {profile.service}.",
            hint=f"Check the spelling; the bucket was looked for through S3 profile {profile.name!r}.",
        )
    if code in {"NoSuchKey", "404"} or status == 404:
        return ObjectMissing(
            f"There is no object {where.key!r} in bucket {where.bucket!r}.",
            hint="Check the spelling: keys tell capital from small letters.",
        )
    if code in _BAD_CREDENTIALS:
        return AccessRefused(
            f"{profile.service} does not accept the credentials of S3 profile {profile.name!r} ({code}).",
            hint="Ask the operator to correct its access key and secret key.",
        )
    if code == "RequestTimeTooSkewed":
        return AccessRefused(
            f"{profile.service} refused S3 profile {profile.name!r}: the clocks differ too much.",
            hint="Set this machine's clock.",
        )
    if status in {401, 403}:
        return AccessRefused(
            f"S3 profile {profile.name!r} may not use {where}.",
            hint="Ask the owner of the bucket to allow it. Some services also answer so when the key does not exist.",
        )
    if status == 412:
        return SourceChanged(f"{where} was replaced while it was read.", hint="Try again once it is no longer written.")
    if code in {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"} or status == 507:
        return StoreFull(f"{profile.service} has no room left for {where}.", hint="Free space there, then try again.")
    if code in _BUSY or status >= 500:
        return Unreachable(f"{profile.service} could not answer ({code}).", hint="Try again in a while.")
    return StorageError(f"{profile.service} refused {where} ({code or status}).")


@dataclass(frozen=True, slots=True)
class Head:
    size: int
    etag: str


def head(client: Any, where: S3Uri, profile: S3Profile) -> Head:
    """Size and version of an object. Raises ObjectMissing, AccessRefused, Unreachable."""
    from botocore.exceptions import ClientError

    with explained(where, profile):
        try:
            answer = client.head_object(Bucket=where.bucket, Key=where.key)
        except ClientError as error:
            # An answer to HEAD has no body and so no reason: a small GET says which it was.
            _ask_why(client, where, status_of(error))
            raise
    return Head(int(answer["ContentLength"]), str(answer["ETag"]))


def _ask_why(client: Any, where: S3Uri, status: int) -> None:
    if status in {400, 401, 403, 404}:
        client.get_object(Bucket=where.bucket, Key=where.key, Range="bytes=0-0")["Body"].close()


def try_again(action: Callable[[], T], *, times: int, wait: Callable[[int], None]) -> T:
    """Runs `action` until it works, at most `times` after a network fault; `wait` gets the number of the fault."""
    faults = 0
    while True:
        try:
            return action()
        except Exception as error:
            faults += 1
            if faults > times or not is_fault(error):
                raise
            wait(faults)
