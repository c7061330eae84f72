"""Schemathesis over the OpenAPI document against a running server: no 5xx, nothing the document does not say.

`make fuzz-api`, or `python -m tests.chaos.api --seconds 600 --seed 1`. The lab is a small one in a temporary folder,
with one finished job; nothing outside is asked (fetching is off), and no limit of requests is set.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.api import create_app
from jobs.bootstrap import opened
from jobs.runners.local import LocalRunner
from storage.guard import WebRules
from tests.labs import build_catalog, ended, lab_settings, served

PHASES = ("coverage", "examples", "fuzzing", "stateful")
# Whether a well-formed request is also granted depends on what is there: sources, names of genes, states of jobs.
CONFIG = "[checks]\npositive_data_acceptance.enabled = false\n"


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """report: what Schemathesis printed."""

    passed: bool
    report: str


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """The address of the API of a small lab with one finished job."""
    settings = lab_settings(folder / "home", build_catalog(folder / "pretrained"))
    settings = replace(settings, fetch=WebRules(on=False))
    with opened(settings, runner=LocalRunner(settings.home / "runner", workers=1)) as client:
        ended(client, client.submit_example())
        with served(create_app(client)) as address:
            yield address


def fuzz(
    address: str, folder: Path, *, seed: int, seconds: int = 0, phases: Sequence[str] = PHASES, only: str = ""
) -> Fuzzed:
    """seconds: 0 for as long as the phases take. only: a regular expression of paths."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG, encoding="utf-8")
    asked = ["--phases", ",".join(phases), "--seed", str(seed)]
    if seconds:
        asked += ["--max-time", str(seconds)]
    if only:
        asked += ["--include-path-regex", only]
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run",
        f"{address}/api/v1/openapi.json", "--continue-on-failure", "--no-shrink", "--request-timeout", "120",
        "--warnings", "off", *asked,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds * 3 + 240, check=False)
    left_out = "Skipped:" in done.stdout and not seconds
    return Fuzzed(done.returncode == 0 and not left_out, done.stdout + done.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crossview-fuzz-") as name, lab(Path(name)) as address:
        found = fuzz(address, Path(name), seconds=asked.seconds, seed=asked.seed)
    print(found.report)
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
