"""What an analysis was asked to do, by command or by job; where its cells and its model lie is said elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from engine.preprocess.coverage import MIN_COVERAGE
from engine.types import Modality
from jobs.spec import AnalysisSpec

RAW, IMPUTED = "raw", "imputed"
ON = (RAW, IMPUTED)
JOINT = "joint"  # the embedding that comes from the model
METACELLS = {"coaccess": 50}  # Pliner et al. 2018; the other analyses take cells as they are
LINKING = frozenset({"cre", "coaccess"})  # which draw links on the genome
ON_GENES = LINKING | {"activity"}  # which need gene models
PROFILED = ON_GENES | {"imputation", "de", "trajectory"}  # which look at raw or imputed values


@dataclass(frozen=True)
class Asked:
    """The fields are those of AnalysisSpec. track: a bigWig of this machine, of commands alone."""

    what: str
    label: str = ""
    on: tuple[str, ...] = ON
    embedding: str = JOINT
    held_out: bool = False
    genome: str | None = None
    min_coverage: float = MIN_COVERAGE
    seed: int = 0
    components: int = 0
    resolution: float = 1.0
    compare: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    umap: bool = True
    batch: str = ""
    groups: str = ""
    only: str = ""
    method: str = "t-test_overestim_var"
    reference: tuple[str, ...] = ()
    top: int = 100
    reach: int = 100_000
    genes: tuple[str, ...] = ()
    alpha: float = 0.0
    metacells: int = -1
    root: str = ""
    root_at: str = "medoid"
    among: tuple[str, ...] = ()
    neighbours: int = 30
    track: Path | None = None

    @classmethod
    def of(cls, spec: AnalysisSpec) -> Asked:
        return cls(**{f.name: getattr(spec, f.name) for f in fields(cls) if f.name != "track"})

    @property
    def embeddings(self) -> tuple[str, ...]:
        """Those asked for, each once."""
        return tuple(dict.fromkeys([self.embedding, *self.compare]))

    @property
    def group_size(self) -> int:
        """Cells that are added up; at most 1 for none."""
        return METACELLS.get(self.what, 0) if self.metacells < 0 else self.metacells

    @property
    def embeds(self) -> tuple[str, ...]:
        """The embeddings it cannot do without."""
        if self.what in ("cluster", "mixing"):
            return self.embeddings
        grouped = {
            "abnormal": not self.groups,
            "de": not (self.groups or self.label),
            "cre": self.group_size > 1,
            "coaccess": self.group_size > 1,
            "trajectory": True,
        }
        return (self.embedding,) if grouped.get(self.what, False) else ()

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles it looks at, each once; none where it is about places in an embedding alone."""
        return tuple(dict.fromkeys(self.on)) if self.what in PROFILED else ()

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities it looks at values of."""
        if self.what in ("coaccess", "activity"):
            return (Modality.ATAC,)
        return (Modality(self.only),) if self.what in ("imputation", "de") and self.only else tuple(Modality)


def reference_of(lines: Sequence[str]) -> Mapping[str, Sequence[str]] | Sequence[str] | None:
    """Names, one a line; or with a comma or tab in every line, names by group. None for no lines."""
    rows = [line.replace("\t", ",").split(",", 1) for line in lines if line]
    if not rows:
        return None
    if any(len(row) == 1 for row in rows):
        return [",".join(row).strip() for row in rows]
    found: dict[str, list[str]] = {}
    for group, name in rows:
        found.setdefault(group.strip(), []).append(name.strip())
    return found
