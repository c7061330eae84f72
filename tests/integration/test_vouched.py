"""People others vouch for: an OpenID provider with real signatures, and a proxy's header from where it is believed."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import RSAKey

from jobs.accounts.principal import Role
from jobs.accounts.settings import AuthSettings, OidcSettings
from tests.people import Lab, lab
from tests.provider import CLIENT, SECRET, Provider, provider


@pytest.fixture(scope="module")
def uni() -> Iterator[Provider]:
    with provider() as made:
        yield made


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, catalog: Path, uni: Provider) -> Iterator[Lab]:
    rules = AuthSettings(
        mode="oidc", oidc=OidcSettings(uni.url, CLIENT, SECRET, "the university"),
        operators=frozenset({"boss@uni.example", "liar@uni.example"}),
    )  # fmt: skip
    with lab(tmp_path_factory.mktemp("oidc") / "home", catalog, auth=rules) as made:
        yield made


@pytest.fixture(autouse=True)
def _as_before(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "uni" in request.fixturenames:
        uni: Provider = request.getfixturevalue("uni")
        uni.person, uni.spoil, uni.signs = {"sub": "anna", "email": "anna@uni.example"}, {}, None


def there(browser: httpx.Client, path: str = "/auth/provider") -> str:
    """The address the provider sends the browser back to."""
    left = browser.get(path)
    assert left.status_code == 303
    return httpx.get(left.headers["location"], trust_env=False).headers["location"]


def test_a_person_of_the_institution_gets_a_session_of_ours_and_the_same_account_each_time(
    here: Lab, uni: Provider
) -> None:
    ids = set()
    for _ in range(2):
        with here.browser() as browser:
            assert "Sign in with the university" in browser.get("/auth/sign-in").text
            back = browser.get(there(browser, "/auth/provider?next=%2Fjobs"))
            assert (back.status_code, back.headers["location"]) == (303, "/jobs")
            me = browser.get("/api/v1/me").json()
            ids.add(me["id"])
            assert (me["email"], me["role"]) == ("anna@uni.example", "user")
    assert len(ids) == 1


def test_operators_are_those_the_settings_name_by_a_verified_address(here: Lab, uni: Provider) -> None:
    uni.person = {"sub": "boss", "email": "Boss@uni.example"}
    with here.browser() as browser:
        browser.get(there(browser))
        assert browser.get("/api/v1/me").json()["role"] == "operator"
        assert browser.get("/api/v1/me").json()["id"] == "local"  # the first: what single-user mode left is theirs
    uni.person = {"sub": "liar", "email": "liar@uni.example", "email_verified": False}
    with here.browser() as browser:
        browser.get(there(browser))
        me = browser.get("/api/v1/me").json()
        assert (me["role"], me["email"]) == ("user", "")


@pytest.mark.parametrize(
    "spoil",
    [{"aud": "another"}, {"aud": [CLIENT, "another"]}, {"iss": "http://127.0.0.1:1"}, {"exp": 1_000}, {"nonce": "n"},
     {"azp": "another"}, {"sub": None}],
    ids=lambda spoil: next(iter(spoil)) + str(len(str(spoil))),
)  # fmt: skip
def test_an_answer_that_is_not_for_us_lets_nobody_in(here: Lab, uni: Provider, spoil: dict[str, object]) -> None:
    uni.spoil = spoil
    with here.browser() as browser:
        answer = browser.get(there(browser))
        assert answer.status_code == 403
        assert browser.get("/api/v1/me").status_code == 401


def test_an_answer_signed_by_another_key_lets_nobody_in(here: Lab, uni: Provider) -> None:
    uni.signs = RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False)
    with here.browser() as browser:
        assert browser.get(there(browser)).status_code == 403


def test_the_provider_may_change_its_keys(here: Lab, uni: Provider) -> None:
    with here.browser() as browser:
        browser.get(there(browser))
        uni.key = RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False)
        assert browser.get(there(browser)).status_code == 303


def test_an_answer_works_once_and_in_the_browser_that_left(here: Lab, uni: Provider) -> None:
    with here.browser() as browser, here.browser() as other:
        back = there(browser)
        assert other.get(back).status_code == 422
        assert other.get("/api/v1/me").status_code == 401
        assert browser.get(back).status_code == 422  # it was used up
        back = there(browser)
        assert browser.get(back).status_code == 303
        assert browser.get(back).status_code == 422
        assert browser.get("/auth/callback?code=x&state=guess").status_code == 422


def test_a_disabled_person_stays_out(here: Lab, uni: Provider) -> None:
    uni.person = {"sub": "gone", "email": "gone@uni.example"}
    with here.browser() as browser:
        browser.get(there(browser))
        here.accounts.users.disable(browser.get("/api/v1/me").json()["id"])
        assert browser.get("/api/v1/me").status_code == 401
        assert browser.get(there(browser)).status_code == 403


# -- a proxy ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, catalog: Path) -> Iterator[Lab]:
    rules = AuthSettings(
        mode="proxy", proxies=(ip_network("127.0.0.1"),), header="x-remote-user", operators=frozenset({"boss"})
    )
    with lab(tmp_path_factory.mktemp("proxy") / "home", catalog, auth=rules) as made:
        yield made


def test_whom_the_proxy_names_is_let_in_and_made_at_first_sight(behind: Lab) -> None:
    with behind.browser() as browser:
        assert browser.get("/api/v1/me").status_code == 401
        browser.headers["x-remote-user"] = "anna@uni.example"
        me = browser.get("/api/v1/me").json()
        assert (me["email"], me["role"]) == ("anna@uni.example", "user")
        browser.headers["x-remote-user"] = "boss"
        assert browser.get("/api/v1/me").json()["role"] == "operator"
        twice = [("x-remote-user", "boss"), ("x-remote-user", "anna@uni.example")]
        assert httpx.get(f"{behind.url}/api/v1/me", headers=twice, trust_env=False).status_code == 401


def test_behind_a_proxy_it_is_known_from_where_people_come(behind: Lab) -> None:
    with behind.browser() as browser:
        browser.headers.update({"x-remote-user": "boss", "x-forwarded-for": "203.0.113.9, 198.51.100.7"})
        assert browser.post("/api/v1/tokens", json={"name": "a", "scopes": ["read"]}).status_code == 201
    assert "api 198.51.100.7" in {each.via for each in behind.service.keeping.audit()}


def test_the_header_from_anybody_else_is_worth_nothing(tmp_path: Path, catalog: Path) -> None:
    rules = AuthSettings(mode="proxy", proxies=(ip_network("10.9.9.9"),), header="x-remote-user")
    with lab(tmp_path / "home", catalog, auth=rules) as made, made.browser() as browser:
        browser.headers["x-remote-user"] = "boss"
        assert browser.get("/api/v1/me").status_code == 401
        browser.headers["x-crossview-who"] = "user:local"
        assert browser.get("/api/v1/me").status_code == 401
        browser.headers["x-forwarded-for"] = "10.9.9.9"  # whoever is near this machine may say so
        assert browser.get("/api/v1/me").status_code == 401
        assert made.accounts.users.all()[0].role is Role.OPERATOR  # the first operator's empty place, and nobody else
        assert len(made.accounts.users.all()) == 1
