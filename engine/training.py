"""Training a network the same way for every model: epochs, early stopping, best weights, a stop that is heeded."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from engine.checkpoint import (
    module_tensors,
    optimiser_tensors,
    pack,
    restore_optimiser,
    unpack,
    with_prefix,
)
from engine.errors import BadSetting, Diverged
from engine.translators.base import Epoch, Hooks
from engine.types import Split

log = logging.getLogger(__name__)

Parts = dict[str, float]
PLATEAU_FACTOR = 0.1  # the authors' script
WARM_SHARE = 0.1  # ours


@dataclass(frozen=True)
class Schedule:
    """epochs: at most. patience: epochs without a better validation loss before stopping.

    clip: largest norm of a gradient; 0: any.
    """

    epochs: int
    patience: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.0
    clip: float = 5.0
    decay: float = 0.0  # decoupled, of matrices alone: after each step they shrink by learning rate × decay
    plateau: int = 0  # epochs without a better loss after which the learning rate falls to a tenth; 0: never
    anneal: bool = False  # the rate rises over the first tenth of all steps and falls along a cosine to zero
    last: bool = False  # the last epoch's weights are kept, whatever the validation loss

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or self.learning_rate <= 0:
            raise BadSetting(
                f"epochs={self.epochs}, batch={self.batch}, learning_rate={self.learning_rate} cannot train.",
                hint="At least one epoch, two cells a batch and a positive learning rate.",
            )


@dataclass
class Clock:
    """Which epoch a training is in, also after it was resumed: some weights of a loss depend on it."""

    epoch: int = 0

    def following(self, hooks: Hooks) -> Hooks:
        """Hooks that set the clock and then tell whom they told before."""

        def ended(epoch: Epoch) -> None:
            self.epoch = epoch.number
            hooks.on_epoch(epoch)

        def resumed(stage: str, epoch: int) -> None:
            self.epoch = epoch
            hooks.on_resume(stage, epoch)

        return replace(hooks, on_epoch=ended, on_resume=resumed)


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
    stage: str = "",
    parameters: Iterable[nn.Parameter] | None = None,
    decayed: Iterable[nn.Parameter] | None = None,
) -> Trained:
    """Adam with early stopping; the weights of the best validation loss are put back (of the last epoch, if asked).

    step: rows of a batch → (loss to descend, named parts). validate: named parts on held-out cells, with "total".
    stage: name of this training among several of one model. parameters: those trained, all of the network's if None.
    With `hooks.checkpoints` it goes on where a killed run stopped, and on the CPU gives what an undisturbed run gives.
    Raises Diverged where no epoch had a finite validation loss.
    """
    run = _Run(network, schedule, rng, stage, parameters, decayed)
    run.resume(hooks)
    saved = time.monotonic()
    while not run.finished:
        started = time.monotonic()
        sums = _epoch(run, cells, step)
        network.eval()
        with torch.no_grad():
            held = validate()
        run.note(held["total"])
        seconds = time.monotonic() - started
        hooks.on_epoch(Epoch(run.epoch, schedule.epochs, sums, held, stage, round(seconds, 3), schedule.last))
        run.finished = run.exhausted
        if hooks.checkpoints is not None and (run.finished or time.monotonic() - saved >= hooks.checkpoint_s):
            hooks.checkpoints.save(run.name, run.packed())
            saved = time.monotonic()
        if hooks.should_stop():
            break
    if not math.isfinite(run.best):
        raise Diverged(
            f"The loss on validation cells was never a number in {run.epoch} epochs.",
            hint=f"Lower the learning rate ({schedule.learning_rate}), or look for cells with extreme counts.",
        )
    network.load_state_dict(run.kept)
    network.eval()
    return Trained(run.epoch, run.best_epoch, run.best, run.epoch < schedule.epochs)


def _epoch(run: _Run, cells: int, step: Callable[[np.ndarray], tuple[torch.Tensor, Parts]]) -> Parts:
    run.network.train()
    sums: Parts = {}
    batches = _batches(cells, run.schedule.batch, run.rng)
    for i, rows in enumerate(batches):
        if run.schedule.anneal:
            run.at(i, len(batches))
        run.optimiser.zero_grad(set_to_none=True)
        loss, parts = step(rows)
        loss.backward()  # type: ignore[no-untyped-call]
        if run.schedule.clip:
            nn.utils.clip_grad_norm_(run.parameters, run.schedule.clip)
        run.optimiser.step()
        run.shrink()
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value / len(batches)
    return sums


class _Run:
    """Everything one training changes as it goes: what a checkpoint must hold."""

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        rng: np.random.Generator,
        stage: str,
        parameters: Iterable[nn.Parameter] | None,
        decayed: Iterable[nn.Parameter] | None,
    ) -> None:
        self.network, self.schedule, self.rng = network, schedule, rng
        self.name = stage or "network"
        self.parameters = [p for p in (network.parameters() if parameters is None else parameters) if p.requires_grad]
        self.decayed: list[torch.Tensor] = [
            *((p for p in self.parameters if p.dim() > 1) if decayed is None else decayed)
        ]
        self.optimiser = torch.optim.Adam(
            self.parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
        )
        self.epoch, self.best_epoch, self.best, self.waited = 0, 0, float("inf"), 0
        self.kept = _copy(network)
        self.finished = False

    @property
    def exhausted(self) -> bool:
        return self.epoch >= self.schedule.epochs or self.epoch - self.best_epoch >= self.schedule.patience

    def note(self, held: float) -> None:
        """The epoch is over with this validation loss: keep the weights if best (or last), slow down if asked."""
        self.epoch += 1
        if held < self.best - 1e-7 or self.schedule.last:
            self.best, self.best_epoch, self.waited, self.kept = held, self.epoch, 0, _copy(self.network)
            return
        self.waited += 1
        if self.schedule.plateau and self.waited > self.schedule.plateau:
            self.waited = 0
            for group in self.optimiser.param_groups:
                group["lr"] *= PLATEAU_FACTOR

    def at(self, batch: int, batches: int) -> None:
        """The learning rate of this batch of the current epoch (Loshchilov & Hutter 2017, one cycle)."""
        steps, step = self.schedule.epochs * batches, self.epoch * batches + batch
        rise = min(1.0, (step + 1) / (WARM_SHARE * steps + 1))
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * step / steps))

    @torch.no_grad()
    def shrink(self) -> None:
        """Decoupled decay (Loshchilov & Hutter 2019) spares biases: a last layer's hold the average profile."""
        if self.schedule.decay:
            factor = 1.0 - self.optimiser.param_groups[0]["lr"] * self.schedule.decay
            torch._foreach_mul_(self.decayed, factor)

    def packed(self) -> bytes:
        tensors = {
            **module_tensors(self.network, "network"),
            **{f"kept.{name}": value for name, value in self.kept.items()},
            **optimiser_tensors(self.optimiser),
            "torch": torch.get_rng_state(),
        }
        meta = {
            "epoch": self.epoch, "best_epoch": self.best_epoch, "best": self.best, "waited": self.waited,
            "rate": self.optimiser.param_groups[0]["lr"], "rng": self.rng.bit_generator.state,
            "finished": self.finished,
        }  # fmt: skip
        return pack(tensors, meta)

    def resume(self, hooks: Hooks) -> None:
        """From the checkpoint of this name, where there is a readable one."""
        data = hooks.checkpoints.load(self.name) if hooks.checkpoints is not None else None
        if data is None:
            return
        try:
            tensors, meta = unpack(data)
        except ValueError as problem:
            log.warning("The checkpoint %s cannot be read (%s): training starts anew.", self.name, problem)
            return
        self.network.load_state_dict(with_prefix(tensors, "network"))
        device = next(self.network.parameters()).device
        self.kept = {name: value.to(device) for name, value in with_prefix(tensors, "kept").items()}
        restore_optimiser(self.optimiser, tensors)
        for group in self.optimiser.param_groups:
            group["lr"] = meta["rate"]
        torch.set_rng_state(tensors["torch"])
        self.rng.bit_generator.state = meta["rng"]
        self.epoch, self.best_epoch, self.best = meta["epoch"], meta["best_epoch"], meta["best"]
        self.waited, self.finished = meta["waited"], meta["finished"]
        hooks.on_resume(self.name, self.epoch)


def validation(split: Split, rng: np.random.Generator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the cells to train on and to stop by: a tenth of the training cells where no validation was given."""
    if split.valid:
        return split.train, split.valid
    order = rng.permutation(len(split.train))
    cut = max(1, len(order) // 10)
    return tuple(split.train[i] for i in np.sort(order[cut:])), tuple(split.train[i] for i in np.sort(order[:cut]))


def _batches(cells: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffled rows in batches; a last batch of one cell joins its neighbour, since it has no batch statistics."""
    order = rng.permutation(cells)
    cuts = list(range(size, cells, size))
    if cuts and cells - cuts[-1] < 2:
        cuts.pop()
    return [np.sort(rows) for rows in np.split(order, cuts)]


def _copy(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
