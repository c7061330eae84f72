"""The command line as a bioinformatician uses it: train, inspect, translate, evaluate; and how it refuses."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
from pathlib import Path
from types import ModuleType

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from engine.types import Modality, Split
from jobs.cli import main
from tests.builders import paired, split_of, write_h5ad
from tests.hostile import HOSTILE

SHARED = Path(os.environ.get("CROSSVIEW_SHARED", Path(__file__).parents[2].parent / "shared"))


class Lab:
    """A pair of files, their split and a model fitted on them."""

    def __init__(self, folder: Path) -> None:
        pair = paired(cells=200, genes=80, peaks=110, rng=np.random.default_rng(0))
        self.folder, self.pair, self.split = folder, pair, split_of(pair)
        self.rna, self.atac = (write_h5ad(pair.of(m), folder / f"{m.value}.h5ad") for m in Modality)
        self.split_file = folder / "split.json"
        self.split_file.write_text(json.dumps({k: getattr(self.split, k) for k in ("train", "valid", "test")}))
        self.model = folder / "model"

    def train(self, *extra: str, out: Path | None = None) -> int:
        return main(
            ["train", "--rna", str(self.rna), "--atac", str(self.atac), "--model", "ridge", "--genome", "hg38",
             "--out", str(out or self.model), "--set", "filters=none", "--json", *extra]
        )  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    found = Lab(tmp_path_factory.mktemp("lab"))
    assert found.train("--split", str(found.split_file)) == 0
    return found


def test_training_writes_a_bundle_with_its_card_and_report(lab: Lab) -> None:
    written = {p.name for p in lab.model.iterdir()}
    assert written >= {"bundle.json", "CARD.md", "report.json", "predictability.npz", "split.json", "golden.npz"}
    report = json.loads((lab.model / "report.json").read_text())
    found = report["directions"]["atac-to-rna"]
    assert found["n_cells"] == len(lab.split.test)
    assert found["scores"]["gene_pearson"]["interval"][0] > 0
    card = (lab.model / "CARD.md").read_text()
    assert "| Pearson per gene |" in card
    assert "140 cells" in card


def test_the_same_seed_trains_the_same_bundle(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digests = []
    for name in ("a", "b"):
        assert lab.train("--seed", "5", "--id", "same", out=tmp_path / name) == 0
        digests.append(json.loads(capsys.readouterr().out)["bundle"])
    assert digests[0] == digests[1]


def predictability(lab: Lab, direction: str, *extra: str) -> int:
    return main(["models", "predictability", str(lab.model), "--direction", direction, *extra])


@pytest.mark.parametrize("direction", ["rna-to-atac", "atac-to-rna"])
def test_what_a_model_predicts_well_is_told_by_gene_and_peak(
    lab: Lab, direction: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predictability(lab, direction, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    report = json.loads((lab.model / "report.json").read_text())["directions"][direction]
    main_score = report["scores"][report["detail"]["main"]]
    assert found["tested"] == len(found["name"]) == main_score["averaged"]
    assert found["cells"] == report["n_cells"]
    scores = [found["chance"] if score is None else score for score in found["score"]]
    assert np.mean(scores) == pytest.approx(main_score["value"], abs=1e-5)
    assert predictability(lab, direction) == 0
    said = capsys.readouterr()
    table = pd.read_csv(io.StringIO(said.out))
    assert list(table["name"]) == found["name"]
    np.testing.assert_allclose(table["gain"], found["gain"])
    assert f"of {found['tested']:,} tested are above the best null" in said.err


def test_rows_of_predictability_are_searched_sorted_and_cut(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert predictability(lab, "atac-to-rna", "--search", "gene0001", "--sort", "skill", "--limit", "3", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["name"]) == 3 < found["matching"] < found["tested"]
    assert all(name.startswith("GENE0001") for name in found["name"])
    assert found["skill"] == sorted(found["skill"], reverse=True)


def test_a_model_without_scores_by_gene_says_so(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(lab.model, tmp_path / "bare", ignore=shutil.ignore_patterns("predictability.npz"))
    asked = ["models", "predictability", str(tmp_path / "bare"), "--direction", "rna-to-atac", "--json"]
    assert main(asked) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "not-found"
    (tmp_path / "bare" / "predictability.npz").write_bytes(b"PK nothing")
    assert main(asked) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bad-bundle"


def translate(lab: Lab, direction: str, out: Path, *extra: str) -> int:
    source = lab.rna if direction == "rna-to-atac" else lab.atac
    return main(
        ["translate", "--model", str(lab.model), "--input", str(source), "--direction", direction, "--out", str(out),
         "--json", *extra]
    )  # fmt: skip


def test_a_translation_holds_prediction_latent_and_provenance(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "predicted.h5ad"
    assert translate(lab, "rna-to-atac", out) == 0
    document = json.loads(capsys.readouterr().out)
    found = ad.read_h5ad(out)
    assert found.shape == (200, 110)
    assert found.obsm["X_crossview"].shape[0] == 200
    assert found.uns["crossview"]["bundle"] == document["bundle"]
    assert list(found.obs["cell_type"]) == list(lab.pair.rna.obs["cell_type"])
    assert 0 <= found.X.min() <= found.X.max() <= 1


def test_chunks_do_not_change_the_prediction(lab: Lab, tmp_path: Path) -> None:
    for name, chunk in (("whole", "512"), ("parts", "33")):
        assert translate(lab, "atac-to-rna", tmp_path / f"{name}.h5ad", "--chunk-cells", chunk) == 0
    whole, parts = (ad.read_h5ad(tmp_path / f"{name}.h5ad").X for name in ("whole", "parts"))
    np.testing.assert_allclose(whole, parts, atol=1e-5)


def test_chosen_features_equal_those_of_the_whole(lab: Lab, tmp_path: Path) -> None:
    assert translate(lab, "atac-to-rna", tmp_path / "all.h5ad") == 0
    assert translate(lab, "atac-to-rna", tmp_path / "some.h5ad", "--features", "GENE00007,GENE00003") == 0
    some = ad.read_h5ad(tmp_path / "some.h5ad")
    assert list(some.var_names) == ["GENE00007", "GENE00003"]
    whole = ad.read_h5ad(tmp_path / "all.h5ad")[:, some.var_names]
    np.testing.assert_allclose(some.X, whole.X, atol=1e-6)


@pytest.mark.parametrize("direction", ["rna-to-atac", "atac-to-rna"])
def test_evaluate_agrees_with_the_bench_script(
    lab: Lab, direction: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = load_bench_script()
    out = tmp_path / "predicted.h5ad"
    test_cells = write_h5ad(
        lab.pair.of(Modality.RNA if direction == "rna-to-atac" else Modality.ATAC).named(lab.split.test),
        tmp_path / "source.h5ad",
    )
    model = ["--model", str(lab.model)]
    assert main(["translate", *model, "--input", str(test_cells), "--direction", direction, "--out", str(out)]) == 0
    truth = lab.atac if direction == "rna-to-atac" else lab.rna
    capsys.readouterr()
    assert main(["evaluate", *model, "--prediction", str(out), "--truth", str(truth), "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)["directions"][direction]["scores"]
    theirs = bench_scores(bench, out, truth, lab.split, direction)
    compared = 0
    for name, value in theirs.items():
        if name in ours:
            assert ours[name]["value"] == pytest.approx(value, abs=1e-4), name
            compared += 1
    assert compared == 5


def load_bench_script() -> ModuleType:
    path = SHARED / "bench" / "score.py"
    if not path.is_file():
        pytest.skip(f"the scoring script of the bench is not at {path.name}")
    spec = importlib.util.spec_from_file_location("bench_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bench_scores(bench: ModuleType, out: Path, truth_file: Path, split: Split, direction: str) -> dict[str, float]:
    predicted, truth = ad.read_h5ad(out), ad.read_h5ad(truth_file)
    wanted = list(split.test)
    values, bad = bench.aligned(predicted.X, predicted.obs_names, predicted.var_names, truth, wanted)
    assert bad == 0
    if direction == "rna-to-atac":
        return dict(bench.score_atac(values, truth[wanted].X))
    truth.X = bench.log_normalised(truth.X)
    return dict(bench.score_rna(values, truth[wanted].X))


def test_inspect_says_what_a_file_is_and_what_a_model_makes_of_it(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(lab.rna), "--model", str(lab.model), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["summary"]["cells"] == 200
    assert found["preflight"]["directions"] == ["rna-to-atac"]
    assert main(["inspect", str(lab.rna)]) == 0
    assert "200 cells × 80 genes" in capsys.readouterr().out


REFUSED = ("plain_text", "declares_320_gb")  # all are walked in test_intake_hostile


@pytest.mark.parametrize("attack", REFUSED)
def test_a_bad_file_is_refused_in_one_message_with_exit_code_2_and_leaves_nothing(
    lab: Lab, attack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer, code = HOSTILE[attack]
    bad = tmp_path / "bad.h5ad"
    writer(bad)
    out = tmp_path / "out.h5ad"
    before = sorted(p.name for p in tmp_path.iterdir())
    assert main(["translate", "--model", str(lab.model), "--input", str(bad), "--direction", "rna-to-atac",
                 "--out", str(out), "--json"]) == 2  # fmt: skip
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["code"] == code
    assert "Traceback" not in said.err
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_model_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "no-such-model"]) == 2
    assert "no-such-model" in capsys.readouterr().err


def test_a_setting_that_does_not_exist_is_named_with_those_that_do(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab.train("--set", "colour=red", out=tmp_path / "m") == 2
    assert "components" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_a_leaked_cell_is_refused(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = json.loads(lab.split_file.read_text())
    split["test"].append(split["train"][0])
    leaky = tmp_path / "split.json"
    leaky.write_text(json.dumps(split))
    assert lab.train("--split", str(leaky), out=tmp_path / "m") == 2
    assert split["train"][0] in capsys.readouterr().err


def test_verify_finds_a_tampered_model(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(lab.model, copy)
    assert main(["models", "verify", str(copy)]) == 0
    (copy / "features.atac.txt").write_text("chr1:1-2\n")
    assert main(["models", "verify", str(copy)]) == 2
    assert "digest" in capsys.readouterr().err


def test_no_server_is_exit_code_4(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CROSSVIEW_API_URL", "http://127.0.0.1:9")
    assert main(["jobs", "list"]) == 4
    assert "127.0.0.1:9" in capsys.readouterr().err
