"""What a training leaves behind to go on from: named tensors and a JSON document in one file, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def pack(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return save({**flat, "_": torch.zeros(1)}, metadata={"meta": json.dumps(dict(meta))})


def unpack(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Raises ValueError when it is no checkpoint."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        length = int.from_bytes(data[:8], "little")
        meta = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["meta"])
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError) as problem:
        raise ValueError(f"not a checkpoint: {problem}") from problem
    tensors.pop("_", None)
    return tensors, meta


def optimiser_tensors(optimiser: torch.optim.Optimizer, prefix: str = "optimiser") -> dict[str, Tensor]:
    """An optimiser's state, by parameter number and name."""
    state = optimiser.state_dict()["state"]
    return {
        f"{prefix}.{number}.{name}": torch.as_tensor(value)
        for number, fields in state.items()
        for name, value in fields.items()
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = "optimiser"
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix + "."):
            number, _, name = key[len(prefix) + 1 :].partition(".")
            state.setdefault(int(number), {})[name] = value
    document = optimiser.state_dict()
    optimiser.load_state_dict({**document, "state": state})


def module_tensors(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in module.state_dict().items()}


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(prefix + ".")}


class FolderCheckpoints:
    """Checkpoints as files of a folder; written beside, then renamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> bytes | None:
        path = self._folder / f"{name}.safetensors"
        return path.read_bytes() if path.is_file() else None

    def save(self, name: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"{name}.safetensors.partial"
        partial.write_bytes(data)
        partial.replace(self._folder / f"{name}.safetensors")
