"""The signalling game with reinforcement, held against theorems and an earlier measurement."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agents.games import signalling
from experiments.limits.chance import SIGMAS
from experiments.limits.rows import EARLIER, Law, Row, judged, law
from experiments.pieces import Figures, Found

GROUP = "signalling game"

PAYOFFS = {2: 0.980, 3: 0.942, 4: 0.898}
"""Mean payoff by the number of states, measured by another program."""
SPREADS = {2: 0.05, 3: 0.11, 4: 0.11}
"""Standard deviation of the payoff between runs, here."""
PLAYS = 10_000
LOOKS = (0, 1, 10, 100, 1000, PLAYS)
EARLIER_RUNS = 100
"""Runs that the earlier figures are taken to be means of; how many they were is not said."""


def signalling_games(seed: int, *, runs: int) -> Figures:
    """Payoff over time, what signals tell, and who ended in a signalling system, with two, three and four states."""
    rng = np.random.default_rng(seed)
    found: Figures = {"runs": float(runs)}
    for states in PAYOFFS:
        outcome = signalling.play(states=states, plays=PLAYS, runs=runs, after=LOOKS, rng=rng)
        found |= {
            f"{states} payoff {look}": float(payoff.mean()) for look, payoff in zip(LOOKS, outcome.payoff, strict=True)
        }
        found[f"{states} bits"] = float(signalling.information(outcome.sender).mean())
        system = signalling.is_signalling_system(outcome.sender, outcome.receiver)
        found[f"{states} systems"] = float(system.mean())
    return found


def signalling_rows(found: Found) -> Iterator[Row | Law]:
    """What `signalling_games` gave."""
    number = float(found["runs"].sum())
    source = "Argiento, Pemantle, Skyrms & Volkov 2009"
    for states, expected in PAYOFFS.items():
        name, spread = f"{states} states", SPREADS[states]
        yield judged(
            found[f"{states} payoff {PLAYS}"],
            group=GROUP,
            name=f"{name}: expected payoff after {PLAYS:,} plays, mean over runs",
            source=EARLIER,
            relation="about",
            expected=expected,
            tolerance=SIGMAS * spread / number**0.5 + 2.6 * spread / EARLIER_RUNS**0.5,
            note=f"{number:,.0f} runs; the earlier figure may be of {EARLIER_RUNS}",
        )
        once = signalling.payoff_after_one(states)
        # A play that fails changes nothing; so the spread is that of a coin which succeeds once in so many states.
        coin = (1 / states * (1 - 1 / states)) ** 0.5 * states * (once - 1 / states)
        yield judged(
            found[f"{states} payoff 1"],
            group=GROUP,
            name=f"{name}: expected payoff after one play",
            source="exact",
            relation="about",
            expected=once,
            tolerance=SIGMAS * coin / number**0.5,
            note=f"{1 / states:.3g} before it",
        )
        course = np.stack([found[f"{states} payoff {look}"] for look in LOOKS])
        yield judged(
            np.diff(course, axis=0).min(axis=0),
            group=GROUP,
            name=f"{name}: least rise of the mean payoff from look to look",
            source="Hu, Skyrms & Tarres 2011: it never falls",
            relation="at least",
            expected=0.0,
            note=f"after {', '.join(f'{look:,}' for look in LOOKS)} plays",
        )
        systems = found[f"{states} systems"]
        yield judged(
            systems,
            group=GROUP,
            name=f"{name}: share of runs in a signalling system",
            source=f"{source}: 1 in the end" if states == 2 else "Hu, Skyrms & Tarres 2011: signals may stay shared",
            relation="at least" if states == 2 else "report",
            expected=1.0 if states == 2 else None,
            # After so many plays a run in a hundred is still on its way.
            tolerance=0.02 + SIGMAS * (0.01 * 0.99 / number) ** 0.5,
        )
        yield judged(
            found[f"{states} bits"],
            group=GROUP,
            name=f"{name}: bits that a signal tells",
            source="log2 of the states",
            relation="at most",
            expected=float(np.log2(states)),
        )
        yield law(
            [found[f"{states} payoff {look}"] for look in LOOKS[1:]],
            at=LOOKS[1:],
            group=GROUP,
            name=f"{name}: payoff",
            source=source,
            x="plays",
            y="expected payoff",
            logarithmic=True,
            note=f"From chance, {1 / states:.3g}, towards 1; runs in which two states share a signal stay under it.",
        )
