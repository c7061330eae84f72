"""Capsules of what `crossview translate` wrote, and of its scores: made from the file itself, and made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from engine.errors import BadInput
from engine.types import Direction
from jobs.capsule.fingerprint import fingerprints
from jobs.capsule.model import Capsule, File, Input, InputName, Model
from jobs.capsule.pack import packed
from jobs.capsule.service import versions_in
from jobs.capsule.words import readme
from jobs.commands.offline import Say
from storage.files import sha256_of

NAME = "prediction.h5ad"
NEEDED = ("direction", "bundle", "model", "source", "code_version", "input", "features", "chunk_cells", "seed")


def create(out: Path, *, report: Path | None = None) -> bytes:
    """The zip. report: of `crossview evaluate` of this very file.

    Raises BadInput for a file that does not say what it was made of, or a report of another one.
    """
    if not out.is_file():
        raise BadInput(f"There is no file {out}, and no job of that name was asked for.", hint="Check the path.")
    said, features, cells = _provenance(out)
    direction, digest = Direction(said["direction"]), sha256_of(out)
    source = Input(digest=said["input"], name=said["source"], cells=cells, mends=_mends(said))
    inputs = {direction.source.value: source}
    scores = _report(report, digest, said["bundle"]) if report is not None else None
    if scores is not None:
        truth = scores["truth"]
        inputs[direction.target.value] = Input(digest=truth["digest"], name=truth["name"])
    capsule = Capsule(
        how="command",
        kind="translate",
        title=f"{direction.value} of {said['source']}",
        code_version=said["code_version"],
        versions=versions_in(scores or {}),
        seeds=(int(said["seed"]),),
        spec={
            "direction": direction.value,
            "model": said["model"],
            "features": features,  # none for latents alone; all of the model's are many names, and are the default
            "chunk_cells": int(said["chunk_cells"]),
            "min_coverage": float(said["min_coverage"]),
            "name": said["source"],
        },
        inputs=cast(dict[InputName, Input], inputs),
        model=Model(id=said["model"], digest=said["bundle"]),
        files=(File(name=NAME, bytes=out.stat().st_size, sha256=digest, arrays=fingerprints(out, NAME)),),
    )
    return packed(capsule, scores, readme(capsule, scores))


def again(
    capsule: Capsule,
    report: Mapping[str, Any] | None,
    bundle: Path | None,
    cells: Mapping[InputName, Path],
    folder: Path,
    say: Say,
) -> tuple[dict[str, Any] | None, dict[str, File]]:
    """The command once more, on clean copies; its report and file."""
    from engine.bundle import load_bundle
    from jobs.commands.offline import evaluate_copy, translate_copy

    assert bundle is not None  # a translation has a model
    spec, model = capsule.spec, load_bundle(bundle)
    direction = Direction(spec["direction"])
    out = folder / NAME
    features = [str(name) for name in spec["features"]]
    translate_copy(
        cells[direction.source.value],
        bundle=model,
        direction=direction,
        out=out,
        features=None if features == ["*"] else features,
        latent_only=not features,
        chunk=int(spec["chunk_cells"]),
        min_coverage=float(spec["min_coverage"]),
        name=str(spec["name"]),
        mends=tuple(json.loads(capsule.inputs[direction.source.value].mends or "[]")),
        say=say,
    )
    now = {NAME: File(name=NAME, bytes=out.stat().st_size, sha256=sha256_of(out), arrays=fingerprints(out, NAME))}
    if report is None:
        return None, now
    name = capsule.inputs[direction.target.value].name
    found = evaluate_copy(cells[direction.target.value], bundle=model, prediction=out, name=name)
    return found, now


def _provenance(out: Path) -> tuple[dict[str, Any], list[str], int]:
    """What the file says of itself, the features it holds ("*": all of the model's), and its cells. Raises BadInput."""
    import h5py

    try:
        with h5py.File(out, "r") as file:
            group = file["uns/crossview"]
            said = {
                str(name): item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
                for name, item in group.items()
                if isinstance(item, h5py.Dataset)
            }
            for name in NEEDED:
                if said[name] in (None, ""):
                    raise KeyError(name)
            var, obs = file["var"], file["obs"]
            names = [str(v) for v in var[var.attrs["_index"]].asstr()[:]]
            cells = int(obs[obs.attrs["_index"]].shape[0])
    except (OSError, KeyError, AttributeError, TypeError) as error:
        raise BadInput(
            f"{out.name} does not say what it was made of ({error}).",
            hint="Give a file that this version's `crossview translate` wrote, or the id of a finished job.",
        ) from error
    return said, {"all": ["*"], "none": []}.get(said["features"], names), cells


def _report(path: Path, prediction: str, bundle: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        said = found["prediction"], found["bundle"], found["truth"]["digest"], found["truth"]["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path.name} is no report of `crossview evaluate` ({type(error).__name__}).",
            hint="Write it again: crossview evaluate --prediction OUT.h5ad --truth T --model M --out report.json.",
        ) from error
    if said[:2] != (prediction, bundle):
        raise BadInput(
            f"{path.name} scores the file {str(said[0])[:12]}…, not this one ({prediction[:12]}…).",
            hint="Evaluate this file, and give that report.",
        )
    return dict(found)


def _mends(said: Mapping[str, Any]) -> str:
    text = str(said.get("mends") or "[]")
    return "" if json.loads(text) == [] else text
