"""Upbringing: agents who have seen a part of the world only, and talk about all of it.

Every agent has a *home*, a part of the objects that can be met. Its body, its childhood and all that it remembers are
of its home, and so is whatever it makes a dimension of; offspring grow up in the home of their parent. In meetings
anything may be there and be talked about, but an agent looks only at what belongs to its home, so that nothing is found
in the rest of the world: that, it knows by the dimensions it has brought from home.

Homes are made of whole categories, of whole images, or are all the world, which is the usual society. Agents know
nothing of categories: home is where they live.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.meeting import Meeting
from agents.perception import perceive
from agents.population import NOTHING, first_exemplars
from agents.society import Society
from agents.world import World

Of = Literal["everything", "images", "categories"]


class Raised(Society):
    """A society whose agents have grown up in different homes.

    Parameters
    ----------
    made_of : whole categories; whole images, at random (single objects, in a world without images); or everything, and
        then homes differ in name alone
    homes : how many there are
    apart : whether agents meet only those of their own home

    Attributes
    ----------
    homes : bool [H, M], the objects of each home
    home : int [N], the home of each agent

    Raises
    ------
    InputError
        If there are too few agents or objects for so many homes, or the world has no categories to make them of.
    """

    def __init__(
        self,
        world: World,
        config: SocietyConfig,
        *,
        seed: int,
        made_of: Of = "everything",
        homes: int = 2,
        apart: bool = False,
    ) -> None:
        super().__init__(world, config, seed=seed)
        if config.agents < 2 * homes:
            raise InputError(f"agents is {config.agents}, but it must be at least {2 * homes}, two for every home")
        self.apart = apart
        self.homes = homes_of(world, made_of, homes, seed=seed)
        self.home: NDArray[np.intp] = np.arange(config.agents) % homes
        self._size = self.homes.sum(axis=1)
        self._things = np.argsort(~self.homes, axis=1, kind="stable").astype(np.int32)
        everybody = np.arange(config.agents)
        self._bring_home(everybody)
        self.population.clear(*np.nonzero(self.population.held))
        first_exemplars(self.population, world, config)
        self._keep_apart()

    def perceive(self, meeting: Meeting) -> None:
        """Phase 2: both sides remember what they look at of the scene."""
        rows = meeting.participants
        scene = np.concatenate([meeting.scene, meeting.scene])
        looked_at = np.where(self.is_home(rows, scene), scene, np.int32(NOTHING))
        perceive(self.population, rows, looked_at, self.rng)

    def select(self) -> None:
        """Phase 8, and whoever is born is at home where its parent was."""
        before, home = self.population.id.copy(), self.home.copy()
        super().select()
        born = np.flatnonzero(self.population.id != before)
        order = np.argsort(before)
        self.home[born] = home[order[np.searchsorted(before, self.population.parent[born], sorter=order)]]
        self._bring_home(born)
        self._keep_apart()

    def is_home(self, rows: NDArray[np.intp], objects: NDArray[np.int32]) -> NDArray[np.bool_]:
        """bool [n, C]: which of ``objects [n, C]`` belong to the homes of ``rows [n]``."""
        return self.homes[self.home[rows][:, None], objects]

    def _bring_home(self, rows: NDArray[np.intp]) -> None:
        """Exchange bodies and memories that are not of the home of their owner for random ones that are."""
        population = self.population
        objects = np.concatenate([population.body[rows, None], population.seen[rows]], axis=1)
        at, place = np.nonzero((objects != NOTHING) & ~self.is_home(rows, objects))
        home = self.home[rows[at]]
        objects[at, place] = self._things[home, (self.rng.random(len(at)) * self._size[home]).astype(np.intp)]
        population.body[rows], population.seen[rows] = objects[:, 0], objects[:, 1:]

    def _keep_apart(self) -> None:
        if self.apart:
            self.edges = np.argwhere(np.triu(self.home[:, None] == self.home, k=1))


def homes_of(world: World, made_of: Of, number: int, *, seed: int) -> NDArray[np.bool_]:
    """bool [H, M]: the objects of ``number`` homes, which divide the training objects, or all hold everything.

    Raises
    ------
    InputError
        If homes cannot be made so.
    """
    if made_of not in get_args(Of):
        raise InputError(f"made_of is {made_of!r}, but homes are made of one of {', '.join(get_args(Of))}")
    if number < 1:
        raise InputError(f"homes is {number}, but it must be at least 1")
    homes = np.zeros((number, world.n_objects), dtype=bool)
    if made_of == "everything":
        homes[:, world.train] = True
        return homes
    if made_of == "categories" and world.labels is None:
        raise InputError(
            f"homes are to be made of categories, but {world.name} has no labels; give a world that has some"
        )
    kinds = world.labels if made_of == "categories" else world.groups
    units = world.train if kinds is None else kinds[world.train]
    if number > (there := len(np.unique(units))):
        what = "categories" if made_of == "categories" else "objects" if kinds is None else "images"
        raise InputError(f"homes is {number}, but it must be at most {there}, the number of {what} to be met there")
    homes[dealt(units, number, np.random.default_rng([seed, 0x403E])), world.train] = True
    return homes


def dealt(units: NDArray[np.integer], number: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Deal whole units to homes of about as many objects each: the home [n] of each object, given its unit [n].

    Large units come first (by powers of two, in random order where these are the same), each to the home that has the
    fewest objects yet.
    """
    _, unit, size = np.unique(units, return_inverse=True, return_counts=True)
    # By their very sizes the largest would be dealt alike whatever the seed.
    order = np.lexsort((rng.random(len(size)), -np.frexp(size)[1]))
    home, objects = np.zeros(len(size), dtype=np.intp), np.zeros(number, dtype=np.int64)
    for each in order:
        home[each] = objects.argmin()
        objects[home[each]] += size[each]
    return home[unit]
