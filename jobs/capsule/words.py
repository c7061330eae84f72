"""The README of a capsule, for somebody who has nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jobs.capsule.model import Capsule

KINDS = {
    "translate": "a translation",
    "joint": "a joint view",
    "train": "a training",
    "benchmark": "a comparison of models",
    "analysis": "an analysis",
    "evaluate": "an evaluation of a prediction",
}
NOT_THERE = "No counts, no predictions and no address of a machine are in here."


def readme(capsule: Capsule, report: Mapping[str, Any] | None) -> str:
    return "\n".join(_lines(capsule, report)) + "\n"


def _lines(capsule: Capsule, report: Mapping[str, Any] | None) -> Iterator[str]:
    yield f"# {_plain(capsule.title) or KINDS.get(capsule.kind, capsule.kind).capitalize()}"
    yield ""
    what = KINDS.get(capsule.kind, capsule.kind)
    made = f" (job {capsule.job})" if capsule.job else " of the command line"
    yield f"This capsule says how {what}{made} was made, and lets anyone make it again and compare."
    names = " Names of cells stand in its split." if _names(capsule) else ""
    yield f"{NOT_THERE}{names}"
    yield ""
    yield "## What went in"
    yield ""
    for modality, each in sorted(capsule.inputs.items()):
        size = f", {each.cells:,} cells" if each.cells is not None else ""
        yield f"- {modality.upper()}: {_plain(each.name)}{size}. SHA-256 of the clean copy: `{each.digest}`"
        if each.mends:
            yield f"  Mended on the way in: `{_plain(each.mends)}`. Give `verify` the same options."
    if capsule.model is not None:
        its = capsule.model
        yield f"- Model {_plain(its.id)} ({its.translator}), digest `{its.digest}`"
        if its.training:
            yield f"  fitted to cells of digest `{its.training}`"
    yield ""
    yield "## How"
    yield ""
    versions = ", ".join(f"{name} {value}" for name, value in sorted(capsule.versions.items()))
    yield f"CrossView {capsule.code_version}" + (f"; {versions}." if versions else ".")
    if capsule.device:
        yield f"On a GPU: {_plain(capsule.device)}."
    yield f"Seeds: {', '.join(map(str, capsule.seeds)) or 'none'}. Everything that was asked, in `capsule.json`:"
    yield ""
    yield "```json"
    yield json.dumps(dict(capsule.spec), indent=1, sort_keys=True, ensure_ascii=False)[:20_000]
    yield "```"
    yield ""
    yield "## What came out"
    yield ""
    for direction, each in sorted((report or {}).get("directions", {}).items()):
        verdict = (each.get("verdict") or {}).get("headline", "")
        yield f"- {direction}: {verdict or 'not scored: the cells were measured one way only'}"
    if report is not None:
        yield "- `report.json`: every score with its nulls and intervals"
    for file in capsule.files:
        yield f"- {_plain(file.name)}, {file.bytes:,} bytes, SHA-256 `{file.sha256}`"
    yield ""
    yield "## Check it"
    yield ""
    yield "```"
    inputs = " ".join(each.example or "FILE" for _, each in sorted(capsule.inputs.items()))
    model = " --model BUNDLE" if capsule.model is not None else ""
    yield f"crossview capsule verify THIS.zip --input {inputs}{model}"
    yield "```"
    yield ""
    yield "It brings the files in, compares their digests, runs everything again on your machine, and says of each"
    yield "score and file whether it is identical, within tolerance, or different. `SHA256SUMS` shows whether this"
    yield "capsule is as it was made; it is no signature: who made it, it cannot tell."


def _names(capsule: Capsule) -> bool:
    return bool((capsule.spec.get("split") or {}).get("names"))


def _plain(text: str) -> str:
    """On one line, and no markup."""
    return " ".join(text.split()).replace("`", "'").replace("<", "‹").replace(">", "›")[:400]
