"""The model that comes with CrossView, on its example: cells it never saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from engine.bundle import load_bundle, read_manifest, read_space
from engine.evaluate import evaluate
from engine.intake.canonical import CanonicalCells
from engine.preprocess.align import align
from engine.translate import encode_cells
from engine.types import Cells, Direction, FeatureSpace, Modality, as_names
from jobs.catalog import load_catalog, resolve
from jobs.cli import main
from jobs.commands.offline import taken
from tests.builders import write_h5ad
from tests.genomes import moved_as_between_builds, promoter_like

MODEL = "human-cell-lines-snareseq"
FOLDER = resolve(MODEL)
EXAMPLE = FOLDER / "example"


@pytest.fixture(scope="module")
def scores() -> dict[str, Any]:
    """Reports on the example by direction: through intake, encoded and scored as a job does it."""
    bundle, found = load_bundle(FOLDER), {}
    with taken(str(EXAMPLE / "rna.h5ad")) as rna, taken(str(EXAMPLE / "atac.h5ad")) as atac:
        cells = {}
        for one in (rna, atac):
            with CanonicalCells.open(one.path) as opened:
                cells[opened.modality] = opened.all()
    for direction in Direction:
        source = cells[direction.source]
        encoded = encode_cells(bundle, source, align(source.space.names, bundle.space(direction.source)))
        judged = evaluate(bundle=bundle, direction=direction, predicted=encoded, truth=cells[direction.target])
        found[direction.value] = judged.report.as_dict()
    return found


@pytest.mark.slow
def test_it_says_something_about_cells_it_never_saw(scores: dict[str, Any]) -> None:
    genes, peaks = scores["atac-to-rna"]["scores"], scores["rna-to-atac"]["scores"]
    assert genes["gene_pearson"]["interval"][0] > 0
    assert peaks["peak_auroc_depth_adjusted"]["interval"][0] > 0.5
    assert peaks["flat_auroc"]["value"] > peaks["flat_auroc"]["nulls"]["mean"]
    for found in scores.values():
        assert found["n_cells"] == 148
        assert found["split"]["scored_in_training"] == 0


@pytest.mark.slow
def test_its_card_shows_the_scores_that_are_found_again(scores: dict[str, Any]) -> None:
    committed = json.loads((FOLDER / "report.json").read_text())["directions"]
    for direction, found in scores.items():
        for name, score in found["scores"].items():
            assert score["value"] == pytest.approx(committed[direction]["scores"][name]["value"], abs=1e-4), name
    card = (FOLDER / "CARD.md").read_text()
    assert f"{committed['atac-to-rna']['scores']['gene_pearson']['value']:.3f}" in card
    assert "GSE126074, no licence stated" in card


def test_it_is_whole_and_predicts_what_it_did() -> None:
    assert main(["models", "verify", MODEL]) == 0
    assert load_catalog()[MODEL].not_for


def test_no_cell_of_the_example_trained_it() -> None:
    split = json.loads((FOLDER / "split.json").read_text())
    with h5py.File(EXAMPLE / "rna.h5ad", "r") as file:
        obs = file["obs"]
        cells = set(obs[obs.attrs["_index"]].asstr()[:])
    assert cells == set(split["test"])
    assert not cells & (set(split["train"]) | set(split["valid"]))
    assert read_manifest(FOLDER).training_cells == len(split["train"]) == 686


def few_cells(modality: Modality, names: Any, path: Path) -> Path:
    rng = np.random.default_rng(0)
    counts = sp.csr_matrix(rng.poisson(0.2, size=(12, len(names))).astype(np.float32))
    barcodes = as_names(f"CELL{i}" for i in range(12))
    return write_h5ad(Cells(FeatureSpace(modality, as_names(names)), counts, barcodes), path)


def refused(path: Path, direction: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    out = path.with_name("out.h5ad")
    code = main(["translate", "--model", MODEL, "--input", str(path), "--direction", direction, "--out", str(out),
                 "--json"])  # fmt: skip
    assert code == 2
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]
    error: dict[str, str] = json.loads(capsys.readouterr().out)["error"]
    return error


def test_mouse_genes_are_refused_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from engine.genome.genes import GeneModels

    path = few_cells(Modality.RNA, list(GeneModels.load("mm10").symbol[:8000]), tmp_path / "mouse.h5ad")
    error = refused(path, "rna-to-atac", capsys)
    assert error["code"] == "wrong-genome"
    assert "mouse" in error["message"] + error["hint"]


def test_peaks_of_another_build_are_refused_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = moved_as_between_builds(promoter_like("hg38", count=20_000), "hg19")
    path = few_cells(Modality.ATAC, list(dict.fromkeys(moved.names)), tmp_path / "hg19.h5ad")
    error = refused(path, "atac-to-rna", capsys)
    assert error["code"] == "wrong-genome"
    assert "hg38" in error["message"] + error["hint"]


def test_every_gene_and_peak_of_the_published_matrices_can_be_asked_for() -> None:
    assert len(read_space(FOLDER, Modality.RNA)) == 18_666
    assert len(read_space(FOLDER, Modality.ATAC)) == 136_771


def test_the_example_can_be_named_as_an_input(tmp_path: Path) -> None:
    out = tmp_path / "some.h5ad"
    assert main(["translate", "--model", MODEL, "--input", f"example:{MODEL}/atac", "--direction", "atac-to-rna",
                 "--out", str(out), "--features", "COL1A2,THBS1"]) == 0  # fmt: skip
    with h5py.File(out, "r") as file:
        assert file["X"].shape == (148, 2)
