"""What an analysis needs follows from what was asked: embeddings, profiles, groups of cells, reference lists."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.api.kit import Call
from engine.errors import BadInput, BadSetting
from jobs.analysis.asked import Asked, reference_of
from jobs.analysis.conduct import standing
from jobs.analysis.tasks import told_key
from jobs.cli import _parser, main
from jobs.client import Client
from jobs.commands.analyse import KINDS
from jobs.commands.analyse_run import asked_of
from jobs.commands.submission import analysis_fields
from jobs.errors import BadRequest
from jobs.spec import AnalysisSpec
from jobs.work import Attempt
from storage.artifacts import LocalStore

PAIR = {"rna": "ds-1", "atac": "ds-2"}


@pytest.mark.parametrize("what", KINDS)
def test_a_command_and_a_job_without_options_ask_the_same(what: str) -> None:
    needed = {"mixing": ["--batch", "batch"], "trajectory": ["--root", "cell"]}.get(what, [])
    words = ["analyse", what, "--rna", "r", "--atac", "a", "--out", "o", *needed]
    spec = AnalysisSpec.model_validate({"what": what, **PAIR, **dict([[needed[0][2:], needed[1]]] if needed else [])})
    by_command, by_job = asked_of(_parser().parse_args(words)), Asked.of(spec)
    assert by_command.group_size == max(by_job.group_size, 0)
    for field in fields(Asked):
        if field.name != "metacells":
            assert getattr(by_command, field.name) == getattr(by_job, field.name), field.name


def test_lists_of_the_command_line_become_names(tmp_path: Path) -> None:
    (tmp_path / "genes.txt").write_text("A\nB\n")
    (tmp_path / "known.csv").write_text("T,A\n")
    words = ["analyse", "trajectory", "--rna", "r", "--atac", "a", "--out", "o", "--root", "x", "--among", "T, B"]
    found = asked_of(_parser().parse_args([*words, "--genes", f"@{tmp_path / 'genes.txt'}", "--on", "raw"]))
    assert (found.among, found.genes, found.on) == (("T", "B"), ("A", "B"), ("raw",))
    of_markers = [
        "analyse",
        "de",
        "--rna",
        "r",
        "--atac",
        "a",
        "--out",
        "o",
        "--reference",
        str(tmp_path / "known.csv"),
    ]
    assert asked_of(_parser().parse_args(of_markers)).reference == ("T,A",)
    given = argparse.Namespace(**{**vars(_parser().parse_args(of_markers)), "reference": tmp_path / "nothing.csv"})
    with pytest.raises(BadInput, match=r"nothing\.csv"):
        asked_of(given)


@pytest.mark.parametrize(
    ("changes", "embeds", "profiles"),
    [
        ({"what": "cluster", "compare": ("rna", "joint")}, ("joint", "rna"), ()),
        ({"what": "de"}, ("joint",), ("raw", "imputed")),
        ({"what": "de", "label": "kind", "on": ("raw",)}, (), ("raw",)),
        ({"what": "cre"}, (), ("raw", "imputed")),
        ({"what": "cre", "metacells": 20}, ("joint",), ("raw", "imputed")),
        ({"what": "coaccess", "embedding": "atac"}, ("atac",), ("raw", "imputed")),
        ({"what": "abnormal", "groups": "kind"}, (), ()),
        ({"what": "activity", "on": ("imputed", "imputed")}, (), ("imputed",)),
    ],
)
def test_what_an_analysis_cannot_do_without(
    changes: dict[str, Any], embeds: tuple[str, ...], profiles: tuple[str, ...]
) -> None:
    asked = Asked(**changes)
    assert (asked.embeds, asked.profiles) == (embeds, profiles)


def test_a_reference_is_names_or_names_by_group() -> None:
    assert reference_of(()) is None
    assert reference_of(("A", "B, C")) == ["A", "B, C"]
    assert reference_of(("T,A", "T\tB", "U, C")) == {"T": ["A", "B"], "U": ["C"]}


def test_settings_of_a_submission_are_fields_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "known.txt").write_text("T,A\nT,B\n")
    found = analysis_fields({"on": "raw", "top": "7", "umap": "false", "reference": f"@{tmp_path / 'known.txt'}"})
    spec = AnalysisSpec.model_validate({"what": "de", **PAIR, **found})
    assert (spec.on, spec.top, spec.umap, spec.reference) == (("raw",), 7, False, ("T,A", "T,B"))
    with pytest.raises(BadSetting, match="colour"):
        analysis_fields({"colour": "red"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--analyse", "cluster", "--train"], "--train does not belong to an analysis"),
        (["--analyse", "cluster", "--clusters", "3"], "--clusters does not belong"),
        ([], "No model was named"),
    ],
)
def test_two_jobs_or_none_are_refused_before_anything_is_sent(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "submit", "--rna", "r.h5ad", "--atac", "a.h5ad", *words]) == 2
    assert said in capsys.readouterr().err


def test_values_of_columns_travel_as_one_json_object() -> None:
    def call(where: str) -> Call:
        return Call(cast(Client, None), {}, {"where": where, "descending": where}, b"")

    assert call('{"profile": "raw"}').texts("where") == {"profile": "raw"}
    assert (call("true").flag("descending"), call("{}").flag("other"), call("{}").texts("other")) == (True, False, {})
    for refused in ("[", '{"profile": [1]}'):
        with pytest.raises(BadRequest):
            call(refused).texts("where")
        with pytest.raises(BadRequest):
            call(refused).flag("descending")


def test_what_a_worker_says_is_what_the_driver_tells(tmp_path: Path) -> None:
    attempt = cast(Attempt, SimpleNamespace(store=LocalStore(tmp_path), job="job1", number=1))
    assert standing(attempt) == {}
    attempt.store.put_bytes(told_key(attempt), json.dumps({"message": "Links of 64 of 500 genes"}).encode())
    assert standing(attempt) == {"message": "Links of 64 of 500 genes"}
