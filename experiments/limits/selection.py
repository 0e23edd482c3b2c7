"""The law of the jungle in its exact limits: tournaments, the Moran process, replicators.

Two kinds differ in how well they are understood, and in nothing else: so much, and no more, is their fitness apart.
What kind an agent is one sees by its body, which is inherited where nothing mutates.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from agents.config import SocietyConfig
from agents.population import Population, found
from agents.selection import Deaths, least_fit, proportional, select_agents, tournament
from agents.world import World, planted
from experiments.limits import selection_theory as theory
from experiments.limits.chance import about, chi_square, even, share
from experiments.limits.rows import Law, Row, judged, law
from experiments.pieces import Figures, Found, Measure

TOURNAMENTS = "selection: tournaments"
MORAN = "selection: the Moran process"
REPLICATOR = "selection: replicators"

RANKS = "P(rank i) = (i^k - (i-1)^k) / N^k"
FIXATION = "Moran 1958: (1 - 1/r) / (1 - r^-N)"
PARENTS = "1 - (1 - x)^k (Goldberg & Deb 1991)"
ODDS = "replicator equation (Taylor & Jonker 1978)"

Kind = Literal["tournament", "moran"]

PLAYED = 100_000
SIZES = ((10, 2), (50, 2), (20, 3), (6, 5))
"""How many agents there are, and how many enter a tournament."""
SHOWN = (20, 3)
"""Of these every rank is drawn."""
TIED = (0.5, 0.9, 0.5, 0.1, 0.9, 0.5)
CALLS = 2000

MUTANTS = {(10, 1.1): 1200, (20, 1.5): 600, (20, 0.9): 2400, (50, 2.0): 250, (10, 1.0): 1200}
"""N and r of one mutant among N, and how many such populations each seed has."""
BESIDE = {(20, r): 400 for r in (0.8, 1.1, 1.25, 2.0)} | {(5, 1.5): 400, (10, 1.5): 400, (40, 1.5): 160}
"""More of them, for the laws."""
LIVED = (6, 2.0)
LIVES: dict[Kind, int] = {"moran": 80, "tournament": 10}
"""N and r of the mutant that lives in whole populations, and how many of them are selected how."""

LARGE = 20_000
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
JUDGED = 0.3
"""Shares of the fitter before all have parents, and which of them is judged."""
ENTRANTS = (2, 3, 5)
CROWD = 8000
"""Agents in a population whose course is followed; a kind's share hardly leaves it by chance."""
COURSES: dict[str, tuple[Kind, float, float, float, int]] = {
    "tournaments of 3, 5% die": ("tournament", 0.05, 2.0, 0.05, 20),
    "Moran, r = 2, 5% die": ("moran", 0.05, 2.0, 0.1, 50),
    "Moran, r = 1.25, all die (Wright & Fisher)": ("moran", 1.0, 1.25, 0.2, 10),
}
"""How they are selected, the turnover, r, the share of the fitter at first, and how many selections it takes."""


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` runs fewer populations."""
    return {
        MORAN: functools.partial(fixations, more=1 if quick else 4),
        REPLICATOR: replicators,
        TOURNAMENTS: tournaments,
    }


def rows(found: Mapping[str, Found]) -> Iterator[Row | Law]:
    """Every row and law of selection."""
    yield from tournament_rows(found[TOURNAMENTS])
    yield from moran_rows(found[MORAN])
    yield from replicator_rows(found[REPLICATOR])


# -- measuring --------------------------------------------------------------------------------------------------------


def tournaments(seed: int) -> Figures:
    """Who wins, who dies, and what chance does among equals."""
    rng = np.random.default_rng(seed)
    figures: Figures = {}
    for n, size in SIZES:
        worth = rng.permutation(n).astype(np.float64)
        wins = np.bincount(worth[tournament(worth, PLAYED, size, rng)].astype(np.intp), minlength=n)
        figures[f"{n} {size}"] = chi_square(wins, PLAYED * theory.rank_shares(n, size))
        figures[f"{n} {size} fittest"] = wins[-1] / PLAYED
        if (n, size) == SHOWN:
            figures |= {f"rank {i + 1}": count / PLAYED for i, count in enumerate(wins.tolist())}
    # Equals are put in order anew for each call.
    tied = np.array(TIED)
    won = np.bincount([int(tournament(tied, 1, 3, rng)[0]) for _ in range(CALLS)], minlength=len(tied))
    figures["tied"] = chi_square(won, CALLS * theory.tied_shares(tied, 3))
    dead = least_fit(np.tile(np.repeat([0.2, 0.6], [6, 4]), (CALLS, 1)), 2, rng)
    figures["fitter dead"] = float((dead >= 6).mean())
    # Two of six die: a count varies by CALLS p (1 - p), and any two that much less because only two can.
    figures["tied dead"] = chi_square(np.bincount(dead[dead < 6], minlength=6), CALLS / 3, stretch=2 / 3 * 6 / 5)
    return figures


def fixations(seed: int, *, more: int) -> Figures:
    """How often one mutant becomes the ancestor of all: by the draws of selection alone, and in whole populations."""
    rng = np.random.default_rng(seed)
    figures = {f"{n} {r}": fixed_share(n, r, runs=more * runs, rng=rng) for (n, r), runs in (MUTANTS | BESIDE).items()}
    n, r = LIVED
    for kind, runs in LIVES.items():
        world, life, first = two_kinds(n, 1, r, selection=kind, turnover=1 / n)
        figures[f"lived {kind}"] = float(np.mean([takes_over(first, world, life, rng) for _ in range(more * runs)]))
    return figures | {"more": more}


def fixed_share(n: int, r: float, *, runs: int, rng: np.random.Generator) -> float:
    """In how many of so many populations one mutant is fixed; those with as many mutants draw together."""
    mutants = np.ones(runs, dtype=np.intp)
    while len(going := np.flatnonzero((mutants > 0) & (mutants < n))):
        for number in np.unique(mutants[going]):
            these = going[mutants[going] == number]
            born = proportional(np.where(np.arange(n) < number, r, 1.0), len(these), rng) < number
            dead = least_fit(np.zeros((len(these), n)), 1, rng)[:, 0] < number
            mutants[these] += born.astype(np.intp) - dead
    return float((mutants == n).mean())


def two_kinds(n: int, mutants: int, r: float, **config: Any) -> tuple[World, SocietyConfig, Population]:
    """A population in which the first so many are r times as fit as the others, and how it is selected."""
    world = planted(seed=0, objects=40, features=2, factors=1, probe=4)
    life = SocietyConfig(
        agents=n,
        sensors=1,
        dimensions=1,
        exemplars=1,
        vocabulary=1,
        memory=2,
        childhood=0,
        mutation=0.0,
        selection_interval=1,
        **config,
    )
    population = found(world, life, np.random.default_rng(0))
    mutant = np.arange(n) < mutants
    population.success[:] = np.where(mutant, 0.4 * r, 0.4)
    population.body[:] = world.train[np.where(mutant, 1, 0)]
    return world, life, population


def lived(
    population: Population, world: World, life: SocietyConfig, rng: np.random.Generator
) -> Iterator[tuple[int, Deaths]]:
    """Selection after selection, the society's own, without end: each step, and who died."""
    step, next_id = 0, len(population)
    while True:
        step += 1
        deaths = select_agents(population, world, life, step=step, next_id=next_id, rng=rng)
        next_id += len(deaths.id)
        yield step, deaths


def takes_over(first: Population, world: World, life: SocietyConfig, rng: np.random.Generator) -> bool:
    """Whether the kind of the first agent becomes that of all."""
    population = first.copy()
    for _ in lived(population, world, life, rng):
        if len(np.unique(population.body)) == 1:
            break
    return bool(population.body[0] == first.body[0])


def replicators(seed: int) -> Figures:
    """The share of the fitter of two kinds: among parents, and over many selections of a large population."""
    rng = np.random.default_rng(seed)
    figures: Figures = {}
    for x in SHARES:
        fitter = round(x * LARGE)
        worth = np.where(np.arange(LARGE) < fitter, 0.6, 0.4)
        for size in ENTRANTS:
            figures[f"{size} {x}"] = float((tournament(worth, LARGE, size, rng) < fitter).mean())
        figures[f"proportional {x}"] = float((proportional(worth, LARGE, rng) < fitter).mean())
    for name, (kind, turnover, r, start, steps) in COURSES.items():
        first = round(start * CROWD)
        world, life, population = two_kinds(CROWD, first, r, selection=kind, turnover=turnover, tournament=3)
        fitter = population.body[0]
        for step, _ in lived(population, world, life, rng):
            figures[f"{name} {step}"] = float((population.body == fitter).mean())
            if step == steps:
                break
    return figures


# -- judging ----------------------------------------------------------------------------------------------------------


def tournament_rows(found: Found) -> Iterator[Row | Law]:
    """What `tournaments` gave."""
    given = {"group": TOURNAMENTS, "source": RANKS}
    for n, size in SIZES:
        name = f"tournaments of {size} among {n}"
        yield even(found[f"{n} {size}"], df=n - 1, name=f"{name}: wins of all ranks, chi-square", **given)
        best = float(theory.rank_shares(n, size)[-1])
        yield share(found[f"{n} {size} fittest"], expected=best, of=PLAYED, name=f"{name}: won by the fittest", **given)
    fair = {"group": TOURNAMENTS, "source": "equals are ranked by chance"}
    yield even(found["tied"], df=len(TIED) - 1, name="tournaments with equals: wins, chi-square", **fair)
    yield even(found["tied dead"], df=5, name="equals at the bottom: deaths, chi-square", **fair)
    yield judged(
        found["fitter dead"],
        group=TOURNAMENTS,
        name="deaths among the fitter",
        source="the least fit die",
        relation="exactly",
        expected=0.0,
    )
    n, size = SHOWN
    ranks = range(1, n + 1)
    yield law(
        [found[f"rank {i}"] for i in ranks],
        at=ranks,
        name=f"Who wins tournaments of {size} among {n}",
        x="rank, the least fit first",
        y="share of tournaments won",
        expected=tuple(theory.rank_shares(n, size)),
        **given,
    )


def moran_rows(found: Found) -> Iterator[Row | Law]:
    """What `fixations` gave."""
    more, given = round(found["more"][0]), {"group": MORAN, "source": FIXATION}
    for (n, r), runs in MUTANTS.items():
        name = f"a mutant of fitness {r:g} among {n}: fixed"
        yield share(found[f"{n} {r}"], expected=theory.moran_fixation(n, r), of=more * runs, name=name, **given)
    n, r = LIVED
    yield share(
        found["lived moran"],
        expected=theory.moran_fixation(n, r),
        of=more * LIVES["moran"],
        name=f"a mutant of fitness {r:g} among {n}, whole agents: fixed",
        **given,
    )
    yield judged(
        found["lived tournament"],
        group=MORAN,
        name=f"a mutant of fitness {r:g} among {n}, tournaments and death of the least fit: fixed",
        source="the fitter never die while others are there",
        relation="exactly",
        expected=1.0,
    )
    measured = MUTANTS | BESIDE
    fitness = sorted(r for n, r in measured if n == 20)
    yield law(
        [found[f"20 {r}"] for r in fitness],
        at=fitness,
        name="One mutant among 20: how often it takes over",
        x="relative fitness r",
        y="share fixed",
        expected=tuple(theory.moran_fixation(20, r) for r in fitness),
        **given,
    )
    sizes = sorted(n for n, r in measured if r == 1.5)
    yield law(
        [found[f"{n} 1.5"] for n in sizes],
        at=sizes,
        name="One mutant of fitness 1.5: how often it takes over",
        x="agents N",
        y="share fixed",
        expected=tuple(theory.moran_fixation(n, 1.5) for n in sizes),
        note="In a large population it is 1 - 1/r, for however many there are most mutants are lost early.",
        **given,
    )


def replicator_rows(found: Found) -> Iterator[Row | Law]:
    """What `replicators` gave."""
    given: dict[str, Any] = {"group": REPLICATOR, "of": LARGE}
    two = f"two kinds, {JUDGED:.0%} of them the fitter"
    for size in ENTRANTS:
        yield share(
            found[f"{size} {JUDGED}"],
            expected=theory.tournament_map(JUDGED, size=size),
            name=f"{two}: the fitter among winners of tournaments of {size}",
            source=PARENTS,
            **given,
        )
    yield share(
        found[f"proportional {JUDGED}"],
        expected=theory.moran_map(JUDGED, r=1.5),
        name=f"{two}, r = 1.5: the fitter among parents in proportion to fitness",
        source=ODDS,
        **given,
    )
    size = ENTRANTS[1]
    yield law(
        [found[f"{size} {x}"] - x for x in SHARES],
        at=SHARES,
        group=REPLICATOR,
        name=f"How fast the fitter spread by tournaments of {size}",
        source=PARENTS,
        x="share of the fitter",
        y="growth in a generation",
        expected=tuple(theory.tournament_map(x, size=size) - x for x in SHARES),
    )
    for name, (kind, turnover, r, start, steps) in COURSES.items():
        shares, variances = theory.course_of(kind, turnover, r, start=start, steps=steps, n=CROWD)
        source = PARENTS if kind == "tournament" else ODDS
        for step in (steps // 2, steps):
            yield about(
                found[f"{name} {step}"],
                expected=shares[step],
                variance=variances[step],
                allowance=1 / CROWD,
                group=REPLICATOR,
                name=f"{name}: share of the fitter, {start:g} at first, after {step} selections",
                source=source,
                note=f"{CROWD:,} agents",
            )
        at = range(1, steps + 1)
        yield law(
            [found[f"{name} {step}"] for step in at],
            at=at,
            group=REPLICATOR,
            name=f"The fitter spread: {name}",
            source=source,
            x="selections",
            y="share of the fitter",
            expected=tuple(shares[1:]),
        )
