"""What a killed process leaves half-done is removed; what a living one holds is not, however old it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage.artifacts import LocalStore
from storage.errors import UnsuitableStore
from storage.scratch import own_folder, private_tmp, sweep_files

HOLDER = """
import sys
from pathlib import Path
from storage.artifacts import LocalStore
from storage.scratch import own_folder
store, base = LocalStore(sys.argv[1]), Path(sys.argv[2])
with own_folder(base) as folder, store._writing("x") as (partial, file):
    (folder / "data").write_text("half")
    file.write(b"half")
    file.close()
    print(folder, partial, flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_leaves_nothing_for_long(tmp_path: Path) -> None:
    store, base = LocalStore(tmp_path / "store"), tmp_path / "scratch"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root), str(base)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        folder, partial = (Path(word) for word in holder.stdout.readline().split())
        with own_folder(base):
            assert folder.is_dir()
        assert sweep_files(partial.parent, older_s=0) == 0
        assert partial.exists()
        holder.kill()
    with own_folder(base) as mine:
        assert list(base.iterdir()) == [mine.parent]
        assert list(mine.iterdir()) == []
    assert sweep_files(partial.parent) == 0  # too young to judge without a lock
    assert sweep_files(partial.parent, older_s=0) == 1
    assert not partial.exists()


def test_temporary_files_lie_where_nobody_else_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = private_tmp()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(UnsuitableStore, match="this user alone"):
        private_tmp()
