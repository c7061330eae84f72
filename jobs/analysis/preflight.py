"""What an analysis would do: which cells it would take, what it lacks, and what it costs; nothing is raised for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadInput, BadSetting, CrossViewError, NoCells, UnknownFeature
from engine.types import Modality, Names
from jobs.analysis.asked import IMPUTED, JOINT, ON_GENES, Asked
from jobs.analysis.sight import used_in_training
from jobs.errors import BadRequest
from jobs.spec import AnalysisSpec
from jobs.views import IssueView, PreflightView

if TYPE_CHECKING:
    from engine.bundle import Manifest
    from engine.checks import Given
    from engine.pairs import Matching
    from engine.types import FeatureSpace

Inputs = Mapping[Modality, "Given"]
FEW = 50  # cells below which groups say little  # ours
FEWEST = 2  # ours
CLOSE = 3  # names that are offered instead of an unknown one  # ours


@dataclass(frozen=True, eq=False)
class Looked:
    """What is known of the inputs. columns: of the cells, by name. spaces: the model's, none without one."""

    given: Inputs
    columns: Mapping[str, Names]
    spaces: Mapping[Modality, FeatureSpace]
    folder: Path | None
    genome: str | None

    def names(self, modality: Modality) -> Names:
        """Of the features that are analysed."""
        return self.spaces[modality].names if self.spaces else self.given[modality].names


def look(
    spec: AnalysisSpec, paths: Mapping[Modality, Path], folder: Path | None = None, manifest: Manifest | None = None
) -> PreflightView:
    """paths: canonical copies. folder, manifest: of the bundle, where a model was named."""
    from jobs.analysis.cost import memory, seconds

    asked, looked = Asked.of(spec), _looked(spec, paths, folder, manifest)
    found, coverage = _of_inputs(spec, looked, manifest)
    matching, pairing = _matched(looked.given)
    cells = 0 if matching is None else len(matching)
    used, training = _left(asked, looked, matching)
    found += [*pairing, *training, *_issues(asked, looked, spec), *_of_model(asked, manifest)]
    if 0 < used < asked.components:
        message = f"{asked.components:,} clusters were asked for, of {used:,} cells."
        found.append(_problem(BadSetting(message, hint="Ask for fewer clusters (components).")))
    if 0 < used < FEW:
        message = f"Only {used:,} cells would be analysed: so few say little."
        found.append(IssueView(level="note", code="few-cells", message=message, hint="Give more cells of the sample."))
    issues = tuple(dict.fromkeys(found))
    refused = any(issue.level == "problem" for issue in issues)
    features = {m: len(looked.names(m)) for m in Modality}
    return PreflightView(
        verdict="refused" if refused else "ready with notes" if issues else "ready",
        issues=issues,
        coverage=coverage,
        cells=used,
        paired_cells=cells,
        seconds=seconds(asked, used, features),
        memory_mb=memory(asked, used, features, sum(one.summary.nnz for one in looked.given.values())) / 2**20,
        notes=tuple(note for one in looked.given.values() for note in one.summary.notes),
    )


def _looked(
    spec: AnalysisSpec, paths: Mapping[Modality, Path], folder: Path | None, manifest: Manifest | None
) -> Looked:
    from engine.bundle import read_space
    from engine.checks import Given
    from engine.intake.canonical import CanonicalCells

    given: dict[Modality, Given] = {}
    columns: dict[str, Names] = {}
    for modality in (Modality.ATAC, Modality.RNA):  # where both have a column, the RNA file's counts
        with CanonicalCells.open(paths[modality]) as cells:
            given[modality] = Given(cells.summary, cells.names, cells.barcodes)
            columns |= cells.obs
    spaces = {} if folder is None else {m: read_space(folder, m) for m in Modality}
    genome = (manifest.genome if manifest else None) or given[Modality.RNA].summary.genome
    return Looked(given, columns, spaces, folder, spec.genome or genome or given[Modality.ATAC].summary.genome)


def _of_inputs(
    spec: AnalysisSpec, looked: Looked, manifest: Manifest | None
) -> tuple[list[IssueView], dict[str, dict[str, object]]]:
    """What the model knows of both files, as issues and shares; nothing without a model."""
    from engine import checks
    from jobs.preflight import view

    if manifest is None:
        return [], {}
    found = view(
        checks.preflight(
            [looked.given[m] for m in Modality],
            spaces=looked.spaces,
            directions=manifest.directions_,
            min_coverage=spec.min_coverage,
            latent=manifest.latent,
        )
    )
    about_pairs = {"cells-differ", "cells-do-not-match", "duplicate-names", "large-export"}  # said below, or not at all
    return [issue for issue in found.issues if issue.code not in about_pairs], dict(found.coverage)


def _matched(given: Inputs) -> tuple[Matching | None, list[IssueView]]:
    from engine.pairs import same_cells

    try:
        matching = same_cells(given[Modality.RNA].barcodes, given[Modality.ATAC].barcodes)
    except CrossViewError as problem:
        return None, [_problem(problem)]
    if len(matching) < FEWEST:
        message = f"{len(matching)} cell(s) are in both files."
        return matching, [_problem(NoCells(message, hint="An analysis needs a population of cells."))]
    if not matching.told:
        return matching, []
    hint = "Only cells in both files are analysed."
    return matching, [IssueView(level="note", code="cells-differ", message=matching.note, hint=hint)]


def _left(asked: Asked, looked: Looked, matching: Matching | None) -> tuple[int, list[IssueView]]:
    """How many cells are analysed, and what is to be said of those that trained the model."""
    if matching is None:
        return 0, []
    names = [str(looked.given[Modality.RNA].barcodes[i]) for i in matching.index_a]
    if looked.folder is None:
        return len(names), []  # what asks for a model without one is said elsewhere
    try:
        used = used_in_training(looked.folder)
    except CrossViewError as problem:
        hint = "Leave held_out off: all cells are then analysed."
        return len(names), [_problem(BadSetting(problem.message, hint=hint))] if asked.held_out else []
    kept = sum(name not in used for name in names)
    if asked.held_out:
        if kept:
            return kept, []
        message = "Every cell trained or chose the model."
        return 0, [_problem(NoCells(message, hint="Leave held_out off, or give other cells."))]
    if kept == len(names) or IMPUTED not in asked.profiles:
        return len(names), []
    message = (
        f"{len(names) - kept:,} of the {len(names):,} cells trained this model: what it imputes of them flatters it."
    )
    hint = "To judge the model, analyse held-out cells only."
    return len(names), [IssueView(level="note", code="trained-on", message=message, hint=hint)]


def _issues(asked: Asked, looked: Looked, spec: AnalysisSpec) -> Iterator[IssueView]:
    for problem in (
        *_model_problems(asked, spec),
        *_extras(asked),
        *_column_problems(asked, looked),
        *_root_problems(asked, looked),
        *_setting_problems(asked, looked),
    ):
        yield _problem(problem)


def _model_problems(asked: Asked, spec: AnalysisSpec) -> Iterator[CrossViewError]:
    if spec.model:
        return
    if asked.held_out:
        yield BadRequest("Held-out cells are those a model never saw.", hint="Name a model, or leave held_out off.")
    if IMPUTED in asked.profiles:
        yield BadRequest("Imputed profiles come from a model.", hint="Name a model, or ask on raw profiles alone.")
    if JOINT in asked.embeds:
        hint = "Name a model, or take an embedding of these cells: rna, atac, wnn, multivi, scvi or mofa."
        yield BadRequest("The joint embedding comes from a model.", hint=hint)


def _of_model(asked: Asked, manifest: Manifest | None) -> Iterator[IssueView]:
    """What the model cannot say of these cells, or says of one modality alone."""
    from engine.errors import WrongDirection
    from engine.translators.registry import DEPTH_ALONE
    from engine.translators.registry import JOINT as JOINT_MODELS
    from engine.types import Direction

    if manifest is None:
        return
    imputed = asked.modalities if IMPUTED in asked.profiles else ()
    if lost := [m.value.upper() for m in imputed if Direction.to(m) not in manifest.directions_]:
        message = f"{manifest.id} does not predict {' or '.join(lost)}."
        yield _problem(WrongDirection(message, hint="Ask on raw profiles alone, or of a model of both directions."))
    seen = JOINT in asked.embeds
    if seen and manifest.translator in DEPTH_ALONE:
        message = f"{manifest.id} ({manifest.translator}) keeps nothing of a cell but its depth: it has no embedding."
        yield _problem(BadSetting(message, hint="Choose another model, or an embedding of these cells, such as rna."))
    elif (seen or imputed) and manifest.translator not in JOINT_MODELS:
        yield IssueView(
            level="note",
            code="one-modality",
            message=f"{manifest.id} ({manifest.translator}) takes one modality at a time: its embedding is of RNA "
            "alone, and what it imputes of a modality is predicted from the other.",
            hint=f"Models that read both at once: {', '.join(sorted(JOINT_MODELS))}.",
        )


def _extras(asked: Asked) -> Iterator[CrossViewError]:
    """Where jobs run elsewhere, the extra is looked for here all the same: nodes carry the same image."""
    from engine.analysis.embeddings import PEERS, TITLES, lacking
    from engine.errors import MissingExtra

    if lost := lacking(asked.embeds):
        names, modules = ", ".join(TITLES[name] for name in lost), ", ".join(dict.fromkeys(lost.values()))
        yield MissingExtra(
            f"{names}: not installed where CrossView runs (missing: {modules}).",
            hint=f"Leave {'it' if len(lost) == 1 else 'them'} out, or: {PEERS[0].lower()}{PEERS[1:]}",
        )


def _column_problems(asked: Asked, looked: Looked) -> Iterator[CrossViewError]:
    if asked.what == "imputation" and not asked.label:
        yield BadRequest("This analysis compares labels.", hint="Name the column of labels (label).")
    if asked.what == "mixing" and not asked.batch:
        yield BadRequest("Mixing is of batches.", hint="Name the column of batches or donors (batch).")
    known = ", ".join(sorted(looked.columns)) or "none"
    for field in ("label", "batch", "groups"):
        name = getattr(asked, field)
        if name and name not in looked.columns:
            yield BadSetting(f"There is no column {name[:80]!r} of cells.", hint=f"Columns for {field}: {known}.")


def _root_problems(asked: Asked, looked: Looked) -> Iterator[CrossViewError]:
    if asked.what != "trajectory":
        return
    values = {str(value) for value in looked.columns.get(asked.label, ())}
    cells = {str(name) for name in looked.given[Modality.RNA].barcodes}
    if not asked.root:
        yield BadRequest("A trajectory begins somewhere.", hint="Name its root: a cell, or a label of the column.")
    elif asked.root not in values | cells:
        hint = "Give a barcode, or a label of the column named as label."
        yield BadSetting(f"The root {asked.root[:80]!r} is neither a cell nor a label.", hint=_or_close(hint, values))
    if asked.among and not asked.label:
        yield BadRequest("Labels were named, and no column of labels.", hint="Name the column of labels (label).")
    elif lost := [name for name in asked.among if name not in values]:
        yield BadSetting(f"No cell is labelled {lost[0][:80]!r}.", hint=_or_close("Leave `among` empty.", values))
    elif asked.among and asked.root in values and asked.root not in asked.among:
        yield BadSetting(f"The root {asked.root[:80]!r} is not among the labels named.", hint="Add it to `among`.")


def _or_close(hint: str, values: set[str]) -> str:
    return f"{hint} Labels: {', '.join(sorted(values - {''})[:20])}." if values else hint


def _setting_problems(asked: Asked, looked: Looked) -> Iterator[CrossViewError]:
    from engine.analysis.markers import METHODS
    from engine.genome.genes import TABLES

    if asked.what == "de" and asked.method not in METHODS:
        yield BadSetting(f"There is no test {asked.method[:40]!r}.", hint=f"Known: {', '.join(METHODS)}.")
    if asked.what in ON_GENES and looked.genome not in TABLES:
        said = f"There is no gene table for {looked.genome!r}." if looked.genome else "The genome was not recognised."
        yield BadSetting(said, hint=f"Name it (genome): tables are at hand for {' and '.join(TABLES)}.")
    if asked.what in ("cre", "trajectory") and asked.genes:
        yield from _unknown(asked.genes, looked.names(Modality.RNA))
    yield from _unreadable(asked, looked)


def _unknown(genes: Sequence[str], names: Names) -> Iterator[CrossViewError]:
    known = {str(name) for name in names}
    lost = [name for name in genes if name not in known]
    if not lost:
        return
    folded = {name.casefold(): name for name in sorted(known)}
    near = [folded[close] for close in get_close_matches(lost[0].casefold(), folded, n=CLOSE)]
    hint = f"Is it {' or '.join(near)}?" if near else "Give genes as the profile names them."
    yield UnknownFeature(
        f"{len(lost)} of {len(genes)} genes are not in the profile, such as {lost[0][:80]}.", hint=hint
    )


def _unreadable(asked: Asked, looked: Looked) -> Iterator[CrossViewError]:
    """Peaks must have places on a genome to be near a gene."""
    from engine.genome.peaks import parse_peaks

    if asked.what not in ON_GENES:
        return
    try:
        parse_peaks([str(name) for name in looked.names(Modality.ATAC)])
    except BadInput as problem:
        yield problem


def _problem(problem: CrossViewError) -> IssueView:
    return IssueView(level="problem", code=problem.code, message=problem.message, hint=problem.hint)
