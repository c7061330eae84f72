"""What the command line does without a server: inspect, train, translate, evaluate, on this machine."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import BadInput, BadSetting, NoCells, TooLarge
from engine.intake.canonical import CanonicalCells
from engine.intake.child import run_in_child
from engine.intake.summary import Summary
from engine.types import Cells, Direction, Modality, Split
from jobs.catalog import resolve
from jobs.settings import Settings
from jobs.version import code_version

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
def taken(source: str, *, modality: Modality | None = None, say: Say = to_stderr) -> Iterator[Taken]:
    """The canonical copy of INPUT (a path, s3://bucket/key or example:MODEL/rna), gone when the block ends.

    Raises what intake and the source raise; nothing is left behind.
    """
    with tempfile.TemporaryDirectory(prefix="crossview-") as folder:
        name = Path(source).name or source
        path = _example(source) or Path(source).expanduser()
        if "://" in source:
            path = Path(folder) / "fetched.h5ad"
            say(f"Fetching {source} …")
            _fetch(source, path)
        elif not path.is_file():
            raise BadInput(f"There is no file {source}.", hint="Check the path.")
        out = Path(folder) / "cells.h5ad"
        yield Taken(out, run_in_child(path, out, modality=modality, source=name))


def _example(source: str) -> Path | None:
    """The file of `example:MODEL/rna` or `example:MODEL/atac`; None for any other source. Raises UnknownModel."""
    kind, _, rest = source.partition(":")
    model, _, modality = rest.partition("/")
    return resolve(model) / "example" / f"{modality}.h5ad" if kind == "example" else None


def _fetch(source: str, into: Path) -> None:
    from jobs.bootstrap import s3_profile
    from jobs.errors import BadSource
    from storage.sources import fetch

    if not source.startswith("s3://"):
        raise BadSource(f"{source.split('://')[0]}:// is not read.", hint="Give a path or s3://bucket/key.")
    profile = s3_profile(Settings.from_env())
    fetch(source, into, profiles={profile.name: profile})


def inspect(source: str, *, model: str | None, modality: Modality | None = None) -> dict[str, Any]:
    """What INPUT is and, for a model, what would happen to it. Raises only for what cannot be opened."""
    with taken(source, modality=modality) as cells:
        document: dict[str, Any] = {"input": source, "summary": cells.summary.to_json()}
        if model is not None:
            document["preflight"] = _preflight(cells, model)
            document["model"] = model
    return document


def _preflight(cells: Taken, model: str) -> dict[str, Any]:
    from engine.bundle import read_manifest, read_space
    from engine.checks import Given, preflight

    folder = resolve(model)
    manifest = read_manifest(folder)
    with CanonicalCells.open(cells.path) as opened:
        given = Given(cells.summary, opened.names, opened.barcodes)
    found = preflight(
        [given],
        spaces={m: read_space(folder, m) for m in Modality},
        directions=manifest.directions_,
        latent=manifest.latent,
    )
    return found.to_json()


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
    say: Say = to_stderr,
) -> dict[str, Any]:
    """Translate one file into OUT.h5ad on this machine, chunk by chunk: the same numbers as a job gives."""
    from engine.bundle import load_bundle
    from engine.preprocess.align import MIN_COVERAGE, align
    from engine.translate import concat_encoded, encode_cells, require_direction
    from engine.translators.base import positions_of

    bundle = load_bundle(resolve(model), device=_device(device))
    require_direction(bundle, direction)
    space = bundle.space(direction.target)
    positions = positions_of(space, list(features)) if features else None
    with taken(source, modality=direction.source, say=say) as cells, CanonicalCells.open(cells.path) as opened:
        width = 0 if latent_only else len(space) if positions is None else len(positions)
        _refuse_huge(opened.n_cells, width)
        alignment = align(
            opened.names,
            bundle.space(direction.source),
            min_coverage=MIN_COVERAGE if min_coverage is None else min_coverage,
        )
        parts = []
        for start in range(0, opened.n_cells, chunk):
            stop = min(start + chunk, opened.n_cells)
            parts.append(encode_cells(bundle, opened.rows(start, stop), alignment))
            say(f"Translated {stop:,} of {opened.n_cells:,} cells")
        encoded = concat_encoded(parts)
        from jobs.export import Provenance, write_prediction

        provenance = Provenance(
            model=bundle.manifest.id,
            bundle=bundle.digest,
            direction=direction,
            scale=bundle.translator.scale(direction.target),
            coverage=alignment.coverage.as_dict(),
            source=source.rsplit("/", 1)[-1],
            code_version=code_version(),
        )
        write_prediction(
            out, bundle=bundle, encoded=encoded, provenance=provenance, obs=opened.obs, positions=positions,
            latent_only=latent_only, say=say,
        )  # fmt: skip
    return {**asdict(provenance), "cells": len(encoded), "features": width, "out": str(out)}


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
    from engine.evaluate import as_json, predicted_file
    from engine.evaluate import evaluate as judge
    from jobs.export import direction_of

    bundle = load_bundle(resolve(model))
    if not prediction.is_file():
        raise BadInput(f"There is no file {prediction}.", hint="Check the path.")
    direction = direction_of(prediction)
    with taken(truth, modality=direction.target, say=say) as cells, CanonicalCells.open(cells.path) as opened:
        predicted, source = predicted_file(prediction, bundle, direction)
        with source:
            found = judge(bundle=bundle, direction=direction, predicted=predicted, truth=opened.all())
    document = as_json(found, model=bundle.manifest.id, bundle=bundle.digest, code_version=code_version())
    if out is not None:
        write_json(out, document)
    return document


def train(
    *,
    rna: str,
    atac: str,
    model: str,
    out: Path,
    split: Path | None = None,
    hold_out: str | None = None,
    seed: int = 0,
    device: str = "auto",
    settings: dict[str, str] | None = None,
    genome: str | None = None,
    id: str | None = None,
    licence: str = "",
    say: Say = to_stderr,
) -> dict[str, Any]:
    """Fit a model on a pair and save it as a bundle with its report and card."""
    from engine.bundle import make_manifest, save_bundle
    from engine.nulls import Nulls
    from engine.pairs import pair as pair_up
    from engine.preprocess.filters import filter_pair
    from engine.translators.base import Epoch, Hooks
    from engine.translators.registry import recipe

    settings = dict(settings or {})
    filters = _filters(settings)
    chosen = recipe(model, settings)
    if out.exists() and not (out / "bundle.json").is_file() and any(out.glob("*.safetensors")):
        raise BadSetting(f"{out} exists and is no model of ours.", hint="Choose another folder for --out.")
    with taken(rna, modality=Modality.RNA, say=say) as r, taken(atac, modality=Modality.ATAC, say=say) as a:
        pair, matching = pair_up(_cells(r, genome), _cells(a, genome))
    if matching.note:
        say(matching.note)
    cut = read_split(split) if split else make_split(pair.rna, hold_out=hold_out, seed=seed)
    filtered = filter_pair(pair, cut, filters)
    say(
        f"Training {model} on {len(filtered.split.train):,} cells, {len(filtered.pair.rna.space):,} genes, "
        f"{len(filtered.pair.atac.space):,} peaks"
    )

    def on_epoch(epoch: Epoch) -> None:
        say(f"Epoch {epoch.number}: loss {epoch.train['total']:.4f}, on validation cells {epoch.valid['total']:.4f}")

    fitted = chosen.fit(filtered.pair, filtered.split, Hooks(on_epoch=on_epoch, seed=seed, device=_device(device)))
    train_cells = filtered.pair.named(filtered.split.train)
    manifest = make_manifest(
        fitted,
        id=id or out.name,
        train=train_cells,
        split=cut,
        seed=seed,
        code_version=code_version(),
        settings={k: v for k, v in asdict(chosen).items() if k != "key"},  # type: ignore[call-overload]
        filters=filtered.kept,
        licence=licence,
        notes=getattr(fitted, "notes", ()),
    )
    manifest = save_bundle(out, fitted, Nulls.fit(train_cells), manifest)
    write_json(out / "split.json", {k: list(getattr(cut, k)) for k in ("train", "valid", "test")})
    report = _report(out, filtered.pair, cut, say)
    return {"bundle": manifest.digest, "id": manifest.id, "out": str(out), **report}


def _report(out: Path, pair: Any, cut: Split, say: Say) -> dict[str, Any]:
    """Score the new model on its test cells (validation cells where there are none) and write report and card."""
    from engine.bundle import load_bundle
    from engine.evaluate import evaluate as judge
    from engine.preprocess.align import align
    from engine.translate import encode_cells

    part = "test" if cut.test else "valid"
    names = getattr(cut, part)
    bundle = load_bundle(out)
    document: dict[str, Any] = {"schema": 1, "part": part, "bundle": bundle.digest, "directions": {}}
    if len(names) >= 10:
        held = pair.named(names)
        for direction in sorted(bundle.translator.directions):
            say(f"Scoring {direction.value} on {len(names):,} {part} cells")
            cells = held.of(direction.source)
            encoded = encode_cells(bundle, cells, align(cells.space.names, bundle.space(direction.source)))
            found = judge(bundle=bundle, direction=direction, predicted=encoded, truth=held.of(direction.target))
            document["directions"][direction.value] = found.report.as_dict()
    write_json(out / "report.json", document)
    write_card(out, document)
    return {"report": document}


def write_card(folder: Path, report: dict[str, Any]) -> None:
    """CARD.md from the manifest, the report and, where a person wrote one, ABOUT.md (its last section: limits)."""
    from engine.bundle import read_manifest
    from jobs.commands.card import card

    path = folder / "ABOUT.md"
    about, _, limits = path.read_text(encoding="utf-8").partition("## Limits") if path.is_file() else ("", "", "")
    text = card(read_manifest(folder), report, about=about.strip(), limits=limits.strip())
    (folder / "CARD.md").write_text(text, encoding="utf-8")


def _cells(cells: Taken, genome: str | None) -> Cells:
    from engine.fitting import with_genome

    with CanonicalCells.open(cells.path) as opened:
        return with_genome(opened.all(layers=True), genome)


def _filters(settings: dict[str, str]) -> Any:
    """Filter settings out of `--set`, leaving the recipe's own behind. `filters=none` keeps every feature."""
    from dataclasses import fields

    from engine.preprocess.filters import FilterSettings

    if settings.pop("filters", "") == "none":
        return FilterSettings.none()
    kinds: dict[str, Any] = {f.name: type(f.default) for f in fields(FilterSettings)}
    given = {name: settings.pop(name) for name in list(settings) if name in kinds}
    try:
        return FilterSettings(
            **{k: v.lower() in {"1", "true", "yes"} if kinds[k] is bool else kinds[k](v) for k, v in given.items()}
        )
    except ValueError as problem:
        raise BadSetting(f"A filter cannot be read: {problem}.", hint="For example `--set min_cells=5`.") from problem


def read_split(path: Path) -> Split:
    """`{"train": [...], "valid": [...], "test": [...]}` of cell names. Raises BadInput, LeakedCells."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Split(*(tuple(str(v) for v in document.get(k, [])) for k in ("train", "valid", "test")))
    except (OSError, ValueError, AttributeError) as problem:
        raise BadInput(
            f"The split {path.name} cannot be read: {problem}.", hint='It holds {"train": […], "valid": […], …}.'
        ) from problem


def make_split(cells: Cells, *, hold_out: str | None, seed: int) -> Split:
    """70/15/15 by cell, or the cells of some batches held out: COLUMN=VALUE,…; a tenth of the rest validates.

    Raises BadSetting when the column or value is not there, NoCells when too few are left.
    """
    rng = np.random.default_rng(seed)
    names = np.asarray(cells.barcodes)
    held = np.zeros(len(names), dtype=bool)
    for pair in hold_out.split(",") if hold_out else []:
        column, _, value = pair.partition("=")
        if column not in cells.obs:
            known = ", ".join(cells.obs) or "none"
            raise BadSetting(f"There is no column {column!r} to hold out by.", hint=f"Columns: {known}.")
        found = cells.obs[column] == value
        if not found.any():
            raise BadSetting(f"No cell has {column} = {value!r}.", hint="Check the spelling of the value.")
        held |= found
    order = rng.permutation(np.flatnonzero(~held))
    test = names[held] if hold_out else names[np.sort(order[: max(1, int(0.15 * len(order)))])]
    rest = order if hold_out else order[max(1, int(0.15 * len(order))) :]
    valid_count = max(1, int(0.15 * len(names))) if not hold_out else max(1, len(rest) // 10)
    valid, train_rows = names[np.sort(rest[:valid_count])], names[np.sort(rest[valid_count:])]
    if len(train_rows) < 10:
        raise NoCells(f"Only {len(train_rows)} cells are left to train on.", hint="Hold out fewer, or bring more.")
    return Split(tuple(train_rows), tuple(valid), tuple(test))


def _device(wanted: str) -> str:
    from engine.training import pick_device

    return str(pick_device(wanted))


def write_json(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
