"""Phase 9, merge: agents bring their views to the library and may take its word for their dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.communication import spelled, turn_round
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.perception import levels, remembered, sense, standardised_over
from agents.population import ABSTRACT, NOTHING, Population
from agents.world import World
from knowledge_graph.library import Library
from knowledge_graph.unify import NothingInCommonError
from knowledge_graph.views import Views, chunks
from knowledge_graph.word import Merge, Moments, Word

N_SOURCES = 4
"""Remembered objects that are named as the sources of an abstract dimension."""

FEW_FEATURES, FEW_SENSORS = 4096, 256
"""Features of a world, and sensors of an agent, up to which who asks the library does so by the moments of the probe.

Those are a table of all pairs of features, the same for all; of it each agent looks at all pairs of its sensors. For 32
sensors and 500 objects that takes a fifteenth of looking at the probe again, for as many sensors as objects longer.
"""


def new_library(world: World, config: SocietyConfig) -> Library:
    """A library of this world that has not merged anything yet."""
    return Library(
        probe=world.probe,
        features=world.features[world.probe],
        feature_names=world.feature_names,
        spell=spelled,
        method=config.unify,
        count=config.concepts,
    )


def take_in(library: Library, views: Views, *, step: int, n_words: int) -> Merge:
    """The library merges ``views`` at this step, and tells what became of them; ``n_words`` there are so far.

    Raises
    ------
    InputError
        If the agents are too few, or sense too little, to have anything in common by which it unifies.
    """
    try:
        return library.merge(views, step=step, n_words=n_words)
    except NothingInCommonError as error:
        raise InputError(
            f"unify is {library.method}, but {error}: give more agents or sensors, or unify gcca"
        ) from error


def views_of(population: Population, world: World, rows: NDArray[np.intp]) -> Views:
    """The views of ``rows``, as the library takes them.

    Levels on the probe, what each dimension weighs and how it went with what was sensed, and where it comes from.
    """
    structure, phi, sources = experience_of(population, world, rows)
    return Views(
        agent=population.id[rows],
        held=population.held[rows],
        levels=probe_levels(population, world, rows),
        sensor=population.sensor[rows],
        loading=population.loading[rows],
        structure=structure,
        phi=phi,
        words=population.words[rows],
        kind=population.kind[rows],
        sources=sources,
        born=population.born[rows],
        score=population.score[rows],
    )


def views_on_probe(population: Population, world: World, rows: NDArray[np.intp]) -> Views:
    """The views of ``rows`` as far as `Word.consult` needs them: levels on the probe, and nothing of the memory."""
    held, agent = population.held[rows], population.id[rows]
    return Views.of(levels=probe_levels(population, world, rows), held=held, agent=agent)


def probe_levels(population: Population, world: World, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Levels [n, P, S] of the probe objects along the dimensions of ``rows``."""
    found = np.empty((len(rows), len(world.probe), population.n_slots), dtype=np.float32)
    for part in chunks(len(rows)):
        objects = np.broadcast_to(world.probe, (len(rows[part]), len(world.probe)))
        found[part] = levels(population, world, rows[part], objects)
    return found


def experience_of(
    population: Population, world: World, rows: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """What the memory of ``rows`` says of their dimensions.

    Returns
    -------
    structure : float32 [n, S, m], correlations of dimensions with sensed features over what is remembered
    phi : float32 [n, S, S], their correlations with each other; both are 0 for what never varied, and in empty slots
    sources : int32 [n, S, E], the objects that each dimension comes from, -1 where there are fewer. A raw one comes
        from its exemplar. An abstract one comes from all that was remembered; named are those remembered objects that
        stand farthest out on it, to which a factor owes most.
    """
    structure = np.zeros((len(rows), population.n_slots, population.n_sensors), dtype=np.float32)
    phi = np.zeros((len(rows), population.n_slots, population.n_slots), dtype=np.float32)
    sources = np.full((len(rows), population.n_slots, N_SOURCES), NOTHING, dtype=np.int32)
    sources[:, :, 0] = population.exemplar[rows]
    for part in chunks(len(rows)):
        objects, there = remembered(population, rows[part])
        stands = levels(population, world, rows[part], objects)
        sensed = standardised_over(sense(world.features, objects, population.sensor[rows[part]]), there)
        felt = standardised_over(stands, there).swapaxes(1, 2)
        structure[part] = felt @ sensed
        phi[part] = felt @ felt.swapaxes(1, 2)
        out = np.where(there[:, :, None], np.abs(stands), -1.0)
        farthest = np.argsort(-out, axis=1, kind="stable")[:, :N_SOURCES].swapaxes(1, 2)
        named = np.take_along_axis(objects[:, None, :], farthest, axis=2)
        known = np.take_along_axis(there[:, None, :], farthest, axis=2)
        abstract = (population.kind[rows[part]] == ABSTRACT)[:, :, None] & known
        at = sources[part, :, : named.shape[2]]
        at[...] = np.where(abstract, named, at)
    return structure, phi, sources


def sampled(n_agents: int, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Whose views are merged: everybody's, or those of so many random rows, ascending."""
    rows = np.arange(n_agents)
    return rows if n_agents <= size else np.sort(rng.permutation(n_agents)[:size])


def hear_the_library(
    population: Population, world: World, rows: NDArray[np.intp], told: Merge, word: Word, *, at_once: int
) -> None:
    """Everybody takes the library's word: ``rows``, whose views were merged, what they were told, and others by asking.

    Those are ``at_once`` at a time, which bounds the memory.
    """
    take_the_librarys_word(population, rows, told)
    others = np.setdiff1d(np.arange(len(population)), rows)
    few = world.n_features <= FEW_FEATURES and population.n_sensors <= min(FEW_SENSORS, len(world.probe) // 4)
    moments = Moments.of(world.features[world.probe], word.scores) if few and len(others) else None
    for part in np.array_split(others, range(at_once, len(others), at_once)):
        if moments is None:
            heard = word.consult(views_on_probe(population, world, part))
        else:
            sensor, loading, held = population.sensor[part], population.loading[part], population.held[part]
            heard = word.consult_by_weights(moments, sensor=sensor, loading=loading, held=held)
        take_the_librarys_word(population, part, heard)


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
