"""Archives of 10x folders that lie or lead elsewhere."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
from pathlib import Path

from engine.intake.corpus.kit import canary
from engine.intake.corpus.packs import bomb, files, good_members, megabytes, member, source, tar, write_tar, write_zip
from engine.intake.limits import Limits


@source("unsafe-file")
def tar_member_above_the_folder(path: Path) -> Path:
    return tar(path / "a.tar", (member("../../etc/matrix.mtx"), b"x"), *good_members())


@source("unsafe-file")
def tar_member_with_an_absolute_name(path: Path) -> Path:
    return tar(path / "a.tar", *good_members(), (member("/etc/cron.d/evil"), b"x"))


@source("unsafe-file")
def tar_symlink_as_barcodes(path: Path) -> Path:
    link = member("m/barcodes.tsv", type=tarfile.SYMTYPE, linkname=str(canary(path)))
    return tar(path / "a.tar", (link, b""), *good_members())


@source("unsafe-file")
def tar_hard_link(path: Path) -> Path:
    link = member("m/extra", type=tarfile.LNKTYPE, linkname=str(canary(path)))
    return tar(path / "a.tar.gz", (link, b""), *good_members(), mode="w:gz")


@source("unsafe-file")
def tar_device(path: Path) -> Path:
    return tar(path / "a.tar", (member("m/zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5), b""), *good_members())


@source("unsafe-file")
def tar_pipe(path: Path) -> Path:
    return tar(path / "a.tar", (member("m/barcodes.tsv", type=tarfile.FIFOTYPE), b""), *good_members())


@bomb("too-large")
def tar_bomb(path: Path, limits: Limits) -> Path:
    """Zeros, a thousandth of them as stored."""
    with gzip.open(path / "a.tar.gz", "wb", compresslevel=9) as out:
        info = member("m/matrix.mtx")
        info.size = megabytes(limits) << 20
        out.write(info.tobuf())
        for _ in range(megabytes(limits)):
            out.write(bytes(1 << 20))
    return path / "a.tar.gz"


@bomb("too-large")
def tar_of_too_many_members(path: Path, limits: Limits) -> Path:
    with tarfile.open(path / "a.tar.gz", "w:gz") as archive:
        for i in range(limits.objects + 1):
            archive.addfile(tarfile.TarInfo(f"m/{i}"))
    return path / "a.tar.gz"


@source("corrupt-matrix")
def tar_cut_off(path: Path) -> Path:
    whole = write_tar(files(), path / "a.tar.gz")
    whole.write_bytes(whole.read_bytes()[:-400])
    return whole


@source("not-hdf5")
def tar_without_a_matrix(path: Path) -> Path:
    return tar(path / "a.tar", (member("readme.txt"), b"cells to come"))


@source("bad-input")
def tar_with_one_file_twice(path: Path) -> Path:
    return tar(path / "a.tar", *good_members(), *good_members())


@source("unsafe-file")
def zip_member_above_the_folder(path: Path) -> Path:
    return write_zip({**files(), "../../matrix.mtx": b"x"}, path / "a.zip")


@source("unsafe-file")
def zip_member_of_a_windows_drive(path: Path) -> Path:
    return write_zip({**files(), "C:\\evil.tsv": b"x"}, path / "a.zip", inside="")


@source("unsafe-file")
def zip_symlink(path: Path) -> Path:
    link = zipfile.ZipInfo("m/barcodes.tsv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path / "a.zip", "w") as archive:
        archive.writestr(link, str(canary(path)))
        for name, text in files().items():
            archive.writestr(f"n/{name}", text)
    return path / "a.zip"


@bomb("too-large")
def zip_bomb_of_a_matrix(path: Path, limits: Limits) -> Path:
    with (
        zipfile.ZipFile(path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("m/matrix.mtx", "w", force_zip64=True) as out,
    ):
        for _ in range(megabytes(limits)):
            out.write(bytes(1 << 20))
    return path / "a.zip"


@source("corrupt-matrix")
def zip_that_declares_less_than_it_holds(path: Path) -> Path:
    whole = write_zip(files(), path / "a.zip", inside="")
    data = bytearray(whole.read_bytes())
    at = data.rfind(b"PK\x01\x02", 0, data.rfind(b"PK\x01\x02"))  # the directory's entry of barcodes.tsv
    data[at + 24 : at + 28] = (5).to_bytes(4, "little")
    whole.write_bytes(bytes(data))
    return whole


@source("unsafe-file")
def zip_that_is_encrypted(path: Path) -> Path:
    whole = write_zip(files(), path / "a.zip")
    data = bytearray(whole.read_bytes())
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 8] |= 1
    whole.write_bytes(bytes(data))
    return whole


@source("corrupt-matrix")
def zip_without_its_directory(path: Path) -> Path:
    whole = write_zip(files(), path / "a.zip")
    whole.write_bytes(whole.read_bytes()[:-60])
    return whole
