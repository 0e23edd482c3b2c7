"""Unifying dimensions that look alike: average linkage, signs aside.

Two dimensions are alike as far as their levels of the same objects correlate, or what goes with them among features
of the same name; their signs are no matter, and what only one of them knows counts as nothing in common. No two
dimensions of one agent may come together: an agent knows its own apart. Unlike GCCA, which looks at what views span,
this takes every dimension as it is, and depends on agents having rotated theirs to simple structure.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.covariance import check_named, known_by_members, positive_peak, scored
from knowledge_graph.views import (
    FloatMatrix,
    Unified,
    Views,
    chunks,
    features_known,
    loadings_of,
    moments,
    seen_in,
    standardised,
)

By = Literal["objects", "features"]
Linkage = Literal["average", "single"]

MOST = 20_000
"""Dimensions that are compared at most: their distances take 4 n^2 bytes, 1.6 GB."""

CLOSER = 4
"""Members of a cluster are at least so many times as alike as chance makes two dimensions."""

TAIL, BEYOND = 10, 5.0
"""The strengths of chance clusters fall off exponentially, at a rate that the strongest 10 tell: all but e^-5 of the
strongest that chance makes are less than so many of their mean excesses beyond."""


def clustering(views: Views, *, features: NDArray[np.floating] | None = None, by: By | None = None) -> Unified:
    """Unify dimensions that look alike.

    Average linkage (Sokal & Michener 1958) on 1 - |cosine|, with cannot-links between the dimensions of one agent.
    Where to cut the tree, and which of its clusters count, is told by chance: the same views, but every agent has
    mixed up which object (or which feature) is which. Dimensions are then 1 - a apart on average; clusters join while
    they are nearer than (1 - a)^4, and one is a concept if it is stronger than the strongest that chance makes. The
    strength of a cluster is the leading eigenvalue of its members' similarities, times the share of their mean that
    stronger concepts leave unexplained: some agents agree on a mixture of two factors that others tell apart. The
    eigenvector tells the signs.

    Cost, for n dimensions: n^2 P (or n^2 D) operations for the similarities, some 10 n^2 for the linkage, 4 n^2 bytes;
    the time once more for chance.

    Parameters
    ----------
    views : of N agents, with levels of shared objects; or with named features: sensor, loading, structure and phi
    features : [P, D], the probe objects as anyone may look at them
    by : what to compare dimensions by. By default the objects, where agents share any: a correlation over hundreds of
        them is surer than the congruence over those few features that two agents both sense

    Returns
    -------
    Unified, the strongest concept first. Scores are the mean of the members' levels, weights those of that mean;
    loadings are the mean structure of those members who sense a feature, where agents know it.

    Raises
    ------
    ValueError
        If there is no view, or nothing to compare by; if the features do not fit the views; or if there are more than
        20,000 dimensions.
    """
    by = by or ("objects" if views.n_objects >= 2 else "features")
    clusters = clusters_of(views, by=by)
    named = views.sensor is not None and views.loading is not None
    n_features = features_known(views, features) if named else 0
    k = clusters.n_concepts
    row, slot, sign = clusters.row, clusters.slot, clusters.sign

    scores, spread, each = np.zeros((0, k)), np.ones(k), np.ones(len(row))
    if views.levels is not None:
        scores, spread = _mean_levels(views, clusters)
        each = moments(views)[1][row, slot].astype(np.float64)
    elif views.loading is not None and views.structure is not None:
        each = np.einsum("nm,nm->n", views.loading[row, slot], views.structure[row, slot], dtype=np.float64)
    members = np.bincount(clusters.concept[clusters.concept >= 0], minlength=k)
    weights, loadings = np.zeros((n_features, k)), np.zeros((n_features, k))
    if named:
        assert views.loading is not None
        brought = views.loading[row, slot] * np.divide(sign, each, out=np.zeros(len(row)), where=each > 0)[:, None]
        weights = _summed(views, clusters, brought, n_features)[0] / (members * spread)
    if named and views.structure is not None:
        told, who = _summed(views, clusters, views.structure[row, slot] * sign[:, None], n_features)
        loadings = told / np.maximum(who, 1)
        if views.levels is None:
            # A mean of weights scores objects with a spread of w'L, where L is what it correlates with.
            reach = np.einsum("dk,dk->k", weights, loadings)
            scores, weights = scored(features, weights / np.where(reach > 0, reach, 1.0))
    elif features is not None:
        loadings = loadings_of(features, scores)
    else:
        loadings = weights
    correlation, support = known_by_members(views, scores, loadings)
    return Unified(
        method="clustering",
        scores=scores,
        weights=weights,
        loadings=loadings,
        correlation=correlation,
        support=support,
        eigenvalues=clusters.strengths,
        edge=np.full(len(clusters.strengths), clusters.edge),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clusters:
    """What n dimensions (``row``, ``slot``) were put together to.

    Attributes
    ----------
    concept : int [n], the cluster of each, -1 for one of none that counts
    sign : float64 [n], -1 where a dimension runs against its cluster, 0 for one of none
    strengths : float64 [.], of all clusters there are, beyond what stronger ones explain, largest first
    edge : what the strength of a concept had to exceed
    """

    row: NDArray[np.intp]
    slot: NDArray[np.intp]
    concept: NDArray[np.intp]
    sign: NDArray[np.float64]
    strengths: NDArray[np.float64]
    edge: float

    @property
    def n_concepts(self) -> int:
        """How many clusters were kept."""
        return int(self.concept.max(initial=-1)) + 1


def clusters_of(views: Views, *, by: By, linkage: Linkage = "average", apart: bool = True) -> Clusters:
    """The clusters of the dimensions of ``views`` that are more than chance.

    ``apart``: whether dimensions of one agent are kept apart. Single linkage, and the lack of this rule, are there to
    be warned of: together they make one cluster of everything, by chains of neighbours.
    """
    if by == "features":
        check_named(views, "clustering")
    elif views.levels is None or len(views) == 0 or views.n_objects < 2:
        raise ValueError(
            f"clustering by objects needs views on at least two shared ones, not {len(views)} views on "
            f"{views.n_objects}"
        )
    row, slot = np.nonzero(views.held)
    if len(row) > MOST:
        raise ValueError(
            f"there are {len(row)} dimensions, but clustering compares at most {MOST} with each other; take a sample "
            "of the views, or another method"
        )
    agent = row if apart else np.arange(len(row))
    mixed = _directions(views, by, row, slot, np.random.default_rng(0))
    distance, alike = _distances(mixed, agent)
    cut = (1.0 - alike) ** CLOSER
    chance = _strengths(mixed, linked(distance, cut=cut, linkage=linkage))[0]
    del distance, mixed
    # The strengths of small clusters come in steps of a member: one more than chance is told to bring.
    edge = _beyond(chance) + 1.0 - cut
    directions = _directions(views, by, row, slot)
    label = linked(_distances(directions, agent)[0], cut=cut, linkage=linkage)
    strength, sign = _strengths(directions, label)
    strength = _unexplained(directions, label, strength, sign, edge)
    order = np.argsort(-strength, kind="stable")
    number = np.full(len(order), -1)
    counted = order[strength[order] > edge]
    number[counted] = np.arange(len(counted))
    concept = number[label] if len(row) else np.zeros(0, dtype=np.intp)
    return Clusters(
        row=row,
        slot=slot,
        concept=concept,
        sign=np.where(concept >= 0, sign, 0.0),
        strengths=strength[order],
        edge=edge,
    )


def linked(distance: NDArray[np.float32], *, cut: float = np.inf, linkage: Linkage = "average") -> NDArray[np.intp]:
    """Clusters [n], numbered from 0, that linkage makes of ``distance [n, n]`` up to the height ``cut``.

    ``distance`` is symmetric, infinite on its diagonal and between those that must not come together, and is used up.

    The nearest-neighbour chain (Benzecri 1982; Murtagh 1983) merges whatever two clusters are nearest to each other,
    wherever they are found. The result is that of always merging the two nearest of all, as long as the linkage is
    reducible: no cluster gets nearer to two others by their merging. A mean of two distances is never less than the
    smaller of them, and a cannot-link, being infinite, stays infinite in any mean, so it holds for both linkages with
    cannot-links. Ties apart, the chain is exact; it takes at most 3 n steps of n operations.
    """
    n = len(distance)
    size, into, merged = np.ones(n), np.arange(n), np.zeros(n, dtype=bool)
    chain: list[int] = []
    for start in range(n):
        if not merged[start]:
            chain = [start]
        while chain:
            last = chain[-1]
            nearest = int(distance[last].argmin())
            if len(chain) > 1 and distance[last, chain[-2]] <= distance[last, nearest]:
                nearest = chain[-2]
            if not distance[last, nearest] < cut:
                # Whatever others merge to, nothing will come nearer than this.
                chain.pop()
            elif len(chain) > 1 and nearest == chain[-2]:
                del chain[-2:]
                _merge(distance, size, nearest, last, linkage)
                into[last], merged[last] = nearest, True
                chain = chain or [nearest]
            else:
                chain.append(nearest)
    for i in range(n):
        while into[into[i]] != into[i]:
            into[i] = into[into[i]]
    return np.unique(into, return_inverse=True)[1]


def _merge(distance: NDArray[np.float32], size: FloatMatrix, kept: int, gone: int, linkage: Linkage) -> None:
    if linkage == "average":
        share = size[gone] / (size[kept] + size[gone])
        joint = np.float32(1.0 - share) * distance[kept] + np.float32(share) * distance[gone]
    else:
        joint = np.minimum(distance[kept], distance[gone])
        joint[np.isinf(distance[kept]) | np.isinf(distance[gone])] = np.inf
    joint[[kept, gone]] = np.inf
    distance[kept] = distance[:, kept] = joint
    distance[gone] = distance[:, gone] = np.inf
    size[kept] += size[gone]


def _directions(
    views: Views, by: By, row: NDArray[np.intp], slot: NDArray[np.intp], rng: np.random.Generator | None = None
) -> NDArray[np.float32]:
    """Unit vectors [n, P] or [n, D] of the dimensions: levels of objects, or structure; 0 for what is not known.

    With ``rng`` every agent has mixed up the objects it has seen, or the features it senses.
    """
    if by == "objects":
        return _levels(views, row, slot, rng)[0]
    assert views.sensor is not None
    assert views.structure is not None
    sensor = views.sensor
    if rng is not None:
        sensor = np.take_along_axis(sensor, _mixed(sensor >= 0, rng), axis=1)
    found = np.zeros((len(row), views.n_features + 1), dtype=np.float32)  # the last for missing sensors
    np.put_along_axis(found, sensor[row].astype(np.intp), views.structure[row, slot], axis=1)
    found[:, -1] = 0.0
    norm = np.linalg.norm(found, axis=1, keepdims=True)
    np.divide(found, norm, out=found, where=norm > 0)
    return found


def _levels(
    views: Views, row: NDArray[np.intp], slot: NDArray[np.intp], rng: np.random.Generator | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Levels [n, P] of mean 0 and norm 1 over what was seen, 0 elsewhere; and what each agent [N, P] has seen."""
    assert views.levels is not None
    found = np.zeros((len(row), views.n_objects), dtype=np.float32)
    seen = np.zeros((len(views), views.n_objects), dtype=bool)
    for rows in chunks(len(views)):
        levels = views.levels[rows]
        seen[rows] = seen_in(levels)
        if rng is not None:
            levels = np.take_along_axis(levels, _mixed(seen[rows], rng)[:, :, None], axis=1)
        these = slice(*np.searchsorted(row, [rows.start, rows.stop]))
        found[these] = standardised(levels, views.held[rows])[0][row[these] - rows.start, :, slot[these]]
    return found, seen


def _mixed(known: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Permutations [N, T] that mix each agent's ``known [N, T]`` things among themselves."""
    there = np.argsort(~known, axis=1, kind="stable")
    drawn = np.argsort(np.where(known, rng.random(known.shape), 2.0), axis=1, kind="stable")
    order = np.empty_like(there)
    np.put_along_axis(order, there, drawn, axis=1)
    return order


def _distances(directions: NDArray[np.float32], agent: NDArray[np.intp]) -> tuple[NDArray[np.float32], float]:
    """1 - |cosine| [n, n], infinite within an agent; and the mean |cosine| between agents."""
    distance = directions @ directions.T
    total, pairs = 0.0, 0
    for rows in chunks(len(directions)):
        block = distance[rows]  # a view: what follows happens in place
        same = agent[rows, None] == agent
        np.abs(block, out=block)
        block[same] = 0.0
        total, pairs = total + float(block.sum(dtype=np.float64)), pairs + int((~same).sum())
        np.subtract(np.float32(1.0), block, out=block)
        np.maximum(block, np.float32(0.0), out=block)
        block[same] = np.inf
    return distance, min(total / max(pairs, 1), 1.0)


def _strengths(
    directions: NDArray[np.float32], label: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading eigenvalue of each cluster's cosines [clusters], and the sign of each dimension [n] in its cluster."""
    order = np.argsort(label, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if len(order) else []
    strength, sign = np.zeros(len(parts)), np.ones(len(label))
    for number, part in enumerate(parts):
        inside = directions[part].astype(np.float64)
        if len(part) == 1:
            strength[number] = inside[0] @ inside[0]
            continue
        # Of the two products that share the eigenvalue, the smaller one.
        if len(part) <= inside.shape[1]:
            values, vectors = np.linalg.eigh(inside @ inside.T)
            along = vectors[:, -1]
        else:
            values, vectors = np.linalg.eigh(inside.T @ inside)
            along = inside @ vectors[:, -1]
        strength[number] = values[-1]
        side = np.where(along < 0, -1.0, 1.0)
        sign[part] = side * positive_peak((side @ inside)[:, None])
    return strength, sign


def _unexplained(
    directions: NDArray[np.float32],
    label: NDArray[np.intp],
    strength: NDArray[np.float64],
    sign: NDArray[np.float64],
    edge: float,
) -> NDArray[np.float64]:
    """Strengths [clusters] less what the concepts, from the strongest on, explain of the mean of weaker clusters."""
    left = strength.copy()
    space = directions.shape[1]
    basis = np.zeros((space, 0))
    for number in np.argsort(-strength, kind="stable"):
        if strength[number] <= edge:
            break
        part = label == number
        mean = sign[part] @ directions[part].astype(np.float64)
        mean /= np.linalg.norm(mean)
        beyond = mean - basis @ (basis.T @ mean)
        share = float(beyond @ beyond)
        # As many directions explain by chance a share of their own (adjusted R^2).
        free = max(space - basis.shape[1], 1) / space
        left[number] *= min(share / free, 1.0)
        if left[number] > edge:
            basis = np.column_stack([basis, beyond / np.sqrt(share)])
    return left


def _beyond(chance: NDArray[np.float64]) -> float:
    """What the strongest of clusters like ``chance`` hardly ever exceeds."""
    if len(chance) == 0:
        return 1.0
    top = np.sort(chance)[::-1][:TAIL]
    return float(top[-1] + np.mean(top - top[-1]) * (np.log(len(top)) + BEYOND))


def _mean_levels(views: Views, clusters: Clusters) -> tuple[FloatMatrix, FloatMatrix]:
    """Scores [P, K] of mean 0 and variance 1, and the standard deviations [K] that they had before that.

    They are the members' standardised levels, averaged over those who have seen an object.
    """
    levels, seen = _levels(views, clusters.row, clusters.slot)
    k = clusters.n_concepts
    member = np.zeros((len(levels), k), dtype=np.float32)
    here = np.flatnonzero(clusters.concept >= 0)
    member[here, clusters.concept[here]] = clusters.sign[here]
    count = seen.sum(axis=1)[clusters.row]
    total = (levels * np.sqrt(count, dtype=np.float32)[:, None]).T @ member
    who = seen[clusters.row].astype(np.float32).T @ np.abs(member)
    mean = total.astype(np.float64) / np.maximum(who, 1)
    mean -= mean.mean(axis=0)
    sd = mean.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    return mean / sd, sd


def _summed(
    views: Views, clusters: Clusters, values: NDArray[np.floating], n_features: int
) -> tuple[FloatMatrix, FloatMatrix]:
    """Sum [D, K] over the members of each concept of ``values [n, m]``, and how many of them sense a feature."""
    assert views.sensor is not None
    k = clusters.n_concepts
    sensor = views.sensor[clusters.row].astype(np.intp)
    inside = (sensor >= 0) & (clusters.concept >= 0)[:, None]
    cell = (sensor * k + clusters.concept[:, None])[inside]
    total: FloatMatrix = np.bincount(cell, weights=values[inside], minlength=n_features * k).astype(np.float64)
    count: FloatMatrix = np.bincount(cell, minlength=n_features * k).astype(np.float64)
    return total.reshape(n_features, k), count.reshape(n_features, k)
