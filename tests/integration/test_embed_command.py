"""`crossview embed`: a joint view on this machine, from two files or one, the same as a job's; and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

from engine.types import Modality
from jobs.cli import main
from jobs.driver import run_attempt
from jobs.joint.tasks import embedded_of
from jobs.runners.local import SerialExecutor
from jobs.work import attempt_of
from tests.builders import write_h5ad
from tests.hostile import HOSTILE
from tests.multiome import write_h5mu
from tests.running import JOINT, built_cells, fit_tiny_model, order_joint
from tests.tenx import write_tenx

pytestmark = pytest.mark.slow
RAW = ("--label", "cell_type", "--on", "raw", "--embedding", "rna", "--no-umap")
RIDGE = ("filters=none", "components=4", "target_components=4")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and the same cells as two files, as .h5mu and as a 10x multiome matrix."""
    folder = tmp_path_factory.mktemp("lab")
    fit_tiny_model(folder / "model", "crossmp", JOINT)
    for modality in Modality:
        write_h5ad(built_cells().of(modality), folder / f"{modality.value}.h5ad")
    write_h5mu(built_cells(), folder / "both.h5mu")
    write_tenx(built_cells(), folder / "multiome.h5")
    return folder


def embed(lab: Path, out: Path, given: Sequence[str], *extra: str) -> int:
    return main(["embed", "--model", str(lab / "model"), *given, "--out", str(out), "--json", *extra])


def two(lab: Path) -> list[str]:
    return ["--rna", str(lab / "rna.h5ad"), "--atac", str(lab / "atac.h5ad")]


def test_two_files_give_what_a_job_gives(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "joint.h5ad"
    assert embed(lab, out, two(lab), "--label", "cell_type", "--report", str(tmp_path / "report.json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "report.json").read_text())
    ordered = order_joint(tmp_path, lab / "model", label="cell_type")
    assert run_attempt(ordered.store, ordered.job, 1, SerialExecutor(ordered.uri)) == 0
    report = json.loads(ordered.output("report.json"))
    for name in ("structure", "imputation", "embedding", "cells", "coverage"):
        assert document[name] == report[name], name
    found = ad.read_h5ad(out)
    whole = embedded_of(attempt_of(ordered.uri, ordered.job, 1))
    np.testing.assert_allclose(found.obsm["X_crossview"], whole.whole.joint.values, atol=1e-6)
    assert found.obsm["X_umap"].shape == (160, 2)
    assert found.obs["cell_type"].nunique() == 3
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("name", ["both.h5mu", "multiome.h5"])
def test_one_file_of_both_gives_the_same_embedding(
    lab: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(lab, tmp_path / "two.h5ad", two(lab), "--no-umap") == 0
    assert embed(lab, tmp_path / "one.h5ad", ["--pair", str(lab / name)], "--no-umap") == 0
    one, other = (ad.read_h5ad(tmp_path / f"{which}.h5ad") for which in ("one", "two"))
    np.testing.assert_allclose(one.obsm["X_crossview"], other.obsm["X_crossview"], atol=1e-6)
    assert "X_umap" not in one.obsm


def test_training_and_analyses_take_one_file_of_both(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(*arguments: str) -> dict[str, Any]:
        assert main([*arguments, "--genome", "hg38", "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    said = {}
    for name, given in (("one", ["--pair", str(lab / "both.h5mu")]), ("two", two(lab))):
        settings = [word for setting in RIDGE for word in ("--set", setting)]
        made = answer("train", *given, "--model", "ridge", *settings, "--out", str(tmp_path / name))
        found = answer("analyse", "cluster", *given, *RAW, "--out", str(tmp_path / "found"))
        said[name] = (made["bundle"], found["results"])
    assert said["one"] == said["two"]


def test_without_json_the_report_is_a_few_lines(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["embed", "--model", str(lab / "model"), *two(lab), "--out", str(tmp_path / "j.h5ad"), "--no-umap"]
    assert main([*arguments, "--label", "cell_type"]) == 0
    said = capsys.readouterr().out
    assert "160 cells in 16 dimensions" in said
    assert "agreement of k-means with cell_type (ARI): joint" in said
    assert "the cell's own counts" in said


@pytest.mark.parametrize(
    ("given", "extra", "code"),
    [
        ([], [], "bad-input"),
        (["--rna", "{lab}/rna.h5ad"], [], "bad-input"),
        (["--rna", "{lab}/rna.h5ad", "--pair", "{lab}/both.h5mu"], [], "bad-input"),
        (["--pair", "{lab}/rna.h5ad"], [], "wrong-modality"),
        (["--pair", "{lab}/nothing.h5mu"], [], "bad-input"),
        (["--pair", "{lab}/both.h5mu"], ["--label", "donor"], "bad-setting"),
        (["--pair", "{lab}/both.h5mu"], ["--clusters", "999"], "bad-setting"),
        (["--rna", "{lab}/atac.h5ad", "--atac", "{lab}/rna.h5ad"], [], "wrong-modality"),
    ],
)
def test_what_cannot_be_embedded_ends_with_2_and_leaves_nothing(
    lab: Path, tmp_path: Path, given: list[str], extra: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(lab, tmp_path / "out.h5ad", [each.format(lab=lab) for each in given], *extra) == 2
    said = json.loads(capsys.readouterr().out)["error"]
    assert said["code"] == code
    assert said["hint"]
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_file_of_both_is_refused(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer, code = HOSTILE["mudata_with_an_external_modality"]
    writer(tmp_path / "bad.h5mu")
    assert embed(lab, tmp_path / "out.h5ad", ["--pair", str(tmp_path / "bad.h5mu")]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
    assert not (tmp_path / "out.h5ad").exists()


def test_options_of_another_kind_of_job_are_refused(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit = ["jobs", "submit", "--model", "tiny", *two(lab), "--json"]
    for extra, word in (
        (["--label", "cell_type"], "--label belongs to a joint view or an analysis"),
        (["--train", "--clusters", "3"], "--clusters belongs to a joint view"),
        (["--pair", "both.h5mu"], "--pair belongs to a joint view, an analysis or a training"),
        (["--joint", "--train"], "two jobs"),
        (["--joint", "--direction", "rna-to-atac"], "no direction"),
        (["--joint", "--set", "epochs=3"], "--set belongs to a training or an analysis"),
    ):
        assert main([*submit, *extra]) == 2
        assert word in json.loads(capsys.readouterr().out)["error"]["message"]
