"""The learning rate over a training, and which weights decay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from engine.training import Parts, Schedule, train
from engine.translators.base import Hooks


def run(schedule: Schedule, *, decayed: bool = False, worse: bool = False) -> tuple[nn.Linear, list[float]]:
    """worse: the loss on validation cells rises from epoch to epoch instead of falling."""
    network, rates = nn.Linear(3, 2), []
    with torch.no_grad():
        network.weight.fill_(1.0)
        network.bias.fill_(1.0)

    def step(rows: np.ndarray) -> tuple[torch.Tensor, Parts]:
        return 0.0 * network(torch.ones(len(rows), 3)).sum(), {"total": 0.0}

    held = iter(range(1, 1000) if worse else range(1000, 0, -1))
    original = torch.optim.Adam.step

    def spied(self: torch.optim.Adam, closure: object = None) -> object:
        rates.append(self.param_groups[0]["lr"])
        return original(self)

    torch.optim.Adam.step = spied  # type: ignore[assignment,method-assign]
    try:
        train(
            network, cells=40, schedule=schedule, step=step, validate=lambda: {"total": float(next(held))},
            rng=np.random.default_rng(0), hooks=Hooks(), decayed=[network.bias] if decayed else None,
        )  # fmt: skip
    finally:
        torch.optim.Adam.step = original  # type: ignore[method-assign]
    return network, rates


def test_an_annealed_rate_rises_then_falls_towards_zero() -> None:
    _, rates = run(Schedule(10, 10, 10, 0.5, anneal=True))
    top = int(np.argmax(rates))
    assert len(rates) == 40
    assert 2 <= top <= 5
    assert rates[0] < 0.25 * max(rates)
    assert all(a >= b for a, b in zip(rates[top:], rates[top + 1 :], strict=False))
    assert rates[-1] < 0.01 * max(rates)


def test_a_plain_rate_stays() -> None:
    _, rates = run(Schedule(3, 3, 10, 0.5))
    assert set(rates) == {0.5}


def test_decay_shrinks_matrices_or_what_is_named() -> None:
    plain, _ = run(Schedule(2, 2, 10, 0.1, decay=1.0))
    named, _ = run(Schedule(2, 2, 10, 0.1, decay=1.0), decayed=True)
    shrunk = 0.9**8
    assert plain.weight.detach().numpy() == pytest.approx(shrunk, rel=1e-5)
    assert plain.bias.detach().numpy() == pytest.approx(1.0)
    assert named.weight.detach().numpy() == pytest.approx(1.0)
    assert named.bias.detach().numpy() == pytest.approx(shrunk, rel=1e-5)


def test_the_best_epoch_is_kept_or_the_last_if_asked() -> None:
    """Each epoch shrinks the weights once more, so they tell which it was."""
    best, _ = run(Schedule(3, 3, 10, 0.1, decay=1.0), worse=True)
    last, _ = run(Schedule(3, 3, 10, 0.1, decay=1.0, last=True), worse=True)
    assert best.weight.detach().numpy() == pytest.approx(0.9**4, rel=1e-5)
    assert last.weight.detach().numpy() == pytest.approx(0.9**12, rel=1e-5)
