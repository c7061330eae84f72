"""A training's epochs as a curve, in words and as a chart."""

from __future__ import annotations

from typing import Any

from app import charts, charts_training, curve
from jobs.views import EpochView, TrainingView


def epochs(losses: list[float], *, of: int = 50, stage: str = "") -> tuple[EpochView, ...]:
    return tuple(
        EpochView(stage=stage, number=i, of=of, train={"total": v, "kl": 0.1}, valid={"total": v + 0.1}, seconds=2.0)
        for i, v in enumerate(losses, start=1)
    )


def drawn(chart: Any) -> dict[str, Any]:
    return dict(charts.dressed(chart, dark=False).to_dict())


def test_the_best_epoch_is_that_of_the_cells_held_back() -> None:
    view = TrainingView(epochs=epochs([3.0, 2.0, 1.0, 1.5, 1.4]))
    assert curve.kept(view, "") == 3
    assert curve.title(view, "") == "Best at epoch 3; 2 epochs since without gain"


def test_where_the_last_epoch_is_kept_the_curve_says_so() -> None:
    view = TrainingView(epochs=tuple(e.model_copy(update={"last": True}) for e in epochs([1.0, 2.0], of=2)))
    assert curve.kept(view, "") == 2
    assert curve.title(view, "") == "The last of 2 epochs is kept"


def test_a_loss_has_its_whole_first_and_only_the_sides_that_report_a_part() -> None:
    view = TrainingView(epochs=epochs([3.0, 2.0]))
    assert curve.parts(view) == ["total", "kl"]
    assert set(curve.points(view, "", "kl")["what"]) == {curve.TRAIN}
    assert len(curve.points(view, "", "total")) == 4


def test_each_stage_is_a_curve_of_its_own() -> None:
    view = TrainingView(epochs=epochs([3.0, 2.0], stage="pretrain_rna") + epochs([5.0], stage="translator"))
    assert curve.stages(view) == ["pretrain_rna", "translator"]
    assert curve.title(view, "translator") == "Translator: best at epoch 1, the last"
    assert len(curve.points(view, "pretrain_rna", "total")) == 4


def test_an_epoch_that_was_run_twice_is_drawn_once() -> None:
    view = TrainingView(epochs=(*epochs([3.0, 2.0, 1.0]), *epochs([3.0, 2.0, 1.0])[1:]), resumed=(1,))
    assert [e.number for e in curve.of_stage(view, "")] == [1, 2, 3]
    assert curve.resumed(view, "") == [1]


def test_where_it_stands_says_epochs_and_at_most_how_long() -> None:
    said = curve.standing_words(TrainingView(epochs=epochs([1.0] * 20)))
    assert said == "Epoch 20 of at most 50 · 2 s an epoch · at most 1 min left"
    assert curve.standing_words(TrainingView()) == "No epoch is finished yet"


def test_a_live_axis_moves_rarely() -> None:
    ends = {curve.right_end(TrainingView(epochs=epochs([1.0] * n, of=300)), "") for n in range(1, 301)}
    assert ends <= {10, 25, 50, 100, 150, 200, 300}


def test_the_curve_marks_its_best_epoch_and_where_it_went_on() -> None:
    view = TrainingView(epochs=epochs([3.0, 2.0, 1.0, 1.5]), resumed=(2,))
    chart = charts_training.losses(
        curve.points(view, "", "total"), title="t", quantity="loss", kept=3, resumed=[2], log=True
    )
    spec = drawn(chart)
    kinds = [layer["mark"]["type"] for layer in spec["layer"]]
    assert kinds == ["rule", "line", "point"]
    assert spec["layer"][1]["encoding"]["y"]["scale"]["type"] == "log"
    ring = spec["datasets"][spec["layer"][2]["data"]["name"]]
    assert [row["epoch"] for row in ring] == [3]


def test_a_loss_that_is_not_positive_is_never_drawn_on_a_log_axis() -> None:
    view = TrainingView(epochs=epochs([1.0, -0.5]))
    spec = drawn(
        charts_training.losses(curve.points(view, "", "total"), title="t", quantity="loss", kept=None, log=True)
    )
    assert spec["layer"][0]["encoding"]["y"]["scale"]["type"] == "linear"
