"""Cells added up with their neighbours, against sparsity: the groups Cicero makes before it correlates peaks.

Groups of k nearest cells around random centres; a centre is left out when its group shares more than 80 % of its cells
with one that is there (Pliner et al. 2018, Mol Cell 71:858). Neighbours are those of an embedding, exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.analysis.profiles import HELD, Profile
from engine.metrics.ranks import Integers
from engine.metrics.sources import blocks
from engine.types import Floats

SIZE = 50  # cells a group; Pliner et al. 2018
SHARED = 0.8  # of a group's cells; Pliner et al. 2018
MOST = 2_000  # ours: groups


@dataclass(frozen=True, eq=False)
class Metacells:
    """member_mn: 1 / size where cell n belongs to group m; CSR, rows sum to 1."""

    member_mn: sp.csr_matrix

    def __len__(self) -> int:
        return int(self.member_mn.shape[0])

    @classmethod
    def of(cls, z_nk: Floats, *, rng: np.random.Generator, size: int = SIZE, most: int = MOST) -> Metacells:
        """Groups around cells in random order; of small populations groups are at most a tenth of the cells."""
        from sklearn.neighbors import NearestNeighbors

        n = len(z_nk)
        size = max(2, min(size, n // 10))
        near = NearestNeighbors(n_neighbors=size).fit(z_nk).kneighbors(z_nk, return_distance=False)
        kept = _apart(np.asarray(near, dtype=np.int64), rng.permutation(n), most)
        index = near[kept].ravel()
        data = np.full(len(index), 1 / size, dtype=np.float32)
        pointer = np.arange(0, len(index) + 1, size)
        return cls(sp.csr_matrix((data, index, pointer), shape=(len(kept), n)))

    def of_profile(self, profile: Profile) -> Profile:
        """The mean profile of each group, as a profile of groups; held, for groups are few, unless too wide."""
        return Profile(
            profile.name, profile.modality, profile.names, len(self), Averaged(profile, self.member_mn), profile.imputed
        )


def _apart(near_nk: Integers, order: Integers, most: int) -> list[int]:
    n, size = near_nk.shape
    within: list[list[int]] = [[] for _ in range(n)]  # the groups each cell is in
    kept: list[int] = []
    for centre in order:
        shared: dict[int, int] = {}
        for cell in near_nk[centre]:
            for group in within[cell]:
                shared[group] = shared.get(group, 0) + 1
        if shared and max(shared.values()) > SHARED * size:
            continue
        for cell in near_nk[centre]:
            within[cell].append(len(kept))
        kept.append(int(centre))
        if len(kept) == most:
            break
    return kept


class Averaged:
    """Group means of a profile as a source. The whole is worked out once when it fits, else column by column."""

    def __init__(self, profile: Profile, member_mn: sp.csr_matrix) -> None:
        self._profile, self._member = profile, member_mn
        self._held: Floats | None = None
        if member_mn.shape[0] * len(profile.names) <= 8 * HELD:
            held = np.zeros((member_mn.shape[0], len(profile.names)), dtype=np.float32)
            by_cell = sp.csc_matrix(member_mn)
            for start, stop, rows in profile.row_blocks():
                held += by_cell[:, start:stop] @ rows
            self._held = held

    def rows(self, start: int, stop: int) -> Floats:
        if self._held is not None:
            return self._held[start:stop]
        positions = np.arange(len(self._profile.names))
        parts = [self.columns(positions[a:b])[start:stop] for a, b in blocks(len(positions), 1, block=4096)]
        return np.concatenate(parts, axis=1)

    def columns(self, positions: NDArray[np.int64]) -> Floats:
        if self._held is not None:
            return self._held[:, positions]
        return np.asarray(self._member @ self._profile.columns(positions), dtype=np.float32)
