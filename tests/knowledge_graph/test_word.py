"""The library's word, by whatever way it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from knowledge_graph.library import Library
from knowledge_graph.views import Views, correlations
from knowledge_graph.word import Merge, Moments


def test_correlations_by_weights_are_those_of_levels() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((50, 20)).astype(np.float32) + 3
    features[:, 7] = 1.5
    sensor = np.argsort(rng.random((300, 20)), axis=1)[:, :6].astype(np.int32)
    loading = rng.standard_normal((300, 4, 6)).astype(np.float32)
    held = rng.random((300, 4)) < 0.8
    loading[~held] = 0
    loading[0] = 0
    loading[0, 1, 2] = 1
    sensor[0] = [0, 1, 7, 2, 3, 4]
    held[0] = [False, True, False, False]  # who weighs nothing but what never varies
    scores = rng.standard_normal((50, 5))
    scores = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    levels = np.einsum("npm,nsm->nps", features[:, sensor].swapaxes(0, 1), loading)
    expected = correlations(Views.of(levels=levels, held=held), scores)
    found = Moments.of(features, scores).correlations(sensor, loading, held)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not found[~held].any()
    assert not found[0].any()
    assert np.abs(found).max() > 0.5


def test_a_word_says_what_its_library_says() -> None:
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((40, 3))
    levels = (shared[None, :, :] * rng.choice([-1, 1], size=(20, 1, 3))).astype(np.float32)
    library = Library(probe=range(40))
    with pytest.raises(ValueError, match="has not merged any views yet"):
        library.word(n_words=0)
    library.merge(Views.of(levels=levels))
    word = library.word(n_words=9)
    assert word.nbytes == 8 * 40 * 3 + 4 * 3
    asked, others = library.consult(Views.of(levels=levels[:5]), n_words=9), word.consult(Views.of(levels=levels[:5]))
    for one in (asked, others):
        assert isinstance(one, Merge)
        assert one.n_words == 9
        assert one.word.tolist() == [library.names[name] for name in library.ids]
    np.testing.assert_array_equal(asked.concept, others.concept)
    np.testing.assert_array_equal(asked.sign, others.sign)
    some = asked.take(slice(1, 3))
    np.testing.assert_array_equal(some.sign, asked.sign[1:3])
    assert sorted(asked.concept[0].tolist()) == [0, 1, 2]
