"""One contender with one seed: fitted on the training cells, timed, scored on the held-out ones, kept as two files."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.benchmark.judge import Judge, Part, Pulls
from engine.benchmark.meter import Meter
from engine.errors import BadInput, BadSetting
from engine.metrics.scores import plain
from engine.metrics.sources import ArraySource, Source
from engine.translators.base import Epoch, Hooks, Translator
from engine.translators.registry import recipe
from engine.types import CellBatch, Direction, Floats, Latent, Modality, PairedCells, Split

SCHEMA = 1
GENERATION = "0.1.0"  # raised when entries made before can no longer stand beside new ones; part of their keys
HELD = 2**25  # ours: predictions of at most this many values (128 MB) are held while they are scored
BLOCK = 512
SEEDLESS = frozenset({"mean", "depth"})  # nothing is drawn: one seed says all
CODE = ("engine.translators.", "engine.training", "engine.layers", "engine.preprocess", "engine.nulls")


@dataclass(frozen=True)
class Contender:
    """One line of a benchmark: a model, settings as text, and what the table calls it.

    seeds: of its own, where not all of the benchmark's are worth their time.
    """

    model: str
    settings: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    seeds: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.label or self.model

    def as_dict(self) -> dict[str, Any]:
        return {"model": self.model, "settings": dict(self.settings), "label": self.name}


@dataclass(frozen=True, eq=False)
class EntryResult:
    """document: all numbers, ready for JSON (`schema`, `contender`, `seed`, `costs`, `directions`).

    pulls: by "DIRECTION/GROUP/NAME", what each held-out cell pulls on a score, shape (n,): differences between any two
    entries of the same cells are paired by them.
    """

    document: dict[str, Any]
    pulls: Pulls = field(repr=False)

    def to_bytes(self) -> tuple[bytes, bytes]:
        """The document as JSON, the pulls as .npz; the same entry gives the same bytes."""
        stream = io.BytesIO()
        np.savez(stream, **{name.replace("/", "|"): pull for name, pull in sorted(self.pulls.items())})  # type: ignore[arg-type]
        return json.dumps(self.document, ensure_ascii=False).encode(), stream.getvalue()

    @classmethod
    def from_bytes(cls, document: bytes, pulls: bytes) -> Self:
        """Raises BadInput when they are no entry of this version."""
        try:
            read = json.loads(document)
            with np.load(io.BytesIO(pulls), allow_pickle=False) as file:
                found = {name.replace("|", "/"): file[name] for name in file.files}
        except (ValueError, OSError) as problem:
            raise BadInput(f"This is no entry of a benchmark: {problem}.", hint="Delete it; it is made anew.") from None
        if read.get("schema") != SCHEMA:
            raise BadInput("This entry was written by another version.", hint="Delete it; it is made anew.")
        return cls(read, found)

    def save(self, folder: Path, key: str) -> None:
        """KEY.npz, then KEY.json: where the second is there, the first is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        document, pulls = self.to_bytes()
        for suffix, data in ((".npz", pulls), (".json", document)):
            partial = folder / f"{key}{suffix}.partial"
            partial.write_bytes(data)
            partial.replace(folder / f"{key}{suffix}")

    @classmethod
    def load(cls, folder: Path, key: str) -> Self:
        return cls.from_bytes((folder / f"{key}.json").read_bytes(), (folder / f"{key}.npz").read_bytes())


def run_entry(
    pair: PairedCells,
    split: Split,
    *,
    contender: Contender,
    seed: int = 0,
    part: Part = "test",
    batch_column: str = "",
    label_column: str = "",
    hooks: Hooks | None = None,
    meter: Meter | None = None,
    code_version: str = "",
) -> EntryResult:
    """Fit a contender on `split.train` (choosing on `split.valid`) and score every direction on the held-out cells.

    Features are taken as given. hooks: device, threads, checkpoints, stop; its seed is replaced by `seed`.
    meter: started before the data were read, where their memory shall count. Raises what recipes and scores raise, and
    BadSetting where the model left features out.
    """
    meter = meter or Meter()
    judge = Judge(pair, split, part, batch_column, label_column)
    chosen = recipe(contender.model, contender.settings)
    watch = _Watch(replace(hooks or Hooks(), seed=seed))
    _forget_gpu_peak(watch.hooks.device)
    with meter.part("train"):
        fitted = chosen.fit(pair, split, watch.hooks)
    require_all_features(fitted, pair)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "contender": contender.as_dict(),
        "seed": seed,
        "part": part,
        "recipe": {k: plain(v) for k, v in asdict(chosen).items() if k != "key"},  # type: ignore[call-overload]
        "notes": list(getattr(fitted, "notes", ())),
        "code_version": code_version,
        "code": code_digest(),
        "n": len(judge.rows),
        "directions": {},
    }
    pulls: Pulls = {}
    for direction in sorted(fitted.directions):
        with meter.part(direction.value):
            source = predicted(fitted, direction, judge.held)
        judged = judge.measured(direction, source)
        document["directions"][direction.value] = judged.document
        pulls |= {f"{direction.value}/{name}": pull for name, pull in judged.pulls.items()}
    document["costs"] = _costs(meter, fitted, watch)
    return EntryResult(document, pulls)


def require_all_features(fitted: Translator, pair: PairedCells) -> None:
    """Raises BadSetting where the model keeps other features than it was given: its scores would be of those alone."""
    for modality in Modality:
        given, kept = pair.of(modality).space, fitted.space(modality)
        if kept.digest != given.digest:
            raise BadSetting(
                f"This contender keeps {len(kept):,} of the {len(given):,} {modality.value} features it was given; "
                "all lines of a benchmark are scored on the same ones.",
                hint="Set what leaves features out (variable_genes, peak_share) to 0, or filter for all contenders.",
            )


class _Watch:
    """Counts epochs, and knows whether the training went on from a checkpoint."""

    def __init__(self, hooks: Hooks) -> None:
        self.epochs, self.resumed = 0, False

        def on_epoch(epoch: Epoch) -> None:
            self.epochs += 1
            hooks.on_epoch(epoch)

        def on_resume(stage: str, epoch: int) -> None:
            self.epochs, self.resumed = self.epochs + epoch, True
            hooks.on_resume(stage, epoch)

        self.hooks = replace(hooks, on_epoch=on_epoch, on_resume=on_resume)


def _forget_gpu_peak(device: str) -> None:
    """What an entry before this one took is not this one's."""
    if device not in ("cpu", ""):
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()


def _costs(meter: Meter, fitted: Translator, watch: _Watch) -> dict[str, Any]:
    directions = [d.value for d in fitted.directions]
    peaks = [meter.peak_mb[name] for name in ("data", "train", *directions) if name in meter.peak_mb]
    gpu = None
    if watch.hooks.device not in ("cpu", ""):
        import torch

        gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    trained = getattr(fitted, "trained", None)
    return {
        "train_s": round(meter.seconds["train"], 3),
        "train_cpu_s": round(meter.cpu_seconds["train"], 3),
        "predict_s": round(sum(meter.seconds[name] for name in directions), 3),
        "predict_cpu_s": round(sum(meter.cpu_seconds[name] for name in directions), 3),
        "imports_mb": round(meter.base_mb, 1),
        "train_peak_mb": round(meter.peak_mb["train"], 1),
        "peak_mb": round(max(peaks), 1),
        "gpu_mb": None if gpu is None else round(gpu, 1),
        "epochs": watch.epochs or None,
        "best_epoch": getattr(trained, "best_epoch", None),
        "device": watch.hooks.device,
        "threads": watch.hooks.threads,
        "resumed": watch.resumed,
    }


class Decoded:
    """A prediction that is decoded anew, by rows or by columns, each time it is asked for."""

    def __init__(self, fitted: Translator, latent: Latent, target: Modality) -> None:
        self._fitted, self._latent, self._target = fitted, latent, target

    def rows(self, start: int, stop: int) -> Floats:
        return self._fitted.decode(self._latent.rows(slice(start, stop)), self._target).values

    def columns(self, positions: NDArray[np.int64]) -> Floats:
        return self._fitted.decode(self._latent, self._target, positions).values


def predicted(fitted: Translator, direction: Direction, held: PairedCells) -> Source:
    """All held-out cells translated once; kept whole only where small, and decoded again on demand otherwise."""
    counts = held.of(direction.source).counts
    latents = [
        fitted.encode(CellBatch(**{direction.source.value: counts[start : start + BLOCK]}))
        for start in range(0, len(held), BLOCK)
    ]
    latent = Latent(np.concatenate([z.values for z in latents]), latents[0].source)
    decoded = Decoded(fitted, latent, direction.target)
    n, f = len(held), len(fitted.space(direction.target))
    keep = n * f <= HELD
    values = np.empty((n, f) if keep else (0, f), dtype=np.float32)
    for start in range(0, n, BLOCK):
        rows = decoded.rows(start, min(start + BLOCK, n))
        if keep:
            values[start : start + BLOCK] = rows
    return ArraySource(values) if keep else decoded


def code_digest() -> str:
    """SHA-256 of the sources of models and training that this process has loaded, shortened."""
    total = hashlib.sha256()
    for name in sorted(sys.modules):
        path = getattr(sys.modules[name], "__file__", None)
        if name.startswith(CODE) and path:
            total.update(Path(path).read_bytes())
    return total.hexdigest()[:12]


def entry_key(*, contender: Contender, seed: int, part: str, data: str, split: str, options: Mapping[str, Any]) -> str:
    """Name of an entry's files: the same request on the same cells has the same key. data, split: their digests.

    The label of a contender is not part of it: called otherwise, it is the same model. Nor is the code: an entry keeps
    `code_digest`, and the report says where entries of one line differ in it.
    """
    text = json.dumps(
        [SCHEMA, contender.model, dict(contender.settings), seed, part, data, split, dict(options), GENERATION],
        sort_keys=True,
    )
    return f"{contender.model}-{seed}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def pair_digest(pair: PairedCells) -> str:
    """SHA-256 over names, counts and label columns of both modalities."""
    total = hashlib.sha256()
    for cells in (pair.rna, pair.atac):
        total.update(cells.space.digest.encode())
        total.update("\n".join(map(str, cells.barcodes)).encode())
        for array in (cells.counts.indptr.astype(np.int64), cells.counts.indices.astype(np.int64), cells.counts.data):
            total.update(np.ascontiguousarray(array).tobytes())
        for name in sorted(cells.obs):
            total.update("\n".join([name, *map(str, cells.obs[name])]).encode())
    return total.hexdigest()


def split_digest(split: Split) -> str:
    return hashlib.sha256(json.dumps([split.train, split.valid, split.test]).encode()).hexdigest()
