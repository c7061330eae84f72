"""The kinds of jobs in words: what each is called, what is said of it in a line, and how it is asked for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app import analyses, present
from jobs.spec import (
    AnalysisSpec,
    BenchmarkSpec,
    EvaluateSpec,
    HoldOut,
    JointSpec,
    PairSpec,
    Spec,
    TrainSpec,
    TranslateSpec,
    read_spec,
)
from jobs.views import JobView

Query = dict[str, str | list[str]]


@dataclass(frozen=True)
class Kind:
    """word: for a badge. doing: while it runs. page: where one like it is asked for."""

    word: str
    icon: str
    doing: str
    page: str


KINDS: Mapping[str, Kind] = {
    "translate": Kind("Translation", ":material/swap_horiz:", "translation", "views/new.py"),
    "joint": Kind("Joint view", ":material/hub:", "joint view", "views/new.py"),
    "analysis": Kind("Analysis", ":material/query_stats:", "analysis", "views/analyse.py"),
    "evaluate": Kind("Scored prediction", ":material/grading:", "scoring", "views/new.py"),
    "train": Kind("Training", ":material/model_training:", "training", "views/new.py"),
    "benchmark": Kind("Comparison", ":material/leaderboard:", "comparison", "views/new.py"),
}


def kind(name: str) -> Kind:
    return KINDS.get(name, KINDS["translate"])


def facts(job: JobView) -> list[str]:
    """What a line under the job's title says of it, the kind itself left out."""
    cells = [present.plural(job.cells, "cell")] if job.cells else []
    if job.kind == "train":
        seed = job.spec.get("seed") or 0
        return [f"method {present.plain(_method(job))}", *cells, *([f"seed {seed}"] if seed else [])]
    if job.kind == "benchmark":
        contenders, seeds = job.spec.get("contenders") or (), job.spec.get("seeds") or ()
        return [present.plural(len(contenders), "model"), *cells, present.plural(len(seeds), "seed")]
    if job.kind == "joint":
        label = job.spec.get("label")
        compared = [f"compared with {present.plain(str(label))}"] if label else []
        return [*cells, f"model {present.plain(job.model)}", *compared]
    if job.kind == "analysis":
        return analyses.facts(AnalysisSpec.model_validate(job.spec), job.cells)
    if job.kind == "evaluate":
        made = [f"made by {present.plain(job.model)}"] if job.model else []
        return [f"predicted {present.measured(job.directions[0].target)}", *cells, *made]
    return [present.directions(job.directions), *cells, *_outside(job), f"model {present.plain(job.model)}"]


def _outside(job: JobView) -> list[str]:
    """How many cells are unlike those the model was trained on, of the direction where they are most."""
    most = max(job.outside.values(), default=0)
    up_to = "up to " if len(set(job.outside.values())) > 1 else ""
    return [f"{up_to}{present.count(most)} unlike the training cells"] if most else []


def _method(job: JobView) -> str:
    return str(job.spec.get("model") or job.model)


def split_words(split: HoldOut) -> str:
    """How the cells were parted, in a sentence's end."""
    if split.names:
        counts = ", ".join(f"{present.count(len(split.names.get(side, ())))} {side}" for side in SIDES)
        return f"as given by name ({counts})"
    if split.column:
        return f"{split.column} {' and '.join(split.test)} held out"
    whole = f", whole values of {split.by}" if split.by else ""
    return f"70 % train, 15 % choose, 15 % judge, drawn by chance{whole}"


SIDES: tuple[Literal["train", "valid", "test"], ...] = ("train", "valid", "test")


def query(job: JobView) -> Query:
    """The address of a page that starts from what this job was asked."""
    if job.kind == "analysis":
        return analyses.query(AnalysisSpec.model_validate(job.spec))
    if job.kind == "evaluate":
        return {"kind": "score", "step": "4", **_evaluation(EvaluateSpec.model_validate(job.spec)), "from": job.id}
    return {"kind": job.kind, "step": "4", **_asked(job), "from": job.id}


def _asked(job: JobView) -> Query:
    if job.kind == "joint":
        return _joint(JointSpec.model_validate(job.spec))
    if job.kind not in ("train", "benchmark"):
        return _translation(TranslateSpec.model_validate(job.spec))
    spec = read_spec(job.spec)
    if isinstance(spec, TrainSpec):
        return {**_pair(spec), "model": spec.model, **_settings(spec.model, spec.settings), **_rest(spec)}
    assert isinstance(spec, BenchmarkSpec)
    models = list(dict.fromkeys(c.model for c in spec.contenders))
    return {**_pair(spec), "models": models, **_variants(spec), "seeds": str(len(spec.seeds)), **_batches(spec)}


def _translation(spec: TranslateSpec) -> Query:
    ids = [id for id in (spec.rna, spec.atac) if id]
    asked: Query = {**dict(zip(("cells", "other"), ids, strict=False)), "model": spec.model}
    if len(ids) == 2 and len(spec.directions) == 1:
        asked["directions"] = [spec.directions[0].value]
    return {**asked, **_unusual(spec, ("export", "umap", "seed"))}


def _unusual(spec: Spec, names: Sequence[str]) -> Query:
    """Fields that differ from their defaults, as text."""
    fields = type(spec).model_fields
    return {name: as_text(value) for name in names if (value := getattr(spec, name)) != fields[name].default}


def _joint(spec: JointSpec) -> Query:
    asked: Query = {"rna": spec.rna, "atac": spec.atac, "model": spec.model, "label": spec.label or NO_LABEL}
    return {**asked, **_unusual(spec, ("clusters", "resolution", "umap", "export", "seed"))}


def _evaluation(spec: EvaluateSpec) -> Query:
    files = {
        "prediction": spec.prediction, "truth": spec.dataset(spec.target), "source": spec.dataset(spec.target.other),
        "training": spec.training,
    }  # fmt: skip
    named: Query = {name: id for name, id in files.items() if id}
    genome: Query = {"genome": spec.genome} if spec.genome else {}
    return {**named, **genome, **_unusual(spec, ("method", "scale", "umap", "seed"))}


NO_LABEL = analyses.NO_LABEL  # in the address: asked to compare with no label


def _pair(spec: PairSpec) -> Query:
    asked: Query = {"rna": spec.rna, "atac": spec.atac}
    if spec.split.column:
        asked |= {"split": BATCHES, "column": spec.split.column, "test": list(spec.split.test)}
        if spec.split.valid:
            asked["valid"] = list(spec.split.valid)
    elif spec.split.names:
        asked["split"] = NAMES
    elif spec.split.by:
        asked["by"] = spec.split.by
    if spec.device != "auto":
        asked["device"] = spec.device
    if spec.filters.get("filters") == "none":
        asked["filters"] = "everything"
    elif spec.filters.get("filters") == "paper":
        asked["filters"] = "published"
    if spec.genome:
        asked["genome"] = spec.genome
    return asked


CHANCE, BATCHES, NAMES = "By chance", "Whole batches", "A split.json"


def _settings(model: str, settings: Mapping[str, str]) -> Query:
    return {f"{model}.{name}": value for name, value in settings.items()}


def _rest(spec: TrainSpec) -> Query:
    rest: Query = {"seed": str(spec.seed)} if spec.seed else {}
    return {**rest, **({"name": spec.name} if spec.name else {})}


def _batches(spec: BenchmarkSpec) -> Query:
    """Judged apart by the column that is held out unless the address says otherwise; "" is by none."""
    return {"batches": spec.batch_column} if spec.batch_column != spec.split.column else {}


def _variants(spec: BenchmarkSpec) -> Query:
    """A line a variant under `variants.MODEL`, wherever anything but the defaults was asked."""
    lines: dict[str, list[str]] = {}
    for each in spec.contenders:
        text = ", ".join(f"{name}={value}" for name, value in each.settings.items())
        lines.setdefault(each.model, []).append(f"{each.label}: {text}" if each.label and text else text)
    return {f"variants.{model}": "\n".join(found) for model, found in lines.items() if any(found)}


def as_text(value: Any) -> str:
    """A value as settings travel."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
