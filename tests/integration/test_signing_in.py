"""Signing in, out and on: forms as a browser sends them, to a real server over a real database."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from jobs.accounts.errors import TooManyTries
from jobs.accounts.lockout import Lockout
from jobs.accounts.mailing import Mailer
from jobs.accounts.principal import Role, Scope
from jobs.accounts.secrets import digest
from jobs.accounts.settings import AuthSettings
from jobs.notify.settings import SmtpSettings
from storage.tables import users as user_table
from storage.tables.rows import utcnow
from tests.people import PASSWORD, Lab, lab, submit
from tests.posts import mail_server

RULES = AuthSettings(mode="local", proxies=(ip_network("127.0.0.1"),))
OTHER = "velvet-harpoon-quince"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, catalog: Path) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("people") / "home", catalog, auth=RULES) as made:
        yield made


@pytest.fixture(autouse=True)
def _clock_of_today(here: Lab) -> Iterator[None]:
    yield
    here.accounts.sessions.now = utcnow
    here.accounts.users.now = utcnow
    here.accounts.users.lockout = Lockout(here.service.database)
    here.accounts.sessions.forget()


def later(here: Lab, **span: float) -> None:
    """The clock of accounts, moved on."""
    moment = utcnow() + timedelta(**span)

    def clock() -> datetime:
        return moment

    here.accounts.sessions.now = here.accounts.users.now = clock
    here.accounts.users.lockout = Lockout(here.service.database, clock)
    here.accounts.sessions.forget()


def at(browser: httpx.Client, address: str) -> httpx.Client:
    browser.headers["x-forwarded-for"] = address
    return browser


def signed_in(browser: httpx.Client) -> bool:
    return browser.get("/api/v1/me").status_code == 200


# -- the way in ------------------------------------------------------------------------------------------------------


def test_who_is_not_signed_in_is_sent_to_the_door_and_back(here: Lab) -> None:
    here.person("way@lab.org", password=PASSWORD)
    with here.browser() as browser:
        turned = browser.get("/job?id=job-1&tab=Cells")
        assert (turned.status_code, turned.headers["location"]) == (
            303, "/auth/sign-in?next=%2Fjob%3Fid%3Djob-1%26tab%3DCells",
        )  # fmt: skip
        door = turned.headers["location"]
        form = re.search(r'name="form" value="([^"]+)"', browser.get(door).text)
        assert form is not None
        said = {"form": form.group(1), "next": "/job?id=job-1", "email": " Way@Lab.org ", "password": PASSWORD}
        entered = browser.post("/auth/sign-in", data=said)
        assert (entered.status_code, entered.headers["location"]) == (303, "/job?id=job-1")
        assert signed_in(browser)


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/openapi.json", "/media/x.svg", "/_stcore/upload_file/a/b"])
def test_what_is_no_page_is_refused_as_a_problem(here: Lab, path: str) -> None:
    with here.browser() as browser:
        answer = browser.get(path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "/auth/sign-out", "x"])
def test_nobody_is_sent_elsewhere_by_a_link_to_the_door(here: Lab, target: str) -> None:
    here.person(f"to-{digest(target)[:6]}@lab.org", password=PASSWORD)
    with here.browser() as browser:
        answer = submit(
            browser, "/auth/sign-in", email=f"to-{digest(target)[:6]}@lab.org", password=PASSWORD, next=target
        )
    assert answer.headers["location"] == "/"


def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(here: Lab) -> None:
    here.person("cookie@lab.org", password=PASSWORD)
    with here.browser() as browser:
        answer = submit(browser, "/auth/sign-in", email="cookie@lab.org", password=PASSWORD)
        plain = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("crossview="))
        assert {"httponly", "path=/", "samesite=lax"} <= {part.strip().lower() for part in plain.split(";")}
        browser.headers["x-forwarded-proto"] = "https"
        answer = submit(browser, "/auth/sign-in", email="cookie@lab.org", password=PASSWORD)
        assert answer.status_code == 422  # the mark of the form is in a Secure cookie, which plain http does not send


def test_a_session_shown_before_is_worth_nothing_after_signing_in(here: Lab) -> None:
    mallory, victim = here.person("mallory@lab.org"), here.person("victim@lab.org", password=PASSWORD)
    planted = here.session(mallory)
    with here.browser() as browser:
        browser.cookies.set("crossview", planted, domain="127.0.0.1")
        assert browser.get("/api/v1/me").json()["id"] == mallory
        browser.cookies.clear()
        browser.get("/auth/sign-in")
        browser.cookies.set("crossview", "chosen-by-somebody-else", domain="127.0.0.1")
        answer = submit(browser, "/auth/sign-in", email="victim@lab.org", password=PASSWORD)
        given = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("crossview="))
        assert "chosen-by-somebody-else" not in given
        assert browser.get("/api/v1/me").status_code in (200, 401)
    assert here.accounts.sessions.of_cookie("chosen-by-somebody-else") is None
    kept = [row.id for row in here.accounts.sessions.listing(victim)]
    assert kept
    assert not any(given.partition("=")[2][:20] in each for each in kept)  # only a hash is kept


def test_a_form_that_came_from_elsewhere_is_refused(here: Lab) -> None:
    here.person("forged@lab.org", password=PASSWORD)
    said = {"email": "forged@lab.org", "password": PASSWORD}
    with here.browser() as browser:
        assert browser.post("/auth/sign-in", data=said).status_code == 422
        assert browser.post("/auth/sign-in", data={**said, "form": "x"}).status_code == 422
        browser.headers["origin"] = "https://evil.example"
        assert browser.post("/auth/sign-in", data=said).status_code == 403


def test_a_cookie_changes_nothing_without_saying_where_it_comes_from(here: Lab) -> None:
    with here.browser(here.person("csrf@lab.org")) as browser:
        del browser.headers["origin"]
        assert browser.get("/api/v1/me").status_code == 200
        assert browser.post("/api/v1/uploads", json={"name": "x", "size": 1}).status_code == 403
        browser.headers["sec-fetch-site"] = "cross-site"
        assert browser.post("/api/v1/uploads", json={"name": "x", "size": 1}).status_code == 403
        browser.headers["sec-fetch-site"] = "same-origin"
        assert browser.post("/api/v1/uploads", json={"name": "x", "size": 1}).status_code == 201


# -- sessions end ----------------------------------------------------------------------------------------------------


def test_an_idle_session_ends_and_an_old_one_too(here: Lab) -> None:
    id = here.person("idle@lab.org")
    with here.browser(id) as browser:
        later(here, hours=11)
        assert signed_in(browser)  # and is seen
        here.service.database.write_now(lambda conn: None)
        later(here, hours=22)
        assert signed_in(browser)
        later(here, hours=35)
        assert not signed_in(browser)
    with here.browser(id) as browser:
        for hours in range(35, 35 + 7 * 24, 10):
            later(here, hours=hours)
            browser.get("/api/v1/me")
            here.service.database.write_now(lambda conn: None)
        later(here, hours=35 + 7 * 24 + 1)
        assert not signed_in(browser)


def test_signing_out_ends_it_on_the_server(here: Lab) -> None:
    id = here.person("out@lab.org")
    with here.browser(id) as browser, here.browser(id) as other:
        secret = browser.cookies["crossview"]
        assert submit(browser, "/auth/sign-out", which="one").status_code == 303
        browser.cookies.set("crossview", secret, domain="127.0.0.1")
        assert not signed_in(browser)
        assert signed_in(other)
        assert submit(other, "/auth/sign-out", which="all").status_code == 303
        assert here.accounts.sessions.listing(id) == []


def test_others_can_be_signed_out_from_here(here: Lab) -> None:
    id = here.person("others@lab.org")
    with here.browser(id) as browser, here.browser(id) as other:
        assert browser.post("/api/v1/sessions/end", json={"keep_this": True}).status_code == 204
        assert signed_in(browser)
        assert not signed_in(other)


# -- tries -----------------------------------------------------------------------------------------------------------


def fail(browser: httpx.Client, email: str, times: int) -> list[int]:
    return [submit(browser, "/auth/sign-in", email=email, password="not this one").status_code for _ in range(times)]


def test_wrong_tries_are_slowed_down_and_said_so_and_the_owner_gets_in_from_elsewhere(here: Lab) -> None:
    here.person("target@lab.org", password=PASSWORD)
    with at(here.browser(), "198.51.100.1") as guesser, at(here.browser(), "203.0.113.9") as owner:
        assert fail(guesser, "target@lab.org", 6) == [401] * 5 + [429]
        said = submit(guesser, "/auth/sign-in", email="target@lab.org", password=PASSWORD)
        assert said.status_code == 429  # the right one too: it is not looked at
        assert "second" in said.text
        assert submit(owner, "/auth/sign-in", email="target@lab.org", password=PASSWORD).status_code == 303
        later(here, seconds=3)
        assert submit(guesser, "/auth/sign-in", email="target@lab.org", password=PASSWORD).status_code == 303


def test_an_unknown_address_is_answered_as_a_wrong_password(here: Lab) -> None:
    here.person("known@lab.org", password=PASSWORD)
    with at(here.browser(), "198.51.100.7") as browser:
        known = submit(browser, "/auth/sign-in", email="known@lab.org", password="not this one")
        unknown = submit(browser, "/auth/sign-in", email="nobody@lab.org", password="not this one")
    assert known.status_code == unknown.status_code == 401
    blank = re.compile(r'(known|nobody)@lab\.org|name="form" value="[^"]+"')
    assert blank.sub("", known.text) == blank.sub("", unknown.text)


def test_delays_grow_by_address_too_and_stay_short_for_an_account_guessed_from_everywhere(here: Lab) -> None:
    lockout = here.accounts.users.lockout
    for number in range(29):
        lockout.enter(f"person-{number}", "198.51.100.99")
    lockout.enter("person-30", "198.51.100.99")
    with pytest.raises(TooManyTries):
        lockout.enter("person-31", "198.51.100.99")
    for number in range(20):
        lockout.enter("everywhere@lab.org", f"198.51.101.{number}")
    with pytest.raises(TooManyTries) as refused:
        lockout.enter("everywhere@lab.org", "198.51.101.20")
    assert refused.value.wait_s <= 30
    lockout.enter("everywhere@lab.org", "203.0.113.80", known=True)  # where its owner was before


# -- accounts --------------------------------------------------------------------------------------------------------


def test_the_first_operator_comes_by_the_token_in_the_home(tmp_path: Path, catalog: Path) -> None:
    with lab(tmp_path / "home", catalog) as made:
        path = tmp_path / "home" / "operator.token"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        token = path.read_text().strip()
        assert made.script(token).get("/api/v1/users").status_code == 200
        with made.browser() as browser:
            wrong = submit(browser, "/auth/first", token="cv_x", email="boss@lab.org", name="Boss", password=PASSWORD)
            assert wrong.status_code == 409
            weak = submit(
                browser, "/auth/first", token=token, email="boss@lab.org", name="Boss", password="password1234"
            )
            assert (weak.status_code, "first that are tried" in weak.text) == (400, True)
            right = submit(browser, "/auth/first", token=token, email="boss@lab.org", name="Boss", password=PASSWORD)
            assert right.status_code == 303
            assert browser.get("/api/v1/me").json()["role"] == "operator"
            browser.cookies.clear()
            again = submit(browser, "/auth/sign-in", email="boss@lab.org", password=PASSWORD)
            assert again.status_code == 303
        assert not path.exists()
        assert made.script(token).get("/api/v1/users").status_code == 401
        made.accounts.prepare()
        assert not path.exists()


def test_an_invitation_makes_one_account_once_and_for_a_week(here: Lab) -> None:
    boss = here.script(here.token(here.person("inviter@lab.org", Role.OPERATOR)))
    link = boss.post("/api/v1/invitations", json={"email": "new@lab.org"}).json()["link"]
    secret = link.partition("link=")[2]
    assert secret not in str(boss.get("/api/v1/invitations").json())
    with here.browser() as browser:
        weak = submit(browser, link, link=secret, name="New", password="password1234")
        assert weak.status_code == 400
        assert submit(browser, link, link=secret, name="New", password=PASSWORD).status_code == 303
        assert browser.get("/api/v1/me").json()["email"] == "new@lab.org"
        assert browser.get(link).status_code == 410
    assert boss.post("/api/v1/invitations", json={"email": "new@lab.org"}).status_code == 409
    late = boss.post("/api/v1/invitations", json={"email": "late@lab.org"}).json()["link"]
    later(here, days=7, minutes=1)
    with here.browser() as browser:
        assert browser.get(late).status_code == 410


def test_nobody_joins_uninvited(here: Lab) -> None:
    with here.browser() as browser:
        for path in ("/auth/join", "/auth/join?link=guess", "/auth/new-password?link=guess"):
            assert browser.get(path).status_code == 410


def test_a_disabled_user_is_out_at_once_and_an_enabled_one_signs_in_again(here: Lab) -> None:
    boss = here.script(here.token(here.person("chief@lab.org", Role.OPERATOR)))
    id = here.person("leaver@lab.org", password=PASSWORD)
    token = here.script(here.token(id))
    with here.browser(id) as browser:
        assert signed_in(browser)
        assert boss.put(f"/api/v1/users/{id}", json={"state": "disabled"}).json()["state"] == "disabled"
        assert not signed_in(browser)
        assert token.get("/api/v1/me").status_code == 401
        assert submit(browser, "/auth/sign-in", email="leaver@lab.org", password=PASSWORD).status_code == 401
        boss.put(f"/api/v1/users/{id}", json={"state": "active"})
        assert submit(browser, "/auth/sign-in", email="leaver@lab.org", password=PASSWORD).status_code == 303


def test_the_last_operator_stays_one(tmp_path: Path, catalog: Path) -> None:
    with lab(tmp_path / "home", catalog) as made:
        id = made.person("only@lab.org", Role.OPERATOR)
        only = made.script(made.token(id))
        for change in ({"role": "user"}, {"state": "disabled"}):
            assert only.put(f"/api/v1/users/{id}", json=change).status_code == 409


# -- passwords -------------------------------------------------------------------------------------------------------


def test_a_changed_password_signs_out_everybody_else(here: Lab) -> None:
    id = here.person("change@lab.org", password=PASSWORD)
    with here.browser(id) as browser, here.browser(id) as other:
        assert submit(browser, "/auth/password", old="not this one", password=OTHER).status_code == 401
        assert submit(browser, "/auth/password", old=PASSWORD, password="short").status_code == 400
        assert submit(browser, "/auth/password", old=PASSWORD, password=OTHER).status_code == 303
        assert signed_in(browser)
        assert not signed_in(other)


def test_a_forgotten_password_is_set_anew_by_mail_once_and_says_nothing_of_who_has_an_account(here: Lab) -> None:
    id = here.person("forgot@lab.org", password=PASSWORD)
    token = here.token(id)
    with mail_server() as box:
        before = here.accounts.mailer
        smtp = SmtpSettings(box.host, box.port, "none", "crossview@lab.org", ("lab@lab.org",))
        here.accounts.mailer = mailer = Mailer(smtp, "https://lab.example")
        with at(here.browser(), "198.51.100.44") as browser, here.browser(id) as signed:
            known = submit(browser, "/auth/forgotten", email="forgot@lab.org")
            unknown = submit(browser, "/auth/forgotten", email="nobody@lab.org")
            mailer.close()  # waits for what is on its way
            assert known.text == unknown.text
            (mail,) = box.mails
            assert mail["To"] == "forgot@lab.org"
            body = mail.get_body(("plain",))
            assert body is not None
            found = re.search(r"https://lab\.example(/auth/new-password\?link=(\S+))", body.get_content())
            assert found is not None
            path, secret = found.groups()
            here.accounts.mailer = before
            assert submit(browser, path, link=secret, password="password1234").status_code == 400
            assert submit(browser, path, link=secret, password=OTHER).status_code == 200
            assert browser.get(path).status_code == 410
            assert not signed_in(signed)
            assert here.script(token).get("/api/v1/me").status_code == 401
            assert submit(browser, "/auth/sign-in", email="forgot@lab.org", password=OTHER).status_code == 303


def test_a_reset_works_for_half_an_hour(here: Lab) -> None:
    here.person("slow@lab.org", password=PASSWORD)
    found = here.accounts.users.reset("slow@lab.org", from_address="198.51.100.45")
    assert found is not None
    later(here, minutes=31)
    with here.browser() as browser:
        assert browser.get(f"/auth/new-password?link={found[1]}").status_code == 410


def test_an_old_hash_is_made_anew_at_the_next_sign_in(here: Lab) -> None:
    from argon2 import PasswordHasher

    id = here.person("old@lab.org")
    weak = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(PASSWORD)
    here.service.database.write_now(lambda conn: user_table.change(conn, id, password=weak))
    with here.browser() as browser:
        assert submit(browser, "/auth/sign-in", email="old@lab.org", password=PASSWORD).status_code == 303
    with here.service.database.read() as conn:
        row = user_table.get(conn, id)
    assert row is not None
    assert row.password != weak


# -- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_kept_as_a_hash_and_allows_no_more_than_it_says(here: Lab) -> None:
    id = here.person("token@lab.org")
    mine = here.script(here.token(id, Scope.READ, Scope.ACCOUNT))
    made = mine.post("/api/v1/tokens", json={"name": "n", "scopes": ["read"], "days": 1}).json()
    assert re.fullmatch(r"cv_[\w-]{43}", made["secret"])
    assert made["secret"] not in mine.get("/api/v1/tokens").text
    with here.service.database.read() as conn:
        kept = conn.execute("select * from tokens").fetchall()
    assert made["secret"] not in str(kept)
    assert digest(made["secret"]) in str(kept)
    more = mine.post("/api/v1/tokens", json={"name": "n", "scopes": ["submit"], "days": 1})
    assert more.status_code == 422
    longer = mine.post("/api/v1/tokens", json={"name": "n", "scopes": ["read"], "days": None})
    assert longer.status_code == 422
    assert here.script(made["secret"]).get("/api/v1/me").json()["scopes"] == ["read"]
    later(here, days=2)
    assert here.script(made["secret"]).get("/api/v1/me").status_code == 401
    other = here.script(here.token(here.person("token2@lab.org")))
    assert other.delete(f"/api/v1/tokens/{made['id']}").status_code == 404


def test_a_password_is_no_token_and_a_cookie_no_header(here: Lab) -> None:
    id = here.person("mixed@lab.org", password=PASSWORD)
    secret = here.session(id)
    assert here.script(secret).get("/api/v1/me").status_code == 401
    assert here.script(PASSWORD).get("/api/v1/me").status_code == 401
