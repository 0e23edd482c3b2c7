"""Phases 4 and 6: contests of bodies, and where the feeling of superiority settles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import norm

from agents.config import SocietyConfig
from agents.meeting import Experience
from agents.population import ABSTRACT, NEUTRAL, NOTHING, Population, found
from agents.society import Society
from agents.superiority import (
    bernoulli_course,
    bernoulli_fixed_point,
    compare,
    expectile,
    feel,
    updated,
    win_rates,
    zero_sum_drift,
)
from agents.world import World, digits, planted

SAMPLES = arrays(np.float64, st.integers(1, 30), elements=st.floats(-100, 100, width=32))
TAUS = st.floats(0.02, 0.98)

NORMAL = norm.ppf((np.arange(200_001) + 0.5) / 200_001)
"""The standard normal distribution, as a sample of its quantiles."""


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=6, objects=300, features=30, factors=4, probe=40)


def settled(rewards: NDArray[np.float64], *, rate_up: float, rate_down: float) -> float:
    """Mean superiority over the second half of the lives of many, fed one row of ``rewards [T, n]`` after the other."""
    score = np.full(rewards.shape[1], NEUTRAL, dtype=np.float32)
    late = []
    for step, reward in enumerate(rewards):
        score = updated(score, reward, rate_up=rate_up, rate_down=rate_down)
        if 2 * step >= len(rewards):
            late.append(score.mean(dtype=np.float64))
    return float(np.mean(late))


@given(
    score=arrays(np.float32, 6, elements=st.floats(0, 1, width=32)),
    reward=arrays(np.float64, 6, elements=st.floats(0, 1)),
    rate_up=st.floats(0, 1),
    rate_down=st.floats(0, 1),
)
def test_superiority_moves_towards_the_reward_fast_up_and_slowly_down_and_stays_within_bounds(
    score: NDArray[np.float32], reward: NDArray[np.float64], rate_up: float, rate_down: float
) -> None:
    after = updated(score, reward, rate_up=rate_up, rate_down=rate_down)
    assert after.dtype == np.float32
    assert after.min() >= 0
    assert after.max() <= 1
    for i in range(len(score)):
        rate = rate_up if reward[i] > score[i] else rate_down
        assert after[i] == pytest.approx(score[i] + rate * (reward[i] - score[i]), abs=1e-6)


@pytest.mark.parametrize(("rate_up", "rate_down"), [(0.05, 0.0125), (0.05, 0.025), (0.05, 0.05), (0.0125, 0.05)])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_superiority_settles_where_contests_won_at_a_rate_say(p: float, rate_up: float, rate_down: float) -> None:
    won = (np.random.default_rng(40).random((1500, 400)) < p).astype(np.float64)
    expected = float(bernoulli_fixed_point(np.array(p), rate_up=rate_up, rate_down=rate_down))
    assert settled(won, rate_up=rate_up, rate_down=rate_down) == pytest.approx(expected, abs=0.01)
    # The closed form is the expectile of the rewards themselves.
    coins = np.repeat([1.0, 0.0], [round(1000 * p), round(1000 * (1 - p))])
    assert expectile(coins, rate_up / (rate_up + rate_down)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("ratio", [1, 2, 4, 8])
def test_superiority_settles_on_the_expectile_of_normal_rewards(ratio: int) -> None:
    rate_down = 0.002
    drawn = np.random.default_rng(41).standard_normal((2500, 400))
    # Eight standard deviations fit between 0 and 1, so that next to nothing is cut off.
    found_at = settled(np.clip(0.5 + drawn / 8, 0, 1), rate_up=ratio * rate_down, rate_down=rate_down)
    assert 8 * (found_at - 0.5) == pytest.approx(expectile(NORMAL, ratio / (ratio + 1)), abs=0.01)


@pytest.mark.parametrize(("tau", "published"), [(2 / 3, 0.2760), (4 / 5, 0.5492), (8 / 9, 0.8168)])
def test_expectiles_of_the_normal_distribution_are_the_published_ones(tau: float, published: float) -> None:
    assert expectile(NORMAL, tau) == pytest.approx(published, abs=5e-5)
    assert expectile(NORMAL, 1 - tau) == pytest.approx(-published, abs=5e-5)


@given(rewards=SAMPLES)
def test_the_middle_expectile_is_the_mean(rewards: NDArray[np.float64]) -> None:
    assert expectile(rewards, 0.5) == pytest.approx(rewards.mean(), abs=1e-9)


@given(rewards=SAMPLES, tau=TAUS)
def test_an_expectile_balances_what_lies_above_and_below(rewards: NDArray[np.float64], tau: float) -> None:
    value = expectile(rewards, tau)
    assert rewards.min() - 1e-9 <= value <= rewards.max() + 1e-9
    above, below = np.maximum(rewards - value, 0).mean(), np.maximum(value - rewards, 0).mean()
    assert tau * above == pytest.approx((1 - tau) * below, abs=1e-8)


@given(rewards=SAMPLES, tau=TAUS, shift=st.floats(-100, 100), scale=st.floats(0.01, 100))
def test_an_expectile_moves_and_stretches_with_the_rewards(
    rewards: NDArray[np.float64], tau: float, shift: float, scale: float
) -> None:
    value = expectile(rewards, tau)
    assert expectile(shift + scale * rewards, tau) == pytest.approx(shift + scale * value, abs=1e-8 * (1 + scale))
    assert expectile(-rewards, 1 - tau) == pytest.approx(-value, abs=1e-8)


@given(rewards=SAMPLES, low=TAUS, high=TAUS)
def test_expectiles_rise_with_tau(rewards: NDArray[np.float64], low: float, high: float) -> None:
    assume(low < high)
    assert expectile(rewards, low) <= expectile(rewards, high) + 1e-9


@pytest.mark.parametrize(("rewards", "tau"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.0)])
def test_an_expectile_that_does_not_exist_is_refused(rewards: list[float], tau: float) -> None:
    with pytest.raises(ValueError, match=r"expectile|tau"):
        expectile(np.array(rewards), tau)


@given(rate_up=st.floats(0.001, 1), rate_down=st.floats(0.001, 1))
def test_who_wins_every_other_fair_contest_feels_superior_in_the_share_tau(rate_up: float, rate_down: float) -> None:
    tau = SocietyConfig(rate_up=rate_up, rate_down=rate_down).tau
    felt = bernoulli_fixed_point(np.array([0.0, 0.5, 1.0]), rate_up=rate_up, rate_down=rate_down)
    assert felt == pytest.approx([0.0, tau, 1.0])


def test_without_learning_there_is_no_illusion() -> None:
    assert bernoulli_fixed_point(np.array([0.2, 0.7]), rate_up=0.0, rate_down=0.0).tolist() == [0.2, 0.7]


# ---- how it gets there, and what a contest does to the sum


@given(p=st.floats(0, 1), contests=st.integers(0, 60), rate_up=st.floats(0, 1), rate_down=st.floats(0, 1))
def test_the_expected_course_is_that_of_one_contest_after_the_other(
    p: float, contests: int, rate_up: float, rate_down: float
) -> None:
    expected = NEUTRAL
    for _ in range(contests):
        expected += p * rate_up * (1 - expected) - (1 - p) * rate_down * expected
    course = bernoulli_course(np.array(p), np.array(contests), rate_up=rate_up, rate_down=rate_down)
    assert float(course) == pytest.approx(expected, abs=1e-9)


def test_the_course_goes_from_neutral_to_the_fixed_point_and_never_past_it() -> None:
    rates = {"rate_up": 0.05, "rate_down": 0.0125}
    p = np.array([[0.1], [0.5], [0.9]])
    course = bernoulli_course(p, np.array([0, 10, 100, 10_000]), **rates)
    np.testing.assert_allclose(course[:, 0], NEUTRAL)
    np.testing.assert_allclose(course[:, -1:], bernoulli_fixed_point(p, **rates))
    assert (np.diff(course[0]) <= 0).all()
    assert (np.diff(course[1:], axis=1) >= 0).all()


@given(first=st.floats(0, 1), second=st.floats(0, 1), p=st.floats(0, 1))
def test_a_contest_raises_the_sum_of_feelings_by_what_the_winner_gains_less_what_the_loser_loses(
    first: float, second: float, p: float
) -> None:
    rates = {"rate_up": 0.05, "rate_down": 0.0125}
    before = np.array([first, second], dtype=np.float32)
    won = updated(before, np.array([1.0, 0.0]), **rates).sum(dtype=np.float64) - before.sum(dtype=np.float64)
    lost = updated(before, np.array([0.0, 1.0]), **rates).sum(dtype=np.float64) - before.sum(dtype=np.float64)
    drift = zero_sum_drift(np.array(first), np.array(second), win_rate=p, **rates)
    assert float(drift) == pytest.approx(p * won + (1 - p) * lost, abs=1e-6)


def test_fair_contests_raise_the_sum_until_both_feel_tau() -> None:
    felt = np.array([0.0, 0.5, 0.8, 1.0])
    drift = zero_sum_drift(felt, felt, rate_up=0.05, rate_down=0.0125)
    np.testing.assert_allclose(drift, [0.05, (0.05 - 0.0125) / 2, 0.0, -0.0125], atol=1e-12)
    # Who learns from good and bad news alike only passes superiority on.
    even = zero_sum_drift(felt, 1 - felt, rate_up=0.02, rate_down=0.02)
    np.testing.assert_allclose(even, 0, atol=1e-12)


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.75, 0.25), (0.5, 0.5)])
def test_two_sources_of_feedback_are_felt_like_one_coin_with_the_mixed_chance(
    world: World, shares: tuple[float, float]
) -> None:
    n, chances = 1000, (0.8, 0.3)
    config = SocietyConfig(agents=n, sensors=8, memory=2, reward_talk=shares[0], reward_comparison=shares[1])
    population = found(world, config, np.random.default_rng(0))
    rng, slots, late = np.random.default_rng(42), np.zeros(n, dtype=np.intp), []
    for step in range(1000):
        wins = (rng.random((2, n)) < np.array(chances)[:, None]).astype(np.float64)
        feel(population, experience_of(slots, {"talk": wins[0], "comparison": wins[1]}), config)
        if step >= 500:
            late.append(population.score[:, 0].mean(dtype=np.float64))
    mixed = np.dot(shares, chances)
    expected = float(bernoulli_fixed_point(mixed, rate_up=config.rate_up, rate_down=config.rate_down))
    assert np.mean(late) == pytest.approx(expected, abs=0.01)


def experience_of(slots: NDArray[np.intp], outcomes: dict[str, NDArray[np.float64]], **changes: Any) -> Experience:
    """Agents 0, 1, ... each with a dimension in use, who deal with the next one."""
    rows = np.arange(len(slots))
    fields: dict[str, Any] = {"rows": rows, "slots": slots, "partners": np.roll(rows, -1)}
    fields |= {"topic": np.zeros(len(slots), dtype=np.int32), "outcomes": outcomes}
    return Experience(**(fields | changes))


def test_only_the_dimension_in_use_is_felt_and_its_contests_are_counted(world: World) -> None:
    config = SocietyConfig(agents=4, sensors=8, memory=8)
    population = found(world, config, np.random.default_rng(1))
    before = population.copy()
    outcomes = {"talk": np.zeros(3), "comparison": np.array([1.0, 0.0, 0.5])}
    feel(population, experience_of(np.array([2, 0, 1]), outcomes), config)
    assert population.score[0, 2] == pytest.approx(0.5 + 0.05 * 0.5)
    assert population.score[1, 0] == pytest.approx(0.5 - 0.0125 * 0.5)
    assert population.contests.sum() == 3
    assert population.contests[[0, 1, 2], [2, 0, 1]].tolist() == [1, 1, 1]
    untouched = np.ones(population.score.shape, dtype=bool)
    untouched[[0, 1], [2, 0]] = False
    assert (population.score == before.score)[untouched].all()


def test_what_attribution_makes_of_an_outcome_is_felt_instead_of_the_outcome(world: World) -> None:
    config = SocietyConfig(agents=2, sensors=8, memory=8, rate_up=0.5, rate_down=0.5)
    population = found(world, config, np.random.default_rng(1))
    outcomes = {"comparison": np.array([1.0, 1.0])}
    felt = {"comparison": np.array([0.7, 0.2])}
    feel(population, experience_of(np.array([0, 0]), outcomes, felt=felt), config)
    np.testing.assert_allclose(population.score[:, 0], [0.6, 0.35], rtol=1e-6)


def test_a_contest_is_won_by_the_body_that_stands_higher_on_the_own_dimension(world: World) -> None:
    config = SocietyConfig(agents=30, sensors=8, memory=8)
    population = found(world, config, np.random.default_rng(2))
    population.body[5] = population.body[6]
    slots = np.arange(30) % 4
    outcome = compare(population, world, experience_of(slots, {}), config).outcomes
    assert outcome.keys() == {"comparison"}
    for row in range(30):
        other = (row + 1) % 30
        own, theirs = (height(population, world, row, slots[row], population.body[i]) for i in (row, other))
        assert outcome["comparison"][row] == (0.5 if row == 5 else float(own > theirs))


def test_prediction_is_rewarded_by_the_share_of_the_topic_that_a_dimension_explains(world: World) -> None:
    config = SocietyConfig(agents=3, sensors=8, memory=8, reward_prediction=0.5)
    population = found(world, config, np.random.default_rng(3))
    topic = np.array([population.exemplar[0, 1], 7, 11], dtype=np.int32)
    slots = np.array([1, 2, 3])
    outcome = compare(population, world, experience_of(slots, {}, topic=topic), config).outcomes["prediction"]
    # Likeness to an object explains that object wholly.
    assert outcome[0] == pytest.approx(1.0, abs=1e-6)
    for row in (1, 2):
        sensed = world.features[topic[row], population.sensor[row]].astype(np.float64)
        level = sensed @ population.loading[row, slots[row]]
        residual = sensed - level * population.loading[row, slots[row]]
        assert outcome[row] == pytest.approx(1 - (residual @ residual) / (sensed @ sensed), abs=1e-6)


def height(population: Population, world: World, row: int, slot: int, obj: int) -> float:
    sensed = world.features[obj, population.sensor[row]].astype(np.float64)
    return float(sensed @ population.loading[row, slot].astype(np.float64))


def standings_one_by_one(population: Population, world: World, others: list[list[int]]) -> NDArray[np.float64]:
    """True standing [N, S] where row i is held against the bodies ``others[i]``."""
    rates = np.full((len(population), population.n_slots), np.nan)
    for row, slot in zip(*np.nonzero(population.held), strict=True):
        body = int(population.body[row])
        own = height(population, world, row, slot, body)
        won = [0.5 if b == body else float(own > height(population, world, row, slot, b)) for b in others[row]]
        rates[row, slot] = np.mean(won)
    return rates


def crowd(world: World) -> Population:
    """Agents of whom some have one body, in views of raw and abstract dimensions with a gap."""
    rng = np.random.default_rng(4)
    population = found(world, SocietyConfig(agents=40, sensors=29, memory=8), rng)
    population.body[10:16] = population.body[3]
    loading = rng.standard_normal((40, 29)).astype(np.float32)
    loading /= np.linalg.norm(loading, axis=1, keepdims=True)
    rows = np.arange(40)
    population.install(rows, np.full(40, 6), loading=loading, kind=ABSTRACT, exemplar=NOTHING, step=0)
    population.clear(np.array([0, 1]), np.array([2, 0]))
    return population


def test_true_standing_is_the_share_of_the_others_below_with_ties_half(world: World) -> None:
    population = crowd(world)
    others = [[int(b) for i, b in enumerate(population.body) if i != row] for row in range(40)]
    np.testing.assert_allclose(win_rates(population, world), standings_one_by_one(population, world, others))


def test_true_standing_can_be_estimated_from_a_sample_of_bodies(world: World) -> None:
    population = crowd(world)
    sample = np.concatenate([population.body[:7], world.train[:20]]).astype(np.int32)
    expected = standings_one_by_one(population, world, [sample.tolist()] * 40)
    np.testing.assert_allclose(win_rates(population, world, sample), expected)


def grown_old(world: World, **changes: Any) -> tuple[Society, NDArray[np.bool_]]:
    """A society whose views last, and which of its dimensions have been in contests enough to have settled."""
    life: dict[str, Any] = {"agents": 100, "sensors": 12, "memory": 32, "audience": False}
    life |= {"discovery_interval": 0, "selection_interval": 0, "merge_interval": 0}
    society = Society(world, SocietyConfig(**(life | changes)), seed=43)
    for _ in range(1000):
        society.step()
    return society, society.population.held & (society.population.contests >= 200)


@pytest.mark.parametrize("source", ["digits", "planted"])
@pytest.mark.parametrize("audience", [True, False])
def test_a_society_feels_superior_as_its_true_win_rates_predict(source: str, audience: bool) -> None:
    world = digits(seed=0, probe=60) if source == "digits" else planted(seed=0, objects=600, features=64, factors=8)
    society, settled_in = grown_old(world, audience=audience)
    config, felt = society.config, society.population.score[settled_in]
    true = win_rates(society.population, world)[settled_in]
    predicted = bernoulli_fixed_point(true, rate_up=config.rate_up, rate_down=config.rate_down)
    assert settled_in.sum() > 100
    assert felt.mean() == pytest.approx(predicted.mean(), abs=0.03)
    # Superiority is illusory, and not because everybody feels the same.
    assert felt.mean() > true.mean() + 0.1
    assert np.corrcoef(felt, predicted)[0, 1] > 0.9
    rates = society.population.score
    assert rates.min() >= 0
    assert rates.max() <= 1


def test_where_bad_news_counts_as_much_as_good_the_illusion_is_gone(world: World) -> None:
    society, settled_in = grown_old(world, rate_up=0.0125)
    true = win_rates(society.population, world)[settled_in]
    assert society.population.score[settled_in].mean() == pytest.approx(true.mean(), abs=0.03)


def test_who_takes_only_its_own_part_for_its_doing_has_less_of_an_illusion(world: World) -> None:
    illusion = {}
    for share in (0.0, 0.5, 1.0):
        society, settled_in = grown_old(world, self_attribution=share)
        true = win_rates(society.population, world)[settled_in]
        illusion[share] = society.population.score[settled_in].mean() - true.mean()
    assert 0 < illusion[0.0] < illusion[0.5] - 0.02 < illusion[1.0] - 0.04
