"""The joint view's own arithmetic: coins that belong to cells, partings compared, parts that make the whole."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from engine.bundle import Bundle, load_bundle
from engine.errors import BadSetting, CellsDoNotMatch, WrongDirection
from engine.intake import CanonicalCells, canonicalise
from engine.joint import encode, imputation, structure
from engine.joint.encode import Embedded
from engine.joint.partition import SCORES, Combinations, interval
from engine.joint.reading import Coins, counts_at, counts_ends
from engine.joint.structure import Grouping
from engine.pairs import same_cells
from engine.preprocess.align import align
from engine.types import CellBatch, Direction, Latent, Modality, PairedCells
from tests.builders import paired, write_h5ad
from tests.running import JOINT, built_cells, fit_tiny_model

RNA, ATAC = Modality.RNA, Modality.ATAC


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A CrossMP: it reads both modalities at once."""
    return load_bundle(fit_tiny_model(tmp_path_factory.mktemp("joint") / "m", "crossmp", JOINT))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small network on components: it takes one modality at a time, and imputes neither from itself."""
    settings = {"epochs": "5", "components": "8", "target_components": "8", "hidden": "16"}
    return load_bundle(fit_tiny_model(tmp_path_factory.mktemp("one") / "m", "svd-mlp", settings))


def embedded(bundle: Bundle, pair: PairedCells, rows: slice = slice(None), *, seed: int = 0) -> Embedded:
    chosen = np.arange(len(pair))[rows]
    return encode.embed(
        bundle,
        {m: pair.of(m).counts[chosen] for m in Modality},
        {m: align(pair.of(m).space.names, bundle.space(m)) for m in Modality},
        rows=dict.fromkeys(Modality, chosen),
        barcodes=pair.barcodes[chosen],
        coins=Coins(seed),
    )


# -- reading ---------------------------------------------------------------------------------------------------------


def test_any_cells_are_read_in_any_order(tmp_path: Path) -> None:
    cells = paired(cells=400, genes=12, peaks=18, rng=np.random.default_rng(0)).rna
    canonicalise(write_h5ad(cells, tmp_path / "a.h5ad"), tmp_path / "clean.h5ad")
    rows = np.random.default_rng(1).permutation(400)[:50]
    with CanonicalCells.open(tmp_path / "clean.h5ad") as opened:
        np.testing.assert_array_equal(counts_at(opened, rows).toarray(), cells.counts[rows].toarray())


@given(seed=st.integers(0, 2**20), ends=st.booleans())
@settings(max_examples=25, deadline=None)
def test_both_halves_add_up_and_neither_is_negative(seed: int, ends: bool) -> None:
    counts = sp.csr_matrix(np.random.default_rng(seed).poisson(1.0, size=(7, 11)).astype(np.float32))
    for modality in Modality:
        shown, kept = Coins(seed, ends).split(counts, modality, np.arange(7))
        np.testing.assert_array_equal((shown + kept).toarray(), counts.toarray())
        assert min(shown.data.min(initial=1), kept.data.min(initial=1)) > 0


def test_a_cells_coins_do_not_depend_on_its_neighbours() -> None:
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(3.0, size=(20, 15)).astype(np.float32))
    coins, rows = Coins(4), np.arange(20)
    whole = coins.split(counts, RNA, rows)[0].toarray()
    order = np.random.default_rng(1).permutation(20)
    np.testing.assert_array_equal(
        coins.split(sp.csr_matrix(counts[order]), RNA, rows[order])[0].toarray(), whole[order]
    )
    assert (coins.split(counts, ATAC, rows)[0].toarray() != whole).any()
    assert (Coins(5).split(counts, RNA, rows)[0].toarray() != whole).any()


def test_both_ends_of_a_fragment_stay_together() -> None:
    counts = sp.csr_matrix(np.full((50, 20), 2.0, dtype=np.float32))
    shown = Coins(0, ends=True).split(counts, ATAC, np.arange(50))[0].toarray()
    assert set(np.unique(shown)) == {0.0, 2.0}
    assert 0.4 < (shown > 0).mean() < 0.6


@pytest.mark.parametrize(("twos", "said"), [(0.8, True), (0.05, False)])
def test_counts_of_ends_are_told_by_their_twos(twos: float, said: bool, tmp_path: Path) -> None:
    pair = paired(cells=60, genes=12, peaks=30, rng=np.random.default_rng(0))
    counts = pair.atac.counts.copy()
    counts.data = np.where(np.random.default_rng(1).random(counts.nnz) < twos, 2.0, 1.0).astype(np.float32)
    for cells, wanted in ((replace(pair.atac, counts=counts), said), (pair.rna, False)):
        canonicalise(write_h5ad(cells, tmp_path / "a.h5ad"), tmp_path / "clean.h5ad")
        with CanonicalCells.open(tmp_path / "clean.h5ad") as opened:
            assert counts_ends(opened) is wanted


# -- partings --------------------------------------------------------------------------------------------------------


@given(n=st.integers(4, 60), a=st.integers(1, 6), b=st.integers(1, 6), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_agreement_is_scikit_learns(n: int, a: int, b: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, a, n), rng.integers(0, b, n)])
    tables = Combinations.of(codes, rng, resamples=3).tables(0, 1)
    assert tables.sum((1, 2)).tolist() == [n] * 4
    for name, wanted in (("ari", adjusted_rand_score), ("nmi", normalized_mutual_info_score)):
        assert SCORES[name](tables)[0] == pytest.approx(wanted(*codes), abs=1e-9)


@pytest.mark.parametrize("name", ["ari", "nmi"])
def test_intervals_cover_what_more_cells_would_show(name: str) -> None:
    """Of groups that agree with labels to a known degree, nearly all 95 % intervals hold that degree."""
    rng, inside = np.random.default_rng(0), 0

    def drawn(n: int) -> np.ndarray:
        true = rng.integers(0, 3, n)
        return np.stack([true, np.where(rng.random(n) < 0.7, true, rng.integers(0, 3, n))])

    many = float(SCORES[name](Combinations.of(drawn(400_000), rng, resamples=0).tables(0, 1))[0])
    for _ in range(80):
        draws = SCORES[name](Combinations.of(drawn(250), rng).tables(0, 1))
        low, high = interval(float(draws[0]), draws[1:])
        inside += int(low <= many <= high)
    assert inside >= 70


# -- embedding -------------------------------------------------------------------------------------------------------


def test_parts_make_the_whole_to_the_last_bit(both: Bundle) -> None:
    pair = built_cells()
    whole = embedded(both, pair)
    parts = Embedded.concat([embedded(both, pair, slice(a, a + 48)) for a in range(0, 160, 48)])
    np.testing.assert_allclose(parts.whole.joint.values, whole.whole.joint.values, atol=1e-6)
    np.testing.assert_allclose(parts.half.joint.values, whole.half.joint.values, atol=1e-6)
    assert list(parts.barcodes) == list(whole.barcodes)


@pytest.mark.parametrize("which", ["both", "one"])
def test_a_part_survives_being_written(which: str, request: pytest.FixtureRequest) -> None:
    part = embedded(request.getfixturevalue(which), built_cells(), slice(0, 20))
    again = Embedded.from_bytes(part.to_bytes())
    assert again.to_bytes() == part.to_bytes()
    assert again.whole.joint.source == part.whole.joint.source
    assert set(again.whole.apart) == set(part.whole.apart)
    with pytest.raises((ValueError, OSError, zipfile.BadZipFile)):
        Embedded.from_bytes(part.to_bytes()[:-100])


def test_a_model_of_both_has_one_latent_for_both(both: Bundle) -> None:
    found = embedded(both, built_cells()).whole
    assert found.joint.source == {RNA, ATAC}
    assert not found.apart
    batch = CellBatch(rna=built_cells().rna.counts, atac=built_cells().atac.counts)
    np.testing.assert_allclose(found.joint.values, both.translator.encode(batch).values, atol=1e-6)


def test_a_model_of_one_at_a_time_decodes_each_from_the_other(one: Bundle) -> None:
    found = embedded(one, built_cells()).whole
    assert found.joint.source == {RNA}
    assert found.of(RNA).source == {ATAC}
    assert found.of(ATAC) is found.joint
    assert one.translator.decode(found.of(RNA), RNA, [0, 1]).values.shape == (160, 2)


def test_a_model_of_one_direction_has_no_joint_view(both: Bundle) -> None:
    narrow = replace(both.manifest, directions=(Direction.RNA_TO_ATAC.value,))
    with pytest.raises(WrongDirection, match="rna-to-atac only"):
        encode.require_both(narrow)
    with pytest.raises(BadSetting, match="nothing of a cell but its depth"):
        encode.require_both(replace(both.manifest, translator="depth"))
    encode.require_both(both.manifest)


def test_files_of_other_cells_are_refused() -> None:
    names = [f"AAAC{i:04d}" for i in range(10)]
    with pytest.raises(CellsDoNotMatch, match="2 of 10 cells match"):
        same_cells(names, [*names[:2], *(f"TTTT{i}" for i in range(8))])


# -- groups ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_planted_kinds_are_found_and_numbered_by_size() -> None:
    pair = paired(cells=150, genes=80, peaks=120, rng=np.random.default_rng(2), open_share=0.3)
    labels = pair.rna.obs["cell_type"]
    kinds = np.array([int(label[-1]) for label in labels])
    z_nk = np.eye(3)[kinds] * 8 + np.random.default_rng(0).normal(size=(150, 3))
    found = structure.find(z_nk.astype(np.float32), pair, labels, Grouping(resolution=0.2))
    assert found.clusters == 3
    told = structure.agreement(found, labels)
    for method in structure.METHODS:
        assert told["views"]["joint"][method]["ari"]["value"] > 0.95
        assert abs(told["views"]["joint"][method]["ari"]["nulls"]["shuffled"]) < 0.1
        sizes = told["views"]["joint"][method]["sizes"]
        assert sizes == sorted(sizes, reverse=True)
    low, high = told["views"]["rna"]["kmeans"]["ari"]["interval"]
    assert low <= told["views"]["rna"]["kmeans"]["ari"]["value"] <= high
    gain = told["gains"]["atac"]["kmeans_ari"]
    joint, atac = (told["views"][v]["kmeans"]["ari"]["value"] for v in ("joint", "atac"))
    assert gain["value"] == pytest.approx(joint - atac, abs=1e-6)
    assert set(found.names("kmeans")) == {"1", "2", "3"}
    again = structure.Structure.from_arrays(found.arrays())
    np.testing.assert_array_equal(again.groups["joint", "leiden"], found.groups["joint", "leiden"])


@pytest.mark.slow
def test_without_labels_sizes_alone_are_said() -> None:
    pair = paired(cells=60, genes=40, peaks=60, rng=np.random.default_rng(2))
    z_nk = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    found = structure.find(z_nk, pair, None, Grouping())
    told = structure.agreement(found, None)
    assert told["gains"] == {}
    assert set(told["views"]["joint"]["kmeans"]) == {"clusters", "sizes"}
    assert found.clusters == told["views"]["joint"]["leiden"]["clusters"]
    with pytest.raises(BadSetting, match="61 clusters"):
        structure.find(z_nk, pair, None, Grouping(clusters=61))


# -- imputation ------------------------------------------------------------------------------------------------------


def judged(bundle: Bundle, pair: PairedCells, modality: Modality, half: Latent) -> imputation.Imputation:
    return imputation.judge(
        bundle,
        modality,
        half,
        pair.of(modality).counts,
        align(pair.of(modality).space.names, bundle.space(modality)),
        rows=np.arange(len(pair)),
        barcodes=pair.barcodes,
        coins=Coins(0),
    )


def test_a_fitted_model_fills_in_more_than_the_shown_counts_say(both: Bundle) -> None:
    pair = built_cells()
    found = judged(both, pair, RNA, embedded(both, pair).half.of(RNA))
    score = found.scores.scores["cell_pearson"]
    assert set(score.nulls) == {"mean", "depth", "raw"}
    assert score.value > max(score.nulls.values())
    told = found.as_dict()
    assert set(told["scores"]) == {"cell_pearson", "cell_spearman", "gene_pearson", "gene_spearman"}
    assert not {"mse_skill", "truth_variance"} & set(found.features)


def test_handing_back_the_shown_counts_earns_what_raw_earns(both: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """An imputation that copies its input is worth its input: seen counts do not flatter it."""
    from engine.analysis.profiles import Measured
    from engine.metrics.normalise import log_normalised

    pair = built_cells()
    shown, _ = Coins(0).split(pair.rna.counts, RNA, np.arange(len(pair)))
    copied = type("Copied", (), {"source": Measured(log_normalised(shown))})
    monkeypatch.setattr(imputation, "imputed", lambda *_, **__: copied)
    score = judged(both, pair, RNA, embedded(both, pair).half.of(RNA)).scores.scores["cell_pearson"]
    assert score.value == pytest.approx(score.nulls["raw"], abs=1e-6)
    assert score.gains["raw"].interval == pytest.approx((0.0, 0.0), abs=1e-9)


def test_peaks_of_0_and_1_have_no_raw_yardstick_and_say_so(both: Bundle) -> None:
    pair = built_cells()
    found = judged(both, pair, ATAC, embedded(both, pair).half.of(ATAC))
    assert set(found.scores.scores["cell_auroc"].nulls) == {"mean", "depth"}
    assert imputation.BINARY in found.notes


def test_of_very_many_cells_a_sample_is_judged(both: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.analysis.sample.MOST_CELLS", 50)
    pair = built_cells()
    found = judged(both, pair, RNA, embedded(both, pair).half.of(RNA))
    assert found.scores.n_cells == len(found.rows_m) == 50
    assert "50 of 160 cells, drawn by chance, were scored." in found.notes
