"""Rows come back as they went in, and a job's state changes for one caller alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.paging import newest_first
from storage.database import Database
from storage.tables import artifacts, datasets, jobs, rows
from storage.tables.artifacts import ArtifactRow
from storage.tables.datasets import DatasetRow
from storage.tables.jobs import JobRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Word(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory):
    with Database.open(tmp_path_factory.mktemp("tables") / "db.duckdb") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _empty(database: Database):
    def clear(conn: Any) -> None:
        for table in ("jobs", "job_events", "datasets", "artifacts"):
            conn.execute(f"delete from {table}")

    yield
    database.write_now(clear)


def job(id: str = "j1", **changes: Any) -> JobRow:
    row = JobRow(id=id, kind="translate", state="QUEUED", spec={"model": "m"}, spec_digest="d", submitted_at=NOON)
    return replace(row, **changes)


def read(database: Database, fn: Any, *args: Any, **options: Any) -> Any:
    with database.read() as conn:
        return fn(conn, *args, **options)


def write(database: Database, fn: Any, *args: Any, **options: Any) -> Any:
    return database.write_now(lambda conn: fn(conn, *args, **options))


def move(database: Database, **changes: Any) -> bool:
    step = {"id": "j1", "from_state": "QUEUED", "attempt": 1, "to_state": "SUBMITTED", "reason": "because"}
    return write(database, jobs.move, **{**step, **changes})


def test_a_job_comes_back_as_it_went_in(database: Database):
    row = job(failure={"code": "x", "größe": [1, None]}, heartbeat_at=NOON + timedelta(microseconds=5), total=1 << 40)
    write(database, jobs.insert, row)
    assert read(database, jobs.get, "j1") == row
    assert read(database, jobs.get, "nobody") is None


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=9), st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text()))
def test_any_json_survives(document: dict[str, Any]):
    row = job(spec=document)
    stored = rows.encode(row, "spec", document)
    assert rows._document(stored) == document


def test_moments_are_utc_whatever_zone_they_came_in(database: Database):
    there = NOON.astimezone(timezone(timedelta(hours=9)))
    write(database, jobs.insert, job(submitted_at=there))
    stored = read(database, jobs.get, "j1").submitted_at
    assert stored == NOON
    assert stored.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused(database: Database):
    with pytest.raises(ValueError, match="time zone"):
        write(database, jobs.insert, job(started_at=datetime(2026, 1, 1)))


def test_a_move_changes_the_state_and_is_recorded(database: Database):
    write(database, jobs.insert, job())
    assert move(database, ray_submission="r-1", moment=NOON + timedelta(seconds=1))
    moved = read(database, jobs.get, "j1")
    assert (moved.state, moved.ray_submission, moved.updated_at) == ("SUBMITTED", "r-1", NOON + timedelta(seconds=1))
    created, event = read(database, jobs.events, "j1")
    assert (created.kind, created.to_state, created.seq) == ("created", "QUEUED", 1)
    assert (event.from_state, event.to_state, event.detail, event.seq) == (
        "QUEUED", "SUBMITTED", {"reason": "because"}, 2,
    )  # fmt: skip
    assert read(database, jobs.events, "j1", after=1) == [event]


def test_a_move_from_a_state_that_is_past_does_nothing(database: Database):
    write(database, jobs.insert, job(state="RUNNING"))
    assert not move(database)
    assert not move(database, id="nobody")
    assert not move(database, from_state="RUNNING", attempt=2)
    assert read(database, jobs.get, "j1").state == "RUNNING"
    assert len(read(database, jobs.events, "j1")) == 1


def test_only_one_of_many_racing_moves_wins(database: Database):
    write(database, jobs.insert, job())
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda n: move(database, reason=str(n)), range(64)))
    assert won.count(True) == 1
    assert len(read(database, jobs.events, "j1")) == 2


def test_a_retry_is_a_move_that_begins_a_new_attempt(database: Database):
    write(database, jobs.insert, job(state="LOST", last_event=9))
    assert move(database, from_state="LOST", to_state="QUEUED", new_attempt=2, stage="")
    row = read(database, jobs.get, "j1")
    assert (row.state, row.attempt, row.last_event) == ("QUEUED", 2, 0)
    assert read(database, jobs.events, "j1")[-1].attempt == 2
    assert not write(database, jobs.change, "j1", attempt=1, message="from the past")
    assert write(database, jobs.change, "j1", attempt=2, message="again")


def test_words_may_be_enums(database: Database):
    write(database, jobs.insert, job(state=Word.QUEUED))
    assert move(database, from_state=Word.QUEUED, to_state=Word.RUNNING)
    assert read(database, jobs.find, states=[Word.RUNNING])[0].state == "RUNNING"


def test_an_unknown_column_is_refused(database: Database):
    write(database, jobs.insert, job())
    with pytest.raises(ValueError, match="no column nonsense"):
        move(database, nonsense=1)
    with pytest.raises(ValueError, match="`move` alone"):
        write(database, jobs.change, "j1", attempt=1, state="SUCCEEDED")


def test_an_outbox_object_is_applied_once_and_only_to_its_attempt(database: Database):
    write(database, jobs.insert, job(attempt=2))

    def apply(number: int, attempt: int = 2) -> bool:
        return write(database, jobs.apply_event, id="j1", attempt=attempt, number=number, done=number * 10)

    assert [apply(1), apply(1), apply(2), apply(1), apply(3, attempt=1)] == [True, False, True, False, False]
    row = read(database, jobs.get, "j1")
    assert (row.done, row.last_event) == (20, 2)


def test_many_updates_of_one_row_fit_into_one_transaction(database: Database):
    write(database, jobs.insert, job())
    futures = [
        database.write(lambda conn, n=n: jobs.apply_event(conn, id="j1", attempt=1, number=n, message=f"step {n}"))
        for n in range(1, 301)
    ]
    assert all(future.result() for future in futures)
    assert read(database, jobs.get, "j1").message == "step 300"


def test_jobs_are_listed_newest_first_and_page_by_page(database: Database):
    for n in range(5):
        owner = "ana" if n % 2 else "ben"
        write(database, jobs.insert, job(f"j{n}", submitted_at=NOON + timedelta(minutes=n), owner=owner))
    assert [row.id for row in read(database, jobs.find, limit=2)] == ["j4", "j3"]
    assert [row.id for row in read(database, jobs.find, behind=newest_first(NOON + timedelta(minutes=3), "j3"))] == [
        "j2",
        "j1",
        "j0",
    ]
    assert [row.id for row in read(database, jobs.find, owner="ana")] == ["j3", "j1"]
    assert read(database, jobs.find, states=[]) == []


def test_a_deleted_job_takes_its_events_and_artifacts_along(database: Database):
    write(database, jobs.insert, job())
    artifact = ArtifactRow(job="j1", attempt=1, name="report.json", uri="file:///r", bytes=3, sha256="aa")
    write(database, artifacts.put, artifact)
    assert write(database, jobs.delete, "j1") is True
    assert write(database, jobs.delete, "j1") is False
    assert read(database, jobs.events, "j1") == []
    assert read(database, artifacts.find, job="j1", attempt=1) == []


def test_an_artifact_put_again_replaces_itself(database: Database):
    first = ArtifactRow(job="j1", attempt=1, name="report.json", uri="file:///r", bytes=3, sha256="aa", created_at=NOON)
    write(database, artifacts.put, first)
    write(database, artifacts.put, replace(first, bytes=4))
    write(database, artifacts.put, replace(first, attempt=2))
    assert read(database, artifacts.find, job="j1", attempt=1) == [replace(first, bytes=4)]
    assert read(database, artifacts.get, job="j1", attempt=2, name="report.json").bytes == 3


def test_a_dataset_is_filled_in_as_its_import_goes_on(database: Database):
    write(database, datasets.insert, DatasetRow(id="d1", name="a.h5ad", state="importing", origin="s3://b/k"))
    assert write(database, datasets.change, "d1", from_state="importing", state="ready", digest="x", summary={"n": 1})
    assert not write(database, datasets.change, "d1", from_state="importing", state="failed")
    (row,) = read(database, datasets.find, digest="x")
    assert (row.state, row.summary, row.cells) == ("ready", {"n": 1}, None)


def test_a_deleted_dataset_is_not_listed_but_can_still_be_named(database: Database):
    write(database, datasets.insert, DatasetRow(id="d1", name="a.h5ad", state="ready"))
    assert write(database, datasets.mark_deleted, "d1", moment=NOON) is True
    assert write(database, datasets.mark_deleted, "d1") is False
    assert read(database, datasets.find) == []
    assert read(database, datasets.get, "d1").deleted_at == NOON
