"""How the server may be started: listening beyond this machine only where people sign in, and believing no stranger."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.errors import BadSetting
from jobs.settings import Settings, is_loopback


def require_lawful(
    settings: Settings, *, arguments: Sequence[str] = sys.argv, environ: Mapping[str, str] = os.environ
) -> None:
    """Raises BadSetting where uvicorn was told to listen beyond this machine and nobody has to sign in, or where it
    would itself believe what anybody on this machine says of the address a request comes from.
    """
    host = _asked(arguments) or environ.get("UVICORN_HOST") or ""
    if host and not settings.auth.on and not is_loopback(host):
        raise BadSetting(
            f"It was told to listen on {host}, beyond this machine, and anybody could come in.",
            hint="Set CROSSVIEW_AUTH (local, oidc or proxy), or listen on 127.0.0.1 and use an SSH tunnel.",
        )
    by_hand = Path(arguments[0]).name == "uvicorn" or "uvicorn" in Path(arguments[0]).parts if arguments else False
    if settings.auth.on and by_hand and "--no-proxy-headers" not in arguments:
        raise BadSetting(
            "uvicorn would take the word of any program on this machine for the address of whoever signs in.",
            hint="Start it with --no-proxy-headers: CROSSVIEW_TRUSTED_PROXIES says whose word is taken.",
        )


def _asked(arguments: Sequence[str]) -> str:
    """The value of `--host`, if there is one."""
    for place, word in enumerate(arguments):
        if word == "--host":
            return arguments[place + 1] if place + 1 < len(arguments) else ""
        if word.startswith("--host="):
            return word.partition("=")[2]
    return ""
