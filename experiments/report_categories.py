"""Which categories a concept separates, and how well: the part of a concept's card that people can read."""

from __future__ import annotations

import dataclasses
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from agents.world import World
from experiments.report_objects import categories_of, counted, images_of, label_name, pictured, row_of_pictures
from experiments.report_text import esc, number
from knowledge_graph.concept import Concept
from knowledge_graph.library import Library

ENOUGH = 10
"""Objects of a category from which it is said how well a concept separates it."""

CHANCE = 0.05
"""How likely it is, for a concept that separates nothing, that any category is named (Bonferroni)."""

N_ENDS = 3
"""Categories named at either end."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Separation:
    """How well K concepts separate L categories.

    ``auc`` float64 [L, K]: the probability that an object of the category stands higher than one of the others, ties
    counting half (Mann & Whitney 1947); nan for a category of none or of all objects. ``count`` int64 [L], its
    objects. ``stands_apart`` bool [L, K]: enough objects, and farther from 1/2 than chance would have it; objects of
    one image are alike, so that chance is as if each image were a single object.
    """

    auc: NDArray[np.float64]
    count: NDArray[np.int64]
    stands_apart: NDArray[np.bool_]


def separation(
    scores: NDArray[np.floating], labels: NDArray[np.integer], images: NDArray[np.integer] | None = None
) -> Separation:
    """How well ``scores [M, K]`` separate the categories ``labels [M]``, numbered from 0, of objects in ``images [M]``.

    Without images each object stands for itself.
    """
    inside = np.bincount(labels)
    outside = len(labels) - inside
    ranks = np.zeros((len(inside), scores.shape[1]))
    np.add.at(ranks, labels, rankdata(scores, axis=0))
    pairs = (inside * outside)[:, None].astype(np.float64)
    above = ranks - (inside * (inside + 1) / 2)[:, None]
    auc = np.divide(above, pairs, out=np.full_like(above, np.nan), where=pairs > 0)
    of, others = (inside, outside) if images is None else _in_images(labels, images)
    # Without a difference the AUC has this standard deviation, of the Mann-Whitney statistic.
    both = (of * others)[:, None].astype(np.float64)
    total = (of + others + 1)[:, None]
    spread = np.sqrt(np.divide(total, 12 * both, out=np.full_like(both, np.inf), where=both > 0))
    judged = (inside >= ENOUGH) & (outside >= ENOUGH)
    far = NormalDist().inv_cdf(1 - CHANCE / (2 * max(int(judged.sum()), 1)))
    return Separation(auc=auc, count=inside, stands_apart=judged[:, None] & (np.abs(auc - 0.5) > far * spread))


def _in_images(
    labels: NDArray[np.integer], images: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From how many images the objects of each category are, and all others, float64 [L] each.

    Effective numbers, (sum n)^2 / sum n^2 of n objects in an image (Kish 1965): most in one and a few elsewhere is
    hardly more than one.
    """
    number = np.unique(images, return_inverse=True)[1]
    has = np.zeros((int(number.max()) + 1, int(labels.max()) + 1))
    np.add.at(has, (number, labels), 1.0)

    def effective(n: NDArray[np.float64]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = n.sum(axis=0)
        squares: NDArray[np.float64] = (n**2).sum(axis=0)
        return np.divide(total**2, squares, out=np.zeros_like(squares), where=squares > 0)

    return effective(has), effective(has.sum(axis=1, keepdims=True) - has)


def separations(library: Library, world: World) -> Separation | None:
    """How well each concept, in the order of ``library.ids``, separates the categories; None where none are known."""
    if world.labels is None or not len(library):
        return None
    return separation(library.transform(world.features), world.labels, images_of(world))


def ends(auc: NDArray[np.float64], stands_apart: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """The categories that stand highest on a concept, and those that stand lowest, the clearest first."""
    there = np.flatnonzero(stands_apart)
    order = there[np.argsort(-auc[there], kind="stable")].tolist()
    high = [i for i in order if auc[i] > 0.5][:N_ENDS]
    low = [i for i in reversed(order) if auc[i] < 0.5][:N_ENDS]
    return high, low


def category_bars(found: Separation, k: int, world: World) -> str:
    """The categories that concept ``k`` separates best, as bars to either side of chance (HTML)."""
    auc = found.auc[:, k]
    high, low = ends(auc, found.stands_apart[:, k])
    if not high and not low:
        return '<p class="none">No category stands apart by more than chance.</p>'
    rows = []
    for i in [*high, *reversed(low)]:
        value, name = float(auc[i]), esc(label_name(world, i))
        side = (
            f"left:50%;width:{100 * (value - 0.5):.1f}%"
            if value >= 0.5
            else f"right:50%;width:{100 * (0.5 - value):.1f}%"
        )
        rows.append(
            f'<dt title="{name}">{name} <small>{found.count[i]:,}</small></dt>'
            f'<dd class="bar"><i class="{"high" if value >= 0.5 else "low"}" style="{side}"></i></dd>'
            f"<dd>{number(value)}</dd>"
        )
    return f'<dl class="bars categories">{"".join(rows)}</dl>'


def exemplars(concept: Concept, world: World) -> str:
    """The objects at the two ends of a concept, with their categories (HTML)."""
    shown = []
    for end, numbers in (("Highest", concept.strongest), ("Lowest", concept.weakest)):
        if numbers:
            names = counted(categories_of(world, numbers), len(numbers)) if pictured(world) else ""
            said = f"{end}: {esc(names)}" if names else f"{end} objects"
            shown.append(f'<p class="end">{said}</p>{row_of_pictures(world, numbers)}')
    return "".join(shown)
