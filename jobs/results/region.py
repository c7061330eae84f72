"""A stretch of the genome of a finished translation: how open its peaks are in each group, measured and predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.analysis.nearby import PROMOTER
from engine.types import Direction, FeatureSpace, Floats, Modality, Scale
from jobs.errors import BadRequest
from jobs.results.places import Place, Places
from jobs.results.read import Results
from jobs.results.search import gene_of, parsed
from jobs.views import GenomeView, LinkView

if TYPE_CHECKING:
    from engine.genome.genes import GeneModels
    from jobs.results.latents import Kept
    from jobs.spec import ScoredSpec

MOST_CELLS = 4_000  # decoded for one stretch, evenly drawn within each group  # ours
MOST_PEAKS = 1_000  # ours
MOST_GROUPS = 24  # the largest; a track is read by eye  # ours
MOST_GENES = 12  # of a stretch that are linked, the nearest to its middle  # ours
MOST_LINKS = 100  # of each profile  # ours
LEAST_CELLS = 20  # for a correlation  # ours
LEAST_R = 0.1  # a weaker correlation is not drawn  # ours
ERRORS = 3.0  # nor one within so many standard errors of none  # ours
ALL = "all cells"


@dataclass
class RegionResults:
    """Reads only what a SUCCEEDED row names."""

    results: Results

    def around(self, id: str, direction: Direction, text: str, *, label: str = "") -> GenomeView:
        """Raises BadRequest for a label or a place that is none, NotFound for a gene the genome's table has not."""
        row, spec = self.results.translated(id, direction)
        space = self.results.space_of(spec, Modality.ATAC)
        models = _models(space)
        places = Places(models)
        place = places.find(text)
        inside = _inside(space, place)
        with self.results.turn:
            kept = self.results.latent(row.id, row.attempt, direction)
            groups, notes = self._groups(id, direction, kept, label)
            values = _Values(self.results, spec, direction, kept, _drawn(groups), [int(i) for i in inside])
            coverage = values.coverage(groups)
            rna = self.results.known(spec, Modality.RNA)
            genes = _linked(models, place, rna, text) if rna is not None else []
            links = values.links(models, genes, space, inside) if len(inside) and genes else []
        peaks, known = parsed(space)
        at = np.searchsorted(known, inside)
        if len(values.rows) < sum(map(len, groups.values())):
            notes = (*notes, f"Of {len(values.rows):,} cells, evenly drawn within each group.")
        return GenomeView(
            genome=models.genome,
            chrom=place.chrom,
            start=place.start,
            end=place.end,
            genes=tuple(places.genes(place)),
            peaks=tuple(str(space.names[i]) for i in inside),
            peak_starts=tuple(peaks.start[at].tolist()),
            peak_ends=tuple(peaks.end[at].tolist()),
            groups=tuple(groups),
            coverage=coverage,
            links=tuple(links),
            notes=notes,
        )

    def _groups(
        self, id: str, direction: Direction, kept: Kept, label: str
    ) -> tuple[dict[str, list[int]], tuple[str, ...]]:
        """Rows of the cells of each label, in the labels' order; one group where no label is named."""
        if not label:
            return {ALL: list(range(len(kept.barcodes)))}, ()
        table = self.results.table(id, direction, "cells")
        if label not in table or not all(isinstance(value, str) for value in table[label]):
            raise BadRequest(f"The cells have no labels {label[:80]!r}.", hint="Look at the table of cells.")
        found: dict[str, list[int]] = {}
        for barcode, name in zip(table["barcode"], table[label], strict=True):
            if (at := kept.index.get(barcode)) is not None:
                found.setdefault(name or "not labelled", []).append(at)
        largest = set(sorted(found, key=lambda name: -len(found[name]))[:MOST_GROUPS])
        left = len(found) - len(largest)
        notes = (f"{left} smaller groups of {label} are not drawn.",) if left else ()
        return {name: found[name] for name in sorted(largest)}, notes


def _models(space: FeatureSpace) -> GeneModels:
    from engine.genome.genes import TABLES, GeneModels

    if space.genome not in TABLES:
        raise BadRequest(
            f"There is no gene table of {space.genome or 'a genome that is not stated'}.",
            hint=f"There are {', '.join(sorted(TABLES))}.",
        )
    return GeneModels.load(str(space.genome))


def _inside(space: FeatureSpace, place: Place) -> NDArray[np.int64]:
    """Positions of the peaks that reach into the stretch, from left to right."""
    peaks, known = parsed(space)
    on = peaks.on([place.chrom]) & (peaks.start < place.end) & (peaks.end > place.start)
    found = np.flatnonzero(on)
    if len(found) > MOST_PEAKS:
        raise BadRequest(f"{len(found):,} peaks lie in this stretch.", hint=f"Go closer: at most {MOST_PEAKS:,}.")
    return np.asarray(known[found[np.argsort(peaks.start[found], kind="stable")]], dtype=np.int64)


def _linked(models: GeneModels, place: Place, space: FeatureSpace, text: str) -> list[int]:
    """The gene that was asked for; else genes of the model that start in the stretch, the nearest to its middle."""
    asked = gene_of(models, text.strip())
    if asked is not None:
        return [asked] if str(models.symbol[asked]) in space.index else []
    tss = models.tss
    on = np.flatnonzero(models.on([place.chrom]) & (tss >= place.start) & (tss < place.end))
    near = on[np.argsort(np.abs(tss[on] - (place.start + place.end) // 2), kind="stable")]
    return [int(i) for i in near if str(models.symbol[i]) in space.index][:MOST_GENES]


def _drawn(groups: dict[str, list[int]]) -> list[int]:
    """Rows that are decoded: all, or as many of each group as its share allows, at least LEAST_CELLS."""
    total = sum(map(len, groups.values()))
    rows: list[int] = []
    for members in groups.values():
        n = len(members) if total <= MOST_CELLS else max(len(members) * MOST_CELLS // total, LEAST_CELLS)
        n = min(n, len(members))
        rows += [members[i] for i in np.linspace(0, len(members) - 1, n).astype(int)]
    return sorted(rows)


class _Values:
    """Peaks and genes of the drawn cells, measured and predicted as far as the direction has them."""

    def __init__(
        self, results: Results, spec: ScoredSpec, direction: Direction, kept: Kept, rows: list[int], peaks: list[int]
    ) -> None:
        self.results, self.spec, self.direction, self.kept, self.rows = results, spec, direction, kept, rows
        self.measured_np = self._measured(Modality.ATAC, peaks) if peaks else None
        self.predicted_np = self._predicted(Modality.ATAC, peaks) if peaks else None

    def coverage(self, groups: dict[str, list[int]]) -> dict[str, dict[str, list[float | None]]]:
        """By profile and group: the mean of every peak."""
        at = {row: i for i, row in enumerate(self.rows)}
        members = {name: [at[row] for row in rows if row in at] for name, rows in groups.items()}
        found: dict[str, dict[str, list[float | None]]] = {}
        for profile, values in (("raw", self.measured_np), ("imputed", self.predicted_np)):
            if values is not None:
                found[profile] = {name: _means(values[rows]) for name, rows in members.items()}
        return found

    def links(
        self, models: GeneModels, genes: list[int], space: FeatureSpace, inside: NDArray[np.int64]
    ) -> list[LinkView]:
        """Correlations over cells of a gene's expression with each peak; "raw" where both were measured.

        "imputed": measured expression with predicted peaks, or predicted expression with measured peaks.
        """
        space_rna = self.results.space_of(self.spec, Modality.RNA)
        names = [str(models.symbol[i]) for i in genes]
        positions = [int(space_rna.index[name]) for name in names]
        if not positions or len(self.rows) < LEAST_CELLS:
            return []
        measured_ng = self._measured(Modality.RNA, positions)
        predicted_ng = self._predicted(Modality.RNA, positions)
        pairs = [("raw", measured_ng, self.measured_np)]
        if self.predicted_np is not None:
            pairs.append(("imputed", measured_ng, self.predicted_np))
        else:
            pairs.append(("imputed", predicted_ng, self.measured_np))
        found: list[LinkView] = []
        for profile, x_ng, y_np in pairs:
            if x_ng is not None and y_np is not None:
                r_gp, cells = _correlations(x_ng, y_np)
                found += _arcs(profile, r_gp, models, genes, space, inside, cells)
        return found

    def _measured(self, modality: Modality, positions: list[int]) -> Floats | None:
        """shape (rows, positions), NaN in cells that were not measured; None where nothing was."""
        measured = self.results.measured_of(self.spec, modality)
        if measured is None:
            return None
        scale = Scale.LOG_NORMALISED if modality is Modality.RNA else Scale.PROBABILITY
        at = measured.rows_of(self.kept.barcodes)[self.rows]
        known = at >= 0
        out = np.full((len(at), len(positions)), np.nan, dtype=np.float32)
        out[known] = measured.values(at[known], np.asarray(positions, dtype=np.int64), scale)
        return out

    def _predicted(self, modality: Modality, positions: list[int]) -> Floats | None:
        if modality is not self.direction.target:
            return None
        decoder = self.results.decoder(self.spec)
        found: Floats = decoder.decode(self.kept.latent.rows(self.rows), modality, positions).values
        return found


def _means(values: Floats) -> list[float | None]:
    known = np.isfinite(values)
    n = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    return [round(float(t / k), 5) if k else None for t, k in zip(total, n, strict=True)]


def _correlations(x_ng: Floats, y_np: Floats) -> tuple[NDArray[np.float64], int]:
    """Pearson over the cells that have both, shape (genes, peaks), and how many; 0 where one of them is constant."""
    both = np.isfinite(x_ng).all(axis=1) & np.isfinite(y_np).all(axis=1)
    x, y = x_ng[both].astype(np.float64), y_np[both].astype(np.float64)
    r_gp: NDArray[np.float64] = np.zeros((x.shape[1], y.shape[1]))
    if len(x) >= LEAST_CELLS:
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        scale = np.sqrt((x**2).sum(axis=0))[:, None] * np.sqrt((y**2).sum(axis=0))[None, :]
        np.divide(x.T @ y, scale, out=r_gp, where=scale > 1e-9)
    return r_gp, len(x)


def _arcs(
    profile: str, r_gp: NDArray[np.float64], models: GeneModels, genes: Sequence[int], space: FeatureSpace,
    inside: NDArray[np.int64], cells: int,
) -> list[LinkView]:  # fmt: skip
    """The strongest correlations as links from the middle of a peak to the TSS of the gene."""
    peaks, known = parsed(space)
    at = np.searchsorted(known, inside)
    middle = (peaks.start[at] + peaks.end[at]) // 2
    least = max(LEAST_R, ERRORS / np.sqrt(max(cells, 1)))
    found: list[LinkView] = []
    for flat in np.argsort(-np.abs(r_gp), axis=None, kind="stable")[:MOST_LINKS].tolist():
        g, p = divmod(flat, r_gp.shape[1])
        if abs(r_gp[g, p]) < least:
            break
        tss, here = int(models.tss[genes[g]]), int(middle[p])
        start, end = min(tss, here), max(tss, here)
        found.append(
            LinkView(
                profile=profile,
                start=start,
                end=max(end, start + 1),  # a peak may lie on the very TSS
                weight=round(float(r_gp[g, p]), 5),
                peak=str(space.names[inside[p]]),
                gene=str(models.symbol[genes[g]]),
                proximal=abs(here - tss) <= PROMOTER,
            )
        )
    return found
