"""The society as a Mesa model: registers, spaces, pickling, sequential activation."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import mesa
import networkx as nx
import numpy as np
import pytest

from agents import Society, SocietyConfig
from agents.agent import Agent
from agents.meeting import Meeting
from agents.rows import RowSet
from agents.world import planted

WORLD = planted(seed=0, objects=200, features=24, factors=4, probe=60)
LIVELY: dict[str, Any] = {
    "agents": 30, "sensors": 12, "memory": 64, "discovery_interval": 4, "selection_interval": 5,
    "merge_interval": 6, "turnover": 0.2,
}  # fmt: skip


def society_of(*, seed: int = 1, graph: nx.Graph | None = None, **config: Any) -> Society:
    return Society(WORLD, SocietyConfig(**LIVELY | config), seed=seed, graph=graph)


def run(society: Society, steps: int) -> Society:
    for _ in range(steps):
        society.step()
    return society


def assert_same(a: Society, b: Society) -> None:
    """Every bit of two societies is the same."""
    for name, column in a.population.columns().items():
        assert np.array_equal(column, getattr(b.population, name)), name
    assert a.rng.bit_generator.state == b.rng.bit_generator.state
    assert a.steps == b.steps
    assert a.counters == b.counters
    assert a.library.ids == b.library.ids
    assert np.array_equal(a.library.loadings, b.library.loadings)
    assert len(a.library) > 0


def test_mesas_registers_know_the_one_type_of_agent() -> None:
    society = society_of()
    assert society.agent_types == [Agent]
    assert list(society.agents_by_type) == [Agent]
    assert isinstance(society.agents, RowSet)
    assert society.agents_by_type[Agent] == society.agents
    with pytest.raises(AttributeError):
        society.agents = []  # type: ignore[misc, assignment]


def test_agents_can_be_placed_in_a_mesa_space() -> None:
    society = society_of()
    space = mesa.space.NetworkGrid(nx.cycle_graph(30))
    for agent in society.agents:
        space.place_agent(agent, agent.row)
    assert society.agents.get("pos") == list(range(30))
    near = space.get_neighbors(3, include_center=False)
    assert sorted(agent.unique_id for agent in near) == [2, 4]
    space.move_agent(society.agents[3], 10)
    assert society.agents[3].pos == 10
    space.remove_agent(society.agents[4])
    assert society.agents[4].pos is None
    assert 4 not in society.positions
    gone = society.agents[5]
    society.population.id[5] = 30
    assert society.agents[5].pos is None
    space.remove_agent(gone)
    assert gone.pos is None


@pytest.mark.parametrize("activation", ["synchronous", "sequential"])
@pytest.mark.parametrize("twin_of", [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy])
def test_a_pickled_or_copied_society_goes_on_exactly_as_the_original(activation: str, twin_of: Any) -> None:
    society = run(society_of(activation=activation), 13)
    twin = twin_of(society)
    assert_same(society, twin)
    assert twin.step.__self__ is twin
    run(twin, 1)
    assert (twin.steps, society.steps) == (14, 13)
    run(twin, 12)
    assert society.steps == 13
    run(society, 13)
    assert_same(society, twin)
    assert society.counters.deaths > 0


def test_sequential_activation_is_reproducible_and_another_model() -> None:
    one, same, synchronous = (
        run(society_of(activation=activation), 15) for activation in ("sequential", "sequential", "synchronous")
    )
    assert_same(one, same)
    assert not np.array_equal(one.population.score, synchronous.population.score)
    assert one.counters.dims_discovered > 0
    assert one.counters.deaths == 18
    assert max(len(agent.view) for agent in one.agents) <= 8


def test_a_sequential_step_lets_each_agent_meet_once_in_random_order() -> None:
    met: list[list[int]] = []

    class Watched(Society):
        def meet_one(self, row: int) -> Meeting | None:
            met[-1].append(row)
            return super().meet_one(row)

    society = Watched(WORLD, SocietyConfig(**LIVELY, activation="sequential"), seed=4)
    for _ in range(6):
        met.append([])
        society.step()
    assert all(sorted(rows) == list(range(30)) for rows in met)
    assert met[0] != met[1]


def test_a_sequential_step_is_one_meeting_after_the_other() -> None:
    society, by_hand = society_of(activation="sequential"), society_of(activation="sequential")
    society.step()
    by_hand.steps = 1
    for row in by_hand.rng.permutation(30).tolist():
        meeting = by_hand.meet_one(row)
        assert meeting is not None
        assert meeting.speaker.tolist() == [row]
        by_hand.live(meeting)
    for name, column in society.population.columns().items():
        assert np.array_equal(column, getattr(by_hand.population, name)), name
    assert society.rng.bit_generator.state == by_hand.rng.bit_generator.state


def test_hermits_of_a_graph_meet_nobody_in_a_sequential_society() -> None:
    graph = nx.cycle_graph(29)
    graph.add_node(29)
    society = run(society_of(activation="sequential", graph=graph, selection_interval=0), 3)
    assert society.population.n_seen[29] == SocietyConfig().childhood
    assert (society.population.n_seen[:29] > SocietyConfig().childhood).all()
