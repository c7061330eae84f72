"""A Ray of our own on this machine: loopback only, with a token, on free ports, and gone when we are."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from jobs.notify.settings import without_private

STORE_BYTES = 200 * 2**20  # only references travel  # ours
MARK = "CROSSVIEW_RAY_MARK"  # in the environment of everything that belongs to one Ray of ours
PORTS = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
    "object-manager-port",
    "node-manager-port",
    "ray-client-server-port",
)
STOP_S = 6.0  # for Ray to end by itself; its own drain takes 3 s  # ours


class RayDidNotStart(Exception):
    """Ray's own last words are in the message."""


@dataclass
class LocalRay:
    """address: of the Jobs API. token_path: a file of mode 0600 with the token it asks for."""

    address: str
    token_path: Path
    folder: Path
    mark: str
    process: subprocess.Popen[bytes] = field(repr=False)

    @classmethod
    def start(
        cls,
        home: Path,
        *,
        cpus: int | None = None,
        gpus: int | None = None,
        address: str | None = None,
        environ: Mapping[str, str] | None = None,
        timeout_s: float = 90.0,
    ) -> LocalRay:
        """Started and answering. home: where the token is kept; address: where it must answer, else a free port.

        Raises RayDidNotStart with what Ray said.
        """
        mark = uuid.uuid4().hex
        token_path = write_token(home)
        # Ray puts unix sockets into it, whose paths may have 107 characters at most.
        folder = Path(tempfile.mkdtemp(prefix="cv-ray-", dir="/tmp" if Path("/tmp").is_dir() else None))
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        if address is not None:
            ports["dashboard-port"] = urlsplit(address).port or 8265
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--no-monitor"]
        command += ["--node-ip-address", "127.0.0.1", "--dashboard-host", "127.0.0.1", "--disable-usage-stats"]
        command += ["--include-log-monitor", "false", "--temp-dir", str(folder)]
        command += ["--object-store-memory", str(STORE_BYTES), "--num-cpus", str(cpus or os.cpu_count() or 1)]
        command += ["--num-gpus", str(gpus)] if gpus is not None else []
        for name, port in ports.items():
            command += [f"--{name}", str(port)]
        with (folder / "start.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(os.environ if environ is None else environ, token_path=token_path, mark=mark),
                start_new_session=True,
                # Started from a shell's background, SIGINT would be ignored, and with it every soft cancel.
                preexec_fn=_hear_interrupts,
            )
        ray = cls(f"http://127.0.0.1:{ports['dashboard-port']}", token_path, folder, mark, process)
        try:
            ray._wait(timeout_s)
        except BaseException:
            ray.stop()
            raise
        return ray

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def headers(self) -> dict[str, str]:
        return bearer(self.token_path)

    def stop(self) -> None:
        """End all that belongs to this Ray, and nothing else: its leader is asked; what stays is known by its mark."""
        ours = self.members()
        if self.alive:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
        ours |= self.members()
        for member in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()  # psutil compares the time of birth: a number used again is not touched
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        psutil.wait_procs(list(ours), timeout=3)
        shutil.rmtree(self.folder, ignore_errors=True)

    def members(self) -> set[psutil.Process]:
        """Every process that carries this Ray's mark."""
        return marked(self.mark)

    def _wait(self, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if not self.alive:
                raise RayDidNotStart(self._last_words())
            if _has_node(self.address, self.headers()):
                return
            time.sleep(0.2)
        raise RayDidNotStart(f"no answer after {timeout_s:.0f} s; {self._last_words()}")

    def _last_words(self) -> str:
        text = (self.folder / "start.log").read_text(errors="replace").strip()
        return text[-600:] or "it said nothing"


def environment(base: Mapping[str, str], *, token_path: Path, mark: str) -> dict[str, str]:
    """The environment of a Ray of ours: another Ray's variables must not leak into it."""
    kept = {name: value for name, value in without_private(base).items() if not name.startswith("RAY_")}
    metrics = free_ports(2)
    return {
        **kept,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_path),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "3",
        "RAY_JOB_STOP_WAIT_TIME_S": "1",  # from SIGTERM to SIGKILL: a cancel is over within seconds
        "RAY_task_oom_retries": "3",  # Ray itself would try for ever; the job is then tried with more memory a task
        # Since 2.56 Ray ends whatever started last, which may be the supervisor of the job and not its tasks.
        "RAY_worker_killing_policy_by_group": "true",
        # Without it Ray turns 127.0.0.1 into the machine's outside address, and listens on all of them.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "AUTOSCALER_METRIC_PORT": str(metrics[0]),
        "DASHBOARD_METRIC_PORT": str(metrics[1]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]),
        MARK: mark,
    }


def write_token(home: Path) -> Path:
    """A fresh token in a file that only its owner may read."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "ray.token"
    partial = home / f".ray.token.{uuid.uuid4().hex}"
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    partial.replace(path)
    return path


def bearer(token_path: Path | None) -> dict[str, str]:
    if token_path is None:
        return {}
    return {"Authorization": f"Bearer {token_path.read_text(encoding='utf-8').strip()}"}


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, held together while they are chosen so that they differ."""
    with contextlib.ExitStack() as held:
        found = []
        for _ in range(count):
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
        return found


def marked(mark: str, *, variable: str = MARK) -> set[psutil.Process]:
    """Every process of ours whose environment has the variable at this value."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(variable) == mark:
                found.add(process)
    return found


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def nodes(address: str, headers: Mapping[str, str], *, timeout_s: float = 10.0) -> list[dict[str, Any]]:
    """The cluster's living nodes with their resources. Raises httpx.HTTPError."""
    answer = httpx.get(
        f"{address}/api/v0/nodes", params={"detail": "1"}, headers=dict(headers), timeout=timeout_s, trust_env=False
    )
    answer.raise_for_status()
    found = answer.json()["data"]["result"]["result"]
    return [node for node in found if node.get("state") == "ALIVE"]


def _has_node(address: str, headers: Mapping[str, str]) -> bool:
    try:
        return (
            bool(nodes(address, headers, timeout_s=2.0))
            and httpx.get(f"{address}/api/jobs/", headers=dict(headers), timeout=2.0, trust_env=False).status_code
            == 200
        )
    except (httpx.HTTPError, KeyError, TypeError, ValueError):
        return False
