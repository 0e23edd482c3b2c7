"""factor-analyzer under today's scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from factor_analyzer import factor_analyzer as implementation
from sklearn.utils import check_array

from agents.discovery import factor_analysis
from agents.factor_analyzer_adapter import FactorAnalyzer, renaming


def test_the_adapter_renames_the_argument_that_scikit_learn_dropped() -> None:
    def today(array: object, *, ensure_all_finite: bool | str = True, copy: bool = False) -> object:
        return array, ensure_all_finite, copy

    def earlier(array: object, *, force_all_finite: bool | str = True) -> object:
        return array, force_all_finite

    def both(array: object, *, force_all_finite: object = None, ensure_all_finite: object = None) -> object:
        return array, force_all_finite, ensure_all_finite

    def strange(array: object) -> object:
        return array

    assert renaming(today)("x", force_all_finite="allow-nan", copy=True) == ("x", "allow-nan", True)
    assert renaming(today)("x", ensure_all_finite=False) == ("x", False, False)
    assert renaming(earlier) is earlier
    assert renaming(both)("x", force_all_finite=True) == ("x", None, True), "the old name may warn"
    with pytest.raises(TypeError, match="force_all_finite"):
        renaming(strange)


def test_the_adapted_class_fits_transforms_and_still_checks_its_input() -> None:
    rng = np.random.default_rng(13)
    factors = rng.standard_normal((400, 2))
    objects = np.repeat(factors, 4, axis=1) + rng.standard_normal((400, 8))
    model = FactorAnalyzer(n_factors=2, rotation="varimax").fit(objects)
    corr = np.asarray(np.corrcoef(objects, rowvar=False), dtype=np.float64)
    ours = factor_analysis(corr, 2)
    np.testing.assert_allclose(model.loadings_ @ model.loadings_.T, ours @ ours.T, atol=1e-5)
    np.testing.assert_allclose(model.loadings_, ours, atol=0.02)  # it stops rotating early
    scores = model.transform(objects)
    assert np.abs(np.corrcoef(scores, factors, rowvar=False)[:2, 2:]).max(axis=1).min() > 0.8
    objects[3, 4] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        model.fit(objects)


def test_the_adapter_changes_nothing_for_others() -> None:
    assert implementation.check_array is check_array
    assert implementation.FactorAnalyzer.fit is not FactorAnalyzer.fit
