"""The games of convention meet their limits, and what is broken in one turns its own rows red."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from agents.games import categories, culture, signalling
from experiments.limits import category_names, cultures, games, signals
from experiments.limits.rows import Law, Row
from experiments.pieces import Figures, Found
from tests.agents.games import plain_categories, plain_culture


def measured(figures: Mapping[str, float]) -> Found:
    return {name: np.array([figure]) for name, figure in figures.items()}


def red(shown: Iterable[Row | Law]) -> set[str]:
    return {row.name for row in shown if isinstance(row, Row) and not row.ok}


@pytest.mark.usefixtures("few_agents")
def test_every_measure_has_its_rows_and_laws() -> None:
    assert set(games.measures(quick=True)) == set(games.measures(quick=False))
    found = {
        signals.GROUP: measured(signals.signalling_games(0, runs=3)),
        category_names.GROUP: measured(category_names.category_games(0, agents=(20, 40))),
        cultures.GROUP: measured(cultures.spread_of_culture(0, small=(4, 2), large=(8, 2))),
    }
    shown = list(games.rows(found))
    for group in found:
        assert any(isinstance(one, Row) and one.group == group for one in shown)
        assert any(isinstance(one, Law) and one.group == group for one in shown)
    names = [(one.group, type(one), one.name) for one in shown]
    assert len(set(names)) == len(names)


# ---- signalling


@pytest.fixture
def two_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PAYOFFS", {2: signals.PAYOFFS[2]})


def signalling_reds() -> set[str]:
    return red(signals.signalling_rows(measured(signals.signalling_games(1, runs=150))))


ALL_OF_TWO_STATES = {
    "2 states: expected payoff after 10,000 plays, mean over runs",
    "2 states: share of runs in a signalling system",
}


@pytest.mark.usefixtures("two_states")
def test_signalling_meets_its_limits() -> None:
    assert signalling_reds() == set()


@pytest.mark.usefixtures("two_states")
def test_failures_that_are_paid_as_well_turn_signalling_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signalling, "paid", lambda state, act: np.ones(len(state)))
    assert signalling_reds() >= ALL_OF_TWO_STATES | {"2 states: expected payoff after one play"}


@pytest.mark.usefixtures("two_states")
def test_a_receiver_who_does_not_listen_turns_signalling_red(monkeypatch: pytest.MonkeyPatch) -> None:
    draw, calls = signalling.drawn, iter(range(10**6))

    def deaf(urn: np.ndarray, luck: np.ndarray) -> Any:
        # Every second draw is the receiver's.
        return draw(urn, luck) if next(calls) % 2 == 0 else (luck * urn.shape[1]).astype(np.intp)

    monkeypatch.setattr(signalling, "drawn", deaf)
    # The payoff is that of the urns, which are filled all the same: there may be a system, but later, with less in it.
    assert "2 states: expected payoff after 10,000 plays, mean over runs" in signalling_reds()


@pytest.mark.usefixtures("two_states")
def test_urns_with_ten_balls_of_each_kind_at_first_turn_the_first_play_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signalling, "play", functools.partial(signalling.play, weight=10.0))
    assert "2 states: expected payoff after one play" in signalling_reds()


# ---- categories


@pytest.fixture
def few_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(category_names, "MANY", 40)
    monkeypatch.setattr(category_names, "GAMES_EACH", 4000)
    monkeypatch.setattr(category_names, "SOCIETIES", 1)


def category_reds() -> set[str]:
    return red(category_names.category_rows(measured(category_names.category_games(0, agents=(20, 40)))))


@pytest.mark.usefixtures("few_agents")
def test_categories_meet_their_limits() -> None:
    assert category_reds() == set()


@pytest.mark.usefixtures("few_agents")
def test_stimuli_that_nobody_could_tell_apart_turn_the_narrowest_category_red(monkeypatch: pytest.MonkeyPatch) -> None:
    show = categories.scenes
    monkeypatch.setattr(categories, "scenes", lambda least, games, rng: show(1e-9, games, rng))
    assert "narrowest perceptual category, in d_min" in category_reds()


@pytest.mark.usefixtures("few_agents")
def test_categories_that_never_split_turn_the_number_of_categories_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(categories, "talk", functools.partial(plain_categories.talk, splits=False))
    assert category_reds() >= {
        "linguistic categories",
        "perceptual categories for each linguistic one",
        "log-log slope of perceptual categories over games",
        "share of games understood",
    }


@pytest.mark.usefixtures("few_agents")
def test_words_that_are_never_forgotten_turn_the_names_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(categories, "talk", functools.partial(plain_categories.talk, forgets=False))
    assert category_reds() == {
        "linguistic categories",
        "perceptual categories for each linguistic one",
        "share of stimuli that two call alike",
    }


# ---- culture


LATTICES = {"small": (16, 200), "large": (32, 50)}
"""Sides and runs: smaller lattices than are measured, and enough runs of them for a single seed to say something."""


@pytest.fixture(scope="module")
def healthy() -> Figures:
    """The figures of the spread of culture, with nothing broken."""
    found = cultures.spread_of_culture(0, **LATTICES)
    assert red(cultures.culture_rows(measured(found))) == set()
    return found


CRITICAL = "F = 2, Poisson: q where consensus ends"


def around_critical() -> Figures:
    return cultures.around_critical(np.random.default_rng(0), small=(6, 5), large=(12, 5))


def culture_reds(figures: Figures) -> set[str]:
    return red(cultures.culture_rows(measured(figures)))


def test_traits_taken_over_from_strangers_turn_the_critical_point_red(
    healthy: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(culture, "settled", functools.partial(culture.settled, homophily=False))
    assert culture_reds(healthy | around_critical()) == {CRITICAL}


def test_a_lattice_that_never_moves_turns_the_critical_point_and_both_extremes_red(
    healthy: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(culture, "settled", lambda traits, rng, **_: traits)
    rng = np.random.default_rng(0)
    assert culture_reds(healthy | around_critical() | cultures.extremes(rng)) == {
        CRITICAL,
        "5 features, two traits, largest domain",
        "10 features, two traits, largest domain",
        "1,000 traits: share of domains that join another",
    }


def test_traits_that_win_because_they_are_high_turn_the_drift_and_the_voters_red(
    healthy: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(culture, "interact", functools.partial(plain_culture.interact, highest_wins=True))
    assert culture_reds(healthy | cultures.voters(np.random.default_rng(0), runs=30)) == {
        "drift of the share of high traits",
        "no homophily: a trait of 25% takes all",
    }


def test_more_traits_than_said_turn_the_critical_point_red(healthy: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = culture.random_traits

    def more(side: int, features: int, q: float, rng: np.random.Generator, **how: Any) -> culture.Traits:
        return draw(side, features, 1.3 * q, rng, **how)

    monkeypatch.setattr(culture, "random_traits", more)
    broken = cultures.around_critical(np.random.default_rng(0), **LATTICES)
    assert culture_reds(healthy | broken) == {CRITICAL}


def test_the_critical_point_is_where_the_curves_cross() -> None:
    q = np.array([2.0, 3.0, 4.0])
    small, large = np.exp(0.5 * (q - 2.5)), np.exp(1.5 * (q - 2.5))
    critical, rise = cultures.crossing(q, np.stack([small, small], axis=1), np.stack([large, 2 * large], axis=1))
    assert rise == pytest.approx(1)
    np.testing.assert_allclose(critical, [2.5, 2.5 - np.log(2)])
    critical, _ = cultures.crossing(q, small[:, None], small[:, None])
    assert np.isnan(critical).all()
