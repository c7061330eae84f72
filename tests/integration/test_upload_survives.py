"""The short form of tests/chaos/upload: a few megabytes, cut and taken up again, across a killed server."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.settings import REPOSITORY
from tests.chaos.upload import run


@pytest.mark.slow
def test_an_upload_survives_cuts_and_a_killed_server(tmp_path: Path) -> None:
    figures = run(tmp_path / "home", REPOSITORY / "pretrained", size=12_000_001, cuts=6, slice_bytes=1 << 20, seed=1)
    assert figures.identical
    assert (figures.cuts, figures.kills) == (6, 1)
