"""Too much of something: objects, links, attributes, depth, texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engine.intake.corpus.kit import CLEANED, attack, cell_names, counts_of, good, skeleton, write_csr, write_frame

MANY = 21_000


@attack("too-large")
def many_large_arrays(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        for i in range(700):
            file.create_dataset(f"obsm/part{i}", (6_000, 5_000), np.float32, chunks=(64, 1024))


@attack("too-large")
def more_groups_than_any_file_needs(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+", libver="latest") as file:
        uns = file.create_group("uns")
        for i in range(MANY):
            h5py.h5g.create(uns.id, b"%d" % i)


@attack("too-large")
def more_hard_links_than_any_file_needs(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+", libver="latest") as file:
        uns = file.create_group("uns")
        for i in range(MANY):
            uns.id.links.create_hard(b"%d" % i, file.id, b"X")


@attack("too-large")
def more_soft_links_than_any_file_needs(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+", libver="latest") as file:
        uns = file.create_group("uns")
        for i in range(MANY):
            uns.id.links.create_soft(b"%d" % i, b"/X")


@attack("too-large")
def more_external_links_than_any_file_needs(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+", libver="latest") as file:
        uns = file.create_group("uns")
        for i in range(MANY):
            uns.id.links.create_external(b"%d" % i, b"/dev/zero", b"/")


@attack("too-large")
def bottomless_groups(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        file.create_group("uns/" + "/".join("deep" for _ in range(60)))


@attack("too-large")
def groups_a_thousand_deep(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        file.create_group("/".join("d" for _ in range(1_000)))


@attack("too-large")
def more_attributes_than_any_file_needs(path: Path) -> None:
    """One attribute a thousand times on each of many groups, which are one group under many names in no file."""
    good(path)
    with h5py.File(path, "r+", libver="latest") as file:
        first = file.create_group("uns/0")
        for i in range(1_000):
            first.attrs[f"a{i}"] = np.int8(1)
        for i in range(1, 52):
            h5py.h5o.copy(first.id, b".", file["uns"].id, b"%d" % i)


@attack(CLEANED)
def one_enormous_attribute(path: Path) -> None:
    """Accepted: an attribute nobody needs is not read."""
    good(path)
    with h5py.File(path, "r+", libver="latest") as file:
        notes = file.create_group("uns").attrs
        notes["note"] = np.zeros(16 << 20, dtype=np.uint8)
        notes["shape"] = np.zeros(4 << 20, dtype=np.int64)


@attack("corrupt-matrix")
def sparse_form_said_by_a_thousand_texts(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        del file["X"].attrs["encoding-type"]
        file["X"].attrs.create("encoding-type", ["csr_matrix"] * 250, dtype=h5py.string_dtype())


def _point_all_at_the_last(path: Path, data: str, *, sparing: int) -> None:
    """Make every text of a contiguous data set but the first few the last one: 16 bytes for a text of any length."""
    with h5py.File(path, "r") as file:
        start, count = file[data].id.get_offset(), file[data].shape[0]
    with path.open("rb+") as stream:
        stream.seek(start + 16 * (count - 1))
        last = stream.read(16)
        stream.seek(start + 16 * sparing)
        stream.write(last * (count - sparing))


def _text_bomb(path: Path, frame: str, column: str, *, megabytes: int, sparing: int) -> None:
    cells = 40_000
    with h5py.File(path, "w") as file:
        write_frame(file, "obs", cell_names(cells))
        write_frame(file, "var", ["GENE0"])
        file["X"] = np.ones((cells, 1), dtype=np.int8)
        texts = [f"T{i % 9}" for i in range(cells - 1)] if column != "_index" else cell_names(cells - 1)
        if column in file[frame]:
            del file[frame][column]
        data = file[frame].create_dataset(column, (cells,), h5py.string_dtype())
        data[:] = [*texts, "A" * (megabytes << 20)]
    _point_all_at_the_last(path, f"{frame}/{column}", sparing=sparing)


@attack("too-large")
def names_that_are_all_one_long_text(path: Path) -> None:
    _text_bomb(path, "obs", "_index", megabytes=10, sparing=0)


@attack("too-large")
def names_that_become_one_long_text_later(path: Path) -> None:
    _text_bomb(path, "obs", "_index", megabytes=40, sparing=17_000)


@attack("too-large")
def labels_that_are_all_one_long_text(path: Path) -> None:
    _text_bomb(path, "obs", "cell_type", megabytes=10, sparing=100)


@attack("too-large")
def texts_that_send_hdf5_in_circles(path: Path) -> None:
    """A heap whose first object is free space of no size: HDF5 2.0 looks for the next one at the same place."""
    good(path)
    raw = bytearray(path.read_bytes())
    first = raw.index(b"GCOL") + 16
    raw[first : first + 16] = bytes(16)
    path.write_bytes(raw)


@attack("too-large")
def name_that_claims_a_gigabyte(path: Path) -> None:
    """In a file of kilobytes: HDF5 reserves it before it looks."""
    good(path)
    with h5py.File(path, "r") as file:
        start = file["obs/_index"].id.get_offset()
    with path.open("rb+") as stream:
        stream.seek(start)
        stream.write((1 << 30).to_bytes(4, "little"))


@attack("too-large")
def names_of_10_mb(path: Path) -> None:
    with skeleton(path, barcodes=[str(i) + "A" * 10_000_000 for i in range(6)]) as file:
        write_csr(file, "X", counts_of())


@attack("too-large")
def names_of_a_fixed_10_mb(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        del file["obs/_index"]
        file.create_dataset("obs/_index", data=np.array([b"%d" % i + b"A" * 10_000_000 for i in range(6)]))


@attack("too-large")
def names_of_a_fixed_gigabyte(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        del file["obs/_index"]
        file.create_dataset("obs/_index", (6,), "S1000000000", chunks=(1,), compression="gzip")


@attack(CLEANED)
def names_of_100_kb(path: Path) -> None:
    """Accepted: they are cut."""
    with skeleton(path, barcodes=[str(i) + "A" * 100_000 for i in range(6)]) as file:
        write_csr(file, "X", counts_of())


@attack(CLEANED)
def a_category_for_every_atom(path: Path) -> None:
    """Accepted without the label: it has far more categories than cells."""
    _categorical(path, np.arange(200_000).astype("S8"), np.zeros(6, dtype=np.int32))


@attack(CLEANED)
def codes_for_more_cells_than_there_are(path: Path) -> None:
    """Accepted without the label, whose 20 million codes are not read."""
    _categorical(path, np.array([b"a"]), np.zeros(20_000_000, dtype=np.int8))


def _categorical(path: Path, categories: Any, codes: Any) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        column = file.create_group("obs/cell_type")
        column.attrs["encoding-type"] = "categorical"
        column.create_dataset("categories", data=categories)
        column.create_dataset("codes", data=codes)


@attack(CLEANED)
def ten_thousand_columns(path: Path) -> None:
    """Accepted: some columns are looked at, twenty kept."""
    with skeleton(path, barcodes=cell_names(6)) as file:
        write_csr(file, "X", counts_of())
        obs, kind, space = file["obs"].id, h5py.h5t.C_S1.copy(), h5py.h5s.create_simple((6,))
        kind.set_size(1)
        for i in range(10_000):
            h5py.h5d.create(obs, b"c%d" % i, kind, space)


@attack("too-large")
def more_cells_than_are_allowed(path: Path) -> None:
    cells = 20_000_001
    with h5py.File(path, "w") as file:
        write_frame(file, "var", ["GENE0"])
        obs = file.create_group("obs")
        obs.attrs["_index"] = "_index"
        obs.create_dataset("_index", data=np.zeros(cells, dtype="S1"))
        file["X"] = np.ones((cells, 1), dtype=np.int8)
