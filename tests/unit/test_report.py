"""The report: everything said about one translation, the same after a trip through report.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadInput
from engine.metrics import noise_ceiling, score_rna, verdict
from engine.report import SCHEMA, Report
from engine.types import Direction, Modality, Scale
from tests.predictions import judged_rna


@pytest.fixture(scope="module")
def report() -> Report:
    judged = judged_rna(rng=np.random.default_rng(0))
    scores = score_rna(judged.source, judged.truth, **judged.arguments(resamples=100))
    ceiling = noise_ceiling(judged.counts, Modality.RNA, rng=np.random.default_rng(1))
    return Report(
        direction=Direction.ATAC_TO_RNA,
        n_cells=80,
        bundle="0" * 64,
        scale=Scale.LOG_NORMALISED,
        split={"by": "cell", "part": "test", "train": np.int64(686)},
        seeds=(0,),
        coverage={"found": 812, "of": 1045, "share": np.float32(0.777), "missing": float("nan")},
        scores=scores,
        verdict=verdict(scores),
        ceilings={ceiling.score: ceiling},
        nulls={"mean": "the average profile of the training cells"},
        filters={"genes per cell": (200, 7000)},
        versions={"numpy": "2"},
        notes=("a note",),
    )


def test_a_report_survives_its_file(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path / "report.json")
    again = Report.read(tmp_path / "report.json")
    assert again.as_dict() == report.as_dict()
    again.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "report.json").read_bytes()


def test_the_file_is_strict_json_with_the_scores_by_name(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path / "report.json")
    given = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert given["schema"] == SCHEMA
    assert given["coverage"]["missing"] is None
    score = given["scores"]["gene_pearson"]
    assert {"value", "interval", "n", "nulls"} <= set(score)
    assert set(score["nulls"]) == {"mean", "depth"}
    assert score["interval"][0] < score["value"] < score["interval"][1]


def test_a_report_without_truth_has_no_scores() -> None:
    bare = Report(direction=Direction.RNA_TO_ATAC, n_cells=5, bundle="x", scale=Scale.PROBABILITY)
    again = Report.from_dict(json.loads(json.dumps(bare.as_dict())))
    assert again.scores is None
    assert again.verdict is None
    assert again.as_dict() == bare.as_dict()


def test_another_schema_and_another_file_are_refused(report: Report, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="schema 99"):
        Report.from_dict(report.as_dict() | {"schema": 99})
    (tmp_path / "report.json").write_text("not JSON")
    with pytest.raises(BadInput, match=r"report\.json is not JSON"):
        Report.read(tmp_path / "report.json")
