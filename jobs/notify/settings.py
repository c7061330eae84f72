"""What an operator may set of notifications: where e-mail and webhooks go, and of what they tell."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Literal, cast
from urllib.parse import urlsplit

from engine.errors import BadSetting
from jobs.notify.events import TELLABLE, USUAL

Tls = Literal["starttls", "implicit", "none"]
PORTS: Mapping[Tls, int] = {"starttls": 587, "implicit": 465, "none": 25}
MOST = 20  # addresses, of either kind: each has a thread of its own  # ours
SECRET_BYTES = (24, 64)  # Standard Webhooks 1.0.0, "Signature scheme"
PRIVATE = ("CROSSVIEW_SMTP_PASSWORD", "CROSSVIEW_WEBHOOK_URLS", "CROSSVIEW_WEBHOOK_SECRETS")


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """sender, to: as they stand in a header, `Lab <lab@example.org>` or the address alone."""

    host: str
    port: int
    tls: Tls
    sender: str
    to: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """url: may hold a secret in its path. secrets: the first is the present one, the others are on their way out."""

    url: str = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False)

    @property
    def host(self) -> str:
        """What may be shown of the address."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Of the lab's addresses. on: events that go there; the inbox has all.

    titles: whether what is sent names jobs and files; to the lab it never does where people sign in.
    """

    smtp: SmtpSettings | None = None
    webhooks: tuple[WebhookSettings, ...] = ()
    on: frozenset[str] = USUAL
    titles: bool = True
    public_url: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, people: bool = False) -> NotifySettings:
        """people: who sign in, so that a mail server without an address of the lab is of use.

        Raises BadSetting naming the variable, and never showing a secret.
        """
        return cls(
            smtp=_smtp(environ, people=people),
            webhooks=_webhooks(environ),
            on=_events(environ.get("CROSSVIEW_NOTIFY_ON", "")),
            titles=_yes("CROSSVIEW_NOTIFY_TITLES", environ.get("CROSSVIEW_NOTIFY_TITLES") or "yes"),
            public_url=_public_url(environ.get("CROSSVIEW_PUBLIC_URL", "")),
        )


def without_private(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for processes that compute: whom to tell, and with which password, is no business of theirs."""
    return {name: value for name, value in environ.items() if name not in PRIVATE}


def _smtp(environ: Mapping[str, str], *, people: bool) -> SmtpSettings | None:
    host = environ.get("CROSSVIEW_SMTP_HOST", "").strip()
    given = [name for name in ("CROSSVIEW_SMTP_FROM", "CROSSVIEW_SMTP_TO") if environ.get(name, "").strip()]
    users_only = people and given == ["CROSSVIEW_SMTP_FROM"]
    if not host:
        if given:
            raise BadSetting(f"{given[0]} is set, but no mail server.", hint="Set CROSSVIEW_SMTP_HOST too.")
        return None
    if len(given) < 2 and not users_only:
        raise BadSetting(
            f"CROSSVIEW_SMTP_HOST is {host}, but not both of CROSSVIEW_SMTP_FROM and CROSSVIEW_SMTP_TO are set.",
            hint="Set both: whom e-mail comes from, and to whom it goes.",
        )
    tls = _tls(environ.get("CROSSVIEW_SMTP_TLS") or "starttls")
    user, password = environ.get("CROSSVIEW_SMTP_USER", ""), environ.get("CROSSVIEW_SMTP_PASSWORD", "")
    if bool(user) != bool(password):
        raise BadSetting(
            "Only one of CROSSVIEW_SMTP_USER and CROSSVIEW_SMTP_PASSWORD is set.", hint="Set both, or neither."
        )
    if password and tls == "none" and not _is_loopback(host):
        raise BadSetting(
            f"CROSSVIEW_SMTP_TLS is none: the password would cross the network to {host} in clear.",
            hint="Use starttls or implicit, or a mail server on this machine.",
        )
    return SmtpSettings(
        host=host,
        port=_port(environ.get("CROSSVIEW_SMTP_PORT") or str(PORTS[tls])),
        tls=tls,
        sender=_address("CROSSVIEW_SMTP_FROM", environ["CROSSVIEW_SMTP_FROM"]),
        to=() if users_only else _addresses("CROSSVIEW_SMTP_TO", environ["CROSSVIEW_SMTP_TO"]),
        user=user,
        password=password,
    )


def _tls(value: str) -> Tls:
    if value not in PORTS:
        raise BadSetting(f"CROSSVIEW_SMTP_TLS is {value!r}.", hint="Use starttls, implicit or none.")
    return cast(Tls, value)


def _port(value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) < 65_536:
        raise BadSetting(f"CROSSVIEW_SMTP_PORT is {value!r}.", hint="Use a number from 1 to 65535.")
    return int(value)


def _addresses(name: str, value: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_address(name, part) for part in value.split(",") if part.strip()))
    if not 0 < len(found) <= MOST:
        raise BadSetting(f"{name} has {len(found)} addresses.", hint=f"Give 1 to {MOST}, separated by commas.")
    return found


def _address(name: str, value: str) -> str:
    value = value.strip()
    local, _, domain = parseaddr(value)[1].rpartition("@")
    plain = value.isascii() and value.isprintable() and not set(local + domain) & set(" <>,;\"'")
    if not (local and domain and plain):
        raise BadSetting(f"{name} has {value!r}, which is no e-mail address.", hint="Write it as lab@example.org.")
    return value


def _webhooks(environ: Mapping[str, str]) -> tuple[WebhookSettings, ...]:
    urls = environ.get("CROSSVIEW_WEBHOOK_URLS", "").split()
    secrets = environ.get("CROSSVIEW_WEBHOOK_SECRETS", "").split()
    if len(urls) != len(secrets) or len(urls) > MOST or len(set(urls)) != len(urls):
        raise BadSetting(
            f"CROSSVIEW_WEBHOOK_URLS has {len(urls)} addresses and CROSSVIEW_WEBHOOK_SECRETS {len(secrets)} secrets.",
            hint=f"Give each of at most {MOST} different addresses a secret of its own, in the same order, "
            "separated by spaces.",
        )
    return tuple(
        WebhookSettings(_url(url, place), tuple(_secret(word, place) for word in several.split(",")))
        for place, (url, several) in enumerate(zip(urls, secrets, strict=True), start=1)
    )


def _url(value: str, place: int) -> str:
    """Any http(s) address, this machine's and private ones too: only the operator can write it."""
    if not _is_web_address(value) or urlsplit(value).fragment:
        raise BadSetting(
            f"Address {place} of CROSSVIEW_WEBHOOK_URLS is no address that can be posted to.",
            hint="Write it as https://host/path, without a user, a password or a #.",
        )
    return value


def key_of_secret(value: str) -> bytes:
    """The bytes of a `whsec_…`; none of what is no such secret."""
    try:
        key = base64.b64decode(value.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return b""
    fit = value.startswith("whsec_") and SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]
    return key if fit else b""


def _secret(value: str, place: int) -> bytes:
    key = key_of_secret(value)
    if not key:
        raise BadSetting(
            f"Secret {place} of CROSSVIEW_WEBHOOK_SECRETS is none of the form whsec_….",
            hint='Make one with `echo "whsec_$(openssl rand -base64 32)"`.',
        )
    return key


def _events(value: str) -> frozenset[str]:
    words = [word.strip() for word in value.split(",") if word.strip()]
    if unknown := [word for word in words if word not in TELLABLE]:
        known = ", ".join(sorted(TELLABLE))
        raise BadSetting(f"CROSSVIEW_NOTIFY_ON has {unknown[0]!r}.", hint=f"Use some of {known}.")
    return frozenset(words) or USUAL


def _yes(name: str, value: str) -> bool:
    if value not in ("yes", "no"):
        raise BadSetting(f"{name} is {value!r}.", hint="Use yes or no.")
    return value == "yes"


def _public_url(value: str) -> str:
    if value and (not _is_web_address(value) or urlsplit(value).query or urlsplit(value).fragment):
        raise BadSetting(f"CROSSVIEW_PUBLIC_URL is {value!r}.", hint="Write it as https://host or https://host/path.")
    return value.rstrip("/")


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return False
    clean = value.isascii() and value.isprintable() and not set(value) & set(' <>"\\')
    return clean and parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def _is_loopback(host: str) -> bool:
    from jobs.settings import is_loopback

    return is_loopback(host)
