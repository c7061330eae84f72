"""A prediction as it was brought in, by its names, its values read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.intake.canonical import CanonicalCells
from engine.metrics.sources import H5Source, blocks
from engine.predicted import Foreign

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 4_096  # cells whose counts are added up at once  # ours


@contextmanager
def foreign(path: Path) -> Iterator[Foreign]:
    """path: of a canonical copy. The values stay on disk."""
    with CanonicalCells.open(path) as cells:
        space, barcodes = cells.space, cells.barcodes
    with H5Source(path) as source:
        yield Foreign(space, barcodes, source)


def depths(path: Path) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
    """Names and total counts of all cells of a canonical copy, shape (n,) each."""
    import numpy as np

    with CanonicalCells.open(path) as cells:
        parts = [
            np.asarray(cells.counts(a, b).sum(axis=1), dtype=np.float32).ravel()
            for a, b in blocks(cells.n_cells, 1, block=BLOCK)
        ]
        return cells.barcodes, np.concatenate(parts)
