"""Finding genes and peaks, and measured values on a prediction's scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from engine.genome.genes import GeneModels
from engine.intake.canonical import canonicalise
from engine.metrics.normalise import log_normalised
from engine.types import FeatureSpace, Modality, Scale, as_names
from jobs.estimate import from_past, remaining
from jobs.results.measured import Measured
from jobs.results.search import REACH, find_genes, find_peaks
from tests.builders import paired, write_h5ad


def genes(*names: str) -> FeatureSpace:
    return FeatureSpace(Modality.RNA, as_names(names), "hg38")


def peaks(*names: str, genome: str | None = "hg38") -> FeatureSpace:
    return FeatureSpace(Modality.ATAC, as_names(names), genome)


def names(space: FeatureSpace, query: str, limit: int = 20) -> list[str]:
    find = find_genes if space.modality is Modality.RNA else find_peaks
    return [hit.name for hit in find(space, query, limit=limit)]


def test_the_gene_itself_comes_before_its_namesakes() -> None:
    space = genes("ACD3", "CD3EAP", "CD3E", "CD3", "TP53")
    assert names(space, "cd3") == ["CD3", "CD3E", "CD3EAP", "ACD3"]
    assert names(space, "CD3E", limit=1) == ["CD3E"]
    assert names(space, "  ") == []


def test_peaks_of_a_region_come_in_genome_order() -> None:
    space = peaks("chr2:500-900", "chr1:900-1200", "chr1:100-600", "chr10:100-600")
    assert names(space, "chr1:0-1,000") == ["chr1:100-600", "chr1:900-1200"]
    assert names(space, "1:600-900") == []
    assert names(space, "chr1") == ["chr1:100-600", "chr1:900-1200"]


def test_peaks_near_a_gene_say_how_far_and_on_which_side() -> None:
    models = GeneModels.load("hg38")
    gene = models.index["CD3E"]  # on the + strand of chr11
    tss = int(models.tss[gene])
    assert bool(models.forward[gene])
    at, up, down, far = (f"chr11:{a}-{a + 400}" for a in (tss - 200, tss - 5_000, tss + 20_000, tss + REACH + 1_000))
    space = peaks(far, down, at, up)
    hits = find_peaks(space, "cd3e", limit=20)
    assert [hit.name for hit in hits] == [at, up, down]
    assert [hit.note for hit in hits] == [
        "at the TSS of CD3E", "4.6 kb upstream of the TSS of CD3E", "20.0 kb downstream of the TSS of CD3E",
    ]  # fmt: skip


def test_without_a_gene_table_only_regions_are_found() -> None:
    space = peaks("chr1:100-600", genome=None)
    assert names(space, "CD3E") == []
    assert names(space, "chr1:0-200") == ["chr1:100-600"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[sp.csr_matrix, FeatureSpace, Measured]:
    """Built RNA cells in a canonical copy, its columns in another order than the model's."""
    folder = tmp_path_factory.mktemp("measured")
    cells = paired(cells=30, genes=20, peaks=5, rng=np.random.default_rng(3)).rna
    path: Path = folder / "clean.h5ad"
    canonicalise(write_h5ad(cells, folder / "raw.h5ad"), path)
    order = np.random.default_rng(1).permutation(20)
    space = FeatureSpace(Modality.RNA, cells.space.names[order], "hg38")
    return cells.counts[:, order], space, Measured.open(path, space)


def test_measured_values_are_those_of_the_file(measured: tuple[sp.csr_matrix, FeatureSpace, Measured]) -> None:
    counts, _, cells = measured
    rows, positions = [7, 3, 3, 29], np.array([4, 0, 19])
    chosen = counts[rows][:, positions].toarray()
    np.testing.assert_array_equal(cells.values(rows, positions, Scale.RATE), chosen)
    np.testing.assert_array_equal(cells.values(rows, positions, Scale.PROBABILITY), chosen > 0)


def test_the_scale_is_the_one_that_is_scored(measured: tuple[sp.csr_matrix, FeatureSpace, Measured]) -> None:
    counts, _, cells = measured
    everything = cells.values(range(30), np.arange(20), Scale.LOG_NORMALISED)
    np.testing.assert_allclose(everything, log_normalised(counts).toarray(), rtol=1e-5)


def test_cells_are_found_under_the_names_the_job_uses(
    measured: tuple[sp.csr_matrix, FeatureSpace, Measured],
) -> None:
    _, _, cells = measured
    where = cells.rows_of(as_names(["CELL00005-1", "NOT-THERE-1", "CELL00002-1"]))
    assert where.tolist() == [5, -1, 2]


def test_an_estimate_follows_the_past_and_never_runs_out() -> None:
    assert from_past([], cells=100) is None
    low, high = from_past([(100, 24.0), (1000, 204.0)], cells=500) or (0.0, 0.0)
    assert low < 104 < high
    assert remaining((10.0, 20.0), 15.0) == (0.0, 5.0)
    low, high = remaining((10.0, 20.0), 60.0)
    assert low < high
