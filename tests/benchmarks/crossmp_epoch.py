"""One epoch of CrossMP as it is trained here, against the same network with dense input layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

CELLS, GENES, PEAKS, BATCH = 1_024, 8_000, 60_000, 512


def built() -> Any:
    """Cells as sparse as single-nucleus data: 2.5 % of the genes, 0.8 % of the peaks."""
    from engine.types import Cells, FeatureSpace, Modality, PairedCells, as_names
    from tests.builders import gene_names, peak_names

    rng = np.random.default_rng(0)

    def cells(modality: Modality, names: Any, density: float) -> Cells:
        drawn = sp.csr_matrix(sp.random(CELLS, len(names), density=density, rng=rng, dtype=np.float32))
        drawn.data = np.ceil(drawn.data * 3) if modality is Modality.RNA else np.ones_like(drawn.data)
        barcodes = as_names(f"CELL{i}" for i in range(CELLS))
        return Cells(FeatureSpace(modality, names, "hg38"), drawn, barcodes)

    return PairedCells(
        cells(Modality.RNA, gene_names(GENES), 0.025),
        cells(Modality.ATAC, peak_names(PEAKS, spacing=1_000), 0.008),
    )


@dataclass
class Epoch:
    """dense: "" for ours, "all" for a plain dense program, "inputs" for ours with dense rows into the first layers."""

    dense: str = ""
    kept: dict[str, Any] = field(default_factory=dict)

    def imports(self) -> None:
        import torch

        import tests.benchmarks.dense_crossmp  # noqa: F401

        torch.set_num_threads(1)
        torch.zeros(8, 8) @ torch.zeros(8, 8)

    def prepare(self) -> None:
        import torch

        from engine.translators.crossmp.feed import Feeder
        from engine.translators.crossmp.inputs import AtacInputs, RnaInputs, blocks_of, regulatory_potential
        from engine.translators.crossmp.recipe import CrossMPRecipe
        from tests.benchmarks.dense_crossmp import DenseCells, DenseCrossMP

        torch.manual_seed(0)
        pair = built()
        recipe = CrossMPRecipe(batch=BATCH)
        rna = RnaInputs.fit(pair, significant=500, rng=np.random.default_rng(0))
        atac = AtacInputs.fit(pair, regulatory_potential(pair.atac.space, pair.rna.space, "hg38"))
        blocks = blocks_of(pair.atac.space)
        feeder = Feeder(rna, atac, blocks, torch.device("cpu"))
        network = recipe.network(rna, blocks, genes=GENES)
        self.kept = {"recipe": recipe, "feeder": feeder, "network": network}
        if self.dense == "all":
            self.kept |= {"cells": DenseCells(pair, feeder), "plain": DenseCrossMP(network, feeder)}
        else:
            self.kept |= {"cells": feeder.prepare(pair)}
        if self.dense == "inputs":
            _dense_rows(network)

    def __call__(self) -> float:
        import torch

        recipe, network = self.kept["recipe"], self.kept["network"]
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=self.dense != "all")
        total = 0.0
        for start in range(0, CELLS, BATCH):
            optimiser.zero_grad(set_to_none=True)
            loss = self._loss(recipe, network, np.arange(start, start + BATCH))
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * BATCH / CELLS
        return total

    def _loss(self, recipe: Any, network: Any, rows: Any) -> Any:
        import torch

        cells = self.kept["cells"]
        if self.dense == "all":
            return self.kept["plain"].loss(
                cells, torch.from_numpy(rows), weight_bce=recipe.weight_bce, weight_kl=recipe.weight_kl
            )
        return recipe.loss(network, self.kept["feeder"], cells.rows(rows)).total


def _dense_rows(network: Any) -> None:
    """Every sparse row is written out before it meets the first layer; all that follows stays as it is."""
    import torch

    from engine.layers.sparse import SparseLinear

    def forward(self: Any, bags: Any, weight_fh: Any = None) -> torch.Tensor:
        weight = self.weight_fh if weight_fh is None else weight_fh
        ends = np.append(bags.offsets.numpy(), len(bags.index))
        groups = max(1, len(bags.offsets) // BATCH)
        if len(bags.offsets) % BATCH:  # the regulatory potential: peaks × genes, sparse in both
            out = torch.nn.functional.embedding_bag(
                bags.index, weight, bags.offsets, mode="sum", per_sample_weights=bags.weight
            )
        else:
            rows = sp.csr_matrix((bags.weight.numpy(), bags.index.numpy(), ends), shape=(len(ends) - 1, len(weight)))
            out = _by_group(rows, weight, groups)
        out = out.reshape(len(bags.offsets), -1)
        return out if self.bias_h is None else out + self.bias_h

    for module in network.modules():
        if isinstance(module, SparseLinear):
            module.forward = forward.__get__(module)  # type: ignore[method-assign]


def _by_group(rows: Any, weight: Any, groups: int) -> Any:
    """One dense block of a chromosome's own features times their weights, chromosome by chromosome."""
    import torch

    parts = []
    for c in range(groups):
        mine = sp.csc_matrix(rows[c::groups])
        used = np.flatnonzero(np.diff(mine.indptr))
        parts.append(torch.from_numpy(mine[:, used].toarray()) @ weight[torch.from_numpy(used)])
    return torch.stack(parts, dim=1)
