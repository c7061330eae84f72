"""What an attempt must do, written to the store before it is submitted, with everything it will read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UnknownModel
from jobs import layout
from jobs.errors import NotFound
from jobs.keeping.actor import PERSON
from jobs.spec import model_digest, read_spec
from jobs.version import code_version
from storage.tables import datasets as dataset_table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.artifacts import ArtifactStore
    from storage.tables.jobs import JobRow

MANIFEST = "bundle.json"
# not read by workers, not covered by the digest
LEFT_OUT = frozenset({"example", "report.json", "predictability.npz", "CARD.md"})


def order_document(conn: DuckDBPyConnection, row: JobRow) -> dict[str, Any]:
    """The order of the row's attempt. Raises NotFound when its cells were deleted."""
    spec = read_spec(row.spec)
    inputs: dict[str, Any] = {}
    for name, id in spec.inputs.items():
        dataset = dataset_table.get(conn, id)
        if dataset is None or dataset.digest is None or dataset.deleted_at is not None:
            raise NotFound("The cells of this job were deleted.", hint="Bring them in again and submit a new job.")
        inputs[name] = {"key": layout.dataset(dataset.digest), "name": dataset.name, "id": id}
        if mends := dataset.summary.get("mends"):
            inputs[name]["mends"] = json.dumps(mends)
    return {
        "version": code_version(),
        "job": row.id,
        "attempt": row.attempt,
        "spec": spec.model_dump(mode="json"),
        "spec_digest": row.spec_digest,
        "datasets": inputs,
        "memory_step": row.memory_step,
        "whose": hashlib.sha256(row.owner.encode()).hexdigest()[:6] if row.owner != PERSON else "",
        "bundle_prefix": layout.bundle(bundle) if (bundle := model_digest(spec)) else "",
    }


def publish_order(store: ArtifactStore, document: dict[str, Any]) -> None:
    """Once per attempt; the same order written again is the same order."""
    key = layout.order(document["job"], document["attempt"])
    store.put_once(key, json.dumps(document, sort_keys=True, indent=1).encode())


def publish_bundle(store: ArtifactStore, digest: str, folder_of: Callable[[str], Path | None]) -> None:
    """The model's files, its manifest last: where that is, the others are. Raises UnknownModel."""
    prefix = layout.bundle(digest)
    if store.exists(prefix + MANIFEST):
        return
    folder = folder_of(digest)
    if folder is None:
        raise UnknownModel(
            f"The model {digest[:12]}… that this job asked for is not in the catalog any more.",
            hint="Submit a new job with the model as it is now.",
        )
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in LEFT_OUT]
    for path in sorted(files, key=lambda path: path.name == MANIFEST):
        store.put_file(prefix + path.name, path)
