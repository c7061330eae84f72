"""Models: what each knows, what it must not be used for, and how far it can be trusted."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import present, readings
from app.components import failure
from app.components.scorecard import axis
from jobs.bootstrap import current_client
from jobs.views import ModelView


def page() -> None:
    st.title("Models")
    st.markdown(
        "A model can only predict what it has seen. For another tissue, train one on your own pair: "
        "`crossview train --rna R --atac A --model crossmp --out BUNDLE`."
    )
    with failure.shown("The models cannot be listed"):
        for model in current_client().models():
            _card(model)


def _card(model: ModelView) -> None:
    with st.container(border=True, key=f"model-{model.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader(model.title, anchor=model.id, width="content")
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                st.page_link(
                    "views/new.py",
                    label="Translate with it",
                    icon=":material/swap_horiz:",
                    query_params={"model": model.id},
                )
        st.markdown(
            f"Knows **{model.tissue}** · {present.genome(model.genome)} · {present.directions(model.directions)}"
        )
        if model.recommended_for:
            st.markdown(f":material/thumb_up: **For:** {model.recommended_for}")
        if model.not_for:
            st.markdown(f":material/block: **Not for:** {model.not_for}")
        _scores(model)
        _facts(model)
        if model.card:
            with st.expander("Model card", icon=":material/description:"):
                st.markdown(model.card)


def _scores(model: ModelView) -> None:
    """Its scores on the cells held out of its training, one direction beside the other."""
    reports = {d: readings.of_direction(model.report, d) for d in present.in_order(model.directions)}
    scored = [d for d, report in reports.items() if readings.readings(report)]
    if not scored:
        st.caption("No scores were published with this model.")
        return
    for column, which in zip(st.columns(len(scored)), scored, strict=True):
        with column:
            verdict = readings.verdict(reports[which])
            st.markdown(f"**{present.direction(which)}** {present.plain(verdict.because or verdict.sentence)}")
            axis(reports[which], which, key=f"model-{model.id}-{which.value}", of=model.title)


def _facts(model: ModelView) -> None:
    facts = {
        "Genes and peaks": " · ".join(present.model_line(model).split(" · ")[2:]),
        "Method": model.translator,
        "Licence": model.licence,
        "Digest of the weights": model.digest,
        "Check it yourself": f"crossview models verify {model.id}",
    }
    with st.expander("Facts", icon=":material/fact_check:"):
        st.dataframe(
            pd.DataFrame({"fact": list(facts), "value": [v or "not stated" for v in facts.values()]}),
            hide_index=True, alt=f"Facts about {model.title}",
        )  # fmt: skip


with failure.shown("This page cannot be shown"):
    page()
