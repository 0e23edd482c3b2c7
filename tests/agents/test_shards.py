"""One society in several shards: the same whoever lives it, and nothing lost or doubled between shards."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import agents.society
from agents import letters, shard_arrays, shards
from agents.communication import spelled
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.population import NOTHING
from agents.sharded import Here, ShardedSociety, digest, digest_of
from agents.shards import Evening, Post, Shard, Sharding, day, found
from agents.society import Society
from agents.world import World, planted


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=3, objects=400, features=32, factors=8, probe=60)


def config(agents: int = 60, **changes: Any) -> SocietyConfig:
    usual: dict[str, Any] = {
        "sensors": 12,
        "memory": 24,
        "discovery_interval": 5,
        "selection_interval": 4,
        "merge_interval": 0,
    }
    return SocietyConfig(agents=agents, **(usual | changes))


SHARDING = Sharding(shards=4, ticks=5, letters=0.3, merge_days=3)


class Recorded(Here):
    """This process, and a record of the evenings."""

    def __init__(self) -> None:
        self.evenings: list[Evening] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, home: int | None = None) -> Any:
        result = super().submit(work, *args, home=home)
        if isinstance(result, Evening):
            self.evenings.append(result)
        return result


@pytest.fixture(scope="module")
def recorded(world: World) -> tuple[ShardedSociety, list[list[Evening]]]:
    """A society of 62 in four shards after seven days, and its evenings, [days][shards]."""
    place = Recorded()
    society = ShardedSociety(world, config(62), SHARDING, seed=9, place=place)
    society.live(7)
    return society, [place.evenings[k : k + 4] for k in range(0, 28, 4)]


# ---- a day


def test_a_day_leaves_the_shard_as_it_was_and_comes_out_the_same_again(world: World) -> None:
    shard = found(world, config(), SHARDING, 2, 5)
    first = day(shard, [], None, False)
    before = digest_of(first.shard)
    again = [day(first.shard, first.post, None, True) for _ in range(2)]
    assert digest_of(first.shard) == before
    assert digest_of(again[0].shard) == digest_of(again[1].shard) != before
    assert again[0].tally == again[1].tally
    for one, other in zip(again[0].post, again[1].post, strict=True):
        assert digest(vars(one.letters)) == digest(vars(other.letters))
    assert first.shard.society.steps == 5
    assert again[0].shard.society.steps == 10


def test_what_never_changes_is_shared_by_copies_and_nothing_else(world: World) -> None:
    part = found(world, config(), SHARDING, 0, 5).society
    for _ in range(4):
        part.step()
    copied = shards.copied(part)
    assert copied.world is part.world
    assert copied.library is part.library
    assert copied.deaths[0][1] is part.deaths[0][1]
    assert copied.deaths is not part.deaths
    for name, column in part.population.columns().items():
        assert not np.shares_memory(column, getattr(copied.population, name))
    assert copied.rng is not part.rng
    copied.step()
    part.step()
    assert copied.steps == part.steps == 5
    np.testing.assert_array_equal(copied.population.seen, part.population.seen)


def test_a_shard_that_nobody_needs_is_gone_at_once(world: World) -> None:
    first = day(found(world, config(), SHARDING, 0, 5), [], None, False).shard
    gone = [weakref.ref(thing) for thing in (first.society, first.society.population)]
    gc.disable()
    try:
        second = day(first, [], None, False).shard
        del first
        assert [there() for there in gone] == [None, None]
    finally:
        gc.enable()
    assert second.society.steps == 10


def plainly(world: World, life: SocietyConfig, sharding: Sharding, *, seed: int, days: int) -> list[Shard]:
    """The same without the library: shards in any order, letters in boxes."""
    number = sharding.shards
    there = [found(world, life, sharding, k, seed) for k in range(number)]
    boxes: dict[tuple[int, int], Post] = {}
    rng = np.random.default_rng(0)
    for _ in range(days):
        evenings: dict[int, Evening] = {}
        for k in rng.permutation(number).tolist():
            mail = [boxes[sender, k] for sender in range(number)] if boxes else []
            evenings[k] = day(there[k], mail, None, False)
        there = [evenings[k].shard for k in range(number)]
        boxes = {(k, to): evenings[k].post[to] for k in range(number) for to in range(number)}
    return there


def test_it_makes_no_difference_who_lives_first(world: World) -> None:
    sharding = dataclasses.replace(SHARDING, merge_days=0)
    society = ShardedSociety(world, config(), sharding, seed=4)
    society.live(4)
    plain = plainly(world, config(), sharding, seed=4, days=4)
    assert [digest_of(shard) for shard in society.gathered()] == [digest_of(shard) for shard in plain]


def test_the_same_seed_gives_the_same_society_and_another_seed_another(world: World) -> None:
    digests = []
    for seed in (1, 1, 2):
        society = ShardedSociety(world, config(), SHARDING, seed=seed)
        society.live(4)
        digests.append(society.digest())
    assert digests[0] == digests[1] != digests[2]


def test_a_digest_is_of_post_and_word_on_their_way_too(world: World) -> None:
    society = ShardedSociety(world, config(), SHARDING, seed=1)
    society.live(3)
    whole, mail, told = society.digest(), society.mail, society.told
    later = [dataclasses.replace(post, letters=letters.taken(post.letters, slice(1, None))) for post in mail[2]]
    unanswered = [dataclasses.replace(post, answers=None) for post in mail[2]]
    signs = dataclasses.replace(told[1].merge, sign=-told[1].merge.sign)
    for changes in (
        {"mail": [mail[0], mail[1], later, mail[3]]},
        {"mail": [mail[0], mail[1], unanswered, mail[3]]},
        {"mail": [[] for _ in mail]},
        {"told": [told[0], None, *told[2:]]},
        {"told": [told[0], dataclasses.replace(told[1], merge=signs), *told[2:]]},
    ):
        vars(society).update({"mail": mail, "told": told} | changes)
        assert society.digest() != whole
    vars(society).update({"mail": mail, "told": told})
    assert society.digest() == whole


# ---- what passes between shards


def test_every_letter_is_answered_once_on_the_day_after(recorded: tuple[ShardedSociety, list[list[Evening]]]) -> None:
    days = recorded[1]
    for today, tomorrow in itertools.pairwise(days):
        for writer, evening in enumerate(today):
            sent = evening.shard.sent[1]
            assert sent is not None
            places: list[int] = []
            for reader, later in enumerate(tomorrow):
                answers = later.post[writer].answers
                assert answers is not None
                assert answers.place.tolist() == evening.post[reader].letters.place.tolist()
                places += answers.place.tolist()
            assert sorted(places) == list(range(len(sent)))
            assert tomorrow[writer].shard.sent[0] is sent
    for evening in days[0]:
        assert all(post.answers is None for post in evening.post)


def test_nobody_writes_to_its_own_shard_and_everybody_to_somebody(
    recorded: tuple[ShardedSociety, list[list[Evening]]],
) -> None:
    for evenings in recorded[1]:
        for number, evening in enumerate(evenings):
            assert len(evening.post[number].letters) == 0
            assert evening.tally.written == sum(len(post.letters) for post in evening.post)
            for to, post in enumerate(evening.post):
                assert (post.letters.reader < (16, 16, 15, 15)[to]).all()


def test_shares_are_kept_and_days_are_told(world: World) -> None:
    society = ShardedSociety(world, config(), SHARDING, seed=9)
    told = society.live(6)
    assert [one.number for one in told] == [1, 2, 3, 4, 5, 6]
    for one in told:
        # 30% of 15 agents, rounded by chance, in each of four shards.
        assert 16 <= one.letters <= 20
        assert (one.agents, one.ticks) == (60, 5)
        assert one.seconds > 0
        assert (one.view_bytes > 0) == (one.word_bytes > 0) == (one.number % 3 == 0)
        assert one.concepts == (0 if one.number < 3 else len(society.library.rounds[(one.number // 3) - 1].ids))
    assert [one.answered for one in told[1:]] == [one.letters for one in told[:-1]]
    assert told[0].answered == 0
    assert told[1].understood == told[1].late == 0
    assert told[0].letter_bytes == told[0].letters * (30 + 8 * 12)
    assert told[1].letter_bytes == told[1].letters * (30 + 8 * 12) + told[1].answered * 14
    assert told[1].bytes_a_tick == told[1].letter_bytes / 5


def test_ids_and_words_are_of_one_shard_each(recorded: tuple[ShardedSociety, list[list[Evening]]]) -> None:
    society = recorded[0]
    everybody: list[int] = []
    block = 2**31 // 5
    known: set[int] = set()
    for number, shard in enumerate(society.gathered()):
        part = shard.society
        born = [*part.population.id.tolist(), *(i for _, dead in part.deaths for i in dead.id.tolist())]
        assert {i >> 40 for i in born} == {number}
        assert part.counters.deaths > 0
        assert sorted(born) == list(range(number << 40, part.counters.next_id))
        everybody += born
        words = part.population.words
        known |= set(words[words != NOTHING].tolist())
        assert number * block <= part.counters.n_words <= (number + 1) * block
    assert len(set(everybody)) == len(everybody)
    coined = {word // block for word in known}
    assert coined <= {0, 1, 2, 3, 4}
    assert len(coined) > 2
    for word in known:
        owner = word // block
        end = society.n_words if owner == 4 else society.gathered()[owner].society.counters.n_words
        assert word < end
    assert len({spelled(word) for word in known}) == len(known)


def test_the_library_takes_an_even_sample_and_knows_everybody_by_its_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.society, "MERGE_SAMPLE", 22)
    place = Recorded()
    society = ShardedSociety(world, config(), SHARDING, seed=9, place=place)
    society.live(4)
    views = society.library.views
    assert views is not None
    assert np.bincount(views.agent >> 40).tolist() == [6, 6, 5, 5]
    for number, evening in enumerate(place.evenings[8:12]):
        asked = evening.shard.asked
        assert asked is not None
        assert views.agent[views.agent >> 40 == number].tolist() == evening.shard.society.population.id[asked].tolist()
    held = society.library.agent(int(views.agent[-1]))
    assert held
    assert not {meaning.concept for meaning in held} - {*society.library.ids, None}
    # Whether asked or not, all know names of the library's by the morning.
    names = set(society.library.names.values())
    for evening in place.evenings[12:]:
        words = evening.shard.society.population.words
        assert np.isin(words, list(names)).any(axis=(1, 2)).mean() > 0.9
        assert evening.shard.asked is None


@pytest.mark.parametrize("unify", ["gcca", "clustering", "covariance"])
def test_every_way_of_unifying_takes_views_of_several_shards(world: World, unify: Any) -> None:
    society = ShardedSociety(world, config(unify=unify), SHARDING, seed=9)
    society.live(4)
    assert len(society.library) > 2
    for row, holder in enumerate(society.library.membership):
        known = holder[holder >= 0]
        if unify == "clustering":
            assert len(set(known.tolist())) == len(known), row


def test_agents_who_do_not_take_the_librarys_word_are_not_sent_it(world: World) -> None:
    society = ShardedSociety(world, config(library_word=False), SHARDING, seed=9)
    told = society.live(4)
    assert told[2].view_bytes > 0
    assert told[2].word_bytes == 0
    names = [word for word in society.library.names.values() if word >= 4 * (2**31 // 5)]
    for shard in society.gathered():
        assert not np.isin(shard.society.population.words, names).any()
        assert (shard.society.population.concept == NOTHING).all()


# ---- one shard


def test_one_shard_without_merges_lives_as_a_society_does(world: World) -> None:
    society = ShardedSociety(world, config(), Sharding(shards=1, ticks=5, merge_days=0), seed=6)
    told = society.live(4)
    plain = Society(world, config(), seed=shards.seed_of(6, 0))
    for _ in range(20):
        plain.step()
    (shard,) = society.gathered()
    assert shard.society.counters == plain.counters
    for name, column in plain.population.columns().items():
        np.testing.assert_array_equal(getattr(shard.society.population, name), column, err_msg=name)
    assert shard.society.rng.bit_generator.state == plain.rng.bit_generator.state
    assert {one.letters for one in told} == {0}
    assert society.understanding()[1] is None


def test_one_shard_that_merges_is_a_society_but_for_the_numbers_of_words(world: World) -> None:
    society = ShardedSociety(world, config(), Sharding(shards=1, ticks=5, merge_days=2), seed=6)
    society.live(5)
    plain = Society(world, config(merge_interval=10), seed=shards.seed_of(6, 0))
    for _ in range(25):
        plain.step()
    part = society.gathered()[0].society
    assert society.library.ids == plain.library.ids
    for name, column in plain.population.columns().items():
        if name != "words":
            np.testing.assert_array_equal(getattr(part.population, name), column, err_msg=name)
    pairs = set(zip(part.population.words.ravel().tolist(), plain.population.words.ravel().tolist(), strict=True))
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


# ---- conventions


def understood(world: World, *, seed: int, **sharding: Any) -> tuple[float, float]:
    society = ShardedSociety(world, config(120), Sharding(ticks=5, **sharding), seed=seed)
    society.live(9)
    within, between = society.understanding()
    assert between is not None
    return within, between


@pytest.mark.parametrize("seed", [0, 1])
def test_shards_come_to_understand_each_other_by_letters_and_the_library_only(world: World, seed: int) -> None:
    alone = understood(world, seed=seed, letters=0, merge_days=0)
    assert alone[0] > 0.05
    assert alone[1] == 0
    written = understood(world, seed=seed, letters=1.0, merge_days=0)
    assert written[1] > 0.01
    # Of four things guessing finds one, with a standard error of .01 in so many games; a word unknown finds none.
    both = understood(world, seed=seed, letters=0.2, merge_days=4)
    assert both[1] > 0.3
    assert both[1] > both[0] - 0.06


# ---- keeping


def test_a_shard_comes_back_from_arrays(world: World) -> None:
    evenings = [day(found(world, config(), SHARDING, k, 5), [], None, True) for k in range(4)]
    shard = evenings[1].shard
    again = shard_arrays.restored(shard_arrays.state(shard), world, config(), SHARDING, 1)
    assert digest_of(again) == digest_of(shard)
    mail = [evening.post[1] for evening in evenings]
    assert digest_of(day(again, mail, None, False).shard) == digest_of(day(shard, mail, None, False).shard)


# ---- refusals


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    return str(caught.value)


def test_what_cannot_be_dealt_is_refused_in_a_sentence(world: World) -> None:
    def made(life: SocietyConfig, sharding: Sharding, seed: Any = 0) -> Callable[[], object]:
        return lambda: ShardedSociety(world, life, sharding, seed=seed)

    said = refusal(made(config(agents=7), SHARDING))
    assert said == "shards is 4, but 7 agents make at most 3 shards of two; ask for fewer shards or more agents"
    assert refusal(made(config(game="gesture"), SHARDING)).startswith("letters is 0.3, but game is gesture")
    assert "talk_interval is 0" in refusal(made(config(talk_interval=0), SHARDING))
    assert refusal(made(config(sensors=33), SHARDING)).startswith("sensors is 33")
    assert refusal(made(config(), SHARDING, seed=-1)).startswith("seed is -1")
    for changes, begins in (
        ({"shards": 0}, "shards is 0"),
        ({"ticks": 0}, "ticks is 0"),
        ({"letters": 1.5}, "letters is 1.5, but it must be from 0 to 1"),
        ({"merge_days": -1}, "merge_days is -1"),
    ):
        changed: dict[str, Any] = changes
        assert refusal(lambda changed=changed: Sharding(**changed)).startswith(begins)  # type: ignore[misc]
    made(config(agents=8, game="gesture"), dataclasses.replace(SHARDING, letters=0))()


def test_who_runs_out_of_words_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "WORDS", 50)
    society = ShardedSociety(world, config(), SHARDING, seed=0)
    said = refusal(lambda: society.live(5))
    assert said.startswith("shard ")
    assert "words, but of 4 shards and the library each may number 10; ask for fewer shards" in said


def test_all_shards_have_seeds_and_sizes_of_their_own() -> None:
    assert len({shards.seed_of(0, k) for k in range(100)}) == 100
    spawned = np.random.SeedSequence(7).spawn(3)
    assert [shards.seed_of(7, k) for k in range(3)] == [
        int(sequence.generate_state(1, np.uint64)[0]) for sequence in spawned
    ]
    assert SHARDING.sizes(62) == [16, 16, 15, 15]
    assert Sharding(shards=3).words * 4 <= 2**31


def columns(parts: Sequence[Shard], name: str) -> list[NDArray[Any]]:
    return [getattr(part.society.population, name) for part in parts]


def test_shards_are_not_alike(world: World) -> None:
    parts = [found(world, config(), SHARDING, k, 5) for k in range(4)]
    for name in ("body", "seen", "sensor"):
        some = columns(parts, name)
        assert all(not np.array_equal(some[0], other) for other in some[1:])
