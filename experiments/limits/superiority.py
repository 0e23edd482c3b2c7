"""Superiority in its exact limits: where it settles, how it gets there, and what contests do to the sum of feelings.

All of it is fed through `agents.superiority.feel` to the dimensions of a real population, thousands side by side.
Rewards of N(0, 1) are felt as 1/2 + z/8, since superiority lives in [0, 1]: expectiles and quantiles move and stretch
with what they are of.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from agents.config import SocietyConfig
from agents.population import NEUTRAL, Population
from agents.society import Society
from agents.superiority import (
    bernoulli_course,
    bernoulli_fixed_point,
    expectile,
    feel,
    settling_point,
    win_rates,
    zero_sum_drift,
)
from agents.world import World, planted
from experiments.limits.chance import chance_error
from experiments.limits.contestants import SLOTS, arena, compared, experienced, people, rivals
from experiments.limits.rows import TARGET, Law, Row, judged, law, row_of
from experiments.limits.superiority_theory import course_variance, normal_bias, normal_expectile, walk_course
from experiments.pieces import Figures, Found, Measure

SETTLES = "superiority: where it settles"
COURSE = "superiority: how it gets there"
CONTESTS = "superiority: contests that one wins and one loses"
SOCIETY = "superiority: a living society"

EXPECTILE = "Newey & Powell 1987, eq. 2.2"
QUANTILE = "Robbins & Monro 1951; Dabney et al. 2018"
RECURSION = "E V' = (1 - l) E V + p a+, l = p a+ + (1 - p) a-"

Variant = Literal["expectile", "quantile"]
VARIANTS: tuple[Variant, ...] = ("expectile", "quantile")
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

UP, DOWN = 0.05, 0.0125
TAU = 0.8
"""The rates of superiority by default, and what they settle on."""
STARTS = (0.0, 0.25, NEUTRAL, 0.75, TAU, 1.0)
"""How superior two feel before a contest."""

RATIOS: dict[int, tuple[str, float]] = {2: (".667", 0.2760), 4: (".8", 0.5492), 8: (".889", 0.8168)}
"""a+ / a-, tau as it is printed, and the published expectile of N(0, 1)."""
SCALE = 8.0
WIN_RATES = (0.05, 0.1, 0.2, 0.25, 0.4, 0.5, 0.75, 0.9)
EDGE = 0.2
"""One for each slot; and where the quantile variant runs neither up nor down, 1 - tau."""
COURSE_AT = (1, 2, 5, 10, 20, 40, 80, 160)
JUDGED_AT = (10, 40, 160)
"""Contests after which the course is drawn, and judged."""
LARGE = (0.05, 0.1, 0.2, 0.4)
"""Rates up at which the bias of the settled mean is looked at."""

MANY = 4000
"""Dimensions whose course is averaged."""
NOISE = 0.001
"""Standard deviation over seeds of how much farther one rate leads than another."""
WIDEST = 0.015
"""What is put down to chance in a society of a hundred agents (a standard error over three seeds is .003)."""
CLOSE = 0.01
"""What is tolerated at rates of at most .05: the bias of their order, and chance."""
DIGITS = 5e-5
"""Half of the last published digit."""
SINGLE = 1e-6
"""Superiority is kept in single precision."""

LIFE: dict[str, Any] = {"agents": 100, "discovery_interval": 0, "selection_interval": 0, "merge_interval": 0}
"""A society whose dimensions last."""


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` lets the living societies grow less old."""
    steps = 150 if quick else 1500
    return {
        SOCIETY: functools.partial(living, steps=steps),
        SETTLES: settling,
        COURSE: courses,
        CONTESTS: contests,
    }


def rows(found: Mapping[str, Found]) -> Iterator[Row | Law]:
    """Every row and law of superiority."""
    yield from settling_rows(found[SETTLES])
    yield from course_rows(found[COURSE])
    yield from contest_rows(found[CONTESTS])
    yield from society_rows(found[SOCIETY])


# -- feeding ----------------------------------------------------------------------------------------------------------


def settled(draw: Draw, *, seed: int, rates: tuple[float, float], steps: int, **config: Any) -> NDArray[np.float64]:
    """Mean superiority [S] of each slot over the last ``steps`` of three times as many, over 250 agents.

    The first third is lived at five times the rates, to be near sooner.
    """
    rng = np.random.default_rng(seed)
    population, life = people(2000, rate_up=rates[0], rate_down=rates[1], **config)
    hasty = dataclasses.replace(life, rate_up=min(5 * rates[0], 1.0), rate_down=min(5 * rates[1], 1.0))
    total = np.zeros(SLOTS)
    for step in range(3 * steps):
        rewards = {"comparison": draw(rng, population.score.size)}
        feel(population, experienced(population, rewards), hasty if step < steps else life)
        if step >= 2 * steps:
            total += population.score.mean(axis=0, dtype=np.float64)
    return total / steps


def normal(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Rewards of N(0, 1), as they are felt."""
    return 0.5 + rng.standard_normal(n) / SCALE


def coins(rng: np.random.Generator, n: int, *, chances: Sequence[float]) -> NDArray[np.float64]:
    """Contests won at another rate in every slot (``chances [S]``)."""
    return (rng.random((n // SLOTS, SLOTS)) < np.asarray(chances)).astype(np.float64).ravel()


# -- measuring --------------------------------------------------------------------------------------------------------


def settling(seed: int) -> Figures:
    """Both variants on rewards of N(0, 1), and on contests won at several rates; what theory says of them."""
    found: Figures = {}
    sample = norm.ppf((np.arange(200_001) + 0.5) / 200_001)
    for ratio in RATIOS:
        found[f"expectile {ratio}"] = expectile(sample, ratio / (ratio + 1))
        # In units of N(0, 1) the constant steps are eight times as long.
        for variant, fast in (("expectile", 0.02), ("quantile", 0.02 / SCALE)):
            rates = (fast, fast / ratio)
            mean = settled(normal, seed=seed, rates=rates, steps=400, superiority=variant).mean()
            found[f"{variant} felt {ratio}"] = SCALE * (float(mean) - 0.5)
    won = functools.partial(coins, chances=WIN_RATES)
    for variant in VARIANTS:
        means = settled(won, seed=seed, rates=(UP, DOWN), steps=400, superiority=variant)
        found |= {f"{variant} coins {p}": float(mean) for p, mean in zip(WIN_RATES, means, strict=True)}
    return found


def courses(seed: int) -> Figures:
    """Superiority after so many fair contests, averaged over many; and how far large rates lead astray."""
    found: Figures = {}
    rng = np.random.default_rng(seed)
    population, life = people(MANY)
    for step in range(1, max(COURSE_AT) + 1):
        won = coins(rng, MANY, chances=[0.5] * SLOTS)
        feel(population, experienced(population, {"comparison": won}), life)
        if step in COURSE_AT:
            found[f"after {step}"] = float(population.score.mean(dtype=np.float64))
    for fast in LARGE:
        mean = settled(normal, seed=seed, rates=(fast, fast / 4), steps=200).mean()
        found[f"bias {fast}"] = SCALE * (float(mean) - 0.5) - normal_expectile(0.8)
    return found


def contests(seed: int) -> Figures:
    """Contests of bodies by one measure that all share: what one does to the sum of feelings, and many to all."""
    world, rng = arena(seed), np.random.default_rng(seed)
    population, life = rivals(world, rng, agents=1000, known=SLOTS, dimensions=SLOTS)
    found: Figures = {}
    for variant in VARIANTS:
        config = dataclasses.replace(life, superiority=variant)
        for start in STARTS:
            population.score[:, 0] = start
            met = compared(population, world, config, rng)
            feel(population, met, config)
            raised = population.score[met.rows, 0] - np.float64(np.float32(start))
            decided = met.outcomes["comparison"] != 0.5
            found[f"{variant} raised from {start}"] = 2 * float(raised[decided].mean())
    for name, fair in (("fair", True), ("unequal", False)):
        felt = competing(population, world, life, rng, fair=fair)
        found |= {f"{name} felt": float(felt.mean()), f"{name} above": float((felt > 0.5).mean())}
    return found


def competing(
    population: Population, world: World, config: SocietyConfig, rng: np.random.Generator, *, fair: bool
) -> NDArray[np.float64]:
    """Superiority [N] over the second half of 600 contests each, decided by bodies, or (``fair``) by a coin."""
    population.score[:, 0] = NEUTRAL
    total = np.zeros(len(population))
    for step in range(600):
        met = compared(population, world, config, rng)
        if fair:
            won = rng.random(len(met.rows) // 2) < 0.5
            met = dataclasses.replace(met, outcomes={"comparison": np.concatenate([won, ~won]).astype(np.float64)})
        feel(population, met, config)
        if step >= 300:
            total += population.score[:, 0]
    return total / 300


def living(seed: int, *, steps: int) -> Figures:
    """A whole society whose dimensions last, of either variant: felt, true, and what the true win rates foretell."""
    world = planted(seed=seed, objects=1500, features=32, factors=8, probe=60)
    found: Figures = {}
    for variant in VARIANTS:
        society = Society(world, SocietyConfig(**LIFE, superiority=variant), seed=seed)
        for _ in range(steps):
            society.step()
        population, config = society.population, society.config
        used = population.held & (population.contests > 0)
        felt, true = population.score[used].astype(np.float64), win_rates(population, world)[used]
        rates, course = {"rate_up": config.rate_up, "rate_down": config.rate_down}, walk_course
        if variant == "expectile":
            course = bernoulli_course
        foretold = course(true, population.contests[used], **rates)
        found |= {
            f"{variant} felt": float(felt.mean()),
            f"{variant} true": float(true.mean()),
            f"{variant} beside foretold": float((felt - foretold).mean()),
            f"{variant} beside settled": float((felt - settling_point(true, config)).mean()),
            f"{variant} like": float(np.corrcoef(felt, foretold)[0, 1]),
            f"{variant} torn": float(((felt > 0.25) & (felt < 0.75)).mean()),
        }
    return found


# -- judging ----------------------------------------------------------------------------------------------------------


def settling_rows(found: Found) -> Iterator[Row]:
    """What `settling` gave."""
    for ratio, (tau, published) in RATIOS.items():
        root = normal_expectile(ratio / (ratio + 1))
        yield _row(found, f"expectile {ratio}", SETTLES, f"expectile of N(0, 1) at {tau}", EXPECTILE, root, DIGITS)
        name = f"N(0, 1) felt at {tau}"
        yield _row(found, f"expectile felt {ratio}", SETTLES, f"{name}, expectile", EXPECTILE, published, CLOSE)
        quantile = float(norm.ppf(ratio / (ratio + 1)))
        yield _row(found, f"quantile felt {ratio}", SETTLES, f"{name}, quantile", QUANTILE, quantile, CLOSE)
    p = np.array(WIN_RATES)
    points = bernoulli_fixed_point(p, rate_up=UP, rate_down=DOWN)
    walks = walk_course(p, np.full(len(p), 2000), rate_up=UP, rate_down=DOWN)
    for rate, point in zip(WIN_RATES, points, strict=True):
        name, source = f"contests won at {rate}, expectile", "p a+ / (p a+ + (1 - p) a-)"
        yield _row(found, f"expectile coins {rate}", SETTLES, name, source, float(point), CLOSE)
    for rate, point in zip(WIN_RATES, walks, strict=True):
        name, source = f"contests won at {rate}, quantile", "walk on multiples of a- within [0, 1]"
        key, tolerance, note = f"quantile coins {rate}", CLOSE, f"runs to {rate > 1 - TAU:d}"
        if rate == EDGE:
            # Anywhere between 0 and 1, and there for long: as good as one draw of each agent.
            tolerance, note = chance_error(1 / 12 / 250, len(found[key])), "wanders all over"
        yield _row(found, key, SETTLES, name, source, float(point), tolerance, note=note)


def course_rows(found: Found) -> Iterator[Row | Law]:
    """What `courses` gave."""
    at = np.array(COURSE_AT)
    expected = bernoulli_course(np.array(0.5), at, rate_up=UP, rate_down=DOWN)
    measured = [found[f"after {step}"] for step in COURSE_AT]
    for step, value in zip(COURSE_AT, expected, strict=True):
        if step in JUDGED_AT:
            name = f"felt after {step} fair contests"
            variance = course_variance(0.5, step, rate_up=UP, rate_down=DOWN) / MANY
            tolerance = chance_error(variance, len(measured[0]))
            yield _row(found, f"after {step}", COURSE, name, RECURSION, float(value), tolerance)
    yield law(
        measured,
        at=COURSE_AT,
        group=COURSE,
        name="superiority after so many fair contests",
        source=RECURSION,
        x="contests",
        y="mean superiority",
        expected=tuple(expected.tolist()),
        note="From 1/2 to tau = .8, nine tenths of the way within 73 contests.",
    )
    biases = [normal_bias(fast, fast / 4) for fast in LARGE]
    for fast, bias in zip(LARGE[2:], biases[2:], strict=True):
        # The same draws at every rate: what chance does to the mean reward cancels in the difference.
        found = found | {"further": found[f"bias {fast}"] - found[f"bias {LARGE[0]}"]}
        name = f"how much farther a rate of {fast} leads from the expectile of N(0, 1) than one of {LARGE[0]}"
        tolerance = chance_error(NOISE**2, len(found["further"])) + bias * fast / 3
        yield _row(found, "further", COURSE, name, "second order of the drift", bias - biases[0], tolerance)
    yield law(
        [found[f"bias {fast}"] for fast in LARGE],
        at=LARGE,
        group=COURSE,
        name="bias of the settled mean by the rate up (a- a quarter of it)",
        source="second order of the drift",
        x="rate up",
        y="mean superiority less the expectile, N(0, 1)",
        expected=tuple(biases),
        logarithmic=True,
        note="The bias is proportional to the rates: small rates settle on the expectile itself.",
    )


def contest_rows(found: Found) -> Iterator[Row | Law]:
    """What `contests` gave."""
    source = "a+ (1 - V) - a- V"
    drift = zero_sum_drift(np.array(STARTS), np.array(STARTS), rate_up=UP, rate_down=DOWN).round(12) + 0.0
    for start, raised in zip(STARTS, drift, strict=True):
        if start in (NEUTRAL, TAU):
            name = f"a contest of two who feel {start} raises the sum by"
            yield _row(found, f"expectile raised from {start}", CONTESTS, name, source, float(raised), SINGLE)
    name = "the same, quantile"
    yield _row(found, f"quantile raised from {NEUTRAL}", CONTESTS, name, "a+ - a-", UP - DOWN, SINGLE)
    yield law(
        [found[f"expectile raised from {start}"] for start in STARTS],
        at=STARTS,
        group=CONTESTS,
        name="what a contest adds to the sum of both feelings",
        source=source,
        x="superiority felt by both",
        y="rise of the sum",
        expected=tuple(drift.tolist()),
        note="One wins what the other loses, yet together they feel better, until both feel tau = .8.",
    )
    ratio = UP / DOWN
    mean = ratio / (ratio - 1) * (1 - np.log(ratio) / (ratio - 1))
    name, source = "felt where all contests are fair: better than average", "tau"
    yield _row(found, "fair felt", CONTESTS, name, source, TAU, CLOSE)
    name = "felt where bodies differ and all standings occur"
    yield _row(found, "unequal felt", CONTESTS, name, "mean of p a+ / (p a+ + (1 - p) a-)", float(mean), CLOSE)
    name = "the same: share that feels above the middle"
    yield _row(found, "unequal above", CONTESTS, name, "p > 1 - tau", TAU, 0.02, note="of drivers .93, Svenson 1981")


def society_rows(found: Found) -> Iterator[Row]:
    """What `living` gave."""
    chain = {"expectile": "fixed points of the true win rates, by age", "quantile": "walks at the true win rates"}
    for variant, source in chain.items():
        name = f"felt less what true win rates foretell, {variant}"
        yield _row(found, f"{variant} beside foretold", SOCIETY, name, source, 0.0, WIDEST)
        name = f"correlation of felt and foretold, {variant}"
        yield judged(
            found[f"{variant} like"], group=SOCIETY, name=name, source=TARGET, relation="at least", expected=0.85
        )
    samples = found["expectile beside settled"]
    name, source = "felt less where it will settle, expectile", "p a+ / (p a+ + (1 - p) a-)"
    yield judged(samples, group=SOCIETY, name=name, source=source, relation="report", expected=0.0)
    name, source = "felt beside true standing, expectile", f"true standing, and .1 as a {TARGET}"
    true = float(found["expectile true"].mean())
    yield judged(
        found["expectile felt"], group=SOCIETY, name=name, source=source, relation="at least", expected=true + 0.1
    )
    name, note = "dimensions felt between 1/4 and 3/4, quantile", "all or nothing"
    between = float(found["expectile torn"].mean())
    yield judged(
        found["quantile torn"],
        group=SOCIETY,
        name=name,
        source="expectile",
        relation="report",
        expected=between,
        note=note,
    )


def _row(
    found: Found,
    key: str,
    group: str,
    name: str,
    source: str,
    expected: float,
    tolerance: float,
    *,
    note: str = "",
) -> Row:
    return row_of(found, key, group, name, source, "about", expected, tolerance, note=note)
