"""What is chosen to unify views by, where agents share objects, names of features, or both in part."""

import dataclasses

import numpy as np
import pytest

from agents.world import World, planted
from experiments.limits.planted_views import planted_views
from knowledge_graph.clustering import clustering
from knowledge_graph.library import Library
from knowledge_graph.unify import Method, unify
from knowledge_graph.views import Views


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=1, objects=600, features=24, factors=4, probe=120)


@pytest.fixture(scope="module")
def views(world: World) -> Views:
    return planted_views(world, seed=1, agents=24, dims=3, sensors=12, private_objects=200)


def seen_apart(views: Views) -> Views:
    """The same agents, of whom one half has seen other objects than the other half."""
    assert views.levels is not None
    levels = views.levels.copy()
    levels[::2, ::2] = np.nan
    levels[1::2, 1::2] = np.nan
    return dataclasses.replace(views, levels=levels)


def sensed_apart(views: Views) -> Views:
    """The same agents, of whom one half senses other features than the other half."""
    assert views.sensor is not None
    return dataclasses.replace(views, sensor=views.sensor + 24 * (np.arange(len(views)) % 2)[:, None].astype(np.int32))


def test_objects_come_first_where_agents_share_both(views: Views) -> None:
    assert unify(views).method == "gcca"
    assert unify(sensed_apart(views)).method == "gcca"
    assert unify(dataclasses.replace(views, levels=None)).method == "covariance"


def test_names_of_features_serve_where_objects_do_not_join_all_agents(views: Views) -> None:
    apart = seen_apart(views)
    named = unify(dataclasses.replace(views, levels=None))
    found = unify(apart)
    assert found.method == "covariance"
    assert found.n_concepts > 0
    np.testing.assert_array_equal(found.loadings, named.loadings)
    clustered = unify(apart, method="clustering")
    np.testing.assert_array_equal(clustered.eigenvalues, clustering(apart, by="features").eigenvalues)


@pytest.mark.parametrize("method", ["auto", "gcca", "clustering"])
def test_infinite_levels_are_refused_rather_than_found_to_share_nothing(views: Views, method: Method) -> None:
    assert views.levels is not None
    spoiled = views.levels.copy()
    spoiled[3, 7, 1] = -np.inf
    with pytest.raises(ValueError, match="levels are infinite; give numbers, and nan for objects"):
        unify(dataclasses.replace(views, levels=spoiled), method=method)


def test_agents_whom_neither_objects_nor_features_join_are_refused(views: Views) -> None:
    apart = sensed_apart(seen_apart(views))
    for method in ("auto", "gcca", "clustering"):
        with pytest.raises(ValueError, match="2 groups without a single object in common"):
            unify(apart, method=method)
    with pytest.raises(ValueError, match="2 groups without a single feature in common"):
        unify(apart, method="covariance")
    with pytest.raises(ValueError, match="2 groups without a single object in common"):
        unify(seen_apart(views), method="gcca")


def test_a_library_that_knows_no_objects_says_so_when_it_is_consulted(world: World, views: Views) -> None:
    library = Library(probe=world.probe)
    library.merge(dataclasses.replace(views, levels=None))
    with pytest.raises(ValueError, match="merged by names of features alone"):
        library.consult(views, n_words=0)
