"""What its owner asks to be mended on the way in: which counts, which gene names, which genome build, which peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadSetting, FeatureMismatch, WrongModality
from engine.genome.chains import KEEP_LIFTED, SAME_LENGTH, Chain
from engine.genome.detect import detect, guess_gene_ids
from engine.genome.ids import ORGANISMS, GeneIds
from engine.genome.peaks import parse_known
from engine.intake.frames import text_column
from engine.intake.limits import Limits
from engine.intake.names import ENSEMBL, make_unique
from engine.intake.plan import SYMBOLS, Plan
from engine.intake.texts import table
from engine.types import FeatureSpace, Modality, Names, as_names

MIN_FRAGMENTS = 1_000  # a barcode with fewer is no cell; the default of ArchR's createArrowFiles (minFrags)
ENOUGH = 0.5  # share of the genes that a table of names must know  # ours
SHIPPED = 0.25  # the same of the tables that come with CrossView: nearly half of all ids have no symbol  # ours
KINDS = ("symbol", "ensembl")
ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id", "ensembl", "Accession")


@dataclass(frozen=True, slots=True)
class Mends:
    """Wishes of one import; all empty by default. Paths are of this machine and chosen by the operator's side.

    layer: the one matrix that may be taken for counts (X, raw.X, or a layer's name). values: take it as a prediction.
    gene_ids: "symbol" or "ensembl", from what the file itself keeps, else by GENCODE; or the path of a table of both.
    lift: the build the peaks are on now; onto: the wanted one; chain: the path of its UCSC chain file.
    peaks: path of peak names, one a line, that fragments are counted on; genome: their build; of: whose they are.
    min_fragments: of a barcode that is a cell; cells: path of barcodes, one a line, that are the cells instead.
    """

    layer: str = ""
    gene_ids: str = ""
    lift: str = ""
    onto: str = ""
    chain: str = ""
    peaks: str = ""
    genome: str = ""
    of: str = ""
    min_fragments: int = MIN_FRAGMENTS
    cells: str = ""
    values: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """What must be readable beside the source."""
        named = (self.chain, self.peaks, self.cells, "" if self.gene_ids in KINDS else self.gene_ids)
        return tuple(Path(name).absolute() for name in named if name)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Mends:
        return cls(**(document or {}))


def mended(file: Any, plan: Plan, mends: Mends, limits: Limits) -> tuple[Plan, list[dict[str, Any]]]:
    """The plan with its features renamed or lifted as was asked, and a record of each mend.

    Raises WrongModality, FeatureMismatch or BadSetting when a mend does not apply to this file.
    """
    done: list[dict[str, Any]] = []
    if mends.values:
        done.append({"what": "values"})
    if mends.layer:
        done.append({"what": "layer", "layer": mends.layer})
    if mends.gene_ids:
        plan, said = _renamed(file, plan, mends.gene_ids, limits)
        done.append(said)
    if mends.lift:
        plan, said = _lifted(plan, mends, limits)
        done.append(said)
    return plan, done


def _renamed(file: Any, plan: Plan, wish: str, limits: Limits) -> tuple[Plan, dict[str, Any]]:
    if plan.space.modality is not Modality.RNA:
        raise WrongModality("Gene ids were asked for, but the file holds peaks.", hint="Leave --gene-ids out.")
    if wish in KINDS:
        names, source = _of_file(file, plan, ensembl=wish == "ensembl")
    else:
        names, source = _by_table(plan.space.names, Path(wish), limits)
    changed = int((names != plan.space.names).sum())
    fresh, repeated = make_unique(names)
    said = f"{changed:,} of {len(fresh):,} genes were renamed by {source}, such as {_example(plan.space.names, fresh)}."
    if repeated:
        said += f" {len(repeated):,} names then occurred more than once and were numbered."
    space = FeatureSpace(Modality.RNA, fresh, detect(fresh, Modality.RNA).genome)
    record = {"what": "gene-ids", "by": source, "renamed": changed, "of": len(fresh), "repeated": len(repeated)}
    return replace(plan, space=space, notes=(*plan.notes, said)), record


def _example(before: Names, after: Names) -> str:
    changed = np.flatnonzero(before != after)
    return f"{before[changed[0]]} to {after[changed[0]]}" if changed.size else "none: they were named so already"


def _of_file(file: Any, plan: Plan, *, ensembl: bool) -> tuple[Names, str]:
    """Names of the wanted kind that the file keeps beside those in use."""
    frame = plan.found.matrix.features
    wanted = [
        *((f"{frame}/{name}") for name in (ID_COLUMNS if ensembl else SYMBOLS)),
        *((f"{frame}/_index", f"{frame}/index")),
        f"matrix/features/{'id' if ensembl else 'name'}",
        f"row_attrs/{'Accession' if ensembl else 'Gene'}",
    ]
    for path in wanted:
        texts = text_column(file, plan.layout, path)
        if texts is None or not len(texts):
            continue
        if plan.columns is not None and len(texts) > int(plan.columns.max(initial=-1)):
            texts = texts[plan.columns]
        if len(texts) == len(plan.space) and _mostly(texts, ensembl=ensembl):
            filled = [text or name for text, name in zip(texts, plan.space.names, strict=True)]
            return as_names(filled), path.removeprefix("/")
    if _mostly(plan.space.names, ensembl=ensembl):
        return plan.space.names, "the names in use"
    if (shipped := _shipped(plan.space.names, ensembl=ensembl)) is not None:
        return shipped
    kind = "Ensembl ids" if ensembl else "symbols"
    raise FeatureMismatch(
        f"The file keeps no {kind} of its genes beside names such as {plan.space.names[0]}.",
        hint="Give a table of ids and symbols instead: --gene-ids features.tsv.gz of any Cell Ranger output of the "
        "same organism.",
    )


def _shipped(names: Names, *, ensembl: bool) -> tuple[Names, str] | None:
    """Names by our own table of the organism; None where it is another, or the table knows too few of them."""
    guess = guess_gene_ids(names)
    if guess.organism not in ORGANISMS:
        return None
    table = GeneIds.load(guess.organism)
    found = table.ids(names) if ensembl else table.symbols(names)
    if int((found != "").sum()) < SHIPPED * len(names):
        return None
    return np.where(found == "", names, found), table.release


def _mostly(names: Names, *, ensembl: bool) -> bool:
    filled = [name for name in names if name]
    ids = sum(ENSEMBL.match(name) is not None for name in filled)
    return 2 * len(filled) > len(names) and (2 * ids > len(filled)) is ensembl


def _by_table(names: Names, path: Path, limits: Limits) -> tuple[Names, str]:
    """Names through a table of two columns (id, symbol), in the direction that knows them."""
    if not path.is_file():
        raise BadSetting(f"There is no table {path.name}.", hint="Give symbol, ensembl, or a file of id and symbol.")
    rows = [row for row in table(path, limits, called=path.name, most=limits.features) if len(row) > 1 and all(row[:2])]
    ways: list[tuple[dict[str, str], int]] = []
    for here, there in ((0, 1), (1, 0)):
        known: dict[str, str] = {}
        for row in rows:
            known.setdefault(_bare(row[here]), row[there])
        ways.append((known, sum(_bare(name) in known for name in names)))
    known, found = max(ways, key=lambda way: way[1])
    if found < ENOUGH * len(names):
        raise FeatureMismatch(
            f"{path.name} knows {found:,} of the {len(names):,} genes, such as {names[0]}.",
            hint="Give a table of the same organism and the same kind of ids: id and symbol, parted by a tab.",
        )
    return as_names(known.get(_bare(name), name) for name in names), path.name


def _bare(name: str) -> str:
    """Ensembl ids without their version; other names as they are."""
    return name.partition(".")[0] if ENSEMBL.match(name) else name


def _lifted(plan: Plan, mends: Mends, limits: Limits) -> tuple[Plan, dict[str, Any]]:
    if plan.space.modality is not Modality.ATAC:
        raise WrongModality("Peaks were to be lifted over, but the file holds genes.", hint="Leave --lift out.")
    peaks, peak_f = parse_known(plan.space.names)
    chain = Chain.read(Path(mends.chain), limits=limits)
    lifted = chain.lift(peaks)
    names = np.full(len(plan.space), "", dtype=object)
    names[np.flatnonzero(peak_f)[lifted.kept]] = lifted.peaks.names
    first, twin_f = _first_of_each(names)
    kept = np.flatnonzero(first)
    counts = {**lifted.dropped, "twins": int(twin_f.sum()), "no_peaks": int((~peak_f).sum())}
    if len(kept) < KEEP_LIFTED * len(plan.space):
        raise FeatureMismatch(
            f"Only {len(kept):,} of {len(plan.space):,} peaks could be lifted from {mends.lift} to {mends.onto}.",
            hint=f"Are they on {mends.lift}? `crossview inspect` says what the peaks themselves tell.",
        )
    said = (
        f"{len(kept):,} of {len(plan.space):,} peaks were lifted from {mends.lift} to {mends.onto}; left out were "
        f"{counts['unmapped']:,} with an end that has no place there, {counts['split']:,} split apart, "
        f"{counts['resized']:,} changed in length by more than {SAME_LENGTH:.0%}, {counts['twins']:,} twice the same."
    )
    columns = kept if plan.columns is None else plan.columns[kept]
    space = FeatureSpace(Modality.ATAC, as_names(names[kept]), mends.onto)
    record = {
        "what": "lift", "from": mends.lift, "to": mends.onto, "chain": chain.name, "sha256": chain.sha256,
        "kept": len(kept), "of": len(plan.space), **counts,
    }  # fmt: skip
    return replace(plan, space=space, columns=columns, notes=(*plan.notes, said)), record


def _first_of_each(names: Sequence[str] | Names) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which names are there and new, and which repeat an earlier one; empty ones are neither."""
    seen: set[str] = set()
    new, again = np.zeros(len(names), dtype=bool), np.zeros(len(names), dtype=bool)
    for i, name in enumerate(names):
        if name:
            new[i], again[i] = name not in seen, name in seen
            seen.add(name)
    return new, again
