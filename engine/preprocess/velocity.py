"""Genes ranked by RNA velocity with scVelo, for CrossMP's second RNA encoder; needs the extra `velocity`.

CrossMP §2.1 runs velocyto and then says only: "utilizing scVelo with the LOOM file as input, we identified significant
genes ranked by the velocity score". Our reading, since the paper names neither function nor model:
- *velocity score* is what scVelo calls so: `velocity_score` of `scvelo.tl.rank_velocity_genes`, a t-test (variance
  overestimated) of each gene's velocity in one group of cells against the others; a gene is ranked by its best group;
- velocities come from scVelo's default, the stochastic model (Bergen et al. 2020) on moments over 30 neighbours, with
  scVelo's own bounds: 20 counts spliced and unspliced together in the cells that have both, r² above 0.01, and for
  the ranking r² and the correlation of unspliced with spliced above 0.1;
- groups are clusters of velocities at resolution 0.7 as in scVelo, found by Leiden instead of the unmaintained Louvain.

scVelo 0.3.4 cannot solve the stochastic model under NumPy 2.4 or later (`leastsq_generalized` puts an array of one
into a scalar), so that one closed-form step is ours; filters, normalisation, moments, steady-state fit, weights and
ranking are scVelo's.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.errors import BadSetting, MissingExtra
from engine.types import LAYERS, Cells

EXTRA: Final = "crossview[velocity]"
INSTEAD: Final = "train with `--set significant=variable`"
SHARED_COUNTS = 20  # scVelo's tutorials
PERCENTILES = [5, 95]  # scvelo.tl.velocity
NEIGHBOURS = 30  # scvelo.pp.moments
COMPONENTS = 30  # scvelo.pp.moments
VELOCITY_COMPONENTS = 20  # scvelo.tl.velocity_clusters
RESOLUTION = 0.7  # scvelo.tl.velocity_clusters
FEWEST_GENES = 10  # scVelo warns below
FEWEST_CELLS = 2 * NEIGHBOURS  # ours: fewer than that are one neighbourhood
MOST_VALUES = 25_000_000  # cells × genes of each of scVelo's dense arrays: about 2.5 GB in all  # ours


class NoVelocity(BadSetting):
    """The cells at hand do not allow a ranking by velocity."""


def scvelo_version() -> str | None:
    """The version installed, or None; scVelo itself is not imported."""
    if importlib.util.find_spec("scvelo") is None:
        return None
    from importlib.metadata import version

    return version("scvelo")


def require_velocity(cells: Cells) -> None:
    """Raises NoVelocity where the layers or enough cells are missing, MissingExtra where scVelo is."""
    if missing := [name for name in LAYERS if name not in cells.layers]:
        raise NoVelocity(
            f"The training cells have no {' and '.join(missing)} counts.",
            hint=f"Give RNA with layers spliced and unspliced, or velocyto's .loom; or {INSTEAD}.",
        )
    if len(cells) < FEWEST_CELLS:
        raise NoVelocity(
            f"There are {len(cells):,} training cells; at least {FEWEST_CELLS} are needed to see RNA velocity.",
            hint=f"Give more cells, or {INSTEAD}.",
        )
    if scvelo_version() is None:
        raise MissingExtra("scVelo is not installed.", hint=f"Install it: pip install '{EXTRA}'; or {INSTEAD}.")


def velocity_genes(cells: Cells, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of at most `count` genes with the highest velocity score, ascending; fewer where fewer pass.

    cells: training cells only, with both layers. Where cells × genes exceeds `MOST_VALUES`, as many cells as fit are
    drawn. The same cells and generator state give the same genes.
    Raises NoVelocity when layers, cells or splicing dynamics are missing, MissingExtra when scVelo is.
    """
    require_velocity(cells)
    # scVelo is not written for the newest NumPy, SciPy and pandas; recorded, since it lifts "ignore" by itself.
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        scvelo: Any = importlib.import_module("scvelo")
        told, scvelo.settings.verbosity = scvelo.settings.verbosity, 0
        try:
            return _ranked(scvelo, _prepared(scvelo, cells, rng), count, seed=int(rng.integers(2**31)))
        finally:
            scvelo.settings.verbosity = told


def _prepared(scvelo: Any, cells: Cells, rng: np.random.Generator) -> Any:
    """Normalised cells × genes with enough shared counts; `var.position` remembers where a gene was."""
    import anndata as ad
    import pandas as pd

    g = len(cells.space)
    adata = ad.AnnData(
        sp.csr_matrix(cells.counts),
        obs=pd.DataFrame(index=[str(i) for i in range(len(cells))]),
        # Numbers for names: scVelo cuts names at 50 characters and matches groups' genes by name.
        var=pd.DataFrame({"position": np.arange(g)}, index=[str(i) for i in range(g)]),
        layers={name: sp.csr_matrix(cells.layers[name]) for name in LAYERS},
    )
    scvelo.pp.filter_genes(adata, min_shared_counts=SHARED_COUNTS)
    if adata.n_vars < FEWEST_GENES:
        raise _too_few(adata.n_vars, f"have {SHARED_COUNTS} counts in cells that hold both forms")
    fitting = max(FEWEST_CELLS, MOST_VALUES // adata.n_vars)
    if adata.n_obs > fitting:
        adata = adata[np.sort(rng.choice(adata.n_obs, size=fitting, replace=False))].copy()
    scvelo.pp.normalize_per_cell(adata, enforce=True)
    return adata


def _ranked(scvelo: Any, adata: Any, count: int, *, seed: int) -> NDArray[np.int64]:
    import scanpy as sc

    sc.pp.log1p(adata)  # X alone, for the neighbours; layers stay counts per median depth
    sc.pp.pca(adata, n_comps=min(COMPONENTS, min(adata.shape) - 1), random_state=seed)
    sc.pp.neighbors(adata, n_neighbors=NEIGHBOURS, random_state=seed)
    scvelo.pp.moments(adata, n_neighbors=None, n_pcs=None)
    _fit_velocity(scvelo, adata)
    adata.obs["group"] = _groups(adata, seed=seed)
    if adata.obs["group"].nunique() < 2:
        raise NoVelocity(
            "The training cells do not fall into groups that differ in RNA velocity.", hint=f"Instead, {INSTEAD}."
        )
    try:
        scvelo.tl.rank_velocity_genes(adata, groupby="group", n_genes=adata.n_vars)
    except ValueError as error:  # what scVelo raises where no gene passes its bounds
        raise _too_few(0, "pass scVelo's bounds") from error
    table = adata.uns["rank_velocity_genes"]
    best: dict[str, float] = {}
    for group in table["names"].dtype.names:
        for name, score in zip(table["names"][group], table["scores"][group], strict=True):
            best[name] = max(best.get(name, -np.inf), float(score))
    if len(best) < FEWEST_GENES:
        raise _too_few(len(best), "pass scVelo's bounds")
    position = dict(zip(adata.var_names, adata.var["position"], strict=True))
    first = sorted(best, key=lambda name: (-best[name], position[name]))[:count]
    return np.sort(np.array([position[name] for name in first], dtype=np.int64))


def _fit_velocity(scvelo: Any, adata: Any) -> None:
    """What `scvelo.tl.velocity(mode="stochastic")` writes: velocity, velocity_r2 and velocity_genes."""
    fit = scvelo.Velocity(adata, r2_adjusted=None)  # as scvelo.tl.velocity calls it
    fit.compute_deterministic(perc=PERCENTILES)
    _, _, _, gamma_g, _, r2_g, good_g = fit.get_pars()
    gamma_g = np.array(gamma_g)
    if good_g.any():
        gamma_g[good_g] = _stochastic_ratio(adata[:, good_g], np.asarray(fit._residual)[:, good_g])
    adata.layers["velocity"] = adata.layers["Mu"] - gamma_g * adata.layers["Ms"]
    adata.var["velocity_r2"], adata.var["velocity_genes"] = r2_g, good_g


def _stochastic_ratio(adata: Any, residual_ng: NDArray[Any]) -> NDArray[np.float64]:
    """Degradation over splicing rate of each gene, shape (g,): least squares over first and second moments at once.

    unspliced = γ·spliced and 2⟨us⟩ + ⟨u⟩ = γ·(2⟨ss⟩ − ⟨s⟩), each divided by the spread of its residual; the first
    over cells in the upper 5 % only (Bergen et al. 2020, stochastic model; scvelo.tools.optimization).
    """
    optimization = importlib.import_module("scvelo.tools.optimization")
    moments = importlib.import_module("scvelo.preprocessing.moments")
    regression = importlib.import_module("scvelo.core").LinearRegression

    s_ng, u_ng = np.asarray(adata.layers["Ms"]), np.asarray(adata.layers["Mu"])
    ss_ng, us_ng = moments.second_order_moments(adata)
    x2_ng, y2_ng = 2 * ss_ng - s_ng, 2 * us_ng + u_ng
    spread_g = residual_ng.std(axis=0)
    spread2_g = (y2_ng - regression().fit(x2_ng, y2_ng).coef_ * x2_ng).std(axis=0)
    top = PERCENTILES[1]
    # csr_matrix takes what get_weight gives, dense or sparse
    weight_ng = sp.csr_matrix(
        optimization.get_weight(s_ng, u_ng, perc=top) | optimization.get_weight(s_ng, perc=top), dtype=bool
    ).toarray()
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.vstack([np.where(weight_ng, s_ng, 0) / spread_g, x2_ng / spread2_g]).astype(np.float64)
        y = np.vstack([np.where(weight_ng, u_ng, 0) / spread_g, y2_ng / spread2_g]).astype(np.float64)
        gamma_g: NDArray[np.float64] = (x * y).sum(axis=0) / (x * x).sum(axis=0)
    return np.where(np.isfinite(gamma_g), gamma_g, 0.0)


def _groups(adata: Any, *, seed: int) -> NDArray[Any]:
    """Clusters of velocities, one label a cell, shape (n,)."""
    import anndata as ad
    import scanpy as sc

    moving = ad.AnnData(np.asarray(adata.layers["velocity"][:, adata.var["velocity_genes"].to_numpy()]))
    if moving.n_vars < FEWEST_GENES:
        raise _too_few(moving.n_vars, "show splicing dynamics")
    sc.pp.pca(moving, n_comps=min(VELOCITY_COMPONENTS, min(moving.shape) - 1), random_state=seed)
    sc.pp.neighbors(moving, n_pcs=VELOCITY_COMPONENTS, random_state=seed)
    leiden = {"flavor": "igraph", "n_iterations": 2, "directed": False}
    sc.tl.leiden(moving, resolution=RESOLUTION, random_state=seed, **leiden)
    labels: NDArray[Any] = moving.obs["leiden"].to_numpy()
    return labels


def _too_few(genes: int, what: str) -> NoVelocity:
    return NoVelocity(
        f"{genes:,} genes {what}; at least {FEWEST_GENES} are needed to rank genes by RNA velocity.",
        hint=f"Check that the layers are counts of the whole transcriptome; or {INSTEAD}.",
    )
