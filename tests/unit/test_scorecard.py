"""The scorecard in a terminal: one axis, the dot inside its interval, the nulls beside it."""

from __future__ import annotations

from typing import Any

from jobs.commands.scorecard import LEGEND, WIDTH, scorecard


def score(value: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    return {"value": value, "interval": [low, high], "n": 148, "chance": 0.5, "nulls": {"mean": 0.5, "depth": 0.52}}


def report(**scores: Any) -> dict[str, Any]:
    verdict = {"sentences": ["Better than the average profile on 8 of 10 peaks tested (80 %)."]} if scores else None
    return {"directions": {"rna-to-atac": {"n_cells": 148, "scores": scores, "verdict": verdict}}}


def test_the_dot_stands_inside_its_interval_and_right_of_its_nulls() -> None:
    lines = scorecard(report(peak_auroc=score(0.6, 0.57, 0.63)))
    row = next(line for line in lines if "per-peak AUROC" in line)
    assert row.index("○") < row.index("◇") < row.index("├") < row.index("●") < row.index("┤")
    assert "0.600 [0.570, 0.630]" in row
    assert "n = 148" in row
    assert lines[-1] == LEGEND


def test_the_verdict_is_told_in_words_before_the_numbers() -> None:
    lines = scorecard(report(peak_auroc=score(0.6, 0.57, 0.63)))
    assert lines[0].startswith("RNA → ATAC · 148 cells")
    assert "Better than the average profile" in lines[1]


def test_all_rows_share_one_axis() -> None:
    lines = scorecard(report(peak_auroc=score(0.6, 0.5, 0.7), cell_auroc=score(0.6, 0.59, 0.61)))
    dots = {line.index("●") for line in lines if "●" in line and "n =" in line}
    assert len(dots) == 1
    assert all(len(line) < 60 + 2 * WIDTH for line in lines)


def test_what_is_not_defined_is_said_and_not_drawn() -> None:
    lines = scorecard(report(peak_auroc=score(None, None, None), cell_auroc=score(0.6, None, None)))
    assert any("not defined" in line for line in lines)


def test_without_truth_the_card_says_why_there_is_none() -> None:
    assert "not given" in scorecard(report())[1]


def test_what_a_reader_must_know_first_stands_between_verdict_and_scores() -> None:
    given = report(peak_auroc=score(0.6, 0.57, 0.63))
    given["directions"]["rna-to-atac"]["notes"] = ["104 of the 148 scored cells trained this model."]
    assert scorecard(given)[2] == "  note: 104 of the 148 scored cells trained this model."
