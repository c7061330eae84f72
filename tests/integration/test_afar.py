"""Files looked at where they lie: the same answer as from the whole file, for a small part of its bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from engine.errors import BadInput, TooLarge
from engine.intake import afar
from engine.intake.canonical import CanonicalCells, canonicalise
from engine.types import Cells, FeatureSpace, Modality, as_names
from jobs.afar import look
from jobs.bootstrap import opened, running
from jobs.cli import main
from jobs.settings import Settings
from storage.errors import SourceChanged, Unreachable
from storage.guard import WebRules
from tests.builders import gene_names, paired, write_h5ad
from tests.hostile import HOSTILE
from tests.labs import MODEL, lab_settings
from tests.multiome import write_h5mu
from tests.pages import at, checked, words
from tests.splicing import switching, write_loom
from tests.tenx import write_tenx
from tests.webserver import File, Site, site

PAIR = paired(cells=300, genes=60, peaks=90, rng=np.random.default_rng(3))


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    with site() as here:
        yield here


def url(server: Site, path: str) -> str:
    return f"http://127.0.0.1:{server.port}/{path}"


def settings(server: Site, home: Path, catalog: Path) -> Settings:
    rules = WebRules(plain_http=True, networks=(ip_network("127.0.0.1"),), ports=frozenset({server.port}))
    return replace(lab_settings(home, catalog), fetch=rules)


def served_file(server: Site, path: Path) -> File:
    file = File(path.read_bytes())
    server.pages[f"/{path.name}"] = file
    return file


def many(cells: int, genes: int) -> Cells:
    """Counts of every fourth gene, as large as wanted."""
    each = genes // 4
    data = np.random.default_rng(0).integers(1, 200, cells * each).astype(np.float32)
    indices = (np.arange(each) * 4 + np.arange(cells)[:, None] % 4).ravel()
    x = sp.csr_matrix((data, indices, np.arange(cells + 1) * each), shape=(cells, genes))
    names = as_names(f"cell{i}" for i in range(cells))
    return Cells(FeatureSpace(Modality.RNA, gene_names(genes), None), x, names, {})


def test_a_large_file_is_known_from_a_small_part_of_it(tmp_path: Path, server: Site, catalog: Path) -> None:
    cells = many(10_000, 2_000)
    file = served_file(server, write_h5ad(cells, tmp_path / "large.h5ad"))
    with opened(settings(server, tmp_path / "home", catalog)) as client:
        seen = client.glance(url(server, "large.h5ad?sig=hush"), model=MODEL)
        assert client.datasets() == []
    assert (seen.bytes, seen.name) == (len(file.data), "large.h5ad")
    assert seen.bytes > 35e6
    assert file.sent <= seen.read_bytes + 1  # one byte to see whether parts are given
    assert seen.read_bytes < 0.1 * seen.bytes
    depth = np.asarray(cells.counts[:100].sum(axis=1)).ravel()
    assert (seen.summary["cells"], seen.summary["features"]) == (10_000, 2_000)
    assert abs(seen.summary["depth"]["50"] - np.median(depth)) < 0.05 * np.median(depth)
    assert seen.preflight is not None
    assert seen.preflight.coverage["rna"]["found"] == 60
    assert seen.preflight.directions
    assert not list((tmp_path / "home" / "scratch").rglob("*"))
    assert "hush" not in seen.model_dump_json()


def csc(path: Path) -> Path:
    import anndata as ad

    file = write_h5ad(PAIR.rna, path)
    adata = ad.read_h5ad(file)
    adata.X = sp.csc_matrix(adata.X)
    adata.write_h5ad(path)
    return path


def dense(path: Path) -> Path:
    import anndata as ad

    adata = ad.read_h5ad(write_h5ad(PAIR.rna, path))
    adata.X = adata.X.toarray()
    adata.write_h5ad(path)
    return path


def loom(path: Path) -> Path:
    write_loom(path, switching(cells=80, moving=20, still=30, rng=np.random.default_rng(1)))
    return path


FORMATS: dict[str, tuple[str, Callable[[Path], Any], Modality | None]] = {
    "sparse by cell": ("a.h5ad", lambda path: write_h5ad(PAIR.atac, path), None),
    "sparse by gene": ("b.h5ad", csc, None),
    "dense": ("c.h5ad", dense, None),
    "10x genes": ("d.h5", lambda path: write_tenx(PAIR, path), Modality.RNA),
    "10x peaks": ("e.h5", lambda path: write_tenx(PAIR, path), Modality.ATAC),
    "h5mu": ("f.h5mu", lambda path: write_h5mu(PAIR, path), Modality.ATAC),
    "loom": ("g.loom", loom, None),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_look_says_what_the_whole_file_says(tmp_path: Path, kind: str) -> None:
    name, write, modality = FORMATS[kind]
    path = tmp_path / name
    write(path)
    whole = canonicalise(path, tmp_path / "clean.h5ad", modality=modality)
    with path.open("rb", buffering=0) as stream:
        seen, names = afar.glance_at(stream, tmp_path, wanted=modality, limits=afar.Limits(), source=name)
    with CanonicalCells.open(tmp_path / "clean.h5ad") as clean:
        assert list(names) == list(clean.names)
    for what in ("cells", "features", "modality", "genome", "counts_from", "labels"):
        assert getattr(seen, what) == getattr(whole, what), what
    if kind != "sparse by gene":  # every cell is in the sample
        assert (seen.depth, seen.detected, seen.largest) == (whole.depth, whole.detected, whole.largest)


@pytest.mark.parametrize("name", ["external_link_as_x", "declares_320_gb", "plain_text", "truncated_file"])
def test_a_hostile_file_is_refused_from_afar_as_it_is_here(tmp_path: Path, server: Site, name: str) -> None:
    writer, code = HOSTILE[name]
    path = tmp_path / "x.h5ad"
    writer(path)
    data = path.read_bytes()
    with pytest.raises(BadInput) as refusal:
        afar.glance_in_child(lambda start, stop: data[start:stop], len(data), source="x.h5ad")
    assert refusal.value.code in (code, "corrupt-matrix")


def test_the_child_gets_the_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_h5ad(PAIR.rna, tmp_path / "a.h5ad").read_bytes()
    asked: list[tuple[int, int]] = []

    def read(start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return data[start:stop]

    found = afar.glance_in_child(read, len(data), source="a.h5ad")
    assert (found.summary.cells, len(found.names)) == (300, 60)
    assert all(0 <= start < stop <= len(data) for start, stop in asked)

    def gone(start: int, stop: int) -> bytes:
        if start > 1_000:
            raise Unreachable("The server went away.")
        return data[start:stop]

    with pytest.raises(Unreachable, match="went away"):
        afar.glance_in_child(gone, len(data))
    monkeypatch.setattr(afar, "BUDGET", 5_000)
    with pytest.raises(TooLarge, match="more than 5 kB"):
        afar.glance_in_child(read, len(data))


def test_inspect_looks_from_afar_and_reads_the_whole_where_it_must(
    tmp_path: Path, server: Site, catalog: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("", "http"), ("_ALLOW", "127.0.0.1"), ("_PORTS", str(server.port))):
        monkeypatch.setenv(f"CROSSVIEW_FETCH{name}", value)
    file = served_file(server, catalog / MODEL / "example" / "rna.h5ad")
    model = str(catalog / MODEL)
    assert main(["inspect", url(server, "rna.h5ad"), "--model", model, "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["summary"]["cells"], seen["preflight"]["directions"]) == (24, ["rna-to-atac"])
    assert seen["read_bytes"] <= seen["bytes"] == len(file.data)
    assert main(["inspect", url(server, "rna.h5ad"), "--whole", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert "read_bytes" not in whole
    server.pages["/rna.h5ad"] = replace(file, ranges=False)
    assert main(["inspect", url(server, "rna.h5ad"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"] == whole["summary"]
    assert main(["inspect", url(server, "none.h5ad"), "--json"]) == 2


def test_the_page_says_what_a_link_leads_to(
    tmp_path: Path, server: Site, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSVIEW_PRETRAINED", str(catalog))
    served_file(server, catalog / MODEL / "example" / "rna.h5ad")
    with running(settings(server, tmp_path, catalog)) as client:
        page = at("new", kind="joint")
        page.segmented_control(key="rna-way").set_value("Link, S3 or a path")
        checked(page.run())
        page.text_input[0].set_value(url(server, "rna.h5ad"))
        next(b for b in page.button if b.label == "Look first").click()
        checked(page.run())
        said = words(page)
        assert "24 cells × 60 genes" in said
        assert "Nothing was brought in." in said
        assert client.datasets() == []


def test_a_file_that_changes_under_the_look_is_said(tmp_path: Path, server: Site, catalog: Path) -> None:
    path = write_h5ad(many(1_000, 500), tmp_path / "moving.h5ad")
    first, second = File(path.read_bytes()), File(path.read_bytes(), etag='"v2"')
    answers = iter([first, first])
    server.pages["/moving.h5ad"] = lambda handler: next(answers, second)(handler)
    with pytest.raises(SourceChanged):
        look(url(server, "moving.h5ad"), settings(server, tmp_path / "home", catalog))
