"""Do agents who grew up on different things come to understand each other? ``python -m experiments.upbringing``.

Agents live in homes (`agents.upbringing`): what they look at and remember, and so all that they find dimensions in, is
of their home alone, while they meet anybody and talk about anything. Where everybody lives everywhere, the baseline,
homes are a name and no more. Homes dealt at random, of whole images (or single objects, in a world without images),
hold as little of the world as homes of categories do, but of everything in it a part. Without the library's word,
agents of two homes have nothing in common but their talk; where homes are kept apart they do not even have that, and
meet for the first time when it is measured how they understand each other.

Talk is measured among doubles of the agents as they are, from whom nobody learns: at the end, and just before the
library speaks for the first time.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.consult import probe_levels, views_on_probe
from agents.language import of_doubles
from agents.meeting import Meeting, scenes
from agents.upbringing import Raised
from agents.world import World
from experiments import command_line, comparison
from experiments.compared import Compared, Interval, change, paired, told, verdict
from experiments.comparison import Comparison, Condition, Lived
from experiments.measuring import sampled_rows
from experiments.report_text import number
from experiments.society_figures import BETTER, QUALITY, projections, quality, view_overlap
from knowledge_graph.library import Library
from knowledge_graph.views import standardised

PROG = "upbringing"
EVERYWHERE, BY_CHANCE, CATEGORIES = "everybody everywhere", "homes dealt at random", "homes of categories"
NO_WORD, APART, APART_NO_WORD = "no library's word", "homes kept apart", "homes kept apart, no library's word"

GAMES = 4000
"""Of doubles, to measure how well agents understand each other; of two homes half of them are between the homes."""

TALK = {
    "between": "Talk between homes that succeeds",
    "within": "Talk within a home that succeeds",
    "behind": "Talk within a home that succeeds beyond talk between homes",
    "of_speakers": "Talk between homes about what is of the speaker's home",
    "of_hearers": "Talk between homes about what is of the hearer's home",
    "of_neither": "Talk between homes about what is of neither's home",
    "known": "Words from another home that are known",
    "between_before": "Talk between homes before the library speaks",
    "within_before": "Talk within a home before the library speaks",
}
VIEWS = {
    "overlap_between": "Overlap of two views of different homes",
    "overlap_within": "Overlap of two views of one home",
    "shared_concepts": "Share of concepts held in two homes or more",
    "common_concepts": "Share of concepts held in every home",
    "alike_between": "Likeness of what two homes say through a concept",
    "alike_within": "Likeness of what one home says through a concept",
    "largest_home": "Share of agents in the largest home",
}
"""What `measure` gives beside the quality of the library, in words."""


class Heard(Raised):
    """Agents of different homes, who are listened to before the library first speaks."""

    def __init__(self, world: World, config: SocietyConfig, **given: Any) -> None:
        super().__init__(world, config, **given)
        self.before: dict[str, float] = {}

    def merge(self) -> None:
        """Phase 9, and before the first one how they understand each other."""
        if not self.library.rounds:
            self.before = talk(self)
        super().merge()


def measure(lived: Lived) -> dict[str, float]:
    """How the homes of a society understand each other, how alike their views are, and how good their library is."""
    society = lived.society
    assert isinstance(society, Heard)
    before = {f"{name}_before": society.before.get(name, math.nan) for name in ("between", "within")}
    return {
        **talk(society),
        **before,
        **overlap(society),
        **shared(lived.library, society),
        "largest_home": float(np.bincount(society.home).max() / len(society.home)),
        "chance": 1.0 / society.config.candidates,
        **quality(lived),
    }


def talk(society: Raised) -> dict[str, float]:
    """Share of talk that succeeds within and between homes, and between them by whose home the topic is of."""
    population, candidates = society.population, society.config.candidates
    rng = np.random.default_rng([society.seed, society.steps, 0x403E])
    speaker = rng.integers(len(population), size=GAMES)
    hearer = (speaker + rng.integers(1, len(population), size=GAMES)) % len(population)
    scene = scenes(society.world.train, GAMES, candidates, rng)
    place = rng.integers(candidates, size=GAMES)
    meeting = Meeting(speaker=speaker, hearer=hearer, scene=scene, topic=place)
    outcome = of_doubles(population, society.world, society.config, meeting, rng)
    topic = scene[np.arange(GAMES), place][:, None]
    speakers, hearers = society.is_home(speaker, topic)[:, 0], society.is_home(hearer, topic)[:, 0]
    apart = society.home[speaker] != society.home[hearer]
    between, within = _share(outcome.success[apart]), _share(outcome.success[~apart])
    return {
        "between": between,
        "within": within,
        "behind": within - between,
        "of_speakers": _share(outcome.success[apart & speakers]),
        "of_hearers": _share(outcome.success[apart & hearers]),
        "of_neither": _share(outcome.success[apart & ~speakers & ~hearers]),
        "known": _share(outcome.known[apart]),
    }


def overlap(society: Raised) -> dict[str, float]:
    """The mean overlap of two views (see `society_figures.view_overlap`) of different homes, and of one."""
    population, rows = society.population, sampled_rows(society)
    levels, held, home = probe_levels(population, society.world, rows), population.held[rows], society.home[rows]
    of_homes = [projections(levels[home == one], held[home == one]) for one in range(len(society.homes))]
    total, pairs = _summed([basis for some in of_homes for basis in some])
    sums = [_summed(some) for some in of_homes]
    own, own_pairs = sum(found for found, _ in sums), sum(n for _, n in sums)
    return {
        "overlap_between": _over(total - own, pairs - own_pairs),
        "overlap_within": _over(own, own_pairs),
    }


def _summed(bases: list[NDArray[np.float64]]) -> tuple[float, int]:
    """The overlap of all pairs of views together, and how many pairs those are."""
    pairs = len(bases) * (len(bases) - 1) // 2
    return pairs * (view_overlap(bases) or 0.0), pairs


def shared(library: Library, society: Raised) -> dict[str, float]:
    """Which share of the concepts that somebody holds several homes hold, and how alike what they say of objects is.

    What an agent says through a concept are the levels of all probe objects along its dimension that is a form of it,
    in the direction of the concept. Their likeness is the correlation of what two agents say, the mean over all
    concepts and all pairs of agents who both hold one.
    """
    names = ("shared_concepts", "common_concepts", "alike_between", "alike_within")
    if library.unified is None:
        return dict.fromkeys(names, math.nan)
    rows, n_homes = sampled_rows(society), len(society.homes)
    views = views_on_probe(society.population, society.world, rows)
    assert views.levels is not None
    forms, home = library.consult(views, n_words=society.counters.n_words), society.home[rows]
    # Of norm 1 over the probe, so that a product is a correlation.
    said = standardised(views.levels, views.held)[0] * forms.sign[:, None, :]
    holders = np.zeros((len(library), n_homes), dtype=np.intp)
    between, within = 0.0, 0.0
    for concept in range(len(library)):
        at, slot = np.nonzero(forms.concept == concept)
        holders[concept] = np.bincount(home[at], minlength=n_homes)
        sums = np.zeros((n_homes, said.shape[1]))
        np.add.at(sums, home[at], said[at, :, slot])
        own = float(np.square(sums).sum())
        between += (float(np.square(sums.sum(axis=0)).sum()) - own) / 2
        within += (own - len(at)) / 2
    holding = (holders[holders.any(axis=1)] > 0).sum(axis=1)
    own_pairs, pairs = int(_pairs(holders).sum()), int(_pairs(holders.sum(axis=1)).sum())
    return {
        "shared_concepts": _share(holding >= 2),
        "common_concepts": _share(holding == n_homes),
        "alike_between": _over(between, pairs - own_pairs),
        "alike_within": _over(within, own_pairs),
    }


def _pairs(of: NDArray[np.intp]) -> NDArray[np.intp]:
    return of * (of - 1) // 2


def _share(of: NDArray[np.bool_]) -> float:
    return float(of.mean()) if len(of) else math.nan


def _over(total: float, count: int) -> float:
    return total / count if count else math.nan


# ---- in words


def conclude(found: Compared) -> Sequence[str]:
    """Whether strangers understand each other, how far they are behind, and what the library does to it."""

    def of(condition: str, figure: str = "between") -> str:
        return told(found.values(condition, figure))

    def beside(condition: str, other: str, figure: str = "between", other_figure: str = "between") -> Interval:
        return paired(found.values(condition, figure), found.values(other, other_figure))

    chance = beside(CATEGORIES, CATEGORIES, other_figure="chance")
    apart, own = beside(CATEGORIES, EVERYWHERE), beside(CATEGORIES, CATEGORIES, other_figure="within")
    kinds, topics = beside(CATEGORIES, BY_CHANCE), beside(CATEGORIES, CATEGORIES, "of_hearers", "of_speakers")
    word, met = beside(CATEGORIES, NO_WORD), beside(APART, APART_NO_WORD)
    at_home = beside(CATEGORIES, NO_WORD, "within", "within")
    return [
        f"Agents who grew up on different categories understand each other in {of(CATEGORIES)} of their talks, "
        f"{_way(chance, 'more than', 'less than', 'which {} seeds cannot tell from')} the "
        f"{number(float(found.values(CATEGORIES, 'chance').mean()), 2)} of guessing; any two "
        f"who grew up everywhere do in {of(EVERYWHERE)}: strangers are "
        f"{_way(apart, 'ahead', 'behind', 'neither ahead nor behind as far as {} seeds can show')} "
        f"({change(apart)}).",
        f"Their own kind understand each other in {of(CATEGORIES, 'within')}: strangers are understood "
        f"{_way(own, 'better', 'worse', ALIKE)} ({change(own)}). Strangers from homes dealt at random are "
        f"understood in {of(BY_CHANCE)}, those from homes of categories "
        f"{_way(kinds, 'better', 'worse', ALIKE)} ({change(kinds)}).",
        f"Between homes of categories, what is of the hearer's home is understood in {of(CATEGORIES, 'of_hearers')}, "
        f"what is of the speaker's in {of(CATEGORIES, 'of_speakers')}: the former is understood "
        f"{_way(topics, 'better', 'worse', ALIKE)} ({change(topics)}).",
        f"To talk between homes of categories the library's word is {_way(word, *HELP)}: {of(CATEGORIES)} with "
        f"it, {of(NO_WORD)} without ({change(word)}; within a home {change(at_home)}). To talk between those who have "
        f"never met anybody of another home it is {_way(met, *HELP)}: {of(APART)} with it, {of(APART_NO_WORD)} "
        f"without ({change(met)}).",
        f"The library of those who grew up on different categories, beside that of those who grew up everywhere, is "
        f"{verdict(found, CATEGORIES, BETTER)}.",
    ]


ALIKE = "no differently as far as {} seeds can show"
HELP = ("a help", "a harm", "of no effect that {} seeds can show")


def _way(found: Interval, more: str, less: str, neither: str) -> str:
    return {1: more, -1: less, 0: neither.format(found.seeds)}[found.sign]


def _condition(name: str, *, made_of: str, homes: int = 2, apart: bool = False, library_word: bool = True) -> Condition:
    return Condition(
        name=name,
        changes={} if library_word else {"library_word": False},
        given={"made_of": made_of, "homes": homes, "apart": apart},
    )


COMPARISON = Comparison(
    question="Do agents who grew up on different things come to understand each other?",
    conditions=(
        _condition(EVERYWHERE, made_of="everything"),
        _condition(BY_CHANCE, made_of="images"),
        _condition(CATEGORIES, made_of="categories"),
        _condition("four homes of categories", made_of="categories", homes=4),
        _condition(NO_WORD, made_of="categories", library_word=False),
        _condition(APART, made_of="categories", apart=True),
        _condition(APART_NO_WORD, made_of="categories", apart=True, library_word=False),
    ),
    measure=measure,
    figures=TALK | VIEWS | QUALITY,
    answers=(
        "between",
        "within",
        "behind",
        "known",
        "overlap_between",
        "alike_between",
        "shared_concepts",
        "efficiency",
        "label_accuracy",
    ),
    society=Heard,
    conclude=conclude,
)

main = functools.partial(comparison.main, COMPARISON, prog=PROG)

if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
