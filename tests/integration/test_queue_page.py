"""The jobs that wait, on the page: their place, their priority, their log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine.types import Direction
from jobs.bootstrap import running
from jobs.client import Client
from jobs.queue.order import Priority
from jobs.spec import TranslateSpec
from tests.labs import MODEL, build_catalog, imported, lab_settings, nobody
from tests.pages import at, checked, words

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A lab whose Ray does not answer: what is asked waits."""
    catalog = build_catalog(tmp_path_factory.mktemp("catalog") / "pretrained")
    settings = lab_settings(tmp_path_factory.mktemp("home"), catalog)
    with nobody() as address, running(replace(settings, runner="ray", ray_address=f"http://{address}")) as client:
        yield client


def test_a_waiting_job_shows_its_place_and_its_priority_can_be_changed(away: Client) -> None:
    rna = imported(away, f"example:{MODEL}/rna").id
    first, second = (
        away.submit(TranslateSpec(model=MODEL, rna=rna, directions=(Direction.RNA_TO_ATAC,), umap=False, seed=seed))
        for seed in (1, 2)
    )
    page = at("jobs")
    bars = [str(each.proto.text) for each in page.get("progress")]
    assert sum("place 2 in the queue · " in text and text.endswith(" left") for text in bars) == 1, bars
    control = next(each for each in page.get("button_group") if each.key == f"priority-{second.id}")
    checked(control.set_value("high").run())
    assert (away.job(second.id).priority, away.job(second.id).position) == (Priority.HIGH, 1)
    assert away.job(first.id).position == 2
    waiting = at("job", id=second.id, tab="Logs")
    assert "Download the log" in [each.label for each in waiting.get("download_button")]
    assert [each.label for each in waiting.get("tab")][-2:] == ["Configuration", "Provenance"]  # no files yet
    away.cancel(second.id)
    stopped = words(at("job", id=second.id, tab="Logs"))
    assert "This translation was cancelled" in stopped
    assert "What happened when" in stopped
