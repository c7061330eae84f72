"""Real mail servers and receivers: what arrives, what is tried again, what is given up, and what a crash leaves."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.bootstrap import opened
from jobs.cli import main
from jobs.notify.channels import Channel, Undelivered
from jobs.notify.delivery import TRIES, Deliverer
from jobs.notify.events import USUAL
from jobs.notify.mail import MailChannel
from jobs.notify.message import Message, compose
from jobs.notify.settings import NotifySettings, SmtpSettings, Tls, WebhookSettings
from jobs.notify.webhook import WebhookChannel
from jobs.views import NotificationView
from storage.database import Database
from storage.errors import StoreFull
from storage.tables import deliveries as delivery_table
from storage.tables import notifications as table
from storage.tables.deliveries import DeliveryRow
from storage.tables.notifications import NotificationRow
from storage.tables.rows import utcnow
from tests.forked import ForkedRunner
from tests.labs import free_port, imported, lab_settings, until
from tests.posts import PASSWORD, USER, Mailbox, Receiver, certificate, mail_server, receiver, verified

KEY = bytes(range(32))
SETTINGS = NotifySettings(public_url="https://lab.example")


@dataclass
class Office:
    """A database and a deliverer whose steps and clock are the test's."""

    path: Path
    database: Database
    channels: Sequence[Channel] = ()
    later: timedelta = timedelta()
    made: list[Deliverer] = field(default_factory=list)

    def deliverer(self) -> Deliverer:
        made = Deliverer(
            self.database, self.channels, USUAL, partial(compose, settings=SETTINGS), period_s=0.05, now=self.now
        )
        self.made.append(made)
        return made

    def now(self) -> datetime:
        return utcnow() + self.later

    def tell(self, id: str = "msg_1", event: str = "job.succeeded") -> None:
        row = NotificationRow(id=id, event=event, subject="job-1", kind="translate", title="RNA → ATAC · ä.h5ad")
        self.database.write_now(lambda conn: table.insert(conn, row))

    def round(self) -> None:
        """Everything that is due by now, once."""
        deliverer = self.deliverer()
        deliverer.address()
        for channel in self.channels:
            deliverer.deliver(channel)

    def sent(self, id: str = "msg_1") -> list[DeliveryRow]:
        with self.database.read() as conn:
            return delivery_table.of(conn, [id])

    def states(self, id: str = "msg_1") -> list[str]:
        return [each.state for each in self.sent(id)]

    def restart(self) -> None:
        self.database.close()
        self.database = Database.open(self.path)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path / "db.duckdb", Database.open(tmp_path / "db.duckdb"))
    yield made
    for deliverer in made.made:
        deliverer.stop()
    made.database.close()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


def mailer(box: Mailbox, tls: Tls = "none", *, to: str = "lab@example.org", password: str = "") -> MailChannel:
    user = USER if password else ""
    sender = "CrossView <crossview@example.org>"
    return MailChannel(SmtpSettings(box.host, box.port, tls, sender, (to,), user, password), to, timeout_s=5)


def hook(to: Receiver, *, timeout_s: float = 20.0) -> WebhookChannel:
    return WebhookChannel(WebhookSettings(to.url, (KEY,)), timeout_s)


def message() -> Message:
    row = NotificationRow(id="msg_1", event="job.succeeded", subject="job-1", kind="translate", title="RNA → ATAC · ä")
    return compose(row, SETTINGS)


# -- e-mail ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["starttls", "implicit", "none"])
def test_a_mail_arrives_after_a_verified_login(tls: Tls, pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with mail_server(tls, pem=pem, login=True) as box:
        mailer(box, tls, to="Lab <lab@example.org>", password=PASSWORD).send(message())
    (mail,) = box.mails
    assert box.logins == [True]
    assert box.envelopes == [("crossview@example.org", ["lab@example.org"])]
    assert mail["Subject"] == "[CrossView] Translation succeeded: RNA → ATAC · ä"
    assert mail["Message-ID"] == "<msg_1@example.org>"
    plain, html = (mail.get_body([kind]) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    assert "https://lab.example/job?id=job-1" in plain.get_content()
    assert 'href="https://lab.example/job?id=job-1"' in html.get_content()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_server_that_cannot_be_verified_is_told_nothing(tls: Tls, pem: Path) -> None:
    refused = pytest.raises(Undelivered, match="could not be verified")
    with mail_server(tls, pem=pem, login=True) as box, refused as caught:
        mailer(box, tls, password=PASSWORD).send(message())
    assert not caught.value.final
    assert (box.mails, box.logins) == ([], [])


def test_nothing_falls_back_to_clear_where_starttls_is_not_offered() -> None:
    with mail_server() as box, pytest.raises(Undelivered, match="STARTTLS") as caught:
        mailer(box, "starttls", password=PASSWORD).send(message())
    assert not caught.value.final
    assert (box.mails, box.logins) == ([], [])


def test_a_refused_login_is_tried_again_and_the_password_not_shown() -> None:
    with mail_server(login=True) as box, pytest.raises(Undelivered, match="login was refused: 535") as caught:
        mailer(box, password="wrong password").send(message())
    assert not caught.value.final
    assert "wrong password" not in str(caught.value)
    assert box.mails == []


def test_a_mail_server_that_says_nothing_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        box = Mailbox(port=silent.getsockname()[1])
        quick = MailChannel(mailer(box).settings, "lab@example.org", timeout_s=0.2)
        with pytest.raises(Undelivered, match="did not take it"):
            quick.send(message())


def test_a_busy_mailbox_is_tried_again_and_a_wrong_one_given_up(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    with mail_server() as box:
        office.channels = [mailer(box), mailer(box, to="gone@example.org")]
        box.answers = ["451 4.7.1 come back later", "550 5.1.1 nobody of this name"]
        office.tell()
        office.round()
        states = {each.label: (each.state, each.error) for each in office.sent()}
        assert states["e-mail to lab@example.org"][0] == "pending"
        assert "451 4.7.1 come back later" in states["e-mail to lab@example.org"][1]
        assert states["e-mail to gone@example.org"][0] == "gave-up"
        assert "is given up by e-mail to gone@example.org" in caplog.text
        office.round()
        assert box.mails == []  # its time has not come
        office.later = timedelta(minutes=1)
        office.round()
        office.round()
    assert [mail["To"] for mail in box.mails] == ["lab@example.org"]
    assert sorted(office.states()) == ["gave-up", "sent"]


# -- webhooks --------------------------------------------------------------------------------------------------------


def test_a_webhook_is_signed_anew_at_each_try_under_one_id(office: Office) -> None:
    with receiver(KEY) as got:
        office.channels = [hook(got)]
        got.answers = [(500, {}), (503, {"retry-after": "7200"})]
        office.tell()
        office.round()
        office.later = timedelta(minutes=1)
        office.round()
        office.later = timedelta(hours=1)
        office.round()
        assert len(got.posts) == 2  # it asked for two hours
        office.later = timedelta(hours=3)
        office.round()
    assert got.ids == ["msg_1"] * 3
    assert all(verified(headers, body, KEY) for headers, body in got.posts)
    assert not verified(*got.posts[0], secret=KEY[::-1])
    assert {body for _, body in got.posts} == {got.posts[0][1]}
    assert json.loads(got.posts[0][1])["data"]["title"] == "RNA → ATAC · ä.h5ad"
    (done,) = office.sent()
    assert (done.state, done.tries, done.error) == ("sent", 3, "")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiver(KEY) as elsewhere, receiver(KEY) as got:
        got.answers = [(status, {"location": elsewhere.url})]
        with pytest.raises(Undelivered, match=f"answered {status}: redirects are not followed") as caught:
            hook(got).send(message())
    assert not caught.value.final
    assert elsewhere.posts == []
    assert "/hook" not in str(caught.value)  # its path may be a secret


def test_who_is_gone_is_given_up_at_once_and_who_stays_away_after_many_tries(office: Office) -> None:
    with receiver(KEY) as got:
        got.answers = [(410, {})]
        nobody = Receiver(KEY, url=f"http://127.0.0.1:{free_port()}/hook")
        office.channels = [hook(got), hook(nobody)]
        office.tell()
        for day in range(TRIES + 2):
            office.later = timedelta(days=day)
            office.round()
    assert sorted((each.state, each.tries) for each in office.sent()) == [("gave-up", 1), ("gave-up", TRIES)]
    assert any("ConnectionRefusedError" in each.error for each in office.sent())


def test_one_that_hangs_holds_up_no_other_and_no_end(office: Office) -> None:
    with receiver(KEY) as stuck, receiver(KEY) as got, mail_server() as box:
        stuck.hold.clear()
        office.channels = [hook(stuck), hook(got), mailer(box)]
        deliverer = office.deliverer()
        deliverer.stop_s = 0.1
        deliverer.start()
        for n in range(3):
            office.tell(f"msg_{n}")
        until(lambda: (len(stuck.posts), len(got.posts), len(box.mails)), lambda seen: seen == (1, 3, 3))
        deliverer.stop()  # although the first still hangs
        assert sorted(office.states("msg_0")) == ["pending", "sent", "sent"]
        office.restart()
        stuck.hold.set()
        deliverer = office.deliverer()
        deliverer.start()
        until(lambda: [office.states(f"msg_{n}") for n in range(3)], lambda seen: seen == [["sent"] * 3] * 3)
        assert len(got.posts) == 3
        assert len(box.mails) == 3
    assert set(stuck.ids) == {"msg_0", "msg_1", "msg_2"}


def test_a_receiver_that_says_nothing_is_left() -> None:
    with receiver(KEY) as got:
        got.hold.clear()
        with pytest.raises(Undelivered, match="did not take it: TimeoutError"):
            hook(got, timeout_s=0.2).send(message())


def test_a_test_message_goes_to_every_address_and_each_says_what_became_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--notify"]) == 2
    assert "MEND  notifications: no address is set" in capsys.readouterr().out
    with receiver(KEY) as got, receiver(KEY) as broken, mail_server() as box:
        broken.answers = [(500, {})]
        secret = "whsec_" + base64.b64encode(KEY).decode()
        for name, value in {
            "CROSSVIEW_SMTP_HOST": box.host, "CROSSVIEW_SMTP_PORT": str(box.port), "CROSSVIEW_SMTP_TLS": "none",
            "CROSSVIEW_SMTP_FROM": "crossview@example.org", "CROSSVIEW_SMTP_TO": "lab@example.org",
            "CROSSVIEW_WEBHOOK_URLS": f"{got.url} {broken.url}", "CROSSVIEW_WEBHOOK_SECRETS": f"{secret} {secret}",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        assert main(["doctor", "--notify", "--json"]) == 2
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [(check["name"], check["ok"]) for check in checks] == [
        ("webhook at 127.0.0.1", True), ("webhook at 127.0.0.1", False), ("e-mail to lab@example.org", True),
    ]  # fmt: skip
    assert "127.0.0.1 answered 500" in checks[1]["found"]
    assert box.mails[0]["Subject"] == "[CrossView] This is a test of notifications: crossview doctor"
    assert json.loads(got.posts[0][1])["type"] == "crossview.test"
    assert verified(*got.posts[0], secret=KEY)


def test_the_service_tells_of_an_import_that_failed(tmp_path: Path) -> None:
    (tmp_path / "opened").mkdir()
    spoilt = tmp_path / "opened" / "notes.h5ad"
    spoilt.write_bytes(b"not a matrix" * 100)
    with receiver(KEY) as got:
        notify = NotifySettings(webhooks=(WebhookSettings(got.url, (KEY,)),))
        settings = replace(lab_settings(tmp_path / "home", spoilt.parent), notify=notify)
        with opened(settings, runner=ForkedRunner(tmp_path / "runner", workers=1)) as client:
            dataset = imported(client, str(spoilt))
            (said,) = until(lambda: client.list_notifications().notifications, lambda told: bool(sent_of(told)))
    assert got.ids == [said.id]
    document = json.loads(got.posts[0][1])
    assert (document["type"], document["data"]["id"]) == ("import.failed", dataset.id)
    assert document["data"]["failure"]["code"] == "not-hdf5"


def sent_of(told: Sequence[NotificationView]) -> list[str]:
    return [each.label for it in told for each in it.deliveries if each.state == "sent"]


# -- what is decided, and what a crash leaves ------------------------------------------------------------------------


def test_what_was_told_while_nobody_was_to_hear_is_not_sent_when_somebody_is(office: Office) -> None:
    office.tell()
    office.tell("msg_2", "job.cancelled")
    office.round()
    with receiver(KEY) as got:
        office.channels = [hook(got)]
        office.tell("msg_3", "job.cancelled")
        office.tell("msg_4")
        office.round()
    assert got.ids == ["msg_4"]


def test_an_address_that_was_taken_out_gets_nothing_more(office: Office) -> None:
    with receiver(KEY) as got, receiver(KEY) as other:
        got.answers, other.answers = [(500, {})], [(500, {})]
        office.channels = [hook(got), hook(other)]
        office.tell()
        office.round()
        office.channels = [hook(other)]
        office.restart()
        office.later = timedelta(hours=1)
        office.deliverer().start()
        until(office.states, lambda states: sorted(states) == ["gave-up", "sent"])
    assert (len(got.posts), len(other.posts)) == (1, 2)


def test_a_full_disk_does_not_make_one_message_many(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    full = True
    change = delivery_table.change

    def refuses(*args: Any, **changes: Any) -> bool:
        if full:
            raise StoreFull("The disk is full.")
        return change(*args, **changes)

    monkeypatch.setattr(delivery_table, "change", refuses)
    with receiver(KEY) as got:
        office.channels = [hook(got)]
        office.tell()
        deliverer = office.deliverer()
        deliverer.address()
        for _ in range(3):
            with pytest.raises(StoreFull):
                deliverer.deliver(office.channels[0])
        full = False
        deliverer.deliver(office.channels[0])
    assert (len(got.posts), office.states()) == (1, ["sent"])


CRASH = """
import sys
from functools import partial
from jobs.notify.delivery import Deliverer
from jobs.notify.events import USUAL
from jobs.notify.message import compose
from jobs.notify.settings import NotifySettings, WebhookSettings
from jobs.notify.webhook import WebhookChannel
from jobs.reconcile.moves import move
from jobs.state import JobState
from storage.database import Database
from storage.tables import jobs
from storage.tables.jobs import JobRow

database = Database.open(sys.argv[1])
row = JobRow(id="job-1", kind="translate", state="RUNNING", spec={}, spec_digest="0" * 64)
def end(conn):
    jobs.insert(conn, row)
    move(conn, row, JobState.SUCCEEDED, reason="test")
database.write_now(end)
channel = WebhookChannel(WebhookSettings(sys.argv[2], (bytes(range(32)),)))
deliverer = Deliverer(database, [channel], USUAL, partial(compose, settings=NotifySettings()))
if sys.argv[3] == "sending":
    deliverer.start()
print("committed", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("when", ["before", "sending"])
def test_a_process_that_is_killed_between_the_end_and_the_sending_costs_nothing(tmp_path: Path, when: str) -> None:
    path = tmp_path / "db.duckdb"
    with receiver(KEY) as got:
        arrived = threading.Event()
        got.on_post = arrived.set
        if when == "sending":
            got.hold.clear()  # it has the message, and its thanks never arrive
        child = subprocess.Popen(
            [sys.executable, "-c", CRASH, str(path), got.url, when],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"committed\n"
            if when == "sending":
                assert arrived.wait(60)
            child.send_signal(signal.SIGKILL)
        got.hold.set()
        with Database.open(path) as database:
            office = Office(path, database, [hook(got)])
            office.round()
            office.round()
            with database.read() as conn:
                (said,) = table.find(conn, owner="local")
            assert office.states(said.id) == ["sent"]
    assert got.ids == [said.id] * (1 if when == "before" else 2)  # twice, and known by its id
    assert all(verified(headers, body, KEY) for headers, body in got.posts)
