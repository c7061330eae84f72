"""How a translator becomes files and back: fitted steps, weights and settings; no pickle anywhere.

`preprocess.npz` holds the fitted steps' arrays; `weights.safetensors` the weights, with the settings as its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadBundle

STEPS, WEIGHTS = "preprocess.npz", "weights.safetensors"


@dataclass(frozen=True, eq=False)
class State:
    """settings: plain JSON. steps: fitted preprocessing. weights: everything else that was learned."""

    settings: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, NDArray[Any]] = field(default_factory=dict)
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)

    def write(self, into: Path) -> None:
        from safetensors.numpy import save_file

        into.mkdir(parents=True, exist_ok=True)
        save_arrays(into / STEPS, self.steps)
        weights = {name: np.ascontiguousarray(value) for name, value in self.weights.items()}
        if not weights:  # safetensors refuses an empty file
            weights = {"none": np.zeros(1, dtype=np.float32)}
        save_file(weights, into / WEIGHTS, metadata={"settings": json.dumps(self.settings, sort_keys=True)})
        (into / WEIGHTS).chmod((into / STEPS).stat().st_mode)  # safetensors writes for the owner alone

    @classmethod
    def read(cls, source: Path) -> State:
        """Raises BadBundle naming the file that is missing or unreadable."""
        from safetensors import safe_open

        try:
            with np.load(source / STEPS, allow_pickle=False) as file:
                steps = {name: file[name] for name in file.files}
            with safe_open(source / WEIGHTS, framework="numpy") as file:
                settings = json.loads((file.metadata() or {}).get("settings", "{}"))
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except Exception as problem:
            raise BadBundle(
                f"The model's {STEPS} or {WEIGHTS} cannot be read: {problem}.", hint="Fetch the model again."
            ) from problem
        return cls(settings, steps, weights)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """An .npz of these arrays, by name in alphabetical order, without pickle: the same arrays give the same bytes."""
    ordered: dict[str, Any] = {name: np.asarray(arrays[name]) for name in sorted(arrays)}
    np.savez_compressed(path, allow_pickle=False, **ordered)


def csr_arrays(prefix: str, matrix: sp.csr_matrix) -> dict[str, NDArray[Any]]:
    """A CSR matrix as three arrays and its shape, for files without pickle."""
    return {
        f"{prefix}.data": matrix.data.astype(np.float32),
        f"{prefix}.indices": matrix.indices.astype(np.int32),
        f"{prefix}.indptr": matrix.indptr.astype(np.int64),
        f"{prefix}.shape": np.array(matrix.shape, dtype=np.int64),
    }


def csr_from(prefix: str, arrays: dict[str, NDArray[Any]]) -> sp.csr_matrix:
    parts = (arrays[f"{prefix}.data"], arrays[f"{prefix}.indices"], arrays[f"{prefix}.indptr"])
    rows, columns = (int(v) for v in arrays[f"{prefix}.shape"])
    return sp.csr_matrix(parts, shape=(rows, columns))
