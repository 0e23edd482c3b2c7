"""The order in which agents stand in the columns changes nothing but that order.

A society and its twin, whose agents stand in another order, live on with the same luck: the same pairs meet over the
same scenes, and every agent has the draws that it had before. Then everything is equal, bit for bit, agent by agent.
Who meets whom is drawn by place, so meetings are given here; in the same way a Moran process draws parents by place.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.discovery import discover
from agents.meeting import Meeting
from agents.selection import fitness
from agents.society import Society
from tests.tally import counted
from tests.trust.malformed import amounts, go_through
from tests.trust.test_invariants import CHECKED, LIVED, societies

BEFORE = 6
"""Steps before the twins part."""


def reordered(society: Society, order: NDArray[np.intp]) -> Society:
    """The same society, where agent ``order[i]`` stands in row i."""
    other = copy.deepcopy(society)
    for name, column in society.population.columns().items():
        getattr(other.population, name)[...] = column[order]
    return other


def relabelled(meeting: Meeting, place: NDArray[np.intp]) -> Meeting:
    """The same meeting, where whoever stood in row i stands in row ``place[i]``."""
    return dataclasses.replace(meeting, speaker=place[meeting.speaker], hearer=place[meeting.hearer])


def assert_alike(society: Society, other: Society, order: NDArray[np.intp], phase: str) -> None:
    """Agent by agent, every column is the same; so is what is counted over all agents."""
    for name, column in society.population.columns().items():
        np.testing.assert_array_equal(column[order], getattr(other.population, name), err_msg=f"{name} after {phase}")
    assert society.counters == other.counters, phase
    assert society.rng.bit_generator.state == other.rng.bit_generator.state, phase
    counted(CHECKED)


def discovered(society: Society, rows: NDArray[np.intp]) -> int:
    """`Society.discover`, where agents have their draws in the order of ``rows``."""
    return discover(society.population, rows, society.world, society.config, society.steps, society.rng)


def ledger(society: Society) -> list[NDArray[np.float64]]:
    return [np.asarray(value) for value in dataclasses.astuple(society.ledger)]


def check_order(drawn: tuple[Society, int]) -> None:
    society, seed = drawn
    for _ in range(BEFORE):
        society.step()
    order = np.random.default_rng(seed).permutation(len(society.population))
    place = np.argsort(order)
    other = reordered(society, order)
    assert_alike(society, other, order, "nothing")

    for _ in range(3):
        meeting = society.meet()
        other.meet()
        society.live(meeting)
        other.live(relabelled(meeting, place))
        assert_alike(society, other, order, "a meeting")
        for talk, twin in zip(society.talks, other.talks, strict=True):
            np.testing.assert_array_equal(talk.success, twin.success)
        for credited, twins in zip(ledger(society), ledger(other), strict=True):
            np.testing.assert_array_equal(credited, twins)

        new = discovered(society, np.arange(len(order)))
        assert discovered(other, place) == new
        assert_alike(society, other, order, "discovery")

        worth = fitness(society.population)
        by_rank = society.config.selection == "tournament" and len(np.unique(worth)) == len(worth)
        if by_rank:
            society.select()
            other.select()
            assert_alike(society, other, order, "selection")


@amounts(8, 300)
def test_the_order_of_agents_changes_nothing_else(cases: int) -> None:
    go_through(st.tuples(societies(), st.integers(0, 2**32 - 1)), check_order, cases, LIVED)
