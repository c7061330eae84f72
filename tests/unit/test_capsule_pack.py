"""A capsule's zip: the same bytes for the same content, and no trust in one that somebody else made."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.capsule import pack
from jobs.capsule.compare import compare_files, compare_reports
from jobs.capsule.fingerprint import distance, fingerprints
from jobs.capsule.model import BadCapsule, Capsule, File
from jobs.capsule.pack import packed, unpacked

DIGEST = "ab" * 32
CAPSULE = Capsule(
    how="job", kind="translate", job="job-1", code_version="1", spec={"seed": 0},
    inputs={"rna": {"digest": DIGEST, "name": "a.h5ad"}}, model={"id": "m", "digest": DIGEST},
)  # fmt: skip
REPORT = {"directions": {"rna-to-atac": {"scores": {"peak_auroc": {"value": 0.61}}, "n": 10}}}


def write(path: Path, members: dict[str, bytes], **how: Any) -> Path:
    with zipfile.ZipFile(path, "w", **how) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed(CAPSULE, REPORT, "# It\n"))) as file:
        return {name: file.read(name) for name in file.namelist()}


def refused(path: Path, match: str) -> None:
    with pytest.raises(BadCapsule, match=match) as seen:
        unpacked(path)
    assert seen.value.code == "bad-capsule"
    assert seen.value.hint


def test_packing_twice_gives_the_same_bytes_and_they_read_back(tmp_path: Path) -> None:
    first = packed(CAPSULE, REPORT, "# It\n")
    assert packed(CAPSULE, REPORT, "# It\n") == first
    path = tmp_path / "it.zip"
    path.write_bytes(first)
    found, report = unpacked(path)
    assert (found.inputs, report) == (CAPSULE.inputs, REPORT)


def test_a_changed_member_is_named(tmp_path: Path) -> None:
    for name in ("report.json", "capsule.json", "README.md"):
        changed = {**members(), name: members()[name] + b" "}
        refused(write(tmp_path / "it.zip", changed), f"{name} in it.zip was changed")


def test_a_member_that_is_gone_is_named(tmp_path: Path) -> None:
    some = members()
    del some["report.json"]
    refused(write(tmp_path / "it.zip", some), "report.json in it.zip was changed")
    refused(write(tmp_path / "it.zip", {"SHA256SUMS": b""}), "no capsule.json")


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "C:\\evil", "a/../capsule.json", "extra.txt"])
def test_nothing_else_may_be_in_it(tmp_path: Path, name: str) -> None:
    refused(write(tmp_path / "it.zip", {**members(), name: b"x"}), "which no capsule does")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "MOST_BYTES", 2**20)
    bomb = {**members(), "report.json": bytes(2**24)}
    refused(write(tmp_path / "it.zip", bomb, compression=zipfile.ZIP_DEFLATED), "unpacks to more than 1,048,576 bytes")


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "it.zip", members())
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("README.md", b"another")
    refused(path, "a name twice")


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"PK\x03\x04" + bytes(200)])
def test_what_is_no_zip_is_said(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "it.zip"
    path.write_bytes(data)
    refused(path, "cannot be read as a zip")


def summed(capsule: bytes) -> dict[str, bytes]:
    """Members around another capsule.json, whose sums are right."""
    import hashlib

    return {"capsule.json": capsule, "SHA256SUMS": f"{hashlib.sha256(capsule).hexdigest()}  capsule.json\n".encode()}


@pytest.mark.parametrize(
    ("document", "match"),
    [
        (b"{", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[]", "not as this version writes it"),
        (b'{"format": 2}', "not as this version writes it: format"),
        (json.dumps({**CAPSULE.model_dump(mode="json"), "job": "../../evil"}).encode(), "job"),
        (json.dumps({**CAPSULE.model_dump(mode="json"), "unknown": 1}).encode(), "unknown"),
    ],
)
def test_a_document_that_is_none_of_ours_is_said(tmp_path: Path, document: bytes, match: str) -> None:
    refused(write(tmp_path / "it.zip", summed(document)), match)


def test_a_capsule_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    whole, path = packed(CAPSULE, REPORT, "# It\n"), tmp_path / "it.zip"
    for stop in range(0, len(whole), 97):
        path.write_bytes(whole[:stop])
        refused(path, "zip")


# -- comparing -------------------------------------------------------------------------------------------------------


def npz(path: Path, **arrays: Any) -> File:
    np.savez(path, **arrays)
    data = path.read_bytes()
    import hashlib

    digest = hashlib.sha256(data).hexdigest()
    return File(name="latent.npz", bytes=len(data), sha256=digest, arrays=fingerprints(path, path.name))


@pytest.fixture
def x() -> Any:
    return np.random.default_rng(0).normal(size=(500, 30)).astype(np.float32)


@pytest.mark.parametrize("share", [1e-6, 1e-4, 1e-2, 0.3])
def test_the_distance_is_told_within_a_factor_of_three(tmp_path: Path, x: Any, share: float) -> None:
    noise = np.random.default_rng(1).normal(size=x.shape)
    moved = x + noise * share * np.linalg.norm(x) / np.linalg.norm(noise)
    a, b = npz(tmp_path / "a.npz", x=x.astype(np.float64)), npz(tmp_path / "b.npz", x=moved)
    found = distance(a.arrays["x"], b.arrays["x"])
    assert found is not None
    assert share / 3 < found < 3 * share


def says(old: File, new: File) -> str:
    (item,) = compare_files([old], {new.name: new}, skip=frozenset())
    return item.says


def test_files_are_identical_close_or_different(tmp_path: Path, x: Any) -> None:
    old = npz(tmp_path / "a.npz", x=x)
    assert says(old, npz(tmp_path / "b.npz", x=x)) == "identical"
    assert says(old, npz(tmp_path / "b.npz", x=x * np.float32(1 + 1e-5))) == "within tolerance"
    assert says(old, npz(tmp_path / "b.npz", x=x * np.float32(1.01))) == "different"
    assert says(old, npz(tmp_path / "b.npz", x=x[::-1])) == "different"  # the same numbers in another order
    assert says(old, npz(tmp_path / "b.npz", x=x, y=x)) == "different"


def test_a_map_that_lies_elsewhere_is_not_held_against_the_result(tmp_path: Path, x: Any) -> None:
    old, new = npz(tmp_path / "a.npz", x=x, X_umap=x), npz(tmp_path / "b.npz", x=x, X_umap=x + 5)
    (item,) = compare_files([old], {new.name: new}, skip=frozenset())
    assert item.says == "within tolerance"
    assert "maps, which are not compared" in item.why


def test_a_file_more_or_less_is_said(tmp_path: Path, x: Any) -> None:
    old = npz(tmp_path / "a.npz", x=x)
    assert [i.says for i in compare_files([old], {}, skip=frozenset())] == ["missing"]
    assert [i.says for i in compare_files([], {old.name: old}, skip=frozenset())] == ["different"]


def test_a_score_that_moved_and_a_word_that_changed_are_said() -> None:
    import copy

    now = copy.deepcopy(REPORT)
    now["directions"]["rna-to-atac"]["scores"]["peak_auroc"]["value"] = 0.6104
    assert [i.says for i in compare_reports(REPORT, now)] == ["within tolerance"] * 2
    now["directions"]["rna-to-atac"]["scores"]["peak_auroc"]["value"] = 0.62
    assert [i.says for i in compare_reports(REPORT, now)] == ["different"] * 2
    now = {**copy.deepcopy(REPORT), "notes": ["another"]}
    assert [i.says for i in compare_reports(REPORT, now)] == ["identical", "different"]
    now = {**REPORT, "job": "x", "versions": {"a": "b"}}
    assert [i.says for i in compare_reports(REPORT, now)] == ["identical"] * 2
