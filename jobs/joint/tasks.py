"""The tasks of a joint view, as a worker runs them: parts, groups, scores, maps, files; harmless when repeated."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.types import Cells, Modality, Names, PairedCells
from jobs import layout
from jobs.parts import scratch
from jobs.plan import chunks
from jobs.work import Attempt, alignment_of, attempt_of, bundle_of, mends_of, whole

if TYPE_CHECKING:
    from engine.joint.encode import Embedded
    from engine.joint.reading import Coins
    from engine.joint.structure import Structure
    from engine.pairs import Matching

Arguments = Mapping[str, Any]
FOLDER = "joint"  # of parts and pieces in the store
VIEWS = {"joint": "the joint view", "rna": "RNA alone", "atac": "ATAC alone"}


def matching_of(attempt: Attempt) -> Matching:
    """Which cell of one file is which of the other, kept by this worker. Raises CellsDoNotMatch."""
    return _matching(attempt.store_uri, attempt.job, attempt.number)


@lru_cache(maxsize=2)
def _matching(store_uri: str, job: str, number: int) -> Matching:
    from engine.pairs import same_cells

    attempt = attempt_of(store_uri, job, number)
    with attempt.cells(Modality.RNA) as rna, attempt.cells(Modality.ATAC) as atac:
        return same_cells(rna.barcodes, atac.barcodes)


def rows_of(attempt: Attempt, modality: Modality) -> NDArray[np.int64]:
    """Where the cells of the view stand in their file, shape (n,)."""
    matching = matching_of(attempt)
    return matching.index_a if modality is Modality.RNA else matching.index_b


@lru_cache(maxsize=2)
def _coins(store_uri: str, job: str, number: int) -> Coins:
    from engine.joint.reading import Coins, counts_ends

    attempt = attempt_of(store_uri, job, number)
    with attempt.cells(Modality.ATAC) as cells:
        return Coins(attempt.joint.seed, counts_ends(cells))


def coins_of(attempt: Attempt) -> Coins:
    """By which counts are shown to the model or kept back to judge it, kept by this worker."""
    return _coins(attempt.store_uri, attempt.job, attempt.number)


# -- parts -----------------------------------------------------------------------------------------------------------


def _part(attempt: Attempt, start: int, stop: int) -> str:
    return layout.part(attempt.job, attempt.spec_digest, FOLDER, start, stop)


def finished_part(attempt: Attempt, start: int, stop: int) -> Embedded | None:
    """The part, where an earlier attempt left a readable one."""
    from engine.joint.encode import Embedded

    key = _part(attempt, start, stop)
    if not attempt.store.exists(key):
        return None
    try:
        found = Embedded.from_bytes(attempt.store.get_bytes(key))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):
        return None
    return found if len(found) == stop - start else None


def embedded_of(attempt: Attempt) -> Embedded:
    """All cells, from their parts."""
    from engine.joint.encode import Embedded

    grid = chunks(len(matching_of(attempt)), attempt.joint.chunk_cells)
    return Embedded.concat([whole(attempt, _part(attempt, c.start, c.stop), Embedded.from_bytes) for c in grid])


def embed(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """One chunk of cells to its part; a part that is there already is left as it is."""
    from engine.joint import encode
    from engine.joint.reading import counts_at

    start, stop = int(arguments["start"]), int(arguments["stop"])
    alignments = {m: alignment_of(attempt, m) for m in Modality}
    said = {"cells": stop - start, "device": device}
    if finished_part(attempt, start, stop) is not None:
        return {**said, "reused": True}
    bundle = bundle_of(attempt.store_uri, attempt.bundle_prefix, device)
    encode.require_both(bundle.manifest)
    rows = {m: rows_of(attempt, m)[start:stop] for m in Modality}
    counts = {}
    for modality in Modality:
        with attempt.cells(modality) as cells:
            counts[modality] = counts_at(cells, rows[modality])
            if modality is Modality.RNA:
                barcodes = cells.barcodes[rows[modality]]
    part = encode.embed(bundle, counts, alignments, rows=rows, barcodes=barcodes, coins=coins_of(attempt))
    attempt.store.put_bytes(_part(attempt, start, stop), part.to_bytes())
    return {**said, "reused": False}


# -- groups, scores, maps --------------------------------------------------------------------------------------------


def group(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """Clusters of the joint view and of either modality alone; the report's part travels in the receipt."""
    from engine.joint.structure import Grouping, agreement, find
    from engine.translators.base import embedding_of

    spec, embedded = attempt.joint, embedded_of(attempt)
    bundle = bundle_of(attempt.store_uri, attempt.bundle_prefix, device)
    label = labels_of(attempt).get(spec.label) if spec.label else None
    asked = Grouping(spec.clusters, spec.resolution, spec.seed)
    found = find(embedding_of(bundle.translator, embedded.whole.joint), pair_of(attempt), label, asked)
    put_piece(attempt, "structure.npz", found.arrays())
    return agreement(found, label, seed=spec.seed)


def pair_of(attempt: Attempt) -> PairedCells:
    """The measured cells of the view, in their files' own features."""
    found = {}
    for modality in Modality:
        with attempt.cells(modality) as cells:
            found[modality] = cells.all().rows(rows_of(attempt, modality))
    rna, atac = found[Modality.RNA], found[Modality.ATAC]
    return PairedCells(rna, Cells(atac.space, atac.counts, rna.barcodes, atac.obs))


def labels_of(attempt: Attempt) -> dict[str, Names]:
    """Label columns of the cells, of both files; the RNA file's where both have one."""
    found: dict[str, Names] = {}
    for modality in (Modality.ATAC, Modality.RNA):
        with attempt.cells(modality) as cells:
            found |= {name: column[rows_of(attempt, modality)] for name, column in cells.obs.items()}
    return found


def impute(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """Judge what the model imputes of one modality; tables go to the store, scores travel in the receipt."""
    from engine.joint.imputation import judge
    from engine.joint.reading import counts_at
    from jobs.assemble import columns_of, csv_of, put_output

    modality, embedded = Modality(arguments["modality"]), embedded_of(attempt)
    rows = rows_of(attempt, modality)
    with attempt.cells(modality) as cells:
        counts = counts_at(cells, rows)
    found = judge(
        bundle_of(attempt.store_uri, attempt.bundle_prefix, device),
        modality,
        embedded.half.of(modality),
        counts,
        alignment_of(attempt, modality),
        rows=rows,
        barcodes=embedded.barcodes,
        coins=coins_of(attempt),
    )
    put_piece(attempt, f"cells-{modality.value}.npz", {"rows": found.rows_m, **found.cells})
    table = columns_of(found.features)
    what = f"How well each {'gene' if modality is Modality.RNA else 'peak'} is imputed."
    artifacts = [
        put_output(attempt, f"{modality.value}/features.json", json.dumps(table, ensure_ascii=False).encode(),
                   "application/json", what),
        put_output(attempt, f"{modality.value}/scores.csv", csv_of(table), "text/csv", what),
    ]  # fmt: skip
    return {"report": found.as_dict(), "artifacts": artifacts}


def draw(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """A map of one view of the cells."""
    from engine.maps import map_of_coordinates

    view = str(arguments["view"])
    drawn = map_of_coordinates(structure_of(attempt).views[view], seed=attempt.joint.seed)
    put_piece(attempt, f"map-{view}.npz", {"xy": drawn.xy_n2})
    return {"note": drawn.note}


def structure_of(attempt: Attempt) -> Structure:
    from engine.joint.structure import Structure

    return Structure.from_arrays(piece(attempt, "structure.npz"))


# -- files -----------------------------------------------------------------------------------------------------------


def publish(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """joint.h5ad, cells.json, the dense matrices where asked for, and the report."""
    from engine.doubt import doubt_of
    from jobs.assemble import H5AD, JSON, columns_of, plain, put_file, put_output
    from jobs.joint import files

    bundle = bundle_of(attempt.store_uri, attempt.bundle_prefix, device)
    embedded = embedded_of(attempt)
    maps = {view: piece(attempt, f"map-{view}.npz")["xy"] for view in VIEWS} if attempt.joint.umap else {}
    view = files.View(
        embedded=embedded,
        structure=structure_of(attempt),
        labels=labels_of(attempt),
        maps=maps,
        scores={m: piece(attempt, f"cells-{m.value}.npz") for m in Modality},
        doubt=doubt_of(bundle, embedded.encoded(Modality.ATAC)),
        provenance=_provenance(attempt, bundle.manifest.genome, bundle.manifest.translator, bundle.manifest.licence),
    )
    judged: Mapping[str, Mapping[str, Any]] = arguments["judged"]
    artifacts = [each for result in judged.values() for each in result["artifacts"]]
    cells = json.dumps(columns_of(view.columns()), ensure_ascii=False, allow_nan=False)
    artifacts.append(put_output(attempt, "cells.json", cells.encode(), JSON, "Labels, clusters and maps of each cell."))
    with scratch() as folder:
        files.write_joint(folder / "joint.h5ad", view)
        what = "The joint embedding with clusters, maps and labels of all cells."
        artifacts.append(put_file(attempt, "joint.h5ad", folder / "joint.h5ad", H5AD, what))
        for modality in Modality if attempt.joint.export else ():
            path = folder / f"imputed-{modality.value}.h5ad"
            files.write_imputed(path, bundle, view, modality)
            what = f"All imputed {modality.value.upper()} as a dense matrix."
            artifacts.append(put_file(attempt, path.name, path, H5AD, what))
    found = files.document(
        view,
        bundle=bundle,
        matching=matching_of(attempt),
        coverage={m.value: alignment_of(attempt, m).coverage.as_dict() for m in Modality},
        grouped=arguments["grouped"],
        judged={name: result["report"] for name, result in judged.items()},
        notes=arguments["notes"],
    )
    text = json.dumps(plain({**_asked(attempt), **found}), indent=1, ensure_ascii=False, allow_nan=False)
    artifacts.append(put_output(attempt, "report.json", text.encode(), JSON, "Scores, nulls and provenance."))
    return {"artifacts": sorted(artifacts, key=lambda a: str(a["name"])), "summary": plain(files.summary(found))}


def _asked(attempt: Attempt) -> dict[str, Any]:
    return {
        "job": attempt.job,
        "spec": attempt.joint.model_dump(mode="json"),
        "inputs": {name: dict(entry) for name, entry in attempt.datasets.items()},
    }


def _provenance(attempt: Attempt, genome: str | None, translator: str, licence: str) -> dict[str, Any]:
    """Enough to make the same file again: plain values only."""
    spec = attempt.joint
    return {
        "job": attempt.job,
        "model": spec.model,
        "bundle": spec.bundle,
        "translator": translator,
        "genome": genome or "",
        "rna": attempt.datasets["rna"]["key"],
        "rna_name": attempt.datasets["rna"].get("name", ""),
        "atac": attempt.datasets["atac"]["key"],
        "atac_name": attempt.datasets["atac"].get("name", ""),
        "code_version": attempt.version,
        "spec_digest": attempt.spec_digest,
        "label": spec.label,
        "resolution": spec.resolution,
        "chunk_cells": spec.chunk_cells,
        "min_coverage": spec.min_coverage,
        "seed": spec.seed,
        "licence": licence,
        **mends_of(attempt, *Modality),
    }


# -- pieces ----------------------------------------------------------------------------------------------------------


def put_piece(attempt: Attempt, name: str, arrays: Mapping[str, Any]) -> None:
    stream = io.BytesIO()
    plain_arrays: dict[str, Any] = {key: np.asarray(value) for key, value in arrays.items()}
    np.savez(stream, **plain_arrays)
    attempt.store.put_bytes(layout.piece(attempt.job, attempt.number, FOLDER, name), stream.getvalue())


def piece(attempt: Attempt, name: str) -> dict[str, NDArray[Any]]:
    data = attempt.store.get_bytes(layout.piece(attempt.job, attempt.number, FOLDER, name))
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


TASKS: Mapping[str, Callable[[Attempt, Arguments, str], dict[str, Any]]] = {
    "embed": embed,
    "group": group,
    "impute": impute,
    "joint-map": draw,
    "publish-joint": publish,
}
