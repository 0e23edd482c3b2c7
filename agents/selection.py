"""Phase 8, select: the law of the jungle, for dimensions within a view and for agents within the society."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.perception import not_sensed, replace_sensors
from agents.population import NEUTRAL, NOTHING, Population, grow_up
from agents.world import World

GRACE = 10
"""Contests before a dimension is judged: the score needs that many to say more than luck."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deaths:
    """Who died at a selection, a row each: ids, ages in steps, fitness, dimensions held; and who came instead."""

    id: NDArray[np.int64]
    age: NDArray[np.int32]
    fitness: NDArray[np.float64]
    dimensions: NDArray[np.intp]
    heir: NDArray[np.int64]
    parent: NDArray[np.int64]


def drop_dimensions(population: Population, floor: float) -> int:
    """Drop the dimensions whose superiority fell under the floor; returns how many."""
    rows, slots = np.nonzero(population.held & (population.score < floor) & (population.contests >= GRACE))
    population.clear(rows, slots)
    return len(rows)


def fitness(population: Population) -> NDArray[np.float64]:
    """Mean superiority weighted by communicative success [N]: what one feels, times how well one is understood.

    An agent without dimensions has fitness 0.
    """
    esteem = population.self_esteem(np.arange(len(population)))
    return np.where(population.held.any(axis=1), esteem, 0.0) * population.success.astype(np.float64)


def select_agents(
    population: Population,
    world: World,
    config: SocietyConfig,
    *,
    step: int,
    next_id: int,
    rng: np.random.Generator,
) -> Deaths:
    """Some of those old enough die, and mutated offspring of others take their rows.

    ``config.selection`` says who. In a tournament the least fit die, and winners of tournaments among those who are
    left have offspring. In the Moran process (Moran 1958) whoever dies is drawn evenly, and parents in proportion to
    fitness from all who lived before, the dead among them: with one death at a time it is that process and nothing
    else, and where everybody dies at once that of Wright and Fisher.
    """
    worth = fitness(population)
    # Rounded by chance, so that the share holds on average in a population too small for whole numbers.
    n_dead = int(config.turnover * len(population) + rng.random())
    # The newborn are not judged before they have lived through a whole selection interval.
    judged = np.flatnonzero(step - population.birth >= config.selection_interval)
    if config.selection == "moran":
        dead = judged[least_fit(np.zeros(len(judged)), n_dead, rng)]
        parents = proportional(worth, len(dead), rng)
    else:
        dead = judged[least_fit(worth[judged], n_dead, rng)]
        alive = np.setdiff1d(np.arange(len(population)), dead)
        # Where everybody dies each has an heir.
        parents = alive[tournament(worth[alive], len(dead), config.tournament, rng)] if len(alive) else dead
    ids = next_id + np.arange(len(dead), dtype=np.int64)
    record = Deaths(
        id=population.id[dead],
        age=(step - population.birth[dead]).astype(np.int32),
        fitness=worth[dead],
        dimensions=population.held[dead].sum(axis=1),
        heir=ids,
        parent=population.id[parents],
    )
    bear(population, dead, parents, ids, world, config, step=step, rng=rng)
    return record


def least_fit(worth: NDArray[np.floating], n_dead: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The ``n_dead`` least fit [..., n_dead] of each row of ``worth [..., n]``, at most all of them.

    Among equals chance decides, not the place: otherwise the same rows would die at every selection.
    """
    return np.lexsort((rng.random(worth.shape), worth))[..., :n_dead]


def proportional(worth: NDArray[np.floating], n_parents: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Parents, drawn with replacement: P(i) = worth_i / sum of worth, and evenly where nobody is worth anything."""
    share = np.cumsum(worth if worth.any() else np.ones(len(worth)))
    return np.searchsorted(share / share[-1], rng.random(n_parents), side="right")


def tournament(worth: NDArray[np.floating], n_winners: int, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Winners of tournaments among ``size`` entrants drawn with replacement: the fittest entrant wins.

    With rank 1 the least fit of N, P(rank i wins) = (i^k - (i - 1)^k) / N^k. Equal fitness is ranked by a random
    order, drawn anew at every call.
    """
    order = np.lexsort((rng.random(len(worth)), worth))
    entrants = rng.integers(len(worth), size=(n_winners, size))
    fittest: NDArray[np.intp] = entrants.max(axis=1)
    return order[fittest]


def bear(
    population: Population,
    rows: NDArray[np.intp],
    parents: NDArray[np.intp],
    ids: NDArray[np.int64],
    world: World,
    config: SocietyConfig,
    *,
    step: int,
    rng: np.random.Generator,
) -> None:
    """Put an offspring of ``parents`` into each of ``rows``; a parent may be among those whose rows are taken.

    It inherits body, sensors, dimensions, words and feelings, mutated: with the chance ``mutation`` it is another
    body, whose feelings start anew, and that share of its sensors is drawn anew. It has its own childhood.
    """
    for name in (
        "body",
        "sensor",
        "communality",
        "loading",
        "kind",
        "exemplar",
        "origin",
        "generation",
        "words",
        "concept",
        "score",
        "contests",
        "success",
        "understood",
    ):
        column = getattr(population, name)
        column[rows] = column[parents]
    population.parent[rows] = population.id[parents]
    population.id[rows] = ids
    population.birth[rows] = step
    held = population.held[rows]
    population.born[rows] = np.where(held, step, NOTHING)
    # Counted as far as the column goes.
    once_more = held & (population.generation[rows] < np.iinfo(population.generation.dtype).max)
    population.generation[rows] += once_more

    n, m, n_features = len(rows), population.n_sensors, world.n_features
    other_body = rng.random(n) < config.mutation
    bodies = world.train[rng.integers(len(world.train), size=n)]
    population.body[rows] = np.where(other_body, bodies, population.body[rows])
    population.score[rows] = np.where(held & other_body[:, None], NEUTRAL, population.score[rows])
    population.contests[rows] = np.where(other_body[:, None], 0, population.contests[rows])
    keys = rng.random((n, n_features))
    moved = rng.random((n, m)) < config.mutation
    _mutate_sensors(population, rows, keys, moved, world)
    grow_up(population, rows, world, config, rng)


def _mutate_sensors(
    population: Population,
    rows: NDArray[np.intp],
    keys: NDArray[np.float64],
    moved: NDArray[np.bool_],
    world: World,
) -> None:
    """Redraw the ``moved`` sensors [n, m] among the features not sensed yet, in the order of ``keys [n, D]``."""
    # Where nearly everything is sensed already, only so many sensors can move.
    moved &= moved.cumsum(axis=1) <= world.n_features - population.n_sensors
    if not moved.any():
        return
    at, place = np.nonzero(moved)
    nth = moved.cumsum(axis=1)[at, place] - 1
    fresh = not_sensed(population.sensor[rows], keys)
    replace_sensors(population, rows[at], place, fresh[at, nth], world)
