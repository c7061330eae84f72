"""The tasks of an evaluation, as a worker runs them: scores, maps, files; harmless when repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.types import Cells, Direction, Modality, Names, Scale, as_names
from jobs.assemble import (
    CSV,
    H5AD,
    SCHEMA,
    columns_of,
    csv_of,
    piece,
    plain,
    put_file,
    put_json,
    put_output,
    put_piece,
    summary_of,
)
from jobs.evaluation.reading import depths, foreign
from jobs.parts import scratch
from jobs.results.decoders import kept_name
from jobs.results.latents import PLACE
from jobs.work import Attempt

if TYPE_CHECKING:
    from engine.foreign import Shared
    from engine.predicted import Foreign

Arguments = Mapping[str, Any]
ROW, FACTOR = "row", "factor"
MAP_NAMES = {"prediction": "X_umap"}


def prepare(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """What both files share and what the values are: files that do not belong together are told at once."""
    from engine.predicted import scale_of

    with _prediction(attempt) as prediction:
        both = _shared(attempt, prediction)
        scale = scale_of(prediction, asked=attempt.evaluation.scale)
    return {"cells": both.cells, "scale": scale.value}


def score(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """Tables to the store, and which cells were scored; the report travels in the receipt."""
    from engine.foreign import evaluate_foreign

    spec, which = attempt.evaluation, _direction(attempt)
    training = _cells(attempt, "training") if spec.training is not None else None
    with _prediction(attempt) as prediction:
        judged = evaluate_foreign(
            prediction,
            _cells(attempt, spec.target),
            scale=Scale(arguments["scale"]),
            source_depth=_source_depth(attempt),
            training=training,
            seed=spec.seed,
        )
    scores = judged.evaluation.scores
    by_cell = {name: values for name, values in scores.cells.items() if name != "name"}
    put_piece(attempt, which, "cells.npz", {ROW: judged.rows, FACTOR: judged.factor_n, **by_cell})
    word = "gene" if spec.target is Modality.RNA else "peak"
    table = columns_of(scores.features)
    artifacts = [
        put_json(attempt, which, "features.json", table, f"Scores of each {word}."),
        put_output(attempt, f"{which.value}/scores.csv", csv_of(table), CSV, f"Scores of each {word}."),
    ]
    if scores.curve:
        curve = columns_of(scores.curve.as_dict())
        artifacts.append(put_json(attempt, which, "roc.json", curve, "Curve of true against false positives."))
    return {"report": judged.evaluation.report.as_dict(), "artifacts": artifacts}


def draw(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """Maps of the prediction and of the truth, and of what it was predicted from where that is given."""
    from engine.foreign import Chosen
    from engine.maps import map_of_counts, map_of_prediction

    spec, which = attempt.evaluation, _direction(attempt)
    pieces: dict[str, NDArray[Any]] = {}
    notes: set[str] = set()
    with _prediction(attempt) as prediction:
        both = _shared(attempt, prediction)
        drawn = map_of_prediction(
            Chosen.of(prediction, both), scale=_drawn_as(spec.target, Scale(arguments["scale"])), seed=spec.seed
        )
        names = prediction.barcodes[both.matching.index_a]
    pieces["prediction"] = drawn.xy_n2
    true = map_of_counts(_cells(attempt, spec.target).rows(both.matching.index_b), seed=spec.seed)
    pieces["truth"] = true.xy_n2
    notes |= {drawn.note, true.note}
    source = _source_cells(attempt, names)
    if source is not None:
        seen = map_of_counts(source, seed=spec.seed)
        pieces["input"] = seen.xy_n2
        notes.add(seen.note)
    put_piece(attempt, which, "maps.npz", pieces)
    return {"notes": sorted(note for note in notes if note)}


def publish(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """cells.json, cells.h5ad and the report, in the form of a translation with its truth."""
    from engine.foreign import rows_in

    spec, which = attempt.evaluation, _direction(attempt)
    scored = piece(attempt, which, "cells.npz")
    maps = piece(attempt, which, "maps.npz") if spec.umap else {}
    rows, factor_n = scored.pop(ROW), scored.pop(FACTOR)
    with _prediction(attempt) as prediction:
        both = _shared(attempt, prediction)
        names = prediction.barcodes[rows]
    labels = _labels(attempt, rows, both.matching.index_b)
    known = _source_depth(attempt) or {}
    if known and (at := rows_in(as_names(known), names)) is not None:
        scored["source_depth"] = np.array(list(known.values()))[at]
    columns: dict[str, Any] = {"barcode": names, **labels, **scored}
    for name, xy_n2 in maps.items():
        columns[f"{name}_umap_1"], columns[f"{name}_umap_2"] = xy_n2[:, 0], xy_n2[:, 1]
    what = "Labels, scores and maps of each cell."
    artifacts = [*arguments["artifacts"], put_json(attempt, which, "cells.json", columns_of(columns), what)]
    arrays = {MAP_NAMES.get(name, f"X_umap_{name}"): xy_n2 for name, xy_n2 in maps.items()}
    factor_n = factor_n if factor_n.size else np.ones(len(rows), np.float32)
    arrays[PLACE] = np.stack([rows.astype(np.float32), factor_n], axis=1)
    with scratch() as folder:
        path = folder / kept_name(spec)
        write_cells(path, names, labels, scored, arrays, said=_provenance(attempt, arguments["scale"]))
        what = f"The scored cells with labels, scores and maps. {PLACE}: their rows in the prediction, and its factor."
        artifacts.append(put_file(attempt, f"{which.value}/{path.name}", path, H5AD, what))
    reports = {which.value: arguments["report"]}
    document = {
        "schema": SCHEMA,
        "job": attempt.job,
        "kind": spec.kind,
        "model": spec.method,
        "bundle": "",
        "code_version": attempt.version,
        "spec": spec.model_dump(mode="json"),
        "inputs": {name: dict(entry) for name, entry in attempt.datasets.items()},
        "directions": reports,
        "notes": list(arguments["notes"]),
    }
    what = "Scores, nulls, verdict and provenance."
    artifacts.append(put_json(attempt, None, "report.json", plain(document), what, indent=1))
    return {"artifacts": sorted(artifacts, key=lambda a: str(a["name"])), "summary": summary_of(reports)}


# -- what it reads ---------------------------------------------------------------------------------------------------


def _direction(attempt: Attempt) -> Direction:
    return attempt.evaluation.directions[0]


@contextmanager
def _prediction(attempt: Attempt) -> Iterator[Foreign]:
    with attempt.copy("prediction") as path, foreign(path) as found:
        yield found


def _shared(attempt: Attempt, prediction: Foreign) -> Shared:
    from engine.foreign import shared

    with attempt.cells(attempt.evaluation.target) as truth:
        return shared(
            space=prediction.space, barcodes=prediction.barcodes, truth_space=truth.space, truth_barcodes=truth.barcodes
        )


def _cells(attempt: Attempt, name: str) -> Cells:
    with attempt.cells(name) as cells:
        return cells.all()


def _source_depth(attempt: Attempt) -> dict[str, float] | None:
    """Of the cells it was predicted from, by barcode; None where they are not given."""
    source = attempt.evaluation.target.other
    if attempt.evaluation.dataset(source) is None:
        return None
    with attempt.copy(source) as path:
        names, depth_n = depths(path)
    return dict(zip(map(str, names), map(float, depth_n), strict=True))


def _source_cells(attempt: Attempt, names: Names) -> Cells | None:
    """The scored cells as the other measurement saw them; None unless it saw every one."""
    from engine.foreign import rows_in

    source = attempt.evaluation.target.other
    if attempt.evaluation.dataset(source) is None:
        return None
    cells = _cells(attempt, source)
    rows = rows_in(cells.barcodes, names)
    return None if rows is None else cells.rows(rows)


def _labels(attempt: Attempt, rows: NDArray[np.int64], true: NDArray[np.int64]) -> dict[str, Names]:
    """Label columns of the truth, completed by the prediction's where those know more."""
    with attempt.cells(attempt.evaluation.target) as cells:
        labels = {name: column[true] for name, column in cells.obs.items()}
    with attempt.cells("prediction") as cells:
        return labels | {name: column[rows] for name, column in cells.obs.items() if name not in labels}


def _drawn_as(target: Modality, scale: Scale) -> Scale:
    """How a map treats the values: what is on a scale of its own stays as it is, like values with a logarithm."""
    return Scale.LOG_NORMALISED if scale is Scale.OWN else scale


# -- what it leaves --------------------------------------------------------------------------------------------------


def _provenance(attempt: Attempt, scale: str) -> dict[str, Any]:
    its = attempt.datasets["prediction"]
    return {
        "job": attempt.job, "method": attempt.evaluation.method, "direction": _direction(attempt).value,
        "scale": scale, "prediction": its["key"], "prediction_name": its.get("name", ""),
        "code_version": attempt.version, "spec_digest": attempt.spec_digest, "seed": attempt.evaluation.seed,
    }  # fmt: skip


def write_cells(
    path: Path,
    names: Names,
    labels: Mapping[str, Names],
    numbers: Mapping[str, NDArray[Any]],
    arrays: Mapping[str, NDArray[Any]],
    *,
    said: Mapping[str, Any],
) -> None:
    """An AnnData of the scored cells without features, in the encodings that older readers and R know."""
    import anndata as ad
    import pandas as pd

    columns: dict[str, Any] = {name: pd.Categorical([str(v) for v in column]) for name, column in labels.items()}
    columns |= {name: values.astype(np.float32) for name, values in numbers.items()}
    index = pd.Index([str(name) for name in names], dtype=object)
    adata = ad.AnnData(obs=pd.DataFrame(columns, index=index), uns={"crossview": dict(said)})
    for name, values in arrays.items():
        adata.obsm[name] = values
    adata.write_h5ad(path)


TASKS: Mapping[str, Callable[[Attempt, Arguments, str], dict[str, Any]]] = {
    "prepare-evaluation": prepare,
    "score-prediction": score,
    "map-prediction": draw,
    "publish-evaluation": publish,
}
