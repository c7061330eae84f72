"""Imports that nobody wants any more: what works for them is told at once, and left behind where it does not hear."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

GRACE_S = 2.5  # between a stop and leaving behind what has not noticed it: a server that is silent, a slow disk  # ours
Action = Callable[[], None]


class Stopped(Exception):
    """Nobody wants this import any more."""


@dataclass
class Stops:
    """The datasets of one file that are still wanted. Asked and told by many threads."""

    wanted: set[str]
    _watching: dict[int, tuple[frozenset[str], Action]] = field(default_factory=dict)
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self, id: str) -> None:
        """This one is not wanted any more; runs what was to be done when that is so."""
        with self._lock:
            self.wanted.discard(id)
            due = [action for ids, action in self._watching.values() if not ids & self.wanted]
        for action in due:
            action()

    def require(self, *ids: str) -> None:
        """Raises Stopped where none of these is wanted; of all where none is named."""
        if not self.any(*ids):
            raise Stopped

    def any(self, *ids: str) -> bool:
        with self._lock:
            return bool(self.wanted & set(ids) if ids else self.wanted)

    @contextmanager
    def when_none(self, ids: Iterable[str], action: Action) -> Iterator[None]:
        """In this context `action` runs as soon as none of `ids` is wanted, on the thread that said so.

        Raises Stopped where that is so already.
        """
        watched = frozenset(ids)
        with self._lock:
            if not watched & self.wanted:
                raise Stopped
            self._number += 1
            number = self._number
            self._watching[number] = (watched, action)
        try:
            yield
        finally:
            with self._lock:
                del self._watching[number]

    def accompany(self, work: Action, *, left: Action) -> None:
        """Runs `work` on a thread of its own until it ends, or until nothing is wanted and it has not ended soon after.

        left: called then; the thread ends by itself once it looks. It is no thread that a process waits for.
        Raises what the work raised.
        """
        ended, woken = threading.Event(), threading.Event()
        met: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as problem:
                met.append(problem)
            finally:
                ended.set()
                woken.set()

        with self._lock:
            here = frozenset(self.wanted)
        try:
            with self.when_none(here, woken.set):
                threading.Thread(target=run, name="import-work", daemon=True).start()
                woken.wait()
        except Stopped:  # before it began
            left()
            return
        if not ended.wait(GRACE_S):
            left()
        elif met:
            raise met[0]
