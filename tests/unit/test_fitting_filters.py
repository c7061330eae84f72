"""Which filters a training applies, by what was said and by the method."""

from __future__ import annotations

import pytest

from engine.errors import BadSetting
from engine.fitting import filters_for, read_filters
from engine.preprocess.filters import FilterSettings
from engine.translators.registry import recipe


@pytest.mark.parametrize(
    ("model", "said", "wanted"),
    [
        ("crossview", {}, FilterSettings.none()),
        ("crossview", {"filters": "paper"}, FilterSettings()),
        ("crossview", {"min_cells": "9"}, FilterSettings(min_cells=9)),
        ("ridge", {}, FilterSettings()),
        ("ridge", {"filters": "none"}, FilterSettings.none()),
        ("ridge", {"filters": "paper", "min_cells": "9"}, FilterSettings(min_cells=9)),
    ],
)
def test_what_was_said_counts_and_otherwise_what_suits_the_method(
    model: str, said: dict[str, str], wanted: FilterSettings
) -> None:
    filters, rest = read_filters({**said, "dropout": "0.1"})
    assert rest == {"dropout": "0.1"}
    assert filters_for(recipe(model), filters) == wanted


def test_unknown_filters_are_refused() -> None:
    with pytest.raises(BadSetting, match="filters=most"):
        read_filters({"filters": "most"})
