"""Accounts, asked in process and over HTTP: the same answers and the same refusals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.accounts.bound import bound
from jobs.accounts.errors import NotAllowed, NotSignedIn
from jobs.accounts.principal import Principal, Role, Scope
from jobs.client import Client
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.commands import people
from jobs.errors import Conflict, NotFound
from tests.labs import build_catalog
from tests.people import Lab, lab


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("contract")
    with lab(folder / "home", build_catalog(folder / "pretrained")) as made:
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
    assert {each.owner for each in boss.used()} >= {"user-anna"}
    assert "CROSSVIEW_HOME" in {each.name for each in boss.settings()}
    if way == "http":
        anna = client(here, way, "anna").accounts  # disabling revoked the token
    for ask in (anna.users, anna.queue, anna.settings, anna.invitations):
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
    assert main(["admin", "users", "role", "anna@lab.org"]) == 2
    capsys.readouterr()
    monkeypatch.setenv("CROSSVIEW_TOKEN", "cv_wrong")
    assert main(["jobs", "list"]) == 2
    assert "token" in capsys.readouterr().err
