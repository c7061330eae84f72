"""BABEL against a plain dense network: the same loss, the same gradients; and what its training promises."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.layers.heads import DISPERSION_FLOOR
from engine.preprocess.steps import depth_of
from engine.translators.babel.inputs import Inputs
from engine.translators.babel.network import BabelNetwork
from engine.translators.babel.recipe import BabelRecipe
from engine.translators.base import Epoch, Hooks
from engine.types import CellBatch, Direction, Modality, PairedCells
from tests.builders import paired, split_of

QUICK = BabelRecipe(epochs=8, batch=48, learning_rate=0.02)


@dataclasses.dataclass(frozen=True)
class Setup:
    pair: PairedCells
    inputs: Inputs
    network: BabelNetwork


@pytest.fixture
def setup() -> Setup:
    pair = paired(cells=48, genes=30, peaks=70, rng=np.random.default_rng(1))
    inputs = Inputs.fit(pair)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = BabelRecipe().network(inputs, genes=30)
        with torch.no_grad():
            for name, value in network.named_parameters():
                if name.endswith(("bias_ch", "bias_ck")) or "norm" in name:  # nothing left at its start of 0 or 1
                    value.add_(0.1 * torch.randn_like(value))
    return Setup(pair, inputs, network)


def dense_cells(pair: PairedCells, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """z-scores, size-normalised counts and open peaks, written out."""
    counts = pair.rna.counts.toarray().astype(np.float64)
    scaled = counts * np.median(depth_of(pair.rna.counts)) / counts.sum(axis=1, keepdims=True)
    x = np.log1p(scaled)
    z = np.clip((x - x.mean(axis=0)) / x.std(axis=0), inputs.zscore.low, inputs.zscore.high)
    opened = (pair.atac.counts.toarray() > 0).astype(np.float32)
    return torch.tensor(z, dtype=torch.float32), torch.tensor(scaled, dtype=torch.float32), torch.tensor(opened)


def norm(x: Tensor, layer: Any, part: slice = slice(None)) -> Tensor:
    return functional.batch_norm(x, None, None, layer.weight[part], layer.bias[part], training=True, eps=layer.eps)


def naive_loss(setup: Setup, beta: float) -> Tensor:
    """Layer by layer and chromosome by chromosome as the paper describes it, everything dense."""
    net, blocks = setup.network, setup.inputs.blocks
    z_scored, scaled, opened = dense_cells(setup.pair, setup.inputs)
    e = net.rna
    h = functional.prelu(norm(z_scored @ e.first.weight_fh + e.first.bias_h, e.norm1), e.slope1.weight)
    z_r = functional.prelu(norm(e.second(h), e.norm2), e.slope2.weight)
    a, parts = net.atac, []
    for c in range(len(blocks)):
        members = np.flatnonzero(blocks.block_f == c)
        wide, narrow = slice(32 * c, 32 * c + 32), slice(16 * c, 16 * c + 16)
        h = norm(opened[:, members] @ a.first.weight_fh[members] + a.bias_ch[c], a.norm1, wide)
        h = functional.prelu(h, a.slope1_c[c]) @ a.weight_chk[c] + a.bias_ck[c]
        parts.append(functional.prelu(norm(h, a.norm2, narrow), a.slope2_c[c]))
    z_a = functional.prelu(norm(a.last(torch.cat(parts, dim=1)), a.norm3), a.slope3.weight)
    rna = naive_rna(net, z_r, scaled) + naive_rna(net, z_a, scaled)
    return rna + beta * (naive_atac(setup, z_r, opened) + naive_atac(setup, z_a, opened))


def naive_rna(net: BabelNetwork, z: Tensor, scaled: Tensor) -> Tensor:
    d = net.to_rna
    h = functional.prelu(norm(d.hidden(z), d.norm), d.slope.weight)
    theta = functional.softplus(d.dispersion(h)) + DISPERSION_FLOOR
    negative_binomial: Any = torch.distributions.NegativeBinomial(
        total_count=theta, logits=d.mean(h) - theta.log(), validate_args=False
    )
    out: Tensor = -negative_binomial.log_prob(scaled).mean()
    return out


def naive_atac(setup: Setup, z: Tensor, opened: Tensor) -> Tensor:
    d, blocks = setup.network.to_atac, setup.inputs.blocks
    shared, logits = functional.prelu(norm(d.hidden(z), d.norm1), d.slope.weight), torch.zeros_like(opened)
    for c in range(len(blocks)):
        h = norm(shared[:, 16 * c : 16 * c + 16] @ d.weight_ckh[c] + d.bias_ch[c], d.norm2, slice(32 * c, 32 * c + 32))
        first, stop = int(blocks.starts[c]), int(blocks.starts[c + 1])
        out = functional.prelu(h, d.slope2_c[c]) @ d.weight_pk[first:stop].T + d.bias_p[first:stop]
        logits[:, torch.from_numpy(blocks.order_f[first:stop])] = out
    return functional.binary_cross_entropy_with_logits(logits, opened)


def test_the_loss_equals_a_plain_dense_network(setup: Setup) -> None:
    recipe = BabelRecipe()
    found = recipe.loss(setup.network, setup.inputs, setup.inputs.prepare(setup.pair))
    assert found.total.item() == pytest.approx(naive_loss(setup, recipe.weight_bce).item(), abs=1e-5)
    parts = found.nb_rna_rna + found.nb_atac_rna + 1.33 * (found.bce_atac_atac + found.bce_rna_atac)
    assert found.total.item() == pytest.approx(parts.item(), abs=1e-6)


def test_a_full_batch_gradient_equals_the_plain_ones(setup: Setup) -> None:
    recipe, named = BabelRecipe(), dict(setup.network.named_parameters())
    recipe.loss(setup.network, setup.inputs, setup.inputs.prepare(setup.pair)).total.backward()
    found = {name: p.grad for name, p in named.items()}
    setup.network.zero_grad(set_to_none=True)
    naive_loss(setup, recipe.weight_bce).backward()
    for name, parameter in named.items():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-5, rtol=1e-3, msg=f"gradient of {name} differs")


def test_it_beats_the_mean_both_ways_and_some_features_are_those_of_the_whole() -> None:
    pair = paired(cells=200, rng=np.random.default_rng(1))
    split = split_of(pair)
    fitted, test = QUICK.fit(pair, split, Hooks(threads=1)), pair.named(split.test)
    for direction in Direction:
        latent = fitted.encode(CellBatch(**{direction.source.value: test.of(direction.source).counts}))
        values = fitted.decode(latent, direction.target).values
        truth = test.of(direction.target).counts.toarray()
        r = [np.corrcoef(values[:, j], truth[:, j])[0, 1] for j in range(truth.shape[1]) if truth[:, j].std() > 0]
        assert np.nanmean(r) > 0.2  # the mean's is 0
        some = fitted.decode(latent, direction.target, [40, 3, 11]).values
        np.testing.assert_allclose(some, values[:, [40, 3, 11]], atol=1e-6)


def test_both_modalities_give_the_mean_of_their_latents() -> None:
    pair = paired(cells=60, rng=np.random.default_rng(2))
    fitted = dataclasses.replace(QUICK, epochs=1).fit(pair, split_of(pair), Hooks(threads=1))
    x, a = pair.rna.counts, pair.atac.counts
    one, other, both = (fitted.encode(CellBatch(**given)) for given in ({"rna": x}, {"atac": a}, {"rna": x, "atac": a}))
    np.testing.assert_allclose(both.values, (one.values + other.values) / 2, atol=1e-6)
    assert both.source == frozenset(Modality)


class Memory:
    """Checkpoints kept in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def load(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def save(self, name: str, data: bytes) -> None:
        self.kept[name] = data


class Killed(Exception):
    pass


def test_a_killed_training_goes_on_with_the_same_curve_and_ends_with_the_same_weights() -> None:
    pair = paired(cells=80, peaks=44, rng=np.random.default_rng(3))
    split = split_of(pair)
    whole: list[Epoch] = []
    undisturbed = QUICK.fit(pair, split, Hooks(seed=5, threads=1, on_epoch=whole.append))
    memory, before, after = Memory(), list[Epoch](), list[Epoch]()

    def until_the_fourth(epoch: Epoch) -> None:
        before.append(epoch)
        if epoch.number == 4:
            raise Killed

    with pytest.raises(Killed):
        QUICK.fit(
            pair, split, Hooks(seed=5, threads=1, on_epoch=until_the_fourth, checkpoints=memory, checkpoint_s=0.0)
        )
    resumed = QUICK.fit(pair, split, Hooks(seed=5, threads=1, on_epoch=after.append, checkpoints=memory))
    assert [e.number for e in after] == [4, 5, 6, 7, 8]
    curve = [(e.number, e.train, e.valid) for e in whole]
    assert [(e.number, e.train, e.valid) for e in before[:3] + after] == curve
    weights, wanted = resumed._network.state_dict(), undisturbed._network.state_dict()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)
