"""`crossview analyse …` on this machine: a pair and a model in, tables and a report with its provenance out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from engine.errors import BadInput, BadSetting
from engine.intake.canonical import CanonicalCells
from engine.preprocess.coverage import MIN_COVERAGE
from engine.types import Cells, Modality
from jobs.analysis.asked import ON, Asked
from jobs.analysis.report import carry_out
from jobs.analysis.sight import Sight, held_out, paired
from jobs.catalog import resolve
from jobs.commands.both import both_taken
from jobs.commands.mends import wishes_of
from jobs.commands.offline import Say, to_stderr, write_json

Arguments = argparse.Namespace
DONE = 0


def run(a: Arguments) -> int:
    """Analyse as asked; prints the report or a few lines of it."""
    document = analyse(a)
    if a.json:
        print(json.dumps(document, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(document)))
    return DONE


def analyse(a: Arguments, *, say: Say = to_stderr) -> dict[str, Any]:
    """Read, analyse, write; returns what report.json says."""
    asked = asked_of(a)  # what is misspelt is said before anything is read
    said = {k: str(v) if isinstance(v, Path) else v for k, v in vars(a).items() if k not in {"run", "command"}}
    document = carry_out(_sight(a, asked, say), said)
    write_json(a.out / "report.json", document)
    return document


def asked_of(a: Arguments) -> Asked:
    """The options as names and numbers. Raises BadSetting, BadInput for what cannot be read."""
    given = {name: value for name, value in vars(a).items() if name in {f.name for f in fields(Asked)}}
    lists: dict[str, Any] = {
        "on": profiles_of(a.on),
        "compare": _listed(given.get("compare", "")),
        "seeds": _seeds(given.get("seeds", "")),
        "among": _listed(given.get("among", "")),
        "genes": _listed(given.get("genes") or ""),
        "reference": _lines_of(given.get("reference")),
    }
    words = {name: given.get(name) or "" for name in ("batch", "groups", "only", "root")}
    least = MIN_COVERAGE if a.min_coverage is None else a.min_coverage
    return Asked(**{**given, **lists, **words, "umap": not getattr(a, "no_umap", False), "min_coverage": least})


def profiles_of(text: str) -> tuple[str, ...]:
    """The names of --on. Raises BadSetting for another one."""
    wanted = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not wanted or set(wanted) - set(ON):
        raise BadSetting(f"--on {text!r} names no profile.", hint="Give raw, imputed, or raw,imputed.")
    return wanted


def _seeds(text: str) -> tuple[int, ...]:
    found = _listed(text)
    if wrong := [word for word in found if not word.isdecimal()]:
        raise BadSetting(f"{wrong[0]!r} is no seed.", hint="Give whole numbers: --seeds 0,1,2.")
    return tuple(int(word) for word in found)


def _listed(text: str) -> tuple[str, ...]:
    """Names separated by commas, or @FILE with one a line."""
    if text.startswith("@"):
        path = Path(text[1:])
        if not path.is_file():
            raise BadInput(f"There is no file {path}.", hint="Check the path after @.")
        text = ",".join(path.read_text(encoding="utf-8").splitlines())
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _lines_of(path: Path | None) -> tuple[str, ...]:
    """Of the reference list. Raises BadInput where it is not there, or says nothing."""
    if path is None:
        return ()
    if not path.is_file():
        raise BadInput(f"There is no file {path}.", hint="Check the path of the reference list.")
    lines = tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line)
    if not lines:
        raise BadInput(f"{path.name} is empty.", hint="Give names, one a line, or GROUP,NAME.")
    return lines


def _sight(a: Arguments, asked: Asked, say: Say) -> Sight:
    from engine.bundle import load_bundle
    from engine.training import pick_device

    bundle = load_bundle(resolve(a.model), device=str(pick_device(a.device))) if a.model else None
    given = both_taken(rna=a.rna, atac=a.atac, pair=a.pair, model=a.model, wishes=wishes_of(a), say=say)
    with given as both:
        cells = {m: _cells(each.path, a.genome) for m, each in both.items()}
        pair = paired(cells[Modality.RNA], cells[Modality.ATAC], say)
    return Sight(asked, held_out(pair, bundle, say) if asked.held_out else pair, bundle, a.out, say)


def _cells(path: Path, genome: str | None) -> Cells:
    from engine.fitting import with_genome

    with CanonicalCells.open(path) as opened:
        return with_genome(opened.all(), genome)


def _lines(document: Mapping[str, Any]) -> list[str]:
    lines = [f"{document['analysis']} of {document['cells']:,} cells"]
    for result in document["results"]:
        lines.append(f"{result['what']}: " + json.dumps(result["figures"], ensure_ascii=False))
        lines += [f"  beware: {caution}" for caution in result["cautions"]]
    out = document["asked"]["out"]
    return [*lines, *(f"  note: {note}" for note in document["notes"]), f"Tables and report: {out}"]
