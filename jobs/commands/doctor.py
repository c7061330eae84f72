"""Whether this installation can do its work, and what to mend where it cannot."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jobs.settings import Settings

PACKAGES = ("torch", "ray", "streamlit", "anndata", "duckdb", "scikit-learn", "umap-learn", "boto3")
SPACE = 2 * 2**30
MEMORY = 3 * 2**30


@dataclass(frozen=True)
class Check:
    """One thing looked at. mend: what to do where it is not ok."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def examine() -> list[Check]:
    """Every check, in the order a person would want to mend them; none raises."""
    return [
        check for make in (_python, _packages, _machine, _home, _models, _runner, _intake) for check in _safely(make)
    ]


def _safely(make: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from make()
    except Exception as problem:
        yield Check(make.__name__.strip("_"), False, str(problem), "See the message.")


def _python() -> Iterator[Check]:
    ok = sys.version_info[:2] >= (3, 11)
    yield Check("Python", ok, sys.version.split()[0], "Use Python 3.11.")


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(name, True, version(name))
        except PackageNotFoundError:
            yield Check(name, False, "missing", "Run `make setup`.")


def _machine() -> Iterator[Check]:
    import psutil

    memory = psutil.virtual_memory().available
    yield Check("free memory", memory > MEMORY, f"{memory / 2**30:.1f} GiB", "Close other programs: 3 GiB are needed.")
    yield Check("processors", True, str(os.cpu_count()))


def _home() -> Iterator[Check]:
    settings = Settings.from_env()
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=settings.home) as file:
        file.write(b"ok")
    free = shutil.disk_usage(settings.home).free
    yield Check("home folder", True, "can be written to")
    yield Check("free disk", free > SPACE, f"{free / 2**30:.0f} GiB", "Free some space, or set CROSSVIEW_HOME.")


def _models() -> Iterator[Check]:
    from engine.bundle import verify_bundle
    from jobs.catalog import load_catalog

    entries = load_catalog()
    yield Check("models", bool(entries), f"{len(entries)} in the catalog", "Train one: `crossview train`.")
    for entry in entries.values():
        verify_bundle(entry.folder)
        yield Check(f"model {entry.id}", True, "whole, and predicts what it should")


def _runner() -> Iterator[Check]:
    settings = Settings.from_env()
    if settings.runner == "local":
        yield Check("runner", True, "this machine, without Ray")
        return
    found = shutil.which("ray", path=str(Path(sys.executable).parent)) or shutil.which("ray")
    yield Check("ray", found is not None, "installed" if found else "no `ray` command", "Run `make setup`.")


def _intake() -> Iterator[Check]:
    """What holds back a file that takes over its reader. Nothing to mend where the kernel has no such thing."""
    from engine.intake.probe import kernel, protections

    tried = protections()
    open_ = [what for what, refused in tried.items() if not refused]
    found = f"{len(tried) - len(open_)} of {len(tried)} attempts refused ({kernel()})"
    if open_:
        found += f"; NOT SUPPORTED here: {', '.join(open_)}"
    yield Check("intake sandbox", True, found)
