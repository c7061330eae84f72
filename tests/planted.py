"""Built cells with a planted truth for analyses: known links, a known order, batches, and cells that are abnormal."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.analysis.profiles import IMPUTED, RAW, Profile, measured
from engine.genome.genes import GeneModels
from engine.metrics.sources import ArraySource
from engine.types import Cells, FeatureSpace, Floats, Modality, Names, PairedCells, as_names
from tests.builders import gene_names, paired, peak_names, split_of

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Planted:
    """pair: what is measured. rate_ng, open_np: what it was drawn from, as a perfect model would impute it.

    z_nk: the cells' true coordinates. time_n: their true order, where there is one.
    linked: (gene, distal peak) that are truly linked; promoter: the promoter peak of each gene.
    """

    pair: PairedCells
    rate_ng: Doubles
    open_np: Doubles
    z_nk: Floats
    time_n: Doubles | None = None
    linked: frozenset[tuple[str, str]] = frozenset()
    promoter: dict[str, str] | None = None

    @property
    def log_rate_ng(self) -> Floats:
        """Expected genes on the scale analyses use."""
        scaled = self.rate_ng / self.rate_ng.sum(axis=1, keepdims=True) * np.median(self.rate_ng.sum(axis=1))
        return np.log1p(scaled).astype(np.float32)


def far_genes(count: int, *, genome: str = "hg38", apart: int = 600_000) -> Names:
    """Real genes whose TSS lie so far apart that no peak near one is near another of them."""
    models, chosen = GeneModels.load(genome), []
    last: dict[int, int] = {}
    for i in np.argsort(models.chrom.astype(np.int64) * 2**40 + models.tss, kind="stable"):
        chrom, tss = int(models.chrom[i]), int(models.tss[i])
        if models.chroms[chrom] in {"chrX", "chrY", "chrM"} or tss < apart or tss - last.get(chrom, 0) < apart:
            continue
        last[chrom] = tss
        chosen.append(str(models.symbol[i]))
        if len(chosen) == count:
            break
    return as_names(chosen)


def with_links(
    *,
    cells: int = 500,
    genes: int = 20,
    peaks: int = 8,
    linked: int = 2,
    rng: np.random.Generator,
) -> Planted:
    """Each gene has a promoter peak and distal ones; it, its promoter and its linked peaks follow one programme.

    Every other peak follows a programme of its own, so that it varies as much and says nothing of the gene.
    """
    models, names = GeneModels.load("hg38"), far_genes(genes)
    z_nk = rng.normal(size=(cells, 6))
    spans, programme, gene_of, true, promoter = [], [], [], set(), {}
    drive_gk = rng.normal(size=(genes, 6))
    drive_gk /= np.linalg.norm(drive_gk, axis=1, keepdims=True)
    for g, name in enumerate(names):
        i = models.index[str(name)]
        chrom, tss = models.chroms[models.chrom[i]], int(models.tss[i])
        away = np.sort(rng.choice(np.arange(5, 95), size=peaks - 1, replace=False)) * 1_000
        centres = [tss, *(tss + away * rng.choice([-1, 1], size=peaks - 1)).tolist()]
        own = [f"{chrom}:{c - 250}-{c + 250}" for c in centres]
        chosen = set(rng.choice(np.arange(1, peaks), size=linked, replace=False).tolist())
        for j, peak in enumerate(own):
            follows = drive_gk[g] if j == 0 or j in chosen else _unit(rng.normal(size=6))
            spans.append(peak)
            programme.append(follows)
            gene_of.append(g)
        promoter[str(name)] = own[0]
        true |= {(str(name), own[j]) for j in chosen}
    rate_ng = np.exp(0.8 + 0.9 * z_nk @ drive_gk.T)
    open_np = 1 / (1 + np.exp(1.4 - 1.8 * z_nk @ np.array(programme).T))
    return _drawn(names, as_names(spans), rate_ng, open_np, z_nk, rng, linked=frozenset(true), promoter=promoter)


def along_a_path(
    *, cells: int = 400, genes: int = 80, peaks: int = 160, stages: int = 5, rng: np.random.Generator
) -> Planted:
    """Cells on one path: genes and peaks rise and fall one after another; `stage` is the label."""
    time_n = np.sort(rng.random(cells))
    peak_at_g, peak_at_p = rng.uniform(-0.2, 1.2, size=genes), rng.uniform(-0.2, 1.2, size=peaks)
    rate_ng = 0.3 + 6.0 * np.exp(-(((time_n[:, None] - peak_at_g) / 0.25) ** 2))
    open_np = 0.03 + 0.4 * np.exp(-(((time_n[:, None] - peak_at_p) / 0.25) ** 2))
    stage = as_names(f"stage {int(t * stages)}" for t in time_n)
    order = rng.permutation(cells)
    built = _drawn(
        gene_names(genes), peak_names(peaks), rate_ng[order], open_np[order], time_n[order, None], rng,
        obs={"stage": stage[order]},
    )  # fmt: skip
    return replace(built, time_n=time_n[order])


def with_abnormal(*, cells: int = 300, abnormal: int = 45, rng: np.random.Generator) -> tuple[PairedCells, Names]:
    """Healthy cells of three types, and cells with a fifth of the RNA, that of the medium, and much unspecific ATAC.

    Returns the pair and the truth: "abnormal" or "" for each cell.
    """
    pair = paired(cells=cells, genes=200, peaks=400, rng=rng)
    ill = rng.choice(cells, size=abnormal, replace=False)
    x_ng, a_np = pair.rna.counts.toarray(), pair.atac.counts.toarray()
    x_ng[ill] = rng.poisson(0.2 * x_ng.mean(axis=0), size=(abnormal, x_ng.shape[1]))
    a_np[ill] = rng.random((abnormal, a_np.shape[1])) < 0.35
    truth = np.full(cells, "", dtype=object)
    truth[ill] = "abnormal"
    changed = PairedCells(
        replace(pair.rna, counts=sp.csr_matrix(x_ng.astype(np.float32))),
        replace(pair.atac, counts=sp.csr_matrix(a_np.astype(np.float32))),
    )
    return changed, truth


def _unit(vector: Doubles) -> Doubles:
    return np.asarray(vector / np.linalg.norm(vector))


def _drawn(
    genes: Names,
    peaks: Names,
    rate_ng: Doubles,
    open_np: Doubles,
    z_nk: Doubles,
    rng: np.random.Generator,
    *,
    obs: dict[str, Names] | None = None,
    linked: frozenset[tuple[str, str]] = frozenset(),
    promoter: dict[str, str] | None = None,
) -> Planted:
    barcodes = as_names(f"CELL{i:05d}" for i in range(len(rate_ng)))
    x_ng = sp.csr_matrix(rng.poisson(rate_ng).astype(np.float32))
    a_np = sp.csr_matrix((rng.random(open_np.shape) < open_np).astype(np.float32))
    pair = PairedCells(
        Cells(FeatureSpace(Modality.RNA, genes, "hg38"), x_ng, barcodes, obs or {}),
        Cells(FeatureSpace(Modality.ATAC, peaks, "hg38"), a_np, barcodes, obs or {}),
    )
    return Planted(pair, rate_ng, open_np, z_nk.astype(np.float32), linked=linked, promoter=promoter)


def perfectly_imputed(built: Planted) -> dict[Modality, Profile]:
    """The profiles a model would give that knows what the cells were drawn from."""
    pair = built.pair
    return {
        modality: Profile(
            IMPUTED, modality, pair.of(modality).space.names, len(pair), ArraySource(values), imputed=True
        )
        for modality, values in ((Modality.RNA, built.log_rate_ng), (Modality.ATAC, built.open_np.astype(np.float32)))
    }


def both_profiles(built: Planted) -> dict[Modality, dict[str, Profile]]:
    """Raw and perfectly imputed, by modality and name."""
    known = perfectly_imputed(built)
    return {m: {RAW: measured(built.pair.of(m)), IMPUTED: known[m]} for m in Modality}


def joint_bundle(pair: PairedCells, folder: Path, *, epochs: int = 15) -> Path:
    """A small CrossMP of these cells, which encodes both modalities together and decodes either."""
    return bundle_of(pair, folder, model="crossmp", epochs=str(epochs), batch="64", learning_rate="0.003")


def bundle_of(pair: PairedCells, folder: Path, *, model: str, **settings: str) -> Path:
    """A model of these cells as a bundle that knows its split."""
    from engine.bundle import make_manifest, save_bundle
    from engine.nulls import Nulls
    from engine.splits import split_document
    from engine.translators.base import Hooks
    from engine.translators.registry import recipe

    split = split_of(pair)
    translator = recipe(model, settings).fit(pair, split, Hooks(seed=0, threads=1))
    train = pair.named(split.train)
    manifest = make_manifest(
        translator, id="small", train=train, split=split, seed=0, code_version="test", settings=settings, filters={}
    )
    save_bundle(folder, translator, Nulls.fit(train), manifest)
    (folder / "split.json").write_text(json.dumps(split_document(split)), encoding="utf-8")
    return folder
