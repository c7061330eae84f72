"""The one door to scanpy: imported when an analysis needs it, with exact neighbours that compile nothing twice."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from engine.types import Floats

NEIGHBOURS = 15  # umap-learn's default (McInnes et al. 2018), and scanpy's


def scanpy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy

        return scanpy


def graph_of(z_nk: Floats, *, neighbours: int = NEIGHBOURS, method: str = "umap") -> Any:
    """An AnnData of the cells with scanpy's neighbour graph in obsp; exact neighbours by scikit-learn.

    method: weights of the graph, "umap" or "gauss" (Coifman et al. 2005, as diffusion maps take them).
    """
    import anndata as ad
    from sklearn.neighbors import KNeighborsTransformer

    sc = scanpy()
    if method == "umap":
        from engine.maps import main as compile_umap

        compile_umap()
    neighbours = max(2, min(neighbours, len(z_nk) - 1))
    adata = ad.AnnData(obsm={"X_z": np.asarray(z_nk, dtype=np.float32)}, shape=(len(z_nk), 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba and of umap-learn, about their own insides
        sc.pp.neighbors(
            adata,
            n_neighbors=neighbours,
            use_rep="X_z",
            method=method,
            transformer=KNeighborsTransformer(n_neighbors=neighbours),
        )
    return adata
