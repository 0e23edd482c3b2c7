"""Two libraries side by side: which concepts they have in common, and what is only in one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.history import matched
from knowledge_graph.measures import congruence

if TYPE_CHECKING:
    import pandas as pd

    from knowledge_graph.library import Library

MIN_COMMON = 10
"""Probe objects that two libraries need to have in common to be compared by them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kept:
    """A concept that both libraries have: its id, name and support there (before) and here, and their correlation.

    ``r`` is negative where it points the other way.
    """

    here: str
    there: str
    r: float
    word_here: str
    word_there: str
    support_here: float
    support_there: float

    @property
    def renamed(self) -> bool:
        """Whether it goes by another word now."""
        return self.word_here != self.word_there


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """What changed from one library (there) to another (here), concepts matched by what they mean, not by their ids.

    ``kept`` those in both, the most alike first; ``new`` ids only here; ``gone`` ids only there.
    """

    kept: tuple[Kept, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]

    def to_pandas(self) -> pd.DataFrame:
        """One row per concept of either library."""
        import pandas as pd

        columns = [*(field.name for field in dataclasses.fields(Kept)), "change"]
        rows = [dataclasses.asdict(kept) | {"change": "renamed" if kept.renamed else "kept"} for kept in self.kept]
        rows += [{"here": name, "change": "new"} for name in self.new]
        rows += [{"there": name, "change": "gone"} for name in self.gone]
        return pd.DataFrame(rows, columns=columns)

    def __str__(self) -> str:
        renamed = sum(kept.renamed for kept in self.kept)
        said = [
            f"{len(self.kept)} concepts kept, {renamed} of them renamed; {len(self.new)} new, {len(self.gone)} gone"
        ]
        if self.kept:
            closest = np.mean([abs(kept.r) for kept in self.kept])
            said.append(f"mean |r| of those kept {closest:.2f}")
        moved = sorted(self.kept, key=lambda kept: -abs(kept.support_here - kept.support_there))[:3]
        said += [
            f"{kept.there} {kept.word_there} -> {kept.here} {kept.word_here}: support {kept.support_there:.2f} -> "
            f"{kept.support_here:.2f}"
            for kept in moved
        ]
        return "\n".join(said)


def diff(here: Library, there: Library) -> Difference:
    """What changed from ``there`` (before) to ``here``.

    Concepts are compared by their scores: of this library's probe objects, where features have the same names in
    both (the other library scores them by its weights); else of the probe objects that both have. Without either, by
    their loadings.

    Raises
    ------
    ValueError
        If there is nothing to compare them by.
    """
    if not len(here) or not len(there):
        return Difference(kept=(), new=here.ids, gone=there.ids)
    r = _similarity(here, there)
    a, b = ({c.id: c for c in library.concepts()} for library in (here, there))
    kept = []
    for i, j in matched(r):
        now, before = a[here.ids[i]], b[there.ids[j]]
        kept.append(
            Kept(
                here=now.id,
                there=before.id,
                r=float(np.clip(r[i, j], -1, 1)),
                word_here=here.spell(now.word),
                word_there=there.spell(before.word),
                support_here=now.support,
                support_there=before.support,
            )
        )
    both = {one.here for one in kept}, {one.there for one in kept}
    return Difference(
        kept=tuple(sorted(kept, key=lambda one: -abs(one.r))),
        new=tuple(name for name in here.ids if name not in both[0]),
        gone=tuple(name for name in there.ids if name not in both[1]),
    )


def _similarity(here: Library, there: Library) -> NDArray[np.float64]:
    """Correlations [K here, K there] of concepts."""
    named = here.weights.shape[0] == there.weights.shape[0] > 0 and here.feature_names == there.feature_names
    if named and here.features is not None:
        return _correlation(here.transform(here.features), there.transform(here.features))
    _, mine, theirs = np.intersect1d(here.probe, there.probe, return_indices=True)
    if len(mine) >= MIN_COMMON and here.unified is not None and there.unified is not None:
        return _correlation(here.unified.scores[mine], there.unified.scores[theirs])
    if named:
        return congruence(here.loadings, there.loadings)
    raise ValueError(
        f"these libraries cannot be compared: their features have different names, and their probes only {len(mine)} "
        f"objects in common (at least {MIN_COMMON} are needed)"
    )


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return congruence(a - a.mean(axis=0), b - b.mean(axis=0))
