"""Every attack of the corpus, and files changed at random, through fenced forks of one process that imported once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.intake.corpus import CLEANED, CORPUS, FORMATS
from engine.intake.corpus.outcome import BYTES, SECONDS, attacks


def of(module: str, *arguments: str) -> Any:
    """What a module of tests.chaos prints; in a process of its own, for forks of one with threads may hang."""
    root = Path(engine.__file__).resolve().parents[1]
    run = [sys.executable, "-m", f"tests.chaos.{module}", *arguments]
    env = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(run, env=env, cwd=root, stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def became() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = of("attacks")
    return found


@pytest.mark.parametrize("name", attacks())
def test_each_attack_is_refused_or_cleaned_as_it_should_be(name: str, became: dict[str, dict[str, Any]]) -> None:
    found, expected = became[name], (CORPUS[name] if name in CORPUS else FORMATS[name]).expected
    assert (found["got"], found["faults"]) == (expected, [])
    if expected != CLEANED:
        assert found["message"].endswith(".")
        assert found["message"].isprintable()
        assert found["hint"]


@pytest.mark.parametrize("name", attacks())
def test_no_attack_costs_more_than_it_may(name: str, became: dict[str, dict[str, Any]]) -> None:
    found = became[name]
    assert not found["late"]
    assert found["cpu_s"] < SECONDS
    assert found["peak_bytes"] < BYTES


def test_files_changed_at_random_leave_the_parent_alive_and_the_store_clean() -> None:
    figures = of("fuzz", "--files", "80", "--seed", "6")
    assert figures["files"] == 80
    assert figures["wrong"] == []
    assert sum(figures["outcomes"].values()) == 80
    assert {CLEANED, "corrupt-matrix", "not-hdf5", "unsafe-file"} <= set(figures["outcomes"])
