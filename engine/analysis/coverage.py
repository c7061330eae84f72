"""How open each peak is in each group of cells: what a genome track draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from engine.analysis.profiles import Profile, coded, group_means
from engine.genome.genes import chromosome_sizes
from engine.genome.peaks import parse_known
from engine.types import Names

COLUMNS = ["profile", "group", "peak", "value"]


def coverage(profiles: Mapping[str, Profile], groups_n: Names, *, genome: str) -> pd.DataFrame:
    """Table of profile, group, peak and value, of the peaks on the genome's chromosomes.

    profiles: of peaks. groups_n: labels or clusters; "" belongs to none. value: share of the group's cells in which
    the peak is open, or the mean of what a model imputes; float32. Rows: by profile, then group, then as peaks stand.
    """
    names = next(iter(profiles.values())).names
    found, kept = _placed(names, genome)
    kinds, codes_n = coded(groups_n)
    values = [group_means(profile, codes_n, len(kinds))[:, kept] for profile in profiles.values()]
    value_xgp = np.stack(values).astype(np.float32)
    x, g, p = value_xgp.shape
    return pd.DataFrame(
        {
            "profile": _repeated(list(profiles), np.repeat(np.arange(x), g * p)),
            "group": _repeated(list(kinds), np.tile(np.repeat(np.arange(g), p), x)),
            "peak": _repeated(found, np.tile(np.arange(p), x * g)),
            "value": value_xgp.ravel(),
        }
    )


def _placed(names: Names, genome: str) -> tuple[list[str], np.ndarray]:
    """The peaks on chromosomes, and their places among the names."""
    peaks, good_f = parse_known([str(name) for name in names])
    kept = np.flatnonzero(good_f)[peaks.on(chromosome_sizes(genome))]
    return [str(names[i]) for i in kept], kept


def _repeated(names: list[str], codes: np.ndarray) -> pd.Categorical:
    """Text that is kept once, however often it occurs."""
    return pd.Categorical.from_codes(codes.astype(np.int32), categories=pd.Index(names, dtype=object))
