"""Whether cells predicted open at 30 % are open three times in ten: groups, their intervals, the error. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

GROUPS = 10  # of cells, of equal size, least predicted first  # ours
LEAST = 15  # cells of a group  # ours
Z = 1.96  # 95 %


def curve(predicted: Any, opened: Any) -> pd.DataFrame:
    """Groups of about equal size by predicted probability: mean predicted, share open with its Wilson interval, cells.

    predicted: probabilities, shape (n,). opened: 0 or 1, shape (n,). Cells that lack either are left out.
    """
    p, o = np.asarray(predicted, dtype=float), np.asarray(opened, dtype=float)
    known = np.isfinite(p) & np.isfinite(o)
    p, o = p[known], (o[known] > 0).astype(float)
    groups = min(GROUPS, max(len(p) // LEAST, 1))
    rank = pd.Series(p).rank(method="average").to_numpy()  # equal predictions stay together
    group = np.minimum(((rank - 0.5) / max(len(p), 1) * groups).astype(int), groups - 1)
    parts = [part for each in range(groups) if len(part := np.flatnonzero(group == each))]
    rows = [(float(p[part].mean()), float(o[part].mean()), len(part)) for part in parts]
    return _with_intervals(rows)


def reported(report: Mapping[str, Any]) -> pd.DataFrame:
    """The same of all peaks and cells together, as a report holds it; empty where it does not."""
    given = ((report.get("detail") or {}).get("calibration") or {}).get("groups") or []
    return _with_intervals([(float(a), float(b), int(n)) for a, b, n in given])


def _with_intervals(rows: list[tuple[float, float, int]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["predicted", "observed", "cells"])
    bounds = [wilson(share, n) for _, share, n in rows]
    return table.assign(low=[low for low, _ in bounds], high=[high for _, high in bounds])


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n."""
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def error(table: pd.DataFrame) -> float:
    """The expected calibration error: mean |predicted − open| over cells."""
    away = (table["predicted"] - table["observed"]).abs()
    return float((away * table["cells"]).sum() / table["cells"].sum())


def by_chance(table: pd.DataFrame) -> float:
    """The error that so few cells give a perfect prediction, on average (normal approximation)."""
    p, n = table["predicted"].clip(0, 1), table["cells"]
    return float((np.sqrt(2 * p * (1 - p) / (math.pi * n)) * n).sum() / n.sum())
