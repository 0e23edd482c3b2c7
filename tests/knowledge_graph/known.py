"""Libraries whose concepts are put in by hand, so that every answer is known."""

import dataclasses
from unittest import mock

import numpy as np

from knowledge_graph.library import Library
from knowledge_graph.views import Unified, Views
from knowledge_graph.word import Merge

OBJECTS = 40


def directions(k: int, *, objects: int = OBJECTS, seed: int = 0) -> np.ndarray:
    """Uncorrelated scores [P, k] of mean 0 and variance 1 that point the way a library would turn new ones."""
    drawn = np.random.default_rng(seed).standard_normal((objects, k))
    scores = np.linalg.qr(drawn - drawn.mean(axis=0))[0] * np.sqrt(objects)
    return scores * np.sign((scores**3).sum(axis=0))


def unified_of(
    scores: np.ndarray,
    *,
    correlation: np.ndarray | None = None,
    support: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    loadings: np.ndarray | None = None,
) -> Unified:
    """What a merge found; by default nobody holds the concepts, and nobody knows what they look like."""
    k = scores.shape[1]
    return Unified(
        method="gcca",
        scores=scores,
        weights=np.zeros((0, k)) if weights is None else weights,
        loadings=np.zeros((0, k)) if loadings is None else loadings,
        correlation=np.zeros((1, 1, k), dtype=np.float32) if correlation is None else correlation.astype(np.float32),
        support=np.linspace(0.9, 0.5, k) if support is None else np.asarray(support, dtype=float),
        eigenvalues=np.zeros(0),
        edge=np.zeros(0),
    )


def silent_views(agents: int = 1, slots: int = 1) -> Views:
    """Views of agents about whom nothing is known."""
    return Views.of(sensor=np.zeros((agents, 1), dtype=np.int32), loading=np.zeros((agents, slots, 1)))


def put_in(library: Library, unified: Unified, views: Views | None = None, **when: int) -> Merge:
    """Merge views of which it is known what they add up to."""
    with mock.patch("knowledge_graph.library.unify", return_value=unified):
        return library.merge(silent_views() if views is None else views, **when)


def assert_same(a: Library, b: Library) -> None:
    """Two libraries know the same, to the last bit."""
    assert repr(a) == repr(b)
    assert (a.ids, a.step, a.history, len(a.rounds)) == (b.ids, b.step, b.history, len(b.rounds))
    assert list(a.names.items()) == list(b.names.items())
    mine, others = a.state(), b.state()
    assert mine.keys() == others.keys()
    for name, array in mine.items():
        assert array.dtype == others[name].dtype
        np.testing.assert_array_equal(array, others[name], err_msg=name)
    for one, other in zip(a.concepts(), b.concepts(), strict=True):
        for field in vars(one):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)
    first, second = a.graph(), b.graph()
    assert first.graph == second.graph
    assert list(first.nodes(data=True)) == list(second.nodes(data=True))
    assert list(first.edges(data=True, keys=True)) == list(second.edges(data=True, keys=True))


# A library of which all is known.

SPELLED = ["kiru", "moba", "tane", "silo", "dupe", "vano"]
PROBE = np.arange(100, 100 + OBJECTS)

# c1 and c3 look alike, c2 is for itself.
LOADINGS = np.array([[0.9, 0.0, 0.5], [0.8, 0.0, 0.0], [0.0, 0.7, 0.0], [0.0, -0.6, 0.0], [0.0, 0.0, 0.9]])

# What every dimension (agents 3, 7, 11, 20; three slots) has to do with c1, c2, c3.
CORRELATION = np.array(
    [
        [[0.9, 0.1, 0.0], [0.1, -0.8, 0.0], [0.0, 0.0, 0.0]],
        [[0.0, 0.95, 0.0], [0.2, 0.0, 0.7], [0.45, 0.45, 0.3]],
        [[-0.85, 0.0, 0.2], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    ]
)
HELD = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=bool)
WORDS = np.array(
    [
        [[0, -1], [1, 2], [-1, -1]],
        [[1, -1], [-1, -1], [3, -1]],
        [[4, 0], [-1, -1], [-1, -1]],
        [[-1, -1], [-1, -1], [-1, -1]],
    ]
)
SOURCES = np.array(
    [
        [[100, 101], [102, -1], [-1, -1]],
        [[102, 103], [-1, -1], [104, -1]],
        [[100, -1], [-1, -1], [-1, -1]],
        [[-1, -1], [-1, -1], [-1, -1]],
    ]
)


def spell(word: int) -> str:
    return SPELLED[word] if 0 <= word < len(SPELLED) else f"w{word}"


def known_views() -> Views:
    """Four agents, of whom one has no dimension; what they hold and say is written above."""
    return Views(
        agent=np.array([3, 7, 11, 20]),
        held=HELD,
        words=WORDS.astype(np.int32),
        kind=np.where(HELD, np.array([[2, 1, 0], [2, 2, 2], [1, 0, 0], [0, 0, 0]]), 0).astype(np.int8),
        sources=SOURCES.astype(np.int32),
        born=np.where(HELD, np.array([[2, 4, 0], [1, 3, 5], [6, 0, 0], [0, 0, 0]]), 0).astype(np.int32),
        score=np.where(HELD, np.array([[0.5, 0.7, 0], [0.2, 0.4, 0.9], [0.6, 0, 0], [0, 0, 0]]), 0).astype(np.float32),
    )


def known_library() -> Library:
    """Three concepts in the second of two merges, all of which is written above."""
    scores = directions(3)
    names = ["ears", "tail", "legs", "wings", "colour"]
    found = Library(probe=PROBE, feature_names=names, spell=spell)
    unified = unified_of(scores, correlation=CORRELATION, support=[0.8, 0.6, 0.3], weights=LOADINGS, loadings=LOADINGS)
    # A first merge knew c1 and what c2 and c3 are now as one.
    both = scores @ np.array([[1.0, 0.0], [0.0, 0.8], [0.0, 0.6]])
    first = unified_of(both, support=[0.8, 0.6], weights=LOADINGS[:, :2], loadings=LOADINGS[:, :2])
    with_both = (CORRELATION @ [[1.0, 0.0], [0.0, 0.8], [0.0, 0.6]]).astype(np.float32)
    put_in(found, dataclasses.replace(first, correlation=with_both), known_views(), step=10)
    put_in(found, unified, known_views(), step=20)
    return found
