"""A Ray of two nodes on this machine, each of which can be killed, frozen and started again by itself."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from jobs.runners.ray.cluster import (
    MARK,
    PORTS,
    STORE_BYTES,
    bearer,
    environment,
    free_ports,
    marked,
    nodes,
    write_token,
)

NODE_PORTS = tuple(name for name in PORTS if name not in ("port", "dashboard-port", "ray-client-server-port"))
READY_S = 120.0
# A node that does not answer is given up after about 18 s instead of half a minute: an operator's setting of Ray.
QUICK = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_worker_niceness": "0",
    "RAY_num_workers_soft_limit": "3",  # idle workers that are kept: those of each job that runs
    "RAY_gcs_rpc_server_reconnect_timeout_s": "15",
}


@dataclass
class Node:
    """One `ray start --block` with all it started, known by a mark in their environment. path: python looks there."""

    name: str
    command: list[str]
    environ: dict[str, str]
    log: Path
    mark: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.mark = uuid.uuid4().hex
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environ, MARK: self.mark},
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def members(self) -> list[psutil.Process]:
        """Everything that runs on this node, or ran there when its node went."""
        return sorted(marked(self.mark), key=lambda process: process.pid) if self.mark else []

    def named(self, *words: str) -> list[psutil.Process]:
        """Its processes whose command line has one of these words."""
        found = []
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if any(word in line for word in words):
                    found.append(process)
        return found

    def end(self) -> None:
        """What is left of it goes, as a machine that is switched off."""
        for process in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, *, patience_s: float = 8.0) -> None:
        """Asked to end as an operator would ask; what stays is not touched."""
        if self.process is not None and self.alive:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)


@dataclass
class Cluster:
    """address: of the Jobs API. head: with the GCS and one processor. second: a node of one processor more."""

    address: str
    gcs: str
    token: Path
    head: Node
    second: Node

    @classmethod
    def plan(cls, folder: Path, environ: Mapping[str, str]) -> Cluster:
        """Nothing is started. folder: short, since Ray puts sockets there whose paths may have 107 characters."""
        token = write_token(folder)
        base = {**environment(environ, token_path=token, mark=""), **QUICK}
        numbers = dict(zip((*PORTS, *(f"second {name}" for name in NODE_PORTS)), free_ports(15), strict=True))
        common = ["start", "--block", "--node-ip-address", "127.0.0.1"]
        common += ["--disable-usage-stats", "--include-log-monitor", "false", "--num-cpus", "1"]
        common += ["--object-store-memory", str(STORE_BYTES)]
        head = [
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            *common,
            "--head",
            "--no-monitor",
            "--dashboard-host",
            "127.0.0.1",
            "--temp-dir",
            str(folder / "ray"),
        ]
        head += [f"--{name}={numbers[name]}" for name in PORTS]
        second = [sys.executable, "-m", "tests.chaos.joining", *common, f"--address=127.0.0.1:{numbers['port']}"]
        second += [f"--{name}={numbers[f'second {name}']}" for name in NODE_PORTS]
        return cls(
            f"http://127.0.0.1:{numbers['dashboard-port']}",
            f"127.0.0.1:{numbers['port']}",
            token,
            Node("head", head, dict(base), folder / "head.log"),
            Node("second", second, dict(base), folder / "second.log"),
        )

    def start_head(self) -> None:
        # A second node that still runs here would pass for the old head, which on a machine of its own it cannot.
        (self.token.parent / "ray" / "ray_current_cluster").unlink(missing_ok=True)
        self.head.start()
        self._wait(1, self.head)

    def start_second(self) -> None:
        self.second.start()
        self._wait(2, self.second)

    def living(self) -> int:
        """Nodes that Ray counts as alive; 0 where it does not answer."""
        try:
            return len(nodes(self.address, bearer(self.token), timeout_s=3.0))
        except (httpx.HTTPError, OSError, KeyError, TypeError, ValueError):
            return 0

    def both(self) -> Iterator[Node]:
        yield self.second
        yield self.head

    def _wait(self, count: int, node: Node) -> None:
        end = time.monotonic() + READY_S
        while self.living() < count:
            if not node.alive or time.monotonic() > end:
                raise RuntimeError(
                    f"The {node.name} node did not start:\n{node.log.read_text(errors='replace')[-2000:]}"
                )
            time.sleep(0.2)
