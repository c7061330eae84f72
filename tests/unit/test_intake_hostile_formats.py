"""Hostile folders, archives and fragments, beside the walk over all in test_intake_attacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.intake import canonicalise
from engine.intake.corpus import FORMATS
from engine.intake.corpus.outcome import run_attack
from engine.intake.corpus.packs import files, write_tar
from engine.types import Modality


@pytest.mark.parametrize("name", ["tar_symlink_as_barcodes", "matrix_with_rows_out_of_range"])
def test_the_child_refuses_alike(name: str, tmp_path: Path) -> None:
    outcome = run_attack(name, tmp_path)
    assert (outcome.got, outcome.faults) == (FORMATS[name].expected, ())
    assert outcome.peak_bytes > 0


def test_what_is_not_wanted_is_never_unpacked(tmp_path: Path) -> None:
    path = write_tar({**files(), "run_me.sh": b"echo", "big.bam": bytes(4 << 20)}, tmp_path / "a.tar.gz")
    seen: list[str] = []
    canonicalise(
        path,
        tmp_path / "out.h5ad",
        modality=Modality.RNA,
        progress=lambda done, of: seen.extend(p.name for p in (tmp_path / "out.h5ad.scratch").iterdir()),
    )
    assert {name for name in seen if name.endswith(".member")} == {"0.member", "1.member", "2.member"}
