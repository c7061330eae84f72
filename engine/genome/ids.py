"""Ensembl gene ids and symbols of human and mouse, as GENCODE 48 and M37 have them (see data/README.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadSetting
from engine.types import Names, as_names

ORGANISMS = ("human", "mouse")
_DATA = Path(__file__).resolve().parent / "data"
_DIGITS = 11


@dataclass(frozen=True, eq=False)
class GeneIds:
    """number: of each id behind its prefix, ascending, shape (g,). symbol: of the same genes, shape (g,)."""

    release: str
    prefix: str
    number: NDArray[np.int64]
    symbol: Names

    @classmethod
    def load(cls, organism: str) -> GeneIds:
        """The shipped table, read once. Raises BadSetting for another organism than human or mouse."""
        return _load(organism)

    def __len__(self) -> int:
        return len(self.number)

    @cached_property
    def _symbol_of(self) -> Mapping[str, str]:
        return dict(zip(map(self._id, self.number.tolist()), self.symbol.tolist(), strict=True))

    @cached_property
    def _id_of(self) -> Mapping[str, str]:
        """The lowest id of each symbol: a few hundred symbols stand for several genes."""
        found: dict[str, str] = {}
        for number, symbol in zip(self.number.tolist(), self.symbol.tolist(), strict=True):
            found.setdefault(symbol, self._id(number))
        return found

    def _id(self, number: int) -> str:
        return f"{self.prefix}{number:0{_DIGITS}d}"

    def symbols(self, ids: Names) -> Names:
        """Of each Ensembl id, whatever its version; empty where the table does not know it, shape (len(ids),)."""
        known = self._symbol_of
        return as_names(known.get(id.partition(".")[0], "") for id in ids)

    def ids(self, symbols: Names) -> Names:
        """Of each symbol, without version; empty where the table does not know it, shape (len(symbols),)."""
        known = self._id_of
        return as_names(known.get(symbol, "") for symbol in symbols)


@cache
def _load(organism: str) -> GeneIds:
    if organism not in ORGANISMS:
        raise BadSetting(f"There is no table of gene ids of {organism!r}.", hint=f"Use {' or '.join(ORGANISMS)}.")
    with np.load(_DATA / f"{organism}.ids.npz", allow_pickle=False) as table:
        return GeneIds(
            str(table["release"]), str(table["prefix"]), table["number"],
            as_names(name.decode() for name in table["symbol"].tolist()),
        )  # fmt: skip
