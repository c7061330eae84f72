"""No cell may be judged by a model that has seen it: under its own name, another spelling, or another name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from engine.errors import BadSetting, LeakedCells
from engine.fitting import fit_bundle, prepare
from engine.leaks import check
from engine.preprocess.filters import FilterSettings
from engine.splits import by_chance, by_values
from engine.translators.base import Hooks
from engine.translators.registry import recipe
from engine.types import Cells, Modality, PairedCells, Split, as_names
from tests.builders import paired, split_of

KEEP = FilterSettings(drop_sex_chromosomes=False, min_genes=1, max_genes=10**6, min_cells=1, max_share=1.0)


def cells(count: int = 60) -> PairedCells:
    return paired(cells=count, genes=60, peaks=90, rng=np.random.default_rng(3))


def named(pair: PairedCells, names: Mapping[int, str]) -> PairedCells:
    """The pair with some cells called otherwise."""
    barcodes = as_names(names.get(i, str(name)) for i, name in enumerate(pair.barcodes))
    return PairedCells(replace(pair.rna, barcodes=barcodes), replace(pair.atac, barcodes=barcodes))


def labelled(pair: PairedCells, column: str, values: list[str]) -> PairedCells:
    obs = {column: as_names(values)}
    return PairedCells(replace(pair.rna, obs=obs), replace(pair.atac, obs=obs))


def test_cells_that_share_nothing_pass_and_it_is_said_what_was_looked_at() -> None:
    pair = cells()
    found = check(split_of(pair), pair)
    assert "60 cells" in found.checked[0]
    assert found.notes == ()


def test_the_same_barcode_on_two_sides_is_refused_by_name() -> None:
    with pytest.raises(LeakedCells, match="CELL00007"):
        Split(("CELL00007", "CELL00008"), (), ("CELL00007",))


@pytest.mark.parametrize("twin", ["AAACCCAAGT-1", "aaacccaagt", "lane2#AAACCCAAGT", "lane2_AAACCCAAGT-1"])
def test_one_barcode_in_two_spellings_on_two_sides_is_refused(twin: str) -> None:
    pair = named(cells(), {0: "AAACCCAAGT", 59: twin})
    with pytest.raises(LeakedCells, match=f"AAACCCAAGT.*{twin}|{twin}.*AAACCCAAGT"):
        check(split_of(pair), pair)


def test_the_same_barcode_of_two_lanes_is_two_cells() -> None:
    pair = named(cells(), {0: "AAACCCAAGT-1", 59: "AAACCCAAGT-2"})
    check(split_of(pair), pair)


def test_a_copy_of_a_training_cell_under_another_name_is_refused() -> None:
    pair = cells()
    rows = np.array([*range(59), 4])  # the last cell, which judges, is a copy of the fifth, which trains
    copied = PairedCells(*(replace(pair.of(m).rows(np.arange(60)), counts=pair.of(m).counts[rows]) for m in Modality))
    with pytest.raises(LeakedCells, match=r"CELL00004 \(train\) and CELL00059 \(test\)"):
        check(split_of(copied), copied)
    check(Split(copied.barcodes[:59], (), ()), copied)


def test_a_batch_on_both_sides_is_refused_where_it_may_not_be_and_noted_otherwise() -> None:
    pair = labelled(cells(), "donor", ["a", "b"] * 30)
    split = split_of(pair)
    assert "same donor" in check(split, pair).notes[0]
    with pytest.raises(LeakedCells, match="2 values of donor"):
        check(split, pair, by="donor")
    with pytest.raises(BadSetting, match="donors"):
        check(split, pair, by="donors")


def test_held_out_values_are_on_no_other_side() -> None:
    pair = labelled(cells(), "donor", ["a", "b", "c"] * 20)
    split = by_values(pair.rna, [("donor", "b")], seed=0)
    found = check(split, pair, by="donor")
    assert (len(split.test), len(split.valid), len(split.train)) == (20, 4, 36)
    assert found.notes == ()
    assert "no donor is on both sides" in found.checked


def test_chance_by_donor_holds_out_whole_donors() -> None:
    pair = labelled(cells(), "donor", [f"d{i % 6}" for i in range(60)])
    split = by_chance(pair.rna, seed=1, by="donor")
    assert len(split.test) == 10
    check(split, pair, by="donor")
    assert by_chance(pair.rna, seed=1, by="donor") == split


@pytest.mark.parametrize("model", ["mean", "depth", "knn", "ridge"])
def test_scrambled_test_cells_leave_the_bundle_as_it_is(model: str, tmp_path: Path) -> None:
    pair = cells(120)
    split = split_of(pair)
    judging = np.isin(pair.barcodes, split.test)
    scrambled = {m: scramble(pair.of(m), judging) for m in Modality}
    digests = []
    for name, rna, atac in (("one", pair.rna, pair.atac), ("other", *scrambled.values())):
        found = prepare(rna, atac, part=lambda _: split, filters=KEEP)
        hooks = Hooks(seed=0, threads=1)
        made = fit_bundle(found, recipe(model), into=tmp_path / name, id="built", hooks=hooks, code_version="0")
        digests.append(made.digest)
    assert digests[0] == digests[1]


def scramble(cells: Cells, rows: np.ndarray) -> Cells:
    rng = np.random.default_rng(5)
    dense = cells.counts.toarray()
    dense[rows] = rng.poisson(3.0, size=(int(rows.sum()), dense.shape[1]))
    return replace(cells, counts=sp.csr_matrix(dense.astype(np.float32)))
