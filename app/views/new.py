"""New translation: the example in one click, or your own cells in four steps."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from app import present
from app.components import failure, preflight
from app.components.cells import slot
from app.components.pair import by_modality
from jobs.bootstrap import current_client
from jobs.names import Direction, Modality
from jobs.spec import TranslateSpec
from jobs.views import DatasetView, JobView, ModelView, PreflightView


def page() -> None:
    st.title("New translation")
    st.markdown("Predict accessibility from expression, or expression from accessibility, and see how far to trust it.")
    models: list[ModelView] = []
    with failure.shown("The models cannot be listed"):
        models = current_client().models()
    if not models:
        return
    begun = "cells" in st.query_params
    if not begun:
        _joint()
    _example(models, primary=not begun)
    st.subheader("1 · Your cells")
    st.caption(
        "One file with raw counts, of RNA (genes) or ATAC (peaks), which is recognised by itself: .h5ad, .loom, a 10x "
        "matrix folder as an archive, or ATAC fragments."
    )
    first = slot("cells", "your cells")
    if first is None:
        return
    second = _second(first)
    if second is None and "other" in st.query_params:
        st.caption(
            "Model and submission follow once the second file is ready. To go on without it, take it away above."
        )
        return
    given = by_modality(first, second)
    if given is None:
        return
    model = _model(models, first)
    _translate(model, given)


def _example(models: list[ModelView], *, primary: bool) -> None:
    """The one-click way in: first and loud on an empty page, quiet once one's own cells are there."""
    model = next((m for m in models if m.example_cells), None)
    if model is None:
        return
    cells = present.plural(model.example_cells or 0, "cell")
    with (
        st.container(border=True),
        st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"),
    ):
        st.markdown(
            f"**See it work first:** {cells} that the model “{present.plain(model.title)}” never saw, translated both "
            "ways and judged against their own measurement. A minute or two."
        )
        kind: Literal["primary", "secondary"] = "primary" if primary else "secondary"
        if st.button("Try the example", type=kind, icon=":material/play_arrow:", key="example"):
            with failure.shown("The example could not be started"):
                _open(current_client().submit_example(model.id))


def _joint() -> None:
    """The way to the other view of the same cells."""
    st.page_link(
        "views/joint.py", label="Measured both ways? See your cells in one joint view instead", icon=":material/hub:"
    )


def _second(first: DatasetView) -> DatasetView | None:
    other = Modality(first.modality).other if first.modality else Modality.ATAC
    st.subheader("2 · The same cells measured the other way")
    st.caption(
        f"Optional. Give the {present.modality(other)} file of the same cells and the result is judged against it; "
        "each then serves as the held-out truth of the other. Without it the cells are translated and not scored."
    )
    if "other" in st.query_params:
        return slot("other", "the second file")
    with st.expander(f"Add the {present.modality(other)} file", icon=":material/add:", key="add-other"):
        return slot("other", "the second file")


def _model(models: list[ModelView], first: DatasetView) -> ModelView:
    st.subheader("3 · Model")
    ranked = present.ranked_models(models, genome_name=first.genome)
    by_id = {m.id: m for m in ranked}
    titles = [m.title for m in ranked]
    asked = st.query_params.get("model", "")
    picked = st.selectbox(
        "Model",
        list(by_id),
        index=list(by_id).index(asked) if asked in by_id else 0,
        format_func=lambda id: by_id[id].title if titles.count(by_id[id].title) == 1 else f"{by_id[id].title} ({id})",
        key="model-choice",
        label_visibility="collapsed",
    )
    model = by_id[picked]
    st.caption(present.model_line(model))
    if model.not_for:
        st.caption(f":material/info: Not for: {model.not_for}")
    return model


def _directions(model: ModelView, given: dict[Modality, DatasetView]) -> tuple[Direction, ...]:
    """What can be translated: from the modalities given; asked only when there is a choice."""
    possible = [d for d in present.in_order(model.directions) if d.source in given]
    if len(possible) < 2:
        return tuple(possible)
    picked = st.pills(
        "Directions",
        possible,
        selection_mode="multi",
        default=possible,
        format_func=present.direction,
        key="directions-choice",
        help="Each direction translates one of your files and is judged against the other.",
    )
    return tuple(d for d in possible if d in picked)


def _translate(model: ModelView, given: dict[Modality, DatasetView]) -> None:
    st.subheader("4 · Before it runs")
    directions = _directions(model, given)
    if not directions:
        st.markdown(":material/info: Choose at least one direction.")
        return
    rna, atac = given.get(Modality.RNA), given.get(Modality.ATAC)
    ids = (rna.id if rna else None, atac.id if atac else None)
    with failure.shown("These cells could not be checked"):
        with st.spinner("Comparing the cells with the model …"):
            plan = _preflight(model.id, model.digest, *ids, directions)
        preflight.card(plan, present.plan_lines(plan, preflight.health()), ready="Ready to translate")
        spec = _spec(model, plan, ids)
        ready = plan.verdict != "refused"
        if st.button("Translate", type="primary", icon=":material/swap_horiz:", disabled=not ready, key="translate"):
            title = " + ".join(d.name for d in (rna, atac) if d is not None)
            _open(current_client().submit(spec, title=title))


@st.cache_data(ttl=600, max_entries=64, show_spinner=False)
def _preflight(
    model: str, digest: str, rna: str | None, atac: str | None, directions: tuple[Direction, ...]
) -> PreflightView:
    return current_client().preflight(model=model, rna=rna, atac=atac, directions=directions)


def _spec(model: ModelView, plan: PreflightView, ids: tuple[str | None, str | None]) -> TranslateSpec:
    with st.expander("Options", icon=":material/tune:", key="options"):
        export = st.checkbox(
            "Also write the whole predicted matrix (.h5ad)",
            key="export",
            help="Large: cells × all genes or peaks. Without it any one can still be looked up.",
        )
        umap = st.checkbox("Draw maps of the cells (UMAP)", value=True, key="umap", help="Adds some seconds.")
        seed = st.number_input(
            "Seed", min_value=0, value=0, step=1, key="seed", help="Same cells, settings and seed: the same answer."
        )
    directions = plan.directions or tuple(d for d in model.directions if ids[d.source is Modality.ATAC])
    return TranslateSpec(
        model=model.id, rna=ids[0], atac=ids[1], directions=directions, export=export, umap=umap, seed=int(seed)
    )


def _open(job: JobView) -> None:
    st.switch_page("views/job.py", query_params={"id": job.id})


with failure.shown("This page cannot be shown"):
    page()
