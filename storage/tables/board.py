"""Jobs as they are looked for: by state, kind, model, label, star, time and words, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from storage.tables import rows
from storage.tables.jobs import JobRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BINNED = "id in (select object from marks where bin_until is not null)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is looked for; what is left out narrows nothing. words: each must occur in title, id, model or label.

    shared: ids of others' jobs that the owner may look at. states: none of them finds nothing. binned: only what lies
    in the bin, or only what does not.
    """

    owner: str
    shared: Sequence[str] = ()
    states: Sequence[str] | None = None
    kind: str = ""
    model: str = ""
    label: str = ""
    starred: bool = False
    since: datetime | None = None
    before: datetime | None = None
    words: Sequence[str] = ()
    binned: bool = False


def find(conn: DuckDBPyConnection, asked: Asked, *, limit: int, offset: int) -> list[JobRow]:
    """The newest first."""
    where, values = _where(asked)
    return rows.select(
        conn, JobRow, f"where {where} order by submitted_at desc, id limit ? offset ?", [*values, limit, offset]
    )


def counts(conn: DuckDBPyConnection, asked: Asked) -> dict[str, int]:
    """How many answer, by state."""
    where, values = _where(asked)
    found = conn.execute(f"select state, count(*) from jobs where {where} group by state", values).fetchall()
    return {str(state): int(n) for state, n in found}


def kinds(conn: DuckDBPyConnection, *, owner: str) -> list[str]:
    found = conn.execute("select distinct kind from jobs where owner = ? order by kind", [owner]).fetchall()
    return [str(kind) for (kind,) in found]


def _where(asked: Asked) -> tuple[str, list[Any]]:
    others = f" or id in ({', '.join('?' for _ in asked.shared)})" if asked.shared and not asked.binned else ""
    conditions: list[str] = [f"(owner = ?{others})", _BINNED if asked.binned else f"not {_BINNED}"]
    values: list[Any] = [asked.owner, *(asked.shared if others else ())]

    def also(condition: str, *given: Any) -> None:
        conditions.append(condition)
        values.extend(given)

    if asked.states is not None:
        states = [str(state) for state in asked.states]
        also(f"state in ({', '.join('?' for _ in states)})" if states else "false", *states)
    if asked.kind:
        also("kind = ?", asked.kind)
    if asked.model:
        also("contains(spec, ?)", _model(asked.model))
    if asked.label:
        also("id in (select object from labels where owner = ? and label = ?)", asked.owner, asked.label)
    if asked.starred:
        also("id in (select object from marks where owner = ? and starred)", asked.owner)
    if asked.since is not None:
        also("submitted_at >= ?", asked.since)
    if asked.before is not None:
        also("submitted_at < ?", asked.before)
    for word in asked.words:
        needle = word.lower()
        also(
            "(contains(lower(title), ?) or contains(id, ?) or contains(lower(spec), ?) "
            "or id in (select object from labels where owner = ? and contains(lower(label), ?)))",
            needle, needle, f'"model":"{needle}', asked.owner, needle,
        )  # fmt: skip
    return " and ".join(conditions), values


def _model(id: str) -> str:
    """As a spec is kept: canonical JSON, so that the words of a benchmark's lines are found too."""
    return rows.encode(JobRow, "spec", {"model": id})[1:-1]  # type: ignore[no-any-return]
