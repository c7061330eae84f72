"""The Data page as Streamlit runs it, over a service whose rows stand where the test puts them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from jobs import bootstrap
from jobs.client_local import LocalClient
from jobs.importing.importer import Importer
from jobs.service import JobService
from jobs.state import JobState
from storage.tables import datasets as dataset_table
from storage.tables import models as model_table
from storage.tables.datasets import DatasetRow
from storage.tables.models import ModelRow
from tests.kept import cells, job, opened
from tests.labs import build_catalog
from tests.pages import at, checked, words


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobService]:
    catalog = build_catalog(tmp_path / "pretrained")
    made = opened(tmp_path / "home", catalog, retention_days=30, quota_bytes=10_000, quota_datasets=4)
    monkeypatch.setattr(bootstrap, "_current", LocalClient(made))
    yield made
    made.close()


def data_page() -> AppTest:
    return at("data")


def test_cells_are_listed_kept_longer_and_deleted_with_a_receipt(service: JobService) -> None:
    cells(service, "ds-1", b"x" * 2_000, name="week 1.h5ad")
    cells(service, "ds-2", b"y" * 500, name="week 2.h5ad")
    job(service, "job-1", "ds-2", state=JobState.RUNNING)
    page = data_page()
    said = words(page)
    for part in ("week 1", "2.5 kB of 10 kB used", "2 of 4 data sets", "30 days after they came", "used by 1 job"):
        assert part in said
    assert "Kept until" in said

    page.button(key="clock-ds-1").click()
    checked(page.run())
    page.radio(key="clock-choice").set_value("until I delete it")
    checked(page.run())
    page.button(key="clock-set").click()
    checked(page.run())
    assert service.dataset("ds-1").until is None
    assert "Kept until you delete it" in words(page)

    page.button(key="delete-data-ds-2").click()
    checked(page.run())
    assert "In use" in words(page)
    assert "really-data" not in {button.key for button in page.button}

    page = data_page()
    page.button(key="delete-data-ds-1").click()
    checked(page.run())
    page.button(key="really-data").click()
    checked(page.run())
    assert [each.id for each in service.datasets()] == ["ds-2"]
    said = words(page)
    assert "Deleted" in said
    assert "1 file, 2.0 kB, seen to be gone" in said
    assert service.keeping.receipts()[0].document["via"] == "page"


def on_its_way(service: JobService, id: str, origin: str) -> None:
    """Cells that are being brought in, by nobody."""
    row = DatasetRow(id=id, name=f"{id}.h5ad", state="importing", stage="downloading", done=10, total=90, origin=origin)
    service.database.write_now(lambda conn: dataset_table.insert(conn, row))


def test_cells_on_their_way_are_stopped(service: JobService, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload after a question, an address at once: that one can be read again."""
    monkeypatch.setattr(Importer, "_schedule", lambda self, rows: None)
    address = "s3://cells/week 2.h5ad"
    on_its_way(service, "ds-1", "upload:" + "0" * 32)
    on_its_way(service, "ds-2", address)
    page = data_page()
    assert words(page).count("Being brought in") == 2
    page.button(key="stop-ds-1").click()
    checked(page.run())
    assert (service.dataset("ds-1").state, service.dataset("ds-2").state) == ("cancelled", "importing")

    page = at("new", cells="ds-2")
    assert "only clean numbers and names are kept" in words(page)
    page.button(key="stop-ds-2").click()
    checked(page.run())
    assert service.dataset("ds-2").state == "cancelled"
    assert "was stopped. Nothing of it was kept" in words(page)
    page.button(key="cells-again").click()
    checked(page.run())
    (again,) = [each for each in service.datasets() if each.id not in ("ds-1", "ds-2")]
    assert (again.origin, again.name, page.query_params["cells"]) == (address, "ds-2.h5ad", again.id)


def test_a_model_of_the_cells_goes_only_when_it_is_ticked(service: JobService) -> None:
    cells(service, "ds-1", name="mine.h5ad")
    model = ModelRow(
        id="near", name="Near", digest="d" * 64, translator="knn", job="job-9", datasets=["ds-1"], holds_cells=True
    )
    service.database.write_now(lambda conn: model_table.put(conn, model))
    job(service, "job-9", "ds-1", kind="train")
    page = data_page()
    page.button(key="delete-data-ds-1").click()
    checked(page.run())
    assert page.button(key="really-data").disabled
    page.checkbox(key="cascade").check()
    checked(page.run())
    page.button(key="really-data").click()
    checked(page.run())
    assert service.datasets() == []
    assert {each.object for each in service.keeping.receipts()} == {"near", "job-9", "ds-1"}


def test_an_empty_page_says_what_will_be_here(service: JobService) -> None:
    assert "No cells yet" in words(data_page())
