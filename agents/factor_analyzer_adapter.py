"""factor-analyzer under today's scikit-learn.

factor-analyzer 0.5.1, its last release, checks its input with scikit-learn's ``check_array(force_all_finite=...)``;
scikit-learn 1.6 renamed that argument to ``ensure_all_finite`` and 1.8 dropped the old name, so that every fit fails.
`FactorAnalyzer` is factor-analyzer's own class, whose ``fit`` and ``transform`` see a ``check_array`` that takes the
old name. Nothing is patched: other users of factor-analyzer and scikit-learn in the same process see no change.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import factor_analyzer
from factor_analyzer import factor_analyzer as implementation

OLD_NAME, NEW_NAME = "force_all_finite", "ensure_all_finite"


def renaming(check_array: Callable[..., Any]) -> Callable[..., Any]:
    """A ``check_array`` that takes the old argument name; itself, where there is no new one yet.

    Raises
    ------
    TypeError
        If it has neither name, so that what factor-analyzer asks for cannot be passed on.
    """
    parameters = inspect.signature(check_array).parameters
    if NEW_NAME not in parameters:
        if OLD_NAME not in parameters:
            raise TypeError(f"scikit-learn's check_array takes neither {OLD_NAME} nor {NEW_NAME}")
        return check_array

    def check(array: Any, **options: Any) -> Any:
        if OLD_NAME in options:
            options[NEW_NAME] = options.pop(OLD_NAME)
        return check_array(array, **options)

    return check


def _with_renaming(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method, to which the global name ``check_array`` means a renaming one."""
    function = inspect.unwrap(method)
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"{method!r} is not a plain function")
    copy = types.FunctionType(
        function.__code__,
        {**function.__globals__, "check_array": renaming(implementation.check_array)},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    return functools.update_wrapper(copy, function)


class FactorAnalyzer(factor_analyzer.FactorAnalyzer):  # type: ignore[misc]
    """`factor_analyzer.FactorAnalyzer`, fit for the scikit-learn installed."""

    fit = _with_renaming(factor_analyzer.FactorAnalyzer.fit)
    transform = _with_renaming(factor_analyzer.FactorAnalyzer.transform)
