"""Entries and their report: scores are what they are elsewhere, differences are paired, nothing is lost on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.benchmark.compare import Compared, Line
from engine.benchmark.entry import (
    Contender,
    EntryResult,
    entry_key,
    pair_digest,
    require_all_features,
    run_entry,
    split_digest,
)
from engine.benchmark.judge import Judge
from engine.benchmark.markdown import markdown
from engine.benchmark.peers import against_released
from engine.benchmark.report import assemble
from engine.errors import BadInput, BadSetting, NoCells
from engine.metrics import log_normalised
from engine.translators.base import Hooks
from engine.translators.registry import recipe
from engine.types import CellBatch, FeatureSpace, Modality, PairedCells, Split, as_names
from tests import naive_scores as naive
from tests.builders import paired, split_of


def built_pair() -> PairedCells:
    pair = paired(cells=200, genes=24, peaks=30, rng=np.random.default_rng(0))
    donor = as_names(f"donor {i % 2}" for i in range(200))
    rna, atac = (replace(cells, obs={**cells.obs, "donor": donor}) for cells in (pair.rna, pair.atac))
    return PairedCells(rna, atac)


class Made:
    """Four contenders on built cells, ridge with two seeds, as a report."""

    def __init__(self) -> None:
        self.pair = built_pair()
        self.split = split_of(self.pair, train=0.5, valid=0.1)
        asked = [("mean", 0), ("depth", 0), ("ridge", 0), ("ridge", 1), ("knn", 0)]
        self.entries = [self.entry(Contender(model), seed) for model, seed in asked]
        self.judge = Judge(self.pair, self.split, batch_column="donor")
        self.report = assemble(self.entries, truth=self.judge.standing(), order=["knn", "ridge", "depth", "mean"])

    def entry(self, contender: Contender, seed: int = 0) -> EntryResult:
        return run_entry(self.pair, self.split, contender=contender, seed=seed, batch_column="donor")

    def cell(self, direction: str, label: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.report["directions"][direction]["contenders"][label][name]
        return found


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def test_an_entry_scores_what_a_plain_program_scores(made: Made) -> None:
    fitted = recipe("ridge").fit(made.pair, made.split, Hooks(seed=0))
    held = made.pair.named(made.split.test)
    place = [list(made.pair.barcodes).index(name) for name in made.split.test]
    truth = log_normalised(made.pair.rna.counts)[place].toarray()
    predicted = fitted.decode(fitted.encode(CellBatch(atac=held.atac.counts)), Modality.RNA).values
    entry = made.entries[2].document["directions"]
    for name, value in naive.rna(predicted, truth).items():
        assert entry["atac-to-rna"]["scores"][name]["value"] == pytest.approx(value, abs=1e-5), name
    predicted = fitted.decode(fitted.encode(CellBatch(rna=held.rna.counts)), Modality.ATAC).values
    for name, value in naive.atac(predicted, held.atac.counts.toarray()).items():
        assert entry["rna-to-atac"]["scores"][name]["value"] == pytest.approx(value, abs=1e-5), name


def test_a_batch_is_scored_as_if_it_were_alone(made: Made) -> None:
    donor = dict(zip(made.pair.barcodes, made.pair.rna.obs["donor"], strict=True))
    only = tuple(name for name in made.split.test if donor[name] == "donor 1")
    fitted = recipe("ridge").fit(made.pair, made.split, Hooks(seed=0))
    place = [list(made.pair.barcodes).index(name) for name in only]
    truth = log_normalised(made.pair.rna.counts)[place].toarray()
    predicted = fitted.decode(fitted.encode(CellBatch(atac=made.pair.named(only).atac.counts)), Modality.RNA).values
    batch = made.entries[2].document["directions"]["atac-to-rna"]["batches"]["donor 1"]
    assert batch["n"] == len(only)
    for name, value in naive.rna(predicted, truth).items():
        assert batch["scores"][name]["value"] == pytest.approx(value, abs=1e-5), name


def test_the_brier_skill_is_against_the_average_training_cell(made: Made) -> None:
    score = made.cell("rna-to-atac", "mean", "brier_skill")
    assert score["value"] == pytest.approx(0, abs=1e-6)
    train = made.pair.named(made.split.train).atac.counts.toarray()
    truth = made.pair.named(made.split.test).atac.counts.toarray()
    fitted = recipe("knn").fit(made.pair, made.split, Hooks(seed=0))
    rna = made.pair.named(made.split.test).rna.counts
    predicted = fitted.decode(fitted.encode(CellBatch(rna=rna)), Modality.ATAC).values.astype(np.float64)
    skill = 1 - ((predicted - truth) ** 2).sum() / ((train.mean(0) - truth) ** 2).sum()
    assert made.cell("rna-to-atac", "knn", "brier_skill")["value"] == pytest.approx(skill, abs=1e-5)


def test_nulls_come_first_and_the_rest_as_ordered(made: Made) -> None:
    assert [c["label"] for c in made.report["contenders"]] == ["mean", "depth", "knn", "ridge"]


def test_seeds_are_averaged_and_their_spread_told(made: Made) -> None:
    score = made.cell("atac-to-rna", "ridge", "gene_pearson")
    values = [e.document["directions"]["atac-to-rna"]["scores"]["gene_pearson"]["value"] for e in made.entries[2:4]]
    assert score["seeds"] == {"0": values[0], "1": values[1]}
    assert score["value"] == pytest.approx(np.mean(values))
    assert score["sd"] == pytest.approx(np.std(values, ddof=1))
    assert made.cell("atac-to-rna", "knn", "gene_pearson")["sd"] is None


def test_gains_are_differences_of_means_with_paired_intervals(made: Made) -> None:
    ridge, mean = (made.cell("atac-to-rna", label, "gene_pearson") for label in ("ridge", "mean"))
    gain = ridge["gains"]["mean"]
    assert gain["value"] == pytest.approx(ridge["value"] - mean["value"])
    assert gain["interval"][0] < gain["value"] < gain["interval"][1]
    assert gain["interval"][0] > 0  # built cells follow their types in both modalities
    assert "ridge" not in ridge["gains"]


def test_pairing_makes_differences_surer_than_the_scores_are() -> None:
    rng = np.random.default_rng(0)
    shared, own = rng.standard_normal(300) / 300, rng.standard_normal((2, 300)) / 3000
    found = Compared.of([Line("a", {0: 0.5}, shared + own[0]), Line("b", {0: 0.45}, shared + own[1])])
    low, high = found.difference("a", "b")["interval"]
    apart = found.interval("a")
    assert high - low < 0.3 * (apart[1] - apart[0])
    assert low > 0
    assert found.best(["a", "b"]) == {"label": "a", "level_with": []}


def test_a_contender_is_level_with_itself() -> None:
    line = Line("a", {0: 0.5, 1: 0.6}, np.linspace(-1, 1, 50) / 50)
    found = Compared.of([line, replace(line, label="b")])
    assert found.difference("a", "b") == {"value": 0.0, "interval": [0.0, 0.0]}
    assert found.best(["a", "b"])["level_with"] == ["b"]


def test_an_entry_comes_back_from_its_files_as_it_was(made: Made, tmp_path: Path) -> None:
    made.entries[4].save(tmp_path, "knn-0")
    found = EntryResult.load(tmp_path, "knn-0")
    assert found.document == made.entries[4].document
    assert set(found.pulls) == set(made.entries[4].pulls)
    name = "rna-to-atac/batch/donor 0/peak_auroc"
    np.testing.assert_array_equal(found.pulls[name], made.entries[4].pulls[name])
    (tmp_path / "knn-0.json").write_text('{"schema": 99}')
    with pytest.raises(BadInput, match="another version"):
        EntryResult.load(tmp_path, "knn-0")


def test_the_report_is_json_and_reads_as_tables(made: Made) -> None:
    text = json.dumps(made.report, allow_nan=False)
    assert "label_transfer" in text
    page = markdown(made.report)
    assert "## ATAC → RNA" in page
    assert "*mean* (null)" in page
    assert "**" in page
    assert "donor donor 1" in page
    assert "Gain over ridge" in page


def test_costs_are_measured(made: Made) -> None:
    costs = next(c for c in made.report["contenders"] if c["label"] == "ridge")["costs"]
    assert costs["train_s"] > 0
    assert costs["imports_mb"] > 0
    assert costs["epochs"] is None


def test_validation_cells_can_judge_and_the_report_says_so(made: Made) -> None:
    entry = run_entry(made.pair, made.split, contender=Contender("mean"), part="valid")
    report = assemble([entry], truth=Judge(made.pair, made.split, "valid").standing())
    assert report["directions"]["rna-to-atac"]["n"] == len(made.split.valid)
    assert any("not to report" in note for note in report["notes"])


def test_entries_of_other_cells_are_not_mixed(made: Made) -> None:
    other = run_entry(made.pair, made.split, contender=Contender("mean"), part="valid")
    with pytest.raises(BadInput, match="different cells"):
        assemble([made.entries[0], other], truth=made.judge.standing())


def test_released_scores_are_met_within_two_deviations_or_not(made: Made) -> None:
    grouped = {"knn": [made.entries[4]]}
    ours = made.entries[4].document["directions"]["atac-to-rna"]["scores"]["gene_pearson"]["value"]
    just = against_released(grouped, {"knn": {"rna": {"gene_pearson": ours + 1e-4}}, "magic": {}})
    far = against_released(grouped, {"knn": {"rna": {"gene_pearson": ours + 0.5}}})
    assert just["lines"][0]["passed"]
    assert not just["lines"][0]["rows"][0]["above"]
    assert just["missing"] == ["magic"]
    assert not far["lines"][0]["passed"]


def test_crossmp_must_lie_above_where_that_is_asked(made: Made) -> None:
    entry = EntryResult(json.loads(json.dumps(made.entries[4].document)), made.entries[4].pulls)
    entry.document["contender"]["model"] = "crossmp"
    ours = entry.document["directions"]["rna-to-atac"]["scores"]["flat_auroc"]["value"]
    found = against_released({"x": [entry]}, {"crossmp": {"atac": {"flat_auroc": ours + 1e-4}}})["lines"][0]
    assert found["rows"][0]["enough"]
    assert not found["passed"]


def test_keys_follow_what_was_asked_and_not_what_it_is_called(made: Made) -> None:
    data, cut = pair_digest(made.pair), split_digest(made.split)

    def key(contender: Contender, **changed: Any) -> str:
        given = {"seed": 0, "part": "test", "data": data, "split": cut, "options": {}}
        return entry_key(contender=contender, **{**given, **changed})

    plain = key(Contender("ridge"))
    assert key(Contender("ridge", label="ours")) == plain
    others = [key(Contender("ridge", {"components": "9"})), key(Contender("ridge"), seed=1),
              key(Contender("ridge"), part="valid"), key(Contender("ridge"), split="x")]  # fmt: skip
    assert len({plain, *others}) == 5


def test_too_few_judging_cells_and_unknown_columns_are_refused(made: Made) -> None:
    names = list(made.pair.barcodes)
    with pytest.raises(NoCells, match="3 cells"):
        Judge(made.pair, Split(tuple(names[:50]), (), tuple(names[50:53])))
    with pytest.raises(BadSetting, match="no column 'site'"):
        Judge(made.pair, made.split, batch_column="site")


def test_a_model_that_left_features_out_is_refused_and_told_what_to_set() -> None:
    pair = built_pair()
    rna = replace(
        pair.rna,
        space=FeatureSpace(Modality.RNA, pair.rna.space.names[:20], pair.rna.space.genome),
        counts=pair.rna.counts[:, :20],
    )
    fitted = recipe("mean").fit(PairedCells(rna, pair.atac), split_of(pair), Hooks())
    with pytest.raises(BadSetting, match="keeps 20 of the 24 rna features") as refused:
        require_all_features(fitted, pair)
    assert "variable_genes" in refused.value.hint
