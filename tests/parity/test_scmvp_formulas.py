"""scMVP's formulas against closed forms, Monte Carlo, torch.distributions, scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.stats import nbinom
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.mixture import GaussianMixture
from torch import Tensor
from torch.distributions import Normal, Poisson, kl_divergence
from torch.nn import functional

import engine.translators.scmvp.losses as losses
from engine.layers.sparse import SparseTarget
from engine.translators.scmvp.attention import MaskAttention, SelfAttention
from engine.translators.scmvp.bound import Weights, loss_of
from engine.translators.scmvp.components import effective_rank, eigenvalues, profiles
from engine.translators.scmvp.inputs import Inputs, Rows, size_of
from engine.translators.scmvp.losses import nb_loss, zip_loss
from engine.translators.scmvp.mixture import Gaussian, Mixture, divergence, fit_mixture
from engine.translators.scmvp.network import Shape
from tests.builders import paired, split_of

CPU = torch.device("cpu")
CELLS, FEATURES, HIDDEN = 6, 230, 5


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "BLOCK", 1)  # as many blocks as can be


def doubles(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def target(*, whole: bool, seed: int = 0) -> tuple[SparseTarget, Tensor]:
    y = sp.random(CELLS, FEATURES, density=0.3, rng=np.random.default_rng(seed), format="csr", dtype=np.float32)
    y.data = np.ceil(4 * y.data) if whole else 4 * y.data
    return SparseTarget.of(y, CPU), torch.tensor(y.toarray(), dtype=torch.float64)


def test_the_negative_binomial_is_scipys() -> None:
    sparse, x = target(whole=True)
    m, t = doubles(CELLS, FEATURES), doubles(FEATURES, seed=1)
    mu, theta = m.exp().numpy(), t.exp().numpy()
    wanted = -nbinom.logpmf(x.numpy(), theta, theta / (theta + mu)).sum() / CELLS
    assert float(nb_loss(m, t, sparse)) == pytest.approx(wanted, rel=1e-9)


def test_the_zero_inflated_poisson_is_a_mixture_of_nothing_and_torchs_poisson() -> None:
    sparse, y = target(whole=True)
    m, h, w, b = doubles(CELLS, FEATURES), doubles(CELLS, HIDDEN), doubles(FEATURES, HIDDEN), doubles(FEATURES)
    dropout, poisson = torch.sigmoid(h @ w.T + b), Poisson(m.exp()).log_prob(y).exp()
    wanted = -(dropout * (y == 0) + (1 - dropout) * poisson).log().sum() / CELLS
    torch.testing.assert_close(zip_loss(m, h, w, b, sparse), wanted)


@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_of_both_likelihoods_are_those_of_finite_differences(seed: int) -> None:
    sparse, _ = target(whole=seed == 0, seed=seed)
    m, t = doubles(CELLS, FEATURES).requires_grad_(), doubles(FEATURES, seed=1).requires_grad_()
    leaves = [doubles(*s, seed=i).requires_grad_() for i, s in enumerate([(CELLS, HIDDEN), (FEATURES, HIDDEN)])]
    bias = doubles(FEATURES, seed=5).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, t: nb_loss(m, t, sparse), (m, t), fast_mode=True)
    assert torch.autograd.gradcheck(lambda *v: zip_loss(*v, sparse), (m, *leaves, bias), fast_mode=True)


@pytest.mark.parametrize("extreme", [-60.0, 8.0])
def test_likelihoods_stay_finite_at_the_ends(extreme: float) -> None:
    sparse, _ = target(whole=True)
    m = torch.full((CELLS, FEATURES), extreme).requires_grad_()
    t = torch.linspace(-30, 30, FEATURES).requires_grad_()
    h, w = torch.ones(CELLS, 1), torch.linspace(-80, 80, FEATURES)[:, None].requires_grad_()
    total = nb_loss(m, t, sparse) + zip_loss(m, h, w, torch.zeros(FEATURES), sparse)
    total.backward()
    assert all(bool(torch.isfinite(v).all()) for v in (total, m.grad, t.grad, w.grad))  # type: ignore[arg-type]


def test_the_divergence_of_gaussians_is_torchs() -> None:
    q, p = Gaussian(doubles(9, 4), doubles(9, 4, seed=1)), Gaussian(doubles(9, 4, seed=2), doubles(9, 4, seed=3))
    wanted = kl_divergence(*(Normal(d.mean, (0.5 * d.log_variance).exp()) for d in (q, p))).sum(dim=1)
    torch.testing.assert_close(divergence(q, p), wanted)


@pytest.fixture
def mixed() -> tuple[Mixture, GaussianMixture, np.ndarray]:
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(m, s, (60, 3)) for m, s in ((-2, 0.5), (0, 1.0), (3, 0.8))]).astype(np.float32)
    fitted = fit_mixture(z, 3, seed=0)
    prior = Mixture(3, 3)
    prior.start_from(fitted)
    return prior, fitted, z


def test_belonging_is_scikit_learns(mixed: tuple[Mixture, GaussianMixture, np.ndarray]) -> None:
    prior, fitted, z = mixed
    found = prior.log_belonging(torch.from_numpy(z)).exp().detach().numpy()
    np.testing.assert_allclose(found, fitted.predict_proba(z.astype(np.float64)), atol=2e-5)
    density = torch.logsumexp(prior.log_joint(torch.from_numpy(z)), dim=1).detach().numpy()
    np.testing.assert_allclose(density, fitted.score_samples(z.astype(np.float64)), atol=1e-4)


def test_both_divergences_are_the_expectation_they_stand_for(
    mixed: tuple[Mixture, GaussianMixture, np.ndarray],
) -> None:
    """E over z ~ q(z) and c ~ q(c) of log q(z) + log q(c) − log p(c) − log p(z|c)."""
    prior = mixed[0].double()
    q = Gaussian(doubles(1, 3), doubles(1, 3, seed=1) - 1)
    log_belonging = torch.log_softmax(doubles(1, 3, seed=2), dim=1)
    exact = prior.divergence(q, log_belonging)
    z = q.sample(doubles(400_000, 3, seed=3))
    log_q = Normal(q.mean, (0.5 * q.log_variance).exp()).log_prob(z).sum(dim=1)
    c = torch.multinomial(log_belonging.exp()[0], len(z), True, generator=torch.Generator().manual_seed(0))
    spread = (0.5 * prior.log_variance_ck).exp()
    log_p = Normal(prior.mean_ck[c], spread[c]).log_prob(z).sum(dim=1) + prior.log_weight_c[c]
    drawn = log_q + log_belonging[0, c] - log_p
    drawn = drawn.detach()
    error = float(drawn.std()) / len(z) ** 0.5
    assert abs(float(drawn.mean()) - float((exact.z + exact.c).detach())) < 4 * error


def test_a_prior_that_was_not_fitted_is_the_plain_one() -> None:
    prior, q = Mixture(4, 3), Gaussian(torch.randn(5, 3), torch.randn(5, 3))
    log_belonging = prior.log_belonging(q.mean)
    found = prior.divergence(q, log_belonging)
    plain = divergence(q, Gaussian(torch.zeros(5, 3), torch.zeros(5, 3)))
    torch.testing.assert_close(found.z, plain)
    torch.testing.assert_close(found.c, torch.zeros(5), atol=1e-6, rtol=0)


def test_self_attention_is_torchs_over_a_heads_features() -> None:
    torch.manual_seed(0)
    attention, h = SelfAttention(8, 16), torch.randn(7, 128)
    q, k, v = (f(h).view(7, 8, 16, 1) for f in (attention.query, attention.key, attention.value))
    attended = functional.scaled_dot_product_attention(q, k, v, scale=16**-0.5)
    torch.testing.assert_close(attention(h), attention.mix(attended.reshape(7, 128)))


def test_self_attention_with_even_weights_is_a_heads_mean() -> None:
    attention, h = SelfAttention(2, 4), torch.randn(3, 8)
    torch.nn.init.zeros_(attention.query.weight)
    for layer in (attention.value, attention.mix):
        torch.nn.init.eye_(layer.weight)
    wanted = h.view(3, 2, 4).mean(dim=2, keepdim=True).expand(3, 2, 4).reshape(3, 8)
    torch.testing.assert_close(attention(h), wanted)


def test_a_mask_opens_and_closes_units() -> None:
    attention, h, first = MaskAttention(3), torch.randn(5, 3), torch.randn(5, 3)
    torch.nn.init.zeros_(attention.mask.weight)
    attention.mask.bias.data = torch.tensor([-50.0, 0.0, 50.0])
    torch.testing.assert_close(attention(h, first), h * torch.tensor([0.0, 0.5, 1.0]))


def test_tf_idf_is_scikit_learns_up_to_its_logarithms() -> None:
    """Term frequency as scikit-learn has it (norm l1 of open peaks); idf and the outer logarithm in closed form."""
    pair = paired(cells=50, rng=np.random.default_rng(0))
    cells = Rows.named(pair, tuple(pair.barcodes[:30]))
    inputs = Inputs.fit(cells, in_units=False, level=False)
    opened = (pair.atac.counts > 0).astype(np.float64)
    tf = TfidfTransformer(norm="l1", use_idf=False).fit_transform(opened).toarray()
    seen = np.asarray(opened[:30].sum(axis=0)).ravel()
    wanted = np.log1p(1e4 * tf * np.log1p(30 / np.maximum(seen, 1)))
    np.testing.assert_allclose(inputs.peaks(pair.atac.counts).toarray(), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("in_units", [True, False])
def test_the_worth_of_an_open_peak_is_its_target_value(in_units: bool) -> None:
    pair = paired(cells=50, rng=np.random.default_rng(0))
    inputs = Inputs.fit(Rows.named(pair, tuple(pair.barcodes)), in_units=in_units, level=True)
    values, size = inputs.peaks(pair.atac.counts), size_of(inputs.tfidf.transform(pair.atac.counts))
    np.testing.assert_allclose(inputs.total(size), np.asarray(values.sum(axis=1)).ravel(), rtol=1e-4)
    if in_units:
        np.testing.assert_allclose(values.sum(axis=1) / (values > 0).sum(axis=1), 1.0, rtol=1e-4)
    worth = inputs.worth(size, np.arange(values.shape[1]))
    np.testing.assert_allclose(worth[values.nonzero()], values.data, rtol=1e-4)


def test_levelled_rows_are_as_long_in_deep_cells_as_in_shallow_ones() -> None:
    pair = paired(cells=50, rng=np.random.default_rng(0))
    inputs = Inputs.fit(Rows.named(pair, tuple(pair.barcodes)), in_units=True, level=True)
    assert inputs.levels is not None
    rna, atac = pair.rna.counts, pair.atac.counts
    for rows, of_deeper, length in (
        (inputs.read_genes(rna)[0], inputs.read_genes(3 * rna)[0], inputs.levels.genes),
        (*(inputs.read_peaks(inputs.peaks(x))[0] for x in (atac, 3 * atac)), inputs.levels.peaks),
    ):
        np.testing.assert_allclose(np.linalg.norm(rows.toarray(), axis=1), length, rtol=1e-4)
        np.testing.assert_allclose(of_deeper.toarray(), rows.toarray(), rtol=1e-4)
    empty, by = inputs.read_genes(sp.csr_matrix((1, pair.rna.counts.shape[1]), dtype=np.float32))
    assert empty.nnz == 0
    assert by[0] == 1.0


def test_eigenvalues_and_effective_rank_are_their_definitions() -> None:
    x = profiles(paired(cells=40, rng=np.random.default_rng(0)).rna.counts)
    wanted = np.linalg.svd(np.corrcoef(x.astype(np.float64)), compute_uv=False)
    np.testing.assert_allclose(eigenvalues(x.copy()), wanted, atol=1e-4)
    share = wanted / wanted.sum()
    entropy = -np.sum([s * np.log(s) for s in share if s > 1e-12])
    assert effective_rank(wanted) == pytest.approx(np.exp(entropy), rel=1e-6)
    assert effective_rank(np.array([3.0, 3.0, 3.0, 0.0])) == pytest.approx(3.0)
    assert effective_rank(np.zeros(4)) == 0.0


@pytest.mark.parametrize("level", [True, False])
def test_the_whole_loss_is_the_bound_put_together_densely(level: bool) -> None:
    """Every term again from dense layers and torch.distributions, for the same draw of the latent."""
    pair = paired(cells=32, rng=np.random.default_rng(0))
    cells = Rows.named(pair, split_of(pair, train=1.0).train)
    inputs = Inputs.fit(cells, in_units=True, level=level)
    torch.manual_seed(0)
    network = Shape(len(pair.rna.space), len(pair.atac.space), 3, 4, 32, 2, 20.0, 10.0).build().eval()
    torch.nn.init.normal_(network.prior.mean_ck)
    torch.nn.init.normal_(network.prior.free_ck, std=0.3)
    noise = torch.randn(len(cells), 4)
    batch = inputs.batch(*cells.take(np.arange(len(cells))), CPU)
    loss = loss_of(network, batch, noise, Weights(cycle=0.5))
    with torch.no_grad():
        dense = _dense(network, inputs, pair.rna.counts, pair.atac.counts, noise)
    for name, value in dense.items():
        found = getattr(loss, name) if hasattr(loss, name) else torch.stack(loss.cycle).sum()
        torch.testing.assert_close(found, value, rtol=2e-4, atol=2e-4)
    whole = dense["rna"] + dense["atac"] + dense["kl_z"] + dense["kl_c"]
    torch.testing.assert_close(loss.bound, whole, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(loss.total, whole + 0.5 * dense["cycle_sum"], rtol=1e-4, atol=1e-3)


def _dense(network, inputs, x_ng, a_np, noise):  # type: ignore[no-untyped-def]
    """The loss as a plain program writes it."""
    x, y = torch.tensor(x_ng.toarray()), torch.tensor(inputs.peaks(a_np).toarray())
    joint, levels = network.joint, inputs.levels
    read_x = x.sum(1, keepdim=True) if levels is None else torch.tensor(inputs.scale.median)
    x_read = (x / x.sum(1, keepdim=True) * read_x).log1p()
    by_x, by_y = torch.ones(len(x), 1), torch.ones(len(x), 1)
    if levels is not None:
        by_x, by_y = levels.genes / x_read.norm(dim=1, keepdim=True), levels.peaks / y.norm(dim=1, keepdim=True)
    genes = _gene_branch(joint.genes, (x_read * by_x) @ joint.genes_first.weight_fh + joint.genes_first.bias_h)
    peaks = _peak_branch(joint.peaks, (y * by_y) @ joint.peaks_first.weight_fh + joint.peaks_first.bias_h)
    q = _normal(joint.posterior, torch.cat([genes, peaks], dim=1))
    z = q.mean + q.stddev * noise
    prior = network.prior
    each = [Normal(m, (0.5 * v).exp()) for m, v in zip(prior.mean_ck, prior.free_ck, strict=True)]
    log_pc = torch.log_softmax(prior.logit_c, dim=0)
    log_joint = torch.stack([d.log_prob(z).sum(1) + w for d, w in zip(each, log_pc, strict=True)], dim=1)
    belonging = torch.softmax(log_joint, dim=1)
    kl_z = sum(belonging[:, i] * kl_divergence(q, d).sum(1) for i, d in enumerate(each))
    kl_c = (belonging * (belonging.log() - log_pc)).sum(1)
    h_g, h_p = (_trunk(d, z, belonging) for d in (network.to_genes, network.to_peaks))
    share = torch.softmax(network.to_genes.share(h_g), dim=1)
    mean = share * x.sum(1, keepdim=True)
    rate = torch.softmax(network.to_peaks.share(h_p), dim=1) * y.sum(1, keepdim=True)
    theta = network.log_dispersion_g.exp()
    rna = -torch.distributions.NegativeBinomial(theta, logits=(mean / theta).log()).log_prob(x).sum(1)
    dropout = torch.sigmoid(network.dropout(h_p))
    poisson = (y * rate.log() - rate - torch.lgamma(y + 1)).exp()
    atac = -(dropout * (y == 0) + (1 - dropout) * poisson).log().sum(1)
    single = [
        _normal(e.posterior, b(e.branch, v @ e.first.weight_fh + e.first.bias_h))
        for e, b, v in (
            (network.genes, _gene_branch, x_read * by_x),
            (network.genes, _gene_branch, (share * read_x).log1p() * by_x),
            (network.peaks, _peak_branch, y * by_y),
            (network.peaks, _peak_branch, rate * by_y),
        )
    ]
    cycle = sum(kl_divergence(one, q).sum(1).mean() for one in single)
    return {"rna": rna.mean(), "atac": atac.mean(), "kl_z": kl_z.mean(), "kl_c": kl_c.mean(), "cycle_sum": cycle}


def _normal(posterior, h):  # type: ignore[no-untyped-def]
    h = posterior.hidden(h)
    return Normal(posterior.mean(h), (0.5 * posterior.log_variance(h)).exp())


def _gene_branch(branch, first):  # type: ignore[no-untyped-def]
    h = torch.relu(branch.batch_norm(branch.layer_norm(first)))
    return h * torch.sigmoid(branch.attention.mask(first))


def _peak_branch(branch, first):  # type: ignore[no-untyped-def]
    h, a = torch.relu(branch.batch_norm(first)), branch.attention
    q, k, v = (f(h).view(len(h), a.heads, a.width, 1) for f in (a.query, a.key, a.value))
    attended = functional.scaled_dot_product_attention(q, k, v, scale=a.width**-0.5).flatten(1)
    return branch.layer_norm(h + a.mix(attended))


def _trunk(decoder, z, belonging):  # type: ignore[no-untyped-def]
    first = decoder.first(z)
    branch = _gene_branch if hasattr(decoder.branch.attention, "mask") else _peak_branch
    h = branch(decoder.branch, first)
    return h * torch.softmax(decoder.cluster(belonging), dim=1) * h.shape[1]
