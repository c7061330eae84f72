"""A web server with TLS for the tests of sources, and where a fetched file goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webserver import Site, server_tls, site


@pytest.fixture(scope="module")
def tls_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tls=server_tls(tmp_path_factory.mktemp("tls"))) as here:
        yield here


@pytest.fixture
def web_site(tls_site: Site) -> Site:
    """The module's server, without pages, asked nothing yet."""
    tls_site.pages.clear()
    tls_site.asked.clear()
    return tls_site


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "in" / "cells.h5ad"
