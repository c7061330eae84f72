"""New joint view: cells measured both ways, which model, what to compare with; then what it will take."""

from __future__ import annotations

import streamlit as st

from app import jointly, present
from app.components import failure, preflight
from app.components.grouping import grouping
from app.components.pair import Pair, pair
from app.kinds import NO_LABEL
from app.readings import looks_like_type
from jobs.bootstrap import current_client
from jobs.spec import JointSpec
from jobs.views import Health, ModelView, PreflightView

MOST_KINDS = 60  # values of a column that can still be kinds of cells  # ours


def page() -> None:
    st.title("New joint view")
    st.markdown(
        "See cells that were measured both ways in one map: groups that rest on expression and accessibility together, "
        "and either measurement with its gaps filled in."
    )
    st.subheader("1 · Cells measured both ways")
    st.caption("Two .h5ad files of the same cells, matched by their barcodes, or one multiome file.")
    cells = pair()
    if cells is None:
        return
    st.subheader("2 · Model")
    model = _model(cells)
    if model is None:
        return
    st.subheader("3 · What to compare with")
    spec = _spec(cells, model)
    st.subheader("4 · Before it runs")
    _submit(spec, cells, model, preflight.health())


def _model(cells: Pair) -> ModelView | None:
    """The model, the fittest first, with its reason; and the way to train one on these very cells."""
    models: list[ModelView] = []
    with failure.shown("The models cannot be listed"):
        models = current_client().models()
    ids = (cells.rna.id, cells.atac.id)
    ranked = jointly.ranked(models, genome=cells.genome, datasets=ids)
    if ranked:
        by_id = {m.id: m for m in ranked}
        titles = [m.title for m in ranked]
        asked = st.query_params.get("model", "")
        picked = st.selectbox(
            "Model", list(by_id), index=list(by_id).index(asked) if asked in by_id else 0, key="model-choice",
            format_func=lambda id: by_id[id].title + ("" if titles.count(by_id[id].title) == 1 else f" ({id})"),
            label_visibility="collapsed",
        )  # fmt: skip
        model = by_id[picked]
        icon = ":material/thumb_up:" if model.joint else ":material/info:"
        st.caption(f"{icon} {jointly.reason(model, genome=cells.genome, datasets=ids)}")
        st.caption(present.model_line(model))
        if model.not_for:
            st.caption(f":material/info: Not for: {model.not_for}")
    else:
        model = None
        st.markdown(":material/info: There is no model yet. Train one on these cells first.")
    st.page_link(
        "views/train.py", label="Train a model on these cells instead", icon=":material/model_training:",
        query_params={"rna": ids[0], "atac": ids[1]},
    )  # fmt: skip
    return model


def _spec(cells: Pair, model: ModelView) -> JointSpec:
    label = _label(cells)
    with st.expander("Groups, maps and seed", icon=":material/tune:", key="options"):
        left, right = st.columns(2)
        with left:
            clusters, resolution = grouping(key="clusters")
        with right:
            umap = st.checkbox("Draw maps of the cells (UMAP)", value=True, key="umap", help="Adds some seconds.")
            export = st.checkbox(
                "Also write all imputed values (.h5ad)", key="export",
                help="Large: cells × all genes and peaks. Without it any one can still be looked up.",
            )  # fmt: skip
            seed = st.number_input(
                "Seed", min_value=0, value=0, step=1, key="seed", bind="query-params",
                help="Same cells, settings and seed: the same answer.",
            )  # fmt: skip
    return JointSpec(
        model=model.id, rna=cells.rna.id, atac=cells.atac.id, label=label, clusters=clusters,
        resolution=resolution, umap=umap, export=export, seed=int(seed),
    )  # fmt: skip


def _label(cells: Pair) -> str:
    """The column of labels the groups are compared with; what looks like kinds of cells first, or none."""
    fit = [name for name, kinds in cells.labels.items() if 1 < len(kinds) <= MOST_KINDS]
    fit.sort(key=lambda name: (not looks_like_type(name), name))
    if not fit:
        st.caption(":material/info: These files carry no labels of cells: the groups are found, and not compared.")
        return ""
    asked = st.query_params.get("label", "")
    options = [*fit, NO_LABEL]
    usual = fit[0] if looks_like_type(fit[0]) else NO_LABEL
    here = asked if asked in options else usual
    picked = st.selectbox(
        "Labels of the cells", options, index=options.index(here), key="label-choice",
        format_func=lambda name: "No labels: find groups only" if name == NO_LABEL else _kinds(cells, name),
        help="Groups are found without them and then compared with them. They never teach anything.",
    )  # fmt: skip
    return "" if picked == NO_LABEL else str(picked)


def _kinds(cells: Pair, name: str) -> str:
    return f"{name} ({present.plural(len(cells.labels[name]), 'kind')})"


def _submit(spec: JointSpec, cells: Pair, model: ModelView, health: Health | None) -> None:
    with failure.shown("These cells could not be checked"):
        with st.spinner("Comparing both files with the model …"):
            plan = preflight.look_at_pair(spec, digest=model.digest)
        preflight.card(plan, _lines(plan, spec, model, health), ready="Ready to go")
        ready = plan.verdict != "refused"
        if st.button("Make the joint view", type="primary", icon=":material/hub:", disabled=not ready, key="see"):
            job = current_client().submit(spec, title=f"Joint view of {cells.title}")
            st.switch_page("views/job.py", query_params={"id": job.id})


def _lines(plan: PreflightView, spec: JointSpec, model: ModelView, health: Health | None) -> list[str]:
    """What will run, how it is judged, what it takes, where the data go."""
    runs = (
        f"**What runs:** {present.plain(model.title)} sees {present.plural(plan.cells, 'cell')} found in both files; "
        "they are grouped and mapped, and so are RNA alone and ATAC alone beside them."
    )
    compared = f"the groups against {present.plain(spec.label)}; " if spec.label else ""
    judged = f"**How it is judged:** {compared}what is imputed against half of each cell's counts, kept back for that."
    return [line for line in (runs, judged, present.cost_line(plan), present.where_line(health)) if line]


with failure.shown("This page cannot be shown"):
    page()
