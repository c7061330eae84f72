"""Sparse first layers and fused heads against plain dense torch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.stats import nbinom
from torch.nn import functional

import engine.layers.heads as heads
from engine.layers.heads import bernoulli_head_loss, nb_head_loss
from engine.layers.sparse import Bags, SparseLinear, SparseTarget

CPU = torch.device("cpu")
CELLS, FEATURES, HIDDEN, PATHS = 7, 300, 5, 2


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "BLOCK", 1)  # as many blocks as can be


def target(rng: np.random.Generator, *, ones: bool) -> tuple[SparseTarget, torch.Tensor]:
    y = sp.random(CELLS, FEATURES, density=0.2, rng=rng, format="csr", dtype=np.float32)
    y.data = np.ones_like(y.data) if ones else np.ceil(5 * y.data) + 0.5
    return SparseTarget.of(y, CPU), torch.tensor(y.toarray())


def parameters(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def assert_same_gradients(found: torch.Tensor, wanted: torch.Tensor, leaves: list[torch.Tensor]) -> None:
    """Both losses, and what they say of every leaf."""
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    ours = torch.autograd.grad(3.0 * found.sum(), leaves)
    theirs = torch.autograd.grad(3.0 * wanted.sum(), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_bernoulli_head_is_cross_entropy() -> None:
    sparse, dense = target(np.random.default_rng(0), ones=True)
    h, w, b = leaves = parameters((PATHS * CELLS, HIDDEN), (FEATURES, HIDDEN), (FEATURES,))
    logits = (h @ w.T + b).view(PATHS, CELLS, FEATURES)
    wanted = torch.stack([functional.binary_cross_entropy_with_logits(x, dense) for x in logits])
    assert_same_gradients(bernoulli_head_loss(h, w, b, sparse, paths=PATHS), wanted, leaves)


def test_each_group_of_features_sees_its_own_units() -> None:
    sparse, dense = target(np.random.default_rng(1), ones=True)
    h, w, b = leaves = parameters((CELLS, 3, HIDDEN), (FEATURES, HIDDEN), (FEATURES,))
    groups = [(0, 100), (100, 100), (100, 300)]
    logits = torch.cat([h[:, c] @ w[a:z].T + b[a:z] for c, (a, z) in enumerate(groups)], dim=1)
    wanted = functional.binary_cross_entropy_with_logits(logits, dense)[None]
    assert_same_gradients(bernoulli_head_loss(h, w, b, sparse, groups=groups), wanted, leaves)


def test_huge_logits_neither_overflow_nor_vanish() -> None:
    sparse, dense = target(np.random.default_rng(2), ones=True)
    h, w, b = (leaf.detach() for leaf in parameters((CELLS, HIDDEN), (FEATURES, HIDDEN), (FEATURES,)))
    found = bernoulli_head_loss(h, w, b - 200.0, sparse)
    wanted = functional.binary_cross_entropy_with_logits(h @ w.T + b - 200.0, dense)
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)
    assert torch.isfinite(bernoulli_head_loss(h, w, b + 200.0, sparse)).all()


def test_the_negative_binomial_head_has_the_gradients_of_its_plain_form() -> None:
    sparse, dense = target(np.random.default_rng(4), ones=False)
    shapes = ((PATHS * CELLS, HIDDEN), (FEATURES, HIDDEN), (FEATURES,), (FEATURES, HIDDEN), (FEATURES,))
    h, wm, bm, wd, bd = leaves = parameters(*shapes)
    m = (h @ wm.T + bm).clamp(-heads.LOG_MEAN_BOUND, heads.LOG_MEAN_BOUND)
    t = functional.softplus(h @ wd.T + bd) + heads.DISPERSION_FLOOR
    x, mu = dense.repeat(PATHS, 1), m.exp()
    log_p = (
        torch.lgamma(x + t) - torch.lgamma(t) - torch.lgamma(x + 1)
        - t * torch.log1p(mu / t) + x * (m - torch.log(t + mu))
    )  # fmt: skip
    wanted = -log_p.view(PATHS, CELLS, FEATURES).mean(dim=(1, 2))
    assert_same_gradients(nb_head_loss(h, (wm, bm), (wd, bd), sparse, paths=PATHS), wanted, leaves)


def test_the_negative_binomial_is_scipys_on_whole_counts() -> None:
    rng = np.random.default_rng(5)
    x = rng.poisson(0.7, size=(6, 90)).astype(np.float32)
    mean, spread = rng.normal(size=90).astype(np.float32), rng.normal(size=90).astype(np.float32)
    nothing = torch.zeros(90, 1)
    found = nb_head_loss(
        torch.zeros(6, 1), (nothing, torch.tensor(mean)), (nothing, torch.tensor(spread)),
        SparseTarget.of(sp.csr_matrix(x), CPU),
    )  # fmt: skip
    theta = np.log1p(np.exp(spread)) + heads.DISPERSION_FLOOR
    wanted = -nbinom.logpmf(x, theta, theta / (theta + np.exp(mean))).mean()
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_paths_of_unequal_weight_are_refused() -> None:
    sparse, _ = target(np.random.default_rng(6), ones=True)
    h, w, b = parameters((PATHS * CELLS, HIDDEN), (FEATURES, HIDDEN), (FEATURES,))
    with pytest.raises(ValueError, match="same weight"):
        (bernoulli_head_loss(h, w, b, sparse, paths=PATHS) * torch.tensor([1.0, 2.0])).sum().backward()


def test_a_sparse_first_layer_is_a_dense_one() -> None:
    x = sp.random(7, 20, density=0.2, rng=np.random.default_rng(7), format="csr", dtype=np.float32)
    torch.manual_seed(0)
    layer = SparseLinear(20, 5)
    assert layer.bias_h is not None
    wanted = torch.tensor(x.toarray()) @ layer.weight_fh + layer.bias_h
    assert_same_gradients(layer(Bags.of(x, CPU)), wanted, list(layer.parameters()))


def test_bags_by_group_are_the_products_with_each_groups_columns() -> None:
    x = sp.random(6, 20, density=0.3, rng=np.random.default_rng(8), format="csr", dtype=np.float32)
    starts = np.array([0, 4, 4, 20])
    layer = SparseLinear(20, 3, bias=False)
    found = layer(Bags.grouped(x, starts, CPU)).view(6, 3, 3)
    dense = torch.tensor(x.toarray())
    for c, (a, b) in enumerate(pairwise(starts)):
        torch.testing.assert_close(found[:, c], dense[:, a:b] @ layer.weight_fh[a:b])


def test_confident_mistakes_cost_what_torch_says_up_to_the_bound() -> None:
    sparse, dense = target(np.random.default_rng(9), ones=True)
    h = torch.zeros(CELLS, 1)
    shift = torch.full((FEATURES,), 50.0)
    found = bernoulli_head_loss(h, torch.zeros(FEATURES, 1), shift, sparse)
    wanted = functional.binary_cross_entropy_with_logits(torch.full_like(dense, heads.LOGIT_BOUND), dense)
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)


def test_nothing_is_kept_for_going_back_while_validating() -> None:
    sparse, _ = target(np.random.default_rng(10), ones=True)
    h, w, b = parameters((CELLS, HIDDEN), (FEATURES, HIDDEN), (FEATURES,))
    with torch.no_grad():
        assert not heads.Plan(sparse, heads._bernoulli, [(0, FEATURES)], 1).wanted
        quiet = bernoulli_head_loss(h, w, b, sparse)
    assert float(quiet) == pytest.approx(float(bernoulli_head_loss(h, w, b, sparse).detach()))
