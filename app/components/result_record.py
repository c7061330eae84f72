"""The tabs that every job has, whatever it was asked and however it ended: the record of what was done."""

from __future__ import annotations

from collections.abc import Callable

from app.components import result_provenance, result_resources
from app.components.result_configuration import configuration
from app.components.result_files import files
from app.components.result_logs import logs
from app.components.result_run import history
from jobs.bootstrap import current_client
from jobs.state import JobState
from jobs.views import JobView


def record(job: JobView) -> dict[str, Callable[[], None]]:
    """Logs, Resources, Configuration, Provenance and, of a job with a result, Files."""
    shows: dict[str, Callable[[], None]] = {
        "Logs": lambda: _logs(job),
        "Resources": lambda: result_resources.show(current_client(), job),
        "Configuration": lambda: configuration(job),
        "Provenance": lambda: result_provenance.show(current_client(), job),
    }
    if job.state is JobState.SUCCEEDED:
        shows["Files"] = lambda: files(job)
    return shows


def _logs(job: JobView) -> None:
    history(job)
    logs(job)
