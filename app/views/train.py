"""Train a model: cells measured both ways, how they are parted, which model; then what it will take."""

from __future__ import annotations

import streamlit as st

from app import present
from app.components import failure, preflight, recipe
from app.components.holdout import hold_out
from app.components.pair import Pair, pair
from app.kinds import split_words
from jobs.bootstrap import current_client
from jobs.spec import HoldOut, TrainSpec
from jobs.views import Health, PreflightView, RecipeView


def page() -> None:
    st.title("Train a model")
    st.markdown(
        "A model knows only the tissue it was taught. Teach one yours, from cells measured both ways, and see on cells "
        "it never met how far to trust it."
    )
    st.subheader("1 · Cells measured both ways")
    st.caption("Two .h5ad files of the same cells, matched by their barcodes, or one multiome file.")
    cells = pair()
    if cells is None:
        return
    st.subheader("2 · Which cells judge it")
    split = hold_out(cells)
    found = recipe.known()
    if split is None or not found:
        return
    st.subheader("3 · Model")
    chosen = recipe.recipe(found)
    changed = recipe.settings(chosen)
    health = preflight.health()
    spec = _spec(cells, split, chosen, changed, health)
    st.subheader("4 · Before it runs")
    _submit(spec, cells, chosen, health)


def _spec(cells: Pair, split: HoldOut, chosen: RecipeView, changed: dict[str, str], health: Health | None) -> TrainSpec:
    with st.expander("Name, device, filters and seed", icon=":material/settings:", key="options"):
        left, right = st.columns(2)
        with left:
            name = st.text_input(
                "Name of the model", placeholder=f"{chosen.title} on {cells.rna.name}", max_chars=80, key="name",
                bind="query-params",
            )  # fmt: skip
            filters = recipe.filters(chosen.reads_every_feature)
            genome = recipe.genome(cells.genome)
        with right:
            device = recipe.device(health)
            seed = st.number_input(
                "Seed", min_value=0, value=0, step=1, key="seed", bind="query-params",
                help="Same cells, settings and seed: on the CPU the same model, to the last digit.",
            )  # fmt: skip
    return TrainSpec.model_validate(
        {
            "rna": cells.rna.id, "atac": cells.atac.id, "split": split, "genome": genome, "filters": filters,
            "device": device, "model": chosen.key, "settings": changed, "name": (name or "").strip(), "seed": int(seed),
        }
    )  # fmt: skip


def _submit(spec: TrainSpec, cells: Pair, chosen: RecipeView, health: Health | None) -> None:
    with failure.shown("These cells could not be checked"):
        with st.spinner("Comparing both files, cell by cell …"):
            plan = preflight.look_at_pair(spec)
        preflight.card(plan, _lines(plan, spec, chosen, health), ready="Ready to train")
        ready = plan.verdict != "refused" and not chosen.missing
        if st.button(
            "Train this model", type="primary", icon=":material/model_training:", disabled=not ready, key="train"
        ):
            job = current_client().submit(spec, title=spec.name or f"{chosen.title} on {cells.title}")
            st.switch_page("views/job.py", query_params={"id": job.id})


def _lines(plan: PreflightView, spec: TrainSpec, chosen: RecipeView, health: Health | None) -> list[str]:
    """What will run, how it is judged, what it takes, where the data go."""
    n = plan.cells if plan.paired_cells is None else plan.paired_cells
    runs = f"**What runs:** {present.plain(chosen.title)} learns from {present.plural(n, 'cell')} found in both files."
    judged = (
        f"**How it is judged:** {present.plain(split_words(spec.split))}; both directions, beside the average profile."
    )
    return [line for line in (runs, judged, present.cost_line(plan), present.where_line(health)) if line]


with failure.shown("This page cannot be shown"):
    page()
