"""Shards: a part of a society that lives by itself for a day, and the day as a pure function.

The rows of a society are dealt to a number of shards, which is part of its configuration like its size. A shard is a
`Society` with a generator of its own; it lives a day of so many ticks within, and what is for others leaves it in the
evening: letters, answers, and views for the library. All of it arrives the next morning. So a life is a row of days
between which messages are exchanged (bulk-synchronous: Valiant 1990), each a function of the shard and its mail alone,
and it makes no difference who works it out, where, when, or how often.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents import letters, society
from agents.config import SocietyConfig
from agents.consult import hear_the_library, sampled, views_of
from agents.errors import InputError
from agents.letters import Answers, Letters, Sent
from agents.society import BLAS, Society
from agents.world import World
from knowledge_graph.views import Views
from knowledge_graph.word import Merge, Word

IDS = 2**40
"""Ids that a shard may give: one of a million agents, 5% of whom are replaced every 10 ticks, lasts 2 x 10^8 ticks."""

WORDS = 2**31
"""Words that int32 can number. Each shard, and the library, may coin an equal part of them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sharding:
    """How a society is dealt to shards, and what passes between them: all of it part of what kind of society it is."""

    shards: int = 4
    """Parts of the society; not the number of workers, on which nothing hangs."""
    ticks: int = 10
    """Of a day, which shards live by themselves."""
    letters: float = 0.05
    """Share of the agents who write to somebody of another shard in the evening; 0 is no letters."""
    merge_days: int = 5
    """Days from one merge of all shards' views to the next; 0 is never."""

    def __post_init__(self) -> None:
        for name, least in (("shards", 1), ("ticks", 1), ("merge_days", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}, but it must be at least {least}")
        if not 0 <= self.letters <= 1:
            raise InputError(f"letters is {self.letters}, but it must be from 0 to 1")

    @property
    def words(self) -> int:
        """How many words each shard may coin."""
        return WORDS // (self.shards + 1)

    @property
    def correspond(self) -> bool:
        """Whether there are letters, and anybody to write to."""
        return self.letters > 0 and self.shards > 1

    def check(self, config: SocietyConfig) -> None:
        """Refuse a society that cannot be dealt like this.

        Raises
        ------
        InputError
            If a shard would have fewer than two agents, or its agents have no words to write.
        """
        if config.agents < 2 * self.shards:
            raise InputError(
                f"shards is {self.shards}, but {config.agents} agents make at most {config.agents // 2} shards of two; "
                "ask for fewer shards or more agents"
            )
        if self.correspond and (config.game != "language" or not config.talk_interval):
            without = "talk_interval is 0" if config.game == "language" else f"game is {config.game}"
            raise InputError(
                f"letters is {self.letters}, but {without}, and who says no words writes none; give letters 0"
            )

    def sizes(self, agents: int) -> list[int]:
        """Agents in each shard, even up to one."""
        return shared_out(agents, self.shards)

    def sample(self, agents: int) -> list[int]:
        """Of how many agents of each shard views are merged."""
        return shared_out(min(agents, society.MERGE_SAMPLE), self.shards)


class Part(Society):
    """A society of which nothing is left as soon as nobody needs it.

    Mesa binds `step` to each model, which so refers to itself, and stays in memory until Python looks for such things:
    with a copy for every day, that would be several times what is needed.
    """

    def __init__(self, world: World, config: SocietyConfig, *, seed: int) -> None:
        super().__init__(world, config, seed=seed)
        del self.step, self._user_step

    def step(self) -> None:
        """One tick, counted here instead."""
        self.steps += 1
        super().step()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One part of a society in the evening.

    Attributes
    ----------
    number, of : which shard it is, and of what sharding
    sizes : the number of agents in each shard
    society : its agents, who live in steps of their own; merges are not its own, and its library stays empty
    sent : the letters written the evening before, and those of this evening, each until they are answered
    asked : int [n], the rows whose views were sent to the library this evening; None where they were not
    """

    number: int
    of: Sharding
    sizes: tuple[int, ...]
    society: Society
    sent: tuple[Sent | None, Sent | None] = (None, None)
    asked: NDArray[np.intp] | None = None

    def __sizeof__(self) -> int:
        # For those who weigh whether to bring a shard to the work or the work to the shard.
        return sum(column.nbytes for column in self.society.population.columns().values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Post:
    """What goes from one shard to another overnight: new letters, and answers to those of the day before."""

    letters: Letters
    answers: Answers | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of letters and answers."""
        return self.letters.nbytes + (0 if self.answers is None else self.answers.nbytes)

    def __sizeof__(self) -> int:
        return self.nbytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What comes from the library overnight: its word, and what it made of the views that the shard had sent."""

    word: Word
    merge: Merge

    @property
    def nbytes(self) -> int:
        """Bytes of the library's word and of what it says of the views merged."""
        return self.word.nbytes + self.merge.concept.nbytes + self.merge.sign.nbytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tally:
    """What there is to say of a shard's day.

    ``written`` letters of this evening; ``answered`` those read this morning; of the answers that came, ``understood``
    ones, and those that came too ``late``; ``nbytes`` of letters and answers sent; ``n_words`` coined so far;
    ``success`` of talk within the shard in the last tick (nan where there was none).
    """

    agents: int
    written: int
    answered: int
    understood: int
    late: int
    nbytes: int
    n_words: int
    success: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evening:
    """What a day leaves: the shard, post for each shard (none without letters), views for the library if due."""

    shard: Shard
    post: tuple[Post, ...]
    views: Views | None
    tally: Tally

    def __sizeof__(self) -> int:
        return self.shard.__sizeof__()


def found(world: World, config: SocietyConfig, sharding: Sharding, number: int, seed: int) -> Shard:
    """The first generation of a shard: a part of a society of ``config.agents``, whose seed is ``seed``."""
    sizes = sharding.sizes(config.agents)
    part = Part(world, config_of(config, sharding, number), seed=seed_of(seed, number))
    part.population.id += number * IDS
    part.counters.next_id += number * IDS
    part.counters.n_words = number * sharding.words
    return Shard(number=number, of=sharding, sizes=tuple(sizes), society=part)


def config_of(config: SocietyConfig, sharding: Sharding, number: int) -> SocietyConfig:
    """How a shard of a society lives: as that does, but for its size, and that it does not merge by itself."""
    return dataclasses.replace(config, agents=sharding.sizes(config.agents)[number], merge_interval=0)


def seed_of(seed: int, number: int) -> int:
    """The seed of a shard, spawned from that of the society; more shards begin with the same ones."""
    return int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)[0])


def day(shard: Shard, mail: Sequence[Post], told: Told | None, merging: bool) -> Evening:
    """A day in a shard: the morning's mail, ticks within, the evening's letters. The shard given is left as it was.

    Parameters
    ----------
    mail : from each shard, in their order; empty without letters
    told : the library's word, if there was a merge the evening before
    merging : whether views are to be sent to the library in the evening

    Raises
    ------
    InputError
        If there are no more words to be coined.
    """
    with BLAS.limit(limits=1, user_api="blas"):
        return _day(copied(shard.society), shard, mail, told, merging)


def _day(part: Society, shard: Shard, mail: Sequence[Post], told: Told | None, merging: bool) -> Evening:
    population, world, config, ledger = part.population, part.world, part.config, part.ledger
    if told is not None and shard.asked is not None:
        hear_the_library(population, world, shard.asked, told.merge, told.word, at_once=society.MERGE_SAMPLE)
    understood = late = answered = 0
    answers: Sequence[Answers | None] = [None] * len(shard.sizes)
    if mail:
        before, returned = shard.sent[0], [post.answers for post in mail if post.answers is not None]
        if before is not None and returned:
            understood, late = letters.learn(population, world, config, ledger, before, returned)
        answers = letters.read(population, world, config, ledger, [post.letters for post in mail], part.rng)
        answered = sum(len(post.letters) for post in mail)

    for _ in range(shard.of.ticks):
        part.step()

    post: tuple[Post, ...] = ()
    sent: Sent | None = None
    if shard.of.correspond:
        wrote, sent, part.counters.n_words = letters.write(
            population,
            world,
            config,
            share=shard.of.letters,
            sizes=shard.sizes,
            home=shard.number,
            n_words=part.counters.n_words,
            rng=part.rng,
        )
        post = tuple(Post(letters=some, answers=to) for some, to in zip(wrote, answers, strict=True))
    coined = part.counters.n_words - shard.number * shard.of.words
    check_words(coined, shard.of, f"shard {shard.number}")
    asked = None
    if merging:
        n = shard.of.sample(sum(shard.sizes))[shard.number]
        asked = sampled(len(population), n, part.rng)
    success = np.concatenate([talk.success for talk in part.talks]) if part.talks else np.zeros(0)
    return Evening(
        shard=dataclasses.replace(shard, society=part, sent=(shard.sent[1], sent), asked=asked),
        post=post,
        views=None if asked is None else views_of(population, world, asked),
        tally=Tally(
            agents=len(population),
            written=0 if sent is None else len(sent),
            answered=answered,
            understood=understood,
            late=late,
            nbytes=sum(some.nbytes for some in post),
            n_words=coined,
            success=float(success.mean()) if len(success) else float("nan"),
        ),
    )


def check_words(coined: int, sharding: Sharding, who: str) -> None:
    """Refuse to go on where somebody has coined more words than are its own."""
    if coined > sharding.words:
        raise InputError(
            f"{who} has coined {coined:,} words, but of {sharding.shards} shards and the library each may number "
            f"{sharding.words:,}; ask for fewer shards"
        )


def copied(part: Society) -> Society:
    """A society that lives on by itself; what neither ever changes is shared."""
    same = (part.world, part.config, part.library, *(dead for _, dead in part.deaths))
    memo: dict[int, Any] = {id(thing): thing for thing in same}
    # What was said in the last tick is of no use to the next.
    memo[id(part.talks)] = []
    return copy.deepcopy(part, memo)


def shared_out(whole: int, parts: int) -> list[int]:
    """A number as the sum of so many, even up to one, the larger ones first."""
    return [whole // parts + (k < whole % parts) for k in range(parts)]
