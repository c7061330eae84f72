"""What every test runs under, and the things that are made once a session: a tiny model, a local Ray."""

from __future__ import annotations

import os

# Before numpy and torch are imported anywhere: many small tests on few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobs.runners.ray.cluster import LocalRay


@pytest.fixture(scope="session", autouse=True)
def _private_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test touches the home or the settings of whoever runs it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("CROSSVIEW_", "RAY_ADDRESS", "RAY_API"))]:
            if name != "CROSSVIEW_SHARED":
                patch.delenv(name)
        patch.setenv("CROSSVIEW_HOME", str(home))
        # Trainings of a second would otherwise leave no checkpoint to go on from.
        patch.setenv("CROSSVIEW_CHECKPOINT_SECONDS", "0")
        yield home


@pytest.fixture(scope="session", autouse=True)
def _one_process_a_job() -> Iterator[None]:
    """Services of this process run each job in one, forked: on a few cells, most of a job's time is importing."""
    from jobs import bootstrap
    from jobs.runners.base import Runner
    from jobs.settings import Settings
    from tests.forked import ForkedRunner, nursery

    usual = bootstrap.build_runner

    def frugal(settings: Settings) -> Runner:
        return ForkedRunner(settings.home / "runner", workers=1) if settings.runner == "local" else usual(settings)

    with nursery(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "build_runner", frugal)
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted model of built cells, as a bundle's folder."""
    from tests.running import fit_tiny_model

    return fit_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual small catalog, a module's own to write into; a module that needs another has a fixture of this name."""
    from tests.labs import build_catalog

    return build_catalog(tmp_path_factory.mktemp("catalog") / "pretrained")


@pytest.fixture(scope="session")
def local_ray(_private_home: Path) -> Iterator[LocalRay]:
    """One Ray for all tests that need one. Where it cannot start they are skipped, but never in CI."""
    from jobs.runners.ray.cluster import LocalRay, RayDidNotStart

    try:
        ray = LocalRay.start(_private_home, cpus=2)
    except RayDidNotStart as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"Ray does not start here: {error}")
    yield ray
    ray.stop()
