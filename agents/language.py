"""The language by itself, apart from the games it is made in: what its words mean, to whom, and how far they reach.

All of this looks on: it plays games on copies, draws from a generator of its own and leaves the population as it is.

*Conventions*. How many words a concept goes by (synonymy), how many concepts a word is said of (homonymy), and how
likely two agents who know a concept are to say the same word for it (coherence).

*Structure*. Whether what is said of things is more alike the more alike the things are (topographic similarity).

*Use*. How often agents understand each other when they talk about some things, met or never met before, among few or
many others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import rankdata

from agents.communication import Talk, standardised, talk
from agents.config import SocietyConfig
from agents.meeting import Meeting, scenes
from agents.perception import levels
from agents.population import NOTHING, Population
from agents.world import World

FAR = 4.0
"""Levels so many standard deviations apart are as different as two words."""

NULL_LEVEL = 0.95
"""The floor of topographic similarity: what so large a share of shuffled languages stays below."""


# ---- conventions


def distinct_words(words: NDArray[np.integer]) -> int:
    """How many different words there are in inventories of any shape (-1 is a free place)."""
    return int((np.unique(words) >= 0).sum())


def words_per_dimension(words: NDArray[np.integer], held: NDArray[np.bool_]) -> float | None:
    """Mean number of words [N, S, W] of the dimensions ``held [N, S]``; None without any."""
    return float((words[held] >= 0).sum(axis=1).mean()) if held.any() else None


def synonymy(words: NDArray[np.integer], concept: NDArray[np.integer]) -> float | None:
    """The effective number of words for one concept: exp H(word | concept), 1 where each has one word.

    ``words`` [..., W] of dimensions that are forms of a ``concept`` [...], -1 for none; a dimension says each of its
    words equally often. So many words, all equally common, would be as uncertain (Hill number of order 1; Jost 2006).
    Direction does not count: a word and its opposite name one concept. None without a named concept.
    """
    entries = _entries(words, concept)
    return _effective(entries.joint, entries.concept, entries.weight)


def homonymy(words: NDArray[np.integer], concept: NDArray[np.integer]) -> float | None:
    """The effective number of concepts that one word is said of: exp H(concept | word), as in `synonymy`."""
    entries = _entries(words, concept)
    return _effective(entries.joint, entries.word, entries.weight)


def coherence(
    words: NDArray[np.integer], concept: NDArray[np.integer], sign: NDArray[np.floating] | None = None
) -> float | None:
    """Chance that two agents with words for one concept say the same word, and mean the same direction by it.

    One dimension that has a word and is a form of a concept is drawn, then another such form of that concept; each
    says one of its words, equally likely (the agreement that naming games come to; Steels 1995).

    Parameters
    ----------
    words : int [..., W], -1 where free
    concept : int [...], -1 for a dimension that is a form of none
    sign : [...], negative where a dimension runs against its concept; by default all run with it

    Returns
    -------
    In [0, 1]; None where no concept has two forms with words.
    """
    entries = _entries(words, concept)
    holders = np.bincount(entries.concept, weights=entries.weight).round()
    shared = holders >= 2
    if not shared.any():
        return None
    against = np.zeros(concept.shape, dtype=bool) if sign is None else np.asarray(sign) < 0
    form = 2 * entries.joint + against.ravel()[entries.dimension]
    distinct, at, place = np.unique(form, return_index=True, return_inverse=True)
    together = np.bincount(place, weights=entries.weight, minlength=len(distinct)) ** 2
    pairs = np.bincount(entries.concept[at], weights=together, minlength=len(holders))
    alone = np.bincount(entries.concept, weights=entries.weight**2, minlength=len(holders))
    n = holders[shared]
    agree = (pairs - alone)[shared] / (n * (n - 1))
    # Rounding may leave the sums a little outside.
    return float(np.clip(np.average(agree, weights=n), 0.0, 1.0))


def settled_at(steps: Sequence[float], values: Sequence[float | None], *, share: float = 0.8) -> float | None:
    """The first of ``steps`` from which all ``values`` are at least ``share`` of what they end at.

    That is the mean of the last quarter of them, as a single value is noisy. Of coherence, this is the time to
    convention. A value that is not known (None or nan) is below. None where nothing has come about: the end is not
    known or 0, or the very last value is below.
    """
    found = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    end = found[-max(len(found) // 4, 1) :]
    if len(end) == 0 or np.isnan(end).any() or end.mean() <= 0:
        return None
    below = np.flatnonzero(~(found >= share * end.mean()))
    first = below[-1] + 1 if len(below) else 0
    return float(steps[first]) if first < len(found) else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Entries:
    """All words of all dimensions that are forms of a concept, one entry each: flat arrays [n].

    ``dimension`` (place in the flattened concepts), ``concept``, ``word`` and ``joint`` (word and concept as one
    number); ``weight`` is how often the dimension says it.
    """

    dimension: NDArray[np.intp]
    concept: NDArray[np.int64]
    word: NDArray[np.int64]
    joint: NDArray[np.int64]
    weight: NDArray[np.float64]


def _entries(words: NDArray[np.integer], concept: NDArray[np.integer]) -> _Entries:
    if words.shape[:-1] != concept.shape:
        raise ValueError(f"words are {words.shape}, but there are concepts for {concept.shape} dimensions")
    flat = words.reshape(-1, words.shape[-1])
    known = concept.ravel()
    there = (flat >= 0) & (known >= 0)[:, None]
    dimension, place = np.nonzero(there)
    meant, said = known[dimension].astype(np.int64), flat[dimension, place].astype(np.int64)
    return _Entries(
        dimension=dimension,
        concept=meant,
        word=said,
        joint=said * (int(known.max(initial=0)) + 1) + meant,
        weight=1.0 / there.sum(axis=1)[dimension],
    )


def _effective(joint: NDArray[np.int64], given: NDArray[np.int64], weight: NDArray[np.float64]) -> float | None:
    """exp H(joint | given), natural logarithms."""
    return float(np.exp(max(_entropy(joint, weight) - _entropy(given, weight), 0.0))) if len(joint) else None


def _entropy(of: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    mass = np.bincount(np.unique(of, return_inverse=True)[1], weights=weight)
    p = mass / mass.sum()
    return float(-(p * np.log(p)).sum())


# ---- structure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Topography:
    """How far the distances of signals follow those of meanings (a mean rank correlation), and what chance reaches."""

    similarity: float
    null: float


def utterances(
    population: Population, world: World, rows: NDArray[np.intp], objects: NDArray[np.integer]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """What each of ``rows [n]`` would say of each of the ``objects [O]`` if all of them were the scene.

    The dimension is the one on which the object stands farthest from the mean of all, in standard deviations.

    Returns
    -------
    word : int32 [n, O], the oldest of that dimension; for one without a word -2 - slot, a word nobody else has; -1 for
        agents without dimensions
    level : float64 [n, O], the level shown, in standard deviations from the mean
    """
    z = standardised(levels(population, world, rows, np.broadcast_to(objects, (len(rows), len(objects)))))
    held = population.held[rows]
    slot = np.where(held[:, None, :], np.abs(z), -1.0).argmax(axis=2)
    each = np.arange(len(rows))[:, None]
    word = population.words[rows, :, 0][each, slot]
    word = np.where(word >= 0, word, -2 - slot)
    word[~held.any(axis=1)] = NOTHING
    return word.astype(np.int32), np.take_along_axis(z, slot[:, :, None], axis=2)[:, :, 0]


def signal_distances(
    word: NDArray[np.integer],
    level: NDArray[np.floating],
    other_word: NDArray[np.integer] | None = None,
    other_level: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Distances [n, O (O - 1) / 2] of what is said of one object and of another, in the order of scipy's ``pdist``.

    1 for two words; for one word the levels' difference over `FAR`, at most 1. Of what one agent says of both objects;
    or, with another's ``other_word, other_level [n, O]``, of what one says of the first and the other of the second
    (the mean of both ways round). Words under 0 (see `utterances`) are like no word of another agent's.
    """
    if other_word is None or other_level is None:
        far = _apart(word[:, :, None], level[:, :, None], word[:, None, :], level[:, None, :])
    else:
        own, other = np.where(word < 0, -2, word), np.where(other_word < 0, -1, other_word)
        far = _apart(own[:, :, None], level[:, :, None], other[:, None, :], other_level[:, None, :])
        far = (far + far.swapaxes(1, 2)) / 2
    first, second = np.triu_indices(word.shape[1], k=1)
    return far[:, first, second]


def _apart(
    word: NDArray[np.integer], level: NDArray[np.floating], other: NDArray[np.integer], height: NDArray[np.floating]
) -> NDArray[np.float64]:
    return np.where(word == other, np.minimum(np.abs(level - height) / FAR, 1.0), 1.0)


def topographic_similarity(
    meaning: NDArray[np.floating], signal: NDArray[np.floating], rng: np.random.Generator, *, permutations: int = 500
) -> Topography:
    """Spearman's correlation of distances of meanings with distances of signals (Brighton & Kirby 2006).

    ``meaning`` are positions [O, D] of objects, whose distances are Euclidean; ``signal`` are distances
    [n, O (O - 1) / 2], one row an agent, and the similarity is the mean over agents (0 for one whose signals are all
    equally far apart). The null is the 95th percentile of the same for permutations of the objects (Mantel 1967).

    Raises
    ------
    ValueError
        If there are fewer than three objects, no agents, or not as many distances as pairs of objects.
    """
    n = len(meaning)
    if n < 3 or len(signal) == 0 or signal.shape[1] != n * (n - 1) // 2:
        raise ValueError(
            f"there are {n} objects and signal distances of shape {signal.shape}; give at least 3 objects, and a row "
            "for each agent with a distance for each pair of objects"
        )
    first, second = np.triu_indices(n, k=1)
    square = np.zeros((n, n))
    square[first, second] = square[second, first] = _standard_ranks(pdist(meaning)[None])[0]
    # A correlation of standardised ranks is a scalar product, so the mean over agents is that with their mean.
    told = _standard_ranks(signal).mean(axis=0)
    null = [float(square[p[first], p[second]] @ told) for p in (rng.permutation(n) for _ in range(permutations))]
    return Topography(
        similarity=float(square[first, second] @ told),
        null=float(np.quantile(null, NULL_LEVEL)),
    )


def _standard_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks of each row [n, P], ties shared, with mean 0 and norm 1 (0 for a row that does not vary)."""
    rank = np.asarray(rankdata(values, axis=1), dtype=np.float64)
    rank -= rank.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(rank, axis=1, keepdims=True)
    standard: NDArray[np.float64] = np.divide(rank, norm, out=np.zeros_like(rank), where=norm > 0)
    return standard


# ---- use


def understanding(
    population: Population,
    world: World,
    config: SocietyConfig,
    objects: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    candidates: int,
    games: int,
    edges: NDArray[np.intp] | None = None,
) -> float:
    """Share of ``games`` understood, see `conversations`. Guessing would understand 1 / candidates."""
    return float(
        conversations(
            population, world, config, objects, rng, candidates=candidates, games=games, edges=edges
        ).success.mean()
    )


def conversations(
    population: Population,
    world: World,
    config: SocietyConfig,
    objects: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    candidates: int,
    games: int,
    edges: NDArray[np.intp] | None = None,
) -> Talk:
    """What comes of ``games`` between random agents as they are now, about random scenes of ``objects``.

    Every game is played by doubles of two agents (who could meet along ``edges [E, 2]``), so nobody learns from it,
    and no game knows of another.

    Raises
    ------
    ValueError
        If a scene is larger than the objects there are.
    """
    if candidates > len(objects):
        raise ValueError(f"a scene of {candidates} needs as many objects, but there are {len(objects)}")
    if edges is None:
        speaker = rng.integers(len(population), size=games)
        hearer = rng.integers(len(population) - 1, size=games)
        hearer += hearer >= speaker
    else:
        speaker, hearer = rng.permuted(edges[rng.integers(len(edges), size=games)], axis=1).T
    scene = scenes(objects, games, candidates, rng)
    topic = rng.integers(candidates, size=games)
    meeting = Meeting(speaker=speaker, hearer=hearer, scene=scene, topic=topic)
    return of_doubles(population, world, config, meeting, rng)


def of_doubles(
    population: Population, world: World, config: SocietyConfig, meeting: Meeting, rng: np.random.Generator
) -> Talk:
    """What comes of a meeting (in which an agent may be any number of times) when doubles of the agents talk."""
    rows, games = meeting.participants, len(meeting)
    doubles = population.some(rows)
    between = dataclasses.replace(meeting, speaker=np.arange(games), hearer=games + np.arange(games))
    n_words = int(population.words.max(initial=NOTHING)) + 1
    return talk(doubles, world, between, config, n_words, rng)
