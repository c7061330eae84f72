"""Predictions and latents as .h5ad files: written by rows, readable by older tools and R."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.types import Direction, Names, Scale

if TYPE_CHECKING:
    from engine.bundle import Bundle
    from engine.translate import Encoded
    from engine.translators.base import Doubt

BLOCK = 2**24  # values decoded at once (64 MB)  # ours


@dataclass(frozen=True)
class Provenance:
    """What `uns["crossview"]` says of a file: enough to make it again."""

    model: str
    bundle: str
    direction: Direction
    scale: Scale
    source: str
    code_version: str
    coverage: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    mends: tuple[Mapping[str, Any], ...] = ()
    input: str = ""  # SHA-256 of the clean copy that was read
    chunk_cells: int = 0
    min_coverage: float = 0.0
    features: str = ""  # "all", "chosen" or "none" (latents alone)


def write_prediction(
    out: Path,
    *,
    bundle: Bundle,
    encoded: Encoded,
    provenance: Provenance,
    obs: Mapping[str, Names],
    positions: NDArray[np.int64] | None = None,
    latent_only: bool = False,
    doubt: Doubt | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """OUT.h5ad whole or not at all: X is the prediction (or empty), obsm["X_crossview"] the latent.

    doubt: what the model says of its limits, as columns of obs.
    """
    said = {**asdict(provenance), "direction": provenance.direction.value, "scale": provenance.scale.value}
    said["mends"] = json.dumps(said["mends"])  # figures by mend: more than a table of plain values holds
    said["coverage"] = {k: v for k, v in provenance.coverage.items() if isinstance(v, str | int | float)}
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    try:
        if latent_only:
            write_latent(partial, encoded, labels=obs, maps={}, provenance=said, doubt=doubt)
        else:
            write_dense(
                partial,
                bundle,
                encoded,
                provenance.direction,
                labels=obs,
                provenance=said,
                positions=positions,
                doubt=doubt,
                say=say,
            )
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)


def write_latent(
    path: Path,
    encoded: Encoded,
    *,
    labels: Mapping[str, Names],
    maps: Mapping[str, NDArray[Any]],
    provenance: Mapping[str, Any],
    doubt: Doubt | None = None,
) -> None:
    """An AnnData of cells without features: obsm["X_crossview"] is the latent, shape (n, k)."""
    import anndata as ad

    adata = ad.AnnData(obs=_frame(encoded, labels, doubt), uns={"crossview": dict(provenance)})
    adata.obsm["X_crossview"] = np.asarray(encoded.latent.values, dtype=np.float32)
    for name, xy_n2 in maps.items():
        adata.obsm["X_umap" if name == "prediction" else f"X_umap_{name}"] = xy_n2
    adata.write_h5ad(path)


def write_dense(
    path: Path,
    bundle: Bundle,
    encoded: Encoded,
    direction: Direction,
    *,
    labels: Mapping[str, Names],
    provenance: Mapping[str, Any],
    positions: NDArray[np.int64] | None = None,
    doubt: Doubt | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """An AnnData whose X is the prediction, float32, shape (n, f); written by rows, never held whole."""
    import anndata as ad
    import h5py
    import pandas as pd

    from engine.translate import DecodedSource

    source = DecodedSource(bundle, encoded, direction.target, positions)
    n, f = source.shape
    adata = ad.AnnData(
        obs=_frame(encoded, labels, doubt),
        var=pd.DataFrame(index=pd.Index(list(bundle.space(direction.target).names[source.positions]), dtype=object)),
        uns={"crossview": dict(provenance)},
    )
    adata.obsm["X_crossview"] = np.asarray(encoded.latent.values, dtype=np.float32)
    adata.write_h5ad(path)
    step = max(1, min(n, BLOCK // max(f, 1)))
    with h5py.File(path, "a") as file:
        if "X" in file:
            del file["X"]
        chunk = (min(n, 16), min(f, 16_384))
        x = file.create_dataset("X", shape=(n, f), dtype="f4", chunks=chunk, compression="gzip", compression_opts=1)
        x.attrs["encoding-type"], x.attrs["encoding-version"] = "array", "0.2.0"
        for start in range(0, n, step):
            stop = min(n, start + step)
            x[start:stop] = source.rows(start, stop)
            say(f"Wrote {stop:,} of {n:,} cells")


def direction_of(path: Path) -> Direction:
    """Which way a file was translated, from its provenance. Raises BadInput."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return Direction(file["uns/crossview/direction"].asstr()[()])
    except (OSError, KeyError, ValueError) as problem:
        raise BadInput(
            f"{path.name} does not say which way it was translated.", hint="Score a file of `crossview translate`."
        ) from problem


def doubt_in(path: Path) -> Doubt | None:
    """What a file says of the limits of the model that wrote it, cell by cell; None where it says nothing."""
    import h5py

    from engine.doubt import EXPECTED, NOVELTY
    from engine.translators.base import Doubt

    with h5py.File(path, "r") as file:
        found = [file.get(f"obs/{name}") for name in (NOVELTY, EXPECTED)]
        # A label column of that name, of cells translated by a model that knows no limits, is none of ours.
        if not all(isinstance(each, h5py.Dataset) and each.dtype.kind == "f" for each in found):
            return None
        novelty, expected = (np.asarray(each[()], dtype=np.float32) for each in found)
    return Doubt(novelty, expected)


def _frame(encoded: Encoded, labels: Mapping[str, Names], doubt: Doubt | None) -> Any:
    """Cell names, labels and numbers in the encodings that older readers and R know."""
    import pandas as pd

    from engine.doubt import doubt_columns

    columns: dict[str, Any] = {name: pd.Categorical([str(v) for v in column]) for name, column in labels.items()}
    columns["source_depth"] = np.asarray(encoded.source_depth_n, dtype=np.float32)
    columns.update(doubt_columns(doubt))
    return pd.DataFrame(columns, index=pd.Index([str(name) for name in encoded.barcodes], dtype=object))
