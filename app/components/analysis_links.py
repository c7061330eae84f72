"""Figures of analyses that link peaks: how far links reach, the strongest of them, and a way to see each."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import charts_analysis, present
from app.analyses import PROFILES, column_words
from app.components.analysed import Analysed
from app.components.figure import figure
from app.components.genome_track import TABLES, look_at, place_of, profile_of
from app.components.saving import save
from app.components.table import table as shown_table

MOST_LINKS = 10_000  # the strongest, for the chart of distances  # ours


def links(result: Analysed) -> None:
    name = TABLES[result.spec.what]
    profiles = [p for p in PROFILES if p in result.spec.on and (p == "raw" or result.spec.model)]
    shown = {str(p): _strong(result, name, p) for p in profiles}
    for place, (values, table) in zip(st.columns(len(shown)), shown.items(), strict=True):
        with place:
            _distances(result, table, values)
    if result.spec.what == "coaccess":
        st.caption(
            "A link joins a peak to the gene whose promoter it opens with; pairs away from promoters are under "
            "*Tables*."
        )
    st.subheader("The strongest links", anchor=False)
    profile = profile_of(result, "On cells as", key="strongest")
    _table(shown[profile].head(500), profile)
    if result.has(f"{name.split('.')[0]}.enrichment"):
        st.subheader("Your signal under linked peaks", anchor=False)
        enriched = result.table(f"{name.split('.')[0]}.enrichment")
        shown_table(
            enriched, key="enriched", height="content", alt="Signal under linked and other peaks",
            file=result.file("enrichment"),
        )  # fmt: skip


def _strong(result: Analysed, name: str, profile: str) -> pd.DataFrame:
    """The strongest links of a profile; those of score 0 are none."""
    table = result.table(name, where={"profile": profile}, sort="score", descending=True, most=MOST_LINKS)
    return table[table["score"] > 0]


def _distances(result: Analysed, table: pd.DataFrame, profile: str) -> None:
    near = int((table["kind"] == "proximal").sum())
    some = "the strongest " if len(table) >= MOST_LINKS else ""
    values = PROFILES[profile].capitalize()
    title = f"{values}: of {some}{present.plural(len(table), 'link')}, {present.count(near)} proximal"
    far = int((table["kind"] == "distal").sum())
    alt = f"{title}, {present.count(far)} distal. Median distance "
    alt += (
        f"{present.number(float(table['distance'].abs().median()) / 1000, digits=0)} kb." if len(table) else "unknown."
    )
    chart = charts_analysis.distances(table, title=title)
    figure(chart, key=f"distances-{profile}", alt=alt, table=table, file=result.file(f"links-{profile}"))


def _table(table: pd.DataFrame, profile: str) -> None:
    if table.empty:
        st.markdown("Nothing is linked here.")
        return
    first = ["gene", "peak", "kind", "distance", "score"]
    shown = table[[*first, *(c for c in table.columns if c not in (*first, "profile", "selected"))]]
    config: dict[str, Any] = {
        c: st.column_config.NumberColumn(column_words(c), format="%.0f" if c == "distance" else "%.3f")
        for c in shown.columns
        if pd.api.types.is_numeric_dtype(shown[c])
    }
    config["gene"] = st.column_config.TextColumn("gene", pinned=True)
    event: Any = st.dataframe(
        shown, hide_index=True, key="strong-rows", height=360, column_config=config, on_select="rerun",
        selection_mode="single-row", alt="The strongest links",
    )  # fmt: skip
    with st.container(horizontal=True, gap="small"):
        save(table, key=f"links-{profile}-out", file=f"links-{profile}")
    chosen = event.get("selection", {}).get("rows", []) if event else []
    if chosen and chosen[0] < len(shown):
        row = shown.iloc[chosen[0]]
        place = place_of(str(row["peak"]), int(row["distance"]))
        st.button(
            f"See {row['gene']} on the genome", key="see-link", on_click=look_at, args=(place, profile),
            icon=":material/conversion_path:",
        )  # fmt: skip
    else:
        st.caption("Choose a row to see it on the genome. The whole table is under *Tables*.")
