"""Which peaks near a gene explain its expression: LASSO of each gene on the peaks within 100 kb of its TSS.

scMVP's second kind of cis-regulatory link (the approach of sci-CAR, Cao et al. 2018): expression of a gene on
accessibility of its peaks, both standardised, the penalty chosen by cross-validation as glmnet does. scikit-learn does
the fitting.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from engine.analysis.nearby import Nearby
from engine.analysis.profiles import Profile
from engine.analysis.result import Analysis
from engine.errors import BadSetting
from engine.metrics.ranks import Doubles, Integers
from engine.metrics.sources import blocks

FLAT = 1e-6  # a spread below this is none
COLUMNS = ["profile", "gene", "peak", "distance", "kind", "score", "coefficient", "correlation", "selected"]
NOTHING = 1e-9  # standard deviations of expression per one of accessibility: what rounding leaves of none  # ours
Say = Callable[[str], None]


@dataclass(frozen=True)
class LassoSettings:
    """alpha: the penalty on standardised values; 0 chooses it by cross-validation. most_cells: more are sampled."""

    alpha: float = 0.0
    folds: int = 5
    most_cells: int = 5_000  # ours
    genes: int = 500  # ours: the most variable ones, where none are named
    seed: int = 0


def lasso_links(
    rna: Mapping[str, Profile],
    atac: Mapping[str, Profile],
    near: Nearby,
    *,
    genes: Integers | None = None,
    settings: LassoSettings = LassoSettings(),
    say: Say = lambda line: None,
) -> Analysis:
    """Links of each gene in each profile; both modalities are taken from the profile of the same name.

    genes: positions of those asked for (default: the most variable of the first profile).
    Table links: profile, gene, peak, distance, kind, score (|coefficient|), coefficient (of standardised values),
    correlation, selected. Table genes: profile, gene, peaks, selected, alpha, r2 (within the sample).
    """
    if set(rna) != set(atac):
        raise BadSetting("Genes and peaks are given on different profiles.", hint="Name the same profiles for both.")
    chosen = _variable(next(iter(rna.values())), near, settings.genes) if genes is None else genes
    tables, fits = [], []
    for name in rna:
        rows_n = _sample(rna[name].cells, settings)
        links, fitted = _of_profile(rna[name], atac[name], near.of(chosen), rows_n, settings, say)
        tables.append(links.assign(profile=name)[COLUMNS])
        fits.append(fitted.assign(profile=name))
    table = pd.concat(tables, ignore_index=True)
    return Analysis(
        "lasso",
        {"links": table, "genes": pd.concat(fits, ignore_index=True)},
        figures={
            "pairs": len(near.of(chosen)),
            "selected": table.groupby("profile", sort=False)["selected"].sum().to_dict(),
        },
        settings={**asdict(settings), "genes": len(chosen)},
        cautions=_cautions(rna),
    )


def _cautions(rna: Mapping[str, Profile]) -> tuple[str, ...]:
    if not any(profile.imputed for profile in rna.values()):
        return ()
    return ("Imputed genes and peaks share one latent: peaks that vary alike are interchangeable in these links.",)


def _variable(profile: Profile, near: Nearby, most: int) -> Integers:
    """The genes of the highest variance that have peaks nearby, ascending."""
    candidates = np.unique(near.gene)
    variance = np.zeros(len(candidates))
    for start, stop, values in profile.column_blocks(candidates):
        variance[start:stop] = values.var(axis=0, dtype=np.float64)
    return np.sort(candidates[np.argsort(-variance, kind="stable")[:most]])


def _sample(cells: int, settings: LassoSettings) -> Integers:
    if cells <= settings.most_cells:
        return np.arange(cells)
    return np.sort(np.random.default_rng(settings.seed).choice(cells, settings.most_cells, replace=False))


def _of_profile(
    rna: Profile, atac: Profile, near: Nearby, rows_n: Integers, settings: LassoSettings, say: Say
) -> tuple[pd.DataFrame, pd.DataFrame]:
    coefficient, r = np.zeros(len(near)), np.zeros(len(near))
    genes = np.unique(near.gene)
    rows = []
    for start, stop in blocks(len(genes), 1, block=64):
        some = genes[start:stop]
        pairs = np.flatnonzero(np.isin(near.gene, some))
        peaks, place = np.unique(near.peak[pairs], return_inverse=True)
        y_ng = rna.columns(some)[rows_n].astype(np.float64)
        a_np = _standard(atac.columns(peaks)[rows_n].astype(np.float64))
        for i, gene in enumerate(some):
            own = near.gene[pairs] == gene
            found = fit_gene(_standard(y_ng[:, i : i + 1])[:, 0], a_np[:, place[own]], settings)
            coefficient[pairs[own]], r[pairs[own]] = found[0], found[1]
            rows.append((near.genes[gene], int(own.sum()), int((np.abs(found[0]) > NOTHING).sum()), found[2], found[3]))
        say(f"Links of {stop:,} of {len(genes):,} genes on {rna.name} cells")
    links = near.table().assign(
        score=np.abs(coefficient), coefficient=coefficient, correlation=r, selected=np.abs(coefficient) > NOTHING
    )
    return links, pd.DataFrame(rows, columns=["gene", "peaks", "selected", "alpha", "r2"])


def fit_gene(y_n: Doubles, a_np: Doubles, settings: LassoSettings) -> tuple[Doubles, Doubles, float, float]:
    """Coefficients and correlations of standardised values, shape (p,) each; the penalty and R² in the sample."""
    from sklearn.linear_model import Lasso, LassoCV

    r_p = a_np.T @ y_n / len(y_n)
    if not y_n.any() or not a_np.any():
        return np.zeros_like(r_p), r_p, float("nan"), 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of slow convergence on nearly equal peaks: the solution is used as it is
        if settings.alpha > 0:
            model = Lasso(alpha=settings.alpha).fit(a_np, y_n)
            alpha = settings.alpha
        else:
            model = LassoCV(cv=_folds(len(y_n), settings), alphas=50).fit(a_np, y_n)
            alpha = float(model.alpha_)
    return np.asarray(model.coef_, dtype=np.float64), r_p, alpha, float(model.score(a_np, y_n))


def _folds(n: int, settings: LassoSettings) -> list[tuple[Integers, Integers]]:
    """Folds by chance: cells may lie in the order of their types."""
    parts = np.array_split(np.random.default_rng(settings.seed).permutation(n), settings.folds)
    return [(np.concatenate([p for j, p in enumerate(parts) if j != i]), part) for i, part in enumerate(parts)]


def _standard(x_nf: Doubles) -> Doubles:
    """Centred columns of unit spread; a constant column becomes zeros."""
    centred = x_nf - x_nf.mean(axis=0)
    spread_f = centred.std(axis=0)
    return np.asarray(np.where(spread_f > FLAT, centred / np.maximum(spread_f, FLAT), 0.0))
