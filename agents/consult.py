"""Phase 9, merge: agents bring their views to the library and may take its word for their dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.communication import spelled, turn_round
from agents.perception import levels, remembered
from agents.population import ABSTRACT, NOTHING, Population
from agents.world import World
from knowledge_graph.library import Library, Merge
from knowledge_graph.unify import Count
from knowledge_graph.views import Views

N_SOURCES = 4
"""Remembered objects that are named as the sources of an abstract dimension."""


def new_library(world: World, *, count: Count = "shared") -> Library:
    """A library of this world that has not merged anything yet."""
    return Library(
        probe=world.probe,
        features=world.features[world.probe],
        feature_names=world.feature_names,
        spell=spelled,
        count=count,
    )


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
        sources=sources_of(population, world, rows),
        born=population.born[rows],
        score=population.score[rows],
    )


def sources_of(population: Population, world: World, rows: NDArray[np.intp]) -> NDArray[np.int32]:
    """The objects [n, S, E] that each dimension comes from, -1 where there are fewer.

    A raw one comes from its exemplar. An abstract one comes from all that was remembered; named are those remembered
    objects that stand farthest out on it, to which a factor owes most.
    """
    found = np.full((len(rows), population.n_slots, N_SOURCES), NOTHING, dtype=np.int32)
    found[:, :, 0] = population.exemplar[rows]
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        objects, there = remembered(population, part)
        stands = np.where(there[:, :, None], np.abs(levels(population, world, part, objects)), -1.0)
        farthest = np.argsort(-stands, axis=1, kind="stable")[:, :N_SOURCES].swapaxes(1, 2)
        named = np.take_along_axis(objects[:, None, :], farthest, axis=2)
        known = np.take_along_axis(there[:, None, :], farthest, axis=2)
        abstract = (population.kind[part] == ABSTRACT)[:, :, None] & known
        at = found[start : start + 256, :, : named.shape[2]]
        at[...] = np.where(abstract, named, at)
    return found


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
