"""What goes into a merge: shapes that must fit, and arithmetic held against plain loops."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_graph.library import Library
from knowledge_graph.views import (
    RANK_TOLERANCE,
    Views,
    check_sound,
    chunks,
    correlations,
    groups_by_features,
    groups_by_objects,
    lifted,
    loadings_of,
    moments,
    objects_seen,
    standardised,
)
from tests.knowledge_graph.handmade import PROBE, planted, views_on


@st.composite
def random_views(draw: st.DrawFn) -> Views:
    """Views with empty slots, constant dimensions, sensors that are not there, and objects not seen."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, objects, slots, sensors = (draw(st.integers(1, top)) for top in (5, 9, 3, 4))
    levels = rng.standard_normal((n, objects, slots)) * 10.0 ** rng.integers(-2, 3, (n, 1, slots)) + 3.0
    levels[rng.random((n, objects)) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = np.nan
    constant = rng.random((n, slots)) < 0.2
    levels = np.where(constant[:, None, :] & ~np.isnan(levels), 4.0, levels)
    return Views.of(
        levels=levels,
        sensor=rng.integers(-1, 7, (n, sensors)),
        loading=rng.standard_normal((n, slots, sensors)),
        held=rng.random((n, slots)) < 0.7,
    )


def test_views_of_levels_alone_have_everything_else_empty() -> None:
    levels = np.zeros((3, 5, 2))
    views = Views.of(levels=levels)
    assert (len(views), views.n_slots, views.n_objects, views.n_features) == (3, 2, 5, 0)
    assert views.agent.tolist() == [0, 1, 2]
    assert views.held.all()
    assert (views.words == -1).all()
    assert (views.sources == -1).all()
    assert views.kind.tolist() == [[2, 2]] * 3
    assert views.levels.dtype == np.float32
    assert views.sensor is views.loading is views.structure is views.phi is None


def test_views_of_named_features_count_them_by_the_largest_number() -> None:
    sensor = np.array([[0, 9, -1], [3, 2, 1]])
    views = Views.of(loading=np.ones((2, 4, 3)), sensor=sensor, agent=np.array([7, 5]), held=np.eye(2, 4, dtype=bool))
    assert (len(views), views.n_slots, views.n_objects, views.n_features) == (2, 4, 0, 10)
    assert views.agent.tolist() == [7, 5]
    assert views.kind.tolist() == [[2, 0, 0, 0], [0, 2, 0, 0]]
    assert views.sensor.dtype == np.int32
    structure_alone = Views.of(structure=np.ones((2, 4, 3)), sensor=sensor)
    assert structure_alone.n_slots == 4
    assert Views.of(loading=np.ones((2, 4, 3)), sensor=np.full((2, 3), -1)).n_features == 0


def test_slots_that_are_held_can_be_told_in_zeros_and_ones() -> None:
    views = Views.of(levels=np.zeros((2, 5, 2)), held=np.array([[1, 0], [1, 1]]))
    assert views.held.dtype == bool
    assert views.kind.tolist() == [[2, 0], [2, 2]]
    check_sound(views)


def test_tables_can_be_given_as_lists_and_data_frames() -> None:
    rng = np.random.default_rng(0)
    levels, features = rng.standard_normal((4, 20, 2)).astype(np.float32), rng.standard_normal((20, 3))
    views = Views.of(levels=levels.tolist())
    np.testing.assert_array_equal(views.levels, levels)
    library = Library(probe=range(20), features=pd.DataFrame(features))
    library.merge(views)
    np.testing.assert_array_equal(library.features, features)


def test_views_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="levels of shared objects, or loadings on named features; got neither"):
        Views.of(phi=np.ones((2, 3, 3)))
    with pytest.raises(ValueError, match=r"three sides .* not \(4, 3\)"):
        Views.of(levels=np.zeros((4, 3)))
    with pytest.raises(ValueError, match="need sensor, too"):
        Views.of(loading=np.zeros((4, 3, 2)))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"agent": np.array([4, 9, 4])}, "there are 2 views of agent 4"),
        ({"kind": np.array([[2, 1], [2, 0], [1, 1]], dtype=np.int8)}, "of the kind 0"),
        ({"levels": np.full((3, 5, 2), np.inf, dtype=np.float32)}, "levels are infinite"),
        ({"loading": np.full((3, 2, 4), np.nan, dtype=np.float32)}, "loading has values that are not finite"),
        ({"phi": np.full((3, 2, 2), -np.inf, dtype=np.float32)}, "phi has values that are not finite"),
        ({"sensor": np.zeros((3, 4), dtype=np.uint16)}, "sensor holds uint16 values; give whole numbers with a sign"),
        ({"words": np.zeros((3, 2, 1))}, "words holds float64 values; give whole numbers with a sign"),
    ],
)
def test_views_that_are_not_sound_are_refused_before_anything_is_merged(
    change: dict[str, np.ndarray], complaint: str
) -> None:
    levels = np.random.default_rng(0).standard_normal((3, 5, 2))
    sound = Views.of(levels=levels, sensor=np.zeros((3, 4), dtype=int), loading=np.ones((3, 2, 4)))
    check_sound(sound)
    library = Library(probe=np.arange(5))
    with pytest.raises(ValueError, match=complaint):
        library.merge(dataclasses.replace(sound, **change))
    assert library.rounds == []


def test_a_probe_in_which_an_object_is_twice_is_refused() -> None:
    for probe in ([1, 2, 1], np.zeros((2, 2))):
        with pytest.raises(ValueError, match="each of which may be in it once"):
            Library(probe=probe)


@pytest.mark.parametrize(
    ("field", "shape"),
    [
        ("agent", (4,)),
        ("held", (3, 3)),
        ("levels", (4, 6, 2)),
        ("loading", (3, 2, 5)),
        ("structure", (3, 3, 4)),
        ("phi", (3, 2, 3)),
        ("sensor", (4, 4)),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused_by_name(field: str, shape: tuple[int, ...]) -> None:
    fitting: dict[str, np.ndarray] = {
        "levels": np.zeros((3, 6, 2)),
        "sensor": np.zeros((3, 4), dtype=int),
        "loading": np.zeros((3, 2, 4)),
        "structure": np.zeros((3, 2, 4)),
        "phi": np.zeros((3, 2, 2)),
        "held": np.ones((3, 2), dtype=bool),
        "agent": np.arange(3),
    }
    Views.of(**fitting)
    with pytest.raises(ValueError, match=r"has the shape \(.*\), but these views need \("):
        Views.of(**fitting | {field: np.zeros(shape, dtype=fitting[field].dtype)})


def test_views_that_do_not_fit_the_library_are_refused_with_a_sentence() -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=20)
    with pytest.raises(ValueError, match=f"on {PROBE} objects, but the probe of this library has 10"):
        Library(probe=np.arange(10)).merge(views)
    few = Library(probe=np.arange(PROBE), features=features[:PROBE, :30])
    with pytest.raises(ValueError, match="number 47, but this library knows 30"):
        few.merge(views)
    named = Library(probe=np.arange(PROBE), feature_names=[f"f{i}" for i in range(30)])
    with pytest.raises(ValueError, match="number 47, but this library knows 30"):
        named.merge(views)
    assert not few.rounds
    assert not named.rounds


def test_some_of_the_views_are_views() -> None:
    views = Views.of(levels=np.arange(24.0).reshape(4, 3, 2), sensor=np.arange(4)[:, None], loading=np.ones((4, 2, 1)))
    for rows in (np.array([2, 0]), slice(1, 3)):
        some = views.take(rows)
        np.testing.assert_array_equal(some.levels, views.levels[rows])
        assert some.agent.tolist() == views.agent[rows].tolist()
        assert some.phi is None
    assert len(views.take(slice(0, 0))) == 0


@settings(max_examples=60, deadline=None)
@given(random_views())
def test_standardised_levels_have_mean_0_and_norm_1_over_what_was_seen(views: Views) -> None:
    centred, norm = standardised(views.levels, views.held)
    for a, s in np.ndindex(views.held.shape):
        column = views.levels[a, :, s].astype(float)
        seen = ~np.isnan(column)
        spread = np.sqrt(((column[seen] - column[seen].mean()) ** 2).sum()) if seen.any() else 0.0
        if not views.held[a, s] or spread < RANK_TOLERANCE:
            assert np.isinf(norm[a, s])
            assert not centred[a, :, s].any()
            continue
        assert norm[a, s] == pytest.approx(spread)
        np.testing.assert_allclose(centred[a, seen, s], (column[seen] - column[seen].mean()) / spread, atol=1e-9)
        assert not centred[a, ~seen, s].any()


@settings(max_examples=60, deadline=None)
@given(random_views())
def test_moments_are_those_of_each_agents_levels_over_what_it_has_seen(views: Views) -> None:
    mean, sd, overlap = moments(views)
    counted = objects_seen(views)
    for a in range(len(views)):
        seen = ~np.isnan(views.levels[a]).any(axis=1)
        assert counted[a] == seen.sum()
        own = views.levels[a][seen].astype(float)
        spread = own.std(axis=0) * np.sqrt(len(own)) if len(own) else np.zeros(views.n_slots)
        varies = np.flatnonzero(views.held[a] & (spread > RANK_TOLERANCE))
        for s in range(views.n_slots):
            if s in varies:
                assert mean[a, s] == pytest.approx(own[:, s].mean(), rel=1e-5, abs=1e-5)
                assert sd[a, s] == pytest.approx(own[:, s].std(), rel=1e-5)
            else:
                assert mean[a, s] == sd[a, s] == 0
        expected = np.zeros((views.n_slots, views.n_slots))
        if len(varies):
            expected[np.ix_(varies, varies)] = np.corrcoef(own[:, varies].T)
        np.testing.assert_allclose(overlap[a], expected, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(random_views(), st.integers(0, 3))
def test_correlations_are_those_of_each_dimension_with_each_concept_over_what_was_seen(views: Views, k: int) -> None:
    drawn = np.random.default_rng(0).standard_normal((views.n_objects, k))
    spread = drawn.std(axis=0)
    scores = (drawn - drawn.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    found = correlations(views, scores)
    assert found.shape == (len(views), views.n_slots, k)
    for a, s, j in np.ndindex(found.shape):
        column = views.levels[a, :, s].astype(float)
        seen = ~np.isnan(column)
        spread = column[seen].std() * np.sqrt(seen.sum()) if seen.any() else 0.0
        if not views.held[a, s] or spread < RANK_TOLERANCE:
            assert found[a, s, j] == 0
        elif scores[seen, j].std() > 1e-3:  # whether two that hardly vary go together is for nobody to say
            assert found[a, s, j] == pytest.approx(np.corrcoef(column[seen], scores[seen, j])[0, 1], abs=1e-4)


def test_views_that_share_no_objects_have_no_moments() -> None:
    views = Views.of(loading=np.ones((3, 2, 4)), sensor=np.zeros((3, 4), dtype=int))
    mean, sd, overlap = moments(views)
    assert (mean.shape, sd.shape, overlap.shape) == ((0, 2), (0, 2), (0, 2, 2))
    assert objects_seen(views).shape == (0,)


@settings(max_examples=30, deadline=None)
@given(random_views())
def test_weights_of_slots_are_lifted_to_the_features_that_the_slots_weigh(views: Views) -> None:
    per_slot = np.random.default_rng(1).standard_normal((len(views), views.n_slots, 2))
    expected = np.zeros((7, 2))
    for a, place in np.ndindex(views.sensor.shape):
        if views.sensor[a, place] >= 0:
            expected[views.sensor[a, place]] += views.loading[a, :, place] @ per_slot[a]
    np.testing.assert_allclose(lifted(views, per_slot, slice(0, len(views)), 7), expected, atol=1e-9)


def test_loadings_are_a_regression() -> None:
    rng = np.random.default_rng(0)
    scores, loadings = rng.standard_normal((30, 3)), rng.standard_normal((5, 3))
    np.testing.assert_allclose(loadings_of(scores @ loadings.T, scores), loadings, atol=1e-9)


def test_chunks_cover_everything_once() -> None:
    for n in (0, 1, 7, 8, 9):
        assert [i for part in chunks(n, 4) for i in range(n)[part]] == list(range(n))


def by_hand(incidence: np.ndarray) -> int:
    """Groups of agents [N] that things [T] hold together, one merging of sets after the other."""
    groups = [set(np.flatnonzero(row)) for row in incidence if row.any()]
    joined: list[set[int]] = []
    for group in groups:
        touching = [one for one in joined if one & group]
        joined = [one for one in joined if not one & group] + [set.union(group, *touching)]
    return len(joined)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(2, 8), st.sampled_from([0.1, 0.25, 0.6]))
def test_agents_fall_into_groups_that_have_nothing_in_common(seed: int, n: int, things: int, share: float) -> None:
    incidence = np.random.default_rng(seed).random((n, things)) < share
    levels = np.where(incidence[:, :, None], 1.0, np.nan) * np.ones(2)
    assert groups_by_objects(Views.of(levels=levels)) == by_hand(incidence)
    sensor = np.where(incidence, np.arange(things), -1)
    assert groups_by_features(Views.of(sensor=sensor, loading=np.ones((n, 2, things)))) == by_hand(incidence)


def test_agents_that_share_no_kind_of_thing_are_each_alone() -> None:
    levels, loading = np.ones((4, 1, 2)), np.ones((4, 2, 3))
    assert groups_by_objects(Views.of(levels=levels)) == 4
    assert groups_by_objects(Views.of(loading=loading, sensor=np.zeros((4, 3), dtype=int))) == 4
    assert groups_by_features(Views.of(levels=levels)) == 4
