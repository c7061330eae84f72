"""What a source is, by its first bytes: HDF5 as it lies, or text and archives put into HDF5 beside the copy."""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import NotHDF5
from engine.intake import archive, mtx
from engine.intake.limits import Limits
from engine.intake.look import open_hdf5, require_hdf5
from engine.intake.texts import GZIP

if TYPE_CHECKING:
    from engine.intake.mends import Mends

ZIP = b"PK\x03\x04"
HEAD = 1 << 16
BANNER = b"%%MatrixMarket"


@dataclass(frozen=True)
class Opened:
    """file: open HDF5. left: what is still to be mended. notes: what was done to make it so; mends: as records."""

    file: Any
    left: Mends
    notes: list[str] = field(default_factory=list)
    mends: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def opened(path: Path, scratch: Path, limits: Limits, mends: Mends, *, called: str) -> Iterator[Opened]:
    """The source as an open HDF5 file, and what was done to make it one.

    scratch: an own folder, cleared by its owner. Raises NotHDF5 for what is none of the known kinds, and what their
    readers raise.
    """
    notes: list[str] = []
    records: list[dict[str, Any]] = []
    made = scratch / "assembled.h5"
    if (kind := kind_of(path)) == "hdf5":
        require_hdf5(path, called=called)
        made = path
    elif kind == "fragments":
        from engine.intake import fragments

        notes, record = fragments.assemble(path, made, scratch, limits, mends, called=called)
        records.append(record)
        mends = replace(mends, lift="")
    else:
        parts = (
            mtx.in_folder(path, called=called)
            if kind == "folder"
            else archive.unpack(path, scratch, limits, called=called, packing=kind)
        )
        notes.append(mtx.assemble(parts, made, scratch, limits))
    with open_hdf5(made, called=called) as file:
        yield Opened(file, mends, notes, records)


def kind_of(path: Path) -> str:
    """ "folder" of 10x, "zip", "tar", "fragments", or "hdf5" for all else, which its reader then judges."""
    if path.is_dir():
        return "folder" if any(mtx.role(child.name) is not None for child in path.iterdir()) else "hdf5"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "hdf5"
        head = _head(path)
    except OSError:
        return "hdf5"
    text = _inner(head) if head.startswith(GZIP) else head
    if head.startswith(ZIP):
        return "zip"
    if text[257:262] == b"ustar":
        return "tar"
    if text.startswith(BANNER):
        raise NotHDF5(
            f"{path.name} is a matrix without the names of its cells and features.",
            hint=f"Give the folder it lies in, or pack that folder as .zip or .tar.gz: {mtx.THREE}.",
        )
    from engine.intake.fragments import looks_like_fragments

    return "fragments" if looks_like_fragments(text) else "hdf5"


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD)


def _inner(head: bytes) -> bytes:
    """The first bytes inside a gzip file, from its own first bytes."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD)
    except (zlib.error, gzip.BadGzipFile):
        return b""
