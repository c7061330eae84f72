"""What stands before a submission: its verdict, what it covers, what it takes and where it runs."""

from __future__ import annotations

from app.present.data import USUAL
from app.present.figures import count, duration_range, percent, plural, size
from app.present.terms import Colour, Tag, direction, explained, plain, row
from jobs.names import Modality
from jobs.views import Health, PreflightView


def plan_notes(plan: PreflightView) -> list[str]:
    """Each note once, but for what is as it should be."""
    return [note for note in dict.fromkeys(plan.notes) if note != USUAL]


_VERDICTS: dict[str, tuple[str, Colour, str]] = {
    "ready": ("Ready", "green", ":material/check_circle:"),
    "ready with notes": ("Ready, with something to know", "orange", ":material/info:"),
    "refused": ("This cannot run yet", "red", ":material/block:"),
}


def verdict(plan: PreflightView, *, ready: str = "Ready to translate") -> Tag:
    """ready: what the badge says when nothing stands in the way."""
    word, colour, icon = _VERDICTS[plan.verdict]
    return Tag(ready if plan.verdict == "ready" else word, colour, icon, False)


ENOUGH = 0.5  # of a model's genes or peaks: what a translation asks for unless told otherwise


def coverage_lines(plan: PreflightView) -> list[str]:
    """18,203 of the model's 18,666 genes found (98 %); where too few were, an issue says so instead."""
    lines = []
    for which, found in plan.coverage.items():
        numbers = found if isinstance(found, dict) else {}
        if "found" not in numbers or "of" not in numbers:
            continue
        share = numbers.get("share", numbers["found"] / max(numbers["of"], 1))
        if share < ENOUGH:
            continue
        kind = row(Modality(which))
        lines.append(f"{count(numbers['found'])} of the model's {plural(numbers['of'], kind)} found ({percent(share)})")
    return lines


def plan_lines(plan: PreflightView, health: Health | None) -> list[str]:
    """What will run, how long, how much memory, where the data go, when they are deleted."""
    what = " and ".join(explained(d) for d in plan.directions)
    lines = [f"**What runs:** for {plural(plan.cells, 'cell')}, {what}." if what else ""]
    scored = " and ".join(direction(d) for d in plan.truth)
    if scored:
        cells = plural(plan.cells if plan.paired_cells is None else plan.paired_cells, "cell")
        lines.append(f"**How it is judged:** {scored} against your own measurement of {cells}.")
    elif plan.directions:
        lines.append("**How it is judged:** by the model's own scores; add the second file to score your cells.")
    return [line for line in [*lines, cost_line(plan), where_line(health)] if line]


def cost_line(plan: PreflightView) -> str:
    """How long and how much memory, as far as it can be said."""
    time = duration_range(plan.seconds) if plan.seconds else ""
    memory = f"{size(plan.memory_mb * 1e6)} of memory" if plan.memory_mb else ""
    said = ", ".join(part for part in (time, memory) if part)
    return f"**What it takes:** {said}." if said else ""


def where_line(health: Health | None) -> str:
    from app.kept import kept_line

    return f"**Where the data go:** {where(health)} Nothing leaves it. {kept_line(health)}"


def where(health: Health | None) -> str:
    if health is None or health.runner != "ray":
        return "this machine."
    nodes = health.nodes or 1
    return "this machine." if nodes == 1 else f"your own cluster of {plural(nodes, 'machine')}."


def health_line(health: Health) -> str:
    """:material/check_circle: Jobs run on this machine · 2 processors · no GPU · CrossView 0.4.1."""
    if not health.runner_alive:
        why = f": {plain(health.message)}" if health.message else ""
        return f":material/cloud_off: Jobs cannot run at the moment{why} · CrossView {plain(health.version)}"
    place = where(health).rstrip(".")
    cpus = [plural(round(health.cpus), "processor")] if health.cpus else []
    gpus = [plural(round(health.gpus), "GPU") if health.gpus else "no GPU"] if health.gpus is not None else []
    said = [f":material/check_circle: Jobs run on {place}", *cpus, *gpus, f"CrossView {plain(health.version)}"]
    return " · ".join(said)
