"""From a backup to a new home: everything checked on the way, and nothing is there before all of it is."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.keeping.archive import Archive, Manifest
from jobs.keeping.audit import check, entry
from jobs.keeping.backup import wanted_of
from jobs.keeping.errors import BadBackup, NotEmpty
from jobs.keeping.views import BackupView
from storage import dump, migrate
from storage.artifacts import LocalStore, check_key, store_from_uri
from storage.database import Connection, Database
from storage.errors import ArtifactMissing

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore
    from storage.s3 import S3Profile

DATABASE, STORE = "crossview.duckdb", "store"


def restore(source: Path, home: Path, *, store: str | None = None, profile: S3Profile | None = None) -> BackupView:
    """A home as it was. store: where its objects go (default: `store` in the home) or, of a backup by reference, lie.

    Raises NotEmpty, BadBackup (naming what is damaged); then the home is not there, nor any object that was put.
    """
    home = home.absolute()
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise NotEmpty(f"{home} is not empty.", hint="Give a folder that does not exist: a restore overwrites nothing.")
    with Archive.open(source) as archive:
        home.parent.mkdir(parents=True, exist_ok=True)
        building = home.with_name(f".{home.name}.{uuid.uuid4().hex}.restoring")
        building.mkdir(mode=0o700)
        try:
            with _target(archive.manifest, building, store, profile) as target:
                missing = _Restoring(archive, building, target).run()
                with suppress(FileNotFoundError):
                    home.rmdir()
                building.rename(home)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return archive.view(home).model_copy(update={"missing": tuple(missing)})


@dataclass
class _Target:
    """put: keys that were written, to be taken back if it fails."""

    store: ArtifactStore
    put: list[str] = field(default_factory=list)


@contextmanager
def _target(manifest: Manifest, building: Path, store: str | None, profile: S3Profile | None) -> Iterator[_Target]:
    if manifest.referenced:
        yield _Target(store_from_uri(store or manifest.store, profile=profile))
        return
    target = _Target(store_from_uri(store, profile=profile) if store else LocalStore(building / STORE))
    if target.store.list():
        raise NotEmpty(f"{target.store.uri()} holds objects already.", hint="Give a store that is empty.")
    try:
        yield target
    except BaseException:
        for key in target.put:
            target.store.delete(key)
        raise


@dataclass(frozen=True, slots=True)
class _Restoring:
    archive: Archive
    building: Path
    target: _Target

    def run(self) -> list[str]:
        """Keys that rows name and the store has not."""
        self._rows()
        if not self.archive.manifest.referenced:
            self._objects()
        self._models()
        return self._look()

    def _rows(self) -> None:
        """At the steps of the tables the backup stands at; later ones are applied when the database is next opened."""
        manifest = self.archive.manifest
        known = {step.number: step for step in migrate.load()}
        steps = []
        for number, name, checksum in manifest.migrations:
            if number not in known or known[number].checksum != checksum:
                raise BadBackup(
                    f"The backup has step {number} ({name}) of the tables, which this version does not know.",
                    hint=f"Restore it with the version that made it ({manifest.version}).",
                )
            steps.append(known[number])
        with Database.open(self.building / DATABASE, migrations=tuple(steps)) as database:
            for table, count in manifest.rows.items():
                loaded = database.write_now(partial(self._load, table))
                if loaded != count:
                    raise BadBackup(f"{table} has {loaded} rows, not {count}.", hint="Use another backup.")

    def _load(self, table: str, conn: Connection) -> int:
        name = f"tables/{table}.jsonl"
        self.archive.check(name)  # before a line of it is read as anything
        return dump.load(conn, table, self.archive.read(name))

    def _objects(self) -> None:
        path = self.building / "object.partial"
        for name in self.archive.names("objects/"):
            key = check_key(name.removeprefix("objects/"))
            with path.open("wb") as file:
                self.archive.copy(name, file)
            self.target.put.append(key)
            self.target.store.put_file(key, path)
        path.unlink(missing_ok=True)

    def _models(self) -> None:
        for name in self.archive.names("models/"):
            into = self.building / name
            if ".." in Path(name).parts:
                raise BadBackup(f"The backup names {name}, which leads elsewhere.", hint="Use another backup.")
            into.parent.mkdir(parents=True, exist_ok=True)
            with into.open("wb") as file:
                self.archive.copy(name, file)

    def _look(self) -> list[str]:
        """What rows name against what is there; the audit log against its head. Raises BadBackup."""
        manifest, store = self.archive.manifest, self.target.store
        with Database.open(self.building / DATABASE) as database:
            found = check(database, head=manifest.head)
            if not found.whole:
                raise BadBackup(f"The audit log of the backup is broken: {found.message}.", hint="Use another backup.")
            with database.read() as conn:
                required = wanted_of(conn).required
            sizes = {str(each["key"]): int(each["bytes"]) for each in manifest.objects}
            missing = [key for key in sorted(required) if not self._there(store, key, sizes.get(key))]
            database.write_now(entry("admin.restore", "all", manifest=self.archive.sha256, missing=len(missing)))
        return missing

    def _there(self, store: ArtifactStore, key: str, size: int | None) -> bool:
        try:
            return store.size(key) == size
        except ArtifactMissing:
            return False
