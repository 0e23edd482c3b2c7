"""What holds of every society and library, over random worlds and lives; beside what `test_society_invariants` has.

That one goes through many sorts of lives in one world; here the worlds are random, too, and the library is held to
what it promises: that its history leads to its present state, and that neither the order of views nor the signs of
their dimensions matter.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray

from agents.accommodation import SAME
from agents.config import MAX_DIMENSIONS, SocietyConfig
from agents.consult import views_of
from agents.errors import InputError
from agents.population import ABSTRACT, RAW, Population
from agents.society import Society
from agents.world import build, planted
from knowledge_graph.history import alive, since
from knowledge_graph.library import Library
from knowledge_graph.unify import Method, unify
from knowledge_graph.views import Unified, Views
from tests.agents.test_society_invariants import assert_sound, lives
from tests.knowledge_graph.handmade import turned_round
from tests.tally import counted
from tests.trust.malformed import amounts, go_through

ROUNDING = 1e-5
CHECKED = "invariants checked"
LIVED, MERGED = "random lives lived through", "random merges made twice"


@st.composite
def worlds(draw: DrawFn) -> Any:
    """Planted or unstructured worlds of different sizes, some with few values or repeated objects."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    objects, features = draw(st.integers(16, 120)), draw(st.integers(8, 40))
    sort = draw(st.sampled_from(["planted", "planted", "noise", "whole", "repeated", "unequal"]))
    if sort == "planted":
        factors = draw(st.integers(1, 6))
        return planted(seed=int(rng.integers(99)), objects=objects, features=features, factors=factors, probe=30)
    raw = rng.standard_normal((objects, features))
    if sort == "whole":
        raw = np.rint(raw)
    elif sort == "repeated":
        raw = raw[rng.integers(objects // 3, size=objects)]
    elif sort == "unequal":
        raw = raw**5 * 10.0 ** rng.integers(-6, 6, features)
    return build(name=sort, raw=raw, seed=int(rng.integers(99)), probe=30)


@st.composite
def societies(draw: DrawFn) -> Society:
    """A new society in a random world."""
    world, life = draw(worlds()), draw(lives())
    sort = draw(st.sampled_from(["factor", "factor", "pca", "exemplar", "random", "mixed"]))
    life = dataclasses.replace(
        life,
        discovery=sort,
        sensors=min(life.sensors or 8, world.n_features),
        unify=draw(st.sampled_from(["gcca", "gcca", "clustering", "covariance"])),
        selection=draw(st.sampled_from(["tournament", "moran"])),
        glimpses=draw(st.integers(1, 5)),
    )
    try:
        return Society(world, life, seed=draw(st.integers(0, 2**32 - 1)))
    except InputError:  # more dimensions than objects to be met
        small = dataclasses.replace(life, dimensions=1, exemplars=1, candidates=1)
        return Society(world, small, seed=1)


def check_life(society: Society) -> None:
    """After every step: everything that `assert_sound` asks, and what is here below."""
    config, before = society.config, {}
    for _ in range(8):
        before = dict(zip(society.population.id.tolist(), society.population.birth.tolist(), strict=True))
        society.step()
        assert_sound(society)
        population = society.population
        assert population.held.sum(axis=1).max() <= config.dimensions <= MAX_DIMENSIONS
        assert len(population) == config.agents
        for name, column in population.columns().items():
            assert np.isfinite(column).all(), name
        newborn = ~np.isin(population.id, list(before))
        # Who is new was born in this step, of somebody who lived before it.
        assert (population.birth[newborn] == society.steps).all()
        assert set(population.parent[newborn].tolist()) <= set(before)
        assert (population.parent[newborn] < population.id[newborn]).all()
        assert_no_dimension_twice(population, steady=config.attention == 0 and config.mutation == 0)
        assert_history_leads_here(society.library)
        counted(CHECKED, 6)


def assert_no_dimension_twice(population: Population, *, steady: bool) -> None:
    """Nobody has two likenesses to one object, or finds what it has already.

    A dimension that is proposed is never as like another of its kind as `SAME` when it enters or refreshes one, and
    directions change in no other way as long as sensors stay where they are (``steady``). With sensors that move,
    directions lose what they weighed there, and may become more alike until the next proposal clears them up; two
    likenesses to different objects may be alike from the beginning: both are what the rules allow.
    """
    loading = population.loading.astype(np.float64)
    congruence = np.abs(loading @ loading.swapaxes(1, 2))
    slots = population.n_slots
    pairs = np.tri(slots, k=-1, dtype=bool)
    raw, abstract = population.kind == RAW, population.kind == ABSTRACT
    same = population.exemplar[:, :, None] == population.exemplar[:, None, :]
    assert not (same & raw[:, :, None] & raw[:, None, :] & pairs).any()
    if steady:
        both = abstract[:, :, None] & abstract[:, None, :] & pairs
        assert (congruence[both] < SAME + ROUNDING).all()


def assert_history_leads_here(library: Library) -> None:
    """The events in their order lead to the concepts there are, after each merge and by way of `Library.at`."""
    events = []
    for place, round_ in enumerate(library.rounds, 1):
        assert round_.number == place
        before = alive(events)
        events += round_.events
        assert all(event.round == place and event.step == round_.step for event in round_.events)
        assert alive(events) == set(round_.ids)
        assert len(set(round_.ids)) == len(round_.ids) == round_.unified.n_concepts
        for event in round_.events:
            assert (event.kind in ("birth", "split", "return")) == (event.concept not in before)
            assert event.kind != "split" or set(event.parents) <= before
        assert set(library.at(place).ids) == set(round_.ids)
    assert library.history == events
    assert alive(library.history) == set(library.ids)
    assert set(since(events)) == set(library.names)
    assert len(set(library.names.values())) == len(library.names), "a word names one concept"


@amounts(6, 250)
def test_what_holds_in_every_life_in_every_world(cases: int) -> None:
    go_through(societies(), check_life, cases, LIVED)


# ---- merges


@st.composite
def views_of_somebody(draw: DrawFn) -> tuple[Views, NDArray[np.float32], int]:
    """The views of a society that has lived for a while, the features of its probe, and a seed."""
    world = planted(
        seed=draw(st.integers(0, 999)),
        objects=draw(st.integers(60, 160)),
        features=draw(st.integers(12, 30)),
        factors=draw(st.integers(2, 6)),
        probe=draw(st.integers(20, 60)),
    )
    config = SocietyConfig(
        agents=draw(st.integers(6, 24)),
        sensors=draw(st.integers(6, 12)),
        dimensions=draw(st.integers(2, 6)),
        exemplars=1,
        memory=48,
        childhood=40,
        discovery_interval=2,
        merge_interval=0,
    )
    society = Society(world, config, seed=draw(st.integers(0, 999)))
    for _ in range(4):
        society.step()
    views = views_of(society.population, world, np.arange(config.agents))
    return views, world.features[world.probe], draw(st.integers(0, 999))


def assert_same_concepts(a: Unified, b: Unified, within: float) -> None:
    """The same concepts, in another order or turned round at most."""
    assert a.n_concepts == b.n_concepts
    if not a.n_concepts:
        return
    column = "scores" if len(a.scores) else "loadings"
    x, y = (getattr(u, column) / np.linalg.norm(getattr(u, column), axis=0) for u in (a, b))
    alike = x.T @ y
    at = np.abs(alike).argmax(axis=1)
    assert sorted(at.tolist()) == list(range(a.n_concepts)), "each is one of the others"
    sign = np.sign(alike[np.arange(len(at)), at])
    np.testing.assert_allclose(y[:, at] * sign, x, rtol=0, atol=within)
    np.testing.assert_allclose(b.support[at], a.support, rtol=0, atol=within)
    np.testing.assert_allclose(b.loadings[:, at] * sign, a.loadings, rtol=0, atol=10 * within)


WITHIN = 1e-6


def check_merge(drawn: tuple[Views, NDArray[np.float32], int], method: Method) -> None:
    """The signs of dimensions change nothing, however views are unified; nor does the order of views, by GCCA.

    There the edge of chance is a formula, as long as everybody has seen all objects. The other methods draw chance
    agent by agent, so that in another order another one is drawn, and concepts near its edge come or go: that is how
    they are built. What is promised of their order, where concepts are far from the edge, is tested with them.
    """
    views, features, seed = drawn
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(views))
    sign = rng.choice([-1.0, 1.0], size=views.held.shape).astype(np.float32)
    usual = unify(views, features=features, method=method)
    if method == "gcca":
        assert_same_concepts(usual, unify(views.take(order), features=features, method=method), WITHIN)
        counted(CHECKED)
    flipped = unify(turned_round(views, sign), features=features, method=method)
    assert_same_concepts(usual, flipped, WITHIN)
    counted(CHECKED)
    assert ((usual.support >= 0) & (usual.support <= 1 + ROUNDING)).all()
    assert (np.abs(usual.correlation) <= 1 + ROUNDING).all()
    assert (usual.correlation[~views.held] == 0).all()
    counted(CHECKED)


@amounts(4, 150)
@pytest.mark.parametrize("method", ["gcca", "clustering", "covariance"])
def test_neither_the_order_of_views_nor_their_signs_matter(cases: int, method: Method) -> None:
    go_through(views_of_somebody(), lambda drawn: check_merge(drawn, method), cases, MERGED)


def check_refused(drawn: tuple[Views, NDArray[np.float32], int]) -> None:
    """A single number that is none, anywhere in the views, and the library stays as it was."""
    views, features, seed = drawn
    rng = np.random.default_rng(seed)
    library = Library(probe=range(len(features)), features=features)
    library.merge(views)
    ids = library.ids
    for name in ("levels", "loading", "structure", "phi", "score"):
        for bad in (np.nan, np.inf, -np.inf):
            if name == "levels" and np.isnan(bad):
                continue  # an object that was not seen
            spoiled = getattr(views, name).copy()
            spoiled.reshape(-1)[rng.integers(spoiled.size)] = bad
            with pytest.raises(ValueError, match=r"not finite|infinite"):
                library.merge(dataclasses.replace(views, **{name: spoiled}))
            assert library.ids == ids
            assert len(library.rounds) == 1
            counted(CHECKED)


@amounts(3, 100)
def test_no_nan_or_infinity_enters_a_library(cases: int) -> None:
    go_through(views_of_somebody(), check_refused, cases)
