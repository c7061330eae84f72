"""Letting others see: a job with its results, or a model, to one user or to everybody who is signed in. Read only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.translators.registry import HOLDS_CELLS
from jobs.accounts import access
from jobs.accounts.users import Users
from jobs.accounts.views import ShareView
from jobs.errors import BadRequest, Conflict, NotFound
from jobs.keeping.audit import noted
from storage.tables import jobs as job_table
from storage.tables import models as model_table
from storage.tables import shares as table
from storage.tables import users as user_table
from storage.tables.jobs import JobRow
from storage.tables.shares import LAB, ShareRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.database import Database

Kind = Literal["job", "model"]
EVERYBODY = "everybody"


@dataclass(frozen=True)
class Sharing:
    database: Database
    users: Users

    def of(self, kind: str, object: str) -> list[ShareView]:
        """With whom I share it. Raises NotFound where it is not mine."""
        with self.database.read() as conn:
            self._mine(conn, kind, object)
            names = _names(conn)
            return [view(row, names) for row in table.of(conn, kind=kind, object=object)]

    def share(self, kind: str, object: str, with_whom: str) -> list[ShareView]:
        """with_whom: an address, or "everybody". Raises NotFound, Conflict, BadRequest."""
        with self.database.read() as conn:
            self._mine(conn, kind, object, giving=True)  # first: who owns nothing here learns of nobody
        reader = self._reader(with_whom)

        def write(conn: DuckDBPyConnection) -> None:
            owner = self._mine(conn, kind, object, giving=True)
            if reader == owner:
                raise BadRequest("It is yours already.", hint="Write the address of somebody else.")
            table.put(conn, ShareRow(kind=kind, object=object, owner=owner, reader=reader))

        self.database.write_now(noted(f"{kind}.share", object, write, reader=reader))
        return self.of(kind, object)

    def unshare(self, kind: str, object: str, with_whom: str) -> list[ShareView]:
        """with_whom: as `of` calls them. Raises NotFound."""
        with self.database.read() as conn:
            self._mine(conn, kind, object)
            names, asked = _names(conn), with_whom.strip().lower()
            found = [row.reader for row in table.of(conn, kind=kind, object=object) if _called(row, names) == asked]
        if not found:
            raise NotFound("It is not shared with them.", hint="Look at the list of those who see it.")

        def write(conn: DuckDBPyConnection) -> None:
            self._mine(conn, kind, object)
            for reader in found:
                table.remove(conn, kind=kind, object=object, reader=reader)

        self.database.write_now(noted(f"{kind}.unshare", object, write, reader=found[0]))
        return self.of(kind, object)

    def _reader(self, with_whom: str) -> str:
        return LAB if with_whom.strip().lower() == EVERYBODY else self.users.known_as(with_whom).id

    def _mine(self, conn: DuckDBPyConnection, kind: str, object: str, *, giving: bool = False) -> str:
        """The owner, which is whoever asks. Says of another's what it says of none."""
        if kind == "job":
            job = job_table.get(conn, object)
            if job is not None and access.mine(job.owner):
                if giving and carries_cells(job):
                    raise _carrying("The model of this training")
                return job.owner
        elif kind == "model":
            model = model_table.get(conn, object)
            if model is not None and access.mine(model.owner):
                if giving and model.holds_cells:
                    raise _carrying(model.name)
                return model.owner
        else:
            raise BadRequest(f"A {kind[:40]!r} cannot be shared.", hint="Share a job or a model.")
        raise NotFound(f"There is no {kind} {object[:80]!r}.", hint="It may have been deleted.")


def carries_cells(job: JobRow) -> bool:
    """Whether this is a training whose model holds, or will hold, the cells it is trained on."""
    made = ((job.result or {}).get("summary") or {}).get("holds_cells")
    return job.kind == "train" and bool(job.spec.get("model") in HOLDS_CELLS if made is None else made)


def _carrying(name: str) -> Conflict:
    return Conflict(
        f"{name} carries the cells it was trained on.",
        hint="Such a model is not shared: train one that does not hold cells, such as ridge.",
    )


def _names(conn: DuckDBPyConnection) -> dict[str, str]:
    return {row.id: row.email or row.name for row in user_table.find(conn)}


def _with(row: ShareRow, names: dict[str, str]) -> str:
    return EVERYBODY if row.reader == LAB else names.get(row.reader, row.reader)


def _called(row: ShareRow, names: dict[str, str]) -> str:
    return _with(row, names).strip().lower()


def view(row: ShareRow, names: dict[str, str]) -> ShareView:
    return ShareView.model_validate(
        {"kind": row.kind, "object": row.object, "with_whom": _with(row, names), "created_at": row.created_at}
    )
