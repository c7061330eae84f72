"""One lab, reached both ways: in this process and over HTTP. Each module says which catalog the lab has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.bootstrap import opened
from jobs.client import Client
from jobs.client_http import HttpClient
from tests.forked import ForkedRunner
from tests.labs import lab_settings, served


@pytest.fixture(scope="module")
def in_process(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    settings = lab_settings(tmp_path_factory.mktemp("home"), catalog)
    with opened(settings, runner=ForkedRunner(settings.home / "runner", workers=1)) as client:
        yield client


@pytest.fixture(scope="module")
def over_http(in_process: Client) -> Iterator[Client]:
    from app.api import create_app

    with served(create_app(in_process)) as address, HttpClient(address) as client:
        yield client


@pytest.fixture(params=["in process", "http"])
def client(request: pytest.FixtureRequest, in_process: Client, over_http: Client) -> Client:
    return in_process if request.param == "in process" else over_http
