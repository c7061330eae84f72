"""The operator's S3 profiles: read from a file, each serving its own buckets."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadSetting
from jobs.fetching import file_name, read_profiles, s3_profiles, store_profile, without_query
from jobs.settings import Settings
from storage.s3 import profile_for

GOOD = """
[lab]
endpoint = "https://s3.lab.example"
region = "eu-west-1"
access_key_id = "key"
secret_access_key = "hush"
buckets = ["lab-*", "atlas"]

[open]
anonymous = true
buckets = ["public"]
"""


def settings_with(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "profiles.toml"
    path.write_text(text)
    return Settings.from_env({"CROSSVIEW_S3_PROFILES": str(path), **environ})


def test_each_bucket_is_served_by_its_profile_and_the_rest_by_the_default(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, GOOD, CROSSVIEW_STORE="s3://lab-results/here")
    profiles = s3_profiles(settings)
    assert [profile_for(bucket, profiles).name for bucket in ("lab-1", "atlas", "public", "other")] == [
        "lab", "lab", "open", "default",
    ]  # fmt: skip
    assert (profiles["lab"].endpoint_url, profiles["lab"].secret_key) == ("https://s3.lab.example", "hush")
    assert profiles["open"].anonymous
    assert "hush" not in repr(profiles)
    assert store_profile(settings) == profiles["lab"]
    assert store_profile(Settings.from_env({})) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lab = 1", "no table"),
        ("[default]\nbuckets = ['x']", "default is set by CROSSVIEW_S3_ENDPOINT"),
        ("[lab]\n", "which buckets"),
        ("[lab]\nbuckets = [1]", "which buckets"),
        ("[lab]\nbuckets = 'x'", "other than a list"),
        ("[lab]\nbuckets = ['x']\nsecret = 'hush'", "unknown entry 'secret'"),
        ("[lab]\nbuckets = ['x']\nendpoint = 's3.lab'", "no https://"),
        ("[lab]\nbuckets = ['x']\naccess_key_id = 'a'", "only one of"),
        ("[lab]\nbuckets = ['x']\nanonymous = true\naccess_key_id = 'a'\nsecret_access_key = 'hush'", "anonymous"),
        ("[a]\nbuckets = ['x']\n[b]\nbuckets = ['x']", "both serve 'x'"),
        ("[lab", "cannot be read"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(text)
    with pytest.raises(BadSetting, match=problem) as refusal:
        read_profiles(path)
    assert "hush" not in str(refusal.value)


def test_the_query_of_an_address_is_not_kept() -> None:
    assert without_query("https://files.lab/x.h5ad?X-Amz-Signature=1") == "https://files.lab/x.h5ad?…"
    for kept in (
        "https://files.lab/x",
        "s3://bucket/a?b",
        "upload:1",
        "https://drive.google.com/open?id=1AbCdEfGhIjKl",
    ):
        assert without_query(kept) == kept


def test_a_file_is_called_by_its_path_alone() -> None:
    for source, name in (
        ("https://files.lab/a/my%20cells.h5ad?sig=hush", "my cells.h5ad"),
        ("https://drive.google.com/file/d/1AbCdEfGhIjKl/view?usp=sharing", "Google Drive file"),
        ("s3://bucket/a/cells.h5ad", "cells.h5ad"),
        ("example:tiny/rna", "rna"),
        ("cells.h5ad", "cells.h5ad"),
    ):
        assert file_name(source) == name
