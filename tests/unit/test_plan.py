"""Chunks cover the cells, and the same spec gives the same tasks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import Direction, Modality
from jobs.plan import chunks, plan
from jobs.spec import TranslateSpec

BOTH = (Direction.RNA_TO_ATAC, Direction.ATAC_TO_RNA)
CELLS = {Modality.RNA: 100, Modality.ATAC: 80}


@given(st.integers(0, 5_000), st.integers(1, 700))
def test_chunks_cover_every_cell_once_and_in_order(cells: int, size: int) -> None:
    found = chunks(cells, size)
    assert [cell for chunk in found for cell in range(chunk.start, chunk.stop)] == list(range(cells))
    assert all(0 < len(chunk) <= size for chunk in found)
    assert all(len(chunk) == size for chunk in found[:-1])


def test_a_chunk_of_no_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="chunks of 0"):
        chunks(10, 0)


def test_both_directions_are_translated_scored_mapped_and_published() -> None:
    spec = TranslateSpec(model="m", rna="a", atac="b", directions=BOTH, chunk_cells=32)
    found = plan(spec, job="j", attempt=2, cells=CELLS)
    assert [(t.arguments["direction"], t.arguments["start"]) for t in found.translate] == [
        *(("rna-to-atac", start) for start in (0, 32, 64, 96)),
        *(("atac-to-rna", start) for start in (0, 32, 64)),
    ]
    assert sum(task.weight for task in found.translate) == 180
    assert [len(stage) for stage in (found.score, found.map, found.publish)] == [2, 2, 2]


def test_without_truth_nothing_is_scored() -> None:
    spec = TranslateSpec(model="m", rna="a", directions=(Direction.RNA_TO_ATAC,), umap=False)
    found = plan(spec, job="j", attempt=1, cells={Modality.RNA: 10})
    assert (found.score, found.map, len(found.publish)) == ((), (), 1)


def test_tasks_cross_a_process_as_plain_json() -> None:
    spec = TranslateSpec(model="m", rna="a", atac="b", directions=BOTH)
    found = plan(spec, job="j", attempt=1, cells=CELLS, threads=2)
    for task in (*found.translate, *found.score, *found.map, *found.publish):
        assert json.loads(json.dumps(task.arguments)) == task.arguments
        assert task.arguments["threads"] == 2
