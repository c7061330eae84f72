"""Finished jobs and models beside each other: scores, configurations, and whether the same cells judged them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from app import readings
from app.present import count, job_title, plural
from jobs.names import Direction
from jobs.views import JobView, ModelView

FEWEST, MOST = 2, 6
SCORED = ("translate", "train", "evaluate")  # kinds of jobs with a report of scores
_NOT_ASKED = frozenset({"kind", "bundle"})


@dataclass(frozen=True)
class Side:
    """One of what is compared. report: of all directions. cells: what names the cells that judged it; "" is unknown.

    truths: the measurement that judged each direction, of a job that was given one.
    """

    id: str
    name: str
    what: str  # "job" | "model"
    report: Mapping[str, Any]
    asked: Mapping[str, str]
    cells: str = ""
    truths: Mapping[Direction, str] = field(default_factory=dict)


def of_job(job: JobView, report: Mapping[str, Any], models: Mapping[str, ModelView] = MappingProxyType({})) -> Side:
    """models: by id, to know the cells that judged what a training made."""
    asked = {
        name: _text(value) for name, value in job.spec.items() if name not in _NOT_ASKED and value not in (None, "")
    }
    asked["kind"] = job.kind
    for which, name in job.input_names.items():
        asked[which] = f"{name} ({job.spec.get(which)})"
    truths = {d: str(job.spec.get(d.target.value)) for d in job.truth}
    return Side(job.id, job_title(job), "job", report, asked, _judged_job(job, models), truths)


def _judged_job(job: JobView, models: Mapping[str, ModelView]) -> str:
    """The datasets of a translation; the parting of the cells of a training, where its model still tells."""
    if job.kind == "train":
        return models[job.made].split if job.made in models else ""
    return f"{job.spec.get('rna')} {job.spec.get('atac')}"


def of_model(model: ModelView) -> Side:
    asked = {
        "method": model.translator, "genome": model.genome, "knows": model.tissue, "licence": model.licence,
        "origin": model.origin, **{f"{which} features": count(n) for which, n in model.spaces.items()},
        "training cells": _training_cells(model),
    }  # fmt: skip
    shared = {name: text for name, text in asked.items() if text}
    return Side(model.id, model.title, "model", model.report, shared, model.split)


def _training_cells(model: ModelView) -> str:
    for direction in model.directions:
        n = (readings.of_direction(model.report, direction).get("split") or {}).get("training_cells")
        if isinstance(n, int):
            return count(n)
    return ""


def apart(chosen: Sequence[Side]) -> list[Side]:
    """Each with a letter before its name, so that a name cut short on an axis still says whose it is."""
    return [replace(side, name=f"{letter} · {side.name}") for letter, side in zip("ABCDEF", chosen, strict=False)]


def directions(chosen: Sequence[Side]) -> list[Direction]:
    """Those in which at least one was scored."""
    return [d for d in Direction if any(readings.readings(readings.of_direction(s.report, d)) for s in chosen)]


def same_cells(chosen: Sequence[Side], which: Direction) -> tuple[bool, str]:
    """Whether the same cells judged all of them, and a sentence that says so."""
    numbers = {
        (readings.of_direction(s.report, which) or {}).get("n_cells")
        for s in chosen
        if readings.readings(readings.of_direction(s.report, which))
    }
    marks = {s.cells for s in chosen}
    if any(s.asked.get("kind") == "evaluate" for s in chosen):  # what it was predicted from may not have been given
        marks = {s.truths.get(which, "") for s in chosen}
    if len(marks) == 1 and "" not in marks and len(numbers) == 1:
        return True, f"All were judged on the same {plural(int(next(iter(numbers)) or 0), 'cell')}."
    counts = sorted({int(n) for n in numbers if n})
    if len(counts) > 1 or ("" not in marks and len({s.what for s in chosen}) == 1):
        of = f" ({' and '.join(map(count, counts))} cells)" if len(counts) > 1 else ""
        said = f"Not judged on the same cells{of}"
    else:
        said = "Nothing shows that they were judged on the same cells"
    return False, (
        f"{said}: a higher score here can mean easier cells, not a better model. Compare what each has above its own "
        "average profile, or let all be judged on one split."
    )


def scores(chosen: Sequence[Side], which: Direction) -> pd.DataFrame:
    """A row a side and headline score: name, score, value, low, high, average, gain, n."""
    rows = []
    for side in chosen:
        found = readings.readings(readings.of_direction(side.report, which))
        for name, reading in found.items():
            average = reading.nulls.get("mean")
            rows.append(
                {
                    "name": side.name, "score": name, "words": reading.meaning.label, "value": reading.value,
                    "low": reading.low, "high": reading.high, "average": average,
                    "gain": None if average is None else reading.value - average, "n": reading.n,
                }
            )  # fmt: skip
    columns = ["name", "score", "words", "value", "low", "high", "average", "gain", "n"]
    return pd.DataFrame(rows, columns=columns)


def score_names(table: pd.DataFrame, which: Direction) -> list[str]:
    """Scores that anyone has, the headlines first, then those all have."""
    found = list(dict.fromkeys(table["score"]))
    heads = readings.HEADLINES[which]
    return sorted(found, key=lambda name: (heads.index(name) if name in heads else len(heads), name))


def verdict(table: pd.DataFrame, name: str, *, fair: bool) -> str:
    """Who stands highest at a score, and whether its interval overlaps the next."""
    here = table[table["score"] == name].sort_values("value", ascending=False)
    if len(here) < 2:
        return "Only one of them has this score."
    first, second = here.iloc[0], here.iloc[1]
    lead, next = f"{first['name']} is highest at {first['words']}: {first['value']:.3f}", second["name"]
    said = f"{lead}, then {next} {second['value']:.3f}."
    if pd.notna(first["low"]) and pd.notna(second["high"]):
        apart = first["low"] > second["high"]
        said += " Their 95 % intervals are apart." if apart else " Their 95 % intervals overlap: it could be chance."
    return said if fair else f"{said} That may be the cells and not the model."


def configurations(chosen: Sequence[Side]) -> pd.DataFrame:
    """A row a setting, a column a side, and whether they differ; what differs first.

    A job and a model have other settings: each is held against its own kind.
    """
    names = list(dict.fromkeys(name for side in chosen for name in side.asked))
    columns = {side.name: [side.asked.get(name, "") for name in names] for side in chosen}
    table = pd.DataFrame({"setting": [name.replace("_", " ") for name in names], **columns})
    table.insert(1, "differs", [_differs(chosen, name) for name in names])
    return table.sort_values("differs", ascending=False, kind="stable", ignore_index=True)


def _differs(chosen: Sequence[Side], name: str) -> bool:
    values: dict[str, set[str]] = {}
    for side in chosen:
        values.setdefault(side.what, set()).add(side.asked.get(name, ""))
    return any(len(found) > 1 for found in values.values())


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        kept = {name: each for name, each in sorted(value.items()) if each not in (None, "", [], (), {})}
        return ", ".join(f"{name}={_text(each)}" for name, each in kept.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) if len(value) <= 8 else plural(len(value), "value")
    return str(value)
