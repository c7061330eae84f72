"""Bringing cells in: fetch, clean in a child process, store by content. A failure leaves its row and nothing else.

One file may hold both modalities of its cells: it is then fetched once and becomes two datasets.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.types import Modality
from jobs import layout
from jobs.accounts import access
from jobs.errors import BadSource, NotReady
from jobs.failures import failure_of
from jobs.fetching import require_foreign, source_name, web_of, without_query
from jobs.keeping.audit import refusals
from jobs.keeping.gate import Gate
from jobs.keeping.quota import Quota
from jobs.mending import ASKED, MendOptions, for_import, require_seen
from jobs.models import Models
from jobs.notify.record import import_changed
from jobs.settings import Settings
from storage.files import display_name
from storage.tables import datasets as table
from storage.tables.datasets import DatasetRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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

    # -- one import ----------------------------------------------------------------------------------------------

    def _schedule(self, rows: Sequence[DatasetRow]) -> None:
        """Rows of one file, which is fetched once and goes when all were read."""
        future = self._pool.submit(self._run, rows)
        for row in rows:
            self._futures[row.id] = future
        future.add_done_callback(lambda _: [self._futures.pop(row.id, None) for row in rows])

    def _run(self, rows: Sequence[DatasetRow]) -> None:
        work = self.settings.scratch / rows[0].id
        upload: str | None = None
        failed: list[tuple[DatasetRow, Exception]] = []
        try:
            work.mkdir(parents=True)
            origin = self.origin(rows[0].origin)
            upload = origin.upload
            if (path := origin.path) is None:
                path = work / "original"
                origin = self._fetch(rows, origin, path)
            for row in rows:
                if (met := self._try(row, origin, path, work)) is not None:
                    failed.append((row, met))
        except Exception as error:
            failed = [(row, error) for row in rows]
        if failed and self._closing:
            return  # the next process starts it again
        self._clean_up(work, upload)  # before it is said: who sees the failure finds no trace
        for row, problem in failed:
            log.info("Dataset %s could not be brought in: %s", row.id, problem)
            self._change(
                row,
                state="failed",
                stage="",
                origin=without_query(row.origin),
                failure=failure_of(problem).model_dump(),
            )

    def _try(self, row: DatasetRow, origin: Origin, path: Path, work: Path) -> Exception | None:
        """The row made ready, or what it failed of: that costs the other row of the same file nothing."""
        try:
            clean = work / f"{row.id}.h5ad"
            digest, size, summary = self._bring(row, origin, path, clean)
            with self.content:  # nobody deletes the same content between our look and our word
                if not self.store.exists(layout.dataset(digest)):
                    self.store.put_file(layout.dataset(digest), clean)
                self._finish(row, digest, size, summary)
        except Exception as error:
            return error
        return None

    def _clean_up(self, work: Path, upload: str | None) -> None:
        shutil.rmtree(work, ignore_errors=True)
        if upload is not None:
            self.uploads.discard(upload)

    def _bring(self, row: DatasetRow, origin: Origin, path: Path, clean: Path) -> tuple[str, int, Summary]:
        """Digest and bytes of the canonical copy in the store, and what it holds. clean: where it is made."""
        from engine.intake.child import run_in_child
        from storage.files import sha256_of

        report = self._reporter(row)
        report("checking", 0, 0)
        modality = Modality(row.modality) if row.modality else None
        mends = for_import(
            row.summary.get(ASKED, {}), modality, models=self.models, chains=self.settings.chains,
            database=self.database, store=self.store, work=clean.parent,
        )  # fmt: skip
        summary = run_in_child(
            path,
            clean,
            modality=modality,
            source=origin.name,
            mends=mends,
            progress=lambda done, total: report("copying", done, total),
        )
        report("storing", 0, 0)
        digest, size = sha256_of(clean), clean.stat().st_size
        self.store.put_file(layout.dataset(digest), clean)  # also over a copy that is there: it may be damaged
        return digest, size, summary

    def _fetch(self, rows: Sequence[DatasetRow], origin: Origin, into: Path) -> Origin:
        """Downloads the file, which goes by the name that its server gives it from now on."""
        from storage.sources import Limits, fetch

        report = self._reporter(rows[0])

        def step(done: int, total: int) -> None:
            if self._closing:
                raise NotReady("The server is closing.", hint="It goes on when it is started again.")
            report("downloading", done, total)

        step(0, 0)
        found = fetch(
            str(origin.uri),
            into,
            profiles=self.profiles,
            web=web_of(self.settings),
            limits=Limits(max_bytes=self.settings.max_upload_bytes),
            progress=step,
        )
        for row in rows:
            half = f" ({(row.modality or '').upper()})"
            if row.name in (origin.name, origin.name + half):  # nobody gave it another
                self._change(row, name=row.name.replace(origin.name, found.name, 1))
        return replace(origin, name=found.name)

    def _finish(self, row: DatasetRow, digest: str, size: int, summary: Summary) -> None:
        self._change(
            row,
            state="ready",
            stage="",
            origin=without_query(row.origin),  # its permission is not needed any more
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
        def write(conn: DuckDBPyConnection) -> None:
            if table.change(conn, row.id, from_state="importing", **changes):
                import_changed(conn, row, changes)

        self.database.write_now(write)


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
