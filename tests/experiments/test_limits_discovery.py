"""Discovery in its limits, and that what is broken turns its own rows red."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents import discovery as mechanism
from agents import population as population_module
from experiments.limits import discovery
from experiments.limits.rows import Law, Row

SEED = 3
NAME = "features of communality 0.6: rho^2 with the factor"


def red(rows: Callable[[dict[str, Any]], Iterator[Row | Law]], figures: dict[str, float]) -> set[str]:
    """The names of the rows that are not ok, by the figures of one seed."""
    shown = list(rows({name: np.array([float(figure)]) for name, figure in figures.items()}))
    return {row.name for row in shown if isinstance(row, Row) and not row.ok}


def test_discovery_meets_all_its_limits() -> None:
    found = {
        name: {figure: np.array([value]) for figure, value in measure(SEED).items()}
        for name, measure in discovery.measures(quick=True).items()
    }
    shown = list(discovery.rows(found))
    judged = [row for row in shown if isinstance(row, Row)]
    assert {row.name for row in judged if not row.ok} == set()
    assert len({row.name for row in judged}) == len(judged) >= 12
    laws = {law.name: law for law in shown if isinstance(law, Law)}
    landlord = laws["How closely the abstract landlord follows what all have in common"]
    assert landlord.expected == pytest.approx([0.6, 0.75, 6 / 7, 12 / 13, 24 / 25])


def test_following_scatters_as_is_said() -> None:
    """Minds that each read the same factor with an error of their own; the delta method has the variance."""
    rng = np.random.default_rng(0)
    n, rho2 = discovery.OBJECTS // 4, 0.6
    means = []
    for _ in range(60):
        factor = rng.standard_normal(n)
        level = np.sqrt(rho2) * factor + np.sqrt(1 - rho2) * rng.standard_normal((discovery.MINDS, n))
        means.append(np.mean([np.corrcoef(factor, one)[0, 1] ** 2 for one in level]))
    # 99.9% of variances of 60 such means are within this factor.
    assert np.var(means, ddof=1) / discovery.following_variance(rho2) == pytest.approx(1, abs=0.6)


def test_as_many_dimensions_as_fit_whatever_noise_has_turn_their_number_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        mechanism,
        "parallel_analysis",
        lambda values, count, limit: np.full(len(values), min(limit, values.shape[1] - 1)),
    )
    missed = red(discovery.number_rows, discovery.how_many(SEED))
    assert missed == {
        "1 factor behind 32 features, 400 objects: dimensions found",
        "3 factors behind 32 features, 400 objects: dimensions found",
        "6 factors behind 32 features, 400 objects: dimensions found",
        "nothing but noise: agents who find a dimension",
    }


def test_eigenvalues_above_1_in_place_of_those_above_noise_turn_noise_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "null_eigenvalues", lambda n_objects, n_variables: (1.0,) * n_variables)
    assert "nothing but noise: agents who find a dimension" in red(discovery.number_rows, discovery.how_many(SEED))


def test_noise_that_is_hardly_ever_exceeded_turns_its_rate_red(monkeypatch: pytest.MonkeyPatch) -> None:
    nulls = mechanism.null_eigenvalues
    monkeypatch.setattr(mechanism, "null_eigenvalues", lambda *sizes: tuple(1.15 * value for value in nulls(*sizes)))
    assert red(discovery.number_rows, discovery.how_many(SEED)) == {"nothing but noise: agents who find a dimension"}


def test_dimensions_that_weigh_one_feature_alone_turn_the_abstract_landlord_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_common = mechanism.in_common

    def winner(*args: Any, **how: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        loading, communality = in_common(*args, **how)
        largest = np.abs(loading) == np.abs(loading).max(axis=2, keepdims=True)
        first = largest & (largest.cumsum(axis=2) == 1) & (loading != 0)
        return first.astype(np.float64), communality

    monkeypatch.setattr(mechanism, "in_common", winner)
    missed = red(discovery.landlord_rows, discovery.landlord(SEED))
    assert missed == {
        *(f"a common factor of {n} {NAME}" for n in (2, 4, 8)),
        f"a principal component of 8 {NAME}",
    }, "one feature follows the factor as it should"


def test_lost_signs_turn_the_abstract_landlord_red(monkeypatch: pytest.MonkeyPatch) -> None:
    in_common = mechanism.in_common

    def unsigned(*args: Any, **how: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        loading, communality = in_common(*args, **how)
        return np.abs(loading), communality

    monkeypatch.setattr(mechanism, "in_common", unsigned)
    assert f"a common factor of 8 {NAME}" in red(discovery.landlord_rows, discovery.landlord(SEED))


def test_factors_that_are_not_iterated_are_not_those_of_factor_analyzer(monkeypatch: pytest.MonkeyPatch) -> None:
    minres = mechanism.minres
    monkeypatch.setattr(mechanism, "minres", lambda *args, **how: minres(*args, **(how | {"max_iterations": 1})))
    assert "minres and varimax: largest difference to a loading of factor-analyzer" in red(
        discovery.factor_rows, discovery.which(SEED)
    )


def test_factors_that_are_not_rotated_turn_the_match_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mechanism, "varimax", lambda loadings, **_: (loadings, np.eye(loadings.shape[-1])))
    assert red(discovery.factor_rows, discovery.which(SEED)) == {
        "4 factors behind 24 features, 1,500 objects: MCC of what an agent proposes"
    }


def test_likeness_to_another_object_turns_raw_dimensions_red(monkeypatch: pytest.MonkeyPatch) -> None:
    likeness = population_module.likeness
    monkeypatch.setattr(
        population_module, "likeness", lambda features, objects, sensor: likeness(features, objects[::-1], sensor)
    )
    assert red(discovery.factor_rows, discovery.which(SEED)) == {
        "a raw dimension: largest difference to the product with its exemplar"
    }
