"""A finished joint view: what seeing both modalities together brings, the cells, the profiles, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from app import charts_scores, jointly, present, readings
from app.components import failure
from app.components.figure import figure
from app.components.finder import finder
from app.components.joint_cells import cells, feature
from app.components.result import Result, report_of
from app.components.result_features import features
from app.components.result_profiles import profiles
from app.components.result_record import record
from app.components.table import table as shown_table
from app.components.tabs import tabs
from app.kinds import NO_LABEL
from jobs.bootstrap import current_client
from jobs.names import Modality
from jobs.views import FeatureHit, JobView, Values


@dataclass(frozen=True)
class Seen(Result):
    """One modality of a joint view, as pages read a result: `direction` ends in it, predictions are imputations."""

    @property
    def modality(self) -> Modality:
        return Modality(self.direction.target)

    @property
    def scored(self) -> bool:
        return True

    def face(self) -> None:
        st.session_state[f"of-{self.job.id}"] = self.modality
        st.query_params["of"] = self.modality.value

    def whole(self) -> Mapping[str, Any]:
        """The report of both modalities."""
        return report_of(self.job.id, self.job.attempt)

    def report(self) -> Mapping[str, Any]:
        scale = (self.whole().get("scales") or {}).get(self.modality.value, "")
        return {**jointly.imputed(self.whole(), self.modality), "scale": scale}

    def features(self) -> pd.DataFrame:
        return _table(self.job.id, self.job.attempt, f"{self.modality.value}-features")

    def cells(self) -> pd.DataFrame:
        return _table(self.job.id, self.job.attempt, "cells").rename(columns={"barcode": "cell"})

    def search(self, query: str, *, limit: int = 12) -> list[FeatureHit]:
        return _search(*self.key, query, limit)

    def values(self, features: Sequence[str], cells: Sequence[str] | None = None) -> Values:
        return _values(*self.key, tuple(features), None if cells is None else tuple(cells))


@st.cache_resource(max_entries=24, ttl=3600, show_spinner="Reading the results …")
def _table(job: str, attempt: int, name: str) -> pd.DataFrame:
    return pd.DataFrame(current_client().joint_table(job, name))


@st.cache_data(max_entries=256, ttl=3600, show_spinner=False)
def _search(job: str, attempt: int, direction: str, query: str, limit: int) -> list[FeatureHit]:
    from jobs.names import Direction

    return current_client().joint_search(job, Direction(direction).target, query, limit=limit)


@st.cache_data(max_entries=64, ttl=3600, show_spinner="Decoding …")
def _values(job: str, attempt: int, direction: str, features: tuple[str, ...], cells: tuple[str, ...] | None) -> Values:
    from jobs.names import Direction

    return current_client().joint_values(job, Direction(direction).target, features=features, cells=cells)


def seen(job: JobView) -> None:
    """The verdict first, then the tabs; a gene or peak searched follows through them."""
    result = Seen(job, jointly.direction(_modality(job)))
    with failure.shown("The result cannot be read"):
        _verdict(result)
        _switch(job)
        hit = finder(result)
        tabs(
            {
                "Overview": lambda: overview(result, hit),
                "Genes": lambda: features(Seen(job, jointly.direction(Modality.RNA)), _of(hit, Modality.RNA)),
                "Peaks": lambda: features(Seen(job, jointly.direction(Modality.ATAC)), _of(hit, Modality.ATAC)),
                "Cells": lambda: cells(result, hit),
                "Profiles": lambda: profiles(result, word="imputed"),
                **record(job),
            }
        )


def _of(hit: FeatureHit | None, modality: Modality) -> FeatureHit | None:
    return hit if hit is not None and hit.modality == modality else None


def _modality(job: JobView) -> Modality:
    """The measurement looked at, held in the address."""
    asked = st.query_params.get("of", "")
    return Modality(asked) if asked in {m.value for m in Modality} else Modality.RNA


def _switch(job: JobView) -> None:
    key = f"of-{job.id}"
    st.segmented_control(
        "Measurement", list(Modality), default=_modality(job), required=True, key=key, on_change=_turn, args=(key,),
        format_func=lambda m: f"{present.measured(m).capitalize()} ({present.modality(m)})",
        label_visibility="collapsed",
    )  # fmt: skip


def _turn(key: str) -> None:
    st.query_params["of"] = Modality(st.session_state[key]).value


def _verdict(result: Seen) -> None:
    report = result.whole()
    label = str(result.job.spec.get("label") or "")
    verdict = jointly.verdict(report, label)
    badge = jointly.BADGES[verdict.level]
    with st.container(border=True, key="scorecard"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader("What does the joint view add?", anchor=False, width="content")
            st.badge(badge.word, icon=badge.icon, color=badge.colour)
        st.markdown(verdict.sentence)
        if verdict.because:
            st.markdown(f"**{verdict.because}**")
        for which in Modality:
            st.markdown(jointly.imputation_words(report, which))
        if warning := jointly.one_modality(report):
            st.markdown(f":material/warning: {warning}")
        _ways_on(result.job)


def _ways_on(job: JobView) -> None:
    pair = {which: str(job.spec[which]) for which in ("rna", "atac")}
    seen_by = {"model": job.model, "label": str(job.spec.get("label") or NO_LABEL)}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            "views/analyse.py", label="Analyse these cells", icon=":material/query_stats:",
            query_params={**pair, **seen_by},
        )  # fmt: skip
        st.page_link(
            "views/new.py", label="Train a model on these cells", icon=":material/model_training:",
            query_params={"kind": "train", **pair},
        )  # fmt: skip
        st.page_link(
            "views/new.py", label="Try another model", icon=":material/tune:", query_params={"kind": "joint", **pair}
        )


def overview(result: Seen, hit: FeatureHit | None) -> None:
    """Groups beside RNA alone and ATAC alone, imputation beside what needs no model, and the report's own notes.

    A gene or peak that was searched stands above them, measured and imputed.
    """
    report = result.whole()
    if hit is not None:
        feature(result, result.cells(), hit)
    left, right = st.columns(2)
    with left:
        _groups(result, report)
    with right:
        _imputation(result, report)
    for note in [*report.get("notes", ()), *jointly.imputed(report, result.modality).get("notes", ())]:
        st.caption(f":material/info: {present.plain(str(note))}")


def _groups(result: Seen, report: Mapping[str, Any]) -> None:
    rows = jointly.score_rows(report)
    st.caption(f"{jointly.sizes(report)}. {jointly.likeness(report)}")
    if not rows:
        st.markdown("No label was given: the groups are on the *Cells* tab, and nothing says which of them are right.")
        return
    label = str(result.job.spec.get("label"))
    title = jointly.best_words(report, label)
    chart = charts_scores.scores(
        pd.DataFrame(rows), title=title, neutral=0.0, quantity="agreement with the labels, higher is better"
    )
    said = "; ".join(row["label"] for row in rows if row["what"] == jointly.VIEWS["joint"])
    table = pd.DataFrame(jointly.score_table(report))
    figure(chart, key="groups-axis", alt=f"{title}. {said}.", table=table, file=present.file(result.job, "groups"))
    with st.expander("All scores of the groups", icon=":material/table:", key="groups-table"):
        shown_table(
            table, key="views", alt="Every score of every view", height="content",
            file=present.file(result.job, "groups-scores"),
        )  # fmt: skip
        st.caption(jointly.HELP)


def _imputation(result: Seen, report: Mapping[str, Any]) -> None:
    which = result.modality
    found = readings.readings(jointly.imputed(report, which))
    chosen = [found[name] for name in jointly.HEADLINES[which] if name in found]
    if not chosen:
        st.markdown(f"What is imputed of {present.modality(which)} could not be judged.")
        return
    rows = pd.DataFrame(readings.marks(chosen, what="joint view"))
    family = chosen[0].meaning.family
    title = f"Imputed {present.modality(which)} against counts kept back, {present.plural(chosen[0].n, 'cell')}"
    st.caption(
        "Half of each cell's counts were shown to the model, the other half judges it. A dot right of every grey or "
        "blue mark means the model adds something."
    )
    chart = charts_scores.scores(
        rows, title=title, neutral=chosen[0].meaning.neutral, quantity=f"{family}, higher is better"
    )
    said = "; ".join(reading.sentence for reading in chosen)
    figure(chart, key="imputed-axis", alt=f"{title}. {said}.", table=rows, file=present.file(result.job, "imputed"))
