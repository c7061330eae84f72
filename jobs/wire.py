"""What the client over HTTP does with every request: patience, pages, downloads, and problems turned to errors."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from jobs.errors import Unreachable
from jobs.failures import error_of
from jobs.patience import Repeatable, patiently
from jobs.views import Failure

PATIENT = httpx.Timeout(None, connect=5.0)  # a backup reads every object on the way


class Wire:
    """_base: the server's address. _http: open under its /api/v1/. _downloads: a folder once there is one."""

    _base: str
    _http: httpx.Client
    _downloads: Path | None

    def _download(self, path: str, target: Path) -> str:
        digest = hashlib.sha256()
        try:
            with self._http.stream("GET", path) as answer, target.open("wb") as out:
                if answer.is_error:
                    answer.read()
                self._check(answer)
                for block in answer.iter_bytes():
                    digest.update(block)
                    out.write(block)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        return digest.hexdigest()

    def _blocks(self, path: str) -> Generator[bytes]:
        """What a POST answers, as it comes; the server may think for a while before each block."""
        try:
            with self._http.stream("POST", path, timeout=PATIENT) as answer:
                if answer.is_error:
                    answer.read()
                self._check(answer)
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _folder(self) -> Path:
        if self._downloads is None:
            self._downloads = Path(tempfile.mkdtemp(prefix="crossview-"))
            weakref.finalize(self, shutil.rmtree, str(self._downloads), True)
        return self._downloads

    def _get(self, path: str, **params: Any) -> Any:
        return self._send("GET", path, params=params).json()

    def _post(self, path: str, document: dict[str, Any]) -> Any:
        return self._send("POST", path, json=document).json()

    def _document(self, method: str, path: str, document: dict[str, Any] | None = None) -> Any:
        """A JSON answer, or None where there is none."""
        answer = self._send(method, path, json=document)
        return answer.json() if answer.content else None

    def _create(self, path: str, document: dict[str, Any]) -> Any:
        """A POST that is done once, also where its answer is lost on the way and it is sent again."""
        return self._send("POST", path, json=document, headers={"idempotency-key": secrets.token_hex(16)}).json()

    def _everything(self, path: str, **params: Any) -> list[Any]:
        """All pages of a list."""
        answer = self._send("GET", path, params=params)
        found: list[Any] = answer.json()
        while (following := answer.links.get("next")) is not None:
            answer = self._send("GET", str(answer.url.join(following["url"])))
            found += answer.json()
        return found

    def _send(self, method: str, path: str, **how: Any) -> httpx.Response:
        """With patience where the server asks for it (Retry-After), or where a request with a key broke off."""
        try:
            answer = patiently(lambda: self._http.request(method, path, **how), repeatable=_repeatable(how))
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        self._check(answer)
        return answer

    def _check(self, answer: httpx.Response) -> None:
        if not answer.is_error:
            return
        try:
            failure = Failure.model_validate(answer.json())
        except (ValueError, ValidationError):
            raise Unreachable(
                f"{self._base} answered {answer.status_code}, and not as CrossView does.",
                hint="Check the address: it should be that of a CrossView server.",
            ) from None
        raise error_of(failure)

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(
            f"{self._base} does not answer ({type(error).__name__}).",
            hint="Start it with `crossview up`, or set CROSSVIEW_API_URL to where it runs.",
        )


def _repeatable(how: dict[str, Any]) -> Repeatable:
    """A stream is sent once; what carries a key may be sent again whatever became of it."""
    if "content" in how:
        return Repeatable.NEVER
    return Repeatable.ALWAYS if "idempotency-key" in how.get("headers", {}) else Repeatable.UNREAD
