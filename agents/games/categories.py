"""The category game (Puglisi, Baronchelli & Loreto 2008): how a continuum gets few names that all understand.

Everybody divides the stimuli in [0, 1) into *perceptual categories* of their own, at first one. Two stimuli are shown
that are at least ``least`` (d_min, the just noticeable difference) apart; the speaker means one of them, the topic.
If both are in the same category it splits it half-way between them: either part keeps the words of the whole and gets a
new one of its own. The speaker then says the word with which the category of the topic was last understood, or, if that
has not happened since it was split off, the word that was new then.

The hearer points at a stimulus in one of its categories that have this word, at random where there are two. If that is
the topic, both forget all other words of their category of the topic; if not, or if there is none, the topic is shown
and the hearer adds the word to its category of the topic.

Neighbouring perceptual categories with the same most relevant word (the one that would be said) are one *linguistic
category*. Of the former there are soon many, up to 2 / d_min; of the latter few are left.
"""

from __future__ import annotations

import dataclasses

import numba
import numpy as np
from numpy.typing import NDArray

NO_WORD = -1

BLOCK = 1 << 16
"""Games whose draws are made in one go."""


@dataclasses.dataclass(kw_only=True)
class Categories:
    """The categories of N agents, with room for C categories of W words each.

    Attributes
    ----------
    number : int64 [N], perceptual categories of each agent
    edge : float64 [N, C], where they begin, from left to right; the first at 0
    place : int64 [N, C], where the words of the category that begins there are kept
    word : int32 [N, C, W], the words at each place, the oldest first
    n_words : int64 [N, C], how many there are
    relevant : int32 [N, C], the word at each place that would be said, -1 where none
    coined : how many words there are in all
    """

    number: NDArray[np.int64]
    edge: NDArray[np.float64]
    place: NDArray[np.int64]
    word: NDArray[np.int32]
    n_words: NDArray[np.int64]
    relevant: NDArray[np.int32]
    coined: int

    def names(self, agent: int) -> NDArray[np.int32]:
        """The most relevant words of an agent's perceptual categories, from left to right."""
        names: NDArray[np.int32] = self.relevant[agent, self.place[agent, : self.number[agent]]]
        return names

    def widths(self, agent: int) -> NDArray[np.float64]:
        """How wide an agent's perceptual categories are, from left to right."""
        return np.diff(self.edge[agent, : self.number[agent]], append=1.0)

    def linguistic(self, agent: int) -> NDArray[np.float64]:
        """Where an agent's linguistic categories begin, from left to right."""
        names = self.names(agent)
        begins: NDArray[np.bool_] = np.concatenate([[True], names[1:] != names[:-1]])
        return self.edge[agent, : self.number[agent]][begins]

    def name_of(self, stimuli: NDArray[np.float64]) -> NDArray[np.int32]:
        """What each agent would call each stimulus: int32 [N, stimuli]."""
        found = [
            self.names(agent)[np.searchsorted(self.edge[agent, : self.number[agent]], stimuli, side="right") - 1]
            for agent in range(len(self.number))
        ]
        return np.stack(found)


def nothing_known(agents: int) -> Categories:
    """Agents with a single category each, and without words.

    Raises
    ------
    ValueError
        If there are fewer than two agents.
    """
    if agents < 2:
        raise ValueError(f"agents is {agents}, but it takes at least 2 to talk")
    room, width = 16, 8  # grows as needed
    return Categories(
        number=np.ones(agents, dtype=np.int64),
        edge=np.zeros((agents, room)),
        place=np.zeros((agents, room), dtype=np.int64),
        word=np.full((agents, room, width), NO_WORD, dtype=np.int32),
        n_words=np.zeros((agents, room), dtype=np.int64),
        relevant=np.full((agents, room), NO_WORD, dtype=np.int32),
        coined=0,
    )


def play(categories: Categories, games: int, least: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Play so many games; ``categories`` change in place. Returns which of them succeeded [games].

    Raises
    ------
    ValueError
        If ``games`` is negative, or ``least`` is not above 0 and under 1.
    """
    if games < 0:
        raise ValueError(f"games is {games}, but it must be at least 0")
    if not 0 < least < 1:
        raise ValueError(f"least is {least}, but the just noticeable difference must be above 0 and under 1")
    success = np.zeros(games, dtype=np.bool_)
    for start in range(0, games, BLOCK):
        number = min(BLOCK, games - start)
        pairs = met(len(categories.number), number, rng)
        shown = scenes(least, number, rng)
        guess = rng.random(number)
        done = 0
        while True:
            done, categories.coined = talk(
                categories.number,
                categories.edge,
                categories.place,
                categories.word,
                categories.n_words,
                categories.relevant,
                categories.coined,
                pairs,
                shown,
                guess,
                done,
                success[start : start + number],
            )
            if done == number:
                break
            _make_room(categories)
    return success


def _make_room(categories: Categories) -> None:
    """Twice as much room for whatever is full somewhere."""
    if categories.number.max() == categories.edge.shape[1]:
        for name in ("edge", "place", "word", "n_words", "relevant"):
            column = getattr(categories, name)
            setattr(categories, name, np.concatenate([column, np.zeros_like(column)], axis=1))
    if categories.n_words.max() == categories.word.shape[2]:
        categories.word = np.concatenate([categories.word, np.zeros_like(categories.word)], axis=2)


def met(agents: int, games: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Speaker and hearer of each game, int64 [games, 2]: two agents, all pairs equally likely."""
    speaker = rng.integers(agents, size=games)
    other = rng.integers(agents - 1, size=games)
    return np.stack([speaker, other + (other >= speaker)], axis=1)


def scenes(least: float, games: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The topic and the other stimulus of each game, float64 [games, 2]: all pairs ``least`` apart equally likely."""
    # Two points, drawn from an interval that is shorter by ``least`` and put that much apart, need no rejecting.
    pair = np.sort(rng.random((games, 2)) * (1 - least), axis=1)
    pair[:, 1] += least
    topic_first = rng.random(games) < 0.5
    return np.where(topic_first[:, None], pair, pair[:, ::-1])


@numba.njit(cache=True)
def talk(
    number: NDArray[np.int64],
    edge: NDArray[np.float64],
    place: NDArray[np.int64],
    word: NDArray[np.int32],
    n_words: NDArray[np.int64],
    relevant: NDArray[np.int32],
    coined: int,
    pairs: NDArray[np.int64],
    shown: NDArray[np.float64],
    guess: NDArray[np.float64],
    begin: int,
    success: NDArray[np.bool_],
) -> tuple[int, int]:
    """Play the games ``pairs``, ``shown``, ``guess`` from ``begin`` on; ``success`` is written.

    Returns how many are played and how many words there are then. It stops early where there might be no room.
    """
    room, width = word.shape[1:]
    for game in range(begin, len(pairs)):
        speaker, hearer = pairs[game]
        topic, other = shown[game]

        # The speaker tells the topic from the other stimulus, if need be by a new edge half-way between them.
        mine = np.searchsorted(edge[speaker, : number[speaker]], topic, side="right") - 1
        also = np.searchsorted(edge[speaker, : number[speaker]], other, side="right") - 1
        old = place[speaker, mine]
        theirs = np.searchsorted(edge[hearer, : number[hearer]], topic, side="right") - 1
        at = place[hearer, theirs]
        if n_words[speaker, old] == width or n_words[hearer, at] == width or number[speaker] == room:
            return game, coined
        if mine == also:
            n = number[speaker]
            for k in range(n, mine + 1, -1):
                edge[speaker, k], place[speaker, k] = edge[speaker, k - 1], place[speaker, k - 1]
            edge[speaker, mine + 1], place[speaker, mine + 1] = 0.5 * (topic + other), n
            number[speaker] = n + 1
            n_words[speaker, n] = n_words[speaker, old]
            for k in range(n_words[speaker, old]):
                word[speaker, n, k] = word[speaker, old, k]
            for part in (old, n):
                word[speaker, part, n_words[speaker, part]] = coined
                n_words[speaker, part] += 1
                relevant[speaker, part] = coined
                coined += 1
            if topic > other:
                old = n
        said = relevant[speaker, old]

        # The hearer points at a stimulus that it would call so.
        elsewhere = place[hearer, np.searchsorted(edge[hearer, : number[hearer]], other, side="right") - 1]
        may_be, may_not_be = False, False
        for k in range(n_words[hearer, at]):
            may_be = may_be or word[hearer, at, k] == said
        for k in range(n_words[hearer, elsewhere]):
            may_not_be = may_not_be or word[hearer, elsewhere, k] == said
        understood = may_be and (not may_not_be or guess[game] < 0.5)
        success[game] = understood

        if understood:
            word[speaker, old, 0], n_words[speaker, old], relevant[speaker, old] = said, 1, said
            word[hearer, at, 0], n_words[hearer, at], relevant[hearer, at] = said, 1, said
        elif not may_be:
            word[hearer, at, n_words[hearer, at]] = said
            n_words[hearer, at] += 1
    return len(pairs), coined
