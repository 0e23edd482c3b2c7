"""Whatever a library is like, every question is answered, or is a KeyError."""

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.communication import spelled
from knowledge_graph.library import Library
from knowledge_graph.queries import UNDERSTOOD
from knowledge_graph.views import Views
from tests.knowledge_graph.known import spell

TABLES = ("concepts", "dimensions", "agents", "words", "events")


@st.composite
def small_libraries(draw: st.DrawFn) -> Library:
    """Libraries of a few agents: with empty slots, without words, without sensors, with nothing in common."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, slots, objects = draw(st.sampled_from([1, 2, 8, 12])), draw(st.integers(1, 3)), draw(st.sampled_from([2, 9, 24]))
    library = Library(
        probe=rng.permutation(1000)[:objects],
        features=rng.standard_normal((objects, 5)) if draw(st.booleans()) else None,
        spell=draw(st.sampled_from([None, spell, spelled])),
    )
    for _ in range(draw(st.integers(0, 3))):
        held = rng.random((n, slots)) < draw(st.sampled_from([0.0, 0.5, 1.0]))
        levels = rng.standard_normal((n, objects, slots))
        common, seen = draw(st.sampled_from([(0.0, 1.0), (1.0, 1.0), (3.0, 1.0), (3.0, 0.7)]))
        levels += common * rng.standard_normal((objects, slots))
        levels[:, 1:][rng.random((n, objects - 1)) > seen] = np.nan  # all have seen the first
        sensing = draw(st.booleans())
        library.merge(
            Views(
                agent=np.sort(rng.permutation(50)[:n]),
                held=held,
                levels=levels.astype(np.float32),
                sensor=rng.integers(-1, 5, (n, 2)).astype(np.int32) if sensing else None,
                loading=rng.standard_normal((n, slots, 2)).astype(np.float32) if sensing else None,
                words=np.where(held[:, :, None], rng.integers(-1, 6, (n, slots, 2)), -1).astype(np.int32),
                kind=np.where(held, rng.integers(1, 3, (n, slots)), 0).astype(np.int8),
                sources=np.where(held[:, :, None], rng.integers(-1, 9, (n, slots, 2)), -1).astype(np.int32),
                born=np.zeros((n, slots), dtype=np.int32),
                score=rng.random((n, slots)).astype(np.float32),
            )
        )
    return library


def assert_answered(ask: Callable[[], object]) -> None:
    error = None
    try:
        ask()
    except KeyError as refused:
        error = str(refused)
    if error is not None:
        assert error[0] not in "'\""
        assert len(error.splitlines()) == 1


NAMES = st.sampled_from(["c1", "c2", "c9", "kiru", "w:kiru", "w1", "a:3", "d:3.0", "o:5", "", "\n", "none of these"])
NUMBERS = st.sampled_from([*range(-2, 51), 2**70, np.int64(4), np.int32(7)])


@settings(max_examples=120, deadline=None)
@given(small_libraries(), st.data())
def test_every_question_is_answered_or_a_key_error(library: Library, data: st.DataObject) -> None:
    agents = [] if library.views is None else library.views.agent.tolist()
    who = st.sampled_from(agents) | NUMBERS if agents else NUMBERS
    concept = NAMES | st.sampled_from([*library.ids, "c1"])
    slot = st.integers(-1, 4) | NAMES
    a, b, name, at = (data.draw(x) for x in (who, who, concept, slot))
    for ask in (
        lambda: library.concept(name),
        lambda: str(library.explain(name)),
        lambda: [str(one) for one in library.agent(a)],
        lambda: library.meaning(a, at),
        lambda: str(library.translate(a, at, b)),
        lambda: str(library.path(a, b)),
        lambda: str(library.path(name, a)),
        lambda: [library.to_pandas(table) for table in TABLES],
        lambda: library.at(data.draw(st.integers(-5, 5))),
        lambda: library.graph(),
        lambda: repr(library),
    ):
        assert_answered(ask)


@settings(max_examples=40, deadline=None)
@given(small_libraries())
def test_everything_that_a_library_lists_can_be_asked_about(library: Library) -> None:
    graph = library.graph()
    for concept in library.concepts():
        explained = library.explain(concept.id)
        assert len(explained.members) == concept.members
        assert {one.agent for one in explained.members} == set(concept.agents())
    for agent in [] if library.views is None else library.views.agent.tolist():
        for one in library.agent(agent):
            assert all(one in library.meaning(agent, word) for word in one.words)
            for other in library.views.agent.tolist():
                found = library.translate(agent, one.slot, other)
                if found.slot is not None:
                    assert UNDERSTOOD <= abs(found.r) <= 1
                    assert found.slot in [own.slot for own in library.agent(other)]
        assert str(library.path(agent, agent)) == f"a:{agent}"
    for node in list(graph)[:10]:
        assert library.path(node, node).steps == ()
    table = library.to_pandas("dimensions")
    assert len(table) == sum(data["type"] == "dimension" for _, data in graph.nodes(data=True))
