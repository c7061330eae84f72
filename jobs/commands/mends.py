"""The options of `inspect` and `translate` that mend an input on the way in, and what becomes of them."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadSetting
from jobs.mending import MendOptions, resolved, write_barcodes

if TYPE_CHECKING:
    from engine.intake.mends import Mends
    from engine.types import Modality

BUILDS = ("hg19", "hg38", "mm9", "mm10")


@dataclass(frozen=True)
class Wishes:
    """options: as an import takes them. genes: a table of id and symbol. cells: INPUT whose cells are the cells."""

    options: MendOptions = field(default_factory=MendOptions)
    genes: Path | None = None
    cells: str = ""


def add_mends(command: Any) -> None:
    """The options, for a command's parser."""
    mend = command.add_argument_group("mends")
    mend.add_argument("--layer", default="", help="the one matrix to take counts from: X, raw.X, or a layer's name")
    mend.add_argument(
        "--gene-ids", default="", metavar="symbol|ensembl|TABLE",
        help="name genes by the other names the file keeps, or by a table of id and symbol (features.tsv of any run)",
    )  # fmt: skip
    mend.add_argument(
        "--lift", default="", choices=BUILDS, help="the build of peaks or fragments: lift them to the model's"
    )
    mend.add_argument("--onto", default="", choices=BUILDS, help="the build wanted, where no model says it")
    mend.add_argument("--min-fragments", type=int, help="of a barcode that is a cell, for fragments.tsv.gz (1,000)")
    mend.add_argument("--cells", default="", metavar="INPUT", help="cells of fragments.tsv.gz: those of this RNA file")


def wishes_of(a: Namespace) -> Wishes:
    """Raises BadSetting for a table that is not there, ValidationError for an impossible number."""
    kept, table = a.gene_ids in ("", "symbol", "ensembl"), Path(a.gene_ids).expanduser()
    if not kept and not table.is_file():
        raise BadSetting(f"There is no table {a.gene_ids}.", hint="Give symbol, ensembl, or a file of id and symbol.")
    options = MendOptions(
        layer=a.layer, gene_ids=a.gene_ids if kept else "", lift=a.lift, onto=a.onto, min_fragments=a.min_fragments
    )
    return Wishes(options, None if kept else table, a.cells)


@contextmanager
def granted(
    wishes: Wishes | None, *, model: str | None, modality: Modality | None, say: Callable[[str], None]
) -> Iterator[Mends]:
    """The wishes as intake takes them, while the block lasts. model: id or folder, where one is named."""
    from jobs.catalog import resolve
    from jobs.commands.offline import taken
    from jobs.settings import Settings

    wishes = wishes or Wishes()
    with tempfile.TemporaryDirectory(prefix="crossview-") as folder:
        cells = None
        if wishes.cells:
            with taken(wishes.cells, modality=_rna(), say=say) as copy:
                cells = write_barcodes(copy.path, Path(folder) / "cells.txt")
        yield resolved(
            wishes.options,
            modality=modality,
            chains=Settings.from_env().chains,
            bundle=resolve(model) if model else None,
            genes=wishes.genes,
            cells=cells,
        )


def _rna() -> Modality:
    from engine.types import Modality

    return Modality.RNA
