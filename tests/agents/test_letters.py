"""Letters: what is written, read and answered is what would have been said face to face."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents import letters
from agents.attribution import Ledger, attribute
from agents.communication import remember_success, talk
from agents.config import SocietyConfig
from agents.letters import Answers, Letters, joined, rounds, taken
from agents.meeting import Experience, Meeting
from agents.perception import perceive
from agents.population import NOTHING, Population, found
from agents.superiority import compare, feel
from agents.world import World, planted

N = 40


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=3, objects=300, features=24, factors=6, probe=40)


def config(**changes: Any) -> SocietyConfig:
    usual: dict[str, Any] = {
        "agents": 2 * N,
        "sensors": 10,
        "memory": 24,
        "vocabulary": 1,
        "exemplars": 6,
        "audience": False,
        "reward_prediction": 0.5,
        "self_attribution": 0.3,
    }
    return SocietyConfig(**(usual | changes))


def people(world: World, life: SocietyConfig, seed: int = 0) -> Population:
    """Two peoples of N agents each, the second after the first; some of their dimensions have names, shared by some."""
    rng = np.random.default_rng(seed)
    population = found(world, life, rng)
    named = population.held & (rng.random(population.kind.shape) < 0.6)
    names = np.argsort(rng.random((len(population), 12)), axis=1)[:, : population.n_slots]
    population.words[:, :, 0] = np.where(named, names, NOTHING)
    population.success[:] = rng.random(len(population))
    population.score[:] = np.where(population.held, rng.random(population.kind.shape), 0)
    return population


def half(population: Population, which: int) -> Population:
    rows = slice(which * N, (which + 1) * N)
    return population.some(rows).copy()


def written(
    people: Population, world: World, life: SocietyConfig, *, share: float = 1.0, seed: int = 1, n_words: int = 50
) -> tuple[Letters, letters.Sent, int]:
    rng = np.random.default_rng(seed)
    post, sent, n_words = letters.write(
        people, world, life, share=share, sizes=(N, N), home=0, n_words=n_words, rng=rng
    )
    assert len(post[0]) == 0
    return post[1], sent, n_words


def one_each(some: Letters) -> Letters:
    """Letters of which nobody has two."""
    return taken(some, np.sort(next(rounds(some.reader))))


class Drawn:
    """Draws in talk what was drawn for letters; nobody has two words to choose from."""

    def __init__(self, world: World, some: Letters) -> None:
        place = {int(thing): k for k, thing in enumerate(world.probe)}
        self.pointed = np.vectorize(place.__getitem__)(some.pointed)

    def random(self, size: int) -> NDArray[np.float64]:
        return np.zeros(size)

    def integers(self, high: int, size: tuple[int, int]) -> NDArray[np.intp]:
        assert size == self.pointed.shape
        return self.pointed


@pytest.mark.parametrize("seed", [0, 1])
def test_both_sides_go_through_what_they_would_face_to_face(world: World, seed: int) -> None:
    life = config(perceive_interval=0)
    whole = people(world, life, seed)
    writers, readers = half(whole, 0), half(whole, 1)
    some, sent, _ = written(writers, world, life)
    some = one_each(some)
    row = sent.row[some.place]
    ledger = Ledger()
    (answers,) = letters.read(readers, world, life, ledger, [some], np.random.default_rng(0))
    understood, late = letters.learn(writers, world, life, ledger, sent, [answers])

    # Those who wrote to somebody who reads something else first have coined words, and nothing more has come of it.
    beside = np.setdiff1d(sent.row, row)
    whole.words[beside] = writers.words[beside]
    meeting = Meeting(speaker=row, hearer=N + some.reader, scene=some.scene, topic=some.topic.astype(np.intp))
    drawn: Any = Drawn(world, some)
    outcome = talk(whole, world, meeting, life, 50, drawn)
    met = Experience.of(meeting, outcome.success, outcome.speaker_slot, outcome.hearer_slot)
    together = Ledger()
    met = attribute(whole, world, compare(whole, world, met, life), life, together)
    feel(whole, met, life)
    remember_success(whole, meeting, outcome)

    assert outcome.success.any()
    assert (~outcome.known).any()
    assert (understood, late) == (outcome.success.sum(), 0)
    assert answers.picked.tolist() == outcome.picked.tolist()
    # Words coined here are numbered among those of all letters, there among those of these pairs.
    there = np.flatnonzero(outcome.word >= 50)
    renamed = dict(zip(outcome.word[there].tolist(), some.word[there].tolist(), strict=True))
    words = np.vectorize(lambda word: renamed.get(int(word), int(word)))
    for which, side in enumerate((writers, readers)):
        for name, column in half(whole, which).columns().items():
            if name == "words":
                column[:, :, 0] = words(column[:, :, 0])
                if which == 0:
                    column[beside] = side.words[beside]
            np.testing.assert_array_equal(getattr(side, name), column, err_msg=name)
    assert ledger.count == together.count
    np.testing.assert_allclose(ledger.squares, together.squares)


def test_both_sides_remember_the_scene(world: World) -> None:
    life = config()
    whole = people(world, life)
    writers, readers = half(whole, 0), half(whole, 1)
    some, sent, _ = written(writers, world, life)
    expected = half(whole, 0)
    rng = np.random.default_rng(1)
    draws_before_the_scene_is_looked_at(rng, world, life)
    perceive(expected, sent.row, scenes_of(some, sent), rng)
    np.testing.assert_array_equal(writers.seen, expected.seen)
    some = one_each(some)
    letters.read(readers, world, life, Ledger(), [some], np.random.default_rng(7))
    expected = half(whole, 1)
    perceive(expected, np.sort(some.reader), some.scene[np.argsort(some.reader)], np.random.default_rng(7))
    np.testing.assert_array_equal(readers.seen, expected.seen)
    assert (readers.n_seen - half(whole, 1).n_seen).sum() == 4 * len(some)


def draws_before_the_scene_is_looked_at(rng: np.random.Generator, world: World, life: SocietyConfig) -> None:
    rng.permutation(N), rng.random(), rng.integers(N, size=N)
    for top in range(len(world.train) - life.candidates, len(world.train)):
        rng.integers(top + 1, size=N)
    rng.integers(life.candidates, size=N), rng.random(N)
    rng.integers(len(world.probe), size=(N, life.common_ground))


def scenes_of(some: Letters, sent: letters.Sent) -> NDArray[np.int32]:
    assert some.place.tolist() == list(range(len(sent)))
    return some.scene


def test_a_letter_holds_what_its_writer_says_to_nobody_in_particular(world: World) -> None:
    life = config()
    writers = half(people(world, life), 0)
    before = writers.copy()
    some, sent, n_words = written(writers, world, life)
    assert len(some) == len(sent) == N
    np.testing.assert_array_equal(some.body, writers.body[sent.row])
    np.testing.assert_array_equal(some.success, writers.success[sent.row])
    np.testing.assert_array_equal(sent.meant, some.scene[np.arange(N), some.topic])
    new = some.word >= 50
    assert n_words == 50 + new.sum() > 50
    assert sorted(some.word[new]) == list(range(50, n_words))
    assert (before.words[sent.row[new], sent.slot[new]] == NOTHING).all()
    np.testing.assert_array_equal(writers.words[sent.row, sent.slot, 0], some.word)
    # Everything is shown, as nobody knows what a stranger knows.
    assert (np.abs(some.shown).max(axis=1) > 0).all()


@given(reader=st.lists(st.integers(0, 5), max_size=30))
def test_everybody_reads_one_at_a_time_and_all_in_order(reader: list[int]) -> None:
    turns = [turn.tolist() for turn in rounds(np.array(reader, dtype=np.int32))]
    assert sorted(place for turn in turns for place in turn) == list(range(len(reader)))
    for turn in turns:
        rows = [reader[k] for k in turn]
        assert rows == sorted(set(rows))
    for row in set(reader):
        read = [k for turn in turns for k in turn if reader[k] == row]
        assert read == sorted(read)


def test_every_letter_is_answered_once_to_whom_it_is_from(world: World) -> None:
    life = config()
    whole = people(world, life)
    some, _, _ = written(half(whole, 0), world, life)
    parts = [taken(some, slice(0, 7)), taken(some, slice(7, 7)), taken(some, slice(7, N))]
    answers = letters.read(half(whole, 1), world, life, Ledger(), parts, np.random.default_rng(0))
    assert [answer.place.tolist() for answer in answers] == [part.place.tolist() for part in parts]
    readers = half(whole, 1)
    for part, answer in zip(parts, answers, strict=True):
        np.testing.assert_array_equal(answer.body, readers.body[part.reader])
        assert (answer.picked < life.candidates).all()


def test_who_reads_two_has_learned_from_the_first(world: World) -> None:
    """The second says the same again, which is known by then."""
    life = config()
    whole = people(world, life)
    some, _, _ = written(half(whole, 0), world, life)
    readers = half(whole, 1)
    (first,) = letters.read(half(whole, 1), world, life, Ledger(), [some], np.random.default_rng(0))
    unknown = int(np.flatnonzero(first.picked < 0)[0])
    same = taken(some, np.array([unknown, unknown]))
    (answers,) = letters.read(readers, world, life, Ledger(), [same], np.random.default_rng(0))
    assert answers.picked[0] == -1
    assert answers.picked[1] >= 0
    assert answers.success[1] < answers.success[0]


def test_answers_to_those_who_are_gone_or_mean_something_else_by_now_come_too_late(world: World) -> None:
    life = config()
    writers = half(people(world, life), 0)
    _, sent, _ = written(writers, world, life)
    row, slot = sent.row, sent.slot
    writers.id[row[0]] += 1000
    writers.born[row[1], slot[1]] += 3
    writers.kind[row[2], slot[2]] = 3 - writers.kind[row[2], slot[2]]
    writers.words[row[3], slot[3]] = 49
    before = writers.copy()
    answers = Answers(
        place=np.arange(N, dtype=np.int32),
        picked=sent.topic,
        body=world.train[:N].astype(np.int32),
        success=np.zeros(N, dtype=np.float32),
    )
    assert letters.learn(writers, world, life, Ledger(), sent, [answers]) == (N - 4, 4)
    np.testing.assert_array_equal(writers.success[row[:4]], before.success[row[:4]])
    np.testing.assert_array_equal(writers.words[row[:4]], before.words[row[:4]])
    assert (writers.success[row[4:]] > before.success[row[4:]]).all()


def test_who_is_understood_keeps_only_that_word(world: World) -> None:
    life = config(vocabulary=3)
    writers = half(people(world, life), 0)
    writers.words[:, :, 1] = np.where(writers.words[:, :, 0] >= 0, 40, NOTHING)
    _, sent, _ = written(writers, world, life)
    picked = sent.topic.copy()
    picked[::2] = -1
    answers = Answers(
        place=np.arange(N, dtype=np.int32),
        picked=picked,
        body=world.train[:N].astype(np.int32),
        success=np.zeros(N, dtype=np.float32),
    )
    before = writers.copy()
    letters.learn(writers, world, life, Ledger(), sent, [answers])
    for k in range(N):
        now = writers.words[sent.row[k], sent.slot[k]].tolist()
        kept = before.words[sent.row[k], sent.slot[k]].tolist()
        assert now == (kept if k % 2 == 0 else [int(sent.word[k]), NOTHING, NOTHING])


def test_a_share_writes_and_to_everybody_elsewhere_alike(world: World) -> None:
    life = config()
    writers = half(people(world, life), 0)
    counts, rows = np.zeros(3), []
    rng = np.random.default_rng(5)
    for _ in range(150):
        post, sent, _ = letters.write(writers, world, life, share=0.26, sizes=(10, N, 30), home=1, n_words=50, rng=rng)
        assert len(sent) in (10, 11)
        assert len(set(sent.row.tolist())) == len(sent)
        for k, some in enumerate(post):
            counts[k] += len(some)
            assert (some.reader < (10, N, 30)[k]).all()
            assert (some.reader >= 0).all()
        rows += sent.row.tolist()
    assert counts[1] == 0
    assert counts.sum() == len(rows)
    assert counts.sum() / 150 == pytest.approx(0.26 * N, abs=0.15)
    assert counts[0] / counts.sum() == pytest.approx(0.25, abs=0.04)
    assert len(set(rows)) == N


def test_who_has_no_dimension_writes_nothing_and_nobody_minds_an_empty_bag(world: World) -> None:
    life = config(exemplars=0)
    writers = found(world, life, np.random.default_rng(0))
    post, sent, n_words = letters.write(
        writers, world, life, share=1.0, sizes=(2 * N, 5), home=0, n_words=9, rng=np.random.default_rng(0)
    )
    assert len(sent) == len(post[1]) == 0
    assert n_words == 9
    before = writers.copy()
    answers = letters.read(writers, world, life, Ledger(), post, np.random.default_rng(0))
    assert [len(answer) for answer in answers] == [0, 0]
    assert letters.learn(writers, world, life, Ledger(), sent, answers) == (0, 0)
    for name, column in before.columns().items():
        np.testing.assert_array_equal(getattr(writers, name), column)


def test_phases_that_are_switched_off_are_off_for_letters(world: World) -> None:
    whole = people(world, config())
    some, _, _ = written(half(whole, 0), world, config())
    for name, columns in (
        ("perceive_interval", ("seen", "n_seen")),
        ("feel_interval", ("score", "contests")),
    ):
        life = config(**{name: 0})
        readers = half(whole, 1)
        letters.read(readers, world, life, Ledger(), [one_each(some)], np.random.default_rng(0))
        turned = (readers.loading != half(whole, 1).loading).any(axis=2)
        for column in columns:
            same = getattr(readers, column) == getattr(half(whole, 1), column)
            assert (same | (turned if same.shape == turned.shape else False)).all()
        assert (readers.success != half(whole, 1).success).any()
    ledger = Ledger()
    letters.read(half(whole, 1), world, config(attribute_interval=0), ledger, [some], np.random.default_rng(0))
    assert ledger.count == 0


def test_bytes_are_those_of_the_arrays(world: World) -> None:
    life = config()
    some, _, _ = written(half(people(world, life), 0), world, life)
    # See docs/scale.md.
    assert some.nbytes == len(some) * (30 + 8 * (life.candidates + life.common_ground))
    (answers,) = letters.read(half(people(world, life), 1), world, life, Ledger(), [some], np.random.default_rng(0))
    assert answers.nbytes == 14 * len(some)


def test_columns_come_apart_and_together_again(world: World) -> None:
    some, _, _ = written(half(people(world, config()), 0), world, config())
    again = joined([taken(some, slice(0, 3)), taken(some, slice(3, 3)), taken(some, np.arange(3, N))])
    for field in dataclasses.fields(Letters):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(some, field.name))
