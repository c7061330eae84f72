"""A look at a file that stays where it is: its tables, names and first cells, read in the isolated child.

The child holds no credentials and opens no connection: it asks its parent for bytes over a socket, and the parent
reads them from wherever the file is.
"""

from __future__ import annotations

import io
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, NotHDF5, TooLarge
from engine.intake.blocks import blocks
from engine.intake.canonical import planner
from engine.intake.child import judge, reading_process, tail, talk
from engine.intake.counts import WINDOW
from engine.intake.limits import Limits, as_problem, human
from engine.intake.look import look_at
from engine.intake.names import clean
from engine.intake.plan import Plan
from engine.intake.summary import QUANTILES, Summary
from engine.types import Modality, Names, as_names

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Read = Callable[[int, int], bytes]  # bytes start … stop − 1

BUDGET = 512 << 20  # bytes that a look may read  # ours
SAMPLE = 150_000  # values of the first cells  # ours
PIECE = 4 << 20  # bytes asked for at once  # ours
_ASK = struct.Struct("<QQ")
_MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, eq=False)
class Glance:
    """What a file is, as far as a look tells. names: shape (f,), as the engine writes them."""

    summary: Summary
    names: Names


def glance_in_child(
    read: Read, size: int, *, modality: Modality | None = None, limits: Limits | None = None, source: str = "file"
) -> Glance:
    """What the file is, of which `read` gives parts. source: its name, to be shown.

    Raises whatever intake raises, what `read` raises, and TooLarge when a look would read more than `BUDGET`.
    """
    limits = limits or Limits()
    ours, theirs = socket.socketpair()
    request = {
        "limits": limits.to_json(),
        "modality": modality.value if modality else None,
        "source": source,
        "remote": {"socket": theirs.fileno(), "size": size},
    }
    giver = _Giver(ours, read, size)
    with ours, tempfile.TemporaryFile() as stderr, tempfile.TemporaryDirectory(prefix="crossview-") as scratch:
        request["scratch"] = scratch
        with theirs, reading_process(limits, stderr, pass_fds=(theirs.fileno(),)) as (process, timed_out):
            theirs.close()
            giver.start()
            answer = talk(process, request, lambda done, of: None)
            process.wait()
            giver.join()
        if giver.problem is not None:
            raise giver.problem
        summary = judge(answer, process.returncode, timed_out.is_set(), limits, source, tail(stderr))
    assert answer is not None
    return Glance(summary, as_names(answer["names"]))


class _Giver(threading.Thread):
    """Gives the child the bytes it asks for, within the file and the budget, until it hangs up."""

    def __init__(self, end: socket.socket, read: Read, size: int) -> None:
        super().__init__(daemon=True, name="intake-afar")
        self._end = end
        self._read = read
        self._size = size
        self._left = BUDGET
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            while asked := _receive(self._end, _ASK.size):
                start, count = _ASK.unpack(asked)
                self._end.sendall(self._piece(start, count))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the child ended
        except Exception as problem:
            self.problem = problem
        finally:
            self._end.close()

    def _piece(self, start: int, count: int) -> bytes:
        if count > PIECE or start + count > self._size:
            raise BadInput("The isolated reader asked for bytes outside the file.", hint="Bring the file in whole.")
        self._left -= count
        if self._left < 0:
            raise TooLarge(
                f"A look at this file would read more than {human(BUDGET)}: its tables lie scattered, or are huge.",
                hint="Bring the whole file in instead.",
            )
        return self._read(start, start + count)


class Afar(io.RawIOBase):
    """The file as the child sees it: seekable, and every byte comes over the socket."""

    def __init__(self, descriptor: int, size: int) -> None:
        super().__init__()
        self._end = socket.socket(fileno=descriptor)
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._position, PIECE))
        if count:
            self._end.sendall(_ASK.pack(self._position, count))
            piece = _receive(self._end, count)
            if len(piece) < count:
                raise OSError("The file can no longer be read.")
            view[:count] = piece
            self._position += count
        return count

    def close(self) -> None:
        if not self.closed:
            self._end.close()
        super().close()


def _receive(end: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer where the other side hung up."""
    got = bytearray()
    while len(got) < count and (piece := end.recv(count - len(got))):
        got += piece
    return bytes(got)


# -- in the child ----------------------------------------------------------------------------------------------------


def glance_at(
    stream: io.RawIOBase, scratch: Path, *, wanted: Modality | None, limits: Limits, source: str
) -> tuple[Summary, Names]:
    """What the file is, and the depth of its first cells. scratch: a folder for working files.

    Raises any BadInput of intake.
    """
    if not _is_hdf5(stream):
        raise NotHDF5(
            f"{source} is no HDF5 file, so its header does not tell what it is.",
            hint="Bring it in whole: archives of 10x matrices and fragments are read then.",
        )
    try:
        with io.BufferedReader(stream, 1 << 16) as buffered, h5py.File(buffered, "r", locking=False) as file:
            layout = look_at(file, limits, afar=True)
            plan = planner(layout)(file, layout, limits, wanted, clean(source))
            return _summary(file, plan, limits, scratch), plan.space.names
    except (OSError, RuntimeError, MemoryError) as error:
        raise as_problem(error, limits) from error


def _is_hdf5(stream: io.RawIOBase) -> bool:
    """Whether the signature is where HDF5 allows it: at the start, or behind a user block (.h5mu has one)."""
    for start in (0, 512, 1024, 2048, 4096):
        stream.seek(start)
        if stream.read(len(_MAGIC)) == _MAGIC:
            stream.seek(0)
            return True
    return False


def _summary(file: Any, plan: Plan, limits: Limits, scratch: Path) -> Summary:
    matrix, n, f = plan.found.matrix, len(plan.barcodes), len(plan.space)
    depth_s, detected_s, largest, said = _first_cells(file, plan, limits, scratch)
    nnz = matrix.stored if plan.columns is None else round(float(detected_s.mean()) * n)
    return Summary(
        source=plan.source,
        cells=n,
        features=f,
        modality=plan.space.modality,
        counts_from=matrix.origin,
        nnz=nnz,
        density=min(1.0, nnz / (n * f)),
        largest=largest,
        empty_cells=0,  # not known before all are read
        depth={q: float(np.percentile(depth_s, q)) for q in QUANTILES},
        detected={q: float(np.percentile(detected_s, q)) for q in QUANTILES},
        labels={name: labels.counts() for name, labels in plan.labels.items()},
        genome=plan.space.genome,
        notes=(*plan.notes, said),
    )


def _first_cells(
    file: Any, plan: Plan, limits: Limits, scratch: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, str]:
    """Counts and detected features of a sample of cells, shape (s,), the largest count, and what the sample is."""
    matrix = plan.found.matrix
    if matrix.storage == "csc":
        values = np.asarray(file[plan.layout.resolve(f"{matrix.path}/data")][:WINDOW], dtype=np.float64)
        detected = np.array([matrix.stored / matrix.shape[0]])
        said = "Depth is a mean, from a sample of the values: the matrix is stored by feature (CSC)."
        mean, largest = (float(values.mean()), float(values.max())) if values.size else (0.0, 0.0)
        return detected * mean, detected, largest, said
    small = replace(limits, block_values=min(limits.block_values, SAMPLE))
    block = next(iter(blocks(file, plan.layout, matrix, small, scratch)))
    if plan.columns is not None:
        block = block[:, plan.columns]
    depth = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
    detected = np.diff(block.indptr).astype(np.float64)
    said = f"Depth is that of the first {block.shape[0]:,} cells: the file was looked at, not read."
    return depth, detected, float(block.data.max()) if block.nnz else 0.0, said
