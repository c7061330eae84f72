"""The words of a joint view: what it adds is said only where the numbers carry it."""

from __future__ import annotations

from typing import Any

import pytest

from app import jointly
from jobs.names import Direction, Modality
from jobs.views import ModelView


def report(
    joint: float, rna: float, atac: float, *, low: float = 0.1, source: tuple[str, ...] = ("atac", "rna")
) -> Any:
    def view(value: float) -> dict[str, Any]:
        score = {"value": value, "interval": [value - 0.05, value + 0.05], "n": 90, "nulls": {"shuffled": 0.0}}
        return {"kmeans": {"clusters": 4, "ari": score, "nmi": score}, "leiden": {"clusters": 5, "ari": score}}

    gains = {name: {"kmeans_ari": {"value": 0.1, "interval": [low, 0.3]}} for name in ("rna", "atac")}
    return {
        "cells": 90,
        "embedding": {"source": list(source)},
        "structure": {
            "views": {"joint": view(joint), "rna": view(rna), "atac": view(atac)},
            "gains": gains,
            "likeness": {"rna": {"kmeans": 0.5}, "atac": {"kmeans": 0.25}},
        },
        "imputation": {
            "rna": {"scores": {"cell_pearson": {"value": 0.4, "interval": [0.3, 0.5], "n": 90,
                                                "nulls": {"mean": 0.3, "depth": 0.3, "raw": 0.45}}}},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "low", "level"),
    [
        ((0.9, 0.8, 0.1), 0.05, "good"),
        ((0.9, 0.8, 0.1), -0.01, "mixed"),  # the interval of the gain holds 0
        ((0.81, 0.8, 0.1), 0.005, "mixed"),
        ((0.5, 0.8, 0.1), 0.05, "poor"),
    ],
)
def test_a_gain_must_be_large_and_sure(values: tuple[float, float, float], low: float, level: str) -> None:
    found = jointly.verdict(report(*values, low=low), "cell_type")
    assert found.level == level
    assert "RNA alone 0.80" in found.because


def test_a_view_of_one_modality_is_never_called_joint() -> None:
    found = jointly.verdict(report(0.97, 0.8, 0.1, source=("rna",)), "cell_type")
    assert found.level == "unknown"
    assert "RNA alone" in found.sentence
    assert "one modality at a time" in jointly.one_modality(report(0.9, 0.8, 0.1, source=("rna",)))
    assert jointly.one_modality(report(0.9, 0.8, 0.1)) == ""


def test_without_a_label_nothing_is_claimed() -> None:
    bare = {"structure": {"views": {"joint": {"kmeans": {"clusters": 3}}}}}
    assert jointly.verdict(bare, "").level == "unknown"
    assert jointly.score_rows(bare) == []
    assert jointly.verdict({}, "").level == "unknown"


def test_what_imputation_does_not_beat_is_named() -> None:
    said = jointly.imputation_words(report(0.9, 0.8, 0.1), Modality.RNA)
    assert "0.40, above the average profile" in said
    assert said.endswith("not above the cell's own shown counts.")
    assert "could not be judged" in jointly.imputation_words(report(0.9, 0.8, 0.1), Modality.ATAC)


def test_rows_of_the_chart_carry_an_interval_for_the_joint_view_alone() -> None:
    rows = jointly.score_rows(report(0.9, 0.8, 0.1))
    assert [row["what"] for row in rows[:3]] == ["joint view", "RNA alone", "ATAC alone"]
    assert [row["low"] is not None for row in rows[:3]] == [True, False, False]
    table = jointly.score_table(report(0.9, 0.8, 0.1))
    assert len(table) == 6
    assert table[0]["ARI by chance"] == 0.0
    assert "RNA alone agree best" in jointly.best_words(report(0.5, 0.8, 0.1), "cell_type")


def model(id: str, *, joint: bool, genome: str = "hg38", datasets: tuple[str, ...] = ()) -> ModelView:
    return ModelView(
        id=id, title=id, digest="d", translator="t", genome=genome, directions=tuple(Direction), spaces={}, tissue="x",
        joint=joint, datasets=datasets,
    )  # fmt: skip


def test_models_that_read_both_come_first_then_those_of_the_genome_then_ones_own() -> None:
    models = [
        model("alone", joint=False),
        model("mouse", joint=True, genome="mm10"),
        model("other", joint=True),
        model("own", joint=True, datasets=("a", "b")),
    ]
    ranked = [m.id for m in jointly.ranked(models, genome="hg38", datasets=("a", "b"))]
    assert ranked == ["own", "other", "mouse", "alone"]
    reasons = {m.id: jointly.reason(m, genome="hg38", datasets=("a", "b")) for m in models}
    assert "these very cells" in reasons["own"]
    assert "knows mm10" in reasons["mouse"]
    assert "one modality at a time" in reasons["alone"]
