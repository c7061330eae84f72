"""How keeping is reached: one protocol, in process or over HTTP, as jobs.client for everything else."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from pydantic import TypeAdapter

from jobs.failures import typed_errors
from jobs.keeping.views import AuditCheck, AuditView, BackupView, HoldingView, ReceiptView, UsageView

if TYPE_CHECKING:
    from jobs.keeping.service import Keeping


class KeepingClient(Protocol):
    """Every method may raise engine.errors.CrossViewError or one of its kin."""

    def usage(self) -> UsageView: ...
    def holdings(self) -> list[HoldingView]:
        """Every dataset with its size, its clock, and what needs it, the newest first."""
        ...

    def holding(self, id: str) -> HoldingView: ...
    def keep(self, id: str, *, days: int | None) -> HoldingView:
        """Keep a dataset for so many days from now; None: until somebody deletes it."""
        ...

    def receipts(self, *, limit: int = 200, after: str = "") -> list[ReceiptView]: ...
    def receipt(self, id: str) -> ReceiptView: ...
    def audit(
        self, *, since: datetime | None = None, object: str | None = None, limit: int = 200, after: str = ""
    ) -> list[AuditView]: ...
    def verify_audit(self, *, head: str = "") -> AuditCheck:
        """head: NUMBER:DIGEST of an entry noted earlier, which must still be there."""
        ...

    def stream(self, *, reference: bool = False) -> Generator[bytes]:
        """The database and the store's objects as one tar. reference: name the objects of an S3 store instead."""
        ...

    def backup(self, into: Path, *, reference: bool = False) -> BackupView:
        """The stream as a file, whole or not at all."""
        ...


@dataclass(frozen=True, slots=True)
class LocalKeeping:
    """In process; raises what HttpKeeping raises."""

    service: Keeping

    def usage(self) -> UsageView:
        with typed_errors():
            return self.service.usage()

    def holdings(self) -> list[HoldingView]:
        with typed_errors():
            return self.service.holdings()

    def holding(self, id: str) -> HoldingView:
        with typed_errors():
            return self.service.holding(id)

    def keep(self, id: str, *, days: int | None) -> HoldingView:
        with typed_errors():
            return self.service.keep(id, days=days)

    def receipts(self, *, limit: int = 200, after: str = "") -> list[ReceiptView]:
        with typed_errors():
            return self.service.receipts(limit=limit, after=after)

    def receipt(self, id: str) -> ReceiptView:
        with typed_errors():
            return self.service.receipt(id)

    def audit(
        self, *, since: datetime | None = None, object: str | None = None, limit: int = 200, after: str = ""
    ) -> list[AuditView]:
        with typed_errors():
            return self.service.audit(since=since, object=object, limit=limit, after=after)

    def verify_audit(self, *, head: str = "") -> AuditCheck:
        with typed_errors():
            return self.service.verify_audit(head=head)

    def stream(self, *, reference: bool = False) -> Generator[bytes]:
        with typed_errors():
            return self.service.backup(reference=reference)

    def backup(self, into: Path, *, reference: bool = False) -> BackupView:
        from jobs.keeping.archive import write_to

        with typed_errors():
            return write_to(into, lambda: self.stream(reference=reference))


@dataclass(frozen=True, slots=True)
class HttpKeeping:
    """Over the routes of /api/v1. get, put: a JSON answer; everything: all pages of a list; blocks: a POST's answer."""

    get: Callable[..., Any]
    everything: Callable[[str], list[Any]]
    put: Callable[[str, dict[str, Any]], Any]
    blocks: Callable[[str], Generator[bytes]]

    def usage(self) -> UsageView:
        return UsageView.model_validate(self.get("usage"))

    def holdings(self) -> list[HoldingView]:
        return TypeAdapter(list[HoldingView]).validate_python(self.everything("holdings"))

    def holding(self, id: str) -> HoldingView:
        return HoldingView.model_validate(self.get(f"holdings/{quote(id, safe='')}"))

    def keep(self, id: str, *, days: int | None) -> HoldingView:
        return HoldingView.model_validate(self.put(f"holdings/{quote(id, safe='')}/clock", {"days": days}))

    def receipts(self, *, limit: int = 200, after: str = "") -> list[ReceiptView]:
        return TypeAdapter(list[ReceiptView]).validate_python(self.get("receipts", limit=limit, after=after))

    def receipt(self, id: str) -> ReceiptView:
        return ReceiptView.model_validate(self.get(f"receipts/{quote(id, safe='')}"))

    def audit(
        self, *, since: datetime | None = None, object: str | None = None, limit: int = 200, after: str = ""
    ) -> list[AuditView]:
        asked = {"since": since.isoformat() if since else None, "object": object, "limit": limit, "after": after}
        found = self.get("audit", **{name: value for name, value in asked.items() if value is not None})
        return TypeAdapter(list[AuditView]).validate_python(found)

    def verify_audit(self, *, head: str = "") -> AuditCheck:
        return AuditCheck.model_validate(self.get("audit/check", head=head))

    def stream(self, *, reference: bool = False) -> Generator[bytes]:
        return self.blocks(f"admin/backup?reference={str(reference).lower()}")

    def backup(self, into: Path, *, reference: bool = False) -> BackupView:
        from jobs.keeping.archive import write_to

        with typed_errors():
            return write_to(into, lambda: self.stream(reference=reference))
