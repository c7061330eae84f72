"""What the reading child may still do, tried for real."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import CorruptMatrix, UnsafeFile
from engine.intake import run_in_child
from engine.intake.child import child_environment
from engine.intake.corpus.kit import canary, good, skeleton, was_read
from engine.intake.corpus.outcome import run_attack
from engine.intake.corpus.sound import faults_of
from engine.intake.probe import protections
from engine.intake.sandbox import landlock_abi
from jobs.commands.doctor_intake import examine_intake, intake_lines

FILES = ("read a file elsewhere", "read the machine's accounts", "read a folder elsewhere", "write to its own input",
         "write elsewhere", "link to another file")  # fmt: skip
CALLS = ("connect (TCP)", "connect (UDP)", "open a local socket", "start a process", "run a program",
         "signal another process", "change another file's rights")  # fmt: skip


@pytest.fixture(scope="module")
def refused() -> dict[str, bool]:
    return protections()


@pytest.mark.skipif(not landlock_abi(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("what", FILES)
def test_files_outside_are_out_of_reach(what: str, refused: dict[str, bool]) -> None:
    assert refused[what]


@pytest.mark.skipif(not Path("/proc/sys/kernel/seccomp").exists(), reason="this kernel has no seccomp filters")
@pytest.mark.parametrize("what", CALLS)
def test_processes_and_sockets_are_out_of_reach(what: str, refused: dict[str, bool]) -> None:
    assert refused[what]


@pytest.mark.parametrize("what", ["write more than its limit", "hold more memory than its limit"])
def test_limits_hold(what: str, refused: dict[str, bool]) -> None:
    assert refused[what]


def test_a_thread_may_be_started_and_a_module_imported() -> None:
    code = (
        "import threading; from pathlib import Path; from engine.intake.sandbox import confine;"
        "print(confine(read=[], write=[])); import wave; seen = [];"
        "t = threading.Thread(target=lambda: seen.append(1)); t.start(); t.join(); print(seen, bool(wave))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(os.environ), capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "[1] True", done.stderr


@pytest.mark.skipif(not landlock_abi(), reason="this kernel has no Landlock")
def test_the_fence_alone_keeps_a_link_from_leading_outside(tmp_path: Path) -> None:
    """HDF5 itself follows the link: without the fence the other file's counts are printed."""
    path, other = tmp_path / "upload.h5ad", canary(tmp_path / "upload.h5ad")
    with skeleton(path) as file:
        file["X"] = h5py.ExternalLink(str(other), "/X")
    fence, read = "confine(read=[Path(sys.argv[1])], write=[]);", "print(h5py.File(sys.argv[1])['X/data'][:])"
    head = "import sys; from pathlib import Path; import h5py; from engine.intake.sandbox import confine;"

    def printed(code: str) -> str:
        run = [sys.executable, "-c", code, str(path)]
        return subprocess.run(
            run,
            env=child_environment(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        ).stdout

    assert printed(head + fence + read) == ""
    assert not was_read(path)
    assert "60013" in printed(head + read)


@pytest.mark.parametrize("change", ["cut", "other counts", "another file"])
def test_a_file_that_changes_while_it_is_read_is_refused(change: str, tmp_path: Path) -> None:
    cells = 60_000
    path, out = tmp_path / "a.h5ad", tmp_path / "out"
    out.mkdir()
    with skeleton(path, cells, 50) as file:
        file.create_dataset("X", data=np.ones((cells, 50), dtype=np.int16))
    changed = threading.Event()

    def meanwhile(done: int, of: int) -> None:
        if changed.is_set():
            return
        changed.set()
        if change == "cut":
            os.truncate(path, path.stat().st_size // 2)
        elif change == "another file":
            good(tmp_path / "b.h5ad")
            os.replace(tmp_path / "b.h5ad", path)
        else:
            os.utime(path, ns=(1, 1))

    with pytest.raises(CorruptMatrix):
        run_in_child(path, out / "clean.h5ad", progress=meanwhile)
    assert changed.is_set()
    assert list(out.iterdir()) == []


def test_a_link_is_refused_before_what_it_leads_to_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.h5ad").symlink_to(tmp_path / "pipe")
    with pytest.raises(UnsafeFile, match="link to another file"):
        run_in_child(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")


def test_only_the_scratch_folder_may_be_written_to_and_it_goes(tmp_path: Path) -> None:
    good(tmp_path / "a.h5ad")
    (tmp_path / "clean.h5ad.scratch").mkdir()
    (tmp_path / "clean.h5ad.scratch" / "debris").write_text("of a process that was killed")
    run_in_child(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.h5ad", "clean.h5ad"}


def test_an_outcome_is_told_with_what_it_cost(tmp_path: Path) -> None:
    outcome = run_attack("external_link_as_x", tmp_path)
    assert (outcome.got, outcome.ok, outcome.faults) == ("unsafe-file", True, ())
    assert outcome.seconds > 0
    assert 10 * 10**6 < outcome.peak_bytes < 512 * 10**6


def test_doctor_reads_the_corpus_and_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    document = examine_intake(only="markup_in_labels")
    assert document["ok"]
    assert [row["got"] for row in document["attacks"]] == ["cleaned"]
    assert "1 of 1 hostile files read" in capsys.readouterr().err
    lines = intake_lines(document)
    assert "1 of 1 hostile files were refused or cleaned as they should be" in lines[-1]
    document["attacks"][0] |= {"ok": False, "faults": ["it left clean.h5ad"]}
    document["protections"]["connect (TCP)"] = False
    told = intake_lines(document)
    assert told[1].endswith("WRONG it left clean.h5ad")
    assert any("NOT held back by this kernel" in line and "connect (TCP)" in line for line in told)
    assert not examine_intake(only="no such attack")["ok"]


def test_a_copy_with_a_fault_is_noticed(tmp_path: Path) -> None:
    good(tmp_path / "a.h5ad")
    run_in_child(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    assert faults_of(tmp_path / "clean.h5ad") == []
    with h5py.File(tmp_path / "clean.h5ad", "r+") as file:
        file["X/indices"][0] = 77
        file["extra"] = h5py.SoftLink("/X")
    found = " ".join(faults_of(tmp_path / "clean.h5ad"))
    for fault in ("holds extra", "holds links", "indices out of range"):
        assert fault in found


def test_the_canary_sees_that_it_was_read(tmp_path: Path) -> None:
    other = canary(tmp_path / "a.h5ad")
    assert not was_read(tmp_path / "a.h5ad")
    other.read_bytes()
    if not was_read(tmp_path / "a.h5ad"):
        pytest.skip("this file system keeps no times of access")
