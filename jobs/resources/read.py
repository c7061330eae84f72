"""What lies in the store of what an attempt took, read for whoever asks."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs import layout
from jobs.errors import NotFound
from jobs.resources.points import Record
from jobs.resources.together import together
from jobs.resources.views import ResourcesView
from jobs.submitting import row_of
from storage.errors import ArtifactMissing

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore
    from storage.database import Database

log = logging.getLogger(__name__)

MOST = 2_000  # processes of one attempt that are read  # ours


@dataclass(frozen=True)
class Resources:
    database: Database
    store: ArtifactStore

    def view(self, id: str, *, attempt: int = 0) -> ResourcesView:
        """attempt: the latest that left anything when 0. Raises NotFound. Also of what failed, as far as it got."""
        with self.database.read() as conn:
            row = row_of(conn, id, shared=True)
        if not 0 <= attempt <= row.attempt:
            raise NotFound(f"The job has no attempt {attempt}.", hint=f"It has 1 to {row.attempt}.")
        known = {n: keys for n in range(1, row.attempt + 1) if (keys := self.store.list(layout.resources(id, n)))}
        which = attempt or max(known, default=row.attempt)
        memory = (row.result or {}).get("memory_mb")
        return together(
            [record for key in known.get(which, ())[:MOST] if (record := self._record(key)) is not None],
            job=id,
            attempt=which,
            attempts=sorted(known),
            expected=int(float(memory) * 2**20) if memory else None,
        )

    def _record(self, key: str) -> Record | None:
        """None for what cannot be read: one process less is shown."""
        try:
            return Record.of(json.loads(self.store.get_bytes(key)))
        except (ArtifactMissing, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read: %s", key, error)
            return None
