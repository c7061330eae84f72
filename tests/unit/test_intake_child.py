"""The reading child: no credentials, bounded, and no trace when it ends badly."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from engine.errors import BadInput, TooLarge
from engine.intake import CanonicalCells, Limits, canonicalise, run_in_child
from engine.intake.child import child_environment, error_from
from engine.types import Modality
from tests.hostile import counts_of, good, skeleton, write_csr

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "AWS_PROFILE": "lab",
    "RAY_AUTH_TOKEN": "t",
    "CROSSVIEW_TOKEN": "t",
    "HOME": "/home/someone",
    "PYTHONSTARTUP": "/tmp/x.py",
    "HDF5_PLUGIN_PATH": "/tmp/plugins",
}


def wide(path: Path, cells: int = 4_000, features: int = 2_000) -> None:
    """A dense file of 8 kB a cell whose values take a moment to read."""
    block = np.random.default_rng(0).poisson(0.1, size=(1_000, features)).astype(np.float32)
    with skeleton(path, cells, features) as file:
        data = file.create_dataset("X", (cells, features), np.float32, chunks=(50, features))
        for start in range(0, cells, 1_000):
            data[start : start + 1_000] = block


def test_the_child_gives_what_reading_here_gives(tmp_path: Path) -> None:
    good(tmp_path / "a.h5ad")
    here = canonicalise(tmp_path / "a.h5ad", tmp_path / "here.h5ad")
    seen: list[tuple[int, int]] = []
    there = run_in_child(
        tmp_path / "a.h5ad", tmp_path / "there.h5ad", modality=Modality.RNA, progress=lambda *at: seen.append(at)
    )
    assert there == here
    assert (tmp_path / "here.h5ad").read_bytes() == (tmp_path / "there.h5ad").read_bytes()
    assert seen == [(0, 6), (6, 6)]


def test_the_environment_holds_no_secret() -> None:
    kept = child_environment({**SECRETS, "PATH": "/bin", "LANG": "C.UTF-8", "PYTHONPATH": "/lab"})
    assert not set(SECRETS) & set(kept)
    assert kept["PATH"] == "/bin"
    assert kept["PYTHONPATH"].endswith("/lab")
    assert kept["OMP_NUM_THREADS"] == "1"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_the_running_child_has_no_credentials_and_a_session_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    wide(tmp_path / "a.h5ad")
    seen: list[dict[str, str]] = []
    sessions: list[int] = []

    def while_it_runs(done: int, of: int) -> None:
        if done == 0:
            child = next(c for c in psutil.Process().children() if "engine.intake" in c.cmdline())
            seen.append(child.environ())
            sessions.append(os.getsid(child.pid))

    run_in_child(tmp_path / "a.h5ad", tmp_path / "clean.h5ad", progress=while_it_runs)
    assert seen[0]["OMP_NUM_THREADS"] == "1"
    assert not set(SECRETS) & set(seen[0])
    assert sessions[0] != os.getsid(0)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(wall_seconds=0.01), "took longer than"),
        (Limits(output_bytes=20_000), "exceeds 20 kB"),
        (Limits(memory_bytes=600_000_000, block_values=10**9), "memory"),
    ],
    ids=["time", "disk", "memory"],
)
def test_a_child_stopped_by_a_limit_says_which(limits: Limits, said: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    wide(tmp_path / "a.h5ad", cells=80_000 if "memory" in said else 1_000)
    with pytest.raises(TooLarge, match=said):
        run_in_child(tmp_path / "a.h5ad", out / "clean.h5ad", limits=limits)
    assert list(out.iterdir()) == []


def test_a_large_dense_file_passes_through_little_memory(tmp_path: Path) -> None:
    wide(tmp_path / "a.h5ad", cells=40_000)  # 320 MB of values, beside about 300 MB for Python itself
    limits = Limits(memory_bytes=600_000_000, block_values=500_000)
    assert run_in_child(tmp_path / "a.h5ad", tmp_path / "clean.h5ad", limits=limits).cells == 40_000


def test_a_file_that_breaks_the_reader_is_called_damaged(tmp_path: Path) -> None:
    good(tmp_path / "a.h5ad")
    raw = bytearray((tmp_path / "a.h5ad").read_bytes())
    rng = np.random.default_rng(3)
    raw[700:] = rng.integers(0, 256, size=len(raw) - 700, dtype=np.uint8).tobytes()
    (tmp_path / "a.h5ad").write_bytes(raw)
    with pytest.raises(BadInput) as caught:
        run_in_child(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    assert caught.value.hint
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5ad"]


def test_an_unknown_code_is_still_a_bad_input() -> None:
    problem = error_from({"code": "from-the-future", "message": "Something.", "hint": "Try."})
    assert problem.code == "bad-input"


def test_a_copy_already_there_survives_a_failed_second_try(tmp_path: Path) -> None:
    good(tmp_path / "a.h5ad")
    run_in_child(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    (tmp_path / "b.h5ad").write_text("no")
    with pytest.raises(Exception, match="not an HDF5"):
        run_in_child(tmp_path / "b.h5ad", tmp_path / "clean.h5ad")
    with CanonicalCells.open(tmp_path / "clean.h5ad") as cells:
        assert cells.n_cells == 6


def test_the_file_itself_may_not_be_the_target(tmp_path: Path) -> None:
    with skeleton(tmp_path / "a.h5ad") as file:
        write_csr(file, "X", counts_of())
    before = (tmp_path / "a.h5ad").read_bytes()
    with pytest.raises(Exception, match="same file"):
        canonicalise(tmp_path / "a.h5ad", tmp_path / "a.h5ad")
    assert (tmp_path / "a.h5ad").read_bytes() == before
