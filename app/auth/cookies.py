"""The cookies of a signed-in browser. None can be read by a script or sent along by another site's form."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from jobs.accounts.settings import AuthSettings

SESSION, FORM, PROVIDER = "crossview", "crossview-form", "crossview-oidc"


def secure(scope: Scope, rules: AuthSettings, public_url: str = "") -> bool:
    """Whether the browser came by https: here, at a proxy that is believed, or at the public address."""
    if scope.get("scheme") in ("https", "wss"):
        return True
    headers = Headers(scope=scope)
    peer = (scope.get("client") or ("", 0))[0]
    if rules.trusts(peer):
        return headers.get("x-forwarded-proto", "").split(",")[-1].strip().lower() == "https"
    public = urlsplit(public_url)
    return public.scheme == "https" and headers.get("host", "").lower() == public.netloc.lower()


def named(name: str, *, safe: bool) -> str:
    """With `__Host-` a browser takes it by https only, for this host alone and from no other."""
    return f"__Host-{name}" if safe else name


def read(scope: Scope, name: str, *, safe: bool) -> str:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load("; ".join(Headers(scope=scope).getlist("cookie")))
    except CookieError:
        return ""
    found = jar.get(named(name, safe=safe))
    return found.value if found is not None else ""


def write(response: Response, name: str, value: str, *, safe: bool, seconds: int, strict: bool = False) -> None:
    response.set_cookie(
        named(name, safe=safe), value, max_age=seconds, path="/", secure=safe, httponly=True,
        samesite="strict" if strict else "lax",
    )  # fmt: skip


def clear(response: Response, name: str, *, safe: bool) -> None:
    response.delete_cookie(named(name, safe=safe), path="/", secure=safe, httponly=True, samesite="lax")
