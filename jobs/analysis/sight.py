"""The cells of an analysis, as given and through its model; embeddings and profiles are worked out when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import BadSetting, NoCells
from engine.types import Cells, Floats, Modality, Names, PairedCells
from jobs.analysis.asked import JOINT, RAW, Asked

if TYPE_CHECKING:
    from engine.analysis.embeddings import Embedded
    from engine.analysis.joint import JointView
    from engine.analysis.profiles import Profile
    from engine.bundle import Bundle

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Sight:
    """given: in the files' own features. out: folder for tables and files. say: told what is being done."""

    asked: Asked
    given: PairedCells
    bundle: Bundle | None
    out: Path
    say: Say

    @cached_property
    def view(self) -> JointView:
        """Raises BadSetting without a model."""
        from engine.analysis.joint import look

        if self.bundle is None:
            raise BadSetting(
                "The joint embedding and imputed profiles come from a model.",
                hint="Name one with --model, or use --embedding rna --on raw.",
            )
        self.say(f"Encoding {len(self.given):,} cells with {self.bundle.manifest.id}")
        return look(self.bundle, self.given, min_coverage=self.asked.min_coverage)

    @property
    def pair(self) -> PairedCells:
        """In the model's features, or in the files' own without a model."""
        return self.given if self.bundle is None else self.view.pair

    def profiles(self, modality: Modality) -> dict[str, Profile]:
        """Those asked for."""
        on = tuple(dict.fromkeys(self.asked.on))
        return {RAW: self.raw(modality)} if on == (RAW,) else self.view.profiles(modality, on)

    def raw(self, modality: Modality) -> Profile:
        from engine.analysis.profiles import measured

        return measured(self.pair.of(modality))

    def embedded(self, name: str) -> Embedded:
        """The joint embedding, or one fitted to these cells."""
        from engine.analysis.embeddings import TITLES, Embedded, embedding

        if name == JOINT:
            return Embedded(self.view.z_nk, notes=self.view.notes)
        self.say(f"Embedding the cells: {TITLES.get(name, name)}{self._of(name)}")
        return embedding(name, self.pair, seed=self.asked.seed, say=self.say)

    def _of(self, name: str) -> str:
        """Which of several it is."""
        every = self.asked.embeds
        return f" ({every.index(name) + 1} of {len(every)})" if len(every) > 1 and name in every else ""

    @cached_property
    def z_nk(self) -> Floats:
        return self.embedded(self.asked.embedding).z_nk

    def column(self, name: str, option: str) -> Names:
        """A column of the cells, from either file. Raises BadSetting with those there are."""
        columns = {**self.given.atac.obs, **self.given.rna.obs}
        if name not in columns:
            known = ", ".join(sorted(columns)) or "none"
            raise BadSetting(f"There is no column {name!r} of cells.", hint=f"Columns for {option}: {known}.")
        return np.array([str(value) for value in columns[name]], dtype=object)

    @property
    def labels(self) -> Names | None:
        return self.column(self.asked.label, "--label") if self.asked.label else None

    def need_labels(self) -> Names:
        if self.labels is None:
            raise BadSetting("This analysis compares labels.", hint="Name the column of labels with --label.")
        return self.labels

    @property
    def known_genome(self) -> str | None:
        return self.asked.genome or self.pair.rna.space.genome or self.pair.atac.space.genome

    @property
    def genome(self) -> str:
        if not self.known_genome:
            raise BadSetting("The genome was not recognised.", hint="Name it with --genome: hg38 or mm10.")
        return self.known_genome


def paired(rna: Cells, atac: Cells, say: Say) -> PairedCells:
    """The same cells of both. Raises CellsDoNotMatch."""
    from engine.pairs import pair

    found, matching = pair(rna, atac)
    if matching.told:
        say(matching.note)
    return found


def held_out(pair: PairedCells, bundle: Bundle | None, say: Say) -> PairedCells:
    """The cells that neither trained the model nor chose it. Raises BadSetting where it does not say which did."""
    used = used_in_training(bundle.folder if bundle is not None else None)
    kept = [name for name in pair.barcodes if name not in used]
    if not kept:
        raise NoCells("Every cell trained or chose the model.", hint="Leave --held-out away, or give other cells.")
    say(f"{len(kept):,} of {len(pair):,} cells were not used in training")
    return pair.named(kept)


def used_in_training(folder: Path | None) -> frozenset[str]:
    """Names of the cells that trained or chose the model in this folder. Raises BadSetting where it does not say."""
    from engine.splits import read_split

    path = folder / "split.json" if folder else None
    if path is None or not path.is_file():
        raise BadSetting("Which cells trained the model is not known.", hint="Leave --held-out away.")
    split = read_split(path)
    return frozenset([*split.train, *split.valid])
