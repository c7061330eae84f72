"""A notification in words and as JSON, the same whenever it is made: a retry says what the first try said."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jobs.failures import scrub
from jobs.notify.events import Event, headline

if TYPE_CHECKING:
    from jobs.notify.settings import NotifySettings
    from storage.tables.notifications import NotificationRow

SAID = 1_000  # characters of a failure's sentence, and of its hint  # ours
TITLE = 200  # ours
WHY = "You get this because this CrossView is set up to tell you when jobs and imports end."


@dataclass(frozen=True, slots=True)
class Message:
    """id: the same for every try and every channel. subject: one line. link: empty where we have no address."""

    id: str
    event: str
    moment: datetime
    subject: str
    paragraphs: tuple[str, ...]
    link: str
    payload: bytes
    why: str = WHY

    @property
    def text(self) -> str:
        return "\n\n".join((*self.paragraphs, *filter(None, [self.link]), "-- \n" + self.why)) + "\n"

    @property
    def html(self) -> str:
        said = [html.escape(part).replace("\n", "<br>") for part in self.paragraphs]
        if self.link:
            said.append(f'<a href="{html.escape(self.link)}">Open it in CrossView</a>')
        body = "".join(f"<p>{part}</p>" for part in said)
        return f"<!doctype html><html><body>{body}<p><small>{html.escape(self.why)}</small></p></body></html>"


def compose(row: NotificationRow, settings: NotifySettings, *, why: str = WHY) -> Message:
    """Without titles, what a person wrote stays here: the name of the job or file, and the failure's own words."""
    title = one_line(row.title) if settings.titles else ""
    what = headline(row.event, row.kind)
    failure = _failure(row, full=settings.titles)
    link = _link(row, settings.public_url)
    thing = {"import": "Dataset ", "test": ""}.get(row.kind, "Job ")
    where = f"{thing}{row.subject}, {row.moment:%Y-%m-%d %H:%M} UTC"
    told = [f"{what}: {title or row.subject}"]
    if failure:
        told += [failure["message"] or f"The reason is kept on its page (code {failure['code']})."]
        told += [f"What to do: {failure['hint']}"] if failure["hint"] else []
    document = {
        "type": str(row.event),
        "timestamp": row.moment.isoformat(),
        "data": {
            "id": row.subject,
            "kind": row.kind,
            "attempt": row.attempt,
            "title": title,
            "failure": failure or None,
            "url": link,
        },
    }
    return Message(
        id=row.id,
        event=row.event,
        moment=row.moment,
        subject=told[0],
        paragraphs=(*told, where),
        link=link,
        payload=json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
        why=why,
    )


def one_line(text: str, limit: int = TITLE) -> str:
    """Text that cannot begin another header, hide its direction or go on for ever."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _failure(row: NotificationRow, *, full: bool) -> dict[str, Any]:
    if row.failure is None:
        return {}
    said = {name: one_line(scrub(str(row.failure.get(name, ""))), SAID) for name in ("code", "message", "hint")}
    return said if full else {**said, "message": "", "hint": ""}


def _link(row: NotificationRow, public_url: str) -> str:
    if not public_url:
        return ""
    page = {Event.IMPORT_SUCCEEDED: "?cells={id}", Event.IMPORT_FAILED: "inbox", Event.TEST: "inbox"}
    return f"{public_url}/" + page.get(Event(row.event), "job?id={id}").format(id=quote(row.subject, safe=""))
