"""Bringing a file here from where the user keeps it: whole, checked, or without a trace."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from storage import s3
from storage.errors import FetchRefused, TooLarge, Unreachable
from storage.files import check_room, human_bytes, make_folders, publish, room_for
from storage.s3 import S3Profile, S3Uri

if TYPE_CHECKING:
    from storage.web import Web

Progress = Callable[[int, int], None]  # bytes so far, bytes in all, or 0 where that is not known


@dataclass(frozen=True, slots=True)
class Limits:
    """retries: network faults in a row, without a byte between them, before it is given up."""

    max_bytes: int = 64 << 30  # ours
    chunk_bytes: int = 32 << 20  # one ranged GET; ours
    retries: int = 5
    backoff_s: float = 0.5
    keep_free: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Fetched:
    """name: as the source calls the file, fit to be shown; never to be used as a path."""

    bytes: int
    sha256: str
    etag: str
    name: str


def fetch(
    uri: str,
    into: Path,
    *,
    profiles: Mapping[str, S3Profile],
    web: Web | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Downloads `s3://bucket/key`, an https:// address or a Google Drive link to the file `into`.

    The S3 service is always the operator's, never the address's. web: how the web is reached; None: not at all.
    `progress` may raise to stop; it is called before another try as well. Raises BadUri, ObjectMissing,
    AccessRefused, Unreachable, SourceChanged, TooLarge, StoreFull, and of the web what
    `storage.web_fetch.fetch_web` raises; then neither `into` nor a part of it is left.
    """
    limits = limits or Limits()
    if is_web(uri):
        if web is None:
            raise FetchRefused("Nothing is fetched from the web here.", hint="Upload the file instead.")
        from storage.web_fetch import fetch_web

        return fetch_web(uri, into, web=web, limits=limits, progress=progress)
    where = s3.parse_uri(uri)
    profile = s3.profile_for(where.bucket, profiles)
    client = profile.client()
    found = s3.head(client, where, profile)
    if found.size > limits.max_bytes:
        raise TooLarge(
            f"{where} has {human_bytes(found.size)}; at most {human_bytes(limits.max_bytes)} are taken.",
            hint="Take fewer cells or features, or ask the operator to raise the limit.",
        )
    make_folders(into.parent)
    check_room(found.size, into.parent, keep_free=limits.keep_free)
    partial = into.with_name(into.name + ".partial")
    try:
        with room_for(str(where), into.parent):
            with partial.open("wb") as file:
                sha256 = _Download(client, profile, where, found, limits, file, progress).run()
            publish(partial, into)
    finally:
        partial.unlink(missing_ok=True)
    return Fetched(found.size, sha256, found.etag.strip('"'), where.name)


def is_web(uri: str) -> bool:
    return uri.strip().partition("://")[0].lower() in ("https", "http")


@dataclass(slots=True)
class _Download:
    """One object on its way: what came so far, and how often the network broke since the last byte."""

    client: Any
    profile: S3Profile
    where: S3Uri
    found: s3.Head
    limits: Limits
    file: IO[bytes]
    progress: Progress | None
    received: int = 0
    faults: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def run(self) -> str:
        while self.received < self.found.size:
            stop = min(self.received + self.limits.chunk_bytes, self.found.size)
            try:
                for block in self._blocks(self.received, stop):
                    self._take(block)
            except s3_errors() as error:
                self._again_or_raise(error)
        return str(self.digest.hexdigest())

    def _blocks(self, start: int, stop: int) -> Iterator[bytes]:
        # If-Match: every range is of the object that was looked at, or there is no answer at all.
        answer = self.client.get_object(
            Bucket=self.where.bucket, Key=self.where.key, Range=f"bytes={start}-{stop - 1}", IfMatch=self.found.etag
        )
        with closing(answer["Body"]) as body:
            yield from body.iter_chunks(1 << 20)

    def _take(self, block: bytes) -> None:
        self.file.write(block)
        self.digest.update(block)
        self.received += len(block)
        self.faults = 0
        if self.progress is not None:
            self.progress(self.received, self.found.size)

    def _again_or_raise(self, error: Exception) -> None:
        self.faults += 1
        if not s3.is_fault(error):
            raise s3.explain(error, self.where, self.profile) from error
        if self.faults > self.limits.retries:
            raise Unreachable(
                f"{self.profile.service} stopped answering after {human_bytes(self.received)} of "
                f"{human_bytes(self.found.size)} of {self.where}.",
                hint="Check the connection, then try again.",
            ) from error
        if self.progress is not None:
            self.progress(self.received, self.found.size)
        time.sleep(self.limits.backoff_s * 2 ** (self.faults - 1))


def s3_errors() -> tuple[type[Exception], ...]:
    """What botocore and the connection under it raise."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    return (ClientError, BotoCoreError, HTTPError, ConnectionError, TimeoutError)
