"""What the service does where others act at the same moment, or the place where jobs run is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.types import Direction
from jobs import layout
from jobs.bootstrap import build_service
from jobs.client_local import LocalClient
from jobs.errors import NotFound
from jobs.runners.ray.runner import RayRunner
from jobs.service import JobService
from jobs.spec import TranslateSpec
from jobs.state import JobState
from storage.artifacts import LocalStore
from tests.labs import MODEL, build_catalog, imported, lab_settings, nobody, until


class InterruptedStore(LocalStore):
    """Somebody else acts while a folder is being deleted."""

    def __init__(self, root: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(root)
        self._meanwhile = meanwhile

    def delete_prefix(self, prefix: str) -> int:
        self._meanwhile()
        return super().delete_prefix(prefix)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobService]:
    """A running service whose Ray is not there."""
    settings = lab_settings(tmp_path / "home", build_catalog(tmp_path / "pretrained"))
    with nobody() as address:
        made = build_service(settings, runner=RayRunner(f"http://{address}"))
        made.start()
        yield made
        made.close()


def queued(service: JobService) -> str:
    """A job whose order is written, and whose runner did not answer."""
    rna = imported(LocalClient(service), f"example:{MODEL}/rna").id
    spec = TranslateSpec(model=MODEL, rna=rna, directions=(Direction.RNA_TO_ATAC,), umap=False)
    job = service.desk.submit(spec)
    until(lambda: service.store.exists(layout.order(job.id, 1)), bool)
    assert service.job(job.id).state is JobState.QUEUED
    return job.id


def test_a_queued_job_that_may_have_been_handed_over_is_cancelled_with_a_mark(service: JobService) -> None:
    id = queued(service)
    assert service.cancel(id).state is JobState.CANCELLED
    assert service.store.exists(layout.cancel_mark(id, 1))


def test_a_job_cannot_be_asked_to_run_again_once_its_deletion_began(service: JobService) -> None:
    id = queued(service)
    service.cancel(id)
    refused: list[str] = []

    def retried() -> None:
        with pytest.raises(NotFound) as caught:
            service.retry(id)
        refused.append(caught.value.code)

    interrupted = InterruptedStore(Path(service.settings.store), retried)
    service.keeping.deleter.shelf = replace(service.keeping.deleter.shelf, store=interrupted)
    assert service.delete_job(id).state == "gone"
    assert refused == ["not-found"]
    assert service.store.list(layout.job_prefix(id)) == []
