"""The columns: founding, memory of childhood, exemplars, installing and clearing dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import chisquare

from agents.config import SocietyConfig
from agents.population import (
    ABSTRACT,
    EMPTY,
    FACTOR,
    NEUTRAL,
    NOTHING,
    RAW,
    Population,
    distinct,
    found,
    likeness,
    n_sensors,
    take_exemplar,
    unit,
)
from agents.world import World, planted

RARE = 1e-3
"""Below this p-value a fixed-seed sample does not pass for uniform."""


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=12, objects=200, features=36, factors=4, probe=40)


def config(**changes: Any) -> SocietyConfig:
    usual: dict[str, Any] = {"agents": 15, "sensors": 9, "memory": 12, "childhood": 6}
    return SocietyConfig(**(usual | changes))


def people(world: World, seed: int = 80, **changes: Any) -> Population:
    return found(world, config(**changes), np.random.default_rng(seed))


def test_the_first_generation_are_objects_that_nobody_has_borne_and_nothing_has_happened_to(world: World) -> None:
    population = people(world)
    assert population.id.tolist() == list(range(15))
    assert (population.parent == NOTHING).all()
    assert np.isin(population.body, world.train).all()
    for name in ("birth", "success", "understood", "contests"):
        assert (getattr(population, name) == 0).all(), name
    assert (population.words == NOTHING).all()
    assert (population.concept == NOTHING).all()
    assert (population.score == np.where(population.held, np.float32(NEUTRAL), 0)).all()


@settings(max_examples=30)
@given(
    exemplars=st.integers(0, 8),
    childhood=st.integers(0, 20),
    memory=st.integers(2, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_newborns_know_themselves_and_those_they_saw_as_children(
    world: World, exemplars: int, childhood: int, memory: int, seed: int
) -> None:
    population = people(world, seed, exemplars=exemplars, childhood=childhood, memory=memory)
    known = min(childhood, memory)
    assert (population.n_seen == known).all()
    assert np.isin(population.seen[:, :known], world.train).all()
    assert (population.seen[:, known:] == NOTHING).all()
    for row in range(15):
        candidates = [population.body[row], *population.seen[row, :known]][:exemplars]
        held = np.flatnonzero(population.held[row])
        assert population.exemplar[row, held].tolist() == list(dict.fromkeys(candidates)), "each once"
        assert (population.kind[row, held] == RAW).all()
        alike = world.features[population.exemplar[row, held]][:, population.sensor[row]]
        alike = alike / np.linalg.norm(alike, axis=1, keepdims=True)
        np.testing.assert_allclose(population.loading[row, held], alike, atol=1e-6)
        assert (population.born[row, held] == 0).all()


def test_bodies_and_childhoods_are_drawn_evenly_from_what_can_be_met(world: World) -> None:
    population = people(world, agents=6000, sensors=8)
    for drawn in (population.body, population.seen[:, :6].ravel()):
        counts = np.bincount(drawn, minlength=world.n_objects)
        assert counts.sum() == counts[world.train].sum()
        assert chisquare(counts[world.train]).pvalue > RARE


@given(n=st.integers(0, 20), m=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_sensors_are_distinct_features(n: int, m: int, seed: int) -> None:
    drawn = distinct(np.random.default_rng(seed), n, m, 12)
    assert drawn.shape == (n, m)
    assert drawn.dtype == np.int32
    assert all(len(set(row)) == m for row in drawn.tolist())
    assert set(drawn.ravel().tolist()) <= set(range(12))


def test_every_ordered_choice_of_sensors_is_equally_likely() -> None:
    drawn = distinct(np.random.default_rng(81), 12_000, 2, 4)
    assert chisquare(np.unique(drawn, axis=0, return_counts=True)[1]).pvalue > RARE
    assert len(np.unique(drawn, axis=0)) == 12


@pytest.mark.parametrize(("features", "expected"), [(6, 6), (20, 8), (64, 16), (256, 48), (1000, 48)])
def test_by_default_an_agent_senses_a_quarter_of_the_features_within_bounds(features: int, expected: int) -> None:
    world = planted(seed=0, objects=40, features=features, factors=2)
    assert n_sensors(SocietyConfig(), world) == expected
    assert n_sensors(SocietyConfig(sensors=5), world) == 5


@given(
    vectors=arrays(
        np.float32, (4, 5), elements=st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 0.01)
    )
)
def test_unit_vectors_keep_their_direction_and_nothing_becomes_the_even_direction(vectors: NDArray[np.float32]) -> None:
    scaled = unit(vectors)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, rtol=1e-5)
    for vector, result in zip(vectors, scaled, strict=True):
        if vector.any():
            np.testing.assert_allclose(result * np.linalg.norm(vector), vector, rtol=1e-4, atol=1e-4)
        else:
            assert (result == result[0]).all()
            assert result[0] > 0


def test_an_object_is_as_like_itself_as_can_be(world: World) -> None:
    population = people(world)
    alike = likeness(world.features, population.body, population.sensor)
    sensed = np.take_along_axis(world.features[population.body], population.sensor.astype(np.intp), axis=1)
    np.testing.assert_allclose((alike * sensed).sum(axis=1), np.linalg.norm(sensed, axis=1), rtol=1e-5)


def test_self_esteem_is_the_mean_over_the_dimensions_held(world: World) -> None:
    population = people(world)
    population.score[2, :4] = [0.1, 0.2, 0.6, 0.9]
    population.clear(np.array([2, 3, 3, 3, 3]), np.array([1, 0, 1, 2, 3]))
    esteem = population.self_esteem(np.array([2, 3, 4]))
    assert esteem.tolist() == pytest.approx([1.6 / 3, NEUTRAL, NEUTRAL])
    assert esteem.dtype == np.float32


def test_a_new_dimension_has_no_history_and_is_felt_and_understood_as_its_owner_is_in_general(world: World) -> None:
    population = people(world)
    population.score[4, :4], population.success[4] = [0.1, 0.2, 0.6, 0.9], 0.7
    population.contests[4, :4], population.words[4, :4, 0], population.concept[4, :4] = 9, np.arange(4), 2
    population.understood[4, :4] = 0.2
    before = population.copy()
    loading = unit(np.arange(9, dtype=np.float32)[None])
    population.generation[4, 1] = 3
    population.install(
        np.array([4]), np.array([1]), loading=loading, kind=ABSTRACT, exemplar=NOTHING, step=31, origin=FACTOR
    )
    assert (population.origin[4, 1], population.generation[4, 1]) == (FACTOR, 0)
    assert (population.loading[4, 1] == loading[0]).all()
    assert (population.kind[4, 1], population.exemplar[4, 1], population.born[4, 1]) == (ABSTRACT, NOTHING, 31)
    assert population.score[4, 1] == pytest.approx(0.45)
    assert population.understood[4, 1] == pytest.approx(0.7)
    assert (population.contests[4, 1], population.concept[4, 1]) == (0, NOTHING)
    assert (population.words[4, 1] == NOTHING).all()
    population.clear(np.array([4]), np.array([1]))
    before.clear(np.array([4]), np.array([1]))
    assert not population.held[4, 1]
    for name, column in population.columns().items():
        assert np.array_equal(column, getattr(before, name)), f"{name} of other dimensions"


def test_a_cleared_slot_is_as_if_nothing_had_ever_been_there(world: World) -> None:
    population, never = people(world, exemplars=3), people(world, exemplars=2)
    population.score[:, 2], population.contests[:, 2], population.words[:, 2] = 0.9, 5, 7
    population.concept[:, 2], population.understood[:, 2], population.generation[:, 2] = 3, 0.4, 2
    population.clear(np.arange(15), np.full(15, 2))
    for name, column in population.columns().items():
        assert np.array_equal(column, getattr(never, name)), name


def test_nobody_takes_an_exemplar_twice(world: World) -> None:
    population = people(world, exemplars=2)
    objects = population.exemplar[:, 1].copy()
    objects[:5] = np.setdiff1d(world.train, population.exemplar)[:5]
    rows = np.arange(15)
    before = population.copy()
    assert take_exemplar(population, rows, np.full(15, 6), objects, world, step=4) == 5
    assert (population.exemplar[:5, 6] == objects[:5]).all()
    assert (population.kind[:, 6] == np.where(rows < 5, RAW, EMPTY)).all()
    assert np.array_equal(population.loading[5:], before.loading[5:])
    assert take_exemplar(population, rows, np.full(15, 7), objects, world, step=5) == 0


def test_a_copy_lives_its_own_life(world: World) -> None:
    population = people(world)
    twin = population.copy()
    for name, column in population.columns().items():
        assert np.array_equal(column, getattr(twin, name)), name
        assert not np.shares_memory(column, getattr(twin, name)), name


def test_an_agent_with_32_sensors_takes_two_and_a_half_kilobytes_at_most(world: World) -> None:
    population = people(world, agents=50, sensors=32, memory=SocietyConfig().memory)
    assert population.bytes_per_agent == sum(column.nbytes for column in population.columns().values()) / 50
    assert population.bytes_per_agent <= 2.5 * 1024
