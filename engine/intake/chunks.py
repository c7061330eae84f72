"""Compressed chunks that are what they say: usual filters, and no chunk that unpacks to more than it declares."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

KNOWN_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}  # those every h5py can read
GZIP, SHUFFLE, LZF = 1, 2, 32000
SLACK = 64 * 1024  # bytes a chunk may be stored in beyond its own size: filters that gain nothing add a little
HARMLESS = 128 * 1024  # gzip grows at most 1,032-fold: a chunk this small cannot fill memory, and is not tried
STEP = 1 << 20


def strange_filters(filters: list[int]) -> Iterator[str]:
    """What is wrong with the filters of a data set, as the end of a sentence; nothing where all is usual."""
    for code in (code for code in filters if code not in KNOWN_FILTERS):
        yield f"is compressed with filter {code}, which is not one of gzip and lzf"
    if len(set(filters)) < len(filters):
        yield "is compressed more than once, as no ordinary file is"
    packed = [i for i, code in enumerate(filters) if code in (GZIP, LZF)]
    if len(packed) > 1 or (packed and SHUFFLE in filters[packed[0] :]):
        yield "is compressed by filters in an order that no ordinary file has"


def largest_chunk(data: Any, filters: list[int]) -> tuple[int, list[tuple[int, ...]]]:
    """Bytes of the largest chunk as it is stored, and where gzip's chunks lie that could do harm. Reads no values."""
    large: list[tuple[int, ...]] = []
    worst = 0

    def visit(chunk: Any) -> None:
        nonlocal worst
        worst = max(worst, chunk.size)
        if chunk.size > HARMLESS and GZIP in filters and not chunk.filter_mask & 1 << filters.index(GZIP):
            large.append(chunk.chunk_offset)

    if filters:
        data.chunk_iter(visit)
    return worst, large


def unpacks_beyond(data: Any, chunks: list[tuple[int, ...]], nominal: int) -> bool:
    """Whether one of these chunks unpacks to more than it declares; never unpacks more than a little beyond that.

    data: the low-level data set. nominal: bytes of one chunk unpacked.
    """
    return any(_unpacks_beyond(data.read_direct_chunk(offset)[1], nominal + SLACK) for offset in chunks)


def _unpacks_beyond(packed: bytes, most: int) -> bool:
    stream = zlib.decompressobj()
    done = 0
    try:
        while not stream.eof and done <= most:
            piece = stream.decompress(packed, STEP)
            done += len(piece)
            packed = stream.unconsumed_tail
            if not piece and not packed:
                return False  # broken off: HDF5 will say so
    except zlib.error:
        return False
    return done > most
