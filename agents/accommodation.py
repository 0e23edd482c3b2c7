"""How a proposed dimension finds a place in a view that holds eight, whatever it comes from.

It refreshes the dimension that it repeats, fills an empty slot, or competes with the dimension whose superiority x
unique variance is lowest.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from agents.population import ABSTRACT, EMPTY, EXEMPLAR, NEUTRAL, RAW, Population

SAME = 0.85
"""Tucker congruence from which a factor counts as the same one (Lorenzo-Seva & ten Berge 2006: .85 is fair)."""

Correlations = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposals:
    """What n agents propose to themselves, at most S dimensions each, those that come first having the first chance.

    Attributes
    ----------
    loading : float64 [n, S, m], unit norm; zero where nothing is proposed
    number : int [n]
    origin : int8 [n], where those of an agent come from
    exemplar : int32 [n, S], the objects that they are likeness to, -1 for abstract ones
    communality : float64 [n, m], share of each sensed feature's variance that they explain
    """

    loading: NDArray[np.float64]
    number: NDArray[np.intp]
    origin: NDArray[np.int8]
    exemplar: NDArray[np.int32]
    communality: NDArray[np.float64]


def unique_variance(corr: Correlations, loading: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the sensed variance [n, S] that a view explains only thanks to each of its dimensions.

    The drop in R^2 of predicting every sensed feature from the levels, when one dimension is left out (the squared
    semipartial correlation, averaged over features). Empty slots have 0; so have dimensions that others repeat.

    Parameters
    ----------
    corr : float64 [n, m, m]
    loading : [n, S, m], zero in empty slots
    """
    held, _, beta, inverse = _regressed(corr, loading)
    unique = (beta**2).sum(axis=2) / np.einsum("nss->ns", inverse)
    return np.where(held, unique / corr.shape[1], 0.0)


def explained(corr: Correlations, loading: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of each sensed feature's variance [n, m] that dimensions ``loading [n, S, m]`` explain together (R^2)."""
    _, cross, beta, _ = _regressed(corr, loading)
    share: NDArray[np.float64] = np.clip((beta * cross).sum(axis=1), 0.0, 1.0)
    return share


def _regressed(
    corr: Correlations, loading: NDArray[np.floating]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The regression of the sensed features on the levels along ``loading [n, S, m]``.

    Which slots hold a dimension [n, S]; covariances of levels with features [n, S, m]; weights of the regression
    [n, S, m]; inverse of the covariances of the levels [n, S, S].
    """
    weights = loading.astype(np.float64)
    held: NDArray[np.bool_] = (weights != 0).any(axis=2)
    cross = weights @ corr
    gram = cross @ weights.swapaxes(1, 2)
    s = weights.shape[1]
    # Unit entries for empty slots, and a ridge that makes exact repeats share nothing instead of failing.
    gram += np.eye(s) * np.where(held, 1e-9, 1.0)[:, :, None]
    inverse = np.asarray(np.linalg.inv(gram), dtype=np.float64)
    return held, cross, inverse @ cross, inverse


def accommodate(
    population: Population, rows: NDArray[np.intp], corr: Correlations, proposals: Proposals, step: int
) -> int:
    """Let the proposals in: refresh what they repeat, fill empty slots, else compete with the weakest."""
    arrived = 0
    refreshed = np.zeros((len(rows), population.n_slots), dtype=bool)
    for place in range(population.n_slots):
        these = np.flatnonzero(proposals.number > place)
        if len(these) == 0:
            break
        arrived += _accommodate_one(population, rows, corr, proposals, place, refreshed, these, step)
    return arrived


def _accommodate_one(
    population: Population,
    rows: NDArray[np.intp],
    corr: Correlations,
    proposals: Proposals,
    place: int,
    refreshed: NDArray[np.bool_],
    these: NDArray[np.intp],
    step: int,
) -> int:
    """The proposal at ``place`` of ``these`` rows; ``refreshed[these]`` marks slots that answered to an earlier one."""
    rows, corr, proposal = rows[these], corr[these], proposals.loading[these, place]
    origin = proposals.origin[these]
    kind = np.where(origin == EXEMPLAR, RAW, ABSTRACT).astype(np.int8)
    everyone = np.arange(len(rows))
    congruence = np.einsum("nsm,nm->ns", population.loading[rows].astype(np.float64), proposal)
    congruence[population.kind[rows] != kind[:, None]] = 0.0
    same = np.abs(congruence) >= SAME
    # A proposal so like an earlier one that both answer to one dimension says nothing new.
    told = (same & refreshed[these]).any(axis=1)
    repeats = same.any(axis=1) & ~told
    # Refresh: the same dimension, known better now; name, direction and feelings stay. Others like it are repeats.
    nearest = np.abs(congruence).argmax(axis=1)
    # A likeness to one object cannot be known better by another.
    better = repeats & (kind == ABSTRACT)
    sign = np.sign(congruence[everyone, nearest])[better, None]
    population.loading[rows[better], nearest[better]] = (sign * proposal[better]).astype(np.float32)
    refreshed[these[repeats], nearest[repeats]] = True
    same[everyone, nearest] = False
    twice, spare = np.nonzero(same & repeats[:, None])
    population.clear(rows[twice], spare)

    value = population.score[rows] * unique_variance(corr, population.loading[rows])
    value[population.kind[rows] == EMPTY] = -1.0
    value[refreshed[these]] = np.inf
    weakest = value.argmin(axis=1)
    # What the newcomer would be worth in the place of the weakest; untested, it is valued neither high nor low.
    rivals = population.loading[rows].copy()
    rivals[everyone, weakest] = proposal
    worth = NEUTRAL * unique_variance(corr, rivals)[everyone, weakest]
    enters = ~repeats & ~told & (worth > value[everyone, weakest])
    population.install(
        rows[enters],
        weakest[enters],
        loading=proposal[enters].astype(np.float32),
        kind=kind[enters],
        exemplar=proposals.exemplar[these, place][enters],
        step=step,
        origin=origin[enters],
    )
    refreshed[these[enters], weakest[enters]] = True
    return int(enters.sum())
