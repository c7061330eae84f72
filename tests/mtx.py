"""10x folders and their archives, as Cell Ranger, GEO and others write them."""

from __future__ import annotations

import gzip

import numpy as np
import scipy.sparse as sp

from engine.intake.corpus.packs import Files, write_folder, write_tar, write_zip
from engine.types import PairedCells

__all__ = ["Files", "folder_files", "write_folder", "write_tar", "write_zip"]


def folder_files(
    pair: PairedCells, *, order: str = "cell", packed: bool = True, turned: bool = False, old: bool = False
) -> Files:
    """Both modalities as matrix.mtx, barcodes.tsv and features.tsv, by file name.

    order: of the entries, "cell", "feature" or "any". packed: as .gz. turned: cells × features.
    old: RNA alone, with genes.tsv, as Cell Ranger 2.
    """
    modalities = [pair.rna] if old else [pair.rna, pair.atac]
    counts = sp.coo_matrix(sp.hstack([cells.counts for cells in modalities]))
    row, column, value = counts.row, counts.col, counts.data.astype(int)
    at = {"cell": np.lexsort((column, row)), "feature": np.lexsort((row, column))}.get(
        order, np.random.default_rng(1).permutation(len(row))
    )
    cells, features = counts.shape
    first, second = (row, column) if turned else (column, row)
    size = f"{cells} {features}" if turned else f"{features} {cells}"
    lines = [f"{first[i] + 1} {second[i] + 1} {value[i]}" for i in at]
    matrix = "\n".join(
        ["%%MatrixMarket matrix coordinate integer general", "%metadata_json: {}", f"{size} {len(lines)}", *lines, ""]
    )
    kinds = {"rna": "Gene Expression", "atac": "Peaks"}
    table = "".join(
        f"ENSG{i:011d}\t{name}\n" if old else f"ENSG{i:011d}\t{name}\t{kinds[one.modality.value]}\n"
        for one in modalities
        for i, name in enumerate(one.space.names)
    )
    files = {
        "matrix.mtx": matrix.encode(),
        "barcodes.tsv": "".join(f"{name}-1\n" for name in pair.barcodes).encode(),
        "genes.tsv" if old else "features.tsv": table.encode(),
    }
    return {f"{name}.gz": gzip.compress(text) for name, text in files.items()} if packed else files
