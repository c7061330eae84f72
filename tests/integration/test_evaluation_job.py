"""A prediction of another model scored as a job: its files, its report, what differs with what is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest

from engine.types import Direction, Modality
from jobs.driver import run_attempt
from jobs.runners.local import SerialExecutor
from jobs.stages import STAGES
from tests.h5files import unlike_cellxgene, wrong
from tests.running import Ordered, built_cells, order_evaluation

pytestmark = pytest.mark.slow
RNA, ATAC = Modality.RNA, Modality.ATAC


def run(ordered: Ordered, attempt: int = 1) -> int:
    return run_attempt(ordered.store, ordered.job, attempt, SerialExecutor(ordered.uri))


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> Ordered:
    """Of accessibility, with everything that can be given."""
    ordered = order_evaluation(tmp_path_factory.mktemp("peaks"), ATAC, given=(RNA,), training="training", umap=False)
    assert run(ordered) == 0, ordered.events()[-1]
    return ordered


def report_of(ordered: Ordered, direction: Direction, attempt: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ordered.output("report.json", attempt))["directions"][direction.value]
    return found


def test_the_result_has_the_form_of_a_translation(peaks: Ordered) -> None:
    events = peaks.events()
    stages = [event["stage"] for event in events if event["kind"] == "stage"]
    places = [list(STAGES["evaluate"]).index(stage) for stage in stages]
    assert places == sorted(places)
    assert events[-1]["kind"] == "succeeded"
    assert {each["name"] for each in events[-1]["artifacts"]} == {
        "report.json", "rna-to-atac/features.json", "rna-to-atac/scores.csv", "rna-to-atac/roc.json",
        "rna-to-atac/cells.json", "rna-to-atac/cells.h5ad",
    }  # fmt: skip
    summary = events[-1]["summary"]["rna-to-atac"]
    assert (summary["cells"], summary["arrow"]) == (48, "RNA → ATAC")
    assert summary["verdict"]["level"] == "better"  # built cells: who knows the types must beat the average


def test_the_report_names_nulls_scale_and_provenance(peaks: Ordered) -> None:
    whole, report = json.loads(peaks.output("report.json")), report_of(peaks, Direction.RNA_TO_ATAC)
    assert (whole["kind"], whole["model"], whole["bundle"]) == ("evaluate", "types", "")
    assert set(whole["inputs"]) == {"prediction", "rna", "atac", "training"}
    assert report["scale"] == "probability"
    assert report["split"] == {"scored_in_training": 0, "training_cells": 112}
    score = report["scores"]["peak_auroc_depth_adjusted"]
    assert set(score["nulls"]) == set(report["nulls"]) == {"mean", "depth"}
    assert score["interval"][0] <= score["value"] <= score["interval"][1]
    assert report["detail"]["calibration"] is not None


def test_the_cells_hold_labels_and_scores(peaks: Ordered) -> None:
    table = json.loads(peaks.output("rna-to-atac/cells.json"))
    assert {"barcode", "cell_type", "predicted_type", "auroc", "source_depth"} <= set(table)
    assert table["barcode"] == list(built_cells().barcodes[112:])
    assert table["cell_type"] == table["predicted_type"]


def test_maps_stand_in_the_table_and_in_the_file(tmp_path: Path) -> None:
    ordered = order_evaluation(tmp_path, ATAC, given=(RNA,), cells=slice(146, 160))  # too few for a UMAP: components
    assert run(ordered) == 0, ordered.events()[-1]
    table = json.loads(ordered.output("rna-to-atac/cells.json"))
    assert {"truth_umap_1", "prediction_umap_1", "input_umap_2"} <= set(table)
    assert np.isfinite(np.array(table["prediction_umap_1"], dtype=float)).all()
    assert any("too few for a UMAP" in note for note in json.loads(ordered.output("report.json"))["notes"])
    path = tmp_path / "cells.h5ad"
    path.write_bytes(ordered.output("rna-to-atac/cells.h5ad"))
    assert (wrong(path), unlike_cellxgene(path)) == ([], [])
    found = ad.read_h5ad(path)
    assert found.obsm["X_place"][:, 0].tolist() == list(range(14))
    assert {"X_umap", "X_umap_truth", "X_umap_input"} <= set(found.obsm)
    with h5py.File(path) as file:
        assert file["obs/_index"].attrs["encoding-type"] == "string-array"


def test_genes_alone_with_their_truth_are_enough(tmp_path: Path) -> None:
    ordered = order_evaluation(tmp_path, RNA, umap=False)
    assert run(ordered) == 0, ordered.events()[-1]
    report = report_of(ordered, Direction.ATAC_TO_RNA)
    assert (report["scale"], report["n_cells"], set(report["nulls"])) == ("log-normalised", 48, {"mean"})
    assert report["verdict"]["level"] == "better"
    assert "source_depth" not in json.loads(ordered.output("atac-to-rna/cells.json"))
    assert "mse_skill" in json.loads(ordered.output("atac-to-rna/features.json"))
    ordered.again(2)
    assert run(ordered, attempt=2) == 0
    for name in ("atac-to-rna/features.json", "atac-to-rna/cells.json", "atac-to-rna/scores.csv"):
        assert ordered.output(name) == ordered.output(name, 2), name  # the same again, to the last bit
    assert np.isfinite(report["ceilings"]["gene_pearson"]["halves"])
