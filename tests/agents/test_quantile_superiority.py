"""Phase 6 in steps of one size: superiority settles on a quantile of what is felt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.meeting import Experience
from agents.population import found
from agents.superiority import AS_EXPECTED, bernoulli_fixed_point, bernoulli_quantile, feel, settling_point, updated
from agents.world import World, planted


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=6, objects=300, features=30, factors=4, probe=40)


def won(outcome: NDArray[np.float64]) -> Experience:
    """Everybody uses its first dimension against the next one."""
    rows, none = np.arange(len(outcome)), np.zeros(len(outcome), dtype=np.intp)
    return Experience(
        rows=rows,
        slots=none,
        partners=np.roll(rows, -1),
        topic=none.astype(np.int32),
        outcomes={"comparison": outcome},
    )


@given(
    score=arrays(np.float32, 6, elements=st.floats(0, 1, width=32)),
    reward=arrays(np.float64, 6, elements=st.floats(0, 1)),
    rate_up=st.floats(0, 1),
    rate_down=st.floats(0, 1),
)
def test_the_quantile_variant_takes_steps_of_one_size_towards_the_reward_and_stays_within_bounds(
    score: NDArray[np.float32], reward: NDArray[np.float64], rate_up: float, rate_down: float
) -> None:
    after = updated(score, reward, rate_up=rate_up, rate_down=rate_down, superiority="quantile")
    assert after.dtype == np.float32
    for i in range(len(score)):
        error = reward[i] - float(score[i])
        step = 0.0 if abs(error) <= AS_EXPECTED else rate_up if error > 0 else -rate_down
        assert after[i] == pytest.approx(min(max(float(score[i]) + step, 0.0), 1.0), abs=1e-6)


@pytest.mark.parametrize("ratio", [1, 2, 4, 8])
def test_the_quantile_variant_settles_on_the_quantile_of_what_is_felt(world: World, ratio: int) -> None:
    n, rate_down = 1000, 0.002
    config = SocietyConfig(
        agents=n, sensors=8, memory=2, rate_up=ratio * rate_down, rate_down=rate_down, superiority="quantile"
    )
    population = found(world, config, np.random.default_rng(0))
    rng, late = np.random.default_rng(44), []
    # A skewed distribution on [0, 1], whose quantiles and expectiles differ: the square of a uniform number.
    for step in range(1800):
        feel(population, won(rng.random(n) ** 2), config)
        if step >= 1200:
            late.append(population.score[:, 0].mean(dtype=np.float64))
    tau = ratio / (ratio + 1)
    assert np.mean(late) == pytest.approx(tau**2, abs=0.01)
    assert config.tau == pytest.approx(tau)


def test_a_quantile_of_won_and_lost_contests_is_all_or_nothing() -> None:
    config = SocietyConfig(superiority="quantile")
    chances = np.array([0.0, 0.1, 0.19, 0.2, 0.21, 0.5, 1.0, np.nan])
    np.testing.assert_array_equal(settling_point(chances, config), [0, 0, 0, 0.5, 1, 1, 1, np.nan])
    np.testing.assert_array_equal(
        bernoulli_quantile(chances, rate_up=0.0125, rate_down=0.05), [0, 0, 0, 0, 0, 0, 1, np.nan]
    )


def test_where_steps_are_in_proportion_to_the_surprise_contests_settle_on_their_expectile() -> None:
    chances = np.array([0.1, 0.5, np.nan])
    expected = bernoulli_fixed_point(chances, rate_up=0.05, rate_down=0.0125)
    np.testing.assert_array_equal(settling_point(chances, SocietyConfig()), expected)


def test_the_quantile_variant_runs_to_the_end_to_which_contests_drive_it(world: World) -> None:
    config = SocietyConfig(agents=600, sensors=8, memory=2, superiority="quantile")
    population = found(world, config, np.random.default_rng(0))
    chances = np.repeat([0.05, 0.5, 0.9], 200)
    rng = np.random.default_rng(45)
    for _ in range(300):
        feel(population, won((rng.random(600) < chances).astype(float)), config)
    means = population.score[:, 0].reshape(3, 200).mean(axis=1)
    np.testing.assert_allclose(means, settling_point(np.array([0.05, 0.5, 0.9]), config), atol=0.03)


def test_superiority_that_is_neither_is_refused() -> None:
    with pytest.raises(InputError, match="superiority is 'median', but it must be one of expectile, quantile"):
        SocietyConfig(superiority="median")


def test_a_reward_that_only_rounding_tells_from_what_is_felt_is_no_surprise() -> None:
    felt = np.array([1.0, 0.7], dtype=np.float32)
    almost = np.array([1.0 - 1e-12, float(felt[1]) + 1e-8])
    after = updated(felt, almost, rate_up=0.05, rate_down=0.0125, superiority="quantile")
    np.testing.assert_array_equal(after, felt)
