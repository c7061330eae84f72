"""One request served by a process that gives up its rights first."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.intake.canonical import canonicalise
from engine.intake.limits import Limits, as_problem
from engine.intake.look import Layout
from engine.intake.sandbox import allow_memory, allow_steps, confine, end_steps, open_pages, restrict
from engine.types import Modality


def serve(request: Mapping[str, Any], answers: int) -> int:
    """Fence this process in, read the file asked for, and answer in lines of JSON; returns the exit code.

    request: as `engine.intake.child.request_for` makes it; only the folder of `out` may be written to.
    answers: an open file descriptor. Lines: {"missing": …} where a fence could not be put up, {"progress": …}, and
    last {"summary": …} or {"error": …}.
    """
    limits = Limits(**request["limits"])
    path, out = Path(request["path"]), Path(request["out"])
    stream = os.fdopen(answers, "w", encoding="utf-8")

    def answer(message: Mapping[str, Any]) -> None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    size = path.stat().st_size if path.is_file() else 0
    pages = open_pages()
    missing = [*restrict(limits), *confine(read=[path], write=[out.parent])]
    allow_memory(limits, pages, file_bytes=size)

    def looked(layout: Layout) -> None:
        allow_steps(limits)
        allow_memory(limits, pages, file_bytes=size, chunk_bytes=layout.chunk_bytes)

    if missing:
        print("\n".join(missing), file=sys.stderr)
        answer({"missing": missing})
    try:
        summary = canonicalise(
            path,
            out,
            modality=Modality(request["modality"]) if request["modality"] else None,
            limits=limits,
            source=request["source"],
            progress=lambda done, of: answer({"progress": [done, of]}),
            looked=looked,
        )
    except Exception as error:
        problem = as_problem(error, limits)
        answer({"error": {"code": problem.code, "message": problem.message, "hint": problem.hint}})
        return 2
    finally:
        end_steps()
    answer({"summary": summary.to_json()})
    return 0
