"""GCCA on views made by hand, where the shared dimensions are known."""

import dataclasses

import numpy as np
import pytest

from knowledge_graph.gcca import gcca, noise_edge
from knowledge_graph.measures import explained_variance, matched_correlation, metric_of, principal_axes
from knowledge_graph.unify import unify
from knowledge_graph.views import Views, loadings_of
from tests.knowledge_graph.handmade import FACTORS, PROBE, SLOTS, planted, views_on


def test_three_dimensional_minds_recover_six_shared_dimensions_together() -> None:
    features, truth = planted()
    unified = gcca(views_on(features, truth, agents=80), features=features[:PROBE])
    assert unified.n_concepts == FACTORS
    found = loadings_of(features, features @ unified.weights)
    assert matched_correlation(found, truth) > 0.97
    fresh, _ = planted(seed=9)
    optimum = explained_variance(fresh, principal_axes(features, FACTORS))
    assert explained_variance(fresh, found) > 0.98 * optimum


def test_concept_scores_are_what_the_agents_weights_say_and_are_uncorrelated() -> None:
    features, truth = planted()
    unified = gcca(views_on(features, truth, agents=40), features=features[:PROBE])
    probe = features[:PROBE]
    said = probe @ unified.weights
    np.testing.assert_allclose(said - said.mean(axis=0), unified.scores, atol=1e-4)
    np.testing.assert_allclose(unified.scores.T @ unified.scores / PROBE, np.eye(unified.n_concepts), atol=1e-8)


def test_support_is_the_mean_share_of_a_concept_that_views_explain() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=30)
    unified = gcca(views, features=features[:PROBE])
    told = np.zeros(unified.n_concepts)
    for levels in views.levels.astype(float):
        centred = levels - levels.mean(axis=0)
        fitted = centred @ np.linalg.lstsq(centred, unified.scores, rcond=None)[0]
        told += (fitted**2).sum(axis=0) / (unified.scores**2).sum(axis=0)
    np.testing.assert_allclose(unified.support, told / 30, atol=1e-6)
    assert unified.support.sum() <= SLOTS


def test_correlations_are_those_of_each_dimension_with_each_concept() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=5)
    unified = gcca(views, features=features[:PROBE])
    for a in range(5):
        expected = np.corrcoef(views.levels[a].T, unified.scores.T)[:SLOTS, SLOTS:]
        np.testing.assert_allclose(unified.correlation[a], expected, atol=1e-5)


def test_views_of_pure_noise_share_nothing() -> None:
    features, truth = planted()
    kept = [
        gcca(views_on(features, truth, agents=100, seed=s, noise=True), features=features[:PROBE]).n_concepts
        for s in range(5)
    ]
    # The edge is an asymptotic one: a single eigenvalue may stray over it now and then.
    assert sorted(kept)[2] == 0
    assert max(kept) <= 1


def test_shuffled_probe_objects_destroy_what_is_shared() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=80)
    rng = np.random.default_rng(3)
    mixed = np.stack([levels[rng.permutation(PROBE)] for levels in views.levels])
    assert gcca(dataclasses.replace(views, levels=mixed), features=features[:PROBE]).n_concepts <= 1


def test_signs_and_rotations_of_single_views_do_not_matter() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=40)
    rng = np.random.default_rng(4)
    turns = np.stack([np.linalg.qr(rng.standard_normal((SLOTS, SLOTS)))[0] for _ in range(40)])
    turned = dataclasses.replace(
        views,
        levels=(views.levels @ turns).astype(np.float32),
        loading=(turns.swapaxes(1, 2) @ views.loading).astype(np.float32),
    )
    before, after = gcca(views, features=features[:PROBE]), gcca(turned, features=features[:PROBE])
    np.testing.assert_allclose(before.eigenvalues, after.eigenvalues, atol=1e-5)
    np.testing.assert_allclose(np.abs(before.scores.T @ after.scores / PROBE).max(axis=0), 1.0, atol=1e-4)


def test_empty_repeated_and_constant_dimensions_add_nothing() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=40)
    levels, held = views.levels.copy(), views.held.copy()
    levels[:20, :, 2] = levels[:20, :, 1]
    levels[20:30, :, 2] = 7.0
    held[30:, 2] = False
    unified = gcca(dataclasses.replace(views, levels=levels, held=held), features=features[:PROBE])
    two = Views.of(levels=views.levels[:, :, :2], sensor=views.sensor, loading=views.loading[:, :2])
    np.testing.assert_allclose(unified.eigenvalues, gcca(two, features=features[:PROBE]).eigenvalues, atol=1e-5)
    assert not unified.correlation[30:, 2].any()


def test_views_without_a_single_slot_share_nothing() -> None:
    for method in ("gcca", "clustering"):
        assert unify(Views.of(levels=np.zeros((3, 40, 0))), method=method).n_concepts == 0


def test_unifying_refuses_no_views_and_no_shared_objects() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=4)
    with pytest.raises(ValueError, match="two shared objects"):
        gcca(dataclasses.replace(views, levels=views.levels[:, :1]), features=features[:1])
    with pytest.raises(ValueError, match="0 views"):
        gcca(views.take(slice(0, 0)), features=features[:PROBE])


def test_noise_edge_is_the_largest_eigenvalue_that_random_views_have() -> None:
    rng = np.random.default_rng(0)
    n, p, k = 200, 100, 4
    mean = np.zeros((p, p))
    for _ in range(n):
        q = np.linalg.qr(rng.standard_normal((p, k)))[0]
        mean += q @ q.T / n
    assert np.linalg.eigvalsh(mean)[-1] == pytest.approx(noise_edge(k, p, n), rel=0.05)
    assert noise_edge(0, p, n) == 1.0


def test_distances_in_the_metric_are_those_between_reconstructions() -> None:
    rng = np.random.default_rng(0)
    loadings, scores = rng.standard_normal((20, 5)), rng.standard_normal((7, 5))
    near = scores @ metric_of(loadings)
    seen = scores @ loadings.T
    np.testing.assert_allclose(near @ near.T, seen @ seen.T, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_what_two_peoples_hold_each_for_itself_are_two_concepts_and_no_mixtures(seed: int) -> None:
    features = np.random.default_rng(seed).standard_normal((300, 2))
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    people = np.arange(12) % 2
    views = Views(
        agent=np.arange(12),
        held=np.ones((12, 1), dtype=bool),
        levels=features.T[people][:, :, None].astype(np.float32),
        sensor=np.tile(np.array([0, 1], dtype=np.int32), (12, 1)),
        loading=np.eye(2, dtype=np.float32)[people][:, None],
        words=np.full((12, 1, 2), -1, dtype=np.int32),
        kind=np.full((12, 1), 2, dtype=np.int8),
        sources=np.full((12, 1, 1), -1, dtype=np.int32),
        born=np.zeros((12, 1), dtype=np.int32),
        score=np.full((12, 1), 0.5, dtype=np.float32),
    )
    unified = gcca(views, features=features)
    assert unified.n_concepts == 2
    assert np.sort(np.abs(unified.correlation[:, 0]), axis=1)[:, 1].min() > 0.97
