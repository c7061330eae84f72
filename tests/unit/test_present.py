"""How views become words and tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import present, readings
from jobs.names import Direction, Modality
from jobs.state import JobState
from jobs.views import DatasetView, Failure, Health, JobView, ModelView, PreflightView, Progress

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BOTH = (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA)


def a_job(**changed: Any) -> JobView:
    base: dict[str, Any] = {
        "id": "0123456789abcdef",
        "kind": "translate",
        "title": "my_pbmc.h5ad",
        "state": JobState.RUNNING,
        "attempt": 1,
        "model": "lines",
        "bundle": "b" * 64,
        "directions": (Direction.RNA_TO_ATAC,),
        "cells": 8412,
        "submitted_at": NOW - timedelta(minutes=5),
        "started_at": NOW - timedelta(minutes=4),
        "updated_at": NOW,
    }
    return JobView(**(base | changed))


def a_model(**changed: Any) -> ModelView:
    base: dict[str, Any] = {
        "id": "lines",
        "title": "Cell lines",
        "digest": "d" * 64,
        "translator": "crossmp",
        "genome": "hg38",
        "directions": BOTH,
        "spaces": {"rna": 18666, "atac": 136771},
        "tissue": "four cell lines",
    }
    return ModelView(**(base | changed))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "less than a second"), (7, "7 s"), (192, "3 min 12 s"), (120, "2 min"), (3600, "1 h"), (7500, "2 h 5 min")],
)
def test_a_duration_is_said_in_at_most_two_units(seconds: float, words: str) -> None:
    assert present.duration(seconds) == words


@pytest.mark.parametrize(
    ("interval", "words"),
    [((20.0, 45.0), "20–45 s"), ((70.0, 200.0), "1–4 min"), ((0.2, 0.9), "about 1 s"), ((30.0, 200.0), "up to 4 min")],
)
def test_an_estimate_is_an_interval_rounded_outwards(interval: tuple[float, float], words: str) -> None:
    assert present.duration_range(interval) == words


@pytest.mark.parametrize(
    ("minutes", "words"), [(0, "just now"), (5, "5 min ago"), (180, "3 h ago"), (3000, "2 days ago")]
)
def test_times_are_relative(minutes: int, words: str) -> None:
    assert present.ago(NOW - timedelta(minutes=minutes), NOW) == words


def test_an_old_time_is_a_date() -> None:
    assert present.ago(NOW - timedelta(days=30), NOW) == "22 Oct 2026"


def test_a_time_without_a_zone_is_taken_as_utc() -> None:
    assert present.ago(datetime(2026, 11, 21, 11, 50), NOW) == "10 min ago"


@pytest.mark.parametrize(
    ("n", "words"), [(12, "12 B"), (1500, "1.5 kB"), (4_200_000, "4.2 MB"), (25_000_000_000, "25 GB")]
)
def test_sizes_are_in_decimal_units(n: int, words: str) -> None:
    assert present.size(n) == words


def test_what_is_not_nothing_is_never_called_zero_percent() -> None:
    assert [present.percent(x) for x in (0.0, 0.0004, 0.004, 0.784, 0.9996, 1.0)] == [
        "0 %", "< 0.1 %", "0.4 %", "78 %", "99.9 %", "100 %",
    ]  # fmt: skip


def test_a_score_has_two_decimals_and_a_real_minus() -> None:
    assert present.number(-0.043) == "−0.04"
    assert present.number(-0.0004) == "0.00"
    assert present.number(None) == "–"
    assert present.number(float("nan")) == "–"


def test_text_from_a_file_cannot_be_markup() -> None:
    assert present.plain("a_b [x](javascript:1) <img> :red[!]") == (r"a\_b \[x\]\(javascript\:1\) \<img\> \:red\[\!\]")


def test_every_state_has_a_word_and_only_active_states_are_live() -> None:
    assert {state: present.tag(state).live for state in JobState} == {
        state: state in (JobState.QUEUED, JobState.SUBMITTED, JobState.RUNNING, JobState.CANCELLING)
        for state in JobState
    }


def test_both_directions_are_said_with_one_arrow() -> None:
    assert present.directions(BOTH) == "RNA ⇄ ATAC"


def test_a_finished_job_says_how_long_it_took() -> None:
    job = a_job(state=JobState.SUCCEEDED, finished_at=NOW - timedelta(seconds=48))
    assert present.job_timing(job) == "Succeeded in 3 min 12 s"
    assert present.job_took(job) == "3 min 12 s"


def test_a_waiting_job_says_its_place() -> None:
    assert present.job_timing(a_job(state=JobState.QUEUED, position=2)) == "Waiting, place 2 in the queue"


def test_progress_only_grows_from_stage_to_stage() -> None:
    shares = [
        present.job_step(a_job(progress=Progress(stage=stage, done=done, total=10))).share
        for stage in present.stages("translate")
        for done in (0, 5, 10)
    ]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0)


def test_a_translating_job_counts_cells() -> None:
    step = present.job_step(a_job(progress=Progress(stage="translate", done=4096, total=8412)))
    assert (step.label, step.detail) == ("Translating cells", "4,096 of 8,412 cells")


def test_an_unknown_stage_is_shown_as_it_is_called() -> None:
    assert present.job_step(a_job(progress=Progress(stage="warm-up"))).label == "Warm up"


def test_every_state_that_can_be_shown_by_itself_is_one_choice() -> None:
    assert present.FILTERS["Ended otherwise"] == {JobState.FAILED, JobState.LOST, JobState.CANCELLED}
    parts = [states for states in present.FILTERS.values() if states]
    assert sorted(state for states in parts for state in states) == sorted(JobState)


def test_a_batch_is_one_sentence_the_most_first() -> None:
    states = {JobState.FAILED: 1, JobState.SUCCEEDED: 3}
    assert present.batch_line(states) == "4 jobs: 3 succeeded, 1 failed"


def test_counts_kept_beside_normalised_values_are_told_in_a_word() -> None:
    summary = {
        "counts_from": "layers['counts']", "depth": {"50": 812.4},
        "notes": ["Counts were read from layers['counts'].", "3 of 40 cells have no counts at all."],
    }  # fmt: skip
    data = DatasetView(id="ds-1", name="a", state="ready", summary=summary)
    first, second = present.counts_lines(data)
    assert first == "Raw counts were found in layers['counts']; what X holds is not used, about 812 a cell."
    assert second.startswith("3 of 40")
    usual = DatasetView(id="ds-1", name="a", state="ready", summary={"counts_from": "X"})
    assert present.counts_lines(usual) == ["Raw counts were found in X."]


def test_a_failure_keeps_its_words_apart() -> None:
    panel = present.failure(Failure(code="not-counts", message="Only normalised values.", hint="Give counts."))
    assert (panel.what, panel.do, panel.code) == ("Only normalised values.", "Give counts.", "not-counts")


def test_cells_are_described_in_one_line() -> None:
    data = DatasetView(
        id="x", name="a.h5ad", state="ready", modality=Modality.RNA, cells=8412, features=36601, genome="hg38",
        summary={"notes": ["Counts were read from X.", "3 names repeated."]},
    )  # fmt: skip
    assert present.dataset_line(data) == "8,412 cells × 36,601 genes · human (hg38)"
    assert present.dataset_notes(data) == ["3 names repeated."]


def test_a_download_is_counted_in_bytes_and_a_copy_in_cells() -> None:
    fetching = DatasetView(id="x", name="a", state="importing", stage="downloading", done=5 * 10**6, total=10**7)
    copying = fetching.model_copy(update={"stage": "copying", "done": 5000, "total": 10000})
    assert present.import_step(fetching).detail == "5.0 MB of 10 MB"
    assert present.import_step(copying).detail == "5,000 of 10,000"


def test_the_plan_says_what_runs_how_long_and_where_the_data_go() -> None:
    plan = PreflightView(
        verdict="ready", directions=BOTH, truth=BOTH, cells=148, paired_cells=140, seconds=(20, 70), memory_mb=900,
        coverage={"rna": {"found": 18203, "of": 18666, "share": 0.975}},
    )  # fmt: skip
    text = " ".join(present.plan_lines(plan, Health(version="0", runner="ray", runner_alive=True, nodes=1)))
    for part in ("148 cells", "140 cells", "20–70 s", "900 MB", "this machine", "until you delete it"):
        assert part in text
    assert present.coverage_lines(plan) == ["18,203 of the model's 18,666 genes found (98 %)"]


def test_too_few_genes_are_no_tick() -> None:
    plan = PreflightView(verdict="refused", coverage={"rna": {"found": 0, "of": 18666, "share": 0.0}}, notes=("a", "a"))
    assert present.coverage_lines(plan) == []
    assert present.plan_notes(plan) == ["a"]


def test_a_cluster_is_named_as_where_the_data_go() -> None:
    health = Health(version="0", runner="ray", runner_alive=True, nodes=4)
    assert present.where(health) == "your own cluster of 4 machines."


def a_report(level: str = "better") -> dict[str, Any]:
    score = {"value": 0.59, "interval": [0.57, 0.61], "n": 148, "nulls": {"mean": 0.5, "depth": 0.52}}
    return {
        "scores": {"peak_auroc_depth_adjusted": score, "broken": {"value": None, "interval": [None, None]}},
        "ceilings": {"peak_auroc_depth_adjusted": {"ceiling": 0.66}},
        "verdict": {"level": level, "headline": "Better than the average profile on 812 of 1,045 peaks."},
        "detail": {"modality": "rna", "spread": 0.1, "notes": ["A note."]},
        "notes": [],
    }


def test_a_reading_carries_interval_nulls_and_ceiling() -> None:
    found = readings.readings(a_report())
    assert list(found) == ["peak_auroc_depth_adjusted"]
    reading = found["peak_auroc_depth_adjusted"]
    assert (reading.low, reading.high, reading.ceiling, reading.nulls["depth"]) == (0.57, 0.61, 0.66, 0.52)
    assert reading.sentence == "per-peak AUROC, depth-adjusted: 0.590 (0.570 to 0.610); average 0.500"


def test_the_axis_shows_each_score_with_what_stands_beside_it() -> None:
    rows = readings.marks(list(readings.readings(a_report()).values()))
    assert [row["what"] for row in rows] == ["this translation", "average profile", "depth alone", "noise ceiling"]


@pytest.mark.parametrize(
    ("level", "shown", "begins"),
    [("better", "good", "Yes"), ("unclear", "mixed", "Perhaps"), ("no-better", "poor", "No")],
)
def test_the_verdict_answers_whether_to_trust_it(level: str, shown: str, begins: str) -> None:
    verdict = readings.verdict(a_report(level))
    assert verdict.level == shown
    assert verdict.sentence.startswith(begins)
    assert "812" in verdict.because


def test_scores_on_the_cells_a_model_was_trained_on_are_never_called_good() -> None:
    verdict = readings.verdict({**a_report("better"), "n_cells": 148, "split": {"scored_in_training": 104}})
    assert verdict.level == "mixed"
    assert "104 of the 148" in verdict.sentence
    by_chance = readings.verdict({**a_report("better"), "n_cells": 5000, "split": {"scored_in_training": 30}})
    assert by_chance.level == "good"


def test_without_truth_the_verdict_says_that_nothing_was_scored() -> None:
    verdict = readings.verdict({"verdict": None, "scores": {}})
    assert verdict.level == "unknown"
    assert "could not be scored" in verdict.sentence


def test_over_smoothing_is_said() -> None:
    said = readings.cautions(a_report())
    assert "10 % of the variance" in said[0]
    assert said[1] == "A note."


def test_one_directions_report_is_found_and_a_missing_one_is_empty() -> None:
    report = {"directions": {"rna-to-atac": a_report()}}
    assert readings.of_direction(report, Direction.RNA_TO_ATAC)["scores"]
    assert readings.of_direction(report, Direction.ATAC_TO_RNA) == {}


def test_every_headline_score_is_explained() -> None:
    names = {name for names in readings.HEADLINES.values() for name in names}
    names |= {name for columns in readings.COLUMNS.values() for name in columns.values()}
    assert all(readings.MEANINGS[name].help for name in names)


def test_null_columns_are_named_after_what_they_are() -> None:
    assert readings.column_words("auroc_null_mean") == "AUROC of average profile"
    assert readings.column_words("pearson_se") == "correlation (Pearson), standard error"


def test_the_last_words_of_a_running_job_are_its_own_and_not_the_runners() -> None:
    started = "2026-11-21 09:14:59,648\tINFO job_manager.py:581 -- Setting up.\nRunning entrypoint for job x"
    assert present.last_words(started) == ""
    assert present.last_words(f"{started}\nScoring 148 cells\n") == "Scoring 148 cells"


def test_a_card_is_told_below_the_headings_of_its_page() -> None:
    card = "# Mine\n\n- Model: `ridge`\n\n## Limits\n\nIt knows # of cells.\n### RNA → ATAC\n"
    assert present.card_text(card) == "- Model: `ridge`\n\n#### Limits\n\nIt knows # of cells.\n##### RNA → ATAC"
    assert present.card_text("No title.") == "No title."
