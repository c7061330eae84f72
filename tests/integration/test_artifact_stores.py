"""One contract, two stores: a local folder and a real S3 bucket."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from jobs import layout
from jobs.client_local import LocalClient
from jobs.keeping.restore import restore
from jobs.results.shelf import Shelf
from jobs.settings import S3Settings
from storage import artifacts_s3
from storage.artifacts import ArtifactStore, LocalStore, check_key, store_from_uri
from storage.artifacts_s3 import S3Store
from storage.errors import (
    AccessRefused,
    ArtifactMissing,
    BadKey,
    BadUri,
    Corrupt,
    CorruptObject,
    ObjectMissing,
    StoreFull,
    Unreachable,
    UnsuitableStore,
)
from storage.s3 import S3Profile
from storage.verified import verify
from tests.kept import cells, opened
from tests.s3server import S3Server, need_weed, s3_server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    need_weed()
    with s3_server(tmp_path_factory.mktemp("s3"), bucket="store") as server:
        yield server


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    return S3Store("store", f"lab/{uuid.uuid4().hex}", profile=request.getfixturevalue("s3").profile)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(os.urandom(200_000))
    return path


class TestEveryStore:
    def test_bytes_come_back(self, store: ArtifactStore):
        store.put_bytes("results/j/1/out/report.json", b"{}")
        assert store.get_bytes("results/j/1/out/report.json") == b"{}"
        assert store.size("results/j/1/out/report.json") == 2
        assert store.exists("results/j/1/out/report.json")

    def test_an_empty_object_is_an_object(self, store: ArtifactStore):
        store.put_bytes("results/j/1/cancel", b"")
        assert store.exists("results/j/1/cancel")
        assert store.get_bytes("results/j/1/cancel") == b""

    def test_putting_again_replaces(self, store: ArtifactStore):
        store.put_bytes("a/b", b"one")
        store.put_bytes("a/b", b"two")
        assert store.get_bytes("a/b") == b"two"

    def test_a_file_comes_back(self, store: ArtifactStore, file: Path):
        store.put_file("bundles/x/weights", file)
        with store.open_local("bundles/x/weights") as path:
            assert path.read_bytes() == file.read_bytes()
        assert store.size("bundles/x/weights") == 200_000

    def test_what_is_not_there_is_said_to_be_missing(self, store: ArtifactStore):
        store.put_bytes("a/b", b"x")
        for key in ("nowhere", "a", "a/b/c"):
            assert not store.exists(key)
            assert not store.delete(key)
            for use in (store.get_bytes, store.size):
                with pytest.raises(ArtifactMissing, match=f"has no {key}"):
                    use(key)
            with pytest.raises(ArtifactMissing), store.open_local(key):
                pass

    def test_once_means_once(self, store: ArtifactStore):
        assert store.put_once("events/000001.json", b"first") is True
        assert store.put_once("events/000001.json", b"second") is False
        assert store.get_bytes("events/000001.json") == b"first"

    def test_of_many_racing_writers_one_wins_and_its_bytes_stay(self, store: ArtifactStore):
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda n: store.put_once("race", str(n).encode()), range(16)))
        assert won.count(True) == 1
        assert store.get_bytes("race") == str(won.index(True)).encode()

    def test_content_is_stored_under_its_digest_once(self, store: ArtifactStore, file: Path):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        key = store.put_content(file)
        assert key == f"content/{digest[:2]}/{digest}"
        assert store.put_content(file, sha256=digest) == key
        assert store.list("content") == [key]
        assert file.exists()

    def test_content_that_may_be_moved_leaves_its_place(self, store: ArtifactStore, file: Path):
        data = file.read_bytes()
        assert store.get_bytes(store.put_content(file, move=True)) == data
        assert not file.exists()
        file.write_bytes(data)
        store.put_content(file, move=True)
        assert not file.exists()

    @pytest.mark.parametrize("move", [True, False])
    def test_content_that_is_not_what_was_announced_is_refused(self, store: ArtifactStore, file: Path, move: bool):
        with pytest.raises(Corrupt, match="as announced"):
            store.put_content(file, sha256="0" * 64, move=move)
        assert store.list() == []
        assert file.exists()

    def test_a_prefix_is_a_folder(self, store: ArtifactStore):
        for key in ("results/7/1/a", "results/7/2/b", "results/77/1/a", "results/7.json"):
            store.put_bytes(key, b"x")
        assert store.list("results/7") == store.list("results/7/") == ["results/7/1/a", "results/7/2/b"]
        assert store.list("results/8") == []
        assert len(store.list()) == 4

    def test_events_are_listed_in_order(self, store: ArtifactStore):
        for number in (10, 2, 1):
            store.put_once(f"r/events/{number:06d}.json", b"{}")
        assert store.list("r/events/") == [f"r/events/{number:06d}.json" for number in (1, 2, 10)]

    def test_deleting_a_folder_spares_its_neighbours(self, store: ArtifactStore):
        for key in ("results/7/1/a", "results/7/2/b", "results/77/1/a"):
            store.put_bytes(key, b"x")
        assert store.delete_prefix("results/7/") == 2
        assert store.delete_prefix("results/7") == 0
        assert store.list() == ["results/77/1/a"]
        assert store.delete("results/77/1/a")
        assert store.list() == []

    @pytest.mark.parametrize(
        "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", ".partial/x", "a\\b", "a b", "a\n", "é"]
    )
    def test_a_key_never_leads_elsewhere(self, store: ArtifactStore, key: str):
        with pytest.raises(BadKey):
            store.put_bytes(key, b"x")
        with pytest.raises(BadKey):
            store.get_bytes(key)
        if key != "a/":
            with pytest.raises(BadKey):
                store.delete_prefix(key)

    def test_its_address_makes_the_same_store(self, store: ArtifactStore, request: pytest.FixtureRequest):
        store.put_bytes("a", b"x")
        profile = store._profile if isinstance(store, S3Store) else None
        assert store_from_uri(store.uri(), profile=profile).get_bytes("a") == b"x"
        assert store.uri("a") == f"{store.uri()}/a"


class TestALocalFolder:
    def test_several_may_delete_one_folder_at_once(self, tmp_path: Path):
        store = LocalStore(tmp_path)
        with ThreadPoolExecutor(4) as pool:
            for _ in range(50):
                store.put_bytes("results/7/a", b"x")
                assert sum(pool.map(store.delete_prefix, ["results/7"] * 4)) == 1

    def test_nothing_half_written_is_left_when_a_write_fails(self, tmp_path: Path):
        store = LocalStore(tmp_path)
        with pytest.raises(FileNotFoundError):
            store.put_file("a", tmp_path / "nowhere")
        assert [path.name for path in tmp_path.rglob("*")] == [".partial"]

    def test_a_full_disk_is_said_and_leaves_nothing(self, tmp_path: Path):
        code = (
            "import resource, sys\nfrom storage.artifacts import LocalStore\nfrom storage.errors import StoreFull\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "try: LocalStore(sys.argv[1]).put_bytes('a/b', bytes(100000))\n"
            "except StoreFull as error: print(error.code)\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
        )
        assert run.stdout.strip() == StoreFull.code, run.stderr
        assert LocalStore(tmp_path).list() == []
        assert list((tmp_path / ".partial").iterdir()) == []

    def test_a_place_that_cannot_hold_files_is_refused(self, tmp_path: Path):
        (tmp_path / "file").write_text("")
        with pytest.raises(UnsuitableStore, match="cannot hold artifacts"):
            LocalStore(tmp_path / "file")

    @pytest.mark.parametrize("uri", ["http://x/y", "ftp://x", "", "file://elsewhere/x", "s3://", "s3://A_B/x"])
    def test_an_address_that_is_no_store_is_refused(self, uri: str):
        with pytest.raises(BadUri):
            store_from_uri(uri)

    def test_a_plain_path_and_a_file_address_are_the_same_folder(self, tmp_path: Path):
        folder = tmp_path / "with space"
        store_from_uri(str(folder)).put_bytes("a", b"x")
        assert store_from_uri(folder.as_uri()).get_bytes("a") == b"x"

    def test_a_long_key_is_refused(self):
        assert check_key("a" * 200)
        with pytest.raises(BadKey):
            check_key("/".join(["a" * 100] * 10))


class TestABucket:
    def test_a_large_file_goes_in_several_parts_and_comes_back_whole(self, s3: S3Server, tmp_path: Path):
        path = tmp_path / "large"
        path.write_bytes(os.urandom(18 << 20))
        store = S3Store("store", "large", profile=s3.profile)
        store.put_file("parts", path)
        assert s3.client.head_object(Bucket="store", Key="large/parts")["ETag"].strip('"').endswith("-3")
        with store.open_local("parts") as copy:
            assert copy.read_bytes() == path.read_bytes()

    def test_a_link_gives_one_object_under_its_name_without_keys(self, s3: S3Server):
        store = S3Store("store", "linked", profile=s3.profile)
        store.put_bytes("results/j/report.json", b"{}")
        store.put_bytes("results/j/other.json", b"no")
        link = store.presigned("results/j/report.json", seconds=60, name="j-ü.json", media_type="application/json")
        assert link is not None
        assert s3.secret_key not in link
        found = httpx.get(link, trust_env=False)
        assert (found.status_code, found.content) == (200, b"{}")
        assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''j-%C3%BC.json"
        for other in (link.replace("report", "other"), link.partition("?")[0]):
            assert httpx.get(other, trust_env=False).status_code == 403

    def test_a_folder_has_no_links(self, tmp_path: Path):
        store = LocalStore(tmp_path)
        store.put_bytes("a/b", b"x")
        assert store.presigned("a/b", seconds=60, name="b", media_type="text/plain") is None

    def test_a_missing_bucket_is_not_a_missing_object(self, s3: S3Server):
        store = S3Store("no-such-bucket", profile=s3.profile)
        for use in (store.exists, store.get_bytes, store.size):
            with pytest.raises(ObjectMissing, match="no bucket 'no-such-bucket'"):
                use("a")

    def test_a_wrong_secret_is_refused(self, s3: S3Server, file: Path):
        store = S3Store("store", profile=s3.profile_with(secret_key="wrong-secret"))
        for use in (lambda: store.put_bytes("a", b"x"), lambda: store.put_file("a", file), lambda: store.exists("a")):
            with pytest.raises(AccessRefused, match="'lab'") as refusal:
                use()
            assert "wrong-secret" not in str(refusal.value)

    def test_a_server_that_is_not_there_is_unreachable(self):
        gone = S3Profile(endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b", connect_timeout_s=1)
        with pytest.raises(Unreachable, match="does not answer"):
            S3Store("store", profile=gone).put_bytes("a", b"x")
        gone.client().close()


class TestWhatIsReadIsWhatWasWritten:
    """The shelf, over either store."""

    def content(self, store: ArtifactStore, data: bytes) -> tuple[str, str]:
        digest = hashlib.sha256(data).hexdigest()
        store.put_bytes(layout.dataset(digest), data)
        return layout.dataset(digest), digest

    def test_a_flipped_byte_is_found_named_and_mended_by_bringing_it_again(self, store: ArtifactStore, tmp_path: Path):
        data = os.urandom(100_000)
        key, _ = self.content(store, data)
        shelf = Shelf(store, tmp_path / "cache")
        assert shelf.path(key).read_bytes() == data
        store.put_bytes(key, data[:50_000] + bytes([data[50_000] ^ 1]) + data[50_001:])
        elsewhere = Shelf(store, tmp_path / "other-cache")
        with pytest.raises(CorruptObject, match=key) as caught:
            elsewhere.path(key)
        assert (caught.value.code, caught.value.hint[:32]) == ("corrupt", "Bring the same cells in again: t")
        assert not (tmp_path / "other-cache" / key).exists()
        self.content(store, data)
        assert elsewhere.path(key).read_bytes() == data

    def test_a_result_is_checked_against_what_was_recorded(self, store: ArtifactStore, tmp_path: Path):
        store.put_bytes("results/j/1/out/report.json", b"{}")
        shelf = Shelf(store, tmp_path / "cache")
        assert shelf.path("results/j/1/out/report.json", sha256=hashlib.sha256(b"{}").hexdigest()).is_file()
        with pytest.raises(CorruptObject, match=r"results/j/1/out/report\.json is damaged"):
            shelf.path("results/j/1/out/report.json", sha256=hashlib.sha256(b"[]").hexdigest())

    def test_a_byte_that_flips_while_nobody_looks_is_found_within_the_hour(self, tmp_path: Path):
        file = tmp_path / "cells"
        file.write_bytes(b"one")
        state, digest = file.stat(), hashlib.sha256(b"one").hexdigest()
        verify(file, digest, what="cells", mend="", clock=0.0)
        with file.open("r+b") as opened:
            opened.write(b"two")
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # as a disk does it: without a word
        verify(file, digest, what="cells", mend="", clock=10.0)
        with pytest.raises(CorruptObject):
            verify(file, digest, what="cells", mend="", clock=3_700.0)

    def test_a_kept_copy_that_is_damaged_or_deleted_is_fetched_again(self, s3: S3Server, tmp_path: Path):
        store = S3Store("store", f"lab/{uuid.uuid4().hex}", profile=s3.profile)
        key, _ = self.content(store, b"the cells")
        shelf = Shelf(store, tmp_path / "cache")
        kept = shelf.path(key)
        kept.write_bytes(b"the bells")
        assert shelf.path(key).read_bytes() == b"the cells"
        shelf.forget(key)
        assert not kept.exists()

    def test_a_backup_of_s3_holds_its_objects_or_names_them(self, s3: S3Server, tmp_path: Path):
        uri = f"s3://store/lab/{uuid.uuid4().hex}"
        profile = s3.profile
        given = S3Settings(s3.endpoint, "us-east-1", s3.access_key, s3.secret_key)
        service = opened(tmp_path / "home", tmp_path / "none", store=uri, s3=given)
        client = LocalClient(service)
        try:
            row = cells(service, "ds-1", b"of the lab")
            key = layout.dataset(str(row.digest))
            whole = client.keeping.backup(tmp_path / "whole.tar")
            named = client.keeping.backup(tmp_path / "named.tar", reference=True)
            assert (whole.objects, named.objects, named.referenced) == (1, 1, True)
            assert restore(tmp_path / "named.tar", tmp_path / "beside", profile=profile).missing == ()
            receipt = client.delete_dataset("ds-1")
            assert (receipt.state, service.store.list()) == ("gone", [])
            assert restore(tmp_path / "named.tar", tmp_path / "late", profile=profile).missing == (key,)
            other = f"s3://store/lab/{uuid.uuid4().hex}"
            assert restore(tmp_path / "whole.tar", tmp_path / "again", store=other, profile=profile).missing == ()
            assert store_from_uri(other, profile=profile).get_bytes(key) == b"of the lab"
            assert restore(tmp_path / "whole.tar", tmp_path / "to-disk").missing == ()
            assert LocalStore(tmp_path / "to-disk" / "store").get_bytes(key) == b"of the lab"
        finally:
            service.close()


def test_an_upload_in_parts_that_nobody_ends_is_swept_once_it_is_old(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = (S3Store("store", f"lab/{uuid.uuid4().hex}", profile=s3.profile) for _ in range(2))
    client = s3.profile.client()

    def begun(of: S3Store) -> str:
        key = f"{of.prefix}/results/part"
        upload = client.create_multipart_upload(Bucket="store", Key=key)["UploadId"]
        client.upload_part(Bucket="store", Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 100)
        return str(upload)

    def there(of: S3Store) -> list[str]:
        found = client.list_multipart_uploads(Bucket="store", Prefix=of.prefix).get("Uploads", [])
        return [upload["UploadId"] for upload in found]

    mine, theirs = begun(store), begun(other)
    assert store.sweep_unfinished() == 0
    assert there(store) == [mine]
    monkeypatch.setattr(artifacts_s3, "UNFINISHED", timedelta(seconds=-60))
    assert store.sweep_unfinished() == 1
    assert (there(store), there(other)) == ([], [theirs])
