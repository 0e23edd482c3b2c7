"""The committed minority: how many who never give in does it take to change what all call a thing?

All say B but a few, who say A and will never say anything else. Below a critical share of these B stays for a time
exponential in the number of agents; above it all call the thing A soon (Xie, Sreenivasan, Korniss, Zhang, Lim &
Szymanski 2011). The society plays the naming game of `agents.games.naming`, except that talk leaves no trace in the
committed. Where everybody can talk to everybody, its large limit is a pair of differential equations.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import root

from agents.errors import InputError
from agents.games.naming import Network, Order, Ties, play_in_order, societies
from agents.population import NOTHING

A, B = 0, 1
"""The two words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommittedOutcome:
    """What came of ``runs`` societies of N agents, ``committed`` of whom say A for ever.

    Attributes
    ----------
    agents, committed : N, and how many of them are committed
    at : int64 [T], after how many games they were looked at; the first look is before the first game
    only_a, only_b, both : int64 [runs, T], how many of the others had just the word A, just B, or both
    """

    agents: int
    committed: int
    at: NDArray[np.int64]
    only_a: NDArray[np.int64]
    only_b: NDArray[np.int64]
    both: NDArray[np.int64]

    @property
    def flipped(self) -> NDArray[np.bool_]:
        """bool [runs]: where all had come to say A by the end."""
        flipped: NDArray[np.bool_] = self.only_a[:, -1] == self.agents - self.committed
        return flipped


def play_against(
    network: Network,
    *,
    committed: int,
    runs: int,
    games: int,
    seed: int,
    order: Order = "direct",
    every: int | None = None,
) -> CommittedOutcome:
    """Let ``runs`` societies that say B play ``games`` games each with a committed minority among them.

    Who is committed is drawn anew for each run. ``every`` is how many games there are from one look to the next, by
    default N. Runs where all say A are over: nothing can change there.

    Raises
    ------
    InputError
        If the society cannot play (see `agents.games.naming.play`), or it has not as many to be committed.
    """
    ties = Ties.of(network, endless=False)
    n, every = ties.agents, ties.agents if every is None else every
    for name, value in {"runs": runs, "every": every, "games": games}.items():
        if value < 1:
            raise InputError(f"{name} is {value}, but it must be at least 1")
    if not 0 <= committed <= n:
        raise InputError(f"committed is {committed}, but it must be from 0 to the number of agents ({n})")

    rng = np.random.default_rng(seed)
    population = societies(n, runs, rng)
    rank = rng.permuted(np.tile(np.arange(n), (runs, 1)), axis=1)
    loyal = (rank < committed).ravel()
    population.words[:, 0] = NOTHING
    population.words[:, 0, 0] = np.where(loyal, A, B)

    first = np.arange(runs)[:, None] * n
    counts = census(population.words[:, 0].reshape(runs, n, -1), loyal.reshape(runs, n))
    looks, at = [counts.copy()], [0]
    while at[-1] < games:
        stretch = min(every, games - at[-1])
        live = np.flatnonzero(counts[0] < n - committed)
        if len(live):
            speaker, hearer = ties.pairs((len(live), stretch), rng, order)
            play_in_order(population, first[live] + speaker, first[live] + hearer, 2, rng, committed=loyal)
            rows = first[live] + np.arange(n)
            counts[:, live] = census(population.words[rows, 0], loyal[rows])
        looks.append(counts.copy())
        at.append(at[-1] + stretch)
    only_a, only_b, both = np.stack(looks, axis=2)
    return CommittedOutcome(
        agents=n, committed=committed, at=np.array(at, dtype=np.int64), only_a=only_a, only_b=only_b, both=both
    )


def census(words: NDArray[np.int32], loyal: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64 [3, R]: how many of the not ``loyal [R, N]`` have just A, just B, or both in ``words [R, N, W]``."""
    says_a, says_b = (words == A).any(axis=2), (words == B).any(axis=2)
    groups = np.stack([says_a & ~says_b, says_b & ~says_a, says_a & says_b])
    count: NDArray[np.int64] = (groups & ~loyal).sum(axis=2)
    return count


# -- the limit of many agents -----------------------------------------------------------------------------------------


def drift(only_a: float, only_b: float, share: float) -> tuple[float, float]:
    """How fast the shares of A and of B grow in a large society (Xie et al. 2011, eq. 1), per N games.

    ``share`` are committed to A, ``only_a`` and ``only_b`` have one word, and all others both. Two agents who have
    both agree on A half the time, and on B the other half.
    """
    both = 1.0 - share - only_a - only_b
    return (
        -only_a * only_b + both**2 + only_a * both + 1.5 * share * both,
        -only_a * only_b + both**2 + only_b * both - share * only_b,
    )


def mean_field(share: float, at: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shares of A and of B [T] in a large society that all said B but the committed ``share``.

    ``at`` [T] are times, ascending, in units of N games.

    Raises
    ------
    ValueError
        If the share is not one, or the times do not ascend from 0 on.
    """
    times = np.asarray(at, dtype=np.float64)
    if not 0 <= share <= 1:
        raise ValueError(f"the committed share is {share}, but it must be from 0 to 1")
    if times.ndim != 1 or len(times) == 0 or times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError("times must ascend from 0 on")
    solved = solve_ivp(
        lambda _, state: drift(state[0], state[1], share),
        (0.0, max(float(times[-1]), 1e-9)),
        [0.0, 1.0 - share],
        t_eval=times,
        rtol=1e-9,
        atol=1e-12,
        method="LSODA",
    )
    if not solved.success:
        raise RuntimeError(f"the mean field could not be integrated: {solved.message}")
    return solved.y[0], solved.y[1]


def critical_share() -> float:
    """The committed share from which on B cannot last: where its fixed point meets the unstable one, and both vanish.

    There the drift is zero, and so is the determinant of its Jacobian (a saddle-node bifurcation).
    """

    def vanishing(state: NDArray[np.float64]) -> tuple[float, float, float]:
        only_a, only_b, share = state
        both = 1.0 - share - only_a - only_b
        # Partial derivatives of `drift`, with that of ``both`` by either share being -1.
        a_by_a = -only_b - 2 * both + both - only_a - 1.5 * share
        a_by_b = -only_a - 2 * both - only_a - 1.5 * share
        b_by_a = -only_b - 2 * both - only_b
        b_by_b = -only_a - 2 * both + both - only_b - share
        return (*drift(only_a, only_b, share), a_by_a * b_by_b - a_by_b * b_by_a)

    # Where B holds out against few, searched from there.
    few = 0.05
    only_a, only_b = mean_field(few, [1000.0])
    solved = root(vanishing, [only_a[0], only_b[0], few], tol=1e-12)
    if not solved.success:
        raise RuntimeError(f"the critical share was not found: {solved.message}")
    return float(solved.x[2])
