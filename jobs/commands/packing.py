"""A 10x folder of this machine as one archive, to be uploaded."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import BadInput


@contextmanager
def packed(folder: Path) -> Iterator[Path]:
    """A .tar of the folder's own matrix and tables, gone when the block ends. Raises BadInput where there are none."""
    from engine.intake.mtx import THREE, role

    files = sorted(path for path in folder.iterdir() if role(path.name) is not None and path.is_file())
    if not files:
        raise BadInput(f"{folder} is a folder, and not of 10x.", hint=f"A 10x folder has {THREE}.")
    with tempfile.TemporaryDirectory(prefix="crossview-") as scratch:
        archive = Path(scratch) / f"{folder.name or 'matrix'}.tar"
        with tarfile.open(archive, "w", dereference=True) as tar:
            for path in files:
                tar.add(path, arcname=path.name)
        yield archive
