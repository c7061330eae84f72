"""Some of very many cells: where the score of each takes long, and their mean is known well before the last."""

from __future__ import annotations

import numpy as np

from engine.metrics.ranks import Integers

MOST_CELLS = 20_000  # ours


def drawn(cells: int, seed: int) -> Integers:
    """All cells, or MOST_CELLS of them by chance, ascending."""
    if cells <= MOST_CELLS:
        return np.arange(cells)
    return np.sort(np.random.default_rng(seed).choice(cells, size=MOST_CELLS, replace=False))
