"""`crossview jobs logs -f`: a log as it grows, to the end of its job."""

from __future__ import annotations

import time
from typing import TextIO

from jobs.client import Client
from jobs.logs import unseen
from jobs.state import TERMINAL

LOOK_S = 0.5
LINES = 100_000


def follow_log(client: Client, id: str, *, tail: int, out: TextIO, pause_s: float = LOOK_S) -> None:
    """The last lines, then each new one. Raises NotFound, Unreachable."""
    seen, first = "", True
    while True:
        ended = client.job(id).state in TERMINAL  # asked first: what was said before the end is then in the log
        now = client.logs(id, tail=LINES)
        new = now if first else unseen(seen, now)
        if first:
            new = "\n".join(new.splitlines()[-tail:])
        if new:
            print(new, file=out, flush=True)
        seen, first = now, False
        if ended:
            return
        time.sleep(pause_s)
