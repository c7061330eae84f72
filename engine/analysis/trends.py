"""Genes and promoters along pseudotime: a spline through the cells, with an interval, on raw and on imputed values.

Cubic B-splines (scikit-learn) fitted by least squares with errors that may differ between cells (statsmodels, HC3):
counts spread more where there are more of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.nearby import Nearby, promoters
from engine.analysis.profiles import Profile
from engine.analysis.result import IMPUTED_CAUTION, Analysis
from engine.errors import NoCells
from engine.metrics.ranks import Doubles, Integers

GENE, ACCESSIBILITY = "expression", "promoter accessibility"
CURVE = ["profile", "gene", "what", "pseudotime", "value", "low", "high"]
SUMMARY = ["profile", "gene", "what", "peaks", "direction", "amplitude", "peak_at", "spearman", "p", "q", "p_valid"]


@dataclass(frozen=True)
class TrendSettings:
    """knots: of the spline. points: where it is read. level: of the interval."""

    knots: int = 5  # ours
    points: int = 50  # ours
    level: float = 0.95


def trends(
    rna: Mapping[str, Profile],
    atac: Mapping[str, Profile],
    time_n: Doubles,
    genes: Integers,
    near: Nearby | None = None,
    *,
    settings: TrendSettings = TrendSettings(),
) -> Analysis:
    """Expression of these genes, and mean accessibility of their promoters' peaks, along pseudotime.

    time_n: NaN for cells that are not on the way. genes: positions in the RNA profiles. near: where promoters are.
    Table curve: profile, gene, what, pseudotime, value, low, high. Table summary: direction (rises or falls: of the
    curve's ends), amplitude (highest less lowest), peak_at, spearman over cells, p of any trend (Wald), q, p_valid.
    Raises NoCells where fewer than 20 cells have a pseudotime.
    """
    on = np.flatnonzero(np.isfinite(time_n))
    if len(on) < 20:
        raise NoCells(f"{len(on)} cells have a pseudotime.", hint="At least 20 are needed for a trend.")
    smoother = _Smoother.of(time_n[on], settings)
    curves: list[pd.DataFrame] = []
    rows: list[tuple[Any, ...]] = []
    for name, profile in rna.items():
        values = profile.columns(genes)[on].astype(np.float64)
        for i, gene in enumerate(profile.names[genes]):
            _fit(smoother, values[:, i], (name, gene, GENE, 0), curves, rows, not profile.imputed)
    if near is not None:
        for name, profile in atac.items():
            for label, peaks in _promoter_peaks(near, genes, rna):
                mean_n = profile.columns(peaks)[on].mean(axis=1, dtype=np.float64)
                _fit(smoother, mean_n, (name, label, ACCESSIBILITY, len(peaks)), curves, rows, not profile.imputed)
    summary = pd.DataFrame(rows, columns=[c for c in SUMMARY if c != "q"])
    summary["q"] = summary.groupby(["profile", "what"], sort=False)["p"].transform(_discovery)
    imputed = any(p.imputed for p in (*rna.values(), *atac.values()))
    return Analysis(
        "trends",
        {"curve": pd.concat(curves, ignore_index=True)[CURVE], "summary": summary[SUMMARY]},
        figures={"cells": len(on), "genes": len(genes)},
        settings=asdict(settings),
        cautions=(IMPUTED_CAUTION,) if imputed else (),
    )


def _promoter_peaks(near: Nearby, genes: Integers, rna: Mapping[str, Profile]) -> list[tuple[str, Integers]]:
    names = next(iter(rna.values())).names
    own = promoters(near)
    found = [(str(names[g]), own.peak[own.gene == g]) for g in genes]
    return [(name, peaks) for name, peaks in found if len(peaks)]


def _discovery(p: pd.Series[float]) -> Any:
    from scipy.stats import false_discovery_control

    return false_discovery_control(p.to_numpy(dtype=np.float64))


@dataclass(frozen=True, eq=False)
class _Smoother:
    """basis_nb: of the cells, basis_tb: of the points time_t it is read at; the first column is constant."""

    time_n: Doubles
    time_t: Doubles
    basis_nb: Doubles
    basis_tb: Doubles
    level: float

    @classmethod
    def of(cls, time_n: Doubles, settings: TrendSettings) -> _Smoother:
        from sklearn.preprocessing import SplineTransformer

        spline = SplineTransformer(n_knots=settings.knots, degree=3, knots="quantile", include_bias=False)
        time_t = np.linspace(float(time_n.min()), float(time_n.max()), settings.points)
        own = spline.fit_transform(time_n[:, None])
        return cls(
            time_n, time_t, np.column_stack([np.ones(len(own)), own]),
            np.column_stack([np.ones(len(time_t)), spline.transform(time_t[:, None])]), settings.level,
        )  # fmt: skip

    def fit(self, y_n: Doubles) -> tuple[Doubles, Doubles, Doubles, float]:
        """value, low, high at the points, shape (t,), and p of any trend."""
        import statsmodels.api as sm

        if np.ptp(y_n) < 1e-12:
            flat = np.full(len(self.time_t), float(y_n.mean()))
            return flat, flat, flat, 1.0
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of singular covariances where a stretch holds zeros only
            found = sm.OLS(y_n, self.basis_nb).fit(cov_type="HC3")
            read = found.get_prediction(self.basis_tb)
            low, high = read.conf_int(alpha=1 - self.level).T
            contrast = np.eye(self.basis_nb.shape[1])[1:]
            p = float(found.wald_test(contrast, scalar=True).pvalue)
        return read.predicted_mean, low, high, p if np.isfinite(p) else 1.0


def _fit(
    smoother: _Smoother,
    y_n: Doubles,
    which: tuple[str, str, str, int],
    curves: list[pd.DataFrame],
    rows: list[tuple[Any, ...]],
    valid: bool,
) -> None:
    from scipy.stats import spearmanr

    value, low, high, p = smoother.fit(y_n)
    profile, gene, what, _ = which
    frame = {"pseudotime": smoother.time_t, "value": value, "low": low, "high": high}
    curves.append(pd.DataFrame(frame).assign(profile=profile, gene=gene, what=what))
    rho = float(spearmanr(smoother.time_n, y_n).statistic) if np.ptp(y_n) > 1e-12 else 0.0
    way = "rises" if value[-1] > value[0] else "falls"
    at = float(smoother.time_t[int(value.argmax())])
    rows.append((*which, way, float(np.ptp(value)), at, rho, p, valid))
