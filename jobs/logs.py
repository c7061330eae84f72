"""What processes say: scrubbed as it is written, and put together from all attempts when it is read."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from jobs import layout
from jobs.failures import scrub
from jobs.runners.base import Runner, RunnerUnreachable
from storage.errors import ArtifactMissing

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore
    from storage.tables.jobs import JobRow


class Scrubbed(io.TextIOBase):
    """A stream whose lines lose anything that looks like a credential before they are written."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._line = out, ""

    def write(self, text: str) -> int:
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            self._out.write(scrub(line) + "\n")
        return len(text)

    def flush(self) -> None:
        """A line that is not finished is written as it stands."""
        line, self._line = self._line, ""
        self._out.write(scrub(line))
        self._out.flush()

    def fileno(self) -> int:
        return self._out.fileno()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


def scrub_streams() -> None:
    """From now on this process's output is scrubbed. Asked twice it is done once."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Scrubbed):
            setattr(sys, name, Scrubbed(stream))


def read(store: ArtifactStore, runner: Runner, row: JobRow, *, tail: int) -> str:
    """The last lines of the present attempt, and before them, where they are few, those of earlier attempts."""
    lines = _of(store, runner, row, row.attempt).splitlines()
    for number in range(row.attempt - 1, 0, -1):
        if len(lines) >= tail:
            break
        earlier = _of(store, runner, row, number).splitlines()
        if earlier:
            lines = [*earlier, f"-- attempt {number + 1} --", *lines]
    return scrub("\n".join(lines[-tail:]))


def _of(store: ArtifactStore, runner: Runner, row: JobRow, number: int) -> str:
    """Kept since the attempt ended, or as the runner has it now; "" where nobody answers."""
    if number <= row.logged:
        with suppress(ArtifactMissing):
            return store.get_bytes(layout.log(row.id, number)).decode(errors="replace")
    if row.ray_submission is None and number == row.attempt:
        return ""
    with suppress(RunnerUnreachable):
        return runner.logs(f"{row.id}-{number}")
    return ""


def unseen(before: str, now: str) -> str:
    """What `now` has that was not in `before`, where each is the last part of one growing text."""
    if now.startswith(before):
        return now[len(before) :].lstrip("\n")
    told, lines = before.splitlines(), now.splitlines()
    for start in range(len(told)):
        kept = told[start:]
        if lines[: len(kept)] == kept:
            return "\n".join(lines[len(kept) :])
    return now
