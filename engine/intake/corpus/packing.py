"""Compression used as a weapon: filters nobody knows, chunks that unpack to more than they say."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engine.intake.corpus.kit import attack, counts_of, good, skeleton, write_csr


def _filtered(path: Path, *filters: tuple[int, tuple[int, ...]]) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((6, 5))
    for code, options in filters:
        plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, options)
    with skeleton(path) as file:
        space = h5py.h5s.create_simple((6, 5))
        h5py.h5d.create(file.id, b"X", h5py.h5t.IEEE_F32LE, space, plist)


@attack("unsafe-file")
def unknown_filter(path: Path) -> None:
    _filtered(path, (32_099, (1,)))


@attack("unsafe-file")
def filter_of_a_plugin(path: Path) -> None:
    """Blosc: HDF5 would look for a library to load."""
    _filtered(path, (32_001, (2, 2, 4, 120, 5, 1, 1)))


@attack("unsafe-file")
def filter_of_a_plugin_on_labels(path: Path) -> None:
    good(path)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((6,))
    plist.set_filter(32_015, h5py.h5z.FLAG_OPTIONAL, (3,))
    with h5py.File(path, "r+") as file:
        kind, space = h5py.h5t.C_S1.copy(), h5py.h5s.create_simple((6,))
        kind.set_size(8)
        h5py.h5d.create(file["obs"].id, b"cell_type", kind, space, plist)


@attack("unsafe-file")
def gzip_twice(path: Path) -> None:
    _filtered(path, (1, (9,)), (1, (9,)))


@attack("unsafe-file")
def gzip_and_lzf(path: Path) -> None:
    _filtered(path, (1, (9,)), (32_000, (4, 261, 120)))


@attack("unsafe-file")
def shuffled_after_gzip(path: Path) -> None:
    _filtered(path, (1, (9,)), (2, (4,)))


@attack("too-large")
def declares_320_gb(path: Path) -> None:
    with skeleton(path) as file:
        file.create_dataset("X", (400_000, 200_000), np.float32, chunks=(64, 1024), compression="gzip")


@attack("too-large")
def decompression_bomb(path: Path) -> None:
    rows, columns = 128, 1 << 22
    bomb = zlib.compress(bytes(4 * columns), 9)
    with skeleton(path) as file:
        data = file.create_dataset("X", (rows, columns), np.float32, chunks=(1, columns), compression="gzip")
        for i in range(rows):
            data.id.write_direct_chunk((i, 0), bomb)


@attack("too-large")
def decompression_bomb_in_small_columns(path: Path) -> None:
    """Each column is small enough to pass alone: all of them unpack to gigabytes."""
    good(path)
    cells = 1 << 20
    bomb = zlib.compress(bytes(8 * cells), 9)
    with h5py.File(path, "r+") as file:
        for i in range(200):
            data = file.create_dataset(f"obs/c{i}", (cells,), np.int64, chunks=(cells,), compression="gzip")
            data.id.write_direct_chunk((0,), bomb)


def chunk_that_inflates(values: int, megabytes: int) -> tuple[int, bytes]:
    """A gzip stream of many more bytes than its chunk of `values` float32; and the chunk's length."""
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # stands alone: can be repeated
    return values, start + again * (megabytes - 1) + packer.flush()


def _one_chunk(path: Path, name: str, values: int, chunk: bytes) -> None:
    with skeleton(path) as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": np.array([6, 5])})
        x = counts_of()
        for part in ("data", "indices", "indptr"):
            if part != name:
                group.create_dataset(part, data=getattr(x, part))
        data = group.create_dataset(name, getattr(x, name).shape, "f4" if name == "data" else "i4", chunks=(values,),
                                    maxshape=(None,), compression="gzip")  # fmt: skip
        data.id.write_direct_chunk((0,), chunk)


@attack("too-large")
def chunk_of_4_mb_that_unpacks_to_1_gb(path: Path) -> None:
    _one_chunk(path, "data", *chunk_that_inflates(1 << 20, 1_000))


@attack("too-large")
def chunk_of_256_bytes_that_unpacks_to_1_gb(path: Path) -> None:
    _one_chunk(path, "indices", *chunk_that_inflates(64, 1_000))


@attack("corrupt-matrix")
def chunk_that_is_no_gzip_stream(path: Path) -> None:
    _one_chunk(path, "data", 64, b"\x00" * 200)


@attack("corrupt-matrix")
def chunk_that_unpacks_to_too_little(path: Path) -> None:
    _one_chunk(path, "indptr", 64, zlib.compress(b"\x00" * 8))  # the rest is whatever memory held


@attack("too-large")
def one_enormous_chunk(path: Path) -> None:
    with skeleton(path) as file:
        file.create_dataset("X", (20_000, 20_000), np.float32, chunks=(20_000, 20_000), compression="gzip")


@attack("too-large")
def chunks_that_claim_more_bytes_than_the_file_has(path: Path) -> None:
    with skeleton(path) as file:
        data = file.create_dataset("X", (6, 5), np.float32, chunks=(6, 5), compression="gzip")
        data[:] = counts_of().toarray()
        stored, at = data.id.get_chunk_info(0).size, data.id.get_chunk_info(0).byte_offset
    raw = bytearray(path.read_bytes())
    key = raw.index(struct.pack("<II", stored, 0) + bytes(24) + struct.pack("<Q", at))  # size, mask, offsets, address
    raw[key : key + 4] = struct.pack("<I", 0x7FFF_FFFF)
    path.write_bytes(raw)


@attack("too-large")
def loom_declares_16_tb(path: Path) -> None:
    from engine.intake.corpus.kit import good_loom

    good_loom(path, matrix=None)
    _declare(path, "matrix", (2_000_000, 2_000_000))


@attack("too-large")
def tenx_declares_16_tb(path: Path) -> None:
    from engine.intake.corpus.kit import good_tenx

    good_tenx(path, data=None)
    _declare(path, "matrix/data", (1 << 42,))


@attack("too-large")
def mudata_that_declares_320_gb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("mod/rna")
    _declare(path, "mod/rna/X", (400_000, 200_000))


def _declare(path: Path, name: str, shape: Any) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset(name, shape, np.float32, chunks=(64,) * len(shape), compression="gzip")


@attack("too-large")
def sparse_values_that_declare_16_tb(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        for part in ("data", "indices"):
            del file[f"X/{part}"]
    for part in ("data", "indices"):
        _declare(path, f"X/{part}", (1 << 42,))
