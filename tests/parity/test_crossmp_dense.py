"""CrossMP on sparse rows and fused heads is CrossMP as a plain dense program writes it: loss and every gradient."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from engine.translators.crossmp.feed import Feeder
from engine.translators.crossmp.inputs import AtacInputs, Blocks, RnaInputs, blocks_of
from engine.translators.crossmp.recipe import CrossMPRecipe
from tests.benchmarks.dense_crossmp import DenseCells, DenseCrossMP
from tests.builders import paired


def test_loss_and_gradients_are_those_of_the_dense_program() -> None:
    pair = paired(cells=80, rng=np.random.default_rng(0))
    recipe = CrossMPRecipe(significant_genes=15)
    torch.manual_seed(0)
    rna = RnaInputs.fit(pair, significant=15, rng=np.random.default_rng(0))
    blocks = blocks_of(pair.atac.space)
    potential = _potential(blocks, genes=len(pair.rna.space))
    feeder = Feeder(rna, AtacInputs.fit(pair, potential), blocks, torch.device("cpu"))
    network = recipe.network(rna, blocks, genes=len(pair.rna.space))
    rows = np.arange(0, 64)
    ours = recipe.loss(network, feeder, feeder.prepare(pair).rows(rows)).total
    dense = DenseCrossMP(network, feeder).loss(
        DenseCells(pair, feeder), torch.from_numpy(rows), weight_bce=recipe.weight_bce, weight_kl=recipe.weight_kl
    )
    torch.testing.assert_close(ours, dense, rtol=1e-5, atol=1e-6)
    leaves = list(network.parameters())
    for one, other in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(dense, leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def _potential(blocks: Blocks, *, genes: int) -> sp.csr_matrix:
    """Each gene is reached by some peaks of one chromosome."""
    rng = np.random.default_rng(1)
    near_pg = blocks.block_f[:, None] == np.arange(genes)[None, :] % len(blocks)
    return sp.csr_matrix(np.where(near_pg & (rng.random(near_pg.shape) < 0.4), rng.random(near_pg.shape), 0.0))
