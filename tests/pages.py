"""Pages as Streamlit runs them, without a browser: opened by their address, and read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest

from jobs.bootstrap import running
from jobs.client import Client
from jobs.settings import Settings

MAIN = Path(__file__).resolve().parents[1] / "app" / "main.py"


@contextmanager
def shown(settings: Settings) -> Iterator[Client]:
    """A client in this process, as pages find it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSVIEW_PRETRAINED", str(settings.pretrained))
        with running(settings) as client:
            yield client


def unrun(script: Path = MAIN) -> AppTest:
    """The script in a session of its own, not run yet."""
    test = AppTest.from_file(str(script), default_timeout=150)
    test._bidi_component_manager = _components()
    return test


@cache
def _components() -> BidiComponentManager:
    """Found once, as a server does: each session would read the metadata of every installed package again."""
    found = BidiComponentManager()
    found.discover_and_register_components(start_file_watching=False)
    return found


def at(page: str, **query: str) -> AppTest:
    """The page, run once; fails when it raised."""
    test = unrun()
    if page != "home":
        test.switch_page(f"views/{page}.py")  # without a run of the home page: each page's file is named as its address
    for name, value in query.items():
        test.query_params[name] = value
    return checked(test.run())


def checked(test: AppTest) -> AppTest:
    assert not test.exception, [e.value for e in test.exception]
    return test


def words(test: AppTest) -> str:
    """Everything the page says."""
    kinds: tuple[Any, ...] = (test.title, test.subheader, test.markdown, test.caption, test.text)
    return "\n".join(str(element.value) for kind in kinds for element in kind)
