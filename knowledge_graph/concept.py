"""A concept: one shared dimension, with its name, its members and its exemplars."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.history import Round, number_of

MEMBER = 0.5
"""|correlation| over the probe from which a dimension counts as a form of a concept."""

N_EXEMPLARS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Concept:
    """One shared dimension, as of the last merge.

    ``loadings [D]`` describe it, ``weights [D]`` score an object on it, ``scores [P]`` are those of the probe objects;
    ``support`` is the share of agents who know it times how reliably they do; ``word`` is its name; ``words`` are those
    its members came with, most used first, with counts (the name need not be among them); ``strongest`` and
    ``weakest`` are the probe objects at its two ends. Its members, the dimensions merged into it, are listed by
    ``holder``, ``slot`` (int64 [n]) and ``r`` (float32 [n], the correlation with it; negative where one runs against
    it).
    """

    id: str
    word: int
    loadings: NDArray[np.float64]
    weights: NDArray[np.float64]
    scores: NDArray[np.float64]
    support: float
    holder: NDArray[np.int64]
    slot: NDArray[np.int64]
    r: NDArray[np.float32]
    words: dict[int, int]
    strongest: tuple[int, ...]
    weakest: tuple[int, ...]
    since: int

    @property
    def members(self) -> int:
        """How many dimensions are merged into it."""
        return len(self.holder)

    def agents(self) -> list[int]:
        """The agents who hold a form of it, the closest first."""
        closest = np.lexsort((self.holder, -np.abs(self.r)))
        return [int(agent) for agent in self.holder[closest]]

    def heaviest(self, n: int) -> list[int]:
        """The numbers of the ``n`` features that weigh most in it, the heaviest first."""
        return [int(i) for i in np.argsort(-np.abs(self.loadings), kind="stable")[:n]]


def concepts_of(
    round_: Round, *, probe: NDArray[np.integer], names: Mapping[str, int], since: Mapping[str, int]
) -> list[Concept]:
    """The concepts of a merge, best supported first."""
    unified, views, membership = round_.unified, round_.views, round_.membership
    counts = word_counts(views.words, membership, len(round_.ids))
    r = at_membership(unified.correlation, membership)
    found = []
    for k, name in enumerate(round_.ids):
        row, slot = np.nonzero(membership == k)
        ranked = probe[np.argsort(unified.scores[:, k], kind="stable")].tolist() if len(unified.scores) else []
        found.append(
            Concept(
                id=name,
                word=names[name],
                loadings=unified.loadings[:, k],
                weights=unified.weights[:, k],
                scores=unified.scores[:, k],
                support=float(unified.support[k]),
                holder=views.agent[row],
                slot=slot,
                r=r[row, slot],
                words=dict(sorted(counts[k].items(), key=lambda item: (-item[1], item[0]))),
                strongest=tuple(ranked[: -N_EXEMPLARS - 1 : -1]),
                weakest=tuple(ranked[:N_EXEMPLARS]),
                since=since[name],
            )
        )
    return sorted(found, key=lambda c: (-c.support, number_of(c.id)))


def members(correlation: NDArray[np.float32]) -> NDArray[np.int32]:
    """The concept [N, S] that each dimension is a form of, -1 for none.

    Its most correlated one, from `MEMBER` on; two dimensions of one agent are never forms of the same concept (the
    one more correlated has it).
    """
    n, slots, k = correlation.shape
    if k == 0:
        return np.full((n, slots), -1, dtype=np.int32)
    strength = np.abs(correlation)
    best = strength.argmax(axis=2)
    r = np.take_along_axis(strength, best[:, :, None], axis=2)[:, :, 0]
    same = best[:, :, None] == best[:, None, :]
    earlier = np.tri(slots, k=-1, dtype=bool)
    stronger = same & ((r[:, None, :] > r[:, :, None]) | ((r[:, None, :] == r[:, :, None]) & earlier))
    return np.where((r >= MEMBER) & ~stronger.any(axis=2), best, -1).astype(np.int32)


def at_membership(correlation: NDArray[np.float32], membership: NDArray[np.int32]) -> NDArray[np.float32]:
    """Correlation [N, S] of every dimension with the concept that it is a form of; 0 for those of none."""
    if correlation.shape[2] == 0:
        return np.zeros(membership.shape, dtype=np.float32)
    r = np.take_along_axis(correlation, np.maximum(membership, 0)[:, :, None], axis=2)[:, :, 0]
    return np.where(membership >= 0, r, np.float32(0))


def word_counts(words: NDArray[np.int32], membership: NDArray[np.int32], n_concepts: int) -> list[dict[int, int]]:
    """For each concept, how many of its member dimensions have each word."""
    counts: list[dict[int, int]] = [{} for _ in range(n_concepts)]
    rows, slots, places = np.nonzero((words >= 0) & (membership >= 0)[:, :, None])
    pairs = np.stack([membership[rows, slots], words[rows, slots, places]], axis=1)
    for (k, word), count in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True):
        counts[int(k)][int(word)] = int(count)
    return counts
