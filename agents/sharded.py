"""One society in several shards: who lives days, carries the post between them, and keeps the one library.

Where days are lived is a `Place`: this process, or anything that can be given a function and its arguments and keeps
what comes of it (a Dask cluster: `experiments.on_dask`). Shards stay where they are; what travels is letters, answers,
views of a sample, and the library's word.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents import shard_arrays, shards
from agents.config import SocietyConfig
from agents.consult import new_library, take_in
from agents.errors import InputError
from agents.language import of_doubles
from agents.meeting import Meeting, scenes
from agents.population import Population
from agents.shards import Evening, Post, Shard, Sharding, Tally, Told
from agents.society import BLAS, check_fit
from agents.world import World
from knowledge_graph.library import Library
from knowledge_graph.views import Views

SPEAKERS = 2000
"""Agents, of all shards together, among whose doubles understanding is measured; and games for each figure."""


class Place(Protocol):
    """Where work is done."""

    def submit(self, work: Callable[..., Any], /, *args: Any, home: int | None = None) -> Any:
        """Something that stands for ``work(*args)``; it may be among the arguments, or in a list of them, of more.

        ``home`` is the number of the shard that the work is of, where it is as much work as that is large.
        """

    def gather(self, results: Sequence[Any]) -> list[Any]:
        """What they stand for, once it is there."""

    def keep(self, days: int, society: ShardedSociety) -> None:
        """See to what is needed to go on if some of it is lost, after so many days."""


class Here:
    """This process, where everything is done at once, one shard after the other."""

    def submit(self, work: Callable[..., Any], /, *args: Any, home: int | None = None) -> Any:
        """What ``work`` gives, at once; it is the same at every ``home``."""
        return work(*args)

    def gather(self, results: Sequence[Any]) -> list[Any]:
        """The results, which are here already."""
        return list(results)

    def keep(self, days: int, society: ShardedSociety) -> None:
        """Nothing gets lost here."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Day:
    """What there is to say of a day of the whole society.

    ``letters`` written, ``answered``, and of the answers that came how many were ``understood`` or came too ``late``;
    bytes that letters and answers, views and the library's word have (or would have, in one process) to travel;
    ``success`` of talk within shards in the last tick; ``concepts`` of the library; ``seconds`` it took.
    """

    number: int
    agents: int
    ticks: int
    letters: int
    answered: int
    understood: int
    late: int
    letter_bytes: int
    view_bytes: int
    word_bytes: int
    success: float
    concepts: int
    seconds: float

    @property
    def bytes_a_tick(self) -> float:
        """Bytes of letters, views and word that were sent, for a tick of the day."""
        return (self.letter_bytes + self.view_bytes + self.word_bytes) / self.ticks


class ShardedSociety:
    """A society dealt to shards.

    Parameters
    ----------
    world, config : as of a `Society`; ``config.merge_interval`` does not count, ``sharding.merge_days`` does
    sharding : how it is dealt, and what passes between shards
    seed : int; the same seed gives the same society, bit for bit, wherever it lives
    place : where; by default in this process

    Attributes
    ----------
    shards : what stands for each `Shard` at the place
    library : of all of them
    n_words : one more than the number of the last word that the library has coined
    days : how many have been lived

    Raises
    ------
    InputError
        If the world cannot house it, or it cannot be dealt like this.
    """

    def __init__(
        self, world: World, config: SocietyConfig, sharding: Sharding, *, seed: int, place: Place | None = None
    ) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise InputError(f"seed is {seed!r}, but it must be an int of at least 0")
        check_fit(world, config)
        sharding.check(config)
        self.world, self.config, self.sharding, self.seed = world, config, sharding, seed
        self.place: Place = Here() if place is None else place
        self.library: Library = new_library(world, config)
        self.n_words = sharding.shards * sharding.words
        self.days = 0
        self.there = self.place.submit(itself, world)
        self.shards: list[Any] = [
            self.place.submit(shards.found, self.there, config, sharding, number, seed, home=number)
            for number in range(sharding.shards)
        ]
        self.mail: list[list[Any]] = [[] for _ in range(sharding.shards)]
        """What stands for the post that each shard will find in the morning, from each."""
        self.told: list[Any] = [None] * sharding.shards
        """What stands for what each shard will hear from the library."""

    def live(self, days: int) -> list[Day]:
        """Live so many days, and tell of each.

        Raises
        ------
        InputError
            If there are no more words to be coined.
        """
        return [self.day() for _ in range(days)]

    def day(self) -> Day:
        """Live a day; see `live`."""
        started, submit, number = time.perf_counter(), self.place.submit, self.sharding.shards
        merging = self.sharding.merge_days > 0 and (self.days + 1) % self.sharding.merge_days == 0
        mail: list[list[Any]] = [[] for _ in range(number)]
        views: list[Any] = []
        tallies: list[Any] = []
        for k in range(number):
            evening = submit(shards.day, self.shards[k], self.mail[k], self.told[k], merging, home=k)
            # The shard as it was goes as soon as its day is over, before the next one's begins.
            self.shards[k] = submit(shard_of, evening)
            if self.sharding.correspond:
                for to in range(number):
                    mail[to].append(submit(post_to, evening, to))
            if merging:
                views.append(submit(views_in, evening))
            tallies.append(submit(tally_of, evening))
            del evening
        self.mail = mail
        self.days += 1
        told: list[Tally] = self.place.gather(tallies)
        view_bytes, word_bytes = self._merge(self.place.gather(views))
        self.place.keep(self.days, self)
        return Day(
            number=self.days,
            agents=sum(some.agents for some in told),
            ticks=self.sharding.ticks,
            letters=sum(some.written for some in told),
            answered=sum(some.answered for some in told),
            understood=sum(some.understood for some in told),
            late=sum(some.late for some in told),
            letter_bytes=sum(some.nbytes for some in told),
            view_bytes=view_bytes,
            word_bytes=word_bytes,
            success=float(np.average([some.success for some in told], weights=[some.agents for some in told])),
            concepts=len(self.library),
            seconds=time.perf_counter() - started,
        )

    def _merge(self, views: Sequence[Views]) -> tuple[int, int]:
        """The library takes in what came, if anything, and has its word sent; bytes of the one and the other."""
        self.told = [None] * self.sharding.shards
        if not views:
            return 0, 0
        with BLAS.limit(limits=1, user_api="blas"):
            step = self.days * self.sharding.ticks
            merge = take_in(self.library, together(views), step=step, n_words=self.n_words)
        self.n_words = merge.n_words
        own = merge.n_words - self.sharding.shards * self.sharding.words
        shards.check_words(own, self.sharding, "the library")
        told: list[Told] = []
        if self.config.library_word:
            word = self.library.word(n_words=merge.n_words)
            ends = np.cumsum([len(some) for some in views])
            told = [
                Told(word=word, merge=merge.take(slice(end - len(some), end)))
                for some, end in zip(views, ends, strict=True)
            ]
            self.told = [self.place.submit(itself, some) for some in told]
        return sum(nbytes(some) for some in views), sum(some.nbytes for some in told)

    def gathered(self) -> list[Shard]:
        """All shards, brought here."""
        return self.place.gather(self.shards)

    def digest(self) -> str:
        """SHA-256 of all there is.

        Columns, generators, counters, ledgers and letters of shards, the post and the word on their way, the library.
        """
        submit = self.place.submit
        asked = [submit(digest_of, shard) for shard in self.shards]
        asked += [submit(digest_of_mail, mail) for mail in self.mail]
        asked += [submit(digest_of_told, told) for told in self.told]
        parts = self.place.gather(asked)
        return hashlib.sha256("".join([*parts, digest(self.library.state())]).encode()).hexdigest()

    def understanding(self) -> tuple[float, float | None]:
        """Shares of talk understood, between two agents of one shard and of two (None where there is one).

        Of random pairs of a sample, whose doubles talk, so that nobody learns from it.
        """
        each = max(SPEAKERS // self.sharding.shards, 2)
        some = self.place.gather([self.place.submit(sample_of, shard, each) for shard in self.shards])
        return understood(self.world, self.config, some, np.random.default_rng([self.seed, self.days]))


def understood(
    world: World, config: SocietyConfig, samples: Sequence[Population], rng: np.random.Generator
) -> tuple[float, float | None]:
    """`ShardedSociety.understanding`, of the agents of each shard that are to be asked."""
    names = samples[0].columns()
    people = Population(**{name: np.concatenate([some.columns()[name] for some in samples]) for name in names})
    of = np.repeat(np.arange(len(samples)), [len(some) for some in samples])
    sizes = np.bincount(of)
    starts = sizes.cumsum() - sizes
    found: list[float | None] = []
    for within in (True, False):
        speaker = rng.integers(len(people), size=SPEAKERS)
        size, start = sizes[of[speaker]], starts[of[speaker]]
        # The shard first, then who of it; among their own, not themselves.
        if within:
            hearer = start + (speaker - start + 1 + rng.integers(size - 1)) % size
        elif len(samples) == 1:
            found.append(None)
            break
        else:
            hearer = (start + size + rng.integers(len(people) - size)) % len(people)
        scene = scenes(world.train, SPEAKERS, config.candidates, rng)
        topic = rng.integers(config.candidates, size=SPEAKERS)
        meeting = Meeting(speaker=speaker, hearer=hearer, scene=scene, topic=topic)
        with BLAS.limit(limits=1, user_api="blas"):
            found.append(float(of_doubles(people, world, config, meeting, rng).success.mean()))
    assert found[0] is not None
    return found[0], found[1]


def together(views: Sequence[Views]) -> Views:
    """The views of all shards, in their order."""
    whole: dict[str, Any] = {
        field.name: np.concatenate([getattr(some, field.name) for some in views]) for field in dataclasses.fields(Views)
    }
    return Views(**whole)


def nbytes(views: Views) -> int:
    """Bytes of all that views are."""
    return sum(array.nbytes for array in vars(views).values() if array is not None)


# ---- what is done where the shards are


def itself(thing: Any) -> Any:
    """What is sent, so that it is there."""
    return thing


def shard_of(evening: Evening) -> Shard:
    """The shard as it is in the evening."""
    return evening.shard


def post_to(evening: Evening, number: int) -> Post:
    """What it has written to shard ``number``."""
    return evening.post[number]


def views_in(evening: Evening) -> Views:
    """The views that it hands to the library; only where there is a merge."""
    assert evening.views is not None
    return evening.views


def tally_of(evening: Evening) -> Tally:
    """What was counted that day."""
    return evening.tally


def sample_of(shard: Shard, number: int) -> Population:
    """So many random agents of a shard, copied; what is drawn hangs on nothing but the seed and the day."""
    people = shard.society.population
    rng = np.random.default_rng([shard.society.seed, shard.society.steps])
    rows = np.sort(rng.permutation(len(people))[:number])
    return people.some(rows)


def digest_of(shard: Shard) -> str:
    """A digest of all that a shard is made of."""
    return digest(shard_arrays.state(shard))


def digest_of_mail(mail: Sequence[Post]) -> str:
    """A digest of the letters and answers that are on their way to a shard."""
    return digest(shard_arrays.mail_state(mail))


def digest_of_told(told: Told | None) -> str:
    """A digest of the library's word on its way to a shard."""
    return digest(shard_arrays.told_state(told))


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of arrays and their names."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return found.hexdigest()
