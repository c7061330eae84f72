"""Where the server may listen: beyond this machine only where people sign in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from jobs.errors import BadSetting
from jobs.settings import Settings, is_loopback


def require_lawful(
    settings: Settings, *, arguments: Sequence[str] = sys.argv, environ: Mapping[str, str] = os.environ
) -> None:
    """Raises BadSetting where uvicorn was told to listen beyond this machine and nobody has to sign in."""
    host = _asked(arguments) or environ.get("UVICORN_HOST") or ""
    if host and not settings.auth.on and not is_loopback(host):
        raise BadSetting(
            f"It was told to listen on {host}, beyond this machine, and anybody could come in.",
            hint="Set CROSSVIEW_AUTH (local, oidc or proxy), or listen on 127.0.0.1 and use an SSH tunnel.",
        )


def _asked(arguments: Sequence[str]) -> str:
    """The value of `--host`, if there is one."""
    for place, word in enumerate(arguments):
        if word == "--host":
            return arguments[place + 1] if place + 1 < len(arguments) else ""
        if word.startswith("--host="):
            return word.partition("=")[2]
    return ""
