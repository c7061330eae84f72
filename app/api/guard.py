"""By which names the server is spoken to, and from which pages: this machine's own, and those an operator allows.

Host is checked against DNS rebinding, Origin against other sites' forms, scripts and websockets.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.kit import problem
from jobs.views import Failure

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DEFAULT_PORT = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class HostGuard:
    """ASGI middleware over every route and websocket. allowed: further `host:port` an operator trusts.

    beyond: whether it may be reached from beyond this machine, because people sign in.
    """

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str] = (), beyond: bool = False) -> None:
        self._app, self._beyond = app, beyond
        self._allowed = frozenset(name.lower() for name in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await receive()  # the handshake
            await send({"type": "websocket.close", "code": 1008, "reason": "wrong host or origin"})

    def refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._beyond and not _is_here(scope):
            return _refuse("This server listens beyond its machine, and nobody signs in here.", LOOPBACK)
        names = self._names(scope)
        host = headers.get("host", "").lower()
        if host not in names:
            return _refuse(f"This server does not answer to the name {host!r}.", sorted(names))
        origin = headers.get("origin")
        if origin is not None and _authority(origin) not in names:
            return _refuse(f"The request comes from a page of {origin!r}.", sorted(names))
        return None

    def _names(self, scope: Scope) -> frozenset[str]:
        server = scope.get("server")
        port = server[1] if server else None
        if port is None:  # a Unix socket: whoever may open it may speak
            return self._allowed | {name.lower() for name in LOOPBACK}
        names = {f"{name}:{port}" for name in LOOPBACK}
        if port == _DEFAULT_PORT.get(scope.get("scheme", "http")):
            names.update(LOOPBACK)
        return self._allowed | names


def _is_here(scope: Scope) -> bool:
    """Whether the address it was reached at is this machine's own; of a name or a Unix socket nothing is known."""
    server = scope.get("server")
    try:
        address = ip_address(server[0] if server else "")
    except ValueError:
        return True
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _authority(origin: str) -> str:
    """The host and port of an origin; `null` and anything else that is not a web page has none."""
    scheme, separator, rest = origin.lower().partition("://")
    return rest if separator and scheme in ("http", "https") else ""


def _refuse(message: str, names: Sequence[str]) -> Response:
    return problem(Failure(code="wrong-host", message=message, hint=f"Open it as http://{names[0]}."))
