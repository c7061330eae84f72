"""The short form of `make chaos`: a few jobs on two Ray nodes and a real S3, and the faults that happen every week."""

from __future__ import annotations

import pytest

from tests.chaos.run import Plan, run
from tests.s3server import need_weed

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(480)]

FAULTS = ("worker killed", "control plane killed", "driver killed", "S3 killed", "worker frozen")

WAYS = ("once", "cancel", "twice", "cancel")


def test_every_promise_is_kept_whatever_dies() -> None:
    need_weed()
    said: list[str] = []
    figures = run(
        Plan(jobs=4, seed=3, at_once=4, jobs_at_once=2, specs=1, gap_s=1.5, hours=0.2, faults=FAULTS, ways=WAYS),
        say=said.append,
    )
    assert not figures.problems, "\n".join([*said, figures.markdown()])
    assert figures.numbers["jobs accepted"] >= 4
    assert set(figures.numbers["faults by kind"]) == set(FAULTS), said
