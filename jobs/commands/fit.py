"""`crossview train`: a model fitted on a pair on this machine, going on where a killed run stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadSetting
from engine.intake.canonical import CanonicalCells
from engine.splits import by_chance, by_values, parse_held, read_split, split_document
from engine.types import Cells, Modality, Split
from jobs.commands.both import both_taken
from jobs.commands.offline import Say, Taken, to_stderr, write_card, write_json
from jobs.training.curve import Curve, how_it_went
from jobs.version import code_version

if TYPE_CHECKING:
    from engine.fitting import Prepared
    from engine.translators.base import Epoch, Hooks, Recipe
    from jobs.commands.mends import Wishes

ASKED, CURVE = "asked.json", "curve.json"


def train(
    *,
    rna: str | None = None,
    atac: str | None = None,
    pair: str | None = None,
    model: str,
    out: Path,
    split: Path | None = None,
    hold_out: str | None = None,
    split_by: str = "",
    seed: int = 0,
    device: str = "auto",
    settings: Mapping[str, str] | None = None,
    genome: str | None = None,
    id: str | None = None,
    licence: str = "",
    fresh: bool = False,
    wishes: Wishes | None = None,
    say: Say = to_stderr,
) -> dict[str, Any]:
    """Fit a model on a pair (rna and atac, or one file of both) and save it as a bundle with its report and card.

    What a killed run left in OUT.training is gone on from, where cells, settings and seed are the same; fresh: never.
    """
    from engine.fitting import filters_for, fit_bundle, prepare, read_filters
    from engine.training import pick_device
    from engine.translators.registry import recipe

    filters, own = read_filters(settings or {})
    chosen = recipe(model, own)
    filters = filters_for(chosen, filters)
    if out.exists() and not (out / "bundle.json").is_file() and any(out.glob("*.safetensors")):
        raise BadSetting(f"{out} exists and is no model of ours.", hint="Choose another folder for --out.")
    with both_taken(rna=rna, atac=atac, pair=pair, wishes=wishes, say=say) as both:
        part = _parting(split, hold_out, split_by, seed)
        cells = {m: _cells(each, genome) for m, each in both.items()}
        found = prepare(cells[Modality.RNA], cells[Modality.ATAC], part=part, filters=filters, by=split_by)
    _tell(found, model, say)
    place = pick_device(device).type
    work = _working_folder(out, _digest(found, chosen, seed, place), fresh=fresh, say=say)
    curve = _curve(work, found, place)
    made = fit_bundle(
        found,
        chosen,
        into=out,
        id=id or out.name,
        hooks=curve.hooks(_hooks(work, seed, place, say)),
        code_version=code_version(),
        licence=licence,
    )
    curve.flush()
    write_json(out / "split.json", split_document(found.split))
    report = _report(out, found, how_it_went(curve.view), say)
    shutil.copyfile(work / CURVE, out / CURVE)
    shutil.rmtree(work)
    return {
        "bundle": made.digest,
        "id": made.id,
        "out": str(out),
        "resumed": list(curve.view.resumed),
        "report": report,
    }


def _parting(split: Path | None, hold_out: str | None, by: str, seed: int) -> Callable[[Cells], Split]:
    if split is not None:
        read = read_split(split)
        return lambda cells: read
    if hold_out:
        held = parse_held(hold_out)
        return lambda cells: by_values(cells, held, seed=seed)
    return lambda cells: by_chance(cells, seed=seed, by=by)


def _cells(cells: Taken, genome: str | None) -> Cells:
    from engine.fitting import with_genome

    with CanonicalCells.open(cells.path) as opened:
        return with_genome(opened.all(layers=True), genome)


def _tell(found: Prepared, model: str, say: Say) -> None:
    from jobs.training.tasks import notes_of

    for note in notes_of(found):
        say(note)
    say(
        f"Training {model} on {len(found.used.train):,} cells, {len(found.pair.rna.space):,} genes, "
        f"{len(found.pair.atac.space):,} peaks"
    )


def _hooks(work: Path, seed: int, device: str, say: Say) -> Hooks:
    from engine.checkpoint import FolderCheckpoints
    from engine.translators.base import Hooks
    from jobs.settings import Settings

    def on_epoch(epoch: Epoch) -> None:
        words = f"{epoch.stage}, epoch" if epoch.stage else "Epoch"
        say(
            f"{words} {epoch.number} of at most {epoch.of}: loss {epoch.train['total']:.4f}, "
            f"on validation cells {epoch.valid['total']:.4f}"
        )

    def on_resume(stage: str, epoch: int) -> None:
        say(f"Going on after epoch {epoch} of {stage}")

    return Hooks(
        on_epoch=on_epoch,
        on_resume=on_resume,
        seed=seed,
        device=device,
        checkpoints=FolderCheckpoints(work),
        checkpoint_s=Settings.from_env().checkpoint_seconds,
    )


def _digest(found: Prepared, recipe: Recipe, seed: int, device: str) -> str:
    """Of everything a checkpoint depends on."""
    from engine.bundle import digest_of_cells, digest_of_split
    from engine.fitting import settings_of

    asked = {
        "cells": digest_of_cells(found.pair),
        "split": digest_of_split(found.used),
        "model": recipe.key,
        "settings": settings_of(recipe),
        "seed": seed,
        "device": device,
        "code": code_version(),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _working_folder(out: Path, digest: str, *, fresh: bool, say: Say) -> Path:
    """OUT.training with what a killed run of the same question left, or empty."""
    work = out.with_name(out.name + ".training")
    asked = work / ASKED
    known = json.loads(asked.read_text(encoding="utf-8")).get("digest") if asked.is_file() else None
    if known == digest and not fresh:
        say(f"Going on with the training that was interrupted ({work}); --fresh starts anew")
    elif work.exists():
        if known is None and any(work.iterdir()):
            raise BadSetting(f"{work} exists and is no training of ours.", hint="Choose another folder for --out.")
        if not fresh:
            say(f"{work} is of other cells or settings: training starts anew")
        shutil.rmtree(work)
    write_json(asked, {"digest": digest})
    return work


def _curve(work: Path, found: Prepared, device: str) -> Curve:
    from jobs.training.tasks import notes_of

    path = work / CURVE

    def keep(data: bytes) -> None:
        partial = path.with_name(CURVE + ".partial")
        partial.write_bytes(data)
        partial.replace(path)

    known = path.read_bytes() if path.is_file() else None
    return Curve.open(keep, known, device=device, split=found.counts, notes=notes_of(found))


def _report(out: Path, found: Prepared, training: list[str], say: Say) -> dict[str, Any]:
    """Score the new model on its test cells (validation cells where there are none) and write what is said of it."""
    from engine.bundle import load_bundle
    from engine.fitting import report_document, score_direction
    from engine.predictability import write_predictability

    bundle = load_bundle(out)
    reports, tables = {}, {}
    for direction in sorted(bundle.translator.directions):
        say(f"Scoring {direction.value} on {len(getattr(found.split, found.part)):,} {found.part} cells")
        scored = score_direction(bundle, found, direction)
        reports[direction.value] = scored.report if scored else None
        if scored:
            tables[direction] = scored.predictability
    document = report_document(bundle.digest, found, reports)
    write_json(out / "report.json", document)
    write_predictability(out, tables, bundle=bundle.digest)
    write_card(out, document, training=training)
    return document
