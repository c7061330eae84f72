"""What pages ask for: recipes in their order, settings between text and value, splits, and the way back to the page."""

from __future__ import annotations

from typing import Any

import pytest

from app import commands, kinds, parting, recipes
from jobs.errors import BadInput
from jobs.spec import BenchmarkSpec, Contender, HoldOut, TrainSpec
from jobs.views import JobView, RecipeView, SettingView
from tests.unit.test_present import a_job

CROSSMP = RecipeView(
    key="crossmp",
    title="CrossMP",
    what="…",
    settings=(
        SettingView(name="hidden", kind="int", default="64"),
        SettingView(name="learning_rate", kind="float", default="0.01"),
        SettingView(name="half", kind="bool", default="True"),
    ),
)
KEYS = ("mean", "knn", "ridge", "crossmp", "celltype-mean", "crossview")
ALL = [RecipeView(key=key, title=key, what="…") for key in KEYS]


def a_pair_job(spec: TrainSpec | BenchmarkSpec, **changed: Any) -> JobView:
    return a_job(kind=spec.kind, spec=spec.model_dump(mode="json"), directions=(), **changed)


def train(**changed: Any) -> TrainSpec:
    return TrainSpec.model_validate({"rna": "ds-1", "atac": "ds-2", "model": "crossmp"} | changed)


def test_our_own_stands_first_with_a_reason_and_yardsticks_last() -> None:
    found = recipes.ranked(ALL)
    assert [r.key for r in found] == ["crossview", "ridge", "crossmp", "knn", "mean", "celltype-mean"]
    assert recipes.why_first(found[0]).startswith("Recommended")
    assert recipes.why_first(found[-1]) == ""


def test_only_settings_that_differ_from_their_defaults_are_asked() -> None:
    fields = [recipes.field(s) for s in CROSSMP.settings]
    values = {"hidden": 32, "learning_rate": 0.01, "half": False}
    settings = recipes.changed(fields, values)
    assert settings == {"hidden": "32", "half": "false"}
    assert recipes.said(fields, settings) == "hidden 32 (default 64), half false (default true)"


def test_a_number_is_stepped_by_its_own_size() -> None:
    assert recipes.field(CROSSMP.settings[1]).step == pytest.approx(0.01)


def test_each_line_is_a_variant_and_every_slip_is_named_by_its_line() -> None:
    found = recipes.variants(CROSSMP, "\nsmall: hidden=16\nhidden=many, depth=3")
    assert [(c.label, c.settings) for c in found.contenders[:2]] == [("", {}), ("small", {"hidden": "16"})]
    assert found.problems == (
        "Line 3: hidden is “many”; it must be a whole number.",
        "Line 3: “depth=3” is no setting of CrossMP written as name=value.",
    )


def test_columns_that_sound_like_batches_come_first() -> None:
    labels = {"cell_type": {"B": 5, "T": 9}, "donor": {"d1": 7, "d2": 7}, "barcode": {str(i): 1 for i in range(300)}}
    assert parting.batch_columns(labels) == ["donor", "cell_type"]


def test_a_split_is_read_by_name() -> None:
    split = parting.read_names(b'{"train": ["a", "b"], "valid": [], "test": ["c"]}')
    assert split.names == {"train": ("a", "b"), "valid": (), "test": ("c",)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"not json", "not JSON"),
        (b'{"train": ["a"]}', "no valid, test"),
        (b'{"train": "a", "valid": [], "test": ["c"]}', "no list of names"),
        (b'{"train": ["a"], "valid": [], "test": []}', "no cell under"),
    ],
)
def test_a_split_that_cannot_be_used_says_why(text: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parting.read_names(text)


def test_a_training_leads_back_to_the_page_as_it_was_asked() -> None:
    spec = train(settings={"hidden": "32"}, split=HoldOut(column="batch", test=("I", "J")), seed=3, device="cpu")
    query = kinds.query(a_pair_job(spec))
    assert query == {
        "kind": "train", "from": "0123456789abcdef", "step": "4",
        "rna": "ds-1", "atac": "ds-2", "split": "Whole batches", "column": "batch", "test": ["I", "J"],
        "device": "cpu", "model": "crossmp", "crossmp.hidden": "32", "seed": "3",
    }  # fmt: skip


def test_a_comparison_leads_back_with_its_variants() -> None:
    contenders = (
        Contender(model="mean"),
        Contender(model="crossmp"),
        Contender(model="crossmp", settings={"hidden": "16"}, label="small"),
    )
    query = kinds.query(a_pair_job(BenchmarkSpec(rna="a", atac="b", contenders=contenders, seeds=(0, 1))))
    assert query["models"] == ["mean", "crossmp"]
    assert query["variants.crossmp"] == "\nsmall: hidden=16"
    assert query["seeds"] == "2"


def test_facts_of_each_kind_are_its_own() -> None:
    assert kinds.facts(a_pair_job(train())) == ["method crossmp", "8,412 cells"]
    spec = BenchmarkSpec(rna="a", atac="b", contenders=(Contender(model="ridge"),), seeds=(0, 1))
    assert kinds.facts(a_pair_job(spec)) == ["1 model", "8,412 cells", "2 seeds"]


def test_a_training_is_also_a_command() -> None:
    spec = train(settings={"hidden": "32"}, split=HoldOut(column="batch", test=("I", "J")), name="my cells")
    (line,) = commands.commands(a_pair_job(spec), {"rna": "my rna.h5ad", "atac": "atac.h5ad"})
    assert line == (
        "crossview train --rna 'my rna.h5ad' --atac atac.h5ad --hold-out batch=I,batch=J --model crossmp "
        "--out 'my cells' --seed 0 --set hidden=32"
    )


def test_a_command_parts_the_cells_as_the_job_did() -> None:
    inputs = {"rna": "r.h5ad", "atac": "a.h5ad"}
    pair = {"rna": "a", "atac": "b"}
    by = HoldOut(by="donor")
    (line,) = commands.commands(a_pair_job(train(split=by)), inputs)
    assert "--split-by donor" in line
    chosen = HoldOut(column="batch", test=("I",), valid=("J",))
    where, line = commands.commands(a_pair_job(train(split=chosen)), inputs)
    assert where.startswith("# split.json lies in model.zip")
    assert "--split split.json" in line
    twice = (Contender(model="ridge"), Contender(model="ridge", settings={"components": "4"}, label="four"))
    where, listed, line = commands.commands(
        a_pair_job(BenchmarkSpec(**pair, contenders=twice, split=by, genome="hg38")), inputs
    )
    assert where.startswith("# split.json")
    assert listed.endswith('[{"model": "ridge"}, {"model": "ridge", "settings": {"components": "4"}, "label": "four"}]')
    assert "--split split.json --genome hg38 --contenders contenders.json" in line
