"""A multiome file as Cell Ranger ARC writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp

from engine.types import Names, PairedCells


def write_tenx(pair: PairedCells, path: Path, *, extra: int = 0, wells: Names | None = None, **replaced: Any) -> Path:
    """Both modalities as one `filtered_feature_bc_matrix.h5`; barcodes end in their GEM well (-1 where none is given).

    extra: so many antibodies beside. replaced: data sets of `matrix` written instead, by name; None leaves one out.
    """
    n = len(pair)
    counts = sp.csr_matrix(sp.hstack([pair.rna.counts, pair.atac.counts, sp.csr_matrix((n, extra))]))
    wells_n = ["1"] * n if wells is None else [str(well) for well in wells]
    columns = {
        "barcodes": _text(f"{name}-{well}" for name, well in zip(pair.barcodes, wells_n, strict=True)),
        "data": counts.data.astype(np.int32),
        "indices": counts.indices.astype(np.int64),
        "indptr": counts.indptr.astype(np.int64),
        "shape": np.array([counts.shape[1], n], dtype=np.int32),
    }
    genes, peaks = list(pair.rna.space.names), list(pair.atac.space.names)
    other = [f"CD{i}" for i in range(extra)]
    features = {
        "id": _text([*(f"ENSG{i:011d}" for i in range(len(genes))), *peaks, *other]),
        "name": _text([*genes, *peaks, *other]),
        "feature_type": _text(
            ["Gene Expression"] * len(genes) + ["Peaks"] * len(peaks) + ["Antibody Capture"] * len(other)
        ),
        "genome": _text([pair.rna.space.genome or ""] * counts.shape[1]),
    }
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name, values in {**columns, **{k: v for k, v in replaced.items() if k in columns}}.items():
            if values is not None:
                matrix.create_dataset(name, data=values, **({"compression": "gzip"} if np.ndim(values) else {}))
        table = matrix.create_group("features")
        table.create_dataset("_all_tag_keys", data=_text(["genome"]))
        for name, values in {**features, **{k: v for k, v in replaced.items() if k in features}}.items():
            if values is not None:
                table.create_dataset(name, data=values, compression="gzip")
    return path


def _text(values: Any) -> Any:
    return np.array([str(v).encode() for v in values])
