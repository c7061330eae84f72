"""Every route for every kind of caller: who gets an answer, who is turned away, and that nothing of another's shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.application import OPERATIONS
from engine.intake import canonicalise
from jobs import layout
from jobs.accounts.access import asking
from jobs.accounts.principal import Principal, Role, Scope
from jobs.state import JobState
from storage.tables import models as model_table
from storage.tables import notifications as notification_table
from storage.tables import telling as telling_table
from storage.tables.models import ModelRow
from storage.tables.notifications import NotificationRow
from storage.tables.telling import WebhookRow
from tests.kept import cells, job
from tests.labs import build_catalog
from tests.people import Lab, lab

SECRETS = (
    "ds-anna", "job-anna", "job-live", "model-anna", "patient-anna", "anna@lab.org", "user-anna", "Anna", "receipt-",
    "Note for Anna", "token-", "hook-anna", "chat.lab.org",
)  # fmt: skip
CALLERS = ("nobody", "other", "owner", "operator", "reader", "expired", "revoked")


@dataclass(frozen=True)
class Verdict:
    """own: what the owner is answered; other, operator, reader: another user, an operator, a token that only reads.

    None: as the owner. Nobody, and tokens that are over, are always answered 401. The order is that of the request.
    """

    own: int
    other: int | None = None
    operator: int | None = None
    reader: int | None = None
    path: dict[str, str] = field(default_factory=dict)
    query: str = ""
    body: Any = None

    def of(self, caller: str) -> int:
        if caller in ("nobody", "expired", "revoked"):
            return 401
        asked: dict[str, int | None] = {"other": self.other, "operator": self.operator, "reader": self.reader}
        found = asked.get(caller)
        return self.own if found is None else found


def mine(own: int, *, write: bool = False, **how: Any) -> Verdict:
    """Of one thing of the owner's: for others, operators too, there is no such thing. write: a reader may not."""
    return Verdict(own, other=404, operator=404, reader=403 if write else None, **how)


def each(own: int, *, write: bool = False, **how: Any) -> Verdict:
    """Of what is the caller's own, whoever they are."""
    return Verdict(own, reader=403 if write else None, **how)


def operators(status: int, **how: Any) -> Verdict:
    return Verdict(403, operator=status, **how)


JOB, DATA, MODEL = {"id": "job-anna"}, {"id": "ds-anna"}, {"id": "model-anna"}
TRANSLATE = {"kind": "translate", "model": "tiny", "rna": "ds-anna", "directions": ["rna-to-atac"]}
PAIRED = {"spec": {"kind": "train", "model": "ridge", "rna": "ds-anna", "atac": "ds-anna"}}
WITH = {"with_whom": "bert@lab.org"}
VERDICTS: dict[tuple[str, str], Verdict] = {
    ("GET", "/health"): each(200),
    ("GET", "/openapi.json"): each(200),
    ("GET", "/reference"): each(200),
    ("GET", "/me"): each(200),
    ("GET", "/recipes"): each(200),
    # models
    ("GET", "/models"): each(200),
    ("GET", "/models/{id}"): each(200, path={"id": "tiny"}),
    ("GET", "/models/{id}/predictability"): mine(404, path=MODEL, query="direction=rna-to-atac"),
    ("GET", "/models/{id}/example/{modality}"): mine(404, path={**MODEL, "modality": "rna"}),
    ("POST", "/models/{id}/retired"): mine(200, write=True, path=MODEL, body={"retired": False}),
    ("POST", "/models/{id}/verify"): mine(200, write=True, path=MODEL, body={}),
    ("DELETE", "/models/{id}"): mine(200, write=True, path=MODEL),
    ("GET", "/models/{id}/shares"): mine(200, path=MODEL),
    ("POST", "/models/{id}/shares"): mine(200, write=True, path=MODEL, body=WITH),
    ("POST", "/models/{id}/shares/end"): mine(200, write=True, path=MODEL, body=WITH),
    # data
    ("POST", "/uploads"): each(201, write=True, body={"name": "x.h5ad", "size": 3}),
    ("GET", "/uploads/{id}"): mine(200, path={"id": "UPLOAD"}),
    ("PUT", "/uploads/{id}"): mine(200, write=True, path={"id": "UPLOAD"}, query="offset=0", body=b"abc"),
    ("POST", "/uploads/{id}/finish"): mine(409, write=True, path={"id": "UPLOAD"}, body={}),
    ("GET", "/datasets"): each(200),
    ("POST", "/datasets"): mine(409, write=True, body={"source": "upload:UPLOAD"}),
    ("POST", "/datasets/pair"): mine(409, write=True, body={"source": "upload:UPLOAD"}),
    ("POST", "/datasets/glance"): each(422, write=True, body={"source": 1}),
    ("GET", "/datasets/{id}"): mine(200, path=DATA),
    ("POST", "/datasets/{id}/cancel"): mine(409, write=True, path=DATA, body={}),
    ("DELETE", "/datasets/{id}"): mine(409, write=True, path=DATA),
    ("POST", "/preflight"): mine(200, body={"model": "tiny", "rna": "ds-anna"}),
    ("POST", "/preflight/pair"): Verdict(400, other=404, operator=404, body=PAIRED),
    # jobs
    ("GET", "/jobs"): each(200),
    ("POST", "/jobs"): mine(201, write=True, body={"spec": TRANSLATE, "fresh": True}),
    ("GET", "/jobs/search"): each(200),
    ("POST", "/jobs/batch"): Verdict(201, reader=403, body={"specs": [TRANSLATE]}),
    ("POST", "/jobs/bulk"): Verdict(200, reader=403, body={"act": "star", "ids": ["job-anna"]}),
    ("POST", "/jobs/{id}/again"): mine(201, write=True, path=JOB, body={"fresh": True}),
    ("POST", "/jobs/{id}/marks"): mine(200, write=True, path=JOB, body={"starred": True, "add": ["Anna's"]}),
    ("POST", "/jobs/example"): each(404, write=True, body={"model": "no-such-model"}),
    ("GET", "/jobs/{id}"): mine(200, path=JOB),
    ("DELETE", "/jobs/{id}"): mine(200, write=True, path=JOB),
    ("GET", "/jobs/{id}/events"): mine(200, path=JOB),
    ("GET", "/jobs/{id}/logs"): mine(200, path=JOB),
    ("POST", "/jobs/{id}/priority"): mine(409, write=True, path=JOB, body={"priority": "high"}),
    ("POST", "/jobs/{id}/cancel"): mine(409, write=True, path=JOB, body={}),
    ("POST", "/jobs/{id}/retry"): mine(409, write=True, path=JOB, body={}),
    ("GET", "/jobs/{id}/report"): mine(200, path=JOB),
    ("GET", "/jobs/{id}/training"): mine(409, path=JOB),
    ("GET", "/jobs/{id}/benchmark"): mine(409, path=JOB),
    ("GET", "/jobs/{id}/tables/{direction}/{name}"): mine(
        404, path={**JOB, "direction": "rna-to-atac", "name": "cells"}
    ),
    ("GET", "/jobs/{id}/search/{direction}"): mine(400, path={**JOB, "direction": "rna-to-atac"}, query="query=a"),
    ("POST", "/jobs/{id}/values"): mine(404, path=JOB, body={"direction": "rna-to-atac", "features": ["chr1:1-2"]}),
    ("GET", "/jobs/{id}/joint/tables/{name}"): mine(409, path={**JOB, "name": "cells"}),
    ("GET", "/jobs/{id}/joint/search/{modality}"): mine(409, path={**JOB, "modality": "rna"}),
    ("POST", "/jobs/{id}/joint/values"): mine(409, path=JOB, body={"modality": "rna", "features": ["A"]}),
    ("GET", "/jobs/{id}/analysis/tables/{name}"): mine(409, path={**JOB, "name": "a.b"}),
    ("GET", "/jobs/{id}/analysis/genome"): mine(409, path=JOB, query="place=chr1:1-2"),
    ("GET", "/jobs/{id}/binned/{direction}"): mine(
        422, path={**JOB, "direction": "rna-to-atac"}, query="feature=chr1:1-2&map=umap"
    ),
    ("GET", "/jobs/{id}/genome/{direction}"): mine(
        400, path={**JOB, "direction": "rna-to-atac"}, query="place=chr1:1-2"
    ),
    ("POST", "/jobs/{id}/groups"): mine(422, path=JOB, body={"direction": "rna-to-atac", "a": ["A"], "b": ["B"]}),
    ("GET", "/jobs/{id}/resources"): mine(200, path=JOB),
    ("GET", "/jobs/{id}/provenance"): mine(200, path=JOB),
    ("GET", "/jobs/{id}/capsule"): mine(200, path=JOB),
    ("GET", "/jobs/{id}/artifacts"): mine(200, path=JOB),
    ("GET", "/jobs/{id}/artifacts/{name}"): mine(200, path={**JOB, "name": "report.json"}),
    ("GET", "/jobs/{id}/shares"): mine(200, path=JOB),
    ("POST", "/jobs/{id}/shares"): mine(200, write=True, path=JOB, body=WITH),
    ("POST", "/jobs/{id}/shares/end"): mine(200, write=True, path=JOB, body=WITH),
    # what is kept
    ("GET", "/usage"): each(200),
    ("GET", "/holdings"): each(200),
    ("GET", "/holdings/{id}"): mine(200, path=DATA),
    ("PUT", "/holdings/{id}/clock"): mine(200, write=True, path=DATA, body={"days": 3}),
    ("GET", "/receipts"): each(200),
    ("GET", "/receipts/{id}"): mine(200, path={"id": "RECEIPT"}),
    ("GET", "/audit"): each(200),
    ("GET", "/audit/check"): operators(200),
    ("POST", "/admin/backup"): operators(200),
    # the inbox
    ("GET", "/notifications"): each(200),
    ("POST", "/notifications/read"): each(200, write=True, body={"ids": ["note-anna"]}),
    ("GET", "/notifications/mine"): Verdict(200, reader=403),
    ("PUT", "/notifications/mine"): Verdict(200, reader=403, body={"mail": False}),
    ("POST", "/notifications/webhooks"): Verdict(422, reader=403, body={"url": "https://10.0.0.1/hook"}),
    ("DELETE", "/notifications/webhooks/{id}"): mine(204, write=True, path={"id": "HOOK"}),
    ("POST", "/notifications/test"): Verdict(204, other=409, operator=409, reader=403, body={}),
    # accounts
    ("GET", "/tokens"): Verdict(200, reader=403),
    ("POST", "/tokens"): Verdict(201, reader=403, body={"name": "x", "scopes": ["read"]}),
    ("DELETE", "/tokens/{id}"): mine(204, write=True, path={"id": "TOKEN"}),
    ("GET", "/sessions"): Verdict(200, reader=403),
    ("POST", "/sessions/end"): mine(204, write=True, body={"id": "SESSION"}),
    ("GET", "/users"): operators(200),
    ("PUT", "/users/{id}"): operators(404, path={"id": "user-nobody"}, body={"role": "user"}),
    ("GET", "/invitations"): operators(200),
    ("POST", "/invitations"): operators(201, body={"email": "new@lab.org"}),
    ("POST", "/invitations/withdraw"): operators(204, body={"email": "new@lab.org"}),
    ("GET", "/admin/queue"): operators(200),
    ("POST", "/admin/queue/{id}/cancel"): operators(200, path={"id": "job-live"}, body={"reason": "the nodes go down"}),
    ("GET", "/admin/usage"): operators(200),
    ("GET", "/admin/settings"): operators(200),
}
OPERATORS_SEE = {
    "/audit",
    "/users",
    "/admin/queue",
    "/admin/queue/{id}/cancel",
    "/admin/usage",
    "/admin/backup",
}  # ids and names of everybody


@dataclass
class World:
    lab: Lab
    callers: dict[str, httpx.Client]
    names: dict[str, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix")
    with lab(folder / "home", build_catalog(folder / "pretrained")) as made:
        anna, bert = made.person("anna@lab.org"), made.person("bert@lab.org")
        boss = made.person("boss@lab.org", Role.OPERATOR)
        names = things(made, anna)
        over = made.token(anna)
        made.service.database.write_now(
            lambda conn: conn.execute("update tokens set expires_at = created_at where owner = ?", [anna])
        )
        revoked = made.accounts.sessions.create_token(anna, name="r", scopes=tuple(Scope), days=1)
        made.accounts.sessions.revoke_token(anna, revoked.id)
        kept = made.accounts.sessions.create_token(anna, name="k", scopes=tuple(Scope), days=1)
        names |= {"TOKEN": kept.id, "SESSION": made.accounts.sessions.listing(anna)[0].id}
        yield World(
            made,
            {
                "nobody": made.script(),
                "other": made.script(made.token(bert)),
                "owner": made.script(made.token(anna)),
                "operator": made.script(made.token(boss)),
                "reader": made.script(made.token(anna, Scope.READ)),
                "expired": made.script(over),
                "revoked": made.script(revoked.secret),
            },
            names,
        )


def things(made: Lab, owner: str) -> dict[str, str]:
    """One of everything, of this owner."""
    service = made.service
    made.session(owner)
    with asking(Principal(owner)):
        clean = service.settings.home / "clean.h5ad"
        canonicalise(Path(service.settings.pretrained) / "tiny" / "example" / "rna.h5ad", clean)
        cells(service, "ds-anna", clean.read_bytes(), name="patient-anna.h5ad")
        cells(service, "ds-gone", b"gone", name="patient-anna-2.h5ad")
        job(service, "job-anna", "ds-anna", report=json.dumps({"job": "job-anna", "directions": {}}).encode())
        job(service, "job-live", "ds-anna", state=JobState.RUNNING)
        upload = service.create_upload(name="patient-anna-3.h5ad", size=6).id
        receipt = service.delete_dataset("ds-gone").id
    told = NotificationRow(
        id="note-anna", owner=owner, event="job.succeeded", subject="job-anna", kind="translate", title="Note for Anna"
    )
    service.database.write_now(lambda conn: notification_table.insert(conn, told))
    folder = Path(service.settings.pretrained) / "tiny"
    digest = service.models.manifest("tiny").digest
    for path in folder.iterdir():
        if path.is_file():
            service.store.put_file(layout.bundle(digest) + path.name, path)
    service.store.put_bytes(layout.model("model-anna") + "CARD.md", b"# Anna's\n")
    model = ModelRow(
        id="model-anna", owner=owner, name="Model of Anna", digest=digest, translator="ridge", job="job-anna",
        datasets=["ds-anna"],
    )  # fmt: skip
    service.database.write_now(lambda conn: model_table.put(conn, model))
    hook = WebhookRow(
        id="hook-anna", owner=owner, name="Chat of Anna", url="https://chat.lab.org/anna", secret="whsec_"
    )
    service.database.write_now(lambda conn: telling_table.insert(conn, hook))
    return {"UPLOAD": upload, "RECEIPT": receipt, "HOOK": hook.id}


def route(method: str, path: str) -> tuple[str, str]:
    return method, path.replace(":path", "")


ROUTES = sorted({route(each.method, each.path) for each in OPERATIONS} | {("PUT", "/uploads/{id}")})


def test_every_route_has_a_verdict_and_every_verdict_a_route() -> None:
    assert set(VERDICTS) == set(ROUTES)


def ask(world: World, caller: str, method: str, path: str) -> httpx.Response:
    verdict = VERDICTS[method, path]
    where = path
    for name, value in verdict.path.items():
        where = where.replace(f"{{{name}}}", world.names.get(value, value))
    body = verdict.body
    how: dict[str, Any] = {}
    if isinstance(body, bytes):
        how = {"content": body}
    elif body is not None:
        how = {"json": _filled(body, world.names)}
    return world.callers[caller].request(method, f"/api/v1{where}?{verdict.query}", **how)


def _filled(body: Any, names: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, names) for key, value in body.items()}
    if isinstance(body, str):
        for name, value in names.items():
            body = body.replace(name, value)
    return body


# Reads first, then what changes things, and what deletes last; the owner last of all callers.
ORDER = sorted(ROUTES, key=lambda each: ({"GET": 0, "POST": 1, "PUT": 2, "DELETE": 3}[each[0]], each[1]))


def test_each_caller_is_answered_as_the_verdict_says_and_sees_nothing_of_anothers(world: World) -> None:
    wrong = []
    for method, path in ORDER:
        for caller in sorted(CALLERS, key=lambda each: each == "owner"):
            answer = ask(world, caller, method, path)
            expected = VERDICTS[method, path].of(caller)
            if answer.status_code != expected:
                wrong.append(f"{method} {path} as {caller}: {answer.status_code}, not {expected}: {answer.text[:200]}")
            sees = caller in ("owner", "reader") or (caller == "operator" and path in OPERATORS_SEE)
            asked = str(answer.request.url) + answer.request.content.decode("latin-1", "replace")
            shown = [word for word in SECRETS if word in answer.text and word not in asked]
            own = ["token-"] if path == "/tokens" else []
            if not sees and set(shown) - set(own):
                wrong.append(f"{method} {path} as {caller} shows {shown}: {answer.text[:300]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "GET" and "{id}" in path])
def test_what_is_anothers_is_answered_in_the_words_of_what_does_not_exist(world: World, path: str) -> None:
    verdict = VERDICTS["GET", path]
    id = world.names.get(verdict.path["id"], verdict.path["id"])
    missing = {"tiny": "none", "UPLOAD": "0" * 32}.get(verdict.path["id"], "missing")
    rest = path.replace("{id}", "ID")
    for name, value in verdict.path.items():
        rest = rest.replace(f"{{{name}}}", value)
    other = world.callers["other"]
    if id == "tiny":
        id = "model-anna"
    theirs = other.get(f"/api/v1{rest.replace('ID', id)}?{verdict.query}")
    nothing = other.get(f"/api/v1{rest.replace('ID', missing)}?{verdict.query}")
    assert theirs.status_code == nothing.status_code == 404
    assert theirs.text.replace(id, "ID") == nothing.text.replace(missing, "ID")
