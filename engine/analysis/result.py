"""What every analysis returns: plain tables, a few figures, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.metrics.scores import plain

if TYPE_CHECKING:
    import pandas as pd

IMPUTED_CAUTION = (
    "Imputed values of different cells come from one model and are not independent observations: p-values on them are "
    "not valid as such. Rank by score and effect, and confirm on raw cells."
)


@dataclass(frozen=True, eq=False)
class Analysis:
    """One finished analysis.

    what: its name. tables: pandas frames by name, one row a record, columns of numbers, flags and text only.
    figures: the few numbers a reader asks for first. settings: what was chosen. cautions: how not to read it.
    """

    what: str
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON's own types: figures, settings and cautions, and of each table its columns and length."""
        return {
            "what": self.what,
            "figures": plain(self.figures),
            "settings": plain(self.settings),
            "cautions": list(self.cautions),
            "tables": {name: {"rows": len(t), "columns": list(map(str, t.columns))} for name, t in self.tables.items()},
        }
