"""Each kind of `crossview analyse` as one function from cells to finished analyses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.analysis.result import Analysis
from engine.errors import BadInput, BadSetting
from engine.types import Floats, Modality, Names

if TYPE_CHECKING:
    import pandas as pd

    from engine.analysis.nearby import Nearby
    from engine.analysis.profiles import Profile
    from jobs.commands.analyse_run import Sight

CIRCULAR = "The groups are clusters of these very cells: their p-values count the same differences twice."
DRAWN = 50  # genes along a trajectory where none are named  # ours


def _cluster(sight: Sight) -> list[Analysis]:
    from engine.analysis.clusters import ClusterSettings, cluster

    a = sight.asked
    found = {name: sight.embedded(name) for name in _names(a.embedding, a.compare)}
    seeds = tuple(int(text) for text in a.seeds.split(",") if text.strip()) or (a.seed,)
    settings = ClusterSettings(components=a.components, resolution=a.resolution, seeds=seeds)
    sight.say(f"Clustering {len(sight.given):,} cells in {len(found)} embedding(s)")
    result = cluster(
        {name: one.z_nk for name, one in found.items()},
        sight.labels,
        settings=settings,
        graphs={name: one.graph for name, one in found.items() if one.graph is not None},
    )
    notes = {name: list(one.notes) for name, one in found.items()}
    tables = dict(result.tables)
    if not a.no_umap:
        tables["cells"] = _mapped(sight, {name: one.z_nk for name, one in found.items()}, tables["cells"])
    return [replace(result, tables=tables, settings={**result.settings, "embeddings": notes})]


def _names(first: str, others: str) -> list[str]:
    return list(dict.fromkeys([first, *(name.strip() for name in others.split(",") if name.strip())]))


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
    from engine.analysis.imputation import correlation
    from engine.analysis.recovery import recovery

    labels, seed, results = sight.need_labels(), sight.asked.seed, []
    for modality in _modalities(sight):
        profiles, raw = sight.profiles(modality), sight.raw(modality)
        if "imputed" in profiles:
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
    return results


def _modalities(sight: Sight) -> list[Modality]:
    return [Modality(sight.asked.only)] if sight.asked.only else list(Modality)


def _mixing(sight: Sight) -> list[Analysis]:
    from engine.analysis.mixing import mixing

    a = sight.asked
    found = {name: sight.embedded(name).z_nk for name in _names(a.embedding, a.compare)}
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
    if getattr(a, "components", 0):
        found = kmeans(sight.z_nk, a.components, seed=a.seed)
    else:
        found = leiden(sight.z_nk, resolution=getattr(a, "resolution", 1.0), seed=a.seed)
    return np.array([f"{group:03d}" for group in found], dtype=object)


def _de(sight: Sight) -> list[Analysis]:
    from engine.analysis.markers import MarkerSettings, markers

    a = sight.asked
    groups = sight.need_labels() if a.label and not a.groups else _groups(sight)
    settings = MarkerSettings(method=a.method, top=a.top)
    reference = _reference(a.reference) if a.reference else None
    results = []
    for modality in _modalities(sight):
        sight.say(f"Testing {len(sight.pair.of(modality).space):,} {modality.value.upper()} features")
        results.append(markers(sight.profiles(modality), groups, settings=settings, reference=reference))
    if a.label or a.groups:
        return results
    return [replace(result, cautions=(*result.cautions, CIRCULAR)) for result in results]


def _reference(path: Path) -> Mapping[str, Sequence[str]] | Sequence[str]:
    """Names, one a line; or with a comma or tab in every line, names by group."""
    if not path.is_file():
        raise BadInput(f"There is no file {path}.", hint="Check the path of the reference list.")
    rows = [line.replace("\t", ",").split(",", 1) for line in path.read_text(encoding="utf-8").splitlines() if line]
    if not rows:
        raise BadInput(f"{path.name} is empty.", hint="Give names, one a line, or GROUP,NAME.")
    if any(len(row) == 1 for row in rows):
        return [",".join(row).strip() for row in rows]
    found: dict[str, list[str]] = {}
    for group, name in rows:
        found.setdefault(group.strip(), []).append(name.strip())
    return found


def _cre(sight: Sight) -> list[Analysis]:
    from engine.analysis.lasso import LassoSettings, lasso_links
    from engine.analysis.nearby import positions

    a, near = sight.asked, _nearby(sight)
    rna, atac = (_grouped(sight, sight.profiles(m)) for m in (Modality.RNA, Modality.ATAC))
    genes = positions(_listed(a.genes), near.genes) if a.genes else None
    result = lasso_links(
        rna, atac, near, genes=genes, settings=LassoSettings(alpha=a.alpha, seed=a.seed), say=sight.say
    )
    return [_enriched(sight, result)]


def _coaccess(sight: Sight) -> list[Analysis]:
    from engine.analysis.coaccess import CoaccessSettings, coaccessibility

    near = _nearby(sight)
    profiles = _grouped(sight, sight.profiles(Modality.ATAC))
    settings = CoaccessSettings(seed=sight.asked.seed)
    return [_enriched(sight, coaccessibility(profiles, near=near, settings=settings, say=sight.say))]


def _nearby(sight: Sight) -> Nearby:
    from engine.analysis.nearby import REACH, nearby
    from engine.genome.genes import GeneModels

    reach = getattr(sight.asked, "reach", REACH)
    genes, peaks = (sight.pair.of(m).space.names for m in (Modality.RNA, Modality.ATAC))
    return nearby(genes, peaks, GeneModels.load(sight.genome), reach=reach)


def _grouped(sight: Sight, profiles: dict[str, Profile]) -> dict[str, Profile]:
    """The profiles of groups of neighbours, where --metacells asks for them."""
    from engine.analysis.metacells import Metacells

    size = sight.asked.metacells
    if size <= 1:
        return profiles
    groups = Metacells.of(sight.z_nk, rng=np.random.default_rng(sight.asked.seed), size=size)
    sight.say(f"Adding up {len(groups):,} groups of neighbours")
    return {name: groups.of_profile(profile) for name, profile in profiles.items()}


def _enriched(sight: Sight, result: Analysis) -> Analysis:
    from engine.analysis.enrichment import bigwig_signal, enrichment

    track = sight.asked.track
    if track is None:
        return result
    sight.say(f"Reading {track.name} under the linked peaks")
    table = enrichment(result.tables["links"], bigwig_signal(track), seed=sight.asked.seed)
    return replace(result, tables={**result.tables, "enrichment": table})


def _listed(text: str) -> list[str]:
    """Names separated by commas, or @FILE with one a line."""
    if text.startswith("@"):
        path = Path(text[1:])
        if not path.is_file():
            raise BadInput(f"There is no file {path}.", hint="Check the path after @.")
        text = ",".join(path.read_text(encoding="utf-8").splitlines())
    return [name.strip() for name in text.split(",") if name.strip()]


def _trajectory(sight: Sight) -> list[Analysis]:
    from engine.analysis.trajectory import TrajectorySettings, trajectory
    from engine.analysis.trends import trends

    a = sight.asked
    among = _listed(a.among)
    settings = TrajectorySettings(neighbours=a.neighbours, root=a.root_at)
    found = trajectory(
        sight.z_nk, sight.pair.barcodes, root=a.root, labels_n=sight.labels, among=among, settings=settings
    )
    time_n = found.tables["cells"]["pseudotime"].to_numpy(dtype=np.float64)
    rna, atac = (sight.profiles(m) for m in (Modality.RNA, Modality.ATAC))
    genes = _drawn(sight, a.genes, time_n)
    sight.say(f"Drawing {len(genes)} genes along pseudotime")
    return [found, trends(rna, atac, time_n, genes, _near_if_known(sight))]


def _drawn(sight: Sight, names: str | None, time_n: Any) -> Any:
    """Genes asked for, or those whose raw expression varies most among the ordered cells."""
    from engine.analysis.nearby import positions

    space = sight.pair.rna.space.names
    if names:
        return positions(_listed(names), space)
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
    from engine.analysis.activity import activity
    from engine.genome.genes import GeneModels

    result, scores, weights = activity(
        sight.profiles(Modality.ATAC), sight.raw(Modality.RNA), GeneModels.load(sight.genome)
    )
    sight.asked.out.mkdir(parents=True, exist_ok=True)
    for name, values_ng in scores.items():
        _write_h5ad(sight, values_ng, weights.genes, sight.asked.out / f"activity.{name}.h5ad")
    return [result]


def _write_h5ad(sight: Sight, values_ng: Floats, genes: Names, path: Path) -> None:
    import anndata as ad
    import pandas as pd

    obs = pd.DataFrame(
        {k: v.astype(str) for k, v in sight.given.rna.obs.items()}, index=sight.pair.barcodes.astype(str)
    )
    adata = ad.AnnData(values_ng, obs=obs, var=pd.DataFrame(index=genes.astype(str)))
    adata.uns["crossview"] = {"what": "gene activity: log1p per 10,000", "genome": sight.genome}
    adata.write_h5ad(path, compression="gzip")


KINDS: Mapping[str, Callable[[Any], list[Analysis]]] = {
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
