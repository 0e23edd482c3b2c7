"""Phase 5: exact credit for every outcome, and the shares of the outcome's variance in the long run."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from agents.attribution import (
    Credits,
    Ledger,
    attribute,
    biased,
    contest_credits,
    expected_standings,
    felt_reward,
    shapley,
    shapley_linear,
    talk_credits,
    variance_shares,
)
from agents.config import SocietyConfig
from agents.meeting import Experience
from agents.population import NOTHING, Population, found
from agents.society import Society
from agents.superiority import ACQUAINTANCES
from agents.world import World, planted

EXACT = 1e-10
SHARE = st.floats(0, 1)


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=7, objects=300, features=30, factors=4, probe=40)


@st.composite
def games(draw: st.DrawFn, *, least: int = 1, most: int = 9) -> NDArray[np.float64]:
    """The worth of all coalitions of a few players."""
    n = draw(st.integers(least, most))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).uniform(-1, 1, 1 << n)


def n_players(worth: NDArray[np.float64]) -> int:
    return worth.shape[-1].bit_length() - 1


@given(worth=games())
def test_credits_add_up_to_what_all_together_achieve(worth: NDArray[np.float64]) -> None:
    assert shapley(worth).sum() == pytest.approx(worth[-1] - worth[0], abs=EXACT)


@given(worth=games(most=8), data=st.data())
def test_who_changes_nothing_is_credited_with_nothing_and_changes_nobodys_credit(
    worth: NDArray[np.float64], data: st.DataObject
) -> None:
    n = n_players(worth)
    dummy = data.draw(st.integers(0, n))
    low = (1 << dummy) - 1
    # A coalition is worth what it is worth without the player at this place.
    with_dummy = np.array([worth[(s & low) | (s >> 1 & ~low)] for s in range(2 << n)])
    credit = shapley(with_dummy)
    assert credit[dummy] == 0.0
    np.testing.assert_allclose(np.delete(credit, dummy), shapley(worth), atol=EXACT)


@given(worth=games(least=2), data=st.data())
def test_those_who_can_stand_in_for_each_other_are_credited_with_the_same(
    worth: NDArray[np.float64], data: st.DataObject
) -> None:
    n = n_players(worth)
    a, b = data.draw(st.permutations(range(n)))[:2]
    swapped = np.array([worth[swap_bits(s, a, b)] for s in range(1 << n)])
    credit = shapley((worth + swapped) / 2)
    assert credit[a] == pytest.approx(credit[b], abs=EXACT)
    # And credit follows the player, not its place.
    order = list(range(n))
    order[a], order[b] = b, a
    np.testing.assert_allclose(shapley(swapped), shapley(worth)[order], atol=EXACT)


def swap_bits(s: int, a: int, b: int) -> int:
    differs = (s >> a ^ s >> b) & 1
    return s ^ (differs << a | differs << b)


@given(worth=games(), other=games(), weight=st.floats(-10, 10))
def test_credit_for_two_games_is_the_sum_of_the_credits(
    worth: NDArray[np.float64], other: NDArray[np.float64], weight: float
) -> None:
    other = np.resize(other, worth.shape)
    together = shapley(worth + weight * other)
    np.testing.assert_allclose(together, shapley(worth) + weight * shapley(other), atol=EXACT)


@settings(max_examples=30)
@given(worth=games(most=5))
def test_credit_is_the_mean_of_what_each_adds_over_all_orders_of_arrival(worth: NDArray[np.float64]) -> None:
    n = n_players(worth)
    added = np.zeros(n)
    for order in itertools.permutations(range(n)):
        present = 0
        for player in order:
            added[player] += worth[present | 1 << player] - worth[present]
            present |= 1 << player
    np.testing.assert_allclose(shapley(worth), added / math.factorial(n), atol=EXACT)


def test_many_games_are_credited_at_once() -> None:
    worth = np.random.default_rng(50).uniform(size=(4, 3, 1 << 5))
    credit = shapley(worth)
    assert credit.shape == (4, 3, 5)
    for i, j in itertools.product(range(4), range(3)):
        np.testing.assert_allclose(credit[i, j], shapley(worth[i, j]), atol=EXACT)


@pytest.mark.parametrize("size", [0, 3, 12, 511, 1 << 10])
def test_a_game_without_the_worth_of_every_coalition_of_at_most_nine_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="coalitions of at most 9 players"):
        shapley(np.zeros(size))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 9))
def test_in_a_linear_game_each_is_credited_with_its_own_effect(seed: int, n: int) -> None:
    weights, values, means = np.random.default_rng(seed).uniform(-1, 1, (3, n))
    # Players who are not there are at their mean.
    worth = np.array(
        [sum(weights[i] * (values[i] if s >> i & 1 else means[i]) for i in range(n)) for s in range(1 << n)]
    )
    np.testing.assert_allclose(shapley_linear(weights, values, means), shapley(worth), atol=EXACT)


@given(p=SHARE, q=SHARE, y=st.sampled_from([0.0, 0.5, 1.0]), used=st.integers(0, 7))
def test_contest_credits_are_the_shapley_values_among_eight_dimensions_and_the_others(
    p: float, q: float, y: float, used: int
) -> None:
    credit = contest_credits(np.array([p]), np.array([q]), np.array([y]))
    np.testing.assert_allclose(shapley(np.array([0.5, p, 1 - q, y])), [credit.own[0], credit.others[0]], atol=EXACT)
    worth = [(0.5, p, 1 - q, y)[(s >> used & 1) + 2 * (s >> 8)] for s in range(1 << 9)]
    assert_credited(shapley(np.array(worth)), credit, used)
    assert_adds_up(credit, y)
    assert credit.expectation[0] == 0.5
    assert credit.luck[0] == 0.0


@given(usual=SHARE, dimension=SHARE, partner=SHARE, everybody=SHARE, y=st.booleans(), used=st.integers(0, 7))
def test_talk_credits_are_the_shapley_values_among_eight_dimensions_and_the_others(
    usual: float, dimension: float, partner: float, everybody: float, y: bool, used: int
) -> None:
    credit = talk_credits(
        usual=np.array([usual]),
        with_dimension=np.array([dimension]),
        with_partner=np.array([partner]),
        everybody=everybody,
        outcome=np.array([float(y)]),
    )
    own, others = dimension - usual, partner - everybody
    worth = np.array([usual + own * (s >> used & 1) + others * (s >> 8) for s in range(1 << 9)])
    assert_credited(shapley(worth), credit, used)
    assert credit.luck[0] == pytest.approx(float(y) - worth[-1], abs=EXACT)
    assert credit.expectation[0] == usual
    assert_adds_up(credit, float(y))


def assert_credited(values: NDArray[np.float64], credit: Credits, used: int) -> None:
    """Shapley values [9] are the credits; dimensions that were not in use get exactly nothing."""
    assert values[used] == pytest.approx(credit.own[0], abs=EXACT)
    assert values[8] == pytest.approx(credit.others[0], abs=EXACT)
    assert (np.delete(values, [used, 8]) == 0).all()


def assert_adds_up(credit: Credits, outcome: float) -> None:
    total = credit.own + credit.others + credit.luck
    assert total[0] == pytest.approx(outcome - credit.expectation[0], abs=EXACT)


@given(own=arrays(np.float64, 5, elements=st.floats(-1, 1)), gain=st.floats(0, 3), loss=st.floats(0, 3))
def test_bias_multiplies_own_gains_and_own_losses(own: NDArray[np.float64], gain: float, loss: float) -> None:
    expected = [gain * x if x > 0 else loss * x for x in own.tolist()]
    np.testing.assert_allclose(biased(own, gain=gain, loss=loss), expected, atol=EXACT)


@given(p=SHARE, q=SHARE, y=st.sampled_from([0.0, 0.5, 1.0]), gain=st.floats(0, 3), loss=st.floats(0, 3), taken=SHARE)
def test_what_is_felt_is_the_expectation_the_biased_own_part_and_as_much_of_the_rest_as_one_takes(
    p: float, q: float, y: float, gain: float, loss: float, taken: float
) -> None:
    credit = contest_credits(np.array([p]), np.array([q]), np.array([y]))
    config = SocietyConfig(bias_gain=gain, bias_loss=loss, self_attribution=taken)
    own = credit.own[0] * (gain if credit.own[0] > 0 else loss)
    felt = 0.5 + own + taken * (credit.others[0] + credit.luck[0])
    assert felt_reward(credit, config)[0] == pytest.approx(min(max(felt, 0.0), 1.0), abs=EXACT)


@given(p=SHARE, q=SHARE, y=st.sampled_from([0.0, 0.5, 1.0]))
def test_who_takes_everything_for_its_own_doing_feels_the_outcome_itself(p: float, q: float, y: float) -> None:
    credit = contest_credits(np.array([p]), np.array([q]), np.array([y]))
    assert felt_reward(credit, SocietyConfig())[0] == pytest.approx(y, abs=EXACT)


def experience(population: Population, outcomes: dict[str, NDArray[np.float64]]) -> Experience:
    """Everybody deals with the next one, each with one of its dimensions."""
    rows = np.arange(len(population))
    slots = rows % 4
    return Experience(
        rows=rows, slots=slots, partners=np.roll(rows, -1), topic=np.zeros(len(rows), dtype=np.int32), outcomes=outcomes
    )


def some_outcomes(n: int) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(51)
    comparison = rng.choice([0.0, 0.5, 1.0], n)
    return {"talk": rng.integers(2, size=n).astype(float), "comparison": comparison, "prediction": rng.random(n)}


def people(world: World, config: SocietyConfig) -> Population:
    """Some agents who understand each other more or less."""
    rng = np.random.default_rng(52)
    population = found(world, config, rng)
    population.success[:] = rng.random(len(population))
    population.understood[:] = rng.random(population.understood.shape)
    return population


def test_every_outcome_is_split_and_the_split_is_felt(world: World) -> None:
    config = SocietyConfig(agents=40, sensors=8, memory=20, reward_talk=0.5, reward_comparison=0.5, self_attribution=0)
    population, ledger = people(world, config), Ledger()
    before = experience(population, some_outcomes(40))
    rows, slots, partners = before.rows, before.slots, before.partners
    after = attribute(population, world, before, config, ledger)
    assert after.felt is not None
    usual, y = population.success.astype(np.float64), before.outcomes["talk"]
    talk = usual + (population.understood[rows, slots] - usual)
    np.testing.assert_allclose(after.felt["talk"], np.clip(talk, 0, 1), atol=1e-6)
    p, q = expected_standings(population, world, before).T
    won = before.outcomes["comparison"]
    contest = 0.5 + (p - 0.5 + won - (1 - q)) / 2
    np.testing.assert_allclose(after.felt["comparison"], np.clip(contest, 0, 1), atol=EXACT)
    # What a dimension explains is its own doing.
    np.testing.assert_array_equal(after.felt["prediction"], before.outcomes["prediction"])
    assert after.outcomes is before.outcomes
    own = 0.5 * (population.understood[rows, slots] - usual) + 0.5 * (p - 0.5)
    others = 0.5 * (usual[partners] - usual.mean()) + 0.5 * (0.5 - q)
    assert ledger.count == 40
    expected = np.stack([0.5 * y + 0.5 * won, own, others])
    np.testing.assert_allclose(ledger.total, expected.sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(ledger.squares, expected @ expected.T, atol=1e-5)


def test_whose_self_attribution_is_complete_and_unbiased_feels_the_outcomes(world: World) -> None:
    config = SocietyConfig(agents=40, sensors=8, memory=20, reward_talk=0.3, reward_comparison=0.5)
    population = people(world, config)
    after = attribute(population, world, experience(population, some_outcomes(40)), config, Ledger())
    assert after.felt is not None
    assert after.felt.keys() == after.outcomes.keys()
    for source, outcome in after.outcomes.items():
        np.testing.assert_allclose(after.felt[source], outcome, atol=EXACT)


def test_expected_standings_are_shares_of_the_acquaintances_below(world: World) -> None:
    config = SocietyConfig(agents=30, sensors=8, memory=50, childhood=40)
    population = found(world, config, np.random.default_rng(53))
    population.seen[3, 10:] = NOTHING
    population.seen[4, 2:6] = population.body[4]
    population.seen[5] = NOTHING
    met = experience(population, {})
    slots, partners = met.slots, met.partners
    own, others = expected_standings(population, world, met).T
    for row in range(30):
        loading = population.loading[row, slots[row]].astype(np.float64)
        known = [int(obj) for obj in population.seen[row, :ACQUAINTANCES] if obj != NOTHING]
        for body, standing in ((population.body[row], own[row]), (population.body[partners[row]], others[row])):
            level = world.features[body, population.sensor[row]] @ loading
            below = [
                0.5 if obj == body else float(level > world.features[obj, population.sensor[row]] @ loading)
                for obj in known
            ]
            assert standing == pytest.approx(np.mean(below) if known else 0.5)


@given(parts=st.lists(st.integers(1, 30), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_a_ledger_kept_event_by_event_equals_one_computed_in_the_end(parts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    ledger, chunks = Ledger(), [rng.uniform(size=(3, n)) for n in parts]
    for chunk in chunks:
        ledger.add(*chunk)
    events = np.concatenate(chunks, axis=1)
    shares = ledger.shares()
    if events.shape[1] < 2:
        assert shares is None
        return
    assert shares is not None
    expected = variance_shares(np.cov(events, bias=True))
    np.testing.assert_allclose(list(shares.values()), expected, atol=1e-6)
    assert sum(shares.values()) == pytest.approx(1, abs=EXACT)


def test_a_ledger_of_outcomes_that_never_varied_has_no_shares() -> None:
    ledger = Ledger()
    assert ledger.shares() is None
    ledger.add(np.ones(10), np.arange(10.0), np.arange(10.0))
    assert ledger.shares() is None
    rng, long = np.random.default_rng(0), Ledger()
    for _ in range(1000):
        long.add(np.full(37, 0.35), *rng.uniform(size=(2, 37)))
        assert long.shares() is None, "what many sums are rounded by is no variance"


@given(
    weights=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    variances=st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
    noise=st.floats(0.01, 5),
)
def test_for_independent_predictors_the_shares_are_their_parts_of_the_variance(
    weights: tuple[float, float], variances: tuple[float, float], noise: float
) -> None:
    (a, b), (u, v) = weights, variances
    total = a * a * u + b * b * v + noise
    covariance = np.array([[total, a * u, b * v], [a * u, u, 0.0], [b * v, 0.0, v]])
    expected = (a * a * u / total, b * b * v / total, noise / total)
    np.testing.assert_allclose(variance_shares(covariance), expected, atol=EXACT)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1))
def test_shares_of_correlated_predictors_are_means_over_the_two_orders_of_entering(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own, others = rng.standard_normal((2, 2)) @ rng.standard_normal((2, 60))
    outcome = own - 0.5 * others + rng.standard_normal(60)

    def r2(*predictors: NDArray[np.float64]) -> float:
        design = np.stack([np.ones(60), *predictors], axis=1)
        fitted = design @ np.linalg.lstsq(design, outcome, rcond=None)[0]
        return float(np.var(fitted) / np.var(outcome))

    both = r2(own, others)
    expected = ((r2(own) + both - r2(others)) / 2, (r2(others) + both - r2(own)) / 2, 1 - both)
    shares = variance_shares(np.cov(np.stack([outcome, own, others]), bias=True))
    np.testing.assert_allclose(shares, expected, atol=1e-6)


def test_predictors_that_say_the_same_share_and_one_that_never_varies_gets_nothing() -> None:
    same = np.array([[2.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(variance_shares(same), (0.25, 0.25, 0.5), atol=EXACT)
    opposite = np.array([[2.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    np.testing.assert_allclose(variance_shares(opposite), (0.25, 0.25, 0.5), atol=EXACT)
    constant = np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(variance_shares(constant), (0.5, 0.0, 0.5), atol=EXACT)
    np.testing.assert_allclose(variance_shares(np.diag([1.0, 0.0, 0.0])), (0, 0, 1), atol=EXACT)


def test_of_a_contest_among_equals_a_third_each_is_self_others_and_luck() -> None:
    # y = 1 where p > q: cov(y, p) = var p = 1/12 and var y = 1/4, so each standing explains 1/3.
    p, q = np.random.default_rng(54).random((2, 200_000))
    ledger = Ledger()
    ledger.add((p > q).astype(float), p - 0.5, 0.5 - q)
    assert ledger.shares() == pytest.approx({"self": 1 / 3, "others": 1 / 3, "luck": 1 / 3}, abs=0.01)


def lived(world: World, steps: int = 250, **changes: Any) -> dict[str, float]:
    """The shares in a society whose views last."""
    life: dict[str, Any] = {"agents": 100, "sensors": 8, "memory": 40}
    life |= {"discovery_interval": 0, "selection_interval": 0, "merge_interval": 0}
    society = Society(world, SocietyConfig(**(life | changes)), seed=55)
    for _ in range(steps):
        society.step()
    shares = society.ledger.shares()
    assert shares is not None
    return shares


def test_understanding_by_pure_chance_is_luck(world: World) -> None:
    """With nothing to point at, gestures along unrelated dimensions are understood by accident only."""
    chance: dict[str, Any] = {"game": "gesture", "common_ground": 0, "dimensions": 1, "exemplars": 1}
    shares = lived(world, reward_talk=1.0, reward_comparison=0.0, **chance)
    assert shares["luck"] > 0.97


def test_contests_at_longer_intervals_have_the_same_shares(world: World) -> None:
    every, rarer = lived(world), lived(world, compare_interval=3)
    assert every["self"] + every["others"] > 0.5
    assert rarer == pytest.approx(every, abs=0.05)


def test_where_talk_and_contests_both_count_only_events_with_both_are_entered(world: World) -> None:
    life = SocietyConfig(agents=20, sensors=8, memory=8, reward_talk=0.5, reward_comparison=0.5, compare_interval=2)
    society = Society(world, life, seed=56)
    counts = []
    for _ in range(4):
        society.step()
        counts.append(society.ledger.count)
    assert counts[0] == 0
    assert 0 < counts[1] == counts[2] < counts[3]
