"""Phase 1: who meets whom, over which objects."""

from __future__ import annotations

import itertools
from collections import Counter

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from agents.meeting import Experience, Meeting, edges_of, matching, meet, meet_one, random_pairs, scenes
from tests.agents.reference_meeting import greedy_matching

RARE = 1e-3
"""Below this p-value a fixed-seed sample does not pass for uniform."""


def edges_strategy(n_agents: int = 9) -> st.SearchStrategy[list[tuple[int, int]]]:
    pairs = list(itertools.combinations(range(n_agents), 2))
    return st.lists(st.sampled_from(pairs), min_size=1, unique=True)


@given(n=st.integers(2, 40), seed=st.integers(0, 2**32 - 1))
def test_everyone_is_in_exactly_one_pair_and_one_sits_out_where_the_number_is_odd(n: int, seed: int) -> None:
    speaker, hearer = random_pairs(n, np.random.default_rng(seed))
    assert len(speaker) == len(hearer) == n // 2
    paired = np.concatenate([speaker, hearer])
    assert len(np.unique(paired)) == 2 * (n // 2)
    assert set(paired.tolist()) <= set(range(n))


@pytest.mark.parametrize(("n", "n_matchings"), [(4, 12), (5, 60)])
def test_every_matching_is_equally_likely(n: int, n_matchings: int) -> None:
    rng = np.random.default_rng(20)
    outcomes: Counter[frozenset[tuple[int, int]]] = Counter()
    for _ in range(100 * n_matchings):
        speaker, hearer = random_pairs(n, rng)
        outcomes[frozenset(zip(speaker.tolist(), hearer.tolist(), strict=True))] += 1
    assert len(outcomes) == n_matchings
    assert chisquare(list(outcomes.values())).pvalue > RARE


@given(edges=edges_strategy(), seed=st.integers(0, 2**32 - 1))
def test_the_matching_along_a_graph_is_the_greedy_one_over_the_same_random_order(
    edges: list[tuple[int, int]], seed: int
) -> None:
    speaker, hearer = matching(np.array(edges), 9, np.random.default_rng(seed))
    one_by_one = greedy_matching(edges, np.random.default_rng(seed))
    assert list(zip(speaker.tolist(), hearer.tolist(), strict=True)) == one_by_one


@given(edges=edges_strategy(), seed=st.integers(0, 2**32 - 1))
def test_the_matching_along_a_graph_is_maximal_and_keeps_to_its_edges(edges: list[tuple[int, int]], seed: int) -> None:
    speaker, hearer = matching(np.array(edges), 9, np.random.default_rng(seed))
    pairs = list(zip(speaker.tolist(), hearer.tolist(), strict=True))
    busy = [end for pair in pairs for end in pair]
    assert len(busy) == len(set(busy))
    assert all((a, b) in edges or (b, a) in edges for a, b in pairs)
    assert all(a in busy or b in busy for a, b in edges)


def test_along_an_edge_either_side_may_speak() -> None:
    rng = np.random.default_rng(21)
    edge = np.array([[0, 1]])
    speakers = Counter(int(matching(edge, 2, rng)[0][0]) for _ in range(400))
    assert chisquare([speakers[0], speakers[1]]).pvalue > RARE


@given(n=st.integers(1, 30), data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_a_scene_holds_distinct_objects(n: int, data: st.DataObject, seed: int) -> None:
    candidates = data.draw(st.integers(1, n))
    objects = np.arange(100, 100 + n, dtype=np.int32)
    scene = scenes(objects, 20, candidates, np.random.default_rng(seed))
    assert scene.shape == (20, candidates)
    assert set(scene.ravel().tolist()) <= set(objects.tolist())
    assert all(len(set(row)) == candidates for row in scene.tolist())


def test_every_set_of_objects_is_an_equally_likely_scene() -> None:
    drawn = scenes(np.arange(6, dtype=np.int32), 4000, 3, np.random.default_rng(22))
    sets = Counter(frozenset(row) for row in drawn.tolist())
    assert len(sets) == 20
    assert chisquare(list(sets.values())).pvalue > RARE


def test_every_object_of_the_world_is_equally_likely_to_be_the_topic() -> None:
    rng = np.random.default_rng(23)
    topics: Counter[int] = Counter()
    for _ in range(400):
        meeting = meet(20, np.arange(8, dtype=np.int32), 3, rng)
        topics.update(meeting.scene[np.arange(10), meeting.topic].tolist())
    assert chisquare([topics[i] for i in range(8)]).pvalue > RARE


@given(n=st.integers(2, 12), data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_nobody_meets_itself(n: int, data: st.DataObject, seed: int) -> None:
    row = data.draw(st.integers(0, n - 1))
    meeting = meet_one(row, n, np.arange(5, dtype=np.int32), 4, np.random.default_rng(seed))
    assert meeting is not None
    assert len(meeting) == 1
    assert meeting.speaker.tolist() == [row]
    assert meeting.hearer[0] in set(range(n)) - {row}


def test_one_agent_meets_every_other_equally_often() -> None:
    rng = np.random.default_rng(24)
    partners: Counter[int] = Counter()
    for _ in range(1000):
        meeting = meet_one(2, 6, np.arange(5, dtype=np.int32), 2, rng)
        assert meeting is not None
        partners[int(meeting.hearer[0])] += 1
    assert chisquare([partners[other] for other in (0, 1, 3, 4, 5)]).pvalue > RARE


def test_along_a_graph_one_agent_meets_its_neighbours_equally_often_and_nobody_else() -> None:
    rng = np.random.default_rng(25)
    edges = edges_of(nx.Graph([(0, 2), (2, 3), (3, 4), (5, 2)]), 6)
    partners: Counter[int] = Counter()
    for _ in range(600):
        meeting = meet_one(2, 6, np.arange(5, dtype=np.int32), 2, rng, edges)
        assert meeting is not None
        partners[int(meeting.hearer[0])] += 1
    assert set(partners) == {0, 3, 5}
    assert chisquare(list(partners.values())).pvalue > RARE


def test_a_hermit_of_the_graph_meets_nobody() -> None:
    edges = edges_of(nx.Graph([(0, 1)]), 3)
    assert meet_one(2, 3, np.arange(5, dtype=np.int32), 2, np.random.default_rng(0), edges) is None


def test_loops_of_a_graph_are_no_meetings() -> None:
    assert edges_of(nx.Graph([(0, 0), (0, 1), (1, 1)]), 2).tolist() == [[0, 1]]


@pytest.mark.parametrize("graph", [nx.Graph([(0, 7)]), nx.Graph([("a", "b")]), nx.Graph([(0, 0)]), nx.Graph()])
def test_a_graph_without_edges_between_agents_is_refused(graph: nx.Graph) -> None:
    with pytest.raises(ValueError, match="graph"):
        edges_of(graph, 3)


def test_only_those_who_used_a_dimension_have_an_experience() -> None:
    meeting = Meeting(
        speaker=np.array([4, 1]),
        hearer=np.array([0, 3]),
        scene=np.array([[10, 11], [12, 13]], dtype=np.int32),
        topic=np.array([1, 0]),
    )
    experience = Experience.of(meeting, np.array([True, False]), np.array([2, 5]), np.array([-1, 7]))
    assert experience.rows.tolist() == [4, 1, 3]
    assert experience.partners.tolist() == [0, 3, 1]
    assert experience.slots.tolist() == [2, 5, 7]
    assert experience.topic.tolist() == [11, 12, 12]
    assert experience.outcomes["talk"].tolist() == [1.0, 0.0, 0.0]
