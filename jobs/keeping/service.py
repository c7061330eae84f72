"""Keeping, as the service offers it: usage, holdings, clocks, deletions, receipts, the audit log."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from jobs.accounts import access
from jobs.errors import NotFound
from jobs.keeping import audit
from jobs.keeping.backup import Backup
from jobs.keeping.deleting import Deleter
from jobs.keeping.holdings import holdings
from jobs.keeping.quota import Quota
from jobs.keeping.receipt import view_of
from jobs.keeping.retention import Sweeper, set_clock
from jobs.keeping.views import AuditCheck, AuditView, HoldingView, ReceiptView, UsageView
from jobs.paging import key_of
from jobs.shown import dataset_view
from jobs.views import DatasetView
from storage.tables import receipts as receipt_table
from storage.tables import retention as retention_table

if TYPE_CHECKING:
    from jobs.importing.importer import Importer
    from jobs.models import Models
    from jobs.results.shelf import Shelf
    from storage.tables.datasets import DatasetRow


@dataclass
class Keeping:
    """Made of what the service has; `start` begins the sweeper, `close` ends it."""

    importer: Importer
    shelf: Shelf
    models: Models
    quota: Quota = field(init=False)
    deleter: Deleter = field(init=False)
    sweeper: Sweeper = field(init=False)

    def __post_init__(self) -> None:
        at = self.importer
        self.database = at.database
        self.quota = at.gate.quota
        self.deleter = Deleter(at.database, self.shelf, self.models.load, at.content)
        self._backup = Backup(at.settings.home, at.database, self.shelf.store, self.deleter.pause)
        self.sweeper = Sweeper(at.settings, at.database, self.deleter, at.uploads)

    def start(self) -> None:
        self.sweeper.start()

    def close(self) -> None:
        self.sweeper.stop()

    def usage(self) -> UsageView:
        return self.quota.usage()

    def holdings(self) -> list[HoldingView]:
        return holdings(self.database, self.shelf.store)

    def dated(self, rows: Sequence[DatasetRow]) -> list[DatasetView]:
        """Views that say until when each is kept."""
        with self.database.read() as conn:
            until = {clock.object: clock.until for clock in retention_table.all_of(conn).values()}
        return [dataset_view(row, until=until.get(row.id)) for row in rows]

    def holding(self, id: str) -> HoldingView:
        """Raises NotFound."""
        for each in self.holdings():
            if each.dataset.id == id:
                return each
        raise NotFound(f"There is no dataset {id[:80]!r}.", hint="It may have been deleted: bring it in again.")

    def keep(self, id: str, *, days: int | None) -> HoldingView:
        """Days from now, or until deleted. Raises NotFound, BadRequest."""
        set_clock(self.database, id, days=days)
        return self.holding(id)

    def receipts(self, *, limit: int = 200, after: str = "") -> list[ReceiptView]:
        """after: where the page before ended. Raises BadRequest."""
        behind = key_of(after, int, str)
        with self.database.read() as conn:
            found = receipt_table.find(conn, owner=access.only(), limit=limit, behind=behind)
            return [view_of(row) for row in found]

    def receipt(self, id: str) -> ReceiptView:
        """Raises NotFound."""
        with self.database.read() as conn:
            row = receipt_table.get(conn, id)
        if row is None or not access.mine(row.owner):
            raise NotFound(f"There is no receipt {id[:80]!r}.", hint="`GET /api/v1/receipts` lists them.")
        return view_of(row)

    def audit(
        self, *, since: datetime | None = None, object: str | None = None, limit: int = 200, after: str = ""
    ) -> list[AuditView]:
        """Of everybody for operators; for others, of what they did themselves."""
        who = access.me()
        own = None if who is None or who.operator else who.user
        return audit.listing(self.database, since=since, object=object, who=own, limit=limit, after=after)

    def backup(self, *, reference: bool = False) -> Generator[bytes]:
        """A tar of everything. Raises NotAllowed; Conflict while another is made."""
        access.require_operator()
        return self._backup.stream(reference=reference)

    def verify_audit(self, *, head: str = "") -> AuditCheck:
        """Raises NotAllowed."""
        access.require_operator()
        return audit.check(self.database, head=head)
