"""What an address asks for: what a job's address says is the job itself, read back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import asked, wizard
from app.asked import Draft
from app.kinds import query
from jobs.names import Direction, Modality
from jobs.spec import AnySpec, BenchmarkSpec, Contender, HoldOut, JointSpec, TrainSpec, TranslateSpec
from jobs.state import JobState
from jobs.views import DatasetView, JobView, ModelView, RecipeView, SettingView

NOW = datetime(2026, 11, 1, tzinfo=UTC)
BOTH = (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA)
LABELS = {"batch": {"A": 60, "B": 50, "C": 40}, "cell_type": {"x": 100, "y": 50}}
RECIPES = (
    RecipeView(key="mean", title="Mean", what=""),
    RecipeView(
        key="ridge", title="Ridge", what="", settings=(SettingView(name="components", kind="int", default="50"),)
    ),
    RecipeView(
        key="crossview", title="CrossView", what="", reads_every_feature=True,
        settings=(
            SettingView(name="epochs", kind="int", default="100"),
            SettingView(name="rate", kind="float", default="0.1"),
            SettingView(name="wide", kind="bool", default="false"),
        ),
    ),
)  # fmt: skip


def dataset(modality: Modality, **more: Any) -> DatasetView:
    return DatasetView(
        id=f"ds-{modality.value}", name=f"my {modality.value}", state="ready", modality=modality, cells=150,
        summary={"labels": LABELS}, **more,
    )  # fmt: skip


PAIR = {m: dataset(m, genome="hg38") for m in Modality}
MODEL = ModelView(
    id="m", title="M", digest="d", translator="ridge", genome="hg38", directions=BOTH, spaces={}, tissue="t"
)


def job_of(spec: AnySpec) -> JobView:
    return JobView(
        id="job-1", kind=spec.kind, title="", state=JobState.SUCCEEDED, attempt=1, model="m", bundle="",
        directions=(), spec=spec.model_dump(mode="json"), submitted_at=NOW, updated_at=NOW,
    )  # fmt: skip


def address(spec: AnySpec) -> Draft:
    """As the page finds it after the link was followed."""
    told = query(job_of(spec))
    values = {name: value if isinstance(value, list) else [value] for name, value in told.items()}
    assert (values["kind"], values["from"]) == ([spec.kind], ["job-1"])
    return Draft(values, spec.model_dump(mode="json"))


def read_back(spec: AnySpec) -> AnySpec:
    draft = address(spec)
    if isinstance(spec, TranslateSpec):
        inputs = {m: PAIR[m] for m in Modality if spec.dataset(m)}
        return asked.translation(draft, MODEL, inputs)
    if isinstance(spec, JointSpec):
        return asked.joint(draft, MODEL, PAIR)
    split = asked.hold_out(draft, LABELS)
    assert split is not None
    if isinstance(spec, TrainSpec):
        return asked.training(draft, asked.recipe_of(draft, RECIPES), PAIR, split)
    return asked.comparison(draft, asked.contenders(draft, RECIPES), PAIR, split)


SEEDS = st.integers(0, 2**32 - 1)
IDS = {"rna": "ds-rna", "atac": "ds-atac"}
SPLITS = st.one_of(
    st.just(HoldOut()),
    st.sampled_from(["batch", "cell_type"]).map(lambda by: HoldOut(by=by)),
    st.sampled_from([("A",), ("A", "B")]).map(lambda test: HoldOut(column="batch", test=test)),
    st.just(HoldOut(column="batch", test=("A",), valid=("B",))),
    st.just(HoldOut(names={"train": ("c1", "c2"), "valid": (), "test": ("c3",)})),
)
TRANSLATIONS = st.builds(
    TranslateSpec, model=st.just("m"), rna=st.just("ds-rna"), atac=st.just("ds-atac"),
    directions=st.sampled_from([BOTH, BOTH[:1], BOTH[1:]]), export=st.booleans(), umap=st.booleans(), seed=SEEDS,
    chunk_cells=st.sampled_from([512, 64]), min_coverage=st.sampled_from([0.5, 0.2]),
)  # fmt: skip
JOINTS = st.builds(
    JointSpec, model=st.just("m"), rna=st.just("ds-rna"), atac=st.just("ds-atac"), seed=SEEDS,
    label=st.sampled_from(["", "batch", "cell_type"]), clusters=st.integers(0, 500),
    resolution=st.sampled_from([1.0, 0.5, 12.5]), umap=st.booleans(), export=st.booleans(),
)  # fmt: skip
SETTINGS = st.fixed_dictionaries(
    {}, optional={"epochs": st.sampled_from(["3", "7"]), "rate": st.just("0.25"), "wide": st.just("true")}
)
TRAININGS = st.builds(
    TrainSpec, model=st.just("crossview"), rna=st.just("ds-rna"), atac=st.just("ds-atac"), split=SPLITS,
    settings=SETTINGS, seed=SEEDS, name=st.sampled_from(["", "Mine & yours"]), device=st.sampled_from(["auto", "cpu"]),
    filters=st.sampled_from([{}, {"filters": "paper"}, {"min_cells": "9"}]),
)  # fmt: skip
COMPARISONS = st.builds(
    BenchmarkSpec, rna=st.just("ds-rna"), atac=st.just("ds-atac"), split=SPLITS,
    contenders=st.sampled_from(
        [
            (Contender(model="ridge"),),
            (Contender(model="ridge"), Contender(model="ridge", settings={"components": "4"}, label="small")),
            (Contender(model="crossview"), Contender(model="ridge")),
        ]
    ),
    seeds=st.integers(1, 20).map(lambda n: tuple(range(n))), batch_column=st.sampled_from(["", "batch", "cell_type"]),
    filters=st.sampled_from([{}, {"filters": "none"}]),
)  # fmt: skip


@given(st.one_of(TRANSLATIONS, JOINTS, TRAININGS, COMPARISONS))
def test_a_job_asked_for_again_from_its_address_is_the_same_job(spec: AnySpec) -> None:
    assert read_back(spec) == spec


@pytest.mark.parametrize("modality", list(Modality))
def test_one_file_is_translated_in_the_one_direction_it_allows(modality: Modality) -> None:
    spec = asked.translation(Draft(), MODEL, {modality: PAIR[modality]})
    assert [d.source for d in spec.directions] == [modality]


def test_what_an_address_says_wrongly_is_the_default() -> None:
    draft = Draft({"seed": ["-1"], "clusters": ["many"], "resolution": ["0"], "label": ["nothing"], "umap": ["no"]})
    spec = asked.joint(draft, MODEL, PAIR)
    assert (spec.seed, spec.clusters, spec.resolution, spec.label, spec.umap) == (0, 0, 1.0, "cell_type", False)


def test_a_split_that_leaves_nothing_to_train_on_is_none() -> None:
    assert (
        asked.hold_out(Draft({"split": ["Whole batches"], "column": ["batch"], "test": ["A", "B", "C"]}), LABELS)
        is None
    )
    assert asked.hold_out(Draft({"split": ["Whole batches"], "column": ["batch"]}), LABELS) is None
    assert asked.hold_out(Draft({"split": ["A split.json"]}), LABELS) is None


def test_a_line_that_cannot_be_read_stops_the_comparison() -> None:
    assert asked.contenders(Draft({"models": ["ridge"], "variants.ridge": ["components=four"]}), RECIPES) == ()


def test_what_differs_from_the_usual_is_said_and_nothing_else() -> None:
    usual = TranslateSpec(model="m", rna="ds-rna", directions=BOTH[:1])
    assert asked.said(usual) == []
    assert asked.said(usual.model_copy(update={"seed": 3, "umap": False})) == [("umap", "False"), ("seed", "3")]


class TestWizard:
    def test_another_kind_takes_the_cells_over_and_gives_them_back(self) -> None:
        known = list(PAIR.values())
        start = {"cells": ["ds-atac"], "other": ["ds-rna"], "seed": ["4"]}
        turned = wizard.turned(start, "train", known)
        assert turned == {"kind": "train", **IDS}
        back = wizard.turned({k: [str(v)] for k, v in turned.items()}, "translate", known)
        assert back == {"kind": "translate", "cells": "ds-rna", "other": "ds-atac"}

    def test_an_address_that_names_nothing_known_begins_at_the_beginning(self) -> None:
        assert (wizard.kind_of("nonsense"), wizard.step_of("9")) == ("translate", 1)

    def test_a_batch_is_one_translation_a_file(self) -> None:
        specs = wizard.batch_specs(MODEL, list(PAIR.values()), export=False, umap=False, seed=2)
        assert [(spec.rna, spec.atac, spec.directions, spec.seed) for spec in specs] == [
            ("ds-rna", None, BOTH[:1], 2), (None, "ds-atac", BOTH[1:], 2),
        ]  # fmt: skip
