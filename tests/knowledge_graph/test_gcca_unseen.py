"""GCCA where not everybody has seen everything, and where what is shared is more than what is common."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.world import planted as planted_world
from experiments.limits.planted_views import planted_views
from knowledge_graph.gcca import gcca
from knowledge_graph.measures import matched_correlation
from knowledge_graph.views import Views
from tests.knowledge_graph.handmade import FACTORS, PROBE, planted, views_on

RANK = 1e-6


def with_unseen(views: Views, share: float, seed: int = 0) -> Views:
    levels = views.levels.copy()
    levels[np.random.default_rng(seed).random(levels.shape[:2]) < share] = np.nan
    return dataclasses.replace(views, levels=levels)


def basis(levels: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Orthonormal columns [P, rank] of what a view spans over the objects it has seen, 0 for the others."""
    seen = ~np.isnan(levels).all(axis=1)
    found = np.zeros((len(levels), 0))
    own = levels[seen][:, held].astype(float)
    if own.size:
        left, values, _ = np.linalg.svd(own - own.mean(axis=0), full_matrices=False)
        found = np.zeros((len(levels), int((values > RANK * max(values.max(), 1)).sum())))
        found[seen] = left[:, : found.shape[1]]
    return found


def generalised(views: Views) -> tuple[np.ndarray, np.ndarray]:
    """P_bar and D of the problem P_bar v = lambda D v, agent by agent."""
    projections = [basis(levels, held) for levels, held in zip(views.levels, views.held, strict=True)]
    mean = np.mean([q @ q.T for q in projections], axis=0)
    seen = np.mean([~np.isnan(levels).all(axis=1) for levels in views.levels], axis=0)
    return mean, np.diag(seen)


def test_objects_unseen_make_it_the_generalised_problem_in_which_everybody_projects_within_what_it_has_seen() -> None:
    features, truth = planted()
    views = with_unseen(views_on(features, truth, agents=60), 0.3)
    unified = gcca(views, features=features[:PROBE])
    mean, share = generalised(views)
    values, vectors = scipy.linalg.eigh(mean, share)
    np.testing.assert_allclose(unified.eigenvalues, values[::-1], atol=1e-5)
    assert unified.n_concepts == FACTORS
    span = vectors[:, ::-1][:, :FACTORS] - vectors[:, ::-1][:, :FACTORS].mean(axis=0)
    # Concepts are a rotation of the eigenvectors, brought to mean 0 and variance 1.
    np.testing.assert_allclose(span @ np.linalg.lstsq(span, unified.scores, rcond=None)[0], unified.scores, atol=1e-3)
    np.testing.assert_allclose(unified.scores.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(unified.scores.std(axis=0), 1.0, atol=1e-9)


def test_objects_unseen_hardly_change_what_is_found() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=80)
    whole, part = (gcca(one, features=features[:PROBE]) for one in (views, with_unseen(views, 0.4)))
    assert whole.n_concepts == part.n_concepts == FACTORS
    assert matched_correlation(part.scores, whole.scores) > 0.95
    assert matched_correlation(part.loadings, truth) > 0.95
    assert matched_correlation(part.weights, whole.weights) > 0.95
    # The scores that weights give are on the scale of the scores themselves.
    said = features[:PROBE] @ part.weights
    slope = np.einsum("pk,pk->k", said - said.mean(axis=0), part.scores) / PROBE
    np.testing.assert_allclose(slope, 1.0, atol=0.1)


def test_support_is_the_share_of_a_concept_that_agents_explain_of_what_they_have_seen() -> None:
    features, truth = planted()
    views = with_unseen(views_on(features, truth, agents=40), 0.3)
    unified = gcca(views, features=features[:PROBE])
    mean, share = generalised(views)
    _, vectors = scipy.linalg.eigh(mean, share)
    leading = vectors[:, ::-1][:, : unified.n_concepts]
    # Back from scores of mean 0 to what solves the problem: the same up to a constant.
    ones = np.column_stack([leading, np.ones(PROBE)])
    solved = leading @ np.linalg.lstsq(ones, unified.scores, rcond=None)[0][:-1]
    explained = np.einsum("pk,pq,qk->k", solved, mean, solved)
    np.testing.assert_allclose(unified.support, explained / np.einsum("pk,pq,qk->k", solved, share, solved), atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 12),
    st.integers(2, 20),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.2, 0.6]),
    st.sampled_from([0.0, 1.0, 4.0]),
)
def test_eigenvalues_are_those_of_the_definition_and_support_is_a_share(
    seed: int, n: int, objects: int, slots: int, unseen: float, common: float
) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.standard_normal((n, objects, slots)) + common * rng.standard_normal((objects, slots))
    views = with_unseen(Views.of(levels=levels, held=rng.random((n, slots)) < 0.8), unseen, seed)
    unified = gcca(views)
    mean, share = generalised(views)
    known = np.diag(share) > 0
    values = scipy.linalg.eigh(mean[np.ix_(known, known)], share[np.ix_(known, known)], eigvals_only=True)[::-1]
    np.testing.assert_allclose(unified.eigenvalues[: len(values)], values, atol=1e-4)
    assert ((unified.support >= 0) & (unified.support <= 1 + 1e-9)).all()
    assert (np.abs(unified.correlation) <= 1 + 1e-5).all()
    assert np.isfinite(unified.scores).all()
    assert unified.n_concepts == (np.cumprod(unified.eigenvalues > unified.edge)).sum()


def test_views_of_noise_share_nothing_also_where_objects_are_unseen() -> None:
    features, truth = planted()
    kept = [
        gcca(with_unseen(views_on(features, truth, agents=60, seed=s, noise=True), 0.3)).n_concepts for s in range(4)
    ]
    assert sorted(kept)[1] == 0
    assert max(kept) <= 1


def test_agents_that_have_seen_nothing_say_nothing_and_hinder_nobody() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=60)
    levels = views.levels.copy()
    levels[[3, 40]] = np.nan
    blind = gcca(dataclasses.replace(views, levels=levels), features=features[:PROBE])
    assert blind.n_concepts == FACTORS
    assert not blind.correlation[[3, 40]].any()


@pytest.mark.parametrize("seed", range(3))
def test_features_that_many_sense_are_shared_but_only_factors_are_common(seed: int) -> None:
    # 48 features, of which everybody senses 24 and makes eight dimensions: more than the six factors.
    world = planted_world(seed=seed, objects=1200, features=48, factors=6, probe=150)
    views = planted_views(world, seed=seed, agents=60, dims=8, sensors=24, private_objects=200)
    features = world.features[world.probe]
    shared, common = (gcca(views, features=features, count=count) for count in ("shared", "common"))
    assert common.n_concepts == 6
    assert shared.n_concepts > 6
    assert matched_correlation(common.loadings, world.truth.loadings) > 0.9
    assert (common.edge >= shared.edge).all()
    unseen = planted_views(world, seed=seed, agents=60, dims=8, sensors=24, private_objects=200, unseen=0.2)
    assert gcca(unseen, features=features, count="common").n_concepts == 6


def test_counting_common_factors_needs_the_features_and_what_dimensions_weigh() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=20)
    for one, known in ((views, None), (Views.of(levels=views.levels), features[:PROBE])):
        with pytest.raises(ValueError, match="counting common factors needs"):
            gcca(one, features=known, count="common")
    with pytest.raises(ValueError, match="count is 'all', but it must be"):
        gcca(views, features=features[:PROBE], count="all")
