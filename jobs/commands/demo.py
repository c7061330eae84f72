"""`crossview demo`: the bundled example down the path of any job, and its scorecard."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from jobs import stages
from jobs.client import Client
from jobs.commands.scorecard import scorecard
from jobs.commands.stack import Stack, answers, any_port, private_home
from jobs.errors import CrossViewError, Unreachable
from jobs.failures import failure_of
from jobs.settings import Settings
from jobs.state import TERMINAL, JobState

if TYPE_CHECKING:
    from jobs.views import JobView

DONE, JOB_FAILED, NOT_REACHABLE = 0, 3, 4
HERE = "http://127.0.0.1:8501"
LOOK_S = 0.4  # between two looks at a running job  # ours
REPEAT_S = 5.0  # a line of progress at least this often  # ours
Say = Callable[[str], None]


def demo(*, as_json: bool = False, model: str | None = None, url: str | None = None) -> int:
    """Submit, wait, print. Uses the CrossView that runs (url, CROSSVIEW_API_URL, port 8501), or starts one for this."""
    try:
        with _server(url, _say) as where, _client(where) as client:
            began = time.monotonic()
            job = see_through(client, client.submit_example(model), say=_say)
            report = client.report(job.id) if job.state is JobState.SUCCEEDED else None
            seconds = round(time.monotonic() - began, 2)
            # Said before a private stack is stopped, which takes seconds and may be cut short.
            if as_json:
                print(json.dumps(document(job, report, seconds=seconds), ensure_ascii=False), flush=True)
            elif report is not None:
                print("\n".join(scorecard(report)), flush=True)
            return DONE if report is not None else JOB_FAILED
    except CrossViewError as error:
        _say(str(error))
        if as_json:
            print(json.dumps({"state": "NOT_RUN", "failure": failure_of(error).model_dump(mode="json")}))
        return NOT_REACHABLE if isinstance(error, Unreachable) else JOB_FAILED


def document(job: JobView, report: dict[str, Any] | None, *, seconds: float) -> dict[str, Any]:
    """What `--json` prints: state, job, bundle, model, seconds, and each direction's scores with their nulls."""
    said: dict[str, Any] = {
        "state": job.state.value,
        "job": job.id,
        "bundle": job.bundle,
        "model": job.model,
        "seconds": seconds,
        "from_cache": job.from_cache,
        "scores": {},
    }
    if job.failure is not None:
        said["failure"] = job.failure.model_dump(mode="json")
    if report is not None:
        kept = ("value", "interval", "n", "nulls")
        said["scores"] = {
            direction: {name: {key: score[key] for key in kept} for name, score in each["scores"].items()}
            for direction, each in report["directions"].items()
        }
    return said


def see_through(client: Client, asked: JobView, *, say: Say = lambda line: None) -> JobView:
    """The job at its end; one that was done before is returned as it was given."""
    if not asked.from_cache or asked.state not in TERMINAL:
        return follow(client, asked.id, say=say)
    say(words(asked))
    return asked


def follow(client: Client, id: str, *, say: Say = lambda line: None) -> JobView:
    """Wait for the end of a job, telling each change of state and stage, and progress now and then."""
    told, last = "", 0.0
    while True:
        job = client.job(id)
        line = words(job)
        if line != told and (_head(line) != _head(told) or time.monotonic() - last >= REPEAT_S):
            say(line)
            told, last = line, time.monotonic()
        if job.state in TERMINAL and not (job.state is JobState.LOST and job.failure is None):
            return job
        time.sleep(LOOK_S)


def words(job: JobView) -> str:
    """Where a job stands, in one line."""
    if job.state is JobState.FAILED and job.failure is not None:
        return f"Failed: {job.failure.message} {job.failure.hint}".rstrip()
    if job.state is JobState.SUCCEEDED:
        took = (job.finished_at - job.submitted_at).total_seconds() if job.finished_at else 0.0
        return "Succeeded: this very job was done before." if job.from_cache else f"Succeeded in {took:.0f} s."
    if job.state is JobState.RUNNING and job.progress.stage:
        count = f": {job.progress.done:,} of {job.progress.total:,}" if job.progress.total else ""
        return f"{stages.words(job.progress.stage, job.kind)}{count}"
    return job.state.value.capitalize() + (f", number {job.position} in the queue" if job.position else "")


def _head(line: str) -> str:
    return line.partition(":")[0]


@contextlib.contextmanager
def _server(url: str | None, say: Say) -> Iterator[str]:
    """The address of a running CrossView; of one of our own where there is none. Raises Unreachable."""
    asked = url or os.environ.get("CROSSVIEW_API_URL")
    if asked:
        if not answers(asked):
            raise Unreachable(f"No CrossView answers at {asked}.", hint="Start one with `crossview up`.")
        yield asked
        return
    if answers(HERE, timeout_s=2.0):
        yield HERE
        return
    with private_home() as home:
        stack = Stack.start(home=home, port=any_port(), say=say)
        try:
            yield stack.url
        finally:
            stack.stop()


def _client(url: str) -> Any:
    from jobs.client_http import HttpClient

    return HttpClient(url, Settings.from_env().token)


def _say(line: str) -> None:
    """Progress never goes to stdout: there stands the result."""
    print(line, file=sys.stderr, flush=True)
