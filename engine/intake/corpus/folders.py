"""10x folders and fragment files that contradict themselves, or never end."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from engine.intake.corpus.packs import bomb, files, matrix, megabytes, source, write_folder
from engine.intake.limits import Limits


@source("unsafe-file")
def folder_with_a_pipe(path: Path) -> Path:
    folder = write_folder(files(), path / "m")
    (folder / "barcodes.tsv").unlink()
    os.mkfifo(folder / "barcodes.tsv")
    return folder


@bomb("too-large")
def folder_with_a_gzip_bomb(path: Path, limits: Limits) -> Path:
    good = files()
    del good["matrix.mtx"]
    folder = write_folder(good, path / "m")
    with gzip.open(folder / "matrix.mtx.gz", "wb", compresslevel=9) as out:
        out.write(matrix("17 20 340", "1 1 1"))
        for _ in range(megabytes(limits)):
            out.write(b"\n" * (1 << 20))
    return folder


@source("corrupt-matrix")
def matrix_of_comments_alone(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("%", *("%" for _ in range(100_010)))), path / "m")


@source("corrupt-matrix")
def matrix_of_one_endless_line(path: Path) -> Path:
    return write_folder(files(matrix__mtx=b"%%MatrixMarket matrix" + b"x" * (9 << 20)), path / "m")


@source("corrupt-matrix")
def matrix_that_declares_other_sizes(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("999999999 999999999 1", "1 1 1")), path / "m")


@source("corrupt-matrix")
def matrix_that_declares_more_than_its_places(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 999999999999", "1 1 1")), path / "m")


@source("corrupt-matrix")
def matrix_with_more_entries_than_declared(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 1", "1 1 1", "1 2 1")), path / "m")


@source("corrupt-matrix")
def matrix_with_rows_out_of_range(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 2", "1 1 1", "18 1 1")), path / "m")


@source("corrupt-matrix")
def matrix_with_a_number_beyond_all_bounds(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 1", "1 1 1e300")), path / "m")


@source("corrupt-matrix")
def matrix_with_quotes_over_lines(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 1", '"1', '1" 1 1')), path / "m")


@source("corrupt-matrix")
def dense_matrix_market(path: Path) -> Path:
    return write_folder(files(matrix__mtx=b"%%MatrixMarket matrix array real general\n17 20\n1\n"), path / "m")


@source("corrupt-matrix")
def matrix_full_of_zero_bytes(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 1") + bytes(1 << 16)), path / "m")


@source("duplicate-names")
def folder_that_names_a_cell_twice(path: Path) -> Path:
    return write_folder(files(barcodes__tsv=b"A-1\n" * 20), path / "m")


@source("no-cells")
def folder_without_cells(path: Path) -> Path:
    return write_folder(files(barcodes__tsv=b"\n", matrix__mtx=matrix("17 0 0")), path / "m")


@source("corrupt-matrix")
def folder_cut_off(path: Path) -> Path:
    good = files()
    packed = gzip.compress(good.pop("matrix.mtx"))
    return write_folder({**good, "matrix.mtx.gz": packed[: len(packed) // 2]}, path / "m")


# -- fragments -------------------------------------------------------------------------------------------------------


def fragments(path: Path, *lines: str, many: int = 40) -> Path:
    right = [f"chr1\t{1_100 + i}\t{1_200 + i}\tA-1\t1" for i in range(many)]
    (path / "fragments.tsv").write_text("\n".join([*right, *lines, ""]))
    return path / "fragments.tsv"


@source("corrupt-matrix")
def fragments_that_end_before_they_start(path: Path) -> Path:
    return fragments(path, "chr1\t1300\t1200\tA-1\t1")


@source("corrupt-matrix")
def fragments_beyond_all_bounds(path: Path) -> Path:
    return fragments(path, "chr1\t1\t9223372036854775807\tA-1\t1")


@source("corrupt-matrix")
def fragments_with_a_number_too_long(path: Path) -> Path:
    return fragments(path, f"chr1\t1\t{'9' * 400}\tA-1\t1")


@source("corrupt-matrix")
def fragments_with_a_column_too_few(path: Path) -> Path:
    return fragments(path, "chr1\t1\t2")


@source("corrupt-matrix")
def fragments_of_one_endless_line(path: Path) -> Path:
    return fragments(path, "chr1\t1\t2\t" + "A" * (9 << 20))


@bomb("too-large")
def fragments_bomb(path: Path, limits: Limits) -> Path:
    lines = (b"chr1\t1100\t1200\t" + b"A" * 2_000 + b"\t1\n") * 500
    with gzip.open(path / "fragments.tsv.gz", "wb", compresslevel=9) as out:
        for _ in range((megabytes(limits) << 20) // len(lines)):
            out.write(lines)
    return path / "fragments.tsv.gz"


@bomb("corrupt-matrix")
def fragments_of_one_cell_without_end(path: Path, limits: Limits) -> Path:
    """Four hundred times as much as is stored, and more than one cell can be."""
    lines = b"chr1\t1100\t1200\tA-1\t1\n" * 1_000
    with gzip.open(path / "fragments.tsv.gz", "wb", compresslevel=9) as out:
        for _ in range(limits.cell_values // 2_000 + 1):  # two cuts a line
            out.write(lines)
    return path / "fragments.tsv.gz"


@source("corrupt-matrix")
def fragments_cut_off(path: Path) -> Path:
    packed = gzip.compress(fragments(path, many=5_000).read_bytes())
    (path / "fragments.tsv.gz").write_bytes(packed[: len(packed) - 90])
    return path / "fragments.tsv.gz"


@source("wrong-genome")
def fragments_of_no_known_chromosome(path: Path) -> Path:
    (path / "fragments.tsv").write_text("".join(f"scaffold{i}\t1\t50\tA-1\t1\n" for i in range(30)))
    return path / "fragments.tsv"


@source("no-cells")
def fragments_of_noise_alone(path: Path) -> Path:
    (path / "fragments.tsv").write_text("".join(f"chr1\t1100\t1200\tB{i}\t1\n" for i in range(500)))
    return path / "fragments.tsv"
