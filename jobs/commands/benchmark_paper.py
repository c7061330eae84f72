"""`crossview benchmark paper`: the data sets of CrossMP's paper, and its tables made again from their files.

Each file is one sample. Three questions are asked where the files allow: cells parted by chance, as the paper did; a
whole sample held out; and with --test-on, cells of another protocol or laboratory.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from engine.errors import BadInput, BadSetting, CellsDoNotMatch
from engine.types import Cells, Modality, PairedCells, Split, as_names
from jobs.commands.benchmark import Asked, Say, benchmark, contenders_of, seeds_of
from jobs.commands.entries import Cohort
from jobs.commands.offline import make_split, taken, to_stderr, write_json

if TYPE_CHECKING:
    from engine.benchmark.papers import PaperSet

MODELS = ("crossmp", "babel", "scbutterfly")  # those of its Tables 2 and 3
SAMPLE = "sample"


def run(a: argparse.Namespace) -> int:
    from engine.benchmark.papers import SETS, paper_set

    if a.list:
        if a.json:
            print(json.dumps({"sets": [known.as_dict() for known in SETS.values()]}, ensure_ascii=False))
        else:
            print("\n".join(listed(SETS.values())))
        return 0
    names = [text for text in a.set or [] if "=" not in text]
    if len(names) != 1:
        raise BadSetting(
            "Name one data set of the paper with --set.", hint="`crossview benchmark paper --list` names them."
        )
    known = paper_set(names[0])
    if a.out is None or not (a.rna_atac or (a.rna and a.atac)):
        raise BadInput(
            f"{known.name} needs its files and a folder: --rna-atac FILTERED.h5 … --out DIR.", hint=known.where + "."
        )
    asked = Asked(
        contenders=contenders_of(a.models or _models(), a.contenders, [t for t in a.set if "=" in t]),
        seeds=seeds_of(a.seeds),
        out=a.out,
        device=a.device,
        threads=a.threads,
        jobs=max(1, a.jobs),
        label_column=a.label_column,
        ray=a.ray,
    )
    document = paper(asked, known, files=a.rna_atac or [], rna=a.rna, atac=a.atac, test_on=a.test_on, genome=a.genome)
    print(json.dumps(document, ensure_ascii=False) if a.json else (a.out / "paper.md").read_text(encoding="utf-8"))
    return 0


def _models() -> str:
    from engine.translators.registry import MODELS as KNOWN

    return ",".join(key for key in MODELS if key in KNOWN)


def listed(sets: Any) -> list[str]:
    """The paper's data sets, a few lines each."""
    lines = ["Data sets of CrossMP's paper (Table 1); scores as printed in its text."]
    for known in sets:
        cells = f", {known.cells:,} cells" if known.cells else ""
        lines += [f"{known.name}  {known.organism}{cells}: {known.what}", f"  from: {known.where}"]
        lines.append(f"  licence: {known.licence}")
        for key, value in known.printed.items():
            lines.append(f"  printed: {key.replace('/', ', ')} {value:.3f}")
    return lines


# -- cells of all files in one feature space -------------------------------------------------------------------------


@dataclass(frozen=True)
class Gathered:
    """All samples as one pair of clean copies, and which sample each cell is of. train: samples that may train."""

    rna: Path
    atac: Path
    pair: PairedCells
    train: tuple[str, ...]
    outside: str | None

    @property
    def column(self) -> str:
        """What whole samples are told by: files, or the GEM wells of one aggregated file."""
        if len(self.train) > 1:
            return SAMPLE
        return "gem_well" if "gem_well" in self.pair.rna.obs else ""


@contextmanager
def gathered(
    files: Sequence[str], *, rna: str | None, atac: str | None, test_on: str | None, say: Say
) -> Iterator[Gathered]:
    """Every sample in the features of the first: genes by name, peaks by overlap. Gone when the block ends."""
    sources = [(f, f) for f in files] or [(str(rna), str(atac))]
    outside = [(test_on, test_on)] if test_on else []
    pairs: dict[str, PairedCells] = {}
    with ExitStack() as stack:
        for one, other in (*sources, *outside):
            name = _sample_name(one, pairs)
            pairs[name] = _read(one, other, say)
        whole = _joined(pairs)
        folder = Path(stack.enter_context(_scratch()))
        paths = {m: _written(whole.of(m), folder) for m in Modality}
        names = list(pairs)
        train = names[: len(sources)]
        yield Gathered(paths[Modality.RNA], paths[Modality.ATAC], whole, tuple(train), names[-1] if outside else None)


def _scratch() -> Any:
    import tempfile

    return tempfile.TemporaryDirectory(prefix="crossview-")


def _sample_name(source: str, there: Mapping[str, Any]) -> str:
    name = source.rsplit("/", 1)[-1].split(".")[0]
    return name if name not in there else f"{name}-{len(there) + 1}"


def _read(rna: str, atac: str, say: Say) -> PairedCells:
    from engine.intake.canonical import CanonicalCells
    from engine.pairs import pair as pair_up

    found = {}
    for modality, source in ((Modality.RNA, rna), (Modality.ATAC, atac)):
        with taken(source, modality=modality, say=say) as copy, CanonicalCells.open(copy.path) as cells:
            found[modality] = cells.all()
    return pair_up(found[Modality.RNA], found[Modality.ATAC])[0]


def _joined(pairs: Mapping[str, PairedCells]) -> PairedCells:
    """Samples one under the other, barcodes prefixed by the sample's name where there are several."""
    first = next(iter(pairs.values()))
    return PairedCells(*(_stacked(pairs, first.of(m)) for m in Modality))


def _stacked(pairs: Mapping[str, PairedCells], like: Cells) -> Cells:
    from engine.preprocess.align import align

    counts, barcodes, samples = [], [], []
    several = len(pairs) > 1
    shared = set.intersection(*(set(pair.of(like.modality).obs) for pair in pairs.values()))
    obs: dict[str, list[str]] = {name: [] for name in sorted(shared - {SAMPLE})}
    for name, pair in pairs.items():
        cells = pair.of(like.modality)
        if cells.space.genome != like.space.genome and None not in (cells.space.genome, like.space.genome):
            raise CellsDoNotMatch(
                f"{name} is of {cells.space.genome}, the first file of {like.space.genome}.",
                hint="Give files of one genome build.",
            )
        counts.append(sp.csr_matrix(align(cells.space.names, like.space).apply(cells.counts)))
        barcodes += [f"{name}#{barcode}" if several else str(barcode) for barcode in cells.barcodes]
        samples += [name] * len(cells)
        for column, values in obs.items():
            values += [str(v) for v in cells.obs[column]]
    labels = {column: as_names(values) for column, values in obs.items()}
    whole = sp.csr_matrix(sp.vstack(counts), dtype=np.float32)
    return Cells(like.space, whole, as_names(barcodes), {**labels, SAMPLE: as_names(samples)})


def _written(cells: Cells, folder: Path) -> Path:
    """A clean copy as every entry reads it."""
    import anndata as ad
    import pandas as pd

    from engine.intake.canonical import canonicalise

    raw, clean = folder / f"{cells.modality.value}.raw.h5ad", folder / f"{cells.modality.value}.h5ad"
    table = pd.DataFrame({name: list(column) for name, column in cells.obs.items()}, index=list(cells.barcodes))
    ad.AnnData(X=cells.counts, obs=table, var=pd.DataFrame(index=list(cells.space.names))).write_h5ad(raw)
    canonicalise(raw, clean, modality=cells.modality)
    raw.unlink()
    return clean


# -- the questions ---------------------------------------------------------------------------------------------------


def paper(
    asked: Asked,
    known: PaperSet,
    *,
    files: Sequence[str] = (),
    rna: str | None = None,
    atac: str | None = None,
    test_on: str | None = None,
    genome: str | None = None,
    filters: Mapping[str, Any] | None = None,
    say: Say = to_stderr,
) -> dict[str, Any]:
    """A benchmark a split under OUT/by-cell, OUT/by-sample and OUT/test-on, and paper.json and paper.md over them.

    filters: settings of FilterSettings that differ from the paper's; fitted on the training cells of each split.
    """
    from engine.benchmark.markdown import paper_markdown
    from engine.benchmark.papers import COMPARABLE, beside_printed

    document: dict[str, Any] = {"set": known.as_dict(), "comparable": COMPARABLE, "benchmarks": {}, "printed": []}
    asked.out.mkdir(parents=True, exist_ok=True)
    with gathered(files, rna=rna, atac=atac, test_on=test_on, say=say) as found:
        for name, split in splits(found).items():
            path = asked.out / f"{name}.split.json"
            write_json(path, asdict(split))
            say(f"{known.name}, {name}: {len(split.train):,} training and {len(split.test):,} test cells")
            cohort = Cohort(str(found.rna), str(found.atac), str(path), genome, dict(filters or {}))
            column = found.column if name == "by-sample" else ""
            part = replace(asked, out=asked.out / name, batch_column=column, title=f"{known.name}, {name}")
            made = benchmark(part, cohort, say=say)
            document["benchmarks"][name] = made
            if name == "by-cell":
                document["printed"] = beside_printed(made, known)
    write_json(asked.out / "paper.json", document)
    (asked.out / "paper.md").write_text(paper_markdown(document), encoding="utf-8")
    return document


def splits(found: Gathered) -> dict[str, Split]:
    """by-cell: 70/15/15 by chance; by-sample: the last sample or GEM well judges; test-on: the outside file judges."""
    cells = found.pair.rna
    inside = cells.rows(np.flatnonzero(np.isin(cells.obs[SAMPLE].astype(str), found.train)))
    made = {"by-cell": make_split(inside, hold_out=None, seed=0)}
    if found.column:
        last = sorted(set(inside.obs[found.column]))[-1] if found.column != SAMPLE else found.train[-1]
        made["by-sample"] = make_split(inside, hold_out=f"{found.column}={last}", seed=0)
    if found.outside is not None:
        made["test-on"] = make_split(cells, hold_out=f"{SAMPLE}={found.outside}", seed=0)
    return made
