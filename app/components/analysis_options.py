"""What one analysis can be told, in plain words: only the options it has, each held in the address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import present
from app.analyses import (
    EMBEDDINGS,
    METHODS,
    PROFILES,
    USUAL_METACELLS,
    embedding,
    lines_of,
    names_of,
    question,
)
from app.analysis_rows import capital
from app.components.address import choice, choices
from app.components.grouping import grouping
from app.components.pair import Pair
from app.parting import batch_columns

GENOMES = ("", "hg38", "mm10")
ONLY = {"": "Genes and peaks", "rna": "Genes only", "atac": "Peaks only"}
ROOT_AT = {"medoid": "its most typical cell", "tip": "its cell farthest from all others"}
USUAL_COMPARE = ("rna", "atac")
OF_GENOME = ("cre", "coaccess", "activity", "trajectory")


@dataclass(frozen=True)
class Asked:
    """What an analysis is chosen for. model: whether there is one. label: "" for none.

    lacking: views of the cells that cannot be made where jobs run.
    """

    what: str
    cells: Pair
    model: bool
    label: str
    lacking: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        return name in question(self.what).options

    @property
    def kinds(self) -> list[str]:
        return list(self.cells.labels.get(self.label, {}))


def options(asked: Asked) -> dict[str, Any]:
    """The chosen fields of an AnalysisSpec; what must be chosen stands open, the rest is folded away."""
    chosen = _needed(asked)
    with st.expander("Options", icon=":material/tune:", key="options"):
        left, right = st.columns(2)
        with left:
            chosen |= _values(asked)
            if asked.has("groups"):
                chosen |= _groups(asked)
            if _finds_neighbours(asked, chosen):
                chosen |= _views(asked)
        with right:
            if _finds_neighbours(asked, chosen):
                chosen |= _grouping(asked)
            chosen |= {**_runs(asked), **_links(asked), **_path(asked), **_rest(asked)}
        if asked.has("reference"):
            chosen |= _reference()
    return chosen


def _needed(asked: Asked) -> dict[str, Any]:
    if asked.has("batch"):
        columns = batch_columns(asked.cells.labels)
        if not columns:
            st.markdown(":material/block: These files carry no column that could name batches or donors.")
            return {}
        words = {c: f"{c} ({present.plural(len(asked.cells.labels[c]), 'batch', 'batches')})" for c in columns}
        return {"batch": choice("Batches or donors", columns, param="batch", words=words.__getitem__)}
    if asked.has("root"):
        left, right = st.columns(2)
        with left:
            root = _root(asked)
        with right:
            at = choice(
                "Of a kind, begin at", list(ROOT_AT), param="root_at", words=ROOT_AT.__getitem__,
                help="A tip suits a kind that lies at one end of the path.",
            )  # fmt: skip
        among = choices(
            "Kinds on the path", asked.kinds, param="among", placeholder="All of them",
            help="Pseudotime orders whatever it is given: name the kinds that belong to one path.",
        ) if asked.kinds else []  # fmt: skip
        return {"root": root, "root_at": at, "among": tuple(among)}
    return {}


def _root(asked: Asked) -> str:
    given = st.query_params.get("root", "")
    kinds = asked.kinds if not given or given in asked.kinds else [given, *asked.kinds]
    picked = st.selectbox(
        "Where the path begins", kinds, index=kinds.index(given) if given in kinds else None, key="root-choice",
        accept_new_options=True, on_change=_keep_root,
        placeholder="A kind of cell, or the barcode of one" if kinds else "The barcode of a cell",
    )  # fmt: skip
    return str(picked or "").strip()


def _keep_root() -> None:
    picked = st.session_state.get("root-choice")
    if picked:
        st.query_params["root"] = str(picked)
    elif "root" in st.query_params:
        del st.query_params["root"]


def _values(asked: Asked) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if asked.has("on"):
        if asked.model:
            picked = choices(
                "Values", list(PROFILES), param="on", usual=list(PROFILES), words=PROFILES.__getitem__,
                help="Both stand side by side: what only imputed values show must be confirmed on measured ones.",
            )  # fmt: skip
            chosen["on"] = tuple(picked) or tuple(PROFILES)
        else:
            chosen["on"] = ("raw",)
    if asked.has("only"):
        chosen["only"] = choice("Genes, peaks or both", list(ONLY), param="only", words=ONLY.__getitem__)
    if asked.has("method"):
        chosen["method"] = choice("Test", list(METHODS), param="method", words=METHODS.__getitem__)
    if asked.has("genes"):
        usual = "the 500 most variable" if asked.what == "cre" else "the 50 most variable"
        text = st.text_input(
            "Genes", key="genes", bind="query-params", placeholder=f"{usual}, or names such as CD3E CD8A",
            help=f"Separated by spaces or commas. Empty: {usual}.",
        )  # fmt: skip
        chosen["genes"] = names_of(text or "")
    return chosen


def _views(asked: Asked) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    views = [name for name in EMBEDDINGS if name not in asked.lacking and (name != "joint" or asked.model)]
    # One that a link asks for stays, so that the check beside the button says what it lacks.
    views += sorted({*st.query_params.get_all("compare"), *st.query_params.get_all("embedding")} & set(asked.lacking))
    if asked.has("embedding"):
        chosen["embedding"] = choice(
            "Where cells are neighbours", views, param="embedding", words=_view,
            help="The view of the cells in which they are grouped, ordered or added up.",
        )  # fmt: skip
    if asked.has("compare"):
        others = [name for name in views if name != chosen.get("embedding")]
        chosen["compare"] = tuple(
            choices("Views beside it", others, param="compare", usual=USUAL_COMPARE, words=_view, placeholder="None")
        )
        if asked.lacking:
            lost = [_view(name) for name in asked.lacking]
            st.caption(
                f":material/info: Not offered: {', '.join(lost)}. Whoever runs this server can add "
                f"{'it' if len(lost) == 1 else 'them'}: `pip install 'crossview[peers]'`."
            )
    return chosen


def _view(name: str) -> str:
    return capital(embedding(name))


def _groups(asked: Asked) -> dict[str, Any]:
    columns = ["", *asked.cells.labels]
    usual = f"{asked.label} (the labels above)" if asked.what == "de" and asked.label else "found here"
    return {"groups": choice("Groups", columns, param="groups", words=lambda c: c or usual)}


def _finds_neighbours(asked: Asked, chosen: dict[str, Any]) -> bool:
    """Whether groups are found here: where a column names them, the ways to find them are of no use."""
    return not asked.has("groups") or not (chosen.get("groups") or (asked.what == "de" and asked.label))


def _grouping(asked: Asked) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if asked.has("components"):
        clusters, resolution = grouping(key="components")
        chosen |= {"components": clusters, "resolution": resolution}
    return chosen


def _runs(asked: Asked) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if asked.has("seeds"):
        text = st.text_input(
            "Seeds of several runs", key="seeds", bind="query-params", placeholder="such as 0,1,2",
            help="One run each: how much of the answer is chance. Empty: one run.",
        )  # fmt: skip
        chosen["seeds"] = tuple(int(each) for each in names_of(text or "") if each.isdecimal())
    if asked.has("umap"):
        chosen["umap"] = st.checkbox("Draw maps of the cells (UMAP)", value=True, key="umap", bind="query-params")
    if asked.has("top"):
        chosen["top"] = int(
            st.number_input(
                "Genes or peaks of each group that meet your list", min_value=1, max_value=100_000, value=100,
                key="top", bind="query-params",
            )
        )  # fmt: skip
    return chosen


def _links(asked: Asked) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if asked.has("reach"):
        chosen["reach"] = int(
            st.number_input(
                "Reach on either side of a gene's start (bases)", min_value=1_000, max_value=5_000_000, value=100_000,
                step=10_000, key="reach", bind="query-params", help="Peaks farther away are not linked to the gene.",
            )
        )  # fmt: skip
    if asked.has("alpha"):
        chosen["alpha"] = float(
            st.number_input(
                "Penalty of the LASSO", min_value=0.0, value=0.0, step=0.01, key="alpha", bind="query-params",
                help="Higher: fewer links. 0: chosen by cross-validation.",
            )
        )  # fmt: skip
    if asked.has("metacells"):
        usual = USUAL_METACELLS[asked.what]
        size = int(
            st.number_input(
                "Cells added up to one", min_value=0, max_value=10_000, value=usual, key="metacells",
                bind="query-params", help="Neighbours are added up, since single cells are sparse. 0: none are.",
            )
        )  # fmt: skip
        chosen["metacells"] = -1 if size == usual else size
    return chosen


def _path(asked: Asked) -> dict[str, Any]:
    if not asked.has("neighbours"):
        return {}
    number = st.number_input(
        "Neighbours of each cell", min_value=2, max_value=1_000, value=30, key="neighbours", bind="query-params",
        help="More: a smoother order that may jump over gaps.",
    )  # fmt: skip
    return {"neighbours": int(number)}


def _rest(asked: Asked) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if (asked.what in OF_GENOME and not asked.cells.genome) or st.query_params.get("genome"):
        genome = choice("Genome", GENOMES, param="genome", words=lambda g: present.genome(g) if g else "as recognised")
        chosen["genome"] = genome or None
    if asked.model:
        chosen["held_out"] = st.checkbox(
            "Only cells that did not train the model", key="held_out", bind="query-params",
            help="The fair test where some of these cells trained the model; refused where no others are left.",
        )  # fmt: skip
    chosen["seed"] = int(
        st.number_input(
            "Seed", min_value=0, value=0, step=1, key="seed", bind="query-params",
            help="Same cells, settings and seed: the same answer.",
        )
    )  # fmt: skip
    return chosen


def _reference() -> dict[str, Any]:
    text = st.text_area(
        "Your list to compare with", key="reference", bind="query-params", height=110,
        placeholder="Names, one a line; or GROUP,NAME",
        help="Known markers: how many of them stand out, and how many would by chance.",
    )  # fmt: skip
    return {"reference": lines_of(text or "")}
