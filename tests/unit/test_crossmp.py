"""CrossMP's parts against independent evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.nn import functional

from engine.checkpoint import FolderCheckpoints
from engine.errors import Diverged
from engine.layers.sparse import Bags, SparseLinear
from engine.preprocess.steps import binarised
from engine.translators.base import Epoch, Hooks
from engine.translators.crossmp.inputs import AtacInputs, Blocks, RnaInputs, regulatory_potential
from engine.translators.crossmp.losses import latent_divergence
from engine.translators.crossmp.network import AtacDecoder, ChromosomeEncoder, RnaEncoder, Sizes
from engine.translators.crossmp.recipe import CrossMPRecipe
from engine.types import CellBatch, Cells, PairedCells
from tests.builders import paired, split_of

CPU = torch.device("cpu")


def test_the_divergence_of_equal_latents_is_zero_and_otherwise_torchs() -> None:
    z = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    other = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
    assert float(latent_divergence(z, z)) == pytest.approx(0, abs=1e-6)
    wanted = functional.kl_div(
        functional.log_softmax(other, 1), functional.log_softmax(z, 1), log_target=True, reduction="none"
    ).mean()
    assert float(latent_divergence(z, other)) == pytest.approx(float(wanted), rel=1e-5)


def test_the_rna_encoder_reads_zscores_without_densifying() -> None:
    pair = paired(cells=60, genes=30, rng=np.random.default_rng(3))
    inputs = RnaInputs.fit(pair, significant=10, rng=np.random.default_rng(0))
    torch.manual_seed(0)
    encoder = RnaEncoder(30, Sizes()).eval()
    difference = inputs.difference(pair.rna.counts)
    found = encoder(Bags.of(difference, CPU), torch.tensor(inputs.zscore.zero_f))
    dense = torch.tensor(difference.toarray() + inputs.zscore.zero_f)
    hidden = functional.relu(encoder.norm1(dense @ encoder.first.weight_fh + encoder.first.bias_h))
    wanted = functional.relu(encoder.norm2(encoder.second(hidden)))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_each_chromosome_is_encoded_by_its_own_network() -> None:
    chromosomes = np.array(["chr2", "chr1", "chr1", "chr2", "chr3"], dtype=object)
    blocks = Blocks.of(chromosomes)
    assert blocks.names == ("chr1", "chr2", "chr3")
    torch.manual_seed(0)
    encoder = ChromosomeEncoder(5, 3, Sizes()).eval()
    x = np.array([[1, 1, 0, 1, 0], [0, 0, 0, 0, 1]], dtype=np.float32)
    found = encoder(Bags.grouped(sp.csr_matrix(x[:, blocks.order_f]), blocks.starts, CPU, blocks.order_f))
    parts = []
    for c, name in enumerate(blocks.names):
        members = np.flatnonzero(chromosomes == name)
        hidden = torch.tensor(x[:, members]) @ encoder.first.weight_fh[members] + encoder.bias_ch[c]
        hidden = functional.prelu(hidden, encoder.slope1_c[c])
        hidden = hidden @ encoder.weight_chk[c] + encoder.bias_ck[c]
        parts.append(functional.prelu(hidden, encoder.slope2_c[c]))
    wanted = encoder.slope3(encoder.last(torch.cat(parts, dim=1)))
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_a_peak_is_decoded_from_its_own_chromosomes_block() -> None:
    blocks = Blocks.of(np.array(["chr1", "chr2", "chr1"], dtype=object))
    torch.manual_seed(0)
    decoder = AtacDecoder(blocks, Sizes()).eval()
    z = torch.randn(2, 16)
    before = decoder(z)
    with torch.no_grad():
        decoder.hidden.weight[16:] += 1.0  # only the second chromosome's block
    after = decoder(z)
    moved = (before - after).abs().max(dim=0).values > 1e-6
    assert moved.tolist() == [False, False, True]  # order: chr1, chr1, chr2


def test_gene_activity_folded_through_its_layer_equals_the_product() -> None:
    pair = paired(cells=40, genes=12, peaks=44, rng=np.random.default_rng(4))
    potential = sp.random(44, 12, density=0.2, rng=np.random.default_rng(5), format="csr", dtype=np.float32)
    inputs = AtacInputs.fit(pair, potential)
    open_np = binarised(pair.atac.counts)
    weights = np.random.default_rng(6).normal(size=(12, 3)).astype(np.float32)
    layer = SparseLinear(12, 3, bias=False)
    with torch.no_grad():
        layer.weight_fh.copy_(torch.tensor(weights))
        folded = layer(Bags.of(inputs.potential_pg, CPU)).numpy()
    activity = inputs.scaled(open_np) @ inputs.potential_pg
    np.testing.assert_allclose(
        inputs.factor(open_np)[:, None] * (open_np @ folded), activity @ weights, rtol=1e-4, atol=1e-5
    )


def test_regulatory_potential_follows_the_gene_models() -> None:
    from engine.genome.genes import GeneModels
    from engine.types import FeatureSpace, Modality, as_names

    models = GeneModels.load("hg38")
    tss = int(models.tss[models.index["GATA1"]])
    near, far = f"chrX:{tss - 200}-{tss + 200}", "chr5:1000-1400"
    atac = FeatureSpace(Modality.ATAC, as_names([near, far]), "hg38")
    rna = FeatureSpace(Modality.RNA, as_names(["GATA1", "NOSUCHGENE"]), "hg38")
    found = regulatory_potential(atac, rna, "hg38").toarray()
    assert found[0, 0] > 0
    assert found[1, 0] == 0
    assert found[:, 1].sum() == 0
    assert regulatory_potential(atac, rna, "tair10").nnz == 0


def test_training_descends_reports_each_epoch_and_keeps_the_best() -> None:
    pair = paired(cells=150, rng=np.random.default_rng(8))
    seen: list[Epoch] = []
    recipe = CrossMPRecipe(epochs=15, batch=32, significant_genes=20, patience=15)
    fitted = recipe.fit(pair, split_of(pair), Hooks(on_epoch=seen.append, threads=1))
    assert [e.number for e in seen] == list(range(1, 16))
    assert {"total", "nb_atac_rna", "bce_rna_atac", "kl"} <= set(seen[0].valid)
    assert seen[-1].train["total"] < seen[0].train["total"]
    assert fitted.trained is not None
    assert fitted.trained.best_loss == pytest.approx(min(e.valid["total"] for e in seen))


def test_training_stops_when_told_to() -> None:
    pair = paired(cells=60, rng=np.random.default_rng(9))
    fitted = CrossMPRecipe(epochs=50, batch=32, significant_genes=10).fit(
        pair, split_of(pair), Hooks(should_stop=lambda: True, threads=1)
    )
    assert fitted.trained is not None
    assert fitted.trained.epochs == 1


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    pair = paired(cells=120, rng=np.random.default_rng(10))
    recipe = CrossMPRecipe(epochs=8, batch=32, significant_genes=15, patience=8)
    whole: list[Epoch] = []
    undisturbed = recipe.fit(pair, split_of(pair), Hooks(on_epoch=whole.append, threads=1))

    class Killed(Exception):
        pass

    def die(epoch: Epoch) -> None:
        if epoch.number == 5:
            raise Killed

    store = FolderCheckpoints(tmp_path)
    with pytest.raises(Killed):
        recipe.fit(pair, split_of(pair), Hooks(on_epoch=die, checkpoints=store, checkpoint_s=0, threads=1))
    rest: list[Epoch] = []
    resumed: list[tuple[str, int]] = []
    again = recipe.fit(
        pair, split_of(pair),
        Hooks(
            on_epoch=rest.append, on_resume=lambda stage, epoch: resumed.append((stage, epoch)), checkpoints=store,
            threads=1, seed=0,
        ),
    )  # fmt: skip
    assert resumed == [("network", 4)]
    assert [(e.number, e.train, e.valid) for e in rest] == [(e.number, e.train, e.valid) for e in whole[4:]]
    batch = CellBatch(rna=pair.rna.counts)
    np.testing.assert_array_equal(again.encode(batch).values, undisturbed.encode(batch).values)


def test_a_spoilt_checkpoint_starts_the_training_anew(tmp_path: Path) -> None:
    pair = paired(cells=60, rng=np.random.default_rng(11))
    (tmp_path / "network.safetensors").write_bytes(b"not a checkpoint")
    seen: list[Epoch] = []
    hooks = Hooks(on_epoch=seen.append, checkpoints=FolderCheckpoints(tmp_path), threads=1)
    CrossMPRecipe(epochs=2, batch=32, significant_genes=10).fit(pair, split_of(pair), hooks)
    assert [e.number for e in seen] == [1, 2]


def test_the_released_network_trains_and_says_what_it_is() -> None:
    pair = paired(cells=80, rng=np.random.default_rng(12))
    recipe = CrossMPRecipe(epochs=3, batch=32, significant_genes=10, released_architecture=True)
    seen: list[Epoch] = []
    fitted = recipe.fit(pair, split_of(pair), Hooks(on_epoch=seen.append, threads=1))
    assert any("released script" in note for note in fitted.notes)
    assert seen[-1].train["total"] < seen[0].train["total"]
    first = seen[0].train
    nb, bce = first["nb_rna_rna"] + first["nb_atac_rna"], first["bce_atac_atac"] + first["bce_rna_atac"]
    assert first["total"] == pytest.approx(nb + 1.33 * bce, rel=1e-4)


def test_paper_compat_names_each_leak_and_does_look_at_the_test_cells() -> None:
    pair = paired(cells=90, rng=np.random.default_rng(13))
    split = split_of(pair)
    scrambled = PairedCells(_scrambled(pair.rna, split.test), _scrambled(pair.atac, split.test))

    def fit(pair: PairedCells, *, compat: bool) -> np.ndarray:
        recipe = CrossMPRecipe(epochs=2, batch=32, significant_genes=10, paper_compat=compat)
        fitted = recipe.fit(pair, split, Hooks(threads=1))
        assert sum("paper_compat" in note for note in fitted.notes) == (2 if compat else 0)
        return fitted.encode(CellBatch(rna=pair.named(split.train).rna.counts)).values

    np.testing.assert_array_equal(fit(pair, compat=False), fit(scrambled, compat=False))
    assert not np.array_equal(fit(pair, compat=True), fit(scrambled, compat=True))


def _scrambled(cells: Cells, names: tuple[str, ...]) -> Cells:
    """The same cells, those named with their counts multiplied and their features in another order."""
    chosen = np.isin(cells.barcodes, names)
    counts = cells.counts.toarray()
    counts[chosen] = counts[chosen][:, ::-1] * 3
    return Cells(cells.space, sp.csr_matrix(counts), cells.barcodes, cells.obs)


def test_a_training_that_never_has_a_loss_is_no_model() -> None:
    pair = paired(cells=60, rng=np.random.default_rng(14))
    recipe = CrossMPRecipe(epochs=3, batch=32, significant_genes=10, weight_bce=float("nan"))
    with pytest.raises(Diverged, match="never a number") as caught:
        recipe.fit(pair, split_of(pair), Hooks(threads=1))
    assert "learning rate" in caught.value.hint
