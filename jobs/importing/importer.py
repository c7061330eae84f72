"""Cells asked for: from where they may come, in what order they are brought in, and how that is stopped.

One file may hold both modalities of its cells: it is then fetched once and becomes two datasets.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types import Modality
from jobs.accounts import access
from jobs.errors import BadSource, Conflict, NotReady
from jobs.fetching import require_foreign, source_name, without_query
from jobs.importing.bringing import Bringing
from jobs.keeping.audit import noted, refusals
from jobs.keeping.gate import Gate
from jobs.keeping.quota import Quota
from jobs.mending import ASKED, MendOptions, require_seen
from jobs.models import Models
from jobs.settings import Settings
from storage.files import display_name
from storage.tables import datasets as table
from storage.tables.datasets import DatasetRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.artifacts import ArtifactStore
    from storage.database import Database
    from storage.s3 import S3Profile
    from storage.uploads import UploadArea


@dataclass(frozen=True, slots=True)
class Origin:
    """Where cells come from. path: here already; uri: to be fetched; upload: to be discarded afterwards."""

    name: str
    path: Path | None = None
    uri: str | None = None
    upload: str | None = None


@dataclass
class Importer:
    """A bounded pool of imports; each is a thread that drives one child process without credentials."""

    settings: Settings
    database: Database
    store: ArtifactStore
    uploads: UploadArea
    models: Models
    profiles: dict[str, S3Profile]
    _pool: ThreadPoolExecutor = field(init=False)
    _going: dict[str, Bringing] = field(default_factory=dict)
    closing: bool = False
    gate: Gate = field(init=False)
    content: threading.Lock = field(default_factory=threading.Lock)  # held while a stored copy is counted on, or goes

    def __post_init__(self) -> None:
        self.gate = Gate(Quota(self.settings, self.database, self.uploads))
        self._pool = ThreadPoolExecutor(self.settings.import_workers, thread_name_prefix="import")
        shutil.rmtree(self.settings.scratch, ignore_errors=True)  # what a killed process left
        self.settings.scratch.mkdir(parents=True, exist_ok=True)

    def begin(
        self, source: str, *, modality: Modality | None, name: str, mends: MendOptions | None = None
    ) -> DatasetRow:
        """The row of an import that has begun. Raises BadSource, NotReady and kin for what can be refused at once."""
        origin = self.origin(source)
        if origin.upload is not None and (known := self._of(source)):
            return known[0]  # asked twice: the file is there once, and goes when it was read
        row = _row(source, name=display_name(name) if name.strip() else origin.name, modality=modality, mends=mends)
        self._begin([row], origin)
        return row

    def begin_pair(self, source: str, *, name: str, mends: MendOptions | None = None) -> tuple[DatasetRow, DatasetRow]:
        """As `begin`, for one file of both modalities: the rows of its RNA and its ATAC."""
        if source.startswith("example:"):
            raise BadSource("An example is two files.", hint="Bring in example:MODEL/rna and example:MODEL/atac.")
        origin = self.origin(source)
        if origin.upload is not None and (known := self._of(source)):
            halves = {row.modality: row for row in known}
            if {m.value for m in Modality} != set(halves):
                raise NotReady(f"{known[0].name} is being brought in by itself.", hint="Upload the file again.")
            return halves[Modality.RNA.value], halves[Modality.ATAC.value]
        called = display_name(name) if name.strip() else origin.name
        rna, atac = (_row(source, name=f"{called} ({m.value.upper()})", modality=m, mends=mends) for m in Modality)
        self._begin([rna, atac], origin)
        return rna, atac

    def _begin(self, rows: Sequence[DatasetRow], origin: Origin) -> None:
        require_seen(rows[0].summary.get(ASKED, {}), self.database, self.models)
        elsewhere = origin.path is not None and origin.upload is None
        size = origin.path.stat().st_size if origin.path is not None and elsewhere else 0
        with refusals(self.database, "dataset.import", rows[0].id):
            self.database.write_now(self.gate.datasets(rows, size=size))
        self._schedule(rows)

    def _of(self, source: str) -> list[DatasetRow]:
        """What was brought in from there, or is about to be; of an upload that is still there, what it goes with."""
        with self.database.read() as conn:
            return [row for row in table.find(conn, owner=access.only(), limit=10_000) if row.origin == source]

    def resume(self) -> None:
        """Starts again the imports that an earlier process left unfinished."""
        with self.database.read() as conn:
            left = table.find(conn, state="importing", limit=10_000)
        together: dict[str, list[DatasetRow]] = {}
        for row in reversed(left):
            # Rows of one upload need its file together; other sources can be read again.
            together.setdefault(row.origin if row.origin.startswith("upload:") else row.id, []).append(row)
        for rows in together.values():
            self._schedule(rows)

    def wait(self, id: str, timeout_s: float) -> None:
        """Until the import of this dataset has ended, or raises TimeoutError."""
        if (bringing := self._going.get(id)) is not None:
            bringing.wait(timeout_s)

    def close(self) -> None:
        """Lets what runs finish its child; what waits is started again by the next process."""
        self.closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def origin(self, source: str) -> Origin:
        """Where this is. Raises BadSource, UploadMissing, NotReady, UnknownModel, BadUri."""
        kind, separator, rest = source.partition(":")
        if separator and kind == "upload":
            return self._upload(rest)
        if separator and kind == "example":
            return self._example(rest)
        scheme, found, _ = source.partition("://")
        scheme = scheme.lower() if found and scheme.isalnum() else ""
        if scheme == "s3":
            from storage.s3 import parse_uri

            name = parse_uri(source).name
            require_foreign(source, self.settings)
            return Origin(name=name, uri=source)
        if scheme in ("https", "http"):
            return Origin(name=source_name(source, self.settings.fetch), uri=source)
        if scheme:
            raise BadSource(
                f"Cells cannot be fetched from {scheme}:// addresses.",
                hint="Upload the file, or give s3://bucket/key or an https:// address.",
            )
        return self._path(source)

    def _upload(self, id: str) -> Origin:
        upload = self.uploads.get(id, owner=access.only())
        if not upload.finished:
            raise NotReady(f"{upload.received:,} bytes of {upload.name} have arrived so far.", hint="Finish it first.")
        return Origin(name=upload.name, path=self.uploads.finish(id).path, upload=id)

    def _example(self, rest: str) -> Origin:
        model, _, word = rest.partition("/")
        if word not in {m.value for m in Modality}:
            raise BadSource(f"example:{rest} names no example.", hint="Write example:MODEL/rna or example:MODEL/atac.")
        path = self.models.example(model, Modality(word))
        if path is None:
            raise BadSource(
                f"The model {model} has no {word} example.", hint="`crossview models show` says what it has."
            )
        return Origin(name=f"{model} example, {word.upper()}", path=path)

    def _path(self, source: str) -> Origin:
        roots = self.settings.import_roots
        try:
            path = Path(source).expanduser()
            real = path.resolve()
        except (OSError, ValueError, RuntimeError):
            raise BadSource("This is no path of a file.", hint="Check how it is written.") from None
        if not path.is_absolute() or not any(real.is_relative_to(root) for root in roots):
            opened = ", ".join(str(root) for root in roots) or "none"
            raise BadSource(
                "Files are read only from folders that the operator opened.",
                hint=f"Open ones: {opened} (CROSSVIEW_IMPORT_ROOTS). Or upload the file.",
            )
        require_foreign(real, self.settings)
        if real.is_dir() and _is_tenx(real, roots):
            return Origin(name=real.name, path=real)
        if not real.is_file():
            raise BadSource(f"There is no file {path.name} there.", hint="Check the path.")
        return Origin(name=real.name, path=real)

    # -- imports that wait or run ---------------------------------------------------------------------------------

    def _schedule(self, rows: Sequence[DatasetRow]) -> None:
        """Rows of one file, which is fetched once and goes when all were read."""
        bringing = Bringing(self, rows)
        bringing.future = self._pool.submit(bringing.run)
        for row in rows:
            self._going[row.id] = bringing
        bringing.future.add_done_callback(lambda _: [self._going.pop(row.id, None) for row in rows])

    def cancel(self, row: DatasetRow) -> None:
        """Stops this import, whose dataset is then cancelled for good; asking twice is asking once.

        Nothing of it is left when this returns: where its worker is held up, what it wrote is taken away from it.
        Raises Conflict where it has ended already.
        """

        def mark(conn: DuckDBPyConnection) -> bool:
            changes = {"state": "cancelled", "stage": "", "origin": without_query(row.origin)}
            return table.change(conn, row.id, from_state="importing", **changes)

        if not self.database.write_now(noted("dataset.cancel", row.id, mark)):
            with self.database.read() as conn:
                found = table.get(conn, row.id)
            if found is None or found.state != "cancelled":
                how = "could not be brought in" if found and found.state == "failed" else "are here"
                said = f"The import of {row.name} has ended already: its cells {how}."
                raise Conflict(said, hint="There is nothing to stop; what is not wanted can be deleted.")
        if (bringing := self._going.get(row.id)) is not None:
            bringing.stop(row.id)


def _row(source: str, *, name: str, modality: Modality | None, mends: MendOptions | None) -> DatasetRow:
    """A dataset that is about to be brought in. Its wishes stand in the summary until there is one."""
    asked = mends.asked() if mends is not None else {}
    return DatasetRow(
        id=f"ds-{secrets.token_hex(6)}",
        owner=access.owner(),
        name=name,
        state="importing",
        stage="waiting",
        modality=modality.value if modality else None,
        origin=source,
        summary={ASKED: asked} if asked else {},
    )


def _is_tenx(folder: Path, roots: Sequence[Path]) -> bool:
    """Whether this is a 10x folder, none of whose files leads out of what the operator opened."""
    from engine.intake.mtx import role

    files = [path for path in folder.iterdir() if role(path.name) is not None]
    if not all(any(path.resolve().is_relative_to(root) for root in roots) for path in files):
        raise BadSource("A file of this folder is a link to a place that is not open.", hint="Copy the file itself.")
    return bool(files)
