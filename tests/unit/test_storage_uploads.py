"""An upload arrives whole or says what is missing, whatever happens to the connection."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import (
    Corrupt,
    OffsetMismatch,
    StoreFull,
    TooLarge,
    UploadBusy,
    UploadIncomplete,
    UploadMissing,
)
from storage.uploads import UploadArea

DATA = bytes(range(256)) * 40
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def area(tmp_path: Path) -> UploadArea:
    return UploadArea(tmp_path / "uploads", max_bytes=1 << 20, keep_free=0)


def left_over(area: UploadArea) -> list[str]:
    return sorted(path.name for path in area.root.iterdir())


def breaks_off(data: bytes) -> Iterator[bytes]:
    yield data
    raise ConnectionResetError("the browser went away")


def test_slices_become_the_file(area: UploadArea):
    id = area.create("pbmc.h5ad", len(DATA))
    assert area.append(id, 0, [DATA[:3000], DATA[3000:5000]]) == 5000
    assert area.append(id, 5000, [DATA[5000:]]) == len(DATA)
    done = area.finish(id, DIGEST)
    assert (done.path.read_bytes(), done.sha256, done.bytes, done.name) == (DATA, DIGEST, len(DATA), "pbmc.h5ad")
    assert area.finish(id, DIGEST.upper()) == done


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_the_cuts_between_slices_do_not_matter(area: UploadArea, slices: list[bytes]):
    id, offset = area.create("x"), 0
    for part in slices:
        offset = area.append(id, offset, [part], sha256=hashlib.sha256(part).hexdigest())
    whole = b"".join(slices)
    assert area.finish(id).sha256 == hashlib.sha256(whole).hexdigest()
    assert area.finish(id).path.read_bytes() == whole


def test_a_wrong_offset_is_told_the_right_one(area: UploadArea):
    id = area.create("x")
    area.append(id, 0, [b"12345"])
    with pytest.raises(OffsetMismatch, match="Send on from byte 5") as refusal:
        area.append(id, 3, [b"45678"])
    assert refusal.value.expected == 5
    assert area.get(id).received == 5


def test_a_connection_that_breaks_keeps_what_came(area: UploadArea):
    id = area.create("x", len(DATA))
    with pytest.raises(ConnectionResetError):
        area.append(id, 0, breaks_off(DATA[:700]))
    assert area.get(id).received == 700
    area.append(id, 700, [DATA[700:]])
    assert area.finish(id).sha256 == DIGEST


def test_a_slice_with_a_checksum_is_kept_whole_or_not_at_all(area: UploadArea):
    id = area.create("x")
    area.append(id, 0, [b"good"])
    with pytest.raises(Corrupt, match="Bytes 4 to 7"):
        area.append(id, 4, [b"bad"], sha256=DIGEST)
    with pytest.raises(ConnectionResetError):
        area.append(id, 4, breaks_off(b"half"), sha256=DIGEST)
    assert area.get(id).received == 4
    area.append(id, 4, [DATA], sha256=DIGEST)
    assert area.finish(id).sha256 == hashlib.sha256(b"good" + DATA).hexdigest()


def test_another_process_can_go_on(area: UploadArea):
    id = area.create("x", len(DATA))
    area.append(id, 0, [DATA[:1234]])
    restarted = UploadArea(area.root, keep_free=0)
    restarted.append(id, 1234, [DATA[1234:]])
    assert restarted.finish(id, DIGEST).sha256 == DIGEST


def test_a_finish_that_was_cut_short_can_be_done_again(area: UploadArea):
    id = area.create("x", len(DATA))
    area.append(id, 0, [DATA])
    folder = area.root / id
    (folder / "data.partial").rename(folder / "data")  # renamed, and then the process ended
    assert UploadArea(area.root, keep_free=0).finish(id, DIGEST).path.read_bytes() == DATA


def test_an_altered_upload_is_refused_and_leaves_no_trace(area: UploadArea):
    id = area.create("x")
    area.append(id, 0, [DATA[:-1], b"!"])
    with pytest.raises(Corrupt, match="altered on the way"):
        area.finish(id, DIGEST)
    assert left_over(area) == []


def test_an_unfinished_upload_says_where_to_go_on(area: UploadArea):
    id = area.create("x", 10)
    area.append(id, 0, [b"1234"])
    with pytest.raises(UploadIncomplete, match="4 of 10 bytes"):
        area.finish(id)


def test_a_file_over_the_limit_is_refused_before_it_is_sent(area: UploadArea):
    with pytest.raises(TooLarge):
        area.create("x", (1 << 20) + 1)
    assert left_over(area) == []


def test_a_sender_that_lies_about_the_size_is_stopped(area: UploadArea):
    id = area.create("x", 5)
    with pytest.raises(TooLarge, match="5 announced"):
        area.append(id, 0, [b"123", b"456"])
    unannounced = area.create("y")
    with pytest.raises(TooLarge, match=r"1\.0 MiB"):
        area.append(unannounced, 0, [bytes(1 << 19), bytes(1 << 19), b"!"])
    assert area.get(unannounced).received == 1 << 20


def test_an_upload_that_would_fill_the_disk_is_refused(tmp_path: Path):
    with pytest.raises(StoreFull, match="Free space"):
        UploadArea(tmp_path, max_bytes=1 << 60).create("x", 1 << 59)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\evil.h5ad", "a\x00b\n\u202ec", "", "x" * 500])
def test_a_name_is_shown_and_never_a_path(area: UploadArea, name: str):
    id = area.create(name)
    assert left_over(area) == [id]
    shown = area.get(id).name
    assert shown
    assert len(shown) <= 200
    assert not set(shown) & set("/\\\x00\n\u202e")


@pytest.mark.parametrize("id", ["..", "", "../x", "0" * 32, "0" * 31 + "/", "G" * 32])
def test_an_id_that_is_not_ours_is_no_upload(area: UploadArea, id: str):
    (area.root.parent / "x").mkdir()
    with pytest.raises(UploadMissing):
        area.get(id)
    with pytest.raises(UploadMissing):
        area.append(id, 0, [b"x"])
    assert area.discard(id) is False


def test_two_requests_cannot_write_one_upload_at_once(area: UploadArea):
    id = area.create("x")

    def chunks() -> Iterator[bytes]:
        yield b"first"
        with pytest.raises(UploadBusy):
            area.append(id, 0, [b"second"])
        with pytest.raises(UploadBusy):
            area.discard(id)

    assert area.append(id, 0, chunks()) == 5


def test_a_finished_upload_answers_while_another_request_holds_it(area: UploadArea):
    id = area.create("x")
    area.append(id, 0, [b"all"])
    first = area.finish(id)
    with area._alone(id):
        assert area.finish(id) == first


def test_a_finished_upload_takes_no_more(area: UploadArea):
    id = area.create("x")
    area.append(id, 0, [b"all"])
    area.finish(id)
    with pytest.raises(UploadMissing, match="finished already"):
        area.append(id, 3, [b"more"])
    assert area.get(id).finished


def test_the_old_are_swept_and_the_young_are_not(area: UploadArea):
    old, young = area.create("old"), area.create("young")
    area.append(young, 0, [b"x"])
    os.utime(area.root / old / "data.partial", (0, 0))
    assert area.sweep(timedelta(hours=1), now=datetime.now(UTC)) == (old,)
    assert [upload.id for upload in area.list()] == [young]
    assert area.discard(young)
    assert left_over(area) == []
