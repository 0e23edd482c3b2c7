"""Two libraries side by side: which concepts they have in common, and what is only in one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.history import by_loadings, matched
from knowledge_graph.measures import congruence

if TYPE_CHECKING:
    import pandas as pd

    from knowledge_graph.library import Library

MIN_COMMON = 10
"""Probe objects that two libraries need to have in common to be compared by them."""

SAME = 0.99
"""Median correlation from which a feature of the same numbers is one of the same objects: a run scales features by its
own training objects."""


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
        if moved:
            said.append("support moved most:")
        said += [
            f"  {kept.there} {kept.word_there} -> {kept.here} {kept.word_here}: support {kept.support_there:.2f} -> "
            f"{kept.support_here:.2f}"
            for kept in moved
        ]
        return "\n".join(said)


def diff(here: Library, there: Library) -> Difference:
    """What changed from ``there`` (before) to ``here``.

    Concepts are compared by their scores: of the probe objects of both, where features have the same names (each
    library scores them by its weights); else of those probe objects that both have. Without either, by their loadings.

    Raises
    ------
    ValueError
        If there is nothing to compare them by, or the libraries are of different worlds: their objects have different
        features, or objects of the same number look different.
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
    common, mine, theirs = np.intersect1d(here.probe, there.probe, return_indices=True)
    features = [library.features for library in (here, there) if library.features is not None]
    names = _feature_names(here), _feature_names(there)
    named = all(a == b for a, b in zip(*names, strict=False))  # who has no table of features may know fewer
    if len(features) == 2 and names[0] != names[1]:
        raise ValueError(
            "these libraries cannot be compared: their objects have different features "
            f"({features[0].shape[1]} and {features[1].shape[1]} of them), so they are of different worlds"
        )
    if len(features) == 2 and len(common) >= MIN_COMMON and not _same(features[0][mine], features[1][theirs]):
        raise ValueError(
            f"these libraries cannot be compared: the {len(common)} probe objects that are in both by their numbers "
            "look different in each, so they are of different worlds"
        )
    if features and named and len(here.weights) == len(there.weights) == features[0].shape[1]:
        # Of all the objects that either knows, so that it does not matter which is asked.
        objects = np.concatenate([one - one.mean(axis=0) for one in features])
        return _correlation(here.transform(objects), there.transform(objects))
    if here.unified is not None and there.unified is not None and len(common) >= MIN_COMMON:
        scores = here.unified.scores, there.unified.scores
        if len(scores[0]) and len(scores[1]):
            return _correlation(scores[0][mine], scores[1][theirs])
    if named and len(here.loadings) and len(there.loadings):
        return by_loadings(here.loadings, there.loadings)
    raise ValueError(
        "these libraries cannot be compared: their features do not have the same names, and their probes only "
        f"{len(common)} objects in common (at least {MIN_COMMON} are needed)"
    )


def _feature_names(library: Library) -> list[str]:
    """The names of all features of a library, also of one that has to be content with their numbers."""
    known = len(library.loadings) if library.features is None else library.features.shape[1]
    return [library.feature_name(i) for i in range(known)]


def _same(a: NDArray[np.floating], b: NDArray[np.floating]) -> bool:
    """Whether two tables of features are of the same objects, though perhaps not on the same scale."""
    varies = (a.std(axis=0) > 0) & (b.std(axis=0) > 0)
    r = np.diag(_correlation(a[:, varies].astype(np.float64), b[:, varies].astype(np.float64)))
    return not len(r) or float(np.median(r)) > SAME


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return congruence(a - a.mean(axis=0), b - b.mean(axis=0))
