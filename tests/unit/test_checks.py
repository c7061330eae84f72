"""What is said before a job is submitted: everything that is wrong, what can run, what it costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.checks import Given, Preflight, estimate, preflight
from engine.genome.genes import GeneModels
from engine.intake import CanonicalCells, canonicalise
from engine.types import Cells, Direction, FeatureSpace, Modality, PairedCells, as_names
from tests.builders import paired, write_h5ad

BOTH = frozenset(Direction)


@pytest.fixture(scope="module")
def pair() -> PairedCells:
    return paired(cells=40, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def given(pair: PairedCells, tmp_path_factory: pytest.TempPathFactory) -> dict[Modality, Given]:
    folder = tmp_path_factory.mktemp("given")
    return {modality: inspected(pair.of(modality), folder / modality.value) for modality in Modality}


def inspected(cells: Cells, folder: Path) -> Given:
    folder.mkdir(exist_ok=True)
    canonicalise(write_h5ad(cells, folder / "a.h5ad"), folder / "clean.h5ad")
    with CanonicalCells.open(folder / "clean.h5ad") as copy:
        return Given(copy.summary, copy.names, copy.barcodes)


def spaces(pair: PairedCells) -> dict[Modality, FeatureSpace]:
    return {modality: pair.of(modality).space for modality in Modality}


def codes(result: Preflight) -> list[str]:
    return [issue.code for issue in result.issues]


def test_matching_inputs_are_ready_both_ways_and_scored(pair: PairedCells, given: dict[Modality, Given]) -> None:
    result = preflight(list(given.values()), spaces=spaces(pair), directions=BOTH)
    assert not result.problems
    assert set(result.directions) == set(result.truth) == BOTH
    assert result.paired_cells == result.cells == 40
    assert {found.share for found in result.coverage.values()} == {1.0}


def test_one_input_runs_one_way_and_is_not_scored(pair: PairedCells, given: dict[Modality, Given]) -> None:
    result = preflight([given[Modality.ATAC]], spaces=spaces(pair), directions=BOTH)
    assert result.verdict == "ready"
    assert result.directions == (Direction.ATAC_TO_RNA,)
    assert result.truth == ()


def test_all_problems_are_listed(pair: PairedCells, given: dict[Modality, Given]) -> None:
    strange = replace(given[Modality.RNA], names=as_names(f"Foreign{i}" for i in range(60)))
    apart = replace(given[Modality.ATAC], barcodes=as_names(f"other{i}x" for i in range(40)))
    result = preflight(
        [strange, apart],
        spaces=spaces(pair),
        directions={Direction.RNA_TO_ATAC},
        wanted={Direction.ATAC_TO_RNA},
    )
    assert result.verdict == "refused"
    assert {"cells-do-not-match", "wrong-direction"} < set(codes(result))
    assert any(code in codes(result) for code in ("feature-mismatch", "wrong-genome"))
    assert all(issue.message.endswith(".") and issue.hint for issue in result.problems)
    assert result.directions == ()


def test_the_other_direction_survives_a_bad_target_but_is_not_scored(
    pair: PairedCells, given: dict[Modality, Given]
) -> None:
    strange = replace(given[Modality.ATAC], names=as_names(f"chr1:{i}00000-{i}00400" for i in range(5_000, 5_090)))
    result = preflight([given[Modality.RNA], strange], spaces=spaces(pair), directions=BOTH)
    assert result.verdict == "refused"
    assert result.directions == (Direction.RNA_TO_ATAC,)
    assert result.truth == ()


def test_partial_coverage_is_a_note_with_numbers(pair: PairedCells, given: dict[Modality, Given]) -> None:
    rna = given[Modality.RNA]
    some = replace(rna, names=rna.names[:45])
    result = preflight([some], spaces=spaces(pair), directions=BOTH)
    assert result.verdict == "ready with notes"
    assert "45 of the model's 60 genes were found (75%)" in next(
        issue.message for issue in result.issues if issue.code == "partial-coverage"
    )


def test_cells_in_one_file_only_are_a_note(pair: PairedCells, given: dict[Modality, Given], tmp_path: Path) -> None:
    fewer = inspected(pair.atac.rows(slice(0, 30)), tmp_path)
    result = preflight([given[Modality.RNA], fewer], spaces=spaces(pair), directions=BOTH)
    assert result.paired_cells == 30
    assert "cells-differ" in codes(result)


@pytest.mark.parametrize(
    ("directions", "wanted", "said"),
    [
        ({Direction.RNA_TO_ATAC}, {Direction.ATAC_TO_RNA}, "does not translate atac-to-rna"),
        (BOTH, {Direction.ATAC_TO_RNA}, "needs ATAC cells"),
        ({Direction.ATAC_TO_RNA}, (), "only RNA was given"),
    ],
)
def test_directions_that_cannot_run_are_refused_with_the_reason(
    directions: set[Direction], wanted: set[Direction], said: str, pair: PairedCells, given: dict[Modality, Given]
) -> None:
    result = preflight([given[Modality.RNA]], spaces=spaces(pair), directions=directions, wanted=wanted)
    assert result.verdict == "refused"
    assert said in result.problems[0].message


def test_two_files_of_one_kind_and_none_are_refused(pair: PairedCells, given: dict[Modality, Given]) -> None:
    twice = preflight([given[Modality.RNA]] * 2, spaces=spaces(pair), directions=BOTH)
    assert "2 files hold RNA" in twice.problems[0].message
    assert codes(preflight([], spaces=spaces(pair), directions=BOTH)) == ["no-cells"]


def test_empty_and_binary_cells_are_noted(pair: PairedCells, given: dict[Modality, Given]) -> None:
    rna = given[Modality.RNA]
    odd = replace(rna, summary=replace(rna.summary, empty_cells=3, largest=1.0))
    assert {"empty-cells", "binary-rna"} <= set(codes(preflight([odd], spaces=spaces(pair), directions=BOTH)))


def test_the_result_is_plain_json(pair: PairedCells, given: dict[Modality, Given]) -> None:
    document = preflight(list(given.values()), spaces=spaces(pair), directions=BOTH).to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["coverage"]["rna"]["share"] == 1.0


def test_a_large_export_is_announced(pair: PairedCells, given: dict[Modality, Given]) -> None:
    rna = given[Modality.RNA]
    huge = replace(rna, summary=replace(rna.summary, cells=100_000_000))
    result = preflight([huge], spaces=spaces(pair), directions=BOTH)
    assert "large-export" in codes(result)


def test_the_estimate_grows_with_cells_but_memory_does_not(pair: PairedCells) -> None:
    small, large = (
        estimate(cells=cells, directions=BOTH, spaces=spaces(pair), latent=64) for cells in (10_000, 1_000_000)
    )
    assert large.seconds[1] > small.seconds[1]
    assert large.memory_bytes == small.memory_bytes
    assert large.result_bytes == 1_000_000 * 64 * 4 * 2
    assert small.seconds[0] < small.seconds[1]


def test_mouse_genes_to_a_human_model_are_named_as_such(pair: PairedCells, given: dict[Modality, Given]) -> None:
    mouse, human = (as_names(GeneModels.load(genome).symbol[:400]) for genome in ("mm10", "hg38"))
    rna = replace(given[Modality.RNA], names=mouse)
    known = {**spaces(pair), Modality.RNA: FeatureSpace(Modality.RNA, human, "hg38")}
    result = preflight([rna], spaces=known, directions=BOTH)
    assert codes(result)[0] == "wrong-genome"
    assert "mouse" in result.problems[0].message
