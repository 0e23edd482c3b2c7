"""Superiority meets its limits; and each way to break it turns its own rows red."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from agents import society as phases
from agents import superiority as mechanism
from agents.meeting import Experience
from agents.superiority import bernoulli_fixed_point
from experiments.limits import superiority
from experiments.limits.rows import Law, Row
from experiments.limits.superiority_theory import course_variance, normal_bias, normal_expectile, walk_course
from experiments.pieces import Found

JUDGES = {
    superiority.SETTLES: superiority.settling_rows,
    superiority.COURSE: superiority.course_rows,
    superiority.CONTESTS: superiority.contest_rows,
    superiority.SOCIETY: superiority.society_rows,
}
MEASURES = dict(superiority.measures(quick=True)) | {
    superiority.SOCIETY: functools.partial(superiority.living, steps=100)
}


def measured(name: str, seed: int = 0) -> Found:
    return {figure: np.array([value]) for figure, value in MEASURES[name](seed).items()}


@functools.cache
def healthy(name: str) -> Found:
    """What is measured with nothing broken."""
    return measured(name)


def red(name: str, found: Found) -> set[str]:
    return {row.name for row in JUDGES[name](found) if isinstance(row, Row) and not row.ok}


# ---- unbroken


@pytest.mark.parametrize("name", MEASURES)
def test_superiority_meets_its_limits(name: str) -> None:
    assert red(name, healthy(name)) == set()


def test_rows_have_names_of_their_own_and_laws_go_as_expected() -> None:
    shown = list(superiority.rows({name: healthy(name) for name in MEASURES}))
    rows, laws = ([one for one in shown if isinstance(one, kind)] for kind in (Row, Law))
    assert len({row.name for row in rows}) == len(rows) >= 35
    assert len(laws) == 3
    for found in laws:
        assert found.expected is not None
        np.testing.assert_allclose(found.measured, found.expected, atol=0.01)


# ---- theory


@pytest.mark.parametrize(
    ("tau", "published", "quantile"), [(2 / 3, 0.2760, 0.4307), (4 / 5, 0.5492, 0.8416), (8 / 9, 0.8168, 1.2206)]
)
def test_the_theory_gives_the_published_digits(tau: float, published: float, quantile: float) -> None:
    assert normal_expectile(tau) == pytest.approx(published, abs=5e-5)
    assert norm.ppf(tau) == pytest.approx(quantile, abs=5e-5)


def test_the_walk_stays_below_the_end_by_a_geometric_distance() -> None:
    p = np.array([0.3, 0.5, 0.9])
    found = walk_course(p, np.array([5000, 5000, 5000]), rate_up=0.05, rate_down=0.0125)
    for chance, mean in zip(p, found, strict=True):
        # From the top a loss leads one step down, a win four steps up: P(k below) = (1 - x) x^k.
        roots = np.roots([chance, 0, 0, 0, -1, 1 - chance])
        x = next(root.real for root in roots if abs(root.imag) < 1e-9 and 0 < root.real < 0.999)
        assert mean == pytest.approx(1 - 0.0125 * x / (1 - x), abs=1e-6)


def test_the_walk_begins_neutral_and_stops_where_contests_do() -> None:
    found = walk_course(np.array([1.0, 1.0, 0.0]), np.array([0, 3, 2]), rate_up=0.05, rate_down=0.0125)
    np.testing.assert_allclose(found, [0.5, 0.65, 0.475])
    with pytest.raises(ValueError, match="a walk needs rates"):
        walk_course(np.array([0.5]), np.array([1]), rate_up=0.05, rate_down=0.03)


def test_the_variance_of_the_course_begins_with_that_of_one_contest() -> None:
    rates = {"rate_up": 0.05, "rate_down": 0.0125}
    assert course_variance(0.5, 0, **rates) == 0
    assert course_variance(0.5, 1, **rates) == pytest.approx(np.var([0.525, 0.49375]))
    assert course_variance(1.0, 50, **rates) == pytest.approx(0, abs=1e-15)


def test_symmetric_rates_have_no_bias_and_half_the_rates_half_of_it() -> None:
    assert normal_bias(0.1, 0.1) == 0
    assert normal_bias(0.1, 0.025) == pytest.approx(2 * normal_bias(0.05, 0.0125))


# ---- broken


def swapped(*args: Any, rate_up: float, rate_down: float, **kwargs: Any) -> NDArray[np.float32]:
    return UPDATED(*args, rate_up=rate_down, rate_down=rate_up, **kwargs)


def without_sign(score: NDArray[np.float32], reward: NDArray[np.float64], **kwargs: Any) -> NDArray[np.float32]:
    return UPDATED(score, score + np.abs(reward - score), **kwargs)


def always_in_proportion(*args: Any, superiority: str, **kwargs: Any) -> NDArray[np.float32]:
    return UPDATED(*args, **kwargs)


def always_of_one_size(*args: Any, superiority: str, **kwargs: Any) -> NDArray[np.float32]:
    return UPDATED(*args, superiority="quantile", **kwargs)


def even(*args: Any, rate_up: float, rate_down: float, **kwargs: Any) -> NDArray[np.float32]:
    return UPDATED(*args, rate_up=rate_up, rate_down=rate_up, **kwargs)


UPDATED = mechanism.updated
FAIR = "felt where all contests are fair: better than average"
RAISED = "a contest of two who feel 0.5 raises the sum by"
DIFFERENT = "felt where bodies differ and all standings occur"
QUANTILE = "the same, quantile"


@pytest.mark.parametrize(
    ("broken", "name", "rows"),
    [
        (swapped, superiority.CONTESTS, {FAIR, RAISED, DIFFERENT, QUANTILE}),
        (swapped, superiority.COURSE, {f"felt after {n} fair contests" for n in (10, 40, 160)}),
        (without_sign, superiority.CONTESTS, {FAIR, RAISED, DIFFERENT, QUANTILE}),
        (even, superiority.CONTESTS, {FAIR, RAISED, DIFFERENT, QUANTILE}),
    ],
)
def test_rates_swapped_or_even_and_a_lost_sign_turn_contests_and_course_red(
    broken: Any, name: str, rows: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mechanism, "updated", broken)
    assert red(name, measured(name)) >= rows


def test_swapped_rates_turn_every_settling_point_that_feel_reaches_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "updated", swapped)
    found = red(superiority.SETTLES, measured(superiority.SETTLES))
    assert found >= {
        f"N(0, 1) felt at {tau}, {kind}" for tau in (".667", ".8", ".889") for kind in superiority.VARIANTS
    }
    assert found >= {f"contests won at {p}, expectile" for p in superiority.WIN_RATES}
    assert not {name for name in found if name.startswith("expectile of")}  # theory does not go through feel


@pytest.mark.parametrize(("broken", "kind"), [(always_in_proportion, "quantile"), (always_of_one_size, "expectile")])
def test_a_variant_that_is_forgotten_turns_its_own_rows_red_and_no_others(
    broken: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mechanism, "updated", broken)
    found = red(superiority.SETTLES, measured(superiority.SETTLES))
    assert found >= {f"N(0, 1) felt at {tau}, {kind}" for tau in (".667", ".8", ".889")}
    assert all(name.endswith(kind) for name in found)


def test_an_expectile_of_the_wrong_side_turns_theory_red(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = functools.partial(_of_the_other_side, superiority.expectile)
    monkeypatch.setattr(superiority, "expectile", wrong)
    found = red(superiority.SETTLES, measured(superiority.SETTLES))
    assert found == {f"expectile of N(0, 1) at {tau}" for tau in (".667", ".8", ".889")}


def _of_the_other_side(expectile: Any, rewards: NDArray[np.float64], tau: float) -> float:
    return float(expectile(rewards, 1 - tau))


def test_contests_won_by_the_lower_body_turn_the_living_society_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def reversed_comparison(*args: Any) -> Experience:
        met = mechanism.compare(*args)
        met.outcomes["comparison"] = 1 - met.outcomes["comparison"]
        return met

    monkeypatch.setattr(phases, "compare", reversed_comparison)
    found = red(superiority.SOCIETY, measured(superiority.SOCIETY))
    assert found >= {f"correlation of felt and foretold, {kind}" for kind in superiority.VARIANTS}


def test_a_fixed_point_of_swapped_rates_turns_what_is_expected_red(monkeypatch: pytest.MonkeyPatch) -> None:
    found = healthy(superiority.SETTLES)

    def other(win_rate: NDArray[np.float64], *, rate_up: float, rate_down: float) -> NDArray[np.float64]:
        return bernoulli_fixed_point(win_rate, rate_up=rate_down, rate_down=rate_up)

    monkeypatch.setattr(superiority, "bernoulli_fixed_point", other)
    assert red(superiority.SETTLES, found) == {f"contests won at {p}, expectile" for p in superiority.WIN_RATES}
