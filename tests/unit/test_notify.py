"""What is written when something ends, what it says, and what an operator may set of it."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadSetting
from jobs.notify.channels import channels_of
from jobs.notify.delivery import LONGEST_WAIT_S, TRIES, wait_s
from jobs.notify.events import TELLABLE, USUAL
from jobs.notify.inbox import Inbox
from jobs.notify.mail import MailChannel
from jobs.notify.message import compose, one_line
from jobs.notify.record import import_changed
from jobs.notify.settings import PRIVATE, NotifySettings, SmtpSettings, without_private
from jobs.notify.webhook import signed
from jobs.reconcile.moves import AUTOMATIC_RETRIES, lose, move, requeue
from jobs.runners.ray.cluster import environment
from jobs.state import JobState
from jobs.views import Failure
from storage.database import Database
from storage.tables import datasets as dataset_table
from storage.tables import jobs as job_table
from storage.tables import notifications as table
from storage.tables.datasets import DatasetRow
from storage.tables.jobs import JobRow
from storage.tables.notifications import NotificationRow

JOB = JobRow(id="job-1", kind="translate", state="RUNNING", spec={}, spec_digest="0" * 64, title="RNA → ATAC · a.h5ad")
FAILURE = Failure(code="feature-mismatch", message="4 % of genes found.", hint="Use symbols.").model_dump()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
MAIL = {
    "CROSSVIEW_SMTP_HOST": "mail.example.org",
    "CROSSVIEW_SMTP_FROM": "CrossView <crossview@example.org>",
    "CROSSVIEW_SMTP_TO": "lab@example.org, head@example.org",
}
HOOK = {"CROSSVIEW_WEBHOOK_URLS": "http://127.0.0.1:9/T0P/hush", "CROSSVIEW_WEBHOOK_SECRETS": SECRET}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database.open(tmp_path_factory.mktemp("notify") / "db.duckdb") as database:
        yield database


@pytest.fixture
def database(opened: Database) -> Database:
    """The same file for all, empty for each."""

    def clear(conn: Any) -> None:
        for name in ("jobs", "job_events", "datasets", "notifications", "deliveries"):
            conn.execute(f"delete from {name}")

    opened.write_now(clear)
    return opened


def told(database: Database) -> list[NotificationRow]:
    with database.read() as conn:
        return table.find(conn, owner="local")


def running(database: Database, **more: Any) -> JobRow:
    row = replace(JOB, **more)
    database.write_now(lambda conn: job_table.insert(conn, row))
    return row


def now(database: Database) -> JobRow:
    with database.read() as conn:
        row = job_table.get(conn, JOB.id)
    assert row is not None
    return row


# -- with the change itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "event"),
    [(JobState.SUCCEEDED, "job.succeeded"), (JobState.FAILED, "job.failed"), (JobState.LOST, "job.lost")],
)
def test_an_end_is_told_with_the_move_and_once(database: Database, to: JobState, event: str) -> None:
    row = running(database)
    assert database.write_now(lambda conn: move(conn, row, to, reason="test", failure=FAILURE))
    assert not database.write_now(lambda conn: move(conn, row, to, reason="again", failure=FAILURE))
    (said,) = told(database)
    assert (said.event, said.subject, said.attempt, said.title) == (event, "job-1", 1, JOB.title)
    assert (said.failure, said.read_at, said.addressed) == (FAILURE, None, False)


def test_what_is_undone_is_not_told(database: Database) -> None:
    row = running(database)

    def write(conn: Any) -> None:
        move(conn, row, JobState.SUCCEEDED, reason="test")
        raise RuntimeError("the rest of the write failed")

    with pytest.raises(RuntimeError, match="the rest"):
        database.write_now(write)
    assert told(database) == []
    assert now(database).state == JobState.RUNNING


def test_a_loss_is_told_when_no_automatic_retry_is_left(database: Database) -> None:
    running(database)
    for tried in range(AUTOMATIC_RETRIES):
        database.write_now(lambda conn: lose(conn, now_in(conn), reason="test"))
        assert told(database) == []
        assert now(database).attempt == tried + 2
        database.write_now(lambda conn: move(conn, now_in(conn), JobState.SUBMITTED, reason="test"))
    database.write_now(lambda conn: lose(conn, now_in(conn), reason="test"))
    (said,) = told(database)
    assert (said.event, said.attempt) == ("job.lost", AUTOMATIC_RETRIES + 1)
    assert said.failure is not None
    assert said.failure["code"] == "lost"


def now_in(conn: Any) -> JobRow:
    row = job_table.get(conn, JOB.id)
    assert row is not None
    return row


def test_a_retry_asked_for_by_a_person_leaves_what_was_told(database: Database) -> None:
    row = running(database)
    database.write_now(lambda conn: move(conn, row, JobState.FAILED, reason="test", failure=FAILURE))
    database.write_now(lambda conn: requeue(conn, now_in(conn), reason="asked by a person"))
    assert [said.event for said in told(database)] == ["job.failed"]


def test_a_cancel_is_kept_but_not_news(database: Database) -> None:
    row = running(database, state="QUEUED")
    database.write_now(lambda conn: move(conn, row, JobState.CANCELLED, reason="asked by a person"))
    (said,) = told(database)
    assert said.event == "job.cancelled"
    assert said.read_at is not None
    assert said.event not in USUAL


@pytest.mark.parametrize(
    ("changes", "event"),
    [({"state": "ready"}, "import.succeeded"), ({"state": "failed", "failure": FAILURE}, "import.failed")],
)
def test_the_end_of_an_import_is_told(database: Database, changes: dict[str, Any], event: str) -> None:
    row = DatasetRow(id="ds-1", name="a.h5ad", state="importing", origin="s3://b/a.h5ad")
    for step in ({"stage": "copying"}, changes):
        database.write_now(lambda conn, step=step: import_changed(conn, row, step))
    database.write_now(lambda conn: import_changed(conn, replace(row, origin="example:tiny/rna"), changes))
    (said,) = told(database)
    assert (said.event, said.subject, said.kind, said.title) == (event, "ds-1", "import", "a.h5ad")


def test_what_is_deleted_is_no_longer_named(database: Database) -> None:
    row = running(database)
    data = DatasetRow(id="ds-1", name="a.h5ad", state="ready", origin="s3://b/a.h5ad")
    database.write_now(lambda conn: move(conn, row, JobState.SUCCEEDED, reason="test"))
    database.write_now(lambda conn: dataset_table.insert(conn, data))
    database.write_now(lambda conn: import_changed(conn, data, {"state": "ready"}))
    assert len(told(database)) == 2
    database.write_now(lambda conn: job_table.delete(conn, "job-1"))
    database.write_now(lambda conn: dataset_table.mark_deleted(conn, "ds-1"))
    assert told(database) == []


# -- the inbox -------------------------------------------------------------------------------------------------------


def test_the_inbox_is_newest_first_and_marks_what_it_is_told_to(database: Database) -> None:
    def fill(conn: Any) -> None:
        for n in range(5):
            moment = NOON + timedelta(minutes=n)
            table.insert(conn, NotificationRow(id=f"msg_{n}", event="job.lost", subject=f"job-{n}", kind="train",
                                               moment=moment))  # fmt: skip
        other = NotificationRow(id="msg_x", owner="other", event="job.lost", subject="job-0", kind="train")
        table.insert(conn, other)

    database.write_now(fill)
    inbox = Inbox(database, "local")
    assert [each.id for each in inbox.newest(limit=3).notifications] == ["msg_4", "msg_3", "msg_2"]
    assert inbox.newest(limit=1).unread == 5
    assert inbox.mark_read(ids=["msg_4", "msg_x", "no such"]) == 4
    assert inbox.mark_read(subject="job-0") == 3
    assert inbox.mark_read(through="msg_2") == 1
    assert inbox.mark_read(through="msg_x") == 1
    assert [each.id for each in inbox.newest(unread_only=True).notifications] == ["msg_3"]
    assert Inbox(database, "other").newest().unread == 1


# -- in words --------------------------------------------------------------------------------------------------------


def notification(**more: Any) -> NotificationRow:
    return replace(
        NotificationRow(id="msg_1", event="job.failed", subject="job-1", kind="translate", title=JOB.title,
                        failure=FAILURE, moment=NOON), **more,
    )  # fmt: skip


def test_a_message_says_what_happened_to_which_job_and_where_to_look() -> None:
    message = compose(notification(), NotifySettings(public_url="https://lab.example/cv"))
    assert message.subject == "Translation failed: RNA → ATAC · a.h5ad"
    for part in ("4 % of genes found.", "Use symbols.", "job-1", "https://lab.example/cv/job?id=job-1"):
        assert part in message.text
        assert part in message.html
    document = json.loads(message.payload)
    assert (document["type"], document["timestamp"]) == ("job.failed", "2026-03-01T12:00:00+00:00")
    assert (document["data"]["id"], document["data"]["failure"]["code"]) == ("job-1", "feature-mismatch")


def test_without_titles_nothing_a_person_wrote_leaves() -> None:
    message = compose(notification(title="Mr Smith, ward 3"), NotifySettings(titles=False))
    everything = message.subject + message.text + message.html + message.payload.decode()
    assert "Smith" not in everything
    assert "genes found" not in everything
    assert "job-1" in message.subject
    assert "feature-mismatch" in message.text


def test_secrets_do_not_leave_and_markup_is_text() -> None:
    failure = {**FAILURE, "message": f"<b>no</b> {SECRET} s3://x password=hunter2", "detail": "a traceback"}
    message = compose(notification(failure=failure, title="<img src=x onerror=alert(1)>"), NotifySettings())
    everything = message.subject + message.text + message.html + message.payload.decode()
    for hidden in (SECRET, "hunter2", "a traceback"):
        assert hidden not in everything
    assert "<img" not in message.html
    assert "<b>" not in message.html


@settings(max_examples=30)
@given(st.text(max_size=300))
def test_no_title_begins_another_header(title: str) -> None:
    sender = SmtpSettings("localhost", 25, "none", "a@example.org", ("b@example.org",))
    hostile = title + "\r\nBcc: victim@example.org\u2028X: y"
    message = compose(notification(title=hostile), NotifySettings())
    mail = MailChannel(sender, "b@example.org")._mail(message)
    assert mail["Subject"] == f"[CrossView] Translation failed: {one_line(hostile)}".rstrip()
    arrived = message_from_bytes(mail.as_bytes(), policy=default)
    assert arrived.keys() == mail.keys()
    assert not {"Bcc", "X"} & set(arrived.keys())


def test_a_signature_is_that_of_the_specification() -> None:
    """The example of the specification's own Python library."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [key, KEY], moment=1614265330)
    first, second = headers["webhook-signature"].split(" ")
    assert first == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert second.startswith("v1,")
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330")


def test_waits_grow_to_a_bound_differ_and_heed_the_other_side() -> None:
    rng = random.Random(0)
    waits = [wait_s(tries, rng) for tries in range(1, TRIES)]
    assert waits[:5] == sorted(waits[:5])
    assert max(waits) <= LONGEST_WAIT_S * 1.2
    assert 20 * 3600 < sum(waits) < 30 * 3600
    assert wait_s(1, rng) != wait_s(1, rng)
    assert wait_s(1, rng, at_least=300) == 300
    assert wait_s(1, rng, at_least=1e9) == LONGEST_WAIT_S


# -- settings --------------------------------------------------------------------------------------------------------


def test_nothing_set_tells_the_inbox_alone() -> None:
    assert NotifySettings.from_env({}) == NotifySettings()


def test_every_setting_can_be_given_and_no_secret_is_shown() -> None:
    more = {
        "CROSSVIEW_SMTP_USER": "u",
        "CROSSVIEW_SMTP_PASSWORD": "hush hush",
        "CROSSVIEW_NOTIFY_ON": "job.failed, job.cancelled",
        "CROSSVIEW_NOTIFY_TITLES": "no",
        "CROSSVIEW_PUBLIC_URL": "https://lab.example/cv/",
    }
    settings = NotifySettings.from_env({**MAIL, **HOOK, **more})
    assert settings.smtp is not None
    assert (settings.smtp.port, settings.smtp.tls) == (587, "starttls")
    assert settings.smtp.to == ("lab@example.org", "head@example.org")
    assert settings.webhooks[0].secrets == (KEY,)
    assert (settings.on, settings.titles) == ({"job.failed", "job.cancelled"}, False)
    assert settings.public_url == "https://lab.example/cv"
    for secret in ("hush", SECRET, "T0P", repr(KEY)):
        assert secret not in repr(settings)
    assert set(without_private({**MAIL, **HOOK, **more})) == {*MAIL, *more} - {"CROSSVIEW_SMTP_PASSWORD"}


def test_where_people_sign_in_a_mail_server_needs_no_address_of_the_lab() -> None:
    given = {name: value for name, value in MAIL.items() if name != "CROSSVIEW_SMTP_TO"}
    settings = NotifySettings.from_env(given, people=True)
    assert settings.smtp is not None
    assert settings.smtp.to == ()
    assert channels_of(settings) == []
    with pytest.raises(BadSetting):
        NotifySettings.from_env(given)
    with pytest.raises(BadSetting):
        NotifySettings.from_env({**given, "CROSSVIEW_SMTP_FROM": ""}, people=True)


def test_a_ray_of_ours_learns_none_of_it(tmp_path: Path) -> None:
    given = {**MAIL, **HOOK, "CROSSVIEW_SMTP_PASSWORD": "hush hush", "CROSSVIEW_S3_SECRET_ACCESS_KEY": "needed there"}
    passed = environment(given, token_path=tmp_path / "token", mark="m")
    assert not set(PRIVATE) & set(passed)
    assert "CROSSVIEW_S3_SECRET_ACCESS_KEY" in passed


def test_a_secret_may_be_on_its_way_out_beside_the_new_one() -> None:
    old = "whsec_" + base64.b64encode(KEY[:24]).decode()
    settings = NotifySettings.from_env({**HOOK, "CROSSVIEW_WEBHOOK_SECRETS": f"{SECRET},{old}"})
    assert settings.webhooks[0].secrets == (KEY, KEY[:24])


@pytest.mark.parametrize(
    "given",
    [
        {"CROSSVIEW_SMTP_HOST": "mail.example.org"},
        {"CROSSVIEW_SMTP_TO": "lab@example.org"},
        {**MAIL, "CROSSVIEW_SMTP_TO": "lab"},
        {**MAIL, "CROSSVIEW_SMTP_TO": "a@b.org\r\nBcc: c@d.org"},
        {**MAIL, "CROSSVIEW_SMTP_FROM": "Lab <>"},
        {**MAIL, "CROSSVIEW_SMTP_TO": ", ".join(f"{n}@b.org" for n in range(21))},
        {**MAIL, "CROSSVIEW_SMTP_TLS": "ssl"},
        {**MAIL, "CROSSVIEW_SMTP_PORT": "0"},
        {**MAIL, "CROSSVIEW_SMTP_USER": "u"},
        {**MAIL, "CROSSVIEW_SMTP_TLS": "none", "CROSSVIEW_SMTP_USER": "u", "CROSSVIEW_SMTP_PASSWORD": "hush hush"},
        {"CROSSVIEW_WEBHOOK_URLS": "https://a.org/hush"},
        {**HOOK, "CROSSVIEW_WEBHOOK_URLS": "https://user:hush@a.org/"},
        {**HOOK, "CROSSVIEW_WEBHOOK_URLS": "file:///etc/hush"},
        {**HOOK, "CROSSVIEW_WEBHOOK_URLS": "https://a.org:hush/"},
        {**HOOK, "CROSSVIEW_WEBHOOK_SECRETS": "whsec_hush"},
        {**HOOK, "CROSSVIEW_WEBHOOK_SECRETS": SECRET.removeprefix("whsec_")},
        {"CROSSVIEW_NOTIFY_ON": "job.finished"},
        {"CROSSVIEW_NOTIFY_TITLES": "maybe"},
        {"CROSSVIEW_PUBLIC_URL": "lab.example"},
    ],
)
def test_what_cannot_work_is_refused_by_name_and_without_its_secret(given: dict[str, str]) -> None:
    with pytest.raises(BadSetting) as caught:
        NotifySettings.from_env(given)
    assert caught.value.hint
    assert any(name in str(caught.value) for name in given)
    for secret in ("hush", SECRET):
        assert secret not in f"{caught.value} {caught.value.hint}"


def test_a_password_may_go_in_clear_to_this_machine() -> None:
    alone = {"CROSSVIEW_SMTP_HOST": "127.0.0.1", "CROSSVIEW_SMTP_TLS": "none"}
    settings = NotifySettings.from_env(
        {**MAIL, **alone, "CROSSVIEW_SMTP_USER": "u", "CROSSVIEW_SMTP_PASSWORD": "hush hush"}
    )
    assert settings.smtp is not None
    assert settings.smtp.port == 25
    assert NotifySettings.from_env({"CROSSVIEW_NOTIFY_ON": ",".join(TELLABLE)}).on == TELLABLE
