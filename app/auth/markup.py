"""The pages where people sign in, as HTML: plain, labelled, and without a script."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from starlette.responses import HTMLResponse

from jobs.views import Failure

_ICON = base64.b64encode((Path(__file__).resolve().parent.parent / "icon.svg").read_bytes()).decode()
HEADERS = {
    "cache-control": "no-store",
    # Links hold secrets, which leave for nowhere else; without any referrer a form would come from nowhere.
    "referrer-policy": "same-origin",
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
}


def page(title: str, *parts: str, status: int = 200, links: Sequence[tuple[str, str]] = ()) -> HTMLResponse:
    """parts: HTML. links: words and addresses, at the foot."""
    foot = "".join(f'<a href="{escape(to)}">{escape(word)}</a>' for word, to in links)
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · CrossView</title>"
        f'<link rel="icon" href="data:image/svg+xml;base64,{_ICON}"><link rel="stylesheet" href="/auth/style.css">'
        f'</head><body><main><header><img src="data:image/svg+xml;base64,{_ICON}" alt="">CrossView</header>'
        f"<h1>{escape(title)}</h1>{''.join(parts)}{f'<nav>{foot}</nav>' if foot else ''}</main></body></html>"
    )
    return HTMLResponse(document, status_code=status, headers=HEADERS)


def form(action: str, button: str, *fields: str, hidden: dict[str, str], quiet: bool = False) -> str:
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in hidden.items()
    )
    kind = ' class="plain"' if quiet else ""
    return (
        f'<form method="post" action="{escape(action)}">{kept}{"".join(fields)}'
        f'<button type="submit"{kind}>{escape(button)}</button></form>'
    )


def field(
    name: str, label: str, *, kind: str = "text", value: str = "", hint: str = "", complete: str = "off",
    most: int = 256, first: bool = False, fixed: bool = False,
) -> str:  # fmt: skip
    """complete: what a password manager may fill in. first: where the cursor stands. fixed: only shown."""
    described = f' aria-describedby="{name}-hint"' if hint else ""
    marks = f"{' readonly' if fixed else ' required'}{' autofocus' if first else ''}{described}"
    said = f'<span class="hint" id="{name}-hint">{escape(hint)}</span>' if hint else ""
    return (
        f'<div class="field"><label for="{name}">{escape(label)}</label><input id="{name}" name="{name}" type="{kind}" '
        f'value="{escape(value)}" autocomplete="{complete}" maxlength="{most}" spellcheck="false"{marks}>{said}</div>'
    )


def words(text: str, *, quiet: bool = False) -> str:
    kind = ' class="quiet"' if quiet else ""
    return f"<p{kind}>{escape(text)}</p>"


def button(word: str, to: str) -> str:
    return f'<a class="button" href="{escape(to)}">{escape(word)}</a>'


def refused(failure: Failure) -> str:
    """What happened and what to do, read out at once."""
    return f'<div class="said bad" role="alert"><strong>{escape(failure.message)}</strong>{escape(failure.hint)}</div>'


def done(text: str) -> str:
    return f'<div class="said good" role="status">{escape(text)}</div>'
