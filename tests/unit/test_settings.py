"""What an operator may set, and what is refused before anything starts."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from engine.errors import BadSetting
from jobs.queue.rules import Rules
from jobs.settings import GIB, Settings
from storage.guard import WebRules


def test_no_configuration_is_one_machine() -> None:
    settings = Settings.from_env({})
    assert (settings.runner, settings.host, settings.port, settings.api_url) == ("ray", "127.0.0.1", 8501, None)
    assert settings.home.name == "var"
    assert settings.store == str(settings.home / "store")
    assert not settings.store_is_remote


def test_every_setting_can_be_given(tmp_path: Path) -> None:
    settings = Settings.from_env(
        {
            "CROSSVIEW_HOME": str(tmp_path),
            "CROSSVIEW_STORE": "s3://bucket/prefix",
            "CROSSVIEW_RUNNER": "local",
            "CROSSVIEW_RAY_ADDRESS": "http://head:8265",
            "CROSSVIEW_RAY_TOKEN_PATH": str(tmp_path / "token"),
            "CROSSVIEW_API_URL": "http://127.0.0.1:9000",
            "CROSSVIEW_HOST": "localhost",
            "CROSSVIEW_PORT": "9001",
            "CROSSVIEW_ALLOWED_HOSTS": "lab.example:443, other",
            "CROSSVIEW_IMPORT_ROOTS": f"{tmp_path}:{tmp_path / 'more'}",
            "CROSSVIEW_PRETRAINED": str(tmp_path / "models"),
            "CROSSVIEW_S3_ENDPOINT": "http://127.0.0.1:8333",
            "CROSSVIEW_S3_REGION": "eu-west-1",
            "CROSSVIEW_S3_ACCESS_KEY_ID": "key",
            "CROSSVIEW_S3_SECRET_ACCESS_KEY": "hush",
            "CROSSVIEW_MAX_UPLOAD_GB": "1.5",
            "CROSSVIEW_CONCURRENT_JOBS": "4",
            "CROSSVIEW_S3_PROFILES": __file__,
            "CROSSVIEW_S3_DIRECT": "on",
            "CROSSVIEW_FETCH": "http",
            "CROSSVIEW_FETCH_ALLOW": "Files.lab., 10.1.0.0/16",
            "CROSSVIEW_FETCH_PORTS": "443, 8443",
            "CROSSVIEW_QUOTA_GB": "0.5",
            "CROSSVIEW_QUOTA_DATASETS": "20",
            "CROSSVIEW_RETENTION_DAYS": "30",
            "CROSSVIEW_RESULT_DAYS": "90",
            "CROSSVIEW_USER_RUNNING": "2",
            "CROSSVIEW_USER_QUEUED": "0",
            "CROSSVIEW_JOB_HOURS": "1.5",
            "CROSSVIEW_START_MINUTES": "10",
        }
    )
    assert settings.store_is_remote
    assert settings.allowed_hosts == ("lab.example:443", "other")
    assert settings.import_roots == (tmp_path.resolve(), (tmp_path / "more").resolve())
    assert settings.max_upload_bytes == int(1.5 * GIB)
    assert (settings.s3.region, settings.concurrent_jobs, settings.port) == ("eu-west-1", 4, 9001)
    assert (settings.quota_bytes, settings.quota_datasets) == (GIB // 2, 20)
    assert (settings.retention_days, settings.result_days) == (30, 90)
    assert "hush" not in repr(settings)
    assert settings.rules == Rules(places=4, user_running=2, user_queued=0, job_s=5_400, start_s=600)
    assert (settings.s3_profiles, settings.s3_direct) == (Path(__file__), True)
    assert settings.fetch == WebRules(
        plain_http=True,
        hosts=frozenset({"files.lab"}),
        networks=(ip_network("10.1.0.0/16"),),
        ports=frozenset({443, 8443}),
    )


def test_the_web_is_open_over_https_to_what_is_public() -> None:
    assert Settings.from_env({}).fetch == WebRules()
    assert not Settings.from_env({"CROSSVIEW_FETCH": "off"}).fetch.on


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CROSSVIEW_RUNNER", "slurm"),
        ("CROSSVIEW_HOST", "0.0.0.0"),
        ("CROSSVIEW_HOST", "lab.example"),
        ("CROSSVIEW_FETCH", "yes"),
        ("CROSSVIEW_FETCH_ALLOW", "10.0.0.0/99"),
        ("CROSSVIEW_FETCH_ALLOW", "10.0.0.1/8"),
        ("CROSSVIEW_FETCH_ALLOW", "files.lab:8443"),
        ("CROSSVIEW_FETCH_ALLOW", "https://files.lab"),
        ("CROSSVIEW_FETCH_PORTS", "0"),
        ("CROSSVIEW_FETCH_PORTS", "https"),
        ("CROSSVIEW_S3_PROFILES", "/no/such/file.toml"),
        ("CROSSVIEW_S3_DIRECT", "yes"),
        ("CROSSVIEW_USER_QUEUED", "1.5"),
        ("CROSSVIEW_USER_RUNNING", "-1"),
        ("CROSSVIEW_JOB_HOURS", "soon"),
        ("CROSSVIEW_START_MINUTES", "-5"),
        ("CROSSVIEW_PORT", "0"),
        ("CROSSVIEW_PORT", "http"),
        ("CROSSVIEW_MAX_UPLOAD_GB", "-1"),
        ("CROSSVIEW_QUOTA_GB", "0"),
        ("CROSSVIEW_QUOTA_DATASETS", "-1"),
        ("CROSSVIEW_RETENTION_DAYS", "0"),
        ("CROSSVIEW_RESULT_DAYS", "a month"),
        ("CROSSVIEW_MAX_UPLOAD_GB", "much"),
        ("CROSSVIEW_CONCURRENT_JOBS", "0"),
        ("CROSSVIEW_S3_ACCESS_KEY_ID", "alone"),
    ],
)
def test_what_cannot_work_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Settings.from_env({name: value})
    assert caught.value.hint
    assert name in str(caught.value)


def test_ray_elsewhere_needs_a_store_that_it_can_reach() -> None:
    with pytest.raises(BadSetting, match=r"head\.cluster:8265 is another machine") as caught:
        Settings.from_env({"CROSSVIEW_RAY_ADDRESS": "http://head.cluster:8265"})
    assert "CROSSVIEW_STORE" in caught.value.hint
