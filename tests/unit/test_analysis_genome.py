"""Coverage of peaks, tables by pages, and links on a stretch of the genome, on tables whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.analysis.coverage import coverage
from engine.analysis.profiles import measured
from engine.genome.genes import GeneModels
from engine.types import Modality, as_names
from jobs.errors import BadRequest, NotFound
from jobs.results import genome, tables
from jobs.results.genome import Track
from jobs.results.places import Places
from jobs.views import TableView
from tests.planted import both_profiles, far_genes, with_links


def test_coverage_is_the_share_of_open_cells_and_the_mean_imputed_value() -> None:
    built = with_links(cells=30, genes=3, peaks=4, rng=np.random.default_rng(0))
    groups = as_names(["a", "b", ""] * 10)
    table = coverage(both_profiles(built)[Modality.ATAC], groups, genome="hg38")
    assert len(table) == 2 * 2 * 12
    assert table["value"].dtype == np.float32
    own = groups == "b"
    for profile, values in (("raw", built.pair.atac.counts.toarray() > 0), ("imputed", built.open_np)):
        found = table[(table["profile"] == profile) & (table["group"] == "b")]
        assert found["peak"].tolist() == list(built.pair.atac.space.names)
        np.testing.assert_allclose(found["value"], values[own].mean(axis=0), rtol=1e-5)


def test_peaks_on_no_chromosome_are_not_covered() -> None:
    built = with_links(cells=20, genes=2, peaks=3, rng=np.random.default_rng(0))
    raw = measured(built.pair.atac)
    names = as_names([*raw.names[:4], "GL000194.1:100-600", "a peak"])
    table = coverage(
        {"raw": type(raw)("raw", raw.modality, names, 20, raw.source)}, as_names(["a"] * 20), genome="hg38"
    )
    assert table["peak"].tolist() == list(names[:4])


@pytest.fixture
def page_of(tmp_path: Path) -> Path:
    frame = pd.DataFrame(
        {
            "gene": ["B", "A", "Ab", None], "odd \"name\"": [1, 2, 3, 4], "score": [0.5, np.nan, 2.0, np.inf],
            "kind": pd.Categorical(["x", "y", "x", "x"]), "on": [True, False, True, True],
        }
    )  # fmt: skip
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    return tmp_path / "t.parquet"


def asked(path: Path, **changes: object) -> TableView:
    return tables.page(path, tables.Asked(**{"where": {}, **changes}))  # type: ignore[arg-type]


def test_a_page_is_chosen_searched_and_sorted(page_of: Path) -> None:
    assert asked(page_of).columns["score"] == [0.5, None, 2.0, None]
    assert asked(page_of, sort="score", descending=True).columns["gene"] == [None, "Ab", "B", "A"]
    assert asked(page_of, sort="score").columns["gene"] == ["B", "Ab", None, "A"]
    assert asked(page_of, where={"kind": "x", "on": "True"}).total == 3
    assert asked(page_of, where={'odd "name"': "2"}).columns["gene"] == ["A"]
    assert asked(page_of, query="AB").columns["gene"] == ["Ab"]
    assert asked(page_of, query="X").total == 3
    cut = asked(page_of, sort="gene", limit=1, offset=1)
    assert (cut.columns["gene"], cut.total) == (["Ab"], 4)


@pytest.mark.parametrize("changes", [{"sort": "nothing"}, {"where": {"1=1": "1"}}, {"limit": 0}, {"offset": -1}])
def test_a_page_that_is_none_is_refused(page_of: Path, changes: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        asked(page_of, **changes)


# -- links -----------------------------------------------------------------------------------------------------------


def a_peak(chrom: str, centre: int) -> str:
    return f"{chrom}:{centre - 250}-{centre + 250}"


@pytest.fixture
def places() -> tuple[str, str, dict[str, str]]:
    """A gene far from others, its chromosome, and peaks by name: at its TSS, and 20, 50 and 70 kb after it."""
    models, gene = GeneModels.load("hg38"), str(far_genes(5)[4])
    i = models.index[gene]
    chrom, tss = models.chroms[models.chrom[i]], int(models.tss[i])
    return (
        gene,
        chrom,
        {name: a_peak(chrom, tss + away) for name, away in (("p", 0), ("a", 20_000), ("b", 50_000), ("c", 70_000))},
    )


def read(folder: Path, peaks: list[str], links: pd.DataFrame, pairs: pd.DataFrame | None = None) -> Track:
    cover = pd.DataFrame({"profile": "raw", "group": "all", "peak": peaks, "value": np.float32(0.5)})
    cover.astype(dict.fromkeys(("profile", "group"), "category")).assign(
        peak=pd.Categorical(peaks, categories=peaks)
    ).to_parquet(folder / "coverage.parquet")
    links.to_parquet(folder / "links.parquet")
    if pairs is not None:
        pairs.to_parquet(folder / "pairs.parquet")
    return Track.read(
        "hg38",
        coverage=folder / "coverage.parquet",
        links=folder / "links.parquet",
        pairs=None if pairs is None else folder / "pairs.parquet",
    )


def test_pairs_that_a_link_tells_are_not_drawn_twice(tmp_path: Path, places: tuple[str, str, dict[str, str]]) -> None:
    gene, _, peak = places
    links = pd.DataFrame(
        {"profile": "raw", "gene": gene, "peak": [peak["a"], peak["c"]], "distance": [20_000, 70_000], "kind": "distal",
         "score": [0.6, 0.0]}
    )  # fmt: skip
    ends = [("p", "a", 0.6), ("a", "b", 0.3), ("b", "c", -0.4), ("c", "p", 0.2)]
    pairs = pd.DataFrame([("raw", peak[x], peak[y], 0, s) for x, y, s in ends])
    pairs.columns = pd.Index(["profile", "peak_1", "peak_2", "distance", "score"])
    view = read(tmp_path, list(peak.values()), links, pairs).around(gene)
    assert [(link.gene, link.peak, link.other, link.weight, link.proximal) for link in view.links] == [
        (gene, peak["a"], "", 0.6, False),
        ("", peak["a"], peak["b"], 0.3, False),
        ("", peak["c"], peak["p"], 0.2, True),  # its link to the gene has no score: the pair is told
    ]
    assert view.coverage == {"raw": {"all": [0.5] * 4}}


def test_the_strongest_of_each_profile_are_drawn_and_the_others_counted(
    tmp_path: Path, places: tuple[str, str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    gene, _, peak = places
    names = [peak[name] for name in "abc"]
    rows = [("raw", 0.1), ("imputed", 3.0), ("imputed", -2.0), ("raw", -0.3), ("imputed", 1.0), ("raw", 0.0)]
    links = pd.DataFrame(rows, columns=["profile", "coefficient"]).assign(
        gene=gene, peak=[names[i] for i in (0, 0, 1, 1, 2, 2)], distance=1, kind="distal"
    )
    links = links.assign(score=links["coefficient"].abs(), selected=links["coefficient"] != 0)
    monkeypatch.setattr(genome, "MOST_LINKS", 3)
    view = read(tmp_path, names, links).around(gene)
    assert [(link.profile, link.weight) for link in view.links] == [("imputed", 3.0), ("imputed", -2.0), ("raw", -0.3)]
    assert view.links_left_out == 2


def test_a_place_is_a_region_or_a_gene_in_any_case(tmp_path: Path, places: tuple[str, str, dict[str, str]]) -> None:
    gene, chrom, peak = places
    nothing = pd.DataFrame({name: pd.Series(dtype=object) for name in ("profile", "gene", "peak", "kind")})
    track = read(tmp_path, list(peak.values()), nothing.assign(score=pd.Series(dtype=float)))
    assert Places(track.models).find(gene.swapcase()) == Places(track.models).find(f"  {gene} ")
    start, end = (int(part) for part in peak["a"].split(":")[1].split("-"))
    for text in (peak["a"], f"{chrom.upper()}: {start:,}-{end:,}", f"{chrom.removeprefix('chr')}:{start}..{end}"):
        assert track.around(text).peaks == (peak["a"],)
    assert Places(track.models).find("chr1:248,900,000-249,900,000").end == 248_956_422
    with pytest.raises(NotFound, match="no chromosome"):
        Places(track.models).find("chr40:1-2")
    with pytest.raises(BadRequest, match="too many"):
        Places(track.models).find("chr1:1-5,000,002")
