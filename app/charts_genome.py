"""A stretch of the genome as one chart: arcs of links above, a row of coverage a group, gene models below. Pure.

All of it is one layered chart in lanes of equal height, so that it takes the width of the page and saves as one SVG.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from app.charts import GENE, INK_ON_DARK, NULL, PREDICTION, TRUTH, finish
from app.charts_analysis import DISTAL, PROXIMAL
from jobs.views import GeneShape, GenomeView, LinkView

LANE = 30  # pixels of a row of coverage, and of a row of genes
ARCS = 4.5  # lanes for the links
POINTS = 25  # of an arc
WIDE = 0.4  # share of the stretch a link must span for the highest arc  # ours
Align = Literal["left", "center", "right"]
ALIGNS: tuple[Align, ...] = ("left", "center", "right")
WORDS = {"raw": "measured", "imputed": "imputed"}
NARROW = 330  # pixels a track has on a phone: what names of genes must fit
LETTER = 7  # pixels
MOST_ROWS = 6  # of genes; where there are more, only the chosen one and linked ones are named
LEAST_BAR = 1 / 250  # of the stretch: a peak is never thinner on the page


@dataclass(frozen=True)
class Lanes:
    """Where everything stands, in lanes from the top. genes: the row of each gene that is drawn."""

    arcs: float
    groups: tuple[str, ...]
    genes: Mapping[str, int]
    rows: int

    @property
    def base(self) -> float:
        """The line the arcs stand on: the top of the coverage."""
        return self.arcs

    def group(self, name: str) -> float:
        return self.base + 0.35 + self.groups.index(name) + 0.5

    def gene(self, name: str) -> float:
        return self.base + 0.7 + len(self.groups) + self.genes[name] + 0.5

    @property
    def bottom(self) -> float:
        return self.base + 0.9 + len(self.groups) + self.rows


def lanes(view: GenomeView, *, profile: str, named: Sequence[str]) -> Lanes:
    """Room for arcs where there are links, a lane a group, and genes packed in rows so that no name covers another."""
    placed: dict[str, int] = {}
    taken: list[list[tuple[float, float]]] = [[] for _ in range(MOST_ROWS)]
    letter = (view.end - view.start) * LETTER / NARROW
    for gene in shown_genes(view, named):
        left, right = _reach(gene, view, letter)
        free = (i for i, row in enumerate(taken) if all(right + letter < a or b + letter < left for a, b in row))
        if (row := next(free, None)) is not None:
            taken[row].append((left, right))
            placed[gene.name] = row
    linked = any(link.profile == profile for link in view.links)
    return Lanes(ARCS if linked else 0.4, view.groups, placed, max(placed.values(), default=-1) + 1)


def shown_genes(view: GenomeView, named: Sequence[str]) -> list[GeneShape]:
    """Genes in the order in which they find room: named ones first, then linked ones, then the longest."""
    linked = {link.gene for link in view.links}
    return sorted(view.genes, key=lambda g: (g.name not in named, g.name not in linked, -(g.end - g.start)))


def _reach(gene: GeneShape, view: GenomeView, letter: float) -> tuple[float, float]:
    """Where a gene with its name begins and ends."""
    at, align = _name_at(gene, view, letter)
    wide = letter * (len(gene.name) + 2)
    left = {"left": at, "center": at - wide / 2, "right": at - wide}[align]
    return min(float(gene.start), left), max(float(gene.end), left + wide)


def _name_at(gene: GeneShape, view: GenomeView, letter: float) -> tuple[float, Align]:
    """Over the middle of what is seen of it; at the edges from there inwards."""
    start, end = max(gene.start, view.start), min(gene.end, view.end)
    middle, half = (start + end) / 2, letter * (len(gene.name) + 2) / 2
    if middle - half < view.start:
        return float(start), "left"
    return (float(end), "right") if middle + half > view.end else (middle, "center")


def track(
    view: GenomeView, *, profile: str, title: str, named: Sequence[str] = (), words: Mapping[str, str] = WORDS
) -> Any:
    """profile: whose links are drawn; coverage stands for both, measured above the line of a group, imputed below it.

    named: genes whose start is marked down through the rows. words: what the profiles are called.
    """
    place = lanes(view, profile=profile, named=named)
    x = alt.X(
        "x:Q", title=f"{view.chrom} (Mb)",
        scale=alt.Scale(domain=[view.start, view.end], nice=False, zero=False, clamp=True),
        axis=alt.Axis(labelExpr=f"format(datum.value / 1e6, '{_digits(view)}')", tickCount=5, grid=False),
    )  # fmt: skip
    layers = [
        *_starts(view, place, named, x),
        *_coverage(view, place, x, words),
        *_genes(view, place, x, named),
        *_arcs(view, place, profile, x),
    ]
    height = int(place.bottom * LANE)
    drawn = alt.layer(*layers).resolve_scale(color="independent")  # coverage and links have a legend each
    return finish(drawn, title=title, height=height + 96, marks=_marks(view), bare=True)


def _digits(view: GenomeView) -> str:
    width = view.end - view.start
    return ",.4f" if width < 20_000 else ",.3f" if width < 200_000 else ",.2f" if width < 5_000_000 else ",.1f"


def _marks(view: GenomeView) -> int:
    return len(view.peaks) * len(view.groups) * max(len(view.coverage), 1) + len(view.links) * POINTS


def _y(place: Lanes) -> Any:
    """The lanes, named by their groups."""
    scale = alt.Scale(domain=[place.bottom, 0], nice=False, zero=False)
    at = [place.group(name) for name in place.groups]
    said = json.dumps([_short(name) for name in place.groups])
    expr = f"{said}[round(datum.value - {place.base + 0.85})]"
    return alt.Y(
        "y:Q", scale=scale, title=None,
        axis=alt.Axis(values=at, labelExpr=expr, ticks=False, domain=False, grid=False, labelLimit=110),
    )  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"


def _coverage(view: GenomeView, place: Lanes, x: Any, words: Mapping[str, str]) -> list[Any]:
    rows = coverage_rows(view, words)
    lines = pd.DataFrame({"x": view.start, "x2": view.end, "y": [place.group(name) for name in view.groups]})
    ruled = alt.Chart(lines).mark_rule(color=NULL, strokeWidth=0.7, opacity=0.7)
    layers = [ruled.encode(x=x, x2="x2:Q", y=_y(place))] if len(lines) else []
    if rows.empty:
        return layers
    centre = rows["group"].map({name: place.group(name) for name in view.groups})
    up = np.where(rows["profile"] == words["raw"], -1.0, 1.0)
    rows = rows.assign(y=centre, y2=centre + up * rows["share"] * 0.46)
    bars = (
        alt.Chart(rows)
        .mark_rect(strokeWidth=0)
        .encode(
            x=x, x2="x2:Q", y=_y(place), y2="y2:Q",
            color=alt.Color(
                "profile:N", title="open",
                scale=alt.Scale(domain=[words["raw"], words["imputed"]], range=[TRUTH, PREDICTION]),
                legend=alt.Legend(orient="bottom", direction="horizontal", titleOrient="left"),
            ),
            tooltip=[
                alt.Tooltip("peak:N"), alt.Tooltip("group:N"), alt.Tooltip("profile:N", title="open"),
                alt.Tooltip("value:Q", format=".3f"),
            ],
        )
    )  # fmt: skip
    return [*layers, bars]


def coverage_rows(view: GenomeView, words: Mapping[str, str] = WORDS) -> pd.DataFrame:
    """A row a profile, group and peak: x and x2 (never too thin to see), value, and share of the profile's highest."""
    parts = []
    thin = (view.end - view.start) * LEAST_BAR
    starts, ends = np.array(view.peak_starts, dtype=float), np.array(view.peak_ends, dtype=float)
    pad = np.maximum(thin - (ends - starts), 0) / 2
    for profile, groups in view.coverage.items():
        known = [value for values in groups.values() for value in values if value is not None]
        highest = max(known, default=0.0) or 1.0
        for group, values in groups.items():
            value = np.array([np.nan if v is None else v for v in values], dtype=float)
            parts.append(
                pd.DataFrame(
                    {
                        "profile": words.get(profile, profile), "group": group, "peak": list(view.peaks),
                        "x": np.maximum(starts - pad, view.start), "x2": np.minimum(ends + pad, view.end),
                        "value": value, "share": np.clip(value / highest, 0, 1),
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"]) if parts else pd.DataFrame()


def _genes(view: GenomeView, place: Lanes, x: Any, named: Sequence[str]) -> list[Any]:
    genes = [gene for gene in view.genes if gene.name in place.genes]
    if not genes:
        return []
    letter = (view.end - view.start) * LETTER / NARROW
    bodies, exons, names = [], [], []
    for gene in genes:
        y = place.gene(gene.name) + 0.22
        start, end = max(gene.start, view.start), min(gene.end, view.end)
        strand = "forward strand" if gene.forward else "reverse strand"
        bodies.append({"x": start, "x2": end, "y": y, "gene": gene.name, "strand": strand})
        exons += [
            {"x": max(a, view.start), "x2": min(b, view.end), "y": y - 0.13, "y2": y + 0.13, "gene": gene.name,
             "strand": strand}
            for a, b in gene.exons
            if b > view.start and a < view.end
        ]  # fmt: skip
        text = f"{gene.name} →" if gene.forward else f"← {gene.name}"
        at, align = _name_at(gene, view, letter)
        names.append({"x": at, "y": y - 0.24, "text": text, "bold": gene.name in named, "align": align})
    tooltip = [alt.Tooltip("gene:N"), alt.Tooltip("strand:N")]
    body = (
        alt.Chart(pd.DataFrame(bodies))
        .mark_rule(color=GENE, strokeWidth=1.5)
        .encode(x=x, x2="x2:Q", y=_y(place), tooltip=tooltip)
    )
    layers = [body]
    if exons:
        block = alt.Chart(pd.DataFrame(exons)).mark_rect(color=GENE, stroke=GENE, strokeWidth=1)
        layers.append(block.encode(x=x, x2="x2:Q", y=_y(place), y2="y2:Q", tooltip=tooltip))
    for bold in (False, True):
        for align in ALIGNS:
            said = pd.DataFrame([name for name in names if name["bold"] is bold and name["align"] == align])
            if len(said):
                text = alt.Chart(said).mark_text(
                    baseline="bottom", fontSize=11, fontWeight="bold" if bold else "normal", fontStyle="italic",
                    align=align,
                )  # fmt: skip
                layers.append(text.encode(x=x, y=_y(place), text="text:N"))
    return layers


def _starts(view: GenomeView, place: Lanes, named: Sequence[str], x: Any) -> list[Any]:
    at = [
        {"x": gene.start if gene.forward else gene.end, "y": place.base, "y2": place.gene(gene.name)}
        for gene in view.genes
        if gene.name in named and gene.name in place.genes
    ]
    at = [row for row in at if view.start <= row["x"] <= view.end]
    if not at:
        return []
    rule = alt.Chart(pd.DataFrame(at)).mark_rule(color=INK_ON_DARK, strokeDash=[3, 3])
    return [rule.encode(x=x, y=_y(place), y2="y2:Q")]


def arc_rows(links: Sequence[LinkView], view: GenomeView, *, base: float, height: float) -> pd.DataFrame:
    """Points of half an ellipse a link, its height by its distance. Columns x, y, link, kind, weight and what it joins.

    An end outside the stretch is drawn at its edge: the arc leaves the page there.
    """
    far = max(*(link.end - link.start for link in links), (view.end - view.start) * WIDE) if links else 1
    angle = np.linspace(0, np.pi, POINTS)
    parts = []
    for number, link in enumerate(links):
        middle, radius = (link.start + link.end) / 2, (link.end - link.start) / 2
        rise = height * np.sqrt((link.end - link.start) / far)
        x, y = middle - radius * np.cos(angle), base - rise * np.sin(angle)
        inside = (x >= view.start) & (x <= view.end)
        parts.append(
            pd.DataFrame(
                {
                    "x": x[inside], "y": y[inside], "order": angle[inside], "link": number,
                    "kind": "proximal" if link.proximal else "distal", "weight": link.weight,
                    "strength": abs(link.weight), "peak": link.peak, "to": link.gene or link.other,
                    "kb": (link.end - link.start) / 1000, "sign": "with it" if link.weight >= 0 else "against it",
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _arcs(view: GenomeView, place: Lanes, profile: str, x: Any) -> list[Any]:
    links = [link for link in view.links if link.profile == profile]
    rows = arc_rows(links, view, base=place.base, height=ARCS - 0.5)
    if rows.empty:
        return []
    strongest = float(rows["strength"].max()) or 1.0
    lines = (
        alt.Chart(rows)
        .mark_line(interpolate="basis", strokeCap="round")
        .encode(
            x=x, y=_y(place), order="order:Q", detail="link:N",
            color=alt.Color(
                "kind:N", title="link",
                scale=alt.Scale(domain=["proximal", "distal"], range=[PROXIMAL, DISTAL]),
                legend=alt.Legend(orient="top", direction="horizontal", titleOrient="left", symbolType="stroke"),
            ),
            opacity=alt.Opacity(
                "strength:Q", scale=alt.Scale(domain=[0, strongest], range=[0.25, 1], clamp=True), legend=None
            ),
            strokeWidth=alt.StrokeWidth(
                "strength:Q", scale=alt.Scale(domain=[0, strongest], range=[0.8, 4.5], clamp=True), legend=None
            ),
            strokeDash=alt.StrokeDash(
                "sign:N", scale=alt.Scale(domain=["with it", "against it"], range=[[1, 0], [5, 4]]), legend=None
            ),
            tooltip=[
                alt.Tooltip("peak:N"), alt.Tooltip("to:N", title="linked to"),
                alt.Tooltip("kb:Q", title="distance (kb)", format=",.1f"), alt.Tooltip("kind:N"),
                alt.Tooltip("weight:Q", format=".3f"),
            ],
        )
    )  # fmt: skip
    floor = pd.DataFrame({"x": [view.start], "x2": [view.end], "y": [place.base]})
    ground = alt.Chart(floor).mark_rule(color=NULL, strokeWidth=1).encode(x=x, x2="x2:Q", y=_y(place))
    return [ground, lines]
