"""Bringing a file here from the web: whole, of one version, or without a trace."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from storage import drive
from storage.errors import SourceChanged, TooLarge, Unreachable
from storage.files import check_room, human_bytes, make_folders, publish, room_for
from storage.sources import Fetched, Limits, Progress
from storage.web import FAULTS, Answer, Interrupted, Web, require_file

Open = Callable[[Mapping[str, str]], AbstractContextManager[Answer]]  # asks for the file, with these headers

LOOK_EVERY = 64 << 20  # bytes between two looks at the room left, where the size is not known  # ours
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Version:
    """Which file it is, as far as the server says. validator: what If-Range may be asked with; "" where nothing is."""

    size: int | None
    validator: str

    @classmethod
    def of(cls, answer: Answer) -> Version:
        etag = answer.headers.get("etag", "").strip()
        strong = etag if etag.startswith('"') else ""
        return cls(whole_size(answer), strong or answer.headers.get("last-modified", "").strip())

    def same(self, other: Version) -> bool:
        """Whether nothing speaks against it: an answer in chunks does not say the size."""
        return self.validator == other.validator and (None in (self.size, other.size) or self.size == other.size)


def opener(url: str, web: Web) -> Open:
    """How this address is asked: a Google Drive link by its file, any other as it stands. Raises BadUri."""
    if (shared := drive.parse_link(url)) is not None:
        return lambda headers: drive.opened(shared, web, headers)
    return lambda headers: web.get(url, headers)


def fetch_web(
    url: str, into: Path, *, web: Web, limits: Limits | None = None, progress: Progress | None = None
) -> Fetched:
    """Downloads an https:// address or a Google Drive link to the file `into`; total is 0 where it is not told.

    `progress` may raise to stop; it is called before another try as well. Raises BadUri, FetchRefused,
    ObjectMissing, AccessRefused, WebPage, DriveQuota, Unreachable, SourceChanged, TooLarge, StoreFull; then neither
    `into` nor a part of it is left.
    """
    limits = limits or Limits()
    partial = into.with_name(into.name + ".partial")
    web.restart()
    make_folders(into.parent)
    try:
        with room_for("the file from the web", into.parent):
            with partial.open("wb") as file:
                download = _Download(opener(url, web), web, limits, into.parent, file, progress)
                download.run()
            publish(partial, into)
    finally:
        web.close()
        partial.unlink(missing_ok=True)
    version = download.version
    assert version is not None
    return Fetched(download.received, download.digest.hexdigest(), version.validator.strip('"'), download.name)


@dataclass(slots=True)
class _Download:
    """One file on its way: what came so far, of which version, and how often it broke since it last got on."""

    open: Open
    web: Web
    limits: Limits
    folder: Path
    file: IO[bytes]
    progress: Progress | None
    received: int = 0
    faults: int = 0
    fresh: int = 0  # bytes since the last fault
    looked: int = 0
    restarts: int = 0
    name: str = ""
    host: str = "The server"
    version: Version | None = None
    digest: Any = field(default_factory=hashlib.sha256)

    def run(self) -> None:
        while True:
            try:
                self._pass()
                return
            except (*FAULTS, Interrupted) as error:
                self._again_or_raise(error)

    def _pass(self) -> None:
        """One answer, from where we stand to the end. Raises what makes another one worth asking for."""
        again = {}
        if self.received and self.version is not None and self.version.validator:
            again = {"range": f"bytes={self.received}-", "if-range": self.version.validator}
        with self.open(again) as answer:
            require_file(answer)
            self._meet(answer)
            for block in answer.blocks():
                self._take(block)
        assert self.version is not None
        if self.version.size is not None and self.received < self.version.size:
            raise Interrupted("The answer ended early.")

    def _meet(self, answer: Answer) -> None:
        """Compares the answer with what came before: goes on, begins anew, or raises SourceChanged."""
        found = Version.of(answer)
        if self.version is None:
            self.version, self.name, self.host = found, answer.name, answer.place.host
            self._check(found.size or 0)
            check_room(found.size or 0, self.folder, keep_free=self.limits.keep_free)
        elif not found.same(self.version):
            raise SourceChanged(
                f"{answer.place} was replaced while it was read.", hint="Try again once it is no longer written."
            )
        if answer.status == 206 and range_start(answer) == self.received:
            return
        if answer.status == 206:
            raise SourceChanged(
                f"{answer.place.host} answers with another part of the file than was asked for.",
                hint="Download the file and upload it here.",
            )
        self._from_the_start()

    def _from_the_start(self) -> None:
        """A whole file comes: from servers that know no parts, or do not say which version a part is of."""
        if self.received:
            self.restarts += 1
            if self.restarts > self.limits.retries:
                raise Unreachable(
                    f"{self.host} broke off {self.restarts} times and cannot go on from where it stopped.",
                    hint="Download the file elsewhere and upload it here.",
                )
        self.file.seek(0)
        self.file.truncate()
        self.received = self.looked = 0
        self.digest = hashlib.sha256()

    def _take(self, block: bytes) -> None:
        self._check(self.received + len(block))
        self.file.write(block)
        self.digest.update(block)
        self.received += len(block)
        self.fresh += len(block)
        if self.fresh >= self.web.patience.stall_bytes:
            self.faults = 0
        assert self.version is not None
        if self.version.size is None and self.received - self.looked >= LOOK_EVERY:
            self.looked = self.received
            check_room(0, self.folder, keep_free=self.limits.keep_free)
        if self.progress is not None:
            self.progress(self.received, self.version.size or 0)

    def _check(self, size: int) -> None:
        if size > self.limits.max_bytes:
            raise TooLarge(
                f"The file has {human_bytes(size)} or more; at most {human_bytes(self.limits.max_bytes)} are taken.",
                hint="Take fewer cells or features, or ask the operator to raise the limit.",
            )

    def _again_or_raise(self, error: Exception) -> None:
        self.faults, self.fresh = self.faults + 1, 0
        if self.web.late:
            raise Unreachable(
                f"{self.host} took longer than {self.web.patience.total_s / 3600:.3g} h; "
                f"{human_bytes(self.received)} came.",
                hint="Download the file elsewhere and upload it here.",
            ) from error
        if self.faults > self.limits.retries:
            raise Unreachable(
                f"{self.host} does not answer, or stopped answering after {human_bytes(self.received)}.",
                hint="Check the address and the connection, then try again.",
            ) from error
        if self.progress is not None:
            self.progress(self.received, (self.version.size if self.version is not None else 0) or 0)
        time.sleep(self.limits.backoff_s * 2 ** (self.faults - 1))


def whole_size(answer: Answer) -> int | None:
    """Bytes of the whole file, where the answer tells."""
    if answer.status == 206:
        match = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
        return int(match[3]) if match and match[3] != "*" else None
    length = answer.headers.get("content-length", "")
    return int(length) if length.isdecimal() and "transfer-encoding" not in answer.headers else None


def range_start(answer: Answer) -> int | None:
    """Where the part that is sent begins."""
    match = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
    return int(match[1]) if match else None
