"""Every hostile or wrong file gives one clear message and leaves no trace."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import h5py
import pytest

from engine.errors import BadInput, NotHDF5, TooLarge, UnsafeFile
from engine.intake import CanonicalCells, Limits, canonicalise, look, run_in_child
from engine.intake.corpus.kit import canary_of
from tests.hostile import HOSTILE, MARKUP, counts_of, good, markup_in_labels, skeleton, write_csr


def test_the_file_without_a_fault_is_accepted(tmp_path: Path) -> None:
    good(tmp_path / "a.h5ad")
    assert canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad").cells == 6


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with skeleton(tmp_path / "a.h5ad") as file:
        file["X"] = h5py.ExternalLink("other.h5", "/X")
        file["layers/one"] = h5py.SoftLink("/nowhere")
        file.create_dataset("obsm/huge", (1 << 20, 1 << 20), "f4", chunks=(64, 64))
    with pytest.raises(UnsafeFile) as caught:
        look(tmp_path / "a.h5ad")
    for place in ("/X", "/layers/one", "/obsm/huge"):
        assert place in caught.value.message


def test_matrix_and_names_problems_are_told_together(tmp_path: Path) -> None:
    x = counts_of()
    x.data = x.data + 0.25
    with skeleton(tmp_path / "a.h5ad", barcodes=list("AABCDE")) as file:
        write_csr(file, "X", x)
    with pytest.raises(BadInput) as caught:
        canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    assert caught.value.code == "not-counts"
    assert "occur more than once" in caught.value.message


def test_the_message_says_what_was_seen_instead_of_counts(tmp_path: Path) -> None:
    HOSTILE["only_normalised_values"][0](tmp_path / "a.h5ad")
    with pytest.raises(BadInput, match=r"X: fractional values such as .*, max 2\.25"):
        canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")


@pytest.mark.parametrize(
    ("name", "said"),
    [("gzip_archive", "gzip"), ("csv_table", "CSV"), ("zip_archive", "zip"), ("web_page", "web page")],
)
def test_what_is_not_hdf5_is_named(name: str, said: str, tmp_path: Path) -> None:
    HOSTILE[name][0](tmp_path / "a.h5ad")
    with pytest.raises(NotHDF5, match=said):
        look(tmp_path / "a.h5ad")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.h5ad")
    with pytest.raises(NotHDF5, match="regular file"):
        look(tmp_path / "a.h5ad")


def test_links_inside_the_file_are_followed(tmp_path: Path) -> None:
    with skeleton(tmp_path / "a.h5ad") as file:
        write_csr(file, "kept", counts_of())
        file["X"] = h5py.SoftLink("/kept")
        file["again"] = file["kept"]
        file["kept/loop"] = file["/"]
    assert canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad").nnz == counts_of().nnz


def test_links_that_go_round_in_circles_are_refused(tmp_path: Path) -> None:
    with skeleton(tmp_path / "a.h5ad") as file:
        file["X"] = h5py.SoftLink("/Y")
        file["Y"] = h5py.SoftLink("/X")
    with pytest.raises(UnsafeFile):
        look(tmp_path / "a.h5ad")


def test_looking_reads_no_values_and_opens_no_other_file(tmp_path: Path) -> None:
    HOSTILE["virtual_dataset"][0](tmp_path / "a.h5ad")
    victim = canary_of(tmp_path / "a.h5ad")
    victim.unlink()
    os.mkfifo(victim)  # opening it would wait for ever
    ended = threading.Event()

    def refused() -> None:
        with pytest.raises(UnsafeFile):
            look(tmp_path / "a.h5ad")
        ended.set()

    threading.Thread(target=refused, daemon=True).start()
    assert ended.wait(10)


def test_markup_in_labels_survives_as_clean_text(tmp_path: Path) -> None:
    markup_in_labels(tmp_path / "a.h5ad")
    summary = canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad")
    with CanonicalCells.open(tmp_path / "clean.h5ad") as cells:
        labels = list(cells.obs["cell_type"])
    assert labels[0] == MARKUP
    assert labels[2:] == ["=1+1", "Tcell", "T cell", "(none)"]
    assert len(labels[1]) == 200
    assert "\x1b" not in labels[1]
    assert sum(summary.labels["cell_type"].values()) == 6


def test_limits_are_settings(tmp_path: Path) -> None:
    good(tmp_path / "a.h5ad")
    with pytest.raises(TooLarge):
        look(tmp_path / "a.h5ad", Limits(total_bytes=100))
    with pytest.raises(TooLarge, match="6 cells"):
        canonicalise(tmp_path / "a.h5ad", tmp_path / "clean.h5ad", limits=Limits(cells=5))


@pytest.mark.parametrize("name", ["external_link_as_x", "declares_320_gb", "indices_out_of_range", "plain_text"])
def test_the_child_gives_the_same_error_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    writer, code = HOSTILE[name]
    out = tmp_path / "out"
    out.mkdir()
    writer(tmp_path / "a.h5ad")
    with pytest.raises(BadInput) as here:
        canonicalise(tmp_path / "a.h5ad", out / "clean.h5ad")
    with pytest.raises(BadInput) as caught:
        run_in_child(tmp_path / "a.h5ad", out / "clean.h5ad")
    assert type(caught.value) is type(here.value)
    assert (caught.value.code, caught.value.message) == (code, here.value.message)
    assert list(out.iterdir()) == []
