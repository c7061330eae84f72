"""How a client waits: as long as the server asks, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, auto

import httpx

PATIENCE_S = 60.0  # over all tries of one request  # ours
TRIES = 5  # of one that broke off  # ours
FIRST_S = 0.25  # before the second of these; then twice as long each time  # ours
LATER = (429, 503)  # the server did nothing


class Repeatable(Enum):
    """When a request may be sent again: never; where the server did not read it; or in any case."""

    NEVER = auto()
    UNREAD = auto()
    ALWAYS = auto()


def patiently(
    send: Callable[[], httpx.Response],
    *,
    repeatable: Repeatable,
    patience_s: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
) -> httpx.Response:
    """The answer, after the waits the server asked for. Raises what the last try raised."""
    waited, tries = 0.0, 1
    while True:
        try:
            answer = send()
        except httpx.TransportError as error:
            # one that could not even connect was not read; that nothing listens is not worth waiting for
            if repeatable is not Repeatable.ALWAYS or isinstance(error, httpx.ConnectError) or tries == TRIES:
                raise
            pause, tries = FIRST_S * 2 ** (tries - 1), tries + 1
        else:
            asked = asked_s(answer)
            if repeatable is Repeatable.NEVER or asked is None or waited + asked > patience_s:
                return answer
            pause = asked
        waited += pause
        sleep(pause)


def asked_s(answer: httpx.Response) -> float | None:
    """Seconds the server asks to wait before the same request; None where it does not."""
    in_progress = answer.status_code == 409 and "idempotency-key" in answer.request.headers
    text = answer.headers.get("retry-after", "")
    if not (answer.status_code in LATER or in_progress) or not text.isdecimal():
        return None
    return float(text)
