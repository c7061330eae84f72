"""`crossview evaluate` without a model: any tool's prediction scored against measured cells, on this machine."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from engine.errors import BadSetting
from engine.intake.canonical import CanonicalCells
from engine.intake.mends import Mends
from engine.types import Cells, Modality
from jobs.commands.offline import Taken, taken, to_stderr, write_json
from jobs.fetching import file_name
from jobs.version import code_version


def evaluate_foreign_file(
    *,
    prediction: str,
    truth: str,
    source: str | None = None,
    training: str | None = None,
    scale: str = "",
    out: Path | None = None,
    say: Callable[[str], None] = to_stderr,
) -> dict[str, Any]:
    """The report of a prediction, as a job gives it. source: what it was predicted from; training: learned from.

    Raises BadInput and kin, saying which file and how to mend it.
    """
    from engine.evaluate import as_json
    from engine.foreign import evaluate_foreign
    from engine.predicted import scale_of
    from jobs.evaluation.reading import depths, foreign
    from storage.files import sha256_of

    with ExitStack() as stack:
        mine = stack.enter_context(taken(prediction, say=say, mends=Mends(values=True)))
        target = mine.summary.modality
        true = stack.enter_context(taken(truth, modality=target, say=say))
        learned = stack.enter_context(_cells(training, target, say))
        seen = stack.enter_context(_taken(source, target.other, say))
        found = stack.enter_context(foreign(mine.path))
        depth = None if seen is None else dict(zip(*(column.tolist() for column in depths(seen.path)), strict=True))
        with CanonicalCells.open(true.path) as opened:
            judged = evaluate_foreign(
                found, opened.all(), scale=scale_of(found, asked=scale), source_depth=depth, training=learned
            )
        document = as_json(
            judged.evaluation,
            code_version=code_version(),
            prediction={"name": file_name(prediction), "digest": sha256_of(mine.path)},
            truth={"name": file_name(truth), "digest": sha256_of(true.path)},
        )
    if out is not None:
        write_json(out, document)
    return document


def evaluate_asked(a: Namespace) -> dict[str, Any]:
    """With the model's own nulls where one is named. Raises BadSetting for what it would leave unread."""
    from jobs.commands import offline

    if a.model is None:
        return evaluate_foreign_file(
            prediction=a.prediction, truth=a.truth, source=a.source, training=a.training, scale=a.scale, out=a.out
        )
    if unused := [f"--{name}" for name in ("source", "training", "scale") if getattr(a, name)]:
        raise BadSetting(
            f"{', '.join(unused)} does not go with --model: the model brings its own nulls and scale.",
            hint="Leave one of them out.",
        )
    return offline.evaluate(model=a.model, prediction=Path(a.prediction), truth=a.truth, out=a.out)


@contextmanager
def _taken(source: str | None, modality: Modality, say: Callable[[str], None]) -> Iterator[Taken | None]:
    if source is None:
        yield None
        return
    with taken(source, modality=modality, say=say) as found:
        yield found


@contextmanager
def _cells(source: str | None, modality: Modality, say: Callable[[str], None]) -> Iterator[Cells | None]:
    with _taken(source, modality, say) as found:
        if found is None:
            yield None
            return
        with CanonicalCells.open(found.path) as opened:
            yield opened.all()
