"""Analyses through both clients: asked for, read page by page, drawn on the genome, refused where they cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import CrossViewError
from engine.types import Modality, PairedCells, as_names
from jobs.client import Client
from jobs.spec import AnalysisSpec, JointSpec
from jobs.stages import STAGES
from jobs.state import JobState
from jobs.views import JobView
from tests.builders import write_h5ad
from tests.labs import CATALOG, MODEL, ended, imported
from tests.planted import Planted, joint_bundle, with_links

pytestmark = pytest.mark.slow
CELLS, GENES = 160, 14


@pytest.fixture(scope="module")
def planted() -> Planted:
    built = with_links(cells=CELLS, genes=GENES, peaks=6, rng=np.random.default_rng(0))
    kind = as_names(f"type {k}" for k in np.digitize(built.z_nk[:, 0], [-0.5, 0.5]))
    obs = {"cell_type": kind, "batch": as_names(f"{i % 2}" for i in range(CELLS))}
    pair = PairedCells(replace(built.pair.rna, obs=obs), replace(built.pair.atac, obs=obs))
    return replace(built, pair=pair)


@pytest.fixture(scope="module")
def catalog(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog") / "pretrained"
    (folder / MODEL / "example").mkdir(parents=True)
    joint_bundle(planted.pair, folder / MODEL)
    for modality in Modality:
        write_h5ad(planted.pair.of(modality), folder / MODEL / "example" / f"{modality.value}.h5ad")
    (folder / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def ids(in_process: Client) -> dict[str, str]:
    return {m.value: imported(in_process, f"example:{MODEL}/{m.value}").id for m in Modality}


def spec_of(ids: dict[str, str], what: str, **changes: Any) -> AnalysisSpec:
    return AnalysisSpec.model_validate({"what": what, "model": MODEL, **ids, **changes})


@pytest.fixture(scope="module")
def specs(ids: dict[str, str], planted: Planted) -> dict[str, AnalysisSpec]:
    genes = tuple(str(name) for name in planted.pair.rna.space.names[:3])
    return {
        "cluster": spec_of(ids, "cluster", label="cell_type", umap=False),
        "cre": spec_of(ids, "cre", label="cell_type", genes=genes),
        "trajectory": spec_of(
            ids, "trajectory", model="", on=("raw",), embedding="rna", label="cell_type", root="type 0", genes=genes
        ),
    }


@pytest.fixture(scope="module")
def done(in_process: Client, specs: dict[str, AnalysisSpec]) -> dict[str, JobView]:
    """One finished job of three kinds, run side by side."""
    asked = {what: in_process.submit(spec) for what, spec in specs.items()}
    found = {what: ended(in_process, job) for what, job in asked.items()}
    for what, job in found.items():
        assert job.state is JobState.SUCCEEDED, (what, job.failure)
    return found


def refused(code: str) -> pytest.RaisesContext[CrossViewError]:  # type: ignore[name-defined]
    return pytest.raises(CrossViewError, check=lambda e: e.code == code and bool(e.message) and bool(e.hint))


class TestClient:
    def test_a_finished_analysis_tells_its_story(
        self, client: Client, done: dict[str, JobView], specs: dict[str, AnalysisSpec]
    ) -> None:
        job = client.job(done["cluster"].id)
        assert (job.kind, job.state, job.cells, job.model) == ("analysis", "SUCCEEDED", CELLS, MODEL)
        assert (job.bundle, job.title) == (client.model(MODEL).digest, "Clusters by tiny · tiny example, RNA")
        stages = [each.detail["stage"] for each in client.events(job.id) if each.kind == "stage"]
        assert stages == [name for name in STAGES["analysis"] if name in stages]
        again = client.submit(specs["cluster"])
        assert (again.id, again.from_cache) == (job.id, True)

    def test_what_needs_no_model_runs_without_one(self, client: Client, done: dict[str, JobView]) -> None:
        job, report = client.job(done["trajectory"].id), client.report(done["trajectory"].id)
        assert (job.model, job.bundle, report["model"], report["trained_on"]) == ("", "", None, 0)
        assert [result["what"] for result in report["results"]] == ["trajectory", "trends"]
        first = client.analysis_table(job.id, "trajectory.labels", limit=1)
        assert first.columns["label"] == ["type 0"]

    def test_the_report_is_strict_json_and_says_what_was_asked(
        self, client: Client, done: dict[str, JobView], ids: dict[str, str]
    ) -> None:
        for what, job in done.items():
            report = client.report(job.id)
            assert (report["kind"], report["analysis"], report["job"], report["cells"]) == (
                "analysis", what, job.id, CELLS,
            )  # fmt: skip
            assert report["spec"]["rna"] == report["inputs"]["rna"]["id"] == ids["rna"]
            names = {f"{result['what']}.{table}" for result in report["results"] for table in result["tables"]}
            files = {each.name for each in client.artifacts(job.id)}
            assert {f"{name}.parquet" for name in names} | {"report.json"} <= files
            assert set(report["files"]) == files - {"report.json"}
            json.dumps(report, allow_nan=False)

    def test_a_table_is_read_by_pages(self, client: Client, done: dict[str, JobView]) -> None:
        id, name = done["cre"].id, "lasso.links"
        whole = client.analysis_table(id, name)
        score = whole.columns["score"]
        assert whole.total == len(score) == client.report(id)["results"][0]["tables"]["links"]["rows"]
        best = client.analysis_table(id, name, sort="score", descending=True, limit=3, offset=1)
        assert (best.columns["score"], best.total) == (sorted(score, reverse=True)[1:4], whole.total)
        gene = whole.columns["gene"][0]
        chosen = client.analysis_table(id, name, where={"gene": gene, "profile": "raw", "selected": "True"})
        rows = zip(*(whole.columns[column] for column in ("gene", "profile", "selected")), strict=True)
        assert chosen.total == sum(row == (gene, "raw", True) for row in rows) > 0
        assert client.analysis_table(id, name, query=gene.lower()[:-1]).total >= whole.columns["gene"].count(gene)
        assert client.analysis_table(id, name, where={"gene": "'; drop table"}, query="%_").total == 0

    @pytest.mark.parametrize(
        ("name", "asked", "listed"),
        [
            ("lasso.secrets", {}, "lasso.links"),
            ("report", {}, "lasso.links"),
            ("lasso.links", {"sort": "weight"}, "coefficient"),
            ("lasso.links", {"where": {"weight": "1"}}, "coefficient"),
            ("lasso.links", {"limit": 100_001}, "100,000"),
        ],
    )
    def test_a_table_or_column_that_is_not_there_is_refused_with_those_that_are(
        self, client: Client, done: dict[str, JobView], name: str, asked: dict[str, Any], listed: str
    ) -> None:
        with refused("bad-request") as caught:
            client.analysis_table(done["cre"].id, name, **asked)
        assert listed.replace(",", "") in caught.value.hint.replace(",", "")

    def test_a_gene_is_drawn_with_its_peaks_coverage_and_links(
        self, client: Client, done: dict[str, JobView], planted: Planted
    ) -> None:
        gene = str(planted.pair.rna.space.names[0])
        view = client.analysis_genome(done["cre"].id, gene.lower())
        (shape,) = [each for each in view.genes if each.name == gene]
        assert (view.genome, view.start, view.end) == ("hg38", shape.start - 100_000, shape.end + 100_000)
        assert shape.exons[0][0] == shape.start
        assert view.peaks == tuple(
            sorted(planted.pair.atac.space.names[:6], key=lambda n: int(n.split(":")[1].split("-")[0]))
        )
        assert view.groups == ("type 0", "type 1", "type 2")
        own = planted.pair.atac.rows(np.flatnonzero(planted.pair.rna.obs["cell_type"] == "type 1"))
        place = [list(planted.pair.atac.space.names).index(peak) for peak in view.peaks]
        shares = (own.counts[:, place] > 0).mean(axis=0)
        np.testing.assert_allclose(view.coverage["raw"]["type 1"], np.asarray(shares).ravel(), atol=1e-5)
        assert np.isfinite(view.coverage["imputed"]["type 1"]).all()
        table = client.analysis_table(done["cre"].id, "lasso.links", where={"gene": gene, "selected": "true"})
        assert view.links_left_out == 0
        assert sorted((link.peak, link.profile, link.weight) for link in view.links) == sorted(
            zip(*(table.columns[name] for name in ("peak", "profile", "coefficient")), strict=True)
        )
        assert {link.peak for link in view.links if link.proximal} <= {planted.promoter[gene]}  # type: ignore[index]
        assert all(view.start <= link.start < link.end <= view.end for link in view.links)
        part = client.analysis_genome(done["cre"].id, f"{view.chrom}:{view.peak_starts[1]:,}-{view.peak_ends[2]:,}")
        assert part.peaks == view.peaks[1:3]

    @pytest.mark.parametrize(
        ("place", "code", "word"),
        [
            ("chr1:1-6,000,000", "bad-request", "5,000,000"),
            ("chr1:20-10", "bad-request", "start < end"),
            ("chr99:1-10", "not-found", "chrX"),
            ("GAPDHH", "not-found", "GAPDH"),
            ("", "bad-request", "gene"),
        ],
    )
    def test_a_place_that_is_none_is_refused(
        self, client: Client, done: dict[str, JobView], place: str, code: str, word: str
    ) -> None:
        with refused(code) as caught:
            client.analysis_genome(done["cre"].id, place)
        assert word in caught.value.hint

    def test_what_is_asked_of_the_wrong_kind_of_job_is_refused(
        self, client: Client, in_process: Client, done: dict[str, JobView], ids: dict[str, str]
    ) -> None:
        with refused("conflict"):
            client.analysis_genome(done["cluster"].id, "chr1:1-1000")
        with refused("not-found"):
            client.analysis_table("job-0", "cluster.cells")
        other = in_process.submit(JointSpec(model=MODEL, umap=False, **ids), fresh=True)
        with refused("not-ready"):
            client.analysis_table(other.id, "cluster.cells")
        in_process.cancel(other.id)
        ended(in_process, other)

    @pytest.mark.parametrize(
        ("what", "changes", "code", "word"),
        [
            ("cluster", {"label": "donor"}, "bad-setting", "batch, cell_type"),
            ("cluster", {"model": ""}, "bad-request", "Name a model"),
            ("de", {"model": "", "embedding": "rna"}, "bad-request", "raw"),
            ("abnormal", {"model": "", "embedding": "rna", "held_out": True}, "bad-request", "held_out"),
            ("cluster", {"model": "nothing"}, "unknown-model", MODEL),
            ("cluster", {"bundle": "0" * 64}, "conflict", "bundle"),
            ("mixing", {}, "bad-request", "batch"),
            ("imputation", {}, "bad-request", "label"),
            ("trajectory", {}, "bad-request", "root"),
            ("trajectory", {"root": "type 9", "label": "cell_type"}, "bad-setting", "type 0"),
            ("trajectory", {"root": "type 0", "label": "cell_type", "among": ("type 8",)}, "bad-setting", "type 0"),
            ("cre", {"genes": ("NOBODY1",)}, "unknown-feature", "profile"),
            ("activity", {"genome": "hg19"}, "bad-setting", "hg38"),
            ("de", {"label": "cell_type", "method": "guessing"}, "bad-setting", "wilcoxon"),
        ],
    )
    def test_what_cannot_be_analysed_is_refused_with_a_hint(
        self, client: Client, ids: dict[str, str], what: str, changes: dict[str, Any], code: str, word: str
    ) -> None:
        with refused(code) as caught:
            client.submit(spec_of(ids, what, **changes))
        assert word in caught.value.hint

    def test_a_look_before_says_cells_and_cost(self, client: Client, ids: dict[str, str]) -> None:
        asked = spec_of(ids, "imputation", label="cell_type")
        plan = client.pair_preflight(asked)
        assert (plan.verdict, plan.cells, plan.paired_cells) == ("ready with notes", CELLS, CELLS)
        assert {issue.code for issue in plan.issues} == {"trained-on"}
        assert plan.seconds is not None
        assert 0 < plan.seconds[0] < plan.seconds[1]
        held_out = client.pair_preflight(asked.model_copy(update={"held_out": True}))
        assert (held_out.cells, held_out.paired_cells) == (24, CELLS)
        nothing = client.pair_preflight(spec_of(ids, "mixing", batch="nobody"))
        assert (nothing.verdict, nothing.issues[-1].code) == ("refused", "bad-setting")


def test_an_analysis_can_be_cancelled_tried_again_and_deleted(over_http: Client, ids: dict[str, str]) -> None:
    job = over_http.submit(spec_of(ids, "cluster", label="cell_type"), fresh=True)
    with refused("conflict"):
        over_http.delete_dataset(ids["rna"])
    over_http.cancel(job.id)
    assert ended(over_http, job).state is JobState.CANCELLED
    over_http.cancel(over_http.retry(job.id).id)
    assert ended(over_http, job).state is JobState.CANCELLED
    over_http.delete_job(job.id)
    with refused("not-found"):
        over_http.job(job.id)


def test_a_command_writes_the_very_tables_of_the_job(
    in_process: Client, done: dict[str, JobView], specs: dict[str, AnalysisSpec], catalog: Path, tmp_path: Path
) -> None:
    from jobs.cli import main

    files = catalog / MODEL / "example"
    words = ["analyse", "cre", "--rna", str(files / "rna.h5ad"), "--atac", str(files / "atac.h5ad"), "--label"]
    words += ["cell_type", "--genes", ",".join(specs["cre"].genes), "--model", str(catalog / MODEL)]
    assert main([*words, "--out", str(tmp_path)]) == 0
    command, job = json.loads((tmp_path / "report.json").read_text()), in_process.report(done["cre"].id)
    assert command["files"] == job["files"]
    for name in ("results", "input", "bundle", "cells", "features", "genome", "kind", "schema"):
        assert command[name] == job[name], name


def test_files_are_sent_and_analysed_by_one_command(
    over_http: Client, done: dict[str, JobView], specs: dict[str, AnalysisSpec]
) -> None:
    from jobs.commands.submission import submit_analysis

    rna, atac = (f"example:{MODEL}/{m.value}" for m in Modality)
    with pytest.raises(CrossViewError, match="no setting 'colour'"):
        submit_analysis(over_http, "cre", rna=rna, atac=atac, settings={"colour": "red"})
    settings = {"genes": ",".join(specs["cre"].genes)}
    job = submit_analysis(
        over_http, "cre", rna=rna, atac=atac, settings=settings, model=MODEL, label="cell_type", seed=0, genome=None
    )
    assert (job.id, job.from_cache) == (done["cre"].id, True)  # the same cells under other names


def test_the_openapi_document_knows_analyses(over_http: Client) -> None:
    from app.api.application import OPERATIONS
    from app.api.openapi import document

    told = document(OPERATIONS)
    assert {"AnalysisSpec", "TableView", "GenomeView"} <= set(told["components"]["schemas"])
    for path in ("/jobs/{id}/analysis/tables/{name}", "/jobs/{id}/analysis/genome"):
        assert f"/api/v1{path}" in told["paths"]
