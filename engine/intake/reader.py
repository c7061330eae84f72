"""One request served by a process that gives up its rights first."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.intake.canonical import canonicalise
from engine.intake.limits import Limits, as_problem
from engine.intake.look import Layout
from engine.intake.mends import Mends
from engine.intake.opening import kind_of
from engine.intake.sandbox import (
    allow_memory,
    allow_steps,
    confine,
    end_steps,
    most_held,
    open_pages,
    open_status,
    restrict,
)
from engine.types import Modality

Answer = Callable[[Mapping[str, Any]], None]


def serve(request: Mapping[str, Any], answers: int) -> int:
    """Fence this process in, read the file asked for, and answer in lines of JSON; returns the exit code.

    request: as `engine.intake.child.request_for` or `engine.intake.afar.glance_in_child` makes it; only the folder of
    `out` or `scratch` may be written to. answers: an open file descriptor. Lines: {"missing": …} where a fence could
    not be put up, {"progress": …}, and last {"summary": …} or {"error": …} with the most bytes held.
    """
    limits = Limits(**request["limits"])
    stream = os.fdopen(answers, "w", encoding="utf-8")

    def answer(message: Mapping[str, Any]) -> None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    status = open_status()
    try:
        found = (_glance if "remote" in request else _copy)(request, limits, answer)
        answer({**found, "peak_bytes": most_held(status)})
    except Exception as error:
        problem = as_problem(error, limits)
        told = {"code": problem.code, "message": problem.message, "hint": problem.hint}
        answer({"error": told, "peak_bytes": most_held(status)})
        return 2
    finally:
        end_steps()
    return 0


def _fence(limits: Limits, answer: Answer, *, read: Sequence[Path], write: Path) -> None:
    missing = [*restrict(limits), *confine(read=read, write=[write])]
    if missing:
        print("\n".join(missing), file=sys.stderr)
        answer({"missing": missing})


def _copy(request: Mapping[str, Any], limits: Limits, answer: Answer) -> Mapping[str, Any]:
    """The clean copy of a file of this machine."""
    path, out = Path(request["path"]), Path(request["out"])
    mends = Mends.from_json(request.get("mends"))
    size = path.stat().st_size if path.is_file() else 0
    pages = open_pages()
    _fence(limits, answer, read=[path, *mends.files], write=out.parent)
    # Text or an archive: what it takes is not told by its size, and no call of HDF5 is long.
    packed = kind_of(path) != "hdf5"

    def looked(layout: Layout) -> None:
        if not packed:
            allow_steps(limits)
            allow_memory(limits, pages, file_bytes=size, chunk_bytes=layout.chunk_bytes)

    if packed:
        allow_steps(limits)
    else:
        allow_memory(limits, pages, file_bytes=size)
    summary = canonicalise(
        path,
        out,
        modality=_modality(request),
        limits=limits,
        source=request["source"],
        progress=lambda done, of: answer({"progress": [done, of]}),
        mends=mends,
        looked=looked,
    )
    return {"summary": summary.to_json()}


def _glance(request: Mapping[str, Any], limits: Limits, answer: Answer) -> Mapping[str, Any]:
    """A look at a file that stays where it is, its bytes asked of the parent."""
    from engine.intake.afar import Afar, glance_at

    scratch, remote = Path(request["scratch"]), request["remote"]
    _fence(limits, answer, read=[], write=scratch)
    allow_steps(limits)
    with Afar(remote["socket"], remote["size"]) as stream:
        summary, names = glance_at(stream, scratch, wanted=_modality(request), limits=limits, source=request["source"])
    return {"summary": summary.to_json(), "names": list(names)}


def _modality(request: Mapping[str, Any]) -> Modality | None:
    return Modality(request["modality"]) if request["modality"] else None
