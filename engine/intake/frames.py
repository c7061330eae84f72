"""Cell and feature tables in every encoding AnnData has written: names, and text labels of cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import CorruptMatrix, NotAnnData, TooLarge
from engine.intake.look import Layout
from engine.intake.names import clean, clean_all
from engine.intake.walk import Entry
from engine.types import Names, as_names

MISSING = "(none)"
MOST_CATEGORIES = 200
MOST_COLUMNS = 20
MOST_UNUSED = 100_000  # categories beyond the number of rows
MOST_LOOKED_AT = 500  # columns tried as labels
LONGEST_TEXT = 1 << 20  # bytes; a name or label beyond is none
PIECE = 16_384  # values read at once, where they are short by their type
# Texts of any length: a hostile file can point all of them at one long one, which is no longer than the file.
PIECE_BYTES, LEAST_PIECE, LARGE_FILE, LARGE_FILE_PIECE = 1 << 26, 4, 1 << 30, 256
KNOWN_LABELS = (
    *("cell_type", "celltype", "cell_types", "label", "labels", "annotation", "leiden", "louvain", "cluster"),
    *("clusters", "seurat_clusters", "batch", "donor", "donor_id", "sample", "patient", "tissue", "condition"),
)


@dataclass(frozen=True, eq=False)
class Labels:
    """One column of text labels. categories: shape (c,); codes: position in them, shape (n,)."""

    categories: Names
    codes: NDArray[np.int32]

    @property
    def values(self) -> Names:
        found: Names = self.categories[self.codes]
        return found

    def counts(self) -> dict[str, int]:
        """Cells a category, in the order of the categories."""
        sizes = np.bincount(self.codes, minlength=len(self.categories))
        return {str(name): int(size) for name, size in zip(self.categories, sizes, strict=True)}


def index_names(file: Any, layout: Layout, frame: str) -> Names:
    """Row names of `obs`, `var` or `raw/var`, cleaned; shape (rows,). Raises NotAnnData, CorruptMatrix."""
    return clean_all(_texts(file, layout, _index_column(layout, frame)))


def length(layout: Layout, frame: str) -> int:
    """Rows of the table, without reading it."""
    column = _index_column(layout, frame)
    entry = _values_entry(layout, column)
    return entry.shape[0] if entry is not None and entry.shape else 0


def label_columns(
    file: Any, layout: Layout, *, cells: int, frame: str = "obs", columns: Sequence[str] | None = None
) -> tuple[dict[str, Labels], list[str]]:
    """Text labels of cells worth keeping, and notes on those left out.

    Kept are categorical and string columns of at most 200 different values, at most 20 columns, known ones first.
    columns: names of the columns to look at, where the table does not say itself which is its index.
    """
    kept: dict[str, Labels] = {}
    too_many: list[str] = []
    broken: list[str] = []
    ordered = _ordered(_columns(layout, frame) if columns is None else list(columns))
    too_many += ordered[MOST_LOOKED_AT:]
    for name in ordered[:MOST_LOOKED_AT]:
        try:
            labels = _labels(file, layout, f"{frame}/{name}", cells=cells)
        except (CorruptMatrix, IndexError, TypeError):
            broken.append(name)
            continue
        if labels is None:
            continue
        if len(labels.categories) > MOST_CATEGORIES or len(kept) == MOST_COLUMNS:
            too_many.append(name)
        elif (tidy := _column_name(name)) and tidy not in kept:
            kept[tidy] = labels
    notes = []
    if too_many:
        notes.append(
            f"Cell labels left out (more than {MOST_CATEGORIES} different values, or beyond {MOST_COLUMNS} columns): "
            f"{_listed(too_many)}."
        )
    if broken:
        notes.append(f"Cell labels left out because they contradict the number of cells: {_listed(broken)}.")
    return kept, notes


def _column_name(name: str) -> str:
    """The name under which a column is kept; empty where it would mean something else in the copy."""
    tidy = clean(name, longest=60).replace("/", "|")
    return "" if tidy in ("_index", "__categories") or not tidy.strip(".") else tidy


def text_column(file: Any, layout: Layout, path: str) -> Names | None:
    """A text column of a table, cleaned, or None where there is no such column or it is not text."""
    entry = layout.get(path)
    if entry is None or entry.is_group or entry.type != "text":
        return None
    return clean_all(_texts(file, layout, path))


def _listed(names: list[str]) -> str:
    shown = ", ".join(clean(name, longest=40) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _ordered(names: list[str]) -> list[str]:
    rank = {name: i for i, name in enumerate(KNOWN_LABELS)}
    return sorted(names, key=lambda name: rank.get(name.lower(), len(rank)))


def _columns(layout: Layout, frame: str) -> list[str]:
    entry = layout.get(frame)
    index = _index_column(layout, frame).rpartition("/")[2]
    if entry is not None and entry.type == "compound":
        return []
    return [name for name in layout.children(frame) if name not in (index, "__categories")]


def _index_column(layout: Layout, frame: str) -> str:
    entry = layout.get(frame)
    if entry is None:
        raise NotAnnData(f"The file has no {frame} table.", hint="Write it with adata.write_h5ad.")
    if entry.type == "compound":
        return frame  # anndata < 0.7: one compound data set
    for name in (entry.text("_index"), "_index", "index"):
        if name and "/" not in name and layout.get(f"{frame}/{name}") is not None:
            return f"{frame}/{name}"
    what = "cell" if frame == "obs" else "feature"
    raise NotAnnData(
        f"The {frame} table has no index: {what} names are missing.", hint="Write it with adata.write_h5ad."
    )


def _values_entry(layout: Layout, path: str) -> Entry | None:
    """The data set that has one value a row: the column itself, or the codes or values of an encoded one."""
    entry = layout.get(path)
    if entry is None or not entry.is_group:
        return entry
    return layout.get(f"{path}/codes") or layout.get(f"{path}/values")


def _texts(file: Any, layout: Layout, path: str) -> Iterator[str]:
    """The values of a column as text, piece by piece."""
    entry = layout.get(path)
    if entry is None:
        return
    if entry.is_group:
        labels = _encoded(file, layout, path)
        if labels is None:
            raise NotAnnData(f"{path} is stored in a way that holds no names.", hint="Write it with adata.write_h5ad.")
        yield from labels.values
        return
    if len(entry.shape) != 1:
        raise CorruptMatrix(
            f"{path} should be one column, but has {len(entry.shape)} dimensions.", hint="Write the file again."
        )
    if entry.shape[0] > file.id.get_filesize():
        raise CorruptMatrix(
            f"{path} claims {entry.shape[0]:,} names, more than the file has bytes.", hint="Copy it again."
        )
    data = file[entry.path]
    kind = data.dtype
    if entry.type == "compound":
        column = "index" if "index" in kind.names else kind.names[0]
        data, kind = data.fields(column), kind[column]
    if (
        kind.subdtype is not None
        or kind.kind not in "SOiu"
        or (kind.kind == "O" and h5py.check_string_dtype(kind) is None)
    ):
        raise CorruptMatrix(f"{path} holds no names but values of another kind ({kind}).", hint="Write the file again.")
    size = _piece(entry.itemsize, kind, file.id.get_filesize())
    for start in range(0, entry.shape[0], size):
        yield from (_text(value, path) for value in data[start : start + size])


def _piece(itemsize: int, kind: Any, file_bytes: int) -> int:
    """How many texts may be read at once, whatever the file says."""
    if kind.kind != "O":
        return max(1, min(PIECE, PIECE_BYTES // 4 // max(itemsize, 1)))
    if file_bytes >= LARGE_FILE:
        return LARGE_FILE_PIECE
    return min(PIECE, max(LEAST_PIECE, PIECE_BYTES // max(file_bytes, 1)))


def _text(value: Any, path: str) -> str:
    if not isinstance(value, bytes):
        return str(value)
    if len(value) > LONGEST_TEXT:
        raise TooLarge(f"{path} holds a text of {len(value):,} bytes.", hint="Names and labels are short: shorten it.")
    return value.decode("utf-8", "replace")


def _labels(file: Any, layout: Layout, path: str, *, cells: int) -> Labels | None:
    """A column as labels, or None when it is not text."""
    entry = layout.get(path)
    if entry is None:
        return None
    frame, _, name = path.rpartition("/")
    old_categories = f"{frame}/__categories/{name}"  # anndata 0.7
    coded = entry.type == "int" and layout.get(old_categories) is not None
    if not (entry.is_group or entry.type == "text" or coded):
        return None
    values = _values_entry(layout, path)
    if values is not None and values.shape != (cells,):  # before anything is read: it could be any length
        raise CorruptMatrix(f"{path} has {values.shape} values for {cells} cells.", hint="Write the file again.")
    if entry.is_group:
        labels = _encoded(file, layout, path)
    elif coded:
        labels = _from_codes(_texts(file, layout, old_categories), file[entry.path][:], path)
    else:
        labels = _gathered(_texts(file, layout, path))
    return labels


def _encoded(file: Any, layout: Layout, path: str) -> Labels | None:
    """Categorical (categories, codes) and nullable strings (values, mask)."""
    categories, codes = layout.get(f"{path}/categories"), layout.get(f"{path}/codes")
    if categories is not None and codes is not None and codes.type == "int" and not categories.is_group:
        if len(codes.shape) != 1 or prod(categories.shape) > max(prod(codes.shape), MOST_UNUSED):
            raise CorruptMatrix(f"{path} has more categories than rows, or codes in a table.", hint="Write it again.")
        return _from_codes(_texts(file, layout, f"{path}/categories"), file[codes.path][:], path)
    values, mask = layout.get(f"{path}/values"), layout.get(f"{path}/mask")
    if values is None or values.type != "text" or values.is_group:
        return None
    if mask is not None and mask.shape != values.shape:
        raise CorruptMatrix(f"{path} has a mask of another length than its values.", hint="Write the file again.")
    hidden = file[mask.path][:].astype(bool) if mask is not None else np.zeros(values.shape, dtype=bool)
    texts = _texts(file, layout, f"{path}/values")
    return _gathered(MISSING if gone else text for text, gone in zip(texts, hidden, strict=True))


def _from_codes(categories: Iterator[str], codes: NDArray[Any], path: str) -> Labels:
    """Codes checked against the categories; −1 becomes a category of its own."""
    names = [clean(name) for name in categories]
    if codes.size and (codes.min() < -1 or codes.max() >= len(names)):
        raise CorruptMatrix(f"{path} has codes outside its {len(names)} categories.", hint="Write the file again.")
    filled = codes.astype(np.int32)
    if (filled == -1).any():
        filled[filled == -1] = len(names)
        names.append(MISSING)
    # Cleaning may have made two categories one.
    unique = {name: i for i, name in enumerate(dict.fromkeys(names))}
    onto = np.array([unique[name] for name in names], dtype=np.int32)
    return Labels(as_names(unique), onto[filled] if len(onto) else filled)


def _gathered(texts: Iterator[str]) -> Labels:
    seen: dict[str, int] = {}
    codes = [seen.setdefault(clean(text) or MISSING, len(seen)) for text in texts]
    return Labels(as_names(seen), np.array(codes, dtype=np.int32))
