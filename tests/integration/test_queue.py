"""The queue of a real service whose Ray is away: one answer to equal questions, limits, priorities, over HTTP too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from app.api import create_app
from engine.types import Direction
from jobs.bootstrap import build_service
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.errors import Conflict, QueueFull
from jobs.queue.order import Priority
from jobs.runners.ray.runner import RayRunner
from jobs.service import JobService
from jobs.spec import TranslateSpec
from jobs.state import JobState
from tests.labs import MODEL, build_catalog, imported, lab_settings, nobody, served

LIMIT = 4


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobService]:
    folder = tmp_path_factory.mktemp("queue")
    settings = replace(lab_settings(folder / "home", build_catalog(folder / "pretrained")), user_queued=LIMIT)
    with nobody() as address:
        made = build_service(settings, runner=RayRunner(f"http://{address}"))
        made.importer.resume()  # no reconciler: what is queued stays as it is
        yield made
        made.importer.close()
        made.database.close()


@pytest.fixture(scope="module")
def rna(service: JobService) -> str:
    return imported(LocalClient(service), f"example:{MODEL}/rna").id


@pytest.fixture
def client(service: JobService) -> Iterator[HttpClient]:
    with served(create_app(LocalClient(service))) as address, HttpClient(address) as client:
        yield client
        for job in client.jobs():
            if job.state is JobState.QUEUED:
                client.cancel(job.id)


def spec(rna: str, seed: int = 0) -> TranslateSpec:
    return TranslateSpec(model=MODEL, rna=rna, directions=(Direction.RNA_TO_ATAC,), umap=False, seed=seed)


def test_two_that_ask_the_same_at_once_get_one_job(service: JobService, client: HttpClient, rna: str) -> None:
    together = threading.Barrier(4)

    def ask(_: int) -> tuple[str, bool]:
        together.wait()
        job = LocalClient(service).submit(spec(rna, seed=100))
        return job.id, job.from_cache

    with ThreadPoolExecutor(4) as askers:
        answers = list(askers.map(ask, range(4)))
    assert len({id for id, _ in answers}) == 1
    assert sorted(again for _, again in answers) == [False, True, True, True]
    assert client.submit(spec(rna, seed=100), fresh=True).id != answers[0][0]


def test_a_job_that_was_told_to_stop_is_no_answer(client: HttpClient, rna: str) -> None:
    first = client.submit(spec(rna, seed=200))
    client.cancel(first.id)
    assert client.submit(spec(rna, seed=200)).id != first.id


def test_a_full_queue_is_refused_with_429_and_the_mend(client: HttpClient, rna: str) -> None:
    for seed in range(LIMIT):
        client.submit(spec(rna, seed=300 + seed))
    with pytest.raises(QueueFull, match=f"{LIMIT} of your jobs wait already"):
        client.submit(spec(rna, seed=399))
    asked = {"spec": spec(rna, seed=399).model_dump(mode="json")}
    answer = httpx.post(f"{client._http.base_url}jobs", json=asked, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (429, "queue-full")
    assert "CROSSVIEW_USER_QUEUED" in answer.json()["hint"]


def test_the_place_shown_is_the_order_used_and_the_estimate_grows_along_it(client: HttpClient, rna: str) -> None:
    ids = [client.submit(spec(rna, seed=400), priority=Priority.LOW).id]
    ids += [client.submit(spec(rna, seed=seed)).id for seed in (401, 402)]
    assert [client.job(id).position for id in ids] == [3, 1, 2]
    raised = client.prioritise(ids[2], Priority.HIGH)
    assert (raised.position, raised.priority) == (1, Priority.HIGH)
    listed = {job.id: job for job in client.jobs()}
    line = sorted((listed[id] for id in ids), key=lambda job: job.position or 0)
    assert [job.id for job in line] == [ids[2], ids[1], ids[0]]
    highs = [job.eta_s[1] for job in line if job.eta_s]
    assert len(highs) == 3
    assert highs == sorted(highs)
    client.cancel(ids[0])
    with pytest.raises(Conflict):
        client.prioritise(ids[0], Priority.HIGH)


def test_the_log_is_a_download(client: HttpClient, rna: str) -> None:
    job = client.submit(spec(rna, seed=500))
    answer = httpx.get(f"{client._http.base_url}jobs/{job.id}/logs", params={"download": "true"}, timeout=60)
    assert answer.headers["content-disposition"] == f'attachment; filename="{job.id}-log.txt"'
    assert answer.headers["content-type"].startswith("text/plain")
