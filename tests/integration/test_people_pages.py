"""Account, Admin and sharing as Streamlit runs them, for one person after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.components import who
from jobs.accounts.access import asking
from jobs.accounts.principal import Principal, Role
from jobs.accounts.settings import AuthSettings
from jobs.board.views import Act
from jobs.state import JobState
from jobs.views import JobView
from tests.kept import cells, job
from tests.labs import build_catalog
from tests.pages import checked, unrun
from tests.people import PASSWORD, Lab, lab


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("pages")
    with lab(folder / "home", build_catalog(folder / "pretrained")) as made:
        made.person("anna@lab.org", password=PASSWORD)
        made.person("bert@lab.org")
        made.person("boss@lab.org", Role.OPERATOR)
        yield made


@pytest.fixture
def look(here: Lab, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A page as somebody sees it; nobody where no name is given."""

    def shown(name: str, page: str = "", **query: str) -> AppTest:
        role = Role.OPERATOR if name == "boss" else Role.USER
        found = Principal(f"user-{name}", role) if name else None
        monkeypatch.setattr(who, "principal", lambda: found)
        test = unrun()
        test.query_params.update(query)
        test.run()
        return checked(test.switch_page(f"views/{page}.py").run() if page else test)

    return shown


def words(test: AppTest) -> str:
    kinds: tuple[Any, ...] = (test.title, test.markdown, test.caption, test.text, test.code, test.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_a_page_says_so_when_nobody_is_signed_in(look: Any) -> None:
    said = words(look(""))
    assert "Signed out" in said
    assert "Anna" not in said


def test_a_token_is_made_shown_once_and_revoked(here: Lab, look: Any) -> None:
    page = look("anna", "account")
    assert "Anna" in words(page)
    page.text_input[0].set_value("nightly")
    page.button(key="FormSubmitter:token-Make it").click()
    checked(page.run())
    (secret,) = [each.value for each in page.code]
    assert here.script(secret).get("/api/v1/me").json()["id"] == "user-anna"
    checked(page.run())
    assert secret not in words(page)
    (made,) = here.accounts.sessions.tokens("user-anna")
    assert "nightly" in words(page)
    page.button(key=f"revoke-{made.id}").click()
    checked(page.run())
    assert here.accounts.sessions.tokens("user-anna") == []


def test_operators_invite_and_change_users_and_nobody_else_has_the_page(here: Lab, look: Any) -> None:
    page = look("boss", "admin", tab="Users")
    page.text_input[0].set_value("new@lab.org")
    page.button(key="FormSubmitter:invite-Invite").click()
    checked(page.run())
    assert any("/auth/join?link=" in each.value for each in page.code)
    assert [each.email for each in here.accounts.users.invitations()] == ["new@lab.org"]
    page.button(key="state-user-bert").click()
    checked(page.run())
    assert here.accounts.users.get("user-bert").state == "disabled"
    page.button(key="state-user-bert").click()
    checked(page.run())
    assert here.accounts.users.get("user-bert").state == "active"
    hers = look("anna")
    with pytest.raises(ValueError, match=r"admin\.py"):
        hers.switch_page("views/admin.py").run()


def test_an_operator_cancels_a_job_and_its_owner_reads_why_on_its_page(here: Lab, look: Any) -> None:
    with asking(Principal("user-anna")):
        cells(here.service, "ds-9", name="week 9.h5ad")
        job(here.service, "job-9", "ds-9", state=JobState.QUEUED)
    page = look("boss", "admin", tab="Queue")
    assert page.button(key="cancel-go").disabled
    page.selectbox(key="cancel-job-0").set_value("job-9").run()
    page.text_input(key="cancel-reason-0").set_value("the nodes go down at noon")
    page.button(key="cancel-go").click()
    checked(page.run())
    assert "of Anna is cancelled" in words(page)
    assert "week 9" not in words(page)
    hers = words(look("anna", "job", id="job-9"))
    assert "This job was cancelled" in hers
    assert "Cancelled by an operator: the nodes go down at noon" in hers
    assert "Ask Boss, who did so on" in hers


def test_a_jobs_own_page_has_its_star_labels_and_the_way_into_the_bin_and_back(here: Lab, look: Any) -> None:
    with asking(Principal("user-anna")):
        cells(here.service, "ds-8")
        job(here.service, "job-8", "ds-8", state=JobState.CANCELLED)

    def now() -> JobView:
        with asking(Principal("user-anna")):
            return here.service.job("job-8")

    page = look("anna", "job", id="job-8")
    page.button(key="star-job-8").click()
    page.session_state["ask-labels-job-8"] = True
    checked(page.run())
    page.multiselect(key="labels-job-8").set_value(["figure 3"])
    checked(page.run())
    assert (now().starred, now().labels) == (True, ("figure 3",))
    page.button(key="delete-job-8").click()
    checked(page.run())
    assert now().bin_until is not None
    assert "in the bin" in words(page)
    assert "delete-job-8" not in {button.key for button in page.button}
    page.button(key="undo").click()
    checked(page.run())
    assert now().bin_until is None

    with asking(Principal("user-anna")):
        here.service.board.bulk(Act.BIN, ["job-8"])
    later = look("anna", "job", id="job-8")  # where nobody saw it go
    assert "This job is in the bin." in words(later)
    later.button(key="restore-job-8").click()
    checked(later.run())
    assert now().bin_until is None
    assert "in the bin" not in words(later)


def test_where_one_is_told_is_chosen_on_the_account_page(here: Lab, look: Any) -> None:
    page = look("anna", "account")
    assert page.toggle(key="telling-mail").disabled  # no mail server is set here
    assert "sends no e-mail" in words(page)
    page.text_input(key="webhook-url").set_value("https://93.184.216.34/secret")
    page.button(key="FormSubmitter:webhook-Add it").click()
    checked(page.run())
    assert any(each.value.startswith("whsec_") for each in page.code)
    with asking(Principal("user-anna")):
        (hook,) = here.service.personal.view().webhooks
    assert "**93\\.184\\.216\\.34** · webhook" in words(page)
    page.button(key="telling-test").click()
    checked(page.run())
    assert "On its way." in words(page)
    page.button(key="telling-test").click()
    checked(page.run())
    assert "A test was sent less than a minute ago." in words(page)
    assert "On its way." not in words(page)
    assert "This is a test of notifications" in words(look("anna", "inbox"))
    page.button(key=f"remove-{hook.id}").click()
    checked(page.run())
    assert "webhook" not in words(page)


def test_a_job_is_shared_on_its_page_and_seen_by_whom_it_is_shared_with(here: Lab, look: Any) -> None:
    with asking(Principal("user-anna")):
        cells(here.service, "ds-1", name="week 1.h5ad")
        job(here.service, "job-1", "ds-1", state=JobState.CANCELLED)
    strange = words(look("bert", "job", id="job-1"))
    assert "There is no job" in strange
    assert "Mine" not in strange
    page = look("anna", "job", id="job-1")
    page.text_input[0].set_value("bert@lab.org")
    page.button(key="FormSubmitter:share-form-job-1-Let them see it").click()
    checked(page.run())
    assert "unshare-job-1-bert@lab.org" in {each.key for each in page.button}
    seen = look("bert", "job", id="job-1")
    assert "Mine" in words(seen)
    assert "Shared by Anna" in words(seen)
    assert {"star-job-1", "delete-job-1"} <= {each.key for each in page.button}
    assert not {"star-job-1", "delete-job-1"} & {each.key for each in seen.button}


def test_single_user_mode_says_what_it_means(tmp_path: Path) -> None:
    with lab(tmp_path / "home", build_catalog(tmp_path / "pretrained"), auth=AuthSettings()):
        test = unrun().run()
        assert "one user" in words(checked(test.switch_page("views/account.py").run()))
        assert "Admin" in words(checked(test.switch_page("views/admin.py").run()))
