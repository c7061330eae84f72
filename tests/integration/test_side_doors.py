"""Ways around the rule that each sees their own: the store, a share, a fault, a token, a later click, a proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs import afar, bootstrap, layout
from jobs.accounts.access import asking
from jobs.accounts.errors import NotSignedIn
from jobs.accounts.principal import Principal, Role, Scope
from jobs.accounts.settings import AuthSettings
from jobs.errors import BadSource
from jobs.fetching import lies_within
from jobs.state import JobState
from storage.tables import models as model_table
from storage.tables import users as user_table
from storage.tables.models import ModelRow
from tests.kept import cells, job
from tests.people import PASSWORD, Lab, lab, submit

ANNA, BERT = Principal("user-anna"), Principal("user-bert")


@pytest.fixture
def here(tmp_path: Path, catalog: Path) -> Iterator[Lab]:
    with lab(tmp_path / "home", catalog, import_roots=(tmp_path.resolve(),)) as made:
        made.person("anna@lab.org", password=PASSWORD)
        made.person("bert@lab.org")
        yield made


@pytest.fixture
def anna(here: Lab) -> httpx.Client:
    return here.script(here.token("user-anna"))


@pytest.fixture
def bert(here: Lab) -> httpx.Client:
    return here.script(here.token("user-bert"))


def test_nothing_is_brought_in_from_where_everybodys_data_lie(here: Lab, bert: httpx.Client) -> None:
    with asking(ANNA):
        digest = cells(here.service, "ds-1").digest
    home = here.service.settings.home
    kept = home / "store" / layout.dataset(str(digest))
    assert kept.is_file()  # an operator opened a folder above the home
    for path in (kept, home / "operator.token"):
        answer = bert.post("/api/v1/datasets", json={"source": str(path)})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad-source")
        assert "everybody" in answer.json()["title"] + answer.json()["detail"]
    assert bert.get("/api/v1/datasets").json() == []


def test_a_store_in_s3_is_fenced_off_and_what_is_beside_it_is_not(here: Lab) -> None:
    settings = replace(here.service.settings, store="s3://lab/crossview/")
    for inside in ("s3://lab/crossview/datasets/1.h5ad", "S3://lab/crossview/results/job-1/1/out/latent.h5ad"):
        assert lies_within(inside, settings)
        with pytest.raises(BadSource, match="everybody's data"):
            afar.look(inside, settings)
    for outside in ("s3://lab/crossview-2/a.h5ad", "s3://lab/cells.h5ad", "s3://other/crossview/datasets/1.h5ad"):
        assert not lies_within(outside, settings)
    assert lies_within("s3://lab/any.h5ad", replace(settings, store="s3://lab"))


def test_a_training_whose_model_holds_cells_is_not_shared(here: Lab, anna: httpx.Client) -> None:
    with asking(ANNA):
        cells(here.service, "ds-1")
        job(here.service, "job-knn", "ds-1", kind="train")
        job(here.service, "job-on", "ds-1", kind="train", state=JobState.RUNNING)
    for id in ("job-knn", "job-on"):
        answer = anna.post(f"/api/v1/jobs/{id}/shares", json={"with_whom": "bert@lab.org"})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert "carries the cells" in answer.text


def test_a_model_that_is_shared_no_longer_runs_no_old_job_again(here: Lab, anna: httpx.Client) -> None:
    service = here.service
    model = ModelRow(
        id="m-1", owner="user-bert", name="His", digest=service.models.manifest("tiny").digest, translator="ridge",
        job="job-9",
    )  # fmt: skip
    service.database.write_now(lambda conn: model_table.put(conn, model))
    for path in service.models.folder("tiny").iterdir():
        if path.is_file():
            service.store.put_file(layout.bundle(model.digest) + path.name, path)
    service.store.put_bytes(layout.model("m-1") + "CARD.md", b"# His\n")
    with asking(BERT):
        service.accounts.share("model", "m-1", "anna@lab.org")
    with asking(ANNA):
        cells(service, "ds-1")
        row = job(service, "job-1", "ds-1", state=JobState.FAILED)
        spec = {**row.spec, "model": "m-1"}
    service.database.write_now(
        lambda conn: conn.execute("update jobs set spec = ? where id = 'job-1'", [json.dumps(spec)])
    )
    with asking(BERT):
        service.accounts.sharing.unshare("model", "m-1", "anna@lab.org")
    assert anna.post("/api/v1/jobs/job-1/retry", json={}).status_code == 404
    with asking(BERT):
        service.accounts.share("model", "m-1", "anna@lab.org")
    assert anna.post("/api/v1/jobs/job-1/retry", json={}).json()["state"] == "QUEUED"


def test_the_form_for_sharing_tells_nobody_who_is_here(here: Lab, anna: httpx.Client, bert: httpx.Client) -> None:
    with asking(ANNA):
        cells(here.service, "ds-1")
        job(here.service, "job-1", "ds-1")
    asked = [bert.post("/api/v1/jobs/none/shares", json={"with_whom": w}) for w in ("anna@lab.org", "no@lab.org")]
    assert [each.status_code for each in asked] == [404, 404]
    assert asked[0].text == asked[1].text
    for id in ("user-bert", "local", ""):
        assert anna.post("/api/v1/jobs/job-1/shares", json={"with_whom": id}).status_code in (404, 422)
    assert anna.get("/api/v1/jobs/job-1/shares").json() == []


def test_the_inside_of_a_fault_is_for_operators_wherever_it_comes_out(
    here: Lab, anna: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a path of the server")

    inside = {"code": "internal-error", "message": "This failed.", "detail": "a path of the server"}
    with asking(ANNA):
        cells(here.service, "ds-1")
        job(here.service, "job-1", "ds-1", state=JobState.FAILED)
    for table, id in (("jobs", "job-1"), ("datasets", "ds-1")):
        here.service.database.write_now(
            lambda conn, table=table, id=id: conn.execute(  # type: ignore[misc]
                f"update {table} set failure = ? where id = ?", [json.dumps(inside), id]
            )
        )
    monkeypatch.setattr("jobs.submitting.Desk.submit", broken)
    monkeypatch.setattr("jobs.board.service.Board.mark", broken)
    spec = {"kind": "translate", "model": "tiny", "rna": "ds-1", "directions": ["rna-to-atac"]}
    asked = [
        anna.get("/api/v1/jobs/job-1"), anna.get("/api/v1/datasets/ds-1"),
        anna.post("/api/v1/jobs/batch", json={"specs": [spec]}),
        anna.post("/api/v1/jobs/bulk", json={"act": "star", "ids": ["job-1"]}),
    ]  # fmt: skip
    for answer in asked:
        assert "internal-error" in answer.text
        assert "a path of the server" not in answer.text, answer.url
    here.service.database.write_now(lambda conn: user_table.change(conn, "user-anna", role=Role.OPERATOR.value))
    here.accounts.sessions.forget()
    assert "a path of the server" in anna.get("/api/v1/jobs/job-1").text


def test_what_a_page_left_to_be_done_later_is_not_done_for_who_is_out(
    here: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking(ANNA):
        cells(here.service, "ds-1")
        job(here.service, "job-1", "ds-1")
    monkeypatch.setattr(bootstrap, "_who", lambda: ANNA)
    client = bootstrap.current_client()
    assert client.open_artifact("job-1", "report.json").is_file()
    here.accounts.users.disable("user-anna")
    with pytest.raises(NotSignedIn):
        client.open_artifact("job-1", "report.json")


def test_tries_at_the_door_are_nobodys_acts(here: Lab) -> None:
    with here.browser() as browser:
        submit(browser, "/auth/sign-in", email="anna@lab.org", password="not this one")
        submit(browser, "/auth/sign-in", email="anna@lab.org", password=PASSWORD)
    found = [each for each in here.service.keeping.audit() if each.act == "account.sign-in"]
    assert {(each.who, each.outcome) for each in found} == {("nobody", "refused"), ("user-anna", "done")}
    assert all("127.0.0.1" in each.via for each in found if each.who == "nobody")


@pytest.mark.parametrize("rules", [AuthSettings(mode="local"), AuthSettings(mode="proxy", header="x-remote-user")])
def test_the_first_operators_token_is_worth_nothing_once_there_is_one(
    tmp_path: Path, catalog: Path, rules: AuthSettings
) -> None:
    with lab(tmp_path / "home", catalog, auth=replace(rules, operators=frozenset({"boss"}))) as made:
        secret = made.accounts.first_token.read_text(encoding="utf-8").strip()
        assert made.script(secret).get("/api/v1/users").status_code == 200
        if rules.mode == "proxy":
            made.accounts.users.vouched("proxy", "boss", operator=True)
        else:
            made.person("boss@lab.org", Role.OPERATOR)
            made.accounts.prepare()  # as at the next start
        made.accounts.sessions.forget()
        assert made.script(secret).get("/api/v1/users").status_code == 401


def test_an_answer_that_is_replayed_is_replayed_to_whom_it_was_given(anna: httpx.Client, bert: httpx.Client) -> None:
    key, body = {"idempotency-key": "one"}, {"name": "cells.h5ad", "size": 3}
    ids = [each.post("/api/v1/uploads", json=body, headers=key).json()["id"] for each in (anna, anna, bert)]
    assert ids[0] == ids[1] != ids[2]
    assert bert.get(f"/api/v1/uploads/{ids[0]}").status_code == 404


def test_scopes_open_their_own_part_and_no_other(here: Lab) -> None:
    paths = {Scope.READ: "/api/v1/jobs", Scope.ACCOUNT: "/api/v1/tokens", Scope.ADMIN: "/api/v1/users"}
    boss = here.person("boss@lab.org", Role.OPERATOR)
    for scope in Scope:
        script = here.script(here.token(boss, scope))
        for needed, path in paths.items():
            assert script.get(path).status_code == (200 if scope is needed else 403), (scope, path)
        created = script.post("/api/v1/uploads", json={"name": "a", "size": 1}).status_code
        assert created == (201 if scope is Scope.SUBMIT else 403)
