"""`ray start` of a second node on loopback: `python -m tests.chaos.joining start --address …`.

Told to stay on 127.0.0.1, Ray takes the machine for a Mac and refuses further nodes; nothing else depends on it.
"""

from __future__ import annotations

from types import SimpleNamespace

from ray._private import ray_constants
from ray.scripts import scripts

scripts.ray_constants = SimpleNamespace(**{**vars(ray_constants), "ENABLE_RAY_CLUSTER": True})

if __name__ == "__main__":
    scripts.main()
