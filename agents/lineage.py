"""Lineages: who descends from whom, as a graph.

A society records who died at each selection, who came instead, and who that one's parent is. `lineages` makes of it a
forest: a node for everybody who has ever lived, an edge from each parent to each of its children. The functions here
are of such graphs, and networkx has many more.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from agents.population import NOTHING, Population
from agents.selection import Deaths

if TYPE_CHECKING:
    from agents.society import Society


def lineages(society: Society) -> nx.DiGraph:
    """Who descends from whom in a society, up to now; see `genealogy`."""
    return genealogy(society.population, society.deaths)


def genealogy(population: Population, deaths: Sequence[tuple[int, Deaths]]) -> nx.DiGraph:
    """The forest of all agents that have lived, edges from parents to children.

    Nodes are ids, in ascending order (children after their parents), with the attributes ``birth`` and ``death``, the
    steps at which an agent was born and died (None while it lives), ``generation``, 0 for a founder, and ``founder``,
    the id of the founder it descends from.

    Parameters
    ----------
    population : those who live now
    deaths : all selections so far, each with its step
    """
    ids, birth, death, parent = _register(population, deaths)
    founder, generation = _roots(parent)
    graph = nx.DiGraph()
    columns = zip(birth.tolist(), death.tolist(), generation.tolist(), ids[founder].tolist(), strict=True)
    graph.add_nodes_from(
        (agent, {"birth": born, "death": None if died == NOTHING else died, "generation": depth, "founder": root})
        for agent, (born, died, depth, root) in zip(ids.tolist(), columns, strict=True)
    )
    children = np.flatnonzero(parent != NOTHING)
    graph.add_edges_from(zip(ids[parent[children]].tolist(), ids[children].tolist(), strict=True))
    return graph


def living(graph: nx.DiGraph) -> NDArray[np.int64]:
    """The ids of those who live, ascending."""
    return np.array([agent for agent, death in graph.nodes(data="death") if death is None], dtype=np.int64)


def clades(graph: nx.DiGraph) -> dict[int, int]:
    """How many living descendants each founder has, itself counted while it lives."""
    count = {agent: 0 for agent, founder in graph.nodes(data="founder") if agent == founder}
    for _, node in graph.nodes(data=True):
        count[node["founder"]] += node["death"] is None
    return count


def effective_founders(graph: nx.DiGraph) -> float:
    """How many founders with equally many living descendants would be as diverse: 1 / sum p^2 (Lacy 1989)."""
    count = np.array(list(clades(graph).values()), dtype=np.float64)
    return float(count.sum() ** 2 / (count**2).sum())


def coalescences(graph: nx.DiGraph, agents: Iterable[int] | None = None) -> NDArray[np.int64]:
    """Going back in time, the steps at which two lineages of ``agents`` become one, latest first (Kingman 1982).

    Such a step is that of the birth of a child whose parent is, or has other descendants, among them. There are as many
    as agents without those that share no ancestor. By default of all who live.
    """
    return np.array(_traced(graph, agents)[0], dtype=np.int64)


def last_common_ancestor(graph: nx.DiGraph, agents: Iterable[int] | None = None) -> int | None:
    """The last agent from whom all of ``agents`` descend, perhaps one of them; None where there is none.

    By default of all who live.
    """
    left = _traced(graph, agents)[1]
    return left[0] if len(left) == 1 else None


def ancestors_at(graph: nx.DiGraph, agents: Iterable[int], step: int) -> NDArray[np.int64]:
    """Who of those that had been born by ``step`` each of ``agents`` is or descends from: int64 [n].

    Raises
    ------
    ValueError
        If an agent has never lived, or nobody from whom it descends had been born by then.
    """
    ids = np.array(graph.nodes, dtype=np.int64)
    birth = np.array([born for _, born in graph.nodes(data="birth")], dtype=np.int64)
    parent = np.full(len(ids), NOTHING, dtype=np.intp)
    if graph.number_of_edges():
        ends = np.searchsorted(ids, np.array(graph.edges, dtype=np.int64))
        parent[ends[:, 1]] = ends[:, 0]
    asked = np.fromiter(agents, dtype=np.int64)
    if not np.isin(asked, ids).all():
        raise ValueError(f"agent {asked[~np.isin(asked, ids)][0]} has never lived")
    at = np.searchsorted(ids, asked)
    while (later := birth[at] > step).any():
        at = np.where(later, parent[at], at)
        if (at == NOTHING).any():
            raise ValueError(f"no ancestor had been born by step {step}")
    return ids[at]


def price(
    before: NDArray[np.floating], after: NDArray[np.floating], ancestor: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How the mean of a trait changes: by selection, and by transmission; they add up to the change (Price 1970).

    Selection is Cov(w, z) / mean w, the selection differential, with w_i the number of those after who are or descend
    from i; transmission is E(w dz) / mean w, by how much they differ from i.

    Parameters
    ----------
    before : [n, ...], the trait (or several) of those who lived before
    after : [m, ...], of those who live after
    ancestor : int [m], the place among those before of whom each of those after is or descends from
    """
    z, descended = before.astype(np.float64), before.astype(np.float64)[ancestor]
    share = np.bincount(ancestor, minlength=len(before)) / len(after)
    selection = np.tensordot(share - 1 / len(before), z - z.mean(axis=0), axes=1)
    return np.asarray(selection), np.asarray((after - descended).mean(axis=0))


def summary(graph: nx.DiGraph) -> str:
    """The lineages in plain words, for people."""
    alive, count = living(graph), clades(graph)
    depth = np.array([graph.nodes[agent]["generation"] for agent in alive.tolist()])
    left = [founder for founder, descendants in count.items() if descendants]
    most = max(count, key=lambda founder: count[founder])
    sentences = [
        f"{len(graph):,} agents have lived; the {len(alive):,} who live are {_range(depth)} generations after the "
        "founders.",
        f"{len(left):,} of {len(count):,} founders have living descendants, and agent {most} most, {count[most]:,}; "
        f"equal shares of {effective_founders(graph):.1f} founders would be as diverse.",
    ]
    ancestor = last_common_ancestor(graph)
    if ancestor is None:
        sentences.append("There is no ancestor of all.")
    elif len(alive) > 1:
        sentences.append(f"All descend from agent {ancestor}; its line parted at step {coalescences(graph)[-1]:,}.")
    return " ".join(sentences)


def _register(population: Population, deaths: Sequence[tuple[int, Deaths]]) -> tuple[NDArray[np.int64], ...]:
    """Everybody who has lived, by id: ids, birth and death (-1: not yet), and the parent's place (-1: a founder)."""

    def column(name: str) -> NDArray[Any]:
        parts = [getattr(dead, name) for _, dead in deaths]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64)

    died = np.repeat([step for step, _ in deaths], [len(dead.id) for _, dead in deaths]).astype(np.int64)
    ids = np.concatenate([column("id"), population.id])
    birth = np.concatenate([died - column("age"), population.birth])
    death = np.concatenate([died, np.full(len(population), NOTHING)])
    order = np.argsort(ids)
    ids, birth, death = ids[order], birth[order], death[order]
    parent = np.full(len(ids), NOTHING)
    parent[np.searchsorted(ids, column("heir"))] = np.searchsorted(ids, column("parent"))
    return ids, birth, death, parent


def _roots(parent: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The root above each place of a forest, and how far above; every round looks twice as far (pointer jumping)."""
    up = np.where(parent == NOTHING, np.arange(len(parent)), parent)
    distance = (parent != NOTHING).astype(np.int64)
    while (distance[up] > 0).any():
        distance += distance[up]
        up = up[up]
    return up, distance


def _traced(graph: nx.DiGraph, agents: Iterable[int] | None) -> tuple[list[int], list[int]]:
    """The lineages of ``agents`` traced back until they are one: when two became one, and which are left.

    A child is younger than its parent and has a larger id, so the largest id is always the next to be traced.
    """
    there = set(living(graph).tolist() if agents is None else (int(agent) for agent in agents))
    if not there:
        raise ValueError("there must be at least one agent to trace back")
    waiting = [-agent for agent in there]
    heapq.heapify(waiting)
    joined: list[int] = []
    roots: list[int] = []
    while waiting and len(waiting) + len(roots) > 1:
        agent = -heapq.heappop(waiting)
        parent = next(graph.predecessors(agent), None)
        if parent is None:
            roots.append(agent)
        elif parent in there:
            joined.append(graph.nodes[agent]["birth"])
        else:
            there.add(parent)
            heapq.heappush(waiting, -parent)
    return joined, roots + [-agent for agent in waiting]


def _range(depth: NDArray[np.int64]) -> str:
    least, most = int(depth.min()), int(depth.max())
    return f"{least}" if least == most else f"{least} to {most}"
