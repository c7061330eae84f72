"""What every route promises: pages that miss nothing, requests done once, limits that are told, a true document."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from inspect import getmembers, isfunction, signature
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from app.api import create_app
from app.api.application import OPERATIONS
from app.api.openapi import document, path_of
from engine.types import Direction, Modality
from jobs import once
from jobs.bootstrap import build_service
from jobs.client import Client
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.errors import InProgress, KeyReused, Unreachable
from jobs.keeping.client import KeepingClient
from jobs.queue.order import Priority
from jobs.rate import Rate
from jobs.service import JobService
from jobs.spec import TrainSpec, read_spec
from jobs.views import JobView
from storage.database import Database
from storage.guard import WebRules
from storage.tables import jobs as job_table
from storage.tables import keyed as keyed_table
from storage.tables import notifications
from storage.tables.jobs import JobRow
from storage.tables.notifications import NotificationRow
from storage.tables.rows import utcnow
from tests.chaos.api import fuzz
from tests.finished import example_lab, example_of
from tests.forked import ForkedRunner
from tests.kept import cells
from tests.labs import MODEL, ended, served

API = "/api/v1"
LONG_AGO = {"model": MODEL, "directions": ["rna-to-atac"], "rna": "ds-0"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobService]:
    settings = replace(example_lab(tmp_path_factory), fetch=WebRules(on=False))
    service = build_service(settings, runner=ForkedRunner(settings.home / "runner", workers=1))
    service.start()
    yield service
    service.close()


@pytest.fixture(scope="module")
def client(service: JobService) -> LocalClient:
    return LocalClient(service)


@pytest.fixture(scope="module")
def address(client: LocalClient) -> Iterator[str]:
    with served(create_app(client)) as address:
        yield address


@pytest.fixture(scope="module")
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address + API + "/", trust_env=False, timeout=60) as http:
        yield http


@pytest.fixture(scope="module")
def finished(client: LocalClient) -> JobView:
    return example_of(client)


def add_jobs(service: JobService, count: int, *, name: str, at: int = 0) -> None:
    """Rows of jobs that ended long ago, several at one moment."""

    def add(conn: Any) -> None:
        for n in range(count):
            moment = utcnow() - timedelta(days=10, seconds=at + n // 3)
            row = JobRow(
                id=f"job-{name}{n:03d}", kind="translate", state="CANCELLED", spec=LONG_AGO,
                spec_digest="0", submitted_at=moment, updated_at=moment,
            )  # fmt: skip
            job_table.insert(conn, row)

    service.database.write_now(add)


# -- pages -----------------------------------------------------------------------------------------------------------


def all_pages(http: httpx.Client, path: str, between: Any = None) -> list[str]:
    found, answer = [], http.get(path)
    while True:
        assert answer.status_code == 200, answer.text
        found += [each["id"] for each in answer.json()]
        if "next" not in answer.links:
            return found
        if between is not None:
            between, call = None, between
            call()
        answer = http.get(answer.url.join(answer.links["next"]["url"]))


def test_pages_of_jobs_hold_each_once_though_new_ones_come_in(service: JobService, http: httpx.Client) -> None:
    add_jobs(service, 20, name="old")
    before = {job.id for job in service.jobs(limit=10_000)}
    newer = lambda: add_jobs(service, 5, name="new", at=-100)  # noqa: E731
    found = all_pages(http, "jobs?limit=7", newer)
    assert len(found) == len(set(found))
    assert set(found) == before


@pytest.fixture(scope="module")
def full(service: JobService, finished: JobView) -> JobView:
    """At least three rows in every list that can have them: the catalog has one model."""
    for n in range(3):
        told = NotificationRow(id=f"msg_{n}", event="job.succeeded", subject=finished.id, kind="translate", title="x")
        service.database.write_now(lambda conn, told=told: notifications.insert(conn, told))
        cells(service, f"ds-kept{n}", f"kept {n}".encode())
        cells(service, f"ds-gone{n}", f"gone {n}".encode())
        service.delete_dataset(f"ds-gone{n}")
    return finished


@pytest.mark.parametrize(
    ("path", "fewest"),
    [
        *((path, 3) for path in ("datasets", "holdings", "receipts", "audit", "jobs/{id}/events")),
        ("notifications", 3),
        ("models", 1),
    ],
)
def test_every_list_is_read_in_pages_of_one(http: httpx.Client, full: JobView, path: str, fewest: int) -> None:
    path = path.format(id=full.id)
    rows = lambda answer: answer.json()["notifications"] if path == "notifications" else answer.json()  # noqa: E731
    whole, one = rows(http.get(path)), []
    assert len(whole) >= fewest
    answer = http.get(path, params={"limit": 1})
    while True:
        one += rows(answer)
        if "next" not in answer.links:
            break
        answer = http.get(answer.url.join(answer.links["next"]["url"]))
    assert one == whole


@pytest.mark.parametrize("cursor", ["x", "bnVsbA", "W10", "WyJhIl0", "WzFd", "é", "\x00"])
def test_a_cursor_that_no_page_gave_is_refused(http: httpx.Client, cursor: str) -> None:
    for path in ("jobs", "datasets", "receipts", "notifications"):
        answer = http.get(path, params={"after": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad-request")


def test_the_client_reads_all_pages(service: JobService, client: LocalClient, address: str) -> None:
    with HttpClient(address) as over:
        assert [each.id for each in over.datasets()] == [each.id for each in client.datasets()]
        assert over._everything("jobs", limit=3) == over._everything("jobs")


# -- done once -------------------------------------------------------------------------------------------------------


def post(http: httpx.Client, key: str, body: Any, path: str = "uploads") -> httpx.Response:
    return http.post(path, json=body, headers={"idempotency-key": key})


def test_the_same_key_gets_the_same_answer_and_makes_one_thing(http: httpx.Client) -> None:
    first = post(http, "one", {"name": "a.h5ad", "size": 3})
    again = post(http, "one", {"size": 3, "name": "a.h5ad"})  # the order of fields says nothing
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert first.headers["location"] == again.headers["location"] == f"{API}/uploads/{first.json()['id']}"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


def test_the_same_key_with_another_request_is_refused(http: httpx.Client) -> None:
    post(http, "two", {"name": "a.h5ad"})
    for path, body in (("uploads", {"name": "b.h5ad"}), ("jobs/example", {"model": None})):
        answer = post(http, "two", body, path)
        assert (answer.status_code, answer.json()["code"]) == (422, "key-reused")


def test_a_refused_request_leaves_its_key_free(http: httpx.Client) -> None:
    assert post(http, "three", {"name": "a.h5ad", "size": -1}).status_code == 422
    assert post(http, "three", {"name": "a.h5ad", "size": 1}).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_key_is_a_plain_word(http: httpx.Client, key: str) -> None:
    assert post(http, key, {"name": "a.h5ad"}).status_code == 422


def test_of_two_at_once_one_runs(client: LocalClient, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on, made = threading.Event(), threading.Event(), []
    create = client._service.uploads.create

    def slow(name: str, size: int | None, *, owner: str) -> str:
        inside.set()
        assert go_on.wait(30)
        made.append(create(name, size, owner=owner))
        return made[-1]

    monkeypatch.setattr(client._service.uploads, "create", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, http, "four", {"name": "a.h5ad"})
        assert inside.wait(30)
        second = post(http, "four", {"name": "a.h5ad"})
        go_on.set()
        assert first.result().status_code == 201
    assert (second.status_code, second.json()["code"]) == (409, "in-progress")
    assert second.headers["retry-after"] == "1"
    assert post(http, "four", {"name": "a.h5ad"}).json()["id"] == made[0]
    assert len(made) == 1


def test_what_a_process_made_before_it_died_is_the_answer_of_the_next(
    service: JobService, client: LocalClient, http: httpx.Client, finished: JobView
) -> None:
    body = {"spec": {**finished.spec, "directions": ["rna-to-atac"]}, "fresh": True}
    dead = once.Keys(service.database)
    content = httpx.Request("POST", "http://x", json=body).content
    mark = once.fingerprint("POST", "/jobs", "", body=content)
    assert dead.begin("five", mark) == ()
    with once.asking("five"):  # it queues the job, and is killed before it answers
        job = client.submit(read_spec(body["spec"]), fresh=True)
    with pytest.raises(InProgress):
        dead.begin("five", mark)
    answer = post(http, "five", body, "jobs")
    assert (answer.status_code, answer.json()["id"]) == (201, job.id)
    with pytest.raises(KeyReused):
        service.keys.begin("five", "another")
    client.cancel(job.id)
    ended(client, job)
    client.delete_job(job.id)
    gone = post(http, "five", body, "jobs")  # its name is not kept, and it is not run again
    assert gone.status_code == 404
    with service.database.read() as conn:
        row = keyed_table.get(conn, "local", "five")
    assert row is not None
    assert (row.body, row.made) == (None, [job.id])


def test_a_key_is_forgotten_after_a_day(service: JobService, http: httpx.Client) -> None:
    first = post(http, "six", {"name": "a.h5ad"}).json()["id"]
    yesterday = utcnow() - timedelta(seconds=1)
    service.database.write_now(lambda conn: keyed_table.change(conn, "local", "six", until=yesterday))
    assert post(http, "six", {"name": "a.h5ad"}).json()["id"] != first


def test_answers_outlive_the_process(tmp_path: Path) -> None:
    with Database.open(tmp_path / "x.duckdb") as database:
        keys = once.Keys(database)
        keys.begin("seven", "print")
        keys.finish("seven", 201, '{"id":"job-1"}')
    with Database.open(tmp_path / "x.duckdb") as database:
        assert once.Keys(database).begin("seven", "print") == once.Answer(201, '{"id":"job-1"}', ("job-1",))


# -- limits ----------------------------------------------------------------------------------------------------------


def test_too_many_requests_are_told_when_to_come_again(client: LocalClient) -> None:
    with served(create_app(client, rate=Rate(per_minute=1, at_once=3))) as address:
        answers = [httpx.get(f"{address}{API}/jobs", trust_env=False) for _ in range(4)]
    assert [each.status_code for each in answers[:3]] == [200] * 3
    assert [each.headers["ratelimit"].split(";")[1] for each in answers[:3]] == ["r=2", "r=1", "r=0"]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=180'
    assert (answers[3].status_code, answers[3].json()["code"]) == (429, "too-many-requests")
    assert 0 < int(answers[3].headers["retry-after"]) <= 60


# -- the document ----------------------------------------------------------------------------------------------------


def test_every_route_is_in_the_document_and_nothing_else(client: LocalClient) -> None:
    told = {(path, method) for path, each in document(OPERATIONS)["paths"].items() for method in each}
    routes = [route for route in create_app(client).routes if isinstance(route, Route)]
    there = {
        (route.path.replace(":path}", "}"), method.lower())
        for route in routes
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert told == there


LOCAL = {"artifact_link"}  # the server's own choice, made where the file is asked for
GIVEN: dict[str, Any] = {
    "Direction": Direction.RNA_TO_ATAC,
    "Modality": Modality.RNA,
    "Priority": Priority.HIGH,
    "Sequence[str]": ("x",),
    "Iterable[bytes]": [b"x"],
    "int": 1,
    "int | None": 1,
    "Path": Path("never-written.tar"),
}


def methods() -> list[tuple[str, str]]:
    both = (("", Client), ("keeping", KeepingClient))
    return [(of, name) for of, kind in both for name, _ in getmembers(kind, isfunction) if name[0] != "_"]


@pytest.mark.parametrize(("of", "name"), [each for each in methods() if each[1] not in LOCAL])
def test_every_method_of_the_client_has_a_route(of: str, name: str) -> None:
    asked: list[httpx.Request] = []

    def teapot(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(418)

    wanted = signature(getattr(KeepingClient if of else Client, name)).parameters.values()
    given = {each.name: GIVEN.get(each.annotation, "x") for each in wanted if each.default is each.empty}
    given.pop("self")
    if "spec" in given:
        given["spec"] = TrainSpec(model="ridge", rna="a", atac="b")
    with HttpClient("http://x", transport=httpx.MockTransport(teapot)) as over, suppress(Unreachable):
        answer = getattr(getattr(over, of) if of else over, name)(**given)
        next(answer)  # of a stream
    path = asked[0].url.path.removeprefix(API)
    there = [each.path for each in OPERATIONS if each.method == asked[0].method]
    assert any(re.fullmatch(re.sub(r"{\w+(:path)?}", "[^/]+", each), path) for each in there)


def test_answers_are_what_the_document_says(http: httpx.Client, finished: JobView) -> None:
    told = http.get("openapi.json").json()
    job, tested = f"jobs/{finished.id}", 0
    values = {"direction": "rna-to-atac", "features": ["chr1:1000-1400"]}
    asked: list[tuple[str, str, Any]] = [
        *(("get", path, None) for path in ("health", "models", f"models/{MODEL}", "datasets", "holdings")),
        *(("get", path, None) for path in ("usage", "receipts", "audit", "audit/check", "notifications", "jobs", job)),
        *(("get", f"{job}/{path}", None) for path in ("events", "report", "artifacts", "logs", "training")),
        ("get", f"{job}/tables/rna-to-atac/cells", None),
        ("get", f"{job}/tables/rna-to-atac/nothing", None),
        ("get", f"{job}/search/atac-to-rna?query=GENE&limit=3", None),
        ("get", f"{job}/search/sideways?query=GENE", None),
        ("get", "jobs/none", None),
        ("get", "nothing/here", None),
        ("post", f"{job}/values", values),
        ("post", f"{job}/values", {**values, "features": 7}),
        ("post", f"{job}/cancel", {}),
        ("post", "uploads", {"name": "x.h5ad"}),
        ("post", "jobs/example", {"model": MODEL}),
        ("delete", "health", None),
    ]
    for method, path, body in asked:
        answer = http.request(method, path, json=body)
        operation = _operation(told, method, answer.request.url.path)
        kind = answer.headers["content-type"].partition(";")[0]
        if operation is None:
            assert answer.status_code in (404, 405)
            schema: Any = {"$ref": "#/components/schemas/Problem"}
        else:
            responses = operation["responses"]
            content = (responses.get(str(answer.status_code)) or responses["default"])["content"]
            assert kind in content, (path, answer.status_code, kind)
            schema = content[kind].get("schema", True)
        if kind.endswith("json"):
            Draft202012Validator({**schema, "components": told["components"]}).validate(answer.json())
            tested += 1
    assert tested > 25


def _operation(told: dict[str, Any], method: str, path: str) -> Any:
    exact = sorted(told["paths"], key=lambda template: template.count("{"))
    for template in exact:
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path) and method in told["paths"][template]:
            return told["paths"][template][method]
    return None


def test_what_is_not_there_and_what_cannot_be_done_is_told_apart(http: httpx.Client) -> None:
    for method, path, status in (("GET", "nothing", 404), ("TRACE", "jobs", 405), ("PUT", "jobs", 405)):
        answer = http.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert http.put("jobs").headers["allow"] == "GET, POST, HEAD"


def test_a_request_says_nothing_unknown(http: httpx.Client) -> None:
    for path in ("jobs?limi=3", "jobs?limit=3&limit=4", "jobs?limit=0", "jobs?limit=1e3", "jobs?after=" + "x" * 5_000):
        assert http.get(path).status_code == 422, path
    assert http.post("uploads", content=b"name=x", headers={"content-type": "text/plain"}).status_code == 415
    assert http.post("uploads", json={"name": "x", "size": True}).status_code == 422
    assert http.post("uploads", content=b"{", headers={"content-type": "application/json"}).status_code == 422


def test_what_one_has_is_not_sent_again(http: httpx.Client, finished: JobView) -> None:
    first = http.get(f"jobs/{finished.id}/report")
    again = http.get(f"jobs/{finished.id}/report", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    file = http.get(f"jobs/{finished.id}/artifacts/report.json")
    kept = {"if-none-match": file.headers["etag"]}
    assert http.get(f"jobs/{finished.id}/artifacts/report.json", headers=kept).status_code == 304
    assert http.get(f"jobs/{finished.id}/artifacts/nothing.json", headers=kept).status_code == 404


def test_the_reference_can_be_read(http: httpx.Client) -> None:
    page = http.get("reference")
    assert page.headers["content-type"].startswith("text/html")
    for operation in OPERATIONS:
        assert f"<code>{operation.method} {path_of(operation)}</code>" in page.text


# -- last, since it deletes what it finds: a part of `make fuzz-api` ---------------------------------------------------

FUZZED = r"/api/v1/(uploads|notifications/read|holdings/\{id\}/clock|jobs/\{id\}/(values|events|logs))$"


def test_no_bad_value_breaks_the_server_or_its_document(address: str, finished: JobView, tmp_path: Path) -> None:
    found = fuzz(address, tmp_path, seed=1, phases=("coverage",), only=FUZZED)
    assert found.passed, found.report


@pytest.mark.parametrize("body", ["q^", "[null, null]", '{"more": 1}'])
def test_a_body_where_none_is_asked_for_is_refused(http: httpx.Client, full: JobView, body: str) -> None:
    for path in (f"jobs/{full.id}/retry", f"jobs/{full.id}/cancel", f"models/{MODEL}/verify"):
        answer = http.post(path, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad-request"), path
