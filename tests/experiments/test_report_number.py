"""What the report says of how concepts were counted: another thing for each way of finding them."""

import dataclasses

import numpy as np
import pytest

from agents.config import SocietyConfig
from agents.consult import new_library, views_of
from agents.society import Society
from agents.world import planted
from experiments.report_library import number_section
from experiments.report_page import Section
from knowledge_graph.library import Library
from tests.knowledge_graph.known import directions, put_in, unified_of

OF_ITS_OWN = {
    "gcca": "that views have in common",
    "common": "features have nothing to do with each other",
    "clustering": "dimensions that look alike",
    "covariance": "go together",
}
"""A phrase that says how, and fits no other way."""


@pytest.fixture(scope="module")
def society() -> Society:
    lived = Society(planted(seed=1, objects=400, features=24, factors=4, probe=80), SocietyConfig(agents=24), seed=1)
    for _ in range(20):
        lived.step()
    return lived


def section_of(society: Society, way: str) -> tuple[Library, Section]:
    how = {"concepts": "common"} if way == "common" else {"unify": way}
    library = new_library(society.world, dataclasses.replace(society.config, **how))
    library.merge(views_of(society.population, society.world, np.arange(len(society.population))))
    return library, number_section(library, [])


@pytest.mark.parametrize("way", OF_ITS_OWN)
def test_every_way_of_counting_is_told_as_what_it_is(society, way):
    library, section = section_of(society, way)
    assert section.heading == f"Why {len(library)} concepts"
    told = section.text + " ".join(plot.html for plot in section.plots)
    said = {name for name, phrase in OF_ITS_OWN.items() if phrase in told}
    assert said == ({"gcca", "common"} if way == "common" else {way})
    assert ("captured by a view" in told) == (way in ("gcca", "common"))


@pytest.mark.parametrize("way", OF_ITS_OWN)
def test_what_was_counted_is_drawn_beside_its_edge_on_an_axis_with_numbers(society, way):
    library, section = section_of(society, way)
    (spectrum,) = section.plots
    traces = {trace.name: trace for trace in spectrum.figure.data}
    k = len(library)
    np.testing.assert_array_equal(traces["kept"].x, np.arange(1, k + 1))
    np.testing.assert_array_equal(traces["kept"].y, library.unified.eigenvalues[:k])
    assert np.all(traces["kept"].y > traces["edge of chance"].y[1 : k + 1])
    drawn = np.concatenate([trace.y for trace in traces.values()])
    ticks = np.array(spectrum.figure.layout.yaxis.tickvals)
    assert np.any((ticks >= drawn.min()) & (ticks <= drawn.max()))
    assert ticks.max() >= drawn.max() / 4


def test_what_stands_after_the_first_that_is_far_below_the_edge_is_not_drawn():
    unified = dataclasses.replace(
        unified_of(directions(1)), eigenvalues=np.array([3.0, 0.01, 0.5]), edge=np.array([1.0, 1.0, 1.0])
    )
    library = Library()
    put_in(library, unified)
    (spectrum,) = number_section(library, []).plots
    assert [list(trace.x) for trace in spectrum.figure.data if trace.mode == "markers"] == [[1]]


@pytest.mark.parametrize("way", ["gcca", "clustering", "covariance"])
def test_nothing_to_be_counted_is_no_chart(way):
    # No dimensions at all make no clusters; the others have an edge nonetheless.
    edge = np.ones(0 if way == "clustering" else 3)
    nothing = dataclasses.replace(unified_of(directions(0)), method=way, eigenvalues=0.0 * edge, edge=edge)
    library = Library()
    put_in(library, nothing)
    section = number_section(library, [])
    assert section.heading == "Why there are no concepts"
    assert section.plots == []
