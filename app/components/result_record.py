"""The tabs that every job has, whatever it was asked and however it ended: the record of what was done."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from app.components.result_configuration import configuration
from app.components.result_files import files
from app.components.result_logs import logs
from app.components.result_run import provenance
from jobs.bootstrap import current_client
from jobs.state import JobState
from jobs.views import JobView

RESOURCES = "app.components.result_resources"  # show(client, job), where they are installed
PROVENANCE = "app.components.result_provenance"


def record(job: JobView) -> dict[str, Callable[[], None]]:
    """Logs, Resources, Configuration, Provenance and, of a job with a result, Files."""
    shows: dict[str, Callable[[], None]] = {"Logs": lambda: logs(job)}
    if find_spec(RESOURCES) is not None:
        shows["Resources"] = lambda: _other(RESOURCES, job)
    shows["Configuration"] = lambda: configuration(job)
    if find_spec(PROVENANCE) is not None:
        shows["Provenance"] = lambda: _other(PROVENANCE, job)
    else:
        shows["Provenance"] = lambda: provenance(job)
    if job.state is JobState.SUCCEEDED:
        shows["Files"] = lambda: files(job)
    return shows


def _other(module: str, job: JobView) -> None:
    import_module(module).show(current_client(), job)
