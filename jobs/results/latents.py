"""A job's latents as they were kept, read back for decoding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engine.types import Latent, Modality, Names, as_names

LATENT = "X_crossview"
PLACE = "X_place"  # of a prediction that was given: the row of each cell in it, and the factor of its counts


@dataclass(frozen=True, eq=False)
class Kept:
    """latent: shape (n, k). barcodes: of the cells that were translated, shape (n,)."""

    latent: Latent
    barcodes: Names

    @cached_property
    def index(self) -> dict[str, int]:
        return {str(name): i for i, name in enumerate(self.barcodes)}


def read_latent(path: Path, source: Modality) -> Kept:
    """The latent of `<direction>/latent.h5ad`, or the places of `<direction>/cells.h5ad`."""
    import h5py
    import numpy as np

    with h5py.File(path, "r") as file:
        values = np.asarray(file["obsm"][LATENT if LATENT in file["obsm"] else PLACE][()], dtype=np.float32)
        obs = file["obs"]
        barcodes = as_names(obs[obs.attrs["_index"]].asstr()[:])
    return Kept(Latent(values, frozenset({source})), barcodes)
