"""`crossview embed` on the command line: its options, and its answer in words or as one document."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.commands.both import add_both

DONE = 0


def add_embed(commands: Any, command: Callable[..., Any]) -> None:
    """Hang `embed` on the command line. command: (commands, name, run, help) → its parser."""
    embed = command(
        commands, "embed", _run, "see RNA and ATAC of the same cells in one view: embedding, clusters, maps"
    )
    embed.add_argument("--model", required=True, metavar="BUNDLE_OR_ID")
    add_both(embed)
    embed.add_argument("--out", required=True, type=Path, metavar="joint.h5ad")
    embed.add_argument("--report", type=Path, metavar="report.json", help="also write scores and provenance there")
    embed.add_argument("--label", default="", metavar="COLUMN", help="a label of the cells to compare clusters with")
    embed.add_argument("--clusters", type=int, default=0, metavar="K", help="of k-means (default: as many as labels)")
    embed.add_argument("--resolution", type=float, default=1.0, help="of Leiden")
    embed.add_argument("--no-umap", action="store_true", help="draw no maps")
    embed.add_argument("--seed", type=int, default=0)
    embed.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    embed.add_argument("--chunk-cells", type=int, default=512)
    embed.add_argument("--min-coverage", type=float, default=0.5, help="share of the model's features to ask for")


def _run(a: argparse.Namespace) -> int:
    from jobs.commands.embed import Asked, embed, lines
    from jobs.commands.mends import wishes_of
    from jobs.commands.offline import write_json

    asked = Asked(
        a.model, a.label, a.clusters, a.resolution, not a.no_umap, a.chunk_cells, a.min_coverage, a.seed, a.device
    )
    document = embed(asked, out=a.out, rna=a.rna, atac=a.atac, pair=a.pair, wishes=wishes_of(a))
    if a.report is not None:
        write_json(a.report, document)
    if a.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print("\n".join(lines(document, a.out)))
    return DONE
