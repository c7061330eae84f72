"""`crossview benchmark` as a person runs it: entries in processes of their own, kept, reused, and failing alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.benchmark.entry import Contender
from engine.benchmark.papers import paper_set
from engine.types import Modality
from jobs.cli import main
from jobs.commands.benchmark import Asked
from jobs.commands.benchmark_paper import paper
from tests.builders import paired, split_of, write_h5ad
from tests.tenx import write_tenx

pytestmark = pytest.mark.timeout(900)  # several processes, each of which imports much


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    pair = paired(cells=120, genes=24, peaks=30, rng=np.random.default_rng(0))
    for modality in Modality:
        write_h5ad(pair.of(modality), folder / f"{modality.value}.h5ad")
    split = split_of(pair, train=0.6, valid=0.1)
    (folder / "split.json").write_text(json.dumps({k: getattr(split, k) for k in ("train", "valid", "test")}))
    listed = [
        {"model": "ridge", "settings": {"components": 5}, "label": "ridge, 5"},
        {"model": "celltype-mean", "settings": {"label": "no such column"}, "label": "broken"},
    ]
    (folder / "contenders.json").write_text(json.dumps(listed))
    return folder


def command(lab: Path, *more: str) -> list[str]:
    given = ["--rna", str(lab / "rna.h5ad"), "--atac", str(lab / "atac.h5ad"), "--split", str(lab / "split.json")]
    return ["benchmark", *given, "--out", str(lab / "out"), *more]


def test_a_benchmark_keeps_what_is_done_and_one_failure_stops_nobody(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = command(lab, "--only", "--contenders", str(lab / "contenders.json"), "--jobs", "2", "--json")
    assert main(asked) == 0
    document = json.loads(capsys.readouterr().out)
    assert [c["label"] for c in document["contenders"]] == ["ridge, 5"]
    assert document["contenders"][0]["recipe"]["components"] == 5
    assert document["failures"][0]["label"] == "broken"
    assert "no such column" in document["failures"][0]["message"]
    assert "| ridge, 5 |" in (lab / "out" / "benchmark.md").read_text()
    kept = {path.name: path.stat().st_mtime_ns for path in (lab / "out" / "entries").glob("ridge*.json")}

    from jobs.commands import benchmark

    monkeypatch.setattr(benchmark, "_run_all", lambda orders, asked, say: [say(o.label) for o in orders])
    assert main(asked) == 0
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == "broken"  # the one that failed is tried again, the other is not
    assert json.loads(said.out)["directions"] == document["directions"]
    assert kept == {path.name: path.stat().st_mtime_ns for path in (lab / "out" / "entries").glob("ridge*.json")}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--models", "nonsense"], "no model called 'nonsense'"),
        (["--models", "ridge", "--set", "ridge.nothing=1"], "no setting 'nothing'"),
        (["--models", "ridge", "--set", "knn.neighbours=1"], "names no model of --models"),
        (["--models", "ridge", "--seeds", "0,x"], "no whole numbers"),
        (["--models", "ridge", "--batch-column", "site"], "no column 'site'"),
    ],
)
def test_bad_usage_is_refused_with_a_way_out(
    lab: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(lab, *more)) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "→" in err


def test_the_papers_data_sets_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "paper", "--list"]) == 0
    out = capsys.readouterr().out
    assert "mouse-kidney" in out
    assert "printed: atac-to-rna, pearson 0.530" in out
    assert main(["benchmark", "paper", "--set", "moon-rock"]) == 2
    assert main(["benchmark", "paper", "--set", "lymphoma"]) == 2


def test_the_papers_tables_are_made_from_10x_files(tmp_path: Path) -> None:
    pair = paired(cells=240, genes=60, peaks=90, depth=900, rng=np.random.default_rng(0))
    rows = [np.arange(0, 120), np.arange(120, 240)]
    parts = [type(pair)(pair.rna.rows(r), pair.atac.rows(r)) for r in rows]
    files = [str(write_tenx(part, tmp_path / f"lane{i}.h5")) for i, part in enumerate(parts)]
    asked = Asked((Contender("mean"),), (0,), tmp_path / "out", only=True, jobs=2)
    # Built cells have 60 genes: the paper's filter of 200 a cell is for real ones.
    document = paper(
        asked, paper_set("mouse-kidney"), files=files[:1], test_on=files[1], filters={"min_genes": 5, "max_share": 1.0}
    )
    assert set(document["benchmarks"]) == {"by-cell", "test-on"}
    assert document["benchmarks"]["test-on"]["data"]["cells"]["test"] == 120
    assert document["benchmarks"]["by-cell"]["data"]["cells"]["test"] == 18
    assert "As printed in the paper" in (tmp_path / "out" / "paper.md").read_text()
