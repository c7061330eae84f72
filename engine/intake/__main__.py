"""What runs in the intake child: one request from stdin, progress and one answer on stdout."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import CorruptMatrix, CrossViewError, TooLarge
from engine.intake.canonical import canonicalise
from engine.intake.limits import Limits, human
from engine.types import Modality


def main() -> int:
    """Read one request from stdin, answer on stdout: progress lines, then one summary or error."""
    request = json.loads(sys.stdin.readline())
    limits = Limits(**request["limits"])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not break the conversation
    _restrict(limits)

    def answer(message: Mapping[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        summary = canonicalise(
            Path(request["path"]),
            Path(request["out"]),
            modality=Modality(request["modality"]) if request["modality"] else None,
            limits=limits,
            source=request["source"],
            progress=lambda done, of: answer({"progress": [done, of]}),
        )
    except Exception as error:
        problem = _as_input_problem(error, limits)
        answer({"error": {"code": problem.code, "message": problem.message, "hint": problem.hint}})
        return 2
    answer({"summary": summary.to_json()})
    return 0


def _restrict(limits: Limits) -> None:
    import resource

    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: limits.output_bytes,
        resource.RLIMIT_AS: limits.memory_bytes,
    }
    for which, value in wanted.items():
        hard = resource.getrlimit(which)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(which, (bound, bound))
        except (ValueError, OSError) as error:  # macOS does not bound address space
            print(f"limit {which} not set: {error}", file=sys.stderr)


def _as_input_problem(error: Exception, limits: Limits) -> CrossViewError:
    """What went wrong, as something the owner of the file can act on."""
    if isinstance(error, CrossViewError):
        return error
    smaller = "Split the file by sample, or keep raw counts only, stored sparse."
    text = str(error)
    if isinstance(error, MemoryError) or "allocat" in text.lower():
        return TooLarge(f"Reading the file needs more than {human(limits.memory_bytes)} of memory.", hint=smaller)
    if "File too large" in text or getattr(error, "errno", None) == errno.EFBIG:
        return TooLarge(f"The clean copy exceeds {human(limits.output_bytes)}.", hint=smaller)
    if "No space left" in text:
        return TooLarge("There is no space left on the disk for the clean copy.", hint="Ask for space, or retry later.")
    return CorruptMatrix(
        f"The file cannot be read ({type(error).__name__}: {text[:200]}).",
        hint="Write it again from AnnData, or copy it again if it broke off.",
    )


if __name__ == "__main__":
    sys.exit(main())
