"""Which model fits some cells, and jobs and models beside each other, in words."""

from __future__ import annotations

from typing import Any

from app import fit, sides
from app.sides import Side
from jobs.names import Direction, Modality
from jobs.views import IssueView, ModelView, PreflightView

TO_ATAC = Direction.RNA_TO_ATAC


def report(value: float, *, level: str = "better", cells: int = 148, width: float = 0.01) -> dict[str, Any]:
    score = {
        "value": value, "interval": [value - width, value + width], "n": cells, "nulls": {"mean": 0.5}
    }  # fmt: skip
    part = {
        "n_cells": cells, "scores": {"peak_auroc_depth_adjusted": score},
        "verdict": {"level": level, "headline": "It is so."},
    }  # fmt: skip
    return {"directions": {TO_ATAC.value: part}}


def model(id: str, **more: Any) -> ModelView:
    usual: dict[str, Any] = {
        "title": id, "digest": id, "translator": "ridge", "genome": "hg38", "directions": (TO_ATAC,),
        "spaces": {"rna": 60}, "tissue": "t", "report": report(0.6),
    }  # fmt: skip
    return ModelView(id=id, **{**usual, **more})


def plan(share: float, verdict: str = "ready") -> PreflightView:
    issues = (
        (IssueView(level="problem", code="feature-mismatch", message="Too few genes.", hint="Rename them."),)
        if verdict == "refused"
        else ()
    )
    return PreflightView.model_validate(
        {"verdict": verdict, "issues": issues, "coverage": {"rna": {"found": share * 60, "of": 60, "share": share}}}
    )


def order(*models: ModelView, plans: dict[str, PreflightView] | None = None) -> list[str]:
    found = fit.fits(models, lambda m: (plans or {}).get(m.id, plan(0.9)), has=[Modality.RNA], cells_genome="hg38")
    return [each.model.id for each in found]


class TestFit:
    def test_what_is_refused_comes_last_whatever_its_scores(self) -> None:
        assert order(model("a", report=report(0.9)), model("b"), plans={"a": plan(0.1, "refused")}) == ["b", "a"]

    def test_the_cells_genome_comes_before_scores(self) -> None:
        assert order(model("a", genome="mm10", report=report(0.9)), model("b")) == ["b", "a"]

    def test_a_card_that_beats_the_average_comes_before_one_that_does_not(self) -> None:
        assert order(model("a", report=report(0.51, level="no-better")), model("b")) == ["b", "a"]

    def test_then_coverage_then_the_gain(self) -> None:
        assert order(model("a"), model("b"), plans={"a": plan(0.6), "b": plan(0.98)}) == ["b", "a"]
        assert order(model("a", report=report(0.55)), model("b", report=report(0.65))) == ["b", "a"]

    def test_a_retired_model_is_not_offered(self) -> None:
        assert order(model("a", retired=True), model("b")) == ["b"]

    def test_reasons_and_doubts_name_their_numbers(self) -> None:
        (one,) = fit.fits([model("a", genome="mm10")], lambda _: plan(0.9), has=[Modality.RNA], cells_genome="hg38")
        said = "; ".join(one.reasons)
        assert "90 % of its 60 genes are among yours" in said
        assert "beats the average profile at RNA → ATAC" in said
        assert "0.60, average 0.50, on 148 cells it never saw" in said
        assert "mm10" in "; ".join(one.doubts)

    def test_why_a_refused_one_cannot_be_used_is_its_first_problem(self) -> None:
        found = fit.fits([model("a")], lambda _: plan(0.1, "refused"), has=[Modality.RNA], cells_genome=None)
        assert "Too few genes." in fit.recommended(found[0], found)


class TestSides:
    def test_models_of_one_split_were_judged_on_the_same_cells(self) -> None:
        same = [sides.of_model(model(id, split="s")) for id in ("a", "b")]
        assert sides.same_cells(same, TO_ATAC) == (True, "All were judged on the same 148 cells.")

    def test_another_split_is_said_out_loud(self) -> None:
        other = [
            sides.of_model(model("a", split="s")), sides.of_model(model("b", split="t", report=report(0.6, cells=90)))
        ]  # fmt: skip
        fair, said = sides.same_cells(other, TO_ATAC)
        assert not fair
        assert "Not judged on the same cells (90 and 148 cells)" in said
        assert "may be the cells" in sides.verdict(sides.scores(other, TO_ATAC), "peak_auroc_depth_adjusted", fair=fair)

    def test_what_is_unknown_is_never_called_the_same(self) -> None:
        unknown = [sides.of_model(model(id)) for id in ("a", "b")]
        fair, said = sides.same_cells(unknown, TO_ATAC)
        assert not fair
        assert said.startswith("Nothing shows that they were judged on the same cells")

    def test_intervals_that_overlap_are_called_chance(self) -> None:
        near = [sides.of_model(model("a")), sides.of_model(model("b", report=report(0.605)))]
        far = [sides.of_model(model("a")), sides.of_model(model("b", report=report(0.7)))]
        name = "peak_auroc_depth_adjusted"
        assert "could be chance" in sides.verdict(sides.scores(near, TO_ATAC), name, fair=True)
        assert "intervals are apart" in sides.verdict(sides.scores(far, TO_ATAC), name, fair=True)

    def test_what_differs_comes_first(self) -> None:
        table = sides.configurations([sides.of_model(model("a")), sides.of_model(model("b", genome="mm10"))])
        assert table.iloc[0]["setting"] == "genome"
        assert list(table["differs"]) == sorted(table["differs"], reverse=True)

    def test_a_job_is_not_held_against_a_models_settings(self) -> None:
        job = Side("job-1", "a job", "job", {}, {"seed": "0", "kind": "translate"})
        table = sides.configurations([job, sides.of_model(model("a")), sides.of_model(model("b", translator="mean"))])
        assert list(table[table["differs"]]["setting"]) == ["method"]

    def test_two_of_one_name_are_told_apart(self) -> None:
        twice = [Side(id, "same", "job", {}, {}) for id in ("job-000001", "job-000002")]
        assert [side.name for side in sides.apart(twice)] == ["A · same", "B · same"]
