"""An analysis as a job on this machine: its files, word of what is done, failures with their code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs import driver
from jobs.analysis.tasks import told_key
from jobs.driver import run_attempt
from jobs.runners.local import SerialExecutor
from jobs.stages import STAGES
from jobs.work import attempt_of
from tests.running import Ordered, order_analysis

pytestmark = pytest.mark.slow


def run(ordered: Ordered) -> int:
    return run_attempt(ordered.store, ordered.job, 1, SerialExecutor(ordered.uri))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Ordered:
    ordered = order_analysis(tmp_path_factory.mktemp("finished"), what="mixing", batch="cell_type")
    assert run(ordered) == 0, ordered.events()[-1]
    return ordered


def test_stages_come_in_their_order_and_the_worker_says_what_it_does(finished: Ordered) -> None:
    order_of = list(STAGES["analysis"])
    places = [order_of.index(event["stage"]) for event in finished.events() if event["kind"] == "stage"]
    assert places == sorted(places)
    assert {order_of[place] for place in places} >= {"analyse", "publish"}  # the first may be over before it is told
    said = finished.store.get_bytes(told_key(attempt_of(finished.uri, finished.job, 1)))
    assert json.loads(said) == {"message": "Writing the tables"}


def test_artifacts_are_what_the_event_says(finished: Ordered) -> None:
    import hashlib

    said = finished.events()[-1]["artifacts"]
    assert [each["name"] for each in said] == [
        "mixing.cells.csv", "mixing.cells.parquet", "mixing.mixing.csv", "mixing.mixing.parquet", "report.json",
    ]  # fmt: skip
    for each in said:
        data = finished.output(each["name"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (each["bytes"], each["sha256"])
    report = json.loads(finished.output("report.json"))
    assert report["files"] == {each["name"]: each["sha256"] for each in said if each["name"] != "report.json"}
    assert finished.events()[-1]["summary"]["figures"] == {"mixing": report["results"][0]["figures"]}


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"what": "mixing", "batch": "donor"}, "bad-setting", "donor"),
        ({"what": "activity"}, "bad-input", "gene table of hg38"),
    ],
)
def test_what_cannot_be_done_fails_with_its_own_code(
    tmp_path: Path, fields: dict[str, Any], code: str, said: str
) -> None:
    ordered = order_analysis(tmp_path, **fields)
    assert run(ordered) == driver.FAILED
    failure = ordered.events()[-1]["failure"]
    assert failure["code"] == code
    assert said in failure["message"]
    assert failure["hint"]
