"""Names and labels of a hostile file reach pages and exported tables as text."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from app.components.saving import to_csv
from app.present import plain
from engine.intake import CanonicalCells, canonicalise
from engine.intake.corpus import CORPUS
from engine.intake.corpus.names import MARKUP
from jobs.assemble import csv_of
from jobs.spreadsheet import STARTS, harmless


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    """Everything a file full of formulas brings into a clean copy: names, labels, the label's name."""
    CORPUS["formulas_as_names_and_labels"].write(tmp_path / "a.h5ad")
    canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    with CanonicalCells.open(tmp_path / "clean.h5ad") as cells:
        return [*cells.obs, *cells.names, *cells.barcodes, *next(iter(cells.obs.values()))]


def test_the_file_does_bring_formulas(texts: list[str]) -> None:
    assert {text[:1] for text in texts} >= set("=+-@")


def test_no_cell_and_no_column_of_a_job_s_table_starts_a_formula(texts: list[str]) -> None:
    assert _formulas(csv_of(dict.fromkeys(texts[:3], texts)).decode()) == []


def test_no_cell_and_no_column_of_a_page_s_table_starts_a_formula(texts: list[str]) -> None:
    table = pd.DataFrame(dict.fromkeys(texts[:3], texts))
    assert _formulas(to_csv(table.assign(kind=pd.Categorical(texts)))) == []


def test_text_that_is_no_formula_and_numbers_stay_as_they_are() -> None:
    assert harmless("CD3E") == "CD3E"
    assert harmless("") == ""
    assert csv_of({"gain": [-0.5, None]}) == b'gain\n-0.5\n""\n'
    assert to_csv(pd.DataFrame({"gain": [-0.5]})) == "gain\n-0.5\n"


def test_markup_is_shown_as_it_is_written() -> None:
    shown = plain(MARKUP + "[x](javascript:alert(1)) :red[x]")
    assert not any(f"{sign}" in shown.replace(f"\\{sign}", "") for sign in "<>[]():")


def _formulas(document: str) -> list[str]:
    cells = [cell for row in csv.reader(io.StringIO(document)) for cell in row]
    assert len(cells) > 20
    return [cell for cell in cells if cell[:1] in STARTS]
