"""Stored objects as local files: the store's own where it is a folder, a kept copy where it is far away."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import layout
from storage.artifacts import LocalStore
from storage.errors import CorruptObject
from storage.verified import verify

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Shelf:
    """cache: where copies of remote objects lie. Objects are immutable, so a copy is never stale."""

    store: ArtifactStore
    cache: Path

    def path(self, key: str, *, sha256: str | None = None) -> Path:
        """A file that stays as long as the object does, and has the bytes that were written.

        sha256: as recorded; of a dataset its key says it. Raises ArtifactMissing, CorruptObject.
        """
        sha256 = sha256 or layout.digest_in(key)
        path = self._path(key)
        if sha256 is None:
            return path
        try:
            verify(path, sha256, what=key, mend=_mend(key))
        except CorruptObject:
            if isinstance(self.store, LocalStore):
                raise
            path.unlink(missing_ok=True)  # the kept copy may be what is damaged, or came damaged: once more
            path = self._path(key)
            try:
                verify(path, sha256, what=key, mend=_mend(key))
            except CorruptObject:
                path.unlink(missing_ok=True)
                raise
        return path

    def _path(self, key: str) -> Path:
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
            kept = self.cache / prefix
            if kept.is_file():
                kept.unlink(missing_ok=True)
            shutil.rmtree(kept, ignore_errors=True)
            workers = self.cache / "bundles" / prefix.strip("/").replace("/", "-")  # of workers of this machine
            shutil.rmtree(workers, ignore_errors=True)


def _mend(key: str) -> str:
    if key.startswith("datasets/"):
        return "Bring the same cells in again: that replaces the damaged copy. Or restore it from a backup."
    return "Run the job again (`fresh`), or restore the file from a backup; then delete this job."
