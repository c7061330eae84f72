"""How cells are parted into those that train, those that choose and those that judge."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, BadSetting, NoCells
from engine.types import Cells, Names, Split

SIDES = ("train", "valid", "test")
JUDGING = 0.15  # share of the cells that judge, and again of those that choose, where chance decides  # ours
LEAST = 10  # cells to train on  # ours


def by_chance(cells: Cells, *, seed: int, by: str = "") -> Split:
    """70/15/15 by cell; with `by`, the cells that judge are whole groups of that column, drawn until they are 15 %.

    Raises BadSetting for a column that is not there or has one value only, NoCells when too few are left.
    """
    names = _names(cells)
    if by:
        return _of_groups(cells, by, seed)
    order = np.random.default_rng(seed).permutation(len(names))
    cut = max(1, int(JUDGING * len(order)))
    return _split(names, test=order[:cut], rest=order[cut:], choosing=max(1, int(JUDGING * len(names))))


def by_values(
    cells: Cells, held: Iterable[tuple[str, str]], *, seed: int, valid: Iterable[tuple[str, str]] = ()
) -> Split:
    """Cells with any of the held (column, value) judge; `valid` chooses likewise, or a tenth of the rest.

    Raises BadSetting when a column or value is not there, NoCells when too few are left.
    """
    names = _names(cells)
    test_n, valid_n = _having(cells, held), _having(cells, valid)
    if bool((test_n & valid_n).any()):
        raise BadSetting("The same cells are held out to choose and to judge.", hint="Give different values.")
    rest = np.random.default_rng(seed).permutation(np.flatnonzero(~(test_n | valid_n)))
    if valid_n.any():
        return _checked(names[np.sort(rest)], names[valid_n], names[test_n])
    return _split(names, test=np.flatnonzero(test_n), rest=rest, choosing=max(1, len(rest) // 10))


def in_folds(names: Names, folds: int, *, seed: int) -> list[Split]:
    """Every cell judges in one of `folds` splits by chance; 15 % of a split's others choose.

    Raises BadSetting for fewer than two folds, NoCells when too few are left to train.
    """
    if folds < 2:
        raise BadSetting(f"{folds} fold(s) hold nothing out.", hint="Ask for two or more.")
    rng = np.random.default_rng(seed)
    parts = np.array_split(rng.permutation(len(names)), folds)
    out = []
    for k, test in enumerate(parts):
        rest = rng.permutation(np.concatenate([part for i, part in enumerate(parts) if i != k]))
        out.append(_split(names, test=test, rest=rest, choosing=max(1, int(JUDGING * len(rest)))))
    return out


def read_split(path: Path) -> Split:
    """`{"train": [...], "valid": [...], "test": [...]}` of cell names. Raises BadInput, LeakedCells."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Split(*(tuple(str(v) for v in document.get(k, [])) for k in SIDES))
    except (OSError, ValueError, AttributeError) as problem:
        raise BadInput(
            f"The split {path.name} cannot be read: {problem}.", hint='It holds {"train": […], "valid": […], …}.'
        ) from problem


def split_document(split: Split) -> dict[str, list[str]]:
    """What `read_split` reads."""
    return {side: list(getattr(split, side)) for side in SIDES}


def parse_held(text: str) -> list[tuple[str, str]]:
    """COLUMN=VALUE,COLUMN=VALUE as pairs."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    return [(column, value) for column, _, value in pairs]


def known_cells(cells: Cells, split: Split) -> Split:
    """The split itself. Raises BadInput naming a cell the pair lacks, NoCells when too few train."""
    there = set(cells.barcodes)
    for side in SIDES:
        lost = [name for name in getattr(split, side) if name not in there]
        if lost:
            raise BadInput(
                f"{len(lost):,} of the {len(getattr(split, side)):,} {side} cells are not in both files, "
                f"such as {lost[0][:80]}.",
                hint="Make the split from the cell names that both files share, spelled as in the RNA file.",
            )
    _require_enough(len(split.train))
    return split


def _names(cells: Cells) -> Names:
    return np.asarray(cells.barcodes)


def _column(cells: Cells, column: str) -> Names:
    if column not in cells.obs:
        known = ", ".join(cells.obs) or "none"
        raise BadSetting(f"There is no column {column!r} to hold out by.", hint=f"Columns: {known}.")
    return cells.obs[column]


def _having(cells: Cells, wanted: Iterable[tuple[str, str]]) -> NDArray[np.bool_]:
    held = np.zeros(len(cells), dtype=bool)
    for column, value in wanted:
        found = _column(cells, column) == value
        if not found.any():
            raise BadSetting(f"No cell has {column} = {value!r}.", hint="Check the spelling of the value.")
        held |= found
    return held


def _of_groups(cells: Cells, by: str, seed: int) -> Split:
    column = _column(cells, by)
    groups = sorted(set(column))
    if len(groups) < 2:
        raise BadSetting(f"All cells have the same {by}: no group can be held out.", hint="Split by another column.")
    rng = np.random.default_rng(seed)
    held: list[Any] = []
    for group in rng.permutation(np.array(groups, dtype=object))[:-1]:
        held.append(group)
        if np.isin(column, held).mean() >= JUDGING:
            break
    test_n = np.isin(column, held)
    rest = rng.permutation(np.flatnonzero(~test_n))
    return _split(_names(cells), test=np.flatnonzero(test_n), rest=rest, choosing=max(1, len(rest) // 10))


def _split(names: Names, *, test: NDArray[Any], rest: NDArray[Any], choosing: int) -> Split:
    return _checked(names[np.sort(rest[choosing:])], names[np.sort(rest[:choosing])], names[np.sort(test)])


def _checked(train: Collection[Any], valid: Collection[Any], test: Collection[Any]) -> Split:
    _require_enough(len(train))
    return Split(*(tuple(str(name) for name in side) for side in (train, valid, test)))


def _require_enough(count: int) -> None:
    if count < LEAST:
        raise NoCells(f"Only {count} cells are left to train on.", hint="Hold out fewer, or bring more.")
