"""Phase 9, merge: agents bring their views to the library and may take its word for their dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.communication import turn_round
from agents.perception import levels
from agents.population import NOTHING, Population
from agents.world import World
from knowledge_graph.library import Library, Merge
from knowledge_graph.unify import Views


def views_of(population: Population, world: World, rows: NDArray[np.intp]) -> Views:
    """The views of ``rows``, as the library takes them: levels on the probe, and where each dimension comes from."""
    shape = (len(rows), len(world.probe), population.n_slots)
    probed = np.empty(shape, dtype=np.float32)
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        objects = np.broadcast_to(world.probe, (len(part), len(world.probe)))
        probed[start : start + 256] = levels(population, world, part, objects)
    return Views(
        agent=population.id[rows],
        held=population.held[rows],
        levels=probed,
        sensor=population.sensor[rows],
        loading=population.loading[rows],
        words=population.words[rows],
        kind=population.kind[rows],
        exemplar=population.exemplar[rows],
        born=population.born[rows],
        score=population.score[rows],
    )


def take_in(
    library: Library, population: Population, world: World, rows: NDArray[np.intp], *, step: int, n_words: int
) -> Merge:
    """Let the library take in the views of ``rows``, beside the probe objects as anyone may look at them."""
    views = views_of(population, world, rows)
    return library.merge(views, world.features[world.probe], step=step, n_words=n_words)


def take_the_librarys_word(population: Population, rows: NDArray[np.intp], merge: Merge) -> None:
    """Dimensions that are forms of a concept take over its name and direction.

    A word that names a concept is dropped by every dimension that is no form of it. What a dimension weighs stays its
    own: the library tells what a thing is called, not what it is.
    """
    against = merge.sign < 0
    at, slot = np.nonzero(against)
    turn_round(population, rows[at], slot)
    words = population.words[rows]
    words[np.isin(words, merge.word)] = NOTHING
    words = _compacted(words)
    known = merge.concept >= 0
    words[known] = NOTHING
    words[known, 0] = merge.word[merge.concept[known]]
    population.words[rows] = words
    population.concept[rows] = merge.concept


def _compacted(words: NDArray[np.int32]) -> NDArray[np.int32]:
    """Inventories with the free places last, otherwise in the same order."""
    order = np.argsort(words < 0, axis=2, kind="stable")
    return np.take_along_axis(words, order, axis=2)
