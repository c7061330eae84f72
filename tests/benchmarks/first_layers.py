"""One epoch of CrossMP with first layers that read sparse rows, against the same network on dense rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

CELLS, GENES, PEAKS, BATCH = 512, 8_000, 60_000, 128


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
    """dense: replace bags of features by dense rows times the same weights."""

    dense: bool
    kept: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        import torch

        from engine.translators.crossmp.inputs import AtacInputs, RnaInputs, blocks_of, regulatory_potential
        from engine.translators.crossmp.recipe import CrossMPRecipe, Feeder, Prepared

        torch.set_num_threads(1)
        torch.manual_seed(0)
        pair = built()
        recipe = CrossMPRecipe(batch=BATCH)
        rna = RnaInputs.fit(pair, significant=500)
        atac = AtacInputs.fit(pair, regulatory_potential(pair.atac.space, pair.rna.space, "hg38"))
        blocks = blocks_of(pair.atac.space)
        feeder = Feeder(rna, atac, blocks, torch.device("cpu"))
        network = recipe.network(rna, blocks, genes=GENES)
        self.kept = {
            "recipe": recipe, "feeder": feeder, "network": network, "cells": Prepared.of(pair, feeder),
        }  # fmt: skip
        if self.dense:
            _densify(network, feeder)

    def __call__(self) -> float:
        import torch

        recipe, feeder, network, cells = (self.kept[k] for k in ("recipe", "feeder", "network", "cells"))
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        total = 0.0
        for start in range(0, CELLS, BATCH):
            optimiser.zero_grad(set_to_none=True)
            loss = recipe.loss(network, feeder, cells.rows(np.arange(start, start + BATCH))).total
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * BATCH / CELLS
        return total


def _densify(network: Any, feeder: Any) -> None:
    """The same arithmetic as a plain implementation writes it: every sparse row becomes a dense one first."""
    import torch

    from engine.translators.crossmp.network import SparseLinear

    def dense_rows(bags: Any, width: int) -> torch.Tensor:
        counts = torch.diff(torch.cat([bags.offsets, torch.tensor([len(bags.index)])]))
        row = torch.repeat_interleave(torch.arange(len(bags.offsets)), counts)
        out = torch.zeros(len(bags.offsets), width)
        out.index_put_((row, bags.index), bags.weight, accumulate=True)
        return out

    def forward(self: Any, bags: Any, weight_fh: Any = None) -> torch.Tensor:
        weight = self.weight_fh if weight_fh is None else weight_fh
        if len(bags.offsets) > 10 * BATCH:  # bags by chromosome, or the potential: those stay as they are
            out = torch.nn.functional.embedding_bag(
                bags.index, weight, bags.offsets, mode="sum", per_sample_weights=bags.weight
            )
        else:
            out = dense_rows(bags, len(weight)) @ weight
        return out if self.bias_h is None else out + self.bias_h

    for module in network.modules():
        if isinstance(module, SparseLinear):
            module.forward = forward.__get__(module)
    encode = type(network.atac).forward

    def by_chromosome(self: Any, bags: Any, weight_fh: Any = None, factor_b: Any = None) -> torch.Tensor:
        weight = self.first.weight_fh if weight_fh is None else weight_fh
        blocks, cells = feeder.blocks, len(bags.offsets) // self.chromosomes
        counts = torch.diff(torch.cat([bags.offsets, torch.tensor([len(bags.index)])]))
        row = torch.repeat_interleave(torch.arange(len(bags.offsets)), counts) // self.chromosomes
        dense = torch.zeros(cells, len(weight))
        dense.index_put_((row, bags.index), bags.weight, accumulate=True)
        hidden = []
        for a, b in zip(blocks.starts[:-1], blocks.starts[1:], strict=True):
            members = torch.from_numpy(blocks.order_f[a:b])
            hidden.append(dense[:, members] @ weight[members])
        h_bch = torch.stack(hidden, dim=1)
        return _rest(self, h_bch, factor_b)

    def _rest(self: Any, h_bch: torch.Tensor, factor_b: Any) -> torch.Tensor:
        from engine.translators.crossmp.network import prelu

        if factor_b is not None:
            h_bch = h_bch * factor_b[:, None, None]
        h_bch = prelu(h_bch + self.bias_ch, self.slope1_c)
        h_bck = prelu(torch.einsum("bch,chk->bck", h_bch, self.weight_chk) + self.bias_ck, self.slope2_c)
        return self.slope3(self.last(h_bck.flatten(1)))

    assert encode is not None
    for module in (network.atac, network.activity):
        module.forward = by_chromosome.__get__(module)
