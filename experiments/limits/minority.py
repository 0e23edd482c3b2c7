"""The naming game against a committed minority: who flips, who stalls, and how long all others hold out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from agents.games.committed import critical_share, mean_field, play_against
from experiments.limits.chance import about
from experiments.limits.naming_theory import holding_out
from experiments.limits.rows import Law, Row, judged, law
from experiments.pieces import Figures, Found

GROUP = "naming game: a committed minority"

XIE = "Xie et al. 2011"

BELOW, ABOVE = 0.08, 0.12
"""Committed shares on either side of the critical one."""
MANY, MANY_RUNS = 500, 10
WAITED = {BELOW: 50, ABOVE: 100}
"""Units of N games after which it is said who has flipped. By the Markov chain of 500 agents, 1.5 in a million have by
then below, and all but .6 in a million above."""
FEW, FEW_RUNS, FEW_AT = 100, 100, (200, 500, 1000, 2000, 3000)
CROWD, CROWD_RUNS, CROWD_AT = 5000, 8, (5, 10)
"""A society that is large enough to go as its mean field, and when it is looked at, in units of N games. (Later all
that was chance at first has grown.)"""

SPREAD = {5: 0.63, 10: 1.01, 50: 0.66}
"""Of the share with B at those times, and when it is stalling, over runs, times the square root of N. From the Markov
chain of 500."""


def committed_minorities(seed: int) -> Figures:
    """Who flips and who stalls, how long few hold out, and how a crowd does."""
    found: Figures = {"critical share": critical_share()}
    for part, units in WAITED.items():
        outcome = play_against(MANY, committed=round(part * MANY), runs=MANY_RUNS, games=units * MANY, seed=seed)
        found[f"{part}: flipped"] = float(outcome.flipped.mean())
        found |= {f"{part}: B at {at}": float(b) for at, b in enumerate(outcome.only_b.mean(axis=0) / MANY)}
    small = play_against(
        FEW, committed=round(ABOVE * FEW), runs=FEW_RUNS, games=FEW_AT[-1], seed=seed, every=int(np.gcd.reduce(FEW_AT))
    )
    found |= {f"few: B at {at}": float(small.only_b[:, small.at == at].mean()) for at in FEW_AT}
    crowd = play_against(CROWD, committed=round(ABOVE * CROWD), runs=CROWD_RUNS, games=CROWD_AT[-1] * CROWD, seed=seed)
    return found | {f"crowd: B at {unit}": float(crowd.only_b[:, unit].mean()) / CROWD for unit in CROWD_AT}


def committed_rows(found: Found) -> Iterator[Row | Law]:
    """The critical share, who flips, and how long B holds out, exactly and in the mean field."""
    given: dict[str, Any] = {"group": GROUP, "source": XIE}
    yield judged(
        found["critical share"],
        name="critical share of the committed",
        relation="about",
        expected=0.0979,
        tolerance=5e-5,
        note="of the mean field",
        **given,
    )
    for part, expected in ((BELOW, 0.0), (ABOVE, 1.0)):
        yield judged(
            found[f"{part}: flipped"],
            name=f"{part:.0%} committed of {MANY}: societies that flip",
            relation="exactly",
            expected=expected,
            note=f"within {WAITED[part]} N games",
            **given,
        )
    at = range(WAITED[BELOW] + 1)
    below, above = (mean_field(part, at)[1] for part in (BELOW, ABOVE))
    yield about(
        found[f"{BELOW}: B at {at[-1]}"],
        name=f"{BELOW:.0%} committed of {MANY}: share that stays with B",
        expected=float(below[-1]),
        variance=SPREAD[WAITED[BELOW]] ** 2 / MANY / MANY_RUNS,
        allowance=2.0 / MANY,
        note="mean field",
        **given,
    )
    for games, expected_b in zip(FEW_AT, holding_out(FEW, round(ABOVE * FEW), FEW_AT), strict=True):
        yield about(
            found[f"few: B at {games}"],
            group=GROUP,
            name=f"{ABOVE:.0%} committed of {FEW}: with B after {games} games",
            source="Markov chain of the rules in Xie et al. 2011",
            expected=expected_b.mean,
            variance=expected_b.spread**2 / FEW_RUNS,
        )
    for unit in CROWD_AT:
        yield about(
            found[f"crowd: B at {unit}"],
            name=f"{ABOVE:.0%} committed of {CROWD}: share with B after {unit} N games",
            expected=float(above[unit]),
            variance=SPREAD[unit] ** 2 / CROWD / CROWD_RUNS,
            allowance=2.0 / CROWD,
            note="mean field",
            **given,
        )
    for part, field in ((BELOW, below), (ABOVE, above)):
        yield law(
            [found[f"{part}: B at {unit}"] for unit in at],
            name=f"{part:.0%} committed of {MANY}: share with B",
            x="N games",
            y="share with just B",
            at=at,
            expected=tuple(field),
            note="The line is the mean field, of a society without end.",
            **given,
        )
