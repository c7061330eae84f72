"""Choosing a model to train: what it is in one sentence, what it lacks, and its settings as fields."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import recipes
from app.asked import filter_choices
from app.components import address, failure
from app.components.address import choice
from app.kinds import as_text
from app.present import plain
from jobs.bootstrap import current_client
from jobs.views import Health, RecipeView


def known() -> list[RecipeView]:
    """What can be trained here; empty, with a panel, where the service does not say."""
    with failure.shown("The models that can be trained cannot be listed"):
        return _recipes()
    return []


@st.cache_data(ttl=600, show_spinner=False)
def _recipes() -> list[RecipeView]:
    return current_client().recipes()


def recipe(found: Sequence[RecipeView]) -> RecipeView:
    """One model, the one to start with first; what it is stands under it."""
    ranked = recipes.ranked(found)
    by_key = {r.key: r for r in ranked}
    chosen = by_key[choice("Model", list(by_key), param="model", words=lambda key: _title(by_key[key]))]
    about(chosen)
    reason = recipes.why_first(chosen)
    if reason:
        st.caption(f":material/thumb_up: {reason}")
    return chosen


def _title(each: RecipeView) -> str:
    return f"{each.title} (not installed)" if each.missing else each.title


def about(each: RecipeView) -> None:
    source = f" {plain(each.source)}" if each.source else ""
    st.markdown(f"{plain(each.what)}{source}")
    if each.holds_cells:
        st.caption(
            ":material/lock: The finished model carries the training cells themselves: share it as you would share "
            "the data."
        )
    if each.missing:
        st.markdown(":material/block: **It is not installed here.** Whoever runs this server can add it:")
        st.code(recipes.mend(each), language="bash")


def settings(each: RecipeView) -> dict[str, str]:
    """Its settings that were changed, each field's own state in the address."""
    fields = [recipes.field(s) for s in each.settings]
    if not fields:
        return {}
    values: dict[str, object] = {}
    with st.expander("Settings of this model", icon=":material/tune:", key=f"settings-{each.key}"):
        st.caption("The defaults need no change. What differs from them is marked, and listed below.")
        for row in range(0, len(fields), 3):
            for column, field in zip(st.columns(3), fields[row : row + 3], strict=False):
                with column:
                    values[field.name] = _field(each, field)
                    if values[field.name] != field.default:
                        st.caption(f":orange-badge[changed] default {as_text(field.default)}")
    changed = recipes.changed(fields, values)
    if changed:
        st.caption(f":material/tune: Changed: {plain(recipes.said(fields, changed))}.")
    return changed


def _field(each: RecipeView, field: recipes.Field) -> object:
    param, help = f"{each.key}.{field.name}", field.what or None
    if isinstance(field.default, bool):
        return address.tick(field.label, param=param, usual=field.default, help=help)
    if isinstance(field.default, int):
        return address.number(field.label, param=param, usual=field.default, help=help)
    if isinstance(field.default, float):
        return address.number(field.label, param=param, usual=field.default, step=field.step, help=help)
    return address.text(field.label, param=param, usual=field.default, help=help)


_DEVICES = {"auto": "Whatever there is", "cpu": "CPU", "cuda": "GPU"}


def device(health: Health | None) -> str:
    """Where it trains; a GPU is offered only where the place that runs jobs has one."""
    options = [name for name in _DEVICES if name != "cuda" or health is None or (health.gpus or 0) > 0]
    help = None if "cuda" in options else "The place where jobs run has no GPU."
    return choice("Trained on", options, param="device", words=_DEVICES.__getitem__, help=help)


_FILTERS = {"published": "Filtered as published", "everything": "All of them"}


def filters(everything: bool = False) -> None:
    """Which genes and peaks a model learns. everything: all of them is what suits the method, and is offered first."""
    choice(
        "Genes and peaks", filter_choices(everything), param="filters", words=_FILTERS.__getitem__,
        help="As published (CrossMP): no sex chromosomes, training cells with 200–7,000 genes, peaks open in at least "
        "5 training cells and at most 10 %. Choose all where the files are filtered already, or are very sparse.",
    )  # fmt: skip


_GENOMES = {"": "As recognised", "hg38": "Human (hg38)", "mm10": "Mouse (mm10)"}


def genome(recognised: str | None) -> None:
    """Asked only where the names of genes and peaks did not tell."""
    if not recognised:
        choice("Genome", list(_GENOMES), param="genome", words=_GENOMES.__getitem__)
