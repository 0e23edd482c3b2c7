"""Self-attribution in its exact limits: the split of an outcome, its shares in the long run, self-serving bias."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.attribution import (
    MAX_PLAYERS,
    Credits,
    Ledger,
    attribute,
    contest_credits,
    expected_standings,
    shapley,
    shapley_linear,
    talk_credits,
)
from agents.config import SocietyConfig
from agents.meeting import Experience
from agents.population import NEUTRAL, Population
from agents.society import Society
from agents.superiority import bernoulli_fixed_point, compare, feel, win_rates
from agents.world import World, planted
from experiments.limits.chance import about
from experiments.limits.contestants import arena, compared, rivals
from experiments.limits.rows import Law, Row, law, row_of
from experiments.pieces import Figures, Found, Measure

CREDIT = "attribution: exact credit"
SHARES = "attribution: shares in the long run"
BIAS = "attribution: self-serving bias"

SHAPLEY = "Shapley 1953"
LMG = "Lindeman, Merenda & Gold 1980"

EXACT = 1e-10
KNOWN = (1, 2, 4, 8, 32)
"""Acquaintances whom one can hold oneself and others against."""
JUDGED = {2: 0.02, 8: 0.008, 32: 0.005}
"""The same, with the standard deviation over seeds of the shares (measured, over 20)."""
RIVALS, ROUNDS = 500, 16
GAINS = (0.5, 1.0, 1.5, 2.0)
LOSS = 0.5
"""What the own share of gains and of losses is multiplied by."""


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` lets the living societies grow less old."""
    return {
        SHARES: functools.partial(long_run, steps=100 if quick else 1000),
        BIAS: self_serving,
        CREDIT: credit,
    }


def rows(found: Mapping[str, Found]) -> Iterator[Row | Law]:
    """Every row and law of self-attribution."""
    yield from credit_rows(found[CREDIT])
    yield from share_rows(found[SHARES])
    yield from bias_rows(found[BIAS])


# -- exact credit -----------------------------------------------------------------------------------------------------


def credit(seed: int) -> Figures:
    """The largest deviation from each axiom and each known value, over random games of one to nine players."""
    rng = np.random.default_rng(seed)
    worst: Figures = dict.fromkeys(("efficiency", "dummy", "symmetry", "additivity", "linear", "airport"), 0.0)

    def note(name: str, deviation: NDArray[np.float64]) -> None:
        worst[name] = max(worst.get(name, 0.0), float(np.abs(deviation).max(initial=0.0)))

    for n in range(1, MAX_PLAYERS + 1):
        sets = np.arange(1 << n)
        game, other = rng.uniform(-1, 1, (2, 20, 1 << n))
        values = shapley(game)
        note("efficiency", values.sum(axis=-1) - (game[:, -1] - game[:, 0]))
        note("additivity", shapley(game + 3 * other) - values - 3 * shapley(other))
        last = sets & ~(1 << (n - 1))  # the same coalition without the last player, who makes no difference
        note("dummy", shapley(game[:, last])[:, -1])
        if n > 1:
            swapped = (sets & ~3) | (sets & 1) << 1 | (sets & 2) >> 1
            values = shapley(game + game[:, swapped])
            note("symmetry", values[:, 0] - values[:, 1])
        weights, at, means = rng.uniform(-1, 1, (3, n))
        members = (sets[:, None] >> np.arange(n)) & 1
        worth = np.where(members == 1, at, means) @ weights
        note("linear", shapley_linear(weights, at, means) - shapley(worth))
        costs = np.sort(rng.random(n))
        stages = np.diff(costs, prepend=0.0) / np.arange(n, 0, -1)
        note("airport", shapley((members * costs).max(axis=1)) - np.cumsum(stages))
    left_glove = [float(s & 1 and s > 1) for s in range(8)]
    worst["glove"] = float(shapley(np.array(left_glove))[0])
    return worst | event_credit(rng) | independent_parts(rng)


def event_credit(rng: np.random.Generator) -> Figures:
    """How far credits for contests and talk are from adding up, and from Shapley values over nine players."""
    n = 200
    p, q, usual, mine, theirs = rng.random((5, n))
    y = rng.choice([0.0, 0.5, 1.0], n)
    everybody = float(rng.random())
    contest = contest_credits(p, q, y)
    talk = talk_credits(usual=usual, with_dimension=mine, with_partner=theirs, everybody=everybody, outcome=y)
    # The dimension in use is the fourth of eight; the others are the ninth player.
    sets = np.arange(1 << MAX_PLAYERS)
    me, others = sets >> 3 & 1, sets >> 8 & 1
    duel = np.stack([np.full(n, 0.5), p, 1 - q, y])[me + 2 * others].T
    understood = usual[:, None] + (mine - usual)[:, None] * me + (theirs - everybody)[:, None] * others
    return {
        "contest adds up": _left_over(contest, y),
        "talk adds up": _left_over(talk, y),
        "contest exact": _apart(contest, shapley(duel)),
        "talk exact": _apart(talk, shapley(understood)),
    }


def _left_over(split: Credits, outcome: NDArray[np.float64]) -> float:
    total = split.expectation + split.own + split.others + split.luck
    return float(np.abs(total - outcome).max())


def _apart(split: Credits, values: NDArray[np.float64]) -> float:
    expected = np.zeros_like(values)
    expected[:, 3], expected[:, 8] = split.own, split.others
    return float(np.abs(values - expected).max())


def independent_parts(rng: np.random.Generator) -> Figures:
    """Shares of R^2 where an outcome is a sum of independent parts and luck: of nine players, and by the ledger."""
    n = 400
    # Exactly uncorrelated: orthogonal columns, each with the mean 0.
    drawn = rng.standard_normal((n, MAX_PLAYERS + 1))
    parts = np.linalg.qr(drawn - drawn.mean(axis=0))[0] * np.sqrt(n) * rng.uniform(0.5, 2.0, MAX_PLAYERS + 1)
    weights = rng.uniform(-1, 1, MAX_PLAYERS)
    weighed = parts[:, :-1] * weights
    outcome = weighed.sum(axis=1) + parts[:, -1]
    shares = weighed.var(axis=0) / outcome.var()
    explained = [
        _explained(parts[:, [k for k in range(MAX_PLAYERS) if s >> k & 1]], outcome) for s in range(1 << MAX_PLAYERS)
    ]
    ledger = Ledger()
    own, others = weighed[:, :8].sum(axis=1), weighed[:, 8]
    ledger.add(outcome + 0.5, own, others)
    found = ledger.shares()
    assert found is not None
    expected = {"self": shares[:8].sum(), "others": shares[8], "luck": 1 - shares.sum()}
    return {
        "independent": float(np.abs(shapley(np.array(explained)) - shares).max()),
        "luck": abs(1 - explained[-1] - parts[:, -1].var() / outcome.var()),
        "ledger": max(abs(found[name] - share) for name, share in expected.items()),
    }


def _explained(predictors: NDArray[np.float64], outcome: NDArray[np.float64]) -> float:
    """R^2 of a regression on centred predictors [n, k]."""
    if predictors.shape[1] == 0:
        return 0.0
    cross = predictors.T @ outcome
    return float(cross @ np.linalg.solve(predictors.T @ predictors, cross) / np.square(outcome - outcome.mean()).sum())


def credit_rows(found: Found) -> Iterator[Row]:
    """What `credit` gave."""
    limits = {
        "efficiency": ("credits add up to what all together achieve", SHAPLEY),
        "dummy": ("who changes nothing gets nothing", SHAPLEY),
        "symmetry": ("who do the same get the same", SHAPLEY),
        "additivity": ("credit for two games is the sum of the credits", SHAPLEY),
        "linear": ("closed form of linear outcomes", "w (x - mean)"),
        "airport": ("airport games", "Littlechild & Owen 1973"),
        "contest adds up": ("contests: expectation, own, others and luck make the outcome", SHAPLEY),
        "contest exact": ("contests: own and others among nine players", SHAPLEY),
        "talk adds up": ("talk: expectation, own, others and luck make the outcome", SHAPLEY),
        "talk exact": ("talk: own and others among nine players", SHAPLEY),
        "independent": ("shares of eight independent dimensions and the others", f"w^2 var x / var y, {LMG}"),
        "luck": ("luck", "1 - R^2"),
        "ledger": ("the ledger's shares of independent parts", f"w^2 var x / var y, {LMG}"),
    }
    for key, (name, source) in limits.items():
        yield row_of(found, key, CREDIT, f"{name}, largest deviation", source, "exactly", 0.0, EXACT)
    yield row_of(found, "glove", CREDIT, "glove game: the only left glove", SHAPLEY, "exactly", 2 / 3, EXACT)


# -- shares in the long run -------------------------------------------------------------------------------------------


def long_run(seed: int, *, steps: int) -> Figures:
    """Who is credited with contests among equals, and with understanding by chance; and in a whole society."""
    found: Figures = {}
    world, rng = arena(seed), np.random.default_rng(seed)
    for known in KNOWN:
        population, life = rivals(world, rng, agents=RIVALS, known=known)
        skill, ledger, credited = win_rates(population, world)[:, 0], Ledger(), np.zeros(RIVALS)
        for _ in range(ROUNDS):
            met = compared(population, world, life, rng)
            attribute(population, world, met, life, ledger)
            own, other = expected_standings(population, world, met).T
            credited[met.rows] += contest_credits(own, other, met.outcomes["comparison"]).own
        shares = ledger.shares()
        assert shares is not None
        found |= {f"{whose} {known}": share for whose, share in shares.items()}
        found[f"skill {known}"] = float(np.corrcoef(credited, skill)[0, 1])
    found |= against_one(world, rng)
    society = planted(seed=seed, objects=600, features=32, factors=4, probe=60)
    chance: dict[str, Any] = {"game": "gesture", "common_ground": 0, "dimensions": 1, "exemplars": 1}
    found["chance"] = lived(society, seed, steps, reward_talk=1.0, reward_comparison=0.0, **chance)["luck"]
    both = lived(society, seed, steps, reward_talk=0.5, reward_comparison=0.5, discovery_interval=10)
    return found | {f"society {whose}": share for whose, share in both.items()}


def against_one(world: World, rng: np.random.Generator) -> Figures:
    """The shares where all compare themselves with one and the same: only who one is oneself makes a difference."""
    population, life = rivals(world, rng, agents=2 * RIVALS, known=max(KNOWN))
    one = int(np.argsort(win_rates(population, world)[:, 0])[RIVALS])
    rows = np.delete(np.arange(2 * RIVALS), one)
    none = np.zeros(len(rows), dtype=np.intp)
    met = Experience(rows=rows, slots=none, partners=np.full_like(rows, one), topic=none.astype(np.int32), outcomes={})
    ledger = Ledger()
    attribute(population, world, compare(population, world, met, life), life, ledger)
    shares = ledger.shares()
    assert shares is not None
    return {f"against one {whose}": share for whose, share in shares.items()}


def lived(world: World, seed: int, steps: int, **config: Any) -> dict[str, float]:
    """The shares in a society of sixty."""
    life: dict[str, Any] = {"agents": 60, "sensors": 8, "memory": 40}
    life |= {"discovery_interval": 0, "selection_interval": 0, "merge_interval": 0}
    society = Society(world, SocietyConfig(**(life | config)), seed=seed)
    for _ in range(steps):
        society.step()
    shares = society.ledger.shares()
    assert shares is not None
    return shares


def share_rows(found: Found) -> Iterator[Row | Law]:
    """What `long_run` gave."""
    # y = [p > q] with p, q uniform: each standing explains a third. Of m acquaintances one knows p and q less well,
    # with errors that go together: var (p^ - q^) = (1 + 1/m) / 6.
    shares = {known: 1 / 3 / (1 + 1 / known) for known in KNOWN}
    # Averaged over whom one meets, the own part is p - 1/2 with an error of variance 5/(48 m), beside var p = 1/12;
    # what R meetings leave of the luck of whom one met is about 1/(48 R).
    skills = {known: (1 + 5 / (4 * known) + 1 / (4 * ROUNDS)) ** -0.5 for known in KNOWN}
    for known, deviation in JUDGED.items():
        for whose in ("self", "others"):
            yield about(
                found[f"{whose} {known}"],
                group=SHARES,
                name=f"contests among equals, {known} acquaintances: share of {whose}",
                source="(1/3) / (1 + 1/m)",
                expected=shares[known],
                variance=deviation**2,
            )
        yield about(
            found[f"skill {known}"],
            group=SHARES,
            name=f"credited own part beside true skill, {known} acquaintances, correlation",
            source="(1 + 5/(4m))^-1/2, all met",
            expected=skills[known],
            variance=(1 - skills[known] ** 2) ** 2 / RIVALS,
            allowance=0.005,
        )
    drawn: tuple[tuple[str, str, dict[int, float]], ...] = (
        ("self", "share of the own standing in contests among equals", shares),
        ("skill", "correlation of the credited own part with true skill", skills),
    )
    for key, name, expected in drawn:
        yield law(
            [found[f"{key} {known}"] for known in KNOWN],
            at=KNOWN,
            group=SHARES,
            name=f"{name}, by acquaintances",
            source="uniform standings, estimated from m others",
            x="acquaintances",
            y=name,
            expected=tuple(expected[known] for known in KNOWN),
            note="Who knows few others cannot tell skill from luck.",
        )
    # p^ alone, and beside q^, which tells only of the errors that both share.
    alone, both = (1 / 16 / (1 / 12 + rest / max(KNOWN)) for rest in (1 / 6, 1 / 6 - 1 / 16))
    for whose, share, off in (("self", (alone + both) / 2, 0.02), ("others", (both - alone) / 2, 0.006)):
        name = f"contests of all against one: share of {whose}"
        yield row_of(
            found, f"against one {whose}", SHARES, name, "y = [p > 1/2], 32 acquaintances", "about", share, off
        )
    name = "understanding by pure chance: share of luck"
    yield row_of(found, "chance", SHARES, name, "no effects", "at least", 1.0, 0.03)
    society = {whose: found[f"society {whose}"] for whose in ("self", "others", "luck")}
    total = found | {"total": np.sum(list(society.values()), axis=0)}
    name = "a society that talks and compares: self, others and luck"
    yield row_of(total, "total", SHARES, name, "efficiency", "exactly", 1.0, EXACT)
    for whose in society:
        yield row_of(found, f"society {whose}", SHARES, f"the same: {whose}", "measured", "report")


# -- self-serving bias ------------------------------------------------------------------------------------------------


def self_serving(seed: int) -> Figures:
    """What is felt of contests by those who know nobody, with and without the bias, and what comes of it."""
    found: Figures = {}
    world, rng = arena(seed), np.random.default_rng(seed)
    population, plain = rivals(world, rng, agents=200, known=0, self_attribution=0.0)
    for gain in GAINS:
        life = dataclasses.replace(plain, bias_gain=gain, bias_loss=LOSS)
        found[f"felt {gain}"] = _mean_felt(population, world, life, rng)
    found["felt unbiased"] = _mean_felt(population, world, plain, rng)
    for name, life in {"unbiased": plain, "biased": dataclasses.replace(plain, bias_gain=1.5, bias_loss=LOSS)}.items():
        population.score[:, 0] = NEUTRAL
        late = []
        for step in range(400):
            met = compared(population, world, life, rng)
            first = len(met.rows) // 2
            won = (rng.random(first) < 0.5).astype(np.float64)
            fair = dataclasses.replace(met, outcomes={"comparison": np.concatenate([won, 1 - won])})
            feel(population, attribute(population, world, fair, life, Ledger()), life)
            if step >= 200:
                late.append(population.score[:, 0].mean(dtype=np.float64))
        found[f"settled {name}"] = float(np.mean(late))
    population, plain = rivals(world, rng, agents=400, known=8)
    met, ledgers = compared(population, world, plain, rng), []
    for life in (dataclasses.replace(plain, bias_gain=2.0, bias_loss=0.0), plain):
        ledgers.append(Ledger())
        felt = attribute(population, world, met, life, ledgers[-1]).felt
    assert felt is not None
    one, other = ledgers
    found["split"] = float(np.abs(one.squares - other.squares).max() + np.abs(one.total - other.total).max())
    found["whole"] = float(np.abs(felt["comparison"] - met.outcomes["comparison"]).max())
    return found


def _mean_felt(population: Population, world: World, config: SocietyConfig, rng: np.random.Generator) -> float:
    """Mean of what is felt of one contest each, of those that were decided."""
    met = compared(population, world, config, rng)
    felt = attribute(population, world, met, config, Ledger()).felt
    assert felt is not None
    return float(felt["comparison"][met.outcomes["comparison"] != 0.5].mean())


def bias_rows(found: Found) -> Iterator[Row | Law]:
    """What `self_serving` gave."""
    # Who knows nobody takes both for average: half of y - 1/2 is the own doing, which the bias multiplies.
    source = "1/2 + (g+ - g-) / 8"
    name = "mean felt of fair contests, own part alone"
    yield row_of(found, "felt unbiased", BIAS, f"{name}, no bias", source, "exactly", 0.5, EXACT)
    for gain in GAINS[1:]:
        expected = 0.5 + (gain - LOSS) / 8
        row = f"{name}, gains x {gain}, losses x {LOSS}"
        yield row_of(found, f"felt {gain}", BIAS, row, source, "exactly", expected, EXACT)
    yield law(
        [found[f"felt {gain}"] for gain in GAINS],
        at=GAINS,
        group=BIAS,
        name="mean felt of fair contests by the bias on gains (losses x .5)",
        source=source,
        x="what own gains are multiplied by",
        y="mean felt reward",
        expected=tuple(0.5 + (gain - LOSS) / 8 for gain in GAINS),
        note="Each side takes half the credit for the outcome; the bias makes more of it where it is good.",
    )
    life = SocietyConfig()
    tau = float(bernoulli_fixed_point(np.array(0.5), rate_up=life.rate_up, rate_down=life.rate_down))
    for name, gain, loss in (("unbiased", 1.0, 1.0), ("biased", 1.5, LOSS)):
        low, high = 0.5 - loss / 4, 0.5 + gain / 4
        text = f"where superiority settles on it, {name}"
        yield row_of(
            found, f"settled {name}", BIAS, text, "expectile of two values", "about", low + tau * (high - low), 0.01
        )
    name = "the split (ledger) with a bias less the one without"
    yield row_of(found, "split", BIAS, name, "the bias comes after the split", "exactly", 0.0)
    name = "who takes all for its own doing, unbiased, feels the outcome, largest deviation"
    yield row_of(found, "whole", BIAS, name, "self-attribution 1", "exactly", 0.0, EXACT)
