"""CrossMP as a plain program writes it: dense inputs, dense layers, whole outputs, autograd. The reference of speed.

The same weights give the same loss as `engine.translators.crossmp`; nothing of the sparse path is used.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.layers.heads import DISPERSION_FLOOR, LOG_MEAN_BOUND
from engine.preprocess.steps import binarised
from engine.translators.crossmp.feed import Feeder
from engine.translators.crossmp.losses import latent_divergence
from engine.translators.crossmp.network import ChromosomeEncoder, CrossMPNetwork, RnaEncoder
from engine.types import PairedCells


class DenseCells:
    """Every input as dense rows: z-scores, significant genes, peaks chromosome by chromosome, gene activity."""

    def __init__(self, pair: PairedCells, feeder: Feeder) -> None:
        zscores = feeder.rna.difference(pair.rna.counts).toarray() + feeder.rna.zscore.zero_f
        open_np = binarised(pair.atac.counts)
        activity = sp.csr_matrix(feeder.atac.scaled(open_np) @ feeder.atac.potential_pg)
        self.genes = torch.from_numpy(zscores)
        self.significant = torch.from_numpy(np.ascontiguousarray(zscores[:, feeder.rna.significant_g]))
        self.peaks = torch.from_numpy(open_np.toarray()[:, feeder.blocks.order_f])
        self.activity = torch.from_numpy(activity.toarray())
        self.counts = torch.from_numpy(feeder.rna.scale.scaled(pair.rna.counts).toarray())


class DenseCrossMP(nn.Module):
    """The four encoders and two decoders with dense first layers. Activity is split by the genes' chromosomes' peaks.

    Gene activity's first layer is a sum over peaks of each chromosome: a gene's potential is cut by the chromosome of
    the peaks that reach it, which is the gene's own.
    """

    def __init__(self, network: CrossMPNetwork, feeder: Feeder) -> None:
        super().__init__()
        self.of = network
        starts = feeder.blocks.starts
        self.groups = [(int(a), int(b)) for a, b in pairwise(starts)]
        self.order = torch.from_numpy(feeder.blocks.order_f)
        columns = sp.csc_matrix(feeder.atac.potential_pg)
        reached = np.diff(columns.indptr) > 0
        block_g = np.zeros(columns.shape[1], dtype=np.int64)
        block_g[reached] = feeder.blocks.block_f[columns.indices[columns.indptr[:-1][reached]]]
        self.genes_of = [torch.from_numpy(np.flatnonzero(reached & (block_g == c))) for c in range(len(self.groups))]

    def loss(self, cells: DenseCells, rows: Tensor, *, weight_bce: float, weight_kl: float) -> Tensor:
        of = self.of
        z_r = _rna(of.rna, cells.genes[rows])
        if of.significant is not None:
            z_r = z_r + _rna(of.significant, cells.significant[rows])
        peaks, activity, counts = cells.peaks[rows], cells.activity[rows], cells.counts[rows]
        weight_ph = of.atac.first.weight_fh[self.order]
        by_chromosome = [peaks[:, a:b] @ weight_ph[a:b] for a, b in self.groups]
        z_a = _chromosomes(of.atac, torch.stack(by_chromosome, dim=1))
        assert isinstance(of.activity, ChromosomeEncoder)
        weight_gh = of.activity.first.weight_fh
        by_chromosome = [activity[:, genes] @ weight_gh[genes] for genes in self.genes_of]
        z_a = z_a + _chromosomes(of.activity, torch.stack(by_chromosome, dim=1))
        nb = self._negative_binomial(z_r, counts) + self._negative_binomial(z_a, counts)
        bce = [functional.binary_cross_entropy_with_logits(of.to_atac(z), peaks) for z in (z_a, z_r)]
        total: Tensor = nb + weight_bce * (bce[0] + bce[1]) + weight_kl * latent_divergence(z_r, z_a)
        return total

    def _negative_binomial(self, z_bk: Tensor, x: Tensor) -> Tensor:
        h_bh = self.of.to_rna.trunk(z_bk)
        m = self.of.to_rna.mean(h_bh).clamp(-LOG_MEAN_BOUND, LOG_MEAN_BOUND)
        t = functional.softplus(self.of.to_rna.dispersion(h_bh)) + DISPERSION_FLOOR
        mu = m.exp()
        log_p = (
            torch.lgamma(x + t) - torch.lgamma(t) - torch.lgamma(x + 1)
            - t * torch.log1p(mu / t) + x * (m - torch.log(t + mu))
        )  # fmt: skip
        loss: Tensor = -log_p.mean()
        return loss


def _rna(encoder: RnaEncoder, x_bg: Tensor) -> Tensor:
    assert encoder.first.bias_h is not None
    h_bh = functional.relu(encoder.norm1(x_bg @ encoder.first.weight_fh + encoder.first.bias_h))
    return functional.relu(encoder.norm2(encoder.second(h_bh)))


def _chromosomes(encoder: Any, h_bch: Tensor) -> Tensor:
    h_bch = functional.prelu(h_bch + encoder.bias_ch, encoder.slope1_c.view(-1))
    h_bck = torch.einsum("bch,chk->bck", h_bch, encoder.weight_chk) + encoder.bias_ck
    out: Tensor = encoder.slope3(encoder.last(functional.prelu(h_bck, encoder.slope2_c.view(-1)).flatten(1)))
    return out
