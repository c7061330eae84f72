"""The ASGI app: Streamlit's pages, the REST routes and the background work, in one process.

`uvicorn --no-proxy-headers app.serve:app`: whose word is taken for another address, the gate knows.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from streamlit.runtime import Runtime

from app.api import create_routes
from app.api.guard import HostGuard
from app.auth import doors
from app.auth.gate import HEADER, Gate
from app.auth.lent import Lent
from app.auth.listening import require_lawful
from jobs.bootstrap import current_accounts, current_client, running
from jobs.errors import CrossViewError
from jobs.settings import Settings

MAIN = Path(__file__).resolve().parent / "main.py"


def _settings() -> Settings:
    """As they must be before anything listens; the process ends here where they cannot be used."""
    try:
        settings = Settings.from_env()
        require_lawful(settings)
    except CrossViewError as error:
        print(f"crossview: {error.message}\n  → {error.hint}", file=sys.stderr)
        raise SystemExit(2) from None
    return settings


SETTINGS = _settings()
LENT = Lent()


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    """The service starts before the first request and ends after the last."""
    LENT.watch(Runtime.instance().media_file_mgr, lambda: st.context.headers.get(HEADER) or "")
    service = running(SETTINGS)
    await run_in_threadpool(service.__enter__)
    try:
        yield
    finally:
        await run_in_threadpool(service.__exit__, None, None, None)


app = st.App(
    MAIN,
    routes=[*doors(SETTINGS, current_accounts), *create_routes(current_client, SETTINGS.rate)],
    lifespan=lifespan,
    middleware=[
        Middleware(HostGuard, allowed=SETTINGS.names, beyond=SETTINGS.auth.on),
        Middleware(
            Gate, rules=SETTINGS.auth, source=current_accounts, public_url=SETTINGS.notify.public_url, lent=LENT
        ),
    ],
)
