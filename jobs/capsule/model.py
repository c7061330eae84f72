"""What a capsule says, as it is written and as it is read."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import BadInput

InputName = Literal["rna", "atac", "prediction", "training"]


class BadCapsule(BadInput):
    """The file is no capsule, or not as it was made."""

    code = "bad-capsule"


class CannotCheck(BadInput):
    """Something that the capsule names is not at hand."""

    code = "cannot-check"


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(Part):
    """Cells that were read. digest: of their clean copy, which is the same wherever the same file is brought in.

    mends: what was done to them on the way in, as JSON.
    """

    digest: str = Field(pattern="^[0-9a-f]{64}$")
    name: str = Field(max_length=1_000)
    cells: int | None = None
    features: int | None = None
    genome: str | None = None
    id: str = Field(default="", max_length=200)  # of the dataset, as the spec has it
    mends: str = ""
    example: str = ""  # example:MODEL/rna, where it is a model's own


class Model(Part):
    """The model that was used. training: digest of the cells it was fitted to."""

    id: str = Field(max_length=400)
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    translator: str = ""
    training: str = ""
    genome: str = ""
    licence: str = ""


class Array(Part):
    """A fingerprint of one array of a file. sha256: of its bytes, or of its words.

    Of numbers also: how many are finite, their norm, and what random signs add them up to, which tells how far another
    array lies from it without saying what is in it.
    """

    shape: tuple[int, ...]
    sha256: str
    finite: int | None = None
    norm: float | None = None
    sums: tuple[float, ...] = ()


class File(Part):
    """A file of the result. arrays: what is in it by name; empty where it was only compared as a whole."""

    name: str = Field(max_length=1_000)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    what: str = ""
    arrays: dict[str, Array] = {}


class Capsule(Part):
    """capsule.json. how: "job" (its spec is that of a job) or "command" (of `crossview translate`)."""

    format: Literal[1] = 1
    how: Literal["job", "command"]
    kind: str = Field(max_length=40)
    title: str = Field(default="", max_length=400)
    job: str = Field(default="", max_length=100, pattern="^[A-Za-z0-9_-]*$")
    code_version: str = Field(max_length=100)
    finished: str = ""
    versions: dict[str, str] = {}
    device: str = ""  # the GPU, where one was used
    seeds: tuple[int, ...] = ()
    spec: dict[str, Any]
    inputs: dict[InputName, Input]
    model: Model | None = None
    report: str = ""  # SHA-256 of report.json as it lies in the capsule
    files: tuple[File, ...] = ()
