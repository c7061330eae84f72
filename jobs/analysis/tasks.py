"""The tasks of an analysis, as a worker runs them: look, analyse, publish; harmless when repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import Modality, PairedCells
from jobs import layout
from jobs.analysis.asked import Asked
from jobs.analysis.report import carry_out
from jobs.analysis.sight import Say, Sight, held_out, paired
from jobs.assemble import CSV, H5AD, JSON, put_file, put_output
from jobs.parts import scratch
from jobs.work import Attempt, bundle_of

if TYPE_CHECKING:
    from engine.bundle import Bundle

Arguments = Mapping[str, Any]
FOLDER = "analysis"  # of pieces in the store
MEDIA = {".csv": CSV, ".h5ad": H5AD, ".parquet": "application/vnd.apache.parquet"}
LEFT_OUT = frozenset({"kind", "bundle"})  # of the spec: the report says them elsewhere


def told_key(attempt: Attempt) -> str:
    """Where the task says what it is doing."""
    return layout.piece(attempt.job, attempt.number, FOLDER, "told.json")


def prepare(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """Match the cells by their names alone: files that do not belong together are told at once."""
    from engine.pairs import same_cells

    with attempt.cells(Modality.RNA) as rna, attempt.cells(Modality.ATAC) as atac:
        return {"cells": len(same_cells(rna.barcodes, atac.barcodes))}


def analyse(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """The analysis itself; its tables go to the store, what the report says travels in the receipt."""
    spec, say = attempt.analysis, _teller(attempt)
    say("Reading the cells")
    bundle = bundle_of(attempt.store_uri, attempt.bundle_prefix, device) if spec.bundle else None
    pair = pair_of(attempt, say)
    if spec.held_out:
        pair = held_out(pair, bundle, say)
    with scratch() as folder:
        found = carry_out(Sight(Asked.of(spec), pair, bundle, folder, say), _asked(attempt))
        artifacts = [_put(attempt, path) for path in sorted(folder.iterdir())]
    return {"report": _named(attempt, bundle, found), "artifacts": artifacts}


def pair_of(attempt: Attempt, say: Say) -> PairedCells:
    """The cells of both files, in the files' own features."""
    from engine.fitting import with_genome

    found = {}
    for modality in Modality:
        with attempt.cells(modality) as cells:
            found[modality] = with_genome(cells.all(), attempt.analysis.genome)
    return paired(found[Modality.RNA], found[Modality.ATAC], say)


def publish(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """report.json, with what was asked and of what."""
    said = {
        **arguments["report"],
        "job": attempt.job,
        "spec": attempt.analysis.model_dump(mode="json"),
        "inputs": {name: dict(entry) for name, entry in attempt.datasets.items()},
    }
    text = json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False)
    report = put_output(attempt, "report.json", text.encode(), JSON, "Figures, cautions and provenance.")
    artifacts = sorted([*arguments["artifacts"], report], key=lambda a: str(a["name"]))
    return {"artifacts": artifacts, "summary": summary(said)}


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a list of jobs shows of a finished one."""
    return {
        "analysis": found["analysis"],
        "cells": found["cells"],
        "figures": {result["what"]: result["figures"] for result in found["results"]},
    }


def _asked(attempt: Attempt) -> dict[str, Any]:
    """As a command has it: the inputs by their names."""
    names = {m.value: attempt.datasets[m.value].get("name", "") for m in Modality}
    return {**attempt.analysis.model_dump(mode="json", exclude=set(LEFT_OUT)), **names}


def _named(attempt: Attempt, bundle: Bundle | None, found: Mapping[str, Any]) -> dict[str, Any]:
    """Under the id the model has in the catalog."""
    return {**found, "model": attempt.analysis.model if bundle else None}


def _put(attempt: Attempt, path: Path) -> dict[str, Any]:
    words = "The values of every cell." if path.suffix == ".h5ad" else f"The table {path.stem}."
    return put_file(attempt, path.name, path, MEDIA[path.suffix], words)


def _teller(attempt: Attempt) -> Say:
    """Leaves each line where the driver looks for it."""
    store, key = attempt.store, told_key(attempt)

    def say(line: str) -> None:
        store.put_bytes(key, json.dumps({"message": line}, ensure_ascii=False).encode())

    return say


TASKS: Mapping[str, Callable[[Attempt, Arguments, str], dict[str, Any]]] = {
    "prepare-analysis": prepare,
    "analyse": analyse,
    "publish-analysis": publish,
}
