"""The last layer in closed form: it finds what the networks were not trained on, and invents nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.translators.crossview.composition import Composition
from engine.translators.crossview.head import COMMON, commonest, fit_head
from engine.translators.crossview.network import Trunk
from engine.types import Floats

STATES, PEAKS, DEPTH = 3, 240, 120
LINEAR = 20.0  # added before the ELU, where it is the identity, and taken off behind it


@dataclass(frozen=True, eq=False)
class World:
    """Cells of known states. read, counts: of all cells. member: a network that knows the commonest peaks."""

    read: sp.csr_matrix
    counts: sp.csr_matrix
    log_share_np: NDArray[np.float64]
    weight_pk: Floats
    columns: NDArray[np.int64]
    member: Composition

    def parts(self) -> tuple[tuple[sp.csr_matrix, sp.csr_matrix], tuple[sp.csr_matrix, sp.csr_matrix]]:
        cut = self.read.shape[0] * 4 // 5
        return (self.read[:cut], self.counts[:cut]), (self.read[cut:], self.counts[cut:])


def trunk(features: int, states: int, rng: np.random.Generator) -> Trunk:
    """Linear: any mixture of what is read."""
    mixed_fh = rng.standard_normal((features, states)).astype(np.float32)
    second_kh = np.eye(states, dtype=np.float32)
    return Trunk(mixed_fh, np.full(states, LINEAR, np.float32), second_kh, np.full(states, -LINEAR, np.float32))


def world(effect: float, *, cells: int = 1500, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    states_nk = rng.standard_normal((cells, STATES)).astype(np.float32)
    member = trunk(STATES, STATES, rng)
    z_nk = member(sp.csr_matrix(states_nk))
    weight_pk = (effect * rng.standard_normal((PEAKS, STATES)) / z_nk.std(axis=0)).astype(np.float32)
    logits_np = (z_nk @ weight_pk.T + rng.normal(0, 1, PEAKS)).astype(np.float64)
    log_share_np = logits_np - np.log(np.exp(logits_np).sum(axis=1, keepdims=True))
    counts = sp.csr_matrix(np.stack([rng.multinomial(DEPTH, np.exp(row) / np.exp(row).sum()) for row in log_share_np]))
    counts = counts.astype(np.float32)
    columns = commonest(counts)
    known = Composition(member, weight_pk[columns], np.zeros(len(columns), dtype=np.float32))
    return World(sp.csr_matrix(states_nk), counts, log_share_np, weight_pk, columns, known)


def mean_profile(counts: sp.csr_matrix, like: Composition) -> Composition:
    share_p = np.asarray(counts.sum(axis=0)).ravel() + 0.5
    bias_p = np.log(share_p / share_p.sum()).astype(np.float32)
    return Composition(like.trunk, np.zeros_like(like.head_pk), bias_p)


def test_trunks_beside_each_other_say_what_each_said_alone() -> None:
    rng = np.random.default_rng(3)
    both = [trunk(7, 2, rng), trunk(7, 4, rng)]
    x = sp.csr_matrix(rng.standard_normal((9, 7)).astype(np.float32))
    z_nk = Trunk.beside(both)(x)
    np.testing.assert_allclose(z_nk, np.hstack([t(x) for t in both]), rtol=1e-4, atol=1e-5)
    turn_kr = rng.standard_normal((6, 3)).astype(np.float32)
    centre_k = rng.standard_normal(6).astype(np.float32)
    turned = Trunk.beside(both).turned(turn_kr, centre_k)
    np.testing.assert_allclose(turned(x), (z_nk - centre_k) @ turn_kr, rtol=1e-3, atol=1e-3)


def test_networks_see_the_quarter_of_the_peaks_counted_most() -> None:
    counts = sp.csr_matrix(np.diag([5.0, 1, 7, 2, 0, 3, 1, 1]))
    assert COMMON == 0.25
    assert commonest(counts).tolist() == [0, 2]
    assert commonest(counts[:, :1]).tolist() == [0]


def test_peaks_no_network_was_trained_on_are_told_from_the_latent() -> None:
    made = world(0.6)
    seen, held = made.parts()
    head = fit_head((made.member, made.member), made.columns, 16, seen, held)
    others = np.setdiff1d(np.arange(PEAKS), made.columns)
    said = head.log_share(head.encode(held[0]), others)
    truth = made.log_share_np[len(made.log_share_np) * 4 // 5 :, others]
    centred = [each - each.mean(axis=0) for each in (said, truth)]
    assert np.corrcoef(*(each.ravel() for each in centred))[0, 1] > 0.9
    z = head.trunk(held[0])
    flat = mean_profile(seen[1], head)
    best = -float((held[1].toarray() * made.log_share_np[-held[1].shape[0] :]).sum())
    gained = (flat.misfit(z, held[1]) - head.misfit(z, held[1])) / (flat.misfit(z, held[1]) - best)
    assert gained > 0.9  # of all that could be known


def test_each_peak_is_expected_about_as_often_as_it_was_counted() -> None:
    made = world(0.6, seed=1)
    seen, held = made.parts()
    head = fit_head((made.member,), made.columns, 16, seen, held)
    expected_p = DEPTH * np.exp(head.log_share(head.encode(seen[0]), np.arange(PEAKS))).sum(axis=0)
    np.testing.assert_allclose(expected_p, np.asarray(seen[1].sum(axis=0)).ravel(), rtol=0.06, atol=1.0)


def test_where_the_latent_says_nothing_little_is_invented() -> None:
    made = world(0.0, cells=50)  # without a penalty the misfit would be 1.019 times the mean profile's
    seen, held = made.parts()
    rng = np.random.default_rng(5)
    noise = Composition(
        made.member.trunk,
        0.02 * rng.standard_normal((len(made.columns), STATES)).astype(np.float32),
        made.member.bias_p,
    )
    head = fit_head((noise,), made.columns, 16, seen, held)
    z = head.trunk(held[0])
    assert head.misfit(z, held[1]) < 1.003 * mean_profile(seen[1], head).misfit(z, held[1])


@pytest.mark.parametrize("rank", [1, 2])
def test_no_more_directions_are_kept_than_asked_for(rank: int) -> None:
    made = world(0.6, cells=300)
    head = fit_head((made.member,), made.columns, rank, *made.parts())
    assert head.head_pk.shape == (PEAKS, rank)
    assert head.encode(made.read).shape == (300, rank + 1)


def test_a_network_that_learned_nothing_still_gives_a_head() -> None:
    made = world(0.6, cells=300)
    blank = Composition(made.member.trunk, np.zeros((len(made.columns), STATES), np.float32), made.member.bias_p)
    head = fit_head((blank,), made.columns, 16, *made.parts())
    assert np.isfinite(head.log_share(head.encode(made.read), np.arange(PEAKS))).all()
