"""What one lets another see, and what stays one's own: jobs, models, reuse, quotas, the queue and the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.types import Direction
from jobs.accounts.access import asking
from jobs.accounts.bound import bound
from jobs.accounts.errors import NotAllowed
from jobs.accounts.principal import Principal, Role, Scope
from jobs.board.views import JobsAsked
from jobs.client import Client
from jobs.client_local import LocalClient
from jobs.errors import Conflict, NotFound
from jobs.queue import entry
from jobs.reconcile.moves import requeue, stopped
from jobs.state import JobState
from storage.tables import jobs as job_table
from storage.tables import models as model_table
from storage.tables.jobs import JobRow
from storage.tables.models import ModelRow
from storage.tables.rows import utcnow
from tests.kept import cells, job
from tests.people import Lab, lab

ANNA, BERT = Principal("user-anna"), Principal("user-bert")


@pytest.fixture
def here(tmp_path: Path, catalog: Path) -> Iterator[Lab]:
    with lab(tmp_path / "home", catalog, quota_bytes=10_000) as made:
        made.person("anna@lab.org")
        made.person("bert@lab.org")
        yield made


@pytest.fixture
def anna(here: Lab) -> httpx.Client:
    return here.script(here.token("user-anna"))


@pytest.fixture
def bert(here: Lab) -> httpx.Client:
    return here.script(here.token("user-bert"))


def a_job(here: Lab, id: str = "job-1", **how: object) -> None:
    with asking(ANNA):
        cells(here.service, "ds-1", name="week 1.h5ad")
        job(here.service, id, "ds-1", **how)  # type: ignore[arg-type]


def test_a_shared_job_can_be_read_and_not_changed_until_it_is_shared_no_longer(
    here: Lab, anna: httpx.Client, bert: httpx.Client
) -> None:
    a_job(here)
    assert bert.get("/api/v1/jobs/job-1").status_code == 404
    shared = anna.post("/api/v1/jobs/job-1/shares", json={"with_whom": "Bert@lab.org"}).json()
    assert [each["with_whom"] for each in shared] == ["bert@lab.org"]

    seen = bert.get("/api/v1/jobs/job-1").json()
    assert seen["shared_by"] == "Anna"
    assert [each["id"] for each in bert.get("/api/v1/jobs").json()] == ["job-1"]
    assert bert.get("/api/v1/jobs/job-1/artifacts/report.json").content == b"result of job-1"
    for path in ("cancel", "retry"):
        assert bert.post(f"/api/v1/jobs/job-1/{path}", json={}).status_code == 403
    assert bert.delete("/api/v1/jobs/job-1").status_code == 404
    assert bert.get("/api/v1/jobs/job-1/shares").status_code == 404
    assert bert.get("/api/v1/datasets/ds-1").status_code == 404
    assert bert.get("/api/v1/datasets").json() == []

    assert anna.post("/api/v1/jobs/job-1/shares/end", json={"with_whom": "bert@lab.org"}).json() == []
    assert bert.get("/api/v1/jobs/job-1").status_code == 404
    assert bert.get("/api/v1/jobs").json() == []


def test_everybody_is_everybody_who_signs_in(here: Lab, anna: httpx.Client) -> None:
    a_job(here)
    anna.post("/api/v1/jobs/job-1/shares", json={"with_whom": "everybody"})
    carl = here.script(here.token(here.person("carl@lab.org")))
    assert carl.get("/api/v1/jobs/job-1").status_code == 200
    assert here.script().get("/api/v1/jobs/job-1").status_code == 401
    assert anna.delete("/api/v1/jobs/job-1").status_code == 200
    with here.service.database.read() as conn:
        assert conn.execute("select * from shares").fetchall() == []


def test_a_shared_model_can_be_used_and_keeps_its_origin_to_itself(
    here: Lab, anna: httpx.Client, bert: httpx.Client
) -> None:
    from jobs import layout

    service = here.service
    folder, digest = service.models.folder("tiny"), service.models.manifest("tiny").digest
    for path in folder.iterdir():
        if path.is_file():
            service.store.put_file(layout.bundle(digest) + path.name, path)
    service.store.put_bytes(layout.model("m-1") + "CARD.md", b"# Mine\n")
    row = ModelRow(
        id="m-1", owner="user-anna", name="Mine", digest=digest, translator="ridge", job="job-9", datasets=["ds-9"]
    )
    near = ModelRow(
        id="m-2", owner="user-anna", name="Near", digest=digest, translator="knn", job="job-9", holds_cells=True
    )
    for each in (row, near):
        service.database.write_now(lambda conn, each=each: model_table.put(conn, each))  # type: ignore[misc]
    assert bert.get("/api/v1/models/m-1").status_code == 404
    assert "m-1" not in bert.get("/api/v1/models/none").text  # the list of what there is names no other's either
    anna.post("/api/v1/models/m-1/shares", json={"with_whom": "bert@lab.org"})
    seen = bert.get("/api/v1/models/m-1").json()
    assert (seen["shared"], seen["job"], seen["datasets"]) == (True, "", [])
    assert bert.delete("/api/v1/models/m-1").status_code == 404
    assert anna.get("/api/v1/models/m-1").json()["datasets"] == ["ds-9"]
    assert anna.post("/api/v1/models/m-2/shares", json={"with_whom": "bert@lab.org"}).status_code == 409


def test_the_same_question_of_two_people_is_two_jobs(here: Lab) -> None:
    a_job(here)
    with here.service.database.read() as conn:
        row = job_table.get(conn, "job-1")
        assert row is not None
        here.service.database.write_now(
            lambda conn: conn.execute("update jobs set cache_key = 'same' where id = 'job-1'")
        )
    from dataclasses import replace

    same = replace(row, id="job-2", cache_key="same")
    with here.service.database.read() as conn:
        assert entry.known(conn, same) is not None
        assert entry.known(conn, replace(same, owner="user-bert")) is None


def test_each_keeps_on_their_own_account(here: Lab, anna: httpx.Client, bert: httpx.Client) -> None:
    with asking(ANNA):
        cells(here.service, "ds-1", b"x" * 9_000)
        assert here.service.create_upload(name="a", size=500).id
    assert anna.get("/api/v1/usage").json()["bytes"] == 9_500
    assert bert.get("/api/v1/usage").json()["bytes"] == 0
    assert anna.post("/api/v1/uploads", json={"name": "b", "size": 5_000}).status_code == 507
    assert bert.post("/api/v1/uploads", json={"name": "b", "size": 5_000}).status_code == 201


def test_the_same_cells_of_two_people_go_one_by_one_and_name_nobody(here: Lab) -> None:
    with asking(ANNA):
        cells(here.service, "ds-1", b"same")
    with asking(BERT):
        cells(here.service, "ds-2", b"same")
        assert here.service.keeping.holding("ds-2").shares == ()
        receipt = here.service.delete_dataset("ds-2")
    assert "ds-1" not in str(receipt.document)
    assert receipt.document["kept"][0]["why"] == "also of another user"
    with asking(ANNA):
        assert here.service.dataset("ds-1").state == "ready"


def test_wishes_of_an_import_name_only_what_is_ones_own(here: Lab, bert: httpx.Client) -> None:
    with asking(ANNA):
        cells(here.service, "ds-1")
    upload = bert.post("/api/v1/uploads", json={"name": "fragments.tsv.gz", "size": 1}).json()["id"]
    bert.put(f"/api/v1/uploads/{upload}?offset=0", content=b"x")
    bert.post(f"/api/v1/uploads/{upload}/finish", json={})
    asked = {"source": f"upload:{upload}", "mends": {"cells": "ds-1"}}
    theirs = bert.post("/api/v1/datasets", json=asked)
    missing = bert.post("/api/v1/datasets", json={**asked, "mends": {"cells": "ds-0"}})
    assert theirs.status_code == missing.status_code == 404
    assert theirs.text.replace("ds-1", "") == missing.text.replace("ds-0", "")


@pytest.mark.parametrize("name", ["prediction", "training", "rna", "atac"])
@pytest.mark.parametrize("path", ["jobs", "preflight/pair"])
def test_a_prediction_is_scored_with_what_is_ones_own_alone(
    here: Lab, bert: httpx.Client, name: str, path: str
) -> None:
    with asking(ANNA):
        cells(here.service, "ds-1")
    with asking(BERT):
        cells(here.service, "ds-2")
    asked = {"kind": "evaluate", "target": "rna", "prediction": "ds-2", "rna": "ds-2"}
    theirs, missing = (
        bert.post(f"/api/v1/{path}", json={"spec": {**asked, name: id}}) for id in ("ds-1", "ds-0")
    )  # fmt: skip
    assert theirs.status_code == missing.status_code == 404
    assert theirs.text.replace("ds-1", "") == missing.text.replace("ds-0", "")


def test_an_operator_sees_the_queue_and_the_log_and_no_names_or_results(here: Lab, anna: httpx.Client) -> None:
    a_job(here, state=JobState.RUNNING)
    boss = here.script(here.token(here.person("boss@lab.org", Role.OPERATOR)))
    (line,) = boss.get("/api/v1/admin/queue").json()
    assert (line["id"], line["owner_name"], line["kind"]) == ("job-1", "Anna", "translate")
    assert "title" not in line
    assert "week 1" not in boss.get("/api/v1/audit").text
    assert boss.get("/api/v1/jobs/job-1").status_code == 404
    assert {each["who"] for each in boss.get("/api/v1/audit").json()} > {"user-anna"}
    assert {each["who"] for each in anna.get("/api/v1/audit").json()} == {"user-anna"}
    lesser = here.script(here.token("user-boss", Scope.READ))
    assert lesser.get("/api/v1/admin/queue").status_code == 403


def test_an_operator_stops_anothers_job_without_a_look_at_it_and_its_owner_is_told(
    here: Lab, anna: httpx.Client, bert: httpx.Client
) -> None:
    service = here.service
    a_job(here, state=JobState.QUEUED)
    with asking(ANNA):
        job(service, "job-2", "ds-1", state=JobState.RUNNING)
        job(service, "job-3", "ds-1")
    boss = here.script(here.token(here.person("boss@lab.org", Role.OPERATOR)))
    path, why = "/api/v1/admin/queue/{}/cancel", {"reason": " the nodes go\u202e down at noon "}
    assert anna.post(path.format("job-1"), json=why).status_code == 403
    assert boss.post(path.format("job-1"), json={"reason": "x" * 201}).status_code == 422
    assert [boss.post(path.format(id), json={}).status_code for id in ("job-3", "job-0")] == [404, 404]

    answer = boss.post(path.format("job-1"), json=why)
    assert (answer.status_code, answer.json()["state"]) == (200, "CANCELLED")
    assert "Mine" not in answer.text
    assert boss.get("/api/v1/jobs/job-1").status_code == 404
    assert boss.post(path.format("job-2"), json={}).json()["state"] == "CANCELLING"
    assert boss.post(path.format("job-2"), json=why).status_code == 200  # told to stop already: as it was
    with service.database.read() as conn:
        running = job_table.get(conn, "job-2")
    assert running is not None
    service.database.write_now(lambda conn: stopped(conn, running, reason="test"))

    inbox = anna.get("/api/v1/notifications").json()
    told = {each["subject"]: each for each in inbox["notifications"]}
    assert inbox["unread"] == 2
    assert told["job-1"]["headline"] == "Translation was cancelled by an operator"
    assert told["job-1"]["failure"]["message"] == "Cancelled by an operator: the nodes go down at noon"
    assert told["job-1"]["failure"]["hint"].startswith(f"Ask Boss, who did so on {utcnow():%Y-%m-}")
    assert told["job-2"]["failure"]["message"] == "Cancelled by an operator."
    for id in told:
        seen = anna.get(f"/api/v1/jobs/{id}").json()
        assert (seen["state"], seen["failure"]) == ("CANCELLED", told[id]["failure"])
    assert bert.get("/api/v1/notifications").json()["notifications"] == []
    log = boss.get("/api/v1/audit").json()
    acts = [(each["who"], each["object"], each["detail"]) for each in log if each["act"] == "admin.cancel"]
    assert acts == [("user-boss", id, {"owner": "user-anna"}) for id in ("job-2", "job-1")]
    assert "noon" not in str(log)

    with asking(ANNA):
        again = service.database.write_now(lambda conn: requeue(conn, running_now(conn), reason="test"))
        assert again
        assert service.job("job-2").failure is None


def running_now(conn: Any) -> JobRow:
    row = job_table.get(conn, "job-2")
    assert row is not None
    return row


def test_an_operator_stops_their_own_as_anybody_does(here: Lab) -> None:
    boss = Principal(here.person("boss@lab.org", Role.OPERATOR), Role.OPERATOR)
    with asking(boss):
        cells(here.service, "ds-1")
        job(here.service, "job-1", "ds-1", state=JobState.QUEUED)
        assert here.accounts.cancel_job("job-1", reason="mine").state == "CANCELLED"
        assert here.service.job("job-1").failure is None
        assert here.service.inbox.newest().unread == 0


def test_the_rule_holds_below_the_routes_too(here: Lab) -> None:
    a_job(here, state=JobState.RUNNING)
    service = here.service
    with asking(BERT):
        for ask in (service.job, service.cancel, service.retry, service.delete_job, service.results.report):
            with pytest.raises(NotFound):
                ask("job-1")
        with pytest.raises(NotFound):
            service.keeping.keep("ds-1", days=3)
        with pytest.raises(NotFound):
            service.accounts.share("job", "job-1", "everybody")
        with pytest.raises(NotAllowed):
            service.keeping.verify_audit()
        with pytest.raises(NotAllowed):
            service.accounts.all_users()
        with pytest.raises(NotAllowed):
            service.accounts.cancel_job("job-1")
    with service.database.read() as conn:
        assert conn.execute("select * from shares").fetchall() == []
        assert conn.execute("select * from retention").fetchall() == []


def test_single_user_mode_has_nobody_to_share_with(tmp_path: Path, catalog: Path) -> None:
    from jobs.accounts.settings import AuthSettings

    with lab(tmp_path / "home", catalog, auth=AuthSettings()) as made:
        cells(made.service, "ds-1")
        job(made.service, "job-1", "ds-1")
        for act in (
            lambda: made.accounts.share("job", "job-1", "everybody"),
            lambda: made.accounts.create_token(name="x"),
            lambda: made.accounts.invite("anna@lab.org"),
        ):
            with pytest.raises(Conflict, match="one user"):
                act()
        assert made.script().get("/api/v1/me").json()["mode"] == "off"
        assert made.script().get("/auth/sign-in").status_code == 404
        assert not (tmp_path / "home" / "operator.token").exists()


def test_every_client_within_the_client_asks_in_the_same_name(here: Lab) -> None:
    a_job(here)
    hers, his = (bound(LocalClient(here.service), who) for who in (ANNA, BERT))
    parts = [name for name, each in vars(Client).items() if isinstance(each, property)]
    assert {"keeping", "accounts", "board", "exploring"} <= set(parts)
    assert [name for name in parts if type(getattr(his, name)) is not type(his)] == []
    assert (hers.board.find(JobsAsked()).total, his.board.find(JobsAsked()).total) == (1, 0)
    hers.board.mark("job-1", starred=True, add=["week"])
    assert his.board.find(JobsAsked()).labels == {}
    with pytest.raises(NotFound):
        his.board.mark("job-1", starred=True)
    with pytest.raises(NotFound):
        his.exploring.genome("job-1", Direction.RNA_TO_ATAC, place="chr1:1-2", label="")
