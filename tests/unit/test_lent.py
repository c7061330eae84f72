"""Files of pages: whose they are, and for how long that is remembered."""

from __future__ import annotations

from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from app.auth.lent import Lent, last


def test_a_file_is_theirs_to_whom_it_was_shown() -> None:
    lent, files = Lent(), MediaFileManager(MemoryMediaFileStorage("/media"))
    page = "session:anna"
    lent.watch(files, lambda: page)
    name = last(files.add(b"cells", "text/csv", "1.2"))
    assert lent.holds(name, "session:anna")
    assert not lent.holds(name, "session:bob")
    assert not lent.holds("another.csv", "session:anna")
    page = "session:bob"
    files.add(b"cells", "text/csv", "1.2")  # the same content has the same name
    assert lent.holders(name) == {"session:anna", "session:bob"}


def test_a_file_made_at_a_click_is_theirs_whose_page_promised_it() -> None:
    lent, files = Lent(), MediaFileManager(MemoryMediaFileStorage("/media"))
    page = "session:anna"
    lent.watch(files, lambda: page)
    promise = files.add_deferred(lambda: b"cells", "text/csv", "1.2")
    page = ""  # a click is answered in no page's thread
    assert lent.holders(last(files.execute_deferred(promise))) == {"session:anna"}


def test_the_oldest_are_forgotten_first() -> None:
    lent = Lent(most=2)
    for name in ("a", "b", "a", "c"):
        lent.give(name, "session:anna")
    assert [lent.holds(name, "session:anna") for name in "abc"] == [True, False, True]
