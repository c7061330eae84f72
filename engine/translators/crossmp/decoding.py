"""What can be asked of CrossMP's decoders, and of BABEL's, besides the loss: some features, and a start at the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.layers.heads import LOG_MEAN_BOUND
from engine.translators.crossmp.network import AtacDecoder, RnaDecoder
from engine.types import Floats

START_SCALE = 0.1  # last layers begin close to their biases  # ours


def expected_genes(decoder: RnaDecoder, z_nk: Tensor, positions: NDArray[np.int64]) -> Floats:
    """log1p of the expected size-normalised counts of some genes, shape (n, len(positions))."""
    chosen = torch.from_numpy(positions).to(z_nk.device)
    log_mean = torch.addmm(decoder.mean.bias[chosen], decoder.trunk(z_nk), decoder.mean.weight[chosen].T)
    out: Floats = torch.log1p(log_mean.clamp(-LOG_MEAN_BOUND, LOG_MEAN_BOUND).exp()).cpu().numpy()
    return out


def open_probabilities(
    decoder: AtacDecoder,
    z_nk: Tensor,
    positions: NDArray[np.int64],
    *,
    block_p: NDArray[np.int64],
    place_p: NDArray[Any],
) -> Floats:
    """Probabilities of some peaks being open, shape (n, len(positions)).

    block_p: the chromosome of each peak. place_p: its row in the decoder.
    """
    h_nck = decoder.trunk(z_nk)
    out = np.empty((len(z_nk), len(positions)), dtype=np.float32)
    chromosomes = block_p[positions]
    for c in np.unique(chromosomes):
        where = np.flatnonzero(chromosomes == c)
        place = torch.from_numpy(place_p[positions[where]]).to(z_nk.device)
        logit = torch.addmm(decoder.bias_p[place], h_nck[:, int(c)], decoder.weight_pk[place].T)
        out[:, where] = torch.sigmoid(logit).cpu().numpy()
    return out


def start_from_mean(
    to_rna: RnaDecoder, to_atac: AtacDecoder, *, mean_g: NDArray[np.float64], share_p: NDArray[np.float64], cells: int
) -> None:
    """Last biases at the training average: the first epochs need not learn it.

    mean_g: of size-normalised counts. share_p: of cells with the peak open, in the decoder's order. cells: averaged.
    """
    share_p = np.clip(share_p, 0.5 / cells, 1 - 0.5 / cells)
    with torch.no_grad():
        to_rna.mean.bias.copy_(torch.from_numpy(np.log(np.maximum(mean_g, 0.1 / cells))))
        to_rna.mean.weight.mul_(START_SCALE)
        to_atac.bias_p.copy_(torch.from_numpy(np.log(share_p / (1 - share_p))))
        to_atac.weight_pk.mul_(START_SCALE)
