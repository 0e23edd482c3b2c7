"""How long dimensions live, and what the library keeps of them.

Every dimension is followed from the step at which it arises to the step at which it is gone.

A *life* is the stay of a dimension in one view: from its discovery, or from the birth of the heir that it was handed
down to, until it is eliminated (crowded out by a newcomer, dropped under the floor, or left by attention) or its owner
dies. Who is still there at the end, or went with its owner, is censored: it was not eliminated for as long as it was
watched (Kaplan & Meier 1958).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.meeting import Experience
from agents.population import Population
from agents.society import Society
from agents.world import World
from knowledge_graph.library import Library

THERE, ELIMINATED, WITH_OWNER = 0, 1, 2
"""How a life ended: not yet, by its owner's choice, or by its owner's death."""


Rows = TypeVar("Rows", "Lives", "Merged")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lives:
    """Lives of dimensions, a row each.

    Attributes
    ----------
    origin : int8 [L], how the dimension first arose
    inherited : bool [L], whether it came with the owner's birth
    born : int64 [L], the step at which the life began
    steps, contests : int64 [L], how long it lasted
    end : int8 [L], THERE, ELIMINATED or WITH_OWNER
    """

    origin: NDArray[np.int8]
    inherited: NDArray[np.bool_]
    born: NDArray[np.int64]
    steps: NDArray[np.int64]
    contests: NDArray[np.int64]
    end: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.origin)

    def where(self, chosen: NDArray[np.bool_]) -> Lives:
        """Those lives that are ``chosen [L]``."""
        return Lives(**{field.name: getattr(self, field.name)[chosen] for field in dataclasses.fields(self)})

    @property
    def eliminated(self) -> NDArray[np.bool_]:
        """Which of them ended by elimination."""
        eliminated: NDArray[np.bool_] = self.end == ELIMINATED
        return eliminated

    @property
    def hazard(self) -> float:
        """Eliminations per contest, the likeliest constant hazard: events over time at risk; nan without contests."""
        lived = int(self.contests.sum())
        return int(self.eliminated.sum()) / lived if lived else np.nan

    @property
    def hazard_per_step(self) -> float:
        """Eliminations per step; nan where nothing lived a step."""
        lived = int(self.steps.sum())
        return int(self.eliminated.sum()) / lived if lived else np.nan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Merged:
    """What became of dimensions that were brought to the library, a row for each and for every merge.

    Attributes
    ----------
    origin : int8 [L]
    inherited : bool [L]
    kept : bool [L], whether the library took it for a form of a concept
    r : float64 [L], |correlation| with that concept on the probe; nan for those that were not kept
    """

    origin: NDArray[np.int8]
    inherited: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    r: NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Look:
    """Who held what at the end of a step, as far as following needs it; see `Population`."""

    id: NDArray[np.int64]
    held: NDArray[np.bool_]
    born: NDArray[np.int32]
    origin: NDArray[np.int8]
    generation: NDArray[np.int16]

    @classmethod
    def at(cls, population: Population) -> _Look:
        return cls(**{field.name: getattr(population, field.name).copy() for field in dataclasses.fields(cls)})


class Followed(Society):
    """A society whose dimensions are followed; it lives as any other of its seed does."""

    def __init__(self, world: World, config: SocietyConfig, *, seed: int) -> None:
        super().__init__(world, config, seed=seed)
        self._before = _Look.at(self.population)
        self._contests = np.zeros(self.population.kind.shape, dtype=np.int64)
        self._over: list[Lives] = []
        self._merged: list[Merged] = []

    def feel(self, experience: Experience) -> None:
        """Phase 6, and a contest more for every dimension that was in one."""
        super().feel(experience)
        self._contests[experience.rows, experience.slots] += 1

    def merge(self) -> None:
        """Phase 9, and a note of what the library kept."""
        super().merge()
        self._merged.append(_merged(self.population, self.library))

    def step(self) -> None:
        """One tick, and a look at what has gone since."""
        super().step()
        now, before = _Look.at(self.population), self._before
        same_owner = (now.id == before.id)[:, None]
        stays = same_owner & now.held & before.held & (now.born == before.born) & (now.origin == before.origin)
        gone = before.held & ~stays
        self._over.append(self._lives(gone, np.where(same_owner, ELIMINATED, WITH_OWNER)))
        self._contests[~stays] = 0
        self._before = now

    @property
    def lives(self) -> Lives:
        """All lives so far, those that are over first, in their order."""
        return _joined(Lives, [*self._over, self._lives(self._before.held, np.array([[THERE]]))])

    @property
    def merged(self) -> Merged:
        """What the library kept at each merge, and what it did not."""
        nothing = np.zeros(0)
        blank = Merged(origin=nothing.astype(np.int8), inherited=nothing > 0, kept=nothing > 0, r=nothing)
        return _joined(Merged, [blank, *self._merged])

    def _lives(self, chosen: NDArray[np.bool_], end: NDArray[np.integer]) -> Lives:
        before = self._before
        born = before.born[chosen].astype(np.int64)
        return Lives(
            origin=before.origin[chosen],
            inherited=before.generation[chosen] > 0,
            born=born,
            steps=self.steps - born,
            contests=self._contests[chosen],
            end=np.broadcast_to(end, chosen.shape)[chosen].astype(np.int8),
        )


def _joined(kind: type[Rows], parts: Sequence[Rows]) -> Rows:
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _merged(population: Population, library: Library) -> Merged:
    assert library.views is not None
    assert library.unified is not None
    # A large society brings a sample of its views.
    order = np.argsort(population.id)
    rows = order[np.searchsorted(population.id, library.views.agent, sorter=order)]
    held, membership = population.held[rows], library.membership
    at, slot = np.nonzero(held)
    concept = membership[at, slot]
    kept = concept >= 0
    r = np.full(len(at), np.nan)
    r[kept] = np.abs(library.unified.correlation[at[kept], slot[kept], concept[kept]])
    return Merged(origin=population.origin[rows][held], inherited=population.generation[rows][held] > 0, kept=kept, r=r)


def kaplan_meier(lasted: NDArray[np.integer], over: NDArray[np.bool_], at: NDArray[np.integer]) -> NDArray[np.float64]:
    """The product-limit estimate of the share that lasts longer than each time of ``at [T]`` (Kaplan & Meier 1958).

    S(t) = product over the times s <= t of 1 - (ended at s) / (still at risk at s). Lives censored at s count as at
    risk there. Nan from the time on that nobody was watched for.

    Parameters
    ----------
    lasted : int [L], times watched
    over : bool [L], whether the life ended then, or was only watched so long
    """
    if len(lasted) == 0:
        return np.full(len(at), np.nan)
    longest = int(lasted.max())
    ended = np.bincount(lasted[over], minlength=longest + 1)
    watched = np.bincount(lasted, minlength=longest + 1)
    at_risk = watched[::-1].cumsum()[::-1]
    survival = np.cumprod(1.0 - ended / at_risk)
    known = np.append(survival, np.nan if survival[-1] > 0 else 0.0)
    return np.asarray(known[np.minimum(at, longest + 1)])
