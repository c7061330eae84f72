"""Fragments counted on a model's peaks: equal to a plain count, cells chosen, other genomes refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadSetting, CorruptMatrix, NeedsPeaks, NoCells, WrongGenome
from engine.genome.genes import chromosome_sizes
from engine.intake import CanonicalCells, Limits, canonicalise, run_in_child
from engine.intake.mends import Mends
from engine.types import Modality, as_names
from tests.chains import shifted
from tests.fragments import Fragment, counted_plainly, fragments_on, write_fragments

CHROMS = ("chr1", "chr2", "chrX")


def some_peaks(count: int = 60, *, nested: bool = True) -> list[str]:
    """Peaks of three chromosomes in no order; some lie within others, as merged peak sets have them."""
    rng = np.random.default_rng(3)
    starts = rng.integers(1_000, 400_000, count)
    names = {f"{CHROMS[i % 3]}:{start}-{start + rng.integers(200, 3_000)}" for i, start in enumerate(starts)}
    if nested:
        names |= {"chr1:500000-520000", "chr1:503000-503400", "chr1:519900-520500"}
    return sorted(names, key=lambda name: name[::-1])


@pytest.fixture
def lab(tmp_path: Path) -> tuple[Mends, list[Fragment], Path]:
    peaks = some_peaks()
    (tmp_path / "peaks.txt").write_text("\n".join(peaks) + "\n")
    found = fragments_on(as_names(peaks), cells=12, each=80, rng=np.random.default_rng(0))
    mends = Mends(peaks=str(tmp_path / "peaks.txt"), genome="hg38", of="model", min_fragments=50)
    return mends, found, tmp_path


def table(path: Path) -> dict[tuple[str, str], float]:
    with CanonicalCells.open(path) as cells:
        coo = cells.all().counts.tocoo()
        where = zip(cells.barcodes[coo.row], cells.names[coo.col], strict=True)
        return dict(zip(where, coo.data.tolist(), strict=True))


@pytest.mark.parametrize("block", [4_000_000, 101])
@pytest.mark.parametrize("name", ["fragments.tsv.gz", "fragments.tsv"])
def test_counts_equal_the_plainest_count(lab: tuple[Mends, list[Fragment], Path], name: str, block: int) -> None:
    mends, found, folder = lab
    path = write_fragments(found, folder / name, fifth=name.endswith("gz"))
    summary = canonicalise(path, folder / "out.h5ad", mends=mends, limits=Limits(block_values=block))
    plain = counted_plainly(found, as_names(some_peaks()))
    assert table(folder / "out.h5ad") == dict(plain)
    assert (summary.cells, summary.features, summary.modality) == (12, len(some_peaks()), Modality.ATAC)
    record = summary.mends[0]
    assert (record["what"], record["counted"], record["fragments"]) == ("recount", "insertions", len(found))
    inside = {(cut, chrom) for chrom, a, b, _ in found for cut in (a, b - 1)}
    assert 0 < record["in_peaks"] < 1 or not inside


def test_the_order_of_lines_and_the_spelling_of_chromosomes_are_irrelevant(
    lab: tuple[Mends, list[Fragment], Path],
) -> None:
    mends, found, folder = lab
    canonicalise(write_fragments(found, folder / "a.tsv.gz"), folder / "a.h5ad", mends=mends)
    bare = [(chrom.removeprefix("chr"), *rest) for chrom, *rest in found]
    shuffled = [bare[i] for i in np.random.default_rng(1).permutation(len(bare))]
    summary = canonicalise(write_fragments(shuffled, folder / "b.tsv.gz"), folder / "b.h5ad", mends=mends)
    assert table(folder / "a.h5ad") == table(folder / "b.h5ad")
    assert any("renamed as the model names them, such as" in note for note in summary.notes)


def on_another_build(found: list[Fragment], *, by: int) -> list[Fragment]:
    return [(chrom, start - by, end - by, cell) for chrom, start, end, cell in found]


def lifting(mends: Mends, folder: Path, *, onto: str = "hg38") -> Mends:
    """From hg19, where every place is 700 lower."""
    sizes = {name: chromosome_sizes("hg38")[name] for name in CHROMS}
    chain = shifted("hg19", "hg38", folder / "chains", chroms=sizes, by=700)
    return replace(mends, lift="hg19", onto=onto, chain=str(chain))


def test_fragments_of_another_build_are_lifted_end_by_end(lab: tuple[Mends, list[Fragment], Path]) -> None:
    mends, found, folder = lab
    path = write_fragments(on_another_build(found, by=700), folder / "hg19.tsv.gz")
    summary = run_in_child(path, folder / "out.h5ad", mends=lifting(mends, folder))
    assert table(folder / "out.h5ad") == dict(counted_plainly(found, as_names(some_peaks())))
    record = summary.mends[0]
    assert (record["from"], record["to"], record["lifted"]) == ("hg19", "hg38", 1.0)
    assert any("100.0% of the ends were lifted from hg19 to hg38" in note for note in summary.notes)
    assert len(summary.mends) == 1  # the counts are on the model's peaks: there is nothing left to lift


def test_what_cannot_be_lifted_is_refused_with_what_mends_it(lab: tuple[Mends, list[Fragment], Path]) -> None:
    mends, found, folder = lab
    path = write_fragments(found, folder / "here.tsv.gz")
    with pytest.raises(BadSetting, match="peaks they are counted on are of hg38"):
        canonicalise(path, folder / "a.h5ad", mends=lifting(mends, folder, onto="hg18"))
    elsewhere = write_fragments([(f"chr{7 + i % 2}", *rest) for i, (_, *rest) in enumerate(found)], folder / "b.tsv.gz")
    with pytest.raises(WrongGenome, match="have a place on hg38") as refused:
        canonicalise(elsewhere, folder / "b.h5ad", mends=lifting(mends, folder))
    assert "Are they on hg19?" in refused.value.hint


def test_the_child_counts_as_here_and_records_how(lab: tuple[Mends, list[Fragment], Path]) -> None:
    mends, found, folder = lab
    path = write_fragments(found, folder / "fragments.tsv.gz")
    here = canonicalise(path, folder / "here.h5ad", mends=mends)
    there = run_in_child(path, folder / "there.h5ad", mends=mends)
    assert here == there
    assert (folder / "here.h5ad").read_bytes() == (folder / "there.h5ad").read_bytes()
    with CanonicalCells.open(folder / "there.h5ad") as cells:
        assert cells.summary.mends == here.mends


def test_barcodes_with_few_fragments_are_no_cells(lab: tuple[Mends, list[Fragment], Path]) -> None:
    mends, found, folder = lab
    noise = [("chr1", 500_100 + i, 500_300 + i, f"NOISE{i % 9}-1") for i in range(40)]
    path = write_fragments([*found, *noise], folder / "fragments.tsv.gz")
    summary = canonicalise(path, folder / "out.h5ad", mends=mends)
    assert summary.cells == 12
    assert any("12 of 21 barcodes are cells: those with at least 50 fragments" in note for note in summary.notes)
    with pytest.raises(NoCells, match=r"No barcode of .* has 1,000 fragments; the fullest has 80"):
        canonicalise(path, folder / "none.h5ad", mends=Mends(peaks=mends.peaks))


def test_the_cells_of_another_file_are_found_under_their_other_names(
    lab: tuple[Mends, list[Fragment], Path],
) -> None:
    mends, found, folder = lab
    (folder / "cells.txt").write_text("CELL003\nCELL007\nCELL099\n")
    wanted = Mends(peaks=mends.peaks, cells=str(folder / "cells.txt"))
    summary = canonicalise(write_fragments(found, folder / "a.tsv.gz"), folder / "out.h5ad", mends=wanted)
    with CanonicalCells.open(folder / "out.h5ad") as cells:
        assert list(cells.barcodes) == ["CELL003-1", "CELL007-1"]
    assert any("those of the other file (2 of its 3)" in note for note in summary.notes)


def test_without_a_model_it_says_what_is_needed(lab: tuple[Mends, list[Fragment], Path]) -> None:
    _, found, folder = lab
    with pytest.raises(NeedsPeaks, match="counted on the peaks of a model") as caught:
        canonicalise(write_fragments(found, folder / "fragments.tsv.gz"), folder / "out.h5ad")
    assert "--model" in caught.value.hint


def test_another_genome_is_refused_by_its_ends_and_by_chance(lab: tuple[Mends, list[Fragment], Path]) -> None:
    mends, found, folder = lab
    end = chromosome_sizes("hg38")["chr2"]
    beyond = [("chr2", end + i, end + i + 100, "CELL000-1") for i in range(20)]
    with pytest.raises(WrongGenome, match=r"20 of 980 fragments lie beyond a chromosome's end .* where hg38 has"):
        canonicalise(write_fragments([*found, *beyond], folder / "a.tsv.gz"), folder / "out.h5ad", mends=mends)
    aside = [(chrom, start + 9_000_000, stop + 9_000_000, cell) for chrom, start, stop, cell in found]
    with pytest.raises(WrongGenome, match="no more than chance"):
        canonicalise(write_fragments(aside, folder / "b.tsv.gz"), folder / "out.h5ad", mends=mends)
    scaffold = [("GL000194.1", 5, 90, cell) for *_, cell in found]
    with pytest.raises(WrongGenome, match=r"they are on GL000194\.1"):
        canonicalise(write_fragments(scaffold, folder / "c.tsv.gz"), folder / "out.h5ad", mends=mends)


def test_many_cuts_that_hit_by_chance_alone_are_another_genome(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = np.sort(rng.choice(59_000, 5_000, replace=False)) * 1_000 + 1_000_000
    peaks = [f"chr1:{place}-{place + 800}" for place in places.tolist()]
    (tmp_path / "peaks.txt").write_text("\n".join(peaks))
    mends = Mends(peaks=str(tmp_path / "peaks.txt"), min_fragments=10)
    start = np.sort(rng.integers(1_000_000, 60_000_000, 12_000))
    # In one file the chance of the whole genome, in the other every second cut drawn to a peak.
    drawn = np.where(rng.random(12_000) < 0.5, rng.choice(places, 12_000) + rng.integers(0, 800, 12_000), start)
    for name, at in (("chance", start), ("right", drawn)):
        lines = "".join(f"chr1\t{a}\t{a + 3000}\tC{a % 7}\n" for a in at.tolist())
        (tmp_path / f"{name}.tsv").write_text(lines)
    with pytest.raises(WrongGenome, match="no more than chance"):
        canonicalise(tmp_path / "chance.tsv", tmp_path / "out.h5ad", mends=mends)
    assert canonicalise(tmp_path / "right.tsv", tmp_path / "out.h5ad", mends=mends).cells == 7


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chr1\t5\n", r"Line 4 of .* Expected 5 columns, got 2"),
        ("chr1\tx\t9\tA-1\t1\n", r"Line 4 of .* invalid value 'x'"),
        ("chr1\t90\t9\tA-1\t1\n", "Line 4 of .* runs from 90 to 9"),
        ("chr1\t-5\t9\tA-1\t1\n", "Line 4 of .* runs from -5 to 9"),
        ("chr1\t5\t99999999999\tA-1\t1\n", "Line 4 of .* runs from 5 to 99,999,999,999"),
    ],
)
def test_a_wrong_line_is_named(lab: tuple[Mends, list[Fragment], Path], line: str, said: str) -> None:
    mends, found, folder = lab
    good = "".join("\t".join(map(str, (*one, 1))) + "\n" for one in found[:2])
    (folder / "a.tsv").write_text("# a comment\n" + good + line + good)
    with pytest.raises(CorruptMatrix, match=said):
        canonicalise(folder / "a.tsv", folder / "out.h5ad", mends=mends)
