"""What is measured of how a society talks, at the end of a run and on the way."""

from __future__ import annotations

import functools
from typing import Any

import networkx as nx
import numpy as np
import pytest

from agents import Society, SocietyConfig
from agents.communication import talk
from agents.consult import probe_levels
from agents.meeting import meet
from agents.world import planted
from experiments.measuring import Recorder, metrics, summarise
from experiments.measuring_language import GAMES, conventions, language_summary, success_by_candidates, topography

WORLD = planted(seed=0, objects=240, features=16, factors=4, probe=60)


@functools.cache
def lived(steps: int = 40, **config: Any) -> Society:
    life = {"agents": 24, "discovery_interval": 8, "selection_interval": 10, "merge_interval": 20, "memory": 64}
    society = Society(WORLD, SocietyConfig(**life | config), seed=1)
    for _ in range(steps):
        society.step()
    return society


def agreed(society: Society) -> dict[str, float | None]:
    rows = np.arange(len(society.population))
    return conventions(society, society.library, rows, probe_levels(society.population, society.world, rows))


def test_measuring_changes_nothing() -> None:
    society = lived()
    before, luck = society.population.copy(), society.rng.bit_generator.state
    rounds, n_words = len(society.library.rounds), society.counters.n_words
    first = language_summary(society, society.library, [], np.arange(24))
    assert language_summary(society, society.library, [], np.arange(24)) == first
    for name, column in before.columns().items():
        assert np.array_equal(column, getattr(society.population, name)), name
    assert society.rng.bit_generator.state == luck
    assert (len(society.library.rounds), society.counters.n_words) == (rounds, n_words)


def test_right_after_a_merge_the_librarys_word_is_all_that_is_said_of_a_concept() -> None:
    assert agreed(lived()) == {"synonymy": pytest.approx(1), "homonymy": pytest.approx(1), "coherence": 1}


def test_without_the_librarys_word_a_concept_has_many_words_and_few_agree() -> None:
    found = agreed(lived(library_word=False))
    assert found["synonymy"] is not None
    assert found["coherence"] is not None
    assert found["synonymy"] > 3
    assert found["coherence"] < 0.5


def test_a_row_of_metrics_tells_of_conventions_from_the_first_merge_on() -> None:
    names = ("words_per_dimension", "synonymy", "homonymy", "coherence")
    young, old = (metrics(society, Recorder()) for society in (lived(steps=5), lived()))
    assert [young[name] is None for name in names] == [False, True, True, True]
    assert all(old[name] is not None for name in names)


def test_success_is_told_for_few_and_many_and_the_societys_own_number_of_candidates() -> None:
    society = lived(candidates=5)
    found = success_by_candidates(society)
    sizes = ["2", "4", "5", "8", "16"]
    for name in ("success_by_candidates", "success_unseen_by_candidates", "chance_by_candidates"):
        assert list(found[name]) == sizes  # type: ignore[call-overload]
    assert found["chance_by_candidates"] == {n: 1 / int(n) for n in sizes}
    assert found["success_unseen"] == found["success_unseen_by_candidates"]["5"]  # type: ignore[index]
    shares = found["success_by_candidates"]
    assert shares["2"] > shares["5"] > shares["16"]  # type: ignore[index]


def test_success_with_doubles_is_that_of_the_societys_own_next_talk() -> None:
    society = lived(steps=60)
    found = success_by_candidates(society)["success_by_candidates"]["4"]  # type: ignore[index]
    # What the society itself would say next, many times over, each time as it is now.
    twins = []
    for seed in range(60):
        rng, life = np.random.default_rng(seed), society.config
        meeting = meet(24, society.world.train, life.candidates, rng)
        twin, n_words = society.population.copy(), society.counters.n_words
        twins.append(talk(twin, society.world, meeting, life, n_words, rng).success.mean())
    share = float(np.mean(twins))
    error = np.sqrt(share * (1 - share) * (1 / GAMES + 1 / (60 * 12)))
    assert found == pytest.approx(share, abs=4 * error)


def test_scenes_larger_than_the_objects_never_met_are_left_out() -> None:
    small = planted(seed=0, objects=40, features=12, factors=3, probe=20)
    assert len(small.held_out) == 10
    society = Society(small, SocietyConfig(agents=12, memory=16), seed=1)
    society.step()
    found = success_by_candidates(society)
    unseen = found["success_unseen_by_candidates"]
    assert [n for n, share in unseen.items() if share is None] == ["16"]  # type: ignore[attr-defined]
    assert all(share is not None for share in found["success_by_candidates"].values())  # type: ignore[attr-defined]


def test_in_the_gesture_game_success_is_measured_and_words_are_not() -> None:
    society = lived(game="gesture")
    told = language_summary(society, society.library, [], np.arange(24))
    for name in ("synonymy", "homonymy", "coherence", "topographic_similarity", "shared_topographic_similarity_null"):
        assert told[name] is None
    assert told["success_unseen"] > 0.25  # type: ignore[operator]


def test_where_nobody_talks_there_is_no_success_and_no_topography() -> None:
    society = lived(talk_interval=0)
    told = language_summary(society, society.library, [], np.arange(24))
    assert told["success_unseen"] is None
    assert set(told["success_by_candidates"].values()) == {None}  # type: ignore[attr-defined]
    assert told["topographic_similarity"] is None


def test_what_one_agent_says_of_like_things_is_alike() -> None:
    found = topography(lived(), np.arange(24))
    own, null = found["topographic_similarity"], found["topographic_similarity_null"]
    assert own is not None
    assert null is not None
    assert own > 3 * null > 0
    assert found["shared_topographic_similarity"] is not None


def test_agents_who_cannot_meet_are_not_asked_to_talk() -> None:
    graph = nx.disjoint_union(nx.complete_graph(2), nx.complete_graph(2))
    society = Society(WORLD, SocietyConfig(agents=4, exemplars=4, dimensions=4), seed=1, graph=graph)
    words = np.array([[0, 1, 2, 3]] * 2 + [[10, 11, 12, 13]] * 2)
    population = society.population
    population.words[:, :, 0] = words
    population.loading[:], population.sensor[:] = population.loading[0], population.sensor[0]
    shares = success_by_candidates(society)["success_by_candidates"]
    assert set(shares.values()) == {1.0}  # type: ignore[attr-defined]


def test_the_summary_tells_when_a_convention_came_about() -> None:
    recorder = Recorder()
    for step, value in zip(range(10, 90, 10), [None, 0.2, 0.7, 0.5, 0.9, 0.8, 0.9, 0.9], strict=True):
        recorder.rows.append({"step": step, "coherence": value, "success": 0.5})
    society = lived()
    told = summarise(society, society.library, recorder, name="planted", seed=1, wall_s=1.0)["communication"]
    assert told["steps_to_convention"] == 50  # type: ignore[index]
    assert told["steps_to_understanding"] == 10  # type: ignore[index]
