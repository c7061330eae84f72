"""What may be asked to be mended on the way in, and what an operator's settings and a model make of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import BadSetting
from engine.types import Modality

if TYPE_CHECKING:
    from engine.intake.mends import Mends
    from jobs.models import Models
    from storage.artifacts import ArtifactStore
    from storage.database import Database

Genome = Literal["", "hg38", "hg19", "mm10", "mm9"]
OTHER: Mapping[str, Genome] = {"hg19": "hg38", "hg38": "hg19", "mm9": "mm10", "mm10": "mm9"}
NO_CELLS = "Name the dataset of the RNA of the same cells."
ASKED = "asked"  # where a dataset's summary keeps the wishes until the import has ended


class MendOptions(BaseModel):
    """Wishes of one import. model: on whose peaks fragments are counted, and onto whose genome peaks are lifted.

    layer: the one matrix to take counts from. gene_ids: name genes by what the file itself keeps. lift: the build the
    peaks are on now; onto: the wanted one (the model's, else the other build of the organism). min_fragments: of a
    barcode that is a cell; cells: a dataset whose cells they are instead. values: the file holds a prediction, of any
    scale, and no counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(default="", max_length=200)
    layer: str = Field(default="", max_length=200)
    gene_ids: Literal["", "symbol", "ensembl"] = ""
    lift: Genome = ""
    onto: Genome = ""
    min_fragments: int | None = Field(default=None, ge=1, le=10_000_000)
    cells: str = Field(default="", max_length=200)
    values: bool = False

    def asked(self) -> dict[str, Any]:
        """Only what was asked for."""
        return self.model_dump(exclude_defaults=True)


def resolved(
    options: MendOptions,
    *,
    modality: Modality | None,
    chains: Path | None,
    bundle: Path | None = None,
    genes: Path | None = None,
    cells: Path | None = None,
) -> Mends:
    """The wishes as paths and settings of this machine.

    modality: leaves out what only the other one needs. bundle: folder of the model. genes: a table of id and symbol.
    cells: barcodes, one a line. Raises BadSetting for a build that cannot be lifted here.
    """
    from engine.bundle import features_file, read_manifest
    from engine.intake.mends import MIN_FRAGMENTS, Mends

    manifest = read_manifest(bundle) if bundle is not None else None
    rna, atac = modality is not Modality.ATAC, modality is not Modality.RNA
    lift = options.lift if atac else ""
    onto = options.onto or _onto(lift, manifest.genome if manifest else None)
    return Mends(
        layer=options.layer,
        gene_ids=(str(genes) if genes is not None else options.gene_ids) if rna else "",
        lift=lift,
        onto=onto if lift else "",
        chain=str(chain_file(chains, lift, onto)) if lift else "",
        peaks=str(bundle / features_file(Modality.ATAC)) if bundle is not None and atac else "",
        genome=(manifest.genome or "") if manifest else "",
        of=manifest.id if manifest else "",
        min_fragments=options.min_fragments or MIN_FRAGMENTS,
        cells=str(cells) if cells is not None else "",
        values=options.values,
    )


def _onto(lift: str, wanted: str | None) -> str:
    return wanted if wanted is not None and wanted in OTHER and wanted != lift else OTHER.get(lift, "")


def chain_name(old: str, new: str) -> str:
    """As UCSC calls it: hg19ToHg38.over.chain.gz."""
    return f"{old}To{new.capitalize()}.over.chain.gz"


def chain_file(chains: Path | None, old: str, new: str) -> Path:
    """The operator's chain file from one build to another. Raises BadSetting saying where to put which."""
    name = chain_name(old, new)
    fetch = f"The operator can fetch {name} from UCSC (goldenPath/{old}/liftOver) and name its folder"
    if chains is None:
        raise BadSetting(
            f"Peaks of {old} cannot be lifted here: no chain files are set up.", hint=f"{fetch} in CROSSVIEW_CHAINS."
        )
    for path in (chains / name, chains / name.removesuffix(".gz")):
        if path.is_file():
            return path
    raise BadSetting(f"There is no {name} in the folder of chain files.", hint=f"{fetch}: CROSSVIEW_CHAINS.")


def for_import(
    asked: Mapping[str, Any],
    modality: Modality | None,
    *,
    models: Models,
    chains: Path | None,
    database: Database,
    store: ArtifactStore,
    work: Path,
) -> Mends:
    """The wishes of a dataset's row, for its import. work: where the names of another dataset's cells are put."""
    options = MendOptions(**asked)
    bundle = models.folder(options.model) if options.model else None
    cells = _cells_of(options.cells, database, store, work / "cells.txt") if options.cells else None
    return resolved(options, modality=modality, chains=chains, bundle=bundle, cells=cells)


def require_seen(asked: Mapping[str, Any], database: Database, models: Models) -> None:
    """While somebody asks: that what the wishes name is theirs to use. The import itself runs for nobody.

    Raises NotFound, UnknownModel.
    """
    from jobs.accounts import access
    from jobs.errors import NotFound
    from storage.tables import datasets as table

    if access.me() is None:
        return
    options = MendOptions(**asked)
    if options.model:
        models.folder(options.model)
    if options.cells:
        with database.read() as conn:
            row = table.get(conn, options.cells)
        if row is None or row.deleted_at is not None or not access.mine(row.owner):
            raise NotFound(f"There is no dataset {options.cells[:80]}.", hint=NO_CELLS)


def _cells_of(id: str, database: Database, store: ArtifactStore, into: Path) -> Path:
    from jobs import layout
    from jobs.errors import NotFound, NotReady
    from storage.tables import datasets as table

    with database.read() as conn:
        row = table.get(conn, id)
    if row is None or row.deleted_at is not None:
        raise NotFound(f"There is no dataset {id[:80]}.", hint=NO_CELLS)
    if row.digest is None:
        raise NotReady(f"{row.name} is not ready.", hint="Bring it in first.")
    with store.open_local(layout.dataset(row.digest)) as path:
        return write_barcodes(path, into)


def write_barcodes(copy: Path, into: Path) -> Path:
    """The cells of a canonical copy, one a line."""
    from engine.intake.canonical import CanonicalCells

    with CanonicalCells.open(copy) as cells:
        into.write_text("\n".join(cells.barcodes) + "\n", encoding="utf-8")
    return into
