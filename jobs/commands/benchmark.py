"""`crossview benchmark`: contenders × seeds as processes of their own, kept as they finish, then one report."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadInput, BadSetting
from engine.types import Modality
from jobs.commands.both import both_taken
from jobs.commands.entries import Cohort, Order
from jobs.commands.mends import wishes_of
from jobs.commands.offline import make_split, to_stderr, write_json

if TYPE_CHECKING:
    from engine.benchmark.entry import Contender

Say = Callable[[str], None]
BESIDE = ("mean", "depth", "celltype-mean", "ridge")  # stand in every benchmark, unless --only
GUESSED_OUT_OF_MEMORY = -9


@dataclass(frozen=True)
class Asked:
    """A benchmark as it was asked for. only: the contenders named and none beside them."""

    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...]
    out: Path
    part: str = "test"
    batch_column: str = ""
    label_column: str = ""
    device: str = "cpu"
    threads: int = 1
    jobs: int = 1
    only: bool = False
    again: frozenset[str] = frozenset()
    peers: Path | None = None
    ray: str | None = None
    title: str = ""


# -- the command -----------------------------------------------------------------------------------------------------


def run(a: argparse.Namespace) -> int:
    if a.what == "paper":
        from jobs.commands.benchmark_paper import run as run_paper

        return run_paper(a)
    if not a.out:
        raise BadInput("A benchmark needs --out.", hint="crossview benchmark --rna R --atac A --models … --out DIR")
    if a.split is not None and a.hold_out:
        raise BadSetting("--split and --hold-out both say which cells are kept apart.", hint="Give one of them.")
    asked = Asked(
        contenders=contenders_of(a.models, a.contenders, a.set or []),
        seeds=seeds_of(a.seeds),
        out=a.out,
        part=a.part,
        batch_column=a.batch_column,
        label_column=a.label_column,
        device=a.device,
        threads=a.threads,
        jobs=max(1, a.jobs),
        only=a.only,
        again=frozenset(filter(None, a.again.split(","))),
        peers=a.peers,
        ray=a.ray,
        title=a.title,
    )
    if asked.contenders:
        _check(asked.contenders)  # before any file is read
    with cohort(a) as found:
        document = benchmark(asked, found)
    if a.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print((a.out / "benchmark.md").read_text(encoding="utf-8"))
    return 0


def contenders_of(models: str, file: Path | None, settings: Sequence[str]) -> tuple[Contender, ...]:
    """Those of --models with their --set, then those of the file. Raises BadSetting, BadInput."""
    from engine.benchmark.entry import Contender

    named = [key.strip() for key in models.split(",") if key.strip()]
    given: dict[str, dict[str, str]] = {key: {} for key in named}
    for text in settings:
        left, equals, value = text.partition("=")
        model, dot, name = left.partition(".")
        if not (equals and dot) or model not in given:
            raise BadSetting(f"--set {text!r} names no model of --models.", hint="Write --set MODEL.NAME=VALUE.")
        given[model][name.strip()] = value.strip()
    found = [Contender(key, given[key]) for key in named]
    if file is not None:
        try:
            listed = json.loads(file.read_text(encoding="utf-8"))
            for item in listed:
                chosen = {str(k): _as_text(v) for k, v in item.get("settings", {}).items()}
                own = tuple(int(seed) for seed in item.get("seeds", ()))
                found.append(Contender(str(item["model"]), chosen, str(item.get("label", "")), own))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise BadInput(
                f"{file.name} lists no contenders ({problem!r}).",
                hint='It holds [{"model": "ridge", "settings": {"rank": 50}, "label": "ridge, rank 50"}, …].',
            ) from problem
    twice = {c.name for c in found if sum(c.name == other.name for other in found) > 1}
    if twice:
        raise BadSetting(f"Two contenders are called {sorted(twice)[0]!r}.", hint='Give each a "label" of its own.')
    return tuple(found)


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def seeds_of(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as problem:
        raise BadSetting(f"--seeds {text!r} are no whole numbers.", hint="For example --seeds 0,1,2.") from problem


@contextmanager
def cohort(a: argparse.Namespace, *, say: Say = to_stderr) -> Iterator[Cohort]:
    """Both files taken in, and the split written beside their clean copies; gone when the block ends."""
    with ExitStack() as stack:
        both = stack.enter_context(both_taken(rna=a.rna, atac=a.atac, pair=a.pair, wishes=wishes_of(a), say=say))
        rna, atac = both[Modality.RNA], both[Modality.ATAC]
        path = a.split
        if path is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossview-")))
            path = folder / "split.json"
            whole = Cohort(str(rna.path), str(atac.path), "", a.genome)
            split = make_split(whole.paired().rna, hold_out=a.hold_out, seed=a.split_seed)
            write_json(path, asdict(split))
        yield Cohort(str(rna.path), str(atac.path), str(path), a.genome, {} if a.filters == "paper" else None)


# -- running it ------------------------------------------------------------------------------------------------------


def benchmark(asked: Asked, found: Cohort, *, say: Say = to_stderr) -> dict[str, Any]:
    """Make the entries that are missing, then write benchmark.json and benchmark.md; returns the first.

    A contender that fails has its line say why; the others go on. Raises BadInput when every one failed.
    """
    from engine.benchmark.entry import SEEDLESS, EntryResult, entry_key, pair_digest, split_digest
    from engine.benchmark.judge import Judge

    pair, split, kept = found.prepared()
    judge = Judge(pair, split, "valid" if asked.part == "valid" else "test", asked.batch_column, asked.label_column)
    contenders = _beside(asked, labelled=bool((judge.labels_n != "").any()))
    _check(contenders)
    entries = asked.out / "entries"
    entries.mkdir(parents=True, exist_ok=True)
    data, cut = pair_digest(pair), split_digest(split)
    options = {"batches": asked.batch_column, "labels": judge.label_column}
    orders = []
    for contender in contenders:
        seeds = contender.seeds or asked.seeds
        for seed in seeds[:1] if contender.model in SEEDLESS else seeds:
            key = entry_key(contender=contender, seed=seed, part=asked.part, data=data, split=cut, options=options)
            orders.append(
                Order(
                    key=key,
                    folder=str(entries.absolute()),
                    cohort=found,
                    model=contender.model,
                    label=contender.name,
                    seed=seed,
                    settings=dict(contender.settings),
                    part=asked.part,
                    batch_column=asked.batch_column,
                    label_column=judge.label_column,
                    device=asked.device,
                    threads=asked.threads,
                )
            )
    wanted = {o.key: o for o in orders if o.label in asked.again or not (entries / f"{o.key}.json").is_file()}
    missing = list(wanted.values())
    say(
        f"{len(contenders)} contenders, {len(orders)} entries, {len(orders) - len(missing)} of them there already: "
        f"{len(split.train):,} training cells, {len(judge.rows):,} {asked.part} cells, "
        f"{len(pair.rna.space):,} genes, {len(pair.atac.space):,} peaks"
    )
    _run_all(missing, asked, say)
    results, failures = [], []
    for order in orders:
        if (entries / f"{order.key}.json").is_file():
            result = EntryResult.load(entries, order.key)
            result.document["contender"]["label"] = order.label
            result.document["key"] = order.key
            results.append(result)
        else:
            failures.append({"label": order.label, "seed": order.seed, **_failure(entries, order.key)})
    if not results:
        raise BadInput("Every entry failed.", hint=f"{failures[0]['message']} {failures[0]['hint']}")
    truth = {**judge.standing(), "data": data, "split": cut, "filters": kept}
    return _report(asked, results, failures, truth, contenders)


def _report(
    asked: Asked,
    results: Sequence[Any],
    failures: Sequence[Mapping[str, Any]],
    truth: Mapping[str, Any],
    contenders: Sequence[Contender],
) -> dict[str, Any]:
    from engine.benchmark.markdown import markdown
    from engine.benchmark.report import assemble
    from jobs.version import code_version

    document = assemble(
        results,
        truth=truth,
        failures=failures,
        order=[c.name for c in contenders],
        peers=_peers(asked.peers),
        title=asked.title,
        code_version=code_version(),
    )
    write_json(asked.out / "benchmark.json", document)
    (asked.out / "benchmark.md").write_text(markdown(document), encoding="utf-8")
    return document


def _peers(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError) as problem:
        raise BadInput(
            f"{path.name} cannot be read: {problem}.", hint="It holds scores by model, as JSON."
        ) from problem


def _beside(asked: Asked, *, labelled: bool) -> tuple[Contender, ...]:
    """The contenders with nulls and ridge first, those that are not there already."""
    from engine.benchmark.entry import Contender
    from engine.translators.registry import MODELS

    if asked.only:
        return asked.contenders
    plain = {c.model for c in asked.contenders if not c.settings}
    names = {c.name for c in asked.contenders}
    added = [
        Contender(key)
        for key in BESIDE
        if key in MODELS and key not in plain and key not in names and (labelled or key != "celltype-mean")
    ]
    return (*added, *asked.contenders)


def _check(contenders: Sequence[Contender]) -> None:
    """Unknown models and bad settings are refused before anything runs; a missing extra costs only its own line."""
    from engine.errors import MissingExtra
    from engine.translators.registry import recipe

    if not contenders:
        raise BadInput("No contender was named.", hint="For example --models knn,ridge,crossmp.")
    for contender in contenders:
        try:
            recipe(contender.model, contender.settings)
        except MissingExtra:
            continue


def _failure(entries: Path, key: str) -> dict[str, str]:
    path = entries / f"{key}.failed.json"
    if not path.is_file():
        return {"code": "missing", "message": "The entry was not made.", "hint": "Run the benchmark again."}
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return {name: found.get(name, "") for name in ("code", "message", "hint")}


def _run_all(orders: Sequence[Order], asked: Asked, say: Say) -> None:
    if not orders:
        return
    if asked.ray is not None:
        from jobs.runners.ray.entries import run_orders

        run_orders(orders, address=asked.ray, say=say)
        return
    running: dict[str, subprocess.Popen[bytes]] = {}
    lock = threading.Lock()
    pool = ThreadPoolExecutor(asked.jobs)
    futures = {pool.submit(_run_one, order, running, lock): order for order in orders}
    try:
        for done, future in enumerate(as_completed(futures), start=1):
            order = futures[future]
            say(f"[{done}/{len(orders)}] {order.label}, seed {order.seed}: {future.result()}")
    except BaseException:
        for future in futures:
            future.cancel()
        with lock:
            for process in running.values():
                process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_one(order: Order, running: dict[str, subprocess.Popen[bytes]], lock: threading.Lock) -> str:
    """Make one entry in a process of its own; returns a few words about it."""
    folder = Path(order.folder)
    path = folder / f"{order.key}.order.json"
    order.write(path)
    (folder / f"{order.key}.failed.json").unlink(missing_ok=True)
    started = time.monotonic()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(order.threads))
    with (folder / f"{order.key}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs.commands.entries", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **threads},
        )
        with lock:
            running[order.key] = process
        code = process.wait()
    with lock:
        running.pop(order.key, None)
    path.unlink(missing_ok=True)
    if code == 0:
        return said(json.loads((folder / f"{order.key}.json").read_bytes()), time.monotonic() - started)
    failed = folder / f"{order.key}.failed.json"
    if not failed.is_file():
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        memory = ", as when memory runs out" if code == GUESSED_OUT_OF_MEMORY else ""
        failed.write_text(
            json.dumps(
                {
                    "code": "ended",
                    "message": f"Its process ended without a word ({ended}{memory}).",
                    "hint": f"{order.key}.log holds what it said; the same command goes on from here.",
                }
            ),
            encoding="utf-8",
        )
    return f"failed: {_failure(folder, order.key)['message']}"


def said(document: Mapping[str, Any], seconds: float) -> str:
    """An entry in a few words."""
    scores = []
    for direction, main in (("atac-to-rna", "gene_pearson"), ("rna-to-atac", "peak_auroc_depth_adjusted")):
        found = document["directions"].get(direction)
        if found and found["scores"][main]["value"] is not None:
            scores.append(f"{main} {found['scores'][main]['value']:.4f}")
    return f"{', '.join(scores)} ({document['costs']['train_s']:,.0f} s training, {seconds:,.0f} s in all)"
