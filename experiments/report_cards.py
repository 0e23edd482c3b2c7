"""Cards that show what concepts look like: as images, as features, and by the labels that stand high or low on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.world import World
from experiments.report_categories import category_bars, exemplars, separations
from experiments.report_objects import label_name, of_images
from experiments.report_text import esc, number
from knowledge_graph.concept import Concept
from knowledge_graph.library import Library
from knowledge_graph.pictures import data_uri

N_CARDS = 12
N_FEATURES = 6
N_ENDS = 2
"""Labels named at either end where there are too many for a column each."""

FEW_LABELS, SHORT = 12, 3
"""At most so many labels of at most so many letters get a column each."""

LOW, MIDDLE, HIGH = (0x2B, 0x6C, 0xA3), (0xFA, 0xF8, 0xF4), (0xC4, 0x60, 0x1D)
WHITE, INK = (0xFF, 0xFF, 0xFF), (0x23, 0x26, 0x2F)


def cards(library: Library, world: World) -> str:
    """A card (HTML) for each of the best supported concepts."""
    chosen = library.concepts()[:N_CARDS]
    if of_images(world):
        return _object_cards(chosen, library, world)
    standing = label_standing(library, world)
    at = {name: k for k, name in enumerate(library.ids)}
    shown = []
    for concept in chosen:
        parts = [
            _heading(concept, library),
            tiles(concept, world) if world.image_shape else feature_bars(concept, world),
        ]
        if standing is not None:
            column = standing[:, at[concept.id]]
            small = len(column) <= FEW_LABELS and max(map(len, world.label_names), default=0) <= SHORT
            parts.append((label_columns if small else label_bars)(column, world))
        shown.append(f'<article class="card">{"".join(parts)}</article>')
    return f'<div class="cards">{"".join(shown)}</div>'


def _object_cards(chosen: Sequence[Concept], library: Library, world: World) -> str:
    found = separations(library, world)
    at = {name: k for k, name in enumerate(library.ids)}
    shown = []
    for concept in chosen:
        bars = "" if found is None else category_bars(found, at[concept.id], world)
        shown.append(f'<article class="card">{_heading(concept, library)}{bars}{exemplars(concept, world)}</article>')
    return f'<div class="cards">{"".join(shown)}</div>'


def _heading(concept: Concept, library: Library) -> str:
    return (
        f"<h3>{esc(library.spell(concept.word))} <small>{esc(concept.id)}</small></h3>"
        f"<p>support {number(concept.support)}, {concept.members:,} members</p>"
    )


def label_standing(library: Library, world: World) -> NDArray[np.float64] | None:
    """Mean standing [labels, K] of each label's objects on each concept, in standard deviations; nan for none."""
    if world.labels is None or not len(library):
        return None
    scores = library.transform(world.features)
    spread = scores.std(axis=0)
    scores = (scores - scores.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    n = max(len(world.label_names), int(world.labels.max()) + 1)
    total = np.zeros((n, scores.shape[1]))
    np.add.at(total, world.labels, scores)
    count = np.bincount(world.labels, minlength=n)[:, None]
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def tiles(concept: Concept, world: World) -> str:
    """Three small images: what the concept weighs, and the mean object at either end of it."""
    assert world.image_shape is not None
    low = float((world.features.min(axis=0) * world.scale + world.mean).min())
    high = float((world.features.max(axis=0) * world.scale + world.mean).max())
    pictures = [("loadings", diverging(concept.loadings.reshape(world.image_shape)))]
    for name, objects in (("low end", concept.weakest), ("high end", concept.strongest)):
        mean = world.features[list(objects)].mean(axis=0) * world.scale + world.mean
        share = (mean.reshape(world.image_shape) - low) / (high - low if high > low else 1.0)
        pictures.append((name, _blend(WHITE, INK, share)))
    figures = [
        f'<figure><img src="{data_uri(pixels)}" alt="{esc(concept.id)}: {name}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, pixels in pictures
    ]
    return f'<div class="tiles">{"".join(figures)}</div>'


def feature_bars(concept: Concept, world: World) -> str:
    """The features with the largest loadings, as bars to the left and right of zero."""
    top = np.argsort(-np.abs(concept.loadings), kind="stable")[:N_FEATURES]
    top = top[np.argsort(-concept.loadings[top], kind="stable")]
    return _bars([(world.feature_names[i], float(concept.loadings[i])) for i in top.tolist()])


def label_bars(standing: NDArray[np.float64], world: World) -> str:
    """The labels that stand highest and lowest."""
    there = np.flatnonzero(np.isfinite(standing))
    order = there[np.argsort(-standing[there], kind="stable")].tolist()
    ends = order if len(order) <= 2 * N_ENDS else order[:N_ENDS] + order[-N_ENDS:]
    return _bars([(label_name(world, i), float(standing[i])) for i in ends], "labels that stand highest and lowest")


def label_columns(standing: NDArray[np.float64], world: World) -> str:
    """A column for each label, up or down from the mean object (inline SVG)."""
    step, half = 24, 26
    reach = max(float(np.nanmax(np.abs(standing), initial=0.0)), 0.5)
    marks = []
    for i, value in enumerate(standing.tolist()):
        x = i * step
        if np.isfinite(value):
            height = half * abs(value) / reach
            y = half - height if value >= 0 else half
            marks.append(
                f'<rect class="{"high" if value >= 0 else "low"}" x="{x + 4}" y="{y + 2:.1f}" width="{step - 8}" '
                f'height="{height:.1f}"><title>{esc(label_name(world, i))}: {number(value)}</title></rect>'
            )
        marks.append(f'<text x="{x + step / 2}" y="{2 * half + 17}">{esc(label_name(world, i))}</text>')
    width, height = step * len(standing), 2 * half + 22
    return (
        f'<svg class="columns" viewBox="0 0 {width} {height}" style="max-width:{min(300, 30 * len(standing))}px" '
        'role="img" aria-label="mean standing of each label">'
        f'<path d="M0 {half + 2}H{width}" stroke="#c9c5bb"/>{"".join(marks)}</svg>'
    )


def diverging(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Pixels [h, w, 3] for values around zero: blue below, orange above, as strong as the largest of them."""
    share = values / max(float(np.abs(values).max()), 1e-12)
    return np.where((share < 0)[..., None], _blend(MIDDLE, LOW, -share), _blend(MIDDLE, HIGH, share))


def _blend(start: tuple[int, int, int], end: tuple[int, int, int], share: NDArray[np.floating]) -> NDArray[np.uint8]:
    weight = np.clip(share, 0.0, 1.0)[..., None]
    pixels: NDArray[np.uint8] = np.rint((1 - weight) * np.array(start) + weight * np.array(end)).astype(np.uint8)
    return pixels


def _bars(rows: list[tuple[str, float]], heading: str = "") -> str:
    reach = max([abs(value) for _, value in rows], default=1.0) or 1.0
    shown = [f'<dt class="end">{heading}</dt>'] if heading else []
    for name, value in rows:
        share = 50 * abs(value) / reach
        side = f"left:50%;width:{share:.1f}%" if value >= 0 else f"right:50%;width:{share:.1f}%"
        shown.append(
            f'<dt title="{esc(name)}">{esc(name)}</dt>'
            f'<dd class="bar"><i class="{"high" if value >= 0 else "low"}" style="{side}"></i></dd>'
            f"<dd>{number(value)}</dd>"
        )
    return f'<dl class="bars">{"".join(shown)}</dl>'
