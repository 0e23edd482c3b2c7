"""Average linkage of dimensions that look alike."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.world import World, planted
from experiments.limits.planted_views import planted_views
from knowledge_graph.clustering import MOST, Clusters, clustering, clusters_of, linked
from knowledge_graph.measures import matched_correlation
from knowledge_graph.views import Unified, Views
from tests.knowledge_graph.handmade import turned_round

FACTORS, FEATURES, AGENTS, PROBE = 6, 48, 40, 200
ALONE = {"agents": AGENTS, "dims": 3, "sensors": 24, "private_objects": 400}


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=3, objects=1200, features=FEATURES, factors=FACTORS, probe=PROBE)


@pytest.fixture(scope="module")
def views(world: World) -> Views:
    return planted_views(world, seed=0, **ALONE)


@pytest.fixture(scope="module")
def unified(views: Views) -> Unified:
    return clustering(views)


def without_objects(views: Views) -> Views:
    return dataclasses.replace(views, levels=None)


@pytest.mark.parametrize("by", ["objects", "features"])
def test_dimensions_that_look_alike_make_the_factors_that_were_planted(world: World, views: Views, by: str) -> None:
    unified = clustering(views, by=by)
    assert unified.n_concepts == FACTORS
    assert matched_correlation(unified.loadings, world.truth.loadings) > 0.96
    assert matched_correlation(unified.weights, world.truth.loadings) > 0.93


def greedy(distance: np.ndarray, cut: float, linkage: str) -> set[frozenset[int]]:
    """Linkage as defined: merge the two nearest clusters as long as there are any nearer than ``cut``."""

    def apart(a: frozenset[int], b: frozenset[int]) -> float:
        between = distance[np.ix_(sorted(a), sorted(b))]
        if np.isinf(between).any():
            return np.inf
        return float(between.mean() if linkage == "average" else between.min())

    clusters = [frozenset([i]) for i in range(len(distance))]
    while len(clusters) > 1:
        pairs = [(apart(a, b), i, j) for i, a in enumerate(clusters) for j, b in enumerate(clusters[:i])]
        height, i, j = min(pairs)
        if not height < cut:
            break
        clusters[j] = clusters[j] | clusters[i]
        del clusters[i]
    return set(clusters)


@pytest.mark.parametrize("linkage", ["average", "single"])
@given(
    n=st.integers(0, 14),
    slots=st.integers(1, 4),
    cut=st.sampled_from([0.2, 0.4, 0.6, np.inf]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_the_chain_merges_what_always_merging_the_nearest_would(
    linkage: str, n: int, slots: int, cut: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    distance = rng.random((n, n)) ** rng.choice([0.3, 1.0, 3.0])
    distance = np.triu(distance, 1) + np.triu(distance, 1).T
    agent = np.arange(n) // slots
    distance[agent[:, None] == agent] = np.inf
    np.fill_diagonal(distance, np.inf)
    label = linked(distance.astype(np.float32), cut=cut, linkage=linkage)
    found = {frozenset(np.flatnonzero(label == c).tolist()) for c in np.unique(label)}
    assert found == greedy(distance, cut, linkage)


def test_no_two_dimensions_of_one_agent_come_together(views: Views) -> None:
    for by in ("objects", "features"):
        clusters = clusters_of(views, by=by)
        for concept in range(clusters.n_concepts):
            rows = clusters.row[clusters.concept == concept]
            assert len(set(rows.tolist())) == len(rows)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=8, deadline=None)
def test_the_sign_of_any_dimension_changes_nothing_but_its_own_correlations(
    views: Views, unified: Unified, seed: int
) -> None:
    sign = np.random.default_rng(seed).choice(np.array([-1.0, 1.0], np.float32), size=(AGENTS, 3))
    again = clustering(turned_round(views, sign))
    for name in ("scores", "weights", "loadings", "support"):
        np.testing.assert_allclose(getattr(again, name), getattr(unified, name), atol=1e-5)
    np.testing.assert_allclose(again.correlation * sign[:, :, None], unified.correlation, atol=1e-5)


def test_the_order_of_the_agents_does_not_matter(views: Views, unified: Unified) -> None:
    order = np.random.default_rng(1).permutation(AGENTS)
    again = clustering(views.take(order))
    np.testing.assert_allclose(again.scores, unified.scores, atol=1e-5)
    np.testing.assert_allclose(again.loadings, unified.loadings, atol=1e-5)
    np.testing.assert_allclose(again.correlation, unified.correlation[order], atol=1e-5)


def test_scores_are_what_the_weights_say_of_the_probe(world: World, unified: Unified) -> None:
    said = world.features[world.probe] @ unified.weights
    np.testing.assert_allclose(said - said.mean(axis=0), unified.scores, atol=1e-4)
    np.testing.assert_allclose(unified.scores.std(axis=0), 1.0, atol=1e-6)
    truth = world.truth.scores[world.probe]
    assert matched_correlation(unified.scores, truth - truth.mean(axis=0)) > 0.9


def test_correlations_and_support_are_those_of_the_levels(views: Views, unified: Unified) -> None:
    told = np.zeros(FACTORS)
    for agent in range(AGENTS):
        levels = views.levels[agent].astype(float)
        expected = np.corrcoef(levels.T, unified.scores.T)[:3, 3:]
        np.testing.assert_allclose(unified.correlation[agent], expected, atol=1e-5)
        levels -= levels.mean(axis=0)
        fitted = levels @ np.linalg.lstsq(levels, unified.scores, rcond=None)[0]
        told += fitted.var(axis=0)
    np.testing.assert_allclose(unified.support, told / AGENTS, atol=1e-4)


def test_named_features_alone_are_enough(world: World, views: Views) -> None:
    named = without_objects(views)
    unified = clustering(named)
    assert unified.n_concepts == FACTORS
    assert unified.scores.shape == (0, FACTORS)
    assert matched_correlation(unified.loadings, world.truth.loadings) > 0.96
    np.testing.assert_allclose((world.features @ unified.weights).std(axis=0), 1.0, atol=0.3)
    scored = clustering(named, features=world.features[world.probe])
    said = world.features[world.probe] @ scored.weights
    np.testing.assert_allclose(said - said.mean(axis=0), scored.scores, atol=1e-6)
    np.testing.assert_allclose(scored.scores.std(axis=0), 1.0, atol=1e-6)
    # What agents know of their own dimensions tells nearly what the objects would have told.
    by_objects = clustering(views, by="features")
    assert np.abs(unified.correlation - by_objects.correlation).max() < 0.35
    np.testing.assert_allclose(unified.support, by_objects.support, atol=0.1)


def test_shared_objects_alone_are_enough(world: World, views: Views, unified: Unified) -> None:
    nameless = Views.of(levels=views.levels)
    found = clustering(nameless)
    np.testing.assert_allclose(found.scores, unified.scores, atol=1e-5)
    assert found.weights.shape == found.loadings.shape == (0, FACTORS)
    looked = clustering(nameless, features=world.features[world.probe])
    assert matched_correlation(looked.loadings, world.truth.loadings) > 0.94


def test_agents_may_have_seen_different_objects(world: World) -> None:
    views = planted_views(world, seed=0, unseen=0.4, **ALONE)
    unified = clustering(views)
    assert unified.n_concepts == FACTORS
    assert matched_correlation(unified.loadings, world.truth.loadings) > 0.95
    assert np.isfinite(unified.scores).all()
    assert np.isfinite(unified.correlation).all()


def test_objects_bring_together_what_no_two_agents_can_name_in_common(world: World) -> None:
    """Two groups of agents that sense nothing in common, but have seen the same objects."""
    views = planted_views(world, seed=0, groups=2, **(ALONE | {"dims": 5}))

    def of_both(clusters: Clusters) -> int:
        first = clusters.row < AGENTS // 2
        return len((set(clusters.concept[first]) & set(clusters.concept[~first])) - {-1})

    assert of_both(clusters_of(views, by="objects")) >= 4
    assert of_both(clusters_of(views, by="features")) == 0


def test_noise_makes_no_concepts() -> None:
    rng = np.random.default_rng(0)
    assert sum(clustering(Views.of(levels=rng.standard_normal((40, 100, 3)))).n_concepts for _ in range(5)) == 0


@pytest.mark.parametrize("by", ["objects", "features"])
def test_agents_who_mix_up_what_is_which_share_nothing(views: Views, by: str) -> None:
    rng = np.random.default_rng(2)
    objects = np.stack([levels[rng.permutation(PROBE)] for levels in views.levels])
    order = np.argsort(rng.random(views.sensor.shape), axis=1)
    sensor = np.take_along_axis(views.sensor, order, axis=1)
    assert clustering(dataclasses.replace(views, levels=objects, sensor=sensor), by=by).n_concepts == 0


def test_single_linkage_makes_one_cluster_of_everything_where_average_linkage_does_not(views: Views) -> None:
    single = clusters_of(views, by="objects", linkage="single", apart=False)
    average = clusters_of(views, by="objects", linkage="average", apart=False)
    assert single.n_concepts <= 1
    assert len(single.strengths) == 1
    assert average.n_concepts >= 4
    assert clusters_of(views, by="objects").n_concepts == FACTORS


def test_views_that_are_not_rotated_to_simple_structure_cannot_be_clustered_well() -> None:
    world = planted(seed=5, objects=1600, features=80, factors=10, probe=PROBE)
    alone = ALONE | {"agents": 60, "dims": 4, "sensing": "correlates"}

    def met(rotation: str) -> float:
        unified = clustering(planted_views(world, seed=0, rotation=rotation, **alone))
        return matched_correlation(unified.loadings, world.truth.loadings)

    assert met("varimax") > 0.95
    assert met("none") < 0.9


def test_a_mixture_of_two_concepts_that_some_agents_agree_on_is_no_third() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((2, 300))
    known = [[first, second]] * 20 + [[first + second, rng.standard_normal(300)] for _ in range(8)]
    levels = np.array(known).swapaxes(1, 2) + 0.3 * rng.standard_normal((28, 300, 2))
    unified = clustering(Views.of(levels=levels))
    assert unified.n_concepts == 2
    assert matched_correlation(unified.scores, np.stack([first, second], axis=1)) > 0.98


def test_one_agent_alone_or_nobody_with_a_dimension_makes_no_concepts(views: Views) -> None:
    for by in ("objects", "features"):
        alone = clustering(views.take(slice(0, 1)), by=by)
        assert alone.n_concepts == 0
        assert alone.correlation.shape == (1, 3, 0)
        nobody = clustering(dataclasses.replace(views, held=np.zeros_like(views.held)), by=by)
        assert nobody.n_concepts == 0
        assert nobody.scores.shape == (PROBE, 0)
        assert nobody.loadings.shape == (FEATURES, 0)


def test_empty_slots_and_a_constant_dimension_belong_to_nothing(views: Views) -> None:
    levels, held = views.levels.copy(), views.held.copy()
    levels[0, :, 1] = 7.0
    held[1, 2] = False
    unified = clustering(dataclasses.replace(views, levels=levels, held=held))
    assert unified.n_concepts == FACTORS
    assert not unified.correlation[0, 1].any()
    assert not unified.correlation[1, 2].any()


def test_sensors_that_are_not_there_change_nothing(views: Views) -> None:
    named = without_objects(views)
    roomier = Views.of(
        sensor=np.pad(views.sensor, ((0, 0), (0, 2)), constant_values=-1),
        loading=np.pad(views.loading, ((0, 0), (0, 0), (0, 2))),
        structure=np.pad(views.structure, ((0, 0), (0, 0), (0, 2))),
        phi=views.phi,
    )
    found, expected = clustering(roomier), clustering(named)
    # Chance is drawn anew for other shapes, which may move a doubtful member.
    assert matched_correlation(found.loadings, expected.loadings) > 0.999
    assert matched_correlation(found.weights, expected.weights) > 0.99


def test_more_dimensions_than_can_be_compared_are_refused_with_advice() -> None:
    with pytest.raises(ValueError, match=rf"{MOST + 1} dimensions, but clustering compares at most {MOST}"):
        clustering(Views.of(levels=np.zeros((MOST + 1, 2, 1), np.float32)))


def test_views_without_anything_to_compare_by_are_refused(views: Views) -> None:
    with pytest.raises(ValueError, match="phi is not given"):
        clustering(dataclasses.replace(views, levels=None, phi=None))
    with pytest.raises(ValueError, match="at least two shared ones, not 40 views on 0"):
        clustering(without_objects(views), by="objects")
    with pytest.raises(ValueError, match="at least one view"):
        clustering(without_objects(views).take(slice(0, 0)))
