"""What holds in every society after every step, and that a seed determines a life."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray

from agents.config import MAX_DIMENSIONS, SocietyConfig
from agents.population import ABSTRACT, EMPTY, NOTHING, RAW, likeness
from agents.society import Society
from agents.world import World, digits, planted

WORLD = planted(seed=14, objects=240, features=32, factors=5, probe=60)


@st.composite
def lives(draw: DrawFn) -> SocietyConfig:
    """Small societies of every sort, in which much happens within a dozen steps."""
    dimensions = draw(st.integers(1, 8))
    shares = st.sampled_from([0.0, 0.3, 1.0])
    interval = st.integers(0, 4)
    judged = draw(st.integers(0, 2))
    return SocietyConfig(
        agents=draw(st.integers(2, 25)),
        dimensions=dimensions,
        sensors=draw(st.integers(8, 32)),
        memory=draw(st.integers(2, 80)),
        childhood=draw(st.integers(0, 60)),
        exemplars=draw(st.integers(0, dimensions)),
        vocabulary=draw(st.integers(1, 4)),
        activation=draw(st.sampled_from(["synchronous", "synchronous", "sequential"])),
        game=draw(st.sampled_from(["language", "language", "gesture"])),
        candidates=draw(st.integers(1, 6)),
        common_ground=draw(st.integers(0, 8)),
        audience=draw(st.booleans()),
        rate_up=draw(shares),
        rate_down=draw(shares),
        superiority=draw(st.sampled_from(["expectile", "quantile"])),
        reward_talk=draw(shares),
        reward_comparison=draw(shares),
        reward_prediction=draw(shares) if judged else 0.0,
        self_attribution=draw(st.floats(0, 1)),
        bias_gain=draw(st.floats(0, 5)),
        bias_loss=draw(st.floats(0, 5)),
        discovery=draw(st.sampled_from(["factor", "pca"])),
        attention=draw(shares),
        dimension_floor=draw(shares),
        turnover=draw(shares),
        tournament=draw(st.integers(1, 4)),
        mutation=draw(shares),
        compare_interval=judged,
        attribute_interval=draw(st.integers(0, 2)),
        discovery_interval=draw(interval),
        selection_interval=draw(interval),
        merge_interval=draw(interval),
        library_word=draw(st.booleans()),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(life=lives(), seed=st.integers(0, 2**32 - 1), along_a_graph=st.booleans())
def test_every_society_is_sound_after_every_step(life: SocietyConfig, seed: int, along_a_graph: bool) -> None:
    graph = nx.cycle_graph(life.agents) if along_a_graph else None
    society = Society(WORLD, life, seed=seed, graph=graph)
    assert_sound(society)
    for _ in range(9):
        society.step()
        assert_sound(society)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reward_talk": 0.5, "reward_prediction": 0.5, "self_attribution": 0.3, "bias_gain": 2.0},
        {"game": "gesture", "discovery": "pca"},
        {"activation": "sequential", "agents": 20},
    ],
    ids=["as usual", "all rewards", "gestures", "one after the other"],
)
def test_a_society_stays_sound_through_a_long_life(changes: dict[str, Any]) -> None:
    society = Society(digits(seed=0, probe=60), lively(**changes), seed=100)
    for _ in range(80):
        society.step()
        if society.steps % 5 == 0:
            assert_sound(society)
    counters = society.counters
    assert counters.deaths > 0
    assert counters.dims_discovered > 0
    assert (society.population.kind == ABSTRACT).any()
    assert (society.population.held.sum(axis=1) == MAX_DIMENSIONS).any(), "some minds are full"


def lively(**changes: Any) -> SocietyConfig:
    usual: dict[str, Any] = {"agents": 40, "sensors": 12, "memory": 64, "childhood": 20, "turnover": 0.2}
    usual |= {"discovery_interval": 6, "selection_interval": 7, "merge_interval": 15}
    return SocietyConfig(**(usual | changes))


def assert_sound(society: Society) -> None:
    assert_dimensions_are_sound(society)
    assert_words_are_sound(society)
    assert_minds_are_sound(society)
    counters, population = society.counters, society.population
    assert len(population) == society.config.agents
    assert counters.births == counters.deaths == counters.next_id - society.config.agents
    ids = population.id.tolist()
    assert len(set(ids)) == len(ids)
    assert min(ids) >= 0
    assert max(ids) < counters.next_id
    assert (population.parent < population.id).all()
    assert ((population.birth >= 0) & (population.birth <= society.steps)).all()
    assert ((population.parent == NOTHING) == (population.id < society.config.agents)).all()


def assert_dimensions_are_sound(society: Society) -> None:
    population, world = society.population, society.world
    held, kind = population.held, population.kind
    assert population.n_slots == society.config.dimensions <= MAX_DIMENSIONS
    assert held.sum(axis=1).max() <= society.config.dimensions
    assert np.isin(kind, (EMPTY, RAW, ABSTRACT)).all()
    np.testing.assert_allclose(np.linalg.norm(population.loading, axis=2), held, atol=1e-5)
    assert (population.loading[~held] == 0).all()
    assert ((population.exemplar >= 0) == (kind == RAW)).all()
    assert np.isin(population.exemplar[kind == RAW], world.train).all()
    rows, slots = np.nonzero(kind == RAW)
    alike = likeness(world.features, population.exemplar[rows, slots], population.sensor[rows])
    direction = (alike * population.loading[rows, slots]).sum(axis=1)
    np.testing.assert_allclose(np.abs(direction), 1, atol=1e-5)
    for exemplars in population.exemplar:
        there = exemplars[exemplars >= 0].tolist()
        assert len(set(there)) == len(there), "nobody has an exemplar twice"
    for name in ("score", "understood"):
        assert_shares(getattr(population, name))
        assert (getattr(population, name)[~held] == 0).all(), name
    assert (population.contests >= 0).all()
    assert (population.contests[~held] == 0).all()
    born = population.born
    assert (born[~held] == NOTHING).all()
    assert (born[held] <= society.steps).all()
    assert (born >= population.birth[:, None])[held].all()
    assert (population.concept >= NOTHING).all()
    assert (population.concept[~held] == NOTHING).all()


def assert_words_are_sound(society: Society) -> None:
    population = society.population
    there = population.words >= 0
    assert (population.words >= NOTHING).all()
    assert (there[:, :, :-1] >= there[:, :, 1:]).all(), "free places come last"
    assert not there[~population.held].any()
    assert population.words.max() < max(society.counters.n_words, 1)
    for words in population.words.reshape(len(population), -1):
        known = words[words >= 0].tolist()
        assert len(set(known)) == len(known), "a word means one thing to an agent"


def assert_minds_are_sound(society: Society) -> None:
    population, world, memory = society.population, society.world, society.config.memory
    assert np.isin(population.body, world.train).all()
    assert not np.isin(population.body, world.held_out).any()
    for sensor in population.sensor:
        assert len(set(sensor.tolist())) == population.n_sensors
    assert population.sensor.min() >= 0
    assert population.sensor.max() < world.n_features
    there = population.seen != NOTHING
    assert np.isin(population.seen[there], world.train).all(), "what is held out has not been seen"
    assert (there.sum(axis=1) == np.minimum(population.n_seen, memory)).all()
    assert (there[:, :-1] >= there[:, 1:]).all()
    assert_shares(population.success)
    assert_shares(population.communality)


def assert_shares(values: NDArray[np.float32]) -> None:
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.max() <= 1


@pytest.mark.parametrize("activation", ["synchronous", "sequential"])
def test_the_same_seed_lives_the_same_life_and_another_seed_another(activation: Any) -> None:
    one, same, other = (Society(WORLD, lively(agents=20, activation=activation), seed=seed) for seed in (1, 1, 2))
    for _ in range(31):
        for society in (one, same, other):
            society.step()
    assert one.counters == same.counters
    assert one.ledger.shares() == same.ledger.shares()
    assert one.library.ids == same.library.ids
    assert np.array_equal(one.library.loadings, same.library.loadings)
    for name, column in one.population.columns().items():
        assert column.tobytes() == getattr(same.population, name).tobytes(), name
    for name in ("body", "sensor", "seen", "loading", "score", "words", "success"):
        assert not np.array_equal(getattr(one.population, name), getattr(other.population, name)), name


def test_a_life_leaves_the_world_as_it_was() -> None:
    world: World = planted(seed=15, objects=120, features=16, factors=3, probe=30)
    before = {name: getattr(world, name).copy() for name in ("features", "train", "held_out", "probe", "mean", "scale")}
    society = Society(world, lively(agents=12, sensors=8), seed=3)
    for _ in range(20):
        society.step()
    for name, array in before.items():
        assert np.array_equal(getattr(world, name), array), name


def test_what_is_held_out_makes_no_difference_to_a_life() -> None:
    """Neither agents nor library look at held-out objects: with nonsense in their place everything stays the same."""
    nonsense = WORLD.features.copy()
    nonsense[WORLD.held_out] = np.nan
    blind = World(**{**vars(WORLD), "features": nonsense})
    one, other = (Society(world, lively(agents=20), seed=4) for world in (WORLD, blind))
    for _ in range(31):
        one.step()
        other.step()
    for name, column in one.population.columns().items():
        assert np.array_equal(column, getattr(other.population, name)), name
    assert len(one.library) > 0
    assert np.array_equal(one.library.loadings, other.library.loadings)
