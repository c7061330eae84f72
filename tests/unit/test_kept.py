"""What is kept, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app import kept
from jobs.keeping.views import HoldingView, UsageView
from jobs.views import DatasetView, Health

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def usage(**limits: int) -> UsageView:
    return UsageView(
        owner="local", bytes=82_000_000, datasets_bytes=61_000_000, results_bytes=21_000_000, uploads_bytes=0,
        datasets=4, jobs=2, **limits,
    )  # fmt: skip


def test_usage_is_said_with_what_is_allowed() -> None:
    assert kept.usage_line(usage()) == "82 MB used: cells 61 MB, results 21 MB · 4 data sets"
    said = kept.usage_line(usage(limit_bytes=10**9, limit_datasets=100))
    assert said == "82 MB of 1.0 GB used: cells 61 MB, results 21 MB · 4 of 100 data sets"
    assert kept.fullness(usage()) is None
    assert kept.fullness(usage(limit_bytes=10**9, limit_datasets=5)) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(days=30), "kept until 22 Dec 2026 (30 days left)"),
        (timedelta(days=29, hours=23), "kept until 22 Dec 2026 (30 days left)"),
        (timedelta(hours=1), "kept until 22 Nov 2026 (1 day left)"),
        (timedelta(hours=-13), "its time was over on 21 Nov 2026"),
    ],
)
def test_a_clock_says_the_day_and_what_is_left(left: timedelta, said: str) -> None:
    data = DatasetView(id="ds-1", name="a", state="ready", until=NOW + left)
    assert kept.until_line(data, now=NOW) == said


def test_before_submit_it_is_said_when_things_go() -> None:
    health = Health(version="1", runner="local", runner_alive=True)
    assert kept.kept_line(health) == "Everything stays until you delete it."
    both = kept.kept_line(health.model_copy(update={"retention_days": 1, "result_days": 90}))
    assert both.startswith("Cells are deleted 1 day after they came, results 90 days after they were finished.")


def test_what_stands_in_the_way_is_named() -> None:
    data = DatasetView(id="ds-1", name="a", state="ready")
    assert kept.needed_line(HoldingView(dataset=data)) == ""
    assert "job-1 runs on it" in kept.needed_line(HoldingView(dataset=data, running=("job-1",), held_by=("near",)))
    assert "also in near" in kept.needed_line(HoldingView(dataset=data, held_by=("near",)))
