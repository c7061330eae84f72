"""Which addresses of the web may be fetched: judged as text, and once more as numbers before anything connects."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, unquote, urljoin, urlsplit

from storage.errors import BadUri, FetchRefused, Unreachable
from storage.files import display_name

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Sequence[tuple[str, int]]]  # host and port to every address that answers for them

PORTS = frozenset({80, 443})
LONGEST = 4_096  # characters of an address  # ours
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_SAFE = "!#$%&'()*+,-./:;=?@[]_~"  # stays as it was written; everything else is percent-encoded
_ASK = "Ask the operator to allow it (CROSSVIEW_FETCH_ALLOW), or upload the file instead."

# What is never a public web server, and what it is called. The order matters: the narrowest comes first.
_NOT_PUBLIC: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), kind)
    for text, kind in (
        ("168.63.129.16/32", "metadata"), ("0.0.0.0/8", "reserved"), ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared"), ("127.0.0.0/8", "loopback"), ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"), ("192.0.0.0/24", "reserved"), ("192.0.2.0/24", "reserved"),
        ("192.88.99.0/24", "reserved"), ("192.168.0.0/16", "private"), ("198.18.0.0/15", "reserved"),
        ("198.51.100.0/24", "reserved"), ("203.0.113.0/24", "reserved"), ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"), ("::/128", "reserved"), ("::1/128", "loopback"),
        ("::ffff:0:0/96", "embedded"), ("::/96", "embedded"), ("64:ff9b::/96", "embedded"),
        ("64:ff9b:1::/48", "embedded"), ("2001::/32", "embedded"), ("2002::/16", "embedded"),
        ("2001::/23", "reserved"), ("2001:db8::/32", "reserved"), ("3fff::/20", "reserved"),
        ("fc00::/7", "private"), ("fe80::/10", "link-local"), ("fec0::/10", "private"), ("ff00::/8", "multicast"),
    )
)  # fmt: skip
_TRUSTED = frozenset({"private", "shared", "loopback"})  # where a host that the operator names may be
_UNICAST = ip_network("2000::/3")


@dataclass(frozen=True, slots=True)
class WebRules:
    """What the operator lets be fetched.

    plain_http: also http://. hosts: names that may be at private addresses. networks: addresses that may be reached
    although they are not public. redirects: followed at most, each judged like the first address.
    """

    on: bool = True
    plain_http: bool = False
    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = PORTS
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Place:
    """An address that may be asked for. target: path and query as they are sent; they may hold a secret."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        """As messages show it: without the query."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def url(self) -> str:
        """Whole, query included: not for messages."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def name(self) -> str:
        """The last part of the path, fit to be shown; never to be used as a path."""
        return display_name(unquote(self.path.rstrip("/")), fallback=self.host)


def parse_url(url: str, rules: WebRules) -> Place:
    """Raises BadUri for what is no plain web address, FetchRefused for one that the rules do not allow."""
    text = url.strip()
    if len(text) > LONGEST or any(ord(c) < 33 or ord(c) == 127 or c == "\\" for c in text):
        raise BadUri(
            "The address is too long, or has spaces, control characters or backslashes.",
            hint="Copy it again from the browser; a space is written as %20.",
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadUri("This is no web address.", hint="Write it as https://host/path.") from None
    scheme = parts.scheme.lower()
    if scheme not in ("https", "http"):
        raise BadUri(f"{scheme[:20] or 'This'}:// is not fetched.", hint="Give an https:// or an s3:// address.")
    if "@" in parts.netloc:
        raise BadUri(
            "The address carries a user name or a password.",
            hint="Give one without them: a public link, or one whose permission is in its query.",
        )
    host = _host(host)
    place = Place(scheme, host, port or (443 if scheme == "https" else 80), _target(parts.path, parts.query))
    _allow(place, rules)
    return place


def redirected(place: Place, location: str, rules: WebRules) -> Place:
    """Where a redirect leads. Raises as `parse_url`, and FetchRefused for a step from https:// down to http://."""
    onward = parse_url(urljoin(place.url, location), rules)
    if place.scheme == "https" and onward.scheme == "http":
        raise FetchRefused(
            f"{place} leads on to {onward}, which is not encrypted.", hint="Give the https:// address of the file."
        )
    return onward


def checked(host: str, port: int, rules: WebRules, resolve: Resolver) -> list[tuple[str, int]]:
    """The addresses to connect to, looked up once. Raises FetchRefused when any of them is not public, Unreachable."""
    literal = _literal(host)
    found = [(host, port)] if literal else list(dict.fromkeys(_looked_up(host, port, resolve)))
    trusted = host in rules.hosts
    for address, _ in found:
        if kind := why_not(address, rules, trusted=trusted):
            raise FetchRefused(f"{host} leads to an address that may not be reached ({kind}).", hint=_ASK)
    return found


def why_not(address: str, rules: WebRules, *, trusted: bool = False) -> str:
    """What kind of address it is where it may not be reached; "" where it may. trusted: the operator named its host."""
    try:
        number = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(number, IPv6Address) and number.scope_id:
        return "link-local"
    kind = _kind(number)
    if any(number in network for network in rules.networks if network.version == number.version):
        inner = _embedded(number)
        return why_not(str(inner), rules, trusted=trusted) if inner is not None else ""
    return "" if trusted and kind in _TRUSTED else kind


def system_resolver(host: str, port: int) -> list[tuple[str, int]]:
    """Every address that the system's resolver gives."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(address[0]), int(address[1])) for *_, address in answers]


def _kind(number: Address) -> str:
    for network, kind in _NOT_PUBLIC:
        if network.version == number.version and number in network:
            return kind
    if not number.is_global or (isinstance(number, IPv6Address) and number not in _UNICAST):
        return "reserved"
    return ""


def _embedded(number: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64, 6to4, Teredo."""
    if isinstance(number, IPv4Address) or _kind(number) != "embedded":
        return None
    if number.sixtofour is not None:
        return number.sixtofour
    if number.teredo is not None:
        return number.teredo[1]
    return IPv4Address(int(number) & 0xFFFFFFFF)


def _looked_up(host: str, port: int, resolve: Resolver) -> Sequence[tuple[str, int]]:
    try:
        found = resolve(host, port)
    except (OSError, UnicodeError):
        found = ()
    if not found:
        raise Unreachable(f"There is no host {host}.", hint="Check the address.")
    return found


def _host(text: str) -> str:
    """The host in its one plain spelling. Raises BadUri for numbers spelt oddly, and for names that are none."""
    host = text.removesuffix(".")
    if _literal(host):
        return host
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        raise BadUri("The address names its host by a number in an unusual spelling.", hint="Use the host's name.")
    if not host.isascii():
        raise BadUri(
            "The host's name has letters beyond a to z.", hint="Write it in its xn-- form, as the browser copies it."
        )
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadUri("The address names no host.", hint="Write it as https://host/path.")
    return host


def _literal(host: str) -> bool:
    """Whether this is an IP address in the spelling that every library reads alike."""
    try:
        number = ip_address(host)
    except ValueError:
        return False
    return str(number) == host if isinstance(number, IPv4Address) else number.scope_id is None


def _target(path: str, query: str) -> str:
    target = quote(path or "/", safe=_SAFE)
    return f"{target}?{quote(query, safe=_SAFE)}" if query else target


def _allow(place: Place, rules: WebRules) -> None:
    if not rules.on:
        raise FetchRefused(
            "This server fetches nothing from the web.", hint="Upload the file, or ask the operator (CROSSVIEW_FETCH)."
        )
    if place.scheme == "http" and not rules.plain_http:
        raise FetchRefused(
            f"{place} is not encrypted.", hint="Give its https:// address, or ask the operator (CROSSVIEW_FETCH=http)."
        )
    if place.port not in rules.ports:
        allowed = ", ".join(str(port) for port in sorted(rules.ports))
        raise FetchRefused(
            f"{place.host} is asked for at port {place.port}; allowed are {allowed}.",
            hint="Give an address without a port, or ask the operator (CROSSVIEW_FETCH_PORTS).",
        )
