"""Cells to their latents, as a trained network has them, and as its own training draws from them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from engine.layers.sparse import Bags
from engine.translators.scmvp.inputs import Inputs, Rows
from engine.translators.scmvp.mixture import Gaussian
from engine.translators.scmvp.network import ScMVPNetwork
from engine.types import Floats

ROWS = 256  # cells of which every feature is formed at once


def posterior(
    network: ScMVPNetwork,
    inputs: Inputs,
    rna_bg: sp.csr_matrix | None,
    atac_bp: sp.csr_matrix | None,
    device: torch.device,
) -> Gaussian:
    """q of the latent from what is there."""
    genes = None if rna_bg is None else Bags.of(inputs.read_genes(rna_bg)[0], device)
    peaks = None if atac_bp is None else Bags.of(inputs.read_peaks(inputs.peaks(atac_bp))[0], device)
    q: Gaussian
    if genes is not None and peaks is not None:
        q = network.joint(genes, peaks)
    else:
        q = network.genes(genes) if genes is not None else network.peaks(peaks)
    return q


@torch.no_grad()
def joint_draws(
    network: ScMVPNetwork, inputs: Inputs, cells: Rows, rows: NDArray[np.int64], device: torch.device
) -> Floats:
    """One draw from each cell's q(z|x, y), shape (n, k)."""
    network.eval()
    found = []
    for start in range(0, len(rows), ROWS):
        q = posterior(network, inputs, *cells.take(rows[start : start + ROWS]), device)
        found.append(q.sample(torch.randn_like(q.mean)).cpu().numpy())
    out: Floats = np.concatenate(found)
    return out
