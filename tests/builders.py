"""Built cells with known structure: types of cells, programmes of genes, peaks near the genes they open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from engine.types import Cells, FeatureSpace, Modality, Names, PairedCells, Split, as_names

CHROMOSOMES = tuple(f"chr{i}" for i in range(1, 23))


def gene_names(count: int) -> Names:
    return as_names(f"GENE{i:05d}" for i in range(count))


def peak_names(count: int, *, width: int = 400, spacing: int = 10_000) -> Names:
    """Peaks in genome order, spread over the 22 human autosomes."""
    per = -(-count // len(CHROMOSOMES))
    return as_names(
        f"{CHROMOSOMES[i // per]}:{1_000 + (i % per) * spacing}-{1_000 + (i % per) * spacing + width}"
        for i in range(count)
    )


def paired(
    *,
    cells: int = 120,
    genes: int = 60,
    peaks: int = 90,
    types: int = 3,
    rng: np.random.Generator,
    depth: float = 400.0,
    open_share: float = 0.12,
    genome: str | None = "hg38",
) -> PairedCells:
    """Cells of a few types whose genes and peaks both follow the type, so that a right model beats the mean."""
    kind = rng.integers(0, types, size=cells)
    programme_tg = rng.gamma(0.6, 1.0, size=(types, genes)) + 0.02
    programme_tp = rng.gamma(0.6, 1.0, size=(types, peaks)) + 0.02
    size_n = rng.lognormal(0.0, 0.35, size=cells)
    rate_ng = programme_tg[kind] / programme_tg.sum(1)[kind, None] * depth * size_n[:, None]
    share_np = programme_tp[kind] / programme_tp.mean(1)[kind, None] * open_share * size_n[:, None]
    x_ng = sp.csr_matrix(rng.poisson(rate_ng).astype(np.float32))
    a_np = sp.csr_matrix((rng.random((cells, peaks)) < np.clip(share_np, 0, 0.9)).astype(np.float32))
    barcodes = as_names(f"CELL{i:05d}" for i in range(cells))
    obs = {"cell_type": as_names(f"type {k}" for k in kind)}
    return PairedCells(
        Cells(FeatureSpace(Modality.RNA, gene_names(genes), genome), x_ng, barcodes, obs),
        Cells(FeatureSpace(Modality.ATAC, peak_names(peaks), genome), a_np, barcodes, obs),
    )


def split_of(pair: PairedCells, *, train: float = 0.7, valid: float = 0.15) -> Split:
    """The first cells train, the next choose, the rest judge (built cells have no order of their own)."""
    names = list(pair.barcodes)
    a, b = int(len(names) * train), int(len(names) * (train + valid))
    return Split(tuple(names[:a]), tuple(names[a:b]), tuple(names[b:]))


def write_h5ad(cells: Cells, path: Path, **extra: Any) -> Path:
    """The cells as an .h5ad file as anndata writes it; `extra` goes to AnnData (layers=…, uns=…)."""
    import anndata as ad
    import pandas as pd

    adata = ad.AnnData(
        X=sp.csr_matrix(cells.counts),
        obs=pd.DataFrame({k: list(v) for k, v in cells.obs.items()}, index=list(cells.barcodes)),
        var=pd.DataFrame(index=list(cells.space.names)),
        **extra,
    )
    adata.write_h5ad(path)
    return path
