"""Mends asked for on the page: fragments are counted on the model that was chosen there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.bootstrap import running
from jobs.client import Client
from tests.builders import peak_names
from tests.fragments import fragments_on, write_fragments
from tests.labs import MODEL, build_catalog, lab_settings, until
from tests.pages import at

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Client]:
    catalog = build_catalog(tmp_path / "pretrained")
    found = fragments_on(peak_names(90), cells=6, each=60, rng=np.random.default_rng(0))
    write_fragments(found, tmp_path / "fragments.tsv.gz")
    settings = replace(lab_settings(tmp_path / "home", catalog), import_roots=(tmp_path.resolve(),))
    with running(settings) as client:
        yield client


def test_fragments_are_brought_in_for_the_chosen_model(lab: Client, tmp_path: Path) -> None:
    page = at("new")
    page.segmented_control(key="cells-way").set_value("Link, S3 or a path")
    page.selectbox(key="cells-mend-model").set_value(MODEL)
    page.number_input(key="cells-mend-fewest").set_value(50)
    page.run()
    next(box for box in page.text_input if "path on the server" in box.label).input(str(tmp_path / "fragments.tsv.gz"))
    next(button for button in page.button if button.label == "Bring it in").click()
    page.run()
    assert not page.exception, [e.value for e in page.exception]
    id = str(page.query_params["cells"])
    data = until(lambda: lab.dataset(id), lambda view: view.state != "importing")
    assert data.state == "ready", data.failure
    assert (data.cells, data.features) == (6, 90)
    assert data.summary["mends"][0]["peaks_of"] == MODEL
    assert data.summary["mends"][0]["min_fragments"] == 50
