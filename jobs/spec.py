"""What was asked: frozen, complete, and hashable into a cache key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from engine.types import Direction, Modality

INPUTS = ("rna", "atac", "prediction", "training")  # fields of specs that name datasets
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # what numpy's and torch's generators take


class Spec(BaseModel):
    """Common to all kinds of jobs: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def inputs(self) -> dict[str, str]:
        """The ids of the datasets that are read, by what each is to the job: rna, atac …"""
        return {name: str(id) for name in INPUTS if (id := getattr(self, name, None)) is not None}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: the same request has the same digest on every machine."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class TranslateSpec(Spec):
    """Translate cells, and score the translation wherever the other modality was given too.

    rna, atac: ids of ready datasets (the SHA-256 of the canonical copy).
    Each direction's source must be given; where its target is given as well, it is the held-out truth.
    """

    kind: Literal["translate"] = "translate"
    model: str  # id in the catalog
    bundle: str = ""  # digest of the bundle; filled in by the service when submitting
    rna: str | None = None
    atac: str | None = None
    directions: tuple[Direction, ...] = Field(min_length=1)
    chunk_cells: int = Field(default=512, ge=1, le=65_536)
    export: bool = False  # also write the dense prediction
    umap: bool = True
    min_coverage: float = Field(default=0.5, ge=0.0, le=1.0)
    seed: int = 0

    @model_validator(mode="after")
    def _every_source_is_given(self) -> Self:
        if len(set(self.directions)) != len(self.directions):
            raise ValueError("Each direction may be asked for once.")
        for direction in self.directions:
            if self.dataset(direction.source) is None:
                raise ValueError(f"{direction.value} needs {direction.source.value} cells; none were given.")
        return self

    def dataset(self, modality: Modality) -> str | None:
        return self.rna if modality is Modality.RNA else self.atac

    def has_truth(self, direction: Direction) -> bool:
        return self.dataset(direction.target) is not None


class EvaluateSpec(Spec):
    """Score a prediction that any model made against what was measured of the same cells.

    prediction: id of a dataset of predicted values, or of counts. rna, atac: ids of measured cells: that of `target` is
    the truth, the other what was predicted from, for the depth null. training: cells of `target` that the model learned
    from: their average is the null. method: what made the prediction, in a word. scale: of its values, as
    `engine.predicted` has them; empty: as they look. genome: of the peaks, where their names do not tell.
    """

    kind: Literal["evaluate"] = "evaluate"
    target: Modality
    prediction: str
    rna: str | None = None
    atac: str | None = None
    training: str | None = None
    method: str = Field(default="", max_length=200)
    genome: str | None = Field(default=None, max_length=40)
    scale: Literal["", "log-normalised", "rate", "probability", "own"] = ""
    umap: bool = True
    seed: Seed = 0

    @model_validator(mode="after")
    def _the_truth_is_given(self) -> Self:
        if self.dataset(self.target) is None:
            raise ValueError(f"A prediction of {self.target.value} is judged by {self.target.value} cells; give them.")
        return self

    @property
    def directions(self) -> tuple[Direction, ...]:
        return (Direction.to(self.target),)

    def dataset(self, modality: Modality) -> str | None:
        return self.rna if modality is Modality.RNA else self.atac

    def has_truth(self, direction: Direction) -> bool:
        return direction in self.directions


class JointSpec(Spec):
    """Embed cells measured both ways in one view, group them, and impute either modality.

    rna, atac: ids of ready datasets, of the same cells. label: a column of theirs the groups are compared with.
    clusters: of k-means; 0 takes as many as the label has values, else as many as Leiden finds. resolution: of Leiden.
    """

    kind: Literal["joint"] = "joint"
    model: str  # id in the catalog
    bundle: str = ""  # digest of the bundle; filled in by the service when submitting
    rna: str
    atac: str
    label: str = Field(default="", max_length=200)
    clusters: int = Field(default=0, ge=0, le=500)
    resolution: float = Field(default=1.0, gt=0.0, le=20.0)
    chunk_cells: int = Field(default=512, ge=1, le=65_536)
    export: bool = False  # also write what is imputed as dense matrices
    umap: bool = True
    min_coverage: float = Field(default=0.5, ge=0.0, le=1.0)
    seed: Seed = 0

    def dataset(self, modality: Modality) -> str:
        return self.rna if modality is Modality.RNA else self.atac


Analysis = Literal[
    "cluster", "imputation", "mixing", "abnormal", "de", "cre", "coaccess", "trajectory", "activity"
]  # fmt: skip
Profiles = Literal["raw", "imputed"]
Embedding = Literal["joint", "rna", "atac", "wnn", "multivi", "scvi", "mofa"]
Names = Annotated[tuple[str, ...], Field(max_length=10_000)]


class AnalysisSpec(Spec):
    """One analysis of cells measured both ways, on raw and on imputed profiles.

    rna, atac: ids of ready datasets, of the same cells. model: id in the catalog, for the joint embedding and imputed
    profiles; empty: raw profiles, and an embedding fitted to these cells. label: a column of the cells. The fields
    after `seed` belong to some analyses only (`crossview analyse WHAT --help` says which); others leave them alone.
    """

    kind: Literal["analysis"] = "analysis"
    what: Analysis
    model: str = ""
    bundle: str = ""  # digest of the bundle; filled in by the service when submitting
    rna: str
    atac: str
    label: str = Field(default="", max_length=200)
    on: tuple[Profiles, ...] = Field(default=("raw", "imputed"), min_length=1)
    embedding: Embedding = "joint"
    held_out: bool = False  # only cells that neither trained nor chose the model
    genome: str | None = None
    min_coverage: float = Field(default=0.5, ge=0.0, le=1.0)
    seed: Seed = 0
    # cluster, abnormal, de, mixing
    components: int = Field(default=0, ge=0, le=500)  # clusters of k-means; 0: by the label, or Leiden's
    resolution: float = Field(default=1.0, gt=0.0, le=20.0)
    compare: tuple[Embedding, ...] = ()
    seeds: tuple[Seed, ...] = ()
    umap: bool = True
    batch: str = Field(default="", max_length=200)
    groups: str = Field(default="", max_length=200)
    # imputation, de
    only: Literal["", "rna", "atac"] = ""
    method: str = Field(default="t-test_overestim_var", max_length=40)
    reference: Names = ()  # names, or GROUP,NAME
    top: int = Field(default=100, ge=1, le=100_000)
    # cre, coaccess
    reach: int = Field(default=100_000, ge=1, le=5_000_000)
    genes: Names = ()
    alpha: float = Field(default=0.0, ge=0.0)
    metacells: int = Field(default=-1, ge=-1, le=10_000)  # -1: as the analysis likes it; 0: none
    # trajectory
    root: str = Field(default="", max_length=200)
    root_at: Literal["medoid", "tip"] = "medoid"
    among: Names = ()
    neighbours: int = Field(default=30, ge=2, le=1_000)

    def dataset(self, modality: Modality) -> str:
        return self.rna if modality is Modality.RNA else self.atac


class HoldOut(Spec):
    """How cells are parted. One of: whole batches held out, names given, or by chance (70/15/15).

    column, test, valid: cells whose `column` is one of these values; valid may be empty (a tenth of the rest).
    names: barcodes of each side. by: column whose values may not stand on both sides (batch, donor); where nothing
    else is given, whole values of it are held out by chance.
    """

    column: str = ""
    test: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    names: dict[Literal["train", "valid", "test"], tuple[str, ...]] = Field(default_factory=dict)
    by: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.names and self.column:
            raise ValueError("Give the names of each side, or a column and its values; not both.")
        if bool(self.column) != bool(self.test):
            raise ValueError("A column to hold out by needs the values to hold out, and they need a column.")
        if self.names and not self.names.get("train"):
            raise ValueError("The split names no cells to train on.")
        return self


class PairSpec(Spec):
    """What training and benchmarks share. rna, atac: ids of ready datasets, of the same cells."""

    rna: str
    atac: str
    split: HoldOut = HoldOut()
    genome: str | None = None
    filters: dict[str, str] = Field(default_factory=dict)  # of FilterSettings; {"filters": "none"} keeps every feature
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def dataset(self, modality: Modality) -> str:
        return self.rna if modality is Modality.RNA else self.atac


class TrainSpec(PairSpec):
    """Train a model on one's own pair. model: a key of the registry; settings: of its recipe, as text."""

    kind: Literal["train"] = "train"
    model: str
    settings: dict[str, str] = Field(default_factory=dict)
    name: str = Field(default="", max_length=200)  # what the finished model is called
    seed: Seed = 0


class Contender(Spec):
    """One line of a benchmark: a model and its settings. label: what the table calls it."""

    model: str
    settings: dict[str, str] = Field(default_factory=dict)
    label: str = Field(default="", max_length=200)


class BenchmarkSpec(PairSpec):
    """Several models on one split with several seeds, scored side by side."""

    kind: Literal["benchmark"] = "benchmark"
    contenders: tuple[Contender, ...] = Field(min_length=1, max_length=100)
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1, max_length=100)
    batch_column: str = ""  # test cells are also scored by each value of this column

    @model_validator(mode="after")
    def _each_seed_once(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("Each seed may be named once.")
        return self


AnySpec = TranslateSpec | TrainSpec | BenchmarkSpec | JointSpec | AnalysisSpec | EvaluateSpec
PairedSpec = TrainSpec | BenchmarkSpec | JointSpec | AnalysisSpec | EvaluateSpec  # all but translations
ScoredSpec = TranslateSpec | EvaluateSpec  # whose results are one direction or two, cell by cell


def model_digest(spec: AnySpec) -> str:
    """The digest of the model that the job reads; empty where it makes one, or needs none."""
    return spec.bundle if isinstance(spec, TranslateSpec | JointSpec | AnalysisSpec) else ""


def read_spec(document: Mapping[str, Any]) -> AnySpec:
    """Raises pydantic.ValidationError naming the field."""
    return _SPECS.validate_python({"kind": "translate", **document})


_SPECS: TypeAdapter[AnySpec] = TypeAdapter(Annotated[AnySpec, Field(discriminator="kind")])
