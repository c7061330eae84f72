"""What is kept, as words: pure functions from views to lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from math import ceil

from app import present
from jobs.keeping.views import HoldingView, ReceiptView, UsageView
from jobs.views import DatasetView, Health

CLOCKS: dict[str, int | None] = {
    "30 days": 30, "90 days": 90, "1 year": 365, "until I delete it": None,
}  # fmt: skip


def usage_line(usage: UsageView) -> str:
    """82 MB of 10 GB are used: cells 61 MB, results 21 MB · 4 of 100 data sets."""
    parts = {"cells": usage.datasets_bytes, "results": usage.results_bytes, "uploads under way": usage.uploads_bytes}
    of = f" of {present.size(usage.limit_bytes)}" if usage.limit_bytes is not None else ""
    kept = ", ".join(f"{name} {present.size(n)}" for name, n in parts.items() if n)
    many = present.plural(usage.datasets, "data set")
    if usage.limit_datasets is not None:
        many = f"{present.count(usage.datasets)} of {present.plural(usage.limit_datasets, 'data set')}"
    return f"{present.size(usage.bytes)}{of} used{f': {kept}' if kept else ''} · {many}"


def fullness(usage: UsageView) -> float | None:
    """0 to 1 of the tighter limit; None where there is none."""
    shares = [
        used / limit
        for used, limit in ((usage.bytes, usage.limit_bytes), (usage.datasets, usage.limit_datasets))
        if limit
    ]
    return min(max(shares), 1.0) if shares else None


def default_line(days: int | None, result_days: int | None) -> str:
    """How long things are kept where nobody said otherwise."""
    if days is None and result_days is None:
        return "Everything stays until you delete it."
    cells = (
        f"Cells are deleted {present.plural(days, 'day')} after they came"
        if days
        else "Cells stay until you delete them"
    )
    results = (
        f"results {present.plural(result_days, 'day')} after they were finished"
        if result_days
        else "results stay until you delete them"
    )
    return f"{cells}, {results}."


def kept_line(health: Health | None) -> str:
    """As the last line before something is submitted."""
    if health is None or (health.retention_days is None and health.result_days is None):
        return default_line(None, None)
    said = default_line(health.retention_days, health.result_days)
    return f"{said} A data set's time can be changed on the Data page."


def until_line(data: DatasetView, *, now: datetime | None = None) -> str:
    """Kept until 22 Dec 2026 (30 days left)."""
    if data.until is None:
        return "kept until you delete it"
    left = data.until - (now or datetime.now(UTC))
    when = data.until.astimezone(UTC).strftime("%-d %b %Y")
    if left.total_seconds() <= 0:
        return f"its time was over on {when}"
    days = ceil(left / timedelta(days=1))
    return f"kept until {when} ({present.plural(days, 'day')} left)"


def origin(data: DatasetView) -> str:
    """Where the cells came from, as people say it."""
    kind, _, rest = data.origin.partition(":")
    return {"upload": "uploaded", "example": f"example of {rest}"}.get(kind, data.origin)


def needed_line(holding: HoldingView) -> str:
    """What stands in the way of deleting it; empty when nothing does."""
    if holding.running:
        return f"In use: {', '.join(holding.running)} runs on it. Cancel it first, or wait for its end."
    if holding.held_by:
        return f"Its cells are also in {', '.join(holding.held_by)}: such a model is made of the cells themselves."
    return ""


def receipt_line(receipt: ReceiptView) -> str:
    """What went, and whether it is seen to be gone."""
    document = receipt.document
    size = sum(int(each["bytes"]) for each in document.get("objects", ()))
    gone = f"{present.plural(len(document.get('objects', ())), 'file')}, {present.size(size)}, seen to be gone"
    state = gone if receipt.state == "gone" else "the store does not answer yet; it is tried again every minute"
    return f"{receipt.kind} {receipt.object} · {state} · {document.get('reason', '')}"


def receipt_file(receipt: ReceiptView) -> bytes:
    """The document with its SHA-256 beside it, as somebody files it."""
    whole = {"document": receipt.document, "sha256": receipt.sha256}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode()
