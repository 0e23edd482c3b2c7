"""Views of agents that have been alone, with a known truth."""

import dataclasses

import numpy as np
import pytest

from agents.errors import InputError
from agents.world import World, planted
from experiments.limits.planted_views import correlated_world, planted_views
from knowledge_graph.gcca import gcca
from knowledge_graph.measures import matched_correlation


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=3, objects=1200, features=48, factors=6, probe=200)


SMALL = {"agents": 30, "dims": 3, "sensors": 20, "private_objects": 300}


def test_what_agents_bring_together_recovers_what_was_planted(world: World) -> None:
    views = planted_views(world, seed=0, **SMALL)
    unified = gcca(views, features=world.features[world.probe])
    assert unified.n_concepts == 6
    assert matched_correlation(unified.loadings, world.truth.loadings) > 0.97


def test_the_same_seed_gives_the_same_views_and_another_seed_others(world: World) -> None:
    first, again, other = (planted_views(world, seed=seed, **SMALL) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.levels, again.levels)
    assert not np.array_equal(first.sensor, other.sensor)


def test_levels_are_what_the_weights_say_of_the_sensed_features_of_the_probe(world: World) -> None:
    views = planted_views(world, seed=1, **SMALL)
    sensed = world.features[world.probe][:, views.sensor[7]]
    np.testing.assert_allclose(views.levels[7], sensed @ views.loading[7].T, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(views.loading, axis=2), 1.0, atol=1e-5)


def test_structure_and_phi_are_the_correlations_that_the_whole_world_shows_nearly(world: World) -> None:
    """An agent has seen a sample of the world: its correlations are those of all objects, within chance."""
    views = planted_views(world, seed=1, **SMALL)
    everything = world.features[world.train]
    for agent in range(5):
        sensed = everything[:, views.sensor[agent]]
        levels = sensed @ views.loading[agent].T
        whole = np.corrcoef(levels.T, sensed.T)
        np.testing.assert_allclose(views.structure[agent], whole[:3, 3:], atol=5 / np.sqrt(300))
        np.testing.assert_allclose(views.phi[agent], whole[:3, :3], atol=5 / np.sqrt(300))


def test_private_objects_are_never_those_of_the_probe(world: World) -> None:
    spoiled = world.features.copy()
    spoiled[world.probe] = 1e6
    views = planted_views(world, seed=1, **SMALL)
    blind = planted_views(dataclasses.replace(world, features=spoiled), seed=1, **SMALL)
    np.testing.assert_array_equal(views.loading, blind.loading)


def test_sensed_features_are_distinct_whatever_draws_them(world: World) -> None:
    for sensing in ("random", "correlates"):
        sensor = planted_views(world, seed=4, sensing=sensing, **SMALL).sensor
        assert all(len(set(row)) == 20 for row in sensor.tolist())
        assert 0 <= sensor.min() <= sensor.max() < 48


def test_correlates_share_factors_more_than_random_features_do(world: World) -> None:
    own = np.abs(world.truth.loadings).argmax(axis=1)

    def largest(sensing: str) -> float:
        sensor = planted_views(world, seed=4, sensing=sensing, **SMALL).sensor
        counts = [np.sort(np.bincount(own[row], minlength=6))[-3:].sum() for row in sensor]
        return float(np.mean(counts))

    assert largest("correlates") > largest("random") + 2


def test_agents_of_different_groups_sense_nothing_in_common(world: World) -> None:
    views = planted_views(world, seed=5, groups=2, **SMALL)
    assert not set(views.sensor[:15].ravel().tolist()) & set(views.sensor[15:].ravel().tolist())


def test_half_of_the_agents_may_have_fewer_dimensions(world: World) -> None:
    views = planted_views(world, seed=6, fewer=0.5, **SMALL)
    held = views.held.sum(axis=1)
    assert (held < 3).sum() == 15
    assert held.min() >= 1
    for name in ("loading", "structure", "phi"):
        assert not getattr(views, name)[~views.held].any()


def test_objects_an_agent_has_not_seen_are_nan_for_all_its_dimensions(world: World) -> None:
    levels = planted_views(world, seed=8, unseen=0.3, **SMALL).levels
    missing = np.isnan(levels)
    assert (missing.all(axis=2) == missing.any(axis=2)).all()
    assert (missing.all(axis=2).sum(axis=1) == 60).all()


def test_an_unrotated_view_spans_what_the_rotated_one_spans(world: World) -> None:
    turned = planted_views(world, seed=9, **SMALL).loading[0].astype(float)
    plain = planted_views(world, seed=9, rotation="none", **SMALL).loading[0].astype(float)
    angles = np.linalg.svd(np.linalg.qr(turned.T)[0].T @ np.linalg.qr(plain.T)[0], compute_uv=False)
    np.testing.assert_allclose(angles, 1.0, atol=1e-4)
    assert np.abs(turned - plain).max() > 0.1


def test_factors_of_the_correlated_world_correlate_and_explain_as_much_as_asked() -> None:
    world = correlated_world(seed=1, correlation=0.4, objects=4000, features=40, factors=5, communality=0.5)
    between = np.corrcoef(world.truth.scores.T)[np.triu_indices(5, 1)]
    np.testing.assert_allclose(between, 0.4, atol=0.06)
    factors, _, _, _ = np.linalg.lstsq(world.truth.scores, world.features.astype(float), rcond=None)
    left = world.features - world.truth.scores @ factors
    np.testing.assert_allclose(1 - left.var(axis=0), 0.5, atol=0.07)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"sensors": 49}, "sensors is 49"),
        ({"groups": 3}, "sensors is 20"),
        ({"dims": 20}, "dims is 20"),
        ({"private_objects": 5000}, "private_objects is 5000"),
        ({"fewer": 1.5}, "fewer is 1.5"),
        ({"agents": 0}, "agents is 0"),
    ],
)
def test_what_the_world_cannot_give_is_refused_by_name(world: World, what: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        planted_views(world, seed=0, **(SMALL | what))


def test_a_correlation_of_one_is_refused() -> None:
    with pytest.raises(InputError, match="correlation is 1"):
        correlated_world(seed=0, correlation=1.0)
