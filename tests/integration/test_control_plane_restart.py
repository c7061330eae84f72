"""The control plane is killed in mid-job and started again: the job ends as if nothing had happened."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from engine.types import Direction
from jobs.client_http import HttpClient
from jobs.errors import Unreachable
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import JobView
from tests.labs import MODEL, control_plane, ended, free_port, imported, ready, until

pytestmark = pytest.mark.slow


def test_a_killed_control_plane_finishes_the_job_after_its_restart(tmp_path: Path, catalog: Path) -> None:
    port = free_port()
    with HttpClient(f"http://127.0.0.1:{port}") as client:
        with control_plane(tmp_path, catalog, port) as process:
            ready(client, process, tmp_path)
            rna = imported(client, f"example:{MODEL}/rna").id
            atac = imported(client, f"example:{MODEL}/atac").id
            spec = TranslateSpec(
                model=MODEL, rna=rna, atac=atac, directions=tuple(Direction), chunk_cells=1, umap=False
            )
            job = client.submit(spec)
            until(lambda: client.job(job.id), lambda view: view.state is JobState.RUNNING)
            process.send_signal(signal.SIGKILL)
            process.wait()
        with pytest.raises(Unreachable):
            client.job(job.id)
        with control_plane(tmp_path, catalog, port) as process:
            ready(client, process, tmp_path)
            done = ended(client, job)
            assert (done.state, done.attempt) == (JobState.SUCCEEDED, 1), done.failure
            check_whole(client, done)
            assert client.submit(spec).id == job.id


def check_whole(client: HttpClient, job: JobView) -> None:
    """Each event was applied once and in order, and every file is there."""
    moves = [event.to_state for event in client.events(job.id) if event.kind in ("created", "moved")]
    assert moves == [JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING, JobState.SUCCEEDED]
    assert [event.kind for event in client.events(job.id)].count("started") == 1
    assert set(client.report(job.id)["directions"]) == {direction.value for direction in Direction}
    for each in client.artifacts(job.id):
        assert client.open_artifact(job.id, each.name).stat().st_size == each.bytes
