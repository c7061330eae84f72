"""Checkpoints of a training job in the artifact store: any attempt, on any node, goes on from the last one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.errors import ArtifactMissing

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore


@dataclass(frozen=True)
class StoreCheckpoints:
    """One object a stage under the prefix, replaced whole: a store shows the old one or the new one."""

    store: ArtifactStore
    prefix: str

    def load(self, name: str) -> bytes | None:
        return read_or_none(self.store, self._key(name))

    def save(self, name: str, data: bytes) -> None:
        self.store.put_bytes(self._key(name), data)

    def clear(self) -> None:
        """Once what they led to is there."""
        self.store.delete_prefix(self.prefix)

    def _key(self, name: str) -> str:
        return self.prefix + re.sub(r"[^A-Za-z0-9_-]", "_", name)


def read_or_none(store: ArtifactStore, key: str) -> bytes | None:
    try:
        return store.get_bytes(key)
    except ArtifactMissing:
        return None
