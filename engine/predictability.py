"""What a model predicts well: scores of each gene and peak on held-out cells, beside the best null's, as a file.

`predictability.npz` lies beside `report.json`, is made by the same scoring, and is not part of the bundle's digest: a
bundle without it is whole. Five arrays a direction, `<direction>.<field>` by the fields of `Predictability`, and
`bundle`, the digest of the model that was scored. No pickle.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadBundle
from engine.metrics.skill import filled
from engine.metrics.verdict import FEATURE_COLUMN, Z
from engine.translators.state import save_arrays
from engine.types import Direction, Floats, Modality

if TYPE_CHECKING:
    from engine.evaluate import Evaluation

FILE, DIGEST = "predictability.npz", "bundle"
CHANCE = {Modality.RNA: 0.0, Modality.ATAC: 0.5}
SKILL_COLUMN = {Modality.RNA: "mse_skill", Modality.ATAC: "brier_skill"}
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True, eq=False)
class Predictability:
    """One direction: a row each gene or peak that could be tested, in the order of the target space; all shape (t,).

    positions: in the target space, int32, ascending.
    score: Pearson's r over cells (genes, on log-normalised expression) or AUROC among cells of like depth (peaks); NaN
    where the prediction is constant. standard_error: of the score, over cells.
    null: the best null's own score of the feature, in the score's units; the best null is that of the highest mean over
    features, and the report names it. skill: 1 − squared error over that of the average
    training cell (Brier skill for peaks); at most 1, 0 is no closer than the average, NaN where undefined.
    """

    positions: NDArray[np.int32]
    score: Floats
    standard_error: Floats
    null: Floats
    skill: Floats

    def __len__(self) -> int:
        return len(self.positions)

    @classmethod
    def of(cls, evaluation: Evaluation) -> Predictability:
        """From the scores of one direction, while they still have their table of features."""
        table, target = evaluation.scores.features, evaluation.report.direction.target
        column, place = FEATURE_COLUMN[target], evaluation.scored[table["position"]]
        order = np.argsort(place, kind="stable")

        def taken(name: str) -> Floats:
            values = table.get(name)
            return np.full(len(order), np.nan, np.float32) if values is None else values[order].astype(np.float32)

        return cls(
            place[order].astype(np.int32),
            taken(column),
            taken(f"{column}_se"),
            taken(f"{column}_null_best"),
            taken(SKILL_COLUMN[target]),
        )

    def gain(self, target: Modality) -> Floats:
        """Score over the best null, shape (t,); an undefined score counts as chance."""
        return (filled(self.score, CHANCE[target]) - self.null).astype(np.float32)

    def gain_low(self, target: Modality) -> Floats:
        """Score less 1.96 of its standard errors, over the null or chance, whichever is higher, shape (t,).

        Above 0 where both are clearly beaten: a null that fails on a feature makes nothing of it predictable.
        """
        low = filled(self.score, CHANCE[target]) - Z * np.nan_to_num(self.standard_error)
        return (low - np.maximum(self.null, CHANCE[target])).astype(np.float32)


def write_predictability(folder: Path, tables: Mapping[Direction, Predictability], *, bundle: str) -> None:
    """Into the bundle's folder; none at all where nothing was scored. bundle: digest of the model."""
    path = folder / FILE
    if not tables:
        path.unlink(missing_ok=True)  # one that an earlier model of this folder left
        return
    partial = path.with_name(f".{FILE}.partial.npz")
    save_arrays(partial, _arrays(tables, bundle))
    partial.replace(path)


def read_predictability(folder: Path, *, bundle: str, spaces: Mapping[str, int]) -> dict[Direction, Predictability]:
    """The tables by direction; empty where the file is not there.

    bundle, spaces: digest and numbers of features, as the manifest beside the weights says them.
    Raises BadBundle for a file that is damaged, of another model, or speaks of features the model has not.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            of, given = str(file[DIGEST]), {name: file[name] for name in file.files if name != DIGEST}
    except UNREADABLE as problem:
        raise _bad(f"it cannot be read ({problem})") from problem
    if of != bundle:
        raise _bad("it is of another model")
    found: dict[Direction, Predictability] = {}
    for direction in Direction:
        mine = {f.name: given.pop(f"{direction.value}.{f.name}", None) for f in fields(Predictability)}
        if any(values is not None for values in mine.values()):
            found[direction] = _checked(mine, direction, spaces[direction.target.value])
    if given:
        raise _bad(f"it holds {sorted(given)[0]!r}, which no table has")
    return found


def packed(table: Predictability) -> bytes:
    """One direction's arrays on their way between tasks."""
    stream = io.BytesIO()
    arrays: dict[str, Any] = {f.name: getattr(table, f.name) for f in fields(table)}
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def unpacked(data: bytes) -> Predictability:
    """What `packed` packed."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Predictability(**{f.name: file[f.name] for f in fields(Predictability)})


def _arrays(tables: Mapping[Direction, Predictability], bundle: str) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        f"{direction.value}.{f.name}": getattr(table, f.name)
        for direction, table in tables.items()
        for f in fields(table)
    }
    return {**arrays, DIGEST: np.array(bundle)}


def _checked(arrays: Mapping[str, NDArray[Any] | None], direction: Direction, width: int) -> Predictability:
    given: dict[str, Any] = {}
    for name, values in arrays.items():
        wanted = np.dtype(np.int32 if name == "positions" else np.float32)
        if values is None or values.ndim != 1 or values.dtype != wanted:
            raise _bad(f"{direction.value}.{name} is missing or no list of {wanted.name}")
        given[name] = values
    if len({len(values) for values in given.values()}) > 1:
        raise _bad(f"the columns of {direction.value} differ in length")
    positions = given["positions"].astype(np.int64)
    if len(positions) and (positions[0] < 0 or positions[-1] >= width or (np.diff(positions) <= 0).any()):
        raise _bad(f"{direction.value} names places outside the model's {width:,} features, or out of order")
    if np.isinf(np.concatenate([values for name, values in given.items() if name != "positions"])).any():
        raise _bad(f"{direction.value} holds infinite numbers")
    return Predictability(**given)


def _bad(what: str) -> BadBundle:
    return BadBundle(
        f"{FILE} is damaged: {what}.", hint="Fetch the model again, or delete the file: the model works without it."
    )
