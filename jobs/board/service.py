"""The board: finding jobs, marking them, acting on many, asking for one again, and batches."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from engine.types import Direction
from jobs import once
from jobs.accounts import access
from jobs.accounts.insides import told
from jobs.board.views import (
    LONGEST_LABEL,
    MOST_JOBS,
    MOST_LABELS,
    Act,
    BatchView,
    BulkView,
    JobsAsked,
    JobsPage,
    Refusal,
    VerifyView,
)
from jobs.errors import BadRequest, Conflict
from jobs.keeping.audit import noted
from jobs.spec import AnySpec, read_spec
from jobs.state import TERMINAL, JobState
from jobs.submitting import row_of
from jobs.views import JobView, ModelView
from storage.tables import board as table
from storage.tables import jobs as job_table
from storage.tables import marks
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from jobs.service import JobService
    from storage.tables.jobs import JobRow

GRACE = timedelta(minutes=10)  # between the bin and the deletion  # ours
BATCH = "batch "  # how a label begins that was made here  # ours
HANDED = ("id", "bundle")  # of a spec that is asked for again, never taken over


@dataclass(frozen=True)
class Board:
    """Made of the service that it acts through; each sees a list of their own."""

    service: JobService

    @property
    def owner(self) -> str:
        """Of the list and of what is put on it: whoever asks."""
        return access.owner()

    def find(self, asked: JobsAsked) -> JobsPage:
        with self.service.database.read() as conn:
            wanted = self._asked(asked, sorted(access.shared_with_me(conn, "job")))
            rows = table.find(conn, wanted, limit=asked.limit, offset=asked.offset)
            states = table.counts(conn, wanted)
            bin = table.Asked(owner=self.owner, binned=True)
            return JobsPage(
                jobs=tuple(self.service.desk.standing(conn).views(rows)),
                total=sum(states.values()),
                states={JobState(state): n for state, n in states.items()},
                labels=marks.label_counts(conn, owner=self.owner),
                kinds=tuple(table.kinds(conn, owner=self.owner)),
                binned=sum(table.counts(conn, bin).values()),
            )

    def _asked(self, asked: JobsAsked, shared: Sequence[str]) -> table.Asked:
        return table.Asked(
            owner=self.owner,
            shared=shared,
            states=[state.value for state in asked.states] or None,
            kind=asked.kind,
            model=asked.model,
            label=asked.label,
            starred=asked.starred,
            since=asked.since,
            before=asked.before,
            words=asked.words.split(),
            binned=asked.binned,
        )

    # -- marks ---------------------------------------------------------------------------------------------------

    def mark(
        self, id: str, *, starred: bool | None = None, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> JobView:
        """Raises NotFound, BadRequest for a label that is none, Conflict for too many."""
        new = [label_of(text) for text in add]

        def write(conn: DuckDBPyConnection) -> None:
            row_of(conn, id)
            if starred is not None:
                marks.change(conn, id, owner=self.owner, starred=starred)
            for label in remove:
                marks.remove_label(conn, id, label.strip(), owner=self.owner)
            for label in new:
                marks.add_label(conn, id, label, owner=self.owner)
            if len(marks.labels_of(conn, id, owner=self.owner)) > MOST_LABELS:
                raise Conflict(f"A job has at most {MOST_LABELS} labels.", hint="Remove one first.")

        self.service.database.write_now(write)
        return self.service.job(id)

    # -- many at once --------------------------------------------------------------------------------------------

    def bulk(self, act: Act, ids: Sequence[str], *, label: str = "") -> BulkView:
        """Each by itself: what one is refused costs the others nothing. label: of LABEL and UNLABEL."""
        _not_too_many(len(ids), "jobs")
        do = self._acts(label_of(label) if act in (Act.LABEL, Act.UNLABEL) else "")[act]
        done, problems = [], []
        for id in dict.fromkeys(ids):
            try:
                do(id)
                done.append(id)
            except Exception as error:
                problems.append(Refusal(of=id, failure=told(error)))
        return BulkView(act=act, done=tuple(done), problems=tuple(problems))

    def _acts(self, label: str) -> Mapping[Act, Callable[[str], object]]:
        return {
            Act.CANCEL: self.service.cancel,
            Act.RETRY: self.service.retry,
            Act.BIN: self._bin,
            Act.RESTORE: self.restore,
            Act.DELETE: self.service.delete_job,
            Act.STAR: lambda id: self.mark(id, starred=True),
            Act.UNSTAR: lambda id: self.mark(id, starred=False),
            Act.LABEL: lambda id: self.mark(id, add=[label]),
            Act.UNLABEL: lambda id: self.mark(id, remove=[label]),
        }

    def _bin(self, id: str) -> None:
        """Raises NotFound, Conflict before the job's end."""

        def write(conn: DuckDBPyConnection) -> bool:
            if JobState(row_of(conn, id).state) not in TERMINAL:
                raise Conflict("The job has not ended.", hint="Cancel it first.")
            return marks.change(conn, id, owner=self.owner, bin_until=utcnow() + GRACE)

        self.service.database.write_now(noted("job.bin", id, write))

    def restore(self, id: str) -> None:
        """Takes a job out of the bin, if it is there. Raises NotFound."""

        def write(conn: DuckDBPyConnection) -> bool:
            row_of(conn, id)
            return marks.change(conn, id, owner=self.owner, bin_until=None)

        self.service.database.write_now(noted("job.restore", id, write))

    # -- asking --------------------------------------------------------------------------------------------------

    def again(
        self, id: str, *, changes: Mapping[str, Any] | None = None, title: str = "", fresh: bool = False
    ) -> JobView:
        """A new job of what this one was asked, with some fields of its spec changed; its labels are taken over.

        Raises NotFound, BadRequest for a change that its kind does not know, and what `submit` raises.
        """
        with self.service.database.read() as conn:
            row = row_of(conn, id)
            labels = marks.labels_of(conn, id, owner=self.owner)
        spec = changed(row.spec, changes or {})
        same = not changes
        job = self.service.desk.submit(spec, title=title or (row.title if same else ""), fresh=fresh)
        return self.mark(job.id, add=labels) if labels and job.id != id else job

    def batch(self, specs: Sequence[AnySpec], *, label: str = "", titles: Sequence[str] = ()) -> BatchView:
        """Many jobs under one label. titles: as many, or none. label: one of the day is made where none is given."""
        if not specs:
            raise BadRequest("There is nothing in this batch.", hint="Give at least one spec.")
        _not_too_many(len(specs), "specs")
        if titles and len(titles) != len(specs):
            raise BadRequest(f"There are {len(titles)} titles for {len(specs)} specs.", hint="Give one each, or none.")
        made = self._made_before()
        name = self._batch_label(label, made)
        jobs, problems = [], []
        for number, spec in enumerate(specs, start=1):
            try:
                title = titles[number - 1] if titles else ""
                job = self._again_the_same(made, spec) or self.service.desk.submit(spec, title=title)
                jobs.append(self.mark(job.id, add=[name]))
            except Exception as error:
                problems.append(Refusal(of=str(number), failure=told(error)))
        return BatchView(label=name, jobs=tuple(jobs), problems=tuple(problems))

    def _made_before(self) -> dict[str, JobRow]:
        """By the digest of their specs, jobs that this very request queued in a process that died over it."""
        with self.service.database.read() as conn:
            found = (job_table.get(conn, id) for id in once.made_before(conn))
            return {row.spec_digest: row for row in found if row is not None}

    def _again_the_same(self, made: Mapping[str, JobRow], spec: AnySpec) -> JobView | None:
        row = made.get(self.service.desk.completed(spec).digest) if made else None
        return self.service.job(row.id) if row is not None else None

    def _batch_label(self, label: str, made: Mapping[str, JobRow]) -> str:
        """As it was asked for; else that of jobs that were made already; else one of the day."""
        if label.strip():
            return label_of(label)
        with self.service.database.read() as conn:
            put = [each for row in made.values() for each in marks.labels_of(conn, row.id, owner=self.owner)]
        new = f"{BATCH}{utcnow():%Y-%m-%d} {secrets.token_hex(2)}"
        return next((each for each in put if each.startswith(BATCH)), new)

    # -- models --------------------------------------------------------------------------------------------------

    def retire(self, id: str, *, retired: bool) -> ModelView:
        """Takes a model off the offer, or puts it back; jobs that name it go on working. Raises UnknownModel."""
        self.model(id)
        change = noted(
            "model.retire" if retired else "model.offer",
            id,
            lambda conn: marks.change(conn, id, owner=self.owner, retired=retired),
        )
        self.service.database.write_now(change)
        return self.model(id)

    def models(self) -> list[ModelView]:
        """All, each with whether it is retired; the retired ones last."""
        return sorted(self._with_marks(self.service.models.all()), key=lambda model: model.retired)

    def model(self, id: str) -> ModelView:
        """Raises UnknownModel."""
        return self._with_marks([self.service.models.view(id)])[0]

    def _with_marks(self, found: Sequence[ModelView]) -> list[ModelView]:
        with self.service.database.read() as conn:
            known = marks.all_of(conn, owner=access.only())
        return [
            model.model_copy(update={"retired": True}) if known.of(model.id).row.retired else model for model in found
        ]

    def verify(self, id: str) -> VerifyView:
        """Reads every file of the model and predicts its test cells again: seconds. Raises UnknownModel."""
        from engine.bundle import read_manifest, verify_bundle

        folder = self.service.models.folder(id)
        try:
            worst = verify_bundle(folder)
        except Exception as error:
            return VerifyView(model=id, digest="", verified=False, failure=told(error))
        differences = {Direction(name): value for name, value in worst.items()}
        return VerifyView(model=id, digest=read_manifest(folder).digest, verified=True, largest_difference=differences)


def changed(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> AnySpec:
    """The spec with these fields set; `settings` and `filters` are merged. Raises BadRequest."""
    document = {name: value for name, value in spec.items() if name not in HANDED}
    for name, value in changes.items():
        if name in ("kind", *HANDED) or name not in document:
            known = ", ".join(sorted(set(document) - {"kind"}))
            raise BadRequest(f"{name[:40]!r} cannot be changed in such a job.", hint=f"It has {known}.")
        merged = isinstance(document[name], Mapping) and isinstance(value, Mapping) and name != "split"
        document[name] = {**document[name], **value} if merged else value
    try:
        return read_spec(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise BadRequest(f"{where or 'The job'}: {first['msg']}", hint="Change it, or leave it as it was.") from None


def label_of(text: str) -> str:
    """A label people may be shown. Raises BadRequest for one that is empty, too long or not text."""
    label = " ".join(text.split())
    if not label or len(label) > LONGEST_LABEL or any(unicodedata.category(c)[0] == "C" for c in label):
        raise BadRequest(f"{text[:40]!r} is no label.", hint=f"Give 1 to {LONGEST_LABEL} letters, digits or signs.")
    return label


def _not_too_many(n: int, what: str) -> None:
    if n > MOST_JOBS:
        raise BadRequest(f"{n:,} {what} are more than {MOST_JOBS}.", hint=f"Give up to {MOST_JOBS} at once.")
