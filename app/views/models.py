"""Models: what each knows, what it must not be used for, and how far it can be trusted."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import present
from app.components import failure
from app.components.model import delete, scores
from app.components.predictability import predicts_well
from app.components.share import share
from app.components.table import table
from jobs.board.views import VerifyView
from jobs.bootstrap import current_client
from jobs.views import ModelView


def page() -> None:
    st.title("Models")
    st.markdown(
        "A model can only predict what it has seen. For another tissue, train one on cells of yours that were "
        "measured both ways."
    )
    with st.container(horizontal=True):
        st.page_link(
            "views/new.py", label="Train a model", icon=":material/model_training:", query_params={"kind": "train"}
        )
        st.page_link("views/compare.py", label="Compare models", icon=":material/leaderboard:")
    with failure.shown("The models cannot be listed"):
        found = current_client().models()
        if not found:
            _empty()
        for model in (each for each in found if not each.retired):
            _card(model)
        _retired([each for each in found if each.retired])


def _empty() -> None:
    with st.container(border=True):
        st.markdown("**No model yet.** Train one on cells of yours that were measured both ways, or add a bundle:")
        st.code("crossview models add FOLDER", language="bash")


def _retired(found: list[ModelView]) -> None:
    """Off the offer, not gone: what was made with them stays readable, and they can be put back."""
    if not found:
        return
    with st.expander(present.plural(len(found), "retired model"), icon=":material/archive:", key="retired"):
        st.caption("They are not offered for new jobs. Jobs and links that name them go on working.")
        for model in found:
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.markdown(f"**{present.plain(model.title)}** · {present.plain(present.model_line(model))}")
                st.button("Offer it again", key=f"offer-{model.id}", on_click=_offer, args=(model.id, False))


def _offer(id: str, retired: bool) -> None:
    with failure.shown():
        current_client().board.retire(id, retired=retired)
        if retired:
            st.toast("It is among the retired models below, and can be offered again.", icon=":material/archive:")


def _care(model: ModelView) -> None:
    """Whether its files are what they were; off the offer; gone."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            "Verify", key=f"verify-{model.id}", icon=":material/verified:", type="tertiary",
            help="Reads every file, and predicts its test cells again: some seconds",
        ):  # fmt: skip
            with failure.shown("It could not be verified"), st.spinner("Reading and predicting …"):
                st.session_state[f"verified-{model.id}"] = current_client().board.verify(model.id)
        st.button(
            "Retire", key=f"retire-{model.id}", icon=":material/archive:", type="tertiary", on_click=_offer,
            args=(model.id, True), help="No longer offered for new jobs; what names it goes on working. Can be undone",
        )  # fmt: skip
        share(model)
        if model.origin == "trained" and not model.shared:
            delete(model)
    seen = st.session_state.get(f"verified-{model.id}")
    if isinstance(seen, VerifyView) and seen.verified:
        st.markdown(
            f":material/check_circle: Whole (digest {seen.digest[:12]}), and predicts what it did when it was made."
        )
    elif isinstance(seen, VerifyView) and seen.failure is not None:
        failure.show(seen.failure, title="This model is not what it was")


def _card(model: ModelView) -> None:
    with st.container(border=True, key=f"model-{model.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader(present.plain(model.title), anchor=model.id, width="content")
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                if model.origin == "trained" and not model.job:
                    st.badge("Shared with you", icon=":material/group:", color="violet")
                elif model.origin == "trained":
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
                        "views/new.py", label="Joint view with it", icon=":material/hub:",
                        query_params={"kind": "joint", "model": model.id},
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
                st.markdown(present.card_text(model.card))
        _care(model)


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
        table(
            pd.DataFrame({"fact": list(facts), "value": [v or "not stated" for v in facts.values()]}),
            key=f"facts-{model.id}", alt=f"Facts about {model.title}", file=f"{model.id}-facts",
        )  # fmt: skip


with failure.shown("This page cannot be shown"):
    page()
