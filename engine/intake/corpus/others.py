"""Uploads that are no HDF5 file, or are more than one file at once."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np

from engine.intake.corpus.kit import CANARY, CLEANED, attack, canary, good


@attack("not-hdf5")
def no_file_at_all(path: Path) -> None:
    path.unlink(missing_ok=True)


@attack("not-hdf5")
def empty_file(path: Path) -> None:
    path.write_bytes(b"")


@attack("not-hdf5")
def plain_text(path: Path) -> None:
    path.write_text("these are not the cells you are looking for\n")


@attack("not-hdf5")
def csv_table(path: Path) -> None:
    path.write_text("cell,GATA1,SPI1\nA,1,2\n")


@attack("not-hdf5")
def gzip_archive(path: Path) -> None:
    path.write_bytes(gzip.compress(b"cells"))


@attack("not-hdf5")
def gzip_bomb(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(8):
            stream.write(bytes(8 << 20))


@attack("not-hdf5")
def gzip_inside_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.compress(bytes(1 << 20))))


@attack("not-hdf5")
def zip_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.h5ad", "x")


@attack("unsafe-file")
def zip_that_leaves_its_folder(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../outside/canary.h5", "overwritten")


@attack("not-hdf5")
def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.h5ad", bytes(32 << 20))


@attack("unsafe-file")
def tar_with_a_device(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        device = tarfile.TarInfo("x.h5ad")
        device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 5
        archive.addfile(device)


@attack("not-hdf5")
def python_pickle(path: Path) -> None:
    path.write_bytes(b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.")


@attack("not-hdf5")
def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>Sign in</body></html>")


@attack("not-hdf5")
def truncated_file(path: Path) -> None:
    good(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@attack("not-hdf5")
def signature_alone(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n")


@attack("not-hdf5")
def signature_and_noise(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + np.random.default_rng(0).bytes(4_096))


@attack("not-hdf5")
def zip_before_the_hdf5(path: Path) -> None:
    _beside_a_user_block(path, _small_zip())


@attack("unsafe-file")
def script_before_the_hdf5(path: Path) -> None:
    _beside_a_user_block(path, b"#!/bin/sh\necho taken over\nexit 0\n")


@attack("unsafe-file")
def page_before_the_hdf5(path: Path) -> None:
    _beside_a_user_block(path, b"<!DOCTYPE html><script>alert(1)</script><!--")


@attack(CLEANED)
def zip_after_the_hdf5(path: Path) -> None:
    """Accepted: what follows the HDF5 file is not part of it, and not of the copy."""
    good(path)
    with path.open("ab") as stream:
        stream.write(_small_zip())


@attack("not-anndata")
def hdf5_without_anndata(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("numbers", data=np.arange(4))


@attack("not-anndata")
def hdf5_without_anything(path: Path) -> None:
    h5py.File(path, "w").close()


@attack("not-hdf5")
def pipe(path: Path) -> None:
    os.mkfifo(path)


@attack("not-hdf5")
def listening_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may only be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


@attack("not-hdf5")
def folder(path: Path) -> None:
    path.mkdir()


@attack("unsafe-file")
def link_to_another_file(path: Path) -> None:
    path.symlink_to(canary(path))


@attack("unsafe-file")
def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@attack("unsafe-file")
def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _small_zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("payload.txt", CANARY)
    return made.getvalue()


def _beside_a_user_block(path: Path, before: bytes) -> None:
    good(path)
    with h5py.File(path, "r") as plain, h5py.File(path.with_name("blocked"), "w", userblock_size=512) as blocked:
        for name in plain:
            plain.copy(name, blocked)
    path.with_name("blocked").replace(path)
    with path.open("rb+") as stream:
        stream.write(before[:512])
