"""Views to words and tables: pure functions, no widget and no request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from jobs.names import Direction, Modality
from jobs.state import ACTIVE, TERMINAL, JobState
from jobs.views import DatasetView, Failure, Health, JobView, ModelView, PreflightView

Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]


# Numbers and times -----------------------------------------------------------------------------------------------


def count(n: int) -> str:
    """8412 -> "8,412"."""
    return f"{n:,}"


def plural(n: int, one: str, many: str = "") -> str:
    """(1, "cell") -> "1 cell"; (8412, "cell") -> "8,412 cells"."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def number(value: float | None, *, digits: int = 2) -> str:
    """A score as people say it: two decimals, "–" where there is none."""
    if value is None or value != value:
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"


def percent(share: float) -> str:
    """0.784 -> "78 %"; small shares keep one digit, and what is not nothing is never called 0 %."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.99 < share < 1:
        return f"{min(share * 100, 99.9):.1f} %"
    return f"{share * 100:.1f} %" if 0 < share < 0.01 else f"{share * 100:.0f} %"


def size(n: float) -> str:
    """Bytes in decimal units, as file managers show them."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if n >= 10 or unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def duration(seconds: float) -> str:
    """192 -> "3 min 12 s"."""
    whole = max(round(seconds), 0)
    if seconds < 10:
        return "less than a second" if seconds < 1 else f"{whole} s"
    minutes, s = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {s} s" if s else f"{minutes} min"
    return f"{s} s"


def duration_range(seconds: tuple[float, float]) -> str:
    """(20, 45) -> "20–45 s"; (70, 200) -> "1–4 min": an estimate is an interval, rounded outwards."""
    low, high = seconds
    if high < 90:
        a, b, unit = max(int(low), 1), max(int(high + 0.999), 1), "s"
    elif high < 5400:
        a, b, unit = int(low // 60), int(-(-high // 60)), "min"
    else:
        a, b, unit = int(low // 3600), int(-(-high // 3600)), "h"
    if a >= b:
        return f"about {b} {unit}"
    return f"{a}–{b} {unit}" if a else f"up to {b} {unit}"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long since, in one breath; the date once it is older than a week."""
    now = now or datetime.now(UTC)
    seconds = (now - _aware(moment)).total_seconds()
    if seconds < 45:
        return "just now"
    if seconds < 3600:
        return f"{max(round(seconds / 60), 1)} min ago"
    if seconds < 86_400:
        return f"{round(seconds / 3600)} h ago"
    if seconds < 7 * 86_400:
        return plural(round(seconds / 86_400), "day") + " ago"
    return _aware(moment).strftime("%-d %b %Y")


def moment(when: datetime) -> str:
    """The absolute time, for tooltips and tables."""
    return _aware(when).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


# Names of things -------------------------------------------------------------------------------------------------


def modality(which: Modality) -> str:
    return "RNA" if which is Modality.RNA else "ATAC"


def measured(which: Modality) -> str:
    """What is measured: expression or accessibility."""
    return "expression" if which is Modality.RNA else "accessibility"


def row(which: Modality) -> str:
    """What one column of the matrix is called: gene or peak."""
    return "gene" if which is Modality.RNA else "peak"


def direction(which: Direction) -> str:
    return f"{modality(which.source)} → {modality(which.target)}"


def in_order(which: Sequence[Direction]) -> list[Direction]:
    """RNA → ATAC first, wherever both are shown."""
    return [d for d in (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA) if d in which]


def directions(which: Sequence[Direction]) -> str:
    return "RNA ⇄ ATAC" if len(set(which)) == 2 else " · ".join(direction(d) for d in which) or "–"


def explained(which: Direction) -> str:
    """One direction in a sentence a biologist would say."""
    return f"predicts {measured(which.target)} from measured {measured(which.source)}"


def genome(name: str | None) -> str:
    species = {"hg38": "human", "hg19": "human", "mm10": "mouse", "mm39": "mouse"}.get(name or "")
    return f"{species} ({name})" if species else name or "genome not stated"


@dataclass(frozen=True)
class Tag:
    """A state as a badge: word, colour by meaning, icon, and whether it can still change."""

    word: str
    colour: Colour
    icon: str
    live: bool


_TAGS: dict[JobState, tuple[str, Colour, str]] = {
    JobState.QUEUED: ("Waiting", "gray", ":material/schedule:"),
    JobState.SUBMITTED: ("Starting", "blue", ":material/rocket_launch:"),
    JobState.RUNNING: ("Running", "blue", ":material/autorenew:"),
    JobState.CANCELLING: ("Cancelling", "orange", ":material/block:"),
    JobState.SUCCEEDED: ("Succeeded", "green", ":material/check_circle:"),
    JobState.FAILED: ("Failed", "red", ":material/error:"),
    JobState.LOST: ("Interrupted", "orange", ":material/cloud_off:"),
    JobState.CANCELLED: ("Cancelled", "gray", ":material/block:"),
}


def tag(state: JobState) -> Tag:
    word, colour, icon = _TAGS[state]
    return Tag(word, colour, icon, state in ACTIVE)


@dataclass(frozen=True)
class Stage:
    """A part of a job. words: while it goes on; short: in the row of all parts; weight: its share of the bar."""

    words: str
    short: str
    weight: float


_STAGES: Mapping[str, Mapping[str, Stage]] = {
    "translate": {
        "prepare": Stage("Reading the cells and the model", "Read", 0.1),
        "translate": Stage("Translating cells", "Translate", 0.4),
        "score": Stage("Scoring against the measured cells", "Score", 0.3),
        "map": Stage("Laying out the maps", "Map", 0.15),
        "publish": Stage("Writing the results", "Write", 0.05),
    },
    "joint": {
        "prepare": Stage("Reading both files and matching their cells", "Read", 0.05),
        "embed": Stage("Seeing each cell both ways", "Embed", 0.25),
        "group": Stage("Grouping the cells", "Group", 0.15),
        "score": Stage("Judging what is imputed", "Judge", 0.3),
        "map": Stage("Laying out the maps", "Map", 0.2),
        "publish": Stage("Writing the results", "Write", 0.05),
    },
    "analysis": {
        "prepare": Stage("Reading both files and matching their cells", "Read", 0.05),
        "analyse": Stage("Analysing the cells", "Analyse", 0.9),
        "publish": Stage("Writing the results", "Write", 0.05),
    },
    "train": {
        "prepare": Stage("Reading both files and matching their cells", "Read", 0.05),
        "train": Stage("Training", "Train", 0.75),
        "score": Stage("Scoring on the cells held out", "Score", 0.15),
        "publish": Stage("Writing the model and its card", "Write", 0.05),
    },
    "benchmark": {
        "prepare": Stage("Reading both files and matching their cells", "Read", 0.05),
        "measure": Stage("Training and scoring the models", "Train and score", 0.9),
        "publish": Stage("Comparing the models, cell by cell", "Compare", 0.05),
    },
}


def stages(kind: str) -> Mapping[str, Stage]:
    """The parts of a job of this kind, in their order."""
    return _STAGES.get(kind, _STAGES["translate"])


def stage(name: str, kind: str = "translate") -> str:
    if not name:
        return "Waiting to start"
    known = stages(kind).get(name)
    return known.words if known else name.replace("-", " ").capitalize()


def plain(text: str) -> str:
    """Text from a file or an error, safe inside markdown: a label is text, never markup."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:])", r"\\\1", text)


def slug(text: str) -> str:
    """A name as part of a key or a file's name: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "x"


# Jobs ------------------------------------------------------------------------------------------------------------


def job_title(job: JobView) -> str:
    return job.title or " + ".join(job.input_names.values()) or f"Job {job.id[:8]}"


def job_heading(job: JobView) -> str:
    """RNA → ATAC · my_pbmc.h5ad · 8,412 cells."""
    parts = [directions(job.directions), job_title(job)]
    return " · ".join([*parts, plural(job.cells, "cell")] if job.cells else parts)


def job_took(job: JobView) -> str:
    """What job_timing says, to stand beside the state: 3 min 12 s."""
    said = job_timing(job)
    return said.removeprefix(f"{tag(job.state).word} in ")


_CACHED = {
    "translate": "These cells were already translated with these settings",
    "train": "This model was already trained on these cells with these settings",
    "benchmark": "These models were already compared on these cells",
    "joint": "These cells were already seen by this model with these settings",
    "analysis": "This question was already asked of these cells with these settings",
}


def job_timing(job: JobView, now: datetime | None = None) -> str:
    """Succeeded in 3 min 12 s; running for 40 s; waiting, place 2 in the queue."""
    now = now or datetime.now(UTC)
    if job.from_cache and job.state in TERMINAL:
        return f"{_CACHED.get(job.kind, _CACHED['translate'])}; nothing was run again"
    if job.state in TERMINAL and job.started_at and job.finished_at:
        return f"{tag(job.state).word} in {duration((job.finished_at - job.started_at).total_seconds())}"
    if job.state is JobState.QUEUED:
        return "Waiting" if not job.position else f"Waiting, place {count(job.position)} in the queue"
    if job.started_at and job.state in ACTIVE:
        return f"{tag(job.state).word} for {duration((now - _aware(job.started_at)).total_seconds())}"
    return tag(job.state).word


_RUNNERS_OWN = re.compile(r"^Running entrypoint for job |^[\d-]+ [\d:,]+\s+(INFO|WARNING) ")


def last_words(log: str) -> str:
    """The last line of a log that the job itself said; the runner's own lines are for the unfolded log."""
    return next((line for line in reversed(log.splitlines()) if line.strip() and not _RUNNERS_OWN.match(line)), "")


@dataclass(frozen=True)
class Step:
    """One line of live progress. share: of the whole job, 0 to 1."""

    label: str
    share: float
    detail: str


_COUNTED = {"translate": "cells", "embed": "cells", "train": "epochs", "measure": "trainings"}


def job_step(job: JobView) -> Step:
    """Where a job stands, as one bar: finished stages count whole, the present one by its share."""
    if job.state is JobState.SUCCEEDED:
        return Step("Finished", 1.0, "")
    here = job.progress
    parts = stages(job.kind)
    names = list(parts)
    before = sum(parts[s].weight for s in names[: names.index(here.stage)]) if here.stage in names else 0.0
    within = parts[here.stage].weight * min(here.done / here.total, 1.0) if here.total and here.stage in parts else 0.0
    detail = f"{count(here.done)} of {count(here.total)}" if here.total > 1 else ""
    if detail and here.stage in _COUNTED:
        detail += f" {_COUNTED[here.stage]}"
    label = stage(here.stage, job.kind)
    if job.state is JobState.CANCELLING:
        label = "Stopping"
    elif job.state is JobState.QUEUED:
        label = ""  # its place in the queue says it
    return Step(label, min(before + within, 1.0), detail)


def job_eta(job: JobView) -> str:
    return f"{duration_range(job.eta_s)} left" if job.eta_s else ""


def job_record(job: JobView) -> dict[str, Any]:
    """A job as one line of the downloadable table."""
    return {
        "job": job.id,
        "title": job_title(job),
        "state": tag(job.state).word,
        "kind": job.kind,
        "starred": job.starred,
        "labels": ", ".join(job.labels),
        "stage": stage(job.progress.stage, job.kind) if job.state in ACTIVE else "",
        "directions": directions(job.directions) if job.directions else "",
        "model": job.model,
        "cells": job.cells,
        "cells unlike the training cells": max(job.outside.values(), default=None),
        "attempt": job.attempt,
        "submitted": moment(job.submitted_at),
        "finished": moment(job.finished_at) if job.finished_at else "",
        "failure": job.failure.code if job.failure else "",
    }


FILTERS: Mapping[str, frozenset[JobState]] = {
    "All": frozenset(),
    "Running": ACTIVE,
    "Succeeded": frozenset({JobState.SUCCEEDED}),
    "Ended otherwise": TERMINAL - {JobState.SUCCEEDED},
}
SPANS: Mapping[str, timedelta | None] = {
    "Any time": None,
    "Last day": timedelta(days=1),
    "Last week": timedelta(days=7),
    "Last month": timedelta(days=30),
}


def batch_line(states: Mapping[JobState, int]) -> str:
    """5 jobs: 3 succeeded, 1 running, 1 failed."""
    order = [state for state in JobState if states.get(state)]
    parts = [f"{count(states[state])} {tag(state).word.lower()}" for state in sorted(order, key=lambda s: -states[s])]
    return f"{plural(sum(states.values()), 'job')}: {', '.join(parts)}" if parts else "No job"


# Failures --------------------------------------------------------------------------------------------------------

_RETRY = frozenset({"lost", "out-of-memory", "cluster-unreachable", "cancelled", "internal", "timeout"})


@dataclass(frozen=True)
class Panel:
    """A calm account of what went wrong. what: one sentence; do: the next step; detail: folded away."""

    what: str
    do: str
    code: str
    detail: str = ""
    retry: bool = False


def failure(it: Failure) -> Panel:
    return Panel(it.message or "The job ended badly.", it.hint, it.code, it.detail, it.code in _RETRY)


# Data and models -------------------------------------------------------------------------------------------------


def dataset_line(data: DatasetView) -> str:
    """8,412 cells × 36,601 genes · human (hg38)."""
    if data.cells is None or data.modality is None:
        return data.origin
    rows = plural(data.features, row(data.modality)) if data.features is not None else ""
    parts = [" × ".join(p for p in (plural(data.cells, "cell"), rows) if p)]
    return " · ".join(parts + ([genome(data.genome)] if data.genome else []))


def dataset_notes(data: DatasetView) -> list[str]:
    """What intake had to say, but for what is as it should be."""
    return [str(note) for note in data.summary.get("notes", ()) if note != _USUAL]


_USUAL = "Counts were read from X."


def counts_lines(data: DatasetView) -> list[str]:
    """Where the raw counts were found, in a word for who keeps log-normalised values in X; then what else was said."""
    summary = data.summary
    origin, depth = str(summary.get("counts_from", "")), (summary.get("depth") or {}).get("50")
    said = []
    if origin:
        elsewhere = "" if origin in ("X", "matrix") else "; what X holds is not used"
        a_cell = f", about {count(round(depth))} a cell" if isinstance(depth, int | float) else ""
        said.append(f"Raw counts were found in {origin}{elsewhere}{a_cell}.")
    return [
        *said,
        *(note for note in dataset_notes(data) if not note.startswith("Counts were read from") or "not used" in note),
    ]


def plan_notes(plan: PreflightView) -> list[str]:
    """Each note once, but for what is as it should be."""
    return [note for note in dict.fromkeys(plan.notes) if note != _USUAL]


_IMPORTS = {
    "downloading": "Fetching the file",
    "checking": "Looking inside before anything is loaded",
    "copying": "Writing a clean copy",
}


def import_step(data: DatasetView) -> Step:
    label = _IMPORTS.get(data.stage, data.stage.capitalize() or "Starting")
    share = min(data.done / data.total, 1.0) if data.total else 0.0
    detail = ""
    if data.total:
        words = (
            (size(data.done), size(data.total))
            if data.stage == "downloading"
            else (count(data.done), count(data.total))
        )
        detail = f"{words[0]} of {words[1]}"
    return Step(label, share, detail)


def model_line(model: ModelView) -> str:
    """One line that tells models apart: what it knows, genome, how many genes and peaks."""
    spaces = [plural(n, row(Modality(which))) for which, n in sorted(model.spaces.items(), reverse=True)]
    return " · ".join([f"Knows: {model.tissue}", genome(model.genome), *spaces])


def ranked_models(models: Sequence[ModelView], *, genome_name: str | None) -> list[ModelView]:
    """Models of the cells' genome first; the rest after, since a wrong genome is refused with a reason."""
    return sorted(models, key=lambda m: (genome_name is not None and m.genome != genome_name, m.title))


# Before submitting -----------------------------------------------------------------------------------------------

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
