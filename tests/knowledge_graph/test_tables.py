"""The library as tables, where the truth is known."""

import dataclasses

import numpy as np
import pytest

from knowledge_graph.library import Library
from knowledge_graph.queries import Meaning
from tests.knowledge_graph.known import (
    HELD,
    PROBE,
    directions,
    known_library,
    known_views,
    put_in,
    spell,
    unified_of,
)


@pytest.fixture(scope="module")
def library() -> Library:
    return known_library()


def test_the_table_of_concepts(library: Library) -> None:
    table = library.to_pandas()
    assert table.index.tolist() == ["c1", "c2", "c3"]
    assert table["support"].tolist() == [0.8, 0.6, 0.3]
    assert table["members"].tolist() == table["agents"].tolist() == [2, 2, 1]
    assert table["words"].tolist() == [2, 2, 0]
    assert table["since"].tolist() == [10, 10, 20]
    assert table["name"].tolist() == [spell(library.names[c]) for c in ("c1", "c2", "c3")]


def test_the_table_of_dimensions_says_what_agents_say(library: Library) -> None:
    table = library.to_pandas("dimensions")
    listed = [meaning for agent in (3, 7, 11, 20) for meaning in library.agent(agent)]
    assert [Meaning(**row) for row in table.to_dict("records")] == listed


def test_the_table_of_agents_has_also_those_without_dimensions(library: Library) -> None:
    table = library.to_pandas("agents")
    assert table.index.tolist() == [3, 7, 11, 20]
    assert table["dimensions"].tolist() == [2, 3, 1, 0]
    assert table["concepts"].tolist() == [2, 2, 1, 0]
    assert table["abstract"].tolist() == [1, 3, 0, 0]
    np.testing.assert_allclose(table["superiority"], [0.6, 0.5, 0.6, np.nan], rtol=1e-6)


def test_the_table_of_words(library: Library) -> None:
    table = library.to_pandas("words")
    assert table.index.tolist()[:2] == ["kiru", "moba"]
    assert table.loc["kiru"].tolist()[:3] == [2, 2, 1]
    assert table.loc["moba"].tolist()[:3] == [2, 2, 1]
    assert table.loc["silo"].tolist()[:3] == [1, 1, 0]
    assert table["names"].tolist() == ["c1", "c2", None, None, None]


@pytest.mark.parametrize("table", ["concepts", "dimensions", "agents", "words", "events"])
def test_words_that_utf8_cannot_write_are_told_all_the_same(table: str) -> None:
    plain, odd = known_library(), known_library()
    odd.spell = lambda word: f"\ud800{spell(word)}"
    told, expected = odd.to_pandas(table), plain.to_pandas(table)
    assert told.shape == expected.shape
    assert told.columns.tolist() == expected.columns.tolist()
    if table == "words":
        assert [word[1:] for word in told.index] == expected.index.tolist()


def test_the_table_of_events(library: Library) -> None:
    table = library.to_pandas("events")
    assert table["kind"].tolist() == ["birth", "birth", "split"]
    assert table["parents"].tolist() == [(), (), ("c2",)]
    assert table["round"].tolist() == [1, 1, 2]


TABLES = ("concepts", "dimensions", "agents", "words", "events")


@pytest.mark.parametrize("table", TABLES)
def test_tables_have_their_columns_also_when_there_is_nothing_to_tell(library: Library, table: str) -> None:
    empty = Library(probe=PROBE)
    nothing_shared, nobody_holds = Library(probe=PROBE), Library(probe=PROBE)
    put_in(nothing_shared, unified_of(directions(0), correlation=np.zeros((4, 3, 0))), known_views())
    views = dataclasses.replace(known_views(), held=HELD & False)
    put_in(nobody_holds, unified_of(directions(0), correlation=np.zeros((4, 3, 0))), views)
    full = library.to_pandas(table)
    for other in (empty, nothing_shared, nobody_holds):
        found = other.to_pandas(table)
        assert found.columns.tolist() == full.columns.tolist()
        assert found.index.name == full.index.name
    assert len(empty.to_pandas(table)) == 0
    rows = {"concepts": 0, "dimensions": 6, "agents": 4, "words": 5, "events": 0}
    assert len(nothing_shared.to_pandas(table)) == rows[table]
    assert len(nobody_holds.to_pandas(table)) == (4 if table == "agents" else 0)
