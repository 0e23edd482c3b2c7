"""The society's talk as the naming game: exact where few play, measured where many do, and against a few.

All of it is played by `agents.communication.talk`, through `agents.games`. Societies stop after some games even if they
have not agreed, and have then no figure; so a game in which nobody ever agrees turns its rows red in finite time.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from agents.games.naming import NamingOutcome, Order, play
from experiments.limits import minority
from experiments.limits.chance import about
from experiments.limits.naming_theory import (
    PLAIN,
    PLAIN_SPREAD,
    WORLD_PLAIN,
    Expected,
    first_words,
    small_society,
)
from experiments.limits.rows import Law, Row, law
from experiments.pieces import Figures, Found, Measure

EXACT = "naming game: exactly"
COMPLETE = "naming game: everybody with everybody"
SMALL_WORLD = "naming game: a small world"

BARONCHELLI = "Baronchelli et al. 2006"
EARLIER = "earlier measurement of the game of Baronchelli et al. 2006"
DALL_ASTA = "Dall'Asta et al. 2006"
CHAIN = "Markov chain of the rules in Baronchelli et al. 2006"
LISTS = "a naming game with lists of words"

FOUR: dict[str, tuple[nx.Graph, Order]] = {
    "4 agents": (nx.complete_graph(4), "direct"),
    "a star of 4": (nx.star_graph(3), "direct"),
    "a star of 4, hearers first": (nx.star_graph(3), "reverse"),
}
HUBS = nx.barabasi_albert_graph(200, 2, seed=0)
INVENTORS: dict[str, tuple[nx.Graph, Order]] = {
    "200 agents": (nx.complete_graph(200), "direct"),
    "200 agents with hubs": (HUBS, "direct"),
    "200 agents with hubs, hearers first": (HUBS, "reverse"),
}
GAMES = 12
"""As many games of four agents are followed one by one."""
WORDS_AFTER, SUCCESS_OF = 6, 8
"""The games of them that are judged: about when there are most words, and when half are learned."""
FOUR_RUNS, INVENTOR_RUNS = 4000, 40
ENOUGH = 600
"""Games after which four agents have agreed: on the star it takes 31 +- 21."""

RUNS = {50: 60, 100: 60, 200: 40, 400: 24}
LARGE_RUNS = RUNS | {800: 24, 1600: 12}
"""Societies for each seed, by how many agents they have."""
PATIENCE, WORLD_PATIENCE = 4.0, 60.0
"""Societies stop after so many times the mean time of agreement, and small worlds after so many times N^1.4, which is
twelve standard deviations later or more."""

GOES_AS = {
    "the game of most words": (1.47, 0.08),
    "the most words": (1.46, 0.06),
    "the game of agreement": (1.375, 0.125),
}
"""Slopes over N = 50 to 1600: in the limit all are 1.5, which finite societies approach from below."""
PREFACTORS = {
    "the game of most words": (0.58, 0.01),
    "the most words": (0.345, 0.005),
    "the game of agreement": (1.705, 0.145),
}
"""Over N^1.5, at 400 and 800 agents."""

TIED_TO, SHORTCUTS = 4, 0.5
"""Small worlds of Newman & Watts 1999: a ring on which everybody is tied to the next two on each side, and half a new
tie at random for each of those."""
WORLDS, WORLD_RUNS = tuple(WORLD_PLAIN), 6
"""Numbers of agents, and runs for each seed, in a new world for every two."""
AGREEMENT_SPREAD = 0.31
"""By how much of the mean one game of agreement differs from another there (of 100 agents, and less of more)."""


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` leaves out the largest societies, and agreement in small worlds."""
    return {
        COMPLETE: functools.partial(complete, runs=RUNS if quick else LARGE_RUNS),
        SMALL_WORLD: functools.partial(small_worlds, agreement=not quick),
        minority.GROUP: minority.committed_minorities,
        EXACT: few,
    }


def rows(found: Mapping[str, Found]) -> Iterator[Row | Law]:
    """Every row and law of the naming game."""
    yield from exact_rows(found[EXACT])
    yield from complete_rows(found[COMPLETE])
    yield from small_world_rows(found[SMALL_WORLD])
    yield from minority.committed_rows(found[minority.GROUP])


# -- measuring --------------------------------------------------------------------------------------------------------


def few(seed: int) -> Figures:
    """Societies of four, a game at a time; and how many words are invented, by whoever has to speak first."""
    found: Figures = {}
    for name, (graph, order) in FOUR.items():
        start = play(graph, runs=FOUR_RUNS, seed=seed, order=order, every=1, max_games=GAMES)
        for game in range(GAMES):
            found[f"{name}: words {game + 1}"] = float(start.words[:, game].mean())
            found[f"{name}: success {game + 1}"] = float(start.success[:, game].mean())
        whole = play(graph, runs=FOUR_RUNS, seed=seed + 1000, order=order, max_games=ENOUGH)
        found[f"{name}: agreement"] = float(agreed_games(whole).mean())
    for name, (graph, order) in INVENTORS.items():
        # By then nobody has been left out (one in a million).
        early = play(graph, runs=INVENTOR_RUNS, seed=seed, order=order, max_games=15 * len(graph))
        found[f"{name}: coined"] = float(early.coined.mean())
    return found


def complete(seed: int, *, runs: Mapping[int, int]) -> Figures:
    """Societies in which everybody can talk to everybody: when there are most words, how many, when they agree."""
    found: Figures = {}
    for n, number in runs.items():
        limit = int(PATIENCE * PLAIN[n][2] * n**1.5)
        outcome = play(n, runs=number, seed=seed, max_games=limit)
        for name, figure in zip(
            GOES_AS, (outcome.most_words_at, outcome.most_words, agreed_games(outcome)), strict=True
        ):
            found[f"{n}: {name}"] = float(figure.mean())
        found[f"{n}: distinct"] = float(outcome.distinct.max(axis=1).mean())
    return found


def small_worlds(seed: int, *, agreement: bool) -> Figures:
    """Some small worlds of each size: the most words, and when they agree where that is asked for."""
    found: Figures = {}
    for n in WORLDS:
        outcomes = []
        for world in range(WORLD_RUNS // 2):
            luck = seed * WORLD_RUNS + world
            graph = nx.newman_watts_strogatz_graph(n, TIED_TO, SHORTCUTS, seed=luck)
            limit = int(WORLD_PATIENCE * n**1.4) if agreement else 15 * n
            outcomes.append(play(graph, runs=2, seed=luck, max_games=limit))
        found[f"{n}: the most words"] = float(np.mean([outcome.most_words for outcome in outcomes]))
        if agreement:
            found[f"{n}: the game of agreement"] = float(np.mean([agreed_games(outcome) for outcome in outcomes]))
    return found


def agreed_games(outcome: NamingOutcome) -> NDArray[np.float64]:
    """The game of agreement [runs]; nan where there was none."""
    return np.where(outcome.agreed_at < 0, np.nan, outcome.agreed_at)


# -- judging ----------------------------------------------------------------------------------------------------------


def exact_rows(found: Found) -> Iterator[Row | Law]:
    """Societies of four against their Markov chain, and inventions against their chance."""
    for name, (graph, order) in FOUR.items():
        expected = small_society(graph, order, games=GAMES)
        yield as_expected(
            found[f"{name}: agreement"],
            expected.agreement,
            runs=FOUR_RUNS,
            name=f"{name}: games until all agree",
            source=CHAIN,
        )
        yield as_expected(
            found[f"{name}: words {WORDS_AFTER}"],
            expected.words[WORDS_AFTER - 1],
            runs=FOUR_RUNS,
            name=f"{name}: words after {WORDS_AFTER} games",
            source=CHAIN,
        )
        yield as_expected(
            found[f"{name}: success {SUCCESS_OF}"],
            expected.success[SUCCESS_OF - 1],
            runs=FOUR_RUNS,
            name=f"{name}: success of game {SUCCESS_OF}",
            source=CHAIN,
        )
        for what, course in {"words": expected.words, "success": expected.success}.items():
            yield law(
                [found[f"{name}: {what} {game + 1}"] for game in range(GAMES)],
                group=EXACT,
                name=f"{name}: {what} game by game",
                source=CHAIN,
                x="games played",
                y={"words": "words in total", "success": "share of successful games"}[what],
                at=range(1, GAMES + 1),
                expected=tuple(each.mean for each in course),
            )
    for name, (graph, order) in INVENTORS.items():
        yield as_expected(
            found[f"{name}: coined"],
            first_words(graph, order),
            runs=INVENTOR_RUNS,
            name=f"{name}: words invented",
            source="chance of speaking before hearing",
        )


def as_expected(samples: NDArray[np.float64], expected: Expected, *, runs: int, name: str, source: str) -> Row:
    """The row of a mean over so many runs."""
    variance = expected.spread**2 / runs
    return about(samples, group=EXACT, name=name, source=source, expected=expected.mean, variance=variance)


def complete_rows(found: Found) -> Iterator[Row | Law]:
    """The laws of N^1.5 against lists of words, and in full against what is published of large societies."""
    large = f"{max(LARGE_RUNS)}: distinct" in found
    runs = LARGE_RUNS if large else RUNS
    sizes = list(runs)
    largest = sizes[-1]
    for what, name in enumerate(GOES_AS):
        plain = {n: PLAIN[n][what] * n**1.5 for n in sizes}
        relative = np.array([PLAIN_SPREAD[n][what] ** 2 / runs[n] for n in sizes])
        measured = [found[f"{n}: {name}"] for n in sizes]
        slopes = slope(sizes, measured)
        variance = float((slope_weights(sizes) ** 2 * relative).sum())
        yield about(
            slopes,
            group=COMPLETE,
            name=f"{name}: exponent of N, {sizes[0]} to {largest}",
            source=LISTS,
            expected=float(slope(sizes, [np.array([figure]) for figure in plain.values()])[0]),
            variance=variance,
        )
        yield about(
            measured[-1] / largest**1.5,
            group=COMPLETE,
            name=f"{name} of {largest} agents, over N^1.5",
            source=LISTS,
            expected=PLAIN[largest][what],
            variance=float(PLAIN[largest][what] ** 2 * relative[-1]),
        )
        if large:
            yield from published_rows(found, name, slopes, variance, what)
        yield law(
            measured,
            group=COMPLETE,
            name=f"{name}, by number of agents",
            source=f"{BARONCHELLI}; {LISTS}",
            x="agents",
            y=name.removeprefix("the "),
            at=sizes,
            expected=tuple(plain.values()),
            logarithmic=True,
            note="In large societies the exponent is 1.5; in small ones it is less.",
        )
    for n in sizes[3:]:
        yield about(
            found[f"{n}: distinct"] / n,
            group=COMPLETE,
            name=f"most different words of {n} agents, over N",
            source=BARONCHELLI,
            expected=0.5,
            variance=0.125 / n / runs[n],  # that of the words ever invented, see `first_words`
            allowance=0.01,  # some have died before the last is born
        )


def published_rows(found: Found, name: str, slopes: NDArray[np.float64], variance: float, what: int) -> Iterator[Row]:
    """A law of large societies against the range in which it was measured earlier."""
    middle, reach = GOES_AS[name]
    yield about(
        slopes,
        group=COMPLETE,
        name=f"{name}: exponent of N beside earlier ones",
        source=EARLIER,
        expected=middle,
        variance=variance,
        allowance=reach,
    )
    middle, reach = PREFACTORS[name]
    for n in (400, 800):
        yield about(
            found[f"{n}: {name}"] / n**1.5,
            group=COMPLETE,
            name=f"{name} of {n} agents, over N^1.5, beside earlier ones",
            source=EARLIER,
            expected=middle,
            variance=float((PLAIN_SPREAD[n][what] * PLAIN[n][what]) ** 2 / LARGE_RUNS[n]),
            allowance=reach + 0.005,  # the range is printed with two digits
        )


def small_world_rows(found: Found) -> Iterator[Row | Law]:
    """In a small world nobody has to remember more words because there are more agents."""
    sizes, largest = list(WORLDS), WORLDS[-1]
    mean, chance = WORLD_PLAIN[largest]
    yield about(
        found[f"{largest}: the most words"] / largest,
        group=SMALL_WORLD,
        name=f"the most words of {largest} agents, for each",
        source=LISTS,
        expected=mean,
        variance=(mean * chance) ** 2 / WORLD_RUNS,
        allowance=0.002,  # what is left of chance in the lists
    )
    of_words = np.array([spread for _, spread in WORLD_PLAIN.values()])
    for name, expected, allowance, spread in (
        ("the most words", 1.0, 0.05, of_words),
        ("the game of agreement", 1.4, 0.1, np.full(len(sizes), AGREEMENT_SPREAD)),
    ):
        if f"{sizes[0]}: {name}" not in found:
            continue
        measured = [found[f"{n}: {name}"] for n in sizes]
        variance = float((slope_weights(sizes) ** 2 @ spread**2) / WORLD_RUNS)
        yield about(
            slope(sizes, measured),
            group=SMALL_WORLD,
            name=f"{name}: exponent of N",
            source=DALL_ASTA,
            expected=expected,
            variance=variance,
            allowance=allowance,
        )
        scale = float(np.mean([figure.mean() / n**expected for n, figure in zip(sizes, measured, strict=True)]))
        yield law(
            measured,
            group=SMALL_WORLD,
            name=f"{name} in a small world",
            source=DALL_ASTA,
            x="agents",
            y=name.removeprefix("the "),
            at=sizes,
            expected=tuple(scale * n**expected for n in sizes),
            logarithmic=True,
            note=f"The line is N^{expected:g} through the middle of what was measured.",
        )


def slope(sizes: Sequence[int], measured: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The exponent [seeds] of a power law: least squares in the logarithms of sizes and of figures [seeds] at each."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return slope_weights(sizes) @ np.log(np.stack(measured))


def slope_weights(sizes: Sequence[int]) -> NDArray[np.float64]:
    """What the logarithm of the figure at each size is multiplied by, to add up to the exponent."""
    x: NDArray[np.float64] = np.log(np.array(sizes, dtype=np.float64))
    x -= x.mean()
    return x / (x @ x)
