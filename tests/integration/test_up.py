"""`crossview up` starts everything, says where it is, and takes all of it away again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobs.commands.stack import MARK, answers, any_port
from jobs.runners.ray.cluster import MARK as RAY_MARK
from jobs.runners.ray.cluster import marked

pytestmark = pytest.mark.cluster

START = """
import sys
from pathlib import Path
from jobs.commands.up import up
sys.exit(up(home=Path(sys.argv[1]), example=False))
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, str]]:
    """A running `up` on the port that the environment names: its process, home and address."""
    port = str(any_port())
    command, environ = [sys.executable, "-c", START, str(tmp_path / "home")], {**os.environ, "CROSSVIEW_PORT": port}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environ) as process:
        assert process.stdout is not None
        url = ""
        for line in process.stdout:
            if line.startswith("CrossView is at "):
                url = line.split()[-1]
                break
        assert url.endswith(f":{port}")
        yield process, tmp_path / "home", url
        if process.poll() is None:
            process.terminate()
        process.stdout.read()


def belongings(home: Path) -> set[psutil.Process]:
    known = json.loads((home / "up.json").read_text())
    return marked(known["mark"], variable=MARK) | marked(known["ray_mark"], variable=RAY_MARK)


def test_one_signal_ends_everything_it_started(started: tuple[subprocess.Popen[str], Path, str]) -> None:
    """Which signals do is told in test_up_signals."""
    process, home, url = started
    assert answers(url)
    assert home.stat().st_mode & 0o777 == 0o700
    ours = belongings(home)
    assert len(ours) > 5
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not [each for each in ours if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert not answers(url, timeout_s=1)


def test_a_server_that_dies_ends_the_rest_with_a_word(started: tuple[subprocess.Popen[str], Path, str]) -> None:
    process, home, _ = started
    ours = belongings(home)
    next(each for each in ours if "uvicorn" in each.cmdline()).kill()
    assert process.wait(30) == 4
    assert process.stdout is not None
    assert "ended unexpectedly" in process.stdout.read()
    assert not [each for each in ours if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
