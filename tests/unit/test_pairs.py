"""The same cells in two files, found under whatever names each gave them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CellsDoNotMatch, DuplicateNames, WrongModality
from engine.pairs import match_barcodes, pair
from engine.types import Cells, as_names
from tests.builders import paired

BARCODES = ["AAACAGCC", "AAACATGC", "AAAGGCTC", "AACCGCTC"]


def renamed(cells: Cells, names: list[str]) -> Cells:
    return Cells(cells.space, cells.counts, as_names(names), cells.obs)


@pytest.mark.parametrize(
    ("spelling", "said"),
    [
        ("{}", "in both files."),
        ("{}-1", "suffixes"),
        ("pbmc#{}-1", "prefixes and suffixes"),
        ("09A_{}", "prefixes"),
        ("{}-1-0", "suffixes"),
    ],
)
def test_suffixes_and_prefixes_are_reconciled_and_said(spelling: str, said: str) -> None:
    matching = match_barcodes(BARCODES, [spelling.format(name) for name in reversed(BARCODES)])
    assert matching.index_a.tolist() == [0, 1, 2, 3]
    assert matching.index_b.tolist() == [3, 2, 1, 0]
    assert said in matching.note
    assert matching.share == 1


def test_only_what_was_changed_or_left_out_is_worth_telling() -> None:
    assert not match_barcodes(BARCODES, list(reversed(BARCODES))).told
    assert match_barcodes(BARCODES, BARCODES[:3]).told
    assert match_barcodes(BARCODES, [f"{name}-1" for name in BARCODES]).told


def test_case_is_reconciled() -> None:
    matching = match_barcodes(BARCODES, [name.lower() for name in BARCODES])
    assert len(matching) == 4
    assert "case" in matching.note


def test_an_exact_match_is_left_alone_even_where_suffixes_tell_cells_apart() -> None:
    names = ["AAAC-1", "AAAC-2", "AAAG-1"]
    matching = match_barcodes(names, names)
    assert len(matching) == 3
    assert "compared" not in matching.note


def test_stripping_that_would_make_two_cells_one_is_refused() -> None:
    with pytest.raises(CellsDoNotMatch, match=r"AAACAGCC-1 and AAACAGCC-2 would be the same cell"):
        match_barcodes(["AAACAGCC-1", "AAACAGCC-2"], ["s1#AAACAGCC", "s2#AAACAGCC"])


def test_strangers_are_told_with_numbers_and_examples() -> None:
    with pytest.raises(CellsDoNotMatch, match=r"None of 4 RNA cells is among the 2 ATAC cells .*AAACAGCC.*TTTT"):
        match_barcodes(BARCODES, ["TTTTTTTT", "GGGGGGGG"])


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(DuplicateNames, match="ATAC"):
        match_barcodes(BARCODES, ["A", "A"])


def test_pairing_keeps_the_shared_cells_in_rna_order_under_rna_names() -> None:
    built = paired(cells=30, rng=np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(30)[:24]
    atac = built.atac.rows(order)
    atac = renamed(atac, [f"{name}-1" for name in atac.barcodes])
    got, matching = pair(built.rna, atac)
    assert len(got) == 24
    assert list(got.barcodes) == [name for i, name in enumerate(built.barcodes) if i in set(order)]
    for name in got.barcodes[:5]:
        one = got.named([name]).atac.counts
        assert (one != built.atac.named([name]).counts).nnz == 0
    assert "6 only in RNA" in matching.note


def test_too_few_matches_are_refused_with_both_numbers() -> None:
    built = paired(cells=30, rng=np.random.default_rng(0))
    others = [name if i < 3 else f"OTHER{i}" for i, name in enumerate(built.barcodes)]
    with pytest.raises(CellsDoNotMatch, match="3 of 30 cells match"):
        pair(built.rna, renamed(built.atac, others))


def test_swapped_files_are_noticed() -> None:
    built = paired(cells=10, rng=np.random.default_rng(0))
    with pytest.raises(WrongModality):
        pair(built.atac, built.rna)


@given(
    st.lists(st.text("ACGT", min_size=8, max_size=8), min_size=1, max_size=20, unique=True),
    st.sampled_from(["{}", "{}-1", "s#{}", "s#{}-1", "S1_{}-1"]),
    st.randoms(use_true_random=False),
)
def test_matching_always_brings_the_same_barcode_together(names: list[str], spelling: str, random: object) -> None:
    other = list(names)
    random.shuffle(other)  # type: ignore[attr-defined]
    matching = match_barcodes(names, [spelling.format(name) for name in other])
    assert [other[i] for i in matching.index_b] == [names[i] for i in matching.index_a] == names
