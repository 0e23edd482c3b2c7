"""Where new dimensions come from: what an agent's memory has in common, or one of the rivals of that explanation.

A *factor* or a *component* is found in how the sensed features go together (`agents.discovery`). The rivals are here:
likeness to an *exemplar* (one remembered object), a *random* direction over what is sensed (the null hypothesis: with
nothing but chance and selection), and a coordinate of an *embedding* that somebody else has learned and the agent is
told of the objects that it remembers.

The sources differ in nothing else. At each discovery an agent has one source (in a mixed society drawn anew, with even
chances) and proposes as many dimensions as its memory says there are (parallel analysis), whatever the source; all
proposals go through the same refreshing, filling and competing; and attention leaves the features that the proposals
explain least, by factors or by chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.perception import centred_over, remembered, sense
from agents.population import COMPONENT, EMBEDDING, EXEMPLAR, FACTOR, NOTHING, RANDOM, Population, likeness
from agents.world import World
from knowledge_graph.views import chunks

BY_NAME = {"factor": FACTOR, "pca": COMPONENT, "exemplar": EXEMPLAR, "random": RANDOM, "embedding": EMBEDDING}
"""The origin that a setting of `SocietyConfig.discovery` gives to dimensions."""


def sources(config: SocietyConfig, world: World) -> tuple[int, ...]:
    """The origins that dimensions discovered in this society can have; a mixed one has all that its world allows.

    Raises
    ------
    InputError
        If they are to come from an embedding and the world has none.
    """
    if config.discovery == "embedding" and world.embedding is None:
        raise InputError(
            f"discovery is 'embedding', but {world.name} has none; give a .npz world with an array 'embedding' "
            "[objects, coordinates], or another discovery"
        )
    if config.discovery != "mixed":
        return (BY_NAME[config.discovery],)
    return (EXEMPLAR, FACTOR, COMPONENT, RANDOM, *(() if world.embedding is None else (EMBEDDING,)))


def exemplars(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    number: NDArray[np.intp],
    keys: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Likenesses [n, S, m] to ``number [n]`` different remembered objects, first in the order of ``keys [n, R]``.

    Also the objects, int32 [n, S]; -1, and a zero loading, where there are no more.
    """
    objects, there = remembered(population, rows)
    n_slots = population.n_slots
    first = np.argsort(np.where(there, keys, np.inf), axis=1)[:, :n_slots]
    chosen = np.full((len(rows), n_slots), NOTHING, dtype=np.int32)
    chosen[:, : first.shape[1]] = np.take_along_axis(objects, first, axis=1)
    chosen[np.arange(n_slots) >= np.minimum(number, there.sum(axis=1))[:, None]] = NOTHING
    loading = np.zeros((*chosen.shape, population.n_sensors))
    at, place = np.nonzero(chosen != NOTHING)
    loading[at, place] = likeness(world.features, chosen[at, place], population.sensor[rows[at]])
    return loading, chosen


def random_directions(normal: NDArray[np.float64], number: NDArray[np.intp]) -> NDArray[np.float64]:
    """Unit loadings [n, S, m], ``number [n]`` of them and zero after that, all directions being equally likely.

    Standard ``normal [n, S, m]`` numbers point everywhere alike (Muller 1959).
    """
    loading: NDArray[np.float64] = normal / np.linalg.norm(normal, axis=2, keepdims=True)
    loading[np.arange(normal.shape[1]) >= number[:, None]] = 0.0
    return loading


def told_coordinates(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    number: NDArray[np.intp],
    keys: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Unit loadings [n, S, m] that tell ``number [n]`` coordinates of the embedding, first by ``keys [n, E]``.

    Each is the regression of a coordinate on what is sensed, over the different objects remembered: an agent is told
    where these stand and makes out of it what it can see. A memory holds few objects for so many features, so the
    weights are shrunken (ridge regression, Hoerl & Kennard 1970) by m / n of the mean variance sensed, the rule of
    Hoerl, Kennard & Baldwin 1975 where half of what varies can be told. Coordinates that do not vary over what is
    remembered tell nothing and are left out.
    """
    loading = np.zeros((len(rows), population.n_slots, population.n_sensors))
    for part in chunks(len(rows)):
        loading[part] = _told(population, rows[part], world, number[part], keys[part])
    return loading


def _told(
    population: Population,
    rows: NDArray[np.intp],
    world: World,
    number: NDArray[np.intp],
    keys: NDArray[np.float64],
) -> NDArray[np.float64]:
    assert world.embedding is not None
    objects, there = remembered(population, rows)
    n_slots, m = population.n_slots, population.n_sensors
    chosen = np.argsort(keys, axis=1)[:, :n_slots]
    n = np.maximum(there.sum(axis=1), 1)[:, None, None]
    sensed = centred_over(sense(world.features, objects, population.sensor[rows]), there)
    told = centred_over(world.embedding[objects[:, :, None], chosen[:, None, :]], there)
    covariance = sensed.swapaxes(1, 2) @ sensed / n
    spread = np.einsum("nii->n", covariance) / m
    # Where nothing sensed varies there is nothing to regress on: any ridge gives zero weights.
    ridge = np.where(spread > 0, spread, 1.0) * m / n[:, 0, 0]
    weights = np.linalg.solve(covariance + ridge[:, None, None] * np.eye(m), sensed.swapaxes(1, 2) @ told / n)
    norm = np.linalg.norm(weights, axis=1)
    says = (norm > 1e-9) & (np.arange(norm.shape[1]) < number[:, None])
    weights = np.where(says[:, None, :], weights / np.where(says, norm, 1.0)[:, None, :], 0.0)
    # Those that say something come first, in the order drawn.
    order = np.argsort(~says, axis=1, kind="stable")
    loading = np.zeros((len(rows), n_slots, m))
    loading[:, : order.shape[1]] = np.take_along_axis(weights, order[:, None, :], axis=2).swapaxes(1, 2)
    return loading
