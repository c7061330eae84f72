"""Rebuild the SNARE-seq cell-line mix from the package scPECA 2.0: the bundled example, or the cells to train on.

    python infra/dev/build_example.py --split pretrained/human-cell-lines-snareseq/split.json \\
        --part test --out pretrained/human-cell-lines-snareseq/example

writes `rna.h5ad` and `atac.h5ad`: raw counts as CSR, all 18,666 genes and 136,771 peaks (hg38), `obs["cell_type"]`.
The same wheel, split and library versions give the same bytes. Provenance: PROVENANCE.md beside the example.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import write_elem
from numpy.typing import NDArray
from wheels import SCPECA, fetched

INSIDE = "scPECA/4cellline/4cellline_sc{kind}.csv"
PARTS = ("train", "valid", "test", "all")


@dataclass(frozen=True, eq=False)
class Table:
    """One modality: counts of shape (n, f), cell names (n,), feature names (f,), labels (n,)."""

    counts: sp.csr_matrix
    cells: list[str]
    features: list[str]
    labels: list[str]

    def columns(self, order: NDArray[np.int64], names: list[str]) -> Table:
        counts = sp.csr_matrix(self.counts[:, order])
        counts.sort_indices()
        return Table(counts, self.cells, names, self.labels)

    def named(self, wanted: Sequence[str]) -> Table:
        position = {cell: i for i, cell in enumerate(self.cells)}
        rows = np.array([position[cell] for cell in wanted], dtype=np.int64)
        return Table(sp.csr_matrix(self.counts[rows]), list(wanted), self.features, [self.labels[i] for i in rows])


def read_table(wheel: Path, kind: str) -> Table:
    """The dense features × cells CSV, a line at a time (the ATAC one is 290 MB), turned to CSR cells × features."""
    with zipfile.ZipFile(wheel) as archive:
        meta = archive.read(INSIDE.format(kind=f"{kind}_meta")).decode().split()
        labels = dict(line.split(",") for line in meta)
        with archive.open(INSIDE.format(kind=kind)) as lines:
            cells = lines.readline().decode().strip().split(",")[1:]
            features, indices, values, sizes = [], [], [], [0]
            for line in lines:
                name, _, numbers = line.partition(b",")
                row = np.fromstring(numbers, dtype=np.int32, sep=",")
                if len(row) != len(cells):
                    raise SystemExit(f"{name.decode()} has {len(row)} values for {len(cells)} cells: wrong package?")
                found = np.flatnonzero(row)
                features.append(name.decode())
                indices.append(found.astype(np.int32))
                values.append(row[found].astype(np.float32))
                sizes.append(len(found))
    parts = (np.concatenate(values), np.concatenate(indices), np.cumsum(sizes))
    by_feature = sp.csr_matrix(parts, shape=(len(features), len(cells)))
    return Table(sp.csr_matrix(by_feature.T), cells, features, [labels[cell] for cell in cells])


def in_genome_order(atac: Table) -> Table:
    """Peaks sorted by position (chr1 … chr22, chrX, chrY), `chr1_1_2` renamed to `chr1:1-2`."""
    places = []
    for name in atac.features:
        chrom, start, end = name.rsplit("_", 2)
        number = chrom.removeprefix("chr")
        places.append((int(number) if number.isdigit() else 100 + ord(number[0]), int(start), int(end), chrom))
    order = sorted(range(len(places)), key=places.__getitem__)
    names = [f"{places[i][3]}:{places[i][1]}-{places[i][2]}" for i in order]
    return atac.columns(np.array(order, dtype=np.int64), names)


def read_pair(wheel: Path) -> tuple[Table, Table]:
    """RNA and ATAC of the 1,047 cells in the package, same cells in the same order."""
    rna, atac = read_table(wheel, "RNA"), in_genome_order(read_table(wheel, "ATAC"))
    if rna.cells != atac.cells or rna.labels != atac.labels:
        raise SystemExit("The package's RNA and ATAC cells differ: not the release this was written for.")
    return rna, atac


def write(table: Table, path: Path) -> None:
    """An .h5ad with plain string arrays, which R reads as well.

    Feature names have a fixed width: HDF5 compresses those, while strings of variable length stay as they are and
    would make 136,771 peak names larger than the counts.
    """
    packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    labels = pd.Categorical(table.labels)
    obs = pd.DataFrame({"cell_type": labels}, index=pd.Index(table.cells, dtype=object, name="barcode"))
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "X", table.counts, dataset_kwargs=packed)
        write_elem(file, "obs", obs)
        write_elem(file, "uns", {"genome": "hg38"})
        for empty in ("layers", "obsm", "varm", "obsp", "varp"):
            write_elem(file, empty, {})
        write_elem(file, "var", pd.DataFrame(index=pd.Index([], dtype=object, name="feature")))
        del file["var/feature"]
        names = file["var"].create_dataset("feature", data=np.array(table.features, dtype=np.bytes_), **packed)
        names.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def chosen(split: Path | None, part: str, every: list[str]) -> list[str]:
    """The cells to write: those of one part, of all parts, or every cell of the package without a split."""
    if split is None:
        return every
    sides = json.loads(split.read_text())
    names = [cell for side in PARTS[:-1] for cell in sides.get(side, [])] if part == "all" else list(sides[part])
    if lost := sorted(set(names) - set(every)):
        raise SystemExit(f"{len(lost)} cells of {split} are not in the package, such as {lost[0]}.")
    return names


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="the scPECA 2.0 wheel; downloaded with pip when not given")
    parser.add_argument("--split", type=Path, help="split.json; without it all 1,047 cells are written")
    parser.add_argument("--part", choices=PARTS, default="test", help="which cells of the split")
    parser.add_argument("--out", type=Path, required=True, help="folder to write rna.h5ad and atac.h5ad into")
    options = parser.parse_args(arguments)
    with fetched(SCPECA, options.wheel) as wheel:
        rna, atac = read_pair(wheel)
    cells = chosen(options.split, options.part, rna.cells)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, table in (("rna", rna), ("atac", atac)):
        write(table.named(cells), options.out / f"{name}.h5ad")
        print(f"{options.out / name}.h5ad: {len(cells)} cells × {len(table.features)} features")


if __name__ == "__main__":
    main()
