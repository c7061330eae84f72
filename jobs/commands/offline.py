"""What the command line does without a server: inspect, translate, evaluate, on this machine; training is in `fit`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.checks import Given
from engine.errors import BadInput, NotHDF5, TooLarge
from engine.intake.canonical import CanonicalCells
from engine.intake.child import run_in_child
from engine.intake.mends import Mends
from engine.intake.summary import Summary
from engine.splits import by_chance, by_values, parse_held, read_split
from engine.types import Cells, Direction, Modality, Split
from jobs.afar import is_afar, look
from jobs.catalog import resolve
from jobs.commands.mends import Wishes, granted
from jobs.fetching import fetch_source, file_name, without_query
from jobs.settings import Settings
from jobs.version import code_version
from storage.errors import NoRanges

if TYPE_CHECKING:
    from engine.bundle import Bundle

__all__ = ["make_split", "read_split"]
Say = Callable[[str], None]
DENSE_LIMIT = 16 * 2**30  # a dense .h5ad above this is refused unless features are chosen  # ours


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Taken:
    """An input after intake: its canonical copy and what it turned out to be."""

    path: Path
    summary: Summary


@contextmanager
def taken(
    source: str, *, modality: Modality | None = None, say: Say = to_stderr, mends: Mends | None = None
) -> Iterator[Taken]:
    """The canonical copy of INPUT (a path, an address or example:MODEL/rna), gone when the block ends.

    Raises what intake and the source raise; nothing is left behind.
    """
    with fetched(source, say=say) as path, tempfile.TemporaryDirectory(prefix="crossview-") as folder:
        yield taken_from(path, Path(folder) / "cells.h5ad", modality, name=source, mends=mends)


def taken_from(path: Path, out: Path, modality: Modality | None, *, name: str, mends: Mends | None = None) -> Taken:
    """The canonical copy of a file of this machine, at `out`. name: the source as it was given."""
    return Taken(out, run_in_child(path, out, modality=modality, source=file_name(name), mends=mends))


@contextmanager
def fetched(source: str, *, say: Say = to_stderr) -> Iterator[Path]:
    """The file itself, of a path, s3://…, https://… or example:MODEL/rna; what was fetched goes with the block."""
    with tempfile.TemporaryDirectory(prefix="crossview-") as folder:
        path = _example(source) or Path(source).expanduser()
        if "://" in source:
            path = Path(folder) / "fetched.h5ad"
            say(f"Fetching {without_query(source)} …")
            _fetch(source, path)
        elif not path.is_file() and not path.is_dir():  # a folder of 10x is a source, others are refused by intake
            raise BadInput(f"There is no file {source}.", hint="Check the path.")
        yield path.resolve()  # whoever types a path may name a link; intake itself follows none


def _example(source: str) -> Path | None:
    """The file of `example:MODEL/rna` or `example:MODEL/atac`; None for any other source. Raises UnknownModel."""
    kind, _, rest = source.partition(":")
    model, _, modality = rest.partition("/")
    return resolve(model) / "example" / f"{modality}.h5ad" if kind == "example" else None


def _fetch(source: str, into: Path) -> None:
    from jobs.errors import BadSource
    from storage.sources import is_web

    if not (source.startswith("s3://") or is_web(source)):
        raise BadSource(f"{source.split('://')[0]}:// is not read.", hint="Give a path, s3://bucket/key or https://….")
    fetch_source(source, into, Settings.from_env())


def inspect(
    source: str,
    *,
    model: str | None,
    modality: Modality | None = None,
    wishes: Wishes | None = None,
    whole: bool = False,
    say: Say = to_stderr,
) -> dict[str, Any]:
    """What INPUT is and what a model, or each of the catalog, makes of it. Raises only for what cannot be opened.

    whole: read all of a file that lies elsewhere, instead of its header and first cells; so does whoever wishes mends.
    """
    from engine.checks import Given
    from engine.genome.detect import detect
    from jobs.commands.inspected import against_all, preflight_of

    afar = is_afar(source) and not whole and wishes in (None, Wishes())
    given, read = _glanced(source, modality, say) if afar else (None, {})
    if given is None:
        with (
            granted(wishes, model=model, modality=modality, say=say) as mends,
            taken(source, modality=modality, mends=mends, say=say) as cells,
            CanonicalCells.open(cells.path) as opened,
        ):
            given = Given(cells.summary, opened.names, opened.barcodes)
    document = {"input": without_query(source), "summary": given.summary.to_json(), **read}
    document["names"] = detect(given.names, given.modality).why
    if model is None:
        return {**document, "models": against_all(given)}
    return {**document, "preflight": preflight_of(given, resolve(model)), "model": model}


def _glanced(source: str, modality: Modality | None, say: Say) -> tuple[Given | None, dict[str, Any]]:
    """What the header says and how much was read for it; nothing where only the whole file tells."""
    try:
        seen = look(source, Settings.from_env(), modality=modality)
    except (NoRanges, NotHDF5) as problem:
        say(f"{problem.message} It is read whole.")
        return None, {}
    return seen.given, {"read_bytes": seen.read_bytes, "bytes": seen.bytes}


def translate(
    *,
    model: str,
    source: str,
    direction: Direction,
    out: Path,
    features: Sequence[str] | None = None,
    latent_only: bool = False,
    device: str = "auto",
    chunk: int = 512,
    min_coverage: float | None = None,
    wishes: Wishes | None = None,
    say: Say = to_stderr,
) -> dict[str, Any]:
    """Translate one file into OUT.h5ad on this machine, chunk by chunk: the same numbers as a job gives."""
    from engine.bundle import load_bundle
    from engine.preprocess.align import MIN_COVERAGE
    from engine.translate import require_direction

    bundle = load_bundle(resolve(model), device=device_of(device))
    require_direction(bundle, direction)
    with (
        granted(wishes, model=model, modality=direction.source, say=say) as mends,
        taken(source, modality=direction.source, say=say, mends=mends) as cells,
    ):
        return translate_copy(
            cells.path, bundle=bundle, direction=direction, out=out, features=features, latent_only=latent_only,
            chunk=chunk, min_coverage=MIN_COVERAGE if min_coverage is None else min_coverage,
            name=file_name(source), mends=cells.summary.mends, say=say,
        )  # fmt: skip


def translate_copy(
    copy: Path,
    *,
    bundle: Bundle,
    direction: Direction,
    out: Path,
    features: Sequence[str] | None,
    latent_only: bool,
    chunk: int,
    min_coverage: float,
    name: str,
    mends: tuple[Mapping[str, Any], ...],
    say: Say,
) -> dict[str, Any]:
    """`translate` of a clean copy. name: of the file it was made of."""
    from engine.doubt import doubt_of, outside_note
    from engine.preprocess.align import align
    from engine.translate import concat_encoded, encode_cells
    from engine.translators.base import positions_of
    from jobs.export import Provenance, write_prediction
    from storage.files import sha256_of

    space = bundle.space(direction.target)
    positions = positions_of(space, list(features)) if features else None
    with CanonicalCells.open(copy) as opened:
        width = 0 if latent_only else len(space) if positions is None else len(positions)
        _refuse_huge(opened.n_cells, width)
        alignment = align(opened.names, bundle.space(direction.source), min_coverage=min_coverage)
        parts = []
        for start in range(0, opened.n_cells, chunk):
            stop = min(start + chunk, opened.n_cells)
            parts.append(encode_cells(bundle, opened.rows(start, stop), alignment))
            say(f"Translated {stop:,} of {opened.n_cells:,} cells")
        encoded = concat_encoded(parts)
        doubt = doubt_of(bundle, encoded)
        if note := outside_note(doubt):
            say(note)
        provenance = Provenance(
            model=bundle.manifest.id,
            bundle=bundle.digest,
            direction=direction,
            scale=bundle.translator.scale(direction.target),
            coverage=alignment.coverage.as_dict(),
            source=name,
            code_version=code_version(),
            mends=mends,
            input=sha256_of(copy),
            chunk_cells=chunk,
            min_coverage=min_coverage,
            features="none" if latent_only else "all" if positions is None else "chosen",
        )
        write_prediction(
            out, bundle=bundle, encoded=encoded, provenance=provenance, obs=opened.obs, positions=positions,
            latent_only=latent_only, doubt=doubt, say=say,
        )  # fmt: skip
    outside = None if doubt is None else int(doubt.outside_n.sum())
    said = {**asdict(provenance), "which": provenance.features}
    return {**said, "cells": len(encoded), "outside": outside, "features": width, "out": str(out)}


def _refuse_huge(cells: int, width: int) -> None:
    size = 4 * cells * width
    if size > DENSE_LIMIT:
        raise TooLarge(
            f"A dense prediction of {cells:,} cells × {width:,} features is {size / 2**30:,.0f} GiB.",
            hint="Choose features with `--features`, or keep the latent with `--latent`: any feature can be decoded.",
        )


def evaluate(*, model: str, prediction: Path, truth: str, out: Path | None, say: Say = to_stderr) -> dict[str, Any]:
    """Score a file written by `translate` against the truth file of the other modality."""
    from engine.bundle import load_bundle
    from jobs.export import direction_of

    bundle = load_bundle(resolve(model))
    if not prediction.is_file():
        raise BadInput(f"There is no file {prediction}.", hint="Check the path.")
    direction = direction_of(prediction)
    with (
        granted(None, model=model, modality=direction.target, say=say) as mends,
        taken(truth, modality=direction.target, say=say, mends=mends) as cells,
    ):
        document = evaluate_copy(cells.path, bundle=bundle, prediction=prediction, name=file_name(truth))
    if out is not None:
        write_json(out, document)
    return document


def evaluate_copy(copy: Path, *, bundle: Bundle, prediction: Path, name: str) -> dict[str, Any]:
    """`evaluate` with a clean copy of the truth. name: of the file it was made of."""
    from engine.doubt import with_doubt
    from engine.evaluate import as_json, predicted_file
    from engine.evaluate import evaluate as judge
    from jobs.export import direction_of, doubt_in
    from storage.files import sha256_of

    direction = direction_of(prediction)
    with CanonicalCells.open(copy) as opened:
        predicted, source = predicted_file(prediction, bundle, direction)
        with source:
            found = judge(bundle=bundle, direction=direction, predicted=predicted, truth=opened.all())
    place = {str(name): i for i, name in enumerate(predicted.barcodes)}
    report = with_doubt(
        found.report,
        doubt_in(prediction),
        cells=found.scores.cells,
        rows_m=np.array([place[str(name)] for name in found.scores.cells["name"]], dtype=np.int64),
        depth_n=predicted.source_depth_n,
    )
    return as_json(
        replace(found, report=report),
        model=bundle.manifest.id,
        bundle=bundle.digest,
        code_version=code_version(),
        prediction=sha256_of(prediction),
        truth={"name": name, "digest": sha256_of(copy)},
    )


def write_card(folder: Path, report: dict[str, Any], *, training: Sequence[str] = ()) -> None:
    """CARD.md from the manifest, the report and, where a person wrote one, ABOUT.md (its last section: limits)."""
    from engine.bundle import read_manifest
    from jobs.commands.card import card

    path = folder / "ABOUT.md"
    about, _, limits = path.read_text(encoding="utf-8").partition("## Limits") if path.is_file() else ("", "", "")
    text = card(read_manifest(folder), report, about=about.strip(), limits=limits.strip(), training=training)
    (folder / "CARD.md").write_text(text, encoding="utf-8")


def make_split(cells: Cells, *, hold_out: str | None, seed: int) -> Split:
    """70/15/15 by cell, or the cells of some batches held out: COLUMN=VALUE,…; a tenth of the rest validates.

    Raises BadSetting when the column or value is not there, NoCells when too few are left.
    """
    return by_values(cells, parse_held(hold_out), seed=seed) if hold_out else by_chance(cells, seed=seed)


def device_of(wanted: str) -> str:
    """The device as torch calls it. Raises BadSetting for cuda without a GPU."""
    from engine.training import pick_device

    return str(pick_device(wanted))


def write_json(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
