"""Signing in where an institution knows people: OpenID Connect, authorization code with PKCE, state and nonce.

At the end stands the same session as after a password: the provider's tokens are looked at once and kept nowhere.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.auth import cookies, markup
from app.auth.door import Door, here_only, status_of
from app.auth.pages import BACK
from jobs.accounts.errors import NotAllowed
from jobs.accounts.settings import OidcSettings
from jobs.errors import BadRequest, CrossViewError, Unreachable

PENDING_S = 600.0  # from leaving for the provider to coming back  # ours
MOST_PENDING = 1_000  # ours
KEPT_S = 3_600.0  # that the provider's own description is good for  # ours
TIMEOUT_S = 10.0  # ours
LEEWAY_S = 60  # between two clocks  # ours
ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]  # no secret, no "none"


@dataclass(frozen=True, slots=True)
class Pending:
    """Somebody on their way to the provider. browser: whose cookie must come back with the answer."""

    nonce: str
    verifier: str
    browser: str
    back: str
    redirect: str
    until: float


@dataclass(frozen=True, slots=True)
class Person:
    subject: str
    email: str
    verified: bool
    name: str


@dataclass
class Provider:
    """The identity provider, asked over https. Blocking."""

    settings: OidcSettings
    _kept: tuple[dict[str, Any], Any, float] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def address(self, pending: Pending, state: str) -> str:
        """Where the browser is sent. Raises Unreachable."""
        with self._client(pending.redirect) as client:
            url, _ = client.create_authorization_url(
                self._described()[0]["authorization_endpoint"], state=state, nonce=pending.nonce,
                code_verifier=pending.verifier,
            )  # fmt: skip
        return str(url)

    def person(self, pending: Pending, code: str) -> Person:
        """Whom the provider's signed answer names. Raises NotAllowed, Unreachable."""
        import httpx
        from authlib.common.errors import AuthlibBaseError

        try:
            with self._client(pending.redirect) as client:
                answer = client.fetch_token(
                    self._described()[0]["token_endpoint"], code=code, grant_type="authorization_code",
                    code_verifier=pending.verifier,
                )  # fmt: skip
        except AuthlibBaseError as error:
            raise NotAllowed(f"The provider refused the sign-in ({error.error}).", hint="Try again.") from None
        except httpx.HTTPError as error:
            raise self._silent(error) from None
        claims = self._claims(str(answer.get("id_token") or ""), pending.nonce)
        email = str(claims.get("email") or "").strip().lower()
        name = str(claims.get("name") or claims.get("preferred_username") or email)
        subject = f"{self.settings.issuer} {claims['sub']}"
        return Person(subject, email, claims.get("email_verified") is True, name)

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        """What the ID token says, once its signature and all it must say are right."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        for fresh in (False, True):  # keys are changed now and then: once more with the present ones
            description, keys = self._described(fresh=fresh)
            try:
                found = jwt.decode(token, keys, algorithms=ALGORITHMS)
                break
            except (JoseError, ValueError) as error:
                if fresh:
                    raise NotAllowed(
                        f"The provider's answer is not signed by it ({error}).", hint="Try again."
                    ) from None
        claims: dict[str, Any] = found.claims
        needs = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": description["issuer"]},
            aud={"essential": True, "value": self.settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        try:
            needs.validate(claims)
        except JoseError as error:
            raise NotAllowed(f"The provider's answer is not for us ({error}).", hint="Try again.") from None
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if several or claims.get("azp", self.settings.client_id) != self.settings.client_id:
            raise NotAllowed("The provider's answer is for others too.", hint="Ask whoever runs this CrossView.")
        if not hmac.compare_digest(str(claims.get("nonce", "")), nonce):
            raise NotAllowed("The provider's answer belongs to another sign-in.", hint="Try again.")
        return claims

    def _described(self, *, fresh: bool = False) -> tuple[dict[str, Any], Any]:
        """Its endpoints and keys. Raises Unreachable."""
        import httpx
        from joserfc.jwk import KeySet

        with self._lock:
            kept = self._kept
        if kept is not None and not fresh and time.monotonic() < kept[2]:
            return kept[0], kept[1]
        url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            with httpx.Client(timeout=TIMEOUT_S) as client:
                description = client.get(url).raise_for_status().json()
                keys = KeySet.import_key_set(client.get(description["jwks_uri"]).raise_for_status().json())
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._silent(error) from None
        if description.get("issuer") != self.settings.issuer:
            raise NotAllowed(
                f"The provider calls itself {str(description.get('issuer'))[:80]!r}.",
                hint="CROSSVIEW_OIDC_ISSUER must be written exactly like that.",
            )
        with self._lock:
            self._kept = (description, keys, time.monotonic() + KEPT_S)
        return description, keys

    def _client(self, redirect: str) -> Any:
        from authlib.integrations.httpx_client import OAuth2Client

        return OAuth2Client(
            self.settings.client_id, self.settings.client_secret, scope="openid email profile", redirect_uri=redirect,
            code_challenge_method="S256", timeout=TIMEOUT_S,
        )  # fmt: skip

    def _silent(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"The identity provider does not answer ({type(error).__name__}).",
            hint="Try again in a moment; CROSSVIEW_OIDC_ISSUER says where it is.",
        )


@dataclass
class ProviderDoor(Door):
    """To the provider and back."""

    _provider: Provider | None = field(default=None, repr=False)
    _waiting: dict[str, Pending] = field(default_factory=dict, repr=False)

    def routes(self) -> list[BaseRoute]:
        if self.rules.oidc is None:
            return []
        self._provider = Provider(self.rules.oidc)
        return [Route("/auth/provider", self.leave), Route("/auth/callback", self.come_back)]

    async def leave(self, request: Request) -> Response:
        state, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        pending = Pending(
            nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48), browser=browser,
            back=here_only(request.query_params.get("next", "")), redirect=self._here(request),
            until=time.monotonic() + PENDING_S,
        )  # fmt: skip
        provider = self._provider
        assert provider is not None
        try:
            url = await self.work(lambda: provider.address(pending, state))
        except CrossViewError as error:
            return markup.page("Sign in", self.refusal(error), status=status_of(error), links=BACK)
        self._remember(state, pending)
        answer = RedirectResponse(url, 303, headers={"cache-control": "no-store"})
        cookies.write(answer, cookies.PROVIDER, browser, safe=self.safe(request), seconds=int(PENDING_S))
        return answer

    async def come_back(self, request: Request) -> Response:
        try:
            pending = self._taken(request)
            if said := request.query_params.get("error"):
                raise NotAllowed(f"The provider refused the sign-in ({said[:60]}).", hint="Try again.")
            id = await self.work(lambda: self._let(pending, request.query_params.get("code", "")))
            answer = await self.let_in(request, id, pending.back)
        except CrossViewError as error:
            answer = markup.page("Sign in", self.refusal(error), status=status_of(error), links=BACK)
        cookies.clear(answer, cookies.PROVIDER, safe=self.safe(request))
        return answer

    def _let(self, pending: Pending, code: str) -> str:
        assert self._provider is not None
        person = self._provider.person(pending, code)
        operator = person.verified and person.email in self.rules.operators
        email = person.email if person.verified else ""
        return self.accounts.users.vouched(
            "oidc", person.subject, email=email, name=person.name, operator=operator
        )  # fmt: skip

    def _remember(self, state: str, pending: Pending) -> None:
        now = time.monotonic()
        for old in [key for key, each in self._waiting.items() if each.until < now]:
            del self._waiting[old]
        while len(self._waiting) >= MOST_PENDING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[state] = pending

    def _taken(self, request: Request) -> Pending:
        """Once, in time, and in the browser that left. Raises BadRequest."""
        pending = self._waiting.pop(request.query_params.get("state", ""), None)
        browser = cookies.read(request.scope, cookies.PROVIDER, safe=self.safe(request))
        if pending is None or pending.until < time.monotonic() or not hmac.compare_digest(
            pending.browser.encode(), browser.encode()
        ):  # fmt: skip
            raise BadRequest("This sign-in is too old, or began in another browser.", hint="Begin again.")
        return pending

    def _here(self, request: Request) -> str:
        scheme = "https" if self.safe(request) else "http"
        base = self.public_url or f"{scheme}://{request.headers.get('host', '')}"  # HostGuard knows this name
        return f"{base}/auth/callback"
