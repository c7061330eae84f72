"""Google Drive share links: the file behind the page, past the question whether an unscanned file is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from storage.errors import AccessRefused, BadUri, DriveQuota, ObjectMissing, WebPage
from storage.web import Answer, Web

HOSTS = frozenset({"drive.google.com", "drive.usercontent.google.com", "docs.google.com"})
DOWNLOAD = "https://drive.usercontent.google.com/download"
PAGE_BYTES = 1 << 20  # of a page that are read  # ours
_ID = re.compile(r"[A-Za-z0-9_-]{10,128}")
_FILE = re.compile(r"/(?:a/[^/]+/)?file/(?:u/\d+/)?d/([^/]+)")
_LOGIN = "accounts.google.com"


@dataclass(frozen=True, slots=True)
class Shared:
    """A file of Google Drive. resource_key: what older shared files need besides."""

    id: str
    resource_key: str = ""

    @property
    def url(self) -> str:
        key = {"resourcekey": self.resource_key} if self.resource_key else {}
        return f"{DOWNLOAD}?{urlencode({'id': self.id, 'export': 'download', **key})}"


def parse_link(url: str) -> Shared | None:
    """The file that a share link names; None for any other address.

    Known are /file/d/ID/view, /open?id=ID, /uc?id=ID and /download?id=ID. Raises BadUri for other pages of Drive.
    """
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").removesuffix(".")
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or host not in HOSTS or "@" in parts.netloc:
        return None
    query = parse_qs(parts.query)
    found = _FILE.match(parts.path)
    id = found[1] if found else query.get("id", [""])[0]
    if not _ID.fullmatch(id):
        raise BadUri(
            "This Google Drive link names no single file.",
            hint="Share the file itself (not its folder, and no Google document) and copy its link: "
            "https://drive.google.com/file/d/…/view.",
        )
    key = query.get("resourcekey", [""])[0]
    return Shared(id, key if _ID.fullmatch(key) else "")


@contextmanager
def opened(shared: Shared, web: Web, headers: Mapping[str, str]) -> Iterator[Answer]:
    """The answer with the file; a page in between that only asks to go on is answered by its own form.

    Raises AccessRefused, DriveQuota, ObjectMissing, WebPage, and what `Web.get` raises.
    """
    with web.get(shared.url, headers) as answer:
        if not _page(answer):
            yield answer
            return
        onward = _onward(answer)
    with web.get(onward, headers) as answer:
        if _page(answer):
            _onward(answer)  # raises what is wrong, where the page says so
            raise _no_file()
        yield answer


def _page(answer: Answer) -> bool:
    return answer.place.host == _LOGIN or (answer.is_page and answer.status in (200, 206, 403, 404, 429))


def _onward(answer: Answer) -> str:
    """Where the page's download form leads. Raises what the page says instead."""
    if answer.place.host == _LOGIN:
        raise _not_shared()
    page = _Page()
    page.feed(answer.read(PAGE_BYTES).decode("utf-8", "replace"))
    said = " ".join(page.text).lower()
    if "quota exceeded" in said or "too many users have viewed or downloaded" in said:
        raise DriveQuota(
            "Google Drive does not give this file at present: it was downloaded too often.",
            hint="Wait up to 24 hours, make a copy in your own Drive and share that, or upload the file here.",
        )
    if answer.status == 404 or "does not exist" in said:
        raise ObjectMissing("Google Drive has no such file.", hint="Check the link; the file may have been deleted.")
    if answer.status == 403 or "you need access" in said or "sign in" in said:
        raise _not_shared()
    for action, fields in page.forms:
        onward = urljoin(answer.place.url, action)
        if fields.get("id") and urlsplit(onward).scheme == "https" and urlsplit(onward).hostname in HOSTS:
            return f"{onward.partition('?')[0]}?{urlencode({**_query(onward), **fields})}"
    raise _no_file()


def _query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _not_shared() -> AccessRefused:
    return AccessRefused(
        "This file of Google Drive is not shared with everyone who has the link.",
        hint="In Drive: Share, General access, Anyone with the link. Or upload the file here.",
    )


def _no_file() -> WebPage:
    return WebPage(
        "Google Drive answers with a page and not with the file.",
        hint="Check that the link opens a file anyone may download, or upload the file here.",
    )


@dataclass
class _Page(HTMLParser):
    """The words of a page and its forms with their hidden fields; nothing of it is run."""

    text: list[str] = field(default_factory=list)
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    _open: bool = False
    _skip: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("script", "style"):
            self._skip = tag
        elif tag == "form" and given.get("method", "get").lower() == "get":
            self.forms.append((given.get("action", ""), {}))
            self._open = True
        elif tag == "input" and self._open and given.get("type") == "hidden" and given.get("name"):
            self.forms[-1][1][given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skip:
            self._skip = ""
        elif tag == "form":
            self._open = False

    def handle_data(self, data: str) -> None:
        if not self._skip and data.strip():
            self.text.append(" ".join(data.split()))
