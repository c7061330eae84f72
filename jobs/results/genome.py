"""A stretch of the genome: gene models, peaks, how open they are in each group of cells, and links between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.nearby import PROMOTER, PROXIMAL, centres, nearby
from engine.genome.genes import GeneModels
from engine.genome.peaks import Peaks, parse_peaks
from engine.types import as_names
from jobs.results.places import Places
from jobs.views import GenomeView, LinkView

if TYPE_CHECKING:
    import pandas as pd

MOST_LINKS = 500  # ours: more cannot be told apart


@dataclass(frozen=True, eq=False)
class Track:
    """peaks, names: of the coverage, shape (p,). value_xgp: by profile, group and peak. links: all, strongest first.

    links has columns profile, gene, peak, other, chrom, start, end, weight, proximal.
    """

    models: GeneModels
    peaks: Peaks
    names: NDArray[Any]
    profiles: tuple[str, ...]
    groups: tuple[str, ...]
    value_xgp: NDArray[np.float32]
    links: pd.DataFrame

    @classmethod
    def read(cls, genome: str, *, coverage: Path, links: Path, pairs: Path | None = None) -> Track:
        """From the tables of a finished analysis. pairs: of peaks that open together, where there are any."""
        import pandas as pd

        table = pd.read_parquet(coverage)
        kinds = {name: tuple(map(str, table[name].cat.categories)) for name in ("profile", "group", "peak")}
        names = np.array(kinds["peak"], dtype=object)
        models = GeneModels.load(genome)
        return cls(
            models,
            parse_peaks(names),
            names,
            kinds["profile"],
            kinds["group"],
            table["value"].to_numpy(dtype=np.float32).reshape([len(each) for each in kinds.values()]),
            _links(pd.read_parquet(links), None if pairs is None else pd.read_parquet(pairs), models),
        )

    def around(self, text: str) -> GenomeView:
        """Raises BadRequest, NotFound."""
        places = Places(self.models)
        place = places.find(text)
        inside = np.flatnonzero(
            self.peaks.on([place.chrom]) & (self.peaks.start < place.end) & (self.peaks.end > place.start)
        )
        inside = inside[np.argsort(self.peaks.start[inside], kind="stable")]
        t = self.links
        links = t[(t["chrom"] == place.chrom) & (t["start"] >= place.start) & (t["end"] < place.end)]
        drawn = _strongest(links, MOST_LINKS)
        return GenomeView(
            genome=self.models.genome,
            chrom=place.chrom,
            start=place.start,
            end=place.end,
            genes=tuple(places.genes(place)),
            peaks=tuple(map(str, self.names[inside])),
            peak_starts=tuple(self.peaks.start[inside].tolist()),
            peak_ends=tuple(self.peaks.end[inside].tolist()),
            groups=self.groups,
            coverage={
                profile: {group: _numbers(self.value_xgp[x, g, inside]) for g, group in enumerate(self.groups)}
                for x, profile in enumerate(self.profiles)
            },
            links=tuple(LinkView(**row) for row in _rows(drawn.drop(columns="chrom"))),
            links_left_out=len(links) - len(drawn),
        )


def _links(links: pd.DataFrame, pairs: pd.DataFrame | None, models: GeneModels) -> pd.DataFrame:
    """Links of genes, and pairs of peaks that no link of a gene tells; strongest first."""
    import pandas as pd

    found = _of_genes(links, models)
    if pairs is not None:
        found = pd.concat([found, _of_pairs(pairs, found, models)], ignore_index=True)
    strength = found["weight"].abs().sort_values(ascending=False, kind="stable")
    return found.loc[strength.index].reset_index(drop=True)


def _of_genes(links: pd.DataFrame, models: GeneModels) -> pd.DataFrame:
    """LASSO's chosen ones with their coefficients; of those that open together the ones that do so."""
    lasso = "coefficient" in links
    t = links[links["selected"]] if lasso else links[links["score"] > 0]
    peaks = parse_peaks(t["peak"].tolist())
    tss = models.tss[[models.index[str(gene)] for gene in t["gene"]]] if len(t) else np.zeros(0, dtype=np.int64)
    weight = t["coefficient" if lasso else "score"].to_numpy(dtype=np.float64)
    return _table(t, peaks, centres(peaks), tss, weight, (t["kind"] == PROXIMAL).to_numpy(), gene=t["gene"])


def _of_pairs(pairs: pd.DataFrame, told: pd.DataFrame, models: GeneModels) -> pd.DataFrame:
    """Peaks that open together. Those of a promoter and a peak that is linked to that gene are told by that link."""
    t = pairs[pairs["score"] > 0].rename(columns={"peak_1": "peak", "peak_2": "other"}).reset_index(drop=True)
    if t.empty:
        return told.head(0)
    promoters = _promoters(t, models)
    same = np.zeros(len(t), dtype=bool)
    for one, two in (("peak", "other"), ("other", "peak")):
        served = t.reset_index().merge(promoters.rename(columns={"peak": one}), on=one)
        linked = told[["profile", "gene", "peak"]].rename(columns={"peak": two})
        same[served.merge(linked, on=["profile", "gene", two])["index"].to_numpy()] = True
    proximal = t["peak"].isin(promoters["peak"]) | t["other"].isin(promoters["peak"])
    first, second = (parse_peaks(t[name].tolist()) for name in ("peak", "other"))
    weight = t["score"].to_numpy(dtype=np.float64)
    return _table(t, first, centres(first), centres(second), weight, proximal.to_numpy(), other=t["other"])[~same]


def _promoters(t: pd.DataFrame, models: GeneModels) -> pd.DataFrame:
    """Which of these peaks lie at the TSS of which gene, of all genes of the genome."""
    import pandas as pd

    names = as_names(pd.unique(pd.concat([t["peak"], t["other"]])))
    return nearby(models.symbol, names, models, reach=PROMOTER).table()[["gene", "peak"]]


def _strongest(links: pd.DataFrame, most: int) -> pd.DataFrame:
    """The strongest of each profile alike: imputed ones are stronger, and would leave no room for the raw."""
    rank = links.groupby("profile", sort=False).cumcount()
    return links[rank.rank(method="first") <= most]


def _table(
    t: pd.DataFrame,
    peaks: Peaks,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    weight: NDArray[np.float64],
    proximal: NDArray[np.bool_],
    **names: pd.Series[Any],
) -> pd.DataFrame:
    import pandas as pd

    said = {name: names[name].astype(str).to_numpy() if name in names else "" for name in ("gene", "other")}
    return pd.DataFrame(
        {
            "profile": t["profile"].astype(str).to_numpy(),
            "peak": t["peak"].astype(str).to_numpy(),
            **said,
            "chrom": np.array(peaks.chroms, dtype=object)[peaks.chrom],
            "start": np.minimum(a, b),
            "end": np.maximum(np.maximum(a, b), np.minimum(a, b) + 1),  # a peak may lie on the very TSS
            "weight": weight,
            "proximal": proximal,
        },
        index=pd.RangeIndex(len(t)),
    )


def _rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    columns = {str(name): table[name].tolist() for name in table.columns}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _numbers(value_p: NDArray[np.float32]) -> list[float | None]:
    """Five digits after the point: more cannot be seen."""
    return [round(value, 5) if np.isfinite(value) else None for value in value_p.tolist()]
