"""RNA and ATAC of the same cells on the command line: two files, or one that holds both."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.types import Modality
    from jobs.commands.mends import Wishes
    from jobs.commands.offline import Say, Taken


def add_both(parser: argparse.ArgumentParser) -> None:
    """--rna and --atac, or --pair, and what mends them: which of them were given is checked by `both_taken`."""
    from jobs.commands.mends import add_mends

    parser.add_argument("--rna", metavar="R.h5ad", help="RNA counts: a path or an address")
    parser.add_argument("--atac", metavar="A.h5ad", help="ATAC counts of the same cells")
    parser.add_argument("--pair", metavar="FILE", help="one file of both: 10x multiome .h5 or .h5mu")
    add_mends(parser)


@contextmanager
def both_taken(
    *,
    rna: str | None = None,
    atac: str | None = None,
    pair: str | None = None,
    model: str | None = None,
    wishes: Wishes | None = None,
    say: Say,
) -> Iterator[Mapping[Modality, Taken]]:
    """Canonical copies of both modalities, gone when the block ends.

    model: id or folder, on whose peaks fragments are counted and to whose build peaks are lifted. wishes: each mends
    the modality it is about; a layer both. Raises BadInput unless either `pair` or both of `rna` and `atac` are given;
    and what intake and the source raise.
    """
    import tempfile
    from pathlib import Path

    from engine.errors import BadInput
    from engine.types import Modality
    from jobs.commands.mends import granted
    from jobs.commands.offline import fetched, taken, taken_from

    if bool(pair) == bool(rna or atac) or (not pair and not (rna and atac)):
        raise BadInput(
            "RNA and ATAC of the same cells are needed, once.",
            hint="Give --rna FILE and --atac FILE, or one multiome file with --pair FILE.",
        )
    with ExitStack() as stack:
        mends = {m: stack.enter_context(granted(wishes, model=model, modality=m, say=say)) for m in Modality}
        if pair:
            with fetched(pair, say=say) as path:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossview-")))
                copies = {m: folder / f"{m.value}.h5ad" for m in Modality}
                found = {m: taken_from(path, out, m, name=pair, mends=mends[m]) for m, out in copies.items()}
        else:
            given = {Modality.RNA: str(rna), Modality.ATAC: str(atac)}
            found = {
                m: stack.enter_context(taken(source, modality=m, mends=mends[m], say=say))
                for m, source in given.items()
            }
        yield found
