"""A lab that works while everything breaks: submits, looks, cancels, tries again, and remembers what it was told."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from engine.errors import CrossViewError
from jobs.client_http import HttpClient
from jobs.errors import Conflict, NotFound
from jobs.failures import INTERNAL
from jobs.spec import TranslateSpec
from jobs.state import TERMINAL, JobState
from jobs.views import EventView, JobView

T = TypeVar("T")
LOOK_S = 0.4
PERSON_RETRIES = 3  # of a job that was lost, or failed of something its hint says may pass
PASSING = frozenset({"store-full", "disk-full", "source-unreachable", "worker-died"})
AWAY = frozenset({"unreachable", "database-closed", "database-broken", "store-full", "disk-full", "source-unreachable"})


@dataclass
class Told:
    """A job as the API acknowledged it. events: by number, as they were first read."""

    id: str
    spec: TranslateSpec
    how: str = "once"  # "once" | "twice" | "cancel"
    cancel_at: str = ""  # a stage, or "" for never
    last: JobView | None = None
    events: dict[int, EventView] = field(default_factory=dict)
    retried: int = 0

    @property
    def final(self) -> bool:
        return self.last is not None and self.last.state in TERMINAL


@dataclass
class Stream:
    """wanted: jobs in all, and more of them while `more` says so. at_once: of them not ended.

    ways: of the first jobs: once, twice (by two clients at the same moment) or cancel; the others by these shares.
    """

    url: str
    rng: random.Random
    specs: Sequence[TranslateSpec]
    wanted: int
    at_once: int = 6
    twice: float = 0.08
    cancelled: float = 0.12
    ways: Sequence[str] = ()
    more: Callable[[], bool] = lambda: False
    told: dict[str, Told] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def run(self, *, seconds: float) -> None:
        """Until all jobs have ended, or the time is over."""
        end = time.monotonic() + seconds
        with HttpClient(self.url) as client:
            while not self.done and time.monotonic() < end:
                waiting = [told for told in self.told.values() if not told.final]
                if self._wants_more() and len(waiting) < self.at_once:
                    self._submit(client, len(self.told))
                self._look(client)
                time.sleep(LOOK_S)

    @property
    def done(self) -> bool:
        return not self._wants_more() and all(told.final for told in self.told.values())

    def _wants_more(self) -> bool:
        return len(self.told) < self.wanted or (self.more() and len(self.told) < 4 * self.wanted)

    # -- submitting --------------------------------------------------------------------------------------------------

    def _submit(self, client: HttpClient, number: int) -> None:
        way, spec, title = self._way(number), self.rng.choice(list(self.specs)), f"chaos-{number:04d}"
        if way == "twice":
            self._submit_twice(spec.model_copy(update={"seed": 10_000 + number}), title)
            return
        job = self._persist(lambda: self._once(client, spec, title))
        told = self.told.setdefault(job.id, Told(job.id, spec, way))
        if way == "cancel":
            told.cancel_at = self.rng.choice(("translate", "score", "publish", "publish"))

    def _way(self, number: int) -> str:
        dice = self.rng.random()
        if number < len(self.ways):
            return self.ways[number]
        return "twice" if dice < self.twice else "cancel" if dice > 1 - self.cancelled else "once"

    def _once(self, client: HttpClient, spec: TranslateSpec, title: str) -> JobView:
        """A client whose answer was lost asks first whether it was heard."""
        known = [job for job in client.jobs(limit=10_000) if job.title == title]
        return known[0] if known else client.submit(spec, title=title, fresh=True)

    def _submit_twice(self, spec: TranslateSpec, title: str) -> None:
        """Two clients ask the same at the same moment, and each again when it got no answer: one job."""
        found: list[JobView] = []

        def ask() -> None:
            with HttpClient(self.url) as client:
                found.append(self._persist(lambda: client.submit(spec, title=title)))

        clients = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        self.counts["double submits"] += 1
        ids = {job.id for job in found}
        if len(ids) != 1:
            self.problems.append(f"{title} was asked twice and became {len(ids)} jobs: {sorted(ids)}")
        for id in ids:
            self.told.setdefault(id, Told(id, spec, "twice"))

    def _persist(self, ask: Callable[[], T]) -> T:
        """Asked again until it is answered, as `crossview jobs` in a script would be."""
        while True:
            try:
                return ask()
            except CrossViewError as error:
                self._heard(error)
                if error.code not in (*AWAY, INTERNAL):
                    raise
                time.sleep(0.3)

    # -- looking -----------------------------------------------------------------------------------------------------

    def _look(self, client: HttpClient) -> None:
        for told in [told for told in self.told.values() if not told.final]:
            try:
                told.last = client.job(told.id)
                self._remember(told, client.events(told.id, after=max(told.events, default=0)))
                self._act(client, told, told.last)
            except NotFound:
                self.problems.append(f"{told.id} was accepted and is not known any more")
                return
            except CrossViewError as error:
                self._heard(error)
                return

    def _heard(self, error: CrossViewError) -> None:
        """Somebody who is away is asked again; any other refusal is told as well."""
        self.counts[f"asked again: {error.code}"] += 1
        if error.code not in AWAY:
            self.problems.append(f"{error.code}: {error.message}")

    def _remember(self, told: Told, events: Sequence[EventView]) -> None:
        for event in events:
            told.events[event.seq] = event

    def _act(self, client: HttpClient, told: Told, job: JobView) -> None:
        if told.cancel_at and job.state is JobState.RUNNING and job.progress.stage == told.cancel_at:
            self._cancel(client, told)
        if job.state is JobState.LOST or (job.failure is not None and job.failure.code in PASSING):
            self.counts[f"ended {job.state.value.lower()}: {job.failure.code if job.failure else ''}"] += 1
            if told.retried < PERSON_RETRIES:
                told.retried += 1
                told.last = client.retry(told.id)
                self.counts["tried again by a person"] += 1

    def _cancel(self, client: HttpClient, told: Told) -> None:
        stage, told.cancel_at = told.cancel_at, ""
        try:
            client.cancel(told.id)
            self.counts[f"cancelled in {stage}"] += 1
        except Conflict:  # it was faster
            self.counts["cancelled too late"] += 1
