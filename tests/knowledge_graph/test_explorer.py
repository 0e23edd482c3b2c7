import copy
import dataclasses
import html
import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest

from agents.config import SocietyConfig
from agents.society import Society
from agents.world import World, digits, planted
from knowledge_graph import explorer
from knowledge_graph.draw import links_of
from knowledge_graph.explorer import N_FEATURES, N_WORDS, explorer_page, framed, show
from knowledge_graph.history import Event
from knowledge_graph.library import Library
from knowledge_graph.pictures import pictures_of
from tests.knowledge_graph import handmade

HOSTILE = '</script><img src=x onerror="alert(1)"> & \u2028 %{x} "$y$"'
MINUS = "\N{MINUS SIGN}"


def lived(world: World, *, agents: int, steps: int = 50) -> Library:
    society = Society(world, SocietyConfig(agents=agents, merge_interval=25), seed=0)
    for _ in range(steps):
        society.step()
    return society.library


@pytest.fixture(scope="module")
def world() -> World:
    return digits(seed=0, probe=200)


@pytest.fixture(scope="module")
def library(world) -> Library:
    return lived(world, agents=30)


@pytest.fixture(scope="module")
def small() -> Library:
    """So few agents that they are on the map themselves."""
    return lived(planted(seed=2, objects=400, features=24, factors=4, probe=100), agents=6)


@pytest.fixture(scope="module")
def pictures(world) -> dict[int, str]:
    assert world.image_shape is not None
    return pictures_of(world.features * world.scale + world.mean, range(len(world.features)), world.image_shape)


@pytest.fixture(scope="module")
def text(library, world, pictures) -> str:
    return explorer_page(library, feature_names=world.feature_names, pictures=pictures, title="Digits")


def data_of(page: str) -> dict:
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    return json.loads(block)


def test_the_page_holds_every_concept_in_order_of_support(library, text, world):
    told = data_of(text)["concepts"]
    concepts = library.concepts()
    assert [one["id"] for one in told] == [concept.id for concept in concepts]
    for one, concept in zip(told, concepts, strict=True):
        assert one["name"] == library.spell(concept.word)
        assert (one["support"], one["members"], one["since"]) == (concept.support, concept.members, concept.since)
        assert (one["strongest"], one["weakest"]) == (list(concept.strongest), list(concept.weakest))
        others = [[library.spell(w), n] for w, n in concept.words.items() if w != concept.word]
        assert one["words"] == {"top": others[:N_WORDS], "more": max(len(others) - N_WORDS, 0)}


def test_features_are_those_with_the_largest_loadings_in_order_of_sign_and_size(library, text, world):
    for one, concept in zip(data_of(text)["concepts"], library.concepts(), strict=True):
        values = [value for _, value in one["features"]]
        assert values == sorted(values, reverse=True)
        assert sorted(map(abs, values)) == pytest.approx(sorted(np.abs(concept.loadings))[-N_FEATURES:])
        for name, value in one["features"]:
            assert concept.loadings[world.feature_names.index(name)] == value


def test_related_concepts_are_those_at_the_other_end_of_a_line(library, text):
    near = {one["id"]: one["near"] for one in data_of(text)["concepts"]}
    links = links_of(library)
    assert links
    assert sum(map(len, near.values())) == 2 * len(links)
    r = {(u, v): d["congruence"] for u, v, d in library.graph().edges(data=True) if d["type"] == "related"}
    for link in links:
        for one, other in (link.ends, link.ends[::-1]):
            (found,) = [line for line in near[one] if line["id"] == other]
            assert found == {
                "id": other,
                "kind": link.kind,
                "says": f"congruence {r[link.ends]:+.2f}".replace("-", MINUS),
            }


def test_holders_on_the_map_are_not_related_concepts(small):
    ids = {one["id"] for one in data_of(explorer_page(small))["concepts"]}
    assert any(link.kind == "held" for link in links_of(small))
    for one in data_of(explorer_page(small))["concepts"]:
        assert {line["id"] for line in one["near"]} <= ids - {one["id"]}


def test_events_are_told_of_a_concept_and_of_the_parents_it_came_from(library):
    changed, (one, other) = copy.deepcopy(library), library.ids[:2]
    events = (
        Event(step=70, kind="split", concept=other, parents=(one,)),
        Event(step=70, kind="merge", concept=one, parents=(one, "c99", other)),
        Event(step=70, kind="return", concept=other),
    )
    last = changed.rounds[-1]
    changed.rounds[-1] = dataclasses.replace(last, events=(*last.events, *events))
    told = {c["id"]: [e for e in c["events"] if e["step"] == 70] for c in data_of(explorer_page(changed))["concepts"]}
    assert told[one] == [
        {"step": 70, "says": "gave rise to", "others": [other]},
        {"step": 70, "says": "took in", "others": ["c99", other]},
    ]
    assert told[other] == [
        {"step": 70, "says": "split off from", "others": [one]},
        {"step": 70, "says": "went into", "others": [one]},
        {"step": 70, "says": "came back", "others": []},
    ]


def test_only_exemplars_have_their_pictures_in_the_page(library, text, pictures):
    exemplars = {obj for concept in library.concepts() for obj in (*concept.strongest, *concept.weakest)}
    assert data_of(text)["pictures"] == {str(obj): pictures[obj] for obj in exemplars}
    some = {obj: pictures[obj] for obj in list(exemplars)[:3]}
    assert data_of(explorer_page(library, pictures=some))["pictures"] == {str(obj): some[obj] for obj in some}


def test_features_are_named_by_the_caller_else_by_the_library_else_by_number(library, world):
    def names(*args, **kwargs):
        return {name for c in data_of(explorer_page(*args, **kwargs))["concepts"] for name, _ in c["features"]}

    nameless = copy.copy(library)
    nameless.feature_names = None
    assert names(library, feature_names=[f"f{i}" for i in range(64)]) <= {f"f{i}" for i in range(64)}
    assert names(nameless) <= {f"x{i}" for i in range(64)}
    nameless.feature_names = world.feature_names
    assert names(nameless) <= set(world.feature_names)


@pytest.mark.parametrize("shared", ["names of features", "objects"])
def test_a_library_may_have_names_for_features_of_which_no_concept_knows(shared):
    features, truth = handmade.planted()
    views = handmade.views_on(features, truth, agents=30)
    if shared == "objects":
        views = dataclasses.replace(views, sensor=None, loading=None)
    library = Library(probe=range(handmade.PROBE), feature_names=[f"f{i}" for i in range(60)])
    library.merge(views)
    assert len(library) > 0
    assert len(library.loadings) < 60
    told = data_of(explorer_page(library))["concepts"]
    assert {name for one in told for name, _ in one["features"]} <= {f"f{i}" for i in range(len(library.loadings))}
    assert all(len(one["features"]) == min(N_FEATURES, len(library.loadings)) for one in told)


def test_a_title_of_any_signs_gives_a_page_that_can_be_written():
    title = "a\ud800\x00<b>"
    for shown in (show(Library(), title=title), framed(go.Figure(), title=title)):
        assert b"<title>a  &lt;b&gt;</title>" in shown.page.encode("utf-8")
        assert b'title="a  &lt;b&gt;"' in shown._repr_html_().encode("utf-8")


def test_names_of_the_wrong_number_and_pictures_that_are_none_are_refused(library):
    with pytest.raises(ValueError, match="feature_names has 3 names, but the library's objects have 64 features"):
        explorer_page(library, feature_names=["a", "b", "c"])
    obj = library.concepts()[0].strongest[0]
    with pytest.raises(ValueError, match=f"the picture of object {obj} is 'https://example.org/a.png'"):
        explorer_page(library, pictures={obj: "https://example.org/a.png"})


def test_nothing_in_the_data_can_end_the_script_or_be_taken_for_markup(library):
    hostile = copy.copy(library)
    hostile.spell = lambda word: f"{word}{HOSTILE}"
    names = [f"{HOSTILE} {i}" for i in range(64)]
    page = explorer_page(hostile, feature_names=names, title=HOSTILE)
    assert page.count("</script") == 3
    assert "<img" not in page.replace(explorer.get_plotlyjs().replace("</script", r"<\/script"), "")
    assert f"<h1>{html.escape(HOSTILE)}</h1>" in page
    told = data_of(page)["concepts"]
    assert [one["name"] for one in told] == [hostile.spell(concept.word) for concept in library.concepts()]
    assert {name for one in told for name, _ in one["features"]} <= set(names)


def test_the_page_holds_plotly_once_and_may_fetch_nothing(text):
    assert text.count("plotly.js v") == 1
    assert "default-src 'none'" in text
    own = text.replace(explorer.get_plotlyjs().replace("</script", r"<\/script"), "")
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", own)


def test_the_same_library_gives_the_same_page(library):
    assert explorer_page(library) == explorer_page(library)


def test_a_notebook_is_shown_the_page_in_a_sandboxed_frame(library):
    shown = show(library, title='"Mine" & yours', height=500)
    markup = shown._repr_html_()
    assert re.fullmatch(r"<iframe [^<>]*></iframe>", markup)
    attributes = dict(re.findall(r'([a-z]+)="([^"]*)"', markup))
    assert html.unescape(attributes["srcdoc"]) == shown.page == explorer_page(library, title='"Mine" & yours')
    assert html.unescape(attributes["title"]) == '"Mine" & yours'
    assert (attributes["height"], attributes["sandbox"]) == ("500", "allow-scripts")


def test_any_figure_can_be_framed_with_all_that_it_needs_and_may_fetch_nothing():
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="</script><b>"))
    shown = framed(figure, title='"Mine" & yours', height=300)
    assert shown == framed(figure, title='"Mine" & yours', height=300)
    assert shown.page.count("plotly.js v") == 1
    assert "default-src 'none'" in shown.page
    assert "</script><b>" not in shown.page
    assert "<title>&quot;Mine&quot; &amp; yours</title>" in shown.page
    assert 'height="300"' in shown._repr_html_()
