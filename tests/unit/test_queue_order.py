"""Who comes next, and when: the order of the jobs that wait, whatever they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.queue.order import Priority, line_up
from jobs.queue.wait import ends

unhurried = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Job:
    id: str
    owner: str
    priority: Priority
    submitted_at: float


def job(id: str, owner: str = "a", priority: Priority = Priority.NORMAL, minute: int = 0) -> Job:
    return Job(id, owner, priority, 60.0 * minute)


jobs = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(Priority), st.integers(0, 50)), min_size=1, max_size=40
).map(lambda drawn: [job(f"j{i:02d}", *each) for i, each in enumerate(drawn)])
loads = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5))
hours = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 30))


def ids(line: Sequence[Job]) -> list[str]:
    return [each.id for each in line]


@unhurried
@given(jobs, loads, hours)
def test_every_job_stands_in_the_line_once_whatever_order_they_are_read_in(
    waiting: list[Job], running: dict[str, int], used: dict[str, float]
) -> None:
    line = line_up(waiting, running=running, used_hours=used)
    assert sorted(ids(line)) == sorted(ids(waiting))
    assert ids(line_up(waiting[::-1], running=running, used_hours=used)) == ids(line)


@unhurried
@given(jobs, loads, hours)
def test_of_one_user_higher_priority_comes_first_and_then_the_older(
    waiting: list[Job], running: dict[str, int], used: dict[str, float]
) -> None:
    rank = [Priority.HIGH, Priority.NORMAL, Priority.LOW].index
    line = line_up(waiting, running=running, used_hours=used)
    for owner in "abcd":
        own = [(rank(each.priority), each.submitted_at, each.id) for each in line if each.owner == owner]
        assert own == sorted(own)


@unhurried
@given(jobs)
def test_users_who_used_as_much_get_as_many_places(waiting: list[Job]) -> None:
    line = line_up(waiting, running={}, used_hours={})
    left = Counter(each.owner for each in waiting)
    given_ = Counter[str]()
    for each in line:
        assert given_[each.owner] == min(given_[owner] for owner in left if left[owner])
        given_[each.owner] += 1
        left[each.owner] -= 1


@unhurried
@given(jobs, loads, hours, st.data())
def test_a_higher_priority_never_moves_a_job_back(
    waiting: list[Job], running: dict[str, int], used: dict[str, float], data: st.DataObject
) -> None:
    chosen = data.draw(st.sampled_from(waiting))
    before = ids(line_up(waiting, running=running, used_hours=used)).index(chosen.id)
    raised = [replace(each, priority=Priority.HIGH) if each is chosen else each for each in waiting]
    assert ids(line_up(raised, running=running, used_hours=used)).index(chosen.id) <= before


@unhurried
@given(jobs, loads, hours)
def test_the_line_without_its_first_is_the_line_after_that_one_started(
    waiting: list[Job], running: dict[str, int], used: dict[str, float]
) -> None:
    first, *rest = line_up(waiting, running=running, used_hours=used)
    now = Counter(running) + Counter([first.owner])
    assert ids(line_up(rest, running=now, used_hours=used)) == ids(rest)


def test_priority_overtakes_nobody_who_used_less() -> None:
    waiting = [job("mine", "busy", Priority.HIGH), job("theirs", "idle", Priority.LOW, minute=9)]
    assert ids(line_up(waiting, running={"busy": 1}, used_hours={})) == ["theirs", "mine"]
    assert ids(line_up(waiting, running={}, used_hours={"busy": 2.0})) == ["theirs", "mine"]
    assert ids(line_up(waiting, running={}, used_hours={})) == ["mine", "theirs"]


seconds = st.tuples(st.integers(1, 500), st.integers(0, 500)).map(lambda s: (float(s[0]), float(s[0] + s[1])))
lines = st.lists(st.one_of(st.none(), seconds), max_size=20)


@unhurried
@given(lines, lines, st.integers(1, 5))
def test_an_end_is_never_before_its_own_work_nor_before_a_place_is_free(
    line: list[tuple[float, float] | None], running: list[tuple[float, float] | None], places: int
) -> None:
    found = ends(line, running=running, places=places)
    for own, (low, high) in zip(line, found, strict=True):
        assert low <= high
        assert own is None or (low >= own[0] and high >= own[1])
    more = ends(line, running=running, places=places + 1)
    assert all(a[1] <= b[1] for a, b in zip(more, found, strict=True))


def test_the_wait_for_those_ahead_is_part_of_the_estimate() -> None:
    assert ends([(10, 20), (5, 6)], running=[(3, 4)], places=1) == [(13, 24), (18, 30)]
    assert ends([(10, 20), (5, 6)], running=[(3, 4)], places=2) == [(10, 20), (8, 10)]
