"""A file on the web by ranges, under the same rules as a download."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

from storage.errors import AccessRefused, NoRanges, ObjectMissing, SourceChanged, Unreachable
from storage.web import FAULTS, Answer, Interrupted, Web, require_file
from storage.web_fetch import Version, opener, range_start


class WebFile:
    """One version of the file at an address. Where redirects led is remembered, and asked directly while it answers.

    Raises what `fetch_web` raises, and NoRanges where the server gives no parts or names no version.
    """

    def __init__(self, url: str, web: Web, *, retries: int = 3, backoff_s: float = 0.2) -> None:
        self._open = opener(url, web)
        self._web = web
        self._retries = retries
        self._backoff_s = backoff_s
        self._at: str | None = None  # where redirects led
        self._version: Version | None = None
        web.restart()
        self._trying(0, 1)

    @property
    def size(self) -> int:
        assert self._version is not None
        return self._version.size or 0

    @property
    def etag(self) -> str:
        assert self._version is not None
        return self._version.validator.strip('"')

    def get(self, start: int, stop: int) -> bytes:
        return self._trying(start, stop)

    def close(self) -> None:
        self._web.close()

    def _trying(self, start: int, stop: int) -> bytes:
        faults = 0
        while True:
            try:
                return self._part(start, stop)
            except (*FAULTS, Interrupted) as error:
                faults += 1
                if faults > self._retries or self._web.late:
                    raise Unreachable(
                        "The server of the file does not answer, or stopped answering.",
                        hint="Check the address and the connection, then try again.",
                    ) from error
                time.sleep(self._backoff_s * 2 ** (faults - 1))
            except (AccessRefused, ObjectMissing):
                if self._at is None:
                    raise
                self._at = None  # a link that redirects give may run out before the one that was given

    def _part(self, start: int, stop: int) -> bytes:
        headers = {"range": f"bytes={start}-{stop - 1}"}
        if self._version is not None:
            headers["if-range"] = self._version.validator
        asked: AbstractContextManager[Answer] = (
            self._web.get(self._at, headers) if self._at is not None else self._open(headers)
        )
        with asked as answer:
            require_file(answer)
            self._meet(answer, start)
            body = answer.read(stop - start)
        if len(body) < stop - start:
            raise Interrupted("The answer ended early.")
        return body

    def _meet(self, answer: Answer, start: int) -> None:
        found = Version.of(answer)
        if self._version is not None and not found.same(self._version):
            raise SourceChanged(
                f"{answer.place} was replaced while it was read.", hint="Try again once it is no longer written."
            )
        if answer.status != 206 or range_start(answer) != start or found.size is None or not found.validator:
            raise NoRanges(
                f"{answer.place.host} gives the file only as a whole, or does not say which version it is.",
                hint="Bring the whole file in instead.",
            )
        self._version, self._at = found, answer.place.url
