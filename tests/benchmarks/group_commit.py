"""Outbox events written through the one writer thread, many at once against one by one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVENTS = 600


@dataclass
class Write:
    """one_by_one: wait for each commit before the next is asked for."""

    one_by_one: bool

    def prepare(self) -> None:
        import duckdb  # noqa: F401 - imported before the clock starts

    def __call__(self) -> int:
        from storage.database import Database
        from storage.tables import datasets

        with tempfile.TemporaryDirectory() as folder:
            database = Database.open(Path(folder) / "bench.duckdb")

            def insert(i: int) -> Any:
                row = datasets.DatasetRow(id=f"ds-{i}", name="cells.h5ad", state="importing")
                return lambda conn: datasets.insert(conn, row)

            waiting = []
            for i in range(EVENTS):
                future = database.write(insert(i))
                if self.one_by_one:
                    future.result()
                else:
                    waiting.append(future)
            for future in waiting:
                future.result()
            database.close()
        return EVENTS
