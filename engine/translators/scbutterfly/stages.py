"""scButterfly's three trainings: each autoencoder by itself, then everything with the translator and the judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.training import Clock, Parts, Schedule, Trained, train
from engine.translators.base import Hooks
from engine.translators.scbutterfly.inputs import Feed
from engine.translators.scbutterfly.network import Bottleneck, Butterfly, Judge, Layer, Sizes, divergence, sampled
from engine.types import Modality

JUDGES_AT_A_LOSS = 1.35  # of 2 ln 2 = 1.386: judges that tell nothing apart teach nothing (released code)
JUDGE_RATE = 0.005  # plain gradient descent (released code)

Rows = Mapping[Modality, sp.csr_matrix]


@dataclass(frozen=True, eq=False)
class Cells:
    """Preprocessed rows of the cells to train on and of those to stop by, and their way to tensors."""

    seen: Rows
    held: Rows
    feeds: Mapping[Modality, Feed]

    @property
    def count(self) -> int:
        return int(self.seen[Modality.RNA].shape[0])


@dataclass(frozen=True)
class Weights:
    """Of the parts of the losses. kl: of each autoencoder; the translator's is their sum."""

    rna: float
    atac: float
    judge: float
    kl: Mapping[Modality, float]
    warmup: int

    def reconstruction(self, losses: Mapping[Modality, Tensor]) -> Tensor:
        return self.rna * losses[Modality.RNA].sum() + self.atac * losses[Modality.ATAC].sum()


class Warmup(Clock):
    """A weight that grows from 0 over the first epochs."""

    def __init__(self, full: float, epochs: int) -> None:
        super().__init__()
        self._full, self._epochs = full, epochs

    @property
    def now(self) -> float:
        return self._full * min(1.0, self.epoch / self._epochs) if self._epochs else self._full


def pretrain(
    network: Butterfly,
    modality: Modality,
    cells: Cells,
    *,
    sizes: Sizes,
    weights: Weights,
    schedule: Schedule,
    rng: np.random.Generator,
    hooks: Hooks,
) -> Trained:
    """A modality's autoencoder on masked inputs, with a bottleneck of its own that is then thrown away.

    It is compared with the whole input, masked entries too. Stopped by the reconstruction of the held-out cells.
    """
    feed, warmup = cells.feeds[modality], Warmup(weights.kl[modality], weights.warmup)
    encoder, decoder = network.encoders[modality], network.decoder(modality)
    bottleneck, out = Bottleneck(sizes), Layer(sizes.latent, sizes.embedding)
    trained = nn.ModuleList([encoder, decoder, bottleneck, out]).to(next(network.parameters()).device)

    def losses(rows: sp.csr_matrix, draw: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        mean, log_variance = bottleneck(encoder(feed.bags(rows)))
        h = decoder.trunk(out(draw(mean, log_variance)))
        return decoder.head.losses([h], feed.target(rows))[0], divergence(mean, log_variance)

    def step(rows: np.ndarray) -> tuple[Tensor, Parts]:
        loss, kl = losses(cells.seen[modality][rows], sampled)
        return loss + warmup.now * kl, {"total": float(loss.detach()), "kl": float(kl.detach())}

    def validate() -> Parts:
        def parts(rows: Rows) -> Parts:
            loss, kl = losses(rows[modality], lambda mean, _: mean)
            return {"total": float(loss), "kl": float(kl)}

        return averaged(cells.held, schedule.batch, parts)

    return train(
        trained, cells=cells.count, schedule=schedule, step=step, validate=validate, rng=rng,
        hooks=warmup.following(hooks), stage=modality.value,
    )  # fmt: skip


class Translating:
    """The last training: four ways from modality to modality, and judges of the embeddings to be misled."""

    def __init__(self, network: Butterfly, cells: Cells, *, sizes: Sizes, weights: Weights) -> None:
        self.network, self.cells, self.weights = network, cells, weights
        self.judges = nn.ModuleDict({m: Judge(sizes) for m in Modality}).to(next(network.parameters()).device)
        self.warmup = Warmup(sum(weights.kl.values()), weights.warmup)

    def train(self, schedule: Schedule, rng: np.random.Generator, hooks: Hooks) -> Trained:
        return train(
            nn.ModuleList([self.network, self.judges]), cells=self.cells.count, schedule=schedule, step=self.step,
            validate=lambda: averaged(self.cells.held, schedule.batch, self.held), rng=rng,
            hooks=self.warmup.following(hooks), stage="translation", parameters=self.network.parameters(),
        )  # fmt: skip

    def step(self, rows: np.ndarray) -> tuple[Tensor, Parts]:
        """The judges learn from this batch first, then the networks are told by the better judges."""
        batch = {m: self.cells.seen[m][rows] for m in Modality}
        real, translated, kl = self.paths(batch)
        self.teach({m: (real[m].detach(), translated[m.other, m].detach()) for m in Modality})
        told = self.judged({m: (real[m], translated[m.other, m]) for m in Modality})
        losses = self.losses(translated, batch)
        total = self.weights.reconstruction(losses)
        loss = total + self.warmup.now * kl
        if float(told.detach()) < JUDGES_AT_A_LOSS:
            loss = loss - self.weights.judge * told
        return loss, named(total, losses, kl) | {"judges": float(told.detach())}

    def held(self, rows: Rows) -> Parts:
        """Latents are drawn here too, as the released code does."""
        _, translated, kl = self.paths(rows)
        losses = self.losses(translated, rows)
        return named(self.weights.reconstruction(losses), losses, kl)

    def paths(self, batch: Rows) -> tuple[dict[Modality, Tensor], dict[tuple[Modality, Modality], Tensor], Tensor]:
        """Each modality's embedding; the translated ones, by source and target; KL of both latents."""
        real = {m: self.network.encoders[m](self.cells.feeds[m].bags(batch[m])) for m in Modality}
        translated, kl = {}, torch.zeros((), device=real[Modality.RNA].device)
        for source in Modality:
            mean, log_variance = self.network.bottlenecks[source](real[source])
            latent, kl = sampled(mean, log_variance), kl + divergence(mean, log_variance)
            for target in Modality:
                translated[source, target] = self.network.outs[target](latent)
        return real, translated, kl

    def losses(self, translated: Mapping[tuple[Modality, Modality], Tensor], batch: Rows) -> dict[Modality, Tensor]:
        """By target: the loss from RNA and the loss from ATAC, shape (2,)."""
        found = {}
        for target in Modality:
            decoder = self.network.decoder(target)
            hidden = [decoder.trunk(translated[source, target]) for source in Modality]
            found[target] = decoder.head.losses(hidden, self.cells.feeds[target].target(batch[target]))
        return found

    def judged(self, shown: Mapping[Modality, tuple[Tensor, Tensor]]) -> Tensor:
        """Cross-entropy of both judges, each cell shown either as encoded or as translated, with soft labels."""
        some = shown[Modality.RNA][0]
        label_b = soft_labels(torch.rand(len(some), device=some.device))
        real_b = (label_b > 0.5)[:, None]
        told = torch.zeros((), device=some.device)
        for modality, (real, translated) in shown.items():
            logit = self.judges[modality](torch.where(real_b, real, translated))
            told = told + functional.binary_cross_entropy_with_logits(logit, label_b)
        return told

    def teach(self, shown: Mapping[Modality, tuple[Tensor, Tensor]]) -> None:
        """One step of plain gradient descent; it keeps no state, so a checkpoint of the weights is enough."""
        parameters = list(self.judges.parameters())
        self.judges.requires_grad_(True)
        gradients = torch.autograd.grad(self.judged(shown), parameters)
        self.judges.requires_grad_(False)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=JUDGE_RATE)


def soft_labels(uniform_b: Tensor) -> Tensor:
    """Real (above ½) or translated, and how surely: 0.8 or 0.2 for three fifths, the rest further out at random."""
    middle = torch.where(uniform_b > 0.5, 0.8, 0.2)
    return torch.where((uniform_b > 0.2) & (uniform_b <= 0.8), middle, uniform_b)


def named(total: Tensor, losses: Mapping[Modality, Tensor], kl: Tensor) -> Parts:
    values = {"total": total, "kl": kl}
    for target, by_source in losses.items():
        values |= {f"{s.value}_{target.value}": loss for s, loss in zip(Modality, by_source, strict=True)}
    return {name: float(value.detach()) for name, value in values.items()}


def averaged(held: Rows, batch: int, parts: Callable[[Rows], Parts]) -> Parts:
    """Named parts over all held-out cells, batch by batch."""
    n, sums = held[Modality.RNA].shape[0], Parts()
    for start in range(0, n, batch):
        rows = {m: x[start : start + batch] for m, x in held.items()}
        for name, value in parts(rows).items():
            sums[name] = sums.get(name, 0.0) + value * rows[Modality.RNA].shape[0] / n
    return sums


def start_from_mean(network: Butterfly, cells: Cells, modality: Modality, *, gain: float) -> None:
    """The head's shift at what predicts the training average, and a small gain: what the norm would have to learn."""
    x_nf = cells.seen[modality]
    n = x_nf.shape[0]
    mean_f = np.asarray(x_nf.mean(axis=0), dtype=np.float64).ravel()
    if modality is Modality.ATAC:
        low = 0.5 * float(x_nf.data.mean()) / n if x_nf.nnz else 1e-6
        mean_f = np.clip(mean_f, low, 1 - low)
        mean_f = np.log(mean_f / (1 - mean_f))
    head = network.decoder(modality).head
    with torch.no_grad():
        head.shift_f.copy_(torch.from_numpy(mean_f))
        head.gain_f.fill_(gain)
