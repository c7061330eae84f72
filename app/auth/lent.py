"""Downloads and pictures of pages, each to whom it was shown: a copied address opens nobody else's file.

Streamlit names such a file by its content and gives it to whoever knows the name. Here a name is remembered with the
header of ours (`gate.HEADER`) under which it was made, and the gate asks for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.runtime.media_file_manager import MediaFileManager

PATH = "/media/"
MOST = 50_000  # names kept, the latest: more than a server of pages holds files at a time  # ours


@dataclass
class Lent:
    """Who was given which file. Safe from any thread."""

    most: int = MOST
    _to: OrderedDict[str, set[str]] = field(default_factory=OrderedDict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def give(self, name: str, who: str) -> None:
        with self._turn:
            self._to.setdefault(name, set()).add(who)
            self._to.move_to_end(name)
            while len(self._to) > self.most:
                self._to.popitem(last=False)

    def holds(self, name: str, who: str) -> bool:
        with self._turn:
            return who in self._to.get(name, ())

    def holders(self, name: str) -> set[str]:
        with self._turn:
            return set(self._to.get(name, ()))

    def watch(self, files: MediaFileManager, whose: Callable[[], str]) -> None:
        """Remembers all that `files` gives out from now on. whose: the header of the page that runs in this thread."""
        add, later, made = files.add, files.add_deferred, files.execute_deferred

        def added(*args: Any, **named: Any) -> str:
            url = add(*args, **named)
            self.give(last(url), whose())
            return url

        def promised(*args: Any, **named: Any) -> str:
            name = later(*args, **named)
            self.give(name, whose())
            return name

        def kept(file_id: str) -> str:
            url = made(file_id)
            for who in self.holders(file_id):
                self.give(last(url), who)
            return url

        # Its public methods, on this one object: there is no other way to learn for whom a file is made.
        files.add, files.add_deferred, files.execute_deferred = added, promised, kept  # type: ignore[method-assign]


def last(url: str) -> str:
    return url.partition("?")[0].rsplit("/", 1)[-1]
