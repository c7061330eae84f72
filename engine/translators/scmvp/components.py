"""How many components the mixture has where nobody says: from the effective rank of the cells' correlation matrix.

The paper names "the rank of cell-cell correlation matrix" and no more. Of measured cells that rank is the number of
cells: noise fills every direction. Counted here is the effective rank (Roy & Vetterli 2007: the exponential of the
entropy of the spectrum) of the eigenvalues above noise, which is the largest eigenvalue the same cells have once every
gene is shuffled among them (parallel analysis, Horn 1965). Cells of K kinds, less their average, span K − 1
directions: one is added.  # ours
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.preprocess.steps import DepthScale
from engine.types import Floats

CELLS = 1_000  # of a random sample; the spectrum of more says the same  # ours
GENES = 4_000  # those that vary most  # ours
CLIP = 5.0  # standard deviations: a gene seen in two cells must not make a kind of them  # ours
FEWEST, MOST = 2, 50  # ours


def components_of(counts_ng: sp.csr_matrix, rng: np.random.Generator) -> int:
    """Components for these training cells, from their raw counts; reads a sample of at most a thousand."""
    some = rng.permutation(counts_ng.shape[0])[:CELLS]
    x_ng = profiles(sp.csr_matrix(counts_ng[np.sort(some)]))
    spectrum = eigenvalues(x_ng)
    noise = float(eigenvalues(rng.permuted(x_ng, axis=0)).max())
    rank = effective_rank(spectrum[spectrum > noise])
    return int(np.clip(1 + round(rank), FEWEST, MOST))


def effective_rank(spectrum: NDArray[np.float64]) -> float:
    """exp of the entropy of a spectrum scaled to sum to one; 0 of an empty one."""
    total = spectrum.sum()
    if total <= 0:
        return 0.0
    share = spectrum[spectrum > 0] / total
    return float(np.exp(-(share * np.log(share)).sum()))


def profiles(counts_ng: sp.csr_matrix) -> Floats:
    """Clipped z-scores of log1p of counts at the median depth, of the genes that vary most; shape (n, ≤ 4000)."""
    x_ng = DepthScale.fit(counts_ng).log_normalised(counts_ng)
    mean_g = np.asarray(x_ng.mean(axis=0)).ravel()
    spread_g = np.sqrt(np.maximum(np.asarray(x_ng.multiply(x_ng).mean(axis=0)).ravel() - mean_g**2, 0.0))
    chosen = np.argsort(-spread_g, kind="stable")[:GENES]
    chosen = np.sort(chosen[spread_g[chosen] > 1e-6])
    x_ng = sp.csr_matrix(x_ng[:, chosen])
    return np.clip((x_ng.toarray() - mean_g[chosen]) / spread_g[chosen], -CLIP, CLIP).astype(np.float32)


def eigenvalues(x_ng: Floats) -> NDArray[np.float64]:
    """Of the matrix of Pearson correlations between cells, largest first, shape (n,)."""
    if not x_ng.shape[1]:
        return np.zeros(len(x_ng))
    centred = x_ng - x_ng.mean(axis=1, keepdims=True)
    length_n = np.linalg.norm(centred, axis=1, keepdims=True)
    unit_ng = np.divide(centred, length_n, out=centred, where=length_n > 0)
    found: NDArray[np.float64] = np.linalg.eigvalsh((unit_ng @ unit_ng.T).astype(np.float64))[::-1]
    return np.maximum(found, 0.0)
