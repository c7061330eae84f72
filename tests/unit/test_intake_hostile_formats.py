"""Every hostile folder, archive and fragment file gives one clear message and leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.intake import canonicalise, run_in_child
from engine.intake.limits import Limits
from engine.intake.mends import Mends
from engine.types import Modality
from tests.hostile_formats import HOSTILE_FORMATS, PEAKS, SECRET, files
from tests.mtx import write_tar

SMALL = Limits(inflation=50, inflation_from=1 << 24, objects=500)  # the same bombs, at a size that costs a test nothing


@pytest.mark.parametrize("name", HOSTILE_FORMATS)
def test_each_attack_is_refused_with_its_code_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    writer, code = HOSTILE_FORMATS[name]
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    (tmp_path / "peaks.txt").write_text(PEAKS)
    path = writer(source)
    mends = Mends(peaks=str(tmp_path / "peaks.txt"), genome="hg38", min_fragments=10)
    with pytest.raises(BadInput) as caught:
        canonicalise(path, out / "clean.h5ad", modality=_modality(name), mends=mends, limits=SMALL)
    assert (caught.value.code, caught.value.message[-1]) == (code, ".")
    assert caught.value.hint
    assert SECRET not in caught.value.message or name == "fragments_of_no_known_chromosome"
    assert list(out.iterdir()) == []


def _modality(name: str) -> Modality | None:
    return None if name.startswith("fragments") else Modality.RNA


@pytest.mark.parametrize("name", ["tar_symlink_as_barcodes", "matrix_with_rows_out_of_range"])
def test_the_child_refuses_alike(name: str, tmp_path: Path) -> None:
    writer, code = HOSTILE_FORMATS[name]
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInput) as caught:
        run_in_child(writer(tmp_path), tmp_path / "out" / "clean.h5ad", modality=Modality.RNA)
    assert caught.value.code == code
    assert list((tmp_path / "out").iterdir()) == []


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
