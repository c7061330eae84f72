"""Names and labels that would do something where they are shown, written or looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engine.intake.corpus.kit import CLEANED, attack, counts_of, good, skeleton, write_csr, write_frame, write_texts

MARKUP = "<img src=x onerror=alert(1)>"
FORMULAS = ("=1+1", "+1+1", "-1+1", '@SUM(A1)"', "\t=2+1", "\r=cmd|' /C calc'!A0")


def _with_labels(path: Path, labels: Any, column: str = "cell_type") -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        write_texts(file["obs"], column, labels)


def _with_names(path: Path, frame: str, names: Any) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        del file[f"{frame}/_index"]
        if isinstance(names, np.ndarray):
            file[frame].create_dataset("_index", data=names)
        else:
            write_texts(file[frame], "_index", names)


@attack(CLEANED)
def markup_in_labels(path: Path) -> None:
    """Accepted: the text survives as text, without its control and direction characters."""
    _with_labels(path, [MARKUP, f"B\x1b[31m{'b' * 500}", "=1+1", "T\u202ecell", "T\ncell", ""])


@attack(CLEANED)
def markup_in_barcodes(path: Path) -> None:
    _with_names(path, "obs", [f"<script>alert({i})</script>" for i in range(6)])


@attack(CLEANED)
def markup_in_gene_names(path: Path) -> None:
    _with_names(path, "var", [f"[x](javascript:alert({i}))<svg/onload=alert(1)>" for i in range(5)])


@attack(CLEANED)
def formulas_as_names_and_labels(path: Path) -> None:
    """Accepted: text here; what is exported as CSV has them quoted."""
    _with_labels(path, FORMULAS, column="=HYPERLINK(A1)")
    with h5py.File(path, "r+") as file:
        del file["obs/_index"], file["var/_index"]
        write_texts(file["obs"], "_index", FORMULAS)
        write_texts(file["var"], "_index", (*FORMULAS[:4], "=x"))


@attack(CLEANED)
def control_characters_in_names(path: Path) -> None:
    _with_names(path, "obs", [f"CELL\x07\x1b]0;owned\x07{i}\x9b31m\x7f" for i in range(6)])


@attack(CLEANED)
def text_that_runs_backwards(path: Path) -> None:
    _with_names(path, "var", [f"\u202e\u2066GENE{i}\u2069\u200f\ufeff" for i in range(5)])


@attack(CLEANED)
def nul_inside_names(path: Path) -> None:
    _with_names(path, "obs", np.array([b"CELL%d\x00hidden" % i for i in range(6)]))


@attack(CLEANED)
def names_that_are_no_utf8(path: Path) -> None:
    _with_names(path, "obs", np.array([b"CELL\xff\xfe\xc3%d" % i for i in range(6)]))


@attack(CLEANED)
def unpaired_surrogates_in_names(path: Path) -> None:
    _with_names(path, "obs", np.array([b"CELL\xed\xa0\x80%d" % i for i in range(6)]))


@attack(CLEANED)
def names_that_are_paths(path: Path) -> None:
    places = ("../../../../etc/passwd", "/etc/shadow", "..\\..\\boot.ini", "~/.ssh/id_rsa", "file:///etc/passwd", ".")
    _with_names(path, "obs", places)
    with h5py.File(path, "r+") as file:
        write_texts(file["obs"], "sample", places)


@attack(CLEANED)
def columns_named_like_paths(path: Path) -> None:
    """Accepted: a column that could mean another place in the copy is left out or renamed."""
    _with_labels(path, list("ababab"), column="..")
    with h5py.File(path, "r+") as file:
        for name in ("..\u202e", "_index\u200b", "\u2028", "a\\b", "__categories\u200b", MARKUP.replace("/", "")):
            write_texts(file["obs"], name, list("ababab"))


@attack(CLEANED)
def names_in_the_message_of_a_terminal(path: Path) -> None:
    _with_labels(path, list("ababab"), column="\x1b[2J\x1b]0;owned\x07type")


@attack("corrupt-matrix")
def a_matrix_with_control_characters_in_its_name(path: Path) -> None:
    """Refused for its counts; what is said of it must be clean text."""
    with skeleton(path) as file:
        write_csr(file, "layers/\x1b[31mcounts\u202e" + "x" * 5_000, -counts_of())


@attack("duplicate-names")
def duplicate_barcodes(path: Path) -> None:
    with skeleton(path, barcodes=["A", "B", "C", "A", "D", "E"]) as file:
        write_csr(file, "X", counts_of())


@attack("duplicate-names")
def barcodes_equal_once_cleaned(path: Path) -> None:
    with skeleton(path, barcodes=["A", "A\u202e", "C", "D", "E", "F"]) as file:
        write_csr(file, "X", counts_of())


@attack("duplicate-names")
def barcodes_equal_once_cut(path: Path) -> None:
    with skeleton(path, barcodes=["A" * 300 + str(i) for i in range(6)]) as file:
        write_csr(file, "X", counts_of())


@attack("duplicate-names")
def barcodes_that_are_all_empty(path: Path) -> None:
    with skeleton(path, barcodes=[""] * 6) as file:
        write_csr(file, "X", counts_of())


@attack("duplicate-names")
def duplicate_peaks(path: Path) -> None:
    with h5py.File(path, "w") as file:
        write_frame(file, "obs", [f"CELL{i}" for i in range(6)])
        write_frame(file, "var", ["chr1:10-20", "chr1-10-20", "chr1:30-40", "chr1:50-60", "chr1:70-80"])
        write_csr(file, "X", counts_of())


@attack(CLEANED)
def duplicate_genes(path: Path) -> None:
    """Accepted: repeats are numbered, as AnnData does."""
    _with_names(path, "var", ["GATA1", "GATA1", "GATA1-1", "GATA1", "SPI1"])


@attack("wrong-modality")
def genes_and_peaks_in_one_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        write_frame(file, "obs", [f"CELL{i}" for i in range(6)])
        write_frame(file, "var", ["GENE0", "GENE1", "GENE2", "chr1:10-20", "chr1:30-40"])
        write_csr(file, "X", counts_of())


@attack(CLEANED)
def peaks_beyond_any_chromosome(path: Path) -> None:
    _with_names(path, "var", [f"chr1:{i}-99999999999999999999" for i in range(5)])


@attack("corrupt-matrix")
def names_that_are_sequences(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        del file["obs/_index"]
        data = file["obs"].create_dataset("_index", (6,), h5py.vlen_dtype(np.int32))
        data[0] = np.arange(9)


@attack("corrupt-matrix")
def table_whose_names_are_arrays(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        del file["obs"]
        file["obs"] = np.zeros(6, dtype=[("index", "i4", (64, 64))])


@attack("corrupt-matrix")
def names_in_a_table_of_two_dimensions(path: Path) -> None:
    _with_names(path, "obs", np.array([[b"a", b"b"]] * 6))


@attack("not-anndata")
def table_without_names(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        del file["obs/_index"]


@attack("corrupt-matrix")
def codes_outside_their_categories_as_names(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        del file["obs/_index"]
        column = file.create_group("obs/_index")
        write_texts(column, "categories", list("abc"))
        column["codes"] = np.array([0, 1, 2, 99, 1, -5], dtype=np.int64)
