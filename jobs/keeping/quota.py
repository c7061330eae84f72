"""How much an owner keeps, and what is refused before it begins because there is no more room for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.accounts import access
from jobs.keeping.errors import OverQuota
from jobs.keeping.views import UsageView
from storage.files import human_bytes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from jobs.settings import Settings
    from storage.database import Database
    from storage.uploads import UploadArea

FREE_UP = "Delete what is no longer needed on the Data page or with `crossview jobs delete`, or ask for a larger quota."


@dataclass(frozen=True, slots=True)
class Quota:
    """The operator's limits against what is there."""

    settings: Settings
    database: Database
    uploads: UploadArea

    @property
    def unlimited(self) -> bool:
        return self.settings.quota_bytes is None and self.settings.quota_datasets is None

    def usage(self, owner: str | None = None) -> UsageView:
        """Of whoever asks, unless another is named."""
        owner = owner or access.owner()
        with self.database.read() as conn:
            return self.usage_in(conn, owner, self.uploads_bytes(owner))

    def usage_in(self, conn: DuckDBPyConnection, owner: str, uploads_bytes: int) -> UsageView:
        datasets = _numbers(
            conn,
            "select coalesce(sum(bytes), 0), (select count(*) from datasets "
            "where owner = $owner and deleted_at is null and state not in ('failed', 'cancelled')) "
            "from (select digest, max(bytes) as bytes from datasets "
            "where owner = $owner and deleted_at is null group by digest)",
            owner,
        )
        results = _numbers(
            conn,
            "select coalesce(sum(a.bytes), 0), count(distinct j.id) "
            "from jobs j left join artifacts a on a.job = j.id where j.owner = $owner",
            owner,
        )
        return UsageView(
            owner=owner,
            bytes=datasets[0] + results[0] + uploads_bytes,
            datasets_bytes=datasets[0],
            results_bytes=results[0],
            uploads_bytes=uploads_bytes,
            datasets=datasets[1],
            jobs=results[1],
            limit_bytes=self.settings.quota_bytes,
            limit_datasets=self.settings.quota_datasets,
            retention_days=self.settings.retention_days,
            result_days=self.settings.result_days,
        )

    def uploads_bytes(self, owner: str) -> int:
        """Of files sent or being sent, by what was announced: two at once must not both fit into the last room."""
        return sum(max(upload.size or 0, upload.received) for upload in self.uploads.list() if upload.owner == owner)

    def require_upload(self, size: int | None) -> None:
        """Raises OverQuota before a byte is sent."""
        if self.settings.quota_bytes is not None:
            _require_bytes(self.usage(), size or 0, "this upload")

    def require_datasets(
        self, conn: DuckDBPyConnection, owner: str, uploads_bytes: int, *, count: int, size: int
    ) -> None:
        """In the transaction that adds them. size: bytes they bring beyond those counted already; 0 where unknown."""
        if self.unlimited:
            return
        usage = self.usage_in(conn, owner, uploads_bytes)
        limit = usage.limit_datasets
        if limit is not None and usage.datasets + count > limit:
            raise OverQuota(
                f"{usage.datasets:,} of {limit:,} datasets are kept, and {count} more would be too many.", hint=FREE_UP
            )
        _require_bytes(usage, size, "these cells")

    def require_job(self, conn: DuckDBPyConnection, owner: str, uploads_bytes: int) -> None:
        """In the transaction that adds it: what a job leaves behind is not known before, only that there is room."""
        if not self.unlimited:
            _require_bytes(self.usage_in(conn, owner, uploads_bytes), 1, "the result of this job")


def _require_bytes(usage: UsageView, more: int, what: str) -> None:
    limit = usage.limit_bytes
    if limit is None or usage.bytes + more <= limit:
        return
    parts = {"datasets": usage.datasets_bytes, "results": usage.results_bytes, "uploads": usage.uploads_bytes}
    kept = ", ".join(f"{name} {human_bytes(size)}" for name, size in parts.items() if size)
    asked = f" ({human_bytes(more)})" if more > 1 else ""
    raise OverQuota(
        f"{human_bytes(usage.bytes)} of {human_bytes(limit)} are used ({kept or 'nothing'}): "
        f"there is no room for {what}{asked}.",
        hint=FREE_UP,
    )


def _numbers(conn: DuckDBPyConnection, sql: str, owner: str) -> tuple[int, int]:
    line = conn.execute(sql, {"owner": owner}).fetchone()
    assert line is not None  # an aggregate always has a row
    return int(line[0]), int(line[1])
