"""Numbers, sizes and times in words."""

from __future__ import annotations

from datetime import UTC, datetime


def count(n: int) -> str:
    """8412 -> "8,412"."""
    return f"{n:,}"


def plural(n: int, one: str, many: str = "") -> str:
    """(1, "cell") -> "1 cell"; (8412, "cell") -> "8,412 cells"."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def number(value: float | None, *, digits: int = 2) -> str:
    """A score as people say it: two decimals, "–" where there is none."""
    if value is None or value != value:
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"


def percent(share: float) -> str:
    """0.784 -> "78 %"; small shares keep one digit, and what is not nothing is never called 0 %."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.99 < share < 1:
        return f"{min(share * 100, 99.9):.1f} %"
    return f"{share * 100:.1f} %" if 0 < share < 0.01 else f"{share * 100:.0f} %"


def size(n: float) -> str:
    """Bytes in decimal units, as file managers show them."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if n >= 10 or unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def duration(seconds: float) -> str:
    """192 -> "3 min 12 s"."""
    whole = max(round(seconds), 0)
    if seconds < 10:
        return "less than a second" if seconds < 1 else f"{whole} s"
    minutes, s = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {s} s" if s else f"{minutes} min"
    return f"{s} s"


def duration_range(seconds: tuple[float, float]) -> str:
    """(20, 45) -> "20–45 s"; (70, 200) -> "1–4 min": an estimate is an interval, rounded outwards."""
    low, high = seconds
    if high < 90:
        a, b, unit = max(int(low), 1), max(int(high + 0.999), 1), "s"
    elif high < 5400:
        a, b, unit = int(low // 60), int(-(-high // 60)), "min"
    else:
        a, b, unit = int(low // 3600), int(-(-high // 3600)), "h"
    if a >= b:
        return f"about {b} {unit}"
    return f"{a}–{b} {unit}" if a else f"up to {b} {unit}"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long since, in one breath; the date once it is older than a week."""
    now = now or datetime.now(UTC)
    seconds = (now - aware(moment)).total_seconds()
    if seconds < 45:
        return "just now"
    if seconds < 3600:
        return f"{max(round(seconds / 60), 1)} min ago"
    if seconds < 86_400:
        return f"{round(seconds / 3600)} h ago"
    if seconds < 7 * 86_400:
        return plural(round(seconds / 86_400), "day") + " ago"
    return aware(moment).strftime("%-d %b %Y")


def moment(when: datetime) -> str:
    """The absolute time, for tooltips and tables."""
    return aware(when).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)
