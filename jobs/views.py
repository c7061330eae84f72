"""What pages, clients and scripts see: plain frozen records that travel as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict

from engine.types import Direction, Modality
from jobs.queue.order import Priority
from jobs.state import JobState


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Failure(View):
    """Why something ended badly: a stable code, what happened, what to do, and the folded detail."""

    code: str
    message: str
    hint: str = ""
    detail: str = ""


class Health(View):
    version: str
    runner: str  # "ray" | "local"
    runner_alive: bool
    message: str = ""
    cpus: float | None = None
    gpus: float | None = None
    nodes: int | None = None
    retention_days: int | None = None  # of new datasets; None: until they are deleted
    result_days: int | None = None  # of finished jobs
    lacking: tuple[str, ...] = ()  # views of the cells that cannot be made: their extra is not installed


class ModelView(View):
    """One line of the catalog with the bundle's card. spaces: number of features by modality."""

    id: str
    title: str
    digest: str
    translator: str
    genome: str
    directions: tuple[Direction, ...]
    spaces: dict[str, int]
    tissue: str
    recommended_for: str = ""
    not_for: str = ""
    licence: str = ""
    card: str = ""  # markdown
    report: dict[str, Any] = {}
    example_cells: int | None = None
    origin: Literal["catalog", "trained"] = "catalog"  # trained: here, by a job, and may be deleted
    job: str = ""  # that trained it
    datasets: tuple[str, ...] = ()  # ids of what it was trained on
    split: str = ""  # SHA-256 of the cells on each side: models of the same were judged on the same cells
    holds_cells: bool = False  # its files carry training cells: those datasets stay until the model is deleted
    joint: bool = False  # whether its view of a cell is made of both modalities where both are given
    shared: bool = False  # another user's, who lets me use it
    predictability: bool = False  # whether it can be asked how well each gene and peak is predicted
    retired: bool = False  # taken off the offer; what names it goes on working


class PredictabilityView(View):
    """How well each gene or peak is predicted on the model's held-out cells: what all of them say, and a page of rows.

    measure: of score and null: "pearson" (per gene) or "auroc_depth_adjusted" (per peak). bundle: digest of the model.
    cells, part: that were scored. best_null: "mean" (the average training cell) or "depth" (that times depth), the one
    of the highest mean score. tested: rows there are. better, clearly: of these, above that null, and above it and
    chance by their own 95 % interval. skilled: closer to the truth than the average training cell. matching: rows that
    answer the search, of which `name` and the columns beside it are those from `offset` on.
    gain: score over that null, an undefined score taken as chance. gain_low: score less 1.96 of its standard errors,
    over that null or chance, whichever is higher. skill: 1 − squared error over that of the average training cell.
    """

    model: str
    bundle: str
    direction: Direction
    measure: str
    chance: float
    cells: int | None = None
    part: str = ""  # "test" | "valid"
    best_null: str = ""
    tested: int
    better: int
    clearly: int
    skilled: int
    matching: int
    offset: int = 0
    name: tuple[str, ...]
    score: tuple[float | None, ...]
    standard_error: tuple[float | None, ...]
    null: tuple[float | None, ...]
    gain: tuple[float | None, ...]
    gain_low: tuple[float | None, ...]
    skill: tuple[float | None, ...]


class UploadView(View):
    id: str
    name: str
    size: int | None
    received: int
    finished: bool = False
    sha256: str | None = None


class DatasetView(View):
    """Cells that were brought in. id is stable from the first moment; `digest` exists once it is ready."""

    id: str
    name: str
    state: Literal["importing", "ready", "failed", "cancelled"]
    stage: str = ""  # "downloading" | "checking" | "copying" …
    done: int = 0
    total: int = 0
    modality: Modality | None = None
    digest: str | None = None
    cells: int | None = None
    features: int | None = None
    genome: str | None = None
    summary: dict[str, Any] = {}
    origin: str = ""
    failure: Failure | None = None
    created_at: datetime | None = None
    until: datetime | None = None  # when it is deleted by itself; None: never


class IssueView(View):
    level: Literal["problem", "note"]
    code: str
    message: str
    hint: str = ""


class PreflightView(View):
    """What will happen if this is submitted, before it is."""

    verdict: Literal["ready", "ready with notes", "refused"]
    issues: tuple[IssueView, ...] = ()
    directions: tuple[Direction, ...] = ()  # those that can be run
    truth: tuple[Direction, ...] = ()  # those that can be scored
    coverage: dict[str, Any] = {}  # by modality: found, of, share, how
    cells: int = 0
    paired_cells: int | None = None
    seconds: tuple[float, float] | None = None
    memory_mb: float | None = None
    notes: tuple[str, ...] = ()
    pair: dict[str, Any] = {}  # of trainings and benchmarks: split (cells a side), kept by the filters, leaks checked


class GlanceView(View):
    """What a file is that was looked at where it lies. read_bytes, bytes: what was read, and what it has in all.

    Nothing was brought in. preflight: what the model asked about makes of it.
    """

    source: str
    name: str
    read_bytes: int
    bytes: int
    summary: dict[str, Any]
    model: str | None = None
    preflight: PreflightView | None = None


class Progress(View):
    """Where a job stands. stage: a part of `jobs.stages`; done and total count cells or blocks of that stage."""

    stage: str = ""
    done: int = 0
    total: int = 0
    message: str = ""


class JobView(View):
    id: str
    kind: str
    title: str
    state: JobState
    attempt: int
    model: str
    bundle: str
    made: str = ""  # id of the model that a finished training made
    directions: tuple[Direction, ...]
    truth: tuple[Direction, ...] = ()
    progress: Progress = Progress()
    priority: Priority = Priority.NORMAL
    position: int | None = None  # in the queue, 1 = next
    eta_s: tuple[float, float] | None = None  # to the end, the wait included
    time_limit_s: float | None = None
    cells: int | None = None
    outside: dict[Direction, int] = {}  # cells unlike the training cells, where the model says
    failure: Failure | None = None
    spec: dict[str, Any] = {}
    input_names: dict[str, str] = {}  # dataset names by modality
    shared_by: str = ""  # whose it is, where another user lets me look at it
    labels: tuple[str, ...] = ()
    starred: bool = False
    bin_until: datetime | None = None  # when a job in the bin is deleted
    from_cache: bool = False  # the answer to a request that was made before: finished, or under way
    submitted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime


class EventView(View):
    seq: int
    attempt: int
    moment: datetime
    kind: str
    from_state: JobState | None = None
    to_state: JobState | None = None
    detail: dict[str, Any] = {}


class DeliveryView(View):
    """Where a notification was sent. state: "pending" | "sent" | "gave-up"; error: what the last try failed of."""

    label: str
    state: str
    tries: int = 0
    error: str = ""


class NotificationView(View):
    """That a job or an import ended. event: such as "job.failed"; subject: id of the job or dataset."""

    id: str
    event: str
    headline: str
    subject: str
    kind: str  # of the job; "import"
    title: str
    failure: Failure | None = None
    moment: datetime
    read: bool = False
    deliveries: tuple[DeliveryView, ...] = ()


class InboxView(View):
    """Newest first. unread: of all there are, not only of these."""

    notifications: tuple[NotificationView, ...]
    unread: int


class ArtifactView(View):
    name: str
    bytes: int
    sha256: str
    media_type: str
    what: str = ""


class FeatureHit(View):
    """A gene or peak that answers a search. note: where it was measured, or how far from the gene's TSS."""

    name: str
    modality: Modality
    note: str = ""


class Values(View):
    """Some features of all or some cells. predicted and truth: shape (cells, features); truth None where not given."""

    barcodes: tuple[str, ...]
    features: tuple[str, ...]
    modality: Modality
    scale: str
    predicted: list[list[float]] | None = None
    truth: list[list[float]] | None = None


class PageOf(TypedDict, total=False):
    """Which page of a table; 1,000 rows where no limit is given.

    where: exact values of columns, as text. query: a part of any column of text. sort: a column.
    """

    where: Mapping[str, str]
    query: str
    sort: str
    descending: bool
    limit: int
    offset: int


class TableView(View):
    """A page of a table. total: rows that answer, of which these are some."""

    columns: dict[str, list[Any]]
    total: int


class GeneShape(View):
    """A gene model. Starts are 0-based, ends not included. exons: start and end of each, ascending."""

    name: str
    start: int
    end: int
    forward: bool
    exons: tuple[tuple[int, int], ...] = ()


class LinkView(View):
    """A link of a peak to a gene (to its TSS), or of two peaks. start < end: the middles of what it joins."""

    profile: str  # "raw" | "imputed"
    start: int
    end: int
    weight: float
    peak: str
    gene: str = ""
    other: str = ""  # the second peak, where two peaks are linked
    proximal: bool = False  # the peak (or one of two) lies at the gene's promoter


class GenomeView(View):
    """A stretch of the genome: gene models, peaks, how open each peak is in each group, and links between them.

    coverage: by profile ("raw", "imputed"), by group, one number a peak: the mean share of cells in which it is open,
    or its mean predicted probability.
    """

    genome: str
    chrom: str
    start: int
    end: int
    genes: tuple[GeneShape, ...] = ()
    peaks: tuple[str, ...] = ()
    peak_starts: tuple[int, ...] = ()
    peak_ends: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    coverage: dict[str, dict[str, list[float | None]]] = {}
    links: tuple[LinkView, ...] = ()
    links_left_out: int = 0  # weaker ones, where there are too many to draw
    notes: tuple[str, ...] = ()  # of which cells it was made, where not of all


class SettingView(View):
    """One setting of a recipe. kind: "int" | "float" | "bool" | "str"; default and values travel as text."""

    name: str
    kind: str
    default: str
    what: str = ""


class RecipeView(View):
    """A model that can be trained here. missing: the extra to install first, where it is not."""

    key: str
    title: str
    what: str
    source: str = ""  # the paper
    settings: tuple[SettingView, ...] = ()
    missing: str = ""
    holds_cells: bool = False  # its bundle carries training cells
    reads_every_feature: bool = False  # it weighs genes and peaks itself: none is filtered out unless that is asked for


class EpochView(View):
    """last: of its training the last epoch is kept, not the one with the lowest loss."""

    stage: str = ""
    number: int
    of: int
    train: dict[str, float]
    valid: dict[str, float]
    seconds: float = 0.0
    last: bool = False


class TrainingView(View):
    """The curve of a training so far. resumed: epochs after which an attempt went on from a checkpoint."""

    epochs: tuple[EpochView, ...] = ()
    resumed: tuple[int, ...] = ()
    device: str = ""
    split: dict[str, int] = {}  # cells on each side
    notes: tuple[str, ...] = ()

    def kept(self, stage: str) -> EpochView | None:
        """The epoch of a stage whose weights are kept so far: of the lowest loss on cells held back, or the last."""
        scored = [epoch for epoch in self.epochs if epoch.stage == stage and "total" in epoch.valid]
        if not scored or scored[-1].last:
            return scored[-1] if scored else None
        return min(scored, key=lambda epoch: epoch.valid["total"])
