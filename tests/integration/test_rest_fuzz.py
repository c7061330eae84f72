"""A short run of Schemathesis over every route; `make fuzz-api` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.api import fuzz, lab

pytestmark = pytest.mark.slow

# A few seconds' worth: half of the routes, with every kind of bad value, wrong method and wrong body.
ROUTES = r"/api/v1/(uploads|jobs|datasets|notifications|holdings)(/\{id\})?(/values|/events|/clock|/read)?$"


def test_no_request_breaks_the_server_or_its_document(tmp_path: Path) -> None:
    with lab(tmp_path) as address:
        found = fuzz(address, tmp_path, seconds=6, seed=1, phases=("coverage",), only=ROUTES)
    assert found.passed, found.report
    assert "Tested: 0" not in found.report
