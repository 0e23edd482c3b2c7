"""Merging must fail where there is nothing to find, and where it is done wrong; the right way succeeds beside it.

Six factors behind 48 features; 40 agents of three dimensions, each of which has seen 300 objects of its own.
"""

import dataclasses
import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.world import World, build, planted
from experiments.limits.planted_views import planted_views
from knowledge_graph import clustering
from knowledge_graph.clustering import clusters_of
from knowledge_graph.measures import matched_correlation, null_mcc
from knowledge_graph.unify import Method, unify
from knowledge_graph.views import Unified, Views
from tests.knowledge_graph.handmade import turned_round

FACTORS, FEATURES, SHARED = 6, 48, 200
ALONE = {"agents": 40, "dims": 3, "sensors": 20, "private_objects": 300}
METHODS: tuple[Method, ...] = ("gcca", "clustering", "covariance")


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=3, objects=1200, features=FEATURES, factors=FACTORS, probe=SHARED)


@pytest.fixture(scope="module")
def views(world: World) -> Views:
    return planted_views(world, seed=0, **ALONE)


def merge(views: Views, world: World, method: Method) -> Unified:
    return unify(views, features=world.features[world.probe], method=method)


def met(loadings: NDArray[np.floating], world: World) -> float:
    """MCC with what was planted."""
    return matched_correlation(loadings, world.truth.loadings)


@pytest.mark.parametrize("method", METHODS)
def test_views_as_they_are_make_all_six_factors(views: Views, world: World, method: Method) -> None:
    unified = merge(views, world, method)
    assert unified.n_concepts == FACTORS
    assert met(unified.loadings, world) > 0.95
    assert null_mcc(world.truth.loadings, FACTORS) < 0.3


# ---- shuffled identities


@pytest.mark.parametrize("method", ["gcca", "clustering"])
def test_agents_who_mix_up_the_probe_objects_share_nothing(views: Views, world: World, method: Method) -> None:
    rng = np.random.default_rng(1)
    mixed = np.stack([levels[rng.permutation(SHARED)] for levels in views.levels])
    assert merge(dataclasses.replace(views, levels=mixed), world, method).n_concepts == 0
    # Mixed up by all in one way they are still the same objects for everybody.
    alike = dataclasses.replace(views, levels=views.levels[:, rng.permutation(SHARED)])
    assert unify(alike, method=method).n_concepts == FACTORS


def test_agents_who_mix_up_the_features_share_nothing(views: Views, world: World) -> None:
    rng = np.random.default_rng(1)
    mixed = dataclasses.replace(views, sensor=rng.permuted(views.sensor, axis=1))
    assert merge(mixed, world, "covariance").n_concepts == 0
    alike = dataclasses.replace(views, sensor=rng.permutation(FEATURES)[views.sensor])
    assert unify(alike, method="covariance").n_concepts == FACTORS


# ---- unaligned signs


def test_averaging_dimensions_without_aligning_their_signs_cancels_them(views: Views, world: World) -> None:
    first = clusters_of(views, by="objects")
    way = np.ones(views.held.shape, dtype=np.float32)
    way[first.row, first.slot] = np.where(first.sign * np.where(first.row % 2, 1, -1) < 0, -1, 1)
    turned = turned_round(views, way)  # half of the agents against the other half

    found = clusters_of(turned, by="objects")
    naive, aligned = np.zeros((2, FEATURES, FACTORS))
    for row, slot, concept, sign in zip(found.row, found.slot, found.concept, found.sign, strict=True):
        if concept >= 0:
            naive[turned.sensor[row], concept] += turned.structure[row, slot]
            aligned[turned.sensor[row], concept] += sign * turned.structure[row, slot]
    assert np.linalg.norm(naive) < 0.3 * np.linalg.norm(aligned)
    assert met(naive, world) < null_mcc(world.truth.loadings, FACTORS) + 0.15
    assert met(aligned, world) > 0.95
    for method in METHODS:
        assert met(merge(turned, world, method).loadings, world) > 0.95


# ---- pure noise


@pytest.mark.parametrize("method", METHODS)
def test_agents_who_make_everything_up_share_nothing(views: Views, world: World, method: Method) -> None:
    counts = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        made_up = dataclasses.replace(
            views,
            levels=rng.standard_normal(views.levels.shape, dtype=np.float32),
            structure=0.3 * rng.standard_normal(views.structure.shape, dtype=np.float32),
        )
        counts.append(merge(made_up, world, method).n_concepts)
    # An edge that chance exceeds in a few of a hundred societies: not in most of five, and never by two.
    assert sorted(counts)[2] == 0
    assert max(counts) <= 1
    assert merge(views, world, method).n_concepts == FACTORS


def test_a_world_without_common_factors_has_none_in_common() -> None:
    rng = np.random.default_rng(0)
    # Many objects: agents who have seen the same ones would agree on what chance made of these.
    nothing = build(name="noise", raw=rng.standard_normal((20_000, FEATURES)), seed=0, probe=SHARED)
    views = planted_views(nothing, seed=0, **ALONE)
    named = dataclasses.replace(views, levels=None)
    assert unify(named, method="covariance").n_concepts == 0
    assert unify(named, method="clustering").n_concepts == 0
    features = nothing.features[nothing.probe]
    assert unify(views, features=features, count="common").n_concepts == 0
    # Single features that many of them sense are shared all the same, and are counted where that is asked.
    assert unify(views, features=features, count="shared").n_concepts > 0


# ---- the wrong way


def test_single_linkage_collapses(views: Views, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    chained = functools.partial(clusters_of, linkage="single", apart=False)
    with monkeypatch.context() as patch:
        patch.setattr(clustering, "clusters_of", chained)
        unified = merge(views, world, "clustering")
    assert unified.n_concepts == 1
    assert met(unified.loadings, world) <= 1 / FACTORS
    # It is the chain of neighbours that does it: means of distances keep the factors apart, without that rule as well.
    assert chained(views, by="objects", linkage="average").n_concepts >= FACTORS - 1
    assert merge(views, world, "clustering").n_concepts == FACTORS


def test_clustering_needs_agents_to_rotate_their_factors(world: World) -> None:
    alone = ALONE | {"sensing": "correlates"}
    unrotated = planted_views(world, seed=0, rotation="none", **alone)
    rotated = planted_views(world, seed=0, rotation="varimax", **alone)
    assert met(merge(unrotated, world, "clustering").loadings, world) < 0.85
    assert met(merge(rotated, world, "clustering").loadings, world) > 0.95
    # What a view spans does not depend on it.
    for method in ("gcca", "covariance"):
        assert met(merge(unrotated, world, method).loadings, world) > 0.95
