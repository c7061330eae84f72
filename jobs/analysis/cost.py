"""What an analysis costs by a simple model, before there is a finished one of its kind to go by."""

from __future__ import annotations

from collections.abc import Mapping

from engine.types import Modality
from jobs.analysis.asked import IMPUTED, JOINT, LINKING, Asked

START_S = (5.0, 40.0)  # until the first number, and compiling what draws maps  # ours
# A fast idle machine and a slow busy one.
CELLS_A_SECOND = (3_000.0, 120.0)  # one embedding: fitted, clustered, and its map drawn  # ours
VALUES_A_SECOND = (4e8, 8e6)  # cells × features of one pass over a profile  # ours
LINKS_A_SECOND = (12.0, 2.0)  # genes by LASSO, of 5,000 cells  # ours
PEERS_S = {"wnn": (40.0, 180.0), "scvi": (8.0, 60.0), "multivi": (8.0, 60.0), "mofa": (5.0, 60.0)}  # to begin  # ours
PEERS_5000_S = {
    "wnn": (10.0, 90.0), "scvi": (60.0, 1_500.0), "multivi": (400.0, 9_000.0), "mofa": (20.0, 900.0),
}  # of 5,000 cells  # ours  # fmt: skip
GENES = 500  # engine.analysis.lasso.LassoSettings
MOST_CELLS = 5_000  # of the same
BLOCKS = 12  # of dense values at once: read, standardised, averaged  # ours
# Passes over the values of each profile: markers, means and their nulls, sums.
PASSES = {"imputation": 6.0, "de": 3.0, "cre": 2.0, "coaccess": 3.0, "trajectory": 0.2, "activity": 2.0}


def seconds(asked: Asked, cells: int, features: Mapping[Modality, int]) -> tuple[float, float]:
    """Low and high."""
    found = [_at(asked, cells, features, k) for k in (0, 1)]
    return found[0], found[1]


def _at(asked: Asked, cells: int, features: Mapping[Modality, int], k: int) -> float:
    wide = sum(features[m] for m in asked.modalities)
    values = PASSES.get(asked.what, 0.0) * cells * wide * len(asked.profiles)
    embedded = asked.embeds or ((asked.embedding,) if asked.what in LINKING and not asked.label else ())
    runs = max(1, len(asked.seeds)) if asked.what == "cluster" else 1
    total = START_S[k] + values / VALUES_A_SECOND[k] + runs * len(embedded) * cells / CELLS_A_SECOND[k]
    total += sum(PEERS_S[name][k] + PEERS_5000_S[name][k] * cells / 5_000 for name in embedded if name in PEERS_S)
    if JOINT in embedded or IMPUTED in asked.profiles:
        total += cells * sum(features.values()) / VALUES_A_SECOND[k]
    if asked.what == "cre":
        genes = len(asked.genes) or GENES
        total += len(asked.profiles) * genes / LINKS_A_SECOND[k] * min(1.0, max(cells, 500) / MOST_CELLS)
    return total


def memory(asked: Asked, cells: int, features: Mapping[Modality, int], counts: int) -> int:
    """Bytes of one worker: its base, both files' counts a few times over, and blocks of dense values."""
    from engine.analysis.metacells import MOST
    from engine.analysis.profiles import HELD
    from engine.checks import BASE_BYTES

    dense = 0
    if asked.what == "activity":
        dense += 4 * cells * features[Modality.RNA]  # scores of one profile at a time
    if asked.group_size > 1:  # the mean profiles of groups are held
        wide = sum(features[m] for m in asked.modalities)
        dense += len(asked.profiles) * 4 * min(min(cells, MOST) * wide, 8 * HELD)
    return BASE_BYTES + 6 * 8 * counts + 4 * 64 * sum(features.values()) + BLOCKS * 4 * HELD + dense
