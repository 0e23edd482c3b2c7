"""Reading one agent's dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from agents import Society, SocietyConfig
from agents.communication import spelled
from agents.perception import levels
from agents.population import EMPTY, RAW
from agents.view import Dimension, View
from agents.world import planted

WORLD = planted(seed=0, objects=200, features=24, factors=4, probe=60)


@pytest.fixture(scope="module")
def society() -> Society:
    society = Society(WORLD, SocietyConfig(agents=30, sensors=12, memory=64, merge_interval=10, turnover=0.1), seed=3)
    for _ in range(61):
        society.step()
    return society


def views(society: Society) -> list[View]:
    return [agent.view for agent in society.agents]


def test_a_view_holds_the_dimensions_of_its_agent_and_never_more_than_eight(society: Society) -> None:
    population = society.population
    for row, view in enumerate(views(society)):
        assert view.agent == population.id[row]
        assert [d.slot for d in view] == np.flatnonzero(population.kind[row] != EMPTY).tolist()
        assert 1 <= len(view) <= 8
        for d in view:
            assert (d.kind == "raw") == (population.kind[row, d.slot] == RAW)
            assert d.loading.tolist() == population.loading[row, d.slot].tolist()
            assert d.sensor.tolist() == population.sensor[row].tolist()
            assert d.superiority == population.score[row, d.slot]
            assert d.contests == population.contests[row, d.slot]
            assert d.understood == population.understood[row, d.slot]
            assert d.born == population.born[row, d.slot]
            assert d.words == tuple(spelled(int(w)) for w in population.words[row, d.slot] if w >= 0)
            assert d.exemplar == (population.exemplar[row, d.slot] if d.kind == "raw" else None)
            concept = population.concept[row, d.slot]
            assert d.concept == (None if concept < 0 else concept)
    everything = [d for view in views(society) for d in view]
    assert {d.kind for d in everything} == {"raw", "abstract"}
    assert any(d.words for d in everything)
    assert any(d.concept is not None for d in everything)
    nine = tuple(everything[:9])
    with pytest.raises(ValueError, match="at most 8"):
        View(agent=0, dimensions=nine)


def test_empty_slots_are_left_out_of_a_view() -> None:
    society = Society(WORLD, SocietyConfig(agents=4, sensors=12, exemplars=3), seed=0)
    population = society.population
    population.clear(np.array([0]), np.array([1]))
    assert [d.slot for d in society.agents[0].view] == [0, 2]
    population.clear(np.array([0, 0]), np.array([0, 2]))
    nothing = society.agents[0].view
    assert len(nothing) == 0
    assert nothing.levels([1, 2, 3]).shape == (3, 0)
    assert repr(nothing) == "<View of agent 0: 0 of at most 8 dimensions>"


def test_levels_are_those_that_the_agents_themselves_see(society: Society) -> None:
    objects = np.array([0, 7, 7, 199], dtype=np.int32)
    for row, view in enumerate(views(society)):
        own = levels(society.population, WORLD, np.array([row]), objects[None])[0]
        slots = [d.slot for d in view]
        np.testing.assert_allclose(view.levels(objects), own[:, slots], atol=1e-5)
        np.testing.assert_allclose(view[0].level(objects), own[:, slots[0]], atol=1e-5)
        np.testing.assert_allclose(view[0].level(7), own[1, slots[0]], atol=1e-5)
        assert view.levels(objects.reshape(2, 2)).shape == (2, 2, len(view))
    for wrong in (200, -1, [0, 200]):
        with pytest.raises(IndexError, match="0 to 199"):
            views(society)[0][0].level(wrong)


def test_a_raw_dimension_is_highest_or_lowest_for_what_looks_like_its_exemplar(society: Society) -> None:
    raw = [d for view in views(society) for d in view if d.kind == "raw"]
    for d in raw:
        assert d.exemplar is not None
        sensed = WORLD.features[d.exemplar, d.sensor]
        assert abs(float(d.level(d.exemplar))) == pytest.approx(float(np.linalg.norm(sensed)), rel=1e-4)


def test_weights_are_by_name_of_feature_and_heaviest_first(society: Society) -> None:
    d = views(society)[0][0]
    weights = d.weights()
    sizes = [abs(w) for w in weights.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(w**2 for w in weights.values()) == pytest.approx(1, abs=1e-5)
    assert list(d.weights(top=5).items()) == list(weights.items())[:5]
    for name, weight in weights.items():
        assert weight == d.loading[d.sensor.tolist().index(WORLD.feature_names.index(name))]
    assert 0 not in weights.values()
    with pytest.raises(ValueError, match="top is -1"):
        d.weights(top=-1)


def test_a_view_is_a_snapshot_that_cannot_be_written_through() -> None:
    society = Society(WORLD, SocietyConfig(agents=30, sensors=12, memory=64), seed=3)
    before = society.population.copy()
    view = society.agents[0].view
    text, loading = repr(view), view[0].loading.copy()
    for array in (view[0].loading, view[0].sensor):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    for name, column in before.columns().items():
        assert np.array_equal(column, getattr(society.population, name))
    for _ in range(12):
        society.step()
    assert repr(view) == text
    assert np.array_equal(view[0].loading, loading)
    assert repr(society.agents[0].view) != text


def test_views_are_sequences_and_say_what_they_hold(society: Society) -> None:
    view = next(v for v in views(society) if any(d.kind == "raw" for d in v) and any(d.words for d in v))
    assert isinstance(view[0], Dimension)
    assert view[-1] is view.dimensions[-1]
    assert isinstance(view[:2], View)
    assert list(view[:2]) == list(view)[:2]
    assert view[1] in view
    assert view.index(view[1]) == 1
    text = repr(view)
    assert len(text.splitlines()) == len(view) + 1
    for d in view:
        name, weight = next(iter(d.weights(top=1).items()))
        assert f"{weight:+.2f} {name}" in text
        assert f"superiority {d.superiority:.2f} after {d.contests} contests" in repr(d)
        assert all(word in repr(d) for word in d.words)
        assert (f"raw of object {d.exemplar}" in repr(d)) == (d.kind == "raw")
        assert (f"abstract ({d.origin})" in repr(d)) == (d.kind == "abstract")


def test_a_dimension_says_how_it_arose_and_how_often_it_was_handed_down(society: Society) -> None:
    population = society.population
    everything = [d for view in views(society) for d in view]
    assert {d.origin for d in everything if d.kind == "raw"} == {"exemplar"}
    assert {d.origin for d in everything if d.kind == "abstract"} == {"factor"}
    for row, view in enumerate(views(society)):
        assert [d.generation for d in view] == population.generation[row, population.held[row]].tolist()
    said = {d.generation: repr(d) for d in everything}
    assert {0, 1, 2} <= said.keys()
    assert "handed down" not in said[0]
    assert ", handed down once, " in said[1]
    assert ", handed down 2 times, " in said[2]
