"""Bringing cells in: fetch, clean in a child process, store by content. A failure leaves its row and nothing else."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.types import Modality
from jobs import layout
from jobs.errors import BadSource, NotReady
from jobs.failures import failure_of
from jobs.models import Models
from jobs.settings import Settings
from storage.files import display_name
from storage.tables import datasets as table
from storage.tables.datasets import DatasetRow

if TYPE_CHECKING:
    from engine.intake.canonical import Summary
    from storage.artifacts import ArtifactStore
    from storage.database import Database
    from storage.s3 import S3Profile
    from storage.uploads import UploadArea

log = logging.getLogger(__name__)

SAY_EVERY_S = 0.5  # how often progress is written to the row  # ours
Report = Callable[[str, int, int], None]  # stage, done, total


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
    _futures: dict[str, Future[None]] = field(default_factory=dict)
    _closing: bool = False

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.settings.import_workers, thread_name_prefix="import")
        shutil.rmtree(self.settings.scratch, ignore_errors=True)  # what a killed process left
        self.settings.scratch.mkdir(parents=True, exist_ok=True)

    def begin(self, source: str, *, modality: Modality | None, name: str) -> DatasetRow:
        """The row of an import that has begun. Raises BadSource, NotReady and kin for what can be refused at once."""
        origin = self.origin(source)
        if origin.upload is not None and (known := self._under_way(source)) is not None:
            return known  # asked twice: the file is there once, and goes when it was read
        row = DatasetRow(
            id=f"ds-{secrets.token_hex(6)}",
            name=display_name(name) if name.strip() else origin.name,
            state="importing",
            stage="waiting",
            modality=modality.value if modality else None,
            origin=source,
        )
        self.database.write_now(lambda conn: table.insert(conn, row))
        self._schedule(row)
        return row

    def _under_way(self, source: str) -> DatasetRow | None:
        with self.database.read() as conn:
            found = table.find(conn, state="importing", limit=10_000)
        return next((row for row in found if row.origin == source), None)

    def resume(self) -> None:
        """Starts again the imports that an earlier process left unfinished."""
        with self.database.read() as conn:
            left = table.find(conn, state="importing", limit=10_000)
        for row in reversed(left):
            self._schedule(row)

    def wait(self, id: str, timeout_s: float) -> None:
        """Until the import of this dataset has ended, or raises TimeoutError."""
        if (future := self._futures.get(id)) is not None:
            future.result(timeout_s)

    def close(self) -> None:
        """Lets what runs finish its child; what waits is started again by the next process."""
        self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def origin(self, source: str) -> Origin:
        """Where this is. Raises BadSource, UploadMissing, NotReady, UnknownModel, BadUri."""
        kind, separator, rest = source.partition(":")
        if separator and kind == "upload":
            return self._upload(rest)
        if separator and kind == "example":
            return self._example(rest)
        scheme = urlsplit(source).scheme if "://" in source else ""
        if scheme == "s3":
            from storage.s3 import parse_uri

            return Origin(name=parse_uri(source).name, uri=source)
        if scheme:
            raise BadSource(
                f"Cells cannot be fetched from {scheme}:// addresses.", hint="Upload the file, or give s3://bucket/key."
            )
        return self._path(source)

    def _upload(self, id: str) -> Origin:
        upload = self.uploads.get(id)
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
        if not real.is_file():
            raise BadSource(f"There is no file {path.name} there.", hint="Check the path.")
        return Origin(name=real.name, path=real)

    # -- one import ----------------------------------------------------------------------------------------------

    def _schedule(self, row: DatasetRow) -> None:
        future = self._pool.submit(self._run, row)
        self._futures[row.id] = future
        future.add_done_callback(lambda _: self._futures.pop(row.id, None))

    def _run(self, row: DatasetRow) -> None:
        work = self.settings.scratch / row.id
        upload: str | None = None
        try:
            work.mkdir(parents=True)
            origin = self.origin(row.origin)
            upload = origin.upload
            self._finish(row, *self._bring(row, origin, work))
        except Exception as error:
            if self._closing:
                return  # the next process starts it again
            log.info("Dataset %s could not be brought in: %s", row.id, error)
            self._clean_up(work, upload)  # before it is said: who sees the failure finds no trace
            self._change(row, state="failed", stage="", failure=failure_of(error).model_dump())
        else:
            self._clean_up(work, upload)

    def _clean_up(self, work: Path, upload: str | None) -> None:
        shutil.rmtree(work, ignore_errors=True)
        if upload is not None:
            self.uploads.discard(upload)

    def _bring(self, row: DatasetRow, origin: Origin, work: Path) -> tuple[str, int, Summary]:
        """Digest and bytes of the canonical copy in the store, and what it holds."""
        from engine.intake.child import run_in_child
        from storage.files import sha256_of

        report = self._reporter(row)
        path = origin.path or self._fetch(str(origin.uri), work / "original", report)
        clean = work / "clean.h5ad"
        report("checking", 0, 0)
        summary = run_in_child(
            path,
            clean,
            modality=Modality(row.modality) if row.modality else None,
            source=origin.name,
            progress=lambda done, total: report("copying", done, total),
        )
        report("storing", 0, 0)
        digest, size = sha256_of(clean), clean.stat().st_size
        if not self.store.exists(layout.dataset(digest)):
            self.store.put_file(layout.dataset(digest), clean)
        return digest, size, summary

    def _fetch(self, uri: str, into: Path, report: Report) -> Path:
        from storage.sources import Limits, fetch

        report("downloading", 0, 0)
        fetch(
            uri,
            into,
            profiles=self.profiles,
            limits=Limits(max_bytes=self.settings.max_upload_bytes),
            progress=lambda done, total: report("downloading", done, total),
        )
        return into

    def _finish(self, row: DatasetRow, digest: str, size: int, summary: Summary) -> None:
        self._change(
            row,
            state="ready",
            stage="",
            done=summary.cells,
            total=summary.cells,
            digest=digest,
            modality=summary.modality.value,
            cells=summary.cells,
            features=summary.features,
            genome=summary.genome,
            summary=summary.to_json(),
            uri=layout.dataset(digest),
            bytes=size,
        )

    def _reporter(self, row: DatasetRow) -> Report:
        last_stage, last_moment = "", 0.0

        def report(stage: str, done: int, total: int) -> None:
            nonlocal last_stage, last_moment
            now = time.monotonic()
            if stage == last_stage and now - last_moment < SAY_EVERY_S:
                return
            last_stage, last_moment = stage, now
            self._change(row, stage=stage, done=done, total=total)

        return report

    def _change(self, row: DatasetRow, **changes: Any) -> None:
        self.database.write_now(lambda conn: table.change(conn, row.id, from_state="importing", **changes))
