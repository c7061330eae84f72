"""How often a sign-in may be tried: growing delays, counted before the password is looked at.

Three counts. By account and address together, and by address alone, delays grow to a quarter of an hour. By account
alone they stay below half a minute and leave out addresses the account was used from before: guessing from elsewhere
slows everybody else down, and never locks the owner out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from jobs.accounts.errors import TooManyTries
from storage.tables import tries as table
from storage.tables.rows import utcnow
from storage.tables.tries import TryRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.database import Database

FORGOTTEN = timedelta(days=1)  # after which a count begins anew  # ours


@dataclass(frozen=True, slots=True)
class Rule:
    """free: tries without a delay. After that 2, 4, 8 … seconds, at most `most`."""

    free: int
    most: float

    def wait_s(self, failures: int) -> float:
        over = failures - self.free
        return 0.0 if over < 0 else min(self.most, 2.0 ** min(over + 1, 20))


PAIR, ADDRESS, ACCOUNT = Rule(5, 900.0), Rule(30, 900.0), Rule(20, 30.0)  # ours


@dataclass(frozen=True)
class Lockout:
    database: Database
    now: Callable[[], datetime] = utcnow

    def enter(self, account: str, address: str, *, known: bool = False) -> Entry:
        """Counts this try, as one that fails until it is said to have succeeded. Raises TooManyTries.

        known: the account was used from this address before.
        """
        kept = network_of(address)
        rules = {_key("pair", account, kept): PAIR, _key("address", kept): ADDRESS}
        if not known:
            rules[_key("account", account)] = ACCOUNT
        now = self.now()

        def count(conn: DuckDBPyConnection) -> float:
            table.sweep(conn, before=now - FORGOTTEN)
            there = table.of(conn, list(rules))
            wait = max(((row.until - now).total_seconds() for row in there.values() if row.until), default=0.0)
            if wait > 0:
                return wait
            for id, rule in rules.items():
                row = there.get(id) or TryRow(id=id, failures=0, last_at=now)
                failures = row.failures + 1
                delay = rule.wait_s(failures)
                until = now + timedelta(seconds=delay) if delay else None
                table.put(conn, replace(row, failures=failures, last_at=now, until=until))
            return 0.0

        wait = self.database.write_now(count)
        if wait > 0:
            raise TooManyTries(
                f"There were too many tries. The next one is looked at in {_words(wait)}.",
                hint="Nothing is locked for good: wait, and try again. A forgotten password is set anew by e-mail.",
                wait_s=wait,
            )
        own = [id for id, rule in rules.items() if rule is not ADDRESS]
        return Entry(self, own, _key("address", kept))


@dataclass(frozen=True)
class Entry:
    """A try that was counted."""

    lockout: Lockout
    own: Sequence[str]
    address: str

    def succeeded(self) -> None:
        """Takes the counts back; of the address only this one, or a guesser would clear them with their own account."""

        def clear(conn: DuckDBPyConnection) -> None:
            table.forget(conn, self.own)
            if row := table.of(conn, [self.address]).get(self.address):
                table.put(conn, replace(row, failures=max(0, row.failures - 1), until=None))

        self.lockout.database.write_now(clear)


def network_of(address: str) -> str:
    """Who has one IPv6 address has 2⁶⁴ of them: they count as one."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None:
        return str(ip_network((int(ip), 64), strict=False))
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _words(seconds: float) -> str:
    whole = max(1, round(seconds + 0.49))
    if whole < 90:
        return f"{whole} second{'s' if whole > 1 else ''}"
    return f"{-(-whole // 60)} minutes"
