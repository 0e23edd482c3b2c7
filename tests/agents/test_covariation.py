"""Kelley's cube: what an outcome goes with, computed by hand and in general."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.covariation import (
    FACTORS,
    PATTERNS,
    cause_variances,
    covariation,
    cube_of,
    effects,
    filled,
    tabulated,
    variance_components,
)
from agents.meeting import Experience
from agents.society import Society
from agents.world import planted

EXACT = 1e-12


@st.composite
def cubes(draw: st.DrawFn) -> NDArray[np.float64]:
    """Outcomes in [0, 1] of a few persons, stimuli and occasions."""
    shape = draw(st.tuples(*[st.integers(2, 5)] * 3))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(shape)


def once(shape: tuple[int, int, int], *causes: str) -> NDArray[np.float64]:
    """A cube in which something happens where all these causes are at their place 1, whatever the others are."""
    cube = np.zeros(shape)
    cube[tuple(1 if factor in causes else slice(None) for factor in FACTORS)] = 1.0
    return cube


# ---- patterns


@pytest.mark.parametrize(
    ("causes", "pattern", "cause"),
    [
        (["person"], "LLH", "person"),
        (["stimulus"], "HHH", "stimulus"),
        (["person", "stimulus", "occasion"], "LHL", "circumstance"),
        (["occasion"], "HLL", "occasion"),
        (["person", "stimulus"], "LHH", "person and stimulus"),
        (["person", "occasion"], "LLL", "person and occasion"),
        (["stimulus", "occasion"], "HHL", "stimulus and occasion"),
        ([], "HLH", "nothing in particular"),
    ],
)
def test_an_event_is_put_down_to_what_it_goes_with(causes: list[str], pattern: str, cause: str) -> None:
    told = covariation(once((4, 5, 3), *causes))
    assert told.patterns()[1, 1, 1] == pattern
    assert told.causes()[1, 1, 1] == cause
    # Pure patterns are as clear as can be.
    for figure in (told.consensus, told.distinctiveness, told.consistency):
        assert figure[1, 1, 1] in (0.0, 1.0)


def test_there_are_eight_patterns_and_each_is_put_down_to_something_else() -> None:
    assert len(PATTERNS) == len(set(PATTERNS.values())) == 8


def test_an_event_is_compared_with_those_that_differ_from_it_in_one_factor_alone() -> None:
    """John laughs (1) at the comedian tonight; three others, one other act, two other nights."""
    cube = np.full((4, 2, 3), np.nan)
    cube[0, 0, 0] = 1.0
    cube[1:, 0, 0] = [1.0, 0.0, 0.5]  # the others, at the same comedian, tonight
    cube[0, 1, 0] = 0.25  # John at the other act, tonight
    cube[0, 0, 1:] = [1.0, 0.5]  # John at the same comedian on other nights
    cube[np.isnan(cube)] = 0.75  # what is of no concern
    told = covariation(cube)
    assert told.consensus[0, 0, 0] == pytest.approx(0.5)
    assert told.distinctiveness[0, 0, 0] == pytest.approx(0.75)
    assert told.consistency[0, 0, 0] == pytest.approx(0.75)
    assert told.patterns()[0, 0, 0] == "LHH"  # a half is not high


@given(cube=cubes())
def test_what_is_known_of_an_event_is_within_bounds_and_the_same_for_failure_as_for_success(
    cube: NDArray[np.float64],
) -> None:
    told, turned = covariation(cube), covariation(1 - cube)
    for name in ("consensus", "distinctiveness", "consistency"):
        figure = getattr(told, name)
        assert figure.shape == cube.shape
        assert figure.min() >= 0
        assert figure.max() <= 1
        np.testing.assert_allclose(getattr(turned, name), figure, atol=EXACT)


def test_many_cubes_are_looked_at_at_once() -> None:
    cube = np.random.default_rng(0).random((3, 2, 4, 5))
    together = covariation(cube)
    for i in range(3):
        np.testing.assert_allclose(together.consensus[i], covariation(cube[i]).consensus)
        np.testing.assert_allclose(cause_variances(cube)[i], cause_variances(cube[i]))
    assert (together.causes() == [covariation(one).causes() for one in cube]).all()


# ---- the analysis of variance


def test_the_parts_of_a_small_cube_are_those_found_by_hand() -> None:
    # Anna and Ben, two tasks, morning and evening. Grand mean 4.
    cube = np.array([[[1.0, 3.0], [4.0, 4.0]], [[3.0, 5.0], [4.0, 8.0]]])
    parts = effects(cube)
    assert parts[0].item() == 4
    np.testing.assert_allclose(parts[1].ravel(), [-1, 1])  # Anna 3, Ben 5
    np.testing.assert_allclose(parts[2].ravel(), [-1, 1])  # tasks 3 and 5
    np.testing.assert_allclose(parts[4].ravel(), [-1, 1])  # morning 3, evening 5
    # Means of Anna and Ben on each task: [[2, 4], [4, 6]], exactly what the main effects say.
    np.testing.assert_allclose(parts[3].ravel(), [0, 0, 0, 0])
    # Of Anna and Ben at each time: [[2.5, 3.5], [3.5, 6.5]], beside 2, 4, 4, 6.
    np.testing.assert_allclose(parts[5].ravel(), [0.5, -0.5, -0.5, 0.5])
    # Of tasks at each time: [[2, 4], [4, 6]].
    np.testing.assert_allclose(parts[6].ravel(), [0, 0, 0, 0])
    # What is left: 1 is foretold as 1.5, 3 as 2.5, and so on.
    np.testing.assert_allclose(parts[7].ravel(), [-0.5, 0.5, 0.5, -0.5, 0.5, -0.5, -0.5, 0.5])
    np.testing.assert_allclose(variance_components(cube), [0, 1, 1, 0, 1, 0.25, 0, 0.25])
    assert cube.var() == pytest.approx(3.5)
    # Interactions are shared alike: 1/4 between person and occasion, 1/4 among all three.
    third = 0.25 / 3
    np.testing.assert_allclose(cause_variances(cube), [1.125 + third, 1 + third, 1.125 + third])


@pytest.mark.parametrize("factor", FACTORS)
def test_what_one_factor_does_alone_is_wholly_due_to_it(factor: str) -> None:
    cube = once((4, 5, 3), factor)
    expected = np.where(np.array(FACTORS) == factor, cube.var(), 0.0)
    np.testing.assert_allclose(cause_variances(cube), expected, atol=EXACT)


@given(cube=cubes())
def test_effects_add_up_to_the_outcomes_and_their_variances_to_that_of_the_outcomes(cube: NDArray[np.float64]) -> None:
    parts = effects(cube)
    whole = sum(np.broadcast_to(part, cube.shape) for part in parts)
    np.testing.assert_allclose(whole, cube, atol=EXACT)
    components = variance_components(cube)
    assert components[0] == 0
    assert components.min() >= 0
    assert components.sum() == pytest.approx(cube.var(), abs=EXACT)
    assert cause_variances(cube).sum() == pytest.approx(cube.var(), abs=EXACT)


@given(cube=cubes())
def test_effects_are_orthogonal_and_each_averages_out_over_every_one_of_its_causes(cube: NDArray[np.float64]) -> None:
    parts = effects(cube)
    for causes in range(1, 8):
        for bit, axis in enumerate((-3, -2, -1)):
            if causes >> bit & 1:
                np.testing.assert_allclose(parts[causes].mean(axis=axis), 0, atol=EXACT)
            else:
                assert parts[causes].shape[axis] == 1
        for other in range(causes):
            assert (parts[causes] * parts[other] * np.ones(cube.shape)).mean() == pytest.approx(0, abs=EXACT)


@settings(max_examples=30)
@given(cube=cubes(), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_persons_does_not_matter_and_the_causes_go_with_their_axes(
    cube: NDArray[np.float64], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(cube))
    np.testing.assert_allclose(cause_variances(cube[order]), cause_variances(cube), atol=EXACT)
    np.testing.assert_allclose(cause_variances(cube.transpose(2, 0, 1)), cause_variances(cube)[[2, 0, 1]], atol=EXACT)


@pytest.mark.parametrize(
    ("cube", "says"),
    [
        (np.zeros((2, 2)), "persons, stimuli, occasions"),
        (np.zeros((0, 2, 2)), "persons, stimuli, occasions"),
        (np.full((2, 2, 2), np.nan), "without an outcome"),
    ],
)
def test_what_is_no_whole_cube_is_refused(cube: NDArray[np.float64], says: str) -> None:
    for look in (covariation, effects, variance_components, cause_variances):
        with pytest.raises(ValueError, match=says):
            look(cube)


def test_without_others_or_outside_of_bounds_nothing_can_be_compared() -> None:
    with pytest.raises(ValueError, match="no others to compare with"):
        covariation(np.zeros((2, 1, 2)))
    with pytest.raises(ValueError, match=r"from 0 to 2, but they must be in \[0, 1\]"):
        covariation(once((2, 2, 2), "person") * 2)
    # A single stimulus has no effect, but the rest can be told apart.
    assert variance_components(np.arange(4.0).reshape(2, 1, 2)).tolist() == [0, 1, 0, 0, 0.25, 0, 0, 0]


# ---- filling a cube


def test_a_cell_holds_the_mean_of_its_events_and_events_without_a_place_are_left_out() -> None:
    cube = tabulated(
        person=np.array([0, 0, 1, 1, 1]),
        stimulus=np.array([0, 0, 1, -1, 0]),
        occasion=np.array([1, 1, 0, 0, 0]),
        outcome=np.array([1.0, 0.5, 1.0, 1.0, 0.0]),
        shape=(2, 2, 2),
    )
    expected = np.full((2, 2, 2), np.nan)
    expected[0, 0, 1], expected[1, 1, 0], expected[1, 0, 0] = 0.75, 1.0, 0.0
    np.testing.assert_array_equal(cube, expected)


def test_events_outside_of_the_cube_are_refused() -> None:
    there, outcome = np.array([0]), np.array([1.0])
    with pytest.raises(ValueError, match=r"do not fit into a cube of shape \(1, 1, 1\)"):
        tabulated(person=np.array([1]), stimulus=there, occasion=there, outcome=outcome, shape=(1, 1, 1))


def test_who_has_most_empty_cells_is_left_out_first() -> None:
    cube = np.random.default_rng(1).random((4, 3, 2))
    cube[2, :, 0] = np.nan
    cube[2, 1, 1] = np.nan
    cube[[0, 1], 1, 1] = np.nan
    part, (persons, stimuli, occasions) = filled(cube)
    assert persons.tolist() == [0, 1, 3]
    assert stimuli.tolist() == [0, 2]
    assert occasions.tolist() == [0, 1]
    np.testing.assert_array_equal(part, cube[np.ix_(persons, stimuli, occasions)])
    whole, kept = filled(cube[:, [0]][[0, 3]])
    assert [len(which) for which in kept] == [2, 1, 2]
    np.testing.assert_array_equal(whole, cube[:, [0]][[0, 3]])
    assert filled(np.full((2, 2, 2), np.nan))[0].size == 0


def experience(rows: list[int], partners: list[int], **outcomes: list[float]) -> Experience:
    none = np.zeros(len(rows), dtype=np.intp)
    return Experience(
        rows=np.array(rows),
        slots=none,
        partners=np.array(partners),
        topic=none.astype(np.int32),
        outcomes={source: np.array(values) for source, values in outcomes.items()},
    )


def test_what_a_society_went_through_is_a_cube_of_agents_partners_and_times() -> None:
    steps = [
        experience([0, 1], [1, 0], talk=[1, 1], comparison=[1, 0]),
        experience([0, 1], [1, 0], talk=[0, 0]),
        experience([2, 0], [0, 2], talk=[1, 1], comparison=[0.5, 0.5]),
    ]
    talk = cube_of(steps, "talk", window=2)
    assert talk.shape == (3, 3, 2)
    assert talk[0, 1, 0] == talk[1, 0, 0] == 0.5
    assert talk[2, 0, 1] == talk[0, 2, 1] == 1
    assert np.isfinite(talk).sum() == 4
    assert np.isfinite(cube_of(steps, "comparison", window=1)).sum() == 4
    # By what they dealt with: concept 0 or 1, or a dimension without one.
    concepts = [np.array([0, -1]), np.array([1, 1]), np.array([0, 0])]
    by_concept = cube_of(steps, "talk", window=3, stimuli=concepts)
    expected = [[[1.0], [0.0]], [[np.nan], [0.0]], [[1.0], [np.nan]]]
    np.testing.assert_array_equal(by_concept, expected)


def test_a_cube_of_nothing_is_refused() -> None:
    steps = [experience([0, 1], [1, 0], talk=[1, 1])]
    with pytest.raises(ValueError, match="outcomes of 'comparison'"):
        cube_of(steps, "comparison", window=1)
    with pytest.raises(ValueError, match="an occasion lasts at least one step"):
        cube_of(steps, "talk", window=0)
    with pytest.raises(ValueError, match="zip"):
        cube_of(steps, "talk", window=1, stimuli=[])


def test_contests_of_lasting_bodies_are_due_to_who_meets_whom_and_never_to_the_occasion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = SocietyConfig(
        agents=10,
        sensors=8,
        memory=16,
        dimensions=1,
        exemplars=1,
        discovery_interval=0,
        selection_interval=0,
        merge_interval=0,
    )
    society = Society(planted(seed=1, objects=200, features=16, factors=3, probe=20), config, seed=2)
    went_through: list[Experience] = []
    monkeypatch.setattr(society, "feel", went_through.append)
    for _ in range(120):
        society.step()
    cube = cube_of(went_through, "comparison", window=40)
    assert cube.shape == (10, 10, 3)
    assert np.isnan(cube[np.arange(10), np.arange(10)]).all()  # nobody meets itself
    part, (persons, stimuli, _) = filled(cube)
    assert not set(persons) & set(stimuli)
    assert len(persons) >= 3
    assert len(stimuli) >= 3
    shares = variance_components(part) / part.var()
    assert shares[1] + shares[2] + shares[3] == pytest.approx(1)
    assert (covariation(part).consistency == 1).all()
