"""Rows: what is expected of one figure, what was measured over several seeds, and whether the two agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Relation = Literal["about", "exactly", "at least", "at most", "report"]

Samples = Sequence[float] | NDArray[np.float64]
"""One figure, measured once for each seed."""

Limit = tuple[str, str, str, Relation, float]
"""The key of a figure, its name, and the source, kind and value of what is expected."""

TARGET = "target of this project"
EARLIER = "earlier measurement"
"""Of a world or a game of the same kind, made by another program."""

CONFIDENCE = 0.99


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One published or exact limit, and what was measured.

    Attributes
    ----------
    group : the heading under which it stands
    name : what is measured
    source : who says what is to be expected: a paper, an equation, a bound, a target
    relation : "about", "at least" and "at most" judge the mean, "exactly" every seed; "report" only sets the figure
        beside another
    expected : the limit, or for a report what the figure is to be compared with (None where there is nothing)
    measured : mean over the seeds
    spread : standard deviation over the seeds
    tolerance : how far ``measured`` may be on the wrong side of ``expected``
    seeds : how many seeds were measured
    ok : whether it is as expected; a report is ok where there is a figure at all
    note : a few words on the setting, or on what one sees
    """

    group: str
    name: str
    source: str
    relation: Relation
    expected: float | None
    measured: float
    spread: float
    tolerance: float
    seeds: int
    ok: bool
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Law:
    """How one figure goes with another, to be drawn beside what is expected; its judgement stands in a row.

    Attributes
    ----------
    group, name, source : as of a row
    x, y : what the axes are
    at : where it was measured
    measured, spread : mean and standard deviation over the seeds, there
    expected : the law at the same places; None where there is none
    logarithmic : whether both axes are
    note : one sentence on what one sees
    """

    group: str
    name: str
    source: str
    x: str
    y: str
    at: tuple[float, ...]
    measured: tuple[float, ...]
    spread: tuple[float, ...]
    expected: tuple[float, ...] | None = None
    logarithmic: bool = False
    note: str = ""


def law(samples: Sequence[Samples], *, at: Sequence[float], **given: Any) -> Law:
    """The law of a figure that was measured once per seed at each of some places; ``given`` as in `Law`."""
    values = [np.asarray(some, dtype=np.float64) for some in samples]
    return Law(
        at=tuple(float(place) for place in at),
        measured=tuple(float(some.mean()) for some in values),
        spread=tuple(float(some.std(ddof=1)) if len(some) > 1 else 0.0 for some in values),
        **given,
    )


def judged(
    samples: Samples,
    *,
    group: str,
    name: str,
    source: str,
    relation: Relation,
    expected: float | None = None,
    tolerance: float = 0.0,
    note: str = "",
) -> Row:
    """The row of a figure that was measured once per seed.

    A figure that is not finite for any seed is never ok. A bound is a bound: its tolerance is 0 unless one is given;
    for ``about``, give what chance and the making of the figure allow (see `sampling_error`).

    Raises
    ------
    ValueError
        If there is no sample, or nothing to judge it by.
    """
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"the row {name!r} needs one figure per seed, not an array of shape {values.shape}")
    if relation != "report" and expected is None:
        raise ValueError(f"the row {name!r} is to be {relation} something, but nothing is expected of it")
    measured = float(values.mean())
    finite = bool(np.isfinite(values).all())
    return Row(
        group=group,
        name=name,
        source=source,
        relation=relation,
        expected=expected,
        measured=measured,
        spread=float(values.std(ddof=1)) if finite and len(values) > 1 else 0.0,
        tolerance=tolerance,
        seeds=len(values),
        ok=finite and _agrees(values, relation, expected, tolerance),
        note=note,
    )


def row_of(
    found: Mapping[str, Samples],
    key: str,
    group: str,
    name: str,
    source: str,
    relation: Relation,
    expected: float | None = None,
    tolerance: float = 0.0,
    *,
    note: str = "",
) -> Row:
    """The row of the figure ``key`` of what a measure found, see `judged`."""
    return judged(
        found[key],
        group=group,
        name=name,
        source=source,
        relation=relation,
        expected=expected,
        tolerance=tolerance,
        note=note,
    )


def _agrees(values: NDArray[np.float64], relation: Relation, expected: float | None, tolerance: float) -> bool:
    if relation == "report" or expected is None:
        return True
    if relation == "at least":
        return bool(values.mean() >= expected - tolerance)
    if relation == "at most":
        return bool(values.mean() <= expected + tolerance)
    if relation == "exactly":
        return bool((np.abs(values - expected) <= tolerance).all())
    return bool(abs(values.mean() - expected) <= tolerance)


def sampling_error(samples: Samples, *, widest: float) -> float:
    """Half the width of the 99% confidence interval of the mean over seeds (Student 1908), at most ``widest``.

    The cap keeps a mechanism that is broken so that it scatters from excusing itself by its scatter.
    """
    values = np.asarray(samples, dtype=np.float64)
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return widest
    quantile = float(student.ppf(0.5 + CONFIDENCE / 2, n - 1))
    return min(quantile * float(values.std(ddof=1)) / float(np.sqrt(n)), widest)
