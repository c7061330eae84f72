"""Compare models: the same cells, the same split, several models and seeds; which is best, and by how much."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import present, recipes
from app.components import failure, preflight, recipe
from app.components.address import choice, choices
from app.components.holdout import hold_out
from app.components.pair import Pair, pair
from app.kinds import split_words
from app.parting import batch_columns
from jobs.bootstrap import current_client
from jobs.spec import BenchmarkSpec, Contender, HoldOut
from jobs.views import Health, PreflightView, RecipeView

MOST_SEEDS = 10


def page() -> None:
    st.title("Compare models")
    st.markdown(
        "Train several models on the same cells and judge them on the same others. The answer is a table that says "
        "which is better, by how much, and whether the difference could be chance."
    )
    st.subheader("1 · Cells measured both ways")
    st.caption("Two .h5ad files of the same cells, matched by their barcodes, or one multiome file.")
    cells = pair()
    if cells is None:
        return
    st.subheader("2 · Which cells judge them")
    split = hold_out(cells)
    found = recipe.known()
    if split is None or not found:
        return
    st.subheader("3 · Models")
    contenders = _contenders(found)
    if not contenders:
        return
    health = preflight.health()
    spec = _spec(cells, split, contenders, health)
    st.subheader("4 · Before it runs")
    _submit(spec, cells, health)


def _contenders(found: Sequence[RecipeView]) -> tuple[Contender, ...]:
    """Who takes part beside the yardsticks; empty, with a word, while something must be mended first."""
    ranked = [r for r in recipes.ranked(found) if r.key not in recipes.YARDSTICKS[:2]]
    by_key = {r.key: r for r in ranked}
    usual = [r.key for r in ranked if not r.missing and r.key not in recipes.YARDSTICKS][:3]
    chosen = choices("Models", list(by_key), param="models", usual=usual, words=lambda key: by_key[key].title)
    st.caption(
        "The average cell, the same scaled by depth, and ridge regression take part always, and the average of the "
        "cell type where cells carry labels: a model that does not beat them is not worth its trouble."
    )
    missing = [by_key[key] for key in chosen if by_key[key].missing]
    for each in missing:
        st.markdown(f":material/block: **{present.plain(each.title)}** is not installed here: `{recipes.mend(each)}`")
    if not chosen:
        st.markdown(":material/info: Choose at least one model.")
    if missing or not chosen:
        return ()
    written = [_variants(by_key[key]) for key in chosen]
    if any(each.problems for each in written):
        return ()
    return tuple(contender for each in written for contender in each.contenders)


def _variants(each: RecipeView) -> recipes.Variants:
    """One model with its defaults, or with as many sets of settings as there are lines."""
    if not each.settings:
        return recipes.variants(each, "")
    with st.expander(f"Settings of {each.title}", icon=":material/tune:", key=f"variants-{each.key}"):
        text = st.text_area(
            "One line for each variant; an empty line is the defaults", key=f"variants.{each.key}",
            placeholder=_example(each), bind="query-params", height=100,
        )  # fmt: skip
        known = ", ".join(f"{s.name} ({s.default})" for s in each.settings)
        st.caption(f"Settings and their defaults: {present.plain(known)}.")
    written = recipes.variants(each, text or "")
    for problem in written.problems:
        st.markdown(f":material/block: **{present.plain(each.title)}.** {present.plain(problem)}")
    if len(written.contenders) > 1:
        st.caption(f"{present.plain(each.title)} takes part with {present.plural(len(written.contenders), 'variant')}.")
    return written


def _example(each: RecipeView) -> str:
    first = each.settings[0]
    return f"smaller: {first.name}={first.default}"


def _spec(cells: Pair, split: HoldOut, contenders: tuple[Contender, ...], health: Health | None) -> BenchmarkSpec:
    left, right = st.columns(2)
    with left:
        seeds = st.number_input(
            "How often each is trained", min_value=1, max_value=MOST_SEEDS, value=3, step=1, key="seeds",
            bind="query-params", help="Each time with another seed: how far chance alone moves a score.",
        )  # fmt: skip
    with right:
        columns = batch_columns(cells.labels)
        order = [c for c in (split.column,) if c in columns] + [c for c in columns if c != split.column]
        by = choice(
            "Judge each batch apart", ["", *order] if not split.column else [*order, ""], param="batches",
            words=lambda name: name or "No: all cells together",
        )  # fmt: skip
    with st.expander("Device and filters", icon=":material/settings:", key="options"):
        device, filters, genome = recipe.device(health), recipe.filters(), recipe.genome(cells.genome)
    return BenchmarkSpec.model_validate(
        {
            "rna": cells.rna.id, "atac": cells.atac.id, "split": split, "genome": genome, "filters": filters,
            "device": device, "contenders": contenders, "seeds": tuple(range(int(seeds))), "batch_column": by,
        }
    )  # fmt: skip


def _submit(spec: BenchmarkSpec, cells: Pair, health: Health | None) -> None:
    with failure.shown("These cells could not be checked"):
        with st.spinner("Comparing both files, cell by cell …"):
            plan = preflight.look_at_pair(spec)
        preflight.card(plan, _lines(plan, spec, health), ready="Ready to compare")
        ready = plan.verdict != "refused"
        if st.button("Compare them", type="primary", icon=":material/leaderboard:", disabled=not ready, key="compare"):
            title = f"{present.plural(len(spec.contenders), 'model')} on {cells.title}"
            job = current_client().submit(spec, title=title)
            st.switch_page("views/job.py", query_params={"id": job.id})


def _lines(plan: PreflightView, spec: BenchmarkSpec, health: Health | None) -> list[str]:
    n = plan.cells if plan.paired_cells is None else plan.paired_cells
    runs = (
        f"**What runs:** {present.plural(len(spec.contenders), 'model')} and the yardsticks, each trained "
        f"{present.plural(len(spec.seeds), 'time')}, on {present.plural(n, 'cell')} found in both files."
    )
    judged = f"**How they are judged:** {present.plain(split_words(spec.split))}; differences with paired intervals."
    return [line for line in (runs, judged, present.cost_line(plan), present.where_line(health)) if line]


with failure.shown("This page cannot be shown"):
    page()
