"""The curve of a training, kept whole after every second, so that it can be followed and survives a kill."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from engine.translators.base import Checkpoints, Epoch, Hooks
from jobs.views import EpochView, TrainingView

WRITE_EVERY_S = 1.0  # at most; always before a checkpoint and at the end  # ours
WHOLE = "network"  # what a training without stages calls its one checkpoint


def read_curve(data: bytes | None) -> TrainingView:
    """The curve as it was kept; an empty one where there is none or it cannot be read."""
    try:
        return TrainingView.model_validate(json.loads(data or b"{}"))
    except (ValueError, ValidationError):
        return TrainingView()


@dataclass
class Curve:
    """Epochs as they come. keep: writes the whole document. An attempt that goes on replaces what it does again."""

    keep: Callable[[bytes], None]
    view: TrainingView
    every_s: float = WRITE_EVERY_S
    _picked_up: int | None = None  # after this epoch, until the next one is done
    _kept: float = field(default=-math.inf)

    @classmethod
    def open(
        cls,
        keep: Callable[[bytes], None],
        known: bytes | None,
        *,
        device: str,
        split: Mapping[str, int],
        notes: Sequence[str] = (),
    ) -> Curve:
        """known: what an earlier attempt kept."""
        said = {"device": device, "split": dict(split), "notes": tuple(notes)}
        return cls(keep, read_curve(known).model_copy(update=said))

    def on_epoch(self, epoch: Epoch) -> None:
        epochs = self._before(epoch.stage, epoch.number)
        resumed = self.view.resumed if epochs else ()
        if self._picked_up is not None:
            resumed, self._picked_up = (*resumed, self._picked_up), None
        shown = EpochView(
            stage=epoch.stage,
            number=epoch.number,
            of=epoch.of,
            train=_finite(epoch.train),
            valid=_finite(epoch.valid),
            seconds=epoch.seconds,
            last=epoch.last,
        )
        self.view = self.view.model_copy(update={"epochs": (*epochs, shown), "resumed": resumed})
        if time.monotonic() - self._kept >= self.every_s:
            self.flush()

    def on_resume(self, stage: str, epoch: int) -> None:
        """Went on after this epoch; 0: of a stage that had none."""
        stage = "" if stage == WHOLE else stage
        self.view = self.view.model_copy(update={"epochs": self._before(stage, epoch + 1)})
        self._picked_up = epoch or None

    def flush(self) -> None:
        self.keep(self.view.model_dump_json().encode())
        self._kept = time.monotonic()

    def hooks(self, hooks: Hooks) -> Hooks:
        """The hooks with this curve behind them: what they call is called as well, a checkpoint after the curve."""

        def on_epoch(epoch: Epoch) -> None:
            self.on_epoch(epoch)
            hooks.on_epoch(epoch)

        def on_resume(stage: str, epoch: int) -> None:
            self.on_resume(stage, epoch)
            hooks.on_resume(stage, epoch)

        behind = None if hooks.checkpoints is None else _AfterCurve(self, hooks.checkpoints)
        return replace(hooks, on_epoch=on_epoch, on_resume=on_resume, checkpoints=behind)

    def _before(self, stage: str, number: int) -> tuple[EpochView, ...]:
        """The epochs up to this one of its stage; what came after it was done by a run that was killed."""
        epochs = self.view.epochs
        for i, each in enumerate(epochs):
            if each.stage == stage and each.number >= number:
                return epochs[:i]
        return epochs


@dataclass(frozen=True)
class _AfterCurve:
    """A checkpoint is never ahead of the curve: going on from it would leave a gap there."""

    curve: Curve
    inner: Checkpoints

    def load(self, name: str) -> bytes | None:
        return self.inner.load(name)

    def save(self, name: str, data: bytes) -> None:
        self.curve.flush()
        self.inner.save(name, data)


def how_it_went(view: TrainingView) -> list[str]:
    """Sentences for the card: epochs of each stage, the best one, early stopping, and where it was picked up."""
    said = []
    for stage in dict.fromkeys(epoch.stage for epoch in view.epochs):
        epochs = [epoch for epoch in view.epochs if epoch.stage == stage]
        last = epochs[-1]
        words = f"{stage}: " if stage else ""
        words += f"{last.number:,} of at most {last.of:,} epochs"
        if (kept := view.kept(stage)) is not None:
            words += (
                f"; the weights of epoch {kept.number:,} are kept, loss {kept.valid['total']:.4g} on validation cells"
            )
        if last.number < last.of:
            words += "; stopped early, since it no longer gained"
        said.append(words)
    if view.resumed:
        said.append(f"interrupted, and went on from a checkpoint after epoch {', '.join(map(str, view.resumed))}")
    return said


def _finite(parts: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in parts.items() if math.isfinite(value)}
