"""Cell and feature tables in every encoding AnnData has written: names, and text labels of cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import CorruptMatrix, NotAnnData
from engine.intake.look import Entry, Layout
from engine.intake.names import clean, clean_all
from engine.types import Names, as_names

MISSING = "(none)"
MOST_CATEGORIES = 200
MOST_COLUMNS = 20
PIECE = 16_384  # strings read at once: a hostile file can point all of them at one long text
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
    for name in _ordered(_columns(layout, frame) if columns is None else list(columns)):
        try:
            labels = _labels(file, layout, f"{frame}/{name}", cells=cells)
        except (CorruptMatrix, IndexError, TypeError):
            broken.append(name)
            continue
        if labels is None:
            continue
        if len(labels.categories) > MOST_CATEGORIES or len(kept) == MOST_COLUMNS:
            too_many.append(name)
        elif (tidy := clean(name, longest=60).replace("/", "|")) and tidy not in kept and tidy != "_index":
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
    data = file[entry.path]
    for start in range(0, entry.shape[0], PIECE):
        if entry.type == "compound":
            fields = data.dtype.names
            piece = data.fields("index" if "index" in fields else fields[0])[start : start + PIECE]
        else:
            piece = data[start : start + PIECE]
        yield from (_text(value) for value in piece)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _labels(file: Any, layout: Layout, path: str, *, cells: int) -> Labels | None:
    """A column as labels, or None when it is not text."""
    entry = layout.get(path)
    if entry is None:
        return None
    frame, _, name = path.rpartition("/")
    old_categories = f"{frame}/__categories/{name}"  # anndata 0.7
    if entry.is_group:
        labels = _encoded(file, layout, path)
    elif entry.type == "int" and layout.get(old_categories) is not None:
        labels = _from_codes(_texts(file, layout, old_categories), file[entry.path][:], path)
    elif entry.type == "text":
        labels = _gathered(_texts(file, layout, path))
    else:
        return None
    if labels is not None and len(labels.codes) != cells:
        raise CorruptMatrix(f"{path} has {len(labels.codes)} values for {cells} cells.", hint="Write the file again.")
    return labels


def _encoded(file: Any, layout: Layout, path: str) -> Labels | None:
    """Categorical (categories, codes) and nullable strings (values, mask)."""
    categories, codes = layout.get(f"{path}/categories"), layout.get(f"{path}/codes")
    if categories is not None and codes is not None and codes.type == "int" and not categories.is_group:
        return _from_codes(_texts(file, layout, f"{path}/categories"), file[codes.path][:], path)
    values, mask = layout.get(f"{path}/values"), layout.get(f"{path}/mask")
    if values is None or values.type != "text" or values.is_group:
        return None
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
