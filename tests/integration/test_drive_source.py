"""Google Drive share links, against a server of our own that gives the pages Drive gives."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from storage.drive import Shared, parse_link
from storage.errors import AccessRefused, BadUri, DriveQuota, ObjectMissing, StorageError, WebPage
from storage.sources import Limits, fetch
from tests.webserver import File, Respond, Site, page, redirect, web_to

ID = "1AbCdEfGhIjKlMnOpQrStUvWxYz012345"
LINK = f"https://drive.google.com/file/d/{ID}/view?usp=sharing"
DATA = np.random.default_rng(3).bytes(300_000)
LIMITS = Limits(backoff_s=0.001, retries=3, keep_free=0)

WARNING = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>
<script>document.write('<form action="https://docs.google.com/"><input type=hidden name=id value=x></form>')</script>
</head><body><p class="uc-warning-caption">Google Drive can't scan this file for viruses.</p>
<form id="download-form" action="{action}" method="get">
<input type="submit" id="uc-download-link" value="Download anyway"/><input type="hidden" name="id" value="{id}">
<input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t">
<input type="hidden" name="uuid" value="0e1f&amp;2"></form></body></html>"""
QUOTA = """<html><head><title>Google Drive - Quota exceeded</title></head><body><p>Sorry, you can't view or download
this file at this time.</p><p>Too many users have viewed or downloaded this file recently.</p></body></html>"""
ACCESS = "<html><head><title>Google Drive: Access Denied</title></head><body><h1>You need access</h1></body></html>"
MISSING = "<html><body><p>Sorry, the file you have requested does not exist.</p></body></html>"
ACTION = "https://drive.usercontent.google.com/download"


def get(web_site: Site, into: Path, link: str = LINK) -> str:
    places = {
        "drive.google.com": web_site.place,
        "drive.usercontent.google.com": web_site.place,
        "files.lab": web_site.place,
    }
    return fetch(link, into, profiles={}, web=web_to(places), limits=LIMITS).name


def after_confirmation(file: File, action: str = ACTION) -> Respond:
    """The warning first, the file for who answers its form."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        confirmed = (query.get("confirm"), query.get("uuid"), query["id"]) == (["t"], ["0e1f&2"], [ID])
        (file if confirmed else page(WARNING.format(id=ID, action=action)))(handler)

    return respond


@pytest.mark.parametrize(
    "link",
    [
        LINK,
        f"https://drive.google.com/file/d/{ID}/edit",
        f"https://drive.google.com/a/lab.org/file/d/{ID}/view",
        f"https://drive.google.com/file/u/1/d/{ID}/preview",
        f"https://drive.google.com/open?id={ID}",
        f"https://drive.google.com/uc?export=download&id={ID}",
        f"http://DRIVE.google.com/uc?id={ID}",
        f"https://docs.google.com/uc?id={ID}",
        f"https://drive.usercontent.google.com/download?id={ID}&export=download&confirm=t",
    ],
)
def test_every_form_of_share_link_names_the_file(link: str) -> None:
    assert parse_link(link) == Shared(ID)


def test_the_key_of_older_files_goes_along() -> None:
    shared = parse_link(f"{LINK}&resourcekey=0-AbCdEfGhIjKl")
    assert shared is not None
    assert shared.url.endswith(f"?id={ID}&export=download&resourcekey=0-AbCdEfGhIjKl")


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com/drive/folders/1AbCdEfGhIjKlMnOpQrSt",
        "https://docs.google.com/spreadsheets/d/1AbCdEfGhIjKlMnOpQrSt/edit",
        "https://drive.google.com/file/d/../view",
        "https://drive.google.com/",
    ],
)
def test_a_folder_or_a_document_is_no_file(link: str) -> None:
    with pytest.raises(BadUri, match="names no single file"):
        parse_link(link)


@pytest.mark.parametrize(
    "link",
    ["https://drive.google.com.evil.lab/file/d/1AbCdEfGhIjK/view", f"https://x@drive.google.com/uc?id={ID}", "?"],
)
def test_other_hosts_are_not_drive(link: str) -> None:
    assert parse_link(link) is None


def test_a_small_file_comes_at_once(web_site: Site, into: Path) -> None:
    web_site.pages["/download"] = File(DATA, headers={"Content-Disposition": 'attachment; filename="pbmc.h5ad"'})
    assert get(web_site, into) == "pbmc.h5ad"
    assert into.read_bytes() == DATA
    assert web_site.paths == [f"/download?id={ID}&export=download"]


def test_a_large_file_comes_past_the_virus_warning_and_goes_on_after_a_cut(web_site: Site, into: Path) -> None:
    file = File(DATA, cuts=[100_000], headers={"Content-Disposition": 'attachment; filename="pbmc.h5ad"'})
    web_site.pages["/download"] = after_confirmation(file)
    assert get(web_site, into) == "pbmc.h5ad"
    assert into.read_bytes() == DATA
    assert (len(web_site.asked), file.sent) == (4, len(DATA))


def test_a_form_that_leads_to_another_host_is_not_answered(web_site: Site, into: Path) -> None:
    web_site.pages["/download"] = after_confirmation(File(DATA), action="https://files.lab/download")
    with pytest.raises(WebPage):
        get(web_site, into)
    assert len(web_site.asked) == 1


@pytest.mark.parametrize(
    ("respond", "error", "hint"),
    [
        (page(QUOTA), DriveQuota, "24 hours"),
        (page(QUOTA, 403), DriveQuota, "24 hours"),
        (page(ACCESS), AccessRefused, "Anyone with the link"),
        (page(ACCESS, 403), AccessRefused, "Anyone with the link"),
        (page(MISSING, 404), ObjectMissing, "deleted"),
        (page("<html>something new</html>"), WebPage, "upload"),
        (page(WARNING.format(id=ID, action=ACTION)), WebPage, "upload"),
    ],
    ids=["quota", "quota-403", "not-shared", "not-shared-403", "missing", "unknown", "warned-twice"],
)
def test_what_drive_refuses_is_said_with_its_mend(
    web_site: Site, into: Path, respond: Respond, error: type[StorageError], hint: str
) -> None:
    web_site.pages["/download"] = respond
    with pytest.raises(error) as refusal:
        get(web_site, into)
    assert type(refusal.value) is error
    assert hint in refusal.value.hint
    assert not [path for path in into.parent.rglob("*") if path.is_file()]


def test_a_page_to_log_in_means_that_the_file_is_not_shared(web_site: Site, into: Path) -> None:
    web_site.pages["/download"] = redirect("https://accounts.google.com/ServiceLogin?continue=x")
    web_site.pages["/ServiceLogin"] = page("<html>Sign in</html>")
    places = {"drive.usercontent.google.com": web_site.place, "accounts.google.com": web_site.place}
    with pytest.raises(AccessRefused, match="not shared"):
        fetch(LINK, into, profiles={}, web=web_to(places), limits=LIMITS)
