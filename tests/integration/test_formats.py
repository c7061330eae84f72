"""Every format through every door: inspect and translate on the command line, imports and jobs of the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

from engine.errors import NeedsPeaks
from engine.genome.genes import chromosome_sizes
from engine.genome.peaks import parse_peaks
from engine.intake import canonicalise
from engine.intake.canonical import CanonicalCells
from engine.types import Cells, Direction, FeatureSpace, Modality, PairedCells, as_names
from jobs.bootstrap import opened
from jobs.cli import main
from jobs.client import Client
from jobs.commands import offline, submission
from jobs.commands.both import both_taken
from jobs.commands.mends import Wishes
from jobs.mending import MendOptions
from jobs.spec import TranslateSpec
from jobs.state import JobState
from jobs.views import DatasetView
from tests.builders import paired, write_h5ad
from tests.chains import shifted
from tests.fragments import Fragment, counted_plainly, write_fragments
from tests.labs import MODEL, build_catalog, ended, lab_settings, until
from tests.mtx import folder_files, write_folder, write_tar, write_zip
from tests.multiome import write_h5mu
from tests.splicing import write_loom
from tests.tenx import write_tenx

MOVED = 70  # bases between the made-up old build and hg38


@pytest.fixture(scope="module")
def pair() -> PairedCells:
    return paired(cells=30, genes=60, peaks=90, rng=np.random.default_rng(3))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, pair: PairedCells) -> Path:
    """A folder with a catalog and the same cells in every format."""
    folder = tmp_path_factory.mktemp("formats")
    build_catalog(folder / "pretrained")
    write_folder(folder_files(pair), folder / "mtx")
    write_zip(folder_files(pair), folder / "mtx.zip")
    write_tar(folder_files(pair, order="any"), folder / "mtx.tar.gz")
    write_tenx(pair, folder / "multiome.h5")
    write_h5mu(pair, folder / "both.h5mu")
    write_loom(folder / "rna.loom", pair.rna)
    write_loom(folder / "atac.loom", pair.atac)
    write_fragments(fragments_of(pair.atac), folder / "fragments.tsv.gz")
    sizes = {name: size for name, size in chromosome_sizes("hg38").items() if name != "chrY"}
    shifted("hg19", "hg38", folder / "chains", chroms=sizes, by=MOVED)
    return folder


@pytest.fixture(autouse=True)
def _catalog(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The command's isolated child has its own tests; here the same reader runs in this process, to be quick.
    monkeypatch.setattr(offline, "run_in_child", canonicalise)
    monkeypatch.setenv("CROSSVIEW_PRETRAINED", str(lab / "pretrained"))
    monkeypatch.setenv("CROSSVIEW_CHAINS", str(lab / "chains"))


def fragments_of(atac: Cells) -> list[Fragment]:
    """One fragment a count, with one end in the peak and one far from all; none at all in some peaks' edges."""
    peaks = parse_peaks(atac.space.names)
    coo = atac.counts.tocoo()
    return sorted(
        (peaks.chroms[peaks.chrom[p]], int(peaks.end[p]) - 1, int(peaks.end[p]) + 90, f"{atac.barcodes[n]}-1")
        for n, p in zip(coo.row.tolist(), coo.col.tolist(), strict=True)
    )


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert main([*words, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


BOTH = ("mtx", "mtx.tar.gz", "multiome.h5", "both.h5mu")


@pytest.mark.parametrize("name", [*BOTH, "rna.loom"])
def test_each_format_is_inspected_and_translated_like_the_plain_file(
    lab: Path, pair: PairedCells, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, "inspect", str(lab / name), "--modality", "rna", "--model", MODEL)
    assert (found["summary"]["cells"], found["summary"]["features"]) == (30, 60)
    assert found["preflight"]["coverage"]["rna"]["share"] == 1
    plain = write_h5ad(pair.rna, tmp_path / "plain.h5ad")
    for source, out in ((lab / name, "a.h5ad"), (plain, "b.h5ad")):
        words = ("translate", "--model", MODEL, "--input", str(source), "--direction", "rna-to-atac")
        said(capsys, *words, "--out", str(tmp_path / out))
    np.testing.assert_allclose(ad.read_h5ad(tmp_path / "a.h5ad").X, ad.read_h5ad(tmp_path / "b.h5ad").X, atol=1e-5)


def test_a_file_of_peaks_alone_and_a_folder_of_both_are_inspected(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "inspect", str(lab / "atac.loom"))["summary"]["modality"] == "atac"
    assert said(capsys, "inspect", str(lab / "mtx"), code=2)["error"]["code"] == "wrong-modality"


def test_fragments_are_counted_on_the_model_and_translated_as_their_matrix(
    lab: Path, pair: PairedCells, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--min-fragments", "1")
    found = said(capsys, "inspect", str(lab / "fragments.tsv.gz"), "--model", MODEL, *few)
    plain = counted_plainly(fragments_of(pair.atac), pair.atac.space.names)
    assert found["summary"]["nnz"] == len(plain)
    assert found["preflight"]["directions"] == ["atac-to-rna"]
    out, of_matrix = tmp_path / "a.h5ad", tmp_path / "b.h5ad"
    words = ("translate", "--model", MODEL, "--direction", "atac-to-rna")
    document = said(capsys, *words, "--input", str(lab / "fragments.tsv.gz"), "--out", str(out), *few)
    assert document["mends"][0]["what"] == "recount"
    said(capsys, *words, "--input", str(write_h5ad(pair.atac, tmp_path / "m.h5ad")), "--out", str(of_matrix))
    counted, given = ad.read_h5ad(out), ad.read_h5ad(of_matrix)
    assert json.loads(counted.uns["crossview"]["mends"])[0]["counted"] == "insertions"
    np.testing.assert_allclose(counted.X, given[[name[:-2] for name in counted.obs_names]].X, atol=1e-5)


def test_cells_of_fragments_can_be_those_of_the_rna_file(
    lab: Path, pair: PairedCells, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rna = write_h5ad(pair.rna, tmp_path / "rna.h5ad")
    found = said(capsys, "inspect", str(lab / "fragments.tsv.gz"), "--model", MODEL, "--cells", str(rna))
    assert found["summary"]["cells"] == 30
    assert said(capsys, "inspect", str(lab / "fragments.tsv.gz"), code=2)["error"]["code"] == "needs-peaks"


# -- mends -----------------------------------------------------------------------------------------------------------


def renamed(cells: Cells, names: list[str]) -> Cells:
    return replace(cells, space=FeatureSpace(cells.space.modality, as_names(names), None))


def old_build(atac: Cells) -> Cells:
    """The same peaks, as they lie on the made-up old build."""
    peaks = parse_peaks(atac.space.names)
    places = zip(peaks.chrom, peaks.start - MOVED, peaks.end - MOVED, strict=True)
    return renamed(atac, [f"{peaks.chroms[c]}:{a}-{b}" for c, a, b in places])


def test_peaks_are_lifted_with_the_operators_chain_file(
    lab: Path, pair: PairedCells, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_h5ad(old_build(pair.atac), tmp_path / "old.h5ad")
    found = said(capsys, "inspect", str(path), "--model", MODEL, "--lift", "hg19")
    mend = found["summary"]["mends"][0]
    assert (mend["what"], mend["from"], mend["to"], mend["kept"], mend["unmapped"]) == ("lift", "hg19", "hg38", 90, 0)
    assert found["preflight"]["coverage"]["atac"]["by_name"] == 90
    said(capsys, "translate", "--model", MODEL, "--input", str(path), "--direction", "atac-to-rna", "--lift", "hg19",
         "--out", str(tmp_path / "out.h5ad"))  # fmt: skip
    assert json.loads(ad.read_h5ad(tmp_path / "out.h5ad").uns["crossview"]["mends"])[0]["what"] == "lift"


def test_a_pair_for_training_is_mended_each_modality_by_its_own_wishes(
    lab: Path, pair: PairedCells, tmp_path: Path
) -> None:
    lognormal = replace(pair.rna, counts=pair.rna.counts.log1p())
    rna = write_h5ad(lognormal, tmp_path / "rna.h5ad", layers={"umi": pair.rna.counts})
    atac = write_h5ad(old_build(pair.atac), tmp_path / "old.h5ad", layers={"umi": pair.atac.counts})
    wishes = Wishes(MendOptions(layer="umi", lift="hg19"))
    with both_taken(rna=str(rna), atac=str(atac), wishes=wishes, say=offline.to_stderr) as both:
        found = {m: CanonicalCells.open(each.path) for m, each in both.items()}
        with found[Modality.RNA] as of_rna, found[Modality.ATAC] as of_atac:
            assert (of_rna.all().counts != pair.rna.counts).nnz == 0
            assert set(of_atac.names) == set(pair.atac.space.names)


def test_fragments_stand_beside_rna_where_a_model_says_its_peaks(lab: Path, pair: PairedCells) -> None:
    given = {"rna": str(lab / "rna.loom"), "atac": str(lab / "fragments.tsv.gz")}
    wishes = Wishes(MendOptions(min_fragments=1))
    with both_taken(**given, model=MODEL, wishes=wishes, say=offline.to_stderr) as both:
        assert both[Modality.ATAC].summary.features == 90
    with pytest.raises(NeedsPeaks), both_taken(**given, wishes=wishes, say=offline.to_stderr):
        pass


def test_a_lift_without_its_chain_file_says_where_to_put_it(
    lab: Path, pair: PairedCells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_h5ad(pair.atac, tmp_path / "atac.h5ad"))
    error = said(capsys, "inspect", path, "--lift", "mm9", code=2)["error"]
    assert "no mm9ToMm10.over.chain.gz" in error["message"]
    assert "CROSSVIEW_CHAINS" in error["hint"]
    monkeypatch.delenv("CROSSVIEW_CHAINS")
    assert "no chain files are set up" in said(capsys, "inspect", path, "--lift", "hg19", code=2)["error"]["message"]


def test_genes_are_renamed_by_the_file_itself_or_by_a_table(
    lab: Path, pair: PairedCells, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [f"ENSG{i:011d}" for i in range(60)]
    path = str(write_h5ad(renamed(pair.rna, ids), tmp_path / "ids.h5ad"))
    refused = said(capsys, "inspect", path, "--model", MODEL, code=2)["preflight"]
    assert "--gene-ids symbol" in refused["issues"][0]["hint"]
    table = tmp_path / "features.tsv"
    table.write_text("".join(f"{a}.3\t{b}\tGene Expression\n" for a, b in zip(ids, pair.rna.space.names, strict=True)))
    found = said(capsys, "inspect", path, "--model", MODEL, "--gene-ids", str(table))
    assert found["preflight"]["coverage"]["rna"]["share"] == 1
    assert found["summary"]["mends"] == [
        {"what": "gene-ids", "by": "features.tsv", "renamed": 60, "of": 60, "repeated": 0}
    ]
    error = said(capsys, "inspect", path, "--gene-ids", "symbol", code=2)["error"]
    assert "keeps no symbols of its genes" in error["message"]
    for name in ("mtx", "multiome.h5", "rna.loom"):
        as_ids = said(capsys, "inspect", str(lab / name), "--modality", "rna", "--gene-ids", "ensembl")
        assert as_ids["names"].startswith("60 of 60 names are Ensembl ids of human")


def test_the_layer_asked_for_is_the_one_that_is_read(
    lab: Path, pair: PairedCells, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_h5ad(pair.rna, tmp_path / "a.h5ad", layers={"corrected": pair.rna.counts * 2}))
    assert said(capsys, "inspect", path)["summary"]["counts_from"] == "X"
    asked = said(capsys, "inspect", path, "--layer", "corrected")["summary"]
    assert (asked["counts_from"], asked["mends"]) == ('layers["corrected"]', [{"what": "layer", "layer": "corrected"}])
    error = said(capsys, "inspect", path, "--layer", "nothing", code=2)["error"]
    assert error["message"] == "There is no layer 'nothing'; the file has X, corrected."


def test_without_a_model_each_of_the_catalog_is_asked(
    lab: Path, pair: PairedCells, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_h5ad(pair.rna, tmp_path / "a.h5ad"))
    (found,) = said(capsys, "inspect", path)["models"]
    assert (found["id"], found["verdict"], found["share"]) == (MODEL, "ready", 1.0)
    assert main(["inspect", path]) == 0
    assert f"With {MODEL}: ready, 100% of its features are there" in capsys.readouterr().out


# -- the service -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    settings = lab_settings(tmp_path_factory.mktemp("home"), lab / "pretrained")
    with opened(replace(settings, import_roots=(lab.resolve(),), chains=lab / "chains")) as client:
        yield client


def upload(client: Client, path: Path) -> str:
    id = client.create_upload(name=path.name, size=path.stat().st_size).id
    client.append_upload(id, offset=0, chunks=[path.read_bytes()])
    client.finish_upload(id)
    return f"upload:{id}"


def brought(client: Client, view: DatasetView) -> DatasetView:
    return until(lambda: client.dataset(view.id), lambda seen: seen.state != "importing")


def test_one_packed_folder_of_both_becomes_two_datasets(lab: Path, client: Client) -> None:
    rna, atac = (brought(client, view) for view in client.import_pair(upload(client, lab / "mtx.zip")))
    assert [(view.state, view.cells, view.features) for view in (rna, atac)] == [("ready", 30, 60), ("ready", 30, 90)]


def test_a_training_takes_one_file_of_both(lab: Path, client: Client) -> None:
    job = submission.submit_training(
        client, model="ridge", pair=str(lab / "mtx.zip"), settings={"filters": "none"}, say=lambda line: None
    )
    given = {which: client.dataset(str(job.spec[which])) for which in ("rna", "atac")}
    assert {which: (data.modality, data.cells) for which, data in given.items()} == {w: (w, 30) for w in given}
    client.cancel(job.id)


def test_fragments_are_imported_for_a_model_and_the_result_says_so(lab: Path, client: Client) -> None:
    rna = submission.bring_in(client, str(lab / "mtx"), modality=Modality.RNA, say=lambda line: None)
    assert (rna.name, rna.cells, rna.features) == ("mtx.tar", 30, 60)  # the command packs a folder to send it
    wishes = MendOptions(model=MODEL, cells=rna.id)
    atac = brought(client, client.import_dataset(str(lab / "fragments.tsv.gz"), mends=wishes))
    assert (atac.state, atac.cells, atac.summary["mends"][0]["what"]) == ("ready", 30, "recount")
    spec = TranslateSpec(model=MODEL, atac=atac.id, directions=(Direction.ATAC_TO_RNA,), umap=False)
    job = ended(client, client.submit(spec))
    assert job.state is JobState.SUCCEEDED
    latent = next(a.name for a in client.artifacts(job.id) if a.name.endswith("latent.h5ad"))
    kept = ad.read_h5ad(client.open_artifact(job.id, latent)).uns["crossview"]["mends"]
    assert json.loads(kept)[0]["counted"] == "insertions"


def test_wishes_that_cannot_be_granted_fail_the_import_with_a_mend(lab: Path, client: Client) -> None:
    bare = brought(client, client.import_dataset(upload(client, lab / "fragments.tsv.gz")))
    assert bare.failure is not None
    assert bare.failure.code == "needs-peaks"
    lift = client.import_dataset(str(lab / "mtx"), modality=Modality.ATAC, mends=MendOptions(lift="mm9"))
    failure = brought(client, lift).failure
    assert failure is not None
    assert (failure.code, "CROSSVIEW_CHAINS" in failure.hint) == ("bad-setting", True)


def test_a_folder_whose_file_leads_elsewhere_is_not_opened(lab: Path, client: Client, tmp_path: Path) -> None:
    from jobs.errors import BadSource

    (tmp_path / "secret.tsv").write_text("A-1\n")
    linked = write_folder(folder_files(paired(cells=5, rng=np.random.default_rng(0))), lab / "linked")
    (linked / "barcodes.tsv.gz").unlink()
    (linked / "barcodes.tsv.gz").symlink_to(tmp_path / "secret.tsv")
    with pytest.raises(BadSource, match="a link to a place that is not open"):
        client.import_dataset(str(linked))


def test_wishes_are_kept_for_an_import_that_a_killed_process_left(lab: Path, tmp_path: Path) -> None:
    from engine.intake.summary import Summary
    from jobs.importing.importer import Importer

    settings = replace(lab_settings(tmp_path / "home", lab / "pretrained"), import_roots=(lab.resolve(),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Importer, "_schedule", lambda self, rows: None)  # as if the process had died right then
        with opened(settings) as client:
            wishes = MendOptions(model=MODEL, min_fragments=1)
            begun = client.import_dataset(str(lab / "fragments.tsv.gz"), mends=wishes)
    with opened(settings) as client:
        view = brought(client, begun)
        assert view.state == "ready"
        assert Summary.from_json(view.summary).mends[0]["min_fragments"] == 1
