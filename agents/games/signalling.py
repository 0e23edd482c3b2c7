"""The signalling game of Lewis (1969), learnt by reinforcement (Roth & Erev 1995; Argiento et al. 2009).

Nature shows a state to a sender, who says a signal; a receiver hears the signal and acts; both are paid if the act
fits the state. Each draws from urns: the sender has one for each state with a ball for each signal, the receiver one
for each signal with a ball for each act. After a success both put another ball like the drawn one back into the urns
they drew from. Nobody means anything by a signal at first; with two states they always will (Argiento, Pemantle,
Skyrms & Volkov 2009), with more, two states may share a signal for good (Hu, Skyrms & Tarres 2011).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Urns = NDArray[np.float64]

BLOCK = 500
"""Plays whose draws are made in one go."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signalling:
    """Many runs of the game, side by side.

    Attributes
    ----------
    sender : float64 [runs, states, signals], weights of the sender's urns at the end
    receiver : float64 [runs, signals, acts], those of the receiver's
    after : int64 [T], the numbers of plays after which the payoff was noted
    payoff : float64 [T, runs], the expected payoff then (see `expected_payoff`)
    """

    sender: Urns
    receiver: Urns
    after: NDArray[np.int64]
    payoff: NDArray[np.float64]


def play(
    *,
    states: int,
    plays: int,
    runs: int,
    rng: np.random.Generator,
    signals: int | None = None,
    after: Sequence[int] = (),
    weight: float = 1.0,
    payment: float = 1.0,
) -> Signalling:
    """Let ``runs`` pairs play so often; there are as many acts as states, and signals where no number is given.

    ``weight`` is what lies in the urns of each kind at first, ``payment`` what a success adds. The expected payoff is
    noted ``after`` so many plays (in rising order, 0 for before the first), and at the end.

    Raises
    ------
    ValueError
        If there are fewer than one state, signal, play or run, a weight or payment is not positive, or ``after`` does
        not rise from 0 or later to ``plays`` or earlier.
    """
    signals = states if signals is None else signals
    for name, number in {"states": states, "signals": signals, "plays": plays, "runs": runs}.items():
        if number < 1:
            raise ValueError(f"{name} is {number}, but it must be at least 1")
    for name, amount in {"weight": weight, "payment": payment}.items():
        if not 0 < amount < np.inf:
            raise ValueError(f"{name} is {amount}, but it must be positive and finite")
    noted = [*after, *([plays] if plays not in after else [])]
    if noted != sorted(set(noted)) or noted[0] < 0 or noted[-1] > plays:
        raise ValueError(f"after is {list(after)}, but it must rise, from 0 or later to {plays} or earlier")

    sender, receiver = np.full((runs, states, signals), weight), np.full((runs, signals, states), weight)
    run, payoff = np.arange(runs), []
    for number in range(plays + 1):
        if number in noted:
            payoff.append(expected_payoff(sender, receiver))
        if number == plays:
            break
        if number % BLOCK == 0:
            # A play takes three draws of each run, whatever comes of it.
            luck = rng.random((min(BLOCK, plays - number), 3, runs))
        nature, saying, acting = luck[number % BLOCK]
        state = (nature * states).astype(np.intp)
        signal = drawn(sender[run, state], saying)
        act = drawn(receiver[run, signal], acting)
        earned = payment * paid(state, act)
        sender[run, state, signal] += earned
        receiver[run, signal, act] += earned
    return Signalling(sender=sender, receiver=receiver, after=np.array(noted, dtype=np.int64), payoff=np.array(payoff))


def drawn(urn: Urns, luck: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which kind [n] is drawn from urns [n, kinds] with weights, by a number [n] in [0, 1) each."""
    upto = urn.cumsum(axis=1)
    kind: NDArray[np.intp] = (upto[:, :-1] <= (luck * upto[:, -1])[:, None]).sum(axis=1)
    return kind


def paid(state: NDArray[np.intp], act: NDArray[np.intp]) -> NDArray[np.float64]:
    """1 where the act fits the state, 0 where it does not."""
    fits: NDArray[np.bool_] = state == act
    return fits.astype(np.float64)


def strategies(urns: Urns) -> Urns:
    """The chances of each draw: urns [..., kinds] scaled to sum 1."""
    total: Urns = urns.sum(axis=-1, keepdims=True)
    return urns / total


def expected_payoff(sender: Urns, receiver: Urns) -> NDArray[np.float64]:
    """The chance [runs] that the next play succeeds, all states being equally likely."""
    chance: NDArray[np.float64] = np.einsum("rsm,rms->r", strategies(sender), strategies(receiver)) / sender.shape[1]
    return chance


def information(sender: Urns) -> NDArray[np.float64]:
    """Bits [runs] that a signal tells about the state: their mutual information, all states being equally likely."""
    chance = strategies(sender)
    overall = chance.mean(axis=1, keepdims=True)
    ratio = np.divide(chance, overall, out=np.ones_like(chance), where=chance > 0)
    bits: NDArray[np.float64] = (chance * np.log2(ratio)).sum(axis=2).mean(axis=1)
    return bits


def is_signalling_system(sender: Urns, receiver: Urns) -> NDArray[np.bool_]:
    """Whether [runs] every state is understood where both do what they do most: the act fits each of the states."""
    n_states = sender.shape[1]
    signal = sender.argmax(axis=2)
    act = receiver.argmax(axis=2)[np.arange(len(sender))[:, None], signal]
    understood: NDArray[np.bool_] = (act == np.arange(n_states)).all(axis=1)
    return understood


def payoff_after_one(states: int, signals: int | None = None) -> float:
    """The mean expected payoff after a single play from urns of weight 1 with payment 1, exactly.

    One play in so many states succeeds. Then, of the state that was shown, the signal said has 2 balls of K + 1 in its
    urn, and so has the act in the urn of that signal of M + 1, which makes that signal worse for all other states.
    """
    m, k = states, states if signals is None else signals
    shown = (2 / (k + 1)) * (2 / (m + 1)) + (k - 1) / (k + 1) / m
    others = (m - 1) * ((k - 1) / k / m + 1 / k / (m + 1))
    return (1 - 1 / m) / m + (shown + others) / m / m
