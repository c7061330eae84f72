"""Two results beside each other: identical, within tolerance, or different, item by item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jobs.capsule.fingerprint import distance, flat
from jobs.capsule.model import Array, File

Says = Literal["identical", "within tolerance", "different", "not compared", "missing"]
SCORE = 1e-3
ARRAY = 1e-3
WHY_SCORES = (
    f"scores may differ by {SCORE:g}: sums of 32-bit numbers end otherwise in the seventh digit on another processor, "
    "which turns near-ties of ranks; every interval shown is wider"
)
WHY_ARRAYS = f"numbers may lie {ARRAY:g} of their size apart, for the same reason"
WHY_MAPS = "a map has no fixed place: another version or processor may lay it out otherwise"
# What two runs may say differently: who ran it, and what is compared as an item of its own.
OWN = frozenset({"job", "code_version", "versions", "out", "seconds", "fit_seconds", "costs", "code"})


@dataclass(frozen=True, slots=True)
class Item:
    """what: "input rna", "model", "score rna-to-atac peak_auroc", a file. why: figures, or the tolerance's reason."""

    what: str
    says: Says
    why: str = ""


def compare_reports(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Iterator[Item]:
    """An item for each score that the reports name, and one for everything else in them."""
    if then is None:
        return
    if now is None:
        yield Item("report.json", "missing", "the run on this machine has no report")
        return
    before, after = _scores(then), _scores(now)
    for name in sorted({*before, *after}):
        yield _number(f"score {name}", before.get(name), after.get(name))
    old, new = dict(flat("", _kept(then))), dict(flat("", _kept(now)))
    apart = sorted(name for name in {*old, *new} if not _alike(old.get(name), new.get(name)))
    equal = all(_same(old.get(name), new.get(name)) for name in {*old, *new})
    if apart:
        said = ", ".join(apart[:5]) + (f" and {len(apart) - 5} more" if len(apart) > 5 else "")
        yield Item("report.json", "different", said)
    else:
        yield Item("report.json", "identical" if equal else "within tolerance", "" if equal else WHY_SCORES)


def compare_files(then: Sequence[File], now: Mapping[str, File], *, skip: frozenset[str]) -> Iterator[Item]:
    """Files by name; those of `skip` are compared elsewhere."""
    for old in then:
        if old.name in skip:
            continue
        new = now.get(old.name)
        if new is None:
            yield Item(old.name, "missing", "the run on this machine does not make it")
        elif new.sha256 == old.sha256:
            yield Item(old.name, "identical")
        else:
            yield _arrays(old, new)
    for name in sorted(set(now) - {old.name for old in then} - skip):
        yield Item(name, "different", "only the run on this machine makes it")


def _arrays(old: File, new: File) -> Item:
    if not old.arrays or not new.arrays:
        return Item(old.name, "different", "other bytes, and this kind of file is compared as a whole")
    farthest, moved, wrong = 0.0, False, []
    for name in sorted({*old.arrays, *new.arrays}):
        if name.rpartition("/")[2] in OWN:
            continue
        one, two = old.arrays.get(name), new.arrays.get(name)
        if one is not None and two is not None and one.sha256 == two.sha256 and one.shape == two.shape:
            continue
        apart = distance(one, two) if one is not None and two is not None else None
        if apart is not None and apart <= ARRAY:
            farthest = max(farthest, apart)
        elif "umap" in name and _same_shape(one, two):
            moved = True
        else:
            wrong.append(f"{name}{'' if apart is None else f' ({apart:.2g} of its size apart)'}")
    if wrong:
        return Item(old.name, "different", "; ".join(wrong[:5]) + (f"; {len(wrong) - 5} more" if wrong[5:] else ""))
    if moved:
        return Item(old.name, "within tolerance", f"but for its maps, which are not compared: {WHY_MAPS}")
    if farthest:
        return Item(old.name, "within tolerance", f"{farthest:.1g} of their size apart at most; {WHY_ARRAYS}")
    return Item(old.name, "identical", "the same content in other bytes")


def _same_shape(one: Array | None, two: Array | None) -> bool:
    return one is not None and two is not None and one.shape == two.shape


def _scores(report: Mapping[str, Any]) -> dict[str, float | None]:
    """Values of a report's scores by direction and name, of a comparison's by model too; none of other reports."""
    found: dict[str, float | None] = {}
    for direction, each in (report.get("directions") or {}).items():
        of = (each or {}).get("contenders") or {"": (each or {}).get("scores")}
        for contender, scores in of.items():
            for name, score in (scores or {}).items():
                if isinstance(score, Mapping) and "value" in score:
                    found[" ".join(filter(None, (direction, contender, name)))] = score["value"]
    return found


def _number(what: str, then: float | None, now: float | None) -> Item:
    if then == now:
        return Item(what, "identical", "" if now is None else f"{now:.4g}")
    if then is None or now is None:
        return Item(what, "missing", f"{then} then, {now} now")
    said = f"{then:.6g} then, {now:.6g} now"
    if abs(then - now) <= SCORE:
        return Item(what, "within tolerance", f"{said}; {WHY_SCORES}")
    return Item(what, "different", said)


def _kept(document: Any) -> Any:
    if isinstance(document, Mapping):
        return {k: _kept(v) for k, v in document.items() if k not in OWN}
    return [_kept(v) for v in document] if isinstance(document, list) else document


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        return one.shape == two.shape and bool(np.array_equal(one, two, equal_nan=True))
    return type(one) is type(two) and bool(one == two)


def _alike(one: Any, two: Any) -> bool:
    """Equal, or numbers that are close: by SCORE, or by as much of their size where they are large."""
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray) and one.shape == two.shape:
        gone = np.isnan(one)
        close = np.abs(one - two) <= SCORE * np.maximum(1.0, np.abs(one))
        return bool((gone == np.isnan(two)).all() and close[~gone].all())
    return _same(one, two)


def worst(items: Sequence[Item]) -> Literal["same", "different"]:
    return "different" if any(item.says in ("different", "missing") for item in items) else "same"
