"""Nobody passes who is not signed in: pages, sockets, media, uploads and the API alike.

In front of every route, so that one that is added later is closed too. Who it is stands in the scope for routes, and in
a header of our own for pages, which see the headers of their socket; a header of that name from outside is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.kit import FROM, PREFIX, WHO, problem
from app.auth import cookies
from app.auth.lent import PATH as MEDIA
from app.auth.lent import Lent, last
from jobs.accounts.errors import NotAllowed, NotSignedIn
from jobs.accounts.principal import Principal
from jobs.accounts.service import Accounts
from jobs.accounts.settings import AuthSettings
from jobs.failures import failure_of
from jobs.keeping.actor import NOBODY, acting_as
from jobs.views import Failure

HEADER = "x-crossview-who"  # session:ID or user:ID, from here to the pages of this process
SIGN_IN = "/auth/sign-in"
OPEN = frozenset(
    {SIGN_IN, "/auth/join", "/auth/first", "/auth/forgotten", "/auth/new-password", "/auth/provider", "/auth/callback",
     "/auth/style.css", "/_stcore/health"}
)  # fmt: skip
LIBRARY = "/static/"  # Streamlit's own scripts and fonts, the same everywhere: nothing of ours is among them
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
GONE = 4401  # of a socket whose session is over  # ours
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "content-security-policy": "frame-ancestors 'self'; object-src 'none'; base-uri 'self'; img-src 'self' data: blob:",
}


class Gate:
    """ASGI middleware. source: the accounts at the time of a request; None while there are none.

    lent: for whom the pages' files were made; no word of it, and they are nobody's.
    """

    def __init__(
        self, app: ASGIApp, *, rules: AuthSettings, source: Callable[[], Accounts | None], public_url: str = "",
        lent: Lent | None = None,
    ) -> None:  # fmt: skip
        self._app, self._rules, self._source, self._public_url = app, rules, source, public_url
        self._lent = lent or Lent()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        dropped = {HEADER} if self._trusted(scope) else {HEADER, self._rules.header}
        scope["headers"] = [pair for pair in scope["headers"] if pair[0].decode("latin-1").lower() not in dropped]
        scope[FROM] = _came_from(scope, self._rules)
        if scope["type"] == "http":
            send = _with_headers(send, https=self._safe(scope), private=self._rules.on and _is_api(scope))
        if not self._rules.on:
            await self._app(scope, receive, send)
            return
        who, refusal = await run_in_threadpool(self._who, scope)
        scope[WHO] = who
        if who is not None:
            where = f"session:{who.session}" if who.session else f"user:{who.user}"
            scope["headers"].append((HEADER.encode(), where.encode()))
            if scope["path"].startswith(MEDIA) and not self._lent.holds(last(scope["path"]), where):
                refusal = Failure(
                    code="not-found", message="There is no such file of yours.", hint="Open its page, and try there."
                )
        free = scope["path"] in OPEN or scope["path"].startswith(LIBRARY)
        if refusal is None and (who is not None or free):
            watched = self._watched(receive, who) if scope["type"] == "websocket" else receive
            with acting_as(who.user if who is not None else NOBODY, f"page {scope[FROM]}".strip()):
                await self._app(scope, watched, send)
        elif scope["type"] == "http":
            await self._refused(scope, refusal)(scope, receive, send)
        else:
            await receive()  # the handshake
            await send({"type": "websocket.close", "code": 1008, "reason": "not signed in"})

    # -- who it is -----------------------------------------------------------------------------------------------

    def _who(self, scope: Scope) -> tuple[Principal | None, Failure | None]:
        """Whoever shows a token, a session's cookie, or is named by a proxy; or why they are turned away."""
        accounts = self._source()
        if accounts is None:
            return None, Failure(
                code="not-ready", message="The server is still starting.", hint="Try again in a moment."
            )
        headers = Headers(scope=scope)
        shown = headers.get("authorization")
        if shown is not None and scope["path"].startswith(PREFIX + "/"):
            kind, _, secret = shown.partition(" ")
            found = accounts.sessions.of_token(secret.strip()) if kind.lower() == "bearer" else None
            return found, None if found is not None else _bad_token()
        try:
            found = self._named(scope, accounts) or accounts.sessions.of_cookie(
                cookies.read(scope, cookies.SESSION, safe=self._safe(scope))
            )
        except NotAllowed as error:
            return None, failure_of(error)
        if found is not None and not self._same_site(scope, headers):
            return None, Failure(
                code="not-allowed",
                message="This request does not come from a page of this CrossView.",
                hint="Scripts show a bearer token instead of a cookie.",
            )
        return found, None

    def _named(self, scope: Scope, accounts: Accounts) -> Principal | None:
        if self._rules.mode != "proxy":
            return None
        names = Headers(scope=scope).getlist(self._rules.header)  # left in place from a trusted proxy alone
        name = names[0].strip() if len(names) == 1 else ""  # of two, one may have come from outside
        plain = name and len(name) <= 254 and name.isprintable()
        return accounts.by_proxy(name) if plain else None

    def _same_site(self, scope: Scope, headers: Headers) -> bool:
        """What changes something with a cookie alone must say that it comes from here: browsers do.

        Where there is an Origin, HostGuard compared it with the names of this server already.
        """
        if scope["type"] != "http" or scope["method"] in SAFE:
            return True
        return "origin" in headers or headers.get("sec-fetch-site") in ("same-origin", "none")

    def _trusted(self, scope: Scope) -> bool:
        return self._rules.mode == "proxy" and self._rules.trusts((scope.get("client") or ("", 0))[0])

    def _safe(self, scope: Scope) -> bool:
        return cookies.secure(scope, self._rules, self._public_url)

    # -- what they get -------------------------------------------------------------------------------------------

    def _refused(self, scope: Scope, refusal: Failure | None) -> Response:
        path = scope["path"]
        if refusal is None and scope["method"] in ("GET", "HEAD") and not path.startswith((PREFIX, "/_stcore", MEDIA)):
            query = scope.get("query_string", b"").decode("latin-1")
            back = quote(path + (f"?{query}" if query else ""), safe="")
            answer: Response = RedirectResponse(f"{SIGN_IN}?next={back}" if path != "/" or query else SIGN_IN, 303)
            answer.headers["cache-control"] = "no-store"
            return answer
        failure = refusal or failure_of(
            NotSignedIn("Nobody is signed in.", hint="Sign in, or show a token of yours as a bearer token.")
        )
        answer = problem(failure)
        if answer.status_code == 401:
            answer.headers["www-authenticate"] = 'Bearer realm="crossview"'
        return answer

    def _watched(self, receive: Receive, who: Principal | None) -> Receive:
        """A socket outlives its handshake: each message is looked at again. The first one after the end still passes,
        so that the page can say that it is over.
        """
        over = False

        async def look() -> Message:
            nonlocal over
            message = await receive()
            if message["type"] != "websocket.receive" or who is None:
                return message
            if over:
                return {"type": "websocket.disconnect", "code": GONE}
            over = await run_in_threadpool(self._over, who)
            return message

        return look

    def _over(self, who: Principal) -> bool:
        accounts = self._source()
        return accounts is None or accounts.still(who) is None


def _came_from(scope: Scope, rules: AuthSettings) -> str:
    """The last address that no proxy of ours vouches for."""
    peer = str((scope.get("client") or ("",))[0])
    if not rules.trusts(peer):
        return peer
    said = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
    return next((each.strip() for each in reversed(said) if each.strip() and not rules.trusts(each.strip())), peer)[:60]


def still(accounts: Accounts, where: str) -> Principal | None:
    """Who is meant by our own header, if they are still let in."""
    kind, _, id = where.partition(":")
    if kind == "session":
        return accounts.sessions.alive(id)
    return accounts.active(id) if kind == "user" else None


def _bad_token() -> Failure:
    return failure_of(
        NotSignedIn(
            "This token is unknown, revoked, or over.",
            hint="Make one on the Account page or with `crossview token create`.",
        )
    )


def _is_api(scope: Scope) -> bool:
    return bool(scope["path"].startswith(PREFIX + "/"))


def _with_headers(send: Send, *, https: bool, private: bool) -> Send:
    async def say(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if private:
                headers.setdefault("cache-control", "no-store")
            if https:
                headers.setdefault("strict-transport-security", "max-age=31536000")
        await send(message)

    return say
