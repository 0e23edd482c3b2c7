"""Letters: talk between agents who are not in one place, in two halves with a day or more between them.

A letter is what a speaker says to a stranger (`agents.communication.say` to nobody in particular): a scene and what is
meant in it, a word, a gesture, and a demonstration, since nobody knows what a stranger knows. The reader hears it as if
the speaker stood there, and answers what it picked. With the answer the writer learns whether it was understood. Each
side then compares, attributes, feels and remembers, as in a meeting whose partner is not of the population
(`agents.meeting.Strangers`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.attribution import Ledger, attribute
from agents.communication import Said, coin, get_used, hear, keep_only, say
from agents.config import SocietyConfig
from agents.meeting import Experience, Meeting, Strangers, scenes
from agents.perception import perceive
from agents.population import NOTHING, Population
from agents.superiority import compare, feel
from agents.world import World


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Arrays of one length, a row for each letter or answer."""

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, which is what travels."""
        return sum(column.nbytes for column in vars(self).values())

    def __sizeof__(self) -> int:
        return self.nbytes


SomeColumns = TypeVar("SomeColumns", bound=Columns)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Letters(Columns):
    """L letters from one shard to another; of C objects in a scene, and G of the common ground.

    Attributes
    ----------
    reader : int32 [L], the row it is addressed to
    place : int32 [L], its number among those that its writers wrote that day
    scene, pointed : int32 [L, C] and [L, G], the objects it is about, and others that are shown
    topic : int16 [L], which of the scene is meant
    word, gesture, shown : int32 [L], float64 [L], float32 [L, C + G], as in `agents.communication.Said`
    body, success : int32 [L], float32 [L], the object that the writer is, and how well it is usually understood
    """

    reader: NDArray[np.int32]
    place: NDArray[np.int32]
    scene: NDArray[np.int32]
    pointed: NDArray[np.int32]
    topic: NDArray[np.int16]
    word: NDArray[np.int32]
    gesture: NDArray[np.float64]
    shown: NDArray[np.float32]
    body: NDArray[np.int32]
    success: NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers(Columns):
    """What came of letters, for those who wrote them.

    ``place`` int32 [L], the letter's number; ``picked`` int16 [L], the place in the scene, -1 where the word was not
    known; ``body`` int32 [L] and ``success`` float32 [L] of the reader.
    """

    place: NDArray[np.int32]
    picked: NDArray[np.int16]
    body: NDArray[np.int32]
    success: NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sent(Columns):
    """What is kept of the letters of a day until they are answered, [L] each, in the order they were written.

    The writer's ``row`` and ``id``; the dimension's ``slot``, and when and of what ``kind`` it had ``born``; the
    ``word`` said, the object ``meant``, and its ``topic``, the place in the scene.
    """

    row: NDArray[np.intp]
    id: NDArray[np.int64]
    slot: NDArray[np.intp]
    born: NDArray[np.int32]
    kind: NDArray[np.int8]
    word: NDArray[np.int32]
    meant: NDArray[np.int32]
    topic: NDArray[np.int16]


def write(
    population: Population,
    world: World,
    config: SocietyConfig,
    *,
    share: float,
    sizes: Sequence[int],
    home: int,
    n_words: int,
    rng: np.random.Generator,
) -> tuple[list[Letters], Sent, int]:
    """A random share of the agents write a letter each, to a random agent of another shard.

    Parameters
    ----------
    share : of the agents, rounded by chance; who has no dimension has nothing to write
    sizes : the number of agents in each shard, of which this one is number ``home``
    n_words : how many words there are; new ones are numbered from here

    Returns
    -------
    the letters to each shard (none to this one), what is kept of them, and how many words there are now
    """
    n, abroad = len(population), np.array([0 if k == home else size for k, size in enumerate(sizes)])
    writers = np.sort(rng.permutation(n)[: min(int(share * n + rng.random()), n)])
    writers = writers[population.held[writers].any(axis=1)]
    # Evenly among all who live elsewhere.
    address = rng.integers(max(abroad.sum(), 1), size=len(writers))
    ends = abroad.cumsum()
    shard = np.searchsorted(ends, address, side="right")
    reader = address - (ends - abroad)[np.minimum(shard, len(sizes) - 1)]
    scene = scenes(world.train, len(writers), config.candidates, rng)
    topic = rng.integers(config.candidates, size=len(writers))
    choice = rng.random(len(writers))
    pointed = world.probe[rng.integers(len(world.probe), size=(len(writers), config.common_ground))]

    if config.perceive_interval:
        perceive(population, writers, scene, rng)
    nobody = np.full(len(writers), NOTHING)
    meeting = Meeting(speaker=writers, hearer=nobody, scene=scene, topic=topic)
    said = say(population, world, meeting, pointed, choice, audience=False)
    word, n_words = coin(population, writers, said, n_words)
    sent = Sent(
        row=writers,
        id=population.id[writers],
        slot=said.slot,
        born=population.born[writers, said.slot],
        kind=population.kind[writers, said.slot],
        word=word,
        meant=scene[np.arange(len(writers)), topic],
        topic=topic.astype(np.int16),
    )
    whole = Letters(
        reader=reader.astype(np.int32),
        place=np.arange(len(writers), dtype=np.int32),
        scene=scene,
        pointed=pointed,
        topic=sent.topic,
        word=word,
        gesture=said.gesture,
        shown=said.shown,
        body=population.body[writers],
        success=population.success[writers],
    )
    return [taken(whole, np.flatnonzero(shard == k)) for k in range(len(sizes))], sent, n_words


def read(
    population: Population,
    world: World,
    config: SocietyConfig,
    ledger: Ledger,
    mail: Sequence[Letters],
    rng: np.random.Generator,
) -> list[Answers]:
    """Read the letters from each shard, and answer every one of them.

    Who has several reads one after the other, in the order of the shards and of the writing. Nobody can attend to two
    at a time, and the kernels rely on that; so first everybody reads its first, then those who have more their second.
    """
    letters = joined(mail)
    picked = np.empty(len(letters), dtype=np.int16)
    success = np.empty(len(letters), dtype=np.float32)
    for these in rounds(letters.reader):
        some = taken(letters, these)
        rows = some.reader.astype(np.intp)
        if config.perceive_interval:
            perceive(population, rows, some.scene, rng)
        success[these] = population.success[rows]
        topic = some.topic.astype(np.intp)
        meeting = Meeting(speaker=np.full(len(rows), NOTHING), hearer=rows, scene=some.scene, topic=topic)
        said = Said(slot=np.zeros(len(rows), dtype=np.intp), word=some.word, gesture=some.gesture, shown=some.shown)
        meaning, place = hear(population, world, meeting, some.pointed, said)
        picked[these] = place
        _go_through(
            population,
            world,
            config,
            ledger,
            rows=rows,
            slots=meaning,
            meant=some.scene[np.arange(len(rows)), topic],
            won=place == topic,
            strangers=Strangers(body=some.body, success=some.success),
        )
    whole = Answers(place=letters.place, picked=picked, body=population.body[letters.reader], success=success)
    ends = np.cumsum([len(part) for part in mail])
    return [taken(whole, slice(end - len(part), end)) for part, end in zip(mail, ends, strict=True)]


def learn(
    population: Population,
    world: World,
    config: SocietyConfig,
    ledger: Ledger,
    sent: Sent,
    mail: Sequence[Answers],
) -> tuple[int, int]:
    """Writers take in the answers from each shard; returns how many were understood, and how many came too late.

    Too late is an answer to somebody who has died since, or has lost the dimension or the word that the letter was of.
    """
    answers = joined(mail)
    letters = taken(sent, answers.place.astype(np.intp))
    alive = population.id[letters.row] == letters.id
    same = (population.born[letters.row, letters.slot] == letters.born) & (
        population.kind[letters.row, letters.slot] == letters.kind
    )
    said = (population.words[letters.row, letters.slot] == letters.word[:, None]).any(axis=1)
    there = np.flatnonzero(alive & same & said)
    there = there[np.argsort(letters.row[there])]
    letters, answers = taken(letters, there), taken(answers, there)
    won = answers.picked == letters.topic
    keep_only(population, letters.row[won], letters.slot[won], letters.word[won])
    _go_through(
        population,
        world,
        config,
        ledger,
        rows=letters.row,
        slots=letters.slot,
        meant=letters.meant,
        won=won,
        strangers=Strangers(body=answers.body, success=answers.success),
    )
    return int(won.sum()), int(sum(len(part) for part in mail) - len(there))


def _go_through(
    population: Population,
    world: World,
    config: SocietyConfig,
    ledger: Ledger,
    *,
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    meant: NDArray[np.int32],
    won: NDArray[np.bool_],
    strangers: Strangers,
) -> None:
    """What one side of a conversation with strangers goes through after it; phases that are switched off are left out.

    Their intervals count ticks, and letters are not of any tick.
    """
    used = np.flatnonzero(slots >= 0)
    experience = Experience(
        rows=rows[used],
        slots=slots[used],
        partners=np.full(len(used), NOTHING),
        topic=meant[used],
        outcomes={"talk": won[used].astype(np.float64)},
        strangers=Strangers(body=strangers.body[used], success=strangers.success[used]),
    )
    if config.compare_interval:
        experience = compare(population, world, experience, config)
    if config.attribute_interval:
        experience = attribute(population, world, experience, config, ledger)
    if config.feel_interval:
        feel(population, experience, config)
    get_used(population, rows, slots, won)


def rounds(reader: NDArray[np.integer]) -> Iterator[NDArray[np.intp]]:
    """The places of first letters, of second ones and so on, each in the order of the rows ``reader [L]``."""
    order = np.argsort(reader, kind="stable")
    rows = reader[order]
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    turn = np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
    for number in range(int(turn.max(initial=-1)) + 1):
        yield order[turn == number]


def taken(columns: SomeColumns, rows: NDArray[np.intp] | slice) -> SomeColumns:
    """Some of the rows, copied, so that nothing else is kept alive."""
    part: dict[str, Any] = {name: np.array(column[rows]) for name, column in vars(columns).items()}
    return type(columns)(**part)


def joined(parts: Sequence[SomeColumns]) -> SomeColumns:
    """All rows of at least one part, in order."""
    whole: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])}
    return type(parts[0])(**whole)
