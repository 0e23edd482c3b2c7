"""What agents who have met different things say of the same object, and how far they agree.

Everything is read off a library's last merge, so that dimensions, their words and the concepts they are forms of belong
together, and off the memories of those agents who still live. Objects are told by *standings*: how many standard
deviations above the mean of the probe objects one stands on a dimension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.interactions import HIGH
from agents.population import NOTHING
from agents.society import Society
from agents.world import World
from knowledge_graph.concept import at_membership
from knowledge_graph.library import Library
from knowledge_graph.queries import UNDERSTOOD

MANY = 300
"""Agents who are compared with each other at most; of more an even sample is."""

FLAT = 1e-9
"""A dimension whose levels of the probe vary by no more than this tells no object from another."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Minds:
    """Agents who can be compared: they were in the last merge, live, and hold a dimension that is a form of a concept.

    ``agent`` int64 [n], ids; ``memory`` lists of the different objects that each remembers; ``units`` bool [n, G],
    which images (or, where there are none, objects) these are from; ``row`` int64 [n], their rows in the library's
    views; ``standing`` float64 [n, P, S] of the probe objects, 0 in empty slots; ``concept`` int64 [n, S], place in
    ``library.ids`` of what each dimension is a form of, -1 for none; ``r`` float64 [n, S], its correlation with that.
    """

    agent: NDArray[np.int64]
    memory: Sequence[NDArray[np.int32]]
    units: NDArray[np.bool_]
    row: NDArray[np.int64]
    standing: NDArray[np.float64]
    concept: NDArray[np.int64]
    r: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.agent)


def minds_of(society: Society, library: Library) -> Minds:
    """The agents of a society who can be compared; none where the library knows no concepts, or not what they weigh."""
    world, views = society.world, library.views
    row_of = {int(agent): row for row, agent in enumerate(society.population.id)}
    rows = np.zeros(0, dtype=np.int64)
    n_slots = library.membership.shape[1]
    r = np.zeros(library.membership.shape)
    if views is not None and views.loading is not None and library.unified is not None:
        alive = np.array([int(agent) in row_of for agent in views.agent], dtype=bool)
        rows = np.flatnonzero(alive & (library.membership >= 0).any(axis=1))
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MANY)).astype(int))]
        r = at_membership(library.unified.correlation, library.membership).astype(np.float64)
    ids = np.zeros(0, dtype=np.int64) if views is None else views.agent[rows]
    seen = [society.population.seen[row_of[int(agent)]] for agent in ids]
    memory = [np.unique(objects[objects != NOTHING]) for objects in seen]
    probe = world.features[library.probe]
    levels = np.array([library.levels(int(agent), probe) for agent in ids])
    return Minds(
        agent=ids,
        memory=memory,
        units=units_of(world, memory),
        row=rows,
        standing=standings(levels.reshape(len(rows), len(probe), n_slots)),
        concept=library.membership[rows].astype(np.int64),
        r=r[rows],
    )


def standings(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Levels [..., P, S] in standard deviations above the mean of the P objects; 0 on a dimension that is flat."""
    centred = levels - levels.mean(axis=-2, keepdims=True)
    spread = levels.std(axis=-2, keepdims=True)
    z: NDArray[np.float64] = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > FLAT)
    return z


def gesture(standing: float) -> str:
    """How high an object is shown to stand, as in conversations."""
    return "high" if standing >= HIGH else "low" if standing <= -HIGH else "middling"


def units_of(world: World, memory: Sequence[NDArray[np.int32]]) -> NDArray[np.bool_]:
    """Which images, or objects where there are none, the remembered ones are from: bool [n, G]."""
    unit = np.arange(world.n_objects) if world.groups is None else np.unique(world.groups, return_inverse=True)[1]
    found = np.zeros((len(memory), int(unit.max()) + 1), dtype=bool)
    for row, objects in enumerate(memory):
        found[row, unit[objects]] = True
    return found


def overlap(units: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What any two have in common of what either has, |A and B| / |A or B|: float64 [n, n]; 0 where neither has any."""
    has = units.astype(np.float64)
    both, size = has @ has.T, has.sum(axis=1)
    either: NDArray[np.float64] = size[:, None] + size[None, :] - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def shared(concept: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many concepts any two hold both, [n, n], of ``concept [n, S]`` (-1 for none)."""
    holds = np.zeros((len(concept), int(concept.max(initial=0)) + 1))
    row, slot = np.nonzero(concept >= 0)
    holds[row, concept[row, slot]] = 1.0
    return (holds @ holds.T).astype(np.int64)


def pairs_by(order: NDArray[np.float64], allowed: NDArray[np.bool_], most: int) -> list[tuple[int, int]]:
    """At most ``most`` pairs from the least of ``order [n, n]`` on, nobody in two; equal ones by number.

    Only of those ``allowed [n, n]``; both are symmetric.
    """
    first, second = np.nonzero(np.triu(allowed, 1))
    found: list[tuple[int, int]] = []
    taken: set[int] = set()
    for at in np.argsort(order[first, second], kind="stable").tolist():
        if len(found) == most:
            break
        pair = int(first[at]), int(second[at])
        if taken.isdisjoint(pair):
            found.append(pair)
            taken.update(pair)
    return found


def comparable(minds: Minds) -> NDArray[np.bool_]:
    """Which pairs [n, n] both remember at least as much as half of all do, and hold a concept in common.

    The young remember little, and little has little in common, whoever remembers it.
    """
    size = np.array([len(objects) for objects in minds.memory])
    old: NDArray[np.bool_] = size >= np.median(size) if len(size) else np.zeros(0, dtype=bool)
    return old[:, None] & old[None, :] & (shared(minds.concept) > 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common:
    """A concept that two agents hold: its place in ``library.ids`` and each one's standings of the probe, float64 [P].

    Standings are in the direction of the concept: where an agent's own dimension runs against it, they are turned.
    """

    concept: int
    one: NDArray[np.float64]
    other: NDArray[np.float64]

    @property
    def r(self) -> float:
        """How far the two agree: the correlation of their levels over the probe objects."""
        return float(self.one @ self.other) / max(len(self.one), 1)


def in_common(minds: Minds, one: int, other: int) -> list[Common]:
    """The concepts that two of ``minds`` both hold, those they agree about most first."""
    found = []
    for slot, concept in enumerate(minds.concept[one].tolist()):
        for place in np.flatnonzero((minds.concept[other] == concept) & (concept >= 0)).tolist():
            told = [
                minds.standing[who, :, at] * (-1.0 if minds.r[who, at] < 0 else 1.0)
                for who, at in ((one, slot), (other, place))
            ]
            found.append(Common(concept=concept, one=told[0], other=told[1]))
    return sorted(found, key=lambda common: (-common.r, common.concept))


def likest(minds: Minds, who: int, slot: int, other: int) -> tuple[int, float] | None:
    """The dimension of another that orders the probe objects most like a dimension of ``who``, and how much (r).

    None where none does from the correlation on at which the library translates one by the other. It need not be a form
    of the same concept, or of any.
    """
    own, others = minds.standing[who, :, slot], minds.standing[other]
    r = own @ others / max(len(own), 1)
    best = int(np.abs(r).argmax())
    return None if abs(r[best]) < UNDERSTOOD else (best, float(r[best]))


def agreement(minds: Minds, pairs: Sequence[tuple[int, int]]) -> float | None:
    """Mean correlation of levels over all concepts that the pairs hold in common; None where there are none."""
    each = [common.r for one, other in pairs for common in in_common(minds, one, other)]
    return float(np.mean(each)) if each else None


def probe_objects(world: World, probe: NDArray[np.integer], known_to_both: Collection[int], most: int) -> list[int]:
    """At most ``most`` probe objects that not both know, of the most frequent categories, one of each.

    Of a category the largest in pixels where that is known, since it is seen best; else the first. Empty where nobody
    knows categories.
    """
    if world.labels is None:
        return []
    left = np.array([number for number in probe.tolist() if number not in known_to_both], dtype=np.int64)
    if world.instances is not None:
        boxes = world.instances.boxes[left].astype(np.float64)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        left = left[np.argsort(-area, kind="stable")]
    frequency = np.bincount(world.labels[probe])
    chosen: list[int] = []
    for label in np.argsort(-frequency, kind="stable").tolist():
        of_label = left[world.labels[left] == label]
        if len(of_label) and len(chosen) < most:
            chosen.append(int(of_label[0]))
    return chosen
