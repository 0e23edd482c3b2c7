"""The report of a run, opened in a real browser that can reach nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser import Browser, Page, launched, needs_browser, opened
from tests.experiments.small import call, lively, world_file

pytestmark = needs_browser

CHARTS_DRAWN = "[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.cartesianlayer .trace'))"

CHARTS_FIT = """[...document.querySelectorAll('.plot')].every(plot =>
    Math.abs(plot.querySelector('svg.main-svg').getBoundingClientRect().width - plot.clientWidth) <= 1)"""
MAP_RANGE = "document.querySelector('#plot-map').layout.xaxis.range"

DISCS = """[...document.querySelectorAll('#plot-map .scatterlayer .trace')].filter(
    trace => trace.querySelector('.text text')).flatMap(trace => [...trace.querySelectorAll('path.point')])"""
"""The discs of the map: the points of the traces that have words on them."""

SQUARES = """[...document.querySelectorAll('#plot-map .scatterlayer .trace')].filter(
    trace => !trace.querySelector('.text text')).flatMap(trace => [...trace.querySelectorAll('path.point')]).filter(
    point => getComputedStyle(point).opacity > 0)"""
"""The other points that can be seen: agents."""

BOXES = "(found => found.map(one => one.getBoundingClientRect()).map(b => [b.x, b.y, b.width, b.height]))({})"

STICKING_OUT = """[...document.querySelectorAll('body *')]
    .filter(one => !one.closest('.scroll *') && one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.outerHTML.slice(0, 90))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched(timeout=30) as running:
        yield running


@pytest.fixture(scope="module", params=["features", "images"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a short run: in a small society whose agents are on the map too, or in a larger one of images."""
    place = tmp_path_factory.mktemp(request.param)
    args = (
        lively(world_file(place), place / "out")
        if request.param == "features"
        else lively("digits", place / "out", agents=24, probe=200)
    )
    assert call(args) == 0
    return place / "out"


@pytest.fixture(scope="module")
def graph(run) -> dict[str, Any]:
    """What the run wrote of its library."""
    return json.loads((run / "library.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=[1200, 400])
def width(request: pytest.FixtureRequest) -> int:
    """Of the window, in pixels: a desk's and a telephone's."""
    return int(request.param)


@pytest.fixture(scope="module")
def page(run, browser, width) -> Iterator[Page]:
    with opened(run / "report.html", width=width, browser=browser) as page:
        page.wait_for(CHARTS_DRAWN)
        yield page


def concepts_of(graph: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in graph["nodes"] if node["type"] == "concept"]


def boxes(page: Page, elements: str) -> np.ndarray:
    """[n, 4]: left, top, width, height of elements, in pixels."""
    return np.array(page.evaluate(BOXES.format(elements)), dtype=float).reshape(-1, 4)


def discs_on_the_map(page: Page) -> np.ndarray:
    """[n, 2]: the middles of the discs, in pixels from the corner of the map."""
    discs, corner = boxes(page, DISCS), boxes(page, "[document.getElementById('plot-map')]")[0, :2]
    return discs[:, :2] + discs[:, 2:] / 2 - corner


def test_every_concept_is_a_disc_on_the_map_with_its_name_on_it(page, graph, run):
    concepts = concepts_of(graph)
    assert len(concepts) == json.loads((run / "summary.json").read_text(encoding="utf-8"))["library"]["n_concepts"] > 4
    discs = boxes(page, DISCS)
    assert len(discs) == len(concepts)
    assert np.all(discs[:, 2:] >= 15)
    middles = discs_on_the_map(page)
    size = boxes(page, "[document.getElementById('plot-map')]")[0, 2:]
    assert np.all(middles >= discs[:, 2:] / 2)
    assert np.all(middles <= size - discs[:, 2:] / 2)
    words = page.evaluate(
        "[...document.querySelectorAll('#plot-map .scatterlayer .text text')].map(t => t.textContent)"
    )
    assert sorted(words) == sorted(concept["label"] for concept in concepts)
    apart = np.linalg.norm(middles[:, None] - middles[None, :], axis=2)[~np.eye(len(discs), dtype=bool)]
    assert apart.min() > 10


def test_the_agents_of_a_small_society_are_on_the_map_and_those_of_a_larger_one_are_not(page, graph):
    agents = [node for node in graph["nodes"] if node["type"] == "agent"]
    squares = boxes(page, SQUARES)
    assert len(squares) == (len(agents) if len(agents) <= 16 else 0)
    assert np.all(squares[:, 2:] > 4)


def test_pointing_at_a_disc_tells_of_its_concept(page, graph):
    page.centre("#plot-map")
    discs = boxes(page, DISCS)
    told = set()
    for x, y, width, height in discs:
        page.move(x + width / 2, y + height / 2)
        words = "[...document.querySelectorAll('#plot-map .hoverlayer .hovertext')].map(t => t.textContent).join()"
        fresh = page.wait_for(f"(told => told && !{json.dumps(sorted(told))}.includes(told) && told)({words})", 10)
        told.add(fresh)
    for concept in concepts_of(graph):
        assert any(text.startswith(f"{concept['label']} ({concept['id']})") for text in told), concept


def test_the_map_can_be_zoomed_and_put_back(page):
    before = discs_on_the_map(page)
    page.click(*page.centre("#plot-map [data-title='Zoom out']"))
    page.wait_for(f"{MAP_RANGE}[1] - {MAP_RANGE}[0] > 1.9", 10)
    assert np.ptp(discs_on_the_map(page), axis=0) == pytest.approx(np.ptp(before, axis=0) / 2, rel=0.1)
    page.click(*page.centre("#plot-map [data-title='Reset axes']"))
    page.wait_for(f"{MAP_RANGE}[1] - {MAP_RANGE}[0] < 1.1", 10)
    assert discs_on_the_map(page) == pytest.approx(before, abs=1)


def test_every_chart_is_drawn_and_as_wide_as_its_place(page, width):
    charts = page.evaluate("[...document.querySelectorAll('.plot')].map(plot => plot.id)")
    assert len(charts) >= 12
    for chart in charts:
        (place,) = boxes(page, f"[document.getElementById('{chart}')]")
        drawn = boxes(page, f"[...document.querySelectorAll('#{chart} svg.main-svg')]")
        marks = boxes(page, f"[...document.querySelectorAll('#{chart} .cartesianlayer .trace path')]")
        assert place[2] > 0.3 * width, chart
        assert place[3] > 50, chart
        assert drawn[0] == pytest.approx(place, abs=1), chart
        assert np.any(marks[:, 2:].max(axis=1, initial=0) > 2), chart


def test_the_page_is_never_wider_than_the_window(page, width):
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_charts_follow_the_window(page, width):
    page.resize(1600 - width, 900)
    page.wait_for(CHARTS_FIT)
    assert page.evaluate("document.documentElement.scrollWidth") == 1600 - width
    assert page.evaluate(STICKING_OUT) == []
    page.resize(width, 900)
    page.wait_for(CHARTS_FIT)


def test_every_image_is_shown_and_every_link_leads_to_its_section(page):
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    links = page.evaluate("[...document.querySelectorAll('nav a')].map(link => link.getAttribute('href'))")
    assert len(links) == len(set(links)) >= 8
    for link in links:
        page.click(*page.centre(f"nav a[href='{link}']"))
        page.wait_for(f"location.hash === {json.dumps(link)} && document.querySelector({json.dumps(link)})")


def test_nothing_is_fetched_and_nothing_is_complained_of(page):
    page.evaluate("window.scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    assert page.requests == []
    assert page.console == []
