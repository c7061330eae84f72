"""A capsule says how a result was made, does it again, and tells what differs."""

from __future__ import annotations

import json
import platform
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.types import Direction
from jobs.bootstrap import running
from jobs.capsule.pack import SUMS, text_of, unpacked
from jobs.cli import main
from jobs.client import Client
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import JobView
from tests.labs import MODEL, ended, imported, lab_settings
from tests.pages import at

BOTH = (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def lab(catalog: Path, home: Path):
    settings = lab_settings(home, catalog)
    with running(settings) as client:
        yield client


@pytest.fixture(scope="module")
def job(lab: Client) -> JobView:
    ids = {m: imported(lab, f"example:{MODEL}/{m}").id for m in ("rna", "atac")}
    spec = TranslateSpec(model=MODEL, directions=BOTH, export=True, umap=False, **ids)
    done = ended(lab, lab.submit(spec, title="Both <b>ways</b>"))
    assert done.state is JobState.SUCCEEDED, done.failure
    return done


@pytest.fixture(scope="module")
def capsule(lab: Client, job: JobView, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("capsule") / "it.zip"
    path.write_bytes(lab.capsule(job.id))
    return path


@pytest.fixture(autouse=True)
def _known(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSVIEW_PRETRAINED", str(catalog))


def examples(catalog: Path) -> list[str]:
    return [str(catalog / MODEL / "example" / f"{m}.h5ad") for m in ("atac", "rna")]


def test_it_names_inputs_model_versions_scores_and_files(lab: Client, job: JobView, capsule: Path) -> None:
    said, report = unpacked(capsule)
    assert {name: each.digest for name, each in said.inputs.items()} == {
        m: lab.dataset(str(job.spec[m])).digest for m in ("rna", "atac")
    }
    assert said.model is not None
    assert (said.model.digest, said.model.id) == (job.bundle, MODEL)
    assert said.model.training
    assert {"python", "torch", "numpy"} <= set(said.versions)
    assert report == lab.report(job.id)
    assert {file.name: file.sha256 for file in said.files} == {a.name: a.sha256 for a in lab.artifacts(job.id)}


def test_the_same_job_gives_the_same_bytes(lab: Client, job: JobView, capsule: Path) -> None:
    assert lab.capsule(job.id) == capsule.read_bytes()


def test_no_cell_no_path_and_no_machine_is_in_it(lab: Client, job: JobView, capsule: Path, home: Path) -> None:
    with zipfile.ZipFile(capsule) as file:
        text = b"\n".join(file.read(name) for name in file.namelist()).decode()
    barcodes = lab.table(job.id, BOTH[0], "cells")["barcode"]
    for secret in (str(home), str(Path.home()), platform.node(), *barcodes):
        assert secret not in text


def test_its_readme_holds_no_markup_of_the_title(capsule: Path) -> None:
    with zipfile.ZipFile(capsule) as file:
        assert "# Both ‹b›ways‹/b›" in file.read("README.md").decode()


def test_it_is_made_again_and_everything_is_identical(
    capsule: Path, catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["capsule", "verify", str(capsule), "--input", *examples(catalog), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {item["what"]: item["says"] for item in found["items"] if item["says"] != "identical"} == {}
    assert (code, found["verdict"], found["versions"]) == (0, "same", [])
    whats = {item["what"] for item in found["items"]}
    assert {"input rna", "model", "report.json", "rna-to-atac/latent.h5ad", "score rna-to-atac peak_auroc"} <= whats


def test_an_input_that_is_not_given_is_named_by_its_digest(
    capsule: Path, catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, _ = unpacked(capsule)
    assert main(["capsule", "verify", str(capsule), "--input", examples(catalog)[0]]) == 2
    told = capsys.readouterr().err
    assert said.inputs["rna"].digest in told
    assert "--input FILE" in told


def test_another_model_is_not_taken_for_it(
    capsule: Path, catalog: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", *examples(catalog), "--model", str(tiny_model)]
    assert main(["capsule", "verify", str(capsule), *arguments]) == 2
    assert "the capsule was made with" in capsys.readouterr().err


def words(page: AppTest) -> str:
    return "\n".join(str(each.value) for kind in (page.markdown, page.caption, page.code) for each in kind)


def test_the_page_tells_the_chain_and_offers_the_capsule(lab: Client, job: JobView) -> None:
    page = at("job", id=job.id, tab="Provenance")
    said = words(page)
    for part in ("Cells", "Preparation", "Model", "Code", "Result"):
        assert f"**{part}**" in said
    assert job.bundle[:12] in said
    assert f"crossview capsule verify {job.id}-capsule.zip --input example:{MODEL}/atac example:{MODEL}/rna" in said
    assert lab.dataset(str(job.spec["rna"])).digest in said


def test_the_page_shows_what_the_job_took(job: JobView) -> None:
    page = at("job", id=job.id, tab="Resources")
    said = words(page)
    for part in ("of processor time", "the largest process had", "estimated", "No GPU was used.", "Measuring took"):
        assert part in said
    table = next(each.value for each in page.dataframe if "processors busy" in each.value.columns)
    assert {"Translate", "Score", "Write"} <= set(table["stage"])
    assert (table["largest process (MB)"] > 50).all()


def rewritten(capsule: Path, out: Path, change) -> Path:  # type: ignore[no-untyped-def]
    """The capsule with another capsule.json and report.json, its sums made anew: as a forger would."""
    import hashlib

    with zipfile.ZipFile(capsule) as file:
        members = {name: file.read(name) for name in file.namelist()}
    document, report = json.loads(members["capsule.json"]), json.loads(members["report.json"])
    change(document, report)
    members["report.json"] = text_of(report)
    document["report"] = hashlib.sha256(members["report.json"]).hexdigest()
    members["capsule.json"] = text_of(document)
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in members.items() if name != SUMS]
    members[SUMS] = "\n".join(sums).encode() + b"\n"
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out


def test_a_score_and_a_file_that_were_forged_are_different(
    capsule: Path, catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def forge(document, report) -> None:  # type: ignore[no-untyped-def]
        report["directions"]["rna-to-atac"]["scores"]["peak_auroc"]["value"] += 0.05
        report["directions"]["rna-to-atac"]["scores"]["cell_auroc"]["value"] += 0.0004
        latent = next(f for f in document["files"] if f["name"] == "rna-to-atac/latent.h5ad")
        latent["sha256"] = "0" * 64
        array = latent["arrays"]["obsm/X_crossview"]
        array["sha256"] = "0" * 64
        array["sums"] = [1.1 * s + array["norm"] for s in array["sums"]]
        table = next(f for f in document["files"] if f["name"] == "rna-to-atac/scores.csv")
        table["sha256"] = "0" * 64

    path = rewritten(capsule, tmp_path / "forged.zip", forge)
    assert main(["capsule", "verify", str(path), "--input", *examples(catalog), "--json"]) == 3
    found = {item["what"]: item for item in json.loads(capsys.readouterr().out)["items"]}
    assert found["score rna-to-atac peak_auroc"]["says"] == "different"
    assert found["score rna-to-atac cell_auroc"]["says"] == "within tolerance"
    assert "near-ties" in found["score rna-to-atac cell_auroc"]["why"]
    assert found["rna-to-atac/latent.h5ad"]["says"] == "different"
    assert "X_crossview" in found["rna-to-atac/latent.h5ad"]["why"]
    assert found["rna-to-atac/scores.csv"]["says"] == "identical"  # the same content in other bytes
    assert found["atac-to-rna/latent.h5ad"]["says"] == "identical"


def test_what_the_command_line_wrote_has_a_capsule_too(
    catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    atac, rna = examples(catalog)
    out, report, zipped = tmp_path / "out.h5ad", tmp_path / "report.json", tmp_path / "it.zip"
    run = ["translate", "--model", MODEL, "--input", rna, "--direction", "rna-to-atac", "--out", str(out)]
    assert main(run) == 0
    judge = ["evaluate", "--prediction", str(out), "--truth", atac, "--model", MODEL, "--out", str(report)]
    assert main(judge) == 0
    assert main(["capsule", "create", str(out), "--report", str(report), "--out", str(zipped)]) == 0
    capsys.readouterr()
    code = main(["capsule", "verify", str(zipped), "--input", atac, rna, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0, found
    assert {item["says"] for item in found["items"]} == {"identical"}
    out.write_bytes(out.read_bytes() + b" ")
    assert main(["capsule", "create", str(out), "--report", str(report), "--out", str(zipped)]) == 2
    assert "not this one" in capsys.readouterr().err
