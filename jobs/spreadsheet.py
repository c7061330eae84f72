"""Text that a spreadsheet shows instead of calculating: for every CSV that leaves CrossView."""

from __future__ import annotations

STARTS = frozenset("=+-@\t\r\n＝＋－＠")  # as OWASP lists them, the wide forms of East Asian keyboards included


def harmless(text: str) -> str:
    """The same text, an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text[:1] in STARTS else text
