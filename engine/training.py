"""Training a network the same way for every model: epochs, early stopping, best weights, a stop that is heeded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from engine.errors import BadSetting
from engine.translators.base import Epoch, Hooks

Parts = dict[str, float]


@dataclass(frozen=True)
class Schedule:
    """epochs: at most. patience: epochs without a better validation loss before stopping."""

    epochs: int
    patience: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.0
    clip: float = 5.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or self.learning_rate <= 0:
            raise BadSetting(
                f"epochs={self.epochs}, batch={self.batch}, learning_rate={self.learning_rate} cannot train.",
                hint="At least one epoch, two cells a batch and a positive learning rate.",
            )


@dataclass(frozen=True)
class Trained:
    """epochs run, the one whose weights were kept, and its validation loss."""

    epochs: int
    best_epoch: int
    best_loss: float
    stopped_early: bool


def pick_device(wanted: str) -> torch.device:
    """auto: CUDA where there is one. Raises BadSetting for cuda without a GPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise BadSetting("`--device cuda` was asked for, but torch sees no GPU.", hint="Use `--device auto`.")
    name = ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
    return torch.device(name)


@contextmanager
def seeded(hooks: Hooks) -> Iterator[np.random.Generator]:
    """Torch's randomness and threads as asked for, and as they were before once done."""
    threads = torch.get_num_threads()
    devices = list(range(torch.cuda.device_count())) if hooks.device != "cpu" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(hooks.seed)
        try:
            if hooks.threads:
                torch.set_num_threads(hooks.threads)
            yield np.random.default_rng(hooks.seed)
        finally:
            torch.set_num_threads(threads)


def train(
    network: nn.Module,
    *,
    cells: int,
    schedule: Schedule,
    step: Callable[[np.ndarray], tuple[torch.Tensor, Parts]],
    validate: Callable[[], Parts],
    rng: np.random.Generator,
    hooks: Hooks,
) -> Trained:
    """Adam with early stopping; the weights of the best validation loss are put back.

    step: rows of a batch → (loss to descend, named parts). validate: named parts on held-out cells, with "total".
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    best, best_epoch, kept, epoch = float("inf"), 0, _copy(network), 0
    for epoch in range(1, schedule.epochs + 1):
        network.train()
        sums: Parts = {}
        batches = _batches(cells, schedule.batch, rng)
        for rows in batches:
            optimiser.zero_grad(set_to_none=True)
            loss, parts = step(rows)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
            optimiser.step()
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value / len(batches)
        network.eval()
        with torch.no_grad():
            held = validate()
        hooks.on_epoch(Epoch(epoch, schedule.epochs, sums, held))
        if held["total"] < best - 1e-7:
            best, best_epoch, kept = held["total"], epoch, _copy(network)
        if epoch - best_epoch >= schedule.patience or hooks.should_stop():
            break
    network.load_state_dict(kept)
    network.eval()
    return Trained(epoch, best_epoch, best, epoch < schedule.epochs)


def _batches(cells: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffled rows in batches; a last batch of one cell joins its neighbour, since it has no batch statistics."""
    order = rng.permutation(cells)
    cuts = list(range(size, cells, size))
    if cuts and cells - cuts[-1] < 2:
        cuts.pop()
    return [np.sort(rows) for rows in np.split(order, cuts)]


def _copy(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
