"""From a pair of cells to a scored bundle: the one way a model is trained, at the command line and as a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from engine.bundle import Bundle, Manifest, make_manifest, save_bundle
from engine.errors import BadSetting
from engine.evaluate import evaluate
from engine.leaks import Leaks, check
from engine.nulls import Nulls
from engine.pairs import Matching
from engine.pairs import pair as pair_up
from engine.predictability import Predictability
from engine.preprocess.align import align
from engine.preprocess.filters import FilterSettings, filter_pair
from engine.splits import known_cells
from engine.translate import encode_cells
from engine.translators.base import Hooks, Recipe
from engine.translators.registry import READS_EVERY_FEATURE
from engine.types import Cells, Direction, FeatureSpace, PairedCells, Split

FEWEST_SCORED = 10  # held-out cells worth scoring  # ours


@dataclass(frozen=True, eq=False)
class Prepared:
    """Cells that are ready to train on.

    pair: in the filtered features, all cells. split: as it was asked for. used: without the training cells that the
    filters dropped. kept: what the filters left, by name. leaks: what was looked at.
    """

    pair: PairedCells
    split: Split
    used: Split
    kept: dict[str, Any]
    matching: Matching
    leaks: Leaks

    @property
    def part(self) -> str:
        """Whose scores are told: of the cells that judge, or of those that choose where none do."""
        return "test" if self.split.test else "valid"

    @property
    def counts(self) -> dict[str, int]:
        """Cells on each side, as they are used."""
        return {side: len(getattr(self.used, side)) for side in ("train", "valid", "test")}


def prepare(
    rna: Cells, atac: Cells, *, part: Callable[[Cells], Split], filters: FilterSettings, by: str = ""
) -> Prepared:
    """Pair, part, look for leaks, filter. part: how the paired cells are parted; by: column that may not straddle.

    Raises CellsDoNotMatch, LeakedCells, NoCells, BadSetting, BadInput.
    """
    parted = part_pair(rna, atac, part=part, by=by)
    filtered = filter_pair(parted.pair, parted.split, filters)
    return Prepared(filtered.pair, parted.split, filtered.split, filtered.kept, parted.matching, parted.leaks)


@dataclass(frozen=True, eq=False)
class Parted:
    """The cells of both files on their sides, before any filter."""

    pair: PairedCells
    split: Split
    matching: Matching
    leaks: Leaks


def part_pair(rna: Cells, atac: Cells, *, part: Callable[[Cells], Split], by: str = "") -> Parted:
    """As `prepare`, without the filters: names and labels are enough for it."""
    pair, matching = pair_up(rna, atac)
    split = known_cells(pair.rna, part(_labels_of_both(pair).rna))
    return Parted(pair, split, matching, check(split, _labels_of_both(pair), by=by))


def fit_bundle(
    prepared: Prepared,
    recipe: Recipe,
    *,
    into: Path,
    id: str,
    hooks: Hooks,
    code_version: str,
    licence: str = "",
) -> Manifest:
    """Fit and save a bundle at `into`, whole or not at all."""
    fitted = recipe.fit(prepared.pair, prepared.used, hooks)
    train = prepared.pair.named(prepared.used.train)
    manifest = make_manifest(
        fitted,
        id=id,
        train=train,
        split=prepared.split,
        seed=hooks.seed,
        code_version=code_version,
        settings=settings_of(recipe),
        filters=prepared.kept,
        licence=licence,
        notes=tuple(getattr(fitted, "notes", ())),
    )
    return save_bundle(into, fitted, Nulls.fit(train), manifest)


@dataclass(frozen=True, eq=False)
class Scored:
    """One direction of a model on its held-out cells. report: in plain values."""

    report: dict[str, Any]
    predictability: Predictability


def score_direction(bundle: Bundle, prepared: Prepared, direction: Direction) -> Scored | None:
    """Scores on held-out cells; None where there are too few."""
    names = getattr(prepared.split, prepared.part)
    if len(names) < FEWEST_SCORED:
        return None
    held = prepared.pair.named(names)
    cells = held.of(direction.source)
    encoded = encode_cells(bundle, cells, align(cells.space.names, bundle.space(direction.source)))
    found = evaluate(bundle=bundle, direction=direction, predicted=encoded, truth=held.of(direction.target))
    return Scored(found.report.as_dict(), Predictability.of(found))


def report_document(
    bundle: str, prepared: Prepared, directions: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, Any]:
    """report.json of a model: its scores on held-out cells, how they were parted, and the leak check."""
    return {
        "schema": 1,
        "part": prepared.part,
        "bundle": bundle,
        "split": {**prepared.counts, "leaks": prepared.leaks.as_dict(), "pairing": prepared.matching.note},
        "directions": {name: found for name, found in directions.items() if found is not None},
    }


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe by name."""
    return {k: v for k, v in asdict(recipe).items() if k != "key"}  # type: ignore[call-overload]


def read_filters(given: Mapping[str, str]) -> tuple[FilterSettings | None, dict[str, str]]:
    """Filter settings out of text, and what is left; None where nothing was said of them.

    `filters=none` keeps every feature, `filters=paper` those CrossMP keeps. Raises BadSetting.
    """
    rest = dict(given)
    said = rest.pop("filters", "")
    if said not in ("", "none", "paper"):
        raise BadSetting(f"filters={said} is not known.", hint="`filters=none`, `filters=paper`, or single settings.")
    if said == "none":
        return FilterSettings.none(), rest
    kinds: dict[str, Any] = {f.name: type(f.default) for f in fields(FilterSettings)}
    chosen = {name: rest.pop(name) for name in list(rest) if name in kinds}
    if not chosen and not said:
        return None, rest
    try:
        read = {k: v.lower() in {"1", "true", "yes"} if kinds[k] is bool else kinds[k](v) for k, v in chosen.items()}
    except ValueError as problem:
        raise BadSetting(f"A filter cannot be read: {problem}.", hint="For example `--set min_cells=5`.") from problem
    return FilterSettings(**read), rest


def filters_for(recipe: Recipe, filters: FilterSettings | None) -> FilterSettings:
    """The filters as this recipe wants them: with `paper_compat`, counted on all cells, held-out ones too.

    Where nothing was said, the paper's; none for a recipe that weighs features itself.
    """
    if filters is None:
        filters = FilterSettings.none() if recipe.key in READS_EVERY_FEATURE else FilterSettings()
    return replace(filters, all_cells=True) if getattr(recipe, "paper_compat", False) else filters


def with_genome(cells: Cells, genome: str | None) -> Cells:
    """The cells under another genome, where one is named."""
    if not genome or genome == cells.space.genome:
        return cells
    return replace(cells, space=FeatureSpace(cells.modality, cells.space.names, genome))


def _labels_of_both(pair: PairedCells) -> PairedCells:
    """Either file may say which batch a cell is of: the columns of both, those of the RNA file first."""
    return PairedCells(replace(pair.rna, obs={**pair.atac.obs, **pair.rna.obs}), pair.atac)
