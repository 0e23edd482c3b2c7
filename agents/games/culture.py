"""The dissemination of culture (Axelrod 1997): likeness breeds interaction, and interaction breeds likeness.

Sites of a square lattice that closes on itself hold a culture: one trait for each of F features. A random site looks
at a random neighbour; with a chance that is the share of features in which they agree, it takes over a trait in which
they do not. This ends where neighbours agree in everything or in nothing. With few traits one culture takes all, with
many the lattice freezes in pieces.

Nothing happens along bonds whose ends agree in all or in nothing, so only the other, *active* ones are drawn from.
That leaves out waiting times and changes nothing else: which interaction comes next has the same chances.
"""

from __future__ import annotations

from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import i0e

Distribution = Literal["poisson", "uniform"]
Traits = NDArray[np.int32]
"""int32 [L, L, F]: the trait of each feature at each site."""

AT_ONCE = 10_000_000
"""Interactions in one go of the compiled loop, which nobody can interrupt."""


def random_traits(
    side: int, features: int, q: float, rng: np.random.Generator, *, distribution: Distribution = "poisson"
) -> Traits:
    """Traits [side, side, features], all drawn alike: Poisson with mean ``q``, or evenly from ``q`` (a whole number).

    Raises
    ------
    ValueError
        If the lattice is smaller than 3 x 3 (neighbours would be the same twice), or features or q make no sense.
    """
    if side < 3:
        raise ValueError(f"side is {side}, but a lattice that closes on itself must be at least 3 wide")
    if features < 1:
        raise ValueError(f"features is {features}, but it must be at least 1")
    if distribution == "uniform":
        if not 1 <= q < np.inf or q != int(q):
            raise ValueError(f"q is {q}, but the number of traits must be a whole number of at least 1")
        return rng.integers(int(q), size=(side, side, features), dtype=np.int32)
    if distribution != "poisson":
        raise ValueError(f"distribution is {distribution!r}, but it must be 'poisson' or 'uniform'")
    if not 0 <= q < np.inf:
        raise ValueError(f"q is {q}, but the mean of a Poisson distribution must be finite and at least 0")
    return rng.poisson(q, size=(side, side, features)).astype(np.int32)


def settled(traits: Traits, rng: np.random.Generator, *, homophily: bool = True) -> Traits:
    """The culture at each site once nobody can change any more; ``traits`` stays as it is.

    Without ``homophily`` strangers talk as well: whoever differs may become more alike. Every feature is then a voter
    model of its own, one culture takes all, and a trait takes all with the share of sites that it has.

    Raises
    ------
    ValueError
        If ``traits`` is not a square lattice of at least 3 x 3.
    """
    _check(traits)
    side, _, features = traits.shape
    now = traits.reshape(side * side, features).astype(np.int32)  # a copy
    ends, around = bond_ends(side), bonds_around(side)
    agree = (now[ends[:, 0]] == now[ends[:, 1]]).sum(axis=1)
    active = np.flatnonzero((agree < features) & ((agree > 0) | (not homophily)))
    bonds, place = np.zeros(len(ends), dtype=np.int64), np.full(len(ends), -1, dtype=np.int64)
    bonds[: len(active)], place[active] = active, np.arange(len(active))
    number = len(active)
    while number:
        number = interact(now, ends, around, agree, bonds, place, number, homophily, AT_ONCE, rng)
    return now.reshape(traits.shape)


def bond_ends(side: int) -> NDArray[np.int64]:
    """int64 [2 side^2, 2]: the sites at the ends of each bond; bond 2i goes from site i to the right, 2i + 1 down."""
    site = np.arange(side * side).reshape(side, side)
    other = np.stack([np.roll(site, -1, axis=1), np.roll(site, -1, axis=0)], axis=-1)
    return np.stack([np.repeat(site.ravel(), 2), other.ravel()], axis=1)


def bonds_around(side: int) -> NDArray[np.int64]:
    """int64 [side^2, 4]: the bonds of each site."""
    ends = bond_ends(side)
    return np.argsort(ends.ravel(), kind="stable").reshape(side * side, 4) // 2


@numba.njit(cache=True)
def interact(
    traits: NDArray[np.int32],
    ends: NDArray[np.int64],
    around: NDArray[np.int64],
    agree: NDArray[np.int64],
    bonds: NDArray[np.int64],
    place: NDArray[np.int64],
    number: int,
    homophily: bool,
    at_most: int,
    rng: np.random.Generator,
) -> int:
    """Let neighbours interact until no bond is active, or so many times; returns how many bonds are active then.

    ``traits`` [N, F], ``agree`` [2N] (in how many features the ends of a bond agree), ``bonds`` [2N] (the active ones
    come first, ``number`` of them) and ``place`` [2N] (where a bond stands among these, -1 for nowhere) change in
    place; ``ends`` and ``around`` are those of `bond_ends` and `bonds_around`.
    """
    features = traits.shape[1]
    for _ in range(at_most):
        if number == 0:
            break
        # One draw says which active bond, and which of its ends takes over from the other.
        drawn = int(rng.random() * 2 * number)
        bond, end = bonds[drawn >> 1], drawn & 1
        # The chance is agree / F; what is active agrees in F - 1 at most, so that much waiting can be skipped.
        if homophily and features > 2 and rng.random() * (features - 1) >= agree[bond]:
            continue
        site, other = ends[bond, end], ends[bond, 1 - end]
        differing = features - agree[bond]
        nth = int(rng.random() * differing) if differing > 1 else 0
        feature = 0
        while nth > 0 or traits[site, feature] == traits[other, feature]:
            if traits[site, feature] != traits[other, feature]:
                nth -= 1
            feature += 1
        old, new = traits[site, feature], traits[other, feature]
        traits[site, feature] = new
        for k in range(4):
            touched = around[site, k]
            neighbour = ends[touched, 0] + ends[touched, 1] - site
            trait = traits[neighbour, feature]
            agree[touched] += int(trait == new) - int(trait == old)
            active = agree[touched] < features and (agree[touched] > 0 or not homophily)
            at = place[touched]
            if active and at < 0:
                bonds[number], place[touched] = touched, number
                number += 1
            elif at >= 0 and not active:
                number -= 1
                last = bonds[number]
                bonds[at], place[last] = last, at
                place[touched] = -1
    return number


def domain_sizes(traits: Traits) -> NDArray[np.int64]:
    """int64 [domains]: sites of each domain, that is of connected sites of one and the same culture."""
    _check(traits)
    side = traits.shape[0]
    culture = traits.reshape(side * side, -1)
    ends = bond_ends(side)
    ends = ends[(culture[ends[:, 0]] == culture[ends[:, 1]]).all(axis=1)]
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(side**2, side**2))
    number, domain = connected_components(graph, directed=False)
    return np.bincount(domain, minlength=number).astype(np.int64)


def coincidence(q: float, *, distribution: Distribution = "poisson") -> float:
    """The chance that two sites agree in a feature at the start: exp(-2q) I0(2q) for Poisson traits, else 1 / q."""
    return float(i0e(2 * q)) if distribution == "poisson" else 1 / q


def _check(traits: Traits) -> None:
    if traits.ndim != 3 or traits.shape[0] != traits.shape[1] or traits.shape[0] < 3 or traits.shape[2] < 1:
        raise ValueError(
            f"traits has shape {traits.shape}, but it must be [L, L, F] with L at least 3 and F at least 1"
        )
