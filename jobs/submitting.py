"""What can be asked for: looked at before, refused where it cannot work, answered from what is known, or queued."""

from __future__ import annotations

import hashlib
import json
import secrets
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.errors import WrongDirection
from engine.types import Direction, Modality
from jobs import estimate, layout, preflight
from jobs.accounts import access
from jobs.accounts.errors import NotAllowed
from jobs.errors import BadRequest, Conflict, NotFound, NotReady
from jobs.failures import error_of
from jobs.importing.importer import Importer
from jobs.inputs import ready_inputs
from jobs.keeping.audit import refusals
from jobs.models import Models
from jobs.queue import capacity, entry
from jobs.queue.history import History, Recent
from jobs.queue.order import Priority
from jobs.queue.rules import Rules
from jobs.queue.standing import Standing
from jobs.results.shelf import Shelf
from jobs.runners.base import Runner
from jobs.shown import model_word
from jobs.spec import (
    INPUTS,
    AnalysisSpec,
    AnySpec,
    EvaluateSpec,
    JointSpec,
    PairedSpec,
    TranslateSpec,
)
from jobs.state import JobState
from jobs.version import code_version
from jobs.views import Failure, JobView, PreflightView
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables import queue as queue_table
from storage.tables.datasets import DatasetRow
from storage.tables.jobs import JobRow
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.database import Database

EXAMPLE_WAIT_S = 120.0  # for the example's import, seconds on an idle machine  # ours
LOOKED = 256  # pre-flights remembered  # ours
ANALYSES: Mapping[str, str] = {
    "cluster": "Clusters",
    "imputation": "Imputation",
    "mixing": "Mixing of batches",
    "abnormal": "Abnormal cells",
    "de": "Markers",
    "cre": "Links to genes",
    "coaccess": "Co-accessibility",
    "trajectory": "Trajectory",
    "activity": "Gene activity",
}
Inputs = Mapping[str, DatasetRow]  # by what they are to the job: rna, atac …
ALIKE = (  # of the same, the same speed
    "model", "settings", "contenders", "seeds", "what", "on", "embedding", "compare", "genes", "metacells", "only",
    "target",
)  # fmt: skip


@dataclass(frozen=True)
class Desk:
    """Where jobs are asked for. wake: tells the reconciler that something was queued. rules: of the queue."""

    database: Database
    shelf: Shelf
    runner: Runner
    models: Models
    importer: Importer
    wake: Callable[[], None]
    rules: Rules = field(default_factory=Rules)

    @cached_property
    def history(self) -> History:
        return History(self.database)

    @cached_property
    def room(self) -> capacity.Known:
        return capacity.Known(self.runner)

    @cached_property
    def looked(self) -> Recent[PreflightView]:
        """Pre-flights by everything they depend on, all of it by digest."""
        return Recent(LOOKED)

    def standing(self, conn: DuckDBPyConnection) -> Standing:
        """The queue as this connection sees it."""
        return Standing(conn, self.rules)

    # -- before --------------------------------------------------------------------------------------------------

    def preflight(
        self, *, model: str, rna: str | None = None, atac: str | None = None, directions: Sequence[Direction] = ()
    ) -> PreflightView:
        return self._look(model, ready_inputs(self.database, {"rna": rna, "atac": atac}), directions)

    def pair_preflight(self, spec: PairedSpec) -> PreflightView:
        """As `submit` would see it. Raises NotFound and kin for the datasets alone."""
        return self._look_at_pair(spec, ready_inputs(self.database, spec.inputs))

    def _look(
        self, model: str, inputs: Inputs, directions: Sequence[Direction], min_coverage: float | None = None
    ) -> PreflightView:
        manifest = self.models.manifest(model)
        digests = tuple((Modality(m), str(row.digest)) for m, row in inputs.items())
        asked = (manifest.digest, digests, tuple(directions), min_coverage)
        if (view := self.looked.get(asked)) is None:
            view = preflight.look(
                folder=self.models.folder(model),
                manifest=manifest,
                paths={m: self.shelf.path(layout.dataset(digest)) for m, digest in digests},
                wanted=tuple(directions),
                min_coverage=min_coverage,
            )
            self.looked.put(asked, view)
        count = len(view.directions)
        past = self.history.alike(
            "translate", lambda spec: spec.get("model") == model and len(spec.get("directions", ())) == count
        )
        return view.model_copy(update={"seconds": estimate.from_past(past, cells=view.cells) or view.seconds})

    def _look_at_pair(self, spec: PairedSpec, inputs: Inputs) -> PreflightView:
        from jobs.analysis import preflight as analysis_preflight
        from jobs.evaluation import preflight as evaluation_preflight
        from jobs.joint import preflight as joint_preflight
        from jobs.training import preflight as pair_preflight

        found = {name: self.shelf.path(layout.dataset(str(row.digest))) for name, row in inputs.items()}
        paths = {m: found[m] for m in Modality if m in found}
        if isinstance(spec, JointSpec):
            view = joint_preflight.look(spec, self.models.folder(spec.model), self.models.manifest(spec.model), paths)
        elif isinstance(spec, AnalysisSpec):
            model = (self.models.folder(spec.model), self.models.manifest(spec.model)) if spec.model else ()
            view = analysis_preflight.look(spec, paths, *model)
        elif isinstance(spec, EvaluateSpec):
            view = evaluation_preflight.look(spec, found)
        else:
            view = pair_preflight.look(spec, paths)
        same = spec.model_dump(mode="json", include=set(ALIKE))
        past = self.history.alike(spec.kind, lambda other: {name: other.get(name) for name in same} == same)
        return view.model_copy(update={"seconds": estimate.from_past(past, cells=view.cells) or view.seconds})

    # -- asking --------------------------------------------------------------------------------------------------

    def submit(
        self,
        spec: AnySpec,
        *,
        title: str = "",
        fresh: bool = False,
        priority: Priority = Priority.NORMAL,
        time_limit_s: float | None = None,
    ) -> JobView:
        """Refuses what cannot work, returns what is known or under way already, queues the rest.

        time_limit_s: of one attempt. Raises QueueFull and kin.
        """
        if time_limit_s is not None and not 0 < time_limit_s < 1e8:
            raise BadRequest(f"The time limit is {time_limit_s} seconds.", hint="Give a number above 0, or none.")
        spec = self.completed(spec)
        inputs = ready_inputs(self.database, spec.inputs)
        row = JobRow(
            id=f"job-{secrets.token_hex(6)}",
            kind=spec.kind,
            state=JobState.QUEUED.value,
            spec=spec.model_dump(mode="json"),
            spec_digest=spec.digest,
            cache_key=cache_key(spec, {name: str(each.digest) for name, each in inputs.items()}),
            owner=access.owner(),
            title=one_line(title) or _title(spec, inputs),
            priority=priority.value,
            time_limit_s=time_limit_s,
        )
        useless = None
        if not fresh:
            with self.database.read() as conn:
                if (known := entry.known(conn, row)) is not None and self._stands(known):
                    return self.standing(conn).view(known, from_cache=True)
            useless = known.id if known is not None else None
        view = self._require_possible(spec, inputs)
        low, high = view.seconds or (None, None)
        result = {
            "cells": view.cells,
            "input_names": {name: each.name for name, each in inputs.items()},
            "seconds": view.seconds,
            "memory_mb": view.memory_mb,
        }
        row = replace(row, result=result, expected_low=low, expected_high=high, submitted_at=utcnow())
        add = self.importer.gate.job(row)
        with refusals(self.database, "job.submit", row.id):
            entered = self.database.write_now(
                lambda conn: entry.enter(conn, row, add, rules=self.rules, fresh=fresh, not_this=useless)
            )
            if entered.row is None:
                raise entered.refused or Conflict("The job could not be queued.", hint="Try again.")
        self.wake()
        with self.database.read() as conn:
            return self.standing(conn).view(entered.row, from_cache=not entered.new)

    def prioritise(self, id: str, priority: Priority) -> JobView:
        """Raises NotFound, and Conflict once the job does not wait any more."""
        with self.database.read() as conn:
            row_of(conn, id)
        if not self.database.write_now(lambda conn: queue_table.prioritise(conn, id, priority)):
            raise Conflict("The job does not wait any more.", hint="Priorities order the jobs that wait.")
        with self.database.read() as conn:
            return self.standing(conn).view(row_of(conn, id))

    def _stands(self, known: JobRow) -> bool:
        """Whether it is an answer; a training whose model was deleted since is none."""
        if known.kind != "train" or known.state != JobState.SUCCEEDED:
            return True
        made = ((known.result or {}).get("summary") or {}).get("model")
        return made in self.models.load()

    def submit_example(self, model: str | None = None) -> JobView:
        """The model's own example, both ways; brings its cells in first where that was not done yet."""
        model = model or self.models.default()
        ids = {m: self._example(f"example:{model}/{m.value}", m) for m in Modality}
        directions = tuple(Direction(d) for d in self.models.manifest(model).directions)
        spec = TranslateSpec(model=model, rna=ids[Modality.RNA], atac=ids[Modality.ATAC], directions=directions)
        return self.submit(spec, title=f"Example: {self.models.view(model).title}")

    def completed(self, spec: AnySpec) -> AnySpec:
        """As its job keeps it. Raises WrongDirection, Conflict, UnknownModel."""
        return self._complete(spec) if isinstance(spec, TranslateSpec | JointSpec | AnalysisSpec) else spec

    def _complete(self, spec: TranslateSpec | JointSpec | AnalysisSpec) -> TranslateSpec | JointSpec | AnalysisSpec:
        """With the digest of the bundle. Raises WrongDirection, Conflict, UnknownModel."""
        if isinstance(spec, AnalysisSpec) and not spec.model:
            return spec.model_copy(update={"bundle": ""})
        manifest = self.models.manifest(spec.model)
        if spec.bundle and spec.bundle != manifest.digest:
            raise Conflict(
                f"The model {spec.model} is now {manifest.digest[:12]}…, not {spec.bundle[:12]}… as asked for.",
                hint="Leave `bundle` out to use the present one.",
            )
        for direction in spec.directions if isinstance(spec, TranslateSpec) else ():
            if direction.value not in manifest.directions:
                known = ", ".join(manifest.directions)
                raise WrongDirection(f"{spec.model} does not translate {direction.value}.", hint=f"It does {known}.")
        return spec.model_copy(update={"bundle": manifest.digest})

    def _require_possible(self, spec: AnySpec, inputs: Inputs) -> PreflightView:
        """Raises the first problem of the pre-flight, with the others named; NoCapacity."""
        if isinstance(spec, TranslateSpec):
            view = self._look(spec.model, inputs, spec.directions, spec.min_coverage)
        else:
            view = self._look_at_pair(spec, inputs)
        problems = [issue for issue in view.issues if issue.level == "problem"]
        if problems:
            message = " ".join(issue.message for issue in problems)
            raise error_of(Failure(code=problems[0].code, message=message, hint=problems[0].hint))
        self._require_capacity(view.memory_mb or 0.0, gpu=getattr(spec, "device", "auto") == "cuda")
        return view

    def _require_capacity(self, memory_mb: float, *, gpu: bool) -> None:
        if (there := self.room.ask()) is not None:
            capacity.require(there, runner=self.runner.name, memory_mb=memory_mb, gpu=gpu)

    def _own(self, conn: DuckDBPyConnection) -> list[DatasetRow]:
        return dataset_table.find(conn, owner=access.owner(), limit=10_000)

    def _example(self, source: str, modality: Modality) -> str:
        """The id of a ready dataset of this example."""
        with self.database.read() as conn:
            known = [row for row in self._own(conn) if row.origin == source]
        row = next((row for row in known if row.state in ("ready", "importing")), None)
        if row is None:
            row = self.importer.begin(source, modality=modality, name="")
        try:
            self.importer.wait(row.id, EXAMPLE_WAIT_S)
        except TimeoutError:
            raise NotReady("The example is still being brought in.", hint="Ask again in a minute.") from None
        return row.id


# -- rows ------------------------------------------------------------------------------------------------------------


def row_of(conn: DuckDBPyConnection, id: str, *, shared: bool = False) -> JobRow:
    """A job of whoever asks; shared: or one they were let see. Raises NotFound, NotAllowed."""
    row = job_table.get(conn, id)
    if row is None or not access.may_see(conn, "job", id, row.owner):
        raise NotFound(f"There is no job {id[:80]!r}.", hint="It may have been deleted.")
    if not shared and not access.mine(row.owner):
        raise NotAllowed("This job is shared with you to look at.", hint="Whoever it belongs to can change it.")
    return row


def cache_key(spec: AnySpec, digests: Mapping[str, str]) -> str:
    """The same cells, settings, bundle and code give the same key, whatever the datasets are called."""
    document = {
        "spec": spec.model_dump(mode="json", exclude=set(INPUTS)),
        "inputs": dict(digests),
        "code": code_version(),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def one_line(text: str) -> str:
    """A title people may be shown: no control or direction characters, not endless."""
    return "".join(c for c in text if unicodedata.category(c)[0] != "C").strip()[:200]


def _title(spec: AnySpec, inputs: Inputs) -> str:
    if isinstance(spec, EvaluateSpec):
        return one_line(f"Scores of {spec.method or inputs['prediction'].name} · {inputs[spec.target].name}")
    if isinstance(spec, AnalysisSpec):
        by = f" by {spec.model}" if spec.model else ""
        return one_line(f"{ANALYSES[spec.what]}{by} · {inputs[Modality.RNA].name}")
    if not isinstance(spec, TranslateSpec):
        word = {"train": "Training", "joint": "Joint view"}.get(spec.kind, "Benchmark")
        name = one_line(getattr(spec, "name", "")) or model_word(spec)
        return one_line(f"{word} {'by' if isinstance(spec, JointSpec) else 'of'} {name} · {inputs[Modality.RNA].name}")
    arrow: dict[Direction, Any] = {Direction.RNA_TO_ATAC: "RNA → ATAC", Direction.ATAC_TO_RNA: "ATAC → RNA"}
    asked = "RNA ⇄ ATAC" if len(spec.directions) == 2 else arrow[spec.directions[0]]
    return f"{asked} · {inputs[spec.directions[0].source].name}"
