"""The tasks of a training: prepare, train, score, publish; each can be done again without harm."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import CrossViewError
from engine.types import Direction
from jobs import layout
from jobs.driver import SUPERSEDED
from jobs.parts import bundle_folder, scratch
from jobs.settings import Settings
from jobs.training.benchmark import is_labelled, make_entry, publish_benchmark, split_text
from jobs.training.checkpoints import StoreCheckpoints, read_or_none
from jobs.training.curve import Curve, how_it_went, read_curve
from jobs.training.pairs import prepared
from jobs.version import code_version
from jobs.work import Attempt
from storage.zips import member

if TYPE_CHECKING:
    from engine.bundle import Bundle
    from engine.fitting import Prepared
    from engine.translators.base import Epoch

Arguments = Mapping[str, Any]
MANIFEST, ZIP = "bundle.json", "model.zip"
LOOK_EVERY_S = 2.0  # whether this attempt is still wanted  # ours
JSON, TEXT, BINARY = "application/json", "text/plain; charset=utf-8", "application/octet-stream"
WHAT = {
    "report.json": "Scores on held-out cells.",
    "predictability.npz": "Score and skill of each gene and peak on held-out cells.",
    "curve.json": "Losses of every epoch.",
    "CARD.md": "What the model is, how it was trained and how far to trust it.",
    ZIP: "The whole model, for `crossview models add` and `crossview translate`.",
}


class Superseded(CrossViewError):
    """This attempt is not wanted any more: it was cancelled, or another one goes on with its work."""

    code = SUPERSEDED


def prepare_pair(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """Read, pair, part, look for leaks and filter: whatever is wrong with the cells is said here."""
    found = prepared(attempt)
    counts = int(found.pair.rna.counts.nnz + found.pair.atac.counts.nnz)
    labelled = attempt.asked.kind == "benchmark" and is_labelled(attempt, found)
    return {"split": found.counts, "notes": notes_of(found), "counts": counts, "labelled": labelled}


def notes_of(found: Prepared) -> list[str]:
    """What a reader of the curve should know of the cells."""
    from engine.preprocess.filters import lost_cells

    pairing = [found.matching.note] if found.matching.told else []
    lost = lost_cells(found.kept)
    return [*pairing, *found.leaks.notes, *([lost] if lost else [])]


def train_model(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """Fit, from the last checkpoint where there is one, and leave the bundle in the store, its manifest last."""
    from engine.fitting import fit_bundle
    from engine.translators.base import Hooks
    from engine.translators.registry import recipe

    spec, store = attempt.train, attempt.store
    if (manifest := read_or_none(store, _trained(attempt, MANIFEST))) is not None:
        return _told(json.loads(manifest))
    found = prepared(attempt)
    device = chosen_device(spec.device, device)
    key = layout.training(attempt.job, attempt.spec_digest, "curve.json")
    curve = Curve.open(
        lambda data: store.put_bytes(key, data),
        read_or_none(store, key),
        device=device,
        split=found.counts,
        notes=notes_of(found),
    )
    unfinished = StoreCheckpoints(store, layout.training(attempt.job, attempt.spec_digest, "checkpoints/"))
    hooks = Hooks(
        on_epoch=Wanted(attempt).look,
        seed=spec.seed,
        device=device,
        threads=min(int(arguments.get("threads", 1)), os.cpu_count() or 1) if device == "cpu" else None,
        checkpoints=unfinished,
        checkpoint_s=Settings.from_env().checkpoint_seconds,
    )
    with scratch() as folder:
        into = folder / "bundle"
        made = fit_bundle(
            found,
            recipe(spec.model, spec.settings),
            into=into,
            id=spec.name or spec.model,
            hooks=curve.hooks(hooks),
            code_version=code_version(),
        )
        curve.flush()
        (into / "split.json").write_text(split_text(found), encoding="utf-8")
        for path in _manifest_last(into):
            store.put_file(_trained(attempt, path.name), path)
    unfinished.clear()
    return _told({"digest": made.digest, "directions": made.directions})


def _told(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {"bundle": manifest["digest"], "directions": list(manifest["directions"])}


def score_model(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """One direction on held-out cells; what is said of it is left for the task that publishes."""
    from engine.fitting import score_direction
    from engine.predictability import packed
    from jobs.assemble import plain

    direction = Direction(arguments["direction"])
    scored = score_direction(_bundle(attempt), prepared(attempt), direction)
    if scored:
        attempt.store.put_bytes(_key(attempt, direction, "predictability.npz"), packed(scored.predictability))
    report = json.dumps(plain(scored.report if scored else None), allow_nan=False)
    attempt.store.put_bytes(_key(attempt, direction, "report.json"), report.encode())
    return {"scored": scored is not None}


def publish_model(attempt: Attempt, arguments: Arguments, device: str) -> dict[str, Any]:
    """The files of the job, the bundle where workers find it, and what is said of the model beside it."""
    from engine.fitting import report_document
    from jobs.commands.card import card

    found, bundle = prepared(attempt), _bundle(attempt)
    reports = {d.value: _piece(attempt, d) for d in sorted(bundle.manifest.directions_)}
    report = report_document(bundle.digest, found, reports)
    curve = read_or_none(attempt.store, layout.training(attempt.job, attempt.spec_digest, "curve.json"))
    how = how_it_went(read_curve(curve))
    id = model_id(attempt.train.name or attempt.train.model, bundle.digest, attempt.whose)
    files = {
        "report.json": (json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode(),
        "curve.json": curve or b"{}",
        "CARD.md": card(bundle.manifest, report, training=how).encode(),
        **_predictability(attempt, bundle),
    }
    assert bundle.folder is not None  # it was loaded from one
    artifacts = _write_files(attempt, bundle.folder, files)
    for path in _manifest_last(bundle.folder):
        attempt.store.put_file(layout.bundle(bundle.digest) + path.name, path)
    for name in files.keys() - {"curve.json"}:
        attempt.store.put_bytes(layout.model(id) + name, files[name])
    said = {"model": id, "bundle": bundle.digest, "holds_cells": bundle.manifest.contains_cells, "split": found.counts}
    return {"artifacts": artifacts, "summary": {**said, "part": report["part"], "headlines": headlines(report)}}


def headlines(report: Mapping[str, Any]) -> dict[str, str]:
    """One sentence a direction, from a report of held-out cells."""
    found = {d: (each.get("verdict") or {}).get("headline", "") for d, each in report["directions"].items()}
    return {direction: sentence for direction, sentence in found.items() if sentence}


def model_id(name: str, digest: str, whose: str = "") -> str:
    """A name people gave, as an id, with enough of the digest to tell two models of one name apart.

    whose: tells those of two users apart, who may train the same.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "model"
    return f"{slug}-{digest[:8]}{whose and '-'}{whose}"


def chosen_device(wanted: str, offered: str) -> str:
    """auto: the GPU the executor gave, or one this machine has. Raises BadSetting for cuda without a GPU."""
    from engine.training import pick_device

    return offered if wanted == "auto" and offered == "cuda" else str(pick_device(wanted))


@dataclass
class Wanted:
    """Asks the store now and then; a worker whose driver died would otherwise train beside its successor."""

    attempt: Attempt
    _asked: float = field(default_factory=time.monotonic)

    def look(self, epoch: Epoch) -> None:
        """Raises Superseded."""
        if time.monotonic() - self._asked < LOOK_EVERY_S:
            return
        self._asked = time.monotonic()
        store, job, number = self.attempt.store, self.attempt.job, self.attempt.number
        if store.exists(layout.cancel_mark(job, number)) or store.exists(layout.order(job, number + 1)):
            raise Superseded(f"Attempt {number} is not wanted any more.", hint="Look at the job again.")


def _trained(attempt: Attempt, name: str = "") -> str:
    return layout.training(attempt.job, attempt.spec_digest, f"bundle/{name}")


def _bundle(attempt: Attempt) -> Bundle:
    from engine.bundle import load_bundle

    return load_bundle(bundle_folder(attempt.store, _trained(attempt)))


def _key(attempt: Attempt, direction: Direction, name: str) -> str:
    return layout.piece(attempt.job, attempt.number, direction.value, name)


def _piece(attempt: Attempt, direction: Direction) -> dict[str, Any] | None:
    data = read_or_none(attempt.store, _key(attempt, direction, "report.json"))
    found: dict[str, Any] | None = json.loads(data) if data else None
    return found


def _predictability(attempt: Attempt, bundle: Bundle) -> dict[str, bytes]:
    """predictability.npz of the directions that were scored; nothing where none was."""
    from engine.predictability import FILE, unpacked, write_predictability

    tables = {
        direction: unpacked(data)
        for direction in sorted(bundle.manifest.directions_)
        if (data := read_or_none(attempt.store, _key(attempt, direction, FILE))) is not None
    }
    with scratch() as folder:
        write_predictability(folder, tables, bundle=bundle.digest)
        return {FILE: (folder / FILE).read_bytes()} if tables else {}


def _write_files(attempt: Attempt, folder: Path, files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    from jobs.assemble import put_file, put_output

    artifacts = []
    for name, data in files.items():
        artifacts.append(put_output(attempt, name, data, _media(Path(name)), WHAT[name]))
    for path in _manifest_last(folder):
        artifacts.append(put_output(attempt, f"bundle/{path.name}", path.read_bytes(), _media(path), "Of the model."))
    with scratch() as place:
        packed = place / ZIP
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
            for path in _manifest_last(folder):
                with path.open("rb") as read, file.open(member(path.name, size=path.stat().st_size), "w") as write:
                    shutil.copyfileobj(read, write)
            for name, data in files.items():
                file.writestr(member(name), data)
        artifacts.append(put_file(attempt, ZIP, packed, "application/zip", WHAT[ZIP]))
    return artifacts


def _media(path: Path) -> str:
    return {".json": JSON, ".txt": TEXT, ".md": TEXT}.get(path.suffix, BINARY)


def _manifest_last(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    return sorted(files, key=lambda path: path.name == MANIFEST)


TASKS: Mapping[str, Callable[[Attempt, Arguments, str], dict[str, Any]]] = {
    "prepare-pair": prepare_pair,
    "train": train_model,
    "score-model": score_model,
    "publish-model": publish_model,
    "entry": make_entry,
    "publish-benchmark": publish_benchmark,
}
