"""Which columns name batches, and a split.json as a request takes it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jobs.errors import BadInput
from jobs.spec import HoldOut

MOST_BATCHES = 200  # values of a column that can still be batches  # ours
_BATCH_WORDS = ("batch", "donor", "sample", "replicate", "library", "patient", "lane", "protocol")
_SIDES = ("train", "valid", "test")


def batch_columns(labels: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Columns of at least two values, those that sound like batches first."""
    fit = [name for name, counts in labels.items() if 2 <= len(counts) <= MOST_BATCHES]
    return sorted(fit, key=lambda name: (not any(word in name.lower() for word in _BATCH_WORDS), name))


def read_names(data: bytes) -> HoldOut:
    """The names on each side. Raises BadInput naming what is wrong."""
    try:
        given: Any = json.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise BadInput("This file is not JSON.", hint=f"{problem}. {_SHAPE}") from problem
    if not isinstance(given, dict) or not set(_SIDES) <= set(given):
        missing = ", ".join(s for s in _SIDES if not isinstance(given, dict) or s not in given)
        raise BadInput(f"The split has no {missing}.", hint=_SHAPE)
    names: dict[str, tuple[str, ...]] = {}
    for side in _SIDES:
        listed = given[side]
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise BadInput(f"“{side}” is no list of names.", hint=_SHAPE)
        names[side] = tuple(listed)
    for side in ("train", "test"):
        if not names[side]:
            raise BadInput(f"There is no cell under “{side}”.", hint=_SHAPE)
    return HoldOut.model_validate({"names": names})


_SHAPE = 'Write {"train": [names], "valid": [names], "test": [names]}.'
