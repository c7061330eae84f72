"""What a job was asked, as commands of the command line. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from app.analyses import question
from jobs.spec import (
    AnalysisSpec,
    BenchmarkSpec,
    EvaluateSpec,
    HoldOut,
    JointSpec,
    PairSpec,
    TrainSpec,
    TranslateSpec,
    read_spec,
)
from jobs.views import JobView


def commands(job: JobView, inputs: Mapping[str, str]) -> list[str]:
    """One line a command. inputs: what the command line calls the cells, by modality."""
    spec = read_spec(job.spec)
    if isinstance(spec, TrainSpec):
        where = ["# split.json lies in model.zip, one of this job's files"] if _by_name(spec.split) else []
        return [*where, _train(spec, inputs)]
    if isinstance(spec, BenchmarkSpec):
        return [*_files(spec), _benchmark(spec, inputs)]
    if isinstance(spec, JointSpec):
        return [_embed(spec, inputs)]
    if isinstance(spec, AnalysisSpec):
        return _analyse(spec, inputs)
    if isinstance(spec, EvaluateSpec):
        return [_evaluate(spec, inputs)]
    return _translate(spec, inputs)


def _translate(spec: TranslateSpec, inputs: Mapping[str, str]) -> list[str]:
    return [
        f"crossview translate --model {spec.model} --input {_quoted(inputs, direction.source.value)} "
        f"--direction {direction.value} --out {direction.value}.h5ad"
        for direction in spec.directions
    ]


def _evaluate(spec: EvaluateSpec, inputs: Mapping[str, str]) -> str:
    source = spec.target.other.value
    words = [f"crossview evaluate --prediction {_quoted(inputs, 'prediction')}"]
    words += [f"--truth {_quoted(inputs, spec.target.value)}"]
    words += [f"--source {_quoted(inputs, source)}"] if spec.dataset(spec.target.other) else []
    words += [f"--training {_quoted(inputs, 'training')}"] if spec.training else []
    words += [f"--scale {spec.scale}"] if spec.scale else []
    return " ".join([*words, "--out report.json"])


def _embed(spec: JointSpec, inputs: Mapping[str, str]) -> str:
    words = ["crossview embed", f"--model {spec.model}"]
    words += [f"--rna {_quoted(inputs, 'rna')}", f"--atac {_quoted(inputs, 'atac')}"]
    words += [f"--label {shlex.quote(spec.label)}"] if spec.label else []
    words += [f"--clusters {spec.clusters}"] if spec.clusters else []
    words += [f"--resolution {spec.resolution:g}", f"--seed {spec.seed}"]
    return " ".join([*words, "--out joint.h5ad", "--report report.json"])


def _analyse(spec: AnalysisSpec, inputs: Mapping[str, str]) -> list[str]:
    """Options that stand as they usually do are left out."""
    usual = AnalysisSpec(what=spec.what, rna=spec.rna, atac=spec.atac)
    words = [f"crossview analyse {spec.what}", f"--rna {_quoted(inputs, 'rna')}", f"--atac {_quoted(inputs, 'atac')}"]
    words += [f"--model {spec.model}"] if spec.model else []
    for name in (
        "label",
        "on",
        "embedding",
        "held_out",
        "genome",
        "min_coverage",
        "seed",
        *question(spec.what).options,
    ):
        value = getattr(spec, name)
        if name in ("umap", "reference") or value == getattr(usual, name):
            continue
        flag = f"--{name.replace('_', '-')}"
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words.append(flag if isinstance(value, bool) else f"{flag} {shlex.quote(text)}")
    words = list(dict.fromkeys(words))
    words += [] if spec.umap or spec.what != "cluster" else ["--no-umap"]
    words += ["--reference reference.txt"] if spec.reference else []
    told = [f"# reference.txt: the {len(spec.reference):,} names of the spec in report.json, one a line"]
    return [*(told if spec.reference else []), " ".join([*words, f"--out {spec.what}"])]


def _train(spec: TrainSpec, inputs: Mapping[str, str]) -> str:
    words = ["crossview train", *_pair(spec, inputs), f"--model {spec.model}", f"--out {_name(spec)}"]
    words += [f"--seed {spec.seed}", *_settings(spec.settings)]
    return " ".join(words)


def _benchmark(spec: BenchmarkSpec, inputs: Mapping[str, str]) -> str:
    """Contenders that differ in settings need a file: the command line names each model once."""
    models = [each.model for each in spec.contenders]
    words = ["crossview benchmark", f"--rna {_quoted(inputs, 'rna')}", f"--atac {_quoted(inputs, 'atac')}"]
    words += ["--split split.json"] if spec.split.by else _split(spec.split)
    words += [f"--genome {shlex.quote(spec.genome)}"] if spec.genome else []
    if len(set(models)) == len(models):
        words.append(f"--models {','.join(models)}")
        words += _settings({f"{c.model}.{name}": v for c in spec.contenders for name, v in c.settings.items()})
    else:
        words.append("--contenders contenders.json")
    words += [f"--filters {'none' if spec.filters.get('filters') == 'none' else 'paper'}"]
    words += [f"--seeds {','.join(map(str, spec.seeds))}", f"--device {spec.device}", "--out benchmark"]
    if spec.batch_column:
        words.append(f"--batch-column {shlex.quote(spec.batch_column)}")
    return " ".join(words)


def _files(spec: BenchmarkSpec) -> list[str]:
    """Of what the command reads beside the cells: where to find it, or what to write in it."""
    lines = ["# split.json is one of this job's files"] if spec.split.by or _by_name(spec.split) else []
    if len({each.model for each in spec.contenders}) < len(spec.contenders):
        listed = [each.model_dump(exclude_defaults=True) for each in spec.contenders]
        lines.append(f"# contenders.json: {json.dumps(listed, ensure_ascii=False)}")
    return lines


def _pair(spec: PairSpec, inputs: Mapping[str, str]) -> list[str]:
    words = [f"--rna {_quoted(inputs, 'rna')}", f"--atac {_quoted(inputs, 'atac')}", *_split(spec.split)]
    words += [f"--split-by {shlex.quote(spec.split.by)}"] if spec.split.by else []
    words += [f"--genome {shlex.quote(spec.genome)}"] if spec.genome else []
    words += [f"--device {spec.device}"] if spec.device != "auto" else []
    return [*words, *_settings(spec.filters)]


def _split(split: HoldOut) -> list[str]:
    if _by_name(split):
        return ["--split split.json"]
    if split.column:
        return [f"--hold-out {shlex.quote(','.join(f'{split.column}={value}' for value in split.test))}"]
    return []


def _by_name(split: HoldOut) -> bool:
    """Whether only the names of the cells say it: --hold-out takes no batches to choose by and no commas."""
    return bool(split.names or split.valid) or any("," in text for text in (split.column, *split.test))


def _settings(settings: Mapping[str, str]) -> list[str]:
    return [f"--set {shlex.quote(f'{name}={value}')}" for name, value in settings.items()]


def _name(spec: TrainSpec) -> str:
    return shlex.quote(spec.name or f"{spec.model}-model")


def _quoted(inputs: Mapping[str, str], which: str) -> str:
    return shlex.quote(inputs.get(which, f"{which}.h5ad"))
