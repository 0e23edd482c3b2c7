"""Which objects a concept was made of: the landlords of whom an abstract landlord is what they have in common.

A raw dimension is likeness to one object. An abstract one is a factor of all that was remembered, and comes most from
the objects that stand farthest out on it. A concept is what many of both kinds were merged into; the objects that these
come from are its *landlords*.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.population import ABSTRACT, NOTHING, RAW
from agents.world import World
from knowledge_graph.library import Library
from knowledge_graph.views import Views

KINDS = {"raw": RAW, "abstract": ABSTRACT}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Landlord:
    """An object that forms of a concept come from.

    ``raw`` agents hold likeness to it, ``abstract`` ones a factor that comes from it, both as forms of the concept;
    ``r`` is the correlation of the concept with likeness to the object in all features, over the other probe objects.
    """

    number: int
    raw: int
    abstract: int
    r: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """What became of the landlords of one concept.

    ``concept`` is its place in ``library.ids``; ``raw`` and ``abstract`` agents hold it as such dimensions now, which
    go with it by ``r_raw`` and ``r_abstract`` in the middle (nan for none); ``ever`` agents have held a likeness that
    was merged into it, at any merge; ``landlords`` are those of now, from whom most come first.
    """

    concept: int
    raw: int
    abstract: int
    ever: int
    r_raw: float
    r_abstract: float
    landlords: tuple[Landlord, ...]

    @property
    def nearest(self) -> Landlord | None:
        """The landlord whose likeness goes best with the concept."""
        return max(self.landlords, key=lambda one: (abs(one.r), -one.number), default=None)

    def ends(self, most: int) -> tuple[list[Landlord], list[Landlord]]:
        """The first landlords that the concept rises with, and those that it falls with."""
        return [one for one in self.landlords if one.r >= 0][:most], [one for one in self.landlords if one.r < 0][:most]


def origins(library: Library, world: World, most: int) -> list[Origin]:
    """What became of the landlords of the ``most`` best supported concepts."""
    last = library.last
    if last is None:
        return []
    at = {name: k for k, name in enumerate(library.ids)}
    found = []
    for concept in library.concepts()[:most]:
        k = at[concept.id]
        counts = sources_of(last.views, library.membership, k)
        r = likeness_r(world, sorted(counts), library.probe, concept.scores)
        ranked = sorted(counts, key=lambda number: (-sum(counts[number]), -abs(r[number]), number))
        row, slot = np.nonzero(library.membership == k)
        kind, strength = last.views.kind[row, slot], np.abs(last.unified.correlation[row, slot, k])
        middle = {name: strength[kind == code] for name, code in KINDS.items()}
        found.append(
            Origin(
                concept=k,
                raw=len(middle["raw"]),
                abstract=len(middle["abstract"]),
                ever=len(ever_raw(library, concept.id)),
                r_raw=_median(middle["raw"]),
                r_abstract=_median(middle["abstract"]),
                landlords=tuple(
                    Landlord(number=number, raw=counts[number][0], abstract=counts[number][1], r=r[number])
                    for number in ranked
                ),
            )
        )
    return found


def sources_of(views: Views, membership: NDArray[np.integer], k: int) -> dict[int, tuple[int, int]]:
    """How many (raw, abstract) dimensions that are forms of concept ``k`` come from each object."""
    counts: dict[int, tuple[int, int]] = {}
    for place, code in enumerate(KINDS.values()):
        sources = views.sources[(membership == k) & (views.kind == code)]
        for number, n in zip(*np.unique(sources[sources != NOTHING], return_counts=True), strict=True):
            pair = list(counts.get(int(number), (0, 0)))
            pair[place] = int(n)
            counts[int(number)] = (pair[0], pair[1])
    return counts


def ever_raw(library: Library, concept: str) -> set[int]:
    """Ids of all who have held, at any merge, a raw dimension that was a form of the concept."""
    found: set[int] = set()
    for round_ in library.rounds:
        if concept in round_.ids:
            forms = (round_.membership == round_.ids.index(concept)) & (round_.views.kind == RAW)
            found.update(round_.views.agent[forms.any(axis=1)].tolist())
    return found


def raw_shares(library: Library) -> list[float]:
    """Merge by merge, which share of all dimensions were likenesses to one object; nan where nobody held any."""
    return [
        float((round_.views.kind == RAW).sum() / held) if (held := int(round_.views.held.sum())) else float("nan")
        for round_ in library.rounds
    ]


def likeness_r(
    world: World, numbers: Sequence[int], probe: NDArray[np.integer], scores: NDArray[np.float64]
) -> dict[int, float]:
    """Correlation, over the probe objects but itself, of likeness to each object with ``scores [P]`` of a concept.

    Likeness is taken in all features, as nobody senses it. 0 where one of the two does not vary.
    """
    if not len(numbers) or not len(scores):
        return dict.fromkeys(numbers, 0.0)
    alike = world.features[probe].astype(np.float64) @ world.features[list(numbers)].astype(np.float64).T
    others = (probe[:, None] != np.asarray(numbers)[None, :]).astype(np.float64)
    count = others.sum(axis=0)

    def centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        deviation: NDArray[np.float64] = others * (values - (others * values).sum(axis=0) / np.maximum(count, 1))
        return deviation

    alike, stands = centred(alike), centred(np.repeat(scores[:, None], len(numbers), axis=1))
    norm = np.sqrt((alike**2).sum(axis=0) * (stands**2).sum(axis=0))
    r = np.divide((alike * stands).sum(axis=0), norm, out=np.zeros_like(norm), where=norm > 0)
    return dict(zip(numbers, r.tolist(), strict=True))


def _median(values: NDArray[np.floating]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
