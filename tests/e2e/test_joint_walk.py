"""From a file of both modalities to a figure, in a real browser: upload, joint view, an analysis of it, downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from jobs.client_http import HttpClient
from tests.builders import paired
from tests.finished import training_lab
from tests.labs import MODEL, control_plane, free_port, ready
from tests.multiome import write_h5mu
from tests.walking import faults, settle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(480)]

SOON, LATER = 60_000, 240_000  # milliseconds, on a busy machine: a page; a job
CELLS = 60


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a model that reads both modalities at once."""
    settings, port = training_lab(tmp_path_factory), free_port()
    with control_plane(settings.home, settings.pretrained, port) as process:
        with HttpClient(f"http://127.0.0.1:{port}") as client:
            ready(client, process, settings.home)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(SOON)
    yield page
    context.close()


def test_a_file_of_both_becomes_a_joint_view_and_an_analysis_of_it(page: Page, url: str, tmp_path: Path) -> None:
    both = write_h5mu(paired(cells=CELLS, genes=60, peaks=90, rng=np.random.default_rng(3)), tmp_path / "ours.h5mu")

    page.goto(f"{url}/new?kind=joint&model={MODEL}")
    page.get_by_text("RNA and ATAC are in one file").click()
    page.locator(".st-key-both input[type=file]").set_input_files(both)
    page.get_by_role("button", name="Next: check").click()
    page.get_by_role("button", name="Next: model").click()
    page.get_by_role("button", name="Next: review").click()
    page.locator(".st-key-submit").get_by_role("button").click()
    page.wait_for_url("**/job?id=*")

    page.get_by_role("heading", name="What does the joint view add?").wait_for(timeout=LATER)
    for chart in ("groups-axis", "imputed-axis"):
        page.locator(f".st-key-{chart} svg.marks").wait_for()
    page.get_by_role("tab", name="Cells").click()
    page.locator("[class*=st-key-map-] svg.marks").first.wait_for()
    page.get_by_role("tab", name="Files", exact=True).click()
    page.get_by_text("joint.h5ad").first.wait_for(state="attached")  # the table is a canvas; its words lie behind it
    settle(page)
    assert not faults(page)

    page.get_by_role("link", name="Analyse these cells").click()
    page.get_by_role("button", name="Groups of cells").click()
    page.wait_for_url("**what=cluster**")
    page.get_by_role("button", name="Start the analysis").click()
    page.wait_for_url("**/job?id=*")

    page.get_by_text("groups in").first.wait_for(timeout=LATER)
    page.locator(".st-key-agreement svg.marks").wait_for()
    with page.expect_download() as picture:
        page.locator(".st-key-agreement").get_by_role("button", name="Save this chart as SVG").click()
    assert "agrees best with cell" in picture.value.path().read_text(encoding="utf-8")
    page.get_by_role("tab", name="Tables").click()
    page.get_by_label("Table", exact=True).click()
    page.get_by_role("option", name="Every cell with its groups").click()
    page.get_by_text(f"{CELLS} rows.", exact=True).wait_for()
    settle(page)  # until then the button gives the table shown before
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download the whole table (CSV)").click()
    table = pd.read_csv(saved.value.path())
    assert len(table) == CELLS
    assert {"barcode", "label", "joint leiden", "rna leiden", "joint umap_1"} <= set(table.columns)
    settle(page)
    assert not faults(page)
