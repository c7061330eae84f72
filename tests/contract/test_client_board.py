"""One contract, two clients: the list of jobs as people keep it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import httpx
import pytest

from engine.types import Direction, Modality
from jobs import once
from jobs.board.views import Act, JobsAsked
from jobs.bootstrap import running
from jobs.cli import main
from jobs.client import Client
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.keeping.deleting import BINNED
from jobs.spec import AnySpec, TranslateSpec
from jobs.state import JobState
from jobs.submitting import cache_key
from jobs.views import JobView
from storage.tables import jobs as job_table
from storage.tables import marks
from storage.tables.jobs import JobRow
from storage.tables.rows import utcnow
from tests.labs import MODEL, imported, lab_settings, nobody, refused

TO_ATAC, TO_RNA = Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA


@pytest.fixture(scope="module")
def in_process(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A lab whose Ray does not answer: what is asked waits, and costs nothing."""
    settings = lab_settings(tmp_path_factory.mktemp("home"), catalog)
    with nobody() as address, running(replace(settings, runner="ray", ray_address=f"http://{address}")) as client:
        yield client


@pytest.fixture(scope="module")
def rna(in_process: Client) -> str:
    return imported(in_process, f"example:{MODEL}/rna").id


@pytest.fixture(scope="module")
def done(in_process: Client, rna: str) -> JobView:
    """As the table holds a job that ended well."""
    assert isinstance(in_process, LocalClient)
    service = in_process._service
    spec = service.desk._complete(spec_of(rna))
    key = cache_key(spec, {Modality.RNA: str(in_process.dataset(rna).digest)})
    id = planted(in_process, spec, id="job-done", state="SUCCEEDED", title="One way", cache_key=key)
    return in_process.job(id)


def spec_of(rna: str, **more: Any) -> TranslateSpec:
    return TranslateSpec(model=MODEL, rna=rna, directions=(TO_ATAC,), umap=False, **more)


def failed(client: Client, rna: str, *, id: str, **said: Any) -> str:
    return planted(client, spec_of(rna, seed=9), id=id, state="FAILED", **said)


def planted(client: Client, spec: AnySpec, *, id: str, state: str, **said: Any) -> str:
    """A job that has ended, without the wait."""
    assert isinstance(client, LocalClient)
    document = spec.model_dump(mode="json")
    row = JobRow(
        id=id, kind="translate", state=state, spec=document, spec_digest=spec.digest, logged=1, swept=1, **said
    )
    client._service.database.write_now(lambda conn: job_table.insert(conn, row))
    return id


def test_a_job_is_starred_and_labelled_and_found_by_both(client: Client, done: JobView) -> None:
    job = client.board.mark(done.id, starred=True, add=["  figure   3 ", "pbmc"])
    assert (job.starred, job.labels) == (True, ("figure 3", "pbmc"))
    assert client.job(done.id) == job
    for asked in (
        JobsAsked(starred=True), JobsAsked(label="pbmc"), JobsAsked(words="figure ONE"), JobsAsked(model=MODEL),
        JobsAsked(states=(JobState.SUCCEEDED,), kind="translate", before=utcnow() + timedelta(days=1)),
    ):  # fmt: skip
        page = client.board.find(asked)
        assert done.id in [each.id for each in page.jobs], asked
        assert page.labels["pbmc"] == 1
        assert page.total == sum(page.states.values())
    for nothing in (JobsAsked(label="pbm"), JobsAsked(model="tin"), JobsAsked(since=utcnow()), JobsAsked(kind="train")):
        assert client.board.find(nothing).total == 0, nothing
    back = client.board.mark(done.id, starred=False, remove=["figure 3", "pbmc"])
    assert (back.starred, back.labels) == (False, ())


@pytest.mark.parametrize("label", ["", "   ", "a\u202eb", "x" * 61])
def test_what_is_no_label_is_refused(client: Client, done: JobView, label: str) -> None:
    with refused("bad-request"):
        client.board.mark(done.id, add=[label])


def test_a_job_takes_so_many_labels_and_no_more(client: Client, done: JobView) -> None:
    names = [f"label {n}" for n in range(21)]
    with refused("conflict"):
        client.board.mark(done.id, add=names)
    assert client.job(done.id).labels == ()


def test_pages_hold_every_job_once_whatever_their_number(
    client: Client, in_process: Client, rna: str, done: JobView
) -> None:
    for n in range(7):
        if not client.board.find(JobsAsked(words=f"job-page-{n}")).total:
            failed(in_process, rna, id=f"job-page-{n}", title="paged", submitted_at=utcnow() - timedelta(hours=n))
    seen: list[str] = []
    for offset in (0, 3, 6):
        page = client.board.find(JobsAsked(words="paged", limit=3, offset=offset))
        assert page.total == 7
        seen += [job.id for job in page.jobs]
    assert seen == [f"job-page-{n}" for n in range(7)]


def test_many_at_once_are_done_one_by_one_and_each_refusal_has_its_reason(client: Client, done: JobView) -> None:
    answer = client.board.bulk(Act.CANCEL, [done.id, "job-nowhere"])
    assert answer.done == ()
    assert [(p.of, p.failure.code) for p in answer.problems] == [(done.id, "conflict"), ("job-nowhere", "not-found")]
    answer = client.board.bulk(Act.LABEL, [done.id, "job-nowhere"], label="both")
    assert (answer.done, [p.of for p in answer.problems]) == ((done.id,), ["job-nowhere"])
    assert client.board.bulk(Act.UNLABEL, [done.id], label="both").done == (done.id,)


def test_the_bin_hides_a_job_and_gives_it_back(client: Client, done: JobView, rna: str) -> None:
    assert client.board.bulk(Act.BIN, [done.id]).done == (done.id,)
    binned = client.job(done.id)
    assert binned.bin_until is not None
    assert timedelta(minutes=9) < binned.bin_until - utcnow() <= timedelta(minutes=10)
    assert client.board.find(JobsAsked(words=done.id)).total == 0
    page = client.board.find(JobsAsked(binned=True))
    assert ([job.id for job in page.jobs], page.binned) == ([done.id], 1)
    client.board.bulk(Act.RESTORE, [done.id])
    assert client.job(done.id).bin_until is None
    assert client.submit(spec_of(rna)).id == done.id


def test_what_lies_in_the_bin_answers_no_new_question(in_process: Client, rna: str, done: JobView) -> None:
    in_process.board.bulk(Act.BIN, [done.id])
    try:
        other = in_process.submit(spec_of(rna))
        assert other.id != done.id
        in_process.cancel(other.id)
    finally:
        in_process.board.bulk(Act.RESTORE, [done.id])


def test_what_was_left_in_the_bin_goes_and_what_was_taken_out_stays(in_process: Client, rna: str) -> None:
    assert isinstance(in_process, LocalClient)
    service = in_process._service
    left, taken = failed(in_process, rna, id="job-left"), failed(in_process, rna, id="job-taken")
    for id in (left, taken):
        in_process.board.mark(id, add=["going"])
    in_process.board.bulk(Act.BIN, [left, taken])
    over = utcnow() - timedelta(seconds=1)
    service.database.write_now(lambda conn: marks.change(conn, left, owner="local", bin_until=over))
    in_process.board.bulk(Act.RESTORE, [taken])
    with refused("conflict"):
        service.keeping.deleter.job(taken, reason=BINNED)
    assert service.keeping.sweeper.sweep() == [left]
    with refused("not-found"):
        in_process.job(left)
    assert in_process.job(taken).labels == ("going",)
    with service.database.read() as conn:
        assert left not in marks.all_of(conn, owner="local").found
    in_process.delete_job(taken)


def test_a_job_is_asked_for_again_with_a_change(client: Client, done: JobView) -> None:
    client.board.mark(done.id, add=["series"])
    same = client.board.again(done.id)
    assert (same.id, same.from_cache) == (done.id, True)
    other = client.board.again(done.id, changes={"seed": 5}, title="Another seed")
    assert (other.spec["seed"], other.title, other.labels) == (5, "Another seed", ("series",))
    assert {**other.spec, "seed": 0} == done.spec
    with refused("bad-request"):
        client.board.again(done.id, changes={"kind": "train"})
    with refused("bad-request"):
        client.board.again(done.id, changes={"seeed": 5})
    with refused("bad-request"):
        client.board.again(done.id, changes={"chunk_cells": -1})
    with refused("unknown-model"):
        client.board.again(done.id, changes={"model": "nothing"})
    client.board.mark(done.id, remove=["series"])


def test_a_batch_shares_a_label_and_a_bad_file_costs_the_others_nothing(client: Client, rna: str) -> None:
    specs = [spec_of(rna, seed=11), spec_of("ds-000000000000"), spec_of(rna, seed=12)]
    view = client.board.batch(specs, label="plate 7", titles=["A1", "A2", "A3"])
    assert [job.title for job in view.jobs] == ["A1", "A3"]
    assert [(p.of, p.failure.code) for p in view.problems] == [("2", "not-found")]
    page = client.board.find(JobsAsked(label="plate 7"))
    assert {job.id for job in page.jobs} == {job.id for job in view.jobs}
    assert client.board.batch(specs[:1]).label.startswith("batch 20")
    with refused("bad-request"):
        client.board.batch(specs, titles=["A1"])


def test_a_batch_with_a_key_is_made_once_also_by_a_process_that_died_over_it(
    in_process: Client, over_http: HttpClient, rna: str
) -> None:
    assert isinstance(in_process, LocalClient)
    specs = [spec_of(rna, seed=31), spec_of("ds-000000000000"), spec_of(rna, seed=32)]
    body = {"specs": [spec.model_dump(mode="json") for spec in specs], "titles": ["A1", "A2", "A3"]}

    def post(key: str, body: Any = body) -> httpx.Response:
        return over_http._http.post("jobs/batch", json=body, headers={"idempotency-key": key})

    first, again = post("batch-1"), post("batch-1")
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    jobs = [job["id"] for job in first.json()["jobs"]]
    assert len(jobs) == 2
    assert in_process.board.find(JobsAsked(label=first.json()["label"])).total == 2
    other = post("batch-1", {**body, "titles": []})
    assert (other.status_code, other.json()["code"]) == (422, "key-reused")
    for id in jobs:
        in_process.cancel(id)

    dead, service = once.Keys(in_process._service.database), in_process._service
    content = httpx.Request("POST", "http://x", json=body).content
    assert dead.begin("batch-2", once.fingerprint("POST", "/jobs/batch", "", body=content)) == ()
    with once.asking("batch-2"):  # it queues the first of them, and is killed
        made = service.board.batch(specs[:1])
    in_process.cancel(made.jobs[0].id)  # so that the same question alone would be a new job
    answer = post("batch-2").json()
    assert answer["jobs"][0]["id"] == made.jobs[0].id
    assert (answer["label"], len(answer["jobs"]), [p["of"] for p in answer["problems"]]) == (made.label, 2, ["2"])
    assert post("batch-2").json() == answer
    in_process.cancel(answer["jobs"][1]["id"])
    in_process.delete_job(answer["jobs"][1]["id"])
    assert post("batch-2").status_code == 404


def test_a_model_is_taken_off_the_offer_and_put_back(client: Client, rna: str) -> None:
    assert client.board.retire(MODEL).retired
    assert client.model(MODEL).retired
    assert [model.retired for model in client.models()] == [True]
    assert client.preflight(model=MODEL, rna=rna).verdict != "refused"  # what names it goes on working
    assert not client.board.retire(MODEL, retired=False).retired
    with refused("unknown-model"):
        client.board.retire("nothing")


def test_a_model_is_verified_and_a_damaged_one_says_so(client: Client, catalog: Path) -> None:
    view = client.board.verify(MODEL)
    assert (view.verified, view.digest) == (True, client.model(MODEL).digest)
    weights = catalog / MODEL / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4] + b"\0\0\0\1")
    try:
        damaged = client.board.verify(MODEL)
    finally:
        weights.write_bytes(whole)
    assert not damaged.verified
    assert damaged.failure is not None
    assert damaged.failure.message


def test_an_example_file_can_be_had(client: Client) -> None:
    with h5py.File(BytesIO(client.board.example(MODEL, Modality.RNA)), "r") as file:
        assert file["X"].attrs["shape"].tolist() == [24, 60]


def test_the_command_line_lists_labels_and_asks_again(
    over_http: HttpClient, done: JobView, rna: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSVIEW_API_URL", over_http._base)

    def said(*words: str, code: int = 0) -> Any:
        assert main(["jobs", *words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    (job,) = said("label", done.id, "--add", "mine")["jobs"]
    assert job["labels"] == ["mine"]
    assert [each["id"] for each in said("list", "--label", "mine", "--state", "succeeded")["jobs"]] == [done.id]
    assert said("list", "--before", "2026-01-01")["jobs"] == []
    assert [each["id"] for each in said("list", "--label", "mine", "--since", "2026-01-01")["jobs"]] == [done.id]
    again = said("submit", "--from", done.id, "--set", "seed=21", "--title", "By hand")
    assert (again["spec"]["seed"], again["labels"], again["title"]) == (21, ["mine"], "By hand")
    batch = said("batch", f"dataset:{rna}", "dataset:none", "--model", MODEL, "--label", "two", code=2)
    assert (len(batch["jobs"]), len(batch["problems"])) == (1, 1)
    assert said("bin", done.id)["done"] == [done.id]
    assert said("restore", done.id)["done"] == [done.id]
    assert main(["jobs", "list", "--state", "sleeping"]) == 2
    said("label", done.id, "--remove", "mine")
