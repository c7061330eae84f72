"""What a joint embedding is compared with: one modality alone, WNN, MultiVI, scVI and MOFA+ of the same cells.

All are fitted on the cells they embed, without labels. The last four need the extra `peers`.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from engine.analysis.neighbours import NEIGHBOURS, graph_of, scanpy
from engine.errors import BadSetting, MissingExtra
from engine.preprocess.steps import DepthScale, Projection, TfIdf
from engine.types import Cells, Floats, Modality, PairedCells

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPONENTS = 30  # scanpy's and Signac's habit
VARIABLE = 2_000  # genes; Seurat's and scanpy's habit
DEPTH_LIKE = 0.75  # |r| with log depth above which a component of peaks is depth (ArchR's bound)
EPOCHS = 200  # ours: of scVI, early stopping before that
MOFA_FEATURES = 5_000  # ours: most variable features of each modality MOFA+ is given
TOLD_S = 2.0  # ours: between two words of a training
PEERS = "Install the extra where CrossView runs: `pip install 'crossview[peers]'`."
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Embedded:
    """z_nk: coordinates, shape (n, k). graph: a neighbour graph (AnnData) where the method is one, else None."""

    z_nk: Floats
    graph: Any = None
    notes: tuple[str, ...] = field(default=())


def rna_only(pair: PairedCells, *, k: int = COMPONENTS, seed: int = 0, genes: int = VARIABLE) -> Embedded:
    """Principal components of the log-normalised most variable genes."""
    x_ng = DepthScale.fit(pair.rna.counts).log_normalised(pair.rna.counts)
    kept_g = _variable(x_ng, genes)
    x_ng = sp.csr_matrix(x_ng[:, kept_g])
    z_nk = Projection.fit(x_ng, k=k, rng=np.random.default_rng(seed)).transform(x_ng)
    return Embedded(z_nk, notes=(f"{len(kept_g):,} genes, {z_nk.shape[1]} components.",))


def atac_only(pair: PairedCells, *, k: int = COMPONENTS, seed: int = 0) -> Embedded:
    """Latent semantic indexing: TF-IDF and SVD, without the components that are depth."""
    z_nk, dropped = _lsi(pair.atac, k=k, seed=seed)
    return Embedded(z_nk, notes=(_without_depth(dropped),))


def _without_depth(dropped: int) -> str:
    if not dropped:
        return "No component follows depth."
    return f"{dropped} component{' that follows' if dropped == 1 else 's that follow'} depth, left out."


def wnn(pair: PairedCells, *, k: int = COMPONENTS, seed: int = 0, neighbours: int = NEIGHBOURS) -> Embedded:
    """Weighted nearest neighbours (Hao et al. 2021) by muon, on the two embeddings above.

    WNN is a graph; its coordinates are the diffusion components of that graph. muon compiles its neighbour search anew
    in every process, which takes a minute and a half of CPU whatever the number of cells.
    """
    muon = _extra("muon")
    parts = {"rna": rna_only(pair, k=k, seed=seed).z_nk, "atac": atac_only(pair, k=k, seed=seed).z_nk}
    with _quiet():
        from mudata import MuData

        both = MuData({name: graph_of(z_nk, neighbours=neighbours) for name, z_nk in parts.items()})
        most = len(pair) - 2  # more candidates than cells crash the search
        muon.pp.neighbors(
            both,
            n_neighbors=min(neighbours, most),
            n_bandwidth_neighbors=min(20, most),  # muon's own numbers
            n_multineighbors=min(200, most),
            key_added="wnn",
            random_state=seed,
        )
        import anndata as ad

        graph = ad.AnnData(shape=(len(pair), 0), obsp={name: both.obsp[f"wnn_{name}"] for name in _OBSP})
        graph.uns["neighbors"] = {
            "connectivities_key": "connectivities",
            "distances_key": "distances",
            "params": {"method": "umap", "n_neighbors": neighbours},
        }
        scanpy().tl.diffmap(graph, n_comps=min(k, len(pair) - 2), random_state=seed)
    z_nk = np.asarray(graph.obsm["X_diffmap"][:, 1:] * graph.uns["diffmap_evals"][1:], dtype=np.float32)
    return Embedded(z_nk, graph, ("Coordinates are the diffusion components of the WNN graph.",))


_OBSP = ("connectivities", "distances")


def mofa(pair: PairedCells, *, k: int = 10, seed: int = 0) -> Embedded:
    """Factors of MOFA+ (Argelaguet et al. 2020) by mofapy2 on log-normalised genes and TF-IDF peaks."""
    entry = _extra("mofapy2.run.entry_point")
    x_ng = DepthScale.fit(pair.rna.counts).log_normalised(pair.rna.counts)
    y_np = TfIdf.fit(pair.atac.counts).transform(pair.atac.counts)
    views = [x[:, _variable(x, MOFA_FEATURES)].toarray().astype(np.float64) for x in (x_ng, y_np)]
    with _quiet():
        model = entry.entry_point()
        model.set_data_options(scale_views=True)
        model.set_data_matrix([[view] for view in views], likelihoods=["gaussian", "gaussian"])
        model.set_model_options(factors=min(k, len(pair) - 1))
        model.set_train_options(iter=300, convergence_mode="fast", seed=seed or 1, quiet=True, verbose=False)
        model.build()
        model.run()
        z_nk = np.concatenate(list(_factors(model)), axis=0).astype(np.float32)
    return Embedded(z_nk, notes=(f"{z_nk.shape[1]} factors.",))


def _silent(line: str) -> None:
    """Who does not want to know."""


def scvi(pair: PairedCells, *, k: int = 10, seed: int = 0, epochs: int = EPOCHS, say: Say = _silent) -> Embedded:
    """The latent mean of scVI (Lopez et al. 2018) on the counts of genes, by scvi-tools. say: told its epochs."""
    return _scvi_tools(pair, "SCVI", k=k, seed=seed, epochs=epochs, say=say)


def multivi(pair: PairedCells, *, k: int = 10, seed: int = 0, epochs: int = EPOCHS, say: Say = _silent) -> Embedded:
    """The latent mean of MultiVI (Ashuach et al. 2023) on both modalities, by scvi-tools. say: told its epochs."""
    return _scvi_tools(pair, "MULTIVI", k=k, seed=seed, epochs=epochs, say=say)


KNOWN: Mapping[str, Callable[..., Embedded]] = {
    "rna": rna_only,
    "atac": atac_only,
    "wnn": wnn,
    "multivi": multivi,
    "scvi": scvi,
    "mofa": mofa,
}
TITLES: Mapping[str, str] = {
    "rna": "RNA alone", "atac": "ATAC alone", "wnn": "WNN", "multivi": "MultiVI", "scvi": "scVI", "mofa": "MOFA+",
}  # fmt: skip
EXTRA: Mapping[str, str] = {"wnn": "muon", "multivi": "scvi", "scvi": "scvi", "mofa": "mofapy2"}  # modules of `peers`
_TRAINED = frozenset({"scvi", "multivi"})


def lacking(names: Iterable[str]) -> dict[str, str]:
    """Those of `names` that cannot be made here, with the module each lacks; nothing is imported."""
    needed = {name: EXTRA[name] for name in names if name in EXTRA}
    return {name: module for name, module in needed.items() if find_spec(module) is None}


def embedding(name: str, pair: PairedCells, *, seed: int = 0, say: Say = _silent) -> Embedded:
    """One of KNOWN with its defaults. Raises BadSetting for another name, MissingExtra without the extra."""
    if name not in KNOWN:
        raise BadSetting(f"There is no embedding {name!r}.", hint=f"Known: joint, {', '.join(KNOWN)}.")
    return KNOWN[name](pair, seed=seed, **({"say": say} if name in _TRAINED else {}))


def _variable(x_nf: sp.csr_matrix, most: int) -> Any:
    """The features of the highest variance, ascending."""
    mean_f = np.asarray(x_nf.mean(axis=0)).ravel()
    variance_f = np.asarray(x_nf.multiply(x_nf).mean(axis=0)).ravel() - mean_f**2
    return np.sort(np.argsort(-variance_f, kind="stable")[:most])


def _lsi(cells: Cells, *, k: int, seed: int) -> tuple[Floats, int]:
    x_np = TfIdf.fit(cells.counts).transform(cells.counts)
    found = Projection.fit(x_np, k=k + 1, rng=np.random.default_rng(seed), centred=False).transform(x_np)
    log_n = np.log1p(np.asarray(cells.counts.sum(axis=1)).ravel())
    with np.errstate(invalid="ignore"):
        r_k = np.nan_to_num([np.corrcoef(column, log_n)[0, 1] for column in found.T])
    kept_k = np.flatnonzero(np.abs(r_k) <= DEPTH_LIKE)[:k]
    if not len(kept_k):
        return found, 0
    return found[:, kept_k], int((np.abs(r_k) > DEPTH_LIKE).sum())


def _factors(model: Any) -> Iterator[Any]:
    """Factor values a group; mofapy2 keeps them under the node Z."""
    found = model.model.nodes["Z"].getExpectation()
    yield np.asarray(found)


def _scvi_tools(pair: PairedCells, kind: str, *, k: int, seed: int, epochs: int, say: Say) -> Embedded:
    library = _extra("scvi")
    torch = import_module("torch")
    with _quiet(), torch.random.fork_rng(devices=[]):
        library.settings.seed = seed
        adata, model = _built(library, pair, kind, k)
        told = _telling(TITLES[kind.lower()], epochs, say)
        model.train(
            max_epochs=epochs, early_stopping=True, accelerator="cpu", enable_progress_bar=False, callbacks=[told]
        )
        found = model.get_latent_representation(adata)
    return Embedded(np.asarray(found, dtype=np.float32), notes=(f"scvi-tools, at most {epochs} epochs.",))


def _telling(title: str, epochs: int, say: Say) -> Any:
    """A callback of lightning that tells how far a training is."""

    class Telling(import_module("lightning.pytorch.callbacks").Callback):  # type: ignore[misc]
        last = 0.0

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            if time.monotonic() - self.last >= TOLD_S:
                self.last = time.monotonic()
                say(f"{title}: epoch {trainer.current_epoch + 1} of at most {epochs}")

    return Telling()


def _built(library: Any, pair: PairedCells, kind: str, k: int) -> tuple[Any, Any]:
    import anndata as ad

    if kind == "SCVI":
        adata = ad.AnnData(sp.csr_matrix(pair.rna.counts))
        library.model.SCVI.setup_anndata(adata)
        return adata, library.model.SCVI(adata, n_latent=k)
    both = import_module("mudata").MuData({m.value: ad.AnnData(sp.csr_matrix(pair.of(m).counts)) for m in Modality})
    modalities = {f"{m.value}_layer": m.value for m in Modality}
    library.model.MULTIVI.setup_mudata(both, modalities=modalities)
    genes, peaks = len(pair.rna.space), len(pair.atac.space)
    return both, library.model.MULTIVI(both, n_genes=genes, n_regions=peaks, n_latent=k)


def _extra(module: str) -> Any:
    """A module of the extra `peers`. Raises MissingExtra where it is not installed."""
    try:
        with _quiet():
            return import_module(module)
    except ModuleNotFoundError as problem:
        raise MissingExtra(
            f"This comparison needs the module {problem.name}, which is not installed here.",
            hint=PEERS,
        ) from problem


@contextmanager
def _quiet() -> Iterator[None]:
    """Peers talk: of each other's deprecations, and on stdout, which is for our own document."""
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
