"""A shape drawn by hand: as few corners as still tell it, and which points lie inside. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_CORNERS = 24  # some 300 characters of an address  # ours
NEAR = 0.004  # of the shape's width and height: a corner nearer to the line between its neighbours is none  # ours

Corner = tuple[float, float]


def simplified(x: ArrayLike, y: ArrayLike, *, most: int = MOST_CORNERS) -> tuple[Corner, ...]:
    """At most `most` corners of the closed shape, of four significant digits; fewer than three where it has no area.

    Douglas–Peucker, the farthest corner first: of what is left out nothing lies farther from its line than what is in.
    """
    drawn_n2 = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    drawn_n2 = drawn_n2[np.isfinite(drawn_n2).all(axis=1)]
    if len(drawn_n2) > 1 and (drawn_n2[0] == drawn_n2[-1]).all():
        drawn_n2 = drawn_n2[:-1]
    extent_2 = np.ptp(drawn_n2, axis=0) if len(drawn_n2) else np.zeros(2)
    if len(drawn_n2) < 3 or not extent_2.all():
        return ()
    unit_n2 = (drawn_n2 - drawn_n2.min(axis=0)) / extent_2
    ring_n2 = np.vstack([unit_n2, unit_n2[:1]])
    far = int(np.linalg.norm(unit_n2 - unit_n2[0], axis=1).argmax())
    kept = {0, far}
    spans = [_farthest(ring_n2, 0, far), _farthest(ring_n2, far, len(unit_n2))]
    heapq.heapify(spans)
    while spans and len(kept) < most:
        off, at, start, stop = heapq.heappop(spans)
        if -off < NEAR:
            break
        kept.add(at)
        for part in ((start, at), (at, stop)):
            heapq.heappush(spans, _farthest(ring_n2, *part))
    corners = [(_rounded(drawn_n2[i, 0]), _rounded(drawn_n2[i, 1])) for i in sorted(kept)]
    corners = [corner for n, corner in enumerate(corners) if corner != corners[n - 1]]
    return tuple(corners) if len(corners) >= 3 else ()


def inside(corners: Sequence[Corner], x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
    """Which points lie in the shape, by the even-odd rule: a ray to the right crosses its edge an odd number of times.

    A point without a place lies in no shape.
    """
    x_n, y_n = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    found_n = np.zeros(len(x_n), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], *corners[:1]], strict=True):
        if y0 == y1:
            continue
        crosses_n = (y0 > y_n) != (y1 > y_n)
        found_n ^= crosses_n & (x_n < x0 + (y_n - y0) * ((x1 - x0) / (y1 - y0)))
    found_n &= np.isfinite(x_n) & np.isfinite(y_n)
    return found_n


def _farthest(ring_n2: NDArray[np.float64], start: int, stop: int) -> tuple[float, int, int, int]:
    """(-distance, place, start, stop) of the point between both ends that lies farthest from the line joining them."""
    between_n2 = ring_n2[start + 1 : stop]
    if not len(between_n2):
        return 0.0, start, start, stop
    along_2 = ring_n2[stop] - ring_n2[start]
    length = float(along_2 @ along_2)
    from_n2 = between_n2 - ring_n2[start]
    share_n = np.clip(from_n2 @ along_2 / length, 0, 1) if length else np.zeros(len(between_n2))
    off_n = np.linalg.norm(from_n2 - share_n[:, None] * along_2, axis=1)
    at = int(off_n.argmax())
    return -float(off_n[at]), start + 1 + at, start, stop


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
