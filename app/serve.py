"""The ASGI app: Streamlit's pages, the REST routes and the background work, in one process.

`uvicorn app.serve:app`
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from app.api import create_routes
from app.api.guard import HostGuard
from jobs.bootstrap import current_client, running
from jobs.settings import Settings

MAIN = Path(__file__).resolve().parent / "main.py"


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    """The service starts before the first request and ends after the last."""
    service = running(Settings.from_env())
    await run_in_threadpool(service.__enter__)
    try:
        yield
    finally:
        await run_in_threadpool(service.__exit__, None, None, None)


app = st.App(
    MAIN,
    routes=create_routes(current_client, Settings.from_env().rate),
    lifespan=lifespan,
    middleware=[Middleware(HostGuard, allowed=Settings.from_env().allowed_hosts)],
)
