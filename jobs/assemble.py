"""From parts to what a person downloads: latents, scores, maps and tables of one direction, and the report of all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.types import Direction, Modality, Names
from jobs import layout
from jobs.export import BLOCK, write_dense, write_latent
from jobs.parts import scratch
from jobs.plan import ARROW
from jobs.spreadsheet import harmless
from jobs.work import Attempt, bundle_of, coverage_of, encoded_of, matched_truth, mends_of

if TYPE_CHECKING:
    from engine.bundle import Bundle
    from engine.translate import Encoded
    from engine.translators.base import Doubt

SCHEMA = 1
H5AD, JSON, CSV = "application/x-hdf5", "application/json", "text/csv"
Columns = Mapping[str, Iterable[Any]]


# -- scores ----------------------------------------------------------------------------------------------------------


def write_scores(attempt: Attempt, direction: Direction, *, device: str) -> dict[str, Any]:
    """Score one direction against its truth; the tables go to the store, the report travels in the receipt."""
    from engine.doubt import doubt_of, with_doubt
    from engine.evaluate import evaluate
    from engine.pairs import match_barcodes

    bundle = bundle_of(attempt.store_uri, attempt.bundle_prefix, device)
    encoded = encoded_of(attempt, direction)
    with attempt.cells(direction.target) as cells:
        truth = cells.all()
    found = evaluate(
        bundle=bundle,
        direction=direction,
        predicted=encoded,
        truth=truth,
        coverage=coverage_of(attempt, direction),
        seed=attempt.spec.seed,
    )
    table = columns_of(found.scores.features)
    word = "gene" if direction.target is Modality.RNA else "peak"
    artifacts = [
        put_json(attempt, direction, "features.json", table, f"Scores of each {word}."),
        _put(attempt, direction, "scores.csv", csv_of(table), CSV, f"Scores of each {word}."),
    ]
    if found.scores.curve:
        curve = columns_of(found.scores.curve.as_dict())
        artifacts.append(put_json(attempt, direction, "roc.json", curve, "Curve of true against false positives."))
    # Scores of cells join the other columns of the cells when the direction is published.
    rows_m = match_barcodes(encoded.barcodes, truth.barcodes, what=("predicted", "true")).index_a
    by_cell = {name: values for name, values in found.scores.cells.items() if name != "name"}
    put_piece(attempt, direction, "cells.npz", {"rows": rows_m, **by_cell})
    doubt = doubt_of(bundle, encoded)
    report = with_doubt(found.report, doubt, cells=by_cell, rows_m=rows_m, depth_n=encoded.source_depth_n)
    return {"report": report.as_dict(), "artifacts": artifacts}


# -- maps ------------------------------------------------------------------------------------------------------------


def write_maps(attempt: Attempt, direction: Direction, *, device: str) -> dict[str, Any]:
    """Maps of the measured input, of the prediction, and of the truth where there is one."""
    from engine.maps import map_of_counts, map_of_prediction
    from engine.translate import DecodedSource

    bundle = bundle_of(attempt.store_uri, attempt.bundle_prefix, device)
    encoded, seed = encoded_of(attempt, direction), attempt.spec.seed
    predicted = map_of_prediction(
        DecodedSource(bundle, encoded, direction.target),
        scale=bundle.translator.scale(direction.target),
        seed=seed,
    )
    notes = {predicted.note}
    pieces: dict[str, NDArray[Any]] = {"prediction": predicted.xy_n2}
    with attempt.cells(direction.source) as source:
        measured = map_of_counts(source.all(), seed=seed)
    pieces["input"] = measured.xy_n2
    if attempt.spec.has_truth(direction):
        rows_m, truth = matched_truth(attempt, direction)
        true = map_of_counts(truth, seed=seed)
        pieces["truth"] = np.full((len(encoded), 2), np.nan, dtype=np.float32)
        pieces["truth"][rows_m] = true.xy_n2
        notes.add(true.note)
    put_piece(attempt, direction, "maps.npz", pieces)
    return {"notes": sorted(note for note in notes | {measured.note} if note)}


# -- one direction, published ----------------------------------------------------------------------------------------


def write_direction(attempt: Attempt, direction: Direction, *, device: str) -> dict[str, Any]:
    """latent.h5ad, cells.json and, where asked for, the dense prediction; without truth also what is said then."""
    from engine.doubt import doubt_of, with_doubt
    from engine.evaluate import unscored

    bundle = bundle_of(attempt.store_uri, attempt.bundle_prefix, device)
    encoded = encoded_of(attempt, direction)
    labels, doubt = _labels(attempt, direction), doubt_of(bundle, encoded)
    cells = _cell_columns(attempt, direction, encoded, labels, doubt)
    artifacts = [put_json(attempt, direction, "cells.json", columns_of(cells), "Labels, scores and maps of each cell.")]
    report: dict[str, Any] | None = None
    if not attempt.spec.has_truth(direction):
        what = "Mean prediction of each gene or peak."
        artifacts.append(put_json(attempt, direction, "features.json", _means(bundle, encoded, direction), what))
        coverage = coverage_of(attempt, direction)
        seed = attempt.spec.seed
        without_truth = unscored(bundle, direction, n_cells=len(encoded), coverage=coverage, seed=seed)
        report = with_doubt(without_truth, doubt).as_dict()
    said = provenance(attempt, bundle, direction)
    with scratch() as folder:
        path = folder / "latent.h5ad"
        maps = _maps(attempt, direction)
        write_latent(path, encoded, labels=labels, maps=maps, provenance=said, doubt=doubt)
        artifacts.append(_put_file(attempt, direction, "latent.h5ad", path, "Latents of all cells."))
        if attempt.spec.export:
            path = folder / "prediction.h5ad"
            write_dense(path, bundle, encoded, direction, labels=labels, provenance=said, doubt=doubt)
            what = "The whole prediction as a dense matrix."
            artifacts.append(_put_file(attempt, direction, "prediction.h5ad", path, what))
    return {"artifacts": artifacts, "report": report}


def _means(bundle: Bundle, encoded: Encoded, direction: Direction) -> dict[str, list[Any]]:
    """Mean predicted value of each feature, by row blocks."""
    from engine.translate import DecodedSource

    source = DecodedSource(bundle, encoded, direction.target)
    n, f = source.shape
    step = max(1, min(n, BLOCK // max(f, 1)))
    total_f = np.zeros(f)
    for start in range(0, n, step):
        total_f += source.rows(start, min(n, start + step)).sum(axis=0, dtype=np.float64)
    return columns_of({"name": bundle.space(direction.target).names, "predicted_mean": total_f / n})


def provenance(attempt: Attempt, bundle: Bundle, direction: Direction) -> dict[str, Any]:
    """Enough to make the same file again: plain values only."""
    manifest, spec = bundle.manifest, attempt.spec
    return {
        "job": attempt.job,
        "model": spec.model,
        "bundle": bundle.digest,
        "translator": manifest.translator,
        "genome": manifest.genome or "",
        "direction": direction.value,
        "scale": bundle.translator.scale(direction.target).value,
        "source": attempt.datasets[direction.source.value]["key"],
        "source_name": attempt.datasets[direction.source.value].get("name", ""),
        "code_version": attempt.version,
        "spec_digest": attempt.spec_digest,
        "chunk_cells": spec.chunk_cells,
        "min_coverage": spec.min_coverage,
        "seed": spec.seed,
        "licence": manifest.licence,
        **mends_of(attempt, direction.source),
    }


def _labels(attempt: Attempt, direction: Direction) -> dict[str, Names]:
    """Label columns of the source's cells, completed by the truth's where those know more."""
    with attempt.cells(direction.source) as cells:
        labels, n = dict(cells.obs), cells.n_cells
    if attempt.spec.has_truth(direction):
        rows_m, truth = matched_truth(attempt, direction)
        for name, column in truth.obs.items():
            if name not in labels:
                labels[name] = np.full(n, "", dtype=object)
                labels[name][rows_m] = column
    return labels


def _maps(attempt: Attempt, direction: Direction) -> dict[str, NDArray[Any]]:
    """Coordinates by name, each of shape (n, 2); none where no maps were asked for."""
    return piece(attempt, direction, "maps.npz") if attempt.spec.umap else {}


def _cell_columns(
    attempt: Attempt, direction: Direction, encoded: Encoded, labels: Mapping[str, Names], doubt: Doubt | None
) -> dict[str, Iterable[Any]]:
    from engine.doubt import doubt_columns

    columns: dict[str, Iterable[Any]] = {
        "barcode": encoded.barcodes,
        **labels,
        "source_depth": encoded.source_depth_n,
        **doubt_columns(doubt),
    }
    if attempt.spec.has_truth(direction):
        scores = piece(attempt, direction, "cells.npz")
        rows = scores.pop("rows")
        for name, values in scores.items():
            column = np.full(len(encoded), np.nan)
            column[rows] = values
            columns[name] = column
    for name, xy_n2 in _maps(attempt, direction).items():
        columns[f"{name}_umap_1"], columns[f"{name}_umap_2"] = xy_n2[:, 0], xy_n2[:, 1]
    return columns


# -- the report of all directions ------------------------------------------------------------------------------------


def write_report(
    attempt: Attempt, directions: Mapping[str, Mapping[str, Any]], *, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """report.json, as one artifact record."""
    document = {
        "schema": SCHEMA,
        "job": attempt.job,
        "model": attempt.spec.model,
        "bundle": attempt.spec.bundle,
        "code_version": attempt.version,
        "spec": attempt.spec.model_dump(mode="json"),
        "inputs": {name: dict(entry) for name, entry in attempt.datasets.items()},
        "directions": {name: dict(report) for name, report in directions.items()},
        "notes": list(notes),
    }
    return put_json(attempt, None, "report.json", plain(document), "Scores, nulls, verdicts and provenance.", indent=1)


def summary_of(directions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a list of jobs shows of a finished one."""
    said: dict[str, Any] = {}
    for name, report in directions.items():
        verdict = report.get("verdict") or {}
        said[name] = {"arrow": ARROW[Direction(name)], "cells": report.get("n_cells"), "verdict": verdict}
        if doubt := report.get("doubt"):
            said[name]["outside"] = doubt["outside"]
    return plain(said)  # type: ignore[no-any-return]


# -- writing ---------------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """JSON's own types; not a number and infinity become null."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def columns_of(table: Columns) -> dict[str, list[Any]]:
    """A table by columns in JSON's own types."""
    return {str(name): _column(values) for name, values in table.items()}


def _column(values: Iterable[Any]) -> list[Any]:
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":  # most values are: the short way for them
        return [float(f"{v:.7g}") if math.isfinite(v) else None for v in values.tolist()]
    if isinstance(values, np.ndarray) and values.dtype.kind in "iub":
        return list(values.tolist())
    return [plain(v) for v in values]


def csv_of(table: Columns) -> bytes:
    """Columns in JSON's own types as comma-separated values that no spreadsheet takes for a formula."""
    columns = {name: list(values) for name, values in table.items()}
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([harmless(name) for name in columns])
    for row in zip(*columns.values(), strict=True):
        writer.writerow([harmless(v) if isinstance(v, str) else ("" if v is None else v) for v in row])
    return out.getvalue().encode()


def _put(
    attempt: Attempt, direction: Direction | None, name: str, data: bytes, media_type: str, what: str
) -> dict[str, Any]:
    name = f"{direction.value}/{name}" if direction else name
    attempt.store.put_bytes(layout.output(attempt.job, attempt.number, name), data)
    digest = hashlib.sha256(data).hexdigest()
    return {"name": name, "bytes": len(data), "sha256": digest, "media_type": media_type, "what": what}


def put_output(attempt: Attempt, name: str, data: bytes, media_type: str, what: str) -> dict[str, Any]:
    """An output of the attempt; the record its last event lists."""
    return _put(attempt, None, name, data, media_type, what)


def put_file(attempt: Attempt, name: str, path: Path, media_type: str, what: str) -> dict[str, Any]:
    """A file as an output of the attempt; the record its last event lists."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    attempt.store.put_file(layout.output(attempt.job, attempt.number, name), path)
    return {"name": name, "bytes": path.stat().st_size, "sha256": digest, "media_type": media_type, "what": what}


def put_json(
    attempt: Attempt, direction: Direction | None, name: str, document: Any, what: str, *, indent: int | None = None
) -> dict[str, Any]:
    """A JSON file of one direction, or of all; the record the last event lists."""
    text = json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=False)
    return _put(attempt, direction, name, text.encode(), JSON, what)


def _put_file(attempt: Attempt, direction: Direction, name: str, path: Path, what: str) -> dict[str, Any]:
    return put_file(attempt, f"{direction.value}/{name}", path, H5AD, what)


def put_piece(attempt: Attempt, direction: Direction, name: str, arrays: Mapping[str, Any]) -> None:
    """What one task leaves for the next."""
    stream = io.BytesIO()
    plain_arrays: dict[str, Any] = {key: np.asarray(value) for key, value in arrays.items()}
    np.savez(stream, **plain_arrays)
    attempt.store.put_bytes(layout.piece(attempt.job, attempt.number, direction.value, name), stream.getvalue())


def piece(attempt: Attempt, direction: Direction, name: str) -> dict[str, NDArray[Any]]:
    """What `put_piece` left."""
    data = attempt.store.get_bytes(layout.piece(attempt.job, attempt.number, direction.value, name))
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
