"""What an attempt took, as pages and clients see it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class StageUse(BaseModel):
    """One stage. cores: processors busy on average. memory: most bytes of all processes together; one: of a single one.

    gpu: share of the device's time in use on average, 0 to 1; gpu_memory: most bytes. Of those that had a GPU.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    start_s: float
    seconds: float
    cores: float
    memory: int
    one: int
    gpu: float | None = None
    gpu_memory: int | None = None


class ResourcesView(BaseModel):
    """Of one attempt, as far as it got. attempts: those of which anything is known.

    step_s: length of a line of the columns below, which begin at `began`. cores: processors busy; memory: bytes of all
    processes together, pages that several share counted once where the kernel says which. expected: bytes that the
    estimate before submission said of the largest single process; largest: what that one had. cost: processor
    seconds that measuring took, as a share of the seconds that all processes lived.
    """

    model_config = ConfigDict(frozen=True)

    job: str
    attempt: int
    attempts: tuple[int, ...] = ()
    began: datetime | None = None
    seconds: float = 0.0
    step_s: float = 1.0
    processes: int = 0
    machines: int = 0
    stage: tuple[str, ...] = ()
    cores: tuple[float, ...] = ()
    memory: tuple[int, ...] = ()
    gpu: tuple[float | None, ...] = ()
    gpu_memory: tuple[int | None, ...] = ()
    gpu_name: str = ""
    stages: tuple[StageUse, ...] = ()
    cpu_s: float = 0.0
    peak: int = 0
    largest: int = 0
    expected: int | None = None
    cost: float = 0.0
