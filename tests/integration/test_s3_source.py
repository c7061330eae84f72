"""A file named by an S3 address arrives whole, from a real server, or leaves one clear message and no trace."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from storage.errors import (
    AccessRefused,
    BadUri,
    ObjectMissing,
    SourceChanged,
    StorageError,
    StoreFull,
    TooLarge,
    Unreachable,
)
from storage.ranged import open_ranged
from storage.s3 import S3Profile, parse_uri, profile_for
from storage.sources import Limits, fetch
from tests.s3server import S3Server, need_weed, s3_server

DATA = os.urandom(3_500_000)
SMALL = Limits(chunk_bytes=1_000_000, backoff_s=0.01, keep_free=0)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    need_weed()
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.client.put_object(Bucket="cells", Key="runs/a/pbmc.h5ad", Body=DATA)
        server.client.put_object(Bucket="cells", Key="empty", Body=b"")
        yield server


@pytest.fixture
def profiles(s3: S3Server) -> dict[str, S3Profile]:
    return {"lab": s3.profile}


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "here" / "input"


def traces(into: Path) -> list[Path]:
    return list(into.parent.glob("*"))


def test_the_object_arrives_byte_for_byte(profiles: dict[str, S3Profile], into: Path):
    steps: list[tuple[int, int]] = []
    got = fetch(
        "s3://cells/runs/a/pbmc.h5ad", into, profiles=profiles, limits=SMALL, progress=lambda *s: steps.append(s)
    )
    assert into.read_bytes() == DATA
    assert (got.bytes, got.sha256, got.name) == (len(DATA), hashlib.sha256(DATA).hexdigest(), "pbmc.h5ad")
    assert steps == sorted(steps)
    assert steps[-1] == (len(DATA), len(DATA))
    assert traces(into) == [into]


def test_an_empty_object_arrives(profiles: dict[str, S3Profile], into: Path):
    assert fetch("s3://cells/empty", into, profiles=profiles).bytes == 0
    assert into.read_bytes() == b""


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s3://cells/runs/a/pbmc", "There is no object 'runs/a/pbmc' in bucket 'cells'"),
        ("s3://no-such-bucket/x", "There is no bucket 'no-such-bucket'"),
    ],
)
def test_what_does_not_exist_is_named(profiles: dict[str, S3Profile], into: Path, uri: str, says: str):
    with pytest.raises(ObjectMissing, match=says) as refusal:
        fetch(uri, into, profiles=profiles)
    assert refusal.value.code == "source-not-found"
    assert refusal.value.hint
    assert traces(into) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"secret_key": "wrong-secret"}, "SignatureDoesNotMatch"), ({"access_key": "nobody-key"}, "InvalidAccessKeyId")],
)
def test_wrong_credentials_name_the_profile_and_never_the_secret(
    s3: S3Server, into: Path, changes: dict[str, str], reason: str
):
    profile = s3.profile_with(**changes)
    with pytest.raises(AccessRefused, match=f"'lab' .{reason}") as refusal:
        fetch("s3://cells/runs/a/pbmc.h5ad", into, profiles={"lab": profile})
    shown = f"{refusal.value!r} {refusal.value} {profile!r}"
    for secret in (profile.secret_key, profile.access_key):
        assert secret is not None
        assert secret not in shown
    assert traces(into) == []


def test_an_object_replaced_on_the_way_is_refused(s3: S3Server, profiles: dict[str, S3Profile], into: Path):
    s3.client.put_object(Bucket="cells", Key="moving", Body=DATA)

    def replace(done: int, total: int) -> None:
        if done == 1_000_000:
            s3.client.put_object(Bucket="cells", Key="moving", Body=DATA[::-1])

    with pytest.raises(SourceChanged, match="was replaced while it was read"):
        fetch("s3://cells/moving", into, profiles=profiles, limits=SMALL, progress=replace)
    assert traces(into) == []


def test_an_object_over_the_limit_is_refused_before_it_is_read(profiles: dict[str, S3Profile], into: Path):
    with pytest.raises(TooLarge, match=r"3\.3 MiB; at most 1000\.0 KiB"):
        fetch("s3://cells/runs/a/pbmc.h5ad", into, profiles=profiles, limits=Limits(max_bytes=1_024_000))
    with pytest.raises(StoreFull):
        fetch("s3://cells/runs/a/pbmc.h5ad", into, profiles=profiles, limits=Limits(keep_free=1 << 60))
    assert traces(into) == []


def test_a_stop_leaves_no_trace(profiles: dict[str, S3Profile], into: Path):
    def stop(done: int, total: int) -> None:
        raise InterruptedError("cancelled")

    with pytest.raises(InterruptedError):
        fetch("s3://cells/runs/a/pbmc.h5ad", into, profiles=profiles, progress=stop)
    assert traces(into) == []


def test_a_server_that_is_not_there_is_unreachable(into: Path):
    gone = S3Profile(endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b", connect_timeout_s=1)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1 .* does not answer"):
        fetch("s3://cells/x", into, profiles={"default": gone})


def test_a_connection_that_breaks_is_taken_up_where_it_broke(s3: S3Server, into: Path):
    with cutting_proxy(s3.endpoint, after=400_000, cuts=4) as (endpoint, cut):
        profile = s3.profile_with(endpoint_url=endpoint)
        got = fetch("s3://cells/runs/a/pbmc.h5ad", into, profiles={"lab": profile}, limits=SMALL)
        profile.client().close()
    assert len(cut) == 4
    assert got.sha256 == hashlib.sha256(DATA).hexdigest()


def test_a_connection_that_breaks_for_good_is_given_up(s3: S3Server, into: Path):
    limits = Limits(chunk_bytes=1_000_000, backoff_s=0.01, retries=2, keep_free=0)
    with cutting_proxy(s3.endpoint, after=0, cuts=1000) as (endpoint, _):
        profile = s3.profile_with(endpoint_url=endpoint)
        with pytest.raises(Unreachable):
            fetch("s3://cells/runs/a/pbmc.h5ad", into, profiles={"lab": profile}, limits=limits)
        profile.client().close()
    assert traces(into) == []


@pytest.mark.parametrize(
    "uri",
    [
        "", "cells/x", "ftp://cells/x", "s3:/cells/x", "s3://", "s3://cells", "s3://cells/", "s3://cells/folder/",
        "s3://UPPER/x", "s3://127.0.0.1:9000/x", "s3://key:secret@cells/x", "s3://a..b/x", "s3://cells/a\nb",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(uri: str, into: Path):
    with pytest.raises(BadUri) as refusal:
        fetch(uri, into, profiles={"default": S3Profile()})
    assert "key:secret" not in str(refusal.value)


def test_a_key_may_look_like_a_path_and_is_none(s3: S3Server, profiles: dict[str, S3Profile], into: Path):
    s3.client.put_object(Bucket="cells", Key="odd/a b+ü?x=1%20.h5ad", Body=b"odd")
    got = fetch("s3://cells/odd/a b+ü?x=1%20.h5ad", into, profiles=profiles)
    assert (into.read_bytes(), got.name) == (b"odd", "a b+ü?x=1%20.h5ad")
    assert parse_uri("s3://cells/../../etc/passwd").name == "passwd"


def test_a_bucket_is_asked_through_the_profile_that_names_it():
    lab, rest = S3Profile("lab", buckets=("lab-*",)), S3Profile("rest")
    assert profile_for("lab-1", {"rest": rest, "lab": lab}) is lab
    assert profile_for("other", {"lab": lab, "rest": rest}) is rest
    with pytest.raises(AccessRefused, match="No S3 profile is set up for bucket 'other'"):
        profile_for("other", {"lab": lab})


def test_a_profile_without_credentials_says_so(monkeypatch: pytest.MonkeyPatch, into: Path, s3: S3Server):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    bare = S3Profile(name="bare", endpoint_url=s3.endpoint)
    with pytest.raises(AccessRefused, match="'bare' has no credentials"):
        fetch("s3://cells/x", into, profiles={"default": bare})


def test_credentials_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, into: Path, s3: S3Server):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    profile = S3Profile(name="environment", endpoint_url=s3.endpoint)
    assert fetch("s3://cells/runs/a/pbmc.h5ad", into, profiles={"default": profile}).bytes == len(DATA)
    profile.client().close()


def test_a_ranged_file_reads_like_the_file(profiles: dict[str, S3Profile]):
    plain = io.BytesIO(DATA)
    rng = np.random.default_rng(0)
    with open_ranged("s3://cells/runs/a/pbmc.h5ad", profiles=profiles, block_bytes=100_000) as remote:
        assert remote.size == len(DATA)
        for _ in range(30):
            start, count = int(rng.integers(0, len(DATA) + 1000)), int(rng.integers(0, 250_000))
            remote.seek(start)
            plain.seek(start)
            assert remote.read(count) == plain.read(count)
        remote.seek(-5, io.SEEK_END)
        assert remote.read() == DATA[-5:]
        with pytest.raises(ValueError, match="before the file begins"):
            remote.seek(-1)


def test_looking_at_the_header_of_a_remote_file_fetches_little(s3: S3Server, profiles: dict[str, S3Profile]):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["X"] = np.random.default_rng(0).random((1000, 1000))
        file.attrs["encoding-type"] = "anndata"
    s3.client.put_object(Bucket="cells", Key="big.h5ad", Body=buffer.getvalue())
    with open_ranged("s3://cells/big.h5ad", profiles=profiles, block_bytes=65_536) as remote:
        with h5py.File(remote, "r") as file:
            assert file.attrs["encoding-type"] == "anndata"
            assert file["X"].shape == (1000, 1000)
        assert remote.requests < 6


def test_a_zip_can_be_listed_from_afar(s3: S3Server, profiles: dict[str, S3Profile]):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("barcodes.tsv", "AAAC-1\n")
    s3.client.put_object(Bucket="cells", Key="a.zip", Body=buffer.getvalue())
    with open_ranged("s3://cells/a.zip", profiles=profiles) as remote, zipfile.ZipFile(remote) as archive:
        assert archive.namelist() == ["barcodes.tsv"]


def test_a_ranged_file_notices_that_the_object_changed(s3: S3Server, profiles: dict[str, S3Profile]):
    s3.client.put_object(Bucket="cells", Key="moving", Body=DATA)
    with open_ranged("s3://cells/moving", profiles=profiles, block_bytes=100_000) as remote:
        assert remote.read(10) == DATA[:10]
        s3.client.put_object(Bucket="cells", Key="moving", Body=DATA[::-1])
        with pytest.raises(SourceChanged):
            remote.seek(2_000_000) and remote.read(10)
    with pytest.raises(StorageError):
        open_ranged("s3://cells/nothing", profiles=profiles)


@contextmanager
def cutting_proxy(endpoint: str, *, after: int, cuts: int) -> Iterator[tuple[str, list[int]]]:
    """A TCP relay that breaks `cuts` connections once `after` bytes of answers went through each."""
    host, port = endpoint.removeprefix("http://").split(":")
    cut: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        over = threading.Event()

        def relay(client: socket.socket) -> None:
            with client, socket.create_connection((host, int(port))) as server:
                threading.Thread(target=_copy, args=(client, server), daemon=True).start()
                passed = 0
                while block := _receive(server):
                    passed += len(block)
                    if passed > after and len(cut) < cuts:
                        cut.append(passed)
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    try:
                        client.sendall(block)
                    except OSError:
                        return

        def serve() -> None:
            while not over.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=relay, args=(client,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", cut
        finally:
            over.set()
            thread.join()


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(65_536)
    except OSError:
        return b""


def _copy(source: socket.socket, target: socket.socket) -> None:
    while block := _receive(source):
        try:
            target.sendall(block)
        except OSError:
            return
