"""RNA → ATAC: how many peaks a cell has open, times which ones: predicted depth × composition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.preprocess.steps import binarised, depth_of, prefixed, unprefixed
from engine.training import Trained
from engine.translators.crossview.basis import GeneBasis
from engine.translators.crossview.composition import Composition, Prior, fit_composition, mean_share
from engine.translators.crossview.head import commonest, fit_head
from engine.translators.crossview.inputs import Reader
from engine.translators.crossview.level import Depths, Level, fit_level
from engine.translators.crossview.linear import Linear, left_out
from engine.translators.crossview.nearby import nearby_genes
from engine.translators.crossview.network import halved
from engine.translators.crossview.rarity import Lumped
from engine.translators.crossview.setting import Run
from engine.types import Floats

ENTRIES = 1 << 20  # cells × peaks that calibrate; enough for two numbers
STRENGTHS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)  # ours; of the genes nearby
FEW_HELD = 256  # validation cells that choose the penalty and the strength; enough for two numbers


@dataclass(frozen=True, eq=False)
class PeakHead:
    """members: compositions averaged (one, since networks are put together: `head`), over peaks of which rare ones are
    lumped. nearby_rk: what the components of the genes say of each peak by nearness alone.

    depth: log of the number of open peaks, from the genes. level: how expected openings follow it and the composition.
    """

    members: tuple[Composition, ...]
    lumped: Lumped
    nearby_rk: Floats
    depth: Linear
    level: Level

    def encode(self, reader: Reader, basis: GeneBasis, counts_ng: sp.csr_matrix) -> Floats:
        """Each member's latent and normaliser, the genes' components, and the log of expected openings.

        Shape (n, members·(latent + 1) + k + 1).
        """
        x_ng, y_nk = reader.rows(counts_ng), basis.components(counts_ng)
        log_n = self.level.log_openings(self.depth(reader.coordinates(counts_ng)))
        prior = Prior(y_nk, self.nearby_rk)
        return np.column_stack([*(m.encode(x_ng, prior) for m in self.members), y_nk, log_n]).astype(np.float32)

    def decode(self, latent_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        """Probability of at least one opening, 1 − exp(−expected openings), shape (n, len(positions))."""
        return self.level.probability(self.share(latent_nk, positions), latent_nk[:, -1:])

    def share(self, latent_nk: Floats, positions: NDArray[np.int64]) -> Floats:
        """Predicted composition, shape (n, len(positions)); over all peaks a member's shares sum to one."""
        k = self.nearby_rk.shape[1]
        prior = Prior(latent_nk[:, -1 - k : -1], self.nearby_rk)
        columns, back = np.unique(self.lumped.place_f[positions], return_inverse=True)
        share_nr = mean_share(self.members, latent_nk[:, : -1 - k], columns.astype(np.int64), prior)
        return np.asarray(share_nr[:, back] * self.lumped.within_f[positions])

    def arrays(self) -> dict[str, NDArray[Any]]:
        out = {
            **prefixed("depth", self.depth.arrays()), **prefixed("lumped", self.lumped.arrays()),
            "nearby": self.nearby_rk.astype(np.float16),
            **self.level.arrays(),
        }  # fmt: skip
        for i, member in enumerate(self.members):
            out.update(prefixed(f"member{i}", member.arrays()))
        return out

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], members: int) -> Self:
        read = dict(arrays)
        return cls(
            tuple(Composition.from_arrays(unprefixed(f"member{i}", read)) for i in range(members)),
            Lumped.from_arrays(unprefixed("lumped", read)),
            read["nearby"].astype(np.float32),
            Linear.from_arrays(unprefixed("depth", read)),
            Level.from_arrays(read),
        )


def fit_peaks(run: Run, reader: Reader, basis: GeneBasis, trained: dict[str, Trained]) -> PeakHead:
    """Everything from training cells but epoch, temperature, strength and calibration: validation cells choose."""
    open_np, open_held = binarised(run.cells.atac.counts), binarised(run.held.atac.counts)
    lumped = Lumped.fit(open_np)
    seen_nr, held_nr = lumped.counts(open_np), lumped.counts(open_held)
    x_ng, x_held = reader.rows(run.cells.rna.counts), reader.rows(run.held.rna.counts)
    columns, networks = commonest(seen_nr), []
    seen_nc, held_nc = sp.csr_matrix(seen_nr[:, columns]), sp.csr_matrix(held_nr[:, columns])
    for i in range(run.setting.members):
        stage = f"rna-to-atac-{i + 1}"
        network, trained[stage] = fit_composition(run, stage, run.setting.peaks, (x_ng, seen_nc), (x_held, held_nc))
        networks.append(network)
    few = slice(0, FEW_HELD)
    member = fit_head(tuple(networks), columns, run.setting.rank, (x_ng, seen_nr), (x_held[few], held_nr[few]))
    log_depth_n = np.log(np.maximum(depth_of(open_np), 1.0))[:, None]
    coordinates_nk = reader.coordinates(run.cells.rna.counts)
    depth = Linear.fit(coordinates_nk, log_depth_n)
    nearby_rk = _nearby(run, basis, member, lumped, (x_held, held_nr))
    head = PeakHead((member,), lumped, nearby_rk, depth, Level(0.0, 1.0))
    return replace(head, level=_level(run, head, reader, basis, left_out(coordinates_nk, log_depth_n)))


def _nearby(
    run: Run,
    basis: GeneBasis,
    member: Composition,
    lumped: Lumped,
    held: tuple[sp.csr_matrix, sp.csr_matrix],
) -> Floats:
    """What the genes' components say of each common peak through the genes nearby, at the likeliest strength."""
    links_pg = nearby_genes(run.cells.atac.space, run.cells.rna.space)
    weight_pk = np.asarray(links_pg @ basis.basis.v_fk * np.float32(basis.unit), dtype=np.float32)
    own_p = lumped.within_f == 1.0
    weight_rk = np.zeros((lumped.columns, weight_pk.shape[1]), dtype=np.float32)
    weight_rk[lumped.place_f[own_p]] = weight_pk[own_p]
    few = slice(0, FEW_HELD)
    z_nk, prior = member.trunk(held[0][few]), Prior(basis.components(run.held.rna.counts[few]), weight_rk)
    strengths = STRENGTHS if links_pg.nnz else (0.0,)
    best = min(strengths, key=lambda s: member.misfit(z_nk, held[1][few], prior.scaled(s)))
    return halved(prior.scaled(best).weight_pr)


def _level(run: Run, head: PeakHead, reader: Reader, basis: GeneBasis, left_out_n1: Floats) -> Level:
    """left_out_n1: log depth of the training cells, each predicted without itself."""
    latent = head.encode(reader, basis, run.held.rna.counts)
    positions = run.some(run.held.atac.counts.shape[1], ENTRIES)
    share_np, open_np = head.share(latent, positions), run.held.atac.counts[:, positions].toarray() > 0
    seen, held = (depth_of(binarised(cells.atac.counts)).astype(np.float64) for cells in (run.cells, run.held))
    return fit_level(
        Depths(left_out_n1[:, 0].astype(np.float64), seen), Depths(latent[:, -1].astype(np.float64), held),
        share_np, open_np, depth_weight=run.setting.depth_weight,
    )  # fmt: skip
