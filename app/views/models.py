"""Models: what each knows, what it must not be used for, and how far it can be trusted."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import present
from app.components import failure
from app.components.model import delete, scores
from app.components.predictability import predicts_well
from app.components.share import share
from jobs.bootstrap import current_client
from jobs.views import ModelView


def page() -> None:
    st.title("Models")
    st.markdown(
        "A model can only predict what it has seen. For another tissue, train one on cells of yours that were "
        "measured both ways."
    )
    st.page_link("views/train.py", label="Train a model", icon=":material/model_training:")
    with failure.shown("The models cannot be listed"):
        for model in current_client().models():
            _card(model)


def _card(model: ModelView) -> None:
    with st.container(border=True, key=f"model-{model.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader(present.plain(model.title), anchor=model.id, width="content")
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                if model.origin == "trained":
                    st.badge("Trained here", icon=":material/model_training:", color="violet")
                    st.page_link(
                        "views/job.py", label="Its training", icon=":material/show_chart:",
                        query_params={"id": model.job},
                    )  # fmt: skip
                else:
                    st.badge("From the catalog", icon=":material/inventory_2:", color="gray")
                st.page_link(
                    "views/new.py",
                    label="Translate with it",
                    icon=":material/swap_horiz:",
                    query_params={"model": model.id},
                )
                if model.joint:
                    st.page_link(
                        "views/joint.py", label="Joint view with it", icon=":material/hub:",
                        query_params={"model": model.id},
                    )  # fmt: skip
        st.markdown(
            f"Knows **{model.tissue}** · {present.genome(model.genome)} · {present.directions(model.directions)}"
        )
        if model.recommended_for:
            st.markdown(f":material/thumb_up: **For:** {model.recommended_for}")
        if model.not_for:
            st.markdown(f":material/block: **Not for:** {model.not_for}")
        scores(model.report, model.directions, key=f"model-{model.id}", of=model.title)
        predicts_well(model)
        _facts(model)
        if model.card:
            with st.expander("Model card", icon=":material/description:"):
                st.markdown(model.card)
        share(model)
        if model.origin == "trained" and not model.shared:
            delete(model)


def _facts(model: ModelView) -> None:
    facts = {
        "Genes and peaks": " · ".join(present.model_line(model).split(" · ")[2:]),
        "Method": model.translator,
        "Licence": model.licence,
        "Digest of the weights": model.digest,
        "Training cells inside": "yes: share it as you would share them" if model.holds_cells else "no",
    }
    if model.origin == "catalog":
        facts["Check it yourself"] = f"crossview models verify {model.id}"
    with st.expander("Facts", icon=":material/fact_check:"):
        st.dataframe(
            pd.DataFrame({"fact": list(facts), "value": [v or "not stated" for v in facts.values()]}),
            hide_index=True, alt=f"Facts about {model.title}",
        )  # fmt: skip


with failure.shown("This page cannot be shown"):
    page()
