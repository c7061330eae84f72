"""Score a prediction: its files in step 1, what they share in step 2, what made it in step 3."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app import asked, present, scoring
from app.asked import Draft
from app.components import address, failure, preflight, recipe
from app.components.cells import slot
from app.scoring import PARAMS, SCALES, Files
from jobs.bootstrap import current_client
from jobs.errors import CrossViewError
from jobs.views import DatasetView, PreflightView

MORE: Mapping[str, tuple[str, str]] = {
    "source": (
        "Add the cells it was predicted from",
        "Optional. The other measurement of the same cells, raw counts: a score must then also beat what the depth of "
        "each cell alone tells.",
    ),
    "training": (
        "Add the cells its model learned from",
        "Optional. Measured as the truth is, raw counts: the average to beat is then theirs, as papers have it. "
        "Without them it is the average of the measured cells themselves, which is a little harder to beat.",
    ),
}


def source() -> Files | None:
    """Step 1; None until all that was named is ready and goes together."""
    st.subheader("1 · The prediction, and what was measured")
    st.caption(
        "An .h5ad that any model or tool wrote: cells × genes, or cells × peaks, values in X, on any scale. Cells are "
        "matched by their barcodes, genes and peaks by name."
    )
    found: dict[str, DatasetView | None] = {}
    left, right = st.columns(2)
    with left:
        st.markdown("**The prediction:** genes or peaks, any values")
        found["prediction"] = slot("prediction", "the prediction", values=True)
    with right:
        st.markdown("**Measured, of the same cells:** raw counts of the same kind")
        found["truth"] = slot("truth", "the measured cells")
    for name, (words, why) in MORE.items():
        if name in st.query_params:
            st.markdown(f"**{words.removeprefix('Add ').capitalize()}**")
            found[name] = slot(name, words.removeprefix("Add "))
            continue
        with st.expander(words, icon=":material/add:", key=f"add-{name}"):
            st.caption(why)
            slot(name, words.removeprefix("Add "))
    named = [name for name in PARAMS if name in st.query_params]
    if any(found.get(name) is None for name in {"prediction", "truth", *named}):
        return None
    return _together(found)


def given() -> Files | None:
    """What the address names, if all of it is ready and goes together: for the steps after the first."""
    found: dict[str, DatasetView | None] = {}
    for name in PARAMS:
        if name in st.query_params:
            found[name] = _ready(st.query_params[name])
            if found[name] is None:
                return None
    return _together(found, silent=True) if {"prediction", "truth"} <= set(found) else None


def _ready(id: str) -> DatasetView | None:
    try:
        data = current_client().dataset(id)
    except CrossViewError:
        return None
    return data if data.state == "ready" and data.modality is not None else None


def _together(found: Mapping[str, DatasetView | None], *, silent: bool = False) -> Files | None:
    prediction, truth = found["prediction"], found["truth"]
    assert prediction is not None
    assert truth is not None
    files = Files(prediction, truth, found.get("source"), found.get("training"))
    why = scoring.wrong(files)
    if why and not silent:
        st.markdown(f":material/block: **{why}** Change one of them above.")
    return None if why else files


def check(files: Files, draft: Draft) -> bool:
    """Step 2: what both files know, and what the values are taken for."""
    plan = look(files, draft)
    if plan is None:
        return False
    preflight.card(plan, [], ready="These can be scored")
    return plan.verdict != "refused"


def look(files: Files, draft: Draft) -> PreflightView | None:
    with failure.shown("These files could not be compared"), st.spinner("Comparing both files …"):
        return preflight.look_at_pair(scoring.spec(draft, files))
    return None


def method(files: Files) -> bool:
    """Step 3: what made it, and what its values are."""
    st.subheader("3 · What made the prediction")
    address.text(
        "Name of the model or tool", param="method", placeholder="my model, version 3", max_chars=80,
        help="For titles and for comparing it with others; nothing is run.",
    )  # fmt: skip
    words = SCALES[files.target]
    address.choice(
        "What its values are", list(words), param="scale", words=words.__getitem__,
        help="Predicted counts of genes are brought to the scale of the measurement; peaks are scored by order.",
    )  # fmt: skip
    with st.expander("Options", icon=":material/tune:", key="options"):
        address.tick("Draw maps of the cells (UMAP)", param="umap", usual=True, help="Adds some seconds.")
        recipe.genome(asked.genome_of(files.inputs))
        address.number(
            "Seed", param="seed", usual=0, least=0, most=asked.SEED_END, help="Same files and seed: the same answer."
        )
    return True


def lines(plan: PreflightView, files: Files) -> list[str]:
    """What will run, and against what it is judged."""
    cells, kind = present.plural(plan.cells, "cell"), present.measured(files.target)
    nulls = ["the average training cell" if files.training is not None else "the average of the measured cells"]
    nulls += ["the depth of the cells it was predicted from"] if files.source is not None else []
    return [
        f"**What runs:** predicted {kind} of {cells} is compared with its measurement, cell by cell and "
        f"{present.row(files.target)} by {present.row(files.target)}.",
        f"**How it is judged:** each score with its interval, beside {' and '.join(nulls)}.",
    ]
