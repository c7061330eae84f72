"""Leaving out the least certain cells of a finished job: the engine's arithmetic, as pages use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from engine.metrics.abstention import Abstention as Abstention
    from engine.metrics.ranks import Doubles, Flags

MOST = 90  # per cent left out at most, as far as curves go


def abstention(score_n: ArrayLike, certainty_n: ArrayLike) -> Abstention:
    """Mean score of the kept cells by number left out; `engine.metrics.abstention` has the rules."""
    from engine.metrics import abstention as engine  # the metrics import half of scipy

    return engine.abstention(score_n, certainty_n)


def certainty(expected_n: ArrayLike, novelty_n: ArrayLike) -> Doubles:
    """Ranks of cells, the least certain lowest: by expected score, equals by novelty."""
    from engine.metrics import abstention as engine

    return engine.certainty(expected_n, novelty_n)


def kept(certainty_n: ArrayLike, share: float) -> Flags:
    """Which cells stay when this share of them is left out, the least certain first."""
    from engine.metrics import abstention as engine

    return engine.kept(certainty_n, share)
