"""A CrossView where people sign in, with a few who did: real database, real routes, rows where a test puts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware

from app.api.application import create_routes
from app.api.guard import HostGuard
from app.auth import doors
from app.auth.gate import Gate
from jobs import bootstrap
from jobs.accounts.principal import Principal, Role, Scope
from jobs.accounts.service import Accounts
from jobs.accounts.settings import AuthSettings
from jobs.client_local import LocalClient
from jobs.service import JobService
from storage.tables import users as user_table
from storage.tables.users import UserRow
from tests.kept import opened
from tests.labs import served

PASSWORD = "tungsten-ferry-mosaic"
FORM = re.compile(r'name="form" value="([^"]+)"')


@dataclass
class Lab:
    """service: its background work is not started. people: ids by e-mail address."""

    service: JobService
    url: str
    people: dict[str, str] = field(default_factory=dict)
    open: list[httpx.Client] = field(default_factory=list)  # closed at the end

    @property
    def accounts(self) -> Accounts:
        return self.service.accounts

    def person(self, email: str, role: Role = Role.USER, *, password: str | None = None) -> str:
        """The id of a new account."""
        from jobs.accounts.passwords import hashed

        way = self.accounts.rules.mode
        row = UserRow(
            id=f"user-{email.partition('@')[0]}", email=email, name=email.partition("@")[0].title(), role=role, way=way,
            password=hashed(password) if password else None,
        )  # fmt: skip
        self.service.database.write_now(lambda conn: user_table.insert(conn, row))
        self.people[email] = row.id
        return row.id

    def token(self, id: str, *scopes: Scope, days: int | None = 365) -> str:
        return self.accounts.sessions.create_token(id, name="test", scopes=scopes or tuple(Scope), days=days).secret

    def session(self, id: str) -> str:
        return self.accounts.sessions.begin(id, way=self.accounts.rules.mode, address="192.0.2.7", agent="test")

    def browser(self, id: str | None = None) -> httpx.Client:
        """A browser, signed in as this user where one is named. It says where a request comes from, as browsers do."""
        cookies = {"crossview": self.session(id)} if id else {}
        return httpx.Client(
            base_url=self.url, cookies=cookies, headers={"origin": self.url}, trust_env=False, timeout=60
        )

    def script(self, token: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self._opened(headers, {})

    def _opened(self, headers: dict[str, str], cookies: dict[str, str]) -> httpx.Client:
        client = httpx.Client(base_url=self.url, headers=headers, cookies=cookies, trust_env=False, timeout=60)
        self.open.append(client)
        return client


@contextmanager
def lab(home: Path, catalog: Path, *, auth: AuthSettings | None = None, **changes: Any) -> Iterator[Lab]:
    """A lab of this process, behind the same guards as `app.serve`, without Streamlit's pages."""
    from jobs.accounts import passwords

    rules = auth or AuthSettings(mode="local")
    service = opened(home, catalog, auth=rules, **changes)
    client = LocalClient(service)
    before = bootstrap._current, bootstrap._people
    strength = passwords.MEMORY_KIB
    passwords.MEMORY_KIB = 512  # many passwords on few cores; test_passwords looks at the real ones
    passwords._hasher.cache_clear()
    bootstrap._current, bootstrap._people = client, rules.on
    app = Starlette(
        routes=[*doors(service.settings, bootstrap.current_accounts), *create_routes(bootstrap.current_client)],
        middleware=[
            Middleware(HostGuard, allowed=service.settings.names, beyond=rules.on),
            Middleware(
                Gate, rules=rules, source=bootstrap.current_accounts, public_url=service.settings.notify.public_url
            ),
        ],
    )
    try:
        service.accounts.prepare()
        with served(app) as url:
            made = Lab(service, url)
            yield made
            for each in made.open:
                each.close()
    finally:
        bootstrap._current, bootstrap._people = before
        passwords.MEMORY_KIB = strength
        passwords._hasher.cache_clear()
        service.close()


def as_of(id: str, role: Role = Role.USER) -> Principal:
    return Principal(id, role)


def submit(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Opens the form, fills it in and sends it, as a browser does."""
    shown = browser.get(path)
    found = FORM.search(shown.text)
    assert found is not None, shown.text
    kept = {"link": fields.pop("link")} if "link" in fields else {}
    action = path.partition("?")[0]
    return browser.post(action, data={"form": found.group(1), **kept, **fields})
