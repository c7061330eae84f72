"""`crossview analyse …` on this machine: a pair and a model in, tables and a report with its provenance out."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import BadSetting, NoCells
from engine.intake.canonical import CanonicalCells
from engine.types import Cells, Floats, Modality, Names, PairedCells
from jobs.assemble import csv_of
from jobs.catalog import resolve
from jobs.commands.analyse import ON
from jobs.commands.offline import Say, taken, to_stderr, write_json
from jobs.version import code_version

if TYPE_CHECKING:
    import pandas as pd

    from engine.analysis.embeddings import Embedded
    from engine.analysis.joint import JointView
    from engine.analysis.profiles import Profile
    from engine.analysis.result import Analysis
    from engine.bundle import Bundle

Arguments = argparse.Namespace
DONE = 0
LIBRARIES = (
    "numpy", "scipy", "scikit-learn", "scanpy", "anndata", "umap-learn", "igraph", "statsmodels", "pandas", "torch",
    "muon", "mofapy2", "scvi-tools", "pyBigWig",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sight:
    """The cells of a command, as given and through its model; embeddings and profiles are worked out when asked for."""

    asked: Arguments
    given: PairedCells
    bundle: Bundle | None
    say: Say

    @cached_property
    def view(self) -> JointView:
        """Raises BadSetting without a model."""
        from engine.analysis.joint import look
        from engine.preprocess.align import MIN_COVERAGE

        if self.bundle is None:
            raise BadSetting(
                "The joint embedding and imputed profiles come from a model.",
                hint="Name one with --model, or use --embedding rna --on raw.",
            )
        self.say(f"Encoding {len(self.given):,} cells with {self.bundle.manifest.id}")
        least = MIN_COVERAGE if self.asked.min_coverage is None else self.asked.min_coverage
        return look(self.bundle, self.given, min_coverage=least)

    @property
    def pair(self) -> PairedCells:
        """In the model's features, or in the files' own without a model."""
        return self.given if self.bundle is None else self.view.pair

    @cached_property
    def on(self) -> tuple[str, ...]:
        return profiles_of(self.asked.on)

    def profiles(self, modality: Modality) -> dict[str, Profile]:
        """Those of --on."""
        if self.on == ("raw",):
            return {"raw": self.raw(modality)}
        return self.view.profiles(modality, self.on)

    def raw(self, modality: Modality) -> Profile:
        from engine.analysis.profiles import measured

        return measured(self.pair.of(modality))

    def embedded(self, name: str) -> Embedded:
        """The joint embedding, or one fitted to these cells."""
        from engine.analysis.embeddings import Embedded, embedding

        if name == "joint":
            return Embedded(self.view.z_nk, notes=self.view.notes)
        self.say(f"Embedding the cells: {name}")
        return embedding(name, self.pair, seed=self.asked.seed)

    @cached_property
    def z_nk(self) -> Floats:
        return self.embedded(self.asked.embedding).z_nk

    def column(self, name: str, option: str) -> Names:
        """A column of the cells, from either file. Raises BadSetting with those there are."""
        columns = {**self.given.atac.obs, **self.given.rna.obs}
        if name not in columns:
            known = ", ".join(sorted(columns)) or "none"
            raise BadSetting(f"There is no column {name!r} of cells.", hint=f"Columns for {option}: {known}.")
        return np.array([str(value) for value in columns[name]], dtype=object)

    @property
    def labels(self) -> Names | None:
        return self.column(self.asked.label, "--label") if self.asked.label else None

    def need_labels(self) -> Names:
        if self.labels is None:
            raise BadSetting("This analysis compares labels.", hint="Name the column of labels with --label.")
        return self.labels

    @property
    def genome(self) -> str:
        found = self.asked.genome or self.pair.rna.space.genome or self.pair.atac.space.genome
        if not found:
            raise BadSetting("The genome was not recognised.", hint="Name it with --genome: hg38 or mm10.")
        return str(found)


def profiles_of(text: str) -> tuple[str, ...]:
    """The names of --on. Raises BadSetting for another one."""
    wanted = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not wanted or set(wanted) - set(ON):
        raise BadSetting(f"--on {text!r} names no profile.", hint="Give raw, imputed, or raw,imputed.")
    return wanted


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
    from jobs.commands.analyse_kinds import KINDS

    started = time.monotonic()
    profiles_of(a.on)  # what is misspelt is said before anything is read
    sight = _sight(a, say)
    results = KINDS[a.what](sight)
    files = write_results(a.out, results, sight.given.barcodes)
    document = _report(a, sight, results, files, time.monotonic() - started)
    write_json(a.out / "report.json", document)
    return document


def _sight(a: Arguments, say: Say) -> Sight:
    from engine.bundle import load_bundle
    from engine.training import pick_device

    bundle = load_bundle(resolve(a.model), device=str(pick_device(a.device))) if a.model else None
    with ExitStack() as open_files:
        r = open_files.enter_context(taken(a.rna, modality=Modality.RNA, say=say))
        t = open_files.enter_context(taken(a.atac, modality=Modality.ATAC, say=say))
        pair = _paired(r.path, t.path, a.genome, say)
    return Sight(a, _held_out(pair, bundle, say) if a.held_out else pair, bundle, say)


def _paired(rna: Path, atac: Path, genome: str | None, say: Say) -> PairedCells:
    from engine.pairs import pair

    found, matching = pair(_cells(rna, genome), _cells(atac, genome))
    if matching.told:
        say(matching.note)
    return found


def _cells(path: Path, genome: str | None) -> Cells:
    from engine.fitting import with_genome

    with CanonicalCells.open(path) as opened:
        return with_genome(opened.all(), genome)


def _held_out(pair: PairedCells, bundle: Bundle | None, say: Say) -> PairedCells:
    """The cells that neither trained the model nor chose it. Raises BadSetting where it does not say which did."""
    from engine.splits import read_split

    path = bundle.folder / "split.json" if bundle is not None and bundle.folder else None
    if path is None or not path.is_file():
        raise BadSetting("Which cells trained the model is not known.", hint="Leave --held-out away.")
    split = read_split(path)
    used = {*split.train, *split.valid}
    kept = [name for name in pair.barcodes if name not in used]
    if not kept:
        raise NoCells("Every cell trained or chose the model.", hint="Leave --held-out away, or give other cells.")
    say(f"{len(kept):,} of {len(pair):,} cells were not used in training")
    return pair.named(kept)


def write_results(out: Path, results: Sequence[Analysis], barcodes: Names) -> dict[str, str]:
    """Each table as ANALYSIS.TABLE.csv and .parquet; returns the digest of every file."""
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for result in results:
        for name, table in result.tables.items():
            named = _named(table, barcodes) if name == "cells" else table
            stem = f"{result.what}.{name}"
            for suffix, data in ((".csv", _csv(named)), (".parquet", named.to_parquet(index=False))):
                (out / f"{stem}{suffix}").write_bytes(data)
                files[f"{stem}{suffix}"] = hashlib.sha256(data).hexdigest()
    return files


def _named(table: pd.DataFrame, barcodes: Names) -> pd.DataFrame:
    """A table of cells begins with their names."""
    if "barcode" in table or len(table) != len(barcodes):
        return table
    named = table.copy()
    named.insert(0, "barcode", barcodes)
    return named


def _csv(table: pd.DataFrame) -> bytes:
    def plain(column: pd.Series[Any]) -> list[Any]:
        missing = column.isna()
        return [None if lost else value for value, lost in zip(column.tolist(), missing, strict=True)]

    return csv_of({str(name): plain(table[name]) for name in table.columns})


def _report(
    a: Arguments, sight: Sight, results: Sequence[Analysis], files: Mapping[str, str], seconds: float
) -> dict[str, Any]:
    from engine.bundle import digest_of_cells
    from engine.evaluate import trained_on
    from engine.metrics.scores import plain

    bundle = sight.bundle
    asked = {k: str(v) if isinstance(v, Path) else v for k, v in vars(a).items() if k not in {"run", "command"}}
    document = {
        "analysis": a.what,
        "asked": asked,
        "cells": len(sight.given),
        "features": {m.value: len(sight.pair.of(m).space) for m in Modality},
        "model": bundle.manifest.id if bundle else None,
        "bundle": bundle.digest if bundle else None,
        "trained_on": trained_on(bundle, sight.given.barcodes) if bundle else 0,
        "notes": list(sight.view.notes) if bundle else [],
        "results": [result.as_dict() for result in results],
        "input": digest_of_cells(sight.given),
        "code_version": code_version(),
        "versions": _versions(),
        "files": dict(files),
        "seconds": round(seconds, 2),
    }
    out: dict[str, Any] = plain(document)
    return out


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _lines(document: Mapping[str, Any]) -> list[str]:
    lines = [f"{document['analysis']} of {document['cells']:,} cells"]
    for result in document["results"]:
        lines.append(f"{result['what']}: " + json.dumps(result["figures"], ensure_ascii=False))
        lines += [f"  beware: {caution}" for caution in result["cautions"]]
    out = document["asked"]["out"]
    return [*lines, *(f"  note: {note}" for note in document["notes"]), f"Tables and report: {out}"]
