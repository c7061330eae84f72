"""Files from the web, against real servers: whole and of one version or not at all, and never from inside."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from pathlib import Path

import numpy as np
import pytest

from storage.errors import (
    AccessRefused,
    BadUri,
    FetchRefused,
    ObjectMissing,
    SourceChanged,
    StorageError,
    StoreFull,
    TooLarge,
    Unreachable,
    WebPage,
)
from storage.guard import WebRules
from storage.sources import Fetched, Limits, fetch
from storage.web import Patience, Web
from tests.webserver import (
    HERE,
    QUICK,
    File,
    Respond,
    Site,
    client_tls,
    drip,
    names,
    page,
    redirect,
    send,
    site,
    web_to,
)

DATA = np.random.default_rng(7).bytes(600_000)
URL = "https://files.lab/cells.h5ad"
LIMITS = Limits(backoff_s=0.001, retries=3, keep_free=0)


def traces(into: Path) -> list[Path]:
    return [path for path in into.parent.rglob("*") if path.is_file()]


def get(web_site: Site, into: Path, url: str = URL, *, web: Web | None = None, limits: Limits = LIMITS) -> Fetched:
    return fetch(url, into, profiles={}, web=web or web_to({"files.lab": web_site.place}), limits=limits)


def test_a_file_arrives_whole_over_tls_with_its_name_and_its_hash(web_site: Site, into: Path) -> None:
    steps: list[tuple[int, int]] = []
    web_site.pages["/cells.h5ad"] = File(
        DATA, headers={"Content-Disposition": "attachment; filename*=UTF-8''m%C3%BCll.h5ad"}
    )
    got = fetch(
        URL + "?sig=secret", into, profiles={}, web=web_to({"files.lab": web_site.place}), limits=LIMITS,
        progress=lambda *step: steps.append(step),
    )  # fmt: skip
    assert into.read_bytes() == DATA
    assert got == Fetched(len(DATA), hashlib.sha256(DATA).hexdigest(), "v1", "müll.h5ad")
    assert steps[-1] == (len(DATA), len(DATA))
    path, headers = web_site.asked[0]
    assert (path, headers["host"], headers["accept-encoding"]) == ("/cells.h5ad?sig=secret", "files.lab", "identity")
    assert "cookie" not in headers


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("", "cells.h5ad"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename=..\\..\\evil.h5ad", "evil.h5ad"),
        ('attachment; filename="a\u202egad5h.b"', "agad5h.b"),
        ("attachment; filename*=UTF-8''%2e%2e%2fx%00y.h5ad", "xy.h5ad"),
        ("nonsense;;;=", "cells.h5ad"),
    ],
)
def test_the_servers_name_of_a_file_is_shown_and_never_a_path(
    web_site: Site, into: Path, disposition: str, name: str
) -> None:
    sent = {"Content-Disposition": disposition.encode("utf-8").decode("latin-1")} if disposition else {}
    web_site.pages["/cells.h5ad"] = File(b"x", headers=sent)
    assert get(web_site, into).name == name
    assert traces(into) == [into]


def test_a_connection_that_breaks_goes_on_where_it_broke(web_site: Site, into: Path) -> None:
    file = web_site.pages["/cells.h5ad"] = File(DATA, cuts=[200_000, 100_000, 1])
    assert get(web_site, into).sha256 == hashlib.sha256(DATA).hexdigest()
    assert isinstance(file, File)
    assert file.sent == len(DATA)  # nothing came twice
    assert [headers.get("range") for _, headers in web_site.asked] == [
        None,
        "bytes=200000-",
        "bytes=300000-",
        "bytes=300001-",
    ]
    assert web_site.asked[1][1]["if-range"] == '"v1"'


@pytest.mark.parametrize("file", [File(DATA, etag="", cuts=[9_000]), File(DATA, ranges=False, cuts=[9_000])])
def test_a_server_that_cannot_go_on_is_asked_for_the_whole_again(web_site: Site, into: Path, file: File) -> None:
    web_site.pages["/cells.h5ad"] = replace(file, cuts=list(file.cuts))
    assert get(web_site, into).sha256 == hashlib.sha256(DATA).hexdigest()
    assert len(web_site.asked) == 2


def test_a_server_that_says_the_size_only_of_parts_is_gone_on_with(web_site: Site, into: Path) -> None:
    file = File(DATA)

    def respond(handler: BaseHTTPRequestHandler) -> None:
        if len(web_site.asked) > 1:
            return file(handler)
        handler.wfile.write(b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nTransfer-Encoding: chunked\r\n\r\n')
        handler.wfile.write(b"4E20\r\n" + DATA[:20_000] + b"\r\n")
        handler.close_connection = True
        return None

    web_site.pages["/cells.h5ad"] = respond
    assert get(web_site, into).sha256 == hashlib.sha256(DATA).hexdigest()
    assert web_site.asked[1][1]["range"] == "bytes=20000-"


def test_two_versions_of_a_file_are_never_joined(web_site: Site, into: Path) -> None:
    first, second = File(DATA, cuts=[100_000]), File(DATA[::-1], etag='"v2"')
    web_site.pages["/cells.h5ad"] = lambda handler: (first if len(web_site.asked) == 1 else second)(handler)
    with pytest.raises(SourceChanged):
        get(web_site, into)
    assert traces(into) == []


def test_a_part_that_is_not_the_one_asked_for_is_refused(web_site: Site, into: Path) -> None:
    head = {"ETag": '"v1"', "Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"}
    first = File(DATA, cuts=[100_000])
    web_site.pages["/cells.h5ad"] = lambda handler: (
        first(handler) if len(web_site.asked) == 1 else send(handler, 206, head, DATA[5:])
    )
    with pytest.raises(SourceChanged, match="another part"):
        get(web_site, into)
    assert traces(into) == []


@pytest.mark.parametrize("cuts", [[0] * 9, [1_000] * 30])
def test_a_connection_that_breaks_for_good_is_given_up(web_site: Site, into: Path, cuts: list[int]) -> None:
    web_site.pages["/cells.h5ad"] = File(DATA, cuts=cuts)
    with pytest.raises(Unreachable, match=r"files\.lab"):
        get(web_site, into)
    assert (traces(into), len(web_site.asked)) == ([], LIMITS.retries + 1)


@pytest.mark.parametrize(
    ("respond", "error"),
    [
        (lambda handler: send(handler, 404, {}), ObjectMissing),
        (lambda handler: send(handler, 410, {}), ObjectMissing),
        (lambda handler: send(handler, 401, {}), AccessRefused),
        (lambda handler: send(handler, 403, {}), AccessRefused),
        (lambda handler: send(handler, 503, {}), Unreachable),
        (lambda handler: send(handler, 418, {}), StorageError),
        (page("<html>a landing page</html>"), WebPage),
        (lambda handler: send(handler, 200, {"Content-Encoding": "gzip"}, b"\x1f\x8b bomb"), StorageError),
        (lambda handler: handler.wfile.write(b"no http at all\r\n\r\n"), Unreachable),
    ],
    ids=["missing", "gone", "login", "forbidden", "busy", "teapot", "page", "compressed", "not-http"],
)
def test_an_answer_that_is_no_file_is_said_and_leaves_nothing(
    web_site: Site, into: Path, respond: Respond, error: type[StorageError]
) -> None:
    web_site.pages["/cells.h5ad"] = respond
    with pytest.raises(error) as refusal:
        get(web_site, into, URL + "?sig=secret")
    assert type(refusal.value) is error
    assert "secret" not in str(refusal.value)
    assert traces(into) == []


def test_a_gz_file_that_is_called_compressed_is_kept_as_it_lies(web_site: Site, into: Path) -> None:
    web_site.pages["/fragments.tsv.gz"] = File(b"\x1f\x8b as sent", headers={"Content-Encoding": "gzip"})
    get(web_site, into, "https://files.lab/fragments.tsv.gz")
    assert into.read_bytes() == b"\x1f\x8b as sent"


def test_caps_on_bytes_hold_whatever_the_server_announces(web_site: Site, into: Path) -> None:
    def chunked(handler: object) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")  # type: ignore[attr-defined]
        while not web_site.over.is_set():
            handler.wfile.write(b"10000\r\n" + bytes(65_536) + b"\r\n")  # type: ignore[attr-defined]

    small = replace(LIMITS, max_bytes=100_000)
    web_site.pages["/cells.h5ad"], web_site.pages["/endless"] = File(DATA), chunked
    web_site.pages["/liar"] = lambda handler: send(handler, 200, {"Content-Length": "10"}, DATA)
    for path in ("/cells.h5ad", "/endless"):
        with pytest.raises(TooLarge, match=r"at most 97\.7 KiB"):
            get(web_site, into, f"https://files.lab{path}", limits=small)
        assert traces(into) == []
    assert get(web_site, into, "https://files.lab/liar", limits=small).bytes == 10  # what was announced, and no more
    with pytest.raises(StoreFull):
        get(web_site, into, limits=replace(LIMITS, keep_free=1 << 60))


@pytest.mark.parametrize("head", [True, False])
def test_bytes_that_drip_are_not_waited_for(web_site: Site, into: Path, head: bool) -> None:
    over = threading.Event()
    web_site.pages["/cells.h5ad"] = drip(over, head=head)
    web = web_to({"files.lab": web_site.place})
    web.patience = Patience(connect_s=0.3, head_s=0.3, stall_s=0.3)
    try:
        with pytest.raises(Unreachable):
            get(web_site, into, web=web, limits=replace(LIMITS, retries=0))
    finally:
        over.set()
    assert traces(into) == []


def test_the_time_for_everything_is_limited(web_site: Site, into: Path) -> None:
    over = threading.Event()
    web_site.pages["/cells.h5ad"] = drip(over, head=False)
    web = web_to({"files.lab": web_site.place})
    web.patience = replace(QUICK, total_s=0.3)
    try:
        with pytest.raises(Unreachable, match="took longer than"):
            get(web_site, into, web=web, limits=replace(LIMITS, retries=1_000_000))
    finally:
        over.set()


def test_stopping_half_way_leaves_nothing(web_site: Site, into: Path) -> None:
    web_site.pages["/cells.h5ad"] = File(DATA)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(URL, into, profiles={}, web=web_to({"files.lab": web_site.place}), limits=LIMITS, progress=stop)
    assert traces(into) == []


def test_a_certificate_of_another_host_or_authority_is_refused(web_site: Site, into: Path) -> None:
    web_site.pages["/cells.h5ad"] = File(DATA)
    known = {"files.lab": web_site.place, "other.lab": web_site.place}
    with pytest.raises(Unreachable, match="certificate"):
        get(web_site, into, "https://other.lab/cells.h5ad", web=web_to(known))
    stranger = Web(web_to(known).rules, resolve=names(known), patience=QUICK)  # trusts the usual authorities
    with pytest.raises(Unreachable, match="certificate"):
        get(web_site, into, web=stranger)
    assert web_site.asked == []


def test_no_proxy_of_the_environment_is_used(web_site: Site, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web_site.pages["/cells.h5ad"] = File(DATA)
    with site() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://{HERE}:{proxy.port}")
        assert get(web_site, into).bytes == len(DATA)
        assert proxy.asked == []


# -- what is inside stays inside -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inside() -> Iterator[Site]:
    """A server that nobody outside may ask."""
    with site(host="127.0.0.9") as here:
        here.pages["/secret"] = File(b"secret")
        yield here


@pytest.fixture(scope="module")
def outside() -> Iterator[Site]:
    with site() as here:
        yield here


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(outside: Site, into: Path, status: int) -> None:
    outside.pages["/old"], outside.pages["/new"] = redirect("/new?sig=1", status), File(DATA)
    assert get(outside, into, "http://files.lab/old").bytes == len(DATA)


REDIRECTS = {
    "to_loopback": "http://127.0.0.9/secret",
    "to_loopback_port": "http://127.0.0.9:{port}/secret",
    "to_metadata": "http://169.254.169.254/latest/meta-data/",
    "to_an_inner_name": "http://inside.lab/secret",
    "to_localhost": "http://localhost/secret",
    "to_decimal": "http://2130706441/secret",
    "to_mapped": "http://[::ffff:127.0.0.9]/secret",
    "to_userinfo": "http://files.lab@127.0.0.9/secret",
    "to_a_file": "file:///etc/passwd",
    "to_gopher": "gopher://127.0.0.9/x",
    "to_another_port": "http://files.lab:22/",
    "without_a_scheme": "//127.0.0.9/secret",
    "round_and_round": "/round_and_round",
}


@pytest.mark.parametrize("attack", REDIRECTS)
def test_a_redirect_that_leads_inside_or_nowhere_is_refused(
    outside: Site, inside: Site, into: Path, attack: str
) -> None:
    inside.asked.clear()
    outside.pages[f"/{attack}"] = redirect(REDIRECTS[attack].format(port=inside.port))
    web = web_to({"files.lab": outside.place, "inside.lab": inside.place, "localhost": inside.place})
    with pytest.raises((FetchRefused, BadUri)):
        get(outside, into, f"http://files.lab/{attack}", web=web)
    assert (inside.asked, traces(into)) == ([], [])


def test_a_redirect_from_https_down_to_http_is_refused(web_site: Site, outside: Site, into: Path) -> None:
    web_site.pages["/cells.h5ad"] = redirect("http://plain.lab/cells.h5ad")
    outside.pages["/cells.h5ad"] = File(DATA)
    outside.asked.clear()
    with pytest.raises(FetchRefused, match="not encrypted"):
        get(web_site, into, web=web_to({"files.lab": web_site.place, "plain.lab": outside.place}))
    assert outside.asked == []


def test_the_address_that_was_judged_is_the_one_connected_to(outside: Site, inside: Site, into: Path) -> None:
    """The name's answer changes between every two questions: there is one question a connection."""
    outside.pages["/cells.h5ad"], inside.pages["/cells.h5ad"] = File(DATA), File(b"secret")
    answers: list[tuple[str, int]] = []

    def changing(host: str, port: int) -> list[tuple[str, int]]:
        answers.append(outside.place if not answers else inside.place)
        return answers[-1:]

    inside.asked.clear()
    web = web_to({})
    web.resolve = changing
    assert get(outside, into, "http://files.lab/cells.h5ad", web=web).bytes == len(DATA)
    assert (answers, inside.asked) == ([outside.place], [])


def test_a_name_that_turns_inward_while_a_download_goes_on_is_refused(outside: Site, inside: Site, into: Path) -> None:
    outside.pages["/cells.h5ad"] = File(DATA, cuts=[1_000])
    inside.pages["/cells.h5ad"] = File(DATA)
    answers: list[tuple[str, int]] = []

    def changing(host: str, port: int) -> list[tuple[str, int]]:
        answers.append(outside.place if not answers else inside.place)
        return answers[-1:]

    inside.asked.clear()
    web = web_to({})
    web.resolve = changing
    with pytest.raises(FetchRefused, match="loopback"):
        get(outside, into, "http://files.lab/cells.h5ad", web=web)
    assert (answers, inside.asked, traces(into)) == ([outside.place, inside.place], [], [])


def test_a_private_address_among_public_ones_refuses_the_name(outside: Site, inside: Site, into: Path) -> None:
    outside.asked.clear()
    with pytest.raises(FetchRefused):
        get(outside, into, "http://files.lab/x", web=web_to({"files.lab": [outside.place, inside.place]}))
    assert outside.asked == inside.asked == []


def test_an_address_that_does_not_answer_is_passed_over_for_the_next(outside: Site, into: Path) -> None:
    outside.pages["/cells.h5ad"] = File(DATA)
    places = [(HERE, 1), outside.place]  # nothing listens at port 1
    assert get(outside, into, "http://files.lab/cells.h5ad", web=web_to({"files.lab": places})).bytes == len(DATA)


def test_the_operator_may_open_a_host_or_a_network(inside: Site, into: Path) -> None:
    places = {"inside.lab": inside.place}
    for opened in ({"hosts": frozenset({"inside.lab"})}, {"networks": (ip_network("127.0.0.8/31"),)}):
        assert get(inside, into, "http://inside.lab/secret", web=web_to(places, **opened)).bytes == 6  # type: ignore[arg-type]
    with pytest.raises(FetchRefused, match="fetches nothing"):
        get(inside, into, "http://inside.lab/secret", web=web_to(places, on=False))
    with pytest.raises(FetchRefused):
        fetch("https://inside.lab/secret", into, profiles={})


def test_the_systems_own_names_are_judged_too(into: Path) -> None:
    with pytest.raises(FetchRefused, match="loopback"):
        get(Site(HERE, 0, "https"), into, "https://localhost/x", web=Web(WebRules(), tls=client_tls()))
