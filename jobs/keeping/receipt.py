"""The receipt of a deletion: a document and the SHA-256 over it, which anybody can compute again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from jobs.keeping.views import ReceiptView

if TYPE_CHECKING:
    from storage.tables.receipts import ReceiptRow


def canonical(document: Mapping[str, Any]) -> bytes:
    """Sorted keys, no spaces, UTF-8: the bytes that are hashed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sealed(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(document)).hexdigest()


def view_of(row: ReceiptRow) -> ReceiptView:
    return ReceiptView(
        id=row.id,
        kind=cast(Any, row.kind),
        object=row.object,
        state=cast(Any, row.state),
        document=dict(row.document),
        sha256=row.sha256,
        created_at=row.created_at,
    )
