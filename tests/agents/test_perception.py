"""Phase 2: what agents sense and remember, and where their attention goes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.communication import turn_round
from agents.config import SocietyConfig
from agents.discovery import discover
from agents.perception import levels, perceive, remembered, replace_sensors, sense, shift_attention
from agents.population import ABSTRACT, NOTHING, RAW, Population, found, likeness
from agents.selection import bear
from agents.world import World, planted

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=4, objects=600, features=40, factors=5, probe=50)


def people(
    world: World, seed: int = 0, *, agents: int = 12, sensors: int = 10, memory: int = 20, childhood: int = 6
) -> Population:
    """Some newborns."""
    config = SocietyConfig(agents=agents, sensors=sensors, memory=memory, childhood=childhood)
    return found(world, config, np.random.default_rng(seed))


def attention(share: float, glimpses: int = 8) -> SocietyConfig:
    return SocietyConfig(attention=share, glimpses=glimpses)


def with_abstract_dimensions(population: Population, rng: np.random.Generator) -> Population:
    """The same, with two random abstract dimensions more each."""
    rows = np.arange(len(population))
    for slot in (4, 5):
        loading = rng.standard_normal((len(rows), population.n_sensors)).astype(np.float32)
        loading /= np.linalg.norm(loading, axis=1, keepdims=True)
        population.install(rows, np.full(len(rows), slot), loading=loading, kind=ABSTRACT, exemplar=NOTHING, step=0)
    return population


def test_a_memory_holds_everything_until_it_is_full(world: World) -> None:
    population = people(world, childhood=0)
    rows = np.arange(len(population))
    objects = np.arange(20, dtype=np.int32).reshape(5, 4)
    for scene in objects:
        perceive(population, rows, np.tile(scene, (len(rows), 1)), np.random.default_rng(1))
    assert (population.seen == np.arange(20)).all()
    assert (population.n_seen == 20).all()


def test_everything_ever_seen_is_equally_likely_to_be_remembered(world: World) -> None:
    n, capacity, n_objects = 3000, 8, 40
    population = people(world, agents=n, memory=capacity, childhood=0)
    rng = np.random.default_rng(30)
    for scene in np.arange(n_objects, dtype=np.int32).reshape(-1, 4):
        perceive(population, np.arange(n), np.tile(scene, (n, 1)), rng)
    assert (population.n_seen == n_objects).all()
    assert population.seen.shape == (n, capacity)
    assert all(len(set(memory)) == capacity for memory in population.seen.tolist())
    share = np.bincount(population.seen.ravel(), minlength=n_objects) / n
    expected = capacity / n_objects
    # Each share is the mean of n independent yes or no: four standard errors leave 1 in 400 seeds to fail.
    assert np.abs(share - expected).max() < 4 * np.sqrt(expected * (1 - expected) / n)


def test_what_is_not_looked_at_leaves_no_trace(world: World) -> None:
    n, capacity = 3000, 8
    population = people(world, agents=n, memory=capacity, childhood=0)
    rng = np.random.default_rng(31)
    for scene in np.arange(40, dtype=np.int32).reshape(-1, 4):
        perceive(population, np.arange(n), np.tile(np.where(scene % 2, scene, NOTHING), (n, 1)), rng)
    assert (population.n_seen == 20).all()
    share = np.bincount(population.seen.ravel(), minlength=40) / n
    assert (share[::2] == 0).all()
    expected = capacity / 20
    assert np.abs(share[1::2] - expected).max() < 4 * np.sqrt(expected * (1 - expected) / n)


def test_only_those_who_look_remember(world: World) -> None:
    population = people(world)
    before = population.copy()
    perceive(population, np.array([3, 7]), np.array([[1, 2], [3, 4]], dtype=np.int32), np.random.default_rng(1))
    others = np.setdiff1d(np.arange(len(population)), [3, 7])
    assert (population.seen[others] == before.seen[others]).all()
    assert (population.n_seen[[3, 7]] == before.n_seen[[3, 7]] + 2).all()
    assert population.seen[3, 6:8].tolist() == [1, 2]
    assert population.seen[7, 6:8].tolist() == [3, 4]


def test_free_places_of_a_memory_and_repeated_sightings_are_masked(world: World) -> None:
    population = people(world)
    population.seen[2, :6] = [9, 4, 9, 7, 4, 9]
    objects, there = remembered(population, np.array([2]))
    assert there.sum() == 3
    assert objects[there].tolist() == [4, 7, 9]
    assert (objects[0, :14] == 0).all()


def test_an_agent_sees_only_what_it_senses(world: World) -> None:
    population = people(world)
    objects = np.array([[5, 9, 2]], dtype=np.int32)
    seen = sense(world.features, objects, population.sensor[[3]])[0]
    for place, obj in enumerate(objects[0]):
        assert seen[place].tolist() == world.features[obj][population.sensor[3]].tolist()


def test_a_level_is_the_sum_of_what_is_sensed_as_the_dimension_weighs_it(world: World) -> None:
    population = with_abstract_dimensions(people(world), np.random.default_rng(2))
    objects = np.array([[5, 9, 2], [1, 1, 8]], dtype=np.int32)
    height = levels(population, world, np.array([3, 8]), objects)
    for i, row in enumerate((3, 8)):
        for place, obj in enumerate(objects[i]):
            for slot in range(population.n_slots):
                weighed = world.features[obj, population.sensor[row]].astype(np.float64) @ population.loading[row, slot]
                assert height[i, place, slot] == pytest.approx(weighed, abs=1e-5)
    assert (height[:, :, 6:] == 0).all(), "empty slots are level"


@settings(max_examples=25)
@given(seed=SEEDS, share=st.floats(0, 1), sensors=st.integers(8, 40), glimpses=st.integers(1, 20))
def test_attention_turns_as_many_sensors_as_told_and_keeps_them_distinct(
    world: World, seed: int, share: float, sensors: int, glimpses: int
) -> None:
    rng = np.random.default_rng(seed)
    population = with_abstract_dimensions(people(world, seed, sensors=sensors), rng)
    before = population.sensor.copy()
    rows = np.array([0, 2, 5])
    shift_attention(population, rows, world, attention(share, glimpses), rng)
    assert_distinct(population, world)
    n_moved = min(round(share * sensors), world.n_features - sensors)
    assert ((population.sensor != before).sum(axis=1)[rows] == n_moved).all()
    for row in rows:
        # What is new was not sensed anywhere before.
        assert len(np.setdiff1d(population.sensor[row], before[row])) == n_moved
    others = np.setdiff1d(np.arange(len(population)), rows)
    assert (population.sensor[others] == before[others]).all()
    assert_true_to_sensors(population, world)


def test_attention_leaves_features_of_the_least_communality(world: World) -> None:
    population = with_abstract_dimensions(people(world), np.random.default_rng(3))
    population.communality[:] = np.random.default_rng(5).random(population.communality.shape)
    explained = population.communality.copy()
    before = population.sensor.copy()
    shift_attention(population, np.arange(len(population)), world, attention(0.3), np.random.default_rng(4))
    moved = population.sensor != before
    for row in range(len(population)):
        assert explained[row, moved[row]].max() < explained[row, ~moved[row]].min()


def test_of_what_it_glimpses_at_attention_takes_what_the_view_explains_best(world: World) -> None:
    population = people(world, agents=5, memory=40, childhood=40)
    before = population.sensor.copy()
    everything = attention(0.2, glimpses=world.n_features)
    rows = np.arange(5)
    promise = np.full((5, world.n_features), -1.0)
    for row in rows:
        memory = np.unique(population.seen[row][population.seen[row] >= 0])
        stands = levels(population, world, np.array([row]), memory[None].astype(np.int32))[0].astype(np.float64)
        design = np.column_stack([stands[:, population.held[row]], np.ones(len(memory))])
        for feature in np.setdiff1d(np.arange(world.n_features), before[row]):
            seen = world.features[memory, feature].astype(np.float64)
            rest = seen - design @ np.linalg.lstsq(design, seen, rcond=None)[0]
            promise[row, feature] = 1.0 - rest.var() / seen.var()
    shift_attention(population, rows, world, everything, np.random.default_rng(6))
    for row in rows:
        new = np.setdiff1d(population.sensor[row], before[row])
        assert sorted(new) == sorted(np.argsort(-promise[row])[: len(new)])


def test_without_glimpses_to_choose_from_attention_goes_anywhere(world: World) -> None:
    population = people(world, agents=2000)
    before = population.sensor.copy()
    shift_attention(population, np.arange(2000), world, attention(0.2, glimpses=1), np.random.default_rng(5))
    share = (population.sensor != before).mean(axis=0)
    assert np.abs(share - 0.2).max() < 4 * np.sqrt(0.2 * 0.8 / 2000)


@settings(max_examples=25)
@given(seed=SEEDS, mutation=st.floats(0, 1), sensors=st.integers(8, 40))
def test_heirs_sense_distinct_features_and_dimensions_stay_true_to_them(
    world: World, seed: int, mutation: float, sensors: int
) -> None:
    rng = np.random.default_rng(seed)
    config = SocietyConfig(agents=12, sensors=sensors, memory=20, childhood=6, mutation=mutation)
    population = with_abstract_dimensions(found(world, config, rng), rng)
    turn_round(population, np.array([6, 7]), np.array([0, 1]))
    rows, parents = np.array([0, 1, 2]), np.array([6, 7, 7])
    bear(population, rows, parents, np.array([12, 13, 14]), world, config, step=3, rng=rng)
    assert_distinct(population, world)
    assert_true_to_sensors(population, world)
    if mutation == 0:
        assert (population.sensor[rows] == population.sensor[parents]).all()
        assert (population.loading[rows] == population.loading[parents]).all()


def test_a_raw_dimension_that_was_turned_round_stays_turned_when_attention_shifts(world: World) -> None:
    population = with_abstract_dimensions(people(world), np.random.default_rng(6))
    rows = np.arange(len(population))
    turn_round(population, rows, np.full(len(rows), 2))
    for step in range(20):
        shift_attention(population, rows, world, attention(0.2), np.random.default_rng(step))
    alike = likeness(world.features, population.exemplar[:, 2], population.sensor)
    np.testing.assert_allclose(population.loading[:, 2], -alike, atol=1e-6)
    alike = likeness(world.features, population.exemplar[:, 1], population.sensor)
    np.testing.assert_allclose(population.loading[:, 1], alike, atol=1e-6)


def test_an_abstract_dimension_does_not_weigh_a_feature_that_it_was_not_found_on(world: World) -> None:
    population = with_abstract_dimensions(people(world), np.random.default_rng(7))
    before = population.loading[5, 4].copy()
    unused = np.setdiff1d(np.arange(world.n_features), population.sensor[5])[:2].astype(np.int32)
    replace_sensors(population, np.array([5, 5]), np.array([1, 8]), unused, world)
    assert population.sensor[5, [1, 8]].tolist() == unused.tolist()
    after = population.loading[5, 4]
    assert (after[[1, 8]] == 0).all()
    kept = np.setdiff1d(np.arange(10), [1, 8])
    np.testing.assert_allclose(after[kept], before[kept] / np.linalg.norm(before[kept]), rtol=1e-5)


@pytest.mark.parametrize("discovery", ["factor", "pca"])
def test_attention_climbs_towards_features_that_go_together(discovery: Literal["factor", "pca"]) -> None:
    """Sensing 48 of 256 features, an agent has 1.5 of each of 32 factors, and comes to see more of fewer factors."""
    world = planted(seed=4, objects=400, probe=50)
    assert world.truth is not None
    own_factor = np.abs(world.truth.loadings).argmax(axis=1)
    rows = np.arange(15)

    def company(attention: float) -> tuple[float, float]:
        """Sensors per sensed feature that share its factor, at birth and 20 discoveries later."""
        config = SocietyConfig(agents=15, memory=200, childhood=200, attention=attention, discovery=discovery)
        rng = np.random.default_rng(8)
        population = found(world, config, rng)
        at_birth = factor_mates(own_factor[population.sensor])
        for step in range(20):
            discover(population, rows, world, config, step, rng)
        return at_birth, factor_mates(own_factor[population.sensor])

    at_birth, later = company(attention=0.1)
    assert later > at_birth + 0.8
    at_birth, later = company(attention=0.0)
    assert later == at_birth


def factor_mates(factors: NDArray[np.intp]) -> float:
    """How many sensors of an agent belong to the factor that one of them belongs to, on average; factors are [n, m]."""
    return float((factors[:, :, None] == factors[:, None, :]).sum(axis=2).mean())


def assert_distinct(population: Population, world: World) -> None:
    for sensor in population.sensor:
        assert len(set(sensor.tolist())) == population.n_sensors
    assert population.sensor.min() >= 0
    assert population.sensor.max() < world.n_features


def assert_true_to_sensors(population: Population, world: World) -> None:
    """Loadings have norm 1 (0 in empty slots); raw dimensions are likeness to their exemplar, one way or the other."""
    norm: NDArray[np.float32] = np.linalg.norm(population.loading, axis=2)
    np.testing.assert_allclose(norm, population.held, atol=1e-5)
    rows, slots = np.nonzero(population.kind == RAW)
    alike = likeness(world.features, population.exemplar[rows, slots], population.sensor[rows])
    direction = (alike * population.loading[rows, slots]).sum(axis=1)
    np.testing.assert_allclose(np.abs(direction), 1.0, atol=1e-5)
