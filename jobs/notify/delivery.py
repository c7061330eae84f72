"""Notifications on their way: decided on once, sent at least once, tried again for about a day.

All state is in the database. Each channel of the lab has a thread of its own, and so has each user to whose own
addresses something is due: one that hangs holds up no other.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from jobs.notify.channels import Channel, Undelivered
from jobs.notify.message import Message
from jobs.notify.personal import TOLD
from storage.errors import DatabaseBroken, DatabaseClosed
from storage.tables import deliveries as delivery_table
from storage.tables import notifications as table
from storage.tables.deliveries import GAVE_UP, SENT, DeliveryRow
from storage.tables.notifications import NotificationRow
from storage.tables.rows import utcnow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from jobs.notify.personal import Personal
    from storage.database import Database

log = logging.getLogger(__name__)

TRIES = 11  # over about a day  # ours
FIRST_WAIT_S = 5.0  # Standard Webhooks' example begins so
GROWTH = 4.0  # of each wait over the one before  # ours
LONGEST_WAIT_S = 6 * 3600.0  # ours
JITTER = 0.2  # share of a wait, so that many do not come back at once  # ours
KEPT = timedelta(days=90)  # in the inbox  # ours
SWEEP_S = 6 * 3600.0  # ours
AT_ONCE = 16  # users whose own addresses are being told  # ours
GONE = "This address is no longer set."
STOP_S = 3.0  # that a message in the air is waited for  # ours


@dataclass
class Deliverer:
    """channels: of the lab. on: events that go there. compose: a row as it is sent there.

    personal: where users are told by their own choice; None in single-user mode.
    """

    database: Database
    channels: Sequence[Channel]
    on: frozenset[str]
    compose: Callable[[NotificationRow], Message]
    personal: Personal | None = None
    period_s: float = 1.0
    stop_s: float = STOP_S
    now: Callable[[], datetime] = utcnow
    rng: random.Random = field(default_factory=random.Random)
    _outcomes: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    _swept_at: float = -SWEEP_S
    _stop: threading.Event = field(default_factory=threading.Event)
    _wakes: list[threading.Event] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _busy: dict[str, threading.Thread] = field(default_factory=dict)

    def start(self) -> None:
        """Deliveries of addresses that are no longer set are given up; all others go on where they stood."""
        ours = {channel.id for channel in self.channels}
        alone = self.personal is not None
        self.database.write_now(partial(delivery_table.abandon, channels=ours, error=GONE, lab_only=alone))
        self._begin("notify", self.address)
        for place, channel in enumerate(self.channels, start=1):
            self._begin(f"notify-{place}", partial(self.deliver, channel))
        if self.personal is not None:
            self._begin("notify-users", self.serve)

    def stop(self) -> None:
        """What is in the air is waited for shortly; if it hangs, the next process sends it again."""
        self._stop.set()
        self.wake()
        end = time.monotonic() + self.stop_s
        for thread in [*self._threads, *self._busy.values()]:
            thread.join(max(end - time.monotonic(), 0.0))

    def wake(self) -> None:
        for event in self._wakes:
            event.set()

    def address(self) -> int:
        """Writes down where each new notification goes, once, before anything is sent; how many there were."""
        if time.monotonic() >= self._swept_at + SWEEP_S:
            self.database.write_now(lambda conn: table.sweep(conn, before=self.now() - KEPT))
            self._swept_at = time.monotonic()
        with self.database.read() as conn:
            new = table.unaddressed(conn)
        if new:
            self.database.write_now(partial(self._address, new=new))
            self.wake()
        return len(new)

    def deliver(self, channel: Channel) -> int:
        """Sends what is due to this channel, one after the other; how many were tried."""
        with self.database.read() as conn:
            due = delivery_table.due(conn, channel=channel.id, moment=self.now())
        for tried, delivery in enumerate(due):
            if self._stop.is_set():
                return tried
            self._send(channel, delivery)
        return len(due)

    def serve(self) -> int:
        """Begins with every user to whose own addresses something is due; how many."""
        with self.database.read() as conn:
            due = delivery_table.due_owners(conn, moment=self.now())
        free = [owner for owner in due if owner not in self._busy][: max(AT_ONCE - len(self._busy), 0)]
        for owner in free:
            # A daemon, as below: an address of a user may hang as well.
            thread = threading.Thread(target=self._serve, args=(owner,), name=f"notify-{owner}", daemon=True)
            self._busy[owner] = thread
            thread.start()
        return len(free)

    def _serve(self, owner: str) -> None:
        try:
            self.deliver_own(owner)
        except (DatabaseClosed, DatabaseBroken):
            pass  # the next process goes on
        except Exception:
            log.exception("What is due to user %s could not be sent; trying again.", owner)
        finally:
            del self._busy[owner]

    def deliver_own(self, owner: str) -> int:
        """Sends what is due to this user's own addresses, one after the other; how many were tried."""
        assert self.personal is not None
        with self.database.read() as conn:
            due = delivery_table.due_of(conn, owner=owner, moment=self.now())
        for tried, delivery in enumerate(due):
            if self._stop.is_set():
                return tried
            with self.database.read() as conn:  # each time: they may have taken it out meanwhile
                theirs = {channel.id: channel for channel in self.personal.channels(conn, owner)}
            if delivery.channel in theirs:
                self._send(theirs[delivery.channel], delivery)
            else:
                self.database.write_now(partial(delivery_table.change, delivery=delivery, state=GAVE_UP, error=GONE))
        return len(due)

    def _address(self, conn: DuckDBPyConnection, *, new: Sequence[NotificationRow]) -> None:
        for row in new:
            if not table.mark_addressed(conn, row.id):
                continue
            for channel in self.channels if row.event in self.on else ():
                self._due(conn, row, channel)
            if self.personal is not None and row.event in TOLD:
                for channel in self.personal.channels(conn, row.owner):
                    self._due(conn, row, channel, owner=row.owner)

    def _due(self, conn: DuckDBPyConnection, row: NotificationRow, channel: Channel, *, owner: str = "") -> None:
        delivery = DeliveryRow(
            notification=row.id, channel=channel.id, label=channel.label, due_at=self.now(), owner=owner
        )
        delivery_table.insert(conn, delivery)

    def _send(self, channel: Channel, delivery: DeliveryRow) -> None:
        """Once: what became of it is kept until it is written down, also where the disk is full meanwhile."""
        key = (delivery.notification, delivery.channel)
        if key not in self._outcomes:
            with self.database.read() as conn:
                row = table.get(conn, delivery.notification)
            if row is None:  # deleted meanwhile, with its job
                return
            self._outcomes[key] = self._try(channel, row, delivery)
        outcome = self._outcomes[key]
        self.database.write_now(lambda conn: delivery_table.change(conn, delivery, **outcome))
        del self._outcomes[key]

    def _try(self, channel: Channel, row: NotificationRow, delivery: DeliveryRow) -> Mapping[str, Any]:
        """What became of it, as columns."""
        tries = delivery.tries + 1
        try:
            own = self.personal if delivery.owner else None
            channel.send(own.compose(row) if own is not None else self.compose(row))
        except Undelivered as error:
            return self._put_off(delivery, tries, error)
        except Exception as error:
            log.exception("Notification %s could not be sent by %s.", row.id, _by(delivery))
            return self._put_off(delivery, tries, Undelivered(f"It could not be sent: {type(error).__name__}."))
        return {"state": SENT, "tries": tries, "sent_at": self.now(), "error": ""}

    def _put_off(self, delivery: DeliveryRow, tries: int, error: Undelivered) -> Mapping[str, Any]:
        if error.final or tries >= TRIES:
            why = "" if delivery.owner else f": {error}"
            log.warning("Notification %s is given up by %s%s", delivery.notification, _by(delivery), why)
            return {"state": GAVE_UP, "tries": tries, "error": str(error)}
        due_at = self.now() + timedelta(seconds=wait_s(tries, self.rng, at_least=error.wait_s or 0.0))
        return {"tries": tries, "error": str(error), "due_at": due_at}

    def _begin(self, name: str, step: Callable[[], int]) -> None:
        wake = threading.Event()
        # A daemon: a server that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._loop, args=(step, wake), name=name, daemon=True)
        self._wakes.append(wake)
        self._threads.append(thread)
        thread.start()

    def _loop(self, step: Callable[[], int], wake: threading.Event) -> None:
        while not self._stop.is_set():
            try:
                step()
            except (DatabaseClosed, DatabaseBroken):
                return  # nothing more can be written here: the next process goes on
            except Exception:
                log.exception("Notifications could not be looked at; trying again.")
            wake.wait(self.period_s)
            wake.clear()


def _by(delivery: DeliveryRow) -> str:
    """As the log names it: users' own addresses, and what they answer, are theirs to see."""
    return f"an address of {delivery.owner}" if delivery.owner else delivery.label


def wait_s(tries: int, rng: random.Random, *, at_least: float = 0.0) -> float:
    """Seconds to the next try after so many: 5, 20, 80 … to six hours, a fifth more or less by chance."""
    usual = min(FIRST_WAIT_S * GROWTH ** min(tries - 1, 20), LONGEST_WAIT_S)
    return max(usual * rng.uniform(1 - JITTER, 1 + JITTER), min(at_least, LONGEST_WAIT_S))
