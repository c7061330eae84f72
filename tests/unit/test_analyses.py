"""The words and charts of analyses: what is found stands beside its null, and the genome is drawn where it lies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app import analyses, analysis_rows, charts, charts_analysis, charts_genome, findings
from app.commands import commands
from app.components.genome_track import link_rows, moved, place_of, spoken
from app.kinds import facts, query
from engine.analysis.abnormal import abnormal
from engine.analysis.coverage import coverage
from engine.analysis.imputation import correlation
from engine.analysis.lasso import LassoSettings, lasso_links
from engine.analysis.mixing import mixing
from engine.analysis.nearby import nearby
from engine.analysis.result import Analysis
from engine.analysis.trends import trends
from engine.genome.genes import GeneModels
from engine.types import Modality, as_names
from jobs.results.genome import Track
from jobs.spec import AnalysisSpec
from jobs.state import JobState
from jobs.views import GenomeView, JobView
from tests.planted import Planted, along_a_path, both_profiles, with_abnormal, with_links

LABEL = "cell_type"


class Told:
    """A report as a finished job has it, and its tables."""

    def __init__(self, *results: Analysis, **more: Any) -> None:
        self.report = {"cells": 200, "results": [result.as_dict() for result in results], "notes": [], **more}
        self._tables = {f"{r.what}.{name}": table for r in results for name, table in r.tables.items()}

    def table(self, name: str) -> pd.DataFrame:
        return self._tables[name]

    def said(self) -> list[findings.Finding]:
        return findings.findings(self.report, LABEL, self.table)


def drawn(chart: Any) -> dict[str, Any]:
    """The specification, checked against the Vega-Lite schema by Altair."""
    return dict(charts.dressed(chart, dark=False).to_dict())


@pytest.fixture(scope="module")
def linked() -> Planted:
    return with_links(cells=200, genes=6, peaks=6, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def links(linked: Planted) -> Told:
    genes, peaks = (linked.pair.of(m).space.names for m in (Modality.RNA, Modality.ATAC))
    profiles = both_profiles(linked)
    near = nearby(genes, peaks, GeneModels.load("hg38"), reach=100_000)
    settings = LassoSettings(seed=0)
    return Told(lasso_links(profiles[Modality.RNA], profiles[Modality.ATAC], near, settings=settings))


@pytest.fixture(scope="module")
def view(linked: Planted, links: Told, tmp_path_factory: pytest.TempPathFactory) -> GenomeView:
    """The stretch around the first gene, as the service reads it from the tables."""
    folder = tmp_path_factory.mktemp("track")
    kinds = as_names(f"type {k}" for k in np.digitize(linked.z_nk[:, 0], [0.0]))
    open_ = coverage(both_profiles(linked)[Modality.ATAC], kinds, genome="hg38")
    open_.to_parquet(folder / "coverage.parquet", index=False)
    links.table("lasso.links").to_parquet(folder / "links.parquet", index=False)
    track = Track.read("hg38", coverage=folder / "coverage.parquet", links=folder / "links.parquet")
    return track.around(str(linked.pair.rna.space.names[0]))


def spec_of(what: str, **fields: Any) -> AnalysisSpec:
    return AnalysisSpec.model_validate({"what": what, "rna": "r", "atac": "a", "model": "m", **fields})


def job_of(spec: AnalysisSpec) -> JobView:
    now = pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime()
    return JobView(
        id="job-1", kind="analysis", title="", state=JobState.SUCCEEDED, attempt=1, model=spec.model, bundle="",
        directions=(), cells=200, spec=spec.model_dump(mode="json"), submitted_at=now, updated_at=now,
    )  # fmt: skip


class TestAsked:
    def test_each_of_the_nine_has_a_question_and_only_options_the_spec_knows(self) -> None:
        from typing import get_args

        from jobs.spec import Analysis as Names

        assert set(analyses.QUESTIONS) == set(get_args(Names))
        for its in analyses.QUESTIONS.values():
            assert its.asks.endswith((".", "?"))
            assert set(its.options) <= set(AnalysisSpec.model_fields)

    @pytest.mark.parametrize(
        ("what", "fields", "asked"),
        [
            ("cre", {"genes": ("A", "B"), "reach": 5_000}, {"genes": "A B", "reach": "5000"}),
            ("cluster", {"compare": (), "seeds": (0, 4)}, {"compare": ["none"], "seeds": "0,4"}),
            ("trajectory", {"root": "H1", "among": ("H1", "BJ")}, {"root": "H1", "among": ["H1", "BJ"]}),
            ("de", {"held_out": True, "reference": ("BJ,X",)}, {"held_out": "true", "reference": "BJ,X"}),
        ],
    )
    def test_the_way_back_holds_what_was_asked_and_nothing_usual(
        self, what: str, fields: dict[str, Any], asked: dict[str, Any]
    ) -> None:
        usual = {"what": what, "rna": "r", "atac": "a", "model": "m", "label": "none"}
        assert query(job_of(spec_of(what, **fields))) == {**usual, **asked}

    def test_without_a_model_the_address_and_the_facts_say_so(self) -> None:
        spec = spec_of("de", model="", on=("raw",), embedding="rna", label=LABEL)
        assert query(job_of(spec)) == {"what": "de", "rna": "r", "atac": "a", "model": "none", "label": LABEL}
        assert "no model: measured values" in facts(job_of(spec))

    def test_a_list_too_long_for_an_address_stays_out_of_it(self) -> None:
        assert "reference" not in query(job_of(spec_of("de", reference=tuple(f"GENE{i}" for i in range(400)))))

    def test_what_is_missing_is_said_before_anything_is_asked(self) -> None:
        assert "batches" in analyses.missing(spec_of("mixing"), labels=True)
        assert "path begins" in analyses.missing(spec_of("trajectory"), labels=True)
        assert "carry none" in analyses.missing(spec_of("imputation"), labels=False)
        assert "choose one" in analyses.missing(spec_of("activity", model=""), labels=True)
        assert analyses.missing(spec_of("imputation", label=LABEL), labels=True) == ""

    def test_the_command_asks_for_the_same(self) -> None:
        spec = spec_of("cre", genes=("A", "B"), label="my type", held_out=True)
        (line,) = commands(job_of(spec), {"rna": "r.h5ad", "atac": "a.h5ad"})
        assert line == (
            "crossview analyse cre --rna r.h5ad --atac a.h5ad --model m --label 'my type' --held-out --genes A,B "
            "--out cre"
        )
        told, line = commands(job_of(spec_of("de", reference=("X",))), {})
        assert told.startswith("# reference.txt: ")
        assert "--reference reference.txt" in line


class TestFindings:
    def test_groups_are_told_with_chance_and_the_other_views(self) -> None:
        rows = [("joint", "k-means", 0, 4, 0.4), ("joint", "k-means", 1, 4, 0.6), ("rna", "leiden", 0, 5, 0.9)]
        table = pd.DataFrame(rows, columns=["embedding", "method", "seed", "clusters", "ari"]).assign(nmi=0.5)
        median = [
            {"embedding": "joint", "method": "k-means", "ari": 0.5, "nmi": 0.5},
            {"embedding": "rna", "method": "leiden", "ari": 0.9, "nmi": 0.5},
        ]
        told = Told(Analysis("cluster", {"agreement": table}, {"median": median}, {"seeds": [0, 1]}), trained_on=150)
        (found,) = told.said()
        assert found.sentence == "Leiden groups in RNA alone agree best with cell\\_type: ARI 0.90."
        assert "the model's view 0.50" in found.beside
        assert "labels dealt at random" in found.beside
        assert findings.cautions(told.report)[-1].startswith("150 of 200 cells trained this model")
        rows_ = analysis_rows.agreement_rows(table, "ari")
        assert [(r["what"], r["value"], r["low"]) for r in rows_] == [("rna", 0.9, None), ("joint", 0.5, 0.4)]
        bare = Analysis("cluster", {"agreement": table.assign(ari=None)}, {"median": [{"ari": None}]})
        assert "nothing says which" in Told(bare).said()[0].beside

    def test_imputation_is_measured_against_raw_and_the_average(self, linked: Planted) -> None:
        kinds = as_names(f"type {k}" for k in np.digitize(linked.z_nk[:, 0], [0.0]))
        profiles = both_profiles(linked)[Modality.RNA]
        told = Told(correlation(profiles, profiles["raw"], kinds, seed=0))
        (found,) = told.said()
        assert found.sentence.startswith("Imputed RNA resembles what sets its cell\\_type apart more closely")
        assert "average" in found.beside
        table = told.table("correlation.rna.correlation")
        rows = analysis_rows.imputation_rows(table)
        assert {row["what"] for row in rows} == {"imputed", "measured", "average cell"}
        assert len(analysis_rows.label_rows(table)) == 2 * 3
        spec = drawn(
            charts_analysis.marks(
                pd.DataFrame(rows), title="t", quantity="r", neutral=0.0, kinds=charts_analysis.PROFILE_KINDS
            )
        )
        dots = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "point")
        assert dots["encoding"]["color"]["scale"]["range"] == [charts.PREDICTION, charts.TRUTH, charts.NULL]

    def test_mixing_is_a_share_of_what_shuffled_batches_give(self) -> None:
        rng = np.random.default_rng(0)
        apart, batches = rng.normal(size=(120, 2)), np.arange(120) % 2
        apart[batches == 1] += 50
        found = mixing(
            {"joint": rng.normal(size=(120, 2)), "rna": apart}, as_names(map(str, batches)), perplexity=10
        )  # fmt: skip
        told = Told(found)
        (said,) = told.said()
        assert said.sentence == "How well 2 batches mix: the model's view 1.01, RNA alone 0.00."
        assert "1 is what shuffled batches give" in said.beside
        assert "keeps kinds apart" in said.beside
        rows = analysis_rows.mixing_rows(told.table("mixing.mixing"))
        assert [row["what"] for row in rows] == ["joint", "rna"]
        assert rows[0]["low"] < rows[0]["value"] < rows[0]["high"]

    def test_many_views_are_told_by_their_range_and_the_model_s_own(self) -> None:
        names = ["joint", "rna", "atac", "wnn", "scvi", "mofa"]
        scaled = {name: {"all": 0.7 + 0.05 * i, "within_labels": 0.8 + 0.05 * i} for i, name in enumerate(names)}
        (said,) = Told(Analysis("mixing", {}, {"batches": 3, "scaled": scaled})).said()
        assert "within each cell\\_type: from 0.80 (the model's view) to 1.05 (MOFA+) in 6 views" in said.sentence
        assert "Over all cells: from 0.70 (the model's view) to 0.95 (MOFA+)" in said.beside
        median = [{"embedding": n, "method": "leiden", "ari": 0.1 * i, "nmi": 0.5} for i, n in enumerate(names)]
        table = pd.DataFrame(median).assign(seed=0, clusters=4)
        (groups,) = Told(Analysis("cluster", {"agreement": table}, {"median": median})).said()
        assert "view: scVI (RNA) 0.40, weighted neighbours (WNN) 0.30" in groups.beside
        assert "picked it among 6: a small gap says little" in groups.beside

    def test_abnormal_groups_are_named_and_marked(self) -> None:
        pair, truth = with_abnormal(rng=np.random.default_rng(0))
        codes = (truth == "abnormal").astype(np.int64)
        result = abnormal(pair, codes)
        clusters = result.tables["clusters"].assign(name=["fine", "ill"])
        told = Told(replace(result, tables={**result.tables, "clusters": clusters}))
        (found,) = told.said()
        assert found.sentence == "1 group of 45 cells has little RNA and much ATAC: ill."
        spec = drawn(charts_analysis.depths(clusters, result.tables["cells"], title="t", away=1.0))
        named = [row for rows in spec["datasets"].values() for row in rows if row.get("which") == "called"]
        assert {row["name"] for row in named} == {"ill"}

    def test_links_say_what_they_explain_and_that_imputed_ones_come_from_one_model(self, links: Told) -> None:
        (found,) = links.said()
        assert "on measured cells and" in found.sentence
        assert "variance among these same cells" in found.beside
        assert findings.cautions(links.report)
        table = links.table("lasso.links")
        chosen = table[table["selected"]]
        spec = drawn(charts_analysis.distances(chosen, title="t"))
        bars = next(iter(spec["datasets"].values()))
        assert sum(bar["links"] for bar in bars) == len(chosen)

    def test_an_order_without_labels_is_told_by_its_first_cell(self) -> None:
        cells = pd.DataFrame({"barcode": ["C1", "C2"], "pseudotime": [0.0, 1.0]})
        (found,) = Told(Analysis("trajectory", {"cells": cells}, {"root": "C1", "cells": 2, "not_reached": 1})).said()
        assert found.sentence == "2 cells lie on a path that begins at C1."
        assert "1 cell could not be reached" in found.beside

    def test_an_order_whose_beginning_does_not_come_first_is_called_none(self) -> None:
        cells = pd.DataFrame({"barcode": ["C1", "C2"], "pseudotime": [0.0, 1.0]})
        order = pd.DataFrame({"label": ["late", "early"], "median": [0.1, 0.4]})
        turned = Analysis("trajectory", {"cells": cells, "labels": order}, {"cells": 2}, {"from": "early"})
        (found,) = Told(turned).said()
        assert "begins at early, but late comes before it: late → early" in found.sentence
        assert "do not read the order as a path" in found.beside

    def test_markers_are_counted_a_group_and_a_list_of_other_names_is_called_so(self) -> None:
        overlap = pd.DataFrame({"profile": ["raw"], "shared": [0], "expected": [0.0]})
        figures = {"groups": ["A", "B"], "significant": {"raw": 7}}
        (found,) = Told(Analysis("markers.atac", {"overlap": overlap}, figures)).said()
        assert found.sentence.startswith("7 measured peaks stand out in one of 2 groups (false discovery rate 5 %).")
        assert "Your list names none of these peaks" in found.sentence
        assert "counts twice" in found.beside

    def test_trends_count_measured_genes_alone(self) -> None:
        built = along_a_path(cells=150, genes=6, peaks=10, rng=np.random.default_rng(2))
        assert built.time_n is not None
        profiles = both_profiles(built)
        told = Told(trends(profiles[Modality.RNA], profiles[Modality.ATAC], built.time_n, np.arange(6)))
        (found,) = told.said()
        assert found.sentence.startswith("Of 6 genes as measured, ")
        assert "p-values are not valid" in found.beside
        curve = told.table("trends.curve").query("profile == 'raw'")
        spec = drawn(charts_analysis.trend(curve, title="t", quantity="expression", imputed=False))
        assert {layer["mark"]["color"] for layer in spec["layer"]} == {charts.TRUTH}


class TestGenome:
    def test_arcs_start_and_end_where_the_link_does_and_rise_with_distance(self, view: GenomeView) -> None:
        assert view.links
        rows = charts_genome.arc_rows(view.links, view, base=4.0, height=3.0)
        tops = []
        for number, link in enumerate(view.links):
            arc = rows[rows["link"] == number]
            assert arc["x"].min() == pytest.approx(link.start)
            assert arc["x"].max() == pytest.approx(link.end)
            assert arc["y"].max() == pytest.approx(4.0)
            tops.append((link.end - link.start, 4.0 - arc["y"].min()))
        assert [top for _, top in sorted(tops)] == sorted(top for _, top in tops)

    @pytest.mark.parametrize("profile", ["raw", "imputed"])
    def test_the_track_is_one_valid_chart_of_the_profile_asked_for(self, view: GenomeView, profile: str) -> None:
        gene = view.links[0].gene
        spec = drawn(charts_genome.track(view, profile=profile, title="t", named=[gene]))
        lines = [layer for layer in spec["layer"] if layer["mark"]["type"] == "line"]
        own = [link for link in view.links if link.profile == profile]
        assert len(lines) == bool(own)
        if own:
            arcs = spec["datasets"][lines[0]["data"]["name"]]
            assert {row["peak"] for row in arcs} == {link.peak for link in own}
            assert lines[0]["encoding"]["color"]["scale"]["range"] == [charts_genome.PROXIMAL, charts_genome.DISTAL]
        texts = [layer for layer in spec["layer"] if layer["mark"]["type"] == "text"]
        assert any(gene in row["text"] for layer in texts for row in spec["datasets"][layer["data"]["name"]])

    def test_a_group_has_a_row_and_both_profiles_share_it(self, view: GenomeView) -> None:
        rows = charts_genome.coverage_rows(view)
        assert len(rows) == 2 * 2 * len(view.peaks)
        assert rows.groupby("profile")["share"].max().tolist() == [1.0, 1.0]
        first, second = view.groups
        place = charts_genome.lanes(view, profile="raw", named=[])
        assert place.group(second) - place.group(first) == 1.0
        assert all(place.gene(name) > place.group(second) for name in place.genes)

    def test_names_of_genes_never_share_a_place(self, view: GenomeView) -> None:
        width = view.end - view.start
        shapes = [
            view.genes[0].model_copy(
                update={"name": f"GENE{i}", "start": view.start + i * 50, "end": view.start + width}
            )
            for i in range(9)
        ]
        crowded = view.model_copy(update={"genes": tuple(shapes)})
        place = charts_genome.lanes(crowded, profile="raw", named=["GENE7"])
        assert len(set(place.genes.values())) == len(place.genes) == charts_genome.MOST_ROWS
        assert "GENE7" in charts_genome.lanes(crowded, profile="raw", named=["GENE7"]).genes

    def test_what_is_drawn_is_also_said(self, view: GenomeView) -> None:
        table = link_rows(view)
        assert len(table) == len(view.links)
        assert table["weight"].abs().is_monotonic_decreasing
        said = spoken(view, list(view.links), "Links")
        assert str(table["peak"].iloc[0]) in said
        assert f"{view.genes[0].name} ({'forward' if view.genes[0].forward else 'reverse'})" in said

    def test_steps_stay_on_the_chromosome_and_within_what_can_be_drawn(self) -> None:
        assert moved(1_000, 3_000, by=0.5, zoom=1.0) == (2_000, 4_000)
        assert moved(0, 2_000, by=-0.5, zoom=1.0) == (0, 2_000)
        assert moved(10_000, 20_000, by=0.0, zoom=2.0) == (5_000, 25_000)
        assert moved(0, 4_000_000, by=0.0, zoom=2.0) == (0, 5_000_000)
        assert place_of("chr2:50000-50500", -30_000) == "chr2:10000-90500"
