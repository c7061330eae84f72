"""Cells measured both ways, in; one latent a cell out, and what either modality is decoded from."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.bundle import Bundle, Manifest
from engine.errors import BadSetting, WrongDirection
from engine.joint.reading import Coins, Rows
from engine.preprocess.steps import depth_of
from engine.translate import Encoded
from engine.translators.base import Translator
from engine.translators.registry import DEPTH_ALONE
from engine.types import CellBatch, Direction, Floats, Latent, Modality, Names, as_names

if TYPE_CHECKING:
    from engine.preprocess.align import Alignment

BLOCK = 2048  # cells encoded at once  # ours
JOINT = "joint"


@dataclass(frozen=True, eq=False)
class Latents:
    """joint: of both modalities together. apart: what a modality is decoded from where `joint` cannot serve.

    A model that takes one modality at a time has its joint latent from that one alone; the other is decoded from it,
    and it itself from the other's latent: translations, not imputations.
    """

    joint: Latent
    apart: Mapping[Modality, Latent] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.joint)

    def of(self, target: Modality) -> Latent:
        """What this modality is decoded from."""
        return self.apart.get(target, self.joint)

    def rows(self, which: Sequence[int] | NDArray[Any] | slice) -> Latents:
        return Latents(self.joint.rows(which), {m: latent.rows(which) for m, latent in self.apart.items()})

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        named = {JOINT: self.joint, **{m.value: latent for m, latent in self.apart.items()}}
        out: dict[str, NDArray[Any]] = {}
        for name, latent in named.items():
            out[f"{prefix}.{name}"] = latent.values
            out[f"{prefix}.{name}.source"] = np.array(sorted(m.value for m in latent.source), dtype=np.str_)
        return out

    @classmethod
    def from_arrays(cls, prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Self:
        def latent(name: str) -> Latent:
            return Latent(arrays[f"{prefix}.{name}"], frozenset(Modality(m) for m in arrays[f"{prefix}.{name}.source"]))

        return cls(latent(JOINT), {m: latent(m.value) for m in Modality if f"{prefix}.{m.value}" in arrays})

    @classmethod
    def concat(cls, parts: Sequence[Latents]) -> Self:
        def joined(latents: list[Latent]) -> Latent:
            return Latent(np.concatenate([latent.values for latent in latents]), latents[0].source)

        return cls(joined([p.joint for p in parts]), {m: joined([p.apart[m] for p in parts]) for m in parts[0].apart})


@dataclass(frozen=True, eq=False)
class Embedded:
    """What is kept of cells seen both ways.

    whole: of all their counts. half: of the counts the coins show, by which imputation is judged.
    depth: counts in the model's features, by modality, shape (n,) each. barcodes: as the RNA file has them.
    """

    whole: Latents
    half: Latents
    depth: Mapping[Modality, Floats]
    barcodes: Names

    def __len__(self) -> int:
        return len(self.barcodes)

    def encoded(self, target: Modality) -> Encoded:
        """As something from which the target can be decoded."""
        return Encoded(self.whole.of(target), self.depth[target.other], self.barcodes)

    def to_bytes(self) -> bytes:
        """The same cells give the same bytes: numpy's archives carry no time."""
        stream = io.BytesIO()
        arrays: dict[str, Any] = {
            **self.whole.arrays("whole"),
            **self.half.arrays("half"),
            **{f"depth.{m.value}": depth for m, depth in self.depth.items()},
            "barcodes": np.asarray(self.barcodes, dtype=np.str_),
        }
        np.savez(stream, **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ValueError, KeyError, OSError or BadZipFile when it is not a whole part."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        found = cls(
            Latents.from_arrays("whole", arrays),
            Latents.from_arrays("half", arrays),
            {m: arrays[f"depth.{m.value}"] for m in Modality},
            as_names(arrays["barcodes"]),
        )
        if {len(found.whole), len(found.half), *map(len, found.depth.values())} != {len(found)}:
            raise ValueError("the arrays of this part differ in length")
        return found

    @classmethod
    def concat(cls, parts: Sequence[Embedded]) -> Self:
        """Parts in the order given, as one."""
        return cls(
            Latents.concat([p.whole for p in parts]),
            Latents.concat([p.half for p in parts]),
            {m: np.concatenate([p.depth[m] for p in parts]) for m in Modality},
            np.concatenate([p.barcodes for p in parts]),
        )


def require_both(manifest: Manifest) -> None:
    """Raises WrongDirection for a model that predicts one modality only, BadSetting for one that keeps no view."""
    if set(manifest.directions) != {direction.value for direction in Direction}:
        raise WrongDirection(
            f"{manifest.id} translates {', '.join(manifest.directions)} only.",
            hint="A joint view needs a model of both directions.",
        )
    if manifest.translator in DEPTH_ALONE:
        raise BadSetting(
            f"{manifest.id} ({manifest.translator}) keeps nothing of a cell but its depth: there is no view to show.",
            hint="Choose a model that reads both modalities, such as crossmp.",
        )


def embed(
    bundle: Bundle,
    counts: Mapping[Modality, sp.csr_matrix],
    alignments: Mapping[Modality, Alignment],
    *,
    rows: Mapping[Modality, Rows],
    barcodes: Names,
    coins: Coins,
) -> Embedded:
    """Cells given both ways in one order, in their files' own features.

    counts: raw, shape (n, f) each. rows: where each cell stands in its file, on which its coins depend.
    """
    shown = {m: coins.split(counts[m], m, rows[m])[0] for m in Modality}
    aligned = {m: alignments[m].apply(counts[m]) for m in Modality}
    half = {m: alignments[m].apply(shown[m]) for m in Modality}
    return Embedded(
        latents_of(bundle.translator, aligned),
        latents_of(bundle.translator, half),
        {m: depth_of(aligned[m]) for m in Modality},
        barcodes,
    )


def latents_of(translator: Translator, counts: Mapping[Modality, sp.csr_matrix]) -> Latents:
    """Both modalities encoded together, in blocks; a modality that is not decoded from that, by the other alone.

    counts: in the model's features, shape (n, f) each. One that the model cannot predict at all is left out of `apart`.
    """
    n = counts[Modality.RNA].shape[0]
    spans = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
    joint = _encoded(translator, [CellBatch(**{m.value: counts[m][span] for m in Modality}) for span in spans])
    apart = {}
    for target in Modality:
        if not decodes(translator, joint, target) and Direction.to(target) in translator.directions:
            other = target.other
            apart[target] = _encoded(translator, [CellBatch(**{other.value: counts[other][span]}) for span in spans])
    return Latents(joint, apart)


def _encoded(translator: Translator, batches: Sequence[CellBatch]) -> Latent:
    parts = [translator.encode(batch) for batch in batches]
    return Latent(np.concatenate([part.values for part in parts]), parts[0].source)


def decodes(translator: Translator, latent: Latent, target: Modality) -> bool:
    """Whether the model can say this modality from such a latent."""
    try:
        translator.decode(latent.rows(slice(0, 1)), target, [0])
    except WrongDirection:
        return False
    return True
