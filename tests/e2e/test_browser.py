"""What a person does: the example from the first click to the downloaded report, and a large file of their own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import h5py
import numpy as np
import pytest

from app.components.upload import SLICE_BYTES
from jobs.client_http import HttpClient
from jobs.commands.stack import Stack
from tests.labs import free_port
from tests.walking import settle, sideways

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from jobs.runners.ray.cluster import LocalRay

pytestmark = [
    pytest.mark.browser,
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(480),
]

SOON, CHECKED, LATER = 30_000, 120_000, 240_000  # milliseconds, on a busy machine: a page; cells; a whole job
GENES = 4_000


@pytest.fixture(scope="module")
def stack(local_ray: LocalRay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The server as `crossview up` starts it, with the bundled model, on the Ray of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSVIEW_RAY_ADDRESS", local_ray.address)
        patch.setenv("CROSSVIEW_RAY_TOKEN_PATH", str(local_ray.token_path))
        stack = Stack.start(home=tmp_path_factory.mktemp("lab"), port=free_port())
        yield stack
        stack.stop()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(SOON)
    yield page
    context.close()


@pytest.fixture(scope="module")
def example(browser: Browser, stack: Stack) -> str:
    """The address of the finished example, started by the button and watched until its scorecard shows."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.goto(f"{stack.url}/new")
    page.get_by_role("button", name="Try the example").click()
    page.wait_for_url("**/job?id=*", timeout=SOON)
    page.get_by_text("You may close this tab").wait_for(timeout=SOON)
    page.get_by_role("heading", name="Can I trust it?").wait_for(timeout=LATER)
    address = page.url
    context.close()
    return address


def test_the_example_is_watched_until_it_says_whether_to_trust_it(page: Page, example: str) -> None:
    page.goto(example)
    page.get_by_text("the average profile on").first.wait_for()
    page.locator(".st-key-scores-axis svg.marks").wait_for()
    for kind in ("truth", "prediction"):
        page.locator(f".st-key-map-{kind} svg.marks").wait_for()


def test_a_gene_is_searched_and_survives_a_reload(page: Page, example: str) -> None:
    page.goto(example)
    page.get_by_text("ATAC → RNA", exact=True).click()
    page.wait_for_url("**direction=atac-to-rna**")
    page.get_by_label("Search a gene").fill("VIM")
    page.get_by_label("Search a gene").press("Enter")
    page.get_by_text("better predicted than").wait_for(timeout=CHECKED)  # the first decode loads the model
    assert "gene=VIM" in page.url
    page.reload()
    page.get_by_text("better predicted than").wait_for(timeout=SOON)
    page.locator(".st-key-groups svg.marks").wait_for()


def test_the_roc_curve_is_one_tab_away_and_a_chart_can_be_saved(page: Page, example: str) -> None:
    page.goto(f"{example}&direction=rna-to-atac")
    page.get_by_role("tab", name="Scorecard").click()
    page.locator(".st-key-roc svg.marks").wait_for()
    page.locator(".st-key-histogram svg.marks").wait_for()
    page.locator("[data-testid=stDataFrame]").first.hover()
    assert page.get_by_role("button", name="Search: All scores").count() == 1  # the table's toolbar is there …
    assert page.get_by_role("button", name="Download as CSV").count() == 0  # … without the download that quotes nothing
    assert "tab=Scorecard" in page.url
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save this chart as SVG: ROC curve").click()
    text = saved.value.path().read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    assert "false positive rate" in text
    with page.expect_download() as picture:
        page.get_by_role("button", name="Save this chart as PNG: ROC curve").click()
    assert picture.value.path().read_bytes()[:4] == b"\x89PNG"


def test_cells_marked_on_one_map_are_lit_on_both_and_compared_with_the_others(page: Page, example: str) -> None:
    page.goto(f"{example}&direction=atac-to-rna&tab=Cells")
    drawn = page.locator(".st-key-map-prediction svg.marks")
    drawn.wait_for()
    drawn.scroll_into_view_if_needed()
    box = drawn.bounding_box()
    assert box is not None
    left, top = box["x"] + box["width"] * 0.02, box["y"] + box["height"] * 0.12
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + box["width"] * 0.3, top + box["height"] * 0.3, steps=6)
    page.mouse.move(left + box["width"] * 0.9, top + box["height"] * 0.66, steps=6)
    page.mouse.up()
    page.get_by_text("marked in the box on the predicted map").wait_for()
    assert "box=prediction" in page.url
    for which in ("truth", "prediction"):
        page.locator(f".st-key-map-{which} svg.marks [fill='#CCCCCC66']").first.wait_for(state="attached")
    page.get_by_role("button", name="Add to group A").click()
    page.get_by_role("button", name="Compare A with B").click()
    page.get_by_text("double dipping").wait_for(timeout=CHECKED)
    page.reload()
    page.get_by_text("double dipping").wait_for(timeout=CHECKED)
    with page.expect_download() as saved:
        page.locator(".st-key-apart-out").get_by_role("button", name="CSV").click()
    assert saved.value.path().read_text(encoding="utf-8").startswith("gene,predicted A,predicted B,difference")


def test_a_lasso_drawn_by_hand_lights_its_cells_on_both_maps(page: Page, example: str) -> None:
    from playwright.sync_api import expect

    page.goto(f"{example}&direction=atac-to-rna&tab=Cells&mark=Lasso")
    grounds = {which: page.locator(f".st-key-map-{which} .nsewdrag") for which in ("truth", "prediction")}
    for ground in grounds.values():
        ground.wait_for(timeout=120_000)  # the first of Plotly brings its script
    grounds["prediction"].scroll_into_view_if_needed()
    box = grounds["prediction"].bounding_box()
    assert box is not None
    for n in range(41):  # around the lower left half, as a hand would
        turn = 2 * math.pi * n / 40
        across, up = 0.4 + 0.38 * math.cos(turn), 0.55 + 0.43 * math.sin(turn)
        page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * up)
        if not n:
            page.mouse.down()
    page.mouse.up()
    said = page.get_by_text("marked in the lasso on the predicted map").text_content() or ""
    marked, of = (int(number) for number in re.findall(r"\d+", said)[:2])
    assert 0 < marked < of
    corners = parse_qs(urlsplit(page.url).query)["box"][0].removeprefix("prediction:").split(",")
    assert 8 <= len(corners) <= 24
    for which in grounds:
        traces = page.locator(f".st-key-map-{which} .scatterlayer .trace")
        for n, dots in enumerate((of - marked, marked)):  # the grey ones are drawn first
            expect(traces.nth(n).locator(".point")).to_have_count(dots, timeout=SOON)
        assert page.locator(f".st-key-map-{which} canvas").count() == 0  # no WebGL
    with page.expect_download() as saved:
        page.locator(".st-key-map-prediction").get_by_role("button", name="Save this chart as SVG").click()
    text = saved.value.path().read_text(encoding="utf-8")
    assert text.count('<path class="point ') == of
    assert "Predicted expression" in text
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("Draw a line around cells").wait_for()
    assert "box=" not in page.url


def test_the_report_is_downloaded_whole(page: Page, example: str, stack: Stack) -> None:
    page.goto(example)
    page.get_by_role("button", name="Download", exact=False).first.click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="report.json").click()
    report = json.loads(saved.value.path().read_text(encoding="utf-8"))
    id = example.split("id=")[1].split("&")[0]
    with HttpClient(stack.url) as client:
        assert report == client.report(id)
    assert set(report["directions"]) == {"rna-to-atac", "atac-to-rna"}


def test_the_real_example_fits_a_phone(browser: Browser, example: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    for address in (example, f"{example}&tab=Scorecard", f"{example}&tab=Peaks", f"{example}&tab=Genome&place=VIM"):
        page.goto(address)
        settle(page)
        assert not sideways(page), address
    context.close()


def test_a_model_is_trained_from_the_page_read_and_compared_with_its_training(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/new?kind=train&model=crossmp&crossmp.epochs=3&crossmp.batch=64&name=Lines+again")
    page.get_by_role("button", name="Use the example's cells").click()
    page.get_by_role("button", name="Next: check").click(timeout=CHECKED)  # both files are brought in before
    page.get_by_role("button", name="Next: model").click(timeout=LATER)
    assert "crossmp.epochs=3" in page.url
    page.get_by_role("button", name="Next: review").click()
    page.wait_for_url("**step=4**")
    page.reload()
    page.get_by_role("button", name="Train this model").click(timeout=CHECKED)
    page.wait_for_url("**/job?id=*", timeout=SOON)
    job = page.url.split("id=")[1].split("&")[0]
    page.get_by_role("heading", name="Can this model be trusted?").wait_for(timeout=LATER)
    page.get_by_role("tab", name="Curve").click()
    page.locator(".st-key-curve-0 svg.marks").wait_for()
    page.get_by_role("tab", name="Card", exact=True).click()
    page.get_by_role("heading", name="Lines again", level=1).last.wait_for()
    page.get_by_role("link", name="Translate with it").click()
    page.wait_for_url("**model=lines-again-**")
    model = page.url.split("model=")[1].split("&")[0]
    page.goto(f"{stack.url}/compare?job={job}&model={model}")
    page.get_by_text("All were judged on the same").wait_for(timeout=SOON)
    page.locator(".st-key-beside svg.marks").wait_for()


def test_a_job_is_changed_and_run_again(page: Page, example: str, stack: Stack) -> None:
    page.goto(f"{stack.url}/jobs?show=Succeeded&kind=translate")
    page.get_by_role("link", name="Change and run").first.click()
    page.get_by_text("was asked: change what you like").wait_for()
    page.get_by_role("button", name="Back").click()
    page.get_by_text("Options", exact=True).click()
    page.get_by_role("spinbutton", name="Seed").fill("5")
    page.get_by_role("spinbutton", name="Seed").press("Enter")
    page.wait_for_url("**seed=5**")
    page.get_by_role("button", name="Next: review").click()
    page.get_by_text("Changed from the usual: seed 5").wait_for(timeout=CHECKED)
    page.get_by_role("button", name="Translate", exact=True).click()
    page.wait_for_url("**/job?id=*", timeout=CHECKED)
    page.get_by_text("You may close this tab").wait_for(timeout=SOON)
    id = page.url.split("id=")[1].split("&")[0]
    with HttpClient(stack.url) as client:
        asked = client.job(id)
        assert (asked.spec["seed"], asked.id in example) == (5, False)
        client.cancel(id)
    page.get_by_text("This translation was cancelled").wait_for(timeout=CHECKED)


def test_a_file_is_uploaded_and_its_cells_are_told(page: Page, stack: Stack, tmp_path: Path) -> None:
    file = large_h5ad(tmp_path / "large_rna.h5ad", cells=2_000)
    assert file.stat().st_size > 3 * SLICE_BYTES
    page.goto(f"{stack.url}/new")
    page.locator("input[type=file]").first.wait_for(state="attached")
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_text(f"2,000 cells × {GENES:,} genes").wait_for(timeout=CHECKED)
    assert "cells=" in page.url
    with HttpClient(stack.url) as client:
        data = client.dataset(page.url.split("cells=")[1].split("&")[0])
    assert (data.state, data.cells, data.features, data.name) == ("ready", 2_000, GENES, "large_rna.h5ad")


def test_an_upload_that_is_no_anndata_file_is_told_what_to_do(page: Page, stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "notes.h5ad"
    file.write_text("these are my notes", encoding="utf-8")
    page.goto(f"{stack.url}/new")
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_text("What to do").wait_for(timeout=60_000)
    page.get_by_role("button", name="Choose another file").click()
    page.locator("input[type=file]").first.wait_for(state="attached")


def test_an_interrupted_upload_goes_on_where_it_stopped(page: Page, stack: Stack, tmp_path: Path) -> None:
    file = large_h5ad(tmp_path / "resumed_rna.h5ad", cells=1_500)
    third = f"offset={2 * SLICE_BYTES}"
    page.goto(f"{stack.url}/new")
    page.locator("input[type=file]").first.wait_for(state="attached")
    page.route(f"**/api/v1/uploads/*?{third}", lambda route: route.abort())  # the third slice never arrives
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_text("trying again").wait_for()
    page.unroute(f"**/api/v1/uploads/*?{third}")
    page.reload()
    offsets: list[str] = []
    page.on("request", lambda request: offsets.append(request.url) if request.method == "PUT" else None)
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_text(f"1,500 cells × {GENES:,} genes").wait_for(timeout=CHECKED)
    assert offsets[0].endswith(third)


def large_h5ad(path: Path, *, cells: int) -> Path:
    """Random counts of human gene names as CSR, uncompressed, written block by block: some 15 kB a cell."""
    per_cell, rng = 1_900, np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [cells, GENES]})
        x["indptr"] = np.arange(cells + 1, dtype=np.int64) * per_cell
        data = x.create_dataset("data", shape=(cells * per_cell,), dtype="f4", chunks=(per_cell * 100,))
        indices = x.create_dataset("indices", shape=(cells * per_cell,), dtype="i4", chunks=(per_cell * 100,))
        for start in range(0, cells, 100):
            here = slice(start * per_cell, (start + 100) * per_cell)
            data[here] = rng.integers(1, 9, per_cell * 100)
            rows = [np.sort(rng.choice(GENES, per_cell, replace=False)) for _ in range(100)]
            indices[here] = np.concatenate(rows)
        _frame(file, "obs", [f"CELL{i:06d}-1" for i in range(cells)])
        _frame(file, "var", [f"GENE{i}" for i in range(GENES)])
        for name in ("layers", "obsm", "obsp", "varm", "varp", "uns"):
            file.create_group(name).attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
    return path


def _frame(file: h5py.File, name: str, index: list[str]) -> None:
    frame = file.create_group(name)
    frame.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    frame.attrs.create("column-order", np.array([], dtype=h5py.string_dtype()))
    column = frame.create_dataset("_index", data=np.array(index, dtype=object), dtype=h5py.string_dtype())
    column.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
