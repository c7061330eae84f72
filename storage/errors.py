"""What can go wrong with files, rows and other people's buckets: one class and one stable code a situation."""

from __future__ import annotations

from typing import ClassVar


class StorageError(Exception):
    """A problem with stored things: what happened in `message`, what to do in `hint`; `code` is stable."""

    code: ClassVar[str] = "storage-failed"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadUri(StorageError):
    """The address is not one that can be fetched."""

    code = "bad-uri"


class ObjectMissing(StorageError):
    """The source names an object or a bucket that does not exist."""

    code = "source-not-found"


class BucketMissing(ObjectMissing):
    """Not even the bucket exists."""


class AccessRefused(StorageError):
    """The source exists, and the configured credentials may not read it."""

    code = "source-access-refused"


class Unreachable(StorageError):
    """The source did not answer, or stopped answering for too long."""

    code = "source-unreachable"


class FetchRefused(StorageError):
    """The address leads where this server may not go: a private network, another port, http, too many redirects."""

    code = "source-not-allowed"


class WebPage(StorageError):
    """The address gives a page to look at instead of a file."""

    code = "source-is-a-page"


class DriveQuota(StorageError):
    """Google Drive gives a file that was downloaded too often to nobody for a while."""

    code = "drive-quota"


class NoRanges(StorageError):
    """The server gives the file only as a whole, or does not say which version it is."""

    code = "source-without-ranges"


class SourceChanged(StorageError):
    """The object was replaced while it was being read."""

    code = "source-changed"


class TooLarge(StorageError):
    """More bytes than the limit allows."""

    code = "too-large"


class StoreFull(StorageError):
    """The disk has no room left."""

    code = "store-full"


class UnsuitableStore(StorageError):
    """The place chosen for artifacts cannot keep the promises a store makes."""

    code = "unsuitable-store"


class Corrupt(StorageError):
    """The bytes are not those that were announced."""

    code = "checksum-mismatch"


class CorruptObject(Corrupt):
    """What is stored is no longer what was written."""

    code = "corrupt"


class ArtifactMissing(StorageError):
    """The artifact store has no object under this key."""

    code = "artifact-missing"


class BadKey(StorageError):
    """A key that could lead outside the store, or that not every store can keep."""

    code = "bad-key"


class DatabaseLocked(StorageError):
    """Another process owns the database file."""

    code = "database-locked"


class DatabaseBroken(StorageError):
    """The open database can no longer be used; what was acknowledged is safe on disk."""

    code = "database-broken"


class DatabaseClosed(StorageError):
    """Something was asked of a database after it was closed."""

    code = "database-closed"


class MigrationMismatch(StorageError):
    """The file was written by another version of the tables than this code knows."""

    code = "database-version"


class UploadMissing(StorageError):
    """No upload has this id: it was discarded, swept, or never begun."""

    code = "upload-not-found"


class UploadBusy(StorageError):
    """Another request is sending bytes of this upload at this moment."""

    code = "upload-busy"


class UploadIncomplete(StorageError):
    """The upload was declared finished before all of its bytes came."""

    code = "upload-incomplete"


class OffsetMismatch(StorageError):
    """A slice does not begin where the upload stands; `expected` is where it should."""

    code = "offset-mismatch"

    def __init__(self, message: str, *, expected: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
