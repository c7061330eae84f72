"""Each kind of analysis as one function from cells to finished analyses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.analysis.result import Analysis
from engine.errors import BadInput, BadSetting
from engine.types import Floats, Modality, Names
from jobs.analysis.asked import IMPUTED, JOINT, reference_of
from jobs.analysis.sight import Sight

if TYPE_CHECKING:
    import pandas as pd

    from engine.analysis.embeddings import Embedded
    from engine.analysis.nearby import Nearby
    from engine.analysis.profiles import Profile

CIRCULAR = "The groups are clusters of these very cells: their p-values count the same differences twice."
DRAWN = 50  # genes along a trajectory where none are named  # ours


def _cluster(sight: Sight) -> list[Analysis]:
    from engine.analysis.clusters import ClusterSettings, cluster

    a = sight.asked
    found = {name: sight.embedded(name) for name in a.embeddings}
    sight.say(f"Clustering {len(sight.given):,} cells in {len(found)} embedding{'' if len(found) == 1 else 's'}")
    components = a.components or (0 if a.label else _communities(sight, found[a.embedding]))
    settings = ClusterSettings(components=components, resolution=a.resolution, seeds=a.seeds or (a.seed,))
    result = cluster(
        {name: one.z_nk for name, one in found.items()},
        sight.labels,
        settings=settings,
        graphs={name: one.graph for name, one in found.items() if one.graph is not None},
    )
    notes = {name: list(one.notes) for name, one in found.items()}
    tables = dict(result.tables)
    if sight.labels is not None:
        tables["cells"] = tables["cells"].assign(label=sight.labels)
    if a.umap:
        tables["cells"] = _mapped(sight, {name: one.z_nk for name, one in found.items()}, tables["cells"])
    return [replace(result, tables=tables, settings={**result.settings, "embeddings": notes})]


def _communities(sight: Sight, found: Embedded) -> int:
    """How many Leiden finds: the number of clusters where nobody knows better."""
    from engine.analysis.clusters import leiden_of
    from engine.analysis.neighbours import graph_of

    a = sight.asked
    graph = graph_of(found.z_nk) if found.graph is None else found.graph
    return len(np.unique(leiden_of(graph, resolution=a.resolution, seed=a.seed)))


def _mapped(sight: Sight, embeddings: Mapping[str, Floats], cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with a map of each embedding."""
    from engine.maps import map_of_coordinates

    out = cells.copy()
    for name, z_nk in embeddings.items():
        sight.say(f"Drawing the map of {name}")
        xy_n2 = map_of_coordinates(z_nk, seed=sight.asked.seed).xy_n2
        out[f"{name} umap_1"], out[f"{name} umap_2"] = xy_n2[:, 0], xy_n2[:, 1]
    return out


def _imputation(sight: Sight) -> list[Analysis]:
    from engine.analysis.imputation import SEEN, correlation
    from engine.analysis.recovery import recovery

    labels, seed, results = sight.need_labels(), sight.asked.seed, []
    for modality in _modalities(sight):
        profiles, raw = sight.profiles(modality), sight.raw(modality)
        if IMPUTED in profiles:
            mean = sight.view.training_mean(modality)
            profiles[mean.name] = mean
        sight.say(f"Comparing {modality.value.upper()} of {len(raw):,} cells with pseudobulks")
        results.append(correlation(profiles, raw, labels, seed=seed))
        if modality is Modality.ATAC:
            sight.say("Looking for each label's peaks")
            try:
                results.append(recovery(profiles, raw, labels, seed=seed))
            except BadSetting as problem:  # the correlations stand without it
                results[-1] = replace(results[-1], cautions=(*results[-1].cautions, f"No peak recovery: {problem}"))
    if sight.asked.held_out:
        results = [replace(each, cautions=tuple(c for c in each.cautions if c != SEEN)) for each in results]
    return results


def _modalities(sight: Sight) -> list[Modality]:
    return [Modality(sight.asked.only)] if sight.asked.only else list(Modality)


def _mixing(sight: Sight) -> list[Analysis]:
    from engine.analysis.mixing import mixing

    a = sight.asked
    found = {name: sight.embedded(name).z_nk for name in a.embeddings}
    return [mixing(found, sight.column(a.batch, "--batch"), sight.labels, seed=a.seed)]


def _abnormal(sight: Sight) -> list[Analysis]:
    from engine.analysis.abnormal import abnormal

    groups = _groups(sight)
    codes = np.unique(groups.astype(str), return_inverse=True)[1].astype(np.int64)
    result = abnormal(sight.given, codes, labels_n=sight.labels)
    clusters = result.tables["clusters"].assign(name=np.unique(groups.astype(str)))
    return [replace(result, tables={**result.tables, "clusters": clusters})]


def _groups(sight: Sight) -> Names:
    """A column of the user's, k-means where a number was asked for, else Leiden's communities."""
    from engine.analysis.clusters import kmeans, leiden

    a = sight.asked
    if a.groups:
        return sight.column(a.groups, "--groups")
    if a.components:
        found = kmeans(sight.z_nk, a.components, seed=a.seed)
    else:
        found = leiden(sight.z_nk, resolution=a.resolution, seed=a.seed)
    return _numbered(found)


def _numbered(found: Any) -> Names:
    return np.array([f"{group:03d}" for group in found], dtype=object)


def _de(sight: Sight) -> list[Analysis]:
    from engine.analysis.markers import MarkerSettings, markers

    a = sight.asked
    groups = sight.need_labels() if a.label and not a.groups else _groups(sight)
    settings = MarkerSettings(method=a.method, top=a.top)
    reference = reference_of(a.reference)
    results = []
    for modality in _modalities(sight):
        sight.say(f"Testing {len(sight.pair.of(modality).space):,} {modality.value.upper()} features")
        results.append(markers(sight.profiles(modality), groups, settings=settings, reference=reference))
    if a.label or a.groups:
        return results
    return [replace(result, cautions=(*result.cautions, CIRCULAR)) for result in results]


def _cre(sight: Sight) -> list[Analysis]:
    from engine.analysis.lasso import LassoSettings, lasso_links
    from engine.analysis.nearby import positions

    a, near = sight.asked, _nearby(sight)
    rna, atac = (_grouped(sight, sight.profiles(m)) for m in (Modality.RNA, Modality.ATAC))
    genes = positions(a.genes, near.genes) if a.genes else None
    result = lasso_links(
        rna, atac, near, genes=genes, settings=LassoSettings(alpha=a.alpha, seed=a.seed), say=sight.say
    )
    return [_drawable(sight, _enriched(sight, result))]


def _coaccess(sight: Sight) -> list[Analysis]:
    from engine.analysis.coaccess import CoaccessSettings, coaccessibility

    near = _nearby(sight)
    profiles = _grouped(sight, sight.profiles(Modality.ATAC))
    settings = CoaccessSettings(seed=sight.asked.seed)
    result = coaccessibility(profiles, near=near, settings=settings, say=sight.say)
    return [_drawable(sight, _enriched(sight, result))]


def _nearby(sight: Sight) -> Nearby:
    from engine.analysis.nearby import nearby
    from engine.genome.genes import GeneModels

    genes, peaks = (sight.pair.of(m).space.names for m in (Modality.RNA, Modality.ATAC))
    return nearby(genes, peaks, GeneModels.load(sight.genome), reach=sight.asked.reach)


def _grouped(sight: Sight, profiles: dict[str, Profile]) -> dict[str, Profile]:
    """The profiles of groups of neighbours, where they are asked for."""
    from engine.analysis.metacells import Metacells

    size = sight.asked.group_size
    if size <= 1:
        return profiles
    groups = Metacells.of(sight.z_nk, rng=np.random.default_rng(sight.asked.seed), size=size)
    sight.say(f"Adding up {len(groups):,} groups of neighbours")
    return {name: groups.of_profile(profile) for name, profile in profiles.items()}


def _enriched(sight: Sight, result: Analysis) -> Analysis:
    from engine.analysis.enrichment import bigwig_signal, enrichment, told

    track = sight.asked.track
    if track is None:
        return result
    sight.say(f"Reading {track.name} under the linked peaks")
    table = enrichment(result.tables["links"], bigwig_signal(track), seed=sight.asked.seed)
    figures = {**result.figures, "enrichment": told(table)}
    return replace(result, tables={**result.tables, "enrichment": table}, figures=figures)


def _drawable(sight: Sight, result: Analysis) -> Analysis:
    """With how open each peak is in each group, so that links can be drawn over it."""
    from engine.analysis.coverage import coverage

    groups = _drawn_groups(sight)
    sight.say(f"Adding up peaks of {len(set(groups)):,} groups of cells")
    table = coverage(sight.profiles(Modality.ATAC), groups, genome=sight.genome)
    return replace(result, tables={**result.tables, "coverage": table})


def _drawn_groups(sight: Sight) -> Names:
    """Labels, else communities of the embedding; all cells as one group where neither is there."""
    from engine.analysis.clusters import leiden

    a = sight.asked
    if a.label:
        return sight.need_labels()
    if a.embedding == JOINT and sight.bundle is None:
        return np.full(len(sight.given), "all cells", dtype=object)
    return _numbered(leiden(sight.z_nk, seed=a.seed))


def _trajectory(sight: Sight) -> list[Analysis]:
    from engine.analysis.trajectory import TrajectorySettings, trajectory
    from engine.analysis.trends import trends

    a = sight.asked
    settings = TrajectorySettings(neighbours=a.neighbours, root=a.root_at)
    found = trajectory(
        sight.z_nk, sight.pair.barcodes, root=a.root, labels_n=sight.labels, among=a.among, settings=settings
    )
    time_n = found.tables["cells"]["pseudotime"].to_numpy(dtype=np.float64)
    rna, atac = (sight.profiles(m) for m in (Modality.RNA, Modality.ATAC))
    genes = _drawn(sight, time_n)
    sight.say(f"Drawing {len(genes)} genes along pseudotime")
    return [found, trends(rna, atac, time_n, genes, _near_if_known(sight))]


def _drawn(sight: Sight, time_n: Any) -> Any:
    """Genes asked for, or those whose raw expression varies most among the ordered cells."""
    from engine.analysis.nearby import positions

    space = sight.pair.rna.space.names
    if sight.asked.genes:
        return positions(sight.asked.genes, space)
    raw, on = sight.raw(Modality.RNA), np.isfinite(time_n)
    variance = np.zeros(len(space))
    for start, stop, values in raw.column_blocks(np.arange(len(space))):
        variance[start:stop] = values[on].var(axis=0)
    return np.sort(np.argsort(-variance, kind="stable")[:DRAWN])


def _near_if_known(sight: Sight) -> Nearby | None:
    """Promoters where the genome has gene models; a trajectory does not need them."""
    try:
        return _nearby(sight)
    except (BadSetting, BadInput) as problem:
        sight.say(f"Promoters are left out: {problem.message}")
        return None


def _activity(sight: Sight) -> list[Analysis]:
    from engine.analysis.activity import Activity, activity
    from engine.genome.genes import GeneModels

    def keep(name: str, values_ng: Floats, weights: Activity) -> None:
        sight.say(f"Writing the activity of {len(weights.genes):,} genes on {name} cells")
        _write_h5ad(sight, values_ng, weights.genes, sight.out / f"activity.{name}.h5ad")

    sight.out.mkdir(parents=True, exist_ok=True)
    atac, rna = sight.profiles(Modality.ATAC), sight.raw(Modality.RNA)
    sight.say(f"Adding up the peaks around each gene in {len(rna):,} cells")
    models = GeneModels.load(sight.genome)
    return [activity(atac, rna, models, seed=sight.asked.seed, keep=keep)[0]]


def _write_h5ad(sight: Sight, values_ng: Floats, genes: Names, path: Path) -> None:
    import anndata as ad
    import pandas as pd

    obs = pd.DataFrame(
        {k: v.astype(str) for k, v in sight.given.rna.obs.items()}, index=sight.pair.barcodes.astype(str)
    )
    adata = ad.AnnData(values_ng, obs=obs, var=pd.DataFrame(index=genes.astype(str)))
    adata.uns["crossview"] = {"what": "gene activity: log1p per 10,000", "genome": sight.genome}
    adata.write_h5ad(path, compression="gzip")


KINDS: Mapping[str, Callable[[Sight], list[Analysis]]] = {
    "cluster": _cluster,
    "imputation": _imputation,
    "mixing": _mixing,
    "abnormal": _abnormal,
    "de": _de,
    "cre": _cre,
    "coaccess": _coaccess,
    "trajectory": _trajectory,
    "activity": _activity,
}
