"""The library as tables: one row per concept, dimension, agent, word or event."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from knowledge_graph.history import Event
from knowledge_graph.queries import Meaning, NotInLibraryError, meanings, nearest

if TYPE_CHECKING:
    import pandas as pd

    from knowledge_graph.library import Library

Table = Literal["concepts", "dimensions", "agents", "words", "events"]


OPTIONAL = ("concept", "name")
"""Fields of a `Meaning` that may be None."""


def to_pandas(library: Library, table: Table = "concepts") -> pd.DataFrame:
    """A table of the library as of its last merge ("events": of all its history).

    "concepts": one row per concept, the best supported first; "dimensions": per dimension, with the fields of
    `Meaning`; "agents": per agent, also of those without dimensions, with the mean superiority over its dimensions (nan
    without); "words": per word that anybody has for a dimension, the most used first, with the concept that it
    ``names``, if any; "events": per event, in their order.

    Raises
    ------
    KeyError
        If there is no such table.
    """
    import pandas as pd

    # As texts of Python: those of Arrow are UTF-8, which cannot write everything that things may be called.
    with pd.option_context("mode.string_storage", "python"):
        return _to_pandas(library, table)


def _to_pandas(library: Library, table: Table) -> pd.DataFrame:
    import pandas as pd

    if table == "concepts":
        columns = ["concept", "name", "support", "members", "agents", "words", "since"]
        rows = [
            [c.id, library.spell(c.word), c.support, c.members, len(set(c.holder.tolist())), len(c.words), c.since]
            for c in library.concepts()
        ]
        return pd.DataFrame(rows, columns=columns).set_index("concept")
    if table == "events":
        names = [field.name for field in dataclasses.fields(Event)]
        return pd.DataFrame([[getattr(e, name) for name in names] for e in library.history], columns=names)
    if table not in get_args(Table):
        raise NotInLibraryError(f"no table {table!r}; {nearest(table, get_args(Table))}")
    dimensions = _dimensions(library)
    if table == "dimensions":
        return dimensions
    if table == "agents":
        by = dimensions.groupby("agent")
        count = pd.DataFrame(
            {
                "dimensions": by.size(),
                "concepts": by["concept"].nunique(),
                "abstract": by["kind"].agg(lambda kind: int((kind == "abstract").sum())),
            }
        )
        # Those without a dimension are agents, too.
        everybody = pd.Index([] if library.views is None else np.unique(library.views.agent), dtype=int, name="agent")
        found = count.reindex(everybody, fill_value=0).astype(int)
        found["superiority"] = by["superiority"].mean().reindex(everybody).astype(float)
        return found
    said = dimensions.explode("words").dropna(subset="words")
    by = said.groupby("words")
    found = pd.DataFrame(
        {"dimensions": by.size(), "agents": by["agent"].nunique(), "concepts": by["concept"].nunique()}
    )
    name_of = {library.spell(library.names[concept]): concept for concept in library.ids}
    found["names"] = pd.Series([name_of.get(word) for word in found.index], index=found.index, dtype=object)
    return found.sort_values(["dimensions", "agents"], ascending=False, kind="stable").rename_axis("word")


def _dimensions(library: Library) -> pd.DataFrame:
    import pandas as pd

    columns, rows = [field.name for field in dataclasses.fields(Meaning)], meanings(library)
    found = pd.DataFrame([[getattr(one, name) for name in columns] for one in rows], columns=columns)
    # As objects: in a column of text some versions of pandas would make nan of None.
    return found.assign(**{name: pd.Series([getattr(one, name) for one in rows], dtype=object) for name in OPTIONAL})
