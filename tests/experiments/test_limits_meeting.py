"""Meeting and perceiving in their limits, and that what is broken turns its own rows red."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents import meeting as mechanism
from agents import society as society_module
from agents.meeting import Meeting
from agents.population import Population
from experiments.limits import meeting
from experiments.limits.rows import Law, Row

SEED = 3
Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]
EVEN = "8 agents: meetings of each pair, chi-square"
ODD = "7 agents: meetings of each pair and times out, chi-square"
SPEAK = "8 agents: turns to speak, chi-square"


def red(rows: Callable[[dict[str, Any]], Iterator[Row | Law]], figures: dict[str, float]) -> set[str]:
    """The names of the rows that are not ok, by the figures of one seed."""
    shown = list(rows({name: np.array([float(figure)]) for name, figure in figures.items()}))
    return {row.name for row in shown if isinstance(row, Row) and not row.ok}


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer meetings, in which what is broken still shows."""
    monkeypatch.setattr(meeting, "ROUNDS", 400)
    monkeypatch.setattr(meeting, "RING", 400)


class InOrder:
    """A generator that shuffles nothing."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def permutation(self, n: int) -> NDArray[np.intp]:
        return np.arange(n)

    def random(self, size: int) -> NDArray[np.float64]:
        return self.rng.random(size)


def test_meeting_and_perceiving_meet_all_their_limits() -> None:
    found = {
        name: {figure: np.array([float(value)]) for figure, value in measure(SEED).items()}
        for name, measure in meeting.measures(quick=True).items()
    }
    shown = list(meeting.rows(found))
    judged = [row for row in shown if isinstance(row, Row)]
    assert {row.name for row in judged if not row.ok} == set()
    assert len({row.name for row in judged}) == len(judged) >= 20
    laws = {law.name: law for law in shown if isinstance(law, Law)}
    assert laws["How often two given agents meet"].expected == pytest.approx([1, 1 / 3, 1 / 7, 1 / 15, 1 / 31])
    assert laws["How long the first object is remembered"].expected[:4] == pytest.approx([1, 1, 2 / 3, 1 / 2])


def test_counts_of_pairs_in_all_matchings_scatter_as_is_said() -> None:
    """The chi-square of one round, averaged over all 15 matchings of six, is its degrees of freedom."""
    matchings = []
    for order in itertools.permutations(range(6)):
        together = np.zeros((1, 6, 6), dtype=np.intp)
        for one, other in (order[:2], order[2:4], order[4:]):
            together[0, one, other] = together[0, other, one] = 1
        matchings.append(meeting.pair_statistic(together))
    assert np.mean(matchings) == pytest.approx(6 * 3 / 2)


@pytest.mark.usefixtures("brief")
def test_neighbours_by_number_who_always_meet_turn_fairness_red(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = mechanism.random_pairs
    monkeypatch.setattr(mechanism, "random_pairs", lambda n, rng: pairs(n, InOrder(rng)))
    assert red(meeting.pair_rows, meeting.pairs(SEED)) == {EVEN, ODD, SPEAK}


@pytest.mark.usefixtures("brief")
def test_who_sits_out_by_number_turns_the_odd_society_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def last_out(n: int, rng: np.random.Generator) -> Pairs:
        order = rng.permutation(n - n % 2)
        return order[: n // 2], order[n // 2 :]

    monkeypatch.setattr(mechanism, "random_pairs", last_out)
    assert red(meeting.pair_rows, meeting.pairs(SEED)) == {ODD}


@pytest.mark.usefixtures("brief")
def test_lower_numbers_that_always_speak_turn_the_roles_red(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = mechanism.random_pairs

    def ordered(n: int, rng: np.random.Generator) -> Pairs:
        speaker, hearer = pairs(n, rng)
        return np.minimum(speaker, hearer), np.maximum(speaker, hearer)

    monkeypatch.setattr(mechanism, "random_pairs", ordered)
    assert red(meeting.pair_rows, meeting.pairs(SEED)) == {SPEAK}


@pytest.mark.usefixtures("brief")
def test_partners_drawn_one_by_one_turn_the_matching_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(n: int, rng: np.random.Generator) -> Pairs:
        return rng.integers(n, size=n // 2), rng.integers(n, size=n // 2)

    monkeypatch.setattr(mechanism, "random_pairs", careless)
    missed = red(meeting.pair_rows, meeting.pairs(SEED))
    assert "rounds in which anybody has no partner or two" in missed


@pytest.mark.usefixtures("brief")
def test_a_partner_who_may_be_oneself_turns_the_sequential_society_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def anybody(row: int, n: int, objects: Any, candidates: int, rng: Any, edges: Any = None) -> Meeting:
        partner = rng.integers(n, size=1)
        return Meeting(speaker=np.array([row]), hearer=partner, scene=np.zeros((1, candidates)), topic=np.zeros(1))

    monkeypatch.setattr(meeting, "meet_one", anybody)
    assert "one after the other: meetings with oneself" in red(meeting.pair_rows, meeting.pairs(SEED))
    assert "one after the other: meetings with others than neighbours" in red(
        meeting.graph_rows, meeting.along(SEED, rounds=20)
    )


@pytest.mark.usefixtures("brief")
def test_edges_that_are_taken_in_the_order_of_rows_turn_the_graph_red(monkeypatch: pytest.MonkeyPatch) -> None:
    matching = mechanism.matching
    monkeypatch.setattr(meeting, "matching", lambda edges, n, rng: matching(edges, n, InOrder(rng)))
    assert red(meeting.graph_rows, meeting.along(SEED, rounds=20)) == {
        "a path of four: only the middle two meet",
        "a ring of 400: share of agents who meet somebody",
    }, "each is maximal and along edges, but not the random one"


@pytest.mark.usefixtures("brief")
def test_a_matching_that_stops_early_turns_the_graph_red(monkeypatch: pytest.MonkeyPatch) -> None:
    matching = mechanism.matching

    def lazy(edges: Any, n: int, rng: Any) -> Pairs:
        speaker, hearer = matching(edges, n, rng)
        return speaker[: -(-len(speaker) * 3 // 4)], hearer[: -(-len(hearer) * 3 // 4)]

    monkeypatch.setattr(meeting, "matching", lazy)
    missed = red(meeting.graph_rows, meeting.along(SEED, rounds=20))
    assert "small world, scale free, star: edges left with both ends free" in missed
    assert "a ring of 400: share of agents who meet somebody" in missed


@pytest.mark.usefixtures("brief")
def test_a_matching_of_strangers_turns_the_graph_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "matching", lambda edges, n, rng: mechanism.random_pairs(n, rng))
    missed = red(meeting.graph_rows, meeting.along(SEED, rounds=20))
    assert "small world, scale free, star: pairs without an edge" in missed


@pytest.mark.usefixtures("brief")
def test_scenes_drawn_with_replacement_turn_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "scenes", lambda objects, n, candidates, rng: rng.choice(objects, (n, candidates)))
    assert "objects that are in a scene twice" in red(meeting.scene_rows, meeting.scenes(SEED))


@pytest.mark.usefixtures("brief")
def test_scenes_that_favour_some_objects_turn_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def neighbours(objects: Any, n: int, candidates: int, rng: Any) -> NDArray[np.int32]:
        return objects[rng.integers(len(objects) - candidates + 1, size=(n, 1)) + np.arange(candidates)]

    monkeypatch.setattr(mechanism, "scenes", neighbours)
    assert red(meeting.scene_rows, meeting.scenes(SEED)) == {
        "scenes that each object is in, chi-square",
        "times that each object is meant, chi-square",
    }


@pytest.mark.usefixtures("brief")
def test_a_society_shown_all_objects_meets_what_was_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    meet = mechanism.meet
    everything = np.arange(200, dtype=np.int32)
    monkeypatch.setattr(society_module, "meet", lambda n, objects, *how: meet(n, everything, *how))
    assert red(meeting.scene_rows, meeting.scenes(SEED)) == {
        "a living society: held-out objects met, remembered, been or compared with"
    }


FIRST = "40 objects seen, 8 remembered: the first of them is"
EACH = "40 objects seen, 8 remembered: times that each is, chi-square"


def reservoir(slot_of: Callable[[Any, int, int], NDArray[np.intp]]) -> Callable[..., None]:
    """A memory that writes each object to the slot it says, if there is such a slot."""

    def perceive(population: Population, rows: Any, objects: Any, rng: np.random.Generator) -> None:
        capacity = population.seen.shape[1]
        for place in range(objects.shape[1]):
            count = int(population.n_seen[rows[0]])
            slot = np.full(len(rows), count) if count < capacity else slot_of(rng, len(rows), count)
            kept = slot < capacity
            population.seen[rows[kept], slot[kept]] = objects[kept, place]
            population.n_seen[rows] += 1

    return perceive


def test_a_memory_that_always_overwrites_forgets_the_first_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "perceive", reservoir(lambda rng, n, count: rng.integers(meeting.CAPACITY, size=n)))
    assert red(meeting.memory_rows, meeting.memory(SEED)) == {FIRST, EACH}


def test_a_memory_that_never_overwrites_keeps_the_first_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "perceive", reservoir(lambda rng, n, count: np.full(n, meeting.CAPACITY)))
    assert red(meeting.memory_rows, meeting.memory(SEED)) == {FIRST, EACH}


def test_a_memory_that_counts_one_object_less_turns_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "perceive", reservoir(lambda rng, n, count: rng.integers(count, size=n)))
    assert EACH in red(meeting.memory_rows, meeting.memory(SEED))
    monkeypatch.setattr(meeting, "perceive", reservoir(lambda rng, n, count: rng.integers(count + 1, size=n)))
    assert red(meeting.memory_rows, meeting.memory(SEED)) == set(), "which is what it should be"
