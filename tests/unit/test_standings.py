"""A benchmark's document in words, tables and charts."""

from __future__ import annotations

from typing import Any

import pytest

from app import charts, charts_benchmark, standings
from jobs.names import Direction

NAME = "gene_pearson"


def cell(value: float, *, over_ridge: tuple[float, float, float] | None = None) -> dict[str, Any]:
    gains = {"mean": {"value": value, "interval": [value - 0.02, value + 0.02]}}
    if over_ridge:
        gains["ridge"] = {"value": over_ridge[0], "interval": list(over_ridge[1:])}
    return {
        "value": value, "interval": [value - 0.02, value + 0.02], "sd": 0.001, "gains": gains,
        "seeds": {"0": value - 0.001, "1": value + 0.001}, "averaged": 10, "undefined": 0, "chance": 0.0,
    }  # fmt: skip


def contender(label: str, *, model: str = "", null: bool = False, **settings: str) -> dict[str, Any]:
    costs = {"train_s": 3.0, "predict_s": 0.2, "peak_mb": 120.0, "device": "cpu", "threads": 1, "resumed": False}
    return {
        "label": label, "model": model or label, "settings": settings, "recipe": {"hidden": 16}, "null": null,
        "seeds": [0, 1], "notes": [], "code": [], "costs": costs,
    }  # fmt: skip


@pytest.fixture
def document() -> dict[str, Any]:
    """Three rivals and a null, as engine.benchmark.report writes them."""
    scores = {
        "mean": {NAME: {**cell(0.0), "gains": {}}},
        "ridge": {NAME: cell(0.10)},
        "tuned": {NAME: cell(0.14, over_ridge=(0.04, 0.01, 0.07))},
        "wide": {NAME: cell(0.13, over_ridge=(0.03, -0.01, 0.06))},
    }
    part = {
        "main": NAME, "n": 90, "features": 30, "scored_features": 20, "spread": {}, "calibration": {},
        "ceiling": {"score": NAME, "ceiling": 0.3, "note": "From counts split in two."},
        "truth_structure": {}, "scores": {NAME: "scores", "cluster_ari": "structure"}, "contenders": scores,
        "best": {NAME: {"label": "tuned", "level_with": ["wide"]}},
        "differences": {
            NAME: [
                {"a": "ridge", "b": "tuned", "value": -0.04, "interval": [-0.07, -0.01]},
                {"a": "ridge", "b": "wide", "value": -0.03, "interval": [-0.06, 0.01]},
                {"a": "tuned", "b": "wide", "value": 0.01, "interval": [-0.02, 0.03]},
            ]
        },
        "batches": {"B1": {"n": 40, "contenders": scores, "best": {NAME: {"label": "tuned", "level_with": []}}}},
    }  # fmt: skip
    return {
        "schema": 1, "title": "t", "seeds": [0, 1], "notes": [], "peers": None,
        "data": {"part": "test", "cells": {"train": 400, "valid": 50, "test": 90}, "genes": 30, "peaks": 60},
        "contenders": [
            contender("mean", null=True), contender("ridge"), contender("tuned", model="babel", hidden="32"),
            contender("wide", model="babel", hidden="64"),
        ],
        "failures": [
            {"label": "multivi", "seed": s, "code": "missing-extra", "message": "It needs scvi-tools.", "hint": ""}
            for s in (0, 1)
        ],
        "directions": {"atac-to-rna": part},
    }  # fmt: skip


@pytest.fixture
def part(document: dict[str, Any]) -> dict[str, Any]:
    return dict(document["directions"]["atac-to-rna"])


def test_the_verdict_names_the_best_what_could_be_chance_and_the_gain(
    document: dict[str, Any], part: dict[str, Any]
) -> None:
    said = standings.verdict(document, part, NAME)
    assert said.startswith("tuned is best at per-gene correlation (Pearson): 0.140 (0.120–0.160)")
    assert "The difference to wide could be chance" in said
    assert said.endswith("Over ridge regression: +0.040 (+0.010 to +0.070).")


def test_a_null_that_comes_first_is_called_what_it_is(document: dict[str, Any], part: dict[str, Any]) -> None:
    part["best"] = {NAME: {"label": "mean", "level_with": []}}
    assert "No model beats what knows nothing of the cells" in standings.verdict(document, part, NAME)


def test_lines_are_ranked_with_paired_gains_and_nulls_told_apart(
    document: dict[str, Any], part: dict[str, Any]
) -> None:
    table = standings.lines(document, part, NAME)
    assert list(table["label"]) == ["tuned", "wide", "ridge", "mean"]
    assert table.loc[0, ["gain ridge", "from ridge", "to ridge"]].tolist() == [0.04, 0.01, 0.07]
    assert list(standings.rivals(document, part, NAME)["label"]) == ["tuned", "wide", "ridge"]
    assert standings.lines(document, part, "cluster_ari").empty


def test_every_pair_is_there_both_ways_and_an_interval_with_0_is_level(part: dict[str, Any]) -> None:
    table = standings.pairs(part, NAME).set_index(["a", "b"])
    assert table.loc[("tuned", "ridge"), "standing"] == "better"
    assert table.loc[("ridge", "tuned"), "standing"] == "worse"
    assert table.loc[("wide", "ridge"), "standing"] == "level"
    assert table.loc[("tuned", "ridge"), ["low", "high"]].tolist() == [0.01, 0.07]
    assert standings.wins(standings.pairs(part, NAME)) == "Tuned is better than 1 of 2 others, beyond chance"


def test_the_table_to_download_holds_every_batch(document: dict[str, Any]) -> None:
    table = standings.every_score(document)
    assert set(table["batch"]) == {"all", "B1"}
    assert set(table["direction"]) == {"atac-to-rna"}


def test_one_trouble_of_several_seeds_is_said_once(document: dict[str, Any]) -> None:
    assert standings.failures(document) == ["multivi took no part: It needs scvi-tools."]
    assert standings.directions(document) == [Direction.ATAC_TO_RNA]


def test_models_that_took_part_more_than_once_are_named(document: dict[str, Any]) -> None:
    assert standings.variants(document) == {"babel": ["tuned", "wide"]}
    assert "hidden=32" in list(standings.recipes(document)["changed from the defaults"])


def test_the_ceiling_is_shown_for_its_own_score_alone(part: dict[str, Any]) -> None:
    assert standings.ceiling(part, NAME) == 0.3
    assert standings.ceiling(part, "cluster_ari") is None


def test_standings_pairs_and_costs_are_valid_charts(document: dict[str, Any], part: dict[str, Any]) -> None:
    table, seeds = standings.rivals(document, part, NAME), standings.seed_points(part, NAME)
    marked = [("mean", 0.0, "null"), (charts_benchmark.CEILING, 0.3, "good")]
    spec = charts.dressed(
        charts_benchmark.standings(table, seeds, title="t", quantity="r", marked=marked), dark=False
    ).to_dict()
    low, high = spec["layer"][3]["encoding"]["x"]["scale"]["domain"]
    assert low < 0.0
    assert high > 0.3
    charts_benchmark.win_matrix(standings.pairs(part, NAME), list(table["label"]), title="t").to_dict()
    costs = standings.costs(document, part, NAME)
    charts_benchmark.costs(
        costs, title="t", cost="train_s", words="time to train", unit="s", quantity="correlation"
    ).to_dict()
