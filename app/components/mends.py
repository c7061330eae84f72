"""What a file may need on its way in, asked before it is brought: a model for fragments, names, build, counts."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from app.components import failure
from jobs.bootstrap import current_client
from jobs.mending import OTHER, MendOptions

AS_THEY_ARE = "As they are"
KINDS: dict[str, Literal["", "symbol", "ensembl"]] = {AS_THEY_ARE: "", "Symbols": "symbol", "Ensembl ids": "ensembl"}


def mends(param: str, *, values: bool = False) -> MendOptions | None:
    """Wishes for the next file of this slot; None where nothing was chosen. values: it is a prediction."""
    if values:
        with st.expander("Another genome build, other gene names, another matrix than X", icon=":material/build:"):
            return MendOptions(values=True, **_names(param, "Take the values from", "X"))
    with st.expander("Fragments, another genome build, other gene names or counts", icon=":material/build:"):
        models: list[str] = []
        with failure.shown("The models cannot be listed"):
            models = [model.id for model in current_client().models()]
        model = st.selectbox(
            "Model for fragments", models, index=None, key=f"{param}-mend-model", placeholder="None",
            help="fragments.tsv.gz is counted on this model's peaks. Peaks are lifted to its genome.",
        )  # fmt: skip
        fewest = st.number_input(
            "Fragments a cell has at least", min_value=1, value=1_000, step=100, key=f"{param}-mend-fewest",
            help="A barcode with fewer is no cell.",
        )  # fmt: skip
        names = _names(param, "Take counts from", "Found by itself")
    asked: dict[str, Any] = {"model": model or "", **names}
    if model is not None and fewest != 1_000:
        asked["min_fragments"] = int(fewest)
    options = MendOptions(**asked)
    return options if options.asked() else None


def _names(param: str, take: str, usual: str) -> dict[str, Any]:
    """What any file may need: peaks on another build, other names of its genes, one matrix of several."""
    lift = st.selectbox(
        "Peaks or fragments are on", list(OTHER), index=None, key=f"{param}-mend-lift",
        placeholder="The model's genome", help="They are lifted over, where the operator has the chain file.",
    )  # fmt: skip
    kind = st.segmented_control(
        "Name genes by", list(KINDS), default=AS_THEY_ARE, required=True, key=f"{param}-mend-genes",
        help="By the other names the file keeps, else by GENCODE's of human and mouse.",
    )  # fmt: skip
    layer = st.text_input(take, key=f"{param}-mend-layer", placeholder=usual, help="X, raw.X, or the name of a layer.")
    return {"lift": lift or "", "gene_ids": KINDS[kind or AS_THEY_ARE], "layer": (layer or "").strip()}
