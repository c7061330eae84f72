"""Look before loading: every link, filter and declared byte of an HDF5 file, before one value is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engine.errors import BadInput, CorruptMatrix, NotAnnData, NotHDF5, TooLarge, UnsafeFile
from engine.intake.limits import Limits, Problems, human

KNOWN_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}  # those every h5py can read
WANTED_ATTRIBUTES = frozenset(
    {"encoding-type", "encoding-version", "_index", "shape", "h5sparse_format", "h5sparse_shape"}
)
FRAMES = frozenset({"/obs", "/var", "/raw/var"})
TYPES = {
    h5py.h5t.INTEGER: "int",
    h5py.h5t.FLOAT: "float",
    h5py.h5t.STRING: "text",
    h5py.h5t.ENUM: "bool",
    h5py.h5t.COMPOUND: "compound",
}
MAGIC = (
    (b"\x1f\x8b", "a gzip archive", "Unpack it first (gunzip), then give the .h5ad inside."),
    (b"PK\x03\x04", "a zip archive", "Unpack it first, then give the .h5ad inside."),
    (b"BZh", "a bzip2 archive", "Unpack it first, then give the .h5ad inside."),
    (b"\xfd7zXZ", "an xz archive", "Unpack it first, then give the .h5ad inside."),
    (b"%%MatrixMarket", "a MatrixMarket table", "Read it with scanpy.read_10x_mtx and write .h5ad."),
    (b"RDX", "an R data file", "Write it as .h5ad from R, for example with anndataR."),
    (b"%PDF", "a PDF", "Give the .h5ad file itself."),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One group or data set as it declares itself; `type` is "group", or what its values are."""

    path: str
    type: str
    shape: tuple[int, ...] = ()
    itemsize: int = 0
    chunks: tuple[int, ...] | None = None
    attributes: Mapping[str, str | tuple[int, ...]] = field(default_factory=dict)

    @property
    def is_group(self) -> bool:
        return self.type == "group"

    @property
    def declared_bytes(self) -> int:
        return prod(self.shape) * self.itemsize

    def text(self, attribute: str) -> str:
        value = self.attributes.get(attribute, "")
        return value if isinstance(value, str) else ""

    def numbers(self, attribute: str) -> tuple[int, ...]:
        value = self.attributes.get(attribute, ())
        return value if isinstance(value, tuple) else ()


@dataclass(frozen=True)
class Layout:
    """What a file holds, known without reading any of its values.

    entries: by absolute path. links: path → path, for soft links and second hard links, all inside the file.
    base: the group that paths asked for start from.
    """

    entries: Mapping[str, Entry]
    links: Mapping[str, str]
    declared_bytes: int
    base: str = "/"

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
    """Raises NotHDF5, saying what the file looks like instead. called: what its owner calls it."""
    name = called or path.name
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
        return
    what, hint = _sniff(path)
    raise NotHDF5(f"{name} is not an HDF5 file: it looks like {what}.", hint=hint)


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


def look_at(file: Any, limits: Limits) -> Layout:
    """`look` on a file already open."""
    walk = _Walk(limits)
    try:
        walk.run(file.id)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        walk.problems.add(
            CorruptMatrix(
                f"The file's own table of contents cannot be read ({str(error)[:160]}).",
                hint="Write it again from AnnData, or copy it again if it broke off.",
            )
        )
    layout = Layout(walk.entries, walk.links, walk.declared_bytes)
    for problem in walk.after(layout):
        walk.problems.add(problem)
    walk.problems.found.sort(key=_gravity)  # stable: what is unsafe is told before what is merely wrong
    walk.problems.raise_any()
    return layout


def _gravity(problem: BaseException) -> int:
    order: tuple[type[BaseException], ...] = (UnsafeFile, TooLarge, CorruptMatrix, NotAnnData)
    return next((i for i, kind in enumerate(order) if isinstance(problem, kind)), len(order))


class _Walk:
    """One pass over all links; low-level calls throughout, because opening a member by path would follow links."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.problems = Problems()
        self.entries: dict[str, Entry] = {}
        self.links: dict[str, str] = {}
        self.soft: dict[str, str] = {}
        self.seen: dict[tuple[Any, Any], str] = {}
        self.declared_bytes = 0

    def run(self, file_id: Any) -> None:
        root = h5py.h5g.open(file_id, b"/")
        self._group("/", root)
        stack = [("/", root, 0)]
        while stack:
            path, group, depth = stack.pop()
            for name, child in self._members(path, group):
                if len(self.entries) >= self.limits.objects or depth >= self.limits.depth:
                    self.problems.add(
                        TooLarge(
                            f"The file holds more than {self.limits.objects:,} objects "
                            f"or nests them more than {self.limits.depth} deep.",
                            hint="Keep X, obs and var; drop uns, obsm and obsp before writing.",
                        )
                    )
                    return
                where = f"{path.rstrip('/')}/{name}"
                if isinstance(child, h5py.h5g.GroupID):
                    self._group(where, child)
                    stack.append((where, child, depth + 1))
                elif isinstance(child, h5py.h5d.DatasetID):
                    self._dataset(where, child)

    def after(self, layout: Layout) -> Iterator[BadInput]:
        """What can only be judged once everything was seen."""
        for path, target in self.soft.items():
            if layout.resolve(path) is None:
                yield UnsafeFile(
                    f"{path} is a soft link to {target!r}, which is not in this file.",
                    hint="Write the file again with AnnData, which stores values instead of links.",
                )
        if self.declared_bytes > self.limits.total_bytes and not self.problems.found:
            yield TooLarge(
                f"The file declares {human(self.declared_bytes)} of values; "
                f"{human(self.limits.total_bytes)} are allowed.",
                hint="Keep raw counts only, stored sparse, and drop other layers.",
            )
        # What was refused above is missing from the layout: saying so again would only confuse.
        if not self.problems.found and not self.soft and (problem := _not_anndata(layout)) is not None:
            yield problem

    def _members(self, path: str, group: Any) -> Iterator[tuple[str, Any]]:
        names: list[bytes] = []
        group.links.iterate(lambda name: names.append(name))  # returning None goes on
        for raw in names:
            name = raw.decode("utf-8", "backslashreplace")
            where = f"{path.rstrip('/')}/{name}"
            kind = group.links.get_info(raw).type
            if kind == h5py.h5l.TYPE_SOFT:
                self._soft(where, path, group.links.get_val(raw).decode("utf-8", "backslashreplace"))
            elif kind == h5py.h5l.TYPE_EXTERNAL:
                filename = group.links.get_val(raw)[0].decode("utf-8", "backslashreplace")
                self._unsafe(f"{where} is an external link to another file ({filename[:120]}).")
            elif kind != h5py.h5l.TYPE_HARD:
                self._unsafe(f"{where} is a link of an unknown kind.")
            elif raw != name.encode():
                self._unsafe(f"{where} is named in something other than UTF-8.")
            else:
                # Not h5o.get_info: that adds up the index of all chunks, which lies scattered over the file.
                info = h5py.h5g.get_objinfo(group, raw)
                key = (info.fileno, info.objno)
                if key in self.seen:
                    self.links[where] = self.seen[key]
                    continue
                self.seen[key] = where
                yield name, h5py.h5o.open(group, raw)

    def _soft(self, where: str, parent: str, target: str) -> None:
        parts: list[str] = [] if target.startswith("/") else [p for p in parent.split("/") if p]
        parts += [p for p in target.split("/") if p not in ("", ".")]
        self.soft[where] = target
        self.links[where] = "/" + "/".join(parts)

    def _unsafe(self, message: str) -> None:
        self.problems.add(
            UnsafeFile(message, hint="Load it where it was made and write it again with adata.write_h5ad.")
        )

    def _group(self, path: str, group: Any) -> None:
        self.entries[path] = Entry(path, "group", attributes=self._attributes(path, group))

    def _dataset(self, path: str, data: Any) -> None:
        plist = data.get_create_plist()
        # The layout is asked first: asking a virtual data set for its shape would already open other files.
        if plist.get_layout() == h5py.h5d.VIRTUAL:
            return self._unsafe(f"{path} is a virtual data set assembled from other files.")
        if plist.get_external_count():
            other = plist.get_external(0)[0].decode("utf-8", "backslashreplace")
            return self._unsafe(f"{path} keeps its values in another file ({other[:120]}).")
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        for code in (code for code in filters if code not in KNOWN_FILTERS):
            self._unsafe(f"{path} is compressed with filter {code}, which is not one of gzip and lzf.")
        kind = data.get_type()
        if _holds_reference(kind):
            self._unsafe(f"{path} holds object references, which AnnData never stores there.")
        shape = () if data.get_space().get_simple_extent_type() == h5py.h5s.NULL else tuple(data.shape)
        chunks = tuple(plist.get_chunk()) if plist.get_layout() == h5py.h5d.CHUNKED else None
        entry = Entry(
            path,
            TYPES.get(kind.get_class(), "other"),
            shape,
            kind.get_size(),
            chunks,
            self._attributes(path, data),
        )
        self.entries[path] = entry
        self.declared_bytes += entry.declared_bytes
        # What is stored is added up over the index of all chunks, which lies scattered: not asked without need.
        asked = entry.declared_bytes > self.limits.inflation_from
        self._size(entry, stored=data.get_storage_size() if asked else 0)
        return None

    def _size(self, entry: Entry, *, stored: int) -> None:
        limits, declared = self.limits, entry.declared_bytes
        shape = " × ".join(f"{size:,}" for size in entry.shape)
        if declared > limits.dataset_bytes:
            allowed = human(limits.dataset_bytes)
            message = f"{entry.path} declares {shape} values, {human(declared)}; {allowed} are allowed."
            hint = "Store counts sparse: adata.X = scipy.sparse.csr_matrix(adata.X)."
        elif entry.chunks and prod(entry.chunks) * entry.itemsize > limits.chunk_bytes:
            message = f"{entry.path} is stored in chunks of {human(prod(entry.chunks) * entry.itemsize)} each."
            hint = "Write it again with default chunks: adata.write_h5ad(path, compression='gzip')."
        elif declared > limits.inflation_from and declared > limits.inflation * max(stored, 1):
            message = f"{entry.path} grows from {human(stored)} to {human(declared)} when it is unpacked."
            hint = "Store counts sparse: an array this empty should not be dense."
        else:
            return
        self.problems.add(TooLarge(message, hint=hint))

    def _attributes(self, path: str, owner: Any) -> dict[str, str | tuple[int, ...]]:
        found: dict[str, str | tuple[int, ...]] = {}
        for i in range(h5py.h5a.get_num_attrs(owner)):
            attribute = h5py.h5a.open(owner, index=i)
            name = attribute.name.decode("utf-8", "backslashreplace")
            if _holds_reference(attribute.get_type()):
                # AnnData 0.7 pointed at obs/__categories this way; we find those by name and follow no reference.
                if not (name == "categories" and path.rpartition("/")[0] in FRAMES):
                    self._unsafe(f"{path} has the attribute {name!r:.80} made of object references.")
            elif name in WANTED_ATTRIBUTES and attribute.get_storage_size() <= 4096:
                value = _plain(_owner(owner).attrs[name])
                if value is not None:
                    found[name] = value
        return found


def _owner(owner: Any) -> Any:
    return h5py.Group(owner) if isinstance(owner, h5py.h5g.GroupID) else h5py.Dataset(owner)


def _plain(value: Any) -> str | tuple[int, ...] | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind in "iu" and array.size <= 8:
        return tuple(int(number) for number in array.ravel())
    return None


def _holds_reference(kind: Any) -> bool:
    which = kind.get_class()
    if which == h5py.h5t.REFERENCE:
        return True
    if which == h5py.h5t.COMPOUND:
        return any(_holds_reference(kind.get_member_type(i)) for i in range(kind.get_nmembers()))
    if which in (h5py.h5t.VLEN, h5py.h5t.ARRAY):
        return _holds_reference(kind.get_super())
    return False


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
