import copy
import html
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.config import SocietyConfig
from agents.society import Society
from agents.world import build, planted
from knowledge_graph import draw
from knowledge_graph.draw import FEW_PARTNERS, FEW_RELATIONS, agents_of, caption, closeness, concept_graph, links_of
from knowledge_graph.layout import CANVAS, Link, positions
from knowledge_graph.library import Library

HOSTILE = '<img src=x onerror=alert(1)></script>\n%{x} & "$y$"'


def lived(world, *, agents: int, steps: int = 40, **config) -> Library:
    society = Society(world, SocietyConfig(agents=agents, merge_interval=20, **config), seed=2)
    for _ in range(steps):
        society.step()
    return society.library


@pytest.fixture(scope="module")
def apart() -> Library:
    """Concepts that have no features in common."""
    world = planted(seed=2, objects=600, features=48, factors=8, communality=0.9, cross_loadings=0.0, probe=200)
    return lived(world, agents=50)


@pytest.fixture(scope="module")
def alike() -> Library:
    """Concepts whose loadings resemble each other: every feature is a mixture of all factors."""
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 24)) + 0.5 * rng.standard_normal((400, 24))
    return lived(build(name="mixed", raw=raw, seed=2, probe=100), agents=40)


@pytest.fixture(scope="module")
def small() -> Library:
    return lived(planted(seed=2, objects=400, features=24, factors=4, probe=100), agents=6)


def discs(figure):
    return [trace for trace in figure.data if trace.mode == "markers+text"]


def test_every_concept_is_one_disc_with_its_word_and_its_story(apart):
    shown = [pair for trace in discs(concept_graph(apart)) for pair in zip(trace.text, trace.hovertext, strict=True)]
    assert sorted(text for text, _ in shown) == sorted(apart.spell(concept.word) for concept in apart.concepts())
    for concept in apart.concepts():
        (told,) = [hover for _, hover in shown if f"({concept.id})<br>" in hover]
        top = int(np.argmax(np.abs(concept.loadings)))
        assert f"support {concept.support:.2f}, {concept.members} members" in told
        assert f" x{top} {concept.loadings[top]:+.2f}".replace("-", "\N{MINUS SIGN}") in told
        assert f"strongest: objects {concept.strongest[0]}, " in told


def test_features_are_called_as_the_library_calls_them_unless_other_names_are_given(apart):
    named = copy.copy(apart)
    named.feature_names = tuple(f"Länge {i}" for i in range(48))
    for figure, name in (
        (concept_graph(apart), "x"),
        (concept_graph(named), "Länge "),
        (concept_graph(named, feature_names=[f"y{i}" for i in range(48)]), "y"),
    ):
        assert all(re.search(rf"<br>   {name}\d+ ", hover) for trace in discs(figure) for hover in trace.hovertext)


def test_where_there_are_many_concepts_names_stand_on_discs_with_room_for_them(apart, monkeypatch):
    monkeypatch.setattr(draw, "LEGIBLE", 3)
    for readable, named in ((0.0, len(apart)), (14.0, 0)):
        monkeypatch.setattr(draw, "READABLE", readable)
        assert sum(bool(text) for trace in discs(concept_graph(apart)) for text in trace.text) == named
    assert "the word on it, where there is room for it, its name" in caption(apart)


def test_better_supported_concepts_have_larger_discs(apart):
    sizes = {hover.split(")")[0]: size for t in discs(concept_graph(apart)) for hover, size in
             zip(t.hovertext, t.marker.size, strict=True)}  # fmt: skip
    ordered = [sizes[f"<b>{apart.spell(c.word)}</b> ({c.id}"] for c in apart.concepts()]
    assert ordered == sorted(ordered, reverse=True)
    assert ordered[0] > ordered[-1]


def test_the_same_library_gives_the_same_figure(apart, alike):
    for library in (apart, alike):
        assert concept_graph(library).to_json() == concept_graph(library).to_json()


def test_lines_are_relations_where_there_are_any(alike):
    links = links_of(alike)
    related = {(u, v): data["congruence"] for u, v, data in alike.graph().edges(data=True) if data["type"] == "related"}
    assert links
    for link in links:
        r = related[link.ends]
        assert link.kind == ("alike" if r > 0 else "opposed")
        assert link.strength == pytest.approx(abs(r))
    assert "weigh much the same features" in caption(alike)


def test_a_concept_sends_out_its_strongest_relations_only(alike):
    related = [(u, v, abs(d["congruence"])) for u, v, d in alike.graph().edges(data=True) if d["type"] == "related"]
    drawn = {link.ends for link in links_of(alike)}
    for concept in alike.concepts():
        own = sorted((e for e in related if concept.id in e[:2]), key=lambda e: -e[2])
        assert {e[:2] for e in own[:FEW_RELATIONS]} <= drawn


def test_without_relations_lines_are_shared_holders_beyond_chance(apart):
    links = links_of(apart)
    holders = [set(np.flatnonzero((apart.membership == k).any(axis=1)).tolist()) for k in range(len(apart))]
    assert links
    assert {link.kind for link in links} == {"shared"}
    for link in links:
        i, j = (apart.ids.index(end) for end in link.ends)
        both, expected = len(holders[i] & holders[j]), len(holders[i]) * len(holders[j]) / len(apart.membership)
        assert both > expected
        assert f"{both} agents hold both" in link.says
    assert len(links) <= FEW_PARTNERS * len(apart)
    assert "the same agents hold both concepts" in caption(apart)


def test_agents_are_drawn_in_a_small_society_alone(small, apart):
    assert agents_of(apart) == []
    names = agents_of(small)
    assert len(names) == 6
    (squares,) = [trace for trace in concept_graph(small).data if trace.name == "agent"]
    assert sorted(squares.hovertext) == sorted(names)
    held = [link for link in links_of(small) if link.kind == "held"]
    assert len(held) == (small.membership >= 0).sum()
    assert "small squares are the agents" in caption(small)


def test_colour_is_how_close_members_come_to_their_concept(apart):
    close = closeness(apart)
    assert apart.unified is not None
    for k, name in enumerate(apart.ids):
        r = np.abs(apart.unified.correlation[:, :, k][apart.membership == k])
        assert close[name] == pytest.approx(r.mean()) if len(r) else name not in close
    coloured = [trace for trace in discs(concept_graph(apart)) if trace.marker.colorscale]
    assert sorted(coloured[0].marker.color) == sorted(close.values())


def test_hostile_names_are_escaped_for_plotly(apart):
    library = lived(planted(seed=2, objects=300, features=24, factors=4, probe=60), agents=20)
    library.spell = lambda word: f"{word}{HOSTILE}"
    figure = concept_graph(library, feature_names=[f"{HOSTILE} {i}" for i in range(24)])
    texts = [text for t in figure.data for text in (*(t.text or ()), *(t.hovertext or ()))]
    assert any("&lt;img" in text for text in texts)
    for text in texts:
        markup = re.findall(r"<[^>]*>", text)
        assert set(markup) <= {"<b>", "</b>", "<br>"}
        assert "\n" not in text
    named = [html.unescape(link.says) for link in links_of(library)]
    assert all("<img src=x onerror=alert(1)></script> %{x}" in says for says in named)


def test_a_library_without_concepts_gives_a_map_that_says_so():
    library = Library(probe=np.arange(10))
    figure = concept_graph(library)
    assert len(figure.data) == 0
    assert figure.layout.annotations[0].text == "no concepts yet"
    assert caption(library) == "The library has no concepts yet."


def test_one_concept_alone_is_drawn_in_the_middle():
    assert positions({"c1": 20.0}, []) == {"c1": (0.5, 0.5)}
    assert positions({}, []) == {}


def test_discs_for_which_there_is_no_room_have_a_place_all_the_same():
    place = positions({"c1": 300.0, "c2": 300.0, "c3": 300.0}, [])
    assert all(0 <= at <= 1 for xy in place.values() for at in xy)


@given(st.integers(2, 36), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_discs_never_overlap_nor_leave_the_canvas(n, seed):
    rng = np.random.default_rng(seed)
    radius = {f"c{i}": float(r) for i, r in enumerate(rng.uniform(9, 24, size=n))}
    pairs = [pair for pair in itertools.combinations(radius, 2) if rng.random() < 0.1]
    links = [Link(ends=pair, kind="alike", strength=float(rng.random()), says="") for pair in pairs]
    place = positions(radius, links)
    xy = {name: np.array(at) * CANVAS for name, at in place.items()}
    for one, other in itertools.combinations(radius, 2):
        assert np.linalg.norm(xy[one] - xy[other]) > radius[one] + radius[other]
    for name, at in xy.items():
        assert (at >= radius[name]).all()
        assert (at <= np.array(CANVAS) - radius[name]).all()


def test_linked_concepts_are_placed_nearer_than_others():
    radius = {f"c{i}": 15.0 for i in range(24)}
    links = [
        Link(ends=(f"c{i}", f"c{j}"), kind="alike", strength=1.0, says="")
        for i, j in itertools.combinations(range(24), 2)
        if i // 4 == j // 4
    ]
    place = {name: np.array(at) * CANVAS for name, at in positions(radius, links).items()}

    def mean_distance(linked: bool) -> float:
        ends = {link.ends for link in links}
        pairs = [pair for pair in itertools.combinations(radius, 2) if (pair in ends) == linked]
        return float(np.mean([np.linalg.norm(place[a] - place[b]) for a, b in pairs]))

    assert mean_distance(True) < 0.6 * mean_distance(False)
