"""Implied covariance on views of agents that share nothing but names of features."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.world import World, planted
from experiments.limits.planted_views import correlated_world, planted_views
from knowledge_graph.covariance import covariance, known_by_members
from knowledge_graph.measures import congruence, matched_correlation
from knowledge_graph.views import Unified, Views

FACTORS, FEATURES = 6, 48
ALONE = {"dims": 3, "sensors": 20, "private_objects": 300}


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=3, objects=1200, features=FEATURES, factors=FACTORS, probe=200)


@pytest.fixture(scope="module")
def views(world: World) -> Views:
    """Sixty agents who share names of features, but not a single object."""
    return dataclasses.replace(planted_views(world, seed=0, agents=60, **ALONE), levels=None)


@pytest.fixture(scope="module")
def unified(views: Views) -> Unified:
    return covariance(views)


def turned(views: Views, turns: np.ndarray) -> Views:
    """The same views, each in other dimensions of its own: z -> z @ turns [N, S, S]."""
    sd = np.einsum("nsm,nsm->ns", views.loading, views.structure, dtype=float)
    weights = views.loading.astype(float)
    across = views.structure * sd[:, :, None]
    within = views.phi * sd[:, :, None] * sd[:, None, :]
    back = turns.swapaxes(1, 2)
    weights, across, within = back @ weights, back @ across, back @ within @ turns
    sd = np.sqrt(np.einsum("nss->ns", within))
    return dataclasses.replace(
        views,
        loading=weights.astype(np.float32),
        structure=(across / sd[:, :, None]).astype(np.float32),
        phi=(within / sd[:, :, None] / sd[:, None, :]).astype(np.float32),
    )


def noise(*, agents: int, seed: int) -> Views:
    """Everybody has dimensions of its own that have nothing to do with anybody else's."""
    rng = np.random.default_rng(seed)
    sensor = np.argsort(rng.random((agents, FEATURES)), axis=1)[:, :20]
    loading = rng.standard_normal((agents, 3, 20)) ** 3
    loading /= np.linalg.norm(loading, axis=2, keepdims=True)
    return Views.of(sensor=sensor, loading=loading, structure=loading, phi=loading @ loading.swapaxes(1, 2))


def test_agents_without_a_common_object_recover_the_factors_together(world: World, unified: Unified) -> None:
    assert unified.n_concepts == FACTORS
    assert matched_correlation(unified.loadings, world.truth.loadings) > 0.97
    assert matched_correlation(unified.weights, world.truth.loadings) > 0.95


def test_as_many_eigenvalues_as_concepts_exceed_what_chance_makes(unified: Unified) -> None:
    above = unified.eigenvalues > unified.edge
    assert above[:FACTORS].all()
    assert not above[FACTORS]


def test_views_that_have_nothing_to_do_with_each_other_share_nothing() -> None:
    assert sum(covariance(noise(agents=60, seed=seed)).n_concepts for seed in range(10)) == 0


def test_a_strong_common_factor_does_not_hide_weak_ones() -> None:
    world = correlated_world(seed=2, correlation=0.5, objects=1600, features=80, factors=8, probe=100)
    views = planted_views(world, seed=0, agents=80, dims=4, sensors=32, private_objects=400)
    assert covariance(views).n_concepts == 8


def test_pairs_of_features_that_nobody_senses_together_are_filled_in(world: World) -> None:
    """Half of the agents know the features of two thirds of the list, half those of the other end of it."""
    order = np.random.default_rng(0).permutation(FEATURES)
    parts = [
        dataclasses.replace(planted_views(_only(world, order[which]), seed=seed, agents=50, **ALONE), levels=None)
        for seed, which in enumerate((slice(0, 32), slice(16, 48)))
    ]
    named = [
        dataclasses.replace(part, sensor=order[which][part.sensor].astype(np.int32))
        for part, which in zip(parts, (slice(0, 32), slice(16, 48)), strict=True)
    ]
    unified = covariance(_together(*named))
    assert unified.n_concepts == FACTORS
    assert matched_correlation(unified.loadings, world.truth.loadings) > 0.95


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_signs_and_rotations_of_single_views_do_not_matter(views: Views, unified: Unified, seed: int) -> None:
    turns = np.linalg.qr(np.random.default_rng(seed).standard_normal((60, 3, 3)))[0]
    again = covariance(turned(views, turns))
    np.testing.assert_allclose(again.loadings, unified.loadings, atol=1e-3)
    np.testing.assert_allclose(again.support, unified.support, atol=1e-3)


def test_the_order_of_the_agents_does_not_matter(views: Views, unified: Unified) -> None:
    again = covariance(views.take(np.random.default_rng(1).permutation(60)))
    np.testing.assert_allclose(again.loadings, unified.loadings, atol=1e-6)


def test_a_dimension_held_twice_says_nothing_new(views: Views, unified: Unified) -> None:
    twice = [0, 1, 2, 2]
    repeated = Views.of(
        sensor=views.sensor,
        loading=views.loading[:, twice],
        structure=views.structure[:, twice],
        phi=views.phi[:, twice][:, :, twice],
    )
    again = covariance(repeated)
    np.testing.assert_allclose(again.loadings, unified.loadings, atol=1e-4)
    np.testing.assert_allclose(again.support, unified.support, atol=1e-3)


def test_sensors_that_are_not_there_and_empty_slots_change_nothing(views: Views, unified: Unified) -> None:
    def padded(array: np.ndarray, *widths: tuple[int, int], fill: int = 0) -> np.ndarray:
        return np.pad(array, widths, constant_values=fill)

    roomier = Views.of(
        sensor=padded(views.sensor, (0, 0), (0, 2), fill=-1),
        loading=padded(views.loading, (0, 0), (0, 1), (0, 2)),
        structure=padded(views.structure, (0, 0), (0, 1), (0, 2)),
        phi=padded(views.phi, (0, 0), (0, 1), (0, 1)),
        held=padded(views.held, (0, 0), (0, 1)),
    )
    again = covariance(roomier)
    np.testing.assert_allclose(again.loadings, unified.loadings, atol=1e-6)
    np.testing.assert_allclose(again.correlation[:, :3], unified.correlation, atol=1e-5)
    assert not again.correlation[:, 3].any()


def test_an_agent_without_dimensions_only_lowers_support(views: Views, unified: Unified) -> None:
    held = views.held.copy()
    held[0] = False
    rest = covariance(views.take(slice(1, None)))
    with_idle = covariance(dataclasses.replace(views, held=held))
    np.testing.assert_allclose(with_idle.loadings, rest.loadings, atol=1e-6)
    np.testing.assert_allclose(with_idle.support, rest.support * 59 / 60, atol=1e-6)
    assert not with_idle.correlation[0].any()


def test_one_agent_alone_or_nobody_with_a_dimension_shares_nothing(views: Views) -> None:
    alone = covariance(views.take(slice(0, 1)))
    assert alone.n_concepts == 0
    assert alone.correlation.shape == (1, 3, 0)
    nobody = covariance(dataclasses.replace(views, held=np.zeros_like(views.held)))
    assert nobody.n_concepts == 0
    assert nobody.loadings.shape == (FEATURES, 0)


def test_a_constant_dimension_is_no_part_of_anything(views: Views) -> None:
    structure, phi = views.structure.copy(), views.phi.copy()
    structure[0, 1], phi[0, 1, :], phi[0, :, 1] = 0.0, 0.0, 0.0
    unified = covariance(dataclasses.replace(views, structure=structure, phi=phi))
    assert unified.n_concepts == FACTORS
    assert not unified.correlation[0, 1].any()


def test_a_feature_that_nobody_senses_has_no_loadings(views: Views, world: World) -> None:
    wider = np.hstack([world.features[world.probe], np.ones((200, 2), np.float32)])
    unified = covariance(views, features=wider)
    assert unified.loadings.shape == (FEATURES + 2, FACTORS)
    assert not unified.loadings[FEATURES:].any()
    assert not unified.weights[FEATURES:].any()


def test_scores_are_what_the_weights_say_of_the_objects(world: World, views: Views, unified: Unified) -> None:
    probe = world.features[world.probe]
    found = covariance(views, features=probe)
    said = probe @ found.weights
    np.testing.assert_allclose(said - said.mean(axis=0), found.scores, atol=1e-9)
    np.testing.assert_allclose(found.scores.std(axis=0), 1.0, atol=1e-9)
    truth = world.truth.scores[world.probe]
    assert matched_correlation(found.scores, truth - truth.mean(axis=0)) > 0.9
    assert unified.scores.shape == (0, FACTORS)
    # Without objects their scale is that of the model, which is near that of the world.
    np.testing.assert_allclose((world.features @ unified.weights).std(axis=0), 1.0, atol=0.15)


def test_correlations_told_by_features_are_those_of_the_levels() -> None:
    """In a world whose correlations R = L L' + diag(1 - h^2) everybody knows exactly."""
    rng = np.random.default_rng(5)
    truth = np.zeros((12, 3))
    truth[np.arange(12), np.arange(12) % 3] = rng.uniform(0.5, 0.9, 12)
    world = truth @ truth.T + np.diag(1 - (truth**2).sum(axis=1))
    sensor = np.stack([rng.permutation(12)[:8] for _ in range(4)])
    weights = rng.standard_normal((4, 2, 8))
    corr = world[sensor[:, :, None], sensor[:, None, :]]
    within = weights @ corr @ weights.swapaxes(1, 2)
    sd = np.sqrt(np.einsum("nss->ns", within))
    views = Views.of(
        sensor=sensor,
        loading=weights,
        structure=weights @ corr / sd[:, :, None],
        phi=within / sd[:, :, None] / sd[:, None, :],
    )
    correlation, support = known_by_members(views, np.zeros((0, 3)), truth)
    expected = weights @ truth[sensor] / sd[:, :, None]
    np.testing.assert_allclose(correlation, expected, atol=1e-5)
    told = [
        np.einsum("sk,sk->k", expected[a], np.linalg.solve(within[a] / np.outer(sd[a], sd[a]), expected[a]))
        for a in range(4)
    ]
    np.testing.assert_allclose(support, np.mean(told, axis=0), atol=1e-5)


def test_a_dimension_correlates_most_with_the_concept_that_looks_like_it(views: Views, unified: Unified) -> None:
    agree = 0
    for agent in range(60):
        seen = unified.loadings[views.sensor[agent]]
        alike = np.abs(congruence(views.structure[agent].T, seen)).argmax(axis=1)
        agree += int((np.abs(unified.correlation[agent]).argmax(axis=1) == alike).sum())
    assert agree > 0.9 * 180


@pytest.mark.parametrize("missing", ["loading", "structure", "phi"])
def test_what_is_not_known_of_the_features_is_named(views: Views, missing: str) -> None:
    with pytest.raises(ValueError, match=f"{missing} is not given"):
        covariance(dataclasses.replace(views, **{missing: None}))


def test_numbers_that_are_none_and_features_that_do_not_fit_are_refused(views: Views, world: World) -> None:
    phi = views.phi.copy()
    phi[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="phi has values that are not finite"):
        covariance(dataclasses.replace(views, phi=phi))
    with pytest.raises(ValueError, match=r"the features are \(200, 10\)"):
        covariance(views, features=world.features[world.probe][:, :10])
    with_levels = dataclasses.replace(views, levels=np.zeros((60, 7, 3), np.float32))
    with pytest.raises(ValueError, match="features of 200 objects, but levels of 7"):
        covariance(with_levels, features=world.features[world.probe])
    with pytest.raises(ValueError, match="at least one view"):
        covariance(views.take(slice(0, 0)))


def _only(world: World, features: np.ndarray) -> World:
    return dataclasses.replace(world, features=np.ascontiguousarray(world.features[:, features]))


def _together(*parts: Views) -> Views:
    names = ("sensor", "loading", "structure", "phi", "held")
    return Views.of(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
