"""A walk over every page and its main states in Chromium: reachable, readable, fitting, and said to who cannot see.

By default each state is seen at one width and in one theme, which rotate, and must fit a phone; CROSSVIEW_WALK=full
(`make walk`) sees all of them. CROSSVIEW_WALK_PICTURES names a folder for screenshots.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.finished import example_lab, kinds_lab
from tests.walking import KINDS, SEEN, STATES, THEMES, WIDTHS, Lab, State, faults, lab, pages, settle, sideways, whole

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(480)]

FULL = os.environ.get("CROSSVIEW_WALK") == "full"
PICTURES = os.environ.get("CROSSVIEW_WALK_PICTURES")
PHONE = min(WIDTHS)
VIEWS = list(product(WIDTHS, THEMES))


def visits() -> list[tuple[State, int, str]]:
    states = [*pages(), *STATES]
    if FULL:
        return [(state, width, theme) for width, theme in VIEWS for state in (*states, *KINDS)]
    return sorted(
        ((state, *VIEWS[n % len(VIEWS)]) for n, state in enumerate(states)), key=lambda visit: (visit[1], visit[2])
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    kinds = kinds_lab(tmp_path_factory) if FULL else None
    with lab(example_lab(tmp_path_factory), tmp_path_factory.mktemp("bare"), kinds) as site:
        yield site


@pytest.fixture(scope="module")
def seen(browser: Browser) -> Iterator[dict[tuple[int, str], Page]]:
    """A tab for each width and theme, opened at need."""
    tabs = _Tabs(browser)
    yield tabs
    for page in tabs.values():
        page.context.close()


class _Tabs(dict[tuple[int, str], "Page"]):
    def __init__(self, browser: Browser) -> None:
        super().__init__()
        self._browser = browser

    def __missing__(self, view: tuple[int, str]) -> Page:
        width, theme = view
        context = self._browser.new_context(
            viewport={"width": width, "height": SEEN},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        self[view] = context.new_page()
        return self[view]


@pytest.mark.parametrize(
    ("state", "width", "theme"), visits(), ids=[f"{state.name}-{width}-{theme}" for state, width, theme in visits()]
)
def test_a_page_is_whole(seen: dict[tuple[int, str], Page], site: Lab, state: State, width: int, theme: str) -> None:
    page = seen[width, theme]
    page.set_viewport_size({"width": width, "height": SEEN})
    page.goto(site.url(state))
    settle(page)
    if state.says:
        page.get_by_text(state.says).first.wait_for(timeout=60_000)
    whole(page, width)
    assert page.evaluate("document.documentElement.lang") == "en"
    if PICTURES:
        folder = Path(PICTURES) / f"{width}-{theme}"
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(folder / f"{state.name}.png"), full_page=True)
    found = faults(page)
    if width != PHONE:
        page.set_viewport_size({"width": PHONE, "height": SEEN})
        settle(page)
        found += [f"on a phone: {each}" for each in sideways(page)]
    assert not found, "\n".join(found)


SPOILT = """() => document.querySelector('[data-testid=stMain]').insertAdjacentHTML('afterbegin', `
  <h1>Another</h1><button></button><p style="color: #bbb; background: #fff">Hardly to be read</p>
  <div style="width: 3000px">Too wide</div>`)"""


def test_a_spoilt_page_is_found_out(seen: dict[tuple[int, str], Page], site: Lab) -> None:
    page = seen[1440, "light"]
    page.goto(f"{site.full}/models")
    settle(page)
    page.evaluate(SPOILT)
    found = "\n".join(faults(page))
    for sign in ("2 headings of the first level", "scrolls sideways", "button-name", "color-contrast"):
        assert sign in found, found
