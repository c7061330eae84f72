"""The curve of a training: whole at any moment, and one curve whatever was killed on the way."""

from __future__ import annotations

import json

from engine.translators.base import Epoch, Hooks
from jobs.training.curve import Curve, how_it_went, read_curve


class Kept:
    """What a store would hold."""

    def __init__(self) -> None:
        self.data: bytes | None = None

    def open(self) -> Curve:
        return Curve.open(self.put, self.data, device="cpu", split={"train": 7}, notes=("a note",))

    def put(self, data: bytes) -> None:
        self.data = data

    @property
    def numbers(self) -> list[int]:
        return [epoch.number for epoch in read_curve(self.data).epochs]


def epoch(number: int, loss: float = 1.0, *, stage: str = "", of: int = 10) -> Epoch:
    return Epoch(number, of, {"total": loss, "kl": float("nan")}, {"total": loss}, stage)


def run(curve: Curve, first: int, last: int, *, stage: str = "") -> None:
    for number in range(first, last + 1):
        curve.on_epoch(epoch(number, 1 / number, stage=stage))
    curve.flush()


def test_the_curve_is_readable_after_its_first_epoch_and_leaves_out_what_is_no_number() -> None:
    kept = Kept()
    kept.open().on_epoch(epoch(1))
    view = read_curve(kept.data)
    assert (view.epochs[0].train, view.split, view.notes, view.device) == (
        {"total": 1.0},
        {"train": 7},
        ("a note",),
        "cpu",
    )
    assert json.loads(kept.data or b"")["epochs"]


def test_epochs_after_the_checkpoint_are_replaced_and_it_is_said_where() -> None:
    kept = Kept()
    run(kept.open(), 1, 6)
    again = kept.open()
    again.on_resume("network", 4)
    run(again, 5, 8)
    assert kept.numbers == list(range(1, 9))
    assert read_curve(kept.data).resumed == (4,)


def test_a_training_that_starts_anew_replaces_its_whole_curve() -> None:
    kept = Kept()
    run(kept.open(), 1, 6)
    run(kept.open(), 1, 2)
    assert (kept.numbers, read_curve(kept.data).resumed) == ([1, 2], ())


def test_a_stage_that_was_finished_stays_and_the_next_goes_on() -> None:
    kept = Kept()
    first = kept.open()
    run(first, 1, 3, stage="rna")
    run(first, 1, 4, stage="both")
    again = kept.open()
    again.on_resume("rna", 3)
    again.on_resume("both", 2)
    run(again, 3, 3, stage="both")
    view = read_curve(kept.data)
    assert [(e.stage, e.number) for e in view.epochs] == [("rna", i) for i in (1, 2, 3)] + [
        ("both", i) for i in (1, 2, 3)
    ]
    assert view.resumed == (2,)


def test_no_checkpoint_is_ahead_of_the_curve() -> None:
    kept = Kept()
    seen: list[list[int]] = []

    class Store:
        def load(self, name: str) -> bytes | None:
            return None

        def save(self, name: str, data: bytes) -> None:
            seen.append(kept.numbers)

    hooks = kept.open().hooks(Hooks(checkpoints=Store()))
    assert hooks.checkpoints is not None
    for number in (1, 2, 3):
        hooks.on_epoch(epoch(number))
        hooks.checkpoints.save("network", b"")
    assert seen == [[1], [1, 2], [1, 2, 3]]


def test_a_broken_document_is_an_empty_curve() -> None:
    assert read_curve(b"{half").epochs == ()
    assert read_curve(None).epochs == ()


def test_the_card_says_how_it_went() -> None:
    kept = Kept()
    curve = kept.open()
    run(curve, 1, 4)
    curve.on_resume("network", 4)
    curve.on_epoch(epoch(5, 9.0))
    (went, picked_up) = how_it_went(curve.view)
    assert went.startswith("5 of at most 10 epochs; the weights of epoch 4 are kept, loss 0.25 on validation cells")
    assert went.endswith("stopped early, since it no longer gained")
    assert picked_up == "interrupted, and went on from a checkpoint after epoch 4"


def test_the_card_says_so_where_the_last_epoch_is_kept() -> None:
    kept = Kept()
    curve = kept.open()
    for number, loss in ((1, 1.0), (2, 3.0)):
        curve.on_epoch(Epoch(number, 2, {"total": loss}, {"total": loss}, last=True))
    (went,) = how_it_went(curve.view)
    assert went == "2 of at most 2 epochs; the weights of epoch 2 are kept, loss 3 on validation cells"
