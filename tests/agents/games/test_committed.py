"""A committed minority is never talked round, and turns a society as fast as its equations say."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import InputError
from agents.games.committed import A, B, census, critical_share, drift, mean_field, play_against
from agents.games.naming import Order, play_in_order, societies
from agents.population import NOTHING


def test_nobody_is_lost_and_nobody_starts_with_a() -> None:
    outcome = play_against(40, committed=6, runs=5, games=300, seed=0)
    assert outcome.at.tolist() == [0, *range(40, 301, 40), 300]
    assert (outcome.only_a + outcome.only_b + outcome.both == 34).all()
    assert (outcome.only_b[:, 0] == 34).all()
    assert outcome.only_a[:, 1:].any()


@pytest.mark.parametrize("order", ["direct", "reverse"])
def test_many_committed_turn_all_and_a_flipped_society_stays_so(order: Order) -> None:
    outcome = play_against(
        nx.barabasi_albert_graph(40, 3, seed=0), committed=15, runs=6, games=4000, seed=1, order=order
    )
    assert outcome.flipped.all()
    flipped = outcome.only_a == 25
    assert (np.diff(flipped.astype(int), axis=1) >= 0).all()


def test_without_a_committed_minority_nothing_changes() -> None:
    outcome = play_against(10, committed=0, runs=2, games=100, seed=0)
    assert (outcome.only_b == 10).all()
    assert not outcome.flipped.any()


def test_where_all_are_committed_all_is_said() -> None:
    assert play_against(10, committed=10, runs=2, games=20, seed=0).flipped.all()


def test_the_committed_say_what_they_said_before_and_all_others_learn() -> None:
    population = societies(6, 1, np.random.default_rng(0))
    population.words[:, 0, 0] = [A, A, B, B, B, B]
    loyal = np.array([True, True, False, False, False, False])
    # A committed speaker is not understood; then, with its hearer knowing both, it is; and it does not listen.
    rng = np.random.default_rng(1)
    pairs = [(0, 2), (1, 2), (3, 0), (0, 4), (4, 1)]
    speaker, hearer = (np.array([[pair[side] for pair in pairs]]) for side in (0, 1))
    played = play_in_order(population, speaker, hearer, 2, rng, committed=loyal)
    assert played.success[0, :4].tolist() == [False, True, False, False]
    assert played.change[0, :4].tolist() == [1, -1, 0, 1]
    assert population.words[:2, 0, 0].tolist() == [A, A]
    assert (population.words[:2, 0, 1:] == NOTHING).all()
    assert population.words[2, 0, 0] == A


@pytest.mark.parametrize(("a", "b", "both", "committed"), [(3, 4, 3, 2), (0, 9, 0, 3), (2, 2, 6, 0), (1, 5, 2, 4)])
def test_over_every_pair_a_game_changes_as_much_as_the_equations_say(a: int, b: int, both: int, committed: int) -> None:
    n, repeats = a + b + both + committed, 400
    pairs = np.array([(i, j) for i in range(n) for j in range(n) if i != j])
    population = societies(n, len(pairs) * repeats, np.random.default_rng(0))
    words = np.full((n, population.words.shape[2]), NOTHING)
    words[: committed + a, 0] = A
    words[committed + a :, 0] = B
    words[n - both :, 1] = A
    population.words[:, 0] = np.tile(words, (len(pairs) * repeats, 1))
    loyal = np.tile(np.arange(n) < committed, len(pairs) * repeats)
    place = np.arange(len(pairs) * repeats)[:, None] * n + np.tile(pairs, (repeats, 1))
    play_in_order(population, place[:, :1], place[:, 1:], 2, np.random.default_rng(1), committed=loyal)
    after = census(population.words[:, 0].reshape(-1, n, words.shape[1]), loyal.reshape(-1, n))
    change = (after - np.array([[a], [b], [both]])).mean(axis=1)
    share = np.array(drift(a / n, b / n, committed / n))
    # Nobody talks to itself: of pairs of agents who know both there are less, of all others more, than in a crowd.
    expected = (share * n**2 - both) / (n * (n - 1))
    assert change[:2] == pytest.approx(expected, abs=4.5 / np.sqrt(len(place)))
    assert change.sum() == pytest.approx(0, abs=1e-9)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_shares_of_a_large_society_stay_shares(committed: float, one: float, other: float) -> None:
    only_a = (1 - committed) * one
    only_b = (1 - committed - only_a) * other
    da, db = drift(only_a, only_b, committed)
    both = 1 - committed - only_a - only_b
    assert da >= -only_a * (only_b + both) - 1e-12
    assert db >= -only_b * (only_a + committed + both) - 1e-12
    assert -(da + db) <= 2 * only_a * only_b + (committed + both) * only_b + both * only_a + 1e-12


def test_b_lasts_below_the_critical_share_and_vanishes_above() -> None:
    critical = critical_share()
    assert critical == pytest.approx(0.0979, abs=5e-5)
    (_, before), (_, after) = (mean_field(share, [20_000.0]) for share in (critical - 1e-5, critical + 1e-5))
    assert before[0] > 0.5
    assert after[0] < 1e-6


def test_the_mean_field_starts_where_the_society_does() -> None:
    only_a, only_b = mean_field(0.2, [0.0, 1.0, 50.0])
    assert (only_a[0], only_b[0]) == (0.0, 0.8)
    assert only_a[-1] == pytest.approx(0.8)
    assert mean_field(0.2, [0.0])[1].tolist() == [0.8]


@pytest.mark.parametrize(("share", "at"), [(1.2, [1.0]), (0.1, [2.0, 1.0]), (0.1, [-1.0]), (0.1, []), (0.1, [[1.0]])])
def test_a_mean_field_of_no_share_or_no_time_is_refused(share: float, at: Any) -> None:
    with pytest.raises(ValueError, match=r"committed share is 1\.2|times must ascend"):
        mean_field(share, at)


@pytest.mark.parametrize(
    ("network", "how", "says"),
    [
        (1, {}, "the society has 1 agents"),
        (nx.empty_graph(3), {}, "has no neighbour to talk to"),
        (9, {"committed": 10}, "committed is 10, but it must be from 0 to the number of agents .9."),
        (9, {"committed": -1}, "committed is -1"),
        (9, {"games": 0}, "games is 0, but it must be at least 1"),
        (9, {"runs": 0}, "runs is 0, but it must be at least 1"),
        (9, {"every": 0}, "every is 0, but it must be at least 1"),
        (9, {"order": "neutral"}, "order is 'neutral'"),
    ],
)
def test_a_society_that_cannot_play_is_told_why(network: int | nx.Graph, how: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        play_against(network, **({"committed": 1, "runs": 1, "games": 1, "seed": 0} | how))
