"""One run from start to figures: an undisturbed measure first, then jobs and faults side by side, then the audit."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.types import Direction
from jobs.client_http import HttpClient
from jobs.spec import TranslateSpec
from jobs.state import JobState
from tests.chaos import figures as audit
from tests.chaos.faults import FAULTS, deck
from tests.chaos.figures import Digests, Figures
from tests.chaos.site import Site, site
from tests.chaos.stream import Stream
from tests.labs import MODEL, ended, imported

Say = Callable[[str], None]
BOTH = tuple(Direction)


@dataclass(frozen=True, slots=True)
class Plan:
    """faults: names in order, each once, and then no more; empty: at random, as many as jobs at most, so that it ends.

    gap_s: between two faults on average. hours: for the stream of jobs at most. ways: as the Stream's.
    at_once: jobs that have not ended. jobs_at_once: of them in Ray's hands.
    """

    jobs: int = 200
    seed: int = 0
    s3: bool = True
    at_once: int = 6
    specs: int = 4
    gap_s: float = 12.0
    hours: float = 6.0
    faults: tuple[str, ...] = ()
    twice: float = 0.08
    cancelled: float = 0.12
    ways: tuple[str, ...] = ()
    jobs_at_once: int = 2


@dataclass
class Storm:
    """The faults of one seed, one after another, in a thread of their own."""

    site: Site
    plan: Plan
    rng: random.Random
    say: Say
    hits: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    _enough: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._enough.is_set():
            for name in self.plan.faults or deck(self.rng):
                if not self._throw(name):
                    return
            if self.plan.faults:
                return

    def stop(self) -> None:
        self._enough.set()

    def _throw(self, name: str) -> bool:
        """A fault that finds nothing to hit is tried for a while where the plan names it, and passed over otherwise."""
        end = time.monotonic() + (60.0 if self.plan.faults else 0.0)
        while not self._enough.wait(self.rng.expovariate(1 / self.plan.gap_s)):
            if not self.plan.faults and self.hits.total() >= self.plan.jobs:
                return False
            try:
                hit = FAULTS[name][0](self.site, self.rng)
            except Exception as error:  # the fault's own trouble is no finding, and is told
                self.broken.append(f"{name}: {type(error).__name__}: {error}")
                return True
            if hit is not None:
                self.hits[name] += 1
                self.say(f"  fault · {hit}")
            if hit is not None or time.monotonic() >= end:
                return True
        return False


def run(plan: Plan, *, say: Say = print) -> Figures:
    """Starts a site of its own and leaves nothing behind."""
    figures = Figures()
    began = time.monotonic()
    with site(s3=plan.s3, jobs_at_once=plan.jobs_at_once) as here:
        say(f"{'S3' if plan.s3 else 'Local'} store, two Ray nodes, home {_disk(here)}.")
        with here.client() as client:
            specs = _specs(client, plan.specs)
            undisturbed = _measure(client, specs)
        say(f"Undisturbed: {len(specs)} jobs, {time.monotonic() - began:.0f} s from the start.")
        stream, storm = _disturbed(here, plan, specs, say)
        figures.numbers |= {
            "seed": plan.seed,
            "store": "S3 (seaweedfs)" if plan.s3 else "local folder",
            "disk of the home": _disk(here),
            "faults": sum(storm.hits.values()),
            "faults by kind": dict(sorted(storm.hits.items())),
            "started again": dict(here.restarts),
            "clients": dict(sorted(stream.counts.items())),
        }
        figures.check("promises broken in what clients saw", stream.problems)
        figures.check("faults that did not work", storm.broken)
        figures.numbers["starts that were tried again"] = len(here.troubles)
        _audit(figures, here, stream, undisturbed, say)
    figures.numbers["minutes"] = round((time.monotonic() - began) / 60, 1)
    return figures


def _disk(here: Site) -> str:
    return "a small tmpfs" if here.mounted else "a folder, ENOSPC by a shim (no disk may be mounted here)"


def _specs(client: HttpClient, count: int) -> list[TranslateSpec]:
    """Different jobs on the same few cells: both ways and one way, many parts and few, with files and without."""
    rna, atac = (imported(client, f"example:{MODEL}/{modality}").id for modality in ("rna", "atac"))
    made = (
        (BOTH, 4, True),
        (BOTH[:1], 3, False),
        (BOTH[1:], 8, True),
        (BOTH, 24, False),
    )
    return [
        TranslateSpec(
            model=MODEL, rna=rna, atac=atac, directions=directions, chunk_cells=chunk, export=export, umap=False
        )
        for directions, chunk, export in made[:count]
    ]


def _measure(client: HttpClient, specs: Sequence[TranslateSpec]) -> dict[str, Digests]:
    """What each gives when nothing happens."""
    jobs = [(spec, client.submit(spec, fresh=True)) for spec in specs]
    measured = {}
    for spec, job in jobs:
        done = ended(client, job, seconds=900)
        assert done.state is JobState.SUCCEEDED, done.failure
        measured[spec.digest] = audit.digests(client, job.id)
    return measured


def _disturbed(here: Site, plan: Plan, specs: Sequence[TranslateSpec], say: Say) -> tuple[Stream, Storm]:
    stream = Stream(
        here.url,
        random.Random(plan.seed),
        specs,
        plan.jobs,
        at_once=plan.at_once,
        twice=plan.twice,
        cancelled=plan.cancelled,
        ways=plan.ways,
    )
    storm = Storm(here, plan, random.Random(plan.seed + 1), say)
    with here.watched():
        thread = threading.Thread(target=storm.run, name="storm", daemon=True)
        thread.start()
        if plan.faults:
            stream.more = thread.is_alive
        stream.run(seconds=plan.hours * 3600)
        storm.stop()
        thread.join()
    here.settle()
    say(f"{len(stream.told)} jobs, {sum(storm.hits.values())} faults.")
    return stream, storm


def _audit(figures: Figures, here: Site, stream: Stream, undisturbed: dict[str, Digests], say: Say) -> None:
    with here.client() as client:
        # What was asked for only once has its undisturbed run now: it also shows that there is room to work again.
        afterwards = [told.spec for told in stream.told.values() if told.spec.digest not in undisturbed]
        undisturbed |= _measure(client, afterwards)
        audit.audit_api(figures, client, stream.told, undisturbed)
        audit.audit_store(figures, here, client)
    audit.audit_processes(figures, here)
    here.stop_server()
    for node in here.cluster.both():
        node.stop()
    audit.audit_records(figures, here)
    audit.audit_files(figures, here)
    audit.audit_after_end(figures, here)
    say(f"{len(figures.problems)} broken promises.")
