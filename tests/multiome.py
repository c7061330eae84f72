"""A MuData file of both modalities, as mudata writes one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from engine.types import Cells, PairedCells


def as_anndata(cells: Cells, *, labels: bool = True) -> Any:
    import anndata as ad

    obs = {name: list(column) for name, column in cells.obs.items()} if labels else {}
    return ad.AnnData(
        X=sp.csr_matrix(cells.counts),
        obs=pd.DataFrame(obs, index=list(cells.barcodes)),
        var=pd.DataFrame(index=list(cells.space.names)),
    )


def write_h5mu(
    pair: PairedCells,
    path: Path,
    *,
    called: Mapping[str, str] | None = None,
    shared: Mapping[str, Any] | None = None,
    labels: bool = True,
) -> Path:
    """Both modalities under `mod`, and the outer table of cells.

    called: modality → its name in the file; one left out is left out. shared: columns of the outer table.
    labels: whether each modality keeps the pair's own.
    """
    from anndata.io import write_elem

    called = {"rna": "rna", "atac": "atac"} if called is None else called
    with h5py.File(path, "w", userblock_size=512) as file:
        file.attrs.update({"encoding-type": "MuData", "encoding-version": "0.1.0", "axis": 0})
        file.create_group("mod").attrs["mod-order"] = np.array(list(called.values()), dtype=h5py.string_dtype())
        for which, name in called.items():
            write_elem(file, f"mod/{name}", as_anndata(getattr(pair, which), labels=labels))
        write_elem(file, "obs", pd.DataFrame(dict(shared or {}), index=list(pair.barcodes)))
        write_elem(file, "var", pd.DataFrame(index=[*pair.rna.space.names, *pair.atac.space.names]))
    with path.open("r+b") as stream:
        stream.write(b"MuData (format-version=0.1.0;creator=tests)".ljust(512, b"\0"))
    return path
