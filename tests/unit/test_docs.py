"""What the README says is there, and what is there is in the README."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from engine.translators.registry import MODELS
from jobs.cli import _parser

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    (action,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return sorted(action.choices)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"`crossview {command}`" in README


def test_every_setting_is_in_the_readme() -> None:
    files = [ROOT / "jobs" / each / "settings.py" for each in (".", "notify", "accounts")]
    read = {name for file in files for name in re.findall(r'"(CROSSVIEW_[A-Z0-9_]+)"', file.read_text("utf-8"))}
    assert len(read) > 20
    assert read <= set(re.findall(r"`(CROSSVIEW_[A-Z0-9_]+)`", README))


def test_every_model_is_in_the_readme() -> None:
    for key in MODELS:
        assert f"`{key}`" in README


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|^)make ([a-z]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
