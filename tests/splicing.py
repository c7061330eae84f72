"""Built cells whose genes are switched on and off, with spliced and unspliced counts; and loom files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.types import Cells, FeatureSpace, Modality, as_names
from tests.builders import gene_names


def switching(*, cells: int = 300, moving: int = 60, still: int = 140, rng: np.random.Generator) -> Cells:
    """Cells along one course: the first `moving` genes go on and off at times of their own, the others stay level.

    u' = α(t) − βu and s' = βu − γs, solved by small steps; counts are Poisson about them.
    """
    genes = moving + still
    time_n = np.sort(rng.uniform(0, 10, size=cells))
    on_g, lasts_g = rng.uniform(-2, 6, size=moving), rng.uniform(2, 5, size=moving)
    rate_g, splice_g, decay_g = rng.uniform(8, 25, moving), rng.uniform(0.6, 1.2, moving), rng.uniform(0.4, 0.9, moving)
    u_g, s_g = np.zeros(moving), np.zeros(moving)
    unspliced_ng, spliced_ng = np.zeros((cells, genes)), np.zeros((cells, genes))
    step, at = 0.02, 0
    for moment in np.arange(-2, 10 + step, step):
        while at < cells and time_n[at] <= moment:
            unspliced_ng[at, :moving], spliced_ng[at, :moving] = u_g, s_g
            at += 1
        made_g = rate_g * ((moment >= on_g) & (moment < on_g + lasts_g))
        u_g, s_g = u_g + step * (made_g - splice_g * u_g), s_g + step * (splice_g * u_g - decay_g * s_g)
    unspliced_ng[:, moving:] = rng.uniform(2, 8, size=still)
    spliced_ng[:, moving:] = rng.uniform(5, 20, size=still)
    order = rng.permutation(cells)
    u_ng = sp.csr_matrix(rng.poisson(unspliced_ng[order]).astype(np.float32))
    s_ng = sp.csr_matrix(rng.poisson(spliced_ng[order]).astype(np.float32))
    barcodes = as_names(barcode(i) for i in range(cells))
    space = FeatureSpace(Modality.RNA, gene_names(genes))
    return Cells(space, sp.csr_matrix(u_ng + s_ng), barcodes, {}, {"spliced": s_ng, "unspliced": u_ng})


def barcode(number: int) -> str:
    """The cell's number written in four letters, as 10x would: AAAACAGT."""
    return "".join("ACGT"[(number >> 2 * i) % 4] for i in range(8))


def write_loom(path: Path, cells: Cells, *, sample: str = "run1", **replaced: Any) -> Path:
    """The cells as velocyto writes them; `replaced` gives other content for a path, None leaves it out.

    Paths are written with two underscores for a slash: layers__spliced, row_attrs__Gene.
    """
    stored = {"chunks": (min(64, len(cells.space)), min(64, len(cells))), "compression": "gzip"}
    content: dict[str, Any] = {
        "matrix": _turned(cells.counts, np.float32),
        **{f"layers/{name}": _turned(layer, np.uint16) for name, layer in cells.layers.items()},
        "row_attrs/Gene": [str(name) for name in cells.space.names],
        "row_attrs/Accession": [f"ENSG{i:011d}" for i in range(len(cells.space))],
        "col_attrs/CellID": [f"{sample}:{name}x" for name in cells.barcodes],
        **{f"col_attrs/{name}": [str(v) for v in column] for name, column in cells.obs.items()},
    }
    content |= {name.replace("__", "/"): value for name, value in replaced.items()}
    with h5py.File(path, "w") as file:
        for group in ("layers", "row_attrs", "col_attrs", "row_graphs", "col_graphs"):
            file.create_group(group)
        file.attrs["LOOM_SPEC_VERSION"] = "3.0.0"
        for name, value in content.items():
            if isinstance(value, h5py.ExternalLink):
                file[name] = value
            elif isinstance(value, list):
                file.create_dataset(name, data=value, dtype=h5py.string_dtype())
            elif value is not None:
                file.create_dataset(name, data=value, **(stored if min(value.shape) else {}))
    return path


def _turned(x_nf: sp.csr_matrix, kind: Any) -> NDArray[Any]:
    return np.asarray(x_nf.toarray().T).astype(kind)
