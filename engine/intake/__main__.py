"""What runs in the intake child: one request from stdin, progress and one answer on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.intake.canonical import canonicalise
from engine.intake.limits import Limits, as_problem
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
        if "remote" in request:
            return _glance(request, limits, answer)
        summary = canonicalise(
            Path(request["path"]),
            Path(request["out"]),
            modality=Modality(request["modality"]) if request["modality"] else None,
            limits=limits,
            source=request["source"],
            progress=lambda done, of: answer({"progress": [done, of]}),
        )
    except Exception as error:
        problem = as_problem(error, limits)
        answer({"error": {"code": problem.code, "message": problem.message, "hint": problem.hint}})
        return 2
    answer({"summary": summary.to_json()})
    return 0


def _glance(request: Mapping[str, Any], limits: Limits, answer: Callable[[Mapping[str, Any]], None]) -> int:
    """A look at a file that stays where it is, its bytes asked of the parent."""
    from engine.intake.afar import Afar, glance_at

    wanted = Modality(request["modality"]) if request["modality"] else None
    with Afar(request["remote"]["socket"], request["remote"]["size"]) as stream:
        summary, names = glance_at(stream, wanted=wanted, limits=limits, source=request["source"])
    answer({"summary": summary.to_json(), "names": list(names)})
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


if __name__ == "__main__":
    sys.exit(main())
