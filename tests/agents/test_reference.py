"""The vectorised tick and the plain reference live the same life, draw for draw."""

from __future__ import annotations

import dataclasses
from typing import Any

import networkx as nx
import numpy as np
import pytest

from agents.config import SocietyConfig
from agents.population import NO_ORIGIN, NOTHING
from agents.society import Society
from agents.world import World, digits, embedded, planted
from tests.agents.reference import ReferenceSociety

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def small_world() -> World:
    return planted(seed=3, objects=300, features=32, factors=4, probe=80)


@pytest.fixture(scope="module")
def digit_world() -> World:
    return digits(seed=3, probe=80)


def config(**changes: Any) -> SocietyConfig:
    """A quick life: much happens within 60 steps."""
    usual: dict[str, Any] = {
        "agents": 16,
        "sensors": 12,
        "memory": 64,
        "childhood": 16,
        "discovery_interval": 6,
        "selection_interval": 8,
        "turnover": 0.2,
        "merge_interval": 15,
    }
    return SocietyConfig(**(usual | changes))


# What each life adds to the usual one.
LIVES: dict[str, dict[str, Any]] = {
    "language game with audience": {},
    "language game without audience": {"audience": False},
    "gesture game": {"game": "gesture"},
    "an odd number of agents": {"agents": 17},
    "two agents": {"agents": 2, "turnover": 0.5},
    "principal components": {"discovery": "pca"},
    "exemplars alone": {"discovery": "exemplar"},
    "random directions": {"discovery": "random"},
    "random directions from nothing": {"discovery": "random", "exemplars": 0, "dimensions": 3},
    "all sources that the world has": {"discovery": "mixed"},
    "all sources and a small memory": {"discovery": "mixed", "memory": 24, "childhood": 0, "dimensions": 4},
    "all sources of reward": {"reward_talk": 0.5, "reward_comparison": 0.3, "reward_prediction": 0.2},
    "only prediction is rewarded": {"reward_comparison": 0.0, "reward_prediction": 1.0},
    "self-serving attribution": {
        "reward_talk": 0.5,
        "reward_comparison": 0.5,
        "self_attribution": 0.3,
        "bias_gain": 1.5,
        "bias_loss": 0.5,
    },
    "quantiles of contests": {"superiority": "quantile"},
    "quantiles of what attribution leaves": {
        "superiority": "quantile",
        "reward_talk": 0.3,
        "reward_comparison": 0.4,
        "reward_prediction": 0.3,
        "self_attribution": 0.3,
        "rate_up": 0.1,
    },
    "one word a dimension": {"vocabulary": 1},
    "two words a dimension, of which none wins": {"vocabulary": 2, "audience": False, "library_word": False},
    "a memory that overflows": {"memory": 24, "childhood": 0},
    "a memory of everything": {"memory": 512},
    "high mutation": {"mutation": 0.7, "turnover": 0.4},
    "everybody dies": {"turnover": 1.0},
    "the Moran process": {"selection": "moran", "turnover": 0.1},
    "the process of Wright and Fisher": {"selection": "moran", "turnover": 1.0, "reward_talk": 0.3},
    "dimensions that have to pay": {"dimension_floor": 0.7, "discovery_interval": 13},
    "views that run empty": {"dimension_floor": 1.0, "discovery_interval": 0, "selection_interval": 11},
    "gestures of views that run empty": {
        "game": "gesture",
        "common_ground": 0,
        "dimension_floor": 0.6,
        "discovery_interval": 0,
    },
    "frequent merging": {"merge_interval": 4, "selection_interval": 20},
    "a library that tells nothing": {"library_word": False},
    "no common ground": {"common_ground": 0},
    "a single candidate": {"candidates": 1},
    "three dimensions": {"dimensions": 3, "exemplars": 2},
    "one dimension": {"dimensions": 1, "exemplars": 1},
    "nearly every feature sensed": {"sensors": 31, "attention": 0.3, "mutation": 0.5},
    "every feature sensed": {"sensors": 32},
    "phases at odd intervals": {
        "perceive_interval": 2,
        "talk_interval": 3,
        "compare_interval": 6,
        "attribute_interval": 9,
        "feel_interval": 3,
    },
    "no attribution": {"attribute_interval": 0, "reward_talk": 0.5},
}


@pytest.mark.parametrize("name", LIVES)
def test_the_tick_equals_the_plain_reference(small_world: World, name: str) -> None:
    live_alike(small_world, config(**LIVES[name]), steps=60)


@pytest.mark.parametrize(
    "graph",
    [
        nx.connected_watts_strogatz_graph(16, 4, 0.3, seed=1),
        nx.star_graph(15),
        nx.Graph([(0, 1), (2, 2), (2, 3), (3, 4)]),
    ],
    ids=["small world", "star", "hermits"],
)
def test_the_tick_equals_the_reference_where_agents_meet_along_a_graph(small_world: World, graph: nx.Graph) -> None:
    live_alike(small_world, config(), steps=60, graph=graph)


def test_the_tick_equals_the_reference_on_handwritten_digits(digit_world: World) -> None:
    live_alike(digit_world, config(agents=10, sensors=None, reward_talk=0.2), steps=60)


def test_the_tick_equals_the_reference_under_another_seed(small_world: World) -> None:
    live_alike(small_world, config(reward_talk=0.3, reward_prediction=0.3), steps=60, seed=2024)


@pytest.mark.parametrize("discovery", ["embedding", "mixed"])
def test_the_tick_equals_the_reference_where_agents_are_told_of_an_embedding(
    small_world: World, discovery: str
) -> None:
    rng = np.random.default_rng(8)
    hidden = np.maximum(small_world.features @ rng.standard_normal((32, 6)), 0)
    live_alike(embedded(small_world, hidden), config(discovery=discovery), steps=60)


def live_alike(world: World, life: SocietyConfig, *, steps: int, seed: int = 5, graph: nx.Graph | None = None) -> None:
    """Step both societies side by side and compare everything after every step."""
    society = Society(world, life, seed=seed, graph=graph)
    plain = ReferenceSociety(world, life, seed=seed, graph=graph)
    for _ in range(steps):
        assert_same(society, plain)
        society.step()
        plain.step()
    assert_same(society, plain)


def assert_same(society: Society, plain: ReferenceSociety) -> None:
    expected = columns_of(plain)
    actual = society.population.columns()
    assert expected.keys() == actual.keys()
    for name, column in actual.items():
        # NumPy's check says where two columns differ and by how much.
        where = f"{name} after step {plain.steps}"
        if column.dtype.kind == "f":
            np.testing.assert_allclose(column, expected[name], rtol=0, atol=TOLERANCE, err_msg=where)
        else:
            np.testing.assert_array_equal(column, expected[name], err_msg=where)
    assert society.counters == plain.counters
    assert_same_talk(society, plain)
    assert_same_ledger(society, plain)
    assert_same_deaths(society, plain)
    assert society.library.ids == plain.library.ids
    assert [c.word for c in society.library.concepts()] == [c.word for c in plain.library.concepts()]


def assert_same_talk(society: Society, plain: ReferenceSociety) -> None:
    talk = society.talks[-1] if society.talks else None
    if talk is None or not plain.due(plain.config.talk_interval):
        return
    assert talk.success.tolist() == [pair.success for pair in plain.pairs]
    assert talk.word.tolist() == [pair.word for pair in plain.pairs]
    assert talk.known.tolist() == [pair.known for pair in plain.pairs]
    assert talk.speaker_slot.tolist() == [pair.speaker_slot for pair in plain.pairs]
    assert talk.hearer_slot.tolist() == [pair.hearer_slot for pair in plain.pairs]


def assert_same_ledger(society: Society, plain: ReferenceSociety) -> None:
    entries = np.array(plain.ledger).reshape(-1, 3)
    assert society.ledger.count == len(entries)
    np.testing.assert_allclose(society.ledger.total, entries.sum(axis=0), atol=TOLERANCE * max(len(entries), 1))
    np.testing.assert_allclose(society.ledger.squares, entries.T @ entries, atol=TOLERANCE * max(len(entries), 1))


def assert_same_deaths(society: Society, plain: ReferenceSociety) -> None:
    recorded = [
        {field.name: getattr(deaths, field.name)[i].item() for field in dataclasses.fields(deaths)}
        for _, deaths in society.deaths
        for i in range(len(deaths.id))
    ]
    assert recorded == [pytest.approx(death, abs=TOLERANCE) for death in plain.deaths]


SINGLE = ("id", "parent", "birth", "body", "sensor", "communality")


def columns_of(plain: ReferenceSociety) -> dict[str, np.ndarray]:
    """The reference's agents as columns, as `Population` has them."""
    agents, life = plain.agents, plain.config
    blank = {
        "loading": np.zeros(len(agents[0].sensor)),
        "kind": 0,
        "exemplar": NOTHING,
        "score": 0.0,
        "contests": 0,
        "words": [],
        "concept": NOTHING,
        "born": NOTHING,
        "origin": NO_ORIGIN,
        "generation": 0,
        "understood": 0.0,
    }
    columns = {name: [getattr(agent, name) for agent in agents] for name in SINGLE}
    columns |= {name: [getattr(agent, name) for agent in agents] for name in ("seen", "n_seen", "success")}
    columns |= {
        name: [[empty if d is None else getattr(d, name) for d in agent.view] for agent in agents]
        for name, empty in blank.items()
    }
    columns["seen"] = [padded(seen, life.memory) for seen in columns["seen"]]
    columns["words"] = [[padded(words, life.vocabulary) for words in view] for view in columns["words"]]
    return {name: np.array(values) for name, values in columns.items()}


def padded(values: list[int], size: int) -> list[int]:
    return values + [NOTHING] * (size - len(values))
