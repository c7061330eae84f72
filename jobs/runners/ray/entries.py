"""Benchmark entries on a Ray cluster: the clean copies travel once as objects, an entry is a process of its own."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jobs.commands.entries import Cohort, Order, make

TRIES = 2  # again, after a worker died  # ours


def run_orders(orders: Sequence[Order], *, address: str, say: Callable[[str], None]) -> None:
    """Make entries on the cluster at this address ("local" starts one here) and save them where each order says.

    One CPU an entry, and a GPU where there are any and the order does not say cpu; what a worker cannot do is written
    as KEY.failed.json. Entries are not resumed in the middle: a worker's disk is not kept.
    """
    import ray

    started = not ray.is_initialized()
    if started:
        where = {} if address == "local" else {"address": address}
        ray.init(log_to_driver=False, logging_level=logging.WARNING, include_dashboard=False, **where)  # type: ignore[arg-type]
    try:
        _run_orders(orders, say)
    finally:
        if started:
            ray.shutdown()


def _run_orders(orders: Sequence[Order], say: Callable[[str], None]) -> None:
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = int(resources.get("GPU", 0))
    files = {path: ray.put(Path(path).read_bytes()) for path in _paths(orders)}
    # A worker that lives for one entry: its memory is this entry's alone.
    remote: Any = ray.remote(max_calls=1)(_make)
    flying: dict[Any, Order] = {}
    for order in orders:
        gpu = 1 if gpus and order.device != "cpu" else 0
        options = remote.options(num_cpus=order.threads, num_gpus=gpu, max_retries=TRIES, name=f"entry {order.key}")
        cohort = order.cohort
        reference = options.remote(asdict(order), files[cohort.rna], files[cohort.atac], files[cohort.split])
        flying[reference] = order
    done = 0
    try:
        while flying:
            ready, _ = ray.wait(list(flying), num_returns=1)
            for reference in ready:
                order, done = flying.pop(reference), done + 1
                say(f"[{done}/{len(orders)}] {order.label}, seed {order.seed}: {_settled(reference, order)}")
    finally:
        for reference in flying:
            ray.cancel(reference, force=True)


def _paths(orders: Sequence[Order]) -> set[str]:
    return {path for order in orders for path in (order.cohort.rna, order.cohort.atac, order.cohort.split)}


def _settled(reference: Any, order: Order) -> str:
    """Save what came back; returns a few words about it."""
    import ray
    from ray.exceptions import RayError

    from jobs.commands.benchmark import said

    folder = Path(order.folder)
    try:
        found: Mapping[str, Any] = ray.get(reference)
    except RayError as error:
        first = (str(error).strip().splitlines() or ["no reason given"])[0][:300]
        found = {"failure": {"code": "ended", "message": f"Its worker ended: {first}", "hint": "Run it again."}}
    if "failure" in found:
        (folder / f"{order.key}.failed.json").write_text(json.dumps(found["failure"]), encoding="utf-8")
        return f"failed: {found['failure']['message']}"
    from engine.benchmark.entry import EntryResult

    result = EntryResult.from_bytes(found["document"], found["pulls"])
    result.save(folder, order.key)
    (folder / f"{order.key}.failed.json").unlink(missing_ok=True)
    return said(result.document, found["seconds"])


def _make(document: dict[str, Any], rna: bytes, atac: bytes, split: bytes) -> dict[str, Any]:
    """On a worker: the copies to its disk, the entry, and its two files back as bytes."""
    import time

    from jobs.failures import failure_of

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crossview-") as scratch:
        folder = Path(scratch)
        paths: dict[str, str] = {}
        for name, data in (("rna", rna), ("atac", atac), ("split", split)):
            (folder / name).write_bytes(data)
            paths[name] = str(folder / name)
        cohort = Cohort(**paths, genome=document["cohort"]["genome"], filters=document["cohort"]["filters"])
        order = Order(**{**document, "cohort": cohort, "folder": scratch})
        try:
            entry = make(replace(order, checkpoints=False)).to_bytes()
        except Exception as error:
            return {"failure": failure_of(error).model_dump(include={"code", "message", "hint"})}
    return {"document": entry[0], "pulls": entry[1], "seconds": time.monotonic() - started}
