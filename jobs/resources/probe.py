"""This process as the kernel counts it, and its GPU as the driver does."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

PROC = Path("/proc/self")
PATIENCE = 2_000  # a slow reading is repeated after so many times what it took: a twentieth of a per cent  # ours


def machine() -> str:
    """Eight digits that tell machines apart and name none."""
    return sha256(platform.node().encode()).hexdigest()[:8]


def resident() -> tuple[int, int]:
    """Bytes resident now, and the most there ever were."""
    try:
        text = (PROC / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        import psutil

        now = int(psutil.Process().memory_info().rss)
        return now, now
    found = {name: line.split() for line in text.splitlines() for name in [line.partition(":")[0]]}
    now, most = (int(found[name][1]) * 1024 if name in found else 0 for name in ("VmRSS", "VmHWM"))
    return now, max(now, most)


@dataclass
class Shared:
    """Bytes of this process that are also others': read as often as that costs next to nothing."""

    _last: int = 0
    _again: float = 0.0

    def read(self, resident: int) -> int:
        if time.monotonic() >= self._again:
            began = time.thread_time()
            try:
                lines = (PROC / "smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
                own = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
            except (OSError, StopIteration, ValueError, IndexError):
                own, self._again = resident, float("inf")  # not told here
            else:
                self._again = time.monotonic() + PATIENCE * (time.thread_time() - began)
            self._last = max(0, resident - own)
        return min(self._last, resident)


@dataclass
class Gpu:
    """The first GPU this process uses. Asked for nothing before the process itself has begun to use one."""

    name: str = ""
    _most: int = 0
    _nvml: ctypes.CDLL | None = None
    _handle: ctypes.c_void_p = field(default_factory=ctypes.c_void_p)
    _tried: bool = False

    def read(self) -> tuple[float | None, int | None]:
        """Share of the device's time in use, 0 to 1, and the most bytes held since the last reading."""
        torch = sys.modules.get("torch")
        if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
            return None, None
        if not self._tried:
            self._tried = True
            self.name = str(torch.cuda.get_device_name(0))
            self._open(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
        most = int(torch.cuda.max_memory_reserved(0))
        held = most if most > self._most else int(torch.cuda.memory_reserved(0))
        self._most = most
        return self._used(), held

    def _open(self, uuid: str) -> None:
        try:
            nvml = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return
        if nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(self._handle)) == 0:
            self._nvml = nvml

    def _used(self) -> float | None:
        if self._nvml is None:
            return None
        rates = (ctypes.c_uint * 2)()  # of the processors, of the memory
        failed = self._nvml.nvmlDeviceGetUtilizationRates(self._handle, rates)
        return None if failed else rates[0] / 100


def name_of_process() -> str:
    """A name nobody else has."""
    return os.urandom(6).hex()
