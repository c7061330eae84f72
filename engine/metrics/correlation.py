"""Pearson and Spearman of many rows, with what each observation pulls on them.

A pull is the infinitesimal jackknife: the derivative of a row's score with respect to the weight of one observation,
at weights 1; its sum of squares estimates the variance of the score. An observation that holds much of a row's spread
(the two cells that express a rare gene) hides its own noise, so pulls are divided by sqrt(1 − leverage), as HC2 does
for regression (MacKinnon & White 1985).
Spearman's pull counts that an observation moves the ranks of all others (Croux & Dehon 2010; ties count half).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.metrics.ranks import Doubles, Sorted, mid_distribution, sort_rows

TINY = 1e-12
LEAST = 0.25  # ours: a row that hangs on one observation is not blown up beyond twice


class Pulled(NamedTuple):
    """A score a row and what each observation pulls on it. value: shape (m,), NaN where undefined."""

    value: Doubles
    pull: Doubles  # (m, n)


def pearson_values(x_mn: Doubles, y_mn: Doubles) -> Doubles:
    """Pearson's r of each pair of rows, shape (m,); NaN where one of them is constant."""
    x, y = x_mn - x_mn.mean(1, keepdims=True), y_mn - y_mn.mean(1, keepdims=True)
    scale = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return np.where(scale > TINY, (x * y).sum(1) / np.maximum(scale, TINY), np.nan)


def rank_values(x_mn: Doubles) -> Doubles:
    """Ranks of each row from 0, ties at their mean, shape (m, n)."""
    order = sort_rows(x_mn)
    return order.put_back(order.middle())


def pearson(x_mn: Doubles, y_mn: Doubles) -> Pulled:
    """Pearson's r of each pair of rows with its pulls."""
    x, y = x_mn - x_mn.mean(1, keepdims=True), y_mn - y_mn.mean(1, keepdims=True)
    return _correlation(x * y, x * x, y * y)


def spearman(x_mn: Doubles, y_mn: Doubles) -> Pulled:
    """Spearman's rho of each pair of rows with its pulls."""
    by_x, by_y = sort_rows(x_mn), sort_rows(y_mn)
    u, v = mid_distribution(by_x), mid_distribution(by_y)
    value = _correlation(u * v, u * u, v * v).value
    cross = u * v + _above(by_x, v) + _above(by_y, u)
    return Pulled(
        value, _ratio_pull(u * v, u * u, v * v, cross, u * u + 2 * _above(by_x, u), v * v + 2 * _above(by_y, v))
    )


def _above(order: Sorted, values_mn: Doubles) -> Doubles:
    """Mean over the row of the values of larger entries plus half of the ties'; values sum to zero."""
    above: Doubles = order.put_back(-order.below(order.arranged(values_mn))) / values_mn.shape[1]
    return above


def _correlation(xy: Doubles, xx: Doubles, yy: Doubles) -> Pulled:
    """r and pulls from the products of centred rows."""
    scale = np.sqrt(xx.sum(1) * yy.sum(1))
    value = np.where(scale > TINY, xy.sum(1) / np.maximum(scale, TINY), np.nan)
    return Pulled(value, _ratio_pull(xy, xx, yy, xy, xx, yy))


def _ratio_pull(xy: Doubles, xx: Doubles, yy: Doubles, d_xy: Doubles, d_xx: Doubles, d_yy: Doubles) -> Doubles:
    """Derivative of xy / sqrt(xx·yy) where the sums move by d_xy, d_xx, d_yy; zero where undefined."""
    a, b = xx.sum(1, keepdims=True), yy.sum(1, keepdims=True)
    scale = np.sqrt(a * b)
    defined = scale > TINY
    safe = np.where(defined, scale, 1.0)
    r = xy.sum(1, keepdims=True) / safe
    half = 0.5 * (d_xx / np.where(defined, a, 1.0) + d_yy / np.where(defined, b, 1.0))
    pull = d_xy / safe - r * half
    pull = pull - pull.mean(1, keepdims=True)
    leverage = np.maximum(xx / np.where(defined, a, 1.0), yy / np.where(defined, b, 1.0))
    return np.where(defined, pull / np.sqrt(np.maximum(1 - leverage, LEAST)), 0.0)
