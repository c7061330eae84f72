"""What was asked of a pair, done: cells read from canonical copies, parted as the spec says, filtered."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.errors import BadSetting
from engine.splits import by_chance, by_values
from engine.types import Cells, Modality, Split

if TYPE_CHECKING:
    from engine.fitting import Prepared
    from engine.preprocess.filters import FilterSettings
    from jobs.spec import HoldOut, PairSpec
    from jobs.work import Attempt


def part_by(held: HoldOut, *, seed: int) -> Callable[[Cells], Split]:
    """How cells are parted, as the spec words it."""

    def part(cells: Cells) -> Split:
        if held.names:
            return Split(held.names.get("train", ()), held.names.get("valid", ()), held.names.get("test", ()))
        if held.column:
            chosen, choosing = ([(held.column, value) for value in side] for side in (held.test, held.valid))
            return by_values(cells, chosen, valid=choosing, seed=seed)
        return by_chance(cells, seed=seed, by=held.by)

    return part


def filters_of(spec: PairSpec) -> FilterSettings:
    """Raises BadSetting naming what is no filter."""
    from engine.fitting import filters_for, read_filters
    from engine.preprocess.filters import FilterSettings
    from engine.translators.registry import recipe
    from jobs.spec import TrainSpec

    found, rest = read_filters(spec.filters)
    if rest:
        raise BadSetting(
            f"There is no filter {', '.join(sorted(rest))}.",
            hint="min_genes, max_genes, min_cells, max_share, drop_sex_chromosomes; or filters=none or paper.",
        )
    if isinstance(spec, TrainSpec):
        return filters_for(recipe(spec.model, spec.settings), found)
    return found or FilterSettings()  # a benchmark gives all its models the same features


def split_seed(spec: PairSpec) -> int:
    """A benchmark parts its cells once, whatever the seeds of its models."""
    return int(getattr(spec, "seed", 0))


@lru_cache(maxsize=1)
def prepared(attempt: Attempt) -> Prepared:
    """The pair of an attempt, kept by this worker for its next task."""
    from engine.fitting import prepare, with_genome

    spec = attempt.pair
    found: dict[Modality, Cells] = {}
    for modality in Modality:
        with attempt.cells(modality) as cells:
            found[modality] = with_genome(cells.all(layers=modality is Modality.RNA), spec.genome)
    return prepare(
        found[Modality.RNA],
        found[Modality.ATAC],
        part=part_by(spec.split, seed=split_seed(spec)),
        filters=filters_of(spec),
        by=spec.split.by,
    )
