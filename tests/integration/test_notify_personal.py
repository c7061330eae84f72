"""Users who choose where they are told: real mail and receivers; each gets their own ends and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jobs.accounts.access import asking
from jobs.accounts.principal import Principal, Role
from jobs.errors import BadRequest, Conflict
from jobs.notify.channels import Undelivered
from jobs.notify.guarded import GuardedWebhook, require_reachable
from jobs.notify.message import compose
from jobs.notify.settings import NotifySettings, SmtpSettings, WebhookSettings, key_of_secret
from jobs.notify.views import WebhookView
from jobs.reconcile.moves import move
from jobs.state import JobState
from jobs.views import NotificationView
from storage.guard import WebRules
from storage.tables import jobs as job_table
from storage.tables.notifications import NotificationRow
from storage.tables.telling import WebhookRow
from tests.kept import cells, job
from tests.labs import until
from tests.people import Lab, lab
from tests.posts import Mailbox, Receiver, mail_server, receiver, verified

KEY = bytes(range(32))
ANNA, BERT, BOSS = (Principal(f"user-{name}") for name in ("anna", "bert", "boss"))
OPERATOR = Principal(BOSS.user, Role.OPERATOR)


@dataclass
class Place:
    """A lab whose deliverer runs. all: the lab's own receiver; box: a mail server that has the lab's address too."""

    lab: Lab
    all: Receiver
    hers: Receiver
    his: Receiver
    box: Mailbox

    def add(self, who: Principal, to: Receiver) -> WebhookView:
        with asking(who):
            return self.lab.service.personal.add(to.url, name="chat")

    def mail(self, who: Principal) -> None:
        with asking(who):
            assert self.lab.service.personal.choose(mail=True).mail

    def end(self, id: str, who: Principal) -> None:
        """A job of theirs that ends well."""
        service = self.lab.service
        with asking(who):
            cells(service, f"ds-{id}", id.encode(), name=f"{who.user}'s.h5ad")
            job(service, id, f"ds-{id}", state=JobState.RUNNING)
        with service.database.read() as conn:
            row = job_table.get(conn, id)
        assert row is not None
        service.database.write_now(lambda conn: move(conn, row, JobState.SUCCEEDED, reason="test"))

    def told(self, who: Principal) -> list[NotificationView]:
        with asking(who):
            return list(self.lab.service.inbox.newest().notifications)

    def states(self, who: Principal) -> dict[str, str]:
        """What became of each delivery that they see, by label."""
        return {each.label: each.state for it in self.told(who) for each in it.deliveries}

    def mails(self, to: str) -> list[str]:
        return [str(mail["Subject"]) for mail in self.box.mails if mail["To"] == to]


@pytest.fixture
def place(tmp_path: Path, catalog: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        to_all, hers, his = (stack.enter_context(receiver(KEY)) for _ in range(3))
        box = stack.enter_context(mail_server())
        smtp = SmtpSettings(box.host, box.port, "none", "CrossView <cv@lab.org>", ("lab@lab.org",))
        ports = frozenset(urlsplit(each.url).port or 0 for each in (hers, his))
        here = stack.enter_context(
            lab(
                tmp_path / "home", catalog, notify=NotifySettings(smtp, (WebhookSettings(to_all.url, (KEY,)),)),
                fetch=WebRules(plain_http=True, networks=(ip_network("127.0.0.0/8"),), ports=ports),
            )
        )  # fmt: skip
        for name in ("anna", "bert"):
            here.person(f"{name}@lab.org")
        here.person("boss@lab.org", Role.OPERATOR)
        here.service.deliverer.period_s = 0.05
        here.service.deliverer.start()
        stack.callback(here.service.deliverer.stop)
        yield Place(here, to_all, hers, his, box)


def sent(states: dict[str, str], *, of: int) -> bool:
    return list(states.values()) == ["sent"] * of


def test_each_is_told_of_their_own_by_their_own_choice_and_the_lab_without_names(place: Place) -> None:
    anna = place.add(ANNA, place.hers)
    bert = place.add(BERT, place.his)
    place.mail(ANNA)
    place.end("job-a", ANNA)
    place.end("job-b", BERT)
    until(lambda: place.states(ANNA), lambda seen: sent(seen, of=2))
    until(lambda: place.states(BERT), lambda seen: sent(seen, of=1))
    until(lambda: (len(place.all.posts), len(place.mails("lab@lab.org"))), lambda seen: seen == (2, 2))

    for got, hook, id in ((place.hers, anna, "job-a"), (place.his, bert, "job-b")):
        ((headers, body),) = got.posts
        assert verified(headers, body, key_of_secret(hook.secret))
        assert (json.loads(body)["data"]["id"], json.loads(body)["data"]["title"]) == (id, "Mine")
    assert place.mails("anna@lab.org") == ["[CrossView] Translation succeeded: Mine"]
    assert {to for _, envelope in place.box.envelopes for to in envelope} == {"anna@lab.org", "lab@lab.org"}
    (hers,) = [mail for mail in place.box.mails if mail["To"] == "anna@lab.org"]
    assert "page Account" in hers.as_string()

    assert sorted(place.mails("lab@lab.org")) == [f"[CrossView] Translation succeeded: job-{x}" for x in "ab"]
    assert "Mine" not in str([body for _, body in place.all.posts])
    assert set(place.states(BERT)) == {"webhook chat at 127.0.0.1"}  # the lab's addresses are the operator's
    place.end("job-c", BOSS)
    until(lambda: place.states(OPERATOR), lambda seen: sent(seen, of=2))
    assert len(place.hers.posts) == len(place.his.posts) == 1


def test_what_fails_is_tried_again_and_seen_by_its_owner_alone(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.hers.answers = [(500, {}), (410, {})]
    place.add(ANNA, place.hers)
    place.end("job-a", ANNA)
    label = "webhook chat at 127.0.0.1"
    until(lambda: len(place.hers.posts), lambda n: n == 1)
    said = until(lambda: place.told(ANNA)[0].deliveries, lambda seen: bool(seen) and seen[0].tries == 1)
    assert (said[0].state, said[0].error) == ("pending", "127.0.0.1 answered 500.")
    service = place.lab.service
    service.database.write_now(
        lambda conn: conn.execute("update deliveries set due_at = '2026-01-01' where owner <> ''")
    )
    until(lambda: place.states(ANNA).get(label), lambda state: state == "gave-up")
    assert place.told(BERT) == place.told(OPERATOR) == []
    assert "is given up by an address of user-anna" in caplog.text
    assert "410" not in caplog.text


def test_an_address_that_hangs_holds_up_nobody_else_and_one_taken_out_gets_nothing(place: Place) -> None:
    place.hers.hold.clear()
    hook = place.add(ANNA, place.hers)
    place.add(BERT, place.his)
    for n in range(2):
        place.end(f"job-a{n}", ANNA)
    until(lambda: len(place.hers.posts), lambda n: n == 1)
    place.end("job-b", BERT)
    until(lambda: place.states(BERT), lambda seen: sent(seen, of=1))
    with asking(ANNA):
        place.lab.service.personal.remove(hook.id)
    place.hers.hold.set()
    until(lambda: [it.deliveries[0].state for it in place.told(ANNA)], lambda seen: "pending" not in seen)
    assert sorted(it.deliveries[0].state for it in place.told(ANNA)) == ["gave-up", "sent"]
    assert len(place.hers.posts) == 1


def test_who_is_disabled_is_told_nothing_and_a_test_goes_to_ones_own_addresses(place: Place) -> None:
    with asking(ANNA), pytest.raises(Conflict, match="nowhere"):
        place.lab.service.personal.test()
    place.add(ANNA, place.hers)
    place.mail(ANNA)
    with asking(ANNA):
        place.lab.service.personal.test()
        with pytest.raises(Conflict, match="less than a minute"):
            place.lab.service.personal.test()
    until(lambda: place.states(ANNA), lambda seen: sent(seen, of=2))
    assert json.loads(place.hers.posts[0][1])["type"] == "crossview.test"
    assert place.mails("anna@lab.org") == ["[CrossView] This is a test of notifications: your addresses"]
    assert place.all.posts == []
    place.lab.accounts.users.disable("user-anna")
    place.end("job-a", ANNA)
    until(lambda: len(place.all.posts), lambda n: n == 1)
    assert len(place.hers.posts) == len(place.mails("anna@lab.org")) == 1


# -- what may be posted to -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["https://10.0.0.1/x", "https://127.0.0.1/x", "https://169.254.169.254/x", "https://[::1]/x", "https://localhost/x",
     "http://93.184.216.34/x", "https://93.184.216.34:8443/x", "https://u:p@93.184.216.34/", "file:///etc/passwd",
     "https://93.184.216.34/" + "x" * 2_000, ""],
)  # fmt: skip
def test_an_address_that_may_not_be_reached_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        require_reachable(url, WebRules())
    assert refused.value.hint


def test_a_public_address_is_kept_and_none_where_the_web_is_closed() -> None:
    url = "https://93.184.216.34/hook?key=1"
    assert require_reachable(url, WebRules()) == url
    with pytest.raises(BadRequest, match="sends nothing"):
        require_reachable(url, WebRules(on=False))


def test_a_name_that_leads_elsewhere_by_then_is_not_posted_to_nor_a_redirect_followed() -> None:
    row = NotificationRow(id="msg_1", event="job.succeeded", subject="job-1", kind="translate", title="Mine")
    said = compose(row, NotifySettings())
    with receiver(KEY) as got, receiver(KEY) as elsewhere:
        port = urlsplit(got.url).port or 0
        rules = WebRules(plain_http=True, ports=frozenset({port}))
        secret = "whsec_" + "A" * 44
        row_of = WebhookRow(
            id="h", owner="user-anna", name="x", url=f"http://chat.lab.org:{port}/secret", secret=secret
        )
        rebound = GuardedWebhook(row_of, rules, resolve=lambda host, port: [("127.0.0.1", port)])
        with pytest.raises(Undelivered, match="may not be reached") as caught:
            rebound.send(said)
        assert caught.value.final
        assert "secret" not in str(caught.value)
        assert got.posts == []
        got.answers = [(307, {"location": elsewhere.url})]
        open_ = WebRules(plain_http=True, ports=frozenset({port}), networks=(ip_network("127.0.0.0/8"),))
        with pytest.raises(Undelivered, match="redirects are not followed"):
            GuardedWebhook(row_of, open_, resolve=lambda host, port: [("127.0.0.1", port)]).send(said)
        assert (len(got.posts), elsewhere.posts) == (1, [])
