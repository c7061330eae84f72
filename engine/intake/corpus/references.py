"""References to objects and regions where AnnData never stores any."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from engine.intake.corpus.kit import attack, counts_of, good, skeleton, write_csr


@attack("unsafe-file")
def object_references_as_values(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        file["uns/pointers"] = np.array([file["obs"].ref, file["X"].ref], dtype=h5py.ref_dtype)


@attack("unsafe-file")
def object_references_as_x(path: Path) -> None:
    with skeleton(path) as file:
        file.create_dataset("X", (6, 5), h5py.ref_dtype)


@attack("unsafe-file")
def object_references_as_labels(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        file["obs/cell_type"] = np.array([file["X"].ref] * 6, dtype=h5py.ref_dtype)


@attack("unsafe-file")
def region_references_as_values(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        file["uns/regions"] = np.array([file["X/data"].regionref[0:2]], dtype=h5py.regionref_dtype)


@attack("unsafe-file")
def region_reference_in_an_attribute(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        data = file["X/data"]
        data.attrs["region"] = data.regionref[0:2]


@attack("unsafe-file")
def references_inside_a_compound(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        kind = np.dtype([("number", "i4"), ("pointer", h5py.ref_dtype)])
        file.create_dataset("uns/table", (3,), kind)


@attack("unsafe-file")
def references_inside_sequences(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        file.create_dataset("uns/rows", (3,), h5py.vlen_dtype(h5py.ref_dtype))


@attack("unsafe-file")
def categories_that_are_a_reference_elsewhere(path: Path) -> None:
    """AnnData 0.7 kept such an attribute on columns of its tables, and nowhere else."""
    good(path)
    with h5py.File(path, "r+") as file:
        file["X/data"].attrs["categories"] = file["obs"].ref
