"""The library as a model of the world: measured on objects that neither agents nor library have seen."""

import dataclasses

import numpy as np
import pytest

from agents.world import World, planted
from experiments.limits.planted_views import correlated_world, planted_views
from knowledge_graph.library import Library
from knowledge_graph.views import Views
from tests.knowledge_graph.known import directions, put_in, unified_of

WORLD = {"seed": 1, "objects": 1500, "features": 64, "factors": 8, "probe": 200}
AGENTS = 80


def views_in(world: World) -> Views:
    return planted_views(world, seed=1, agents=AGENTS, dims=4, sensors=24, private_objects=200)


def merged(world: World, views: Views, **about: str) -> Library:
    library = Library(probe=world.probe, features=world.features[world.probe], **about)
    library.merge(views)
    return library


@pytest.fixture(scope="module")
def world() -> World:
    return planted(**WORLD)


@pytest.fixture(scope="module")
def views(world: World) -> Views:
    return views_in(world)


@pytest.fixture(scope="module")
def library(world: World, views: Views) -> Library:
    return merged(world, views)


def regression(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients [1 + p, q], the first row of them the intercept."""
    return np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y.astype(float), rcond=None)[0]


def fitted(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(x)), x]) @ coefficients


def r2(foretold: np.ndarray, features: np.ndarray) -> float:
    """The share of the variance of ``features`` that was foretold; 0 for foretelling the mean of everything."""
    return 1 - ((foretold - features) ** 2).sum() / ((features - features.mean(axis=0)) ** 2).sum()


def test_predicting_is_a_regression_of_concepts_on_levels_and_of_features_on_concepts(
    world: World, views: Views, library: Library
) -> None:
    probe, held_out = world.features[world.probe], world.features[world.held_out]
    scores = library.unified.scores
    for agent in (0, 17, 79):
        levels = library.levels(agent, held_out)
        np.testing.assert_allclose(levels, held_out[:, views.sensor[agent]] @ views.loading[agent].T, atol=1e-4)
        concepts = fitted(levels, regression(views.levels[agent], scores))
        by_hand = fitted(concepts, regression(scores, probe))
        np.testing.assert_allclose(library.predict(agent, levels), by_hand, atol=2e-3)


def test_reconstructing_is_the_regression_of_features_on_what_the_agents_say(world: World, library: Library) -> None:
    probe, held_out = world.features[world.probe], world.features[world.held_out]
    by_hand = fitted(library.transform(held_out), regression(library.transform(probe), probe))
    np.testing.assert_allclose(library.reconstruct(held_out), by_hand, atol=1e-6)
    # No map of as few dimensions can tell more of the objects that it was made of.
    centred = probe - probe.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    optimum = values[: len(library)].sum() / values.sum()
    assert 0.9 * optimum < r2(library.reconstruct(probe), probe) <= optimum
    assert r2(library.reconstruct(held_out), held_out) > 0.55


def foretold(world: World, views: Views, library: Library) -> np.ndarray:
    """R^2 [n, 3] over features that an agent does not sense: by the library, by own regression, and with all it has."""
    probe, held_out = world.features[world.probe], world.features[world.held_out]
    found = []
    for agent in range(0, AGENTS, 8):
        levels = library.levels(agent, held_out)
        unsensed = np.setdiff1d(np.arange(world.n_features), views.sensor[agent])
        direct = fitted(levels, regression(views.levels[agent], probe))
        sensed = views.sensor[agent]
        ceiling = fitted(held_out[:, sensed], regression(probe[:, sensed], probe))
        found.append(
            [r2(x[:, unsensed], held_out[:, unsensed]) for x in (library.predict(agent, levels), direct, ceiling)]
        )
    return np.array(found)


def test_through_the_library_an_agent_foretells_what_it_does_not_sense(
    world: World, views: Views, library: Library
) -> None:
    through, direct, ceiling = foretold(world, views, library).T
    assert (through > 0.05).all()
    assert through.mean() < ceiling.mean()  # four dimensions for 24 sensors: something gets lost
    # Who could look at the probe's features itself would do as well with the same levels, and not much better.
    np.testing.assert_allclose(through, direct, atol=0.03)
    assert abs((through - direct).mean()) < 0.01


@pytest.mark.parametrize("method", ["gcca", "clustering", "covariance"])
def test_concepts_that_go_together_are_not_counted_twice(method: str) -> None:
    world = correlated_world(**{**WORLD, "correlation": 0.5})
    views = views_in(world)
    library = merged(world, views, method=method)
    through, direct, _ = foretold(world, views, library).T
    assert through.min() > 0.15
    assert abs((through - direct).mean()) < 0.02
    held_out = world.features[world.held_out]
    assert r2(library.reconstruct(held_out), held_out) > 0.5


def test_a_world_that_is_not_centred_is_foretold_as_well(world: World, views: Views, library: Library) -> None:
    away = np.linspace(-20, 30, world.n_features)
    levels = views.levels + np.einsum("nsm,nm->ns", views.loading, away[views.sensor])[:, None, :]
    moved = Library(probe=world.probe, features=world.features[world.probe] + away)
    moved.merge(dataclasses.replace(views, levels=levels.astype(np.float32)))
    held_out = world.features[world.held_out]
    own = moved.levels(5, held_out + away)
    expected = library.predict(5, library.levels(5, held_out)) + away
    np.testing.assert_allclose(moved.predict(5, own), expected, atol=5e-3)
    np.testing.assert_allclose(moved.reconstruct(held_out + away), library.reconstruct(held_out) + away, atol=5e-3)


def test_without_features_to_look_at_concepts_look_like_their_loadings(world: World, views: Views) -> None:
    library = Library(probe=world.probe)
    library.merge(views)
    levels = library.levels(3, world.features[world.held_out])
    concepts = fitted(levels, regression(views.levels[3], library.unified.scores))
    np.testing.assert_allclose(library.predict(3, levels), concepts @ library.loadings.T, atol=2e-3)


def test_empty_repeated_and_constant_dimensions_foretell_nothing(world: World, views: Views, library: Library) -> None:
    loading, levels, held = views.loading.copy(), views.levels.copy(), views.held.copy()
    held[0, 3] = False  # agent 0 has only three dimensions, agent 1 one of three twice, agent 2 one that never varies
    loading[1, 3], levels[1, :, 3] = loading[1, 2], levels[1, :, 2]
    loading[2, 3], levels[2, :, 3] = 0.0, 4.0
    changed = merged(world, dataclasses.replace(views, loading=loading, levels=levels, held=held))
    three = merged(
        world, dataclasses.replace(views, held=held & (np.arange(AGENTS) > 2)[:, None] | [True] * 3 + [False])
    )
    held_out = world.features[world.held_out][:50]
    for agent in range(3):
        own = changed.levels(agent, held_out)
        if agent == 0:
            assert not own[:, 3].any()
            own[:, 3] = 1e6  # whatever stands in an empty slot
        known = three.levels(agent, held_out)
        np.testing.assert_allclose(changed.predict(agent, own), three.predict(agent, known), atol=0.05)


def test_an_agent_that_has_seen_a_part_of_the_probe_foretells_on_its_own_scale(world: World) -> None:
    views = planted_views(world, seed=1, agents=AGENTS, dims=4, sensors=24, private_objects=200, unseen=0.3)
    library = merged(world, views)
    through, _, _ = foretold(world, dataclasses.replace(views, levels=np.nan_to_num(views.levels)), library).T
    assert through.mean() > 0.1
    seen = ~np.isnan(views.levels[4, :, 0])
    levels = views.levels[4][seen]
    last = library.rounds[-1]
    np.testing.assert_allclose(last.mean[4], levels.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(last.sd[4], levels.std(axis=0), rtol=1e-4)
    assert last.seen[4] == seen.sum()


def test_what_cannot_be_foretold_is_refused_with_a_sentence(world: World, views: Views, library: Library) -> None:
    held_out = world.features[world.held_out]
    with pytest.raises(ValueError, match=r"the levels are \(3, 9\), but views have 4 slots: give \[objects, 4\]"):
        library.predict(0, np.zeros((3, 9)))
    with pytest.raises(ValueError, match=r"the levels are \(4,\)"):
        library.predict(0, np.zeros(4))
    for ask in (library.reconstruct, library.transform, library.coordinates):
        for features in (held_out[:, :9], held_out[0]):
            with pytest.raises(ValueError, match=r"knows objects of 64 features"):
                ask(features)
    with pytest.raises(ValueError, match=r"\(375, 9\), but agent 0 senses feature"):
        library.levels(0, held_out[:, :9])
    for ask in (lambda: library.predict(AGENTS, np.zeros((3, 4))), lambda: library.levels(AGENTS, held_out)):
        with pytest.raises(KeyError, match=r"no agent 80 .* the nearest are 77, 78, 79"):
            ask()


def test_a_library_that_does_not_know_enough_says_so(world: World, views: Views) -> None:
    held_out = world.features[world.held_out]
    empty = Library(probe=world.probe, features=world.features[world.probe])
    for ask in (lambda: empty.predict(0, np.zeros((3, 4))), lambda: empty.reconstruct(held_out)):
        with pytest.raises(ValueError, match="no concepts"):
            ask()
    by_features = Library()
    by_features.merge(dataclasses.replace(views, levels=None))
    with pytest.raises(ValueError, match="needs views on shared objects"):
        by_features.predict(0, np.zeros((3, 4)))
    assert by_features.reconstruct(held_out).shape == held_out.shape
    nameless = Library(probe=world.probe)
    nameless.merge(Views.of(levels=views.levels))
    for ask in (lambda: nameless.predict(0, np.zeros((3, 4))), lambda: nameless.reconstruct(held_out)):
        with pytest.raises(ValueError, match="does not know what its concepts look like"):
            ask()
    with pytest.raises(ValueError, match="does not know what dimensions weigh"):
        nameless.levels(0, held_out)
    described = Library(probe=world.probe, features=world.features[world.probe])
    described.merge(Views.of(levels=views.levels))
    assert described.predict(0, np.zeros((3, 4))).shape == (3, 64)
    for library in (described, nameless, empty):
        for score in (library.transform, library.coordinates):
            with pytest.raises(ValueError, match="what their dimensions weigh"):
                score(held_out)
    with pytest.raises(ValueError, match="what their dimensions weigh"):
        described.reconstruct(held_out)


def test_what_no_concept_knows_of_is_pictured_as_the_mean() -> None:
    library = Library(probe=np.arange(40), features=directions(4) + 3.0)
    weights = np.eye(4)[:, :2]
    put_in(library, unified_of(directions(4)[:, :2], weights=weights, loadings=weights))
    np.testing.assert_allclose(library.reconstruct(directions(4) + 3.0), directions(4) * [1, 1, 0, 0] + 3.0, atol=1e-9)
