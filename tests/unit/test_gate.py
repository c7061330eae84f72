"""The gate: cookies, headers, and what is told of faults, without pages behind it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.listening import require_lawful
from jobs.accounts.settings import AuthSettings
from jobs.errors import BadSetting
from jobs.settings import Settings
from tests.labs import build_catalog
from tests.people import PASSWORD, Lab, lab, submit

RULES = AuthSettings(mode="local", proxies=(ip_network("127.0.0.1"),))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("gate")
    with lab(folder / "home", build_catalog(folder / "pretrained"), auth=RULES) as made:
        made.person("anna@lab.org", password=PASSWORD)
        yield made


def test_behind_https_a_cookie_is_secure_and_bound_to_the_host(here: Lab) -> None:
    with here.browser() as browser:
        browser.headers["x-forwarded-proto"] = "https"
        shown = browser.get("/auth/sign-in")
        mark = shown.headers["set-cookie"].partition(";")[0]
        assert mark.startswith("__Host-crossview-form=")
        said = {"form": mark.partition("=")[2], "email": "anna@lab.org", "password": PASSWORD}
        entered = browser.post("/auth/sign-in", data=said, headers={"cookie": mark})
        cookie = next(c for c in entered.headers.get_list("set-cookie") if c.startswith("__Host-crossview="))
        parts = {part.strip().lower() for part in cookie.split(";")}
        assert {"secure", "httponly", "path=/", "samesite=lax"} <= parts
        assert not any(part.startswith("domain") for part in parts)


def test_every_answer_carries_its_headers(here: Lab) -> None:
    with here.browser("user-anna") as browser:
        for path in ("/api/v1/me", "/auth/sign-out", "/nothing"):
            headers = browser.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert "frame-ancestors" in headers["content-security-policy"]
            assert "strict-transport-security" not in headers
        assert browser.get("/api/v1/me").headers["cache-control"] == "no-store"
        assert "script" not in browser.get("/auth/sign-out").headers["content-security-policy"]
        browser.headers["x-forwarded-proto"] = "https"
        assert browser.get("/auth/style.css").headers["strict-transport-security"].startswith("max-age=")


def test_sign_ins_are_in_the_log(here: Lab) -> None:
    with here.browser() as browser:
        submit(browser, "/auth/sign-in", email="anna@lab.org", password="not this one")
        submit(browser, "/auth/sign-in", email="anna@lab.org", password=PASSWORD)
    found = [(each.act, each.outcome) for each in here.service.keeping.audit() if each.object == "user-anna"]
    assert {("account.sign-in", "refused"), ("account.sign-in", "done")} <= set(found)
    assert here.service.keeping.verify_audit().whole
    assert "anna@lab.org" not in str(here.service.keeping.audit())


def test_a_fault_of_ours_shows_its_inside_to_operators_alone(here: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a path of the server")

    monkeypatch.setattr("jobs.service.JobService.health", broken)
    user = here.script(here.token("user-anna")).get("/api/v1/health")
    boss = here.script(here.token(here.person("boss@lab.org", role="operator"))).get("/api/v1/health")  # type: ignore[arg-type]
    assert (user.status_code, boss.status_code) == (500, 500)
    assert "a path of the server" not in user.text
    assert "a path of the server" in boss.text


def test_a_stranger_reaches_no_route_however_it_is_written(here: Lab) -> None:
    for path in ("/api/v1/jobs", "//api/v1/jobs", "/auth/../api/v1/jobs", "/auth/sign-in/../../api/v1/jobs", "/AUTH/x"):
        answer = httpx.request("GET", here.url + path, trust_env=False)
        assert answer.status_code in (303, 401), path


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [(["uvicorn", "--host", "0.0.0.0"], {}), (["uvicorn", "--host=::"], {}), ([], {"UVICORN_HOST": "10.0.0.5"})],
)
def test_it_listens_beyond_the_machine_only_where_people_sign_in(
    tmp_path: Path, arguments: list[str], environ: dict[str, str]
) -> None:
    off = Settings(home=tmp_path, store=str(tmp_path), runner="local")
    with pytest.raises(BadSetting, match="beyond this machine"):
        require_lawful(off, arguments=arguments, environ=environ)
    require_lawful(off, arguments=["uvicorn", "--host", "127.0.0.1"], environ={})
    on = Settings(home=tmp_path, store=str(tmp_path), runner="local", auth=AuthSettings(mode="local"))
    require_lawful(on, arguments=[*arguments, "--no-proxy-headers"], environ=environ)
    with pytest.raises(BadSetting, match="CROSSVIEW_HOST"):
        Settings(home=tmp_path, store=str(tmp_path), runner="local", host="0.0.0.0")
    with pytest.raises(BadSetting, match="CROSSVIEW_API_URL"):
        Settings(home=tmp_path, store="s", runner="local", auth=AuthSettings(mode="local"), api_url="http://x")


@pytest.mark.parametrize("program", ["uvicorn", "/venv/bin/uvicorn", "/venv/lib/uvicorn/__main__.py"])
def test_it_does_not_start_where_uvicorn_believes_whoever_is_near(tmp_path: Path, program: str) -> None:
    on = Settings(home=tmp_path, store=str(tmp_path), runner="local", auth=AuthSettings(mode="local"))
    with pytest.raises(BadSetting, match="address of whoever signs in"):
        require_lawful(on, arguments=[program, "app.serve:app"], environ={})
    require_lawful(on, arguments=[program, "--no-proxy-headers", "app.serve:app"], environ={})


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"CROSSVIEW_AUTH": "yes"}, "CROSSVIEW_AUTH"),
        ({"CROSSVIEW_AUTH": "proxy"}, "CROSSVIEW_TRUSTED_PROXIES"),
        ({"CROSSVIEW_TRUSTED_PROXIES": "everyone"}, "CROSSVIEW_TRUSTED_PROXIES"),
        ({"CROSSVIEW_TRUSTED_PROXIES": "0.0.0.0/0"}, "CROSSVIEW_TRUSTED_PROXIES"),
        ({"CROSSVIEW_AUTH": "oidc"}, "CROSSVIEW_OIDC_ISSUER"),
        (
            {"CROSSVIEW_AUTH": "oidc", "CROSSVIEW_OIDC_ISSUER": "http://uni.example", "CROSSVIEW_OIDC_CLIENT_ID": "c",
             "CROSSVIEW_OIDC_CLIENT_SECRET": "hush"},
            "CROSSVIEW_OIDC_ISSUER",
        ),
        ({"CROSSVIEW_SESSION_DAYS": "0"}, "CROSSVIEW_SESSION_DAYS"),
        ({"CROSSVIEW_SESSION_IDLE_HOURS": "x"}, "CROSSVIEW_SESSION_IDLE_HOURS"),
        ({"CROSSVIEW_PROXY_USER_HEADER": "a b"}, "CROSSVIEW_PROXY_USER_HEADER"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(BadSetting, match=named) as refused:
        AuthSettings.from_env(variables)
    assert "hush" not in str(refused.value)
