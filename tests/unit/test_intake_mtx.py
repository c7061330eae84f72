"""10x folders: read whole from a folder or an archive, in any order, and refused by the line that is wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadInput, CorruptMatrix, NotCounts, NotHDF5, WrongModality
from engine.intake import CanonicalCells, Limits, canonicalise, run_in_child
from engine.types import Cells, Modality, PairedCells
from tests.builders import paired
from tests.mtx import Files, folder_files, write_folder, write_tar, write_zip


@pytest.fixture(scope="module")
def pair() -> PairedCells:
    return paired(cells=40, genes=15, peaks=26, rng=np.random.default_rng(0))


def read(path: Path, out: Path, modality: Modality | None, limits: Limits | None = None) -> Cells:
    canonicalise(path, out, modality=modality, limits=limits)
    with CanonicalCells.open(out) as cells:
        return cells.all()


def same(found: Cells, pair: PairedCells, modality: Modality) -> None:
    wanted = pair.of(modality)
    assert list(found.space.names) == list(wanted.space.names)
    assert list(found.barcodes) == [f"{name}-1" for name in pair.barcodes]
    np.testing.assert_array_equal(found.counts.toarray(), wanted.counts.toarray())


@pytest.mark.parametrize("order", ["cell", "feature", "any"])
@pytest.mark.parametrize("block", [4_000_000, 37])
def test_entries_in_any_order_and_any_blocks_give_the_same_cells(
    pair: PairedCells, tmp_path: Path, order: str, block: int
) -> None:
    folder = write_folder(folder_files(pair, order=order), tmp_path / "mtx")
    for modality in Modality:
        same(read(folder, tmp_path / "out.h5ad", modality, Limits(block_values=block)), pair, modality)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mtx", "out.h5ad"]


@pytest.mark.parametrize("how", ["zip", "tar", "tar.gz", "plain folder", "turned"])
def test_every_packing_gives_the_same_cells(pair: PairedCells, tmp_path: Path, how: str) -> None:
    files = folder_files(pair, packed=how != "plain folder", turned=how == "turned")
    if how == "zip":
        path = write_zip(files, tmp_path / "a.zip")
    elif how.startswith("tar"):
        path = write_tar(files, tmp_path / f"a.{how}", mode="w:gz" if how.endswith("gz") else "w")
    else:
        path = write_folder(files, tmp_path / "folder")
    same(read(path, tmp_path / "out.h5ad", Modality.ATAC), pair, Modality.ATAC)


def test_old_folders_and_samples_of_geo_are_read(pair: PairedCells, tmp_path: Path) -> None:
    files = {f"GSM12_liver_{name}": text for name, text in folder_files(pair, old=True).items()}
    same(read(write_folder(files, tmp_path / "geo"), tmp_path / "out.h5ad", None), pair, Modality.RNA)


def test_the_child_reads_a_folder_and_says_from_what(pair: PairedCells, tmp_path: Path) -> None:
    folder = write_folder(folder_files(pair), tmp_path / "mtx")
    summary = run_in_child(folder, tmp_path / "out.h5ad", modality=Modality.RNA)
    assert (summary.cells, summary.features, summary.counts_from) == (40, 15, "matrix")
    assert summary.notes[0] == "Read from matrix.mtx.gz with barcodes.tsv.gz and features.tsv.gz."


def test_blanks_and_tabs_and_floats_are_numbers_too(pair: PairedCells, tmp_path: Path) -> None:
    files = folder_files(pair, packed=False)
    head, _, rest = files["matrix.mtx"].partition(b"%metadata_json: {}\n")
    size, _, entries = rest.partition(b"\n")
    entries = entries.replace(b" ", b" \t ").replace(b"\n", b".0 \r\n")
    files["matrix.mtx"] = head.replace(b"integer", b"real") + b"%\n%\n" + size + b"\r\n" + entries
    same(read(write_folder(files, tmp_path / "mtx"), tmp_path / "out.h5ad", Modality.RNA), pair, Modality.RNA)


def test_peaks_bed_names_the_features(pair: PairedCells, tmp_path: Path) -> None:
    atac = paired(cells=40, genes=15, peaks=26, rng=np.random.default_rng(0))
    files = folder_files(PairedCells(atac.rna, atac.atac), packed=False)
    rows = [name.replace(":", "\t").replace("-", "\t") for name in atac.atac.space.names]
    lines = files["matrix.mtx"].decode().split("\n")
    entries = [line.split() for line in lines[3:] if line and int(line.split()[0]) > 15]
    text = [lines[0], f"26 40 {len(entries)}", *(f"{int(f) - 15} {c} {v}" for f, c, v in entries)]
    files = {"matrix.mtx": "\n".join(text).encode(), "barcodes.tsv": files["barcodes.tsv"],
             "peaks.bed": ("# of Cell Ranger ATAC\n" + "\n".join(rows)).encode()}  # fmt: skip
    same(read(write_folder(files, tmp_path / "atac"), tmp_path / "out.h5ad", None), pair, Modality.ATAC)


def changed(files: Files, old: bytes, new: bytes, *, name: str = "matrix.mtx") -> Files:
    assert old in files[name]
    return {**files, name: files[name].replace(old, new, 1)}


def line(files: Files, number: int) -> bytes:
    return files["matrix.mtx"].split(b"\n")[number - 1] + b"\n"


@pytest.mark.parametrize(
    ("new", "error", "said"),
    [
        (b"4 5\n", CorruptMatrix, "Line 9 of matrix.mtx cannot be read: Expected 3 columns, got 2"),
        (b"1 1 1 1\n", CorruptMatrix, "Line 9 of matrix.mtx cannot be read: Expected 3 columns, got 4"),
        (b"1 x 1\n", CorruptMatrix, "Line 9 of matrix.mtx .* invalid value 'x'"),
        (b"0 1 1\n", CorruptMatrix, "Line 9 of matrix.mtx names row 0 of 1 to 41"),
        (b"1 41 1\n", CorruptMatrix, "Line 9 of matrix.mtx names column 41 of 1 to 40"),
        (b"1 -3 1\n", CorruptMatrix, "names column -3"),
        (b"1 1 nan\n", CorruptMatrix, "not numbers"),
        (b"1 1 -2\n", CorruptMatrix, "negative"),
        (b"1 1 0.5\n", NotCounts, "fractional"),
        (b"", CorruptMatrix, "declares"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(
    pair: PairedCells, tmp_path: Path, new: bytes, error: type[Exception], said: str
) -> None:
    files = folder_files(pair, packed=False)
    folder = write_folder(changed(files, line(files, 9), new), tmp_path / "mtx")
    with pytest.raises(error, match=said):
        canonicalise(folder, tmp_path / "out.h5ad", modality=Modality.RNA)
    assert [p.name for p in tmp_path.iterdir()] == ["mtx"]


def test_tables_of_another_matrix_are_refused(pair: PairedCells, tmp_path: Path) -> None:
    files = folder_files(pair, packed=False)
    files["barcodes.tsv"] += b"ONE-MORE-1\n"
    with pytest.raises(CorruptMatrix, match="41 × 40, but 41 features and 41 barcodes are named"):
        canonicalise(write_folder(files, tmp_path / "mtx"), tmp_path / "out.h5ad", modality=Modality.RNA)


def test_what_is_missing_or_twice_is_said(pair: PairedCells, tmp_path: Path) -> None:
    files = folder_files(pair)
    lone = write_folder({"matrix.mtx.gz": files["matrix.mtx.gz"]}, tmp_path / "lone")
    with pytest.raises(NotHDF5, match=r"not hold a whole 10x matrix: there is matrix\.mtx\.gz"):
        canonicalise(lone, tmp_path / "out.h5ad")
    with pytest.raises(NotHDF5, match="without the names of its cells"):
        canonicalise(lone / "matrix.mtx.gz", tmp_path / "out.h5ad")
    twice = write_zip(files, tmp_path / "a.zip")
    write_zip({}, tmp_path / "b.zip")
    both = {f"{kind}/{name}": text for kind in ("raw", "filtered") for name, text in files.items()}
    with pytest.raises(BadInput, match="holds 2 matrices"):
        canonicalise(write_zip(both, twice, inside=""), tmp_path / "out.h5ad", modality=Modality.RNA)
    plain = gzip.decompress(files["barcodes.tsv.gz"])
    with pytest.raises(BadInput, match=r"holds both barcodes\.tsv and barcodes\.tsv\.gz"):
        canonicalise(write_folder({**files, "barcodes.tsv": plain}, tmp_path / "c"), tmp_path / "out.h5ad")


def test_a_folder_of_both_asks_which(pair: PairedCells, tmp_path: Path) -> None:
    with pytest.raises(WrongModality, match=r"both genes \(15\) and peaks \(26\)"):
        canonicalise(write_folder(folder_files(pair), tmp_path / "mtx"), tmp_path / "out.h5ad")
