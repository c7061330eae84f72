"""Charts are valid Vega-Lite, say the finding, and stay light."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app import charts, charts_scores, readings

ROOT = Path(__file__).resolve().parents[2]


def drawn(chart: Any) -> dict[str, Any]:
    """The specification, checked against the Vega-Lite schema by Altair."""
    return dict(charts.dressed(chart, dark=False).to_dict())


def titles(spec: dict[str, Any]) -> str:
    return " ".join(spec["title"]["text"])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def cells(n: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cell": [f"c{i}" for i in range(n)],
            "x": rng.normal(size=n),
            "y": rng.normal(size=n),
            "label": rng.choice(["A", "B"], n),
            "value": rng.random(n),
        }
    )


def test_scores_stand_on_one_axis_with_nulls_and_ceiling() -> None:
    reading = readings.Reading("gene_pearson", 0.07, 0.06, 0.08, 148, {"mean": 0.0, "depth": 0.03}, 0.3)
    spec = drawn(
        charts_scores.scores(pd.DataFrame(readings.marks([reading])), title="t", neutral=0.0, quantity="correlation")
    )
    dots = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "point")
    assert dots["encoding"]["color"]["scale"] == {
        "domain": ["this translation", "average profile", "depth alone", "noise ceiling"],
        "range": [charts.PREDICTION, charts.NULL, charts.NULL, charts.GOOD],
    }
    low, high = dots["encoding"]["x"]["scale"]["domain"]
    assert low < 0.0
    assert high > 0.3


def test_a_score_without_interval_is_still_drawn() -> None:
    reading = readings.Reading("gene_pearson", 0.07, None, None, 148, {})
    drawn(charts_scores.scores(pd.DataFrame(readings.marks([reading])), title="t", neutral=0.0, quantity="correlation"))


def test_a_histogram_counts_every_finite_value_once(rng: np.random.Generator) -> None:
    values = np.append(rng.normal(0.1, 0.1, 500), [np.nan, np.nan])
    spec = drawn(charts_scores.histogram(values, title="t", quantity="r", unit="gene", neutral=0.0))
    data = spec["datasets"][spec["layer"][0]["data"]["name"]]
    assert sum(row["count"] for row in data) == 500
    assert len(data) == 40


def test_a_histogram_of_measured_values_has_the_colour_of_what_is_measured() -> None:
    for measured, colour in ((True, charts.TRUTH), (False, charts.PREDICTION)):
        chart = charts_scores.histogram(
            [-1.0, 2.0], title="t", quantity="r", unit="gene", neutral=0.0, measured=measured
        )
        bars = next(layer for layer in chart.to_dict()["layer"] if layer["mark"]["type"] == "bar")
        assert bars["encoding"]["color"]["scale"]["range"][1] == colour


def test_a_histogram_of_nothing_is_empty_not_broken() -> None:
    drawn(charts_scores.histogram([float("nan")], title="t", quantity="r", unit="gene", neutral=0.5))


def test_a_label_keeps_its_colour_whatever_is_lit(rng: np.random.Generator) -> None:
    table = cells(30, rng)
    spec = drawn(charts.umap(table, title="t", colour="label", labels=["A", "B"]))
    lit = drawn(charts.umap(table, title="t", colour="label", labels=["A", "B"], lit=["B"]))
    assert spec["encoding"]["color"]["scale"]["range"][1] == lit["encoding"]["color"]["scale"]["range"][1]
    assert spec["encoding"]["color"]["scale"]["range"][0] != lit["encoding"]["color"]["scale"]["range"][0]


def test_continuous_maps_are_viridis(rng: np.random.Generator) -> None:
    spec = drawn(charts.umap(cells(30, rng), title="t", colour="value", domain=(0.0, 1.0)))
    assert spec["encoding"]["color"]["scale"]["scheme"] == "viridis"


def test_a_map_of_very_many_cells_is_sampled_and_says_so(rng: np.random.Generator) -> None:
    table = cells(charts.MOST_MARKS + 10, rng)
    chart = charts.umap(table, title="Measured", colour="label", labels=["A", "B"])
    assert len(chart.data) == charts.MOST_MARKS
    assert "100,000 of 100,010 cells" in " ".join(chart.title.text)


def test_small_charts_can_be_saved_as_svg_and_large_ones_stay_light(rng: np.random.Generator) -> None:
    small = charts.umap(cells(100, rng), title="t", colour="label", labels=["A", "B"])
    large = charts.umap(cells(charts.MOST_SVG + 1, rng), title="t", colour="label", labels=["A", "B"])
    assert small.usermeta["embedOptions"]["renderer"] == "svg"
    assert large.usermeta["embedOptions"]["renderer"] == "canvas"


def test_many_marks_are_hidden_from_a_screen_reader_which_has_the_chart_s_own_words(rng: np.random.Generator) -> None:
    few, many = (charts.umap(cells(n, rng), title="t", colour="label", labels=["A", "B"]) for n in (20, 600))
    assert "aria" not in few.to_dict()["config"].get("mark", {})
    assert many.to_dict()["config"]["mark"]["aria"] is False  # of the chart alone would leave pictures without words


def test_an_agreement_of_many_points_is_binned(rng: np.random.Generator) -> None:
    n = charts.MOST_DOTS + 1
    table = pd.DataFrame({"name": [f"g{i}" for i in range(n)], "measured": rng.random(n), "predicted": rng.random(n)})
    spec = drawn(charts.agreement(table, title="t"))
    assert "4,001 genes, binned" in titles(spec)
    tiles = spec["datasets"][spec["layer"][0]["data"]["name"]]
    assert len(tiles) <= 3600
    assert sum(tile["count"] for tile in tiles) == n


def test_agreement_groups_roc_and_strips_are_valid(rng: np.random.Generator) -> None:
    few = pd.DataFrame(
        {"name": ["a", "b"], "label": ["A", "B"], "measured": [0.0, 1.0], "predicted": [0.1, 0.7], "cells": [3, 4]}
    )
    drawn(charts.agreement(few, title="t", labels=["A", "B"]))
    drawn(charts.groups(few, title="t", quantity="expression", order=["A", "B"]))
    curve = pd.DataFrame({"false_positive": [0.0, 1.0], "true_positive": [0.0, 1.0], "what": "this translation"})
    drawn(charts_scores.roc(curve, title="t"))
    strips = pd.DataFrame({"state": ["measured open", "measured closed"] * 5, "predicted": rng.random(10)})
    drawn(charts.strips(strips, title="t", quantity="probability"))


def test_a_long_title_is_broken_for_a_phone() -> None:
    chart = charts_scores.histogram([0.1], title="word " * 40, quantity="r", unit="gene", neutral=0.0)
    assert all(len(line) <= 50 for line in chart.title.text)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    a, b = sorted((_luminance(one), _luminance(other)))
    return (b + 0.05) / (a + 0.05)


def _theme(section: str) -> dict[str, str]:
    text = (ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    body = text.split(f"[theme.{section}]")[1].split("\n[")[0]
    return dict(re.findall(r'(\w+) = "(#\w{6})"', body))


@pytest.mark.parametrize(("section", "ink"), [("light", charts.INK), ("dark", charts.INK_ON_DARK)])
def test_small_print_and_text_have_contrast_of_at_least_4_5(section: str, ink: str) -> None:
    theme = _theme(section)
    for name in ("textColor", "linkColor", "redColor", "orangeColor", "greenColor", "blueColor", "grayColor"):
        assert _contrast(theme[name], theme["backgroundColor"]) >= 4.5, name
    assert _contrast(ink, theme["backgroundColor"]) >= 4.5
    assert _contrast("#FFFFFF", theme["primaryColor"]) >= 4.5  # the words on the primary button


def test_colours_are_written_in_charts_alone() -> None:
    found = [
        path.name
        for folder in (ROOT / "app", ROOT / "app" / "views", ROOT / "app" / "components")
        for path in folder.glob("*.*")
        if path.suffix in (".py", ".js", ".css", ".html") and path.name != "charts.py"
        if re.search(r"#[0-9a-fA-F]{6}\b|\brgba?\(", path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_page_writes_html() -> None:
    pages = [*(ROOT / "app" / "views").glob("*.py"), *(ROOT / "app" / "components").glob("*.py")]
    assert not [path.name for path in pages if "unsafe_allow_html" in path.read_text(encoding="utf-8")]
