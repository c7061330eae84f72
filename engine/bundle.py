"""A model as a folder: what it is, what it was fitted on, its steps and weights, and proof that it still works.

`bundle.json`, `features.rna.txt`, `features.atac.txt`, `preprocess.npz`, `weights.safetensors`, `nulls.npz`,
`golden.npz`, and beside them `report.json`, `predictability.npz` and `CARD.md`. The digest covers all but golden and
these three. No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadBundle
from engine.nulls import Nulls
from engine.translators.base import Translator
from engine.translators.registry import HOLDS_CELLS, translator_class
from engine.translators.state import STEPS, WEIGHTS, csr_arrays, csr_from, save_arrays
from engine.types import CellBatch, Direction, FeatureSpace, Floats, Modality, PairedCells, Split, as_names, empty_csr

FORMAT = 1
MANIFEST, NULLS_FILE, GOLDEN = "bundle.json", "nulls.npz", "golden.npz"
GOLDEN_CELLS, GOLDEN_FEATURES = 8, 256
GOLDEN_TOLERANCE = 1e-4


def features_file(modality: Modality) -> str:
    return f"features.{modality.value}.txt"


DIGESTED = (features_file(Modality.RNA), features_file(Modality.ATAC), STEPS, WEIGHTS, NULLS_FILE)


@dataclass(frozen=True)
class Manifest:
    """What `bundle.json` says. spaces: number of features by modality; scales: of predictions by target."""

    id: str
    translator: str
    genome: str | None
    directions: tuple[str, ...]
    scales: dict[str, str]
    spaces: dict[str, int]
    settings: dict[str, Any]
    filters: dict[str, Any]
    training_cells: int
    training_digest: str
    split_digest: str
    seeds: tuple[int, ...]
    code_version: str
    licence: str
    contains_cells: bool
    latent: int
    notes: tuple[str, ...] = ()
    format: int = FORMAT
    digest: str = ""

    @property
    def directions_(self) -> frozenset[Direction]:
        return frozenset(Direction(d) for d in self.directions)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded model with its nulls."""

    manifest: Manifest
    translator: Translator
    nulls: Nulls
    folder: Path | None = field(default=None)

    @property
    def digest(self) -> str:
        return self.manifest.digest

    def space(self, modality: Modality) -> FeatureSpace:
        return self.translator.space(modality)


def digest_of_split(split: Split) -> str:
    text = json.dumps({k: sorted(getattr(split, k)) for k in ("train", "valid", "test")}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_cells(pair: PairedCells) -> str:
    """Digest of the training cells' counts, names and features."""
    seen = hashlib.sha256()
    for cells in (pair.rna, pair.atac):
        seen.update(cells.space.digest.encode())
        seen.update("\n".join(cells.barcodes).encode())
        for array in (cells.counts.data, cells.counts.indices.astype(np.int64), cells.counts.indptr.astype(np.int64)):
            seen.update(np.ascontiguousarray(array).tobytes())
    return seen.hexdigest()


def make_manifest(
    translator: Translator,
    *,
    id: str,
    train: PairedCells,
    split: Split,
    seed: int,
    code_version: str,
    settings: Mapping[str, Any],
    filters: Mapping[str, Any],
    licence: str = "",
    notes: tuple[str, ...] = (),
) -> Manifest:
    """Everything `bundle.json` needs, without the digest: `save_bundle` adds it."""
    probe = CellBatch(rna=empty_csr(1, len(train.rna.space)))
    if Direction.RNA_TO_ATAC not in translator.directions:
        probe = CellBatch(atac=empty_csr(1, len(train.atac.space)))
    targets = sorted({d.target for d in translator.directions})
    return Manifest(
        id=id,
        translator=translator.key,
        genome=train.rna.space.genome or train.atac.space.genome,
        directions=tuple(sorted(d.value for d in translator.directions)),
        scales={t.value: translator.scale(t).value for t in targets},
        spaces={m.value: len(translator.space(m)) for m in Modality},
        settings=dict(settings),
        filters=dict(filters),
        training_cells=len(train),
        training_digest=digest_of_cells(train),
        split_digest=digest_of_split(split),
        seeds=(seed,),
        code_version=code_version,
        licence=licence,
        contains_cells=translator.key in HOLDS_CELLS,
        latent=int(translator.encode(probe).values.shape[1]),
        notes=notes,
    )


def save_bundle(into: Path, translator: Translator, nulls: Nulls, manifest: Manifest) -> Manifest:
    """Write the folder whole or not at all; returns the manifest with its digest."""
    partial = into.with_name(f".{into.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        translator.save(partial)
        save_arrays(partial / NULLS_FILE, nulls.arrays())
        for modality in Modality:
            text = "\n".join(translator.space(modality).names) + "\n"
            (partial / features_file(modality)).write_text(text, encoding="utf-8")
        manifest = Manifest(**{**asdict(manifest), "digest": _digest(partial, manifest)})
        _write_json(partial / MANIFEST, asdict(manifest))
        save_arrays(partial / GOLDEN, _golden(Bundle(manifest, translator, nulls)))
        for extra in ("ABOUT.md", "CARD.md", "report.json", "split.json"):
            if (into / extra).exists():
                shutil.copy2(into / extra, partial / extra)
        if (into / "example").is_dir():
            shutil.copytree(into / "example", partial / "example")
        if into.exists():
            old = into.with_name(f".{into.name}.{uuid.uuid4().hex[:8]}.old")
            os.rename(into, old)
            os.rename(partial, into)
            shutil.rmtree(old)
        else:
            os.rename(partial, into)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What the bundle says of itself; reads one small file. Raises BadBundle."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != FORMAT:
            raise BadBundle(
                f"The model {folder.name} is of format {document.get('format')}; this version reads {FORMAT}.",
                hint="Update CrossView, or train the model again.",
            )
        tuples = {k: tuple(document[k]) for k in ("directions", "seeds", "notes")}
        return Manifest(**{**document, **tuples})
    except FileNotFoundError as problem:
        raise BadBundle(f"{folder} is no model: it has no {MANIFEST}.", hint="`crossview models list`.") from problem
    except (TypeError, KeyError, ValueError) as problem:
        raise BadBundle(f"{path.name} of {folder.name} cannot be read: {problem}.") from problem


def read_space(folder: Path, modality: Modality) -> FeatureSpace:
    """The model's genes or peaks, without loading the model."""
    text = (folder / features_file(modality)).read_text(encoding="utf-8")
    return FeatureSpace(modality, as_names(text.splitlines()), read_manifest(folder).genome)


def load_bundle(folder: Path, *, device: str = "cpu", check: bool = True) -> Bundle:
    """The model, ready to translate. Raises BadBundle when its files are not those it was saved with."""
    manifest = read_manifest(folder)
    if check and _digest(folder, manifest) != manifest.digest:
        raise BadBundle(
            f"The files of {manifest.id} are not those it was saved with (its digest differs).",
            hint="Fetch the model again.",
        )
    spaces = {m: read_space(folder, m) for m in Modality}
    kind = translator_class(manifest.translator)
    translator = kind.load(folder, rna=spaces[Modality.RNA], atac=spaces[Modality.ATAC], device=device)
    with np.load(folder / NULLS_FILE, allow_pickle=False) as file:
        nulls = Nulls.from_arrays({name: file[name] for name in file.files})
    return Bundle(manifest, translator, nulls, folder)


def verify_bundle(folder: Path, *, device: str = "cpu") -> dict[str, float]:
    """Translate the golden cells again; largest difference by direction. Raises BadBundle beyond the tolerance."""
    bundle = load_bundle(folder, device=device)
    worst = {}
    try:
        with np.load(folder / GOLDEN, allow_pickle=False) as file:
            kept = {name: file[name] for name in file.files}
        for direction in sorted(bundle.translator.directions):
            batch = CellBatch(**{direction.source.value: csr_from(f"{direction.value}.in", kept)})
            again = _decoded(bundle, direction, batch, kept[f"{direction.value}.features"])
            worst[direction.value] = float(np.abs(kept[f"{direction.value}.out"] - again).max())
    except (OSError, ValueError, KeyError) as problem:
        raise BadBundle(f"{GOLDEN} of {bundle.manifest.id} cannot be read: {problem}.") from problem
    for name, difference in worst.items():
        if not difference <= GOLDEN_TOLERANCE:
            raise BadBundle(
                f"{bundle.manifest.id} predicts other values than when it was made: {name} differs by up "
                f"to {difference:.2g}.",
                hint="Check the versions of torch and numpy, or train the model again.",
            )
    return worst


def _golden(bundle: Bundle) -> dict[str, Any]:
    """Eight synthetic cells in, and what is predicted of some features."""
    out: dict[str, Any] = {}
    rng = np.random.default_rng(20)
    for direction in sorted(bundle.translator.directions):
        width = len(bundle.space(direction.source))
        drawn = sp.random(GOLDEN_CELLS, width, density=min(1.0, 200 / width), rng=rng, dtype=np.float32)
        counts = sp.csr_matrix(drawn)
        counts.data = np.ceil(counts.data * 3)
        chosen = np.unique(np.linspace(0, len(bundle.space(direction.target)) - 1, GOLDEN_FEATURES).astype(np.int64))
        out.update(csr_arrays(f"{direction.value}.in", counts))
        out[f"{direction.value}.features"] = chosen
        out[f"{direction.value}.out"] = _decoded(
            bundle, direction, CellBatch(**{direction.source.value: counts}), chosen
        )
    return out


def _decoded(bundle: Bundle, direction: Direction, batch: CellBatch, chosen: NDArray[np.int64]) -> Floats:
    latent = bundle.translator.encode(batch)
    return bundle.translator.decode(latent, direction.target, chosen).values


def _digest(folder: Path, manifest: Manifest) -> str:
    seen = hashlib.sha256()
    said = {k: v for k, v in asdict(manifest).items() if k not in {"digest", "notes", "licence", "code_version", "id"}}
    seen.update(json.dumps(said, sort_keys=True).encode())
    for name in DIGESTED:
        path = folder / name
        if not path.is_file():
            raise BadBundle(f"The model {folder.name} lacks {name}.", hint="Fetch the model again.")
        with path.open("rb") as file:
            seen.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return seen.hexdigest()


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
