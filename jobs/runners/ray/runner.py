"""Attempts as Ray jobs, over the Jobs API: HTTP only, so that a Ray that dies never takes the dashboard with it."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from engine.errors import BadSetting
from jobs.runners import memory
from jobs.runners.base import Capacity, RunnerState, RunnerStatus, RunnerUnreachable
from jobs.runners.ray.cluster import bearer, nodes
from jobs.settings import is_loopback

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

PATIENCE_S = 10.0  # for one answer  # ours
LOG_TAIL = 2**18  # characters of a log that are kept  # ours
OVERRIDES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")  # Ray's client prefers them to the address it is given


_STATES = {
    "PENDING": RunnerState.PENDING,
    "RUNNING": RunnerState.RUNNING,
    "STOPPED": RunnerState.STOPPED,
    "SUCCEEDED": RunnerState.SUCCEEDED,
    "FAILED": RunnerState.FAILED,
}


class RayRunner:
    """address: of the Jobs API, such as http://127.0.0.1:8265. token_path: file with its token.

    python: the interpreter on the cluster's nodes; by default ours on this machine, `python` elsewhere.
    """

    name = "ray"

    def __init__(self, address: str, *, token_path: Path | None = None, python: str | None = None) -> None:
        for name in OVERRIDES:
            if os.environ.get(name):
                raise BadSetting(
                    f"{name} is set and would lead Ray's client away from {address}.",
                    hint=f"Unset {name}; CrossView's cluster is named by CROSSVIEW_RAY_ADDRESS.",
                )
        here = is_loopback(urlsplit(address).hostname)
        self.address = address.rstrip("/")
        self._token_path = token_path
        self._python = python or (sys.executable if here else "python")
        self._lock = threading.Lock()
        self._client: JobSubmissionClient | None = None

    def capacity(self) -> Capacity:
        try:
            found = nodes(self.address, bearer(self._token_path), timeout_s=PATIENCE_S)
        except (httpx.HTTPError, OSError, KeyError, TypeError, ValueError) as error:
            raise RunnerUnreachable(f"Ray at {self.address}: {error}") from error
        total = [node.get("resources_total") or {} for node in found]
        return Capacity(
            cpus=sum(float(each.get("CPU", 0)) for each in total),
            gpus=sum(float(each.get("GPU", 0)) for each in total),
            memory_bytes=sum(float(each.get("memory", 0)) for each in total),
            nodes=len(found),
            largest_bytes=max((float(each.get("memory", 0)) for each in total), default=0.0),
        )

    def submit(self, *, submission: str, job: str, attempt: int, store: str) -> None:
        if self.status(submission).state is not RunnerState.UNKNOWN:
            return  # Ray answers a second submission of one name with an error 500
        command = [self._python, "-m", "jobs.runners.ray.driver", "--store", store, "--job", job]
        command += ["--attempt", str(attempt)]
        self._ask("submit_job", entrypoint=shlex.join(command), submission_id=submission)

    def status(self, submission: str) -> RunnerStatus:
        try:
            info = self._ask("get_job_info", submission)
        except _NoSuchJob:
            return RunnerStatus(RunnerState.UNKNOWN, "Ray knows no such job")
        return RunnerStatus(_STATES[str(info.status)], said(info.message or ""))

    def stop(self, submission: str, *, force: bool = False) -> None:
        """Ray asks the driver with SIGTERM and kills it after 3 s; there is nothing harder for `force` to do."""
        try:
            self._ask("stop_job", submission)
        except _NoSuchJob:
            return

    def logs(self, submission: str) -> str:
        try:
            return str(self._ask("get_job_logs", submission))[-LOG_TAIL:]
        except _NoSuchJob:
            return ""

    def close(self) -> None:
        """Nothing is held open between two questions."""

    def _ask(self, method: str, *args: Any, **named: Any) -> Any:
        """One call of Ray's client. Raises RunnerUnreachable when nobody answers, _NoSuchJob for a 404."""
        import requests
        from ray.exceptions import AuthenticationError

        try:
            return getattr(self._connected(), method)(*args, **named)
        except (requests.RequestException, ConnectionError, AuthenticationError, OSError) as error:
            self._client = None
            raise RunnerUnreachable(f"Ray at {self.address}: {_first_line(error)}") from error
        except RuntimeError as error:
            if "status code 404" in str(error):
                raise _NoSuchJob from error
            raise RunnerUnreachable(f"Ray at {self.address}: {_first_line(error)}") from error

    def _connected(self) -> JobSubmissionClient:
        """The client, made at first use: making it asks the cluster for its version."""
        with self._lock:
            if self._client is None:
                self._client = _client_class()(self.address, headers=bearer(self._token_path))
            return self._client


class _NoSuchJob(Exception):
    """Ray answers, and knows no such submission."""


def _client_class() -> type[JobSubmissionClient]:
    from ray.job_submission import JobSubmissionClient

    class Patient(JobSubmissionClient):  # type: ignore[misc, unused-ignore]
        """Ray's client waits for ever; a dashboard may not."""

        def _do_request(self, *args: Any, **named: Any) -> Any:
            return super()._do_request(*args, **{"timeout": PATIENCE_S, **named})

    return Patient


def said(message: str) -> str:
    """The first line of what Ray says of a job, and whether memory was short.

    The rest may be its log, which is read otherwise, or the command lines of whatever else runs on that node.
    """
    first = (message.strip().splitlines() or [""])[0][:300]
    return (
        first if memory.WORDS.search(first) or not memory.WORDS.search(message) else f"{first} (it was out of memory)"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
