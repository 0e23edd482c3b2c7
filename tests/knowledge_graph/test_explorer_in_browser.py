"""The explorer in a real browser that can reach nobody: what is drawn, and what clicks and keys do."""

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agents.config import SocietyConfig
from agents.society import Society
from agents.world import World, digits, planted
from knowledge_graph import draw, explorer
from knowledge_graph.draw import links_of
from knowledge_graph.explorer import explorer_page, show
from knowledge_graph.history import Event
from knowledge_graph.library import Library
from knowledge_graph.pictures import pictures_of
from tests.browser import Browser, Page, launched, needs_browser
from tests.knowledge_graph.exploring import (
    AGENTS,
    COUNT,
    DISCS,
    FOCUS,
    LINES,
    LISTED,
    NAMES,
    OPEN,
    RINGS,
    amid,
    ask,
    at_rest,
    clipped,
    find,
    nowhere,
    press,
    ready,
    where,
    written,
)  # fmt: skip
from tests.knowledge_graph.handmade import SLOTS, views_on
from tests.knowledge_graph.handmade import planted as handmade_world

pytestmark = needs_browser

HOSTILE = '</script><img src=x onerror="alert(1)"> & "$y$"'


def lived(world: World, *, agents: int) -> Library:
    society = Society(world, SocietyConfig(agents=agents, merge_interval=25, glimpses=1), seed=0)
    for _ in range(50):
        society.step()
    return society.library


@pytest.fixture(scope="module")
def world() -> World:
    return digits(seed=0, probe=200)


@pytest.fixture(scope="module")
def library(world) -> Library:
    return lived(world, agents=30)


@pytest.fixture(scope="module")
def pictures(world) -> dict[int, str]:
    assert world.image_shape is not None
    return pictures_of(world.features * world.scale + world.mean, range(len(world.features)), world.image_shape)


@pytest.fixture(scope="module")
def file(library, world, pictures, tmp_path_factory) -> Path:
    text = explorer_page(library, feature_names=world.feature_names, pictures=pictures, title="Digits")
    return written(tmp_path_factory.mktemp("explorer"), text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as running:
        yield running


@pytest.fixture
def page(file, browser) -> Iterator[Page]:
    with ready(file, browser) as page:
        yield page


# -- the map and its slider ---------------------------------------------------------------------------------------


def test_every_concept_is_a_disc_on_the_map_and_a_name_in_the_list(page, library):
    names = [library.spell(concept.word) for concept in library.concepts()]
    assert len(names) > 10
    assert sorted(page.evaluate(NAMES)) == sorted(map(clipped, names))
    assert page.evaluate(DISCS) == len(names)
    assert page.evaluate(LINES) == len(links_of(library)) > 5
    assert page.evaluate(LISTED) == [concept.id for concept in library.concepts()]
    assert page.evaluate(COUNT) == f"{len(names)} of {len(names)} concepts"
    assert page.evaluate(RINGS) == []


def test_the_slider_hides_concepts_with_less_support_and_the_lines_that_end_in_them(page, library):
    concepts = library.concepts()
    for rank in (len(concepts) // 3, 2 * len(concepts) // 3):
        threshold = int(100 * concepts[rank].support) / 100 + 0.01
        ask(page, threshold)
        left = [concept for concept in concepts if concept.support >= threshold]
        assert 1 < len(left) < len(concepts)
        ids = {concept.id for concept in left}
        page.wait_for(f"{DISCS} === {len(left)}")
        assert sorted(page.evaluate(NAMES)) == sorted(clipped(library.spell(concept.word)) for concept in left)
        assert page.evaluate(LINES) == sum(set(link.ends) <= ids for link in links_of(library))
        assert page.evaluate(LISTED) == [concept.id for concept in left]
        assert page.evaluate(COUNT) == f"{len(left)} of {len(concepts)} concepts"
    ask(page, 0)
    page.wait_for(f"{DISCS} === {len(concepts)}")


def test_the_slider_pushed_to_its_end_leaves_the_best_supported_concept(page, library):
    ask(page, 9)
    page.wait_for(f"{DISCS} >= 1 && {DISCS} < {len(library)}")
    assert library.concepts()[0].id in page.evaluate(LISTED)


def test_the_wheel_zooms_a_drag_moves_and_a_double_click_shows_all_again(page, library):
    one, other = (clipped(library.spell(concept.word)) for concept in amid(page, library)[:2])

    def apart() -> np.ndarray:
        return np.array(where(page, one)) - where(page, other)

    start = apart()
    page.wheel(*nowhere(page), -200)
    at_rest(page)
    before, zoomed, empty = np.array(where(page, one)), apart(), nowhere(page)
    assert np.linalg.norm(zoomed) > 1.1 * np.linalg.norm(start)
    page.drag(empty, (empty[0] + 60, empty[1] - 40))
    at_rest(page)
    assert np.array(where(page, one)) - before == pytest.approx((60, -40), abs=2)
    assert apart() == pytest.approx(zoomed, abs=1)
    empty = nowhere(page)
    page.click(*empty)
    page.click(*empty)
    at_rest(page)
    assert apart() == pytest.approx(start, abs=1)


def test_the_map_can_be_zoomed_with_buttons_too(page, library):
    one, other = (clipped(library.spell(concept.word)) for concept in amid(page, library)[:2])

    def distance() -> float:
        return float(np.linalg.norm(np.array(where(page, one)) - where(page, other)))

    def after(button: str) -> float:
        page.click(*page.centre(f"#zoom [data-zoom='{button}']"))
        at_rest(page)
        return distance()

    start = distance()
    assert after("0.7") == pytest.approx(start / 0.7, abs=1)
    assert after("1.4") == pytest.approx(start / 0.7 / 1.4, abs=1)
    assert after("0") == pytest.approx(start, abs=1)


# -- one concept ----------------------------------------------------------------------------------------------------


def test_a_click_on_a_disc_opens_the_concept_with_its_exemplars_and_rings_the_disc(page, library, world, pictures):
    for concept in library.concepts()[:3]:
        name = library.spell(concept.word)
        place = where(page, clipped(name))
        page.click(*place)
        page.wait_for(f"({OPEN}) === {json.dumps(concept.id)}")
        assert page.evaluate("document.querySelector('article h2').firstChild.data") == name
        told = page.evaluate("document.querySelector('article > p').textContent")
        assert f"support {concept.support:.2f}, {concept.members} members, mean |r| " in told
        assert told.endswith(f", since step {concept.since}")
        shown = page.evaluate(
            "[...document.querySelectorAll('.objects img')].map(i => [i.src, i.alt, i.naturalWidth, i.naturalHeight])"
        )
        exemplars = (*concept.strongest, *concept.weakest)
        assert shown == [[pictures[obj], f"object {obj}", 8, 8] for obj in exemplars]
        rows = page.evaluate("[...document.querySelectorAll('.bars dd:not(.bar)')].map(dd => dd.textContent)")
        largest = sorted(concept.loadings, key=abs)[-len(rows) :]
        assert rows == [f"{r:+.2f}".replace("-", "\N{MINUS SIGN}") for r in sorted(largest, reverse=True)]
        (ring,) = page.evaluate(RINGS)
        assert ring == pytest.approx(place, abs=2)


def test_a_click_on_nothing_and_escape_close_a_concept_but_moving_the_map_does_not(page, library):
    concept = amid(page, library)[0]
    name = clipped(library.spell(concept.word))
    for close in (lambda: page.click(*nowhere(page)), lambda: press(page, "Escape", 27),
                  lambda: page.click(*page.centre("#close"))):  # fmt: skip
        at_rest(page)  # or else two clicks would be a double click
        page.click(*where(page, name))
        page.wait_for(f"({OPEN}) === {json.dumps(concept.id)}")
        x, y = nowhere(page)
        page.drag((x, y), (x + 20, y + 10))
        at_rest(page)
        assert page.evaluate(OPEN) == concept.id
        close()
        page.wait_for(f"({OPEN}) === null && {RINGS}.length <= 1")
        assert page.evaluate(LISTED) == [concept.id for concept in library.concepts()]
        # The keyboard goes on from where it was, with a ring that says where that is.
        assert page.evaluate(FOCUS) == concept.id


def test_objects_without_pictures_are_shown_by_their_numbers(library, browser, tmp_path):
    concept = library.concepts()[0]
    with ready(written(tmp_path, explorer_page(library)), browser) as page:
        page.click(*where(page, clipped(library.spell(concept.word))))
        page.wait_for(f"({OPEN}) === {json.dumps(concept.id)}")
        numbers = page.evaluate("[...document.querySelectorAll('.objects .plain')].map(f => f.textContent)")
        assert numbers == [str(obj) for obj in (*concept.strongest, *concept.weakest)]


def test_a_concept_of_agents_who_share_no_objects_has_no_exemplars(browser, tmp_path):
    views = views_on(*handmade_world(), agents=40)
    phi = np.tile(np.eye(SLOTS, dtype=np.float32), (len(views), 1, 1))
    library = Library()
    library.merge(dataclasses.replace(views, levels=None, structure=views.loading, phi=phi))
    concept = library.concepts()[0]
    with ready(written(tmp_path, explorer_page(library)), browser) as page:
        page.click(*where(page, clipped(library.spell(concept.word))))
        page.wait_for(f"({OPEN}) === {json.dumps(concept.id)}")
        headings = page.evaluate("[...document.querySelectorAll('article h3')].map(h3 => h3.textContent)")
        assert "Features" in headings
        assert not any("objects" in heading for heading in headings)
        page.wait_for("document.querySelector('.hoverlayer')?.textContent === ''")
        page.move(*nowhere(page))
        page.move(*where(page, clipped(library.spell(concept.word))))
        page.wait_for("document.querySelector('.hoverlayer')?.textContent.includes('support')")
        assert "objects" not in page.evaluate("document.querySelector('.hoverlayer').textContent")


def test_related_concepts_are_links_and_one_that_is_hidden_comes_into_sight(page, library):
    concepts = {concept.id: concept for concept in library.concepts()}
    strong, weak = next(
        sorted(link.ends, key=lambda end: -concepts[end].support)
        for link in links_of(library)
        if abs(concepts[link.ends[0]].support - concepts[link.ends[1]].support) > 0.03
    )
    ask(page, concepts[strong].support - 0.01)
    assert weak not in page.evaluate(LISTED)
    page.evaluate(f"document.querySelector('#list [data-concept={strong}]').click()")
    page.click(*page.centre(f".near [data-concept={weak}]"))
    page.wait_for(f"({OPEN}) === {json.dumps(weak)}")
    assert clipped(library.spell(concepts[weak].word)) in page.evaluate(NAMES)
    assert page.evaluate("Number(document.querySelector('#support').value)") <= concepts[weak].support


def test_events_name_the_other_concepts_and_link_those_that_are_on_the_map(library, browser, tmp_path):
    changed, (one, other) = copy.deepcopy(library), library.ids[:2]
    events = (
        Event(step=1070, kind="split", concept=one, parents=(other,)),
        Event(step=1070, kind="merge", concept=one, parents=(one, "c999")),
    )
    of_others = [event for event in changed.rounds[-1].events if event.concept != one]
    changed.rounds[-1] = dataclasses.replace(changed.rounds[-1], events=(*of_others, *events))
    name = library.spell(library.concept(other).word)
    with ready(written(tmp_path, explorer_page(changed)), browser) as page:
        page.evaluate(f"document.querySelector('#list [data-concept={one}]').click()")
        told = page.evaluate("[...document.querySelectorAll('.events li')].map(li => li.textContent)")
        assert told[-2:] == [f"step 1,070: split off from {name} {other}", "step 1,070: took in c999"]
        links = page.evaluate("[...document.querySelectorAll('.events .link')].map(link => link.dataset.concept)")
        assert links == [other]


def test_the_search_finds_concepts_by_id_by_name_and_by_another_word(page, library):
    concepts = library.concepts()
    target = next(concept for concept in concepts if len(concept.words) > 1)
    other = next(word for word in target.words if word != target.word)
    for words in (target.id.upper(), library.spell(target.word), library.spell(other)[:3]):
        page.evaluate("document.querySelector('#find').select()")
        find(page, words)
        found = page.evaluate(LISTED)
        assert target.id in found
        assert len(found) < len(concepts)
        assert page.evaluate(COUNT).endswith(f"concepts, {len(found)} found")
        page.wait_for(f"{RINGS}.length === {len(found)}")
    page.evaluate("document.querySelector('#find').select()")
    find(page, "nobody says this")
    assert page.evaluate(LISTED) == []
    assert page.evaluate("document.querySelector('#side').textContent").endswith("No concept is like that.")


def test_the_search_tells_of_concepts_that_the_slider_hides(page, library):
    concepts = library.concepts()
    target = next(c for c in concepts[1:] if not any(o.id.startswith(c.id) for o in concepts if o is not c))
    ask(page, target.support + 0.01)
    find(page, target.id)
    assert page.evaluate(LISTED) == []
    assert page.evaluate("document.querySelector('#side').textContent").endswith("1 with less support.")
    press(page, "Enter", 13)
    page.wait_for(f"({OPEN}) === {json.dumps(target.id)}")
    assert clipped(library.spell(target.word)) in page.evaluate(NAMES)


def test_everything_can_be_reached_by_keyboard(page, library):
    """From the search box to a concept, on to a related one, and back."""
    target = next(c for c in library.concepts() if any(c.id in link.ends for link in links_of(library)))
    find(page, target.id)
    press(page, "Enter", 13)
    page.wait_for(f"({OPEN}) === {json.dumps(target.id)}")
    assert page.evaluate(FOCUS) == "H2"
    for _ in range(30):
        press(page, "Tab", 9)
        if page.evaluate("document.activeElement.matches('.near .link')"):
            break
    following = page.evaluate(FOCUS)
    press(page, "Enter", 13)
    page.wait_for(f"({OPEN}) === {json.dumps(following)}")
    press(page, "Escape", 27)
    page.wait_for(f"({OPEN}) === null")


@pytest.mark.parametrize("width", [1200, 900, 400])
def test_nothing_sticks_out_and_on_a_narrow_screen_the_concept_is_under_the_map(file, library, browser, width):
    concept = library.concepts()[0]
    with ready(file, browser, width=width, height=800) as page:
        for _ in range(2):
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            boxes = "['#map', '#side'].map(id => document.querySelector(id).getBoundingClientRect())"
            (right, bottom), (left, top) = page.evaluate(
                f"(([map, side]) => [[map.right, map.bottom], [side.left, side.top]])({boxes})"
            )
            assert (top >= bottom) == (width == 400)
            assert (left >= right) == (width != 400)
            page.click(*where(page, clipped(library.spell(concept.word))))
            page.wait_for(f"({OPEN}) === {json.dumps(concept.id)}")
        seen = page.evaluate("(b => [b.top, b.bottom])(document.querySelector('article h2').getBoundingClientRect())")
        assert 0 <= seen[0] < seen[1] <= 800


def test_it_works_in_the_frame_that_a_notebook_shows(library, pictures, browser, tmp_path):
    concept = library.concepts()[0]
    shown = show(library, pictures=pictures, height=700)._repr_html_()
    with ready(written(tmp_path, f"<!DOCTYPE html><p>Out:</p>{shown}"), browser, frame=1) as page:
        assert page.evaluate(DISCS, frame=1) == len(library)
        left, top = page.evaluate("(b => [b.x, b.y])(document.querySelector('iframe').getBoundingClientRect())")
        x, y = where(page, clipped(library.spell(concept.word)), frame=1)
        page.click(left + x, top + y)
        page.wait_for(f"({OPEN}) === {json.dumps(concept.id)}", frame=1)
        assert page.evaluate("document.querySelectorAll('.objects img').length", frame=1) == 10


def test_hostile_words_are_shown_as_they_are(library, browser, tmp_path):
    hostile = copy.copy(library)
    hostile.spell = lambda word: f"{word}{HOSTILE}"
    concept = library.concepts()[0]
    text = explorer_page(hostile, feature_names=[f"{HOSTILE} {i}" for i in range(64)], title=HOSTILE)
    with ready(written(tmp_path, text), browser) as page:
        assert page.evaluate("document.querySelector('h1').textContent") == HOSTILE
        page.evaluate(f"document.querySelector('#list [data-concept={concept.id}]').click()")
        name = page.evaluate("document.querySelector('article h2').firstChild.data")
        assert name == hostile.spell(concept.word)
        features = page.evaluate("[...document.querySelectorAll('.bars dt')].map(dt => dt.textContent)")
        assert all(feature.startswith(HOSTILE) for feature in features)
        assert page.evaluate("document.querySelectorAll('img').length") == 0
        page.move(*where(page, clipped(name)))
        page.wait_for("document.querySelector('.hoverlayer')?.textContent.includes('<img src=x')")


def test_agents_of_a_small_society_stay_when_the_concepts_they_hold_are_hidden(browser, tmp_path):
    library = lived(planted(seed=2, objects=400, features=24, factors=4, probe=100), agents=6)
    concepts, links = library.concepts(), links_of(library)
    with ready(written(tmp_path, explorer_page(library)), browser) as page:
        threshold = (concepts[0].support + concepts[-1].support) / 2
        ask(page, threshold)
        left = {concept.id for concept in concepts if concept.support >= threshold}
        hidden = {concept.id for concept in concepts} - left
        assert any(link.kind == "held" and not hidden.isdisjoint(link.ends) for link in links)
        page.wait_for(f"{DISCS} === {len(left)}")
        shown = [link for link in links if hidden.isdisjoint(link.ends)]
        assert page.evaluate(LINES) == len(shown)
        assert page.evaluate(AGENTS) == 6


def test_on_a_crowded_map_the_ring_says_the_name(library, browser, tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "LEGIBLE", 3)
    monkeypatch.setattr(draw, "READABLE", np.inf)
    monkeypatch.setattr(explorer, "LEGIBLE", 3)
    concept = library.concepts()[0]
    with ready(written(tmp_path, explorer_page(library)), browser) as page:
        assert page.evaluate(NAMES) == []
        page.evaluate(f"document.querySelector('#list [data-concept={concept.id}]').click()")
        page.wait_for(f"{NAMES}.length > 0")
        assert page.evaluate(NAMES) == [library.spell(concept.word)]


def test_a_library_without_concepts_says_so(browser, tmp_path):
    with ready(written(tmp_path, explorer_page(Library(probe=np.arange(10)))), browser) as page:
        assert page.evaluate("document.querySelector('#plot .annotation').textContent") == "no concepts yet"
        assert page.evaluate("document.querySelector('#side').textContent") == "The library has no concepts yet."
        assert page.evaluate("document.querySelector('#support').disabled && document.querySelector('#find').disabled")
