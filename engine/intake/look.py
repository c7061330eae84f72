"""Look before loading: every link, filter and declared byte of an HDF5 file, before one value is read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import h5py

from engine.errors import BadInput, CorruptMatrix, NotAnnData, NotHDF5, TooLarge, UnsafeFile
from engine.intake.chunks import unpacks_beyond
from engine.intake.limits import Limits, human
from engine.intake.walk import Entry, Walk

SIGNATURE, USER_BLOCK = b"\x89HDF\r\n\x1a\n", 512
MUDATA_MARK = re.compile(rb"MuData \([\w.;=+ -]*\)\x00*")  # what mudata writes before the HDF5 part of .h5mu
MAGIC = (
    (b"\x1f\x8b", "a gzip archive", "Unpack it first (gunzip), then give the .h5ad inside."),
    (b"PK\x03\x04", "a zip archive", "Unpack it first, then give the .h5ad inside."),
    (b"BZh", "a bzip2 archive", "Unpack it first, then give the .h5ad inside."),
    (b"\xfd7zXZ", "an xz archive", "Unpack it first, then give the .h5ad inside."),
    (b"%%MatrixMarket", "a MatrixMarket table", "Read it with scanpy.read_10x_mtx and write .h5ad."),
    (b"RDX", "an R data file", "Write it as .h5ad from R, for example with anndataR."),
    (b"%PDF", "a PDF", "Give the .h5ad file itself."),
)


@dataclass(frozen=True)
class Layout:
    """What a file holds, known without reading any of its values.

    entries: by absolute path. links: path → path, for soft links and second hard links, all inside the file.
    base: the group that paths asked for start from. layer: the only matrix that may be taken for counts, where asked.
    values: whether predicted values are wanted, which any number may be, instead of counts.
    large_chunks: by data set, bytes of a chunk unpacked and where those lie that would have to be unpacked to know
    whether they say the truth.
    """

    entries: Mapping[str, Entry]
    links: Mapping[str, str]
    declared_bytes: int
    base: str = "/"
    layer: str = ""
    values: bool = False
    large_chunks: Mapping[str, tuple[int, list[tuple[int, ...]]]] = field(default_factory=dict)

    @property
    def chunk_bytes(self) -> int:
        """The largest chunk of any data set, unpacked."""
        return max((prod(entry.chunks) * entry.itemsize for entry in self.entries.values() if entry.chunks), default=0)

    @property
    def is_loom(self) -> bool:
        """Whether this is a loom file, as velocyto and loompy write: genes × cells, attributes of rows and columns."""
        matrix, tables = self.get("matrix"), (self.get("row_attrs"), self.get("col_attrs"))
        if matrix is None or matrix.is_group or self.get("obs") is not None:
            return False
        return all(table is not None and table.is_group for table in tables)

    @property
    def is_tenx(self) -> bool:
        """Whether this is a matrix of 10x Genomics' Cell Ranger 3 or later, or of Cell Ranger ARC."""
        known = ("matrix/barcodes", "matrix/features/name", "matrix/indptr")
        return self.get("obs") is None and all(self.get(path) is not None for path in known)

    @property
    def is_mudata(self) -> bool:
        """Whether this is a MuData file (.h5mu): an AnnData file a modality, under `mod`."""
        mods = self.get("mod")
        return mods is not None and mods.is_group and not any(self.get(name) for name in ("X", "layers", "raw"))

    def within(self, path: str) -> Layout | None:
        """The same file as seen from one of its groups; None where there is no such group."""
        real = self.resolve(path)
        return replace(self, base=real) if real is not None and self.entries[real].is_group else None

    def resolve(self, path: str) -> str | None:
        """The path of the object itself, following links inside the file; None where nothing is."""
        parts = [part for part in path.split("/") if part]
        here, hops = self.base, 0
        while parts:
            step = f"{here.rstrip('/')}/{parts.pop(0)}"
            if step not in self.links:
                here = step
                continue
            hops += 1
            if hops > 16:
                return None
            parts = [part for part in self.links[step].split("/") if part] + parts
            here = "/"
        return here if here in self.entries else None

    def get(self, path: str) -> Entry | None:
        real = self.resolve(path)
        return None if real is None else self.entries[real]

    def children(self, path: str) -> list[str]:
        """Names of what a group holds, in name order."""
        real = self.resolve(path)
        if real is None:
            return []
        start = real.rstrip("/") + "/"
        names = (key[len(start) :] for key in (*self.entries, *self.links) if key.startswith(start))
        return sorted(name for name in names if name and "/" not in name)


def look(path: Path, limits: Limits | None = None) -> Layout:
    """What the file declares, after refusing whatever points outside it or declares too much.

    Reads no values. Every problem found is told at once.
    Raises NotHDF5, NotAnnData, UnsafeFile, TooLarge, CorruptMatrix.
    """
    require_hdf5(path)
    with open_hdf5(path) as file:
        return look_at(file, limits or Limits())


def require_honest_chunks(file: Any, layout: Layout) -> None:
    """Raises TooLarge where a compressed chunk unpacks to more than it declares. Reads large chunks, one at a time."""
    for path, (nominal, chunks) in layout.large_chunks.items():
        if unpacks_beyond(file[path].id, chunks, nominal):
            raise TooLarge(
                f"{path} has a chunk that unpacks to more than the {nominal:,} bytes it declares.",
                hint="Write the file again from AnnData.",
            )


def open_hdf5(path: Path, *, called: str | None = None) -> Any:
    """The file, opened to read. called: what its owner calls it. Raises NotHDF5 when it breaks off."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise NotHDF5(
            f"{called or path.name} begins as HDF5 but cannot be opened: it is truncated or damaged.",
            hint="Copy or upload it again, and compare the file size with the original.",
        ) from error


def require_hdf5(path: Path, *, called: str | None = None) -> None:
    """Raises NotHDF5, saying what the file looks like instead, UnsafeFile. called: what its owner calls it."""
    name = called or path.name
    if path.is_symlink():
        raise UnsafeFile(f"{name} is a link to another file.", hint="Give the file itself.")
    if not path.exists():
        raise NotHDF5(f"There is no file {name}.", hint="Check the path.")
    if path.is_dir():
        raise NotHDF5(
            f"{name} is a folder, not an .h5ad file.",
            hint="A .zarr store can be written as .h5ad: anndata.read_zarr(folder).write_h5ad(file).",
        )
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise NotHDF5(f"{name} is not a regular file.", hint="Give an .h5ad file.")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{name} may not be read by this account.", hint="Change its rights (chmod +r).")
    if h5py.is_hdf5(path):
        return _require_one_file(path, name)
    what, hint = _sniff(path)
    raise NotHDF5(f"{name} is not an HDF5 file: it looks like {what}.", hint=hint)


def _require_one_file(path: Path, name: str) -> None:
    """Raises UnsafeFile where something else stands before the HDF5 part; mudata's own mark may."""
    with path.open("rb") as stream:
        head = stream.read(USER_BLOCK + len(SIGNATURE))
    if head.startswith(SIGNATURE) or (MUDATA_MARK.fullmatch(head[:USER_BLOCK]) and head.endswith(SIGNATURE)):
        return
    raise UnsafeFile(
        f"{name} begins with bytes that are no HDF5, as two files in one do.",
        hint="Load it where it was made and write it again with adata.write_h5ad.",
    )


def _sniff(path: Path) -> tuple[str, str]:
    again = "Give an .h5ad file as written by AnnData (adata.write_h5ad)."
    with path.open("rb") as stream:
        head = stream.read(2048)
    if not head:
        return "an empty file", "The upload or copy may have broken off: try again."
    for magic, what, hint in MAGIC:
        if head.startswith(magic):
            return what, hint
    if b"\x00" in head:
        return "a binary file of another kind", again
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return "a web page", "The link may lead to a sign-in or confirmation page: download the file itself."
    if start.startswith((b"{", b"[")):
        return "JSON text", again
    line = head.splitlines()[0]
    if b"\t" in line or b"," in line:
        return "a table of text (CSV or TSV)", "Read it with anndata.io.read_csv, check the orientation, write .h5ad."
    return "text or another format", again


def look_at(file: Any, limits: Limits, *, afar: bool = False) -> Layout:
    """`look` on a file already open. afar: it lies elsewhere; how far it would grow when unpacked is left to intake."""
    walk = Walk(limits, afar=afar)
    try:
        walk.run(file.id)
    except TooLarge as too_large:
        walk.problems.add(too_large)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
        walk.problems.add(
            CorruptMatrix(
                f"The file's own table of contents cannot be read ({str(error)[:160]}).",
                hint="Write it again from AnnData, or copy it again if it broke off.",
            )
        )
    layout = Layout(walk.entries, walk.links, walk.declared_bytes, large_chunks=walk.large_chunks)
    for problem in _after(walk, layout):
        walk.problems.add(problem)
    walk.problems.found.sort(key=_gravity)  # stable: what is unsafe is told before what is merely wrong
    walk.problems.raise_any()
    return layout


def _gravity(problem: BaseException) -> int:
    order: tuple[type[BaseException], ...] = (UnsafeFile, TooLarge, CorruptMatrix, NotAnnData)
    return next((i for i, kind in enumerate(order) if isinstance(problem, kind)), len(order))


def _after(walk: Walk, layout: Layout) -> Iterator[BadInput]:
    """What can only be judged once everything was seen."""
    for path, target in walk.soft.items():
        if layout.resolve(path) is None:
            yield UnsafeFile(
                f"{path} is a soft link to {target!r}, which is not in this file.",
                hint="Write the file again with AnnData, which stores values instead of links.",
            )
    if not walk.afar and walk.stored_bytes > walk.file_bytes:
        yield CorruptMatrix(
            f"The data sets claim {human(walk.stored_bytes)} of a file of {human(walk.file_bytes)}.",
            hint="Write it again from AnnData: some of them share the same bytes.",
        )
    declared, limits = walk.declared_bytes, walk.limits
    if not walk.afar and declared > limits.inflation_from and declared > limits.inflation * walk.file_bytes:
        yield TooLarge(
            f"The file grows from {human(walk.file_bytes)} to {human(declared)} when it is unpacked.",
            hint="Keep raw counts only, stored sparse.",
        )
    elif declared > limits.total_bytes and not walk.problems.found:
        yield TooLarge(
            f"The file declares {human(declared)} of values; {human(limits.total_bytes)} are allowed.",
            hint="Keep raw counts only, stored sparse, and drop other layers.",
        )
    # What was refused above is missing from the layout: saying so again would only confuse.
    if not walk.problems.found and not walk.soft and (problem := _not_anndata(layout)) is not None:
        yield problem


def _not_anndata(layout: Layout) -> NotAnnData | None:
    """What the file is instead, when obs, var or any matrix is missing."""
    has = {name: layout.get(name) is not None for name in ("obs", "var", "X", "layers", "raw")}
    if (
        layout.is_loom
        or layout.is_tenx
        or layout.is_mudata
        or (has["obs"] and has["var"] and (has["X"] or has["layers"] or has["raw"]))
    ):
        return None
    present = ", ".join(layout.children("/")[:8]) or "nothing"
    message = f"This HDF5 file is not an AnnData file: it holds {present}, and needs obs, var and X."
    hint = "Write it with adata.write_h5ad."
    if layout.get("row_attrs") is not None and layout.get("col_attrs") is not None:
        message, hint = "This is a loom file without its matrix.", "Write it again with velocyto or loompy."
    elif layout.get("matrix/barcodes") is not None:
        message = "This is a 10x Genomics .h5 matrix without its table of features."
        hint = "Convert it: scanpy.read_10x_h5(path, gex_only=False).write_h5ad('file.h5ad')."
    return NotAnnData(message, hint=hint)
