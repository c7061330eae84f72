"""Two groups of cells of a finished translation: which genes or peaks are predicted apart, and were measured so.

Descriptive: whoever chose the groups by looking at a map has used the same values that are compared, so no p value is
given. The measured difference of the same cells stands beside every predicted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.types import Direction
from jobs.errors import BadRequest
from jobs.results.exploring import GroupsView
from jobs.results.read import Results, rows_of

if TYPE_CHECKING:
    from engine.types import Latent, Modality, Scale
    from jobs.results.decoders import Decoder
    from jobs.results.measured import Measured

LEAST = 3  # cells of a group  # ours
MOST = 500  # cells of a group that are decoded, evenly drawn  # ours
AT_ONCE = 8_000_000  # values decoded at once: 32 MB  # ours
MOST_ROWS = 10_000  # genes or peaks given at most  # ours

Floats64 = NDArray[np.float64]


@dataclass
class GroupResults:
    """Reads only what a SUCCEEDED row names."""

    results: Results

    def compare(
        self, id: str, direction: Direction, *, a: Sequence[str], b: Sequence[str], limit: int = 1_000
    ) -> GroupsView:
        """Genes or peaks whose predicted means differ most. Raises BadRequest for groups that cannot be compared."""
        row, spec = self.results.translated(id, direction)
        _check(a, b, limit)
        with self.results.turn:
            kept = self.results.latent(row.id, row.attempt, direction)
            rows = [_drawn(rows_of(kept, group)) for group in (a, b)]
            decoder = self.results.decoder(spec)
            (mean_a, var_a), (mean_b, var_b) = (
                _moments(decoder, kept.latent.rows(each), direction.target) for each in rows
            )
            measured = self.results.measured_of(spec, direction.target)
            seen = None
            if measured is not None:
                at = [measured.rows_of(kept.barcodes)[each] for each in rows]
                known = [each[each >= 0].tolist() for each in at]
                seen = _seen(measured, known, decoder.scale(direction.target))
        difference = mean_a - mean_b
        pooled = np.sqrt((var_a + var_b) / 2)
        effect = np.divide(difference, pooled, out=np.zeros_like(difference), where=pooled > 0)
        order = np.argsort(-np.abs(difference), kind="stable")[:limit]
        names = decoder.space(direction.target).names

        def some(values: Floats64) -> tuple[float, ...]:
            return tuple(float(f"{v:.6g}") for v in values[order].tolist())

        return GroupsView(
            features=tuple(str(names[i]) for i in order),
            predicted_a=some(mean_a),
            predicted_b=some(mean_b),
            difference=some(difference),
            effect=some(effect),
            measured_a=some(seen[0]) if seen else None,
            measured_b=some(seen[1]) if seen else None,
            agreement=_agreement(difference, seen[0] - seen[1]) if seen else None,
            scale=decoder.scale(direction.target).value,
            tested=len(names),
            cells=(len(rows[0]), len(rows[1])),
            of=(len(a), len(b)),
        )


def _check(a: Sequence[str], b: Sequence[str], limit: int) -> None:
    for name, group in (("A", a), ("B", b)):
        if len(group) < LEAST:
            raise BadRequest(f"Group {name} has {len(group)} cells.", hint=f"Choose at least {LEAST}.")
    if both := set(a) & set(b):
        raise BadRequest(
            f"{len(both):,} cells are in both groups, such as {min(both)[:80]}.", hint="Take them out of one."
        )
    if not 1 <= limit <= MOST_ROWS:
        raise BadRequest(f"{limit:,} rows were asked for.", hint=f"Ask for 1 to {MOST_ROWS:,}.")


def _drawn(rows: Sequence[int]) -> list[int]:
    """At most MOST of them, evenly spaced in the order of the cells: the same every time."""
    ordered = sorted(set(rows))
    if len(ordered) <= MOST:
        return ordered
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, MOST).astype(int)]


def _moments(decoder: Decoder, latent: Latent, target: Modality) -> tuple[Floats64, Floats64]:
    """Mean and variance over the cells of every feature, decoded a stretch of features at a time."""
    n, f = len(latent), len(decoder.space(target))
    mean_f, var_f = np.zeros(f), np.zeros(f)
    step = max(AT_ONCE // max(n, 1), 1)
    for start in range(0, f, step):
        here = slice(start, min(start + step, f))
        values = decoder.decode(latent, target, range(here.start, here.stop)).values
        mean_f[here] = values.mean(axis=0, dtype=np.float64)
        var_f[here] = values.var(axis=0, dtype=np.float64, ddof=1)
    return mean_f, var_f


def _seen(measured: Measured, rows: Sequence[Sequence[int]], scale: Scale) -> tuple[Floats64, Floats64] | None:
    """The measured means of both groups; None where a group has too few measured cells."""
    if min(len(each) for each in rows) < LEAST:
        return None
    first, second = (measured.means(each, scale) for each in rows)
    return first, second


def _agreement(predicted: Floats64, seen: Floats64) -> float | None:
    """Correlation of both differences over all features; None where either is constant."""
    if np.ptp(predicted) == 0 or np.ptp(seen) == 0:
        return None
    return float(f"{np.corrcoef(predicted, seen)[0, 1]:.6g}")
