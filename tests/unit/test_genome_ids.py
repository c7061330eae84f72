"""The shipped tables of gene ids, and cells renamed by them on their way in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadSetting, FeatureMismatch
from engine.genome.genes import GeneModels
from engine.genome.ids import ORGANISMS, GeneIds
from engine.intake import CanonicalCells, Summary, run_in_child
from engine.intake.mends import Mends
from engine.intake.names import ENSEMBL
from engine.types import FeatureSpace, Modality, Names, as_names
from tests.builders import paired, write_h5ad

GENOME = {"human": "hg38", "mouse": "mm10"}


@pytest.mark.parametrize(
    ("organism", "id", "symbol"),
    [
        ("human", "ENSG00000111640", "GAPDH"),
        ("human", "ENSG00000198851", "CD3E"),
        ("mouse", "ENSMUSG00000026842", "Abl1"),
    ],
)
def test_a_known_gene_has_its_known_id(organism: str, id: str, symbol: str) -> None:
    table = GeneIds.load(organism)
    assert list(table.symbols(as_names([id, f"{id}.14", "ENSG99999999999"]))) == [symbol, symbol, ""]
    assert list(table.ids(as_names([symbol, "no gene"]))) == [id, ""]


@pytest.mark.parametrize("organism", ORGANISMS)
def test_a_table_is_whole_and_knows_the_genes_of_refseq(organism: str) -> None:
    table = GeneIds.load(organism)
    assert len(table) > 40_000
    assert (np.diff(table.number) > 0).all()
    assert not any(name == "" or ENSEMBL.match(name) for name in table.symbol)
    names = as_names(GeneModels.load(GENOME[organism]).symbol)
    found = table.ids(names)
    assert (found != "").mean() > 0.8  # the two annotations are of different years
    assert list(table.symbols(found[found != ""])) == list(names[found != ""])


def test_another_organism_is_refused() -> None:
    with pytest.raises(BadSetting, match="rat"):
        GeneIds.load("rat")


def brought_in(names: Names, folder: Path, wish: str) -> tuple[Summary, list[str]]:
    cells = paired(cells=30, genes=len(names), peaks=30, rng=np.random.default_rng(0)).rna
    path = write_h5ad(replace(cells, space=FeatureSpace(Modality.RNA, names)), folder / "rna.h5ad")
    summary = run_in_child(path, folder / "out.h5ad", mends=Mends(gene_ids=wish))
    with CanonicalCells.open(folder / "out.h5ad") as found:
        return summary, list(found.names)


def some_ids(organism: str) -> Names:
    table = GeneIds.load(organism)
    return as_names(table.ids(as_names(table.symbol[:: len(table) // 40])))


@pytest.mark.parametrize("organism", ORGANISMS)
def test_ids_become_symbols_and_what_is_unknown_stays(organism: str, tmp_path: Path) -> None:
    table, ids = GeneIds.load(organism), some_ids(organism)
    new = f"{table.prefix}99999999999"
    summary, names = brought_in(as_names([*(f"{id}.2" for id in ids), new]), tmp_path, "symbol")
    assert names == [*table.symbols(ids), new]
    assert summary.mends == (
        {"what": "gene-ids", "by": table.release, "renamed": len(ids), "of": len(ids) + 1, "repeated": 0},
    )
    assert summary.genome == GENOME[organism]


def test_symbols_become_ids(tmp_path: Path) -> None:
    ids = some_ids("human")
    _, names = brought_in(GeneIds.load("human").symbols(ids), tmp_path, "ensembl")
    assert names == list(ids)


def test_genes_that_no_table_knows_are_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(FeatureMismatch, match="keeps no symbols of its genes"):
        brought_in(as_names(f"ENSG{i:011d}" for i in range(40)), tmp_path, "symbol")
