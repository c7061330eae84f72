"""The library's network, built from plain settings and fed from sparse counts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from engine.training import Parts
from engine.translators.multivi.library import scvi
from engine.translators.multivi.losses import lean


class Loss(NamedTuple):
    """The library's loss of a batch, mean over cells, and its parts in nats a cell.

    rna, atac: reconstruction. prior: KL of the joint latent to N(0, I). paired: symmetric KL of the two modalities.
    """

    total: Tensor
    rna: Tensor
    atac: Tensor
    prior: Tensor
    paired: Tensor

    def parts(self, total: Tensor) -> Parts:
        """As numbers, with what is to be called the total."""
        named = {"total": total, "rna": self.rna, "atac": self.atac, "prior": self.prior, "paired": self.paired}
        return {name: float(value.detach()) for name, value in named.items()}


@dataclass(frozen=True)
class Shape:
    """What the network is built from; zero for hidden and latent means the library's own choice by the peaks."""

    genes: int
    peaks: int
    hidden: int
    latent: int
    layers_encoder: int
    layers_decoder: int
    dropout: float
    likelihood: str
    penalty: str
    region_factors: bool

    def build(self) -> nn.Module:
        """A fresh network of one batch, drawn from torch's generator. Raises MissingExtra without scvi-tools."""
        network_class = lean(scvi("scvi.module").MULTIVAE)
        sizes = {"n_input_genes": self.genes, "n_input_regions": self.peaks, "n_batch": 1, "n_cats_per_cov": []}
        with warnings.catch_warnings():
            # Its layers for proteins are always there, here with nothing in them.
            warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
            network: nn.Module = network_class(
                **sizes,
                n_hidden=self.hidden or None,
                n_latent=self.latent or None,
                n_layers_encoder=self.layers_encoder,
                n_layers_decoder=self.layers_decoder,
                dropout_rate=self.dropout,
                gene_likelihood=self.likelihood,
                modality_penalty=self.penalty,
                region_factors=self.region_factors,
            )
        return network


def one_batch(cells: int, device: torch.device) -> Tensor:
    """The library's batch number of each cell: all of one batch, shape (n, 1)."""
    return torch.zeros(cells, 1, dtype=torch.long, device=device)


def dense(x_bf: sp.csr_matrix, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x_bf.toarray(), dtype=np.float32)).to(device)


def loss_of(network: Any, x_bg: Tensor, a_bp: Tensor, *, kl_weight: float) -> Loss:
    """The library's inference, generation and loss of paired cells; x_bg counts, a_bp open peaks as 0 and 1."""
    _, _, found = network(_tensors(x_bg, a_bp), loss_kwargs={"kl_weight": kl_weight})
    rebuilt, divergence = found.reconstruction_loss, found.kl_local
    return Loss(
        found.loss,
        rebuilt["reconstruction_loss_expression"].mean(),
        rebuilt["reconstruction_loss_accessibility"].mean(),
        divergence["kl_divergence_z"].mean(),
        torch.as_tensor(divergence["kl_divergence_paired"], dtype=x_bg.dtype).mean(),  # a bare 0 without a penalty
    )


def translation_loss(network: Any, x_bg: Tensor, a_bp: Tensor) -> tuple[Tensor, Tensor]:
    """The library's reconstruction losses of genes from the peaks' latent mean and of peaks from the genes', per cell.

    Genes at each cell's true depth, peaks at the batch's mean depth factor: how deep a cell was sequenced is not
    what a translation is chosen by.
    """
    index = one_batch(len(x_bg), x_bg.device)
    seen = network.inference(**network._get_inference_input(_tensors(x_bg, a_bp)))
    log_depth = x_bg.sum(dim=1, keepdim=True).clamp(min=1.0).log()
    generate = {"batch_index": index, "label": index, "libsize_expr": log_depth}
    genes = network.generative(z=seen["qzm_acc"], qz_m=seen["qzm_acc"], **generate)
    peaks = network.generative(z=seen["qzm_expr"], qz_m=seen["qzm_expr"], **generate)
    factor = seen["libsize_acc"].mean().expand_as(log_depth)
    rna = network.get_reconstruction_loss_expression(x_bg, genes["px_rate"], genes["px_r"], genes["px_dropout"])
    return rna.mean(), network.get_reconstruction_loss_accessibility(a_bp, peaks["p"], factor).mean()


def _tensors(x_bg: Tensor, a_bp: Tensor) -> dict[str, Tensor]:
    """Under the names by which the library hands tensors around."""
    keys = scvi().REGISTRY_KEYS
    index = one_batch(len(x_bg), x_bg.device)
    return {
        keys.X_KEY: x_bg,
        keys.ATAC_X_KEY: a_bp,
        keys.BATCH_KEY: index,
        keys.LABELS_KEY: index,
        keys.INDICES_KEY: index,
    }
