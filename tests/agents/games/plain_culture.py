"""The spread of culture in plain Python, to be compared with the compiled loop, and to be broken on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np


def interact(
    traits: np.ndarray,
    ends: np.ndarray,
    around: np.ndarray,
    agree: np.ndarray,
    bonds: np.ndarray,
    place: np.ndarray,
    number: int,
    homophily: bool,
    at_most: int,
    rng: np.random.Generator,
    *,
    highest_wins: bool = False,
) -> int:
    """As `agents.games.culture.interact`, with everything counted anew; with ``highest_wins`` not as it should be."""
    features = traits.shape[1]

    def alike(bond: int) -> int:
        one, other = ends[bond]
        return int((traits[one] == traits[other]).sum())

    def is_active(bond: int) -> bool:
        return alike(bond) < features and (alike(bond) > 0 or not homophily)

    active = [int(bond) for bond in bonds[:number]]
    for _ in range(at_most):
        if not active:
            break
        drawn = int(rng.random() * 2 * len(active))
        bond, end = active[drawn // 2], drawn % 2
        if homophily and features > 2 and rng.random() >= alike(bond) / (features - 1):
            continue
        site, other = ends[bond][end], ends[bond][1 - end]
        differing = np.flatnonzero(traits[site] != traits[other])
        feature = differing[int(rng.random() * len(differing)) if len(differing) > 1 else 0]
        if highest_wins and traits[site, feature] > traits[other, feature]:
            site, other = other, site
        traits[site, feature] = traits[other, feature]
        for touched in map(int, around[site]):
            if is_active(touched) and touched not in active:
                active.append(touched)
            elif touched in active and not is_active(touched):
                last = active.pop()
                if last != touched:
                    active[active.index(touched)] = last
    agree[:] = [alike(bond) for bond in range(len(ends))]
    bonds[: len(active)], place[:] = active, -1
    place[active] = np.arange(len(active))
    return len(active)


def classic(traits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Axelrod's own words: a random site, a random neighbour, and as likely as they are alike, one trait taken over."""
    side, _, features = traits.shape
    now, neighbours = traits.copy(), ((0, 1), (1, 0), (0, -1), (-1, 0))

    def frozen() -> bool:
        shared: list[Any] = [(now == np.roll(now, 1, axis=axis)).sum(axis=2) for axis in (0, 1)]
        return all(((some == 0) | (some == features)).all() for some in shared)

    while not frozen():
        for _ in range(side * side):
            y, x = rng.integers(side, size=2)
            dy, dx = neighbours[rng.integers(4)]
            theirs = now[(y + dy) % side, (x + dx) % side]
            same = now[y, x] == theirs
            if not same.all() and rng.random() < same.mean():
                feature = rng.choice(np.flatnonzero(~same))
                now[y, x, feature] = theirs[feature]
    return now
