"""Hostile folders, archives and fragments, beside the walk over all in test_intake_attacks."""

from __future__ import annotations

from pathlib import Path

from engine.intake import canonicalise
from engine.intake.corpus import FORMATS
from engine.intake.corpus.outcome import attacks
from engine.intake.corpus.packs import files, write_tar
from engine.types import Modality
from jobs.commands.doctor_intake import examine_intake


def test_doctor_reads_them_too_in_the_real_child() -> None:
    document = examine_intake(only="tar_symlink_as_barcodes")
    (row,) = document["attacks"]
    assert (document["ok"], row["got"], row["expected"], row["faults"]) == (True, "unsafe-file", "unsafe-file", [])
    assert row["peak_mb"] > 10
    assert set(FORMATS) <= set(attacks())


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
