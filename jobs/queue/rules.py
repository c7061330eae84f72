"""What an operator lets jobs and users have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """places: attempts at once. user_running, user_queued: of one user; 0 is no limit.

    job_s: that one attempt may run, where the job names no limit of its own; start_s: from hand-over to its first
    word, while the runner says that it waits. 0 is no limit.
    """

    places: int = 2  # ours
    user_running: int = 0
    user_queued: int = 2_000  # ours
    job_s: float = 0.0
    start_s: float = 3_600.0  # ours: an autoscaler takes minutes
