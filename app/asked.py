"""What a page's address asks for, as the spec of a job: what `kinds.query` writes, read back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app import recipes
from app.columns import MOST_LABELS, looks_like_type
from app.kinds import BATCHES, CHANCE, NAMES, NO_LABEL
from app.parting import batch_columns
from app.present import in_order
from jobs.names import Direction, Modality
from jobs.spec import INPUTS, AnySpec, BenchmarkSpec, Contender, HoldOut, JointSpec, TrainSpec, TranslateSpec
from jobs.views import DatasetView, ModelView, RecipeView

MOST_SEEDS = 20
SEED_END = 2**32 - 1
FILTERS = ("published", "everything")
DEVICES = ("auto", "cpu", "cuda")
USUAL_CONTENDERS = 3
Labels = Mapping[str, Mapping[str, int]]
Inputs = Mapping[Modality, DatasetView]


@dataclass(frozen=True)
class Draft:
    """An address's values by name. base: the spec of the job this one is made from, for what pages do not ask."""

    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)

    def one(self, name: str, usual: str = "") -> str:
        found = self.query.get(name) or ()
        return found[-1] if found else usual

    def many(self, name: str) -> list[str]:
        return list(self.query.get(name) or ())

    def pick(self, name: str, options: Sequence[str]) -> str:
        """One of the options, the first unless the address names another."""
        asked = self.one(name, options[0])  # an empty one may be an option too
        return asked if asked in options else options[0]

    def whole(self, name: str, usual: int, *, least: int = 0, most: int = SEED_END) -> int:
        try:
            given = int(self.one(name, str(usual)))
        except ValueError:
            return usual
        return given if least <= given <= most else usual

    def real(self, name: str, usual: float, *, least: float, most: float) -> float:
        try:
            given = float(self.one(name, str(usual)))
        except ValueError:
            return usual
        return given if least <= given <= most else usual

    def flag(self, name: str, usual: bool) -> bool:
        return self.one(name, str(usual)).strip().lower() in ("true", "1", "yes")


# Cells -----------------------------------------------------------------------------------------------------------


def labels_of(inputs: Inputs) -> dict[str, dict[str, int]]:
    """Label columns with the cells of each value; of both files, the RNA file's where both have one."""
    found: dict[str, dict[str, int]] = {}
    for modality in (Modality.ATAC, Modality.RNA):
        kept = (inputs[modality].summary.get("labels") or {}) if modality in inputs else {}
        found |= {str(name): {str(k): int(n) for k, n in of.items()} for name, of in kept.items() if len(of) > 1}
    return found


def genome_of(inputs: Inputs) -> str | None:
    return next((inputs[m].genome for m in (Modality.RNA, Modality.ATAC) if m in inputs and inputs[m].genome), None)


def title_of(inputs: Inputs) -> str:
    return " + ".join(inputs[m].name for m in (Modality.RNA, Modality.ATAC) if m in inputs)


# Translations ----------------------------------------------------------------------------------------------------


def possible(model: ModelView, has: Sequence[Modality]) -> list[Direction]:
    return [d for d in in_order(model.directions) if d.source in has]


def directions(draft: Draft, model: ModelView, has: Sequence[Modality]) -> tuple[Direction, ...]:
    """All that can be done unless the address names some."""
    can = possible(model, has)
    asked = [d for d in can if d.value in draft.many("directions")]
    return tuple(asked or can)


def translation(draft: Draft, model: ModelView, inputs: Inputs) -> TranslateSpec:
    """Raises pydantic.ValidationError where the model can do nothing with these cells."""
    return TranslateSpec.model_validate(
        {
            **_kept(draft, ("chunk_cells", "min_coverage")),
            **_ids(inputs),
            "model": model.id,
            "directions": directions(draft, model, list(inputs)),
            "export": draft.flag("export", False),
            "umap": draft.flag("umap", True),
            "seed": draft.whole("seed", 0),
        }
    )


# Joint views -----------------------------------------------------------------------------------------------------


def label_choices(labels: Labels) -> list[str]:
    """Columns that can be kinds of cells, those that sound like it first; the choice of none among them."""
    fit = [name for name, kinds in labels.items() if 1 < len(kinds) <= MOST_LABELS]
    fit.sort(key=lambda name: (not looks_like_type(name), name))
    if not fit:
        return []
    return [*fit, NO_LABEL] if looks_like_type(fit[0]) else [NO_LABEL, *fit]


def joint(draft: Draft, model: ModelView, inputs: Inputs) -> JointSpec:
    choices = label_choices(labels_of(inputs))
    label = draft.pick("label", choices) if choices else NO_LABEL
    return JointSpec.model_validate(
        {
            **_kept(draft, ("chunk_cells", "min_coverage")),
            **_ids(inputs),
            "model": model.id,
            "label": "" if label == NO_LABEL else label,
            "clusters": draft.whole("clusters", 0, most=500),
            "resolution": draft.real("resolution", 1.0, least=0.1, most=20.0),
            "umap": draft.flag("umap", True),
            "export": draft.flag("export", False),
            "seed": draft.whole("seed", 0),
        }
    )


# Trainings -------------------------------------------------------------------------------------------------------


def ways(labels: Labels) -> list[str]:
    """How cells can be parted."""
    return [CHANCE, *([BATCHES] if batch_columns(labels) else []), NAMES]


def hold_out(draft: Draft, labels: Labels, *, names: HoldOut | None = None) -> HoldOut | None:
    """How they are; None until it is complete. names: a split that was given as a file."""
    way, columns = draft.pick("split", ways(labels)), batch_columns(labels)
    if way == NAMES:
        kept = draft.base.get("split") or {}
        return names or (HoldOut.model_validate(kept) if kept.get("names") else None)
    if way == BATCHES:
        column = draft.pick("column", columns)
        values = sorted(labels[column])
        test = [v for v in values if v in draft.many("test")]
        valid = [v for v in values if v in draft.many("valid") and v not in test]
        if not test or len(test) + len(valid) >= len(values):
            return None
        return HoldOut(column=column, test=tuple(test), valid=tuple(valid))
    return HoldOut(by=draft.pick("by", ["", *columns]))


def recipe_of(draft: Draft, found: Sequence[RecipeView]) -> RecipeView:
    by_key = {each.key: each for each in recipes.ranked(found)}
    return by_key[draft.pick("model", list(by_key))]


def settings(draft: Draft, recipe: RecipeView) -> dict[str, str]:
    """Those that differ from their defaults; what cannot be read is left at its default."""
    fields, values = [recipes.field(each) for each in recipe.settings], {}
    for each in fields:
        try:
            values[each.name] = recipes.value(each.kind, draft.one(f"{recipe.key}.{each.name}", str(each.default)))
        except ValueError:
            continue
    return recipes.changed(fields, values)


def filter_choices(everything: bool) -> tuple[str, ...]:
    """everything: all genes and peaks are what suits the method, and are offered first."""
    return FILTERS[::-1] if everything else FILTERS


def filters(draft: Draft, *, everything: bool = False) -> dict[str, str]:
    kept = {name: text for name, text in (draft.base.get("filters") or {}).items() if name != "filters"}
    picked = draft.pick("filters", filter_choices(everything))
    if picked == "everything":
        return {**kept, **({} if everything else {"filters": "none"})}
    return {**kept, **({"filters": "paper"} if everything else {})}


def training(draft: Draft, recipe: RecipeView, inputs: Inputs, split: HoldOut) -> TrainSpec:
    return TrainSpec.model_validate(
        {
            **_pair(draft, inputs, split),
            "filters": filters(draft, everything=recipe.reads_every_feature),
            "model": recipe.key,
            "settings": settings(draft, recipe),
            "name": draft.one("name").strip()[:80],
            "seed": draft.whole("seed", 0),
        }
    )


# Comparisons -----------------------------------------------------------------------------------------------------


def rivals(found: Sequence[RecipeView]) -> list[RecipeView]:
    """Who can take part beside the yardsticks that always do."""
    return [r for r in recipes.ranked(found) if r.key not in recipes.YARDSTICKS[:2]]


def contenders(draft: Draft, found: Sequence[RecipeView]) -> tuple[Contender, ...]:
    """Empty while something must be mended first: a model that is not installed, a line that cannot be read."""
    by_key = {r.key: r for r in rivals(found)}
    chosen = chosen_models(draft, found)
    if any(by_key[key].missing for key in chosen):
        return ()
    written = [recipes.variants(by_key[key], draft.one(f"variants.{key}")) for key in chosen]
    if any(each.problems for each in written):
        return ()
    return tuple(contender for each in written for contender in each.contenders)


def usual_models(found: Sequence[RecipeView]) -> list[str]:
    usual = [r.key for r in rivals(found) if not r.missing and r.key not in recipes.YARDSTICKS]
    return usual[:USUAL_CONTENDERS]


def chosen_models(draft: Draft, found: Sequence[RecipeView]) -> list[str]:
    asked = draft.many("models") or usual_models(found)
    return [r.key for r in rivals(found) if r.key in asked]


def batch_choices(labels: Labels, split: HoldOut) -> list[str]:
    """Columns whose values can be judged apart; "" is none."""
    columns = batch_columns(labels)
    order = [c for c in (split.column,) if c in columns] + [c for c in columns if c != split.column]
    return ["", *order] if not split.column else [*order, ""]


def comparison(draft: Draft, who: Sequence[Contender], inputs: Inputs, split: HoldOut) -> BenchmarkSpec:
    return BenchmarkSpec.model_validate(
        {
            **_pair(draft, inputs, split),
            "filters": filters(draft),
            "contenders": tuple(who),
            "seeds": tuple(range(draft.whole("seeds", 3, least=1, most=MOST_SEEDS))),
            "batch_column": draft.pick("batches", batch_choices(labels_of(inputs), split)),
        }
    )


def _pair(draft: Draft, inputs: Inputs, split: HoldOut) -> dict[str, Any]:
    known = genome_of(inputs)
    asked = None if known else draft.one("genome") or None
    return {**_ids(inputs), "split": split, "genome": asked, "device": draft.pick("device", DEVICES)}


def _ids(inputs: Inputs) -> dict[str, str]:
    return {modality.value: data.id for modality, data in inputs.items()}


def _kept(draft: Draft, names: Sequence[str]) -> dict[str, Any]:
    return {name: draft.base[name] for name in names if name in draft.base}


def said(spec: AnySpec) -> list[tuple[str, str]]:
    """What differs from the usual, as names and values for the last look; the cells and the model left out."""
    fields = type(spec).model_fields
    left_out = {"kind", "model", "bundle", *INPUTS, "target", "split", "contenders", "directions"}
    found = []
    for name, value in spec.model_dump(mode="json").items():
        usual = fields[name].get_default(call_default_factory=True)
        same = tuple(value) == tuple(usual) if isinstance(value, list) and isinstance(usual, tuple) else value == usual
        if name not in left_out and not same:
            text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
            found.append((name.replace("_", " "), text))
    return found
