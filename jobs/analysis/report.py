"""An analysis from its cells to files: tables as CSV and parquet, and the report with its provenance."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import Modality, Names
from jobs.analysis.sight import Sight
from jobs.assemble import csv_of
from jobs.version import code_version

if TYPE_CHECKING:
    import pandas as pd

    from engine.analysis.result import Analysis

LIBRARIES = (
    "numpy", "scipy", "scikit-learn", "scanpy", "anndata", "umap-learn", "igraph", "statsmodels", "pandas", "torch",
    "muon", "mofapy2", "scvi-tools", "pyBigWig",
)  # fmt: skip
SCHEMA = 1
LONG = frozenset({"coverage"})  # tables of a row for each peak in each group: parquet alone


def carry_out(sight: Sight, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Analyse and write every table into `sight.out`; returns what report.json says.

    asked: the request as a reader of the report should see it.
    """
    from jobs.analysis.kinds import KINDS

    started = time.monotonic()
    results = KINDS[sight.asked.what](sight)
    sight.say("Writing the tables")
    files = write_results(sight.out, results, sight.given.barcodes)
    return document(sight, asked, results, files, time.monotonic() - started)


def write_results(out: Path, results: Sequence[Analysis], barcodes: Names) -> dict[str, str]:
    """Each table as ANALYSIS.TABLE.csv and .parquet; returns the digest of every file."""
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for result in results:
        for name, table in result.tables.items():
            named = _named(table, barcodes) if name == "cells" else table
            stem = f"{result.what}.{name}"
            for suffix, data in _written(named, long=name in LONG).items():
                (out / f"{stem}{suffix}").write_bytes(data)
                files[f"{stem}{suffix}"] = hashlib.sha256(data).hexdigest()
    return files


def _written(table: pd.DataFrame, *, long: bool) -> dict[str, bytes]:
    """The bytes of each file, by suffix."""
    if long:
        return {".parquet": table.to_parquet(index=False, compression="zstd")}
    return {".csv": _csv(table), ".parquet": table.to_parquet(index=False)}


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


def document(
    sight: Sight, asked: Mapping[str, Any], results: Sequence[Analysis], files: Mapping[str, str], seconds: float
) -> dict[str, Any]:
    """report.json, in JSON's own types."""
    from engine.bundle import digest_of_cells
    from engine.evaluate import trained_on
    from engine.metrics.scores import plain

    bundle = sight.bundle
    found: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "kind": "analysis",
            "analysis": sight.asked.what,
            "asked": asked,
            "cells": len(sight.given),
            "features": {m.value: len(sight.pair.of(m).space) for m in Modality},
            "genome": sight.known_genome,
            "model": bundle.manifest.id if bundle else None,
            "bundle": bundle.digest if bundle else None,
            "trained_on": trained_on(bundle, sight.given.barcodes) if bundle else 0,
            "notes": list(sight.view.notes) if bundle else [],
            "results": [result.as_dict() for result in results],
            "input": digest_of_cells(sight.given),
            "code_version": code_version(),
            "versions": versions(),
            "files": dict(files),
            "seconds": round(seconds, 2),
        }
    )
    return found


def versions() -> dict[str, str]:
    """Of the libraries that analyse."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
