"""The driver of an attempt inside a Ray cluster: chunks as plain tasks, retried when a worker dies."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.driver import Stopped, drained, run_attempt
from jobs.logs import scrub_streams
from jobs.runners.base import Receipt, Task
from jobs.work import open_store, run_task

if TYPE_CHECKING:
    from ray.exceptions import RayError

log = logging.getLogger(__name__)

TRIES = 3  # again, after a worker died  # ours
ON_GPU = frozenset(
    {"translate", "score", "map", "publish", "train", "entry", "analyse"}
)  # all that decode, encode or fit
AHEAD = 2  # tasks in flight for each place to run one  # ours


@dataclass
class RayExecutor:
    """Tasks on the cluster this process is connected to; one CPU each, and a GPU where there are any."""

    store_uri: str
    memory_step: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, tasks: Sequence[Task]) -> Iterator[Receipt]:
        import ray

        with ray_there():
            places, gpus, widest = _places()
            memory = {"memory": _memory(self.memory_step)} if self.memory_step else {}
        remote = _remote_run()
        waiting, flying = list(enumerate(tasks)), dict[Any, int]()
        try:
            while waiting or flying:
                while waiting and len(flying) < AHEAD * places:
                    index, task = waiting.pop(0)
                    gpu = 1 if gpus and task.kind in ON_GPU and task.arguments.get("device") != "cpu" else 0
                    cpus = max(1, min(int(task.arguments.get("threads", 1)), widest))
                    options = remote.options(num_cpus=cpus, num_gpus=gpu, max_retries=TRIES, name=task.kind, **memory)
                    device = "cuda" if gpu else "cpu"
                    with ray_there():
                        flying[options.remote(self.store_uri, asdict(task), device)] = index
                with ray_there():
                    done, _ = ray.wait(list(flying), num_returns=1, timeout=0.2)
                if self._stopped.is_set():
                    raise Stopped
                for reference in done:
                    yield _receipt(reference, tasks[flying.pop(reference)])
        finally:
            for reference in flying:
                ray.cancel(reference, force=True)  # a soft cancel may not reach a long call into C

    def stop(self) -> None:
        self._stopped.set()

    def roomier(self, step: int) -> None:
        """Fewer tasks then share a node: Ray counts what each asks for."""
        self.memory_step = step


@contextmanager
def ray_there() -> Iterator[None]:
    """For calls of Ray itself: whatever they raise tells that it goes, never that the work failed. Raises Stopped."""
    try:
        yield
    except Exception as error:
        log.warning("Ray does not answer any more: %s", _first_line(error))
        raise Stopped from error


def _places() -> tuple[int, int, int]:
    """How many tasks can run at once, on how many GPUs, and the processors of the largest node."""
    import ray

    widest = max((int(node["Resources"].get("CPU", 1)) for node in ray.nodes() if node["Alive"]), default=1)  # type: ignore[no-untyped-call]
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = int(resources.get("GPU", 0))
    return gpus or max(1, int(resources.get("CPU", 1))), gpus, widest


def _memory(step: int) -> int:
    """Bytes for a task: its share of the largest node, doubled `step` times, and never more than the node has."""
    import ray

    nodes: list[dict[str, float]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    largest = max(nodes, key=lambda node: node.get("memory", 0.0), default={})
    room = largest.get("memory", 0.0)
    return int(min(room, room / max(1.0, largest.get("CPU", 1.0)) * 2**step))


def _remote_run() -> Any:
    import ray

    return ray.remote(_run)


def _run(store_uri: str, task: dict[str, Any], device: str) -> dict[str, Any]:
    """On a worker. Plain values in and out: the driver and the worker share no class but through the package."""
    scrub_streams()
    return run_task(store_uri, Task(**task), device=device).result


def _receipt(reference: Any, task: Task) -> Receipt:
    import ray
    from ray.exceptions import RayError

    try:
        return Receipt(task, ray.get(reference))
    except RayError as error:
        return receipt_of(error, task)


def receipt_of(error: RayError, task: Task) -> Receipt:
    """What it means that Ray gave an error for a result. Raises Stopped when Ray itself goes: nothing failed then."""
    from ray.exceptions import OutOfDiskError, OutOfMemoryError, RayTaskError, WorkerCrashedError

    if isinstance(error, OutOfMemoryError):
        return drained(task, times=TRIES + 1, why="the machine ran out of memory", code="out-of-memory")
    if isinstance(error, WorkerCrashedError):
        return drained(task, times=TRIES + 1, why=_first_line(error))
    if isinstance(error, (RayTaskError, OutOfDiskError)):
        raise error
    log.warning("“%s” was lost with the Ray it ran on: %s", task.label, _first_line(error))
    raise Stopped from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:300].rstrip(".")


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m jobs.runners.ray.driver --store URI --job ID --attempt N`, as the entrypoint of a Ray job."""
    import ray

    parser = argparse.ArgumentParser(prog="python -m jobs.runners.ray.driver")
    parser.add_argument("--store", required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--attempt", required=True, type=int)
    given = parser.parse_args(argv)
    scrub_streams()
    ray.init(log_to_driver=False, logging_level=logging.WARNING, include_dashboard=False)
    return run_attempt(open_store(given.store), given.job, given.attempt, RayExecutor(given.store))


if __name__ == "__main__":
    sys.exit(main())
