"""Lineages: who descends from whom, from the record of a society's deaths."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.config import SocietyConfig
from agents.lineage import (
    ancestors_at,
    clades,
    coalescences,
    effective_founders,
    genealogy,
    last_common_ancestor,
    lineages,
    living,
    price,
    summary,
)
from agents.population import NOTHING, Population, found
from agents.selection import Deaths, select_agents
from agents.society import Society
from agents.world import World, planted

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=9, objects=60, features=8, factors=2, probe=8)


Record = list[tuple[int, Deaths]]


def lived(world: World, *, seed: int, steps: int, n: int = 8, **config: Any) -> tuple[Population, Record]:
    """A population after so many selections, and who died in them."""
    usual: dict[str, Any] = {"sensors": 2, "dimensions": 2, "exemplars": 1, "memory": 2, "childhood": 0}
    life = SocietyConfig(agents=n, selection_interval=1, **(usual | config))
    rng = np.random.default_rng(seed)
    population, deaths, next_id = found(world, life, rng), [], n
    population.success[:] = rng.random(n)
    for step in range(1, steps + 1):
        dead = select_agents(population, world, life, step=step, next_id=next_id, rng=rng)
        next_id += len(dead.id)
        deaths.append((step, dead))
    return population, deaths


LIVES = {
    "seed": SEEDS,
    "steps": st.integers(0, 25),
    "turnover": st.sampled_from([0.1, 0.25, 0.6, 1.0]),
    "selection": st.sampled_from(["tournament", "moran"]),
    "mutation": st.sampled_from([0.0, 0.3]),
}


@settings(max_examples=40, deadline=None)
@given(**LIVES)
def test_lineages_are_a_forest_of_all_who_have_lived_and_run_forward_in_time(
    world: World, seed: int, steps: int, turnover: float, selection: str, mutation: float
) -> None:
    population, deaths = lived(world, seed=seed, steps=steps, turnover=turnover, selection=selection, mutation=mutation)
    graph = genealogy(population, deaths)
    assert list(graph.nodes) == list(range(8 + sum(len(dead.id) for _, dead in deaths)))
    assert nx.is_branching(graph), "a forest, in which nobody has two parents"
    assert living(graph).tolist() == sorted(population.id.tolist())
    for parent, child in graph.edges:
        assert graph.nodes[parent]["birth"] < graph.nodes[child]["birth"]
        assert graph.nodes[child]["generation"] == graph.nodes[parent]["generation"] + 1
        assert graph.nodes[child]["founder"] == graph.nodes[parent]["founder"]
        death = graph.nodes[parent]["death"]
        assert death is None or death >= graph.nodes[child]["birth"], "only those who live have children"
    founders = [agent for agent, degree in graph.in_degree if degree == 0]
    assert founders == list(range(8))
    for founder in founders:
        assert graph.nodes[founder] | {"death": None} == {
            "birth": 0,
            "death": None,
            "generation": 0,
            "founder": founder,
        }
    for row, agent in enumerate(population.id.tolist()):
        assert graph.nodes[agent]["birth"] == population.birth[row]
        parent = next(graph.predecessors(agent), NOTHING)
        assert parent == population.parent[row]
    for step, dead in deaths:
        for agent, heir in zip(dead.id.tolist(), dead.heir.tolist(), strict=True):
            assert graph.nodes[agent]["death"] == graph.nodes[heir]["birth"] == step


@settings(max_examples=40, deadline=None)
@given(**LIVES)
def test_clades_ancestors_and_coalescences_are_those_of_the_whole_graph(
    world: World, seed: int, steps: int, turnover: float, selection: str, mutation: float
) -> None:
    population, deaths = lived(world, seed=seed, steps=steps, turnover=turnover, selection=selection, mutation=mutation)
    graph = genealogy(population, deaths)
    alive = set(population.id.tolist())
    line = {agent: nx.ancestors(graph, agent) | {agent} for agent in alive}
    assert clades(graph) == {founder: len(alive & (nx.descendants(graph, founder) | {founder})) for founder in range(8)}
    common = set.intersection(*line.values())
    assert last_common_ancestor(graph) == max(common, default=None)
    # Lineages at each step: the last of each line that had been born by then.
    when = coalescences(graph)
    assert when.tolist() == sorted(when.tolist(), reverse=True)
    for step in range(steps + 1):
        then = [max(a for a in line[agent] if graph.nodes[a]["birth"] <= step) for agent in sorted(alive)]
        assert ancestors_at(graph, sorted(alive), step).tolist() == then
        assert len(set(then)) == len(alive) - (when > step).sum()


def test_relatives_of_a_family_written_down_by_hand() -> None:
    graph = nx.DiGraph([(0, 3), (0, 4), (3, 5), (3, 6), (1, 7)])
    births = {0: 0, 1: 0, 2: 0, 3: 1, 4: 2, 5: 3, 6: 4, 7: 4}
    for agent, birth in births.items():
        graph.add_node(agent, birth=birth, death=None if agent in (2, 4, 5, 6, 7) else 9, founder=0)
    for founder, clan in ((1, (1, 7)), (2, (2,))):
        for agent in clan:
            graph.nodes[agent]["founder"] = founder
    assert clades(graph) == {0: 3, 1: 1, 2: 1}
    assert effective_founders(graph) == pytest.approx(25 / 11)
    assert last_common_ancestor(graph) is None
    assert last_common_ancestor(graph, [5, 6]) == 3
    assert last_common_ancestor(graph, [3, 6]) == 3, "who may be one of them"
    assert last_common_ancestor(graph, [4, 6, 5]) == 0
    assert last_common_ancestor(graph, [6]) == 6
    # Going back, 6 becomes one with 5 in 3 when it is born; 3 and 4 in 0 when the elder is: 3.
    assert coalescences(graph, [4, 5, 6]).tolist() == [3, 1]
    assert coalescences(graph, [6]).tolist() == []
    assert coalescences(graph, [2, 7]).tolist() == []


def test_what_cannot_be_traced_is_refused(world: World) -> None:
    graph = genealogy(*lived(world, seed=1, steps=3, turnover=0.5))
    with pytest.raises(ValueError, match="at least one agent"):
        last_common_ancestor(graph, [])
    with pytest.raises(ValueError, match="agent 999 has never lived"):
        ancestors_at(graph, [0, 999], 1)
    with pytest.raises(ValueError, match="no ancestor had been born by step -1"):
        ancestors_at(graph, [0], -1)


def test_lineages_of_a_young_society_are_its_founders(world: World) -> None:
    society = Society(world, SocietyConfig(agents=4, sensors=8), seed=1)
    graph = lineages(society)
    assert list(graph.nodes) == [0, 1, 2, 3]
    assert not graph.edges
    assert effective_founders(graph) == 4
    assert last_common_ancestor(graph) is None
    assert ancestors_at(graph, [2, 0], 0).tolist() == [2, 0]
    assert summary(graph) == (
        "4 agents have lived; the 4 who live are 0 generations after the founders. "
        "4 of 4 founders have living descendants, and agent 0 most, 1; "
        "equal shares of 4.0 founders would be as diverse. There is no ancestor of all."
    )


def test_a_society_tells_its_lineages_in_plain_words(world: World) -> None:
    life = SocietyConfig(agents=10, sensors=8, turnover=0.5, selection_interval=2, merge_interval=0)
    society = Society(world, life, seed=2)
    for _ in range(40):
        society.step()
    graph = lineages(society)
    assert len(graph) == society.counters.next_id == 110
    ancestor, parted = last_common_ancestor(graph), coalescences(graph)[-1]
    generation = [graph.nodes[agent]["generation"] for agent in living(graph).tolist()]
    founder = graph.nodes[ancestor]["founder"]
    assert summary(graph) == (
        f"110 agents have lived; the 10 who live are {min(generation)} to {max(generation)} generations after the "
        f"founders. 1 of 10 founders have living descendants, and agent {founder} most, 10; "
        f"equal shares of 1.0 founders would be as diverse. All descend from agent {ancestor}; its line parted at step "
        f"{parted}."
    )


@settings(max_examples=40)
@given(seed=SEEDS, n=st.integers(1, 12), m=st.integers(1, 12))
def test_selection_and_transmission_add_up_to_the_change_and_are_what_price_says(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
    ancestor = rng.integers(n, size=m)
    selection, transmission = price(before, after, ancestor)
    np.testing.assert_allclose(selection + transmission, after.mean(axis=0) - before.mean(axis=0), atol=1e-12)
    w = np.bincount(ancestor, minlength=n)
    for trait in range(3):
        covariance = (w * before[:, trait]).mean() - w.mean() * before[:, trait].mean()
        assert selection[trait] == pytest.approx(covariance / w.mean())
        changed = [after[ancestor == i, trait].mean() - before[i, trait] for i in range(n) if w[i]]
        assert transmission[trait] == pytest.approx((w[w > 0] * changed).sum() / w.sum())
    same = price(before, before[ancestor], ancestor)
    assert (same[1] == 0).all()


def test_many_lineages_are_as_right_as_few() -> None:
    """A long line of single children, a wide one, and everything between: far more agents than live at once."""
    rng = np.random.default_rng(3)
    n, steps = 50, 400
    ids, birth, deaths, next_id = np.arange(n), np.zeros(n, dtype=np.int32), [], n
    parents: dict[int, int] = {}
    for step in range(1, steps + 1):
        dead = rng.permutation(n)[:25]
        parent = rng.choice(np.setdiff1d(np.arange(n), dead), 25)
        heir = next_id + np.arange(25)
        deaths.append(
            (
                step,
                Deaths(
                    id=ids[dead],
                    age=step - birth[dead],
                    fitness=np.zeros(25),
                    dimensions=np.zeros(25, dtype=np.intp),
                    heir=heir,
                    parent=ids[parent],
                ),
            )
        )
        parents |= dict(zip(heir.tolist(), ids[parent].tolist(), strict=True))
        ids[dead], birth[dead], next_id = heir, step, next_id + 25
    world = planted(seed=0, objects=20, features=2, factors=1, probe=2)
    population = found(
        world, SocietyConfig(agents=n, sensors=1, dimensions=1, exemplars=0, memory=2), np.random.default_rng(0)
    )
    population.id[:], population.birth[:] = ids, birth
    graph = genealogy(population, deaths)
    assert len(graph) == n + 25 * steps
    for agent in ids.tolist():
        depth, up = 0, agent
        while up in parents:
            depth, up = depth + 1, parents[up]
        assert (graph.nodes[agent]["generation"], graph.nodes[agent]["founder"]) == (depth, up)
    assert sum(clades(graph).values()) == n
    assert len(coalescences(graph)) == n - 1
