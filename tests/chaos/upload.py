"""An upload that is cut at random offsets and whose server is killed: what arrives, and what it costs the server.

`python -m tests.chaos.upload` sends 2 GB with ten cuts and one killed server, and prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from jobs.client_http import HttpClient
from jobs.settings import REPOSITORY
from storage.files import sha256_of
from tests.labs import control_plane, free_port, ready, until

PIECE = 1 << 20  # bytes made and sent at once


@dataclass(frozen=True)
class Figures:
    """growth_mb: by how much the server's memory rose at most above what it held when ready, the worse of its lives.

    resent_mb: sent, and not kept where a connection was cut. identical: the stored file is the one that was sent.
    """

    megabytes: float
    cuts: int
    kills: int
    identical: bool
    growth_mb: float
    resent_mb: float
    seconds: float


@dataclass
class Source:
    """A file that is not kept anywhere: any part of it can be made again."""

    size: int
    seed: int

    def part(self, start: int, stop: int) -> Iterator[bytes]:
        """Pieces of at most PIECE bytes."""
        while start < stop:
            index, skip = divmod(start, PIECE)
            piece = np.random.default_rng([self.seed, index]).bytes(PIECE)[skip : skip + stop - start]
            yield piece
            start += len(piece)

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.part(0, self.size):
            digest.update(piece)
        return digest.hexdigest()


@dataclass
class Sender:
    """Sends slice after slice as a browser does, and breaks the connection where it is told to."""

    source: Source
    port: int
    id: str
    slice_bytes: int
    cuts: list[int]
    resent: int = 0
    made: int = 0

    def send_until(self, client: HttpClient, end: int) -> None:
        """Up to `end` bytes of the file, asking after each break how much is there."""
        at = client.upload(self.id).received
        while at < end:
            stop = min(at + self.slice_bytes, end)
            cut = next((c for c in self.cuts if at < c <= stop), None)
            status = self._slice(at, stop, cut)
            if cut is not None:
                self.cuts.remove(cut)
                self.made += 1
            if status == 200:
                at = stop
                continue
            assert status in (None, 409), status
            kept = client.upload(self.id).received
            self.resent += max(0, (cut or at) - kept)
            at = kept

    def half(self, at: int, stop: int) -> http.client.HTTPConnection:
        """Sends part of a slice and leaves the rest unsaid; the connection stays open."""
        connection = self._begin(at, self.source.size)
        for piece in self.source.part(at, stop):
            connection.send(piece)
        return connection

    def _slice(self, at: int, stop: int, cut: int | None) -> int | None:
        connection = self._begin(at, stop)
        try:
            for piece in self.source.part(at, cut or stop):
                connection.send(piece)
            if cut is not None:
                reset(connection.sock)
                return None
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _begin(self, at: int, stop: int) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.putrequest("PUT", f"/api/v1/uploads/{self.id}?offset={at}")
        connection.putheader("Content-Length", str(stop - at))
        connection.putheader("Content-Type", "application/octet-stream")
        connection.endheaders()
        return connection


def reset(sock: socket.socket) -> None:
    """Ends a connection as a pulled cable does: at once, with nothing said."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Memory:
    """How far a process's memory rises above what it holds now, in bytes (Linux)."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the high-water mark begins anew
        self._start = self._read("VmRSS")

    def growth(self) -> int:
        return self._read("VmHWM") - self._start

    def _read(self, name: str) -> int:
        line = next(line for line in self._status.read_text().splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024


def run(home: Path, catalog: Path, *, size: int, cuts: int = 10, slice_bytes: int = 8 << 20, seed: int = 0) -> Figures:
    """One upload of `size` bytes under these faults. Raises what an upload may not: a refusal, a wrong checksum."""
    rng = np.random.default_rng(seed)
    source = Source(size, seed)
    port, started = free_port(), time.monotonic()
    killed_at = int(rng.integers(size // 4, size // 2))
    half_until = killed_at + 3 * PIECE
    places = np.concatenate([np.arange(1, killed_at, 7), np.arange(half_until, size, 7)])
    offsets = sorted(int(offset) for offset in rng.choice(places, cuts, replace=False))
    home.mkdir(parents=True, exist_ok=True)
    with HttpClient(f"http://127.0.0.1:{port}") as client:
        with control_plane(home, catalog, port) as process:
            ready(client, process, home)
            memory = Memory(process.pid)
            id = client.create_upload(name="cells.h5ad", size=size).id
            sender = Sender(source, port, id, slice_bytes, offsets)
            sender.send_until(client, killed_at)
            with closing(sender.half(killed_at, half_until)):
                until(lambda: client.upload(id).received, lambda received: received > killed_at)
                first = memory.growth()
                process.kill()
                process.wait()
        with control_plane(home, catalog, port) as process:
            ready(client, process, home)
            memory = Memory(process.pid)
            sender.send_until(client, size)
            digest = source.sha256()
            client.finish_upload(id, sha256=digest)
            second = memory.growth()
            stored = home / "uploads" / id / "data"
            identical = stored.stat().st_size == size and sha256_of(stored) == digest
    return Figures(
        megabytes=round(size / 1e6, 1),
        cuts=sender.made,
        kills=1,
        identical=identical,
        growth_mb=round(max(first, second) / 1e6, 1),
        resent_mb=round(sender.resent / 1e6, 1),
        seconds=round(time.monotonic() - started, 1),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2_000)
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crossview-chaos-") as folder:
        figures = run(
            Path(folder) / "home",
            REPOSITORY / "pretrained",
            size=asked.megabytes * 1_000_000,
            cuts=asked.cuts,
            seed=asked.seed,
        )
    print(json.dumps(asdict(figures)))
    return 0 if figures.identical and figures.cuts == asked.cuts and figures.growth_mb < 150 else 1


if __name__ == "__main__":
    sys.exit(main())
