"""One pass over every link, attribute and data set of an HDF5 file, reading no values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import h5py
import numpy as np

from engine.errors import TooLarge, UnsafeFile
from engine.intake.chunks import SLACK, largest_chunk, strange_filters
from engine.intake.limits import Limits, Problems, human

WANTED_ATTRIBUTES = frozenset(
    {"encoding-type", "encoding-version", "_index", "shape", "h5sparse_format", "h5sparse_shape"}
)
MOST_ATTRIBUTES = 500  # of one object
FRAMES = frozenset({"/obs", "/var", "/raw/var"})
TYPES = {
    h5py.h5t.INTEGER: "int",
    h5py.h5t.FLOAT: "float",
    h5py.h5t.STRING: "text",
    h5py.h5t.ENUM: "bool",
    h5py.h5t.COMPOUND: "compound",
}


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


class Walk:
    """One pass over all links; low-level calls throughout, because opening a member by path would follow links."""

    def __init__(self, limits: Limits, *, afar: bool = False) -> None:
        """afar: the file lies elsewhere, so that nothing is asked that is added up over the index of all chunks."""
        self.limits, self.afar = limits, afar
        self.problems = Problems()
        self.entries: dict[str, Entry] = {}
        self.links: dict[str, str] = {}
        self.soft: dict[str, str] = {}
        self.seen: dict[tuple[Any, Any], str] = {}
        self.large_chunks: dict[str, tuple[int, list[tuple[int, ...]]]] = {}
        self.visited = self.attributes = 0
        self.declared_bytes = self.stored_bytes = self.file_bytes = 0

    def run(self, file_id: Any) -> None:
        self.file_bytes = 0 if self.afar else file_id.get_filesize()
        root = h5py.h5g.open(file_id, b"/")
        self._group("/", root)
        stack = [("/", root, 0)]
        while stack:
            path, group, depth = stack.pop()
            for name, child in self._members(path, group):
                if depth >= self.limits.depth:
                    raise _too_many(self.limits)
                where = f"{path.rstrip('/')}/{name}"
                if isinstance(child, h5py.h5g.GroupID):
                    self._group(where, child)
                    stack.append((where, child, depth + 1))
                elif isinstance(child, h5py.h5d.DatasetID):
                    self._dataset(where, child)

    def _members(self, path: str, group: Any) -> Iterator[tuple[str, Any]]:
        names: list[bytes] = []
        room = self.limits.objects - self.visited

        def enough(name: bytes) -> bool | None:
            names.append(name)
            return True if len(names) > room else None  # anything but None ends it

        group.links.iterate(enough)
        self.visited += len(names)
        if len(names) > room:
            raise _too_many(self.limits)
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
        odd = list(strange_filters(filters))
        for what in odd:
            self._unsafe(f"{path} {what}.")
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
        stored = entry.declared_bytes if self.afar else data.get_storage_size()
        self._size(entry, stored=stored)
        if self.afar:
            return None
        self.stored_bytes += stored
        if chunks and not odd:
            self._chunks(path, data, filters, prod(chunks) * entry.itemsize)
        return None

    def _chunks(self, path: str, data: Any, filters: list[int], nominal: int) -> None:
        worst, large = largest_chunk(data, filters)
        if worst > nominal + SLACK:
            message = f"{path} has a chunk of {worst:,} bytes for {nominal:,} bytes of values."
            self.problems.add(TooLarge(message, hint="Write the file again from AnnData."))
        elif large:
            self.large_chunks[path] = (nominal, large)

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
        count = h5py.h5a.get_num_attrs(owner)
        self.attributes += count
        if count > MOST_ATTRIBUTES or self.attributes > self.limits.attributes:
            raise _too_many(self.limits)
        names: list[bytes] = []
        h5py.h5a.iterate(owner, lambda raw, *_: names.append(raw))  # by number would take the square of the time
        for raw in names:
            attribute = h5py.h5a.open(owner, raw)
            name = raw.decode("utf-8", "backslashreplace")
            if _holds_reference(attribute.get_type()):
                # AnnData 0.7 pointed at obs/__categories this way; we find those by name and follow no reference.
                if not (name == "categories" and path.rpartition("/")[0] in FRAMES):
                    self._unsafe(f"{path} has the attribute {name!r:.80} made of object references.")
            elif name in WANTED_ATTRIBUTES and _is_small(attribute):
                value = _plain(_owner(owner).attrs[name])
                if value is not None:
                    found[name] = value
        return found


def _too_many(limits: Limits) -> TooLarge:
    return TooLarge(
        f"The file holds more than {limits.objects:,} objects or {limits.attributes:,} attributes, "
        f"or nests them more than {limits.depth} deep.",
        hint="Keep X, obs and var; drop uns, obsm and obsp before writing.",
    )


def _is_small(attribute: Any) -> bool:
    """One text, or up to eight numbers: many texts could all be the same long one."""
    most = 1 if attribute.get_type().get_class() in (h5py.h5t.STRING, h5py.h5t.VLEN) else 8
    small: bool = attribute.get_space().get_simple_extent_npoints() <= most and attribute.get_storage_size() <= 4096
    return small


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
