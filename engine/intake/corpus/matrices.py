"""Matrices that contradict themselves, hold no counts, or are made of values of a strange kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp

from engine.intake.corpus.kit import CLEANED, attack, counts_of, good, skeleton, write_csr

HUGE = 2**62


def _csr(path: Path, **parts: Any) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of(), **parts)


def _dense(path: Path, values: Any) -> None:
    with skeleton(path) as file:
        file["X"] = values


def _value(number: float, kind: Any = np.float32) -> Any:
    data = counts_of().data.astype(kind)
    data[3] = number
    return data


@attack("not-counts")
def only_normalised_values(path: Path) -> None:
    x = counts_of()
    x.data = np.log1p(x.data * 1.7)
    with skeleton(path) as file:
        write_csr(file, "X", x)


@attack("not-counts")
def scaled_dense_values(path: Path) -> None:
    _dense(path, np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32))


@attack("not-counts")
def fractional_value_deep_inside(path: Path) -> None:
    x = sp.csr_matrix(np.ones((2_000, 200), dtype=np.float32))
    x.data[130_000] = 0.5
    with skeleton(path, 2_000, 200) as file:
        write_csr(file, "X", x)


@attack("no-cells")
def no_cells(path: Path) -> None:
    with skeleton(path, 0, 5) as file:
        write_csr(file, "X", sp.csr_matrix(np.zeros((0, 5), dtype=np.float32)))


@attack("no-cells")
def no_features(path: Path) -> None:
    with skeleton(path, 6, 0) as file:
        write_csr(file, "X", sp.csr_matrix(np.zeros((6, 0), dtype=np.float32)))


@attack("no-cells")
def all_zero(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", sp.csr_matrix(np.zeros((6, 5), dtype=np.float32)))


@attack("corrupt-matrix")
def indices_out_of_range(path: Path) -> None:
    indices = counts_of().indices.copy()
    indices[-1] = 2_000_000_000
    _csr(path, indices=indices)


@attack("corrupt-matrix")
def indices_that_wrap_around(path: Path) -> None:
    """In 32 bits they would be 0, 1, 2 …"""
    _csr(path, indices=counts_of().indices.astype(np.int64) + 2**32)


@attack("corrupt-matrix")
def negative_indices(path: Path) -> None:
    indices = counts_of().indices.copy()
    indices[0] = -7
    _csr(path, indices=indices)


@attack("corrupt-matrix")
def indices_with_a_fraction(path: Path) -> None:
    _csr(path, indices=counts_of().indices + 0.5)


@attack("corrupt-matrix")
def indptr_that_falls(path: Path) -> None:
    indptr = counts_of().indptr.copy()
    indptr[2] = indptr[5]
    _csr(path, indptr=indptr)


@attack("corrupt-matrix")
def indptr_that_wraps_around(path: Path) -> None:
    indptr = counts_of().indptr.astype(np.uint64)
    indptr[2] = np.uint64(2**64 - 1)
    _csr(path, indptr=indptr)


@attack("corrupt-matrix")
def indptr_that_overflows(path: Path) -> None:
    indptr = counts_of().indptr.astype(np.int64)
    indptr[2:5] = (HUGE, -HUGE, HUGE)
    _csr(path, indptr=indptr)


@attack("corrupt-matrix")
def indptr_that_runs_past_the_values(path: Path) -> None:
    indptr = counts_of().indptr.copy()
    indptr[-1] += 10
    _csr(path, indptr=indptr)


@attack("corrupt-matrix")
def indptr_that_starts_late(path: Path) -> None:
    indptr = counts_of().indptr.copy()
    indptr[0] = 1
    _csr(path, indptr=indptr)


@attack("corrupt-matrix")
def indptr_of_another_length(path: Path) -> None:
    _csr(path, indptr=counts_of().indptr[:-2])


@attack("corrupt-matrix")
def one_row_wider_than_the_matrix(path: Path) -> None:
    _csr(path, indptr=np.array([0] + [counts_of().nnz] * 6))


@attack("corrupt-matrix")
def csc_with_rows_out_of_range(path: Path) -> None:
    x = sp.csc_matrix(counts_of())
    with skeleton(path) as file:
        write_csr(file, "X", x, indices=x.indices + 6)


@attack("corrupt-matrix")
def csr_that_says_it_is_csc(path: Path) -> None:
    _csr(path)
    with h5py.File(path, "r+") as file:
        file["X"].attrs["encoding-type"] = "csc_matrix"


@attack("corrupt-matrix")
def shape_that_overflows(path: Path) -> None:
    _csr(path)
    with h5py.File(path, "r+") as file:
        file["X"].attrs["shape"] = np.array([HUGE, HUGE])


@attack("corrupt-matrix")
def negative_shape(path: Path) -> None:
    _csr(path)
    with h5py.File(path, "r+") as file:
        file["X"].attrs["shape"] = np.array([-6, -5])


@attack("corrupt-matrix")
def fewer_columns_than_names(path: Path) -> None:
    with skeleton(path, 6, 9) as file:
        write_csr(file, "X", counts_of())


@attack("corrupt-matrix")
def more_values_than_indices(path: Path) -> None:
    _csr(path, data=np.ones(counts_of().nnz + 1, dtype=np.float32))


@attack("corrupt-matrix")
def not_a_number(path: Path) -> None:
    _csr(path, data=_value(np.nan))


@attack("corrupt-matrix")
def infinite_counts(path: Path) -> None:
    _csr(path, data=_value(np.inf))


@attack("corrupt-matrix")
def negative_counts(path: Path) -> None:
    _csr(path, data=_value(-2))


@attack("corrupt-matrix")
def counts_beyond_float32(path: Path) -> None:
    _csr(path, data=_value(2**40, np.float64))


@attack("corrupt-matrix")
def counts_beyond_64_bits(path: Path) -> None:
    _csr(path, data=_value(2**64 - 1, np.uint64))


@attack("corrupt-matrix")
def repeated_entries_that_add_up(path: Path) -> None:
    data = np.full(30, 2.0**24, dtype=np.float32)
    indptr = np.arange(0, 31, 5)
    _csr(path, data=data, indices=np.zeros(30, dtype=np.int32), indptr=indptr)


@attack(CLEANED)
def repeated_entries(path: Path) -> None:
    """Accepted: added up, as scipy does."""
    _csr(path, data=np.ones(30, np.float32), indices=np.zeros(30, np.int32), indptr=np.arange(0, 31, 5))


@attack(CLEANED)
def indices_in_no_order(path: Path) -> None:
    _csr(path, data=np.ones(30, np.float32), indices=np.tile([4, 1, 3, 0, 2], 6), indptr=np.arange(0, 31, 5))


@attack("corrupt-matrix")
def complex_numbers(path: Path) -> None:
    _dense(path, np.ones((6, 5), dtype=np.complex64))


@attack("corrupt-matrix")
def records_as_values(path: Path) -> None:
    _dense(path, np.zeros((6, 5), dtype=[("a", "i4"), ("b", "f8")]))


@attack("corrupt-matrix")
def opaque_bytes_as_values(path: Path) -> None:
    _dense(path, np.zeros((6, 5), dtype="V8"))


@attack("corrupt-matrix")
def texts_as_values(path: Path) -> None:
    _dense(path, np.full((6, 5), b"1"))


@attack("corrupt-matrix")
def sequences_as_values(path: Path) -> None:
    with skeleton(path) as file:
        file.create_dataset("X", (6, 5), h5py.vlen_dtype(np.float32))


@attack("corrupt-matrix")
def arrays_as_values(path: Path) -> None:
    with skeleton(path) as file:
        file.create_dataset("X", (6, 5), np.dtype(("f4", (3, 3))))


@attack("corrupt-matrix")
def one_number_as_x(path: Path) -> None:
    _dense(path, np.float32(1))


@attack("corrupt-matrix")
def nothing_as_x(path: Path) -> None:
    _dense(path, h5py.Empty("f4"))


@attack("corrupt-matrix")
def three_dimensions(path: Path) -> None:
    _dense(path, np.ones((6, 5, 2), dtype=np.float32))


@attack("corrupt-matrix")
def thirty_dimensions(path: Path) -> None:
    _dense(path, np.ones((1,) * 30, dtype=np.float32))


@attack("corrupt-matrix")
def sparse_parts_that_are_groups(path: Path) -> None:
    with skeleton(path) as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": np.array([6, 5])})
        for part in ("data", "indices", "indptr"):
            group.create_group(part)


@attack("corrupt-matrix")
def records_nested_without_end(path: Path) -> None:
    """A type of records in records; deeper ones have broken readers of HDF5 types."""
    kind: Any = np.dtype("i1")
    for _ in range(200):
        kind = np.dtype([("x", kind)])
    with skeleton(path) as file:
        file.create_dataset("X", (6, 5), kind)


@attack("not-anndata")
def tables_that_are_numbers(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        del file["obs"]
        file["obs"] = np.ones((6, 2))


@attack("not-counts")
def fractions_in_a_type_of_their_own(path: Path) -> None:
    """A float of 16 bits with an exponent of 8, as HDF5 lets anybody declare."""
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)
    with skeleton(path) as file:
        h5py.h5d.create(file.id, b"X", kind, h5py.h5s.create_simple((6, 5)))
        file["X"][:] = np.random.default_rng(0).uniform(1, 2, size=(6, 5))


def _accepted(name: str, kind: Any) -> None:
    @attack(CLEANED, name=name)
    def write(path: Path) -> None:
        _dense(path, np.minimum(counts_of().toarray(), 1 if kind is bool else 9).astype(kind))


_accepted("big_endian_floats", ">f8")
_accepted("big_endian_integers", ">i2")
_accepted("half_precision", np.float16)
_accepted("long_doubles", np.longdouble)
_accepted("true_and_false", bool)
_accepted("whole_numbers_of_64_bits", np.uint64)


@attack(CLEANED)
def enumerated_counts(path: Path) -> None:
    """Accepted: the numbers behind the names are counts."""
    kind = h5py.enum_dtype({"ZERO": 0, "ONE": 1, "=2+5": 7}, basetype="i4")
    with skeleton(path) as file:
        file.create_dataset("X", data=np.tile([0, 1, 7, 0, 1], (6, 1)), dtype=kind)


@attack("corrupt-matrix")
def enumerated_negative_counts(path: Path) -> None:
    kind = h5py.enum_dtype({"LESS": -4, "ONE": 1}, basetype="i4")
    with skeleton(path) as file:
        file.create_dataset("X", data=np.full((6, 5), -4), dtype=kind)
