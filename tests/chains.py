"""A small chain file whose every place is known, with gaps, a turned stretch and a better chain over a worse."""

from __future__ import annotations

import gzip
from pathlib import Path

#   chr1 1000-5000  → chr1 11000-…, one gap of 100 on the old and 40 on the new build after 2,000 bases
#   chr1 6000-8000  → chr2 of 50,000 bases, on the − strand
#   chr1 9000-12000 → chr3 in one chain, 9000-9500 also → chr4 in a worse one
TEXT = """\
chain 9000 chr1 20000 + 1000 5000 chr1 30000 + 11000 14940 1
2000 100 40
1900

chain 8000 chr1 20000 + 6000 8000 chr2 50000 - 10000 12000 2
2000

chain 7000 chr1 20000 + 9000 12000 chr3 40000 + 100 3100 3
3000

chain 10 chr1 20000 + 9000 9500 chr4 40000 + 100 600 4
500
"""


def write_chain(path: Path, text: str = TEXT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def shifted(genome_from: str, genome_to: str, folder: Path, *, chroms: dict[str, int], by: int) -> Path:
    """The operator's file from one build to another, where every place moves by so many bases."""
    lines = [
        f"chain 1000 {name} {size} + 0 {size - by} {name} {size} + {by} {size} {i}\n{size - by}\n"
        for i, (name, size) in enumerate(chroms.items(), 1)
    ]
    return write_chain(folder / f"{genome_from}To{genome_to.capitalize()}.over.chain.gz", "\n".join(lines))
