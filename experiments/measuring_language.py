"""What is measured of how a society talks: its conventions as it lives, and at the end how far its language reaches.

The figures themselves are in `agents.language`; here is of whom, of what objects and of how many games they are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.consult import probe_levels
from agents.language import (
    Topography,
    coherence,
    distinct_words,
    homonymy,
    settled_at,
    signal_distances,
    synonymy,
    topographic_similarity,
    understanding,
    utterances,
    words_per_dimension,
)
from agents.society import Society
from knowledge_graph.concept import word_counts
from knowledge_graph.library import Library
from knowledge_graph.views import Views

SCENES = (2, 4, 8, 16)
"""Candidates among which success is measured, beside those of the society's own scenes."""

GAMES = 2000
"""Games for each number of candidates: the standard error is at most .011."""

DESCRIBED, SPEAKERS = 64, 40
"""Objects that are described, and agents who describe them, to compare signals with what they are of."""

CONVENTIONS = ("synonymy", "homonymy", "coherence")
TOPOGRAPHY = (
    "topographic_similarity",
    "topographic_similarity_null",
    "shared_topographic_similarity",
    "shared_topographic_similarity_null",
)


def conventions(
    society: Society, library: Library, rows: NDArray[np.intp], levels: NDArray[np.floating]
) -> dict[str, float | None]:
    """How many words a concept goes by, how many concepts a word is said of, and how far ``rows [n]`` agree.

    A dimension is a form of the concept of ``library`` that its ``levels [n, P, S]`` on the probe are most like, as it
    is at this step. None before the first merge, and in the gesture game, where nobody says a word.
    """
    if library.unified is None or society.config.game != "language":
        return dict.fromkeys(CONVENTIONS)
    population = society.population
    views = Views.of(levels=levels, held=population.held[rows], agent=population.id[rows])
    told, words = library.consult(views, n_words=society.counters.n_words), population.words[rows]
    return {
        "synonymy": synonymy(words, told.concept),
        "homonymy": homonymy(words, told.concept),
        "coherence": coherence(words, told.concept, told.sign),
    }


def language_summary(
    society: Society, library: Library, recorded: Sequence[Mapping[str, float | None]], rows: NDArray[np.intp]
) -> dict[str, object]:
    """The language at the end of a run, of all agents or of a sample of ``rows``; see docs/how-it-works.md.

    ``recorded`` are the metrics of the run, from which is read when conventions settled.
    """
    population = society.population
    found = conventions(society, library, rows, probe_levels(population, society.world, rows))
    return {
        "distinct_words": distinct_words(population.words),
        "words_per_concept": words_per_concept(library),
        "words_per_dimension": words_per_dimension(population.words, population.held),
        **found,
        **success_by_candidates(society),
        **topography(society, rows),
        "steps_to_convention": settled(recorded, "coherence"),
        "steps_to_understanding": settled(recorded, "success"),
    }


def success_by_candidates(society: Society) -> dict[str, object]:
    """Success among few and many candidates, about objects that agents can have met and about held-out ones.

    Played by doubles of the agents as they are now; objects of training and held-out ones by the same pairs.
    ``success_unseen`` is among as many candidates as in the society's own scenes. None where nobody talks.
    """
    world, config = society.world, society.config
    seed = [society.seed, society.steps]
    told: dict[str, dict[str, float | None]] = {}
    for name, objects in (("success", world.train), ("success_unseen", world.held_out)):
        told[name] = {
            str(candidates): understanding(
                society.population,
                world,
                config,
                objects,
                np.random.default_rng([*seed, candidates]),
                candidates=candidates,
                games=GAMES,
                edges=society.edges,
            )
            if config.talk_interval and candidates <= len(objects)
            else None
            for candidates in sorted({*SCENES, config.candidates})
        }
    return {
        "success_unseen": told["success_unseen"][str(config.candidates)],
        "success_by_candidates": told["success"],
        "success_unseen_by_candidates": told["success_unseen"],
        "chance_by_candidates": {candidates: 1.0 / int(candidates) for candidates in told["success"]},
    }


def topography(society: Society, rows: NDArray[np.intp]) -> dict[str, float | None]:
    """Whether what is said of things is the more alike, the more alike the things are, with what chance reaches.

    Of a sample of the training objects, whose distances are those of all features of the world. Once of what one agent
    says of both things, and once (``shared``) of what one agent says of the first and another of the second.
    """
    world, population = society.world, society.population
    if society.config.game != "language" or not society.config.talk_interval or len(world.train) < 3:
        return dict.fromkeys(TOPOGRAPHY)
    rng = np.random.default_rng([society.seed, society.steps])
    objects = np.sort(rng.permutation(world.train)[:DESCRIBED])
    speakers = rng.permutation(rows)[:SPEAKERS]
    word, level = utterances(population, world, speakers, objects)
    other = np.roll(np.arange(len(speakers)), 1)
    own = topographic_similarity(world.features[objects], signal_distances(word, level), rng)
    shared = topographic_similarity(
        world.features[objects], signal_distances(word, level, word[other], level[other]), rng
    )
    return dict(zip(TOPOGRAPHY, [figure for found in (own, shared) for figure in _figures(found)], strict=True))


def _figures(found: Topography) -> tuple[float, float]:
    return found.similarity, found.null


def settled(recorded: Sequence[Mapping[str, float | None]], name: str) -> float | None:
    """The first recorded step from which a column of the metrics stays near where it ends, see `settled_at`."""
    return settled_at([row["step"] or 0.0 for row in recorded], [row.get(name) for row in recorded])


def words_per_concept(library: Library) -> float | None:
    """Mean number of different words that the forms of one concept go by; None without named concepts."""
    if library.views is None or not library.ids:
        return None
    counts = [len(words) for words in word_counts(library.views.words, library.membership, len(library))]
    return float(np.mean([n for n in counts if n])) if any(counts) else None
