"""Every page and every state a page can be in, as a table; and what is asked of each, in a real browser."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import TimeoutError as TooLate

from jobs.bootstrap import opened
from jobs.client_http import HttpClient
from jobs.client_local import LocalClient
from jobs.settings import Settings
from jobs.spec import TranslateSpec
from storage.tables import jobs as job_table
from storage.tables.jobs import JobRow
from tests.finished import example_of
from tests.forked import ForkedRunner
from tests.labs import MODEL, control_plane, free_port, imported, nobody, ready

if TYPE_CHECKING:
    from playwright.sync_api import Page

MAIN = Path(__file__).parents[1] / "app" / "main.py"
WIDTHS, THEMES = (1440, 1024, 390), ("light", "dark")
SETTLED = 60_000  # milliseconds, on a busy machine
SEEN, TALLEST = 900, 6_000  # pixels of height
GRAVE = ("serious", "critical")
AXE = Axe()
# Rule, what its selector holds, why it is not ours to mend. Nothing else is let through.
NOT_OURS: tuple[tuple[str, str, str], ...] = (
    ("svg-img-alt", "box_brush", "the box that Vega draws over a map as it is dragged; the map itself has its words"),
)


@dataclass(frozen=True, slots=True)
class State:
    """path: with names of the lab's ids in braces. says: a text it must show. on: another server than the full one."""

    name: str
    path: str
    says: str = ""
    on: Literal["", "bare", "kinds"] = ""


def pages() -> list[State]:
    """Whatever app/main.py navigates to, with its own address."""
    found = []
    for node in ast.walk(ast.parse(MAIN.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "Page":
            named = {each.arg: each.value for each in node.keywords}
            path = named.get("url_path")
            view = node.args[0]
            assert isinstance(view, ast.Constant)
            word = path.value if isinstance(path, ast.Constant) else ""
            found.append(State(Path(str(view.value)).stem, f"/{word}"))
    return found


HALF = "truth:-999_-999,999_-999,999_999"
TAUGHT = ("home", "new", "jobs", "data", "models")  # what they say to who has nothing yet
STATES = (
    State("job-finished", "/job?id={done}", "Can I trust it?"),
    *(
        State(f"job-{tab.lower()}", f"/job?id={{done}}&tab={tab}&direction=rna-to-atac", "Can I trust it?")
        for tab in ("Scorecard", "Peaks", "Cells", "Profiles", "Genome", "Logs", "Resources", "Configuration")
    ),
    State("job-provenance", "/job?id={done}&tab=Provenance", "Can I trust it?"),
    State("job-files", "/job?id={done}&tab=Files", "Can I trust it?"),
    *(State(f"new-{kind}", f"/new?kind={kind}") for kind in ("train", "joint", "benchmark", "score")),
    State("job-a-place", "/job?id={done}&tab=Genome&direction=rna-to-atac&place=chr2:0-25,000", "Can I trust it?"),
    State("job-a-gene", "/job?id={done}&direction=atac-to-rna&gene=GENE00003", "GENE00003"),
    State("job-odd-address", "/job?id={done}&tab=Nothing&direction=sideways&gene=NOPE", "Can I trust it?"),
    State("job-unknown", "/job?id=job-000000000000", "There is no job"),
    State("job-failed", "/job?id={failed}", "What to do"),
    State("cells-gone", "/?cells={gone}"),
    State("model-unknown", "/?model=nothing"),
    State("models-one", f"/models?model={MODEL}"),
    State("jobs-odd-filter", "/jobs?show=Nonsense"),
    *(State(f"bare-{each.name}", each.path, on="bare") for each in pages() if each.name in TAUGHT),
    State("bare-job-unknown", "/job?id=job-000000000000", "There is no job", on="bare"),
    State("job-lasso", f"/job?id={{done}}&tab=Cells&direction=rna-to-atac&mark=Lasso&box={HALF}", "in the lasso"),
)


RECORD = ("Logs", "Resources", "Configuration", "Provenance", "Files")
TABS = {
    "train": ("Scorecard", "Curve", "Card", *RECORD),
    "benchmark": ("Standings", "Pairs", "Batches", "Costs", "Recipes", *RECORD),
    "joint": ("Overview", "Genes", "Peaks", "Cells", "Profiles", *RECORD),
    "evaluate": ("Overview", "Scorecard", "Genes", "Cells", "Profiles", "Genome", *RECORD),
    "cre": ("Genome", "Figures", "Tables", *RECORD),
    "cluster": ("Figures", "Tables"),
}
KINDS = tuple(
    State(f"{kind}-{tab.lower()}", f"/job?id={{{kind}}}&tab={tab}", tab, on="kinds")
    for kind, tabs in TABS.items()
    for tab in tabs
)


@dataclass(frozen=True)
class Lab:
    """Servers: one with a finished and a failed job, one with nothing whose Ray is away, one with every other kind."""

    full: str
    bare: str
    ids: dict[str, str]
    kinds: str = ""

    def url(self, state: State) -> str:
        return {"": self.full, "bare": self.bare, "kinds": self.kinds}[state.on] + state.path.format(**self.ids)


@contextmanager
def lab(settings: Settings, empty: Path, kinds: tuple[Settings, dict[str, str]] | None = None) -> Iterator[Lab]:
    """settings: of a lab with the finished example. empty: the home of the server with nothing. kinds: of others."""
    ids, catalog = _fill(settings), settings.pretrained
    ports = free_port(), free_port()
    with (
        nobody() as address,
        control_plane(settings.home, catalog, ports[0]) as full,
        control_plane(
            empty, catalog, ports[1], CROSSVIEW_RUNNER="ray", CROSSVIEW_RAY_ADDRESS=f"http://{address}"
        ) as bare,
    ):
        for port, process, home in ((ports[0], full, settings.home), (ports[1], bare, empty)):
            with HttpClient(f"http://127.0.0.1:{port}") as client:
                ready(client, process, home, alone=home == empty)
        here = Lab(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", ids)
        if kinds is None:
            yield here
            return
        others, port = kinds[0], free_port()
        with control_plane(others.home, others.pretrained, port) as process:
            with HttpClient(f"http://127.0.0.1:{port}") as client:
                ready(client, process, others.home)
            yield replace(here, ids=ids | kinds[1], kinds=f"http://127.0.0.1:{port}")


def _fill(settings: Settings) -> dict[str, str]:
    """Beside the finished job: one that failed, a dataset that was deleted, an import that failed."""
    with opened(settings, runner=ForkedRunner(settings.home / "runner", workers=1)) as client:
        assert isinstance(client, LocalClient)
        done = example_of(client)
        gone = imported(client, str(settings.pretrained / MODEL / "example" / "rna.h5ad"))
        client.delete_dataset(gone.id)
        upload = client.create_upload(name="notes.h5ad")
        client.append_upload(upload.id, offset=0, chunks=[b"not a matrix" * 100])
        client.finish_upload(upload.id)
        imported(client, f"upload:{upload.id}")
        failed = _failed(done.spec)
        client._service.database.write_now(lambda conn: job_table.insert(conn, failed))
    return {"done": done.id, "failed": failed.id, "gone": gone.id}


def _failed(spec: dict[str, Any]) -> JobRow:
    """As an attempt leaves it that found nothing in common."""
    failure = {
        "code": "feature-mismatch",
        "message": "12 of 60 genes found (20 %); at least 50 % are needed.",
        "hint": "Choose a model of this organism, or give other gene names.",
        "detail": "while reading rows 0:24",
    }
    asked = TranslateSpec(**spec)
    return JobRow(
        id="job-00000000f0f0", kind="translate", state="FAILED", spec=asked.model_dump(mode="json"),
        spec_digest=asked.digest, title="RNA → ATAC · brain.h5ad", failure=failure, logged=1, swept=1,
    )  # fmt: skip


def settle(page: Page) -> None:
    """Until the script has run, its first heading stands, and no chart or element is still on its way."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=SETTLED)
    page.locator("h1").first.wait_for(timeout=SETTLED)
    page.wait_for_function(QUIET, timeout=SETTLED)


def whole(page: Page, width: int) -> None:
    """As tall as what it shows, so that everything is drawn, judged and on the picture."""
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": max(SEEN, min(int(height), TALLEST))})
    settle(page)


QUIET = """() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')
  && document.querySelectorAll('[data-stale=true]').length === 0"""


def faults(page: Page) -> list[str]:
    """What is wrong with what the page shows now, a line each."""
    found = []
    heads = page.locator("h1:visible").count()
    if heads != 1:
        found.append(f"{heads} headings of the first level")
    found += sideways(page)
    options = {"resultTypes": ["violations"]}
    for fault in AXE.run(page, options=options).response["violations"]:
        if fault["impact"] not in GRAVE:
            continue
        for node in fault["nodes"]:
            where = " ".join(str(part) for part in node["target"])
            if not _not_ours(fault["id"], where + node["html"]):
                found.append(f"{fault['id']} ({fault['impact']}): {where} {node['html'][:200]}")
    return found


FITS = """() => [document.documentElement, document.querySelector('[data-testid=stMain]')]
  .every((e) => e.scrollWidth <= e.clientWidth)"""


def sideways(page: Page) -> list[str]:
    """What is wider than the page, a line each; charts have a moment to follow a window that changed."""
    found = []
    with contextlib.suppress(TooLate):
        page.wait_for_function(FITS, timeout=5_000)
    for what in ("document.documentElement", "document.querySelector('[data-testid=stMain]')"):
        over = page.evaluate(f"(() => {{ const e = {what}; return e.scrollWidth - e.clientWidth }})()")
        if over > 0:
            found.append(f"{what} scrolls sideways by {over} px")
    return found


def _not_ours(rule: str, where: str) -> bool:
    return any(rule == known and part in where for known, part, _ in NOT_OURS)
