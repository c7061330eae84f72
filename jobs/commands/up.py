"""`crossview up`: everything on this machine, the example once, and then the dashboard until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from jobs.client_http import HttpClient
from jobs.commands.demo import see_through
from jobs.commands.scorecard import scorecard
from jobs.commands.stack import Stack
from jobs.errors import Conflict, CrossViewError
from jobs.settings import Settings
from jobs.state import JobState

DONE, BAD_USE, NOT_REACHABLE = 0, 2, 4
WATCH_S = 0.5


class _Enough(BaseException):
    """Ctrl-C or SIGTERM: the person wants it to end."""


def up(*, port: int | None = None, home: Path | None = None, example: bool = True) -> int:
    """Start Ray, the dashboard and the API; run the example once; wait. Exit code 0 after Ctrl-C, 4 when it broke."""
    settings = Settings.from_env()
    home, port = (home or settings.home).expanduser().absolute(), port or settings.port
    stack: Stack | None = None
    with _signals():
        try:
            stack = Stack.start(home=home, port=port, say=_say)
            _say(f"CrossView is at {stack.url}")
            if settings.auth.on:
                _say(
                    f"People sign in there. Without an operator yet: the first one's token is in {home}/operator.token"
                )
            elif example:
                # In a thread of its own: a Ray or server that dies is noticed while the example runs.
                threading.Thread(target=_show_example, args=(stack.url,), name="example", daemon=True).start()
            return _watch(stack)
        except _Enough:
            _say("\nStopping …")
            return DONE
        except CrossViewError as error:
            _say(f"{error.message}\n→ {error.hint}" if error.hint else error.message)
            return BAD_USE if isinstance(error, Conflict) else NOT_REACHABLE
        finally:
            _ignore_signals()
            if stack is not None:
                stack.stop()


def _show_example(url: str) -> None:
    """The example's progress and scorecard; its trouble is told, and leaves the dashboard as it is."""
    try:
        with HttpClient(url) as client:
            job = see_through(client, client.submit_example(), say=lambda line: _say(f"  example · {line}"))
            if job.state is JobState.SUCCEEDED:
                _say("\n".join(["", *scorecard(client.report(job.id)), ""]))
            _say(f"CrossView is at {url} · Ctrl-C stops it")
    except CrossViewError as error:
        _say(f"The example could not be run: {error.message}\n→ {error.hint}")


def _watch(stack: Stack) -> int:
    """Until the server ends. A Ray that dies is started once more; the dashboard stays either way."""
    restarts_left, told = 1, False
    while stack.server_alive():
        time.sleep(WATCH_S)
        if stack.ray_alive() or told:
            continue
        if restarts_left == 0:
            _say(
                "Ray ended again. The dashboard stays; jobs wait.\n→ Ctrl-C and start again; `crossview doctor` helps."
            )
            told = True
            continue
        restarts_left -= 1
        _say("Ray ended unexpectedly; starting it again. Running jobs start anew by themselves.")
        try:
            stack.restart_ray()
            _say("Ray runs again.")
        except CrossViewError as error:
            _say(f"{error.message}\nThe dashboard stays; jobs wait.\n→ {error.hint}")
            told = True
    _say(
        f"The server ended unexpectedly.\n→ Read {stack.server_log}, then start again: nothing that was saved is lost."
    )
    return NOT_REACHABLE


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    def enough(number: int, frame: object) -> None:
        _ignore_signals()
        raise _Enough

    before = {number: signal.signal(number, enough) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """Once is enough: a second Ctrl-C must not leave half of it running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _say(line: str) -> None:
    print(line, file=sys.stdout, flush=True)
