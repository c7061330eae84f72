"""The multinomial loss in one step is the one a plain program writes with log-softmax."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from engine.layers.composition import log_partition, multinomial_loss, poisson_loss
from engine.layers.sparse import Bags


@pytest.mark.parametrize("length", [1.0, 30.0], ids=["bounded by lengths", "by the largest output"])
def test_the_loss_and_every_gradient_are_those_of_log_softmax(length: float) -> None:
    rng = np.random.default_rng(3)
    counts = rng.poisson(0.3, (7, 40)).astype(np.float32)
    counts[2] = 0  # a cell with nothing open
    plain, fused = ([torch.randn(s, generator=torch.Generator().manual_seed(1)) for s in ((7, 5), (40, 5), (40,))],) * 2
    plain[0] = fused[0] = plain[0] * length
    plain = [p.clone().requires_grad_() for p in plain]
    fused = [p.clone().requires_grad_() for p in fused]
    shares = torch.log_softmax(plain[0] @ plain[1].T + plain[2], dim=1)
    wanted = -(shares * torch.from_numpy(counts)).sum() / counts.sum()
    bags = Bags.of(sp.csr_matrix(counts), torch.device("cpu"))
    found = multinomial_loss(fused[0], fused[1], fused[2], bags)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    wanted.backward()
    found.backward()
    for mine, theirs in zip(fused, plain, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_the_poisson_loss_and_its_gradients_are_torchs_own() -> None:
    rng = np.random.default_rng(5)
    counts, log_size = rng.poisson(0.3, (7, 40)).astype(np.float32), torch.from_numpy(rng.normal(size=7)).float()
    counts[2] = 0
    start = [torch.randn(s, generator=torch.Generator().manual_seed(1)) for s in ((7, 5), (40, 5), (40,))]
    plain, fused = ([p.clone().requires_grad_() for p in start] for _ in range(2))
    log_rate = plain[0] @ plain[1].T + plain[2] + log_size[:, None]
    wanted = torch.nn.functional.poisson_nll_loss(log_rate, torch.from_numpy(counts), reduction="sum") / 7
    found = poisson_loss(*fused, log_size, Bags.of(sp.csr_matrix(counts), torch.device("cpu")))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    wanted.backward()
    found.backward()
    for mine, theirs in zip(fused, plain, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_the_partition_does_not_overflow() -> None:
    z, weight, bias = torch.full((2, 1), 200.0), torch.full((3, 1), 1.0), torch.zeros(3)
    torch.testing.assert_close(log_partition(z, weight, bias), torch.full((2,), 200.0 + float(np.log(3.0))))
