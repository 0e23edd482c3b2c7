"""Whatever is in a library's file: a library that answers every question in finite numbers, or one sentence."""

from __future__ import annotations

import io
import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from knowledge_graph import storage
from knowledge_graph.history import alive
from knowledge_graph.library import Library
from knowledge_graph.views import Views
from tests.tally import counted
from tests.trust.malformed import (
    TRIED,
    Arrays,
    Change,
    accepted,
    amounts,
    as_npz,
    changed,
    go_through,
    mostly_archives,
    places_in,
)

TEXTS = ("about", "state/scalars")
"""Arrays that hold JSON."""

TABLES = ("concepts", "dimensions", "agents", "words", "events")


def small_library() -> Library:
    """Two merges of eight agents, with words, sources, empty slots and a few objects unseen."""
    rng = np.random.default_rng(5)
    n, slots, objects, features = 8, 3, 20, 6
    world = rng.standard_normal((objects, features))
    library = Library(probe=rng.permutation(100)[:objects], features=world, feature_names=[f"f{i}" for i in range(6)])
    for merge in range(2):
        held = np.arange(n * slots).reshape(n, slots) % 7 != merge
        sensor = np.array([rng.permutation(features)[:4] for _ in range(n)]).astype(np.int32)
        loading = rng.standard_normal((n, slots, 4)).astype(np.float32) * held[:, :, None]
        levels = np.einsum("pnm,nsm->nps", world[:, sensor], loading).astype(np.float32)
        levels[0, :3] = np.nan
        views = Views.of(levels=levels, sensor=sensor, loading=loading, held=held, agent=np.arange(n) + merge)
        views.words[:, :, 0] = np.where(held, rng.integers(-1, 9, (n, slots)), -1)
        views.sources[:, :, 0] = np.where(held, library.probe[rng.integers(0, objects, (n, slots))], -1)
        library.merge(views)
    assert len(library) > 1
    return library


def as_arrays(library: Library) -> Arrays:
    with np.load(io.BytesIO(storage.to_bytes(library))) as archive:
        return {name: archive[name] for name in archive.files}


def assert_answers(library: Library) -> None:
    """It can be asked about everything that it lists, and what it says are numbers."""
    for round_ in library.rounds:
        unified = round_.unified
        for array in (unified.scores, unified.weights, unified.loadings, unified.correlation, unified.support):
            assert np.isfinite(array).all()
        for array in (round_.mean, round_.sd, round_.overlap):
            assert np.isfinite(array).all()
    assert alive(library.history) == set(library.ids)
    for concept in library.concepts():
        assert np.isfinite(concept.support)
        str(library.explain(concept.id))
    for table in TABLES:
        library.to_pandas(table)
    graph = library.graph()
    assert isinstance(graph, nx.MultiDiGraph)
    for agent in [] if library.views is None else library.views.agent.tolist()[:2]:
        for one in library.agent(agent):
            str(one)
    if library.features is not None and library.unified is not None and len(library.weights):
        assert np.isfinite(library.transform(library.features)).all()
    again = Library(probe=library.probe, features=library.features)
    again.restore(library.state())
    assert again.ids == library.ids


def check_library(path: Path, written: bytes) -> None:
    path.write_bytes(written)
    found = accepted(lambda: Library.load(path), ValueError)
    if found is not None:
        assert_answers(found)


@amounts()
def test_a_file_of_a_library_is_one_or_one_sentence(cases: int, tmp_path: Path) -> None:
    path = tmp_path / "library.npz"
    library = small_library()
    path.write_bytes(storage.to_bytes(library))
    assert_answers(Library.load(path))
    ways = mostly_archives(as_arrays(library), texts=TEXTS)
    go_through(ways, lambda written: check_library(path, written), cases)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_what_utf8_cannot_write_is_told_or_refused_wherever_it_stands(name: str, tmp_path: Path) -> None:
    arrays = as_arrays(small_library())
    document = json.loads(str(arrays[name]))
    changes = [
        Change(kind, place, 0, "\ud800") for place in range(places_in(document)) for kind in ("replace", "rename")
    ]
    for change in changes:
        text = json.dumps(changed(document, [change]))
        check_library(tmp_path / "library.npz", as_npz(arrays | {name: np.array(text)}))
        counted(TRIED)
