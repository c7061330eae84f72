"""The table of moves, and the row that is compared and set by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.reconcile.moves import AUTOMATIC_RETRIES, lose, move, requeue
from jobs.state import ACTIVE, MOVES, TERMINAL, IllegalMove, JobState, check_move
from storage.database import Database
from storage.tables import jobs as table
from storage.tables.jobs import JobRow

states = st.sampled_from(list(JobState))
numbers = itertools.count()
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "jobs.duckdb") as opened:
        yield opened


def insert(database: Database, state: JobState) -> JobRow:
    row = JobRow(id=f"job-{next(numbers)}", kind="translate", state=state.value, spec={}, spec_digest="0" * 64)
    database.write_now(lambda conn: table.insert(conn, row))
    return row


def read(database: Database, id: str) -> JobRow:
    with database.read() as conn:
        row = table.get(conn, id)
    assert row is not None
    return row


@given(here=states, there=states)
def test_a_move_is_allowed_exactly_when_the_table_says_so(here: JobState, there: JobState) -> None:
    if there in MOVES[here]:
        check_move(here, there)
    else:
        with pytest.raises(IllegalMove, match=f"{here}.*{there}"):
            check_move(here, there)


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    assert set(MOVES) == set(JobState)
    assert set().union(*MOVES.values()) == set(JobState)


def test_a_success_is_final() -> None:
    assert not MOVES[JobState.SUCCEEDED]


def test_what_ended_leads_back_to_the_queue_alone() -> None:
    for state in TERMINAL - {JobState.SUCCEEDED}:
        assert MOVES[state] == {JobState.QUEUED}


@given(path=st.lists(states, max_size=12))
def test_no_path_through_the_table_leaves_it(path: list[JobState]) -> None:
    here = JobState.QUEUED
    for there in path:
        if there in MOVES[here]:
            here = there
    assert here in ACTIVE | TERMINAL


@quick
@given(here=states, there=states)
def test_an_illegal_move_changes_no_row(database: Database, here: JobState, there: JobState) -> None:
    row = insert(database, here)
    if there in MOVES[here]:
        assert database.write_now(lambda conn: move(conn, row, there, reason="test"))
        assert read(database, row.id).state == there
    else:
        with pytest.raises(IllegalMove):
            database.write_now(lambda conn: move(conn, row, there, reason="test"))
        assert read(database, row.id) == row


def test_of_two_that_saw_the_same_row_one_moves_it(database: Database) -> None:
    row = insert(database, JobState.RUNNING)
    first = database.write_now(lambda conn: move(conn, row, JobState.SUCCEEDED, reason="first"))
    second = database.write_now(lambda conn: move(conn, row, JobState.CANCELLING, reason="second"))
    assert (first, second) == (True, False)
    assert read(database, row.id).state == JobState.SUCCEEDED


def test_an_older_attempt_cannot_move_the_job(database: Database) -> None:
    row = insert(database, JobState.FAILED)
    assert database.write_now(lambda conn: requeue(conn, row, reason="test"))
    again = read(database, row.id)
    assert (again.state, again.attempt) == (JobState.QUEUED, 2)
    assert not database.write_now(lambda conn: requeue(conn, row, reason="an old look"))


def test_a_refused_move_leaves_no_event(database: Database) -> None:
    row = insert(database, JobState.RUNNING)
    database.write_now(lambda conn: move(conn, row, JobState.FAILED, reason="first"))
    database.write_now(lambda conn: move(conn, row, JobState.SUCCEEDED, reason="too late"))
    with database.read() as conn:
        assert [event.to_state for event in table.events(conn, row.id)] == [JobState.RUNNING, JobState.FAILED]


def test_a_lost_job_is_tried_again_twice_and_then_stays_lost(database: Database) -> None:
    id = insert(database, JobState.RUNNING).id
    for tried in range(1, AUTOMATIC_RETRIES + 1):
        row = read(database, id)
        assert database.write_now(lambda conn, row=row: lose(conn, row, reason="the node went away"))
        queued = read(database, id)
        assert (queued.state, queued.attempt) == (JobState.QUEUED, tried + 1)
        for there in (JobState.SUBMITTED, JobState.RUNNING):
            now = read(database, id)
            database.write_now(lambda conn, now=now, there=there: move(conn, now, there, reason="test"))
    row = read(database, id)
    database.write_now(lambda conn: lose(conn, row, reason="the node went away"))
    ended = read(database, id)
    assert ended.state == JobState.LOST
    assert ended.failure is not None
    assert ended.failure["code"] == "lost"
    assert ended.finished_at is not None
