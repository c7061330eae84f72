"""The words of `crossview analyse …`; what they do is imported when asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Arguments = argparse.Namespace
Command = Callable[..., Any]
KINDS = {
    "cluster": "k-means and Leiden in the joint embedding and beside others, scored against a label",
    "imputation": "imputed and raw cells against the pseudobulk of their label's other half",
    "mixing": "how well batches mix (iLISI), over all cells and within labels",
    "abnormal": "clusters of cells with little RNA and much ATAC",
    "de": "genes and peaks that differ between groups, and their overlap with a list of yours",
    "cre": "links of peaks within 100 kb to genes (LASSO)",
    "coaccess": "peaks that open together (Cicero's method), and the genes they may serve",
    "trajectory": "diffusion map, pseudotime, and genes and promoters along it",
    "activity": "gene activity from peaks, beside expression",
}
EMBEDDINGS = ("joint", "rna", "atac", "wnn", "multivi", "scvi", "mofa")


def add_analyse(commands: Any, command: Command, *, seed: Callable[[str], int]) -> None:
    """Hang `analyse` on the command line. command: (commands, name, run, help) → its parser."""
    kinds = commands.add_parser("analyse", help="what a joint view of RNA and ATAC is for").add_subparsers(
        dest="what", required=True, metavar="|".join(KINDS)
    )
    for kind, what in KINDS.items():
        parser = command(kinds, kind, _run, what)
        _common(parser, seed)
        _OWN[kind](parser)


def _run(a: Arguments) -> int:
    from jobs.commands.analyse_run import run

    return run(a)


def _common(parser: Any, seed: Callable[[str], int]) -> None:
    parser.add_argument("--rna", required=True, help="RNA counts: a path, s3://bucket/key or https://…")
    parser.add_argument("--atac", required=True, help="ATAC counts of the same cells")
    parser.add_argument("--model", metavar="BUNDLE_OR_ID", help="for the joint embedding and imputed profiles")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for tables and report.json")
    parser.add_argument("--label", default="", metavar="COLUMN", help="of cell labels")
    parser.add_argument("--on", default="raw,imputed", metavar="raw,imputed", help="profiles, side by side")
    parser.add_argument("--embedding", default="joint", choices=EMBEDDINGS, help="where cells are neighbours")
    parser.add_argument("--held-out", action="store_true", help="only cells that did not train the model")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--genome", help="hg38, mm10 … (default: the model's, or recognised from the names)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--min-coverage", type=float, help="share of the model's features to ask for")


def _grouping(parser: Any) -> None:
    parser.add_argument("--components", type=_count, default=0, metavar="K", help="clusters of k-means")
    parser.add_argument("--resolution", type=float, default=1.0, help="of Leiden")


def _cluster(parser: Any) -> None:
    _grouping(parser)
    _compare(parser)
    parser.add_argument("--seeds", default="", metavar="0,1,2", help="one run each (default: --seed)")
    parser.add_argument("--no-umap", action="store_true", help="leave the maps out")


def _compare(parser: Any) -> None:
    parser.add_argument("--compare", default="", metavar="rna,atac,wnn,multivi,scvi,mofa", help="embeddings beside it")


def _imputation(parser: Any) -> None:
    parser.add_argument("--only", choices=("rna", "atac"), help="one modality")


def _mixing(parser: Any) -> None:
    parser.add_argument("--batch", required=True, metavar="COLUMN", help="of batches or donors")
    _compare(parser)


def _abnormal(parser: Any) -> None:
    _grouping(parser)
    parser.add_argument("--groups", default="", metavar="COLUMN", help="clusters of your own instead of Leiden's")


def _de(parser: Any) -> None:
    _imputation(parser)
    parser.add_argument("--groups", default="", metavar="COLUMN", help="what differs (default: --label, or clusters)")
    parser.add_argument("--method", default="t-test_overestim_var", help="of scanpy: t-test, wilcoxon …")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="names, one a line, or GROUP,NAME")
    parser.add_argument("--top", type=_count, default=100, help="of each group, to meet the reference")


def _links(parser: Any) -> None:
    parser.add_argument("--track", type=Path, metavar="SIGNAL.bw", help="a bigWig, for enrichment of linked peaks")
    parser.add_argument("--reach", type=_count, default=100_000, help="bases each side of the TSS")


def _cre(parser: Any) -> None:
    _links(parser)
    parser.add_argument("--genes", metavar="A,B,…|@FILE", help="(default: the 500 most variable)")
    parser.add_argument("--alpha", type=float, default=0.0, help="penalty of LASSO (default: by cross-validation)")
    parser.add_argument("--metacells", type=int, default=0, metavar="SIZE", help="add up so many neighbours (0: none)")


def _coaccess(parser: Any) -> None:
    _links(parser)
    parser.add_argument("--metacells", type=int, default=50, metavar="SIZE", help="add up so many neighbours (0: none)")


def _trajectory(parser: Any) -> None:
    parser.add_argument("--root", required=True, metavar="BARCODE_OR_LABEL")
    parser.add_argument("--root-at", choices=("medoid", "tip"), default="medoid", help="which cell of a label")
    parser.add_argument("--among", default="", metavar="A,B", help="only cells of these labels")
    parser.add_argument("--genes", metavar="A,B,…|@FILE", help="to draw along it (default: the 50 most variable)")
    parser.add_argument("--neighbours", type=_count, default=30)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


_OWN: dict[str, Callable[[Any], None]] = {
    "cluster": _cluster,
    "imputation": _imputation,
    "mixing": _mixing,
    "abnormal": _abnormal,
    "de": _de,
    "cre": _cre,
    "coaccess": _coaccess,
    "trajectory": _trajectory,
    "activity": lambda parser: None,
}
