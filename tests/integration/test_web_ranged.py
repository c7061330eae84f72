"""A file on the web read by ranges: like the file, of one version, and under the rules of a download."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest

from storage.errors import FetchRefused, NoRanges, ObjectMissing, SourceChanged, Unreachable
from storage.ranged import RangedFile, open_ranged
from tests.webserver import File, Site, redirect, site, web_to

DATA = np.random.default_rng(5).bytes(500_000)
URL = "http://files.lab/cells.h5ad"


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    with site() as here:
        yield here


@pytest.fixture
def lab(server: Site) -> Site:
    server.pages.clear()
    server.asked.clear()
    return server


def opened(lab: Site, url: str = URL) -> RangedFile:
    return open_ranged(url, profiles={}, web=web_to({"files.lab": lab.place}), block_bytes=50_000)


def test_it_reads_like_the_file_and_fetches_what_is_looked_at(lab: Site) -> None:
    lab.pages["/cells.h5ad"] = File(DATA)
    plain, rng = io.BytesIO(DATA), np.random.default_rng(0)
    with opened(lab) as remote:
        assert (remote.size, remote.etag) == (len(DATA), "v1")
        remote.seek(-10, io.SEEK_END)
        assert remote.read() == DATA[-10:]
        assert (remote.requests, remote.fetched) == (1, 50_000)
        for _ in range(20):
            start, count = int(rng.integers(0, len(DATA))), int(rng.integers(0, 120_000))
            remote.seek(start)
            plain.seek(start)
            assert remote.read(count) == plain.read(count)


def test_a_cut_is_taken_up_and_a_redirect_is_followed_once(lab: Site) -> None:
    lab.pages["/cells.h5ad"] = redirect("/moved?sig=1")
    lab.pages["/moved"] = File(DATA, cuts=[1, 20_000])
    with opened(lab) as remote:
        remote.seek(100_000)
        assert remote.read(100_000) == DATA[100_000:200_000]
    assert [path for path in lab.paths if path == "/cells.h5ad"] == ["/cells.h5ad"]


def test_a_link_that_ran_out_is_asked_for_again(lab: Site) -> None:
    lab.pages["/cells.h5ad"] = redirect("/first")
    lab.pages["/first"] = lab.pages["/second"] = File(DATA)
    with opened(lab) as remote:
        assert remote.read(10) == DATA[:10]
        lab.pages["/cells.h5ad"] = redirect("/second")
        del lab.pages["/first"]
        remote.seek(200_000)
        assert remote.read(10) == DATA[200_000:200_010]


def test_a_file_that_is_replaced_is_noticed(lab: Site) -> None:
    lab.pages["/cells.h5ad"] = File(DATA)
    with opened(lab) as remote:
        assert remote.read(10) == DATA[:10]
        lab.pages["/cells.h5ad"] = File(DATA[::-1], etag='"v2"')
        remote.seek(300_000)
        with pytest.raises(SourceChanged):
            remote.read(10)


@pytest.mark.parametrize("file", [File(DATA, ranges=False), File(DATA, etag="")])
def test_a_server_without_parts_or_versions_is_said(lab: Site, file: File) -> None:
    lab.pages["/cells.h5ad"] = file
    with pytest.raises(NoRanges):
        opened(lab)


def test_the_rules_of_a_download_hold(lab: Site) -> None:
    lab.pages["/cells.h5ad"] = redirect("http://169.254.169.254/")
    with pytest.raises(FetchRefused):
        opened(lab)
    with pytest.raises(ObjectMissing):
        opened(lab, "http://files.lab/none")
    with pytest.raises(Unreachable):
        opened(lab, "http://nowhere.lab/")
    with pytest.raises(FetchRefused):
        open_ranged("https://files.lab/x", profiles={})
