"""What processes take, as bounded series, and put together on one clock."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from jobs import layout
from jobs.resources import meter as meters
from jobs.resources.meter import Meter
from jobs.resources.points import MOST, Point, Record, Series
from jobs.resources.probe import Gpu, Shared, resident
from jobs.resources.together import together
from jobs.resources.words import lines
from storage.artifacts import LocalStore

MB = 2**20


def point(at: float, seconds: float = 1.0, stage: str = "translate", **also: float) -> Point:
    return Point(at=at, seconds=seconds, stage=stage, **{"cpu_s": seconds, "memory": 100 * MB, **also})  # type: ignore[arg-type]


def record(*points: Point, role: str = "worker", machine: str = "a", name: str = "p") -> Record:
    return Record(process=name, role=role, machine=machine, cost_s=0.01, gpu_name="", points=points)


def test_a_long_job_has_few_points_and_loses_neither_peak_nor_time() -> None:
    series = Series()
    for i in range(5_000):
        series.add(point(float(i), memory=(900 if i == 1_234 else 100) * MB))
    assert len(series.points) <= MOST
    assert max(p.memory for p in series.points) == 900 * MB
    assert sum(p.cpu_s for p in series.points) == pytest.approx(5_000)
    assert series.points[0].at == 0
    assert series.points[-1].end == 5_000


def test_stages_are_not_mixed_while_there_is_room() -> None:
    series = Series()
    for i in range(100):
        series.add(point(i * 0.01, 0.01, stage="score" if i % 2 else "map"))
    assert {p.stage for p in series.points} == {"score", "map"}
    assert len(series.points) == 100


def test_thousands_of_short_stages_stay_bounded() -> None:
    series = Series()
    for i in range(3_000):
        series.add(point(float(i), 1.0, stage=f"s{i % 3}"))
    assert len(series.points) <= MOST


def test_a_record_is_read_as_it_was_written() -> None:
    first = record(point(10.0, gpu=0.5, gpu_memory=3), point(11.0, stage="map"))
    assert Record.of(json.loads(json.dumps(first.document()))) == first


@pytest.mark.parametrize("wrong", [{}, [], {"format": 2}, {"format": 1, "points": {}}, None])
def test_what_is_no_record_is_told(wrong: object) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Record.of(wrong)


def test_memory_of_processes_adds_up_and_shared_pages_count_once() -> None:
    one = record(*(point(float(i), shared=40 * MB) for i in range(4)), name="a")
    two = record(*(point(float(i), stage="score") for i in (1, 2)), name="b")
    found = together([one, two], job="j", attempt=1, attempts=[1])
    assert found.memory == (60 * MB, 160 * MB, 160 * MB, 60 * MB)
    assert found.cores == (1.0, 2.0, 2.0, 1.0)
    assert (found.peak, found.largest, found.processes, found.machines) == (160 * MB, 100 * MB, 2, 1)
    assert {use.stage: use.seconds for use in found.stages} == {"translate": 4.0, "score": 2.0}


def test_a_worker_that_waits_still_holds_its_memory_and_no_processor() -> None:
    found = together([record(point(0.0), point(5.0))], job="j", attempt=1, attempts=[1])
    assert found.memory == (100 * MB,) * 6
    assert found.cores == (1.0, 0, 0, 0, 0, 1.0)


def test_the_driver_says_the_stage_and_tasks_have_their_own_names() -> None:
    driver = record(point(0.0, 1.0, "prepare"), point(1.0, 3.0, "measure"), role="driver")
    entry = record(point(1.5, 2.0, "entry", memory=700 * MB), name="w", machine="b")
    found = together([entry, driver], job="j", attempt=1, attempts=[1], expected=350 * MB)
    assert found.stage == ("prepare", "measure", "measure", "measure")
    measure = next(use for use in found.stages if use.stage == "measure")
    assert (measure.one, found.machines) == (700 * MB, 2)
    assert "where 367 MB were estimated (200%)" in "\n".join(lines(found))


def test_processor_time_is_kept_whatever_the_clock() -> None:
    rng = np.random.default_rng(0)
    at = np.cumsum(rng.random(500))
    taken = zip(at.tolist(), rng.random(500).tolist(), rng.random(500).tolist(), strict=True)
    points = [point(a, s, cpu_s=c) for a, s, c in taken]
    found = together([record(*points)], job="j", attempt=1, attempts=[1])
    assert sum(found.cores) * found.step_s == pytest.approx(sum(p.cpu_s for p in points), rel=1e-3)


def test_without_a_record_there_is_an_empty_view() -> None:
    found = together([], job="j", attempt=2, attempts=[])
    assert (found.stages, found.peak, found.began) == ((), 0, None)
    assert list(lines(found)) == ["Nothing was recorded of attempt 2 of j."]


def test_this_process_has_memory_and_knows_what_it_shares() -> None:
    now, most = resident()
    assert 10 * MB < now <= most
    assert 0 <= Shared().read(now) < now


def test_what_was_held_for_a_moment_is_seen(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    meter = Meter(lambda: store, "job1", 1)
    with meter.at("train"):
        now, most = resident()
        ballast = np.ones((most - now + 60 * MB) // 8)
        del ballast
    assert max(point.memory for point in meter.series.points) >= most + 50 * MB
    (key,) = store.list(layout.resources("job1", 1))
    assert Record.of(json.loads(store.get_bytes(key))).points[-1].stage == "train"


def test_a_store_that_is_away_costs_no_work() -> None:
    def gone() -> LocalStore:
        raise OSError("no such store")

    meter = Meter(gone, "job1", 1, role="driver")
    with meter.at("train"):
        pass
    assert meter.series.points


def test_a_task_inside_the_driver_is_told_apart_from_it(tmp_path: Path) -> None:
    meter = Meter(lambda: LocalStore(tmp_path), "job1", 1, role="driver")
    with meter.at("prepare"):
        with meter.at("translate"):
            pass
        meter.say("map")
    assert [p.stage for p in meter.series.points] == ["prepare", "translate", "prepare", "map"]


def test_a_process_has_one_meter_an_attempt(tmp_path: Path) -> None:
    uri = LocalStore(tmp_path).uri()
    first = meters.meter_of(uri, "a", 1, role="driver")
    assert meters.meter_of(uri, "a", 1) is first
    assert meters.meter_of(uri, "a", 2) is not first


def test_a_gpu_is_asked_only_once_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU stands here: what torch says of one is put in its place; its utilisation nobody then tells."""
    asleep = types.SimpleNamespace(cuda=types.SimpleNamespace(is_initialized=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", asleep)
    assert Gpu().read() == (None, None)
    held = iter([500 * MB, 500 * MB])
    awake = types.SimpleNamespace(
        is_initialized=lambda: True,
        get_device_name=lambda i: "A card",
        get_device_properties=lambda i: types.SimpleNamespace(uuid="no-such-card"),
        max_memory_reserved=lambda i: next(held),
        memory_reserved=lambda i: 20 * MB,
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=awake))
    gpu = Gpu()
    assert [gpu.read()[1], gpu.read()[1], gpu.name] == [500 * MB, 20 * MB, "A card"]
