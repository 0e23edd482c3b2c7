"""The category game in plain Python, to be compared with the compiled loop, and to be broken on purpose."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass
class Category:
    """One perceptual category of an agent, where it begins, and its words, the oldest first."""

    edge: float
    words: list[int]
    relevant: int


def talk(
    number: np.ndarray,
    edge: np.ndarray,
    place: np.ndarray,
    word: np.ndarray,
    n_words: np.ndarray,
    relevant: np.ndarray,
    coined: int,
    pairs: np.ndarray,
    shown: np.ndarray,
    guess: np.ndarray,
    begin: int,
    success: np.ndarray,
    *,
    splits: bool = True,
    forgets: bool = True,
) -> tuple[int, int]:
    """As `agents.games.categories.talk`, with lists; without any of the flags not as it should be.

    Categories are kept from left to right here, so that only what is read of them is equal, not where it lies.
    """
    _, room, width = word.shape
    minds = [
        [
            Category(
                float(edge[agent, k]),
                [int(one) for one in word[agent, place[agent, k], : n_words[agent, place[agent, k]]]],
                int(relevant[agent, place[agent, k]]),
            )
            for k in range(number[agent])
        ]
        for agent in range(len(number))
    ]

    def where(mind: list[Category], stimulus: float) -> int:
        return max(k for k, category in enumerate(mind) if category.edge <= stimulus)

    game = begin
    while game < len(pairs):
        speaker, hearer = (minds[agent] for agent in pairs[game])
        topic, other = (float(stimulus) for stimulus in shown[game])
        mine, theirs = where(speaker, topic), hearer[where(hearer, topic)]
        if len(speaker[mine].words) == width or len(theirs.words) == width or len(speaker) == room:
            break
        if splits and mine == where(speaker, other):
            whole = speaker.pop(mine)
            for start in (whole.edge, (topic + other) / 2):
                mine = where(speaker, start) + 1 if any(some.edge <= start for some in speaker) else 0
                speaker.insert(mine, Category(start, [*whole.words, coined], coined))
                coined += 1
        said = speaker[where(speaker, topic)]
        name = said.relevant
        candidates = [x for x in (topic, other) if name in hearer[where(hearer, x)].words]
        pointed = candidates[0 if len(candidates) == 1 or guess[game] < 0.5 else 1] if candidates else None
        success[game] = pointed == topic
        if pointed == topic:
            for side in (said, theirs):
                side.relevant = name
                if forgets:
                    side.words = [name]
        elif name not in theirs.words:
            theirs.words.append(name)
        game += 1

    for agent, mind in enumerate(minds):
        number[agent] = len(mind)
        for k, category in enumerate(mind):
            edge[agent, k], place[agent, k], relevant[agent, k] = category.edge, k, category.relevant
            n_words[agent, k] = len(category.words)
            word[agent, k, : len(category.words)] = category.words
    return game, coined
