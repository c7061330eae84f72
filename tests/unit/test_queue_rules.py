"""Capacity by node, what a worker's end means, and a log that is followed."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import pytest

from jobs.errors import BadSetting, NoCapacity
from jobs.logs import Scrubbed, unseen
from jobs.queue import capacity
from jobs.runners import memory
from jobs.runners.base import Capacity

GB = 2**30


def test_a_job_that_fits_the_sum_but_no_node_is_refused_with_the_size_of_the_largest() -> None:
    cluster = Capacity(cpus=8, gpus=0, memory_bytes=16 * GB, nodes=4, largest_bytes=4 * GB)
    capacity.require(cluster, runner="ray", memory_mb=4_000)
    with pytest.raises(NoCapacity, match=r"4,096 MB on the largest of its 4 nodes"):
        capacity.require(cluster, runner="ray", memory_mb=5_000)


def test_no_processor_and_no_gpu_are_refused_by_name() -> None:
    with pytest.raises(NoCapacity, match="no processor"):
        capacity.require(Capacity(0, 0, GB, 1), runner="ray")
    with pytest.raises(BadSetting, match="GPU"):
        capacity.require(Capacity(4, 0, GB, 1), runner="ray", gpu=True)


@pytest.mark.parametrize(
    ("codes", "code"),
    [([-signal.SIGKILL], "worker-died"), ([-signal.SIGSEGV, -signal.SIGTERM], "worker-crashed"), ([], "worker-died")],
)
def test_a_kill_may_be_for_memory_and_a_crash_is_not(codes: list[int], code: str) -> None:
    assert memory.why_it_died(codes)["code"] == code


def test_what_the_kernel_killed_for_memory_is_counted_and_a_container_s_limit_is_heard(tmp_path: Path) -> None:
    assert memory.kills(tmp_path) == 0
    (tmp_path / "memory.events").write_text("low 0\noom 4\noom_kill 3\n")
    (tmp_path / "memory.max").write_text(f"{2**20}\n")
    assert memory.kills(tmp_path) == 3
    assert memory.of_this_machine(tmp_path) == 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.of_this_machine(tmp_path) > 2**20


def test_a_line_is_scrubbed_as_it_is_written_however_it_arrives() -> None:
    out = io.StringIO()
    stream = Scrubbed(out)
    for text in ("Authorization: Bea", "rer abcdefgh12345678 end\nnext", " line\n"):
        stream.write(text)
    assert "abcdefgh12345678" not in out.getvalue()
    assert out.getvalue().endswith("next line\n")


def test_a_followed_log_tells_each_line_once_though_its_beginning_is_cut_off() -> None:
    assert unseen("", "a\nb") == "a\nb"
    assert unseen("a\nb", "a\nb\nc") == "c"
    assert unseen("a\nb\nc", "b\nc\nd\ne") == "d\ne"
    assert unseen("a\nb", "a\nb") == ""
