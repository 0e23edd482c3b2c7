"""Kelley's covariation cube: what an outcome goes with tells what it is due to (Kelley 1967, 1973).

An observer who knows how several persons did with several stimuli on several occasions has a cube of outcomes
[persons, stimuli, occasions]. Three looks at it say what one event is put down to: did others do the same with this
stimulus (consensus)? Did this person do otherwise with other stimuli (distinctiveness)? And the same with this stimulus
at other times (consistency)?

The cube as a whole is an analysis of variance, which was Kelley's own picture of the naive scientist: the outcome is a
sum of effects of person, stimulus, occasion and their interactions, whose variances add up to that of the outcome
(every cell counts alike, so the design is balanced and the effects are orthogonal).

In the society persons are agents and outcomes those of talk or comparison. Stimuli are whom the agent dealt with (the
partner's row), or by what it dealt (the concept, or the dimension, in use); occasions are stretches of time.
`agents.attribution` asks the same question from within, of one event and with knowledge of standings; a cube needs no
knowledge but many events, and it tells apart what that leaves to luck together: an interaction (this person with this
stimulus, whenever) and the passing occasion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.attribution import shapley
from agents.meeting import Experience

FACTORS = ("person", "stimulus", "occasion")
"""The three causes, along the axes -3, -2, -1 of a cube; in a set of causes their bits are 1, 2 and 4."""

PATTERNS = {
    "LLH": "person",
    "HHH": "stimulus",
    "LHL": "circumstance",
    "HLL": "occasion",
    "LHH": "person and stimulus",
    "LLL": "person and occasion",
    "HHL": "stimulus and occasion",
    "HLH": "nothing in particular",
}
"""What an event is put down to, by consensus, distinctiveness and consistency, each high or low.

The first three are Kelley's ideal patterns (Orvis, Cunningham & Kelley 1975). The others follow from the same rule
(Jaspars, Hewstone & Fincham 1983): low consensus says that the person matters, high distinctiveness that the stimulus
does, low consistency that the occasion does. In LHL all three do: it happened to this person, with this stimulus, this
once, which is what circumstances are. In HLH none does: everybody does so, with everything, always.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Covariation:
    """What there is to know about each event of a cube, each float64 [..., persons, stimuli, occasions] in [0, 1]."""

    consensus: NDArray[np.float64]
    distinctiveness: NDArray[np.float64]
    consistency: NDArray[np.float64]

    def patterns(self) -> NDArray[np.str_]:
        """The pattern of each event, such as "LLH"; high is more than 1/2."""
        columns = (self.consensus, self.distinctiveness, self.consistency)
        letters = [np.where(column > 0.5, "H", "L") for column in columns]
        return np.strings.add(np.strings.add(letters[0], letters[1]), letters[2])

    def causes(self) -> NDArray[np.str_]:
        """What each event is put down to, by `PATTERNS`."""
        patterns = self.patterns()
        named, place = np.unique(patterns, return_inverse=True)
        return np.array([PATTERNS[str(name)] for name in named])[place].reshape(patterns.shape)


def covariation(cube: NDArray[np.floating]) -> Covariation:
    """Consensus, distinctiveness and consistency of every event of a cube of outcomes in [0, 1].

    Each is a contrast of the event with the mean of those that differ from it in one factor alone: the same with other
    persons, with other stimuli, at other times. Alike is consensus and consistency, unlike is distinctiveness.

    Raises
    ------
    ValueError
        If an outcome is missing or not in [0, 1], or there are no others to compare with.
    """
    outcomes = _checked(cube)
    if min(outcomes.shape[-3:]) < 2:
        raise ValueError(
            f"a cube of shape {outcomes.shape[-3:]} has no others to compare with; give at least two persons, stimuli "
            "and occasions"
        )
    if outcomes.min() < 0 or outcomes.max() > 1:
        raise ValueError(f"outcomes are from {outcomes.min():g} to {outcomes.max():g}, but they must be in [0, 1]")
    unlike = []
    for axis in (-3, -2, -1):
        n = outcomes.shape[axis]
        others = (outcomes.sum(axis=axis, keepdims=True) - outcomes) / (n - 1)
        unlike.append(np.abs(outcomes - others).clip(0.0, 1.0))
    return Covariation(consensus=1 - unlike[0], distinctiveness=unlike[1], consistency=1 - unlike[2])


def effects(cube: NDArray[np.floating]) -> list[NDArray[np.float64]]:
    """The eight parts that add up to a cube, by the set of causes (bits of the place in the list).

    Part 0 is the grand mean; 1, 2 and 4 the main effects of person, stimulus and occasion; 3, 5, 6 and 7 interactions.
    Each keeps the axes it does not depend on with length 1, and has the mean 0 along all others (except part 0).
    """
    outcomes = _checked(cube)
    parts: list[NDArray[np.float64]] = []
    for causes in range(8):
        part = outcomes.mean(
            axis=tuple(axis for bit, axis in enumerate((-3, -2, -1)) if not causes >> bit & 1), keepdims=True
        )
        # What fewer of these causes do on their own is not the doing of all of them together.
        for fewer in range(causes):
            if fewer & causes == fewer:
                part = part - parts[fewer]
        parts.append(part)
    return parts


def variance_components(cube: NDArray[np.floating]) -> NDArray[np.float64]:
    """Variance of each of the `effects` [..., 8] over the cells; entry 0 is 0, and they add up to that of the cube."""
    parts = effects(cube)
    components = [np.square(part).mean(axis=(-3, -2, -1)) for part in parts[1:]]
    return np.stack([np.zeros_like(components[0]), *components], axis=-1)


def cause_variances(cube: NDArray[np.floating]) -> NDArray[np.float64]:
    """How much of the cube's variance is due to person, stimulus and occasion, [..., 3], adding up to it.

    The Shapley value of the game in which a set of causes is worth the variance that knowing them explains: each has
    its main effect, and an interaction is shared alike by those who interact (Owen 2014).
    """
    components = variance_components(cube)
    worth = [
        sum(components[..., fewer] for fewer in range(causes + 1) if fewer & causes == fewer) for causes in range(8)
    ]
    return shapley(np.stack([np.asarray(value) for value in worth], axis=-1))


def tabulated(
    *,
    person: NDArray[np.integer],
    stimulus: NDArray[np.integer],
    occasion: NDArray[np.integer],
    outcome: NDArray[np.floating],
    shape: Sequence[int],
) -> NDArray[np.float64]:
    """The cube [persons, stimuli, occasions] of mean outcomes of n events; nan in cells without any.

    Parameters
    ----------
    person, stimulus, occasion : int [n], the cell of each event; an event with a negative one is left out (a dimension
        without a concept, say)
    outcome : float [n]
    shape : how many persons, stimuli and occasions there are

    Raises
    ------
    ValueError
        If an event has no place in a cube of that shape.
    """
    cells = np.stack([np.asarray(person), np.asarray(stimulus), np.asarray(occasion)])
    there = (cells >= 0).all(axis=0)
    if len(shape) != 3 or (cells.max(axis=1, initial=-1) >= shape).any():
        raise ValueError(f"events do not fit into a cube of shape {tuple(shape)}")
    cell, size = np.ravel_multi_index(tuple(cells[:, there]), tuple(shape)), int(np.prod(shape))
    count = np.bincount(cell, minlength=size)
    total = np.bincount(cell, weights=np.asarray(outcome, dtype=np.float64)[there], minlength=size)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    return mean.reshape(tuple(shape))


def cube_of(
    experiences: Sequence[Experience],
    source: str,
    *,
    window: int,
    stimuli: Sequence[NDArray[np.integer]] | None = None,
) -> NDArray[np.float64]:
    """The cube of what a society went through, of the outcomes of one source ("talk", "comparison" or "prediction").

    Parameters
    ----------
    experiences : one for each step, in order, as phases 3 and 4 leave them; those without this source are left out
    window : how many steps are one occasion
    stimuli : for each step, what each participant dealt with (int [n], negative for nothing), such as
        ``population.concept[rows, slots]``; by default the partners, so that persons and stimuli are the same agents

    Raises
    ------
    ValueError
        If the window is shorter than a step, there is no such outcome, or not a list of stimuli for each step.
    """
    if window < 1:
        raise ValueError(f"window is {window}, but an occasion lasts at least one step")
    labels = [experience.partners for experience in experiences] if stimuli is None else stimuli
    events = [
        (experience.rows, label, np.full(len(label), step // window), experience.outcomes[source])
        for step, (experience, label) in enumerate(zip(experiences, labels, strict=True))
        if source in experience.outcomes
    ]
    if not events:
        raise ValueError(f"nobody went through anything with outcomes of {source!r}")
    person, stimulus, occasion, outcome = (np.concatenate(column) for column in zip(*events, strict=True))
    persons, kinds = int(person.max(initial=0)) + 1, int(stimulus.max(initial=0)) + 1
    if stimuli is None:
        persons = kinds = max(persons, kinds)
    shape = (persons, kinds, int(occasion.max(initial=0)) + 1)
    return tabulated(person=person, stimulus=stimulus, occasion=occasion, outcome=outcome, shape=shape)


def filled(cube: NDArray[np.floating]) -> tuple[NDArray[np.float64], tuple[NDArray[np.intp], ...]]:
    """A part of the cube without empty (nan) cells; and which persons, stimuli and occasions it is of.

    Leaves out, one after the other, whoever or whatever has the largest share of empty cells (the first of equals).
    """
    outcomes = np.asarray(cube, dtype=np.float64)
    if outcomes.ndim != 3:
        raise ValueError(f"one cube has three axes; this array has {outcomes.ndim}")
    kept = [np.arange(n) for n in outcomes.shape]
    while outcomes.size and np.isnan(outcomes).any():
        empty = [np.isnan(outcomes).mean(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
        axis = max(range(3), key=lambda axis: float(empty[axis].max()))
        worst = int(empty[axis].argmax())
        outcomes, kept[axis] = np.delete(outcomes, worst, axis=axis), np.delete(kept[axis], worst)
    return outcomes, tuple(kept)


def _checked(cube: NDArray[np.floating]) -> NDArray[np.float64]:
    outcomes = np.asarray(cube, dtype=np.float64)
    if outcomes.ndim < 3 or outcomes.size == 0:
        raise ValueError(f"a cube is [persons, stimuli, occasions], not an array of shape {outcomes.shape}")
    if not np.isfinite(outcomes).all():
        raise ValueError("a cube has cells without an outcome; take the filled part of it")
    return outcomes
