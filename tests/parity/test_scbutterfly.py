"""scButterfly-B on sparse rows and fused heads is scButterfly-B as a plain dense program writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.checkpoint import FolderCheckpoints
from engine.layers.sparse import Bags, SparseTarget
from engine.preprocess.steps import DepthScale, binarised, depth_of
from engine.translators.base import Epoch, Hooks
from engine.translators.crossmp.inputs import blocks_of
from engine.translators.scbutterfly.heads import Kernel, NormedHead, cross_entropy, squared_leaky
from engine.translators.scbutterfly.inputs import AtacFeed, PeakScale, RnaFeed
from engine.translators.scbutterfly.network import Butterfly, Decoder, Encoder, divergence, masked, sampled
from engine.translators.scbutterfly.recipe import ScButterflyRecipe
from engine.translators.scbutterfly.stages import Cells, Translating, soft_labels
from engine.types import Modality, PairedCells
from tests.builders import paired, split_of

CPU = torch.device("cpu")
GROUPS = [(0, 10), (10, 10), (10, 37)]  # one chromosome without peaks


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kernel", [squared_leaky, cross_entropy])
def test_a_normed_heads_loss_gradients_and_averages_are_those_of_dense_layers(kernel: Kernel, training: bool) -> None:
    torch.manual_seed(0)
    head, cells = NormedHead(6, GROUPS, kernel), 16
    norm = nn.BatchNorm1d(37)
    nn.init.normal_(head.shift_f)
    nn.init.uniform_(head.gain_f, 0.5, 2.0)
    norm.load_state_dict(
        {**norm.state_dict(), "weight": head.gain_f.detach().clone(), "bias": head.shift_f.detach().clone()}
    )
    target = torch.rand(cells, 37) * (torch.rand(cells, 37) < 0.2)
    ours = [torch.randn(cells, 3, 6, requires_grad=True) for _ in range(2)]
    weight = head.weight_fk.detach().clone().requires_grad_()
    theirs = [h.detach().clone().requires_grad_() for h in ours]
    head.train(training)
    norm.train(training)
    losses = head.losses(ours, SparseTarget.of(sp.csr_matrix(target.numpy()), CPU))
    dense = [_head_loss(h, weight, norm, kernel, target) for h in theirs]
    torch.testing.assert_close(losses, torch.stack(dense), rtol=1e-5, atol=1e-6)
    one = torch.autograd.grad(losses.sum(), [*ours, head.weight_fk, head.gain_f, head.shift_f])
    other = torch.autograd.grad(torch.stack(dense).sum(), [*theirs, weight, norm.weight, norm.bias])
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(head.mean_f, norm.running_mean)
    torch.testing.assert_close(head.variance_f, norm.running_var)


def _head_loss(h_bck: Tensor, weight_fk: Tensor, norm: nn.Module, kernel: Kernel, target: Tensor) -> Tensor:
    y = norm(torch.cat([h_bck[:, c] @ weight_fk[a:b].T for c, (a, b) in enumerate(GROUPS)], dim=1))
    if kernel is squared_leaky:
        return functional.mse_loss(functional.leaky_relu(y), target)
    return functional.binary_cross_entropy(torch.sigmoid(y), target)


def test_the_four_ways_lose_what_a_dense_program_loses() -> None:
    pair = paired(cells=64, rng=np.random.default_rng(0))
    torch.manual_seed(0)
    recipe = ScButterflyRecipe(mask_rna=0.0, mask_atac=0.0, dropout=0.0)
    cells, network = _cells(pair), recipe.network(pair.rna.space, pair.atac.space)
    last = Translating(network, cells, sizes=recipe.sizes, weights=recipe.weights(pair.rna.space, pair.atac.space))
    torch.manual_seed(1)
    _, translated, kl = last.paths(cells.seen)
    losses = last.losses(translated, cells.seen)
    torch.manual_seed(1)
    dense_losses, dense_kl = _dense_ways(network, cells)
    torch.testing.assert_close(kl, dense_kl, rtol=1e-5, atol=1e-6)
    for target in Modality:
        torch.testing.assert_close(losses[target], dense_losses[target], rtol=1e-5, atol=1e-6)


def _dense_ways(network: Butterfly, cells: Cells) -> tuple[dict[Modality, Tensor], Tensor]:
    x = {m: torch.from_numpy(rows.toarray()) for m, rows in cells.seen.items()}
    losses: dict[Modality, list[Tensor]] = {m: [] for m in Modality}
    total = torch.zeros(())
    for source in Modality:
        mean, log_variance = network.bottlenecks[source](_dense_encoder(network, source, x[source]))
        total, latent = total + divergence(mean, log_variance), sampled(mean, log_variance)
        for target in Modality:
            losses[target].append(_dense_decoder(network.decoder(target), network.outs[target](latent), x[target]))
    return {m: torch.stack(found) for m, found in losses.items()}, total


def _dense_encoder(network: Butterfly, source: Modality, x: Tensor) -> Tensor:
    encoder, groups = network.encoders[source], network.decoder(source).head.groups
    assert isinstance(encoder, Encoder)
    h = torch.cat([x[:, a:b] @ encoder.first.weight_fh[a:b] for a, b in groups], dim=1)
    h = functional.batch_norm(h, None, None, encoder.norm.weight, encoder.norm.bias, training=True)
    out: Tensor = encoder.last(functional.leaky_relu(h))
    return out


def _dense_decoder(decoder: Decoder, embedding: Tensor, x: Tensor) -> Tensor:
    h, head = decoder.hidden(embedding).view(len(x), len(decoder.head.groups), -1), decoder.head
    y = torch.cat([h[:, c] @ head.weight_fk[a:b].T for c, (a, b) in enumerate(head.groups)], dim=1)
    y = functional.batch_norm(y, None, None, head.gain_f, head.shift_f, training=True)
    if head.kernel is squared_leaky:
        return functional.mse_loss(functional.leaky_relu(y), x)
    return functional.binary_cross_entropy(torch.sigmoid(y), x)


def test_masking_hides_a_share_of_the_entries_in_training_only() -> None:
    torch.manual_seed(0)
    bags = Bags(torch.arange(4000), torch.ones(4000), torch.tensor([0, 2000]))
    hidden = masked(bags, 0.3).weight
    assert float((hidden == 0).float().mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.unique(hidden[hidden > 0]).tolist() == pytest.approx([1 / 0.7])
    pair = paired(cells=32, rng=np.random.default_rng(0))
    feed, encoder = _cells(pair).feeds[Modality.RNA], ScButterflyRecipe().network(pair.rna.space, pair.atac.space)
    bags = feed.bags(feed.prepare(pair.rna.counts))
    one, other = (encoder.encoders[Modality.RNA](bags) for _ in range(2))
    assert not torch.equal(one, other)
    encoder.eval()
    one, other = (encoder.encoders[Modality.RNA](bags) for _ in range(2))
    assert torch.equal(one, other)


def test_peaks_are_scaled_to_one_and_back_to_a_probability() -> None:
    counts = paired(cells=50, rng=np.random.default_rng(3)).atac.counts
    scale = PeakScale.fit(counts, tfidf=True)
    scaled = scale.transform(counts)
    assert scaled.data.max() == pytest.approx(1.0)
    cell = int(np.argmin(np.abs(depth_of(binarised(counts)) - scale.depth)))
    back = scale.probability(scaled[[cell]].toarray(), np.arange(counts.shape[1]))
    ratio = scale.depth / depth_of(binarised(counts))[cell]
    opened = back[back > 0]
    assert opened.min() > 0.8
    assert opened.max() < 1.0
    assert ratio == pytest.approx(1.0, abs=0.1)
    faint = scale.probability(scaled[[cell]].toarray() / 4, np.arange(counts.shape[1]))
    np.testing.assert_allclose(faint, binarised(counts)[[cell]].toarray() * ratio / 4, rtol=1e-5)


def test_soft_labels_say_real_for_half_of_the_cells() -> None:
    label_b = soft_labels(torch.tensor([0.1, 0.3, 0.5, 0.6, 0.8, 0.95]))
    torch.testing.assert_close(label_b, torch.tensor([0.1, 0.2, 0.2, 0.8, 0.8, 0.95]))


def test_the_judges_learn_to_tell_and_the_networks_keep_their_weights_meanwhile() -> None:
    torch.manual_seed(0)
    pair, recipe = paired(cells=64, rng=np.random.default_rng(0)), ScButterflyRecipe()
    network = recipe.network(pair.rna.space, pair.atac.space)
    last = Translating(
        network, _cells(pair), sizes=recipe.sizes, weights=recipe.weights(pair.rna.space, pair.atac.space)
    )
    shown = {m: (torch.randn(64, 128) + 1.0, torch.randn(64, 128) - 1.0) for m in Modality}
    before = [p.detach().clone() for p in network.parameters()]
    at_first = float(last.judged(shown).detach())
    for _ in range(300):
        last.teach(shown)
    assert float(last.judged(shown).detach()) < at_first
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


class Killed(Exception):
    """Stands for the machine going away between two epochs."""


def test_a_training_killed_twice_gives_the_curve_and_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    pair = paired(cells=60, rng=np.random.default_rng(0))
    split, recipe = split_of(pair), ScButterflyRecipe(pretrain_epochs=3, epochs=4, batch=21, kl_warmup=2)
    whole: list[Epoch] = []
    expected = recipe.fit(pair, split, Hooks(on_epoch=whole.append, threads=1))
    seen: dict[tuple[str, int], Epoch] = {}
    resumed: list[tuple[str, int]] = []
    kills = [("atac", 2), ("translation", 3)]

    def on_epoch(epoch: Epoch) -> None:
        if kills and (epoch.stage, epoch.number) == kills[0]:
            kills.pop(0)
            raise Killed
        seen[epoch.stage, epoch.number] = epoch

    hooks = Hooks(
        on_epoch=on_epoch, on_resume=lambda stage, epoch: resumed.append((stage, epoch)), threads=1, checkpoint_s=0.0,
        checkpoints=FolderCheckpoints(tmp_path),
    )  # fmt: skip
    for _ in range(2):
        with pytest.raises(Killed):
            recipe.fit(pair, split, hooks)
    found = recipe.fit(pair, split, hooks)
    assert resumed == [("rna", 3), ("atac", 1), ("rna", 3), ("atac", 3), ("translation", 2)]
    assert [(e.stage, e.number, e.train, e.valid) for e in seen.values()] == [
        (e.stage, e.number, e.train, e.valid) for e in whole
    ]
    expected.save(tmp_path / "one")
    found.save(tmp_path / "other")
    for name in ("weights.safetensors", "preprocess.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize("paper_compat", [False, True])
def test_only_paper_compat_lets_held_out_cells_into_the_scaling(paper_compat: bool) -> None:
    pair = paired(cells=60, rng=np.random.default_rng(0))
    split, recipe = split_of(pair), ScButterflyRecipe(paper_compat=paper_compat, pretrain_epochs=1, epochs=1)
    found = recipe.fit(pair, split, Hooks(threads=1))
    train, whole = (PeakScale.fit(cells.atac.counts, tfidf=True).idf_p for cells in (pair.named(split.train), pair))
    np.testing.assert_array_equal(found.peak_scale.idf_p, whole if paper_compat else train)
    assert any("all cells" in note for note in found.notes) == paper_compat


def test_the_published_filters_leave_their_features() -> None:
    pair = paired(cells=60, rng=np.random.default_rng(0))
    recipe = ScButterflyRecipe(variable_genes=20, peak_share=0.1, pretrain_epochs=1, epochs=1)
    found = recipe.fit(pair, split_of(pair), Hooks(threads=1))
    assert len(found.space(Modality.RNA)) == 20
    train = pair.named(split_of(pair).train).atac.counts
    kept = pair.atac.space.names[np.asarray(binarised(train).mean(axis=0)).ravel() >= 0.1]
    assert list(found.space(Modality.ATAC).names) == list(kept)


def _cells(pair: PairedCells) -> Cells:
    rna = RnaFeed(DepthScale.fit(pair.rna.counts), CPU)
    atac = AtacFeed(PeakScale.fit(pair.atac.counts, tfidf=True), blocks_of(pair.atac.space), CPU)
    rows = {Modality.RNA: rna.prepare(pair.rna.counts), Modality.ATAC: atac.prepare(pair.atac.counts)}
    return Cells(rows, rows, {Modality.RNA: rna, Modality.ATAC: atac})
