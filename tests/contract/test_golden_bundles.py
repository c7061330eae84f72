"""Bundles written by every version so far can still be read, and predict what they did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.bundle import read_manifest, verify_bundle
from engine.errors import BadBundle

GOLDEN = sorted(p.parent for p in (Path(__file__).parents[1] / "golden").glob("format-*/*/bundle.json"))


def test_there_are_golden_bundles() -> None:
    assert {folder.name for folder in GOLDEN} >= {"ridge", "knn", "crossmp"}


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_an_old_bundle_loads_and_predicts_what_it_did(folder: Path) -> None:
    assert max(verify_bundle(folder).values()) < 1e-4
    assert read_manifest(folder).contains_cells == (folder.name == "knn")


def test_a_bundle_of_a_format_to_come_is_refused_with_the_mend(tmp_path: Path) -> None:
    copy = tmp_path / "later"
    shutil.copytree(GOLDEN[0], copy)
    document = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**document, "format": 99}))
    with pytest.raises(BadBundle, match="format 99"):
        read_manifest(copy)
