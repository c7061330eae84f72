"""`crossview train` after a kill: it goes on from what lies beside the model, and ends at the same one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.types import Modality
from jobs.cli import main
from jobs.commands import fit
from tests.builders import paired, write_h5ad

SETTINGS = {"epochs": "12", "patience": "12", "components": "8", "target_components": "8", "hidden": "32"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("files")
    pair = paired(cells=120, genes=60, peaks=90, rng=np.random.default_rng(2))
    return {m.value: str(write_h5ad(pair.of(m), folder / f"{m.value}.h5ad")) for m in Modality}


class Killed(BaseException):
    """As a SIGKILL would, it leaves nobody time to tidy."""


def train(files: dict[str, str], out: Path, *, stop_at: str = "", **changes: Any) -> tuple[dict[str, Any], list[str]]:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if stop_at and stop_at in line:
            raise Killed

    settings = {**SETTINGS, "filters": "none", **changes.pop("settings", {})}
    found = fit.train(
        **files, model="svd-mlp", out=out, settings=settings, genome="hg38", id="mine", device="cpu", say=say, **changes
    )
    return found, lines


@pytest.mark.timeout(480)
def test_a_killed_training_goes_on_and_ends_at_the_same_model(files: dict[str, str], tmp_path: Path) -> None:
    out, beside = tmp_path / "killed", tmp_path / "killed.training"
    with pytest.raises(Killed):
        train(files, out, stop_at="epoch 7 of at most 12")
    assert {"asked.json", "curve.json"} < {path.name for path in beside.iterdir()}
    assert not (out / "bundle.json").exists()

    found, lines = train(files, out)
    assert any("Going on with the training" in line for line in lines)
    assert any("Going on after epoch 6" in line for line in lines)
    assert not any("epoch 6 of at most 12" in line and "rna-to-atac" in line for line in lines)
    assert found["resumed"] == [6]
    assert not beside.exists()
    assert "went on from a checkpoint after epoch 6" in (out / "CARD.md").read_text()

    undisturbed, _ = train(files, tmp_path / "undisturbed")
    assert undisturbed["bundle"] == found["bundle"]
    once, again = (json.loads((path / "curve.json").read_text())["epochs"] for path in (tmp_path / "undisturbed", out))
    for one, other in zip(once, again, strict=True):
        assert one["valid"] == pytest.approx(other["valid"], abs=1e-6)
        assert one["train"] == pytest.approx(other["train"], abs=1e-6)


@pytest.mark.timeout(480)
def test_what_is_left_of_another_question_is_not_gone_on_from(files: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "model"
    with pytest.raises(Killed):
        train(files, out, stop_at="epoch 3 of at most 12")
    with pytest.raises(Killed):
        train(files, out, stop_at="training starts anew", seed=4)
    with pytest.raises(Killed):
        train(files, out, stop_at="epoch 2 of", seed=4, fresh=True)


def test_a_batch_that_straddles_is_refused_where_it_may_not(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"CELL{i:05d}" for i in range(120)]
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": names[:80], "valid": names[80:100], "test": names[100:]}))
    asked = ["train", "--rna", files["rna"], "--atac", files["atac"], "--model", "mean", "--set", "filters=none"]
    asked += ["--split", str(split), "--out", str(tmp_path / "m"), "--split-by", "cell_type"]
    assert main(asked) == 2
    assert "cell_type are on both sides" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
