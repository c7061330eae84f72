"""MultiVI here equals scvi-tools: same network and latent, same numbers out; and what is said where it is missing."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from engine.checkpoint import FolderCheckpoints
from engine.errors import BadBundle, BadSetting, FeatureMismatch
from engine.translators.base import Epoch, Hooks
from engine.translators.multivi.recipe import MultiVIRecipe
from engine.translators.multivi.translator import MultiVITranslator
from engine.types import CellBatch, Floats, Modality, PairedCells, empty_csr
from tests.builders import paired, split_of

needs_scvi = pytest.mark.skipif(find_spec("scvi") is None, reason="scvi-tools, the extra `peers`, is not installed")
RECIPE = MultiVIRecipe(epochs=4, batch=32, learning_rate=5e-3, warmup=8)
MISSING = """
import sys
import numpy as np
from engine.errors import BadInput, MissingExtra
from engine.translators.base import Hooks
from engine.translators.registry import recipe
from tests.builders import paired, split_of
multivi = recipe("multivi")
assert not {"scvi", "lightning"} & set(sys.modules), "imported before it is needed"
sys.modules["scvi"] = None  # as if not installed
pair = paired(cells=20, rng=np.random.default_rng(0))
try:
    multivi.fit(pair, split_of(pair), Hooks())
except MissingExtra as error:
    assert isinstance(error, BadInput)
    print(error.code, error)
"""


@pytest.fixture(scope="module")
def pair() -> PairedCells:
    return paired(cells=90, rng=np.random.default_rng(4))


@pytest.fixture(scope="module")
def fitted(pair: PairedCells) -> MultiVITranslator:
    return RECIPE.fit(pair, split_of(pair), Hooks(seed=2, threads=1))


@pytest.fixture(scope="module")
def theirs(pair: PairedCells, fitted: MultiVITranslator) -> Any:
    """The library's own model, registered with its own data classes, with the weights that were trained here."""
    MULTIVI = import_module("scvi.model").MULTIVI
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = mudata(pair.rna.counts, pair.atac.counts, pair)
        MULTIVI.setup_mudata(data, modalities={"rna_layer": "rna", "atac_layer": "atac"})
        model = MULTIVI(data)
    model.module.load_state_dict(fitted._network.state_dict())
    model.module.eval()
    model.is_trained_ = True
    return model


def mudata(x_ng: sp.csr_matrix, a_np: sp.csr_matrix, pair: PairedCells) -> Any:
    import anndata as ad
    import pandas as pd

    obs = pd.DataFrame(index=list(pair.barcodes))
    parts = {
        "rna": ad.AnnData(x_ng, obs=obs, var=pd.DataFrame(index=list(pair.rna.space.names))),
        "atac": ad.AnnData(a_np, obs=obs, var=pd.DataFrame(index=list(pair.atac.space.names))),
    }
    out = import_module("mudata").MuData(parts)
    out.obs["_indices"] = np.arange(len(obs))  # which setup writes, and a second file of the same cells must bring
    return out


def expected_counts(translator: MultiVITranslator, batch: CellBatch) -> Floats:
    composition: Floats = np.expm1(translator.decode(translator.encode(batch), Modality.RNA).values)
    shares: Floats = composition / composition.sum(axis=1, keepdims=True)
    return shares


@needs_scvi
def test_genes_from_peaks_equal_the_librarys_normalised_expression(
    pair: PairedCells, fitted: MultiVITranslator, theirs: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = mudata(empty_csr(*pair.rna.counts.shape), pair.atac.counts, pair)
        wanted = theirs.get_normalized_expression(alone, return_numpy=True)
    batch = CellBatch(atac=pair.atac.counts)
    np.testing.assert_allclose(expected_counts(fitted, batch), wanted, rtol=2e-4, atol=1e-6)
    depth = np.expm1(fitted.decode(fitted.encode(batch), Modality.RNA).values).sum(axis=1)
    train = pair.named(split_of(pair).train)
    np.testing.assert_allclose(depth, np.median(np.asarray(train.rna.counts.sum(axis=1))), rtol=1e-4)


@needs_scvi
def test_peaks_from_genes_equal_the_librarys_accessibility_times_one_depth(
    pair: PairedCells, fitted: MultiVITranslator, theirs: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = mudata(pair.rna.counts, empty_csr(*pair.atac.counts.shape), pair)
        wanted = theirs.get_normalized_accessibility(alone, normalize_regions=True, return_numpy=True)
        train = np.isin(pair.barcodes, split_of(pair).train)
        factor = theirs.get_library_size_factors()["accessibility"][train].mean()
    latent = fitted.encode(CellBatch(rna=pair.rna.counts))
    np.testing.assert_allclose(fitted.decode(latent, Modality.ATAC).values, wanted * factor, rtol=2e-4, atol=1e-7)


@needs_scvi
def test_with_both_modalities_the_latent_is_the_librarys_joint_one(
    pair: PairedCells, fitted: MultiVITranslator, theirs: Any
) -> None:
    found = fitted.encode(CellBatch(rna=pair.rna.counts, atac=pair.atac.counts)).values
    np.testing.assert_allclose(found[:, :-2], theirs.get_latent_representation(), atol=1e-5)
    factors = theirs.get_library_size_factors()["accessibility"]
    np.testing.assert_allclose(found[:, -1], factors, atol=1e-5)


@needs_scvi
def test_the_losses_equal_the_librarys_with_their_gradients(pair: PairedCells, fitted: MultiVITranslator) -> None:
    import torch

    from engine.translators.multivi.network import dense, loss_of

    x, a = dense(pair.rna.counts, torch.device("cpu")), dense(pair.atac.counts, torch.device("cpu"))
    shape = RECIPE.shape(genes=x.shape[1], peaks=a.shape[1])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = shape.build()
        found = []
        for kind in (type(network), type(network).__mro__[1]):
            network.__class__ = kind  # the same weights under the library's own class
            torch.manual_seed(1)
            loss = loss_of(network, x, a, kl_weight=0.5)
            network.zero_grad()
            loss.total.backward()  # type: ignore[no-untyped-call]
            gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None and p.numel()]
            found.append((loss, gradients))
    (ours, here), (library, there) = found
    for name in ours._fields:
        assert float(getattr(ours, name).detach()) == pytest.approx(float(getattr(library, name).detach()), rel=1e-5)
    assert len(here) == len(there) > 30
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()) + 1e-7)


@needs_scvi
def test_a_killed_training_goes_on_as_if_it_had_not_been(
    pair: PairedCells, fitted: MultiVITranslator, tmp_path: Path
) -> None:
    seen: list[Epoch] = []
    checkpoints = FolderCheckpoints(tmp_path)
    split = split_of(pair)
    stopped = Hooks(
        seed=2, threads=1, checkpoints=checkpoints, checkpoint_s=0, on_epoch=seen.append,
        should_stop=lambda: len(seen) == 2,
    )  # fmt: skip
    RECIPE.fit(pair, split, stopped)
    again = Hooks(seed=2, threads=1, checkpoints=checkpoints, checkpoint_s=0, on_epoch=seen.append)
    resumed = RECIPE.fit(pair, split, again)
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4]
    batch = CellBatch(rna=pair.rna.counts)
    np.testing.assert_array_equal(resumed.encode(batch).values, fitted.encode(batch).values)


@needs_scvi
def test_other_features_are_refused(pair: PairedCells, fitted: MultiVITranslator, tmp_path: Path) -> None:
    with pytest.raises(FeatureMismatch, match="59 columns of rna where the model reads 60"):
        fitted.encode(CellBatch(rna=pair.rna.counts[:, 1:]))
    fitted.save(tmp_path)
    assert MultiVITranslator.load(tmp_path, rna=pair.rna.space, atac=pair.atac.space).space(Modality.RNA)
    other = paired(cells=5, genes=60, peaks=90, rng=np.random.default_rng(0), genome="mm10")
    with pytest.raises(BadBundle, match="60 rna features are not"):
        MultiVITranslator.load(tmp_path, rna=other.rna.space, atac=pair.atac.space)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(BadSetting, match="zinb, nb, poisson"):
        MultiVIRecipe(likelihood="gaussian")
    with pytest.raises(BadSetting, match="At most 126"):
        MultiVIRecipe(latent=200)


def test_without_the_library_it_says_what_to_install_and_is_not_imported_before() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, cwd=root, timeout=60, check=False
    )
    assert done.stdout.startswith("missing-extra multivi runs on scvi-tools"), done.stderr
    assert "pip install 'crossview[peers]'" in done.stdout
