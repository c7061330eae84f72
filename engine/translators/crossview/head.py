"""The last layer over all peaks, in closed form, on what networks of the commonest peaks learned to see in a cell.

A few passes of gradient descent leave the weights of most peaks unfinished. Here the latents of all networks stand side
by side, and each peak's weights are found at once: where the cells lie that have it open, less where they would lie by
what is predicted so far, divided by the spread of cells plus a penalty (Newton's method for the multinomial likelihood,
with an L2 penalty on each step that grows with the peak's count: Friedman's regularised discriminant analysis, 1989).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from engine.layers.composition import log_partition
from engine.preprocess.steps import depth_of
from engine.translators.crossview.composition import Composition
from engine.translators.crossview.network import Trunk, halved
from engine.types import Floats

COMMON = 0.25  # share of the peaks that networks are trained on: those counted most often  # ours
STEPS = 2  # ours
PENALTIES = (0.007, 0.01, 0.015, 0.022, 0.032, 0.047, 0.07, 0.1)  # ours; beside the spread of cells, at most about 0.1
LEAST = 1e-6  # of anything divided by
LEAST_COUNT = 0.5  # a peak without a count is counted as half a one  # ours
BLOCK = 1 << 24  # cells × peaks at once


def commonest(counts_np: sp.csr_matrix) -> NDArray[np.int64]:
    """Positions of the peaks networks are trained on, ascending."""
    count_p = np.asarray(counts_np.sum(axis=0)).ravel()
    kept = max(1, round(COMMON * len(count_p)))
    return np.sort(np.argsort(-count_p, kind="stable")[:kept])


@dataclass(frozen=True, eq=False)
class _Seen:
    """Training cells: their centred latent along directions by importance, and their counts.

    spread_k: second moment of the latent, a count. start_pk: weights the networks end with, zero for other peaks.
    """

    trunk: Trunk
    z_nk: Floats
    counts_np: sp.csr_matrix
    spread_k: Floats
    start_pk: Floats

    @cached_property
    def count_p(self) -> Floats:
        return np.maximum(np.asarray(self.counts_np.sum(axis=0), dtype=np.float32).ravel(), np.float32(LEAST_COUNT))

    def moved(self, weight_pk: Floats, descent_pk: Floats, penalty: float) -> Floats:
        """One step of Newton's method. descent_pk: of the misfit, a count of each peak."""
        return np.asarray(weight_pk + descent_pk / (self.spread_k + np.float32(penalty)), dtype=np.float32)


def fit_head(
    members: tuple[Composition, ...],
    columns: NDArray[np.int64],
    rank: int,
    seen: tuple[sp.csr_matrix, sp.csr_matrix],
    held: tuple[sp.csr_matrix, sp.csr_matrix],
) -> Composition:
    """One composition of all peaks in place of networks of some.

    members: networks that were trained on `columns` of the peaks. rank: directions of their latents that are kept.
    seen, held: what is read and the counts of training cells, which fit, and of validation cells, which choose the
    penalty.
    """
    at = _side_by_side(members, columns, rank, seen)
    count_p, pull_pk = at.count_p, np.asarray(at.counts_np.T @ at.z_nk)
    weight_pk, bias_p = at.start_pk, np.log(count_p / count_p.sum())
    z_held, penalty = at.trunk(held[0]), 0.0
    for step in range(STEPS):
        bias_p, expected_pk = _met(at, weight_pk, bias_p)
        descent_pk = (pull_pk - expected_pk) / count_p[:, None]
        if step == 0:
            options = (Composition(at.trunk, at.moved(weight_pk, descent_pk, p), bias_p) for p in PENALTIES)
            misfits = [option.misfit(z_held, held[1]) for option in options]
            penalty = PENALTIES[int(np.argmin(misfits))]
        weight_pk = at.moved(weight_pk, descent_pk, penalty)
    weight_pk = halved(weight_pk)
    return Composition(at.trunk, weight_pk, _met(at, weight_pk, bias_p)[0])


def _side_by_side(
    members: tuple[Composition, ...],
    columns: NDArray[np.int64],
    rank: int,
    seen: tuple[sp.csr_matrix, sp.csr_matrix],
) -> _Seen:
    """All latents in one, turned so that its first directions tell peaks apart most."""
    trunk = Trunk.beside([m.trunk for m in members])
    start_pk = np.zeros((seen[1].shape[1], len(trunk.second_k)), dtype=np.float32)
    start_pk[columns] = np.hstack([m.head_pk for m in members]) / np.float32(len(members))
    z_nk, depth_n = trunk(seen[0]), depth_of(seen[1])
    mean_k = z_nk.mean(axis=0)
    spread_kk = ((z_nk - mean_k) * depth_n[:, None]).T @ (z_nk - mean_k) / max(float(depth_n.sum()), 1.0)
    count_p = np.asarray(seen[1].sum(axis=0)).ravel()
    size_kk = (start_pk * (count_p / max(float(count_p.sum()), 1.0))[:, None]).T @ start_pk
    turn_kr, back_kr, spread_r = _turned(spread_kk.astype(np.float64), size_kk.astype(np.float64), rank)
    turned = trunk.turned(turn_kr, mean_k)
    return _Seen(turned, turned(seen[0]), seen[1], spread_r, (start_pk @ back_kr).astype(np.float32))


def _turned(spread_kk: NDArray[np.float64], size_kk: NDArray[np.float64], rank: int) -> tuple[Floats, Floats, Floats]:
    """Directions in which weights are of size one, by how much cells spread along them; the way back; the spread."""
    size_k, axes_kk = np.linalg.eigh(size_kk)
    kept = size_k > LEAST * max(float(size_k[-1]), LEAST)
    if not kept.any():
        size_k, kept = np.ones_like(size_k), np.ones(len(size_k), dtype=bool)
    root_kk = axes_kk[:, kept] * np.sqrt(size_k[kept])
    spread_k, inner_kk = np.linalg.eigh(root_kk.T @ spread_kk @ root_kk)
    order = np.argsort(-spread_k)[:rank]
    turn_kr = root_kk @ inner_kk[:, order]
    back_kr = np.linalg.pinv(turn_kr).T
    return (
        turn_kr.astype(np.float32), back_kr.astype(np.float32), np.maximum(spread_k[order], 0.0).astype(np.float32)
    )  # fmt: skip


def _met(at: _Seen, weight_pk: Floats, bias_p: Floats) -> tuple[Floats, Floats]:
    """Biases with which each peak is expected as often as it was counted, and its sum of latents then, nearly.

    Both from one pass: the gradient of the softmax's normaliser.
    """
    weight = torch.from_numpy(weight_pk).requires_grad_()
    bias = torch.from_numpy(bias_p.astype(np.float32)).requires_grad_()
    depth_n = depth_of(at.counts_np).astype(np.float32)
    rows = max(1, BLOCK // len(bias_p))
    for i in range(0, len(at.z_nk), rows):
        total_b = log_partition(torch.from_numpy(at.z_nk[i : i + rows]), weight, bias)
        (total_b * torch.from_numpy(depth_n[i : i + rows])).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert bias.grad is not None
    ratio_p = at.count_p / np.maximum(bias.grad.numpy(), np.float32(LEAST))
    return (bias_p + np.log(ratio_p)).astype(np.float32), ratio_p[:, None] * weight.grad.numpy()
