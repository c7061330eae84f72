"""Which genes lie near which peaks: the one thing the model knows before it sees a cell."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from engine.genome.activity import activity_matrix
from engine.genome.genes import TABLES, GeneModels
from engine.genome.peaks import parse_known
from engine.types import FeatureSpace, empty_csr


def nearby_genes(peaks: FeatureSpace, genes: FeatureSpace) -> sp.csr_matrix:
    """Weights of the gene activity score (`engine.genome.activity`) over the model's peaks and genes, shape (p, g).

    Empty where the genome is not known; rows of peaks without a place and columns of genes without a name in it are.
    """
    if peaks.genome not in TABLES:
        return empty_csr(len(peaks), len(genes))
    models = GeneModels.load(peaks.genome)
    placed, known_p = parse_known(peaks.names)
    links = activity_matrix(placed, models)
    found = [(column, models.index[name]) for column, name in enumerate(map(str, genes.names)) if name in models.index]
    if not found:
        return empty_csr(len(peaks), len(genes))
    columns, models_g = np.array(found).T
    entries = sp.coo_matrix(links[:, models_g])
    rows = np.flatnonzero(known_p)[entries.row]
    return sp.csr_matrix((entries.data, (rows, columns[entries.col])), shape=(len(peaks), len(genes)))
