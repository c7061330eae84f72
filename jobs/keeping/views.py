"""What pages, clients and scripts see of what is kept: plain frozen records that travel as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from jobs.views import DatasetView, View


class UsageView(View):
    """What an owner keeps, in bytes and in datasets, and how much is allowed (None: as much as there is room for).

    datasets_bytes counts the same content once. uploads_bytes: files that are not brought in yet, by the size
    announced. retention_days, result_days: how long new datasets and finished jobs are kept (None: until deleted).
    """

    owner: str
    bytes: int
    datasets_bytes: int
    results_bytes: int
    uploads_bytes: int
    datasets: int
    jobs: int
    limit_bytes: int | None = None
    limit_datasets: int | None = None
    retention_days: int | None = None
    result_days: int | None = None


class HoldingView(View):
    """A dataset with what hangs on it.

    overdue: its time is over, and something still needs it.
    running: jobs that need it now. used_by: every job that read it. held_by: models, and jobs whose files, that carry
    its cells: they go before it. shares: other datasets of the same content.
    """

    dataset: DatasetView
    bytes: int | None = None
    overdue: bool = False
    running: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()


class ReceiptView(View):
    """A deletion. state: "gone" once every object was seen to be gone; sha256 then covers the document.

    The SHA-256 is of the document as JSON with sorted keys and without spaces, in UTF-8.
    """

    id: str
    kind: Literal["dataset", "job", "model"]
    object: str
    state: Literal["going", "gone"]
    document: dict[str, Any]
    sha256: str | None = None
    created_at: datetime


class AuditView(View):
    """One act. seq counts without gaps; digest covers the entry and the digest of the one before it."""

    seq: int
    moment: datetime
    who: str
    via: str
    act: str
    object: str
    outcome: str
    detail: dict[str, Any]
    digest: str


class AuditCheck(View):
    """Whether the log is as it was written. head: number and digest of the newest entry, to be noted elsewhere."""

    whole: bool
    entries: int
    head: str
    broken: int | None = None  # the first entry that is not as it was written
    message: str = ""


class BackupView(View):
    """What a backup holds. sha256: of its manifest, which names the SHA-256 of everything else."""

    path: str
    bytes: int
    sha256: str
    tables: dict[str, int]  # rows
    objects: int
    objects_bytes: int
    referenced: bool = False  # objects are named, not held
    missing: tuple[str, ...] = ()  # objects that rows name and the store has not
    damaged: tuple[str, ...] = ()  # objects whose bytes are not those recorded
