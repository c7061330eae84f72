"""What an operator may set of accounts: how people sign in, for how long, and whom to believe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal, cast
from urllib.parse import urlsplit

from engine.errors import BadSetting

Mode = Literal["off", "local", "oidc", "proxy"]
Network = IPv4Network | IPv6Network
HEADER_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """issuer: whose /.well-known/openid-configuration is read. name: on the button."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str = "your institution"


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """mode "off": one person, on this machine only.

    idle: after which a browser that did nothing is signed out; absolute: after which any is. operators: e-mail
    addresses (oidc) or names (proxy) that are operators from their first sign-in on. proxies: whose headers are
    believed. header: in which the proxy names the user.
    """

    mode: Mode = "off"
    idle: timedelta = timedelta(hours=12)  # ours
    absolute: timedelta = timedelta(days=7)  # ours
    operators: frozenset[str] = frozenset()
    proxies: tuple[Network, ...] = ()
    header: str = "x-forwarded-user"
    oidc: OidcSettings | None = None

    @property
    def on(self) -> bool:
        return self.mode != "off"

    def trusts(self, address: str) -> bool:
        """Whether what this address says in its headers is believed."""
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return any(ip in network for network in self.proxies)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> AuthSettings:
        """Raises BadSetting naming the variable, and never showing a secret."""
        mode = _mode(environ.get("CROSSVIEW_AUTH") or "off")
        proxies = _networks(environ.get("CROSSVIEW_TRUSTED_PROXIES", ""))
        if mode == "proxy" and not proxies:
            raise BadSetting(
                "CROSSVIEW_AUTH is proxy, and CROSSVIEW_TRUSTED_PROXIES names none.",
                hint="Name the proxy's address, such as 127.0.0.1 or 10.0.0.0/24: only its headers are believed.",
            )
        return cls(
            mode=mode,
            idle=timedelta(hours=_number(environ, "CROSSVIEW_SESSION_IDLE_HOURS", 12.0, most=720.0, of="hours")),
            absolute=timedelta(days=_number(environ, "CROSSVIEW_SESSION_DAYS", 7.0, most=90.0, of="days")),
            operators=frozenset(
                word.strip().lower() for word in environ.get("CROSSVIEW_OPERATORS", "").split(",") if word.strip()
            ),
            proxies=proxies,
            header=_header(environ.get("CROSSVIEW_PROXY_USER_HEADER") or "x-forwarded-user"),
            oidc=_oidc(environ) if mode == "oidc" else None,
        )


def _mode(value: str) -> Mode:
    if value not in ("off", "local", "oidc", "proxy"):
        raise BadSetting(f"CROSSVIEW_AUTH is {value!r}.", hint="Use off, local, oidc or proxy.")
    return cast(Mode, value)


def _networks(value: str) -> tuple[Network, ...]:
    found = []
    for word in (part.strip() for part in value.split(",")):
        if not word:
            continue
        try:
            network = ip_network(word)
        except ValueError:
            raise BadSetting(
                f"CROSSVIEW_TRUSTED_PROXIES has {word!r}.", hint="Use addresses or networks: 127.0.0.1, 10.0.0.0/24."
            ) from None
        if network.prefixlen == 0:
            raise BadSetting(
                f"CROSSVIEW_TRUSTED_PROXIES has {word}: then anybody could say who they are.",
                hint="Name the proxy's own address.",
            )
        found.append(network)
    return tuple(found)


def _number(environ: Mapping[str, str], name: str, default: float, *, most: float, of: str) -> float:
    value = environ.get(name) or str(default)
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= most:
        raise BadSetting(f"{name} is {value!r}.", hint=f"Use a number of {of} above 0, at most {most:g}.")
    return number


def _header(value: str) -> str:
    name = value.strip().lower()
    if not name or set(name) - HEADER_CHARACTERS:
        raise BadSetting(
            f"CROSSVIEW_PROXY_USER_HEADER is {value!r}.", hint="Use the name of a header, such as X-Forwarded-User."
        )
    return name


def _oidc(environ: Mapping[str, str]) -> OidcSettings:
    names = ("CROSSVIEW_OIDC_ISSUER", "CROSSVIEW_OIDC_CLIENT_ID", "CROSSVIEW_OIDC_CLIENT_SECRET")
    given = [environ.get(name, "").strip() for name in names]
    if missing := [name for name, value in zip(names, given, strict=True) if not value]:
        raise BadSetting(
            f"CROSSVIEW_AUTH is oidc, and {missing[0]} is not set.", hint="Set what your identity provider gave you."
        )
    parts = urlsplit(given[0])
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and local)):
        raise BadSetting(f"CROSSVIEW_OIDC_ISSUER is {given[0]!r}.", hint="Use the issuer's https:// address.")
    name = environ.get("CROSSVIEW_OIDC_NAME", "").strip() or "your institution"
    return OidcSettings(given[0], given[1], given[2], name[:60])
