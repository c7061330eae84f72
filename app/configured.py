"""What a job was asked, as words, as JSON and as a call over REST. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from app import present
from jobs.names import Direction
from jobs.views import JobView

WORDS: Mapping[str, str] = {
    "kind": "kind of job",
    "model": "model",
    "bundle": "digest of the model",
    "rna": "RNA cells (data set)",
    "atac": "ATAC cells (data set)",
    "prediction": "prediction (data set)",
    "training": "training cells (data set)",
    "target": "what is scored",
    "method": "made by",
    "scale": "scale of the values",
    "directions": "directions",
    "seed": "seed",
    "seeds": "seeds",
    "chunk_cells": "cells in one task",
    "min_coverage": "least share of the model's features",
    "umap": "maps",
    "export": "whole prediction as a file",
    "device": "device",
    "genome": "genome",
    "label": "column of labels",
    "name": "name of the model",
    "what": "question",
    "on": "values",
}


def words(name: str) -> str:
    """split.column -> "split, column"."""
    return WORDS.get(name) or name.replace("_", " ").replace(".", ", ")


def rows(job: JobView) -> list[tuple[str, str]]:
    """What was asked, one line a setting; what was left empty is left out."""
    spec = dict(job.spec)
    names = [name for name in WORDS if name in spec] + [name for name in spec if name not in WORDS]
    said = [(words(name), text) for name in names for name, text in _flat(name, spec[name])]
    return [*said, *([("time limit", present.duration(job.time_limit_s))] if job.time_limit_s else [])]


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, each in value.items():
            yield from _flat(f"{name}.{inner}", each)
    elif isinstance(value, list | tuple) and len(value) > 8:
        yield name, f"{present.count(len(value))} names, the first {value[0]}"
    elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        for place, each in enumerate(value, start=1):
            yield from _flat(f"{name}.{place}", each)
    elif value not in (None, "", [], ()):
        yield name, _text(name, value)


def _text(name: str, value: Any) -> str:
    if name == "directions":
        return present.directions([Direction(each) for each in value])
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def document(job: JobView) -> str:
    """The request that asks for the same again, as JSON."""
    return json.dumps({"spec": job.spec, "title": job.title}, indent=2, ensure_ascii=False)


def rest(job: JobView, *, base: str) -> str:
    """The same as a call from a shell. base: where this CrossView answers."""
    body = json.dumps({"spec": job.spec, "title": job.title}, ensure_ascii=False)
    return (
        f"curl -X POST {base.rstrip('/')}/api/v1/jobs \\\n  -H 'content-type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )
