"""What was found of detectors and of the societies that live among what they see: by detector, and by row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.lab.rows import Row
from experiments.rank_correlation import Correlation, over_rows, partial, spearman

PYRAMID, BACKBONE = "fpn", "backbone"
"""Where features are read from, as `detection.embed` calls it."""

FIGURES = {
    "library": "Labels told by the library",
    "raw": "Labels told by raw features",
    "best_view": "Labels told by the best single view",
    "efficiency": "Efficiency of the library",
    "talk": "Talk that succeeds",
    "concepts": "Concepts in the library",
    "narrow": "Variance of the features that 8 dimensions hold",
}
"""What is set beside AP, in words."""

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detectors:
    """The n detectors of one set of images.

    Attributes
    ----------
    name : of the set, as the records call it
    rows, seeds, ap : of each detector: its row of the table, the seed of its training, and its AP [n]
    measured_on : the split that AP was measured on
    figures : by where features are read from, and by figure: [n], means over lives
    untrained : figures among what the backbone made of the same objects before any of these trainings
    lost : how many left a record alone, and no detector
    """

    name: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    ap: Floats
    measured_on: str
    figures: Mapping[str, Mapping[str, Floats]]
    untrained: Mapping[str, float]
    lost: int = 0

    @property
    def by_name(self) -> dict[str, Row]:
        """The R rows, in the order of the table."""
        return {row.name: row for row in self.rows}

    def mean(self, values: Floats) -> Floats:
        """Means over the trainings of each row, of values [n]: [R]."""
        of = np.array([row.name for row in self.rows])
        return np.array([values[of == name].mean() for name in self.by_name])

    def of(self, figure: str, features: str = PYRAMID) -> Floats:
        """A figure of each row, [R]; "ap" is one as well."""
        return self.mean(self.ap if figure == "ap" else self.figures[features][figure])

    @property
    def pretrained(self) -> NDArray[np.bool_]:
        """Which rows began with a trained backbone, [R]."""
        return np.array([row.pretrained for row in self.by_name.values()])

    def together(
        self, one: str, other: str, features: str = PYRAMID, *, among: NDArray[np.bool_] | None = None
    ) -> Correlation:
        """How two figures go together over the rows, or some of them."""
        return self._over(spearman, (one, other), features, among)

    def left(self, one: str, other: str, *, given: str, features: str = PYRAMID) -> Correlation:
        """How two figures go together over the rows once a third is known."""
        return self._over(partial, (one, other, given), features, None)

    def _over(
        self,
        statistic: Callable[..., Floats],
        figures: tuple[str, ...],
        features: str,
        among: NDArray[np.bool_] | None,
    ) -> Correlation:
        chosen = np.ones(len(self.by_name), dtype=bool) if among is None else among
        return over_rows(statistic, *(self.of(figure, features)[chosen] for figure in figures))

    @property
    def chance(self) -> float:
        """Share of the objects that the commonest category tells."""
        return float(np.mean(self.figures[PYRAMID]["majority"]))

    @property
    def objects(self) -> int:
        """How many are looked at."""
        return round(float(self.untrained["objects"]))
