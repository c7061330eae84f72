"""Cells on their way in, through the service: good ones arrive, bad ones give one message and leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.api import create_app
from engine.errors import CrossViewError
from engine.types import Direction, Modality
from jobs.bootstrap import opened
from jobs.client import Client
from jobs.failures import failure_of
from jobs.settings import S3Settings, Settings
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import Failure
from storage.artifacts_s3 import S3Store
from storage.guard import WebRules
from tests.builders import paired
from tests.hostile import HOSTILE
from tests.labs import MODEL, ended, imported, lab_settings, served, until
from tests.multiome import write_h5mu
from tests.s3server import S3Server, need_weed, s3_server
from tests.tenx import write_tenx
from tests.webserver import File, page, site

BAD = ("external_link_as_x", "decompression_bomb")  # all are walked in test_intake_hostile


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory, catalog: Path) -> Iterator[S3Server]:
    need_weed()
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        for name in ("rna", "atac"):
            path = catalog / MODEL / "example" / f"{name}.h5ad"
            server.client.upload_file(str(path), "cells", f"run 1/{name}.h5ad")
        yield server


def with_s3(settings: Settings, s3: S3Server, **changes: str) -> Settings:
    given = S3Settings(endpoint=s3.endpoint, access_key_id=s3.access_key, secret_access_key=s3.secret_key)
    return replace(settings, s3=replace(given, **changes))


def traces(home: Path) -> list[Path]:
    """Files that an import could leave: in the store, the upload area, the scratch folder."""
    return [path for name in ("store", "uploads", "scratch") for path in (home / name).rglob("*") if path.is_file()]


def upload(client: Client, path: Path) -> str:
    id = client.create_upload(name=path.name, size=path.stat().st_size).id
    client.append_upload(id, offset=0, chunks=[path.read_bytes()])
    client.finish_upload(id)
    return f"upload:{id}"


def test_bad_files_give_one_message_and_leave_no_trace(tmp_path: Path, catalog: Path) -> None:
    home = tmp_path / "home"
    with opened(lab_settings(home, catalog)) as client:
        for name in BAD:
            writer, code = HOSTILE[name]
            path = tmp_path / f"{name}.h5ad"
            writer(path)
            dataset = imported(client, upload(client, path))
            assert dataset.state == "failed", name
            assert dataset.failure is not None
            assert (dataset.failure.code, bool(dataset.failure.hint)) == (code, True)
            assert traces(home) == []
            client.delete_dataset(dataset.id)
        assert client.datasets() == []


def test_cells_come_from_s3(tmp_path: Path, catalog: Path, s3: S3Server) -> None:
    with opened(with_s3(lab_settings(tmp_path, catalog), s3)) as client:
        dataset = imported(client, "s3://cells/run 1/rna.h5ad")
        assert (dataset.state, dataset.name, dataset.cells) == ("ready", "rna.h5ad", 24)
        seen = client.glance("s3://cells/run 1/rna.h5ad", model=MODEL)
        assert (seen.summary["cells"], seen.name) == (24, "rna.h5ad")
        assert seen.preflight is not None
        assert seen.preflight.verdict != "refused"
    # It is ready before its scratch folder is gone; once closed, nothing but the copy is there.
    assert [path.suffix for path in traces(tmp_path)] == [".h5ad"]


def test_what_s3_refuses_is_said_and_leaves_no_trace(tmp_path: Path, catalog: Path, s3: S3Server) -> None:
    settings = lab_settings(tmp_path, catalog)
    for changes, source, code in (
        ({}, "s3://cells/run 1/none.h5ad", "source-not-found"),
        ({}, "s3://no-such-bucket/rna.h5ad", "source-not-found"),
        ({"secret_access_key": "wrong-secret-of-nobody"}, "s3://cells/run 1/rna.h5ad", "source-access-refused"),
    ):
        with opened(with_s3(settings, s3, **changes)) as client:
            dataset = imported(client, source)
            assert dataset.failure is not None
            assert dataset.failure.code == code
            assert "wrong-secret-of-nobody" not in dataset.model_dump_json()
            assert traces(tmp_path) == []


def test_an_import_that_a_killed_process_left_is_taken_up_again(tmp_path: Path, catalog: Path) -> None:
    from storage.database import Database
    from storage.tables import datasets as table
    from storage.tables.datasets import DatasetRow

    settings = lab_settings(tmp_path, catalog)
    row = DatasetRow(id="ds-left", name="left", state="importing", stage="copying", origin=f"example:{MODEL}/rna")
    with Database.open(settings.database) as database:
        database.write_now(lambda conn: table.insert(conn, row))
    (settings.scratch / "ds-left").mkdir(parents=True)
    (settings.scratch / "ds-left" / "clean.h5ad.partial").write_bytes(b"half")
    with opened(settings) as client:
        dataset = until(lambda: client.dataset("ds-left"), lambda view: view.state != "importing")
        assert (dataset.state, dataset.cells) == ("ready", 24)
    assert not [path for path in settings.scratch.rglob("*") if path.is_file()]


def test_a_pair_that_a_killed_process_left_halfway_is_taken_up_again(tmp_path: Path, catalog: Path) -> None:
    """RNA was there already; ATAC is read from the same upload, which then goes."""
    from storage.database import Database
    from storage.tables import datasets as table
    from storage.tables.datasets import DatasetRow

    settings = lab_settings(tmp_path, catalog)
    write_h5mu(paired(cells=30, genes=60, peaks=90, rng=np.random.default_rng(3)), tmp_path / "both.h5mu")
    with opened(settings) as client:
        source = upload(client, tmp_path / "both.h5mu")
    rows = [
        DatasetRow(id=f"ds-{m.value}", name=m.value, state="importing", modality=m.value, origin=source)
        for m in Modality
    ]
    with Database.open(settings.database) as database:
        database.write_now(lambda conn: [table.insert(conn, row) for row in rows])
    with opened(settings) as client:
        for row, features in zip(rows, (60, 90), strict=True):
            found = until(lambda id=row.id: client.dataset(id), lambda view: view.state != "importing")  # type: ignore[misc]
            assert (found.state, found.features) == ("ready", features), found.failure
        until(lambda: list((tmp_path / "uploads").rglob("data*")), lambda left: not left)
    assert not [path for path in settings.scratch.rglob("*") if path.is_file()]


def test_a_pair_on_s3_is_fetched_once(tmp_path: Path, catalog: Path, s3: S3Server) -> None:
    write_tenx(paired(cells=30, genes=60, peaks=90, rng=np.random.default_rng(3)), tmp_path / "multiome.h5")
    s3.client.upload_file(str(tmp_path / "multiome.h5"), "cells", "run 1/multiome.h5")
    with opened(with_s3(lab_settings(tmp_path / "home", catalog), s3)) as client:
        halves = client.import_pair("s3://cells/run 1/multiome.h5")
        for data, features in zip(halves, (60, 90), strict=True):
            found = until(lambda id=data.id: client.dataset(id), lambda view: view.state != "importing")  # type: ignore[misc]
            assert (found.state, found.features) == ("ready", features), found.failure


def refusal_of(client: Client, source: str) -> Failure:
    """Why it was not brought in, whether said at once or after it was tried."""
    try:
        found = imported(client, source).failure
    except CrossViewError as error:
        found = failure_of(error)
    assert found is not None
    return found


def test_cells_come_from_the_web(tmp_path: Path, catalog: Path) -> None:
    rna = (catalog / MODEL / "example" / "rna.h5ad").read_bytes()
    with site() as server:
        server.pages["/get"] = File(rna, headers={"Content-Disposition": 'attachment; filename="pbmc.h5ad"'})
        server.pages["/page"] = page("<html>a landing page</html>")
        base = f"http://127.0.0.1:{server.port}"
        settings = lab_settings(tmp_path, catalog)
        with opened(settings) as client:
            for source, code in (
                (f"{base}/get", "source-not-allowed"),
                ("https://127.0.0.1/get", "source-not-allowed"),
                ("https://u:p@files.lab/get", "bad-uri"),
                ("ftp://files.lab/get", "bad-source"),
            ):
                assert refusal_of(client, source).code == code
        assert server.asked == []
        rules = WebRules(plain_http=True, networks=(ip_network("127.0.0.1"),), ports=frozenset({server.port}))
        with opened(replace(settings, fetch=rules)) as client:
            dataset = imported(client, f"{base}/get?sig=hush")
            assert (dataset.state, dataset.name, dataset.cells) == ("ready", "pbmc.h5ad", 24), dataset.failure
            assert dataset.origin == f"{base}/get?…"
            mine = client.import_dataset(f"{base}/get", name="get mine").id
            assert until(lambda: client.dataset(mine), lambda view: view.state != "importing").name == "get mine"
            refused = refusal_of(client, f"{base}/page?sig=hush")
            assert refused.code == "source-is-a-page"
            assert "hush" not in refused.model_dump_json()
            assert "hush" not in "".join(each.model_dump_json() for each in client.datasets())


def test_a_bucket_is_read_through_the_profile_that_serves_it(tmp_path: Path, catalog: Path, s3: S3Server) -> None:
    profiles = tmp_path / "profiles.toml"
    keys = f'access_key_id = "{s3.access_key}"\nsecret_access_key = "{s3.secret_key}"\n'
    profiles.write_text(f'[lab]\nendpoint = "{s3.endpoint}"\n{keys}buckets = ["cel*"]\n')
    settings = replace(lab_settings(tmp_path / "home", catalog), s3_profiles=profiles, store="s3://cells/by-profile")
    with opened(settings) as client:  # the default profile has no keys and no such service
        assert imported(client, "s3://cells/run 1/rna.h5ad").state == "ready"


@pytest.mark.slow
def test_a_whole_job_lives_on_s3(tmp_path: Path, catalog: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # The attempt is a process of its own, with the operator's profile from its environment.
    monkeypatch.setenv("CROSSVIEW_S3_ENDPOINT", s3.endpoint)
    monkeypatch.setenv("CROSSVIEW_S3_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("CROSSVIEW_S3_SECRET_ACCESS_KEY", s3.secret_key)
    settings = replace(with_s3(lab_settings(tmp_path, catalog), s3), store="s3://cells/artifacts", s3_direct=True)
    with opened(settings) as client, served(create_app(client)) as address:
        ids = [imported(client, f"s3://cells/run 1/{name}.h5ad").id for name in ("rna", "atac")]
        direction = Direction.RNA_TO_ATAC
        spec = TranslateSpec(model=MODEL, rna=ids[0], atac=ids[1], directions=(direction,), umap=False)
        job = ended(client, client.submit(spec))
        assert job.state is JobState.SUCCEEDED, job.failure
        assert client.report(job.id)["job"] == job.id
        values = client.values(job.id, direction, features=["chr1:1000-1400"])
        assert values.truth is not None
        report = f"{address}/api/v1/jobs/{job.id}/artifacts/report.json"
        assert httpx.get(report).status_code == 303
        assert httpx.get(report, follow_redirects=True).json() == httpx.get(f"{report}?direct=false").json()
        client.delete_job(job.id)
        for id in ids:
            client.delete_dataset(id)
    left = S3Store("cells", "artifacts", profile=s3.profile).list()
    assert [key for key in left if not key.startswith("bundles/")] == []
