"""Tables of text, plain or gzip, read in bounded pieces of whole lines; what is wrong is told by its line."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from engine.errors import CorruptMatrix, TooLarge
from engine.intake.limits import Limits, human
from engine.intake.names import clean

PIECE = 1 << 23  # bytes read at once  # ours
LONGEST_LINE = 1 << 20  # bytes; no line of a table of counts comes near  # ours
LONGEST_HEAD = 100_000  # lines of comments; a header of Cell Ranger names each contig of its reference  # ours
GZIP = b"\x1f\x8b"
AGAIN = "Copy it again if it broke off; give the file as the program that made it wrote it."
_ROW = re.compile(r"Row #(\d+): (.*)", re.DOTALL)


class Capped(io.RawIOBase):
    """A stream that stops with TooLarge once it gave more than the limits allow for a file of `stored` bytes."""

    def __init__(self, inner: IO[bytes], *, stored: int, limits: Limits, called: str) -> None:
        self._inner, self._stored, self._limits, self._called = inner, max(stored, 1), limits, called
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._inner.read(len(view))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CorruptMatrix(f"{self._called} is truncated or damaged ({str(error)[:120]}).", hint=AGAIN) from error
        self.given += len(data)
        limits = self._limits
        inflated = self.given > limits.inflation_from and self.given > limits.inflation * self._stored
        if inflated or self.given > limits.total_bytes:
            raise TooLarge(
                f"{self._called} grows from {human(self._stored)} to more than {human(self.given)} when unpacked.",
                hint="Give raw counts only, as the program that made them wrote them.",
            )
        view[: len(data)] = data
        return len(data)


@contextmanager
def unpacked(path: Path, limits: Limits, *, called: str) -> Iterator[Capped]:
    """The bytes of a file, unpacked where it is gzip, never more than the limits. Raises CorruptMatrix, TooLarge."""
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP
        raw.seek(0)
        inner: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        yield Capped(inner, stored=path.stat().st_size, limits=limits, called=called)


class Lines:
    """Whole lines of a stream, with their numbers. called: the file, as its owner knows it."""

    def __init__(self, stream: io.RawIOBase, *, called: str) -> None:
        self._stream, self._rest, self._at, self.called = stream, b"", 0, called
        self.number = 1  # of the line that comes next

    def first(self) -> bytes:
        """The next line without its end; empty at the end of the file."""
        while (end := self._rest.find(b"\n", self._at)) < 0 and self._more():
            pass
        stop = len(self._rest) if end < 0 else end
        line, self._at = self._rest[self._at : stop], stop + (end >= 0)
        self.number += 1
        return line.rstrip(b"\r")

    def skip(self, mark: bytes) -> None:
        """Past the lines at the head that begin with a mark, as comments do. Raises CorruptMatrix when none end."""
        while True:
            while len(self._rest) - self._at < len(mark) and self._more():
                pass
            if not self._rest.startswith(mark, self._at):
                return
            if self.number > LONGEST_HEAD:
                raise CorruptMatrix(f"{self.called} begins with over {LONGEST_HEAD:,} lines of comments.", hint=AGAIN)
            self.first()

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """What is left, as (number of its first line, whole lines)."""
        more = True
        while more:
            more = self._more()
            end = self._rest.rfind(b"\n") + 1 if more else len(self._rest)
            if end:
                piece, self._rest = self._rest[:end], self._rest[end:]
                first, self.number = self.number, self.number + piece.count(b"\n")
                yield first, piece

    def _more(self) -> bool:
        self._rest, self._at = self._rest[self._at :], 0
        if len(self._rest) > LONGEST_LINE and b"\n" not in self._rest:
            raise CorruptMatrix(
                f"Line {self.number:,} of {self.called} has no end within {human(LONGEST_LINE)}.", hint=AGAIN
            )
        got = self._stream.read(PIECE) or b""
        self._rest += got
        return bool(got)


def columns(piece: bytes, first: int, types: Mapping[str, Any], *, called: str, delimiter: str = "\t") -> Any:
    """Some lines as a pyarrow table. first: number of their first line. types: pyarrow type by column, in order.

    Raises CorruptMatrix naming the line that has other columns, or values of another kind.
    """
    import pyarrow as pa
    from pyarrow import csv

    try:
        return csv.read_csv(
            pa.BufferReader(piece),
            read_options=csv.ReadOptions(use_threads=False, column_names=list(types), block_size=len(piece) + 1),
            parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=False, escape_char=False),
            convert_options=csv.ConvertOptions(column_types=dict(types), null_values=[], strings_can_be_null=False),
            memory_pool=pa.system_memory_pool(),
        )
    except pa.ArrowInvalid as error:
        found = _ROW.search(str(error))
        where = f"Line {first + int(found[1]) - 1:,}" if found else f"A line after {first:,}"
        what = clean(found[2] if found else str(error), longest=120)
        raise CorruptMatrix(f"{where} of {called} cannot be read: {what}.", hint=AGAIN) from error


def table(path: Path, limits: Limits, *, called: str, most: int) -> Iterator[list[str]]:
    """The fields of each line of a short table. most: rows that are allowed. Raises CorruptMatrix, TooLarge."""
    with unpacked(path, limits, called=called) as stream:
        rows = 0
        lines = Lines(stream, called=called)
        lines.skip(b"#")
        for _, piece in lines.pieces():
            for line in piece.decode("utf-8", "replace").split("\n"):
                if not line.strip():
                    continue
                rows += 1
                if rows > most:
                    raise TooLarge(
                        f"{called} has more than {most:,} lines.", hint="Split the file by sample, or filter it."
                    )
                yield line.rstrip("\r").split("\t")
