"""How much of a model's features an input covers, how much is asked for, and why it is too little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.errors import BadInput, FeatureMismatch, WrongGenome, WrongModality
from engine.genome.detect import BuildGuess, guess_build, guess_gene_ids
from engine.genome.genes import GENOMES, ORGANISM
from engine.genome.peaks import looks_like_peaks, parse_known
from engine.types import FeatureSpace, Modality, Names

MIN_COVERAGE = 0.5  # ours
# Ours. Of a model's peaks, peaks called on other tissues of the same build overlap about 40 %, peaks of another build
# 5 to 17 % (28 % when widened to 5 kb, which the promoters give away), of another organism 0.5 %: half is asked.
PEAKS_OF_GENES = 0.5


@dataclass(frozen=True)
class Coverage:
    """How much of a model's features was found in an input.

    found, of, share: of the model's features. by_name: those of them found by their exact name.
    how: "name", "name without version", "overlap", several of these, or "nothing".
    used, given: input columns that lead somewhere, and all of them. unmatched_examples: model features not found.
    """

    modality: Modality
    found: int
    of: int
    how: str
    by_name: int
    used: int
    given: int
    unmatched_examples: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        return self.found / self.of if self.of else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, `share` included."""
        plain = {**asdict(self), "unmatched_examples": list(self.unmatched_examples)}
        return {**plain, "modality": self.modality.value, "share": round(self.share, 6)}


def required_share(modality: Modality, min_coverage: float = MIN_COVERAGE) -> float:
    """The share of a model's features asked for: `min_coverage` of its genes, half that of its peaks."""
    return min_coverage * (PEAKS_OF_GENES if modality is Modality.ATAC else 1.0)


def problem_of(
    names: Sequence[str] | Names, space: FeatureSpace, coverage: Coverage, *, min_coverage: float = MIN_COVERAGE
) -> BadInput | None:
    """The error to raise for this coverage, with the reason where one is found; None when all is well.

    Peaks of another build are a problem even where enough of them overlap by chance; `min_coverage=0` lets all pass.
    """
    needed = required_share(space.modality, min_coverage)
    if needed <= 0:
        return None
    enough = coverage.share >= needed
    if space.modality is Modality.RNA:
        return None if enough else _genes_problem(names, space, _shortfall(coverage, needed))
    if coverage.by_name >= needed * coverage.of:
        return None
    return _peaks_problem(names, space, coverage, needed)


def _shortfall(coverage: Coverage, needed: float) -> str:
    kind = "genes" if coverage.modality is Modality.RNA else "peaks"
    found = f"{coverage.found:,} of the model's {coverage.of:,} {kind} found ({_percent(coverage.share)})"
    return f"{found}; at least {_percent(needed)} are needed."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else f"{100 * share:.1g} %"


def _genes_problem(names: Sequence[str] | Names, space: FeatureSpace, shortfall: str) -> BadInput:
    if looks_like_peaks(names):
        return WrongModality(
            f"{shortfall} The input has peaks such as {names[0]}, where genes are needed.",
            hint="Give this file as ATAC, or choose the other direction.",
        )
    have, want = guess_gene_ids(names), guess_gene_ids(space.names)
    model = f"{want.organism} ({space.genome})" if space.genome else want.organism
    if have.organism != want.organism and "unknown" not in (have.organism, want.organism):
        return WrongGenome(
            f"{shortfall} The input holds {have.organism} genes such as {names[0]}; the model is {model}.",
            hint=f"Choose a {have.organism} model, or train one on a pair of your own.",
        )
    if have.ids != want.ids:
        spelt = {"ensembl": "Ensembl ids", "symbol": "symbols"}
        return FeatureMismatch(
            f"{shortfall} The names look like {spelt[have.ids]} ({names[0]}) and the model has {spelt[want.ids]}.",
            hint=f"Ask for {spelt[want.ids]}: `--gene-ids {want.ids}` (`gene_ids` of an import) takes them from the "
            "file where it keeps both, else from GENCODE; or give a table of both: `--gene-ids features.tsv`.",
        )
    return FeatureMismatch(shortfall, hint=_subset_hint(len(names), space, "genes"))


def _subset_hint(given: int, space: FeatureSpace, kind: str) -> str:
    if given < len(space):
        return (
            f"The input has only {given:,} {kind}, probably a selection: give the unfiltered matrix, "
            "or a lower min_coverage if this is meant."
        )
    return f"The model has {kind} such as {', '.join(space.names[:2])}: compare how the input names them."


def _peaks_problem(
    names: Sequence[str] | Names, space: FeatureSpace, coverage: Coverage, needed: float
) -> BadInput | None:
    enough, shortfall = coverage.share >= needed, _shortfall(coverage, needed)
    if not looks_like_peaks(names) and not enough:
        return WrongModality(
            f"{shortfall} The input has names such as {names[0]}, where peaks like {space.names[0]} are needed."
            if len(names)
            else f"{shortfall} The input has no names at all.",
            hint="Give a gene matrix as RNA, or choose the other direction.",
        )
    guess = guess_build(parse_known(names)[0])
    against = _against(guess, space.genome, names)
    if against and space.genome:
        begin = shortfall if not enough else "The peaks overlap the model's by chance only."
        return WrongGenome(
            f"{begin} The peaks are not on {space.genome}, the model's genome: {against}.{_likely(guess)}",
            hint=f"Lift the peaks over to {space.genome}{_option(guess, space.genome)}, or call them again on reads "
            "aligned to it.",
        )
    if enough:
        return None
    return FeatureMismatch(
        f"{shortfall} {coverage.used:,} of the input's {coverage.given:,} peaks overlap one of the model's.",
        hint=_subset_hint(len(names), space, "peaks"),
    )


def _against(guess: BuildGuess, genome: str | None, names: Sequence[str] | Names) -> str | None:
    """What rules the model's genome out; unknown genomes are never ruled out."""
    if genome not in GENOMES or guess.build == genome:
        return None
    return guess.excluded.get(genome) if guess.build is None else f"they fit {guess.build}; {guess.excluded[genome]}"


def _option(guess: BuildGuess, genome: str) -> str:
    """How to ask for it, where one build of the same organism is left to come from."""
    here = [build for build in guess.possible if build != genome and ORGANISM[build] == ORGANISM[genome]]
    return f" (`--lift {here[0]}`, or `lift` of an import)" if len(here) == 1 else ""


def _likely(guess: BuildGuess) -> str:
    if guess.build is None and len(guess.possible) == 1:
        only = guess.possible[0]
        return f" They are probably {only} ({ORGANISM[only]}): its chromosomes fit."
    return ""
