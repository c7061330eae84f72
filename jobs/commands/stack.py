"""What `crossview up` starts on this machine, Ray and the server, as children that can be watched and ended whole."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from jobs.errors import Conflict, Unreachable
from jobs.settings import REPOSITORY, Settings

if TYPE_CHECKING:
    from jobs.runners.ray.cluster import LocalRay

MARK = "CROSSVIEW_STACK_MARK"  # in the environment of everything one stack started
READY_S = 120.0  # for the server to answer, on a machine that compiles its first bytecode  # ours
STOP_S = 6.0  # for the server to end by itself  # ours
PORTS_TRIED = 100
Say = Callable[[str], None]


@dataclass
class Stack:
    """url: where the pages and the API are. ray: None where another cluster, or none, is used."""

    home: Path
    url: str
    mark: str
    server: subprocess.Popen[bytes]
    ray: LocalRay | None
    compiling: subprocess.Popen[bytes] = field(repr=False)
    environ: dict[str, str] = field(repr=False)

    @classmethod
    def start(cls, *, home: Path, port: int, say: Say = lambda line: None) -> Stack:
        """Ray, then the server, both answering. Raises Unreachable with the reason and where to read more."""
        home.mkdir(parents=True, exist_ok=True, mode=0o700)  # cells of people may lie there
        _end_leftovers(home, say)
        mark = uuid.uuid4().hex
        port = free_port(port)
        environ = {**os.environ, "CROSSVIEW_HOME": str(home), "CROSSVIEW_PORT": str(port), MARK: mark}
        for name in ("CROSSVIEW_API_URL", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            environ.pop(name, None)
        settings = Settings.from_env(environ)
        compiling = _compile_maps(environ)
        ray: LocalRay | None = None
        server: subprocess.Popen[bytes] | None = None
        try:
            if settings.runner == "ray" and "CROSSVIEW_RAY_ADDRESS" not in os.environ:
                say("Starting Ray …")
                ray = start_ray(home, environ)
                environ["CROSSVIEW_RAY_ADDRESS"] = ray.address
                environ["CROSSVIEW_RAY_TOKEN_PATH"] = str(ray.token_path)
            say("Starting CrossView …")
            server = _start_server(home, port, environ, host=settings.host)
            stack = cls(home, settings.url, mark, server, ray, compiling, environ)
            stack._remember()
            stack._wait_for_server()
        except BaseException:
            _end(server, compiling, mark)
            if ray is not None:
                ray.stop()
            raise
        return stack

    @property
    def server_log(self) -> Path:
        return self.home / "logs" / "server.log"

    def server_alive(self) -> bool:
        self.compiling.poll()  # reaped in passing, here where somebody looks now and then
        return self.server.poll() is None

    def ray_alive(self) -> bool:
        return self.ray is None or self.ray.alive

    def restart_ray(self) -> None:
        """A new Ray at the old address. Raises Unreachable when it does not come up."""
        assert self.ray is not None
        old = self.ray
        old.stop()
        self.ray = start_ray(self.home, self.environ, address=old.address)
        self._remember()

    def stop(self) -> None:
        """Everything that was started, and nothing else."""
        _end(self.server, self.compiling, self.mark)
        if self.ray is not None:
            self.ray.stop()
        (self.home / "up.json").unlink(missing_ok=True)

    def _wait_for_server(self) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            if not self.server_alive():
                raise Unreachable(
                    f"The server ended at once: {_last_line(self.server_log)}", hint=f"Read {self.server_log}."
                )
            if answers(self.url, timeout_s=2.0):
                return
            time.sleep(0.2)
        raise Unreachable(f"The server did not answer within {READY_S:.0f} s.", hint=f"Read {self.server_log}.")

    def _remember(self) -> None:
        """Who runs here, for whoever comes after an interruption."""
        me = psutil.Process()
        document = {
            "pid": me.pid,
            "born": me.create_time(),
            "url": self.url,
            "mark": self.mark,
            "ray_mark": self.ray.mark if self.ray else None,
            "ray_folder": str(self.ray.folder) if self.ray else None,
        }
        partial = self.home / "up.json.partial"
        partial.write_text(json.dumps(document), encoding="utf-8")
        partial.replace(self.home / "up.json")


def start_ray(home: Path, environ: dict[str, str], *, address: str | None = None) -> LocalRay:
    from jobs.runners.ray.cluster import LocalRay, RayDidNotStart

    try:
        # Without the stack's mark: Ray is ended by its own, after the server.
        given = {name: value for name, value in environ.items() if name != MARK}
        return LocalRay.start(home, environ=given, address=address)
    except RayDidNotStart as error:
        raise Unreachable(
            f"Ray did not start: {error}",
            hint="`crossview doctor` says more; CROSSVIEW_RUNNER=local runs jobs on this machine without Ray.",
        ) from error


def answers(url: str, *, timeout_s: float = 5.0) -> bool:
    """Whether a CrossView answers there, and not whatever else may sit on this port."""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/api/v1/health", timeout=timeout_s, trust_env=False)
        said = answer.json()
        # Where people sign in, a stranger learns no more than that there is a door.
        return bool(said.get("name") == "crossview" or said.get("code") == "not-signed-in")
    except (httpx.HTTPError, ValueError, AttributeError):
        return False


def free_port(first: int) -> int:
    """The first port from here on where nobody listens. Raises Unreachable when all are taken."""
    for port in range(first, min(first + PORTS_TRIED, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise Unreachable(f"Ports {first} to {first + PORTS_TRIED - 1} are all in use.", hint="Choose another with --port.")


def any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start_server(home: Path, port: int, environ: dict[str, str], *, host: str) -> subprocess.Popen[bytes]:
    (home / "logs").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "uvicorn", "app.serve:app", "--host", host, "--port", str(port)]
    command += ["--log-level", "warning", "--no-access-log", "--no-proxy-headers", "--timeout-graceful-shutdown", "3"]
    with (home / "logs" / "server.log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=REPOSITORY,  # where .streamlit/config.toml is read
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _compile_maps(environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """The first UMAP of a machine compiles for half a minute: meanwhile, and behind everything else.

    When it still compiles, the first job waits for it and profits.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "engine.maps"],
        env={**environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_modest,
    )


def _modest() -> None:
    os.nice(10)


def _end(server: subprocess.Popen[bytes] | None, compiling: subprocess.Popen[bytes], mark: str) -> None:
    """The server is asked; what is left, its children and the compiler, is killed, known by its mark."""
    if server is not None and server.poll() is None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_S)
    _kill_marked(MARK, mark)
    for child in (server, compiling):
        if child is not None:
            child.wait()


def _kill_marked(variable: str, mark: str) -> int:
    from jobs.runners.ray.cluster import marked

    found = marked(mark, variable=variable)
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(list(found), timeout=3)
    return len(found)


def _end_leftovers(home: Path, say: Say) -> None:
    """What a killed `crossview up` of the same home left behind. Raises Conflict when it is still alive."""
    path = home / "up.json"
    if not path.exists():
        return
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if _is(int(known["pid"]), float(known["born"])):
        raise Conflict(
            f"CrossView already runs at {known['url']} from {home}.", hint="Use that one, or give another --home."
        )
    from jobs.runners.ray.cluster import MARK as RAY_MARK

    ended = _kill_marked(MARK, known["mark"])
    if known.get("ray_mark"):
        ended += _kill_marked(RAY_MARK, known["ray_mark"])
    folder = Path(known["ray_folder"]) if known.get("ray_folder") else None
    if folder is not None and folder.name.startswith("cv-ray-"):
        shutil.rmtree(folder, ignore_errors=True)
    path.unlink(missing_ok=True)
    if ended:
        say(f"Ended {ended} processes that an interrupted run had left behind.")


def _is(pid: int, born: float) -> bool:
    try:
        return bool(abs(psutil.Process(pid).create_time() - born) < 1.0)
    except psutil.NoSuchProcess:
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:300] if lines else "it said nothing"


@contextlib.contextmanager
def private_home() -> Any:
    """A home that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="crossview-") as folder:
        yield Path(folder)
