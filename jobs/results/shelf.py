"""Stored objects as local files: the store's own where it is a folder, a kept copy where it is far away."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.artifacts import LocalStore

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Shelf:
    """cache: where copies of remote objects lie. Objects are immutable, so a copy is never stale."""

    store: ArtifactStore
    cache: Path

    def path(self, key: str) -> Path:
        """A file that stays as long as the object does. Raises ArtifactMissing."""
        if isinstance(self.store, LocalStore):
            with self.store.open_local(key) as path:
                return path
        kept = self.cache / key
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_name(f".{uuid.uuid4().hex}.partial")
            try:
                with self.store.open_local(key) as path:
                    shutil.copyfile(path, partial)
                os.replace(partial, kept)
            finally:
                partial.unlink(missing_ok=True)
        return kept

    def folder(self, prefix: str) -> Path:
        """A folder with everything under the prefix. Raises ArtifactMissing when that is nothing."""
        from storage.errors import ArtifactMissing

        paths = [self.path(key) for key in self.store.list(prefix)]
        if not paths:
            raise ArtifactMissing(f"The artifact store has nothing under {prefix}.")
        return paths[0].parent

    def forget(self, prefix: str) -> None:
        """Removes kept copies of what was deleted from the store."""
        if not isinstance(self.store, LocalStore):
            shutil.rmtree(self.cache / prefix, ignore_errors=True)
