"""An object in S3 as a read-only file: only the blocks that are looked at are fetched."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from storage import s3
from storage.s3 import S3Profile, S3Uri

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class RangedFile(io.RawIOBase):
    """Seekable and readable; h5py and zipfile take it. Every block is of the object as it was when opened.

    Raises what `storage.sources.fetch` raises: ObjectMissing, AccessRefused, Unreachable, SourceChanged.
    """

    def __init__(
        self, where: S3Uri, profile: S3Profile, *, block_bytes: int = 1 << 20, blocks: int = 64, retries: int = 3
    ) -> None:
        super().__init__()
        self._where = where
        self._profile = profile
        self._client = profile.client()
        self._found = s3.head(self._client, where, profile)
        self._block_bytes = block_bytes
        self._limit = blocks
        self._retries = retries
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._position = 0
        self.requests = 0

    @property
    def size(self) -> int:
        return self._found.size

    @property
    def etag(self) -> str:
        return self._found.etag.strip('"')

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"Cannot seek to {base + offset}: before the file begins.")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self.size - self._position))
        done = 0
        with self._lock:
            while done < wanted:
                index, skip = divmod(self._position, self._block_bytes)
                piece = self._block(index)[skip : skip + wanted - done]
                view[done : done + len(piece)] = piece
                done += len(piece)
                self._position += len(piece)
        return done

    def _block(self, index: int) -> bytes:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        start = index * self._block_bytes
        stop = min(start + self._block_bytes, self.size)
        with s3.explained(self._where, self._profile):
            block = s3.try_again(lambda: self._get(start, stop), times=self._retries, wait=_wait)
        self._cache[index] = block
        if len(self._cache) > self._limit:
            self._cache.popitem(last=False)
        return block

    def _get(self, start: int, stop: int) -> bytes:
        self.requests += 1
        answer = self._client.get_object(
            Bucket=self._where.bucket, Key=self._where.key, Range=f"bytes={start}-{stop - 1}", IfMatch=self._found.etag
        )
        with closing(answer["Body"]) as body:
            return bytes(body.read())


def open_ranged(uri: str, *, profiles: Mapping[str, S3Profile], block_bytes: int = 1 << 20) -> RangedFile:
    where = s3.parse_uri(uri)
    return RangedFile(where, s3.profile_for(where.bucket, profiles), block_bytes=block_bytes)


def _wait(fault: int) -> None:
    time.sleep(0.2 * 2**fault)
