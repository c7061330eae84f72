"""Ray's own memory monitor against our tasks: `python -m tests.chaos.memory` prints what happened as JSON.

Tasks of a real job each hold so much that one fits and two do not. Ray ends the younger of two, again and again;
the job is then tried with twice the memory a task, one at a time, and succeeds. Nobody else is in danger: Ray ends only
its own workers, and all together takes about twice `--hold`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from engine.types import Direction
from jobs.bootstrap import opened
from jobs.runners.ray import cluster
from jobs.runners.ray.runner import RayRunner
from jobs.spec import TranslateSpec
from tests.labs import MODEL, build_catalog, ended, imported, lab_settings

OF_RAY = 1_400 * 10**6  # bytes that Ray and the server take themselves, about
HOLD_S = 4.0  # for which a task keeps what it took
SHIM = '''"""Of a fault suite: tasks that translate take {hold} bytes for {seconds} s first."""
import importlib.util
import sys


class _Hungry:
    def find_spec(self, name, path=None, target=None):
        if name != "jobs.work":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            usual = module.run_task

            def hungry(store_uri, task, **more):
                if task.kind == "translate":
                    import time

                    held = b"x" * {hold}
                    time.sleep({seconds})
                    del held
                return usual(store_uri, task, **more)

            module.run_task = hungry

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Hungry())
'''


def run(hold: int) -> dict[str, Any]:
    """hold: bytes a task takes; Ray may use half as much again, beside itself and what is used now."""
    memory = psutil.virtual_memory()
    threshold = (memory.total - memory.available + OF_RAY + 1.5 * hold) / memory.total
    usual = cluster.environment
    with tempfile.TemporaryDirectory(prefix="crossview-memory-") as name:
        folder = Path(name)
        (folder / "shim").mkdir()
        (folder / "shim" / "sitecustomize.py").write_text(SHIM.format(hold=hold, seconds=HOLD_S), encoding="utf-8")
        path = os.pathsep.join([str(folder / "shim"), os.environ.get("PYTHONPATH", "")])
        watched = {"RAY_memory_usage_threshold": f"{threshold:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
        with mock.patch.object(
            cluster, "environment", lambda *given, **more: {**usual(*given, **more), **watched, "PYTHONPATH": path}
        ):
            ray = cluster.LocalRay.start(folder / "ray", cpus=2)
        try:
            return {"hold_mb": hold // 10**6, "threshold": round(threshold, 4), **_job(folder, ray)}
        finally:
            ray.stop()


def _job(folder: Path, ray: cluster.LocalRay) -> dict[str, Any]:
    settings = replace(lab_settings(folder / "home", build_catalog(folder / "pretrained")), runner="ray")
    runner = RayRunner(ray.address, token_path=ray.token_path)
    with opened(settings, runner=runner) as client:
        rna = imported(client, f"example:{MODEL}/rna").id
        spec = TranslateSpec(model=MODEL, rna=rna, directions=(Direction.RNA_TO_ATAC,), umap=False, chunk_cells=3)
        job = ended(client, client.submit(spec), seconds=500)
        moves = [
            {"to": event.to_state, "attempt": event.attempt, "reason": event.detail.get("reason", "")}
            for event in client.events(job.id)
            if event.to_state is not None
        ]
        log = client.logs(job.id, tail=10_000)
    return {
        "state": job.state,
        "attempts": job.attempt,
        "moves": moves,
        "ended_by_ray": log.count("failed due to oom"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.memory", description=__doc__)
    parser.add_argument("--hold", type=int, default=1_500, help="MB that a task takes")
    asked = parser.parse_args()
    if psutil.virtual_memory().available < 6 * asked.hold * 10**6:
        print(f"less than {6 * asked.hold:,} MB are free: this is not the place", file=sys.stderr)
        return 2
    found = run(asked.hold * 10**6)
    print(json.dumps(found, indent=1, default=str))
    return 0 if found["state"] == "SUCCEEDED" and found["attempts"] > 1 else 1


if __name__ == "__main__":
    sys.exit(main())
