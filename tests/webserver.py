"""Real web servers for the tests, on this machine, with and without TLS; and a resolver that says where they are."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from storage.guard import Resolver, WebRules
from storage.web import Patience, Web

Respond = Callable[[BaseHTTPRequestHandler], None]
HERE = "127.0.0.1"
QUICK = Patience(connect_s=5, head_s=5, stall_s=5)


@dataclass
class Site:
    """A server. pages: what answers a path, query left out. asked: paths in the order they came, with their headers."""

    host: str
    port: int
    scheme: str
    pages: dict[str, Respond] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def place(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@contextmanager
def site(*, host: str = HERE, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A server on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            here.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            here.pages.get(self.path.partition("?")[0], not_found)(self)

        do_HEAD = do_GET  # noqa: N815 - http.server's own way

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is what many tests are about."""

    server = Server((host, 0), Handler)
    here = Site(host, server.server_port, "https" if tls else "http")
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield here
    finally:
        here.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def names(places: Mapping[str, tuple[str, int] | list[tuple[str, int]]]) -> Resolver:
    """A resolver that knows these hosts and no others."""

    def resolve(host: str, port: int) -> list[tuple[str, int]]:
        found = places.get(host, [])
        return [found] if isinstance(found, tuple) else found

    return resolve


def web_to(places: Mapping[str, tuple[str, int] | list[tuple[str, int]]], **rules: Any) -> Web:
    """A web whose hosts are these servers: reached as if they were public, by http too."""
    given = {"plain_http": True, "networks": (ip_network(f"{HERE}/32"),), **rules}
    return Web(WebRules(**given), resolve=names(places), tls=client_tls(), patience=QUICK)


# -- answers ---------------------------------------------------------------------------------------------------------


def send(handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def not_found(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 404, {})


def redirect(to: str, status: int = 302) -> Respond:
    return lambda handler: send(handler, status, {"Location": to})


def page(html: str, status: int = 200) -> Respond:
    return lambda handler: send(handler, status, {"Content-Type": "text/html; charset=utf-8"}, html.encode())


@dataclass
class File:
    """A file as a good server gives it. cuts: of how many bytes the first answers break off, one each."""

    data: bytes
    etag: str = '"v1"'
    ranges: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    sent: int = 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        start, stop, asked = 0, len(self.data), handler.headers.get("Range")
        same = handler.headers.get("If-Range", self.etag) == self.etag
        part = self.ranges and asked is not None and same
        if part and asked is not None:
            first, last = asked.removeprefix("bytes=").split("-")
            start, stop = int(first), min(int(last) + 1 if last else stop, stop)
        body = self.data[start:stop]
        handler.send_response(206 if part else 200)
        handler.send_header("Content-Length", str(len(body)))
        if part:
            handler.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(self.data)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        body, cut = (body[: self.cuts.pop(0)], True) if self.cuts else (body, False)
        handler.wfile.write(body)
        self.sent += len(body)
        if cut:
            handler.wfile.flush()
            handler.close_connection = True


def drip(over: threading.Event, *, head: bool) -> Respond:
    """A byte now and then, for ever: of the head, or of the body."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: " if head else b"HTTP/1.1 200 OK\r\n\r\n")
        while not over.wait(0.01):
            handler.wfile.write(b"x")

    return respond


# -- certificates ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def authority() -> Any:
    """A key and a certificate of our own, for the hosts of the tests."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "files.lab")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = ("files.lab", "drive.google.com", "drive.usercontent.google.com", "accounts.google.com")
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem), private


def server_tls(folder: Path) -> ssl.SSLContext:
    certificate, key = authority()
    path = folder / "server.pem"
    path.write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def client_tls() -> ssl.SSLContext:
    """Trusts the authority of the tests alone."""
    return ssl.create_default_context(cadata=authority()[0].decode())
