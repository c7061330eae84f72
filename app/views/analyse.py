"""Analyse: cells measured both ways, the question, model and labels; then what it will take."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import analyses, jointly, present
from app.analyses import NO_LABEL, NO_MODEL, QUESTIONS, question
from app.asked import label_choices
from app.components import failure, preflight
from app.components.address import choice
from app.components.analysis_options import Asked, options
from app.components.pair import Pair, pair
from jobs.bootstrap import current_client
from jobs.spec import AnalysisSpec
from jobs.views import Health, ModelView, PreflightView

STAYS = ("rna", "atac", "model", "label")


def page() -> None:
    st.title("Analyse")
    st.markdown(
        "Ask one question of cells that were measured both ways: of the cells as measured and, with a model, of the "
        "same cells with their gaps filled in."
    )
    st.subheader("1 · Cells measured both ways")
    st.caption("Two .h5ad files of the same cells, matched by their barcodes, or one multiome file.")
    cells = pair()
    if cells is None:
        return
    st.subheader("2 · Question")
    what = _what()
    if not what:
        return
    st.subheader("3 · Model and labels")
    model = _model(cells, what)
    label = _label(cells, what)
    health = preflight.health()
    chosen = options(Asked(what, cells, model is not None, label, health.lacking if health else ()))
    spec = _spec(cells, what, model, label, chosen)
    st.subheader("4 · Before it runs")
    if lacks := analyses.missing(spec, bool(cells.labels)):
        st.markdown(f":material/info: {lacks}")
        return
    _submit(spec, cells, model, health)


def _what() -> str:
    """The analysis chosen, held in the address; the cards while none is."""
    asked = st.query_params.get("what", "")
    if asked in QUESTIONS:
        its = question(asked)
        with (
            st.container(border=True),
            st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"),
        ):
            st.markdown(f"{its.icon} **{its.title}.** {its.asks}", width="stretch")
            st.button("Another question", key="what-other", type="tertiary", on_click=_forget)
        return asked
    groups = list(dict.fromkeys(its.group for its in QUESTIONS.values()))
    for column, group in zip(st.columns(len(groups)), groups, strict=True):
        with column:
            st.markdown(f"**{group}**")
            for what, its in QUESTIONS.items():
                if its.group == group:
                    _card(what)
    return ""


def _card(what: str) -> None:
    its = question(what)
    with st.container(border=True, key=f"card-{what}"):
        st.button(its.title, icon=its.icon, key=f"what-{what}", on_click=_choose, args=(what,), width="stretch")
        st.caption(its.asks)


def _choose(what: str) -> None:
    st.query_params["what"] = what


def _forget() -> None:
    """Back to the cards: cells, model and labels stay, what only this question has goes."""
    for name in list(st.query_params):
        if name not in STAYS:
            del st.query_params[name]


def _model(cells: Pair, what: str) -> ModelView | None:
    """The model, the fittest first, or none; and what is lost without one."""
    models: list[ModelView] = []
    with failure.shown("The models cannot be listed"):
        models = current_client().models()
    ids = (cells.rna.id, cells.atac.id)
    there = [m for m in models if not m.retired or m.id == st.query_params.get("model")]
    ranked = jointly.ranked(there, genome=cells.genome, datasets=ids)
    by_id = {m.id: m for m in ranked}
    fits = bool(ranked) and (cells.genome is None or ranked[0].genome == cells.genome)
    names = [*by_id, NO_MODEL] if fits else [NO_MODEL, *by_id]
    titles = [m.title for m in ranked]

    def words(id: str) -> str:
        if id == NO_MODEL:
            return "No model: cells as measured"
        return by_id[id].title + ("" if titles.count(by_id[id].title) == 1 else f" ({id})")

    model = by_id.get(choice("Model", names, param="model", words=words))
    if model is None:
        st.caption(f":material/info: Without a model {question(what).without}.")
        return None
    if cells.genome and model.genome and model.genome != cells.genome:
        st.caption(f":material/info: It knows {model.genome}, and these cells look like {cells.genome}.")
    elif not model.joint:
        st.caption(":material/info: It takes one modality at a time: its view of the cells is made of RNA alone.")
    st.caption(present.model_line(model))
    return model


def _label(cells: Pair, what: str) -> str:
    """The column of labels; what looks like kinds of cells first, or none."""
    its = question(what)
    if not its.label:
        return ""
    names = label_choices(cells.labels)
    if not names:
        st.caption(":material/info: These files carry no labels of cells.")
        return ""
    if "label" in its.needs:
        names.remove(NO_LABEL)
    picked = choice(
        "Labels of the cells", names, param="label",
        words=lambda name: "No labels" if name == NO_LABEL else _kinds(cells, name), help=f"They are {its.label}.",
    )  # fmt: skip
    return "" if picked == NO_LABEL else picked


def _kinds(cells: Pair, name: str) -> str:
    return f"{name} ({present.plural(len(cells.labels[name]), 'kind')})"


def _spec(cells: Pair, what: str, model: ModelView | None, label: str, chosen: dict[str, Any]) -> AnalysisSpec:
    asked = {"what": what, "model": model.id if model else "", "rna": cells.rna.id, "atac": cells.atac.id}
    return AnalysisSpec.model_validate({**asked, "label": label, **_without(model), **chosen})


def _without(model: ModelView | None) -> dict[str, Any]:
    """What stands in for a model where none is chosen."""
    return {} if model else {"on": ("raw",), "embedding": "rna"}


def _submit(spec: AnalysisSpec, cells: Pair, model: ModelView | None, health: Health | None) -> None:
    with failure.shown("These cells could not be checked"):
        with st.spinner("Looking at both files …"):
            plan = preflight.look_at_pair(spec, digest=model.digest if model else "")
        preflight.card(plan, _lines(plan, spec, model, health), ready="Ready to go")
        ready = plan.verdict != "refused"
        if st.button(
            "Start the analysis", type="primary", icon=":material/query_stats:", disabled=not ready, key="ask"
        ):
            job = current_client().submit(spec, title=analyses.title(spec.what, cells.title))
            st.switch_page("views/job.py", query_params={"id": job.id})


def _lines(plan: PreflightView, spec: AnalysisSpec, model: ModelView | None, health: Health | None) -> list[str]:
    """What will run, what it takes, where the data go."""
    how = f"as measured and through {present.plain(model.title)}" if model else "as measured"
    runs = f"**What runs:** {question(spec.what).title}, on {present.plural(plan.cells, 'cell')}, {how}."
    return [line for line in (runs, present.cost_line(plan), present.where_line(health)) if line]


with failure.shown("This page cannot be shown"):
    page()
