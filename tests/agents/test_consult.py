"""Phase 9: what agents tell the library, and what they take from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agents.consult
import agents.society
from agents.communication import talk
from agents.config import SocietyConfig
from agents.consult import N_SOURCES, experience_of, take_the_librarys_word, views_of
from agents.errors import InputError
from agents.meeting import meet
from agents.perception import levels
from agents.population import ABSTRACT, NOTHING, Population, found
from agents.society import Society
from agents.world import World, planted
from knowledge_graph.word import Merge


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=13, objects=800, features=48, factors=8, probe=100)


def people(world: World, rng: np.random.Generator, *, agents: int = 12) -> Population:
    """Agents with words, feelings and a gap in their views; no word is with two dimensions of one agent."""
    config = SocietyConfig(agents=agents, sensors=10, memory=12, exemplars=6, vocabulary=3)
    population = found(world, config, rng)
    rows = np.arange(agents)
    population.clear(rows, rng.integers(6, size=agents))
    held = population.held
    for row in range(agents):
        words = rng.permutation(40)[: 3 * 8].reshape(8, 3)
        sizes = rng.integers(4, size=8)
        kept = held[row][:, None] & (np.arange(3) < sizes[:, None])
        population.words[row] = np.where(kept, words, NOTHING)
    population.score[:] = np.where(held, rng.random(held.shape), 0)
    population.contests[:] = np.where(held, rng.integers(1, 30, held.shape), 0)
    return population


def told(population: Population, rng: np.random.Generator, *, n_concepts: int = 7) -> Merge:
    """A merge in which each agent has some of the concepts, each once, in either direction."""
    concept = np.full(population.kind.shape, NOTHING, dtype=np.int32)
    for row in range(len(population)):
        slots = rng.permutation(np.flatnonzero(population.held[row]))[:n_concepts]
        slots = slots[: rng.integers(len(slots) + 1)]
        concept[row, slots] = rng.permutation(n_concepts)[: len(slots)]
    sign = np.where((concept >= 0) & (rng.random(concept.shape) < 0.5), -1, 1).astype(np.float32)
    return Merge(concept=concept, sign=sign, word=rng.permutation(50)[:n_concepts].astype(np.int32), n_words=50)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n_concepts=st.integers(0, 7))
def test_agents_take_the_librarys_names_and_directions_and_nothing_else(
    world: World, seed: int, n_concepts: int
) -> None:
    rng = np.random.default_rng(seed)
    population = people(world, rng)
    merge = told(population, rng, n_concepts=n_concepts)
    before = population.copy()
    take_the_librarys_word(population, np.arange(12), merge)
    names = set(merge.word.tolist())
    for row in range(12):
        esteem = before.self_esteem(np.array([row]))[0]
        for slot in range(8):
            old = [int(word) for word in before.words[row, slot] if word != NOTHING]
            if merge.concept[row, slot] >= 0:
                words = [int(merge.word[merge.concept[row, slot]])]
            else:
                words = [word for word in old if word not in names]
            assert population.words[row, slot].tolist() == words + [NOTHING] * (3 - len(words))
            turned = merge.sign[row, slot] < 0
            direction = np.float32(-1 if turned else 1)
            assert np.array_equal(population.loading[row, slot], direction * before.loading[row, slot])
            assert population.score[row, slot] == (esteem if turned else before.score[row, slot])
            assert population.contests[row, slot] == (0 if turned else before.contests[row, slot])
    assert np.array_equal(population.concept, merge.concept)
    for name in set(before.columns()) - {"words", "loading", "score", "contests", "concept"}:
        assert np.array_equal(getattr(population, name), getattr(before, name)), name


def test_after_taking_the_librarys_word_a_name_means_one_concept_to_everybody(world: World) -> None:
    rng = np.random.default_rng(90)
    population = people(world, rng, agents=40)
    merge = told(population, rng)
    take_the_librarys_word(population, np.arange(40), merge)
    for concept, word in enumerate(merge.word):
        named = (population.words == word).any(axis=2)
        assert np.array_equal(named, merge.concept == concept)


def test_only_those_who_are_asked_change(world: World) -> None:
    rng = np.random.default_rng(91)
    population = people(world, rng)
    merge = told(population, rng)
    rows = np.array([9, 2, 5])
    before = population.copy()
    part = Merge(concept=merge.concept[rows], sign=merge.sign[rows], word=merge.word, n_words=50)
    take_the_librarys_word(population, rows, part)
    others = np.setdiff1d(np.arange(12), rows)
    for name, column in population.columns().items():
        assert np.array_equal(column[others], getattr(before, name)[others]), name
    whole = before.copy()
    take_the_librarys_word(whole, np.arange(12), merge)
    for name, column in population.columns().items():
        assert np.array_equal(column[rows], getattr(whole, name)[rows]), name


def test_views_are_levels_on_the_probe_and_where_dimensions_come_from(world: World) -> None:
    population = people(world, np.random.default_rng(92), agents=300)
    rows = np.random.default_rng(93).permutation(300)[:270]
    views = views_of(population, world, rows)
    assert len(views) == 270
    assert views.agent.tolist() == population.id[rows].tolist()
    for at in (0, 100, 269):
        row = rows[[at]]
        np.testing.assert_allclose(views.levels[at], levels(population, world, row, world.probe[None])[0], atol=1e-5)
    for name in ("held", "sensor", "loading", "words", "kind", "born", "score"):
        assert np.array_equal(getattr(views, name), getattr(population, name)[rows]), name


def test_a_raw_dimension_comes_from_its_exemplar_and_an_abstract_one_from_what_stands_out_in_memory(
    world: World,
) -> None:
    population = people(world, np.random.default_rng(95), agents=40)
    rows = np.arange(40)
    population.kind[:, 3] = np.where(population.held[:, 3], ABSTRACT, population.kind[:, 3])
    population.exemplar[:, 3] = NOTHING
    _, _, sources = experience_of(population, world, rows)
    assert sources.shape == (40, population.n_slots, N_SOURCES)
    for row in range(40):
        memory = np.unique(population.seen[row][population.seen[row] >= 0])
        stands = np.abs(levels(population, world, np.array([row]), memory[None].astype(np.int32))[0])
        for slot in range(population.n_slots):
            named = sources[row, slot][sources[row, slot] >= 0]
            if population.kind[row, slot] == ABSTRACT:
                assert len(named) == min(N_SOURCES, len(memory))
                least = stands[np.isin(memory, named), slot].min()
                assert (stands[~np.isin(memory, named), slot] <= least + 1e-6).all()
            else:
                assert named.tolist() == [e for e in [population.exemplar[row, slot]] if e >= 0]


def society_of(world: World, **changes: Any) -> Society:
    life: dict[str, Any] = {"agents": 80, "sensors": 16, "memory": 128, "childhood": 128, "merge_interval": 0}
    return Society(world, SocietyConfig(**(life | changes)), seed=94)


def success_of(society: Society, rounds: int = 20) -> float:
    """How often agents as they are now understand each other, without getting better at it."""
    rng = np.random.default_rng(95)
    config, world = society.config, society.world
    won = []
    for _ in range(rounds):
        meeting = meet(len(society.population), world.train, config.candidates, rng)
        won.append(
            talk(society.population.copy(), world, meeting, config, society.counters.n_words, rng).success.mean()
        )
    return float(np.mean(won))


def test_agents_understand_each_other_better_once_they_take_the_librarys_word(world: World) -> None:
    society = society_of(world)
    for _ in range(40):
        society.step()
    before = success_of(society)
    loading = society.population.loading.copy()
    society.merge()
    after = success_of(society)
    chance = 1 / society.config.candidates
    assert after > before + 0.3
    assert after > chance + 0.3
    assert np.array_equal(np.abs(society.population.loading), np.abs(loading)), "nobody weighs anything differently"


def test_agents_who_do_not_take_the_librarys_word_stay_as_they_are(world: World) -> None:
    society = society_of(world, library_word=False)
    for _ in range(15):
        society.step()
    before = society.population.copy()
    society.merge()
    assert len(society.library) > 0
    for name, column in society.population.columns().items():
        assert np.array_equal(column, getattr(before, name)), name


def test_a_society_too_large_to_be_merged_is_merged_from_a_random_sample_and_told_as_a_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    society = society_of(world)
    for _ in range(15):
        society.step()
    before = society.population.copy()
    monkeypatch.setattr(agents.society, "MERGE_SAMPLE", 30)
    society.merge()
    library, population = society.library, society.population
    assert library.views is not None
    merged = np.isin(before.id, library.views.agent)
    assert merged.sum() == len(library.views) == 30
    assert merged[:40].any()
    assert merged[40:].any()
    # The others hear what the library makes of their views.
    others = np.flatnonzero(~merged)
    told = library.consult(views_of(before, world, others), n_words=society.counters.n_words)
    take_the_librarys_word(before, others, told)
    for name, column in population.columns().items():
        assert np.array_equal(column[others], getattr(before, name)[others]), name
    assert (population.concept[merged] >= 0).any(axis=1).mean() > 0.9
    assert (population.concept[others] >= 0).any(axis=1).mean() > 0.9
    assert success_of(society) > 0.5


def test_agents_who_sense_nothing_in_common_are_refused_a_library_of_features(world: World) -> None:
    life = {"agents": 4, "sensors": 2, "dimensions": 2, "exemplars": 1, "merge_interval": 1}
    society = Society(world, SocietyConfig(**life, unify="covariance"), seed=0)
    with pytest.raises(InputError, match=r"^unify is covariance, but .* groups .*: give more agents or sensors, or"):
        society.step()
    Society(world, SocietyConfig(**life), seed=0).step()


def test_the_library_tells_the_same_by_weights_as_by_levels(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    society = society_of(world)
    for _ in range(15):
        society.step()
    rows = np.arange(30)
    told = society.library.merge(views_of(society.population, world, rows))
    word = society.library.word(n_words=told.n_words)
    found = []
    for few in (0, world.n_features):
        monkeypatch.setattr(agents.consult, "FEW_FEATURES", few)
        population = society.population.copy()
        agents.consult.hear_the_library(population, world, rows, told, word, at_once=17)
        found.append(population)
    for name, column in found[0].columns().items():
        assert np.array_equal(column, getattr(found[1], name)), name
    assert (found[0].concept[30:] >= 0).any()
