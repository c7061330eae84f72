"""Memory of this machine as the kernel counts it: how much this process may have, and whether anybody ran out of it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
WORDS = re.compile(r"out.of.memory|OutOfMemory|low on memory|\bOOM\b", re.IGNORECASE)  # of whoever tells of it


def of_this_machine(cgroup: Path = CGROUP) -> float:
    """Bytes: of the machine, or of the container where that is less."""
    import psutil

    total = float(psutil.virtual_memory().total)
    limits = [_number(cgroup / name) for name in ("memory.max", "memory/memory.limit_in_bytes")]
    return min([total, *(float(limit) for limit in limits if limit)])


def kills(cgroup: Path = CGROUP) -> int:
    """Processes of this container that the kernel has killed for memory so far; 0 where it does not say."""
    for name in ("memory.events", "memory/memory.oom_control"):
        try:
            lines = (cgroup / name).read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            word, _, value = line.partition(" ")
            if word == "oom_kill" and value.strip().isdecimal():
                return int(value)
    return 0


def why_it_died(exit_codes: Sequence[int]) -> dict[str, str]:
    """What the exit codes of dead workers say: the arguments `why` and `code` of a receipt."""
    broken = [code for code in exit_codes if code < 0 and -code not in (signal.SIGKILL, signal.SIGTERM)]
    if broken:
        return {"why": f"its process broke down ({_name(-broken[0])})", "code": "worker-crashed"}
    return {"why": "its process was killed without a word", "code": "worker-died"}


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
