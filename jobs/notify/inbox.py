"""The inbox: what a person was told, newest first, and what of it they have read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.errors import BadRequest
from jobs.notify.events import headline
from jobs.paging import key_of
from jobs.views import DeliveryView, Failure, InboxView, NotificationView
from storage.tables import deliveries as delivery_table
from storage.tables import notifications as table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.database import Database
    from storage.tables.deliveries import DeliveryRow
    from storage.tables.notifications import NotificationRow

MOST_IDS = 1_000  # marked in one go  # ours


@dataclass(frozen=True)
class Inbox:
    """Of one owner. lab: whether it says too what became of it at the lab's addresses, which are the operator's."""

    database: Database
    owner: str
    lab: bool = True

    def newest(self, *, limit: int = 50, unread_only: bool = False, after: str = "") -> InboxView:
        """after: where the page before ended. Raises BadRequest."""
        behind = key_of(after, int, str)
        with self.database.read() as conn:
            found = table.find(conn, owner=self.owner, unread_only=unread_only, limit=limit, behind=behind)
            sent = [
                each
                for each in delivery_table.of(conn, [row.id for row in found])
                if each.owner == self.owner or (self.lab and not each.owner)
            ]
            unread = table.unread(conn, owner=self.owner)
        told = tuple(_view(row, [each for each in sent if each.notification == row.id]) for row in found)
        return InboxView(notifications=told, unread=unread)

    def mark_read(self, *, ids: Sequence[str] = (), through: str = "", subject: str = "") -> int:
        """How many are unread afterwards. Raises BadRequest where nothing is named, or too much."""
        if not (ids or through or subject) or len(ids) > MOST_IDS:
            raise BadRequest(
                f"{len(ids):,} notifications are named.",
                hint=f"Name up to {MOST_IDS:,} in `ids`, the newest in `through`, or a job or dataset in `subject`.",
            )
        with self.database.read() as conn:
            before = table.unread(conn, owner=self.owner)
        if not before:
            return 0

        def mark(conn: DuckDBPyConnection) -> int:
            table.mark_read(conn, owner=self.owner, ids=ids, through=through, subject=subject)
            return table.unread(conn, owner=self.owner)

        return self.database.write_now(mark)


def _view(row: NotificationRow, sent: Sequence[DeliveryRow]) -> NotificationView:
    return NotificationView(
        id=row.id,
        event=row.event,
        headline=headline(row.event, row.kind),
        subject=row.subject,
        kind=row.kind,
        title=row.title,
        failure=Failure.model_validate(row.failure) if row.failure else None,
        moment=row.moment,
        read=row.read_at is not None,
        deliveries=tuple(
            DeliveryView(label=each.label, state=each.state, tries=each.tries, error=each.error) for each in sent
        ),
    )
