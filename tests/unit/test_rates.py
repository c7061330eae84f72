"""Buckets of requests, cursors of pages, and how long a client waits."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.rates import Buckets
from jobs.client_http import HttpClient
from jobs.errors import BadRequest, TooManyRequests
from jobs.paging import cursor, key_of, page
from jobs.patience import PATIENCE_S, Repeatable, patiently
from jobs.rate import Rate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_as_many_as_may_come_together_then_as_many_as_flow_in() -> None:
    clock = Clock()
    buckets = Buckets(Rate(per_minute=60, at_once=5), clock)
    waits = [taken.wait_s for _ in range(7) if (taken := buckets.take("ana"))]
    assert waits == [0, 0, 0, 0, 0, 1, 1]
    clock.now += 2.5
    waits = [taken.wait_s for _ in range(3) if (taken := buckets.take("ana"))]
    assert waits == [0, 0, 0.5]


def test_one_person_does_not_use_up_anothers() -> None:
    buckets = Buckets(Rate(per_minute=60, at_once=1), Clock())
    taken = [buckets.take(who) for who in ("ana", "ana", "ben")]
    assert [each.wait_s > 0 for each in taken if each] == [False, True, False]


def test_no_limit_remembers_nobody() -> None:
    buckets = Buckets(Rate(per_minute=0), Clock())
    assert buckets.take("ana") is None
    assert len(buckets) == 0


def test_a_million_addresses_fill_a_bounded_room() -> None:
    buckets = Buckets(Rate(per_minute=60, at_once=5), Clock(), most=100)
    for n in range(10_000):
        buckets.take(f"10.0.0.{n}")
    assert len(buckets) == 100


def test_what_is_told_adds_up() -> None:
    buckets = Buckets(Rate(per_minute=120, at_once=10), Clock())
    first = buckets.take("ana")
    assert first is not None
    assert first.headers == {"ratelimit-policy": '"requests";q=10;w=5', "ratelimit": '"requests";r=9;t=1'}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.text(max_size=3)), unique=True, max_size=30), st.integers(1, 7), st.data()
)
def test_pages_hold_every_row_that_stays_once_whatever_comes_and_goes(
    keys: list[tuple[int, str]], size: int, data: st.DataObject
) -> None:
    rows, seen, word = sorted(keys), [], ""
    stays = set(rows)
    while True:
        found, word = page(rows, lambda row: row, after=key_of(word, int, str), limit=size)
        seen += found
        if not word:
            break
        changes = data.draw(st.lists(st.tuples(st.integers(0, 5), st.text(max_size=3)), max_size=3))
        stays -= set(changes)
        rows = sorted(set(rows) ^ set(changes))
    assert len(seen) == len(set(seen))
    assert stays <= set(seen)


@given(st.text())
def test_a_cursor_is_read_or_refused(text: str) -> None:
    try:
        key = key_of(text, int, str)
    except BadRequest:
        return
    assert key is None or key_of(cursor(key), int, str) == key


def answers(*given: httpx.Response | Exception) -> httpx.MockTransport:
    left = iter(given)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        it = next(left)
        if isinstance(it, Exception):
            raise it
        return it

    asked: list[httpx.Request] = []
    transport = httpx.MockTransport(answer)
    transport.asked = asked  # type: ignore[attr-defined]
    return transport


BUSY = httpx.Response(429, headers={"retry-after": "0"}, json={"code": "too-many-requests", "message": "Later."})
UPLOAD = httpx.Response(201, json={"id": "u", "name": "x", "size": None, "received": 0})


def test_the_client_waits_as_long_as_it_is_asked_to() -> None:
    transport = answers(BUSY, BUSY, UPLOAD)
    with HttpClient("http://x", transport=transport) as client:
        assert client.create_upload(name="x").id == "u"
    keys = {request.headers["idempotency-key"] for request in transport.asked}  # type: ignore[attr-defined]
    assert len(keys) == 1


def test_a_request_with_a_key_that_broke_off_is_sent_again_and_another_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.patience.FIRST_S", 0.0)
    broken = httpx.ReadError("cut")
    with HttpClient("http://x", transport=answers(broken, broken, UPLOAD)) as client:
        assert client.create_upload(name="x").id == "u"
    with (
        HttpClient("http://x", transport=answers(broken, UPLOAD)) as client,
        pytest.raises(Exception, match="ReadError"),
    ):
        client.cancel("job-1")


def test_patience_ends() -> None:
    long = httpx.Response(429, headers={"retry-after": "40"}, request=httpx.Request("GET", "http://x"))
    slept: list[float] = []
    answer = patiently(lambda: long, repeatable=Repeatable.UNREAD, sleep=slept.append)
    assert (answer.status_code, slept) == (429, [40.0])
    assert sum(slept) <= PATIENCE_S


def test_a_stream_is_sent_once() -> None:
    def body() -> Iterator[bytes]:
        yield b"x"

    with HttpClient("http://x", transport=answers(BUSY)) as client, pytest.raises(TooManyRequests):
        client.append_upload("u", offset=0, chunks=body())
