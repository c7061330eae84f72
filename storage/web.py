"""How the web is spoken to: every connection goes to an address that was judged, every redirect is judged anew."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import unquote

import httpcore

from storage.errors import (
    AccessRefused,
    FetchRefused,
    ObjectMissing,
    SourceChanged,
    StorageError,
    Unreachable,
    WebPage,
)
from storage.files import display_name
from storage.guard import Place, Resolver, WebRules, checked, parse_url, redirected, system_resolver

FAULTS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AGENT = "CrossView"


class Interrupted(Exception):
    """The answer broke off or the server was busy: asking again may help."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for a connection, for the head of an answer, and for each `stall_bytes` of its body; for everything."""

    connect_s: float = 10.0
    head_s: float = 60.0
    stall_s: float = 60.0
    stall_bytes: int = 1 << 20
    total_s: float = 12 * 3_600.0


@dataclass(slots=True)
class _Watch:
    """Until when the conversation may go on; every read and write of a socket ends by then."""

    ends: float = 0.0
    until: float = 0.0
    stopped: bool = False
    sockets: list[socket.socket] = field(default_factory=list)

    def allow(self, seconds: float) -> None:
        self.until = min(time.monotonic() + seconds, self.ends)

    def left(self, timeout: float | None) -> float:
        left = self.until - time.monotonic()
        if left <= 0 or self.stopped:
            raise httpcore.ReadTimeout("The time allowed is over.")
        return left if timeout is None else min(left, timeout)

    def stop(self) -> None:
        """Whatever waits on a socket waits no more."""
        self.stopped = True
        for each in list(self.sockets):
            with suppress(OSError):  # it is closed, or was never connected
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # of TLS too: the bytes under it


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose body has not been read. place: who answered, after all redirects."""

    place: Place
    status: int
    headers: Mapping[str, str]
    _response: httpcore.Response
    _watch: _Watch
    _patience: Patience

    def blocks(self) -> Iterator[bytes]:
        """The body as it comes. Raises one of FAULTS when it breaks off, or trickles."""
        fresh = 0
        self._watch.allow(self._patience.stall_s)
        for block in self._response.iter_stream():
            fresh += len(block)
            if fresh >= self._patience.stall_bytes:
                fresh = 0
                self._watch.allow(self._patience.stall_s)
            yield block

    def read(self, limit: int) -> bytes:
        """The beginning of the body, `limit` bytes at most."""
        body = bytearray()
        for block in self.blocks():
            body += block
            if len(body) >= limit:
                break
        return bytes(body[:limit])

    @property
    def is_page(self) -> bool:
        return self.headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml"))

    @property
    def name(self) -> str:
        """As the server calls the file, else the last part of the address; fit to be shown, never to be a path."""
        return display_name(_disposition(self.headers.get("content-disposition", "")), fallback=self.place.name)


@dataclass(slots=True)
class Web:
    """A conversation within the operator's rules. No proxy, cookie, login or setting of the environment is used.

    resolve: gives the addresses of a host; each connection asks it once and goes to what was judged. tls: what
    certificates are judged by.
    """

    rules: WebRules
    resolve: Resolver = system_resolver
    tls: ssl.SSLContext | None = None
    patience: Patience = Patience()
    _watch: _Watch = field(init=False, default_factory=_Watch)
    _pool: httpcore.ConnectionPool | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begins to count the time for everything anew."""
        self._watch.ends = time.monotonic() + self.patience.total_s
        self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def stop(self) -> None:
        """From another thread: the conversation breaks, and is late. A host that is looked up is still waited for."""
        self._watch.stop()

    @property
    def late(self) -> bool:
        return self._watch.stopped or time.monotonic() >= self._watch.ends

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[Answer]:
        """The answer to a GET, after redirects; its status may be any.

        Raises BadUri, FetchRefused, Unreachable, and one of FAULTS where the network broke.
        """
        place = parse_url(url, self.rules)
        for _ in range(self.rules.redirects + 1):
            with self._ask(place, headers or {}) as answer:
                location = answer.headers.get("location")
                if answer.status not in _REDIRECTS or not location:
                    yield answer
                    return
                place = redirected(place, location, self.rules)
        raise FetchRefused(
            f"{parse_url(url, self.rules)} leads on more than {self.rules.redirects} times.",
            hint="Give the address that the file is at in the end.",
        )

    @contextmanager
    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Iterator[Answer]:
        """The answer to a POST; a redirect is one too, and is not followed. Raises as `get`."""
        with self._ask(parse_url(url, self.rules), headers, method="POST", content=content) as answer:
            yield answer

    @contextmanager
    def _ask(
        self, place: Place, headers: Mapping[str, str], *, method: str = "GET", content: bytes | None = None
    ) -> Iterator[Answer]:
        self._watch.allow(self.patience.connect_s + self.patience.head_s)
        sent = {"host": place.authority, "user-agent": _AGENT, "accept": "*/*", "accept-encoding": "identity"}
        url = httpcore.URL(
            scheme=place.scheme.encode(), host=place.host.encode(), port=place.port, target=place.target.encode()
        )
        with (
            _certificate(place),
            self._connections().stream(
                method,
                url,
                content=content,
                headers=[(name.encode(), value.encode("latin-1")) for name, value in {**sent, **headers}.items()],
                extensions={"timeout": {"connect": self.patience.connect_s, "pool": self.patience.connect_s}},
            ) as response,
        ):
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            yield Answer(place, response.status, found, response, self._watch, self.patience)

    def _connections(self) -> httpcore.ConnectionPool:
        if self._pool is None:
            backend = _Guarded(self.rules, self.resolve, self._watch)
            tls = self.tls or trusted_certificates()
            self._pool = httpcore.ConnectionPool(
                ssl_context=tls, max_connections=2, keepalive_expiry=15.0, network_backend=backend
            )
        return self._pool


class _Guarded(httpcore.NetworkBackend):
    """Looks a host up once, judges every address, and connects to one of those; TLS still asks for the host's name."""

    def __init__(self, rules: WebRules, resolve: Resolver, watch: _Watch) -> None:
        self._rules = rules
        self._resolve = resolve
        self._watch = watch
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        problem: Exception = httpcore.ConnectError("There is no address.")
        for address, number in checked(host, port, self._rules, self._resolve):
            try:
                left = self._watch.left(timeout)
                return _Watched(self._inner.connect_tcp(address, number, timeout=left), self._watch)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem


class _Watched(httpcore.NetworkStream):
    """A socket whose every wait ends when the watch says so, however slowly bytes drip."""

    def __init__(self, inner: httpcore.NetworkStream, watch: _Watch) -> None:
        self._inner = inner
        self._watch = watch
        self._socket: socket.socket | None = inner.get_extra_info("socket")
        if self._socket is not None:
            watch.sockets.append(self._socket)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._watch.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._watch.left(timeout))

    def close(self) -> None:
        self._forget()
        self._inner.close()

    def _forget(self) -> None:
        if self._socket in self._watch.sockets:
            self._watch.sockets.remove(self._socket)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._watch.left(timeout)
        secured = _Watched(self._inner.start_tls(ssl_context, server_hostname, left), self._watch)
        self._forget()  # the socket is the other one's now
        return secured

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def trusted_certificates() -> ssl.SSLContext:
    """What SSL_CERT_FILE names, where the operator set it, else the usual authorities."""
    import certifi

    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())


def require_file(answer: Answer) -> None:
    """Raises for every answer that is no file: ObjectMissing, AccessRefused, SourceChanged, WebPage; Interrupted."""
    status, place = answer.status, answer.place
    if status in BUSY:
        raise Interrupted(f"{place.host} answers {status}.")
    if status in (404, 410):
        raise ObjectMissing(f"There is nothing at {place} ({status}).", hint="Check the address.")
    if status in (401, 403, 407):
        raise AccessRefused(
            f"{place} may not be read without a login ({status}).",
            hint="Give a public link, or one that carries its permission (a pre-signed link) and has not run out.",
        )
    if status in (412, 416):
        raise SourceChanged(f"{place} was replaced while it was read.", hint="Try again once it is no longer written.")
    if status not in (200, 206):
        raise StorageError(f"{place.host} answers {status} for {place}.", hint="Try the address in a browser.")
    if answer.is_page:
        raise WebPage(
            f"{place} is a web page, not a file.",
            hint="Copy the address of the page's download button or link (on Dropbox: dl=1 instead of dl=0).",
        )
    _require_plain(answer)


def _require_plain(answer: Answer) -> None:
    """A compressed answer to a request for a plain one is taken only where the file is a .gz anyway."""
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    gzipped = coding in ("gzip", "x-gzip") and answer.name.lower().endswith((".gz", ".bgz"))
    if coding not in ("identity", "") and not gzipped:
        raise StorageError(
            f"{answer.place.host} sends the file compressed ({coding[:20]}) although asked not to.",
            hint="Download it and upload it here.",
        )


@contextmanager
def _certificate(place: Place) -> Iterator[None]:
    """Turns a certificate that is not the host's into words; trying again would not help."""
    try:
        yield
    except httpcore.ConnectError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ssl.SSLError):
            raise Unreachable(
                f"{place.host} cannot prove who it is: its certificate was not accepted "
                f"({getattr(cause, 'verify_message', '') or cause.reason or 'TLS'}).",
                hint="Check the address. For a private authority the operator sets SSL_CERT_FILE.",
            ) from error
        raise


def _disposition(value: str) -> str:
    """The file name of a Content-Disposition header; "" where it gives none."""
    if not value:
        return ""
    message = Message()
    message["content-disposition"] = value
    name = message.get_filename("")
    try:
        return unquote(name.encode("latin-1").decode("utf-8"))
    except UnicodeError:
        return unquote(name)
