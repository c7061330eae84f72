"""Accounts, asked in process and over HTTP: the same answers and the same refusals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.accounts.access import asking
from jobs.accounts.bound import bound
from jobs.accounts.errors import NotAllowed, NotSignedIn
from jobs.accounts.principal import Principal, Role, Scope
from jobs.client import Client
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.commands import people
from jobs.errors import BadRequest, Conflict, NotFound
from jobs.notify.settings import NotifySettings, SmtpSettings
from jobs.state import JobState
from tests.kept import cells, job
from tests.labs import build_catalog
from tests.people import Lab, lab


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("contract")
    mail = NotifySettings(SmtpSettings("127.0.0.1", 25, "none", "cv@lab.org", ()))  # nothing is sent here
    with lab(folder / "home", build_catalog(folder / "pretrained"), notify=mail) as made:
        made.person("anna@lab.org")
        made.person("boss@lab.org", Role.OPERATOR)
        yield made


@pytest.fixture(params=["in process", "http"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client(here: Lab, way: str, name: str) -> Client:
    id = f"user-{name}"
    if way == "http":
        found = HttpClient(here.url, here.token(id))
        here.open.append(found._http)
        return found
    return bound(LocalClient(here.service), Principal(id, Role.OPERATOR if name == "boss" else Role.USER))


def test_who_asks_is_known(here: Lab, way: str) -> None:
    me = client(here, way, "anna").accounts.me()
    assert (me.id, me.email, me.role, me.mode) == ("user-anna", "anna@lab.org", Role.USER, "local")
    assert Scope.ADMIN not in me.scopes


def test_tokens_are_made_and_revoked(here: Lab, way: str) -> None:
    accounts = client(here, way, "anna").accounts
    made = accounts.create_token(name="n", scopes=[Scope.READ], days=3)
    assert made.secret.startswith("cv_")
    listed = {each.id: each for each in accounts.tokens()}
    assert listed[made.id].secret == ""
    accounts.revoke_token(made.id)
    assert made.id not in {each.id for each in accounts.tokens()}
    with pytest.raises(NotFound):
        accounts.revoke_token(made.id)


def test_sessions_are_listed_and_ended(here: Lab, way: str) -> None:
    accounts = client(here, way, "anna").accounts
    here.session("user-anna")
    assert accounts.sessions()
    accounts.sign_out(accounts.sessions()[0].id)
    accounts.sign_out()
    assert accounts.sessions() == []


def test_where_one_is_told_is_ones_own_choice(here: Lab, way: str) -> None:
    notify = client(here, way, "anna").notify
    before = notify.told()
    assert (before.mail, before.able, before.address, before.webhooks) == (False, True, "anna@lab.org", ())
    assert notify.choose(mail=True).mail
    made = notify.add_webhook("https://93.184.216.34/secret", name="chat")
    assert made.secret.startswith("whsec_")
    (kept,) = notify.told().webhooks
    assert (kept.id, kept.name, kept.host, kept.secret) == (made.id, "chat", "93.184.216.34", "")
    assert client(here, way, "boss").notify.told().webhooks == ()
    with pytest.raises(NotFound):
        client(here, way, "boss").notify.remove_webhook(made.id)
    with pytest.raises(BadRequest, match="may not be reached"):
        notify.add_webhook("https://192.168.0.1/hook")
    here.service.database.write_now(lambda conn: conn.execute("delete from notifications"))
    notify.test()
    with pytest.raises(Conflict, match="less than a minute"):
        notify.test()
    notify.remove_webhook(made.id)
    assert not notify.choose(mail=False).mail
    with pytest.raises(Conflict, match="nowhere"):
        notify.test()


def test_operators_do_what_others_may_not(here: Lab, way: str) -> None:
    boss, anna = client(here, way, "boss").accounts, client(here, way, "anna").accounts
    email = f"new-{way.replace(' ', '-')}@lab.org"
    assert boss.invite(email).link.startswith("/auth/join?link=")
    assert email in {each.email for each in boss.invitations()}
    boss.withdraw(email)
    assert email not in {each.email for each in boss.invitations()}
    assert {"anna@lab.org", "boss@lab.org"} <= {each.email for each in boss.users()}
    assert boss.set_role("anna@lab.org", Role.USER).role is Role.USER
    assert boss.disable("anna@lab.org").state == "disabled"
    assert boss.enable("anna@lab.org").state == "active"
    with pytest.raises(Conflict, match="last operator"):
        boss.disable("boss@lab.org")
    assert boss.queue() == []
    id = f"job-{way.replace(' ', '-')}"
    with asking(Principal("user-anna")):
        cells(here.service, f"ds-{id}")
        job(here.service, id, f"ds-{id}", state=JobState.QUEUED)
    assert [each.id for each in boss.queue()] == [id]
    done = boss.cancel_job(id, reason="the nodes go down")
    assert (done.state, done.owner_name, done.position) == ("CANCELLED", "Anna", None)
    with pytest.raises(NotFound):
        boss.cancel_job(id)
    with pytest.raises(BadRequest):
        boss.cancel_job(id, reason="x" * 201)
    assert {each.owner for each in boss.used()} >= {"user-anna"}
    assert "CROSSVIEW_HOME" in {each.name for each in boss.settings()}
    if way == "http":
        anna = client(here, way, "anna").accounts  # disabling revoked the token
    for ask in (anna.users, anna.queue, anna.settings, anna.invitations, lambda: anna.cancel_job("job-1")):
        with pytest.raises(NotAllowed):
            ask()


def test_nobody_is_told_apart_from_a_wrong_token(here: Lab) -> None:
    for token in (None, "cv_wrong"):
        with HttpClient(here.url, token) as stranger, pytest.raises(NotSignedIn):
            stranger.jobs()


def test_the_command_line_shows_its_token(
    here: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from jobs.cli import main

    monkeypatch.setenv("CROSSVIEW_API_URL", here.url)
    monkeypatch.setenv("CROSSVIEW_TOKEN", here.token("user-boss"))
    assert main(["token", "create", "--scope", "read", "--days", "2"]) == people.DONE
    secret = capsys.readouterr().out.strip()
    assert here.accounts.sessions.of_token(secret) is not None
    assert main(["admin", "users"]) == people.DONE
    assert "anna@lab.org" in capsys.readouterr().out
    assert main(["admin", "users", "invite", "cli@lab.org"]) == people.DONE
    assert "/auth/join?link=" in capsys.readouterr().out
    assert main(["notify", "add", "https://93.184.216.34/x"]) == people.DONE
    id, secret = capsys.readouterr().out.split()
    assert secret.startswith("whsec_")
    assert main(["notify", "mail", "on"]) == people.DONE
    assert f"E-mail: on (boss@lab.org)\n{id}  93.184.216.34" in capsys.readouterr().out
    assert main(["notify", "test"]) == main(["notify", "remove", id]) == people.DONE
    assert main(["notify", "remove", id]) == 2
    capsys.readouterr()
    assert main(["admin", "users", "role", "anna@lab.org"]) == 2
    with asking(Principal("user-anna")):
        cells(here.service, "ds-cli")
        job(here.service, "job-cli", "ds-cli", state=JobState.RUNNING)
    assert main(["admin", "queue"]) == people.DONE
    assert "job-cli  Anna  translate  running" in capsys.readouterr().out
    assert main(["admin", "cancel", "job-cli", "--reason", "the nodes go down", "--json"]) == people.DONE
    assert '"CANCELLING"' in capsys.readouterr().out
    capsys.readouterr()
    monkeypatch.setenv("CROSSVIEW_TOKEN", "cv_wrong")
    assert main(["jobs", "list"]) == 2
    assert "token" in capsys.readouterr().err
