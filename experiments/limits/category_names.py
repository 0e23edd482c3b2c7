"""The category game: many categories that perception makes, few that language leaves, however many agents there are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agents.games import categories
from experiments.limits.rows import Law, Relation, Row, judged, law, sampling_error
from experiments.pieces import Figures, Found

GROUP = "category game"

LEAST = 0.01
MANY = 200
"""Agents of whom the number of categories is judged."""
GAMES_EACH = 10_000
"""Games that an agent takes part in."""
SOCIETIES = 2
"""Societies of each size; the figures are means of them."""
NEARLY_NO_LEAST, SPLITTING = 1e-4, (100, 1000)
"""The just noticeable difference, and games each, between which the splitting of categories is timed."""


def category_games(seed: int, *, agents: tuple[int, ...]) -> Figures:
    """Categories of both kinds, success and agreement by the number of agents; and how fast categories split."""
    rng = np.random.default_rng(seed)
    found: Figures = {}
    for number in agents:
        societies = [society(number, rng) for _ in range(SOCIETIES)]
        found |= {f"{number} {name}": float(np.mean([some[name] for some in societies])) for name in societies[0]}
        found[f"{number} narrowest"] = min(some["narrowest"] for some in societies)
    minds, before, pieces = categories.nothing_known(agents[0]), 0, []
    for games in SPLITTING:
        categories.play(minds, (games - before) * agents[0] // 2, NEARLY_NO_LEAST, rng)
        before = games
        pieces.append(float(minds.number.mean()))
    found["splitting"] = float(np.log(pieces[1] / pieces[0]) / np.log(SPLITTING[1] / SPLITTING[0]))
    return found


def society(agents: int, rng: np.random.Generator) -> Figures:
    """What becomes of so many agents."""
    minds = categories.nothing_known(agents)
    success = categories.play(minds, GAMES_EACH * agents // 2, LEAST, rng)
    names = minds.name_of((np.arange(500) + 0.5) / 500)
    speaker, hearer = categories.met(agents, 500, rng).T
    return {
        "perceptual": float(minds.number.mean()),
        "linguistic": float(np.mean([len(minds.linguistic(agent)) for agent in range(agents)])),
        "narrowest": min(float(minds.widths(agent).min()) for agent in range(agents)) / LEAST,
        "success": float(success[-len(success) // 10 :].mean()),
        "agreement": float((names[speaker] == names[hearer]).mean()),
    }


def category_rows(found: Found) -> Iterator[Row | Law]:
    """What `category_games` gave."""
    sizes = sorted(int(key.split()[0]) for key in found if key.endswith(" linguistic"))
    linguistic, perceptual = ([found[f"{size} {kind}"] for size in sizes] for kind in ("linguistic", "perceptual"))
    slope = np.polyfit(np.log(sizes), np.log(np.stack(linguistic)), 1)[0]
    paper = "Puglisi, Baronchelli & Loreto 2008"
    setting = f"{MANY} agents, d_min {LEAST:g}, {GAMES_EACH:,} games each"
    ratio = found[f"{MANY} perceptual"] / found[f"{MANY} linguistic"]
    limits: list[tuple[NDArray[np.float64], str, str, Relation, float, float, str]] = [
        (found[f"{MANY} linguistic"], "linguistic categories", f"{paper}: 10 to 20", "about", 15, 5, setting),
        (ratio, "perceptual categories for each linguistic one", f"{paper}: many", "at least", 3, 0, setting),
        (
            np.min([found[f"{size} narrowest"] for size in sizes], axis=0),
            "narrowest perceptual category, in d_min",
            "exact: stimuli are split half-way",
            "at least",
            0.5,
            1e-9,  # the difference of two edges is rounded
            "hence at most 2 / d_min of them",
        ),
        (found[f"{MANY} success"], "share of games understood", f"{paper}: high", "at least", 0.8, 0, setting),
        (found[f"{MANY} agreement"], "share of stimuli that two call alike", f"{paper}: high", "at least", 0.8, 0, ""),
        (
            np.asarray(slope),
            f"log-log slope of linguistic categories over {sizes[0]} to {sizes[-1]} agents",
            f"{paper}: flat",
            "about",
            0.0,
            sampling_error(slope, widest=0.15) + 0.15,
            "they go on merging for long, later where there are more agents",
        ),
        (
            found["splitting"],
            "log-log slope of perceptual categories over games",
            "McGrady & Ziff 1987: pieces split at the rate of their length squared",
            "about",
            0.5,
            sampling_error(found["splitting"], widest=0.02) + 0.03,
            f"{SPLITTING[0]} to {SPLITTING[1]:,} games, d_min {NEARLY_NO_LEAST:g}; 1/2 for many pieces",
        ),
    ]
    for samples, name, source, relation, expected, tolerance, note in limits:
        yield judged(
            samples,
            group=GROUP,
            name=name,
            source=source,
            relation=relation,
            expected=expected,
            tolerance=tolerance,
            note=note,
        )
    for name, figures in {"linguistic": linguistic, "perceptual": perceptual}.items():
        yield law(
            figures,
            at=sizes,
            group=GROUP,
            name=f"{name} categories and the number of agents",
            source=f"{paper}: flat",
            x="agents",
            y=f"{name} categories",
            expected=(float(np.mean(figures)),) * len(sizes),
            logarithmic=True,
            note="Everybody tells many stimuli apart, and has few names for them, however many agents there are.",
        )
