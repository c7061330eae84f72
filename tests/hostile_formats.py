"""Folders, archives, fragments and chain files that lie or lead elsewhere: a named writer each, and its code."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.builders import paired
from tests.mtx import Files, folder_files, write_folder, write_tar, write_zip

Writer = Callable[[Path], Path]
HOSTILE_FORMATS: dict[str, tuple[Writer, str]] = {}
SECRET = "of-another-user"
PEAKS = "chr1:1000-1400\nchr1:11000-11400\nchr2:1000-1400\n"


def attack(code: str) -> Callable[[Writer], Writer]:
    """Enter a writer into the corpus under its own name. It gets an empty folder, and returns the source in it."""

    def enter(writer: Writer) -> Writer:
        HOSTILE_FORMATS[writer.__name__] = (writer, code)
        return writer

    return enter


def files(**replaced: bytes) -> Files:
    """A good folder, plain; replaced by name with a dot for two underscores: matrix__mtx."""
    pair = paired(cells=20, genes=8, peaks=9, rng=np.random.default_rng(0))
    return folder_files(pair, packed=False) | {name.replace("__", "."): text for name, text in replaced.items()}


def matrix(size: str, *lines: str) -> bytes:
    head = "%%MatrixMarket matrix coordinate integer general"
    return "\n".join([head, size, *lines, ""]).encode()


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, text in members:
            info.size = len(text) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(text))
    return path


def member(name: str, **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in more.items():
        setattr(info, field, value)
    return info


def good_members() -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(member(f"m/{name}"), text) for name, text in files().items()]


# -- archives --------------------------------------------------------------------------------------------------------


@attack("unsafe-file")
def tar_member_above_the_folder(path: Path) -> Path:
    return tar(path / "a.tar", (member("../../etc/matrix.mtx"), b"x"), *good_members())


@attack("unsafe-file")
def tar_member_with_an_absolute_name(path: Path) -> Path:
    return tar(path / "a.tar", *good_members(), (member("/etc/cron.d/evil"), b"x"))


@attack("unsafe-file")
def tar_symlink_as_barcodes(path: Path) -> Path:
    (path / "secret").write_text(SECRET)
    link = member("m/barcodes.tsv", type=tarfile.SYMTYPE, linkname=str(path / "secret"))
    return tar(path / "a.tar", (link, b""), *good_members())


@attack("unsafe-file")
def tar_hard_link(path: Path) -> Path:
    link = member("m/extra", type=tarfile.LNKTYPE, linkname="/etc/passwd")
    return tar(path / "a.tar.gz", (link, b""), *good_members(), mode="w:gz")


@attack("unsafe-file")
def tar_device(path: Path) -> Path:
    return tar(path / "a.tar", (member("m/zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5), b""), *good_members())


@attack("unsafe-file")
def tar_pipe(path: Path) -> Path:
    return tar(path / "a.tar", (member("m/barcodes.tsv", type=tarfile.FIFOTYPE), b""), *good_members())


@attack("too-large")
def tar_bomb(path: Path) -> Path:
    """40 MB of zeros in 40 kB."""
    with gzip.open(path / "a.tar.gz", "wb", compresslevel=9) as out:
        info = member("m/matrix.mtx")
        info.size = 40 << 20
        out.write(info.tobuf())
        for _ in range(40):
            out.write(bytes(1 << 20))
    return path / "a.tar.gz"


@attack("too-large")
def tar_of_too_many_members(path: Path) -> Path:
    with tarfile.open(path / "a.tar.gz", "w:gz") as archive:
        for i in range(501):
            archive.addfile(tarfile.TarInfo(f"m/{i}"))
    return path / "a.tar.gz"


@attack("corrupt-matrix")
def tar_cut_off(path: Path) -> Path:
    whole = write_tar(files(), path / "a.tar.gz")
    whole.write_bytes(whole.read_bytes()[:-400])
    return whole


@attack("not-hdf5")
def tar_without_a_matrix(path: Path) -> Path:
    return tar(path / "a.tar", (member("readme.txt"), b"cells to come"))


@attack("bad-input")
def tar_with_one_file_twice(path: Path) -> Path:
    return tar(path / "a.tar", *good_members(), *good_members())


@attack("unsafe-file")
def zip_member_above_the_folder(path: Path) -> Path:
    return write_zip({**files(), "../../matrix.mtx": b"x"}, path / "a.zip")


@attack("unsafe-file")
def zip_member_of_a_windows_drive(path: Path) -> Path:
    return write_zip({**files(), "C:\\evil.tsv": b"x"}, path / "a.zip", inside="")


@attack("unsafe-file")
def zip_symlink(path: Path) -> Path:
    link = zipfile.ZipInfo("m/barcodes.tsv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        for name, text in files().items():
            archive.writestr(f"n/{name}", text)
    return path / "a.zip"


@attack("too-large")
def zip_bomb(path: Path) -> Path:
    with (
        zipfile.ZipFile(path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("m/matrix.mtx", "w", force_zip64=True) as out,
    ):
        for _ in range(40):
            out.write(bytes(1 << 20))
    return path / "a.zip"


@attack("corrupt-matrix")
def zip_that_declares_less_than_it_holds(path: Path) -> Path:
    whole = write_zip(files(), path / "a.zip", inside="")
    data = bytearray(whole.read_bytes())
    at = data.rfind(b"PK\x01\x02", 0, data.rfind(b"PK\x01\x02"))  # the directory's entry of barcodes.tsv
    data[at + 24 : at + 28] = (5).to_bytes(4, "little")
    whole.write_bytes(bytes(data))
    return whole


@attack("unsafe-file")
def zip_that_is_encrypted(path: Path) -> Path:
    whole = write_zip(files(), path / "a.zip")
    data = bytearray(whole.read_bytes())
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 8] |= 1
    whole.write_bytes(bytes(data))
    return whole


@attack("corrupt-matrix")
def zip_without_its_directory(path: Path) -> Path:
    whole = write_zip(files(), path / "a.zip")
    whole.write_bytes(whole.read_bytes()[:-60])
    return whole


# -- folders ---------------------------------------------------------------------------------------------------------


@attack("unsafe-file")
def folder_with_a_pipe(path: Path) -> Path:
    folder = write_folder(files(), path / "m")
    (folder / "barcodes.tsv").unlink()
    os.mkfifo(folder / "barcodes.tsv")
    return folder


@attack("too-large")
def folder_with_a_gzip_bomb(path: Path) -> Path:
    good = files()
    del good["matrix.mtx"]
    folder = write_folder(good, path / "m")
    with gzip.open(folder / "matrix.mtx.gz", "wb", compresslevel=9) as out:
        out.write(matrix("17 20 340", "1 1 1"))
        for _ in range(40):
            out.write(b"\n" * (1 << 20))
    return folder


@attack("corrupt-matrix")
def matrix_of_comments_alone(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("%", *("%" for _ in range(100_010)))), path / "m")


@attack("corrupt-matrix")
def matrix_of_one_endless_line(path: Path) -> Path:
    return write_folder(files(matrix__mtx=b"%%MatrixMarket matrix" + b"x" * (9 << 20)), path / "m")


@attack("corrupt-matrix")
def matrix_that_declares_other_sizes(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("999999999 999999999 1", "1 1 1")), path / "m")


@attack("corrupt-matrix")
def matrix_that_declares_more_than_its_places(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 999999999999", "1 1 1")), path / "m")


@attack("corrupt-matrix")
def matrix_with_more_entries_than_declared(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 1", "1 1 1", "1 2 1")), path / "m")


@attack("corrupt-matrix")
def matrix_with_rows_out_of_range(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 2", "1 1 1", "18 1 1")), path / "m")


@attack("corrupt-matrix")
def matrix_with_a_number_beyond_all_bounds(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 1", "1 1 1e300")), path / "m")


@attack("corrupt-matrix")
def matrix_with_quotes_over_lines(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 1", '"1', '1" 1 1')), path / "m")


@attack("corrupt-matrix")
def dense_matrix_market(path: Path) -> Path:
    return write_folder(files(matrix__mtx=b"%%MatrixMarket matrix array real general\n17 20\n1\n"), path / "m")


@attack("corrupt-matrix")
def matrix_full_of_zero_bytes(path: Path) -> Path:
    return write_folder(files(matrix__mtx=matrix("17 20 1") + bytes(1 << 16)), path / "m")


@attack("duplicate-names")
def folder_that_names_a_cell_twice(path: Path) -> Path:
    return write_folder(files(barcodes__tsv=b"A-1\n" * 20), path / "m")


@attack("no-cells")
def folder_without_cells(path: Path) -> Path:
    return write_folder(files(barcodes__tsv=b"\n", matrix__mtx=matrix("17 0 0")), path / "m")


@attack("corrupt-matrix")
def folder_cut_off(path: Path) -> Path:
    good = files()
    packed = gzip.compress(good.pop("matrix.mtx"))
    return write_folder({**good, "matrix.mtx.gz": packed[: len(packed) // 2]}, path / "m")


# -- fragments -------------------------------------------------------------------------------------------------------


def fragments(path: Path, *lines: str, many: int = 40) -> Path:
    right = [f"chr1\t{1_100 + i}\t{1_200 + i}\tA-1\t1" for i in range(many)]
    (path / "fragments.tsv").write_text("\n".join([*right, *lines, ""]))
    return path / "fragments.tsv"


@attack("corrupt-matrix")
def fragments_that_end_before_they_start(path: Path) -> Path:
    return fragments(path, "chr1\t1300\t1200\tA-1\t1")


@attack("corrupt-matrix")
def fragments_beyond_all_bounds(path: Path) -> Path:
    return fragments(path, "chr1\t1\t9223372036854775807\tA-1\t1")


@attack("corrupt-matrix")
def fragments_with_a_number_too_long(path: Path) -> Path:
    return fragments(path, f"chr1\t1\t{'9' * 400}\tA-1\t1")


@attack("corrupt-matrix")
def fragments_with_a_column_too_few(path: Path) -> Path:
    return fragments(path, "chr1\t1\t2")


@attack("corrupt-matrix")
def fragments_of_one_endless_line(path: Path) -> Path:
    return fragments(path, "chr1\t1\t2\t" + "A" * (9 << 20))


@attack("too-large")
def fragments_bomb(path: Path) -> Path:
    with gzip.open(path / "fragments.tsv.gz", "wb", compresslevel=9) as out:
        for _ in range(10):
            out.write(b"chr1\t1100\t1200\tA-1\t1\n" * (1 << 17))
    return path / "fragments.tsv.gz"


@attack("corrupt-matrix")
def fragments_cut_off(path: Path) -> Path:
    packed = gzip.compress(fragments(path, many=5_000).read_bytes())
    (path / "fragments.tsv.gz").write_bytes(packed[: len(packed) - 90])
    return path / "fragments.tsv.gz"


@attack("wrong-genome")
def fragments_of_no_known_chromosome(path: Path) -> Path:
    (path / "fragments.tsv").write_text("".join(f"{SECRET}{i}\t1\t50\tA-1\t1\n" for i in range(30)))
    return path / "fragments.tsv"


@attack("no-cells")
def fragments_of_noise_alone(path: Path) -> Path:
    (path / "fragments.tsv").write_text("".join(f"chr1\t1100\t1200\tB{i}\t1\n" for i in range(500)))
    return path / "fragments.tsv"
