"""Two people in two browsers, and what stands between them: the whole server with its pages, behind its gate."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jobs.client_http import HttpClient
from tests.labs import build_catalog, control_plane, free_port, imported, ready, until
from tests.people import PASSWORD, submit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

SOON = 60_000  # milliseconds


@dataclass(frozen=True)
class Server:
    url: str
    boss: str  # a token
    link: str  # an invitation for Anna


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home, port = tmp_path_factory.mktemp("home"), free_port()
    catalog = build_catalog(tmp_path_factory.mktemp("catalog") / "pretrained")
    url = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSVIEW_AUTH", "local")
        with control_plane(home, catalog, port) as process:
            token = home / "operator.token"
            until(lambda: token.is_file() or process.poll() is not None, bool)
            assert process.poll() is None, (home / "server.log").read_text()
            first = token.read_text().strip()
            with HttpClient(url, first) as client:
                ready(client, process, home)
            with httpx.Client(base_url=url, headers={"origin": url}, trust_env=False, timeout=60) as browser:
                entered = submit(
                    browser, "/auth/first", token=first, email="boss@lab.org", name="Boss", password=PASSWORD
                )
                assert entered.status_code == 303
                mine = browser.post(
                    "/api/v1/tokens", json={"name": "t", "scopes": ["read", "submit", "account", "admin"]}
                )
                boss = mine.json()["secret"]
            with HttpClient(url, boss) as client:
                assert imported(client, "example:tiny/rna").state == "ready"
                link = client.accounts.invite("anna@lab.org").link
            yield Server(url, boss, link)


def cookie_of(server: Server, email: str) -> str:
    with httpx.Client(base_url=server.url, headers={"origin": server.url}, trust_env=False, timeout=60) as browser:
        submit(browser, "/auth/sign-in", email=email, password=PASSWORD)
        return browser.cookies["crossview"]


@pytest.mark.parametrize(
    "path",
    ["/", "/jobs", "/data", "/_stcore/host-config", "/_stcore/metrics", "/media/x", "/component/x", "/api/v1/health"],
)
def test_nothing_is_served_to_a_stranger(server: Server, path: str) -> None:
    answer = httpx.get(server.url + path, trust_env=False, timeout=60)
    unseen = path.startswith(("/_stcore", "/media", "/api"))  # by a person: told so, not shown the way in
    assert answer.status_code == (401 if unseen else 303)
    assert "tiny" not in answer.text


def test_a_socket_is_refused_to_a_stranger_and_closed_when_its_session_ends(server: Server) -> None:
    url = server.url.replace("http", "ws") + "/_stcore/stream"

    async def go_on(socket: ClientConnection) -> None:
        async with asyncio.timeout(60):
            while True:
                await socket.send(b"")
                await asyncio.sleep(0.05)

    async def shake(cookie: str) -> int:
        headers = {"cookie": f"crossview={cookie}"} if cookie else {}
        how = {"origin": server.url, "subprotocols": ["streamlit"], "proxy": None, "additional_headers": headers}
        try:
            async with connect(url, **how) as socket:  # type: ignore[arg-type]
                httpx.post(
                    f"{server.url}/api/v1/sessions/end", json={}, trust_env=False, timeout=60,
                    headers={"cookie": f"crossview={cookie}", "origin": server.url},
                )  # fmt: skip
                with pytest.raises(ConnectionClosed):
                    await go_on(socket)
                return 101
        except InvalidStatus as refusal:
            return refusal.response.status_code

    assert asyncio.run(shake("")) == 403
    assert asyncio.run(shake("guess")) == 403
    assert asyncio.run(shake(cookie_of(server, "boss@lab.org"))) == 101


def test_a_header_of_ours_from_outside_is_worth_nothing(server: Server) -> None:
    for value in ("user:local", "session:x"):
        assert (
            httpx.get(f"{server.url}/", headers={"x-crossview-who": value}, trust_env=False, timeout=60).status_code
            == 303
        )


def test_it_does_not_start_where_anybody_could_come_in(tmp_path: Path) -> None:
    environ = {**os.environ, "CROSSVIEW_HOME": str(tmp_path)}
    environ.pop("CROSSVIEW_AUTH", None)
    command = [sys.executable, "-m", "uvicorn", "app.serve:app", "--port", "0", "--host", "0.0.0.0"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 2
    assert "CROSSVIEW_AUTH" in ended.stderr


def opened(browser: Browser, **how: object) -> Page:
    page = browser.new_context(**how).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(SOON)
    return page


@pytest.mark.browser
def test_two_people_see_their_own_in_two_browsers(server: Server, browser: Browser) -> None:
    boss, anna = opened(browser), opened(browser, viewport={"width": 390, "height": 844}, color_scheme="dark")
    boss.goto(f"{server.url}/data")
    boss.get_by_label("E-mail address").fill("boss@lab.org")
    boss.get_by_label("Password").fill(PASSWORD)
    boss.get_by_role("button", name="Sign in").click()
    boss.wait_for_url("**/data")  # back to where it began
    boss.get_by_text("tiny example, RNA").first.wait_for()

    anna.goto(server.url + server.link)
    assert anna.evaluate("document.documentElement.scrollWidth <= innerWidth")
    anna.get_by_label("Your name").fill("Anna")
    anna.get_by_label("New password").fill(PASSWORD)
    anna.get_by_role("button", name="Make my account").click()
    anna.goto(f"{server.url}/data")
    anna.get_by_text("No cells yet").wait_for()
    assert "tiny example" not in anna.inner_text("body")
    anna.goto(f"{server.url}/admin")
    anna.get_by_role("heading", name="CrossView", exact=True).wait_for()  # there is no such page for her

    boss.goto(server.url)
    with boss.expect_download() as waited:
        boss.get_by_role("button", name="Example, RNA (.h5ad)").click()
    file = waited.value.url  # what is in it, is in its name: who knows the one could make the other
    assert "/media/" in file
    assert boss.request.get(file).body()[:4] == b"\x89HDF"
    assert anna.request.get(file).status == 404
    assert anna.request.get(f"{server.url}/media/x").status == 404

    anna.goto(f"{server.url}/account")
    anna.get_by_role("heading", name="Account").wait_for()
    secret = next(each["value"] for each in anna.context.cookies() if each["name"] == "crossview")
    httpx.post(
        f"{server.url}/api/v1/sessions/end", json={}, trust_env=False, timeout=60,
        headers={"cookie": f"crossview={secret}", "origin": server.url},
    )  # fmt: skip
    anna.reload()
    anna.get_by_role("heading", name="Sign in").wait_for()
    boss.context.close()
    anna.context.close()
