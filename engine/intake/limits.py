"""How much an unknown file may ask of us."""

from __future__ import annotations

import errno
import re
from dataclasses import asdict, dataclass

from engine.errors import BadInput, CorruptMatrix, CrossViewError, TooLarge
from engine.intake.names import clean

GB = 10**9
LONGEST_MESSAGE = 2_000  # characters
_NO_MEMORY = re.compile(r"(un|not )able to allocate|can't allocate|memory allocation failed", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one upload; all are ours, chosen so that a million cells × 200k peaks in sparse form pass."""

    total_bytes: int = 64 * GB  # declared by all data sets together
    dataset_bytes: int = 64 * GB  # declared by one data set
    chunk_bytes: int = GB  # one compressed chunk must fit into memory whole
    inflation: int = 500  # declared over stored bytes; dense ATAC of 0.1 % density compresses about 250-fold
    inflation_from: int = GB // 4  # below this a highly compressed array costs nobody anything
    objects: int = 20_000
    attributes: int = 50_000
    depth: int = 32
    cells: int = 20_000_000
    features: int = 5_000_000
    cell_values: int = 4_000_000  # counts that come one by one for one barcode, before it cannot be a cell
    block_values: int = 4_000_000  # non-zeros held in memory at once: about 100 MB with its temporaries
    memory_bytes: int = 6 * GB  # address space of the reading child
    cpu_seconds: int = 3_600
    step_cpu_seconds: int = 6  # of it, to find out what the file holds, and in any one call of HDF5 afterwards
    wall_seconds: float = 7_200.0
    output_bytes: int = 64 * GB  # the canonical copy

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def human(count: float) -> str:
    """Bytes as a person reads them: 320 GB, 1.5 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1_000:
            return f"{count:.3g} {unit}"
        count /= 1_000
    return f"{count:,.3g} TB"


def as_problem(error: BaseException, limits: Limits) -> CrossViewError:
    """What went wrong, as something the owner of the file can act on."""
    if isinstance(error, CrossViewError):
        return error
    smaller = "Split the file by sample, or keep raw counts only, stored sparse."
    text = str(error)
    number = getattr(error, "errno", None)
    if isinstance(error, MemoryError) or _NO_MEMORY.search(text):
        most = human(limits.memory_bytes)
        return TooLarge(
            f"Reading needs more memory than such a file may take ({most}; less for a small one).", hint=smaller
        )
    if number == errno.EFBIG or "File too large" in text:
        return TooLarge(f"The clean copy exceeds {human(limits.output_bytes)}.", hint=smaller)
    if number == errno.ENOSPC or "No space left" in text:
        return TooLarge("There is no space left on the disk for the clean copy.", hint="Ask for space, or retry later.")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BadInput(f"The file or the folder for its copy may not be opened ({text[:200]}).", hint="Check rights.")
    return CorruptMatrix(
        f"The file cannot be read ({type(error).__name__}: {text[:200]}).",
        hint="Write it again from AnnData, or copy it again if it broke off.",
    )


def tidy(problem: CrossViewError) -> None:
    """Its words on one line without control characters: they may quote what the file says."""
    message = clean(problem.message, longest=LONGEST_MESSAGE)
    problem.message = message if len(message) < LONGEST_MESSAGE else f"{message[:-3]} …."
    problem.args = (problem.message,)


class Problems:
    """Collects what is wrong with one input, so that all of it is told at once."""

    def __init__(self) -> None:
        self.found: list[CrossViewError] = []

    def add(self, problem: CrossViewError) -> None:
        self.found.append(problem)

    def raise_any(self, *, shown: int = 6) -> None:
        """Raise the first problem's class, with the others listed in its message. Nothing when none was added."""
        if not self.found:
            return
        first, *rest = self.found
        message = first.message
        if rest:
            more = f" And {len(rest) - shown} more." if len(rest) > shown else ""
            message += " Also: " + " ".join(problem.message for problem in rest[:shown]) + more
        raise type(first)(message, hint=first.hint)
