"""Exceptions to failures and back: what happened, what to do, and no secret in either."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError

from engine.errors import CrossViewError
from jobs.errors import BadRequest
from jobs.runners.base import RunnerUnreachable
from jobs.state import IllegalMove
from jobs.views import Failure

INTERNAL = "internal-error"
DETAIL_LIMIT = 8_000  # characters of a traceback worth keeping in a row  # ours
_HIDDEN = "•••"
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_HDF5_NO_SPACE = re.compile("errno = (?:" + "|".join(map(str, sorted(_NO_SPACE))) + r")\b")
_SECRET_NAME = re.compile(r"SECRET|TOKEN$|PASSWORD|PASSWD|ACCESS_KEY|API_KEY|CREDENTIAL", re.IGNORECASE)
_PATTERNS = (
    re.compile(r"(?i)(?<=bearer )[\w\-.~+/]+=*"),
    re.compile(r"(?i)(?<=authorization: )[^\s,;'\"]+(?: [^\s,;'\"]+)?"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(r"(?i)(?<=x-amz-signature=)[0-9a-f]+"),
    re.compile(r"(?i)(?<=x-amz-credential=)[^&\s'\"]+"),
    re.compile(r"(?i)(?<=x-amz-security-token=)[^&\s'\"]+"),
    re.compile(r"(?<=whsec_)[A-Za-z0-9+/]+=*"),
    re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"),
    re.compile(
        r"(?i)(?<=secret_access_key=)[^\s,;'\"]+|(?<=aws_secret_access_key=)[^\s,;'\"]+|(?<=password=)[^\s,;&'\"]+"
    ),
)


def scrub(text: str, *, environ: Mapping[str, str] = os.environ) -> str:
    """The text without anything that looks like a credential, nor any secret this process was given."""
    for name, value in environ.items():
        if len(value) >= 8 and _SECRET_NAME.search(name) and not name.endswith("_PATH"):
            text = text.replace(value, _HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(_HIDDEN, text)
    return text


def failure_of(error: BaseException) -> Failure:
    """The failure a page shows for this exception."""
    plain = _typed(error) or _known(error) or _internal(error)
    return Failure(
        code=plain.code,
        message=scrub(plain.message),
        hint=scrub(plain.hint),
        detail=scrub(plain.detail)[-DETAIL_LIMIT:],
    )


def error_of(failure: Failure) -> CrossViewError:
    """The exception a failure came from: the class of its code where there is one."""
    kind: type[CrossViewError] | None = _classes().get(failure.code)
    if kind is None:
        kind = type("CodedFailure", (CrossViewError,), {"code": failure.code})
    error = kind(failure.message, hint=failure.hint)
    if failure.detail:
        error.add_note(failure.detail)
    return error


@contextmanager
def typed_errors() -> Iterator[None]:
    """Inside, whatever has a code of its own leaves as CrossViewError; faults of ours leave as they are."""
    try:
        yield
    except CrossViewError:
        raise
    except Exception as error:
        failure = _typed(error) or _known(error)
        if failure is None:
            raise
        raise error_of(failure) from error


def _typed(error: BaseException) -> Failure | None:
    """Ours carry code, message and hint (CrossViewError, StorageError)."""
    code, message = getattr(error, "code", None), getattr(error, "message", None)
    if not (isinstance(code, str) and isinstance(message, str)):
        return None
    hint = getattr(error, "hint", "")
    notes = "\n".join(getattr(error, "__notes__", ()))
    return Failure(code=code, message=message, hint=hint if isinstance(hint, str) else "", detail=notes)


def _known(error: BaseException) -> Failure | None:
    if isinstance(error, MemoryError):
        return Failure(
            code="out-of-memory",
            message="There was not enough memory for this.",
            hint="Run it on a node with more memory; a translation also with smaller chunks (chunk_cells).",
            detail=_trace(error),
        )
    if _no_space(error):
        return Failure(
            code="disk-full",
            message="There is no space left where the files are kept.",
            hint="Delete old jobs and datasets, or free space on the disk, then try again.",
            detail=_trace(error),
        )
    if isinstance(error, RunnerUnreachable):
        return Failure(
            code="unreachable",
            message=f"The place where jobs run does not answer: {error}".rstrip(": "),
            hint="Queued jobs wait and are submitted when it answers again. `crossview doctor` says more.",
        )
    if isinstance(error, ValidationError):
        return Failure(code=BadRequest.code, message=_sentences(error), hint="Correct the fields named and send again.")
    if isinstance(error, IllegalMove):
        return Failure(code="conflict", message=str(error), hint="Look at the job again: it has moved on.")
    return None


def _no_space(error: BaseException) -> bool:
    """HDF5 tells a full disk by a number, or when it flushes only by its words in a RuntimeError."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return True
    return isinstance(error, (OSError, RuntimeError)) and bool(_HDF5_NO_SPACE.search(str(error)))


def _internal(error: BaseException) -> Failure:
    return Failure(
        code=INTERNAL,
        message=f"Something broke inside CrossView ({type(error).__name__}).",
        hint="Try once more; if it happens again, report it with the detail below.",
        detail=_trace(error),
    )


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _sentences(error: ValidationError) -> str:
    """All problems of a request at once, each with its place."""
    parts = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(step) for step in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ").rstrip(".")
        parts.append(f"{where}: {text}." if where else f"{text}.")
    return " ".join(parts)


def _classes() -> dict[str, type[CrossViewError]]:
    found: dict[str, type[CrossViewError]] = {}
    waiting: list[type[CrossViewError]] = [CrossViewError]
    while waiting:
        kind = waiting.pop(0)
        found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return found
