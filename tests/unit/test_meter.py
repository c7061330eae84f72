"""The meter: what it loads before it counts, and what it counts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from engine.benchmark.meter import Meter

WITHOUT_EXTRA = """
import sys
sys.modules["scvi"] = None  # as where the extra is not installed
import engine.translators.multivi.recipe
from engine.benchmark.meter import warm_imports
warm_imports()
"""


def test_a_missing_extra_does_not_stop_the_entries_of_other_models() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRA], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_part_that_holds_memory_is_seen() -> None:
    meter = Meter()
    with meter.part("large"):
        held = np.ones(16_000_000)  # 122 MB
    assert held.sum() == 16_000_000
    assert meter.peak_mb["large"] > 100
    assert meter.seconds["large"] > 0
