"""What happens to concepts from merge to merge: who is who, and the events of the history.

A concept of this merge is the concept of an earlier one if their scores correlate. What is not recognised has an
origin: it has split off from a concept that goes on, is back after a while, or is born. What is gone has an end: it has
merged into one that goes on, or retires. Every birth, split, return, merge and retirement is an event; the events in
their order say which concepts there are (`alive`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from knowledge_graph.measures import congruence
from knowledge_graph.views import FloatMatrix, Unified, Views

RECOGNISED = 0.5
"""|correlation| from which a concept of this merge is the one of the merge before, or comes from it or goes into it."""

BACK = 0.7
"""|correlation| from which a new concept is one that had gone: half of its variance, so that it can be only one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a concept.

    ``kind`` is one of: "birth"; "split", it came out of its parent, which goes on; "return", it had gone and is back;
    "merge", its other ``parents`` have gone into it; "retirement". ``step`` and ``round`` say when.
    """

    step: int
    kind: str
    concept: str
    parents: tuple[str, ...] = ()
    round: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """The library after one merge, complete: nothing in it is changed by later ones.

    Attributes
    ----------
    number, step : the merge's number, from 1, and the step of the society
    ids : of the K concepts, in the order of the columns of ``unified``
    unified : the concepts themselves
    views : what was merged, without levels, structure and phi, which were needed for unifying alone
    membership : int32 [N, S], the concept (by place in ``ids``) that each dimension is a form of, -1 for none
    seen : int32 [N], how many of the probe objects each agent has seen; none without shared objects
    mean, sd : float32 [N, S], of the levels over these; empty [0, S] without shared objects
    overlap : float32 [N, S, S], the correlations of an agent's dimensions over these; empty without
    events : what happened at this merge
    """

    number: int
    step: int
    ids: tuple[str, ...]
    unified: Unified
    views: Views
    membership: NDArray[np.int32]
    seen: NDArray[np.int32]
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    overlap: NDArray[np.float32]
    events: tuple[Event, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recognised:
    """The new concepts in the light of the old: ids [K], whether to turn each round [K] (-1 or 1), and events."""

    ids: list[str]
    sign: NDArray[np.float64]
    events: list[Event]


def recognise(
    present: Mapping[str, NDArray[np.float64]],
    gone: Mapping[str, NDArray[np.float64]],
    *,
    unified: Unified,
    step: int,
    round_: int,
) -> Recognised:
    """Say which concepts the new ones are, and tell the events.

    Parameters
    ----------
    present, gone : for every concept there is, or was once, its correlations [K] with the new ones
    unified : the new ones; support decides who gets the lower number, weights which way a new concept points
    """
    k = unified.n_concepts
    ids, sign = [""] * k, np.ones(k)
    known = list(present)
    r = np.array([present[name] for name in known]).reshape(len(known), k)
    for old, new in matched(r):
        ids[new], sign[new] = known[old], _direction(r[old, new])
    events: list[Event] = []

    def happened(kind: str, concept: str, *parents: str) -> None:
        events.append(Event(step=step, round=round_, kind=kind, concept=concept, parents=parents))

    number = max((number_of(name) for name in (*present, *gone)), default=0)
    lost = dict(gone)
    for new in np.argsort(-unified.support, kind="stable"):
        if ids[new]:
            continue
        parent, of_parent = _closest(new, present)
        former, of_former = _closest(new, lost)
        if abs(of_former) >= BACK and abs(of_former) > abs(of_parent):
            ids[new], sign[new] = former, _direction(of_former)
            del lost[former]
            happened("return", former)
            continue
        number += 1
        ids[new] = f"c{number}"
        if abs(of_parent) >= RECOGNISED:
            sign[new] = _direction(of_parent)
            happened("split", ids[new], parent)
        else:
            sign[new] = pointing(unified, int(new))
            happened("birth", ids[new])
    for name in sorted(set(present) - set(ids), key=number_of):
        heir = int(np.abs(present[name]).argmax()) if k else -1
        if k and abs(present[name][heir]) >= RECOGNISED:
            happened("merge", ids[heir], ids[heir], name)
        else:
            happened("retirement", name)
    return Recognised(ids=ids, sign=sign, events=events)


def matched(r: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Who is who by correlations [J, K]: one to one, with the largest sum of |r| of those that count as recognised.

    Weaker ones have no say: else two that are plainly one could be torn apart for the sake of two weak pairs that
    count for nothing. So of two left over none is recognised in the other.
    """
    strength = np.where(np.abs(r) >= RECOGNISED, np.abs(r), 0.0)
    pairs = zip(*linear_sum_assignment(-strength), strict=True)
    return [(int(j), int(k)) for j, k in pairs if strength[j, k] > 0]


def similarity(a: Unified, b: Unified) -> FloatMatrix:
    """How alike [J, K] the concepts of two merges are.

    The correlation of their scores; where one has none, the congruence of their loadings.

    Raises
    ------
    ValueError
        If one has only scores, the other only loadings.
    """
    if len(a.scores) and len(b.scores):
        return a.scores.T @ b.scores / len(a.scores)
    if len(a.loadings) and len(b.loadings):
        return by_loadings(a.loadings, b.loadings)
    if a.n_concepts and b.n_concepts:
        raise ValueError(
            "these views cannot be merged with the earlier ones: one of the merges knows shared objects only, the "
            "other named features only, so nothing says which concept is which"
        )
    return np.zeros((a.n_concepts, b.n_concepts))


def by_loadings(a: FloatMatrix, b: FloatMatrix) -> FloatMatrix:
    """Tucker's congruence [J, K] of loadings [D, J] and [E, K]; features that one does not know load 0 there."""
    known = max(len(a), len(b))
    return congruence(*(np.pad(x, ((0, known - len(x)), (0, 0))) for x in (a, b)))


def alive(events: Iterable[Event]) -> set[str]:
    """The concepts there are after these events."""
    there: set[str] = set()
    for event in events:
        if event.kind == "merge":
            there -= set(event.parents) - {event.concept}
        elif event.kind == "retirement":
            there.remove(event.concept)
        else:
            there.add(event.concept)
    return there


def since(events: Iterable[Event]) -> dict[str, int]:
    """The step at which each concept first came up."""
    found: dict[str, int] = {}
    for event in events:
        if event.kind in ("birth", "split"):
            found.setdefault(event.concept, event.step)
    return found


def number_of(concept: str) -> int:
    """12 for "c12": concepts in the order in which they arose."""
    return int(concept[1:])


def arranged(unified: Unified, order: Sequence[int], sign: NDArray[np.float64]) -> Unified:
    """The same concepts in another order, some of them turned round."""
    return dataclasses.replace(
        unified,
        scores=unified.scores[:, order] * sign,
        weights=unified.weights[:, order] * sign,
        loadings=unified.loadings[:, order] * sign,
        correlation=unified.correlation[:, :, order] * sign.astype(np.float32),
        support=unified.support[order],
    )


def pointing(unified: Unified, k: int) -> float:
    """The sign that makes a concept point where it is heavier, so that it does not depend on the solver."""
    column = next(x[:, k] for x in (unified.weights, unified.loadings, unified.scores) if len(x))
    return _direction(float((column**3).sum()))


def _direction(r: float) -> float:
    return -1.0 if r < 0 else 1.0


def _closest(new: np.intp, correlation: Mapping[str, NDArray[np.float64]]) -> tuple[str, float]:
    """The concept that a new one is most like, and how much; ("", 0) where there is none."""
    name = max(correlation, key=lambda name: abs(correlation[name][new]), default="")
    return name, float(correlation[name][new]) if name else 0.0
