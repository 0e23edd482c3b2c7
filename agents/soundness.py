"""What holds of every population, to be asked of one that was read from a file before it is believed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.population import ABSTRACT, EMPTY, NOTHING, ORIGIN_NAMES, RAW, Population, likeness
from agents.world import World

UNIT = 1e-4
"""How far the length of a direction may be from 1, and its cosine to what it is the likeness to."""

LARGEST_COUNT = 2**30
"""No life is so long: from here up, counts of 32 bits could not be counted on."""

WITHIN_ONE = ("communality", "score", "success", "understood")


def check_sound(
    population: Population, world: World, *, steps: int, next_id: int, n_words: int, first_id: int = 0
) -> None:
    """Refuse a population that no society can have.

    The compiled loops of a tick look things up without asking whether they are there, so nothing may point elsewhere.

    Raises
    ------
    ValueError
        With the first column that is wrong, or if no life is of so many steps.
    """
    if steps > LARGEST_COUNT:
        raise ValueError(f"steps is {steps}")
    everything = population.columns()
    for name, column in everything.items():
        if column.dtype.kind == "f":
            _refuse(name, ~np.isfinite(column))
    for name in WITHIN_ONE:
        _refuse(name, (everything[name] < 0) | (everything[name] > 1))
    for name in ("n_seen", "contests", "generation"):
        _refuse(name, (everything[name] < 0) | (everything[name] > LARGEST_COUNT))
    held = population.held
    _refuse("kind", ~np.isin(population.kind, (EMPTY, RAW, ABSTRACT)))
    _refuse("sensor", (population.sensor < 0) | (population.sensor >= world.n_features))
    _refuse("sensor", _repeated(population.sensor))
    known = np.zeros(world.n_objects + 1, dtype=bool)
    known[world.train] = True
    for name in ("body", "seen", "exemplar"):
        column = everything[name]
        there = (column >= 0) & (column < world.n_objects)
        free = (column == NOTHING) & (name != "body")
        _refuse(name, ~free & ~(there & known[np.where(there, column, -1)]))
    _refuse("exemplar", (population.exemplar >= 0) != (population.kind == RAW))
    seen = population.seen != NOTHING
    _refuse("n_seen", seen.sum(axis=1) != np.minimum(population.n_seen, population.seen.shape[1]))
    _refuse("seen", ~seen[:, :-1] & seen[:, 1:])
    length = np.linalg.norm(population.loading.astype(np.float64), axis=2)
    _refuse("loading", np.abs(length - held) > UNIT)
    _refuse("exemplar", _unlike(population, world))
    words = population.words
    _refuse("words", (words < NOTHING) | (words >= max(n_words, 1)))
    _refuse("words", (words[:, :, :-1] < 0) & (words[:, :, 1:] >= 0))
    _refuse("words", (words >= 0) & ~held[:, :, None])
    _refuse("words", _repeated(words.reshape(len(words), -1)))
    _refuse("concept", population.concept < NOTHING)
    _refuse("origin", ~np.isin(population.origin, range(len(ORIGIN_NAMES))))
    for name, empty in (("score", 0), ("understood", 0), ("contests", 0), ("born", NOTHING), ("concept", NOTHING)):
        _refuse(name, ~held & (everything[name] != empty))
    _refuse("birth", (population.birth < 0) | (population.birth > steps))
    _refuse("born", held & ((population.born < population.birth[:, None]) | (population.born > steps)))
    _refuse("id", (population.id < first_id) | (population.id >= next_id))
    _refuse("id", _repeated(population.id[None]))
    # Founders have the first numbers, and nobody above them.
    _refuse("parent", (population.parent < NOTHING) | (population.parent >= population.id))
    _refuse("parent", (population.parent == NOTHING) != (population.id < first_id + len(population)))


def _unlike(population: Population, world: World) -> NDArray[np.bool_]:
    """Which raw dimensions [N, S] are not the likeness to their exemplar, in either sign."""
    wrong = np.zeros(population.kind.shape, dtype=bool)
    rows, slots = np.nonzero(population.kind == RAW)
    alike = likeness(world.features, population.exemplar[rows, slots], population.sensor[rows])
    cosine = (alike * population.loading[rows, slots]).sum(axis=1)
    wrong[rows, slots] = np.abs(np.abs(cosine) - 1) > UNIT
    return wrong


def _refuse(name: str, wrong: NDArray[np.bool_]) -> None:
    if wrong.any():
        raise ValueError(f"{name} says what cannot be, of agent {int(np.argwhere(wrong)[0][0]) + 1} of the file")


def _repeated(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which rows [n] of ``values [n, m]`` have a number from 0 up more than once."""
    ordered = np.sort(values, axis=1)
    repeated: NDArray[np.bool_] = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    return repeated
