"""One agent as a facade over its row."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import mesa
import numpy as np
import pytest

from agents import InputError, Society, SocietyConfig
from agents.agent import COLUMNS, Agent, DeadAgentError, attribute_values
from agents.population import NOTHING
from agents.selection import fitness
from agents.world import planted

WORLD = planted(seed=0, objects=200, features=24, factors=4, probe=60)


@pytest.fixture
def society() -> Society:
    society = Society(WORLD, SocietyConfig(agents=30, sensors=12, memory=64), seed=1)
    for _ in range(12):
        society.step()
    return society


def bury(society: Society, row: int) -> None:
    society.population.id[row] = society.counters.next_id
    society.counters.next_id += 1


def test_every_attribute_of_an_agent_is_what_the_columns_say(society: Society) -> None:
    population = society.population
    worth = fitness(population)
    for row, agent in enumerate(society.agents):
        assert isinstance(agent, mesa.Agent)
        assert (agent.row, agent.unique_id, agent.model) == (row, population.id[row], society)
        for name in COLUMNS:
            assert np.array_equal(getattr(agent, name), getattr(population, name)[row]), name
        assert agent.seen.tolist() == [i for i in population.seen[row].tolist() if i != NOTHING]
        assert agent.age == society.steps - population.birth[row]
        assert agent.fitness == worth[row]
        assert agent.n_dimensions == len(agent.view) == population.held[row].sum()
        assert agent.superiority == pytest.approx(population.score[row][population.held[row]].mean())
        assert agent.rng is society.rng
        assert agent.random is society.random
        assert agent.pos is None
        assert agent.alive


def test_an_attribute_means_the_same_for_one_agent_and_for_all_in_value_and_in_type(society: Society) -> None:
    for name in (*COLUMNS, "unique_id", "age", "fitness", "superiority", "n_dimensions", "row"):
        together, one_by_one = society.agents.get(name), [getattr(a, name) for a in society.agents]
        assert len(together) == 30
        for a, b in zip(together, one_by_one, strict=True):
            assert type(a) is type(b)
            assert np.array_equal(a, b)
    assert attribute_values(society.population, society.steps, "view") is None
    assert attribute_values(society.population, society.steps, "id") is None


def test_setting_writes_into_the_column_and_only_into_slots_that_hold_something() -> None:
    society = Society(WORLD, SocietyConfig(agents=5, sensors=12, exemplars=3), seed=0)
    agent, population = society.agents[2], society.population
    agent.success = 0.5
    agent.body = int(WORLD.train[7])
    agent.score = 0.25
    agent.contests = np.arange(8)
    agent.understood = [0.5] * 8
    assert population.success.tolist() == [0, 0, 0.5, 0, 0]
    assert population.body[2] == WORLD.train[7]
    assert population.score[2].tolist() == [0.25] * 3 + [0] * 5
    assert population.contests[2].tolist() == [0, 1, 2] + [0] * 5
    assert population.understood[2].tolist() == [0.5] * 3 + [0] * 5
    assert population.score[1].tolist() == [0.5 if held else 0 for held in population.held[1]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("success", 1.5),
        ("success", float("nan")),
        ("success", "high"),
        ("success", None),
        ("success", [0.5, 0.5]),
        ("score", [0.5] * 7),
        ("score", -0.1),
        ("contests", -1),
        ("contests", 2.5),
        ("contests", 2**31),
        ("body", int(WORLD.held_out[0])),
        ("body", 1000),
        ("body", 1.5),
        ("contests", float("inf")),
        ("contests", float("nan")),
    ],
)
def test_values_that_a_column_cannot_hold_are_refused_and_nothing_is_written(
    society: Society, name: str, value: Any
) -> None:
    before = society.population.copy()
    with pytest.raises(InputError, match=f"^{name} "):
        setattr(society.agents[0], name, value)
    assert np.array_equal(getattr(before, name), getattr(society.population, name))


def test_what_would_be_lost_with_the_facade_cannot_be_set(society: Society) -> None:
    agent = society.agents[0]
    for name in ("energy", "unique_id", "row", "model", "kind", "fitness", "parent", "step", "rng"):
        with pytest.raises(AttributeError, match=f"agent.{name} cannot be set"):
            setattr(agent, name, 1)
    with pytest.raises(ValueError, match="read-only"):
        agent.score[0] = 0.5
    assert vars(agent) == {}


def test_what_was_read_does_not_change_afterwards(society: Society) -> None:
    agent = society.agents[0]
    before = agent.score
    society.population.score[0] = 0.125
    assert not np.array_equal(before, agent.score)


def test_reading_the_dead_says_so_instead_of_answering_for_the_heir(society: Society) -> None:
    agent = society.agents[4]
    old = agent.unique_id
    bury(society, 4)
    assert not agent.alive
    assert repr(agent) == f"<Agent {old}: dead>"
    heir = society.agents[4]
    assert heir.alive
    assert heir != agent
    names = (*COLUMNS, "seen", "age", "fitness", "superiority", "n_dimensions", "view")
    for name in names:
        with pytest.raises(DeadAgentError, match=f"agent {old} died, and row 4 is agent {heir.unique_id} now"):
            getattr(agent, name)
    before = society.population.copy()
    with pytest.raises(DeadAgentError):
        agent.success = 1.0
    with pytest.raises(DeadAgentError):
        agent.step()
    for name, column in before.columns().items():
        assert np.array_equal(column, getattr(society.population, name))
    assert issubclass(DeadAgentError, LookupError)


def test_agents_are_equal_if_they_are_the_same_one_of_the_same_society(society: Society) -> None:
    other = copy.deepcopy(society)
    assert society.agents[3] == society.agents[3] == Agent(society, 3)
    assert society.agents[3] is not society.agents[3]
    assert hash(society.agents[3]) == hash(Agent(society, 3))
    assert society.agents[3] != society.agents[4]
    assert society.agents[3] != other.agents[3]
    assert society.agents[3] != 3
    assert len({*society.agents, *society.agents}) == 30


def test_agents_survive_pickling_as_keys_of_what_the_society_holds(society: Society) -> None:
    society.friends = {agent: agent.unique_id for agent in society.agents}
    for twin in (pickle.loads(pickle.dumps(society)), copy.deepcopy(society)):
        assert [twin.friends[agent] for agent in twin.agents] == [agent.unique_id for agent in society.agents]
        assert all(agent.model is twin for agent in twin.friends)
    alone = pickle.loads(pickle.dumps(society.agents[3]))
    assert alone.unique_id == society.agents[3].unique_id
    assert alone.model is not society
    assert alone.score.tolist() == society.agents[3].score.tolist()
    assert copy.copy(society.agents[3]) == society.agents[3]


def test_rows_that_do_not_exist_have_no_agent(society: Society) -> None:
    for row in (-1, 30):
        with pytest.raises(IndexError):
            Agent(society, row)


def test_nobody_is_created_registered_or_removed_one_by_one(society: Society) -> None:
    class Stranger(mesa.Agent):  # type: ignore[misc]
        pass

    agent = society.agents[0]
    for attempt in (
        agent.remove,
        society.remove_all_agents,
        lambda: society.deregister_agent(agent),
        lambda: society.register_agent(agent),
        lambda: Agent.create_agents(society, 3),
        lambda: Stranger(society),
        lambda: society.agents.do("remove"),
    ):
        with pytest.raises(RuntimeError, match="kept by selection"):
            attempt()
    with pytest.raises(AttributeError):
        _ = society._agents
    assert len(society.agents) == 30
