"""The genome track: a stretch by gene or region, held in the address; arcs of links, coverage by group, gene models."""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from app import charts_genome, present
from app.analyses import PROFILES
from app.components import failure
from app.components.analysed import Analysed
from app.components.figure import figure
from app.components.table import table as shown_table
from jobs.views import GenomeView, LinkView

PLACE, TAB, LINKS = "place", "tab", "links"
TABLES = {"cre": "lasso.links", "coaccess": "coaccess.links"}
LEAST, MOST = 1_000, 5_000_000  # bases of a stretch
OFFERED = 8  # genes with the strongest links
SPOKEN = 5  # links read out to who cannot see the arcs


def look_at(place: str, profile: str) -> None:
    """Go to this place and its links from elsewhere on the page; to be called from a widget's callback."""
    st.session_state[PLACE], st.session_state[LINKS] = place, PROFILES[profile]
    st.session_state[TAB] = "Genome"


def place_of(peak: str, distance: int) -> str:
    """A stretch that holds the peak and what it is linked to, with room on either side."""
    found = re.fullmatch(r"(.+?)[:-](\d+)-(\d+)", peak)
    if found is None:
        return peak
    start, end, away = int(found[2]), int(found[3]), abs(distance)
    room = away + max(away // 5, 10_000)
    return f"{found[1]}:{max(start - room, 0)}-{end + room}"


def search(result: Analysed) -> str:
    """The place asked for, else the gene with the strongest link; "" where nothing is linked and nothing asked."""
    genes = _linked_genes(result)
    return _typed(genes) or (genes[0] if genes else "")


def genome(result: Analysed, place: str) -> None:
    if not place:
        st.markdown("Nothing was linked on these cells. Search a gene or a region to see its peaks.")
        return
    profile = _profile(result)
    with failure.shown("This place cannot be shown"):
        view = result.genome(place)
        steps(view)
        named = [gene.name for gene in view.genes if gene.name.casefold() == place.casefold()]
        _track(result, view, profile, named)
        _links(result, view, profile)
        _peaks(result, view)


def _linked_genes(result: Analysed) -> list[str]:
    """Genes with the strongest distal links, on the first profile that has any."""
    for profile in result.spec.on:
        where = {"profile": profile, "kind": "distal"}
        table = result.table(TABLES[result.spec.what], where=where, sort="score", descending=True, most=200)
        if genes := list(dict.fromkeys(table.loc[table["score"] > 0, "gene"])):
            return genes[:OFFERED]
    return []


def _typed(genes: list[str]) -> str:
    left, right = st.columns([1, 1], vertical_alignment="bottom")
    with left:
        typed = st.text_input(
            "Gene or region", type="search", key=PLACE, bind="query-params",
            placeholder=f"such as {genes[0] if genes else 'CD3E'} or chr11:118304000-118344000",
        )  # fmt: skip
    with right:
        if genes:
            key = "strong-genes"
            st.session_state[key] = None  # a way in, not a state: the box says where one is
            st.pills(
                "Genes with the strongest links", genes, key=key, on_change=_picked, args=(key,),
            )  # fmt: skip
    return (typed or "").strip()


def _picked(key: str) -> None:
    if gene := st.session_state.get(key):
        st.session_state[PLACE] = str(gene)


def _profile(result: Analysed) -> str:
    """Whose links are drawn."""
    return profile_of(result, "Links on cells as", key=LINKS)


def profile_of(result: Analysed, label: str, *, key: str) -> str:
    """Measured or imputed, held in the address by that word; no choice where there is one of them alone."""
    words = {PROFILES[p]: str(p) for p in PROFILES if p in result.spec.on and (p == "raw" or result.spec.model)}
    if len(words) == 1:
        return next(iter(words.values()))
    options = list(words)
    default = None if key in st.session_state else options[0]  # another part of the page may have chosen
    picked = st.segmented_control(label, options, default=default, required=True, key=key, bind="query-params")
    return words[str(picked)]


def steps(view: GenomeView) -> None:
    """Where one is, and buttons to the left, to the right, closer and farther."""
    with st.container(horizontal=True, vertical_alignment="center", key="genome-steps"):
        width = view.end - view.start
        for name, icon, by, zoom in (
            ("Left", ":material/chevron_left:", -0.5, 1.0), ("Right", ":material/chevron_right:", 0.5, 1.0),
            ("Closer", ":material/zoom_in:", 0.0, 0.5), ("Farther", ":material/zoom_out:", 0.0, 2.0),
        ):  # fmt: skip
            there = moved(view.start, view.end, by=by, zoom=zoom)
            st.button(
                name, icon=icon, key=f"go-{name.lower()}", on_click=_go, args=(f"{view.chrom}:{there[0]}-{there[1]}",),
                disabled=there == (view.start, view.end),
            )  # fmt: skip
        st.markdown(f"{view.chrom}:{view.start:,}–{view.end:,} · {_bases(width)} · {view.genome}")


def moved(start: int, end: int, *, by: float, zoom: float) -> tuple[int, int]:
    """A stretch moved by a share of its width and widened, within what can be drawn and not before 0."""
    width = end - start
    wanted = min(max(int(width * zoom), LEAST), MOST)
    middle = (start + end) // 2 + int(width * by)
    first = max(middle - wanted // 2, 0)
    return first, first + wanted


def _go(place: str) -> None:
    st.session_state[PLACE] = place


def _bases(n: int) -> str:
    return f"{n / 1e6:.2f} Mb" if n >= 1_000_000 else f"{n / 1000:.0f} kb" if n >= 10_000 else f"{n / 1000:.1f} kb"


def _track(result: Analysed, view: GenomeView, profile: str, named: list[str]) -> None:
    links = [link for link in view.links if link.profile == profile]
    near, values = sum(link.proximal for link in links), PROFILES[profile]
    title = (
        f"{present.plural(len(links), 'link')} on {values} cells: {near} proximal, {len(links) - near} distal"
        if links
        else f"No links on {values} cells in this stretch"
    )
    chart = charts_genome.track(view, profile=profile, title=title, named=named)
    rows = link_rows(view)
    figure(chart, key="genome", alt=spoken(view, links, title), table=rows, file=result.file(f"{view.chrom}-links"))
    said = "Arcs join a peak to the start of the gene it is linked to" if result.spec.what == "cre" else (
        "Arcs join peaks that open together, or a peak and the start of the gene it may serve"
    )  # fmt: skip
    measured, imputed = ("raw" in view.coverage), ("imputed" in view.coverage)
    bars = (
        "In each row bars above the line are measured (share of cells in which the peak is open), bars below it "
        "imputed (mean probability), each against its highest here."
        if measured and imputed
        else "Bars are the share of cells in which a peak is open, against the highest here."
        if measured
        else "Bars are mean imputed probabilities, against the highest here."
    )
    st.caption(f"{said}: higher the farther apart, wider and darker the stronger; dashed where they go against each "
               f"other. {bars} Links that leave this stretch are not drawn.")  # fmt: skip
    if view.links_left_out:
        st.caption(
            f":material/info: {present.plural(view.links_left_out, 'weaker link')} not drawn: go closer to see them."
        )
    undrawn = [
        g.name for g in view.genes if g.name not in charts_genome.lanes(view, profile=profile, named=named).genes
    ]
    if undrawn:
        st.caption(f":material/info: {present.plural(len(undrawn), 'gene')} not drawn for want of room: go closer.")


def spoken(view: GenomeView, links: list[LinkView], title: str) -> str:
    """The track for who cannot see it."""
    genes = ", ".join(f"{g.name} ({'forward' if g.forward else 'reverse'})" for g in view.genes[:12]) or "none"
    strongest = sorted(links, key=lambda link: -abs(link.weight))[:SPOKEN]
    said = "; ".join(
        f"{link.peak} to {link.gene or link.other}, {present.number(link.weight)}, "
        f"{'proximal' if link.proximal else 'distal'}, {(link.end - link.start) / 1000:.0f} kb"
        for link in strongest
    )
    return (
        f"{view.chrom} from {view.start:,} to {view.end:,}. {title}. Strongest: {said or 'none'}. "
        f"{present.plural(len(view.peaks), 'peak')} in {present.plural(len(view.groups), 'group')} of cells. "
        f"Genes: {genes}."
    )


def link_rows(view: GenomeView) -> pd.DataFrame:
    """The links of a stretch as a table, both profiles, the strongest first."""
    rows = [
        {
            "values": PROFILES.get(link.profile, link.profile),
            "gene": link.gene,
            "peak": link.peak,
            "other peak": link.other,
            "kind": "proximal" if link.proximal else "distal",
            "weight": link.weight,
            "distance": link.end - link.start,
        }
        for link in sorted(view.links, key=lambda link: -abs(link.weight))
    ]
    return pd.DataFrame(rows, columns=["values", "gene", "peak", "other peak", "kind", "weight", "distance"])


def _links(result: Analysed, view: GenomeView, profile: str) -> None:
    table = link_rows(view)
    own = table[table["values"] == PROFILES[profile]].drop(columns="values")
    if not own["other peak"].any():
        own = own.drop(columns="other peak")
    if own.empty:
        return
    st.markdown("**Links shown**")
    shown_table(
        own, height="content" if len(own) <= 8 else 320, key="links-shown",
        alt="The links of this stretch", file=result.file(f"{view.chrom}-links-shown"),
        config={
            "gene": st.column_config.TextColumn("gene", pinned=True),
            "weight": st.column_config.NumberColumn("weight", format="%.3f"),
            "distance": st.column_config.NumberColumn("distance (bases)", format="%d"),
        },
    )  # fmt: skip


def _peaks(result: Analysed, view: GenomeView) -> None:
    if not view.peaks or not view.coverage:
        return
    table = pd.DataFrame({"peak": list(view.peaks)})
    for profile, groups in view.coverage.items():
        for group, values in groups.items():
            table[f"{group}, {PROFILES.get(profile, profile)}"] = values
    with st.expander("Every peak of this stretch in each group", icon=":material/table:", key="genome-peaks"):
        shown_table(
            table, key="peaks-shown", height=320, alt="How open each peak is in each group",
            file=result.file(f"{view.chrom}-peaks"),
            config={
                "peak": st.column_config.TextColumn("peak", pinned=True),
                **{c: st.column_config.NumberColumn(c, format="%.3f") for c in table.columns[1:]},
            },
        )  # fmt: skip
