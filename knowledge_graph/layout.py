"""Where the discs of a map go, so that neighbours are near and nothing overlaps; the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray

CANVAS = (360.0, 560.0)
"""Width and height in pixels on which no two discs may touch: those of a telephone, so that wider ones have room."""

THREAD = 0.02
"""Weight of the tie between any two nodes."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A line of the map between two nodes: ``strength`` in [0, 1] sets its width, ``says`` is its hover text."""

    ends: tuple[str, str]
    kind: str
    strength: float
    says: str


def positions(radius: Mapping[str, float], links: Sequence[Link]) -> dict[str, tuple[float, float]]:
    """Where each node goes, in [0, 1] x [0, 1]: linked ones near each other, no two discs touching on `CANVAS`.

    Springs pull linked nodes together (Fruchterman & Reingold 1991, from a fixed start), then the map is spread
    evenly over the canvas, and discs that still overlap push each other away.
    """
    if len(radius) < 2:
        return dict.fromkeys(radius, (0.5, 0.5))
    # Everybody is tied to everybody by a thread, so that what has no links does not drift away.
    graph = nx.complete_graph(list(radius))
    nx.set_edge_attributes(graph, THREAD, "weight")
    for link in links:
        graph.edges[link.ends]["weight"] = 0.15 + link.strength
    spring = nx.spring_layout(graph, k=1.6 / np.sqrt(len(graph)), iterations=400, seed=1)
    xy = np.array([spring[name] for name in radius])
    low, high = xy.min(axis=0), xy.max(axis=0)
    xy = (xy - low) / np.where(high > low, high - low, 1.0)
    rank = xy.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") / (len(xy) - 1)
    spread = _apart((0.4 * xy + 0.6 * rank) * CANVAS, np.array(list(radius.values()))) / CANVAS
    return {name: (float(x), float(y)) for name, (x, y) in zip(radius, spread, strict=True)}


def _apart(xy: NDArray[np.float64], radius: NDArray[np.float64], gap: float = 7.0) -> NDArray[np.float64]:
    """Push discs apart until none overlap (or room runs out), and keep them on the canvas."""
    need = radius[:, None] + radius[None, :] + gap
    margin = radius[:, None] + 2.0
    # Two discs in one place have no direction to part in: give each a tiny one of its own.
    turn = np.arange(len(xy)) * 2.399963
    own = 1e-3 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    xy = xy + own
    middle = np.array(CANVAS) / 2
    low, high = np.minimum(margin, middle), np.maximum(np.array(CANVAS) - margin, middle)
    for _ in range(600):
        xy = np.clip(xy, low, high)
        apart = xy[:, None] - xy[None, :]
        # The rim may have brought them together again.
        apart = np.where(apart.any(axis=2, keepdims=True), apart, own[:, None] - own[None, :])
        distance = np.linalg.norm(apart, axis=2)
        np.fill_diagonal(distance, np.inf)
        overlap = np.maximum(need - distance, 0.0)
        if not overlap.any():
            break
        xy = xy + 0.35 * (apart / distance[:, :, None] * overlap[:, :, None]).sum(axis=1)
    return np.clip(xy, low, high)
