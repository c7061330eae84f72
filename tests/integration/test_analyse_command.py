"""`crossview analyse …` end to end: every kind on a built pair and a small model, and what is refused."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.bundle import read_manifest
from engine.types import Modality, PairedCells, as_names
from jobs.cli import main
from jobs.commands import analyse_run
from tests.builders import write_h5ad
from tests.h5files import unlike_cellxgene, wrong
from tests.planted import joint_bundle, with_links


@dataclass(frozen=True)
class Lab:
    """Files of a pair, a model of it, and where results go."""

    pair: PairedCells
    rna: Path
    atac: Path
    model: Path
    out: Path

    def arguments(self, kind: str, *more: str) -> list[str]:
        files = ["--rna", str(self.rna), "--atac", str(self.atac), "--out", str(self.out / kind)]
        return ["analyse", kind, *files, *more]

    def table(self, kind: str, name: str) -> pd.DataFrame:
        path = self.out / kind / f"{name}.parquet"
        written = pd.read_parquet(path)
        assert len(pd.read_csv(path.with_suffix(".csv"))) == len(written)
        return written


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("analyse")
    rng = np.random.default_rng(0)
    built = with_links(cells=160, genes=14, peaks=6, rng=rng)
    kind = as_names(f"type {k}" for k in np.digitize(built.z_nk[:, 0], [-0.5, 0.5]))
    obs = {"cell_type": kind, "batch": as_names(rng.choice(["one", "two"], size=160))}
    pair = PairedCells(replace(built.pair.rna, obs=obs), replace(built.pair.atac, obs=obs))
    return Lab(
        pair,
        write_h5ad(pair.rna, folder / "rna.h5ad"),
        write_h5ad(pair.atac, folder / "atac.h5ad"),
        joint_bundle(pair, folder / "model"),
        folder / "out",
    )


def analysed(lab: Lab, capsys: pytest.CaptureFixture[str], kind: str, *more: str) -> dict[str, Any]:
    code = main([*lab.arguments(kind, *more), "--model", str(lab.model), "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == 0, document
    assert json.loads((lab.out / kind / "report.json").read_text(encoding="utf-8")) == document
    return document


@pytest.fixture(autouse=True)
def _read_once(lab: Lab, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Intake has tests of its own; here one test alone takes the whole way."""
    if request.function is test_the_report_says_what_is_needed_to_do_it_again:
        return

    chosen = {str(lab.rna): lab.pair.rna, str(lab.atac): lab.pair.atac}
    given = {Modality.RNA: SimpleNamespace(path=lab.rna), Modality.ATAC: SimpleNamespace(path=lab.atac)}
    monkeypatch.setattr(analyse_run, "both_taken", lambda **_: nullcontext(given))
    monkeypatch.setattr(analyse_run, "_cells", lambda path, genome: chosen[str(path)])


def test_clusters_of_two_embeddings_with_their_maps(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    document = analysed(lab, capsys, "cluster", "--label", "cell_type", "--compare", "rna", "--seeds", "0,1")
    table = lab.table("cluster", "cluster.agreement")
    assert sorted(set(table["embedding"])) == ["joint", "rna"]
    assert sorted(set(table["seed"])) == [0, 1]
    cells = lab.table("cluster", "cluster.cells")
    assert cells["barcode"].tolist() == list(lab.pair.barcodes)
    assert np.isfinite(cells[["joint umap_1", "rna umap_2"]].to_numpy()).all()
    assert document["results"][0]["settings"]["components"] == 3


def test_the_report_says_what_is_needed_to_do_it_again(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    document = analysed(lab, capsys, "mixing", "--batch", "batch", "--label", "cell_type", "--seed", "5")
    assert document["bundle"] == read_manifest(lab.model).digest
    assert document["asked"]["seed"] == 5
    assert len(document["input"]) == 64
    assert {"numpy", "scanpy", "scikit-learn"} <= set(document["versions"])
    assert document["trained_on"] == 136  # training and validation
    assert sorted(document["files"]) == sorted(
        path.name for path in (lab.out / "mixing").iterdir() if path.name != "report.json"
    )
    again = analysed(lab, capsys, "mixing", "--batch", "batch", "--label", "cell_type", "--seed", "5")
    assert again["files"] == document["files"]


def test_imputed_and_raw_cells_side_by_side(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    document = analysed(lab, capsys, "imputation", "--label", "cell_type")
    assert [r["what"] for r in document["results"]] == ["correlation.rna", "correlation.atac"]
    assert "No label has peaks above chance" in " ".join(document["results"][1]["cautions"])  # too few cells here
    table = lab.table("imputation", "correlation.rna.correlation")
    assert set(table["profile"]) == {"raw", "imputed", "training-mean", "mean"}
    assert (table.loc[table["label"] == "", "cells"] == 160).all()
    assert "judge it on held-out cells" in document["results"][0]["cautions"][0]


def test_who_judges_held_out_cells_is_not_told_to(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.analysis.imputation.LEAST", 4)  # few were held out here
    document = analysed(lab, capsys, "imputation", "--label", "cell_type", "--held-out", "--only", "rna")
    assert (document["cells"], document["results"][0]["cautions"]) == (24, [])


def test_only_held_out_cells_are_judged(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    document = analysed(lab, capsys, "abnormal", "--held-out")
    assert (document["cells"], document["trained_on"]) == (24, 0)


def test_raw_alone_needs_no_model(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--label", "cell_type", "--on", "raw", "--embedding", "rna", "--json"]
    assert main(lab.arguments("de", *more, "--only", "rna")) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["model"], document["results"][0]["what"]) == (None, "markers.rna")


def test_markers_meet_a_reference_by_group(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    reference = tmp_path / "known.csv"
    reference.write_text("".join(f"type 0,{gene}\n" for gene in lab.pair.rna.space.names[:4]), encoding="utf-8")
    document = analysed(
        lab, capsys, "de", "--label", "cell_type", "--reference", str(reference), "--top", "4", "--only", "rna"
    )
    table = lab.table("de", "markers.rna.overlap")
    assert table["group"].tolist() == ["type 0", "type 0"]
    assert table["profile"].tolist() == ["raw", "imputed"]
    assert "not valid" in document["results"][0]["cautions"][0]


def test_links_of_named_genes_with_a_track(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    library = pytest.importorskip("pyBigWig")
    peaks = sorted({name.split(":")[0] for name in lab.pair.atac.space.names})
    track = library.open(str(tmp_path / "signal.bw"), "w")
    track.addHeader([(chrom, 300_000_000) for chrom in peaks])
    track.addEntries(peaks, [1_000] * len(peaks), ends=[2_000] * len(peaks), values=[1.0] * len(peaks))
    track.close()
    genes = ",".join(lab.pair.rna.space.names[:3])
    document = analysed(lab, capsys, "cre", "--genes", genes, "--track", str(tmp_path / "signal.bw"))
    assert set(document["results"][0]["figures"]["enrichment"]) == {"raw", "imputed"}
    links = lab.table("cre", "lasso.links")
    assert set(links["gene"]) == set(lab.pair.rna.space.names[:3])
    assert set(lab.table("cre", "lasso.enrichment")["kind"]) == {"proximal", "distal"}


def test_peaks_that_open_together(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    document = analysed(lab, capsys, "coaccess", "--metacells", "10")
    assert set(document["results"][0]["figures"]["alpha"]) == {"raw", "imputed"}
    assert list(lab.table("coaccess", "coaccess.pairs"))[:3] == ["profile", "peak_1", "peak_2"]


def test_a_trajectory_with_trends_of_genes_and_promoters(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    analysed(lab, capsys, "trajectory", "--root", "type 0", "--label", "cell_type", "--neighbours", "10")
    assert lab.table("trajectory", "trajectory.labels")["label"].tolist()[0] == "type 0"
    summary = lab.table("trajectory", "trends.summary")
    assert set(summary["what"]) == {"expression", "promoter accessibility"}


def test_gene_activity_as_a_file(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    import anndata as ad

    analysed(lab, capsys, "activity")
    path = lab.out / "activity" / "activity.imputed.h5ad"
    assert wrong(path) == []
    assert unlike_cellxgene(path) == ["no embedding X_… in obsm"]
    scores = ad.read_h5ad(path)
    assert scores.shape == (160, 14)
    assert scores.obs["cell_type"].tolist() == list(lab.pair.rna.obs["cell_type"])


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("cluster", ["--label", "colour", "--model", "MODEL"], "no column 'colour'"),
        ("cluster", [], "come from a model"),
        ("imputation", ["--model", "MODEL"], "compares labels"),
        ("imputation", ["--model", "MODEL", "--label", "cell_type", "--on", "smoothed"], "names no profile"),
        ("trajectory", ["--model", "MODEL", "--root", "nobody"], "neither a cell nor a label"),
        ("cre", ["--model", "MODEL", "--genes", "NOGENE"], "not in the profile"),
        ("mixing", ["--model", "MODEL", "--batch", "cell_typ"], "Columns for --batch"),
        ("abnormal", ["--held-out", "--embedding", "rna"], "not known"),
    ],
)
def test_what_cannot_be_done_is_said_with_code_2(
    kind: str, more: list[str], said: str, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [str(lab.model) if word == "MODEL" else word for word in more]
    assert main(lab.arguments(kind, *more)) == 2
    assert said in capsys.readouterr().err


def test_words_that_are_no_options_are_refused(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["analyse", "cluster", "--components", "none"])
    assert stopped.value.code == 2
    assert "no whole number" in capsys.readouterr().err
