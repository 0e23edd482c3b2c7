"""The signalling game against a loop over urns of balls, and against what can be proved of it."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.games import signalling
from agents.games.signalling import (
    drawn,
    expected_payoff,
    information,
    is_signalling_system,
    payoff_after_one,
    play,
)

SYSTEM = np.eye(3)[None]
"""Urns of one run: a signal of its own for every state."""


def one_pair(states: int, signals: int, plays: int, luck: np.ndarray) -> tuple[list[list[float]], list[list[float]]]:
    """The game of two players with lists of balls, by the draws ``luck`` [plays, 3]."""
    sender = [[1.0] * signals for _ in range(states)]
    receiver = [[1.0] * states for _ in range(signals)]

    def draw(urn: list[float], number: float) -> int:
        upto = list(itertools.accumulate(urn))
        return next(kind for kind, weight in enumerate(upto) if number * upto[-1] < weight)

    for nature, saying, acting in luck[:plays]:
        state = int(nature * states)
        signal = draw(sender[state], saying)
        act = draw(receiver[signal], acting)
        if act == state:
            sender[state][signal] += 1
            receiver[signal][act] += 1
    return sender, receiver


@pytest.mark.parametrize(("states", "signals"), [(2, 2), (3, 3), (4, 2), (2, 5), (1, 1)])
def test_many_runs_side_by_side_are_each_a_game_of_two(
    states: int, signals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signalling, "BLOCK", 70)
    runs, plays = 6, 200
    found = play(states=states, signals=signals, plays=plays, runs=runs, rng=np.random.default_rng(5))
    rng = np.random.default_rng(5)
    luck = np.concatenate([rng.random((number, 3, runs)) for number in (70, 70, 60)])
    for run in range(runs):
        sender, receiver = one_pair(states, signals, plays, luck[:, :, run])
        np.testing.assert_array_equal(found.sender[run], sender)
        np.testing.assert_array_equal(found.receiver[run], receiver)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_both_sides_gain_a_ball_for_each_success_and_nothing_else(
    states: int, signals: int, plays: int, seed: int
) -> None:
    found = play(states=states, signals=signals, plays=plays, runs=7, rng=np.random.default_rng(seed))
    gained = found.sender.sum(axis=(1, 2)) - states * signals
    np.testing.assert_array_equal(found.receiver.sum(axis=(1, 2)) - states * signals, gained)
    # The same balls, seen from either side: each is of a state, and of the signal said then.
    np.testing.assert_array_equal(found.sender, found.receiver.swapaxes(1, 2))
    assert (gained >= 0).all()
    assert (gained <= plays).all()
    payoff = found.payoff[-1]
    assert ((payoff > 0) & (payoff <= 1)).all()
    bits = information(found.sender)
    assert ((bits >= -1e-12) & (bits <= np.log2(min(states, signals)) + 1e-12)).all()


@pytest.mark.parametrize("states", [2, 3])
def test_the_payoff_after_one_play_is_what_counting_all_cases_gives(states: int) -> None:
    total = 0.0
    for state, signal, act in itertools.product(range(states), repeat=3):
        sender, receiver = np.ones((1, states, states)), np.ones((1, states, states))
        if act == state:
            sender[0, state, signal] += 1
            receiver[0, signal, act] += 1
        total += float(expected_payoff(sender, receiver)[0])
    assert payoff_after_one(states) == pytest.approx(total / states**3)


def test_with_other_numbers_of_signals_the_payoff_after_one_play_is_counted_as_well() -> None:
    states, signals, total = 3, 2, 0.0
    for state, signal, act in itertools.product(range(states), range(signals), range(states)):
        sender, receiver = np.ones((1, states, signals)), np.ones((1, signals, states))
        if act == state:
            sender[0, state, signal] += 1
            receiver[0, signal, act] += 1
        total += float(expected_payoff(sender, receiver)[0])
    assert payoff_after_one(states, signals) == pytest.approx(total / (states**2 * signals))


def test_the_payoff_is_noted_when_it_was_asked_for() -> None:
    found = play(states=3, plays=50, runs=4, after=[0, 10], rng=np.random.default_rng(1))
    np.testing.assert_array_equal(found.after, [0, 10, 50])
    assert found.payoff.shape == (3, 4)
    np.testing.assert_allclose(found.payoff[0], 1 / 3)
    np.testing.assert_allclose(found.payoff[-1], expected_payoff(found.sender, found.receiver))
    shorter = play(states=3, plays=10, runs=4, rng=np.random.default_rng(1))
    assert shorter.payoff.shape == (1, 4)


def test_a_signalling_system_pays_always_and_tells_everything() -> None:
    assert expected_payoff(SYSTEM, SYSTEM) == pytest.approx(1)
    assert information(SYSTEM) == pytest.approx(np.log2(3))
    assert is_signalling_system(SYSTEM, SYSTEM).all()
    crossed = SYSTEM[:, [1, 2, 0]]
    assert is_signalling_system(crossed, crossed.swapaxes(1, 2)).all()
    assert not is_signalling_system(crossed, SYSTEM).any()


def test_states_that_share_a_signal_are_no_signalling_system() -> None:
    sender = np.array([[[1.0, 0, 0], [1, 0, 0], [0, 1, 1]]])
    receiver = np.array([[[1.0, 1, 0], [0, 0, 1], [0, 0, 1]]])
    assert expected_payoff(sender, receiver) == pytest.approx(2 / 3)
    assert information(sender) == pytest.approx(np.log2(3) - 2 / 3)
    assert not is_signalling_system(sender, receiver).any()


def test_kinds_are_drawn_with_the_shares_of_their_weights() -> None:
    luck = (np.arange(8000) + 0.5) / 8000
    urn = np.tile([1.0, 0.0, 5.0, 2.0], (8000, 1))
    np.testing.assert_allclose(np.bincount(drawn(urn, luck), minlength=4) / 8000, urn[0] / 8, atol=1e-3)
    assert drawn(np.array([[1.0, 1.0]]), np.array([np.nextafter(1, 0)])) == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"states": 0}, "states is 0"),
        ({"signals": 0}, "signals is 0"),
        ({"plays": 0}, "plays is 0"),
        ({"runs": 0}, "runs is 0"),
        ({"weight": 0.0}, "weight is 0.0"),
        ({"payment": -1.0}, "payment is -1.0"),
        ({"payment": np.inf}, "payment is inf"),
        ({"after": [5, 3]}, "after is"),
        ({"after": [3, 3]}, "after is"),
        ({"after": [-1]}, "after is"),
        ({"after": [11]}, "after is"),
    ],
)
def test_what_makes_no_game_is_refused(wrong: dict[str, Any], says: str) -> None:
    plain: dict[str, Any] = {"states": 2, "plays": 10, "runs": 3, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match=says):
        play(**(plain | wrong))
