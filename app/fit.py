"""Which model fits these cells: in which order they are offered, and why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import readings
from app.present import ENOUGH, direction, genome, in_order, number, percent, plural, row
from jobs.names import Direction, Modality
from jobs.views import IssueView, ModelView, PreflightView

_LEVELS = {"good": 2, "mixed": 1}  # of a card's verdict; any other counts nothing


@dataclass(frozen=True)
class Fit:
    """A model beside some cells. plan: None where it could not be looked at. share: of its genes or peaks, the least.

    reasons: what speaks for it; doubts: what speaks against it, or stops it.
    """

    model: ModelView
    plan: PreflightView | None
    share: float | None
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def refused(self) -> bool:
        return self.plan is None or self.plan.verdict == "refused"

    @property
    def problems(self) -> tuple[IssueView, ...]:
        return tuple(issue for issue in self.plan.issues if issue.level == "problem") if self.plan else ()


def fits(
    models: Sequence[ModelView],
    look: Callable[[ModelView], PreflightView | None],
    *,
    has: Sequence[Modality],
    cells_genome: str | None,
) -> list[Fit]:
    """The best first. look: the pre-flight of one model. has: what was measured. Retired models are left out."""
    found = [_fit(model, look(model), has=has, cells_genome=cells_genome) for model in models if not model.retired]
    return sorted(found, key=lambda fit: _order(fit, has, cells_genome))


def _fit(model: ModelView, plan: PreflightView | None, *, has: Sequence[Modality], cells_genome: str | None) -> Fit:
    can = [d for d in in_order(model.directions) if d.source in has]
    share = _share(plan)
    reasons, doubts = [], []
    if cells_genome and model.genome:
        if cells_genome == model.genome:
            reasons.append(f"knows your genome, {genome(model.genome)}")
        else:
            doubts.append(f"knows {genome(model.genome)}; your cells look like {genome(cells_genome)}")
    reasons += _coverage(plan)
    if can:
        reasons.append("translates " + " and ".join(direction(d) for d in can))
    else:
        doubts.append("translates nothing that was measured here")
    for which in can:
        (reasons if _level(model, which) == 2 else doubts).append(_card(model, which))
    if plan is None:
        doubts.append("could not be compared with these cells")
    return Fit(model, plan, share, tuple(filter(None, reasons)), tuple(filter(None, doubts)))


def _coverage(plan: PreflightView | None) -> list[str]:
    said = []
    for which, found in (plan.coverage if plan else {}).items():
        share = _of(found)
        if share is not None and share >= ENOUGH:
            kind = plural(int(found["of"]), row(Modality(which)))
            said.append(f"{percent(share)} of its {kind} are among yours")
    return said


def _share(plan: PreflightView | None) -> float | None:
    shares = [share for found in (plan.coverage if plan else {}).values() if (share := _of(found)) is not None]
    return min(shares, default=None)


def _of(found: Any) -> float | None:
    if not isinstance(found, Mapping) or not found.get("of"):
        return None
    return float(found.get("share", found.get("found", 0) / found["of"]))


def _level(model: ModelView, which: Direction) -> int:
    return _LEVELS.get(readings.verdict(readings.of_direction(model.report, which)).level, 0)


def _card(model: ModelView, which: Direction) -> str:
    """What its card's own scores say, in a clause."""
    report = readings.of_direction(model.report, which)
    main = readings.readings(report).get(readings.MAIN[which])
    if main is None:
        return f"no scores of {direction(which)} were published with it"
    beside = f", average {number(main.nulls['mean'])}" if "mean" in main.nulls else ""
    said = f"{main.meaning.label} {number(main.value)}{beside}, on {plural(main.n, 'cell')} it never saw"
    words = {2: "beats the average profile", 1: "perhaps beats the average profile"}
    return f"{words.get(_level(model, which), 'does not beat the average profile')} at {direction(which)} ({said})"


def _order(fit: Fit, has: Sequence[Modality], cells_genome: str | None) -> tuple[Any, ...]:
    can = [d for d in fit.model.directions if d.source in has]
    wrong_genome = bool(cells_genome and fit.model.genome and fit.model.genome != cells_genome)
    worth = sum(_level(fit.model, which) for which in can)
    return (
        fit.refused,
        wrong_genome,
        -len(can),
        -worth,
        -round(fit.share or 0.0, 1),
        -_gain(fit.model, can),
        fit.model.title,
    )


def _gain(model: ModelView, can: Sequence[Direction]) -> float:
    """How far its main scores lie above the average profile, added up."""
    gains = []
    for which in can:
        main = readings.readings(readings.of_direction(model.report, which)).get(readings.MAIN[which])
        if main is not None:
            gains.append(main.value - main.nulls.get("mean", main.meaning.neutral))
    return sum(gains)


def recommended(fit: Fit, fits: Sequence[Fit]) -> str:
    """One sentence on why it stands first, or what speaks against it."""
    if fit.refused:
        return "These cells cannot be translated by it: " + (fit.problems[0].message if fit.problems else "see below.")
    if fit is fits[0]:
        return f"The best fit of {plural(len(fits), 'model')}." if len(fits) > 1 else "The only model there is."
    return f"Number {fits.index(fit) + 1} of {plural(len(fits), 'model')} by fit."
