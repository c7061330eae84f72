"""Small 10x folders, their archives, and fragment files without a fault, and the register of those that have one."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

from engine.intake.corpus.kit import CORPUS, cell_names, counts_of, gene_names
from engine.intake.limits import Limits
from engine.intake.mends import Mends
from engine.types import Modality

Files = dict[str, bytes]
Writer = Callable[[Path], Path]
PEAKS = "chr1:1000-1400\nchr1:11000-11400\nchr2:1000-1400\n"
CELLS, GENES, PEAKS_THERE = 20, 8, 9
ENOUGH_FRAGMENTS = 10  # of a barcode that is a cell


class Source(NamedTuple):
    """How a source is made in an empty folder, and what must become of it. write: answers with its path."""

    write: Callable[[Path, Limits], Path]
    expected: str

    @property
    def modality(self) -> Modality | None:
        """None of fragments, which hold one."""
        return None if self.write.__name__.startswith("fragments") else Modality.RNA


FORMATS: dict[str, Source] = {}


def source(code: str) -> Callable[[Writer], Writer]:
    """Enter a writer into the corpus under its own name."""

    def enter(writer: Writer) -> Writer:
        bomb(code)(_of_any_size(writer))
        return writer

    return enter


def bomb(code: str) -> Callable[[Callable[[Path, Limits], Path]], Callable[[Path, Limits], Path]]:
    """As `source`, for a writer that is told what it has to exceed."""

    def enter(writer: Callable[[Path, Limits], Path]) -> Callable[[Path, Limits], Path]:
        if writer.__name__ in CORPUS or writer.__name__ in FORMATS:
            raise ValueError(f"two attacks are called {writer.__name__}")
        FORMATS[writer.__name__] = Source(writer, code)
        return writer

    return enter


def _of_any_size(writer: Writer) -> Callable[[Path, Limits], Path]:
    @wraps(writer)
    def write(path: Path, limits: Limits) -> Path:
        return writer(path)

    return write


def mends_beside(path: Path) -> Mends:
    """What is asked of each: to count fragments on a few peaks, which are written to this new file."""
    path.write_text(PEAKS)
    return Mends(peaks=str(path), genome="hg38", min_fragments=ENOUGH_FRAGMENTS)


def megabytes(limits: Limits) -> int:
    """Enough to be looked at twice, and more."""
    return (limits.inflation_from >> 20) + 24


def files(**replaced: bytes) -> Files:
    """A good folder of genes and peaks, plain; replaced by name with a dot for two underscores: matrix__mtx."""
    counts = counts_of(CELLS, GENES + PEAKS_THERE).tocoo()
    lines = [f"{row + 1} {cell + 1} {int(n)}" for cell, row, n in zip(counts.row, counts.col, counts.data, strict=True)]
    table = "".join(f"ENSG{i:011d}\t{name}\tGene Expression\n" for i, name in enumerate(gene_names(GENES)))
    for place in (f"chr1:{1_000 + 500 * i}-{1_400 + 500 * i}" for i in range(PEAKS_THERE)):
        table += f"{place}\t{place}\tPeaks\n"
    good = {
        "matrix.mtx": matrix(f"{GENES + PEAKS_THERE} {CELLS} {len(lines)}", *lines),
        "barcodes.tsv": "".join(f"{name}-1\n" for name in cell_names(CELLS)).encode(),
        "features.tsv": table.encode(),
    }
    return good | {name.replace("__", "."): text for name, text in replaced.items()}


def matrix(size: str, *lines: str) -> bytes:
    head = "%%MatrixMarket matrix coordinate integer general"
    return "\n".join([head, size, *lines, ""]).encode()


def good_fragments() -> bytes:
    """Two cells with enough fragments on the peaks, and a barcode with too few."""
    lines = [f"chr1\t{1_000 + 7 * i}\t{1_100 + 7 * i}\t{'AC'[i % 2]}-1\t1" for i in range(4 * ENOUGH_FRAGMENTS)]
    return "\n".join([*lines, "chr2\t1100\t1200\tG-1\t2", ""]).encode()


def write_folder(files: Files, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text)
    return folder


def write_zip(files: Files, path: Path, *, inside: str = "filtered_feature_bc_matrix/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(inside + name, text)
    return path


def write_tar(files: Files, path: Path, *, inside: str = "filtered_feature_bc_matrix/", mode: str = "w:gz") -> Path:
    return tar(path, *((member(inside + name), text) for name, text in files.items()), mode=mode)


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, text in members:
            info.size = len(text) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(text))
    return path


def member(name: str, **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in more.items():
        setattr(info, field, value)
    return info


def good_members() -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(member(f"m/{name}"), text) for name, text in files().items()]
