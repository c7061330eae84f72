"""The arithmetic of a stretch of the genome: which cells are drawn, and what goes together over them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.genome.genes import GeneModels
from engine.types import FeatureSpace, Modality, as_names
from jobs.results.places import Places
from jobs.results.region import LEAST_CELLS, MOST_CELLS, _arcs, _correlations, _drawn, _inside, _linked


def test_correlations_are_those_of_the_cells_that_have_both() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2)), rng.normal(size=(60, 3))
    y[:, 1] = x[:, 0] + 0.1 * rng.normal(size=60)
    y[:, 2] = 4.0
    y[:5, 0] = np.nan
    r_gp, cells = _correlations(x.astype(np.float32), y.astype(np.float32))
    assert cells == 55
    assert r_gp[0, 1] == pytest.approx(np.corrcoef(x[5:, 0], y[5:, 1])[0, 1], abs=1e-5)
    assert (r_gp[:, 2] == 0).all()
    assert (_correlations(x[: LEAST_CELLS - 1], y[: LEAST_CELLS - 1])[0] == 0).all()


def test_a_rare_group_keeps_its_cells_when_many_are_left_out() -> None:
    groups = {"many": list(range(100_000)), "rare": list(range(100_000, 100_015))}
    rows = _drawn(groups)
    assert len(rows) <= MOST_CELLS + LEAST_CELLS
    assert set(groups["rare"]) <= set(rows)
    assert _drawn({"few": [3, 1, 2]}) == [1, 2, 3]


def test_links_join_the_middle_of_a_peak_to_the_start_of_the_gene_and_weak_ones_are_not_drawn() -> None:
    models = GeneModels.load("hg38")
    gene = models.index["VIM"]
    tss, chrom = int(models.tss[gene]), models.chroms[models.chrom[gene]]
    peaks = as_names([f"{chrom}:{tss - 50_100}-{tss - 49_900}", f"{chrom}:{tss - 100}-{tss + 100}", "chr1:5-9"])
    space = FeatureSpace(Modality.ATAC, peaks, "hg38")
    place = Places(models).find("VIM")
    inside = _inside(space, place)
    assert inside.tolist() == [0, 1]
    rna = FeatureSpace(Modality.RNA, as_names(["VIM"]), "hg38")
    assert _linked(models, place, rna, "vim") == [gene]
    found = _arcs("raw", np.array([[0.8, -0.05]]), models, [gene], space, inside, 100)
    assert [(link.peak, link.start, link.end, link.weight, link.proximal) for link in found] == [
        (peaks[0], tss - 50_000, tss, 0.8, False)
    ]
    assert _arcs("raw", np.array([[0.25, 0.0]]), models, [gene], space, inside, 100) == []  # three standard errors: 0.3
