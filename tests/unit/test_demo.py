"""What `crossview demo` prints when the example was done before."""

from __future__ import annotations

from typing import Any

from engine.types import Direction
from jobs.client import Client
from jobs.commands.demo import document, see_through
from jobs.state import JobState
from jobs.views import JobView, Progress
from storage.tables.rows import utcnow


class Unasked:
    """A client that must not be needed."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the server was asked for {name}")


def done_before() -> JobView:
    now = utcnow()
    return JobView(
        id="job-1",
        kind="translate",
        title="Example",
        state=JobState.SUCCEEDED,
        attempt=1,
        model="tiny",
        bundle="b" * 64,
        directions=(Direction.RNA_TO_ATAC,),
        truth=(),
        progress=Progress(stage="", done=0, total=0, message=""),
        spec={},
        from_cache=True,
        submitted_at=now,
        updated_at=now,
    )


def test_a_job_that_was_done_before_says_so() -> None:
    said: list[str] = []
    client: Client = Unasked()  # type: ignore[assignment]
    job = see_through(client, done_before(), say=said.append)
    assert said == ["Succeeded: this very job was done before."]
    assert document(job, None, seconds=0.1)["from_cache"] is True
