"""The tasks of a benchmark: an entry each contender and seed, side by side, then one report of them all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jobs import layout
from jobs.settings import Settings
from jobs.spec import BenchmarkSpec
from jobs.spec import Contender as Asked
from jobs.training.checkpoints import StoreCheckpoints, read_or_none
from jobs.training.pairs import prepared
from jobs.version import code_version
from jobs.work import Attempt

if TYPE_CHECKING:
    from engine.benchmark.entry import Contender, EntryResult
    from engine.fitting import Prepared

Arguments = Mapping[str, Any]
BESIDE = ("mean", "depth", "celltype-mean", "ridge")  # stand in every benchmark: a score alone says little
NEED_LABELS = frozenset({"celltype-mean"})


def lineup(spec: BenchmarkSpec, *, labelled: bool) -> tuple[Asked, ...]:
    """The contenders, after the yardsticks that are not among them. labelled: whether the cells carry labels."""
    plain = {each.model for each in spec.contenders if not each.settings}
    taken = {each.label or each.model for each in spec.contenders}
    fit = [key for key in BESIDE if labelled or key not in NEED_LABELS]
    return (*(Asked(model=key) for key in fit if key not in plain | taken), *spec.contenders)


def is_labelled(attempt: Attempt, found: Prepared) -> bool:
    """Whether the cells that judge carry labels. Raises BadSetting and NoCells where they cannot be judged at all."""
    from engine.benchmark.judge import Judge

    judge = Judge(found.pair, found.used, batch_column=attempt.benchmark.batch_column)
    return bool((judge.labels_n != "").any())


def places(spec: BenchmarkSpec, *, labelled: bool) -> Iterator[tuple[int, int]]:
    """Contender and seed of each entry; what draws nothing is fitted once."""
    from engine.benchmark.entry import SEEDLESS

    for i, each in enumerate(lineup(spec, labelled=labelled)):
        for seed in spec.seeds[:1] if each.model in SEEDLESS else spec.seeds:
            yield i, seed


def make_entry(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """Fit and score one contender with one seed; an entry that is there already is left as it is."""
    from engine.benchmark.entry import run_entry
    from engine.benchmark.meter import Meter, warm_imports
    from engine.translators.base import Hooks
    from engine.translators.registry import recipe
    from jobs.training.tasks import Wanted, chosen_device

    place, seed = int(arguments["contender"]), int(arguments["seed"])
    key = _key(attempt, place, seed)
    if attempt.store.exists(key + ".json"):
        return {"made": key, "reused": True}
    unfinished = StoreCheckpoints(attempt.store, key + ".checkpoints/")
    contender = _contenders(attempt, arguments)[place]
    recipe(contender.model, contender.settings)  # imports its module, and refuses bad settings before any data are read
    warm_imports()
    meter = Meter()
    with meter.part("data"):
        found = prepared.__wrapped__(attempt)  # not a kept one: its memory is part of the entry's
    hooks = Hooks(
        on_epoch=Wanted(attempt).look,
        device=chosen_device(attempt.benchmark.device, device),
        threads=1,
        checkpoints=unfinished,
        checkpoint_s=Settings.from_env().checkpoint_seconds,
    )
    result = run_entry(
        found.pair,
        found.used,
        contender=contender,
        seed=seed,
        batch_column=attempt.benchmark.batch_column,
        hooks=hooks,
        meter=meter,
        code_version=code_version(),
    )
    document, pulls = result.to_bytes()
    attempt.store.put_bytes(key + ".npz", pulls)
    attempt.store.put_bytes(key + ".json", document)
    unfinished.clear()
    return {"made": key, "reused": False}


def publish_benchmark(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """benchmark.json and benchmark.md of the entries that were made; `failures` in the arguments are the others."""
    from engine.benchmark.judge import Judge
    from engine.benchmark.markdown import markdown
    from engine.benchmark.report import assemble
    from jobs.assemble import plain, put_output

    spec, found = attempt.benchmark, prepared(attempt)
    truth = Judge(found.pair, found.used, batch_column=spec.batch_column).standing()
    document = assemble(
        list(_entries(attempt, arguments)),
        truth={**truth, "filters": found.kept, "split": found.counts, "leaks": found.leaks.as_dict()},
        failures=arguments["failures"],
        order=[each.name for each in _contenders(attempt, arguments)],
        title=str(arguments.get("title", "")),
        code_version=code_version(),
    )
    text = json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    artifacts = [
        put_output(attempt, "benchmark.json", text.encode(), "application/json", "All scores, with intervals."),
        put_output(
            attempt, "benchmark.md", markdown(document).encode(), "text/plain; charset=utf-8", "The same as tables."
        ),
        put_output(attempt, "split.json", split_text(found).encode(), "application/json", "Cells on each side."),
    ]
    said = {"contenders": len(document["contenders"]), "failures": len(arguments["failures"]), "split": found.counts}
    return {"artifacts": artifacts, "summary": said}


def split_text(found: Prepared) -> str:
    """What `--split` reads."""
    from engine.splits import split_document

    return json.dumps(split_document(found.split))


def _contenders(attempt: Attempt, arguments: Arguments) -> list[Contender]:
    from engine.benchmark.entry import Contender

    found = lineup(attempt.benchmark, labelled=bool(arguments["labelled"]))
    return [Contender(each.model, dict(each.settings), each.label) for each in found]


def _entries(attempt: Attempt, arguments: Arguments) -> Iterator[EntryResult]:
    from engine.benchmark.entry import EntryResult

    for place, seed in places(attempt.benchmark, labelled=bool(arguments["labelled"])):
        key = _key(attempt, place, seed)
        if (document := read_or_none(attempt.store, key + ".json")) is not None:
            yield EntryResult.from_bytes(document, attempt.store.get_bytes(key + ".npz"))


def _key(attempt: Attempt, place: int, seed: int) -> str:
    return layout.training(attempt.job, attempt.spec_digest, f"entries/{place:03d}-{seed}")
