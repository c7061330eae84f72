"""Pages as they are run by Streamlit, over a real service, a local runner and a small fitted model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobs.client import Client
from jobs.client_local import LocalClient
from jobs.names import Direction
from jobs.state import TERMINAL, JobState
from jobs.views import DatasetView, JobView
from storage.tables import notifications
from storage.tables.notifications import NotificationRow
from tests.finished import example_lab, example_of
from tests.labs import MODEL, ended, imported, until
from tests.pages import at, checked, shown, words

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with shown(example_lab(tmp_path_factory)) as client:
        yield client


@pytest.fixture(scope="module")
def cells(lab: Client) -> dict[str, DatasetView]:
    return {which: imported(lab, f"example:{MODEL}/{which}") for which in ("rna", "atac")}


@pytest.fixture(scope="module")
def done(lab: Client) -> JobView:
    """The example, finished and scored both ways."""
    return example_of(lab)


def test_the_first_page_offers_the_example_and_what_can_be_done(lab: Client, done: JobView) -> None:
    """The example was run before, so the same cells and settings give the finished job at once."""
    page = at("home")
    said = words(page)
    for part in ("What you can do here", "What is kept", "Recent results", "Jobs run on this machine"):
        assert part in said
    page = at("new")
    before = {job.id for job in lab.jobs()}
    page.button(key="example").click()
    checked(page.run())
    assert "Can I trust it?" in words(page)
    assert str(page.query_params["id"]) in before


def test_cells_in_the_address_are_described_checked_and_can_be_translated(
    lab: Client, cells: dict[str, DatasetView]
) -> None:
    page = at("new", cells=cells["rna"].id, other=cells["atac"].id)
    for step, parts in (
        ("1", ("1 · Your cells", "24 cells × 60 genes", "24 cells × 90 peaks")),
        ("2", ("Raw counts were found in X", "**1 of 1 model** can translate these cells")),
        ("3", ("The only model there is", "of its 60 genes are among yours")),
        ("4", ("What runs", "How it is judged", "Where the data go")),
    ):
        assert str(page.query_params.get("step", "1")) == step
        said = words(page)
        for part in parts:
            assert part in said, (step, part)
        if step != "4":
            page.button(key="next").click()
            checked(page.run())
    page.button(key="submit").click()
    checked(page.run())
    job = lab.job(str(page.query_params["id"]))
    assert job.directions == (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA)
    assert job.truth == job.directions


def test_one_file_alone_gives_one_direction_and_no_score(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = at("new", cells=cells["atac"].id, step="3")
    page.checkbox(key="umap").uncheck()
    checked(page.run())
    page.button(key="next").click()
    checked(page.run())
    assert "Changed from the usual: umap False" in words(page)
    page.button(key="submit").click()
    checked(page.run())
    job = ended(lab, lab.job(str(page.query_params["id"])))
    assert (job.state, job.directions, job.truth) == (JobState.SUCCEEDED, (Direction.ATAC_TO_RNA,), ())
    assert not job.spec["umap"]
    result = at("job", id=job.id)
    assert "could not be scored" in words(result)
    result = at("job", id=job.id, tab="Scorecard")
    assert "nothing to score the prediction against" in words(result)
    assert "What to expect" not in words(result)  # this model was never scored gene by gene


def test_two_files_of_one_kind_are_refused_with_a_word(lab: Client, cells: dict[str, DatasetView]) -> None:
    page = at("new", cells=cells["rna"].id, other=cells["rna"].id)
    assert "Both files hold RNA" in words(page)
    assert page.button(key="next").disabled


def test_cells_that_are_gone_are_a_calm_panel(lab: Client) -> None:
    page = at("new", cells="ds-000000000000")
    assert "These cells cannot be found" in words(page)


def test_a_finished_job_answers_whether_to_trust_it(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id)
    said = words(page)
    assert "Can I trust it?" in said
    assert "the average profile on" in said
    assert "RNA ⇄ ATAC · 24 cells" in said


EITHER_WAY = ("Overview", "Scorecard", "Cells", "Profiles")
ONCE = ("Provenance",)  # others are opened in test_job_tabs


@pytest.mark.parametrize(
    ("tab", "direction"),
    [*((tab, d) for tab in EITHER_WAY for d in Direction), *((tab, Direction.RNA_TO_ATAC) for tab in ONCE)],
)
def test_every_tab_of_both_directions_can_be_opened_by_its_address(
    lab: Client, done: JobView, tab: str, direction: Direction
) -> None:
    page = at("job", id=done.id, tab=tab, direction=direction.value)
    assert "cannot be shown" not in words(page)


@pytest.mark.parametrize("direction", list(Direction))
def test_the_table_of_scores_shows_what_is_gained_over_the_nulls(
    lab: Client, done: JobView, direction: Direction
) -> None:
    tab = "Peaks" if direction is Direction.RNA_TO_ATAC else "Genes"
    page = at("job", id=done.id, tab=tab, direction=direction.value)
    main, skill = (
        ("auroc_depth_adjusted", "brier_skill") if direction is Direction.RNA_TO_ATAC else ("pearson", "mse_skill")
    )
    table = next(each.value for each in page.dataframe if main in each.value.columns)
    assert list(table.columns[:4]) == ["name", main, f"{main}_gain", skill]


def test_a_model_that_does_not_know_its_limits_says_so_where_the_slider_would_be(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, tab="Cells")
    assert "does not say where it should not be trusted" in words(page)
    assert not page.slider
    assert "unlike" not in words(at("job", id=done.id))
    assert "expected score" not in page.selectbox(key="colour").options


def test_only_the_tab_looked_at_is_computed(lab: Client, done: JobView) -> None:
    assert "What happened when" not in words(at("job", id=done.id))
    assert "What happened when" in words(at("job", id=done.id, tab="Logs"))


@pytest.mark.parametrize("direction", list(Direction))
def test_a_searched_gene_or_peak_is_compared_with_its_measurement(
    lab: Client, done: JobView, direction: Direction
) -> None:
    name = lab.table(done.id, direction, "features")["name"][0]
    page = at("job", id=done.id, direction=direction.value, gene=name)
    assert "better predicted than" in words(page)
    assert page.selectbox(key="found").value == name


def test_a_search_without_a_match_says_so(lab: Client, done: JobView) -> None:
    page = at("job", id=done.id, direction="atac-to-rna", gene="NOSUCHGENE")
    assert "matches **NOSUCHGENE**" in words(page)


def test_an_unknown_job_is_a_calm_panel_with_a_way_on(lab: Client) -> None:
    page = at("job", id="job-000000000000")
    assert "This job cannot be shown" in words(page)


def test_the_list_shows_jobs_and_filters_them_by_the_address(lab: Client, done: JobView) -> None:
    assert "Succeeded" in words(at("jobs"))
    assert "No job matches" in words(at("jobs", q="no such job at all"))


def test_deleting_can_be_undone(lab: Client, done: JobView) -> None:
    page = at("jobs")
    page.button(key=f"delete-{done.id}").click()
    checked(page.run())
    assert "in the bin" in words(page)
    assert f"delete-{done.id}" not in {button.key for button in page.button}
    assert lab.job(done.id).bin_until is not None
    page.button(key="undo").click()
    checked(page.run())
    assert lab.job(done.id).bin_until is None
    assert f"delete-{done.id}" in {button.key for button in page.button}


def test_models_say_what_they_know_and_what_they_are_not_for(lab: Client) -> None:
    page = at("models")
    said = words(page)
    assert "Built cells of three types" in said
    assert "Anything else." in said


def test_the_inbox_tells_what_ended_and_is_done_with_what_was_read(lab: Client, done: JobView) -> None:
    until(lambda: all(job.state in TERMINAL for job in lab.jobs()), bool)  # of other tests: their ends are told too
    for each in lab.list_notifications(unread_only=True).notifications:
        lab.mark_read(ids=[each.id])
    tell(lab, "msg_job", event="job.succeeded", subject=done.id, kind="translate", title="Told *of*")
    failure = {"code": "not-hdf5", "message": "This is <no> file.", "hint": "Bring another."}
    for n in range(2):
        tell(lab, f"msg_{n}", event="import.failed", subject=f"ds-{n}", kind="import", title="a", failure=failure)
    page = at("inbox")
    assert page.session_state["inbox-unread"] == 3
    said = words(page)
    for part in ("Translation succeeded** · Told \\*of\\*", "could not be brought in", "This is <no> file.", "unread"):
        assert part in said
    page.button(key="read-msg_1").click()
    checked(page.run())
    assert page.session_state["inbox-unread"] == 2
    page.switch_page("views/job.py")
    page.query_params["id"] = done.id
    checked(page.run())  # who looks at a job knows how it ended
    assert page.session_state["inbox-unread"] == lab.list_notifications().unread == 1
    page.switch_page("views/inbox.py")
    page.query_params["show"] = "Unread"
    assert "Told" not in words(checked(page.run()))
    page.button(key="read-all").click()
    checked(page.run())
    assert "Everything is read." in words(page)
    assert lab.list_notifications().unread == 0


def tell(lab: Client, id: str, **said: Any) -> None:
    """As when something ends, without the wait."""
    assert isinstance(lab, LocalClient)
    lab._service.database.write_now(lambda conn: notifications.insert(conn, NotificationRow(id=id, **said)))


@pytest.mark.parametrize("direction", list(Direction))
def test_a_gene_or_peak_in_squares_is_the_mean_of_its_cells(lab: Client, done: JobView, direction: Direction) -> None:
    name = lab.table(done.id, direction, "features")["name"][0]
    found = lab.binned(done.id, direction, name)
    predicted = lab.values(done.id, direction, features=[name]).predicted
    assert predicted is not None
    assert (found.cells, found.of) == (24, 24)
    total = sum(count * mean for count, mean in zip(found.count, found.mean, strict=True))
    assert total / 24 == pytest.approx(sum(row[0] for row in predicted) / 24, rel=1e-4)


def test_a_job_of_more_cells_than_can_be_drawn_shows_a_gene_in_squares(
    lab: Client, done: JobView, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.components import result_binned

    name = lab.table(done.id, Direction.ATAC_TO_RNA, "features")["name"][0]
    monkeypatch.setattr(result_binned, "MOST", 10)
    page = at("job", id=done.id, direction="atac-to-rna", gene=name)
    assert "Each square is the mean of its cells: 24 cells lie on the map." in words(page)
