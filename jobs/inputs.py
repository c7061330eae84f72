"""The datasets a job reads, by what each is to it: there, ready, and of the kind that was meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.errors import NotCounts, WrongModality
from engine.types import Modality
from jobs.accounts import access
from jobs.errors import NotFound, NotReady
from jobs.failures import error_of
from jobs.views import Failure
from storage.tables import datasets as dataset_table
from storage.tables.datasets import DatasetRow

if TYPE_CHECKING:
    from storage.database import Database

PREDICTION = "prediction"


def ready_inputs(database: Database, given: Mapping[str, str | None]) -> dict[str, DatasetRow]:
    """Ready rows by name; `rna` and `atac` hold what they are called.

    Raises NotFound, NotReady, WrongModality, NotCounts, or what the import failed of.
    """
    found: dict[str, DatasetRow] = {}
    for name, id in given.items():
        if id is None:
            continue
        row = dataset_row(database, id)
        if row.state == "failed":
            raise error_of(Failure.model_validate(row.failure))
        if row.state == "cancelled":
            raise NotReady(f"The import of {row.name} was stopped.", hint="Bring the cells in again.")
        if row.state != "ready":
            raise NotReady(f"{row.name} is still being brought in.", hint="Wait until the dataset is ready.")
        if name in set(Modality) and row.modality != name:
            raise WrongModality(
                f"{row.name} holds {str(row.modality).upper()}, and was given as {name.upper()}.",
                hint="Give genes as rna and peaks as atac.",
            )
        if name != PREDICTION and row.summary.get("values"):
            raise NotCounts(
                f"{row.name} was brought in as a prediction: it holds no counts.",
                hint="Score it as a prediction (New job, Score a prediction), or bring in the counts of these cells.",
            )
        found[name] = row
    return found


def dataset_row(database: Database, id: str) -> DatasetRow:
    with database.read() as conn:
        row = dataset_table.get(conn, id)
    if row is None or row.deleted_at is not None or not access.mine(row.owner):
        raise NotFound(f"There is no dataset {id[:80]!r}.", hint="It may have been deleted: bring it in again.")
    return row
