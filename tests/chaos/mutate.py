"""Small valid files of every format, changed at random: in their bytes, or in what HDF5 says with them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engine.intake.corpus import SOUND
from engine.intake.corpus.kit import canary_of

Rng = np.random.Generator
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = ("", "csr_matrix", "csc_matrix", "categorical", "../x", "\x1b[31m", "A" * 3_000, "\u202e", "_index", "=1+1")
VALUES: tuple[Callable[[Rng], Any], ...] = (
    lambda rng: rng.integers(-3, 9, size=rng.integers(0, 40)),
    lambda rng: rng.normal(size=(6, 5)),
    lambda rng: rng.poisson(2, size=(int(rng.integers(0, 14)), int(rng.integers(0, 14)))),
    lambda rng: np.array([2**63 - 1, -(2**63), 0, 5]),
    lambda rng: np.array([np.nan, np.inf, -np.inf, 1.0]),
    lambda rng: np.full((6, 5), True),
    lambda rng: np.array([b"a", b"\xff\x00", b"c" * 300]),
    lambda rng: str(rng.choice(TEXTS)),
    lambda rng: h5py.Empty("f4"),
    lambda rng: np.zeros(6, dtype=[("index", "S4"), ("n", "i4")]),
    lambda rng: np.ones((6, 5), dtype=">f8"),
    lambda rng: np.ones((6, 5), dtype=np.complex64),
)


def mutated(path: Path, rng: Rng) -> str:
    """Write one changed file to `path`; returns what was done, in words. The same rng makes the same file."""
    seed = str(rng.choice(list(SOUND)))
    SOUND[seed](path)
    done = [seed]
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            done.append(_structure(path, rng))
    if len(done) == 1 or rng.random() < 0.35:
        change_bytes(path, rng, done)
    return " ".join(done)


def change_bytes(path: Path, rng: Rng, done: list[str]) -> None:
    """One to three changes that know nothing of the format; their names are added to `done`."""
    raw = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(1, 4))):
        how = BYTES[int(rng.integers(len(BYTES)))]
        raw = how(raw, rng)
        done.append(how.__name__)
    path.write_bytes(raw)


def flip_bits(raw: bytearray, rng: Rng) -> bytearray:
    for at in rng.integers(0, max(len(raw), 1), size=int(2 ** rng.integers(0, 7))):
        if len(raw):
            raw[at] ^= 1 << int(rng.integers(8))
    return raw


def write_number(raw: bytearray, rng: Rng) -> bytearray:
    width = int(rng.choice([1, 2, 4, 8]))
    at = int(rng.integers(0, max(len(raw) // width, 1))) * width
    raw[at : at + width] = (int(NUMBERS[rng.integers(len(NUMBERS))]) % 256**width).to_bytes(width, "little")
    return raw


def splice(raw: bytearray, rng: Rng) -> bytearray:
    size = int(rng.integers(1, 600))
    a, b = (int(rng.integers(0, max(len(raw) - size, 1))) for _ in range(2))
    raw[b : b + size] = raw[a : a + size]
    return raw


def fill(raw: bytearray, rng: Rng) -> bytearray:
    size, at = int(rng.integers(1, 300)), int(rng.integers(0, max(len(raw), 1)))
    raw[at : at + size] = bytes([int(rng.choice([0, 0xFF, 0x41]))]) * len(raw[at : at + size])
    return raw


def truncate(raw: bytearray, rng: Rng) -> bytearray:
    return raw[: int(rng.integers(0, len(raw) + 1))]


def insert(raw: bytearray, rng: Rng) -> bytearray:
    at = int(rng.integers(0, len(raw) + 1))
    raw[at:at] = rng.bytes(int(rng.integers(1, 64)))
    return raw


BYTES = (flip_bits, flip_bits, write_number, write_number, splice, fill, truncate, insert)


def _structure(path: Path, rng: Rng) -> str:
    with h5py.File(path, "r+") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names: list[str] = []
        file.visit(names.append)  # links that lead elsewhere are not followed
        if not names:
            return "nothing"
        name = str(rng.choice(sorted(names)))
        how = EDITS[int(rng.integers(len(EDITS)))]
        try:
            how(file, name, str(rng.choice(sorted(names))), path, rng)
        except (OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError, OverflowError):
            return f"no {how.__name__}"
        return f"{how.__name__}({name})"


def delete(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    del file[name]


def replace_values(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    del file[name]
    file[name] = VALUES[int(rng.integers(len(VALUES)))](rng)


def change_values(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    values = file[name][...]
    flat = values.reshape(-1)
    flat[int(rng.integers(max(len(flat), 1)))] = rng.choice([-1, 0, 1, 255, -128, 2**31 - 1])
    file[name][...] = values


def exchange(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    file.move(name, "between")
    file.move(other, name)
    file.move("between", other)


def link_hard(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    del file[name]
    file[name] = file[other]


def link_soft(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    del file[name]
    file[name] = h5py.SoftLink(f"/{other}")


def link_outside(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    del file[name]
    file[name] = h5py.ExternalLink(str(canary_of(path)), str(rng.choice(["/", "/X", "/dense", "/texts"])))


def set_attribute(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    known = ["encoding-type", "shape", "_index", "h5sparse_format", "column-order", str(rng.choice(TEXTS))]
    value = VALUES[int(rng.integers(len(VALUES)))](rng) if rng.random() < 0.5 else str(rng.choice(TEXTS))
    file[name].attrs[str(rng.choice(known))] = value


def drop_attribute(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    del file[name].attrs[str(rng.choice(sorted(file[name].attrs)))]


def rename(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    file.move(name, f"{name.rpartition('/')[0]}/{rng.choice(TEXTS)}")


def store_anew(file: Any, name: str, other: str, path: Path, rng: Rng) -> None:
    values = file[name][...]
    del file[name]
    file.create_dataset(name, data=values, chunks=True, compression=str(rng.choice(["gzip", "lzf"])), shuffle=True)


EDITS = (delete, replace_values, change_values, change_values, exchange, link_hard, link_soft, link_outside,
         set_attribute, set_attribute, drop_attribute, rename, store_anew)  # fmt: skip
