"""Genome: peaks of a stretch, how open they are in each group of cells, measured and predicted, with gene models."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts_genome, present, readings
from app.components.address import choice
from app.components.figure import figure
from app.components.genome_track import PLACE, spoken, steps
from app.components.result import Result
from app.components.table import table
from jobs.bootstrap import current_client
from jobs.names import Direction, Modality
from jobs.views import FeatureHit, GenomeView

WORDS = {"raw": "measured", "imputed": "predicted"}
NO_LABEL = "all cells together"


def genome(result: Result, hit: FeatureHit | None) -> None:
    """hit: what is searched on the page; shown here unless the tab's own box names another place."""
    labels = result.columns().labels
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    with left:
        typed = st.text_input(
            "Gene or region", type="search", key=PLACE, bind="query-params",
            placeholder=hit.name if hit else "such as VIM or chr10:17228000-17240000",
        )  # fmt: skip
    with middle:
        label = choice("Groups of cells", [*labels, NO_LABEL], param="by", words=readings.column_words)
    place = (typed or "").strip() or (hit.name if hit else "")
    if not place:
        st.markdown("Search a gene or a region to see its peaks: how open they are, as measured and as predicted.")
        return
    view = _view(*result.key, place, "" if label == NO_LABEL else label)
    with right:
        profile = _profile(view)
    steps(view)
    _track(result, view, profile, place)
    _tables(result, view)


@st.cache_data(max_entries=64, ttl=3600, show_spinner="Reading this stretch of the genome …")
def _view(job: str, attempt: int, direction: str, place: str, label: str) -> GenomeView:
    return current_client().exploring.genome(job, Direction(direction), place, label=label)


def _profile(view: GenomeView) -> str:
    """Whose links are drawn: measured or predicted; no choice where one of them has any."""
    found = [profile for profile in WORDS if any(link.profile == profile for link in view.links)]
    if len(found) < 2:
        return found[0] if found else "raw"
    return choice("Links as", found, param="links", words=WORDS.__getitem__)


def _track(result: Result, view: GenomeView, profile: str, place: str) -> None:
    links = [link for link in view.links if link.profile == profile]
    named = [gene.name for gene in view.genes if gene.name.casefold() == place.casefold()]
    title = f"{present.plural(len(view.peaks), 'peak')} of the model in {view.chrom}:{view.start:,}–{view.end:,}"
    if links:
        title += f", {present.plural(len(links), 'link')} {WORDS[profile]}"
    chart = charts_genome.track(view, profile=profile, title=title, named=named, words=WORDS)
    rows = charts_genome.coverage_rows(view, WORDS)
    file = present.file(result.job, f"{present.slug(place)}-genome")
    figure(chart, key="genome", alt=spoken(view, links, title), table=rows, file=file)
    st.caption(" ".join(_caption(result, view, profile, has_links=bool(links))))


def _caption(result: Result, view: GenomeView, profile: str, *, has_links: bool) -> list[str]:
    both = len(view.coverage) == 2
    said = []
    if both:
        said.append(
            "In each row bars above the line are measured (share of cells in which the peak is open), bars below it "
            "predicted (mean probability), each against its highest here."
        )
    elif "raw" in view.coverage:
        said.append("Bars are the share of cells in which a peak was measured open, against the highest here.")
    elif view.coverage:
        said.append("Bars are mean predicted probabilities, against the highest here.")
    if has_links:
        predicts = result.direction.target is Modality.ATAC
        what = (
            "measured in both"
            if profile == "raw"
            else "measured in the gene and predicted in the peak"
            if predicts
            else "predicted in the gene and measured in the peak"
        )
        said.append(
            f"Arcs are correlations over cells, {what}: wider the stronger, dashed where negative. They say what goes "
            "together, not what regulates what, and depth is part of it."
        )
    return [*said, *view.notes]


def _tables(result: Result, view: GenomeView) -> None:
    if not view.peaks:
        st.markdown("The model has no peak in this stretch: go farther.")
        return
    peaks = pd.DataFrame({"peak": list(view.peaks)})
    for profile, groups in view.coverage.items():
        for group, values in groups.items():
            peaks[f"{group}, {WORDS.get(profile, profile)}"] = values
    numbers = {name: st.column_config.NumberColumn(format="%.3f") for name in peaks.columns[1:]}
    file = present.file(result.job, f"{view.chrom}-{view.start}")
    st.markdown("**Every peak of this stretch in each group**")
    table(peaks, key="peaks-here", alt="How open each peak is in each group", file=f"{file}-peaks", config=numbers)
    if view.links:
        st.markdown("**Links**")
        links = pd.DataFrame(
            {
                "gene": [link.gene for link in view.links],
                "peak": [link.peak for link in view.links],
                "values": [WORDS.get(link.profile, link.profile) for link in view.links],
                "correlation": [link.weight for link in view.links],
                "distance (bases)": [link.end - link.start for link in view.links],
            }
        )
        config = {"correlation": st.column_config.NumberColumn(format="%.3f")}
        table(links, key="links-here", alt="Links of this stretch", file=f"{file}-links", config=config)
