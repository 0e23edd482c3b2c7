"""Colours and textures of drawn pictures: float32 arrays, 0 black and 1 as bright as a pixel can be."""

from __future__ import annotations

import colorsys
import math
from typing import Literal, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Pattern = Literal["plain", "stripes", "checks", "dots", "noise", "gradient"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)


def fill(rng: Generator, height: int, width: int, *, away_from: NDArray[np.floating] | None) -> Floats:
    """The surface [height, width, 3] of a thing: a pattern of two colours, a little brighter on one side.

    Of a few colours those are taken that differ most from the colour ``away_from`` [3], so that it can be seen.
    """
    colours = [colour(rng, saturation=(0.25, 1.0), value=(0.25, 1.0)) for _ in range(5)]
    if away_from is not None:
        colours.sort(key=lambda candidate: -float(np.abs(candidate - away_from).sum()))
    shorter = max(4.0, min(height, width))
    period = shorter * math.exp(rng.uniform(math.log(0.14), math.log(0.4)))
    kind = PATTERNS[rng.integers(len(PATTERNS))]
    share = pattern(rng, kind, height, width, period=max(4.0, period))[:, :, None]
    surface = share * (colours[1] - colours[0])
    surface += colours[0]
    surface *= 1 + rng.uniform(0, 0.3) * (0.5 - pattern(rng, "gradient", height, width))[:, :, None]
    return surface


def background(rng: Generator, height: int, width: int) -> Floats:
    """Something [height, width, 3] to lay things on: two colours that run into each other, under a faint pattern."""
    first = colour(rng, saturation=(0.0, 0.55), value=(0.15, 0.95))
    second = colour(rng, saturation=(0.0, 0.55), value=(0.15, 0.95))
    size = max(height, width)
    share = pattern(
        rng, "gradient" if rng.random() < 0.5 else "noise", height, width, period=size * rng.uniform(0.1, 0.5)
    )
    canvas = first + (rng.uniform(0.2, 1.0) * share)[:, :, None] * (second - first)
    kind = PATTERNS[rng.integers(len(PATTERNS))]
    period = size * math.exp(rng.uniform(math.log(0.02), math.log(0.15)))
    relief = rng.uniform(0.05, 0.3) * (pattern(rng, kind, height, width, period=max(4.0, period)) - 0.5)
    canvas += relief[:, :, None] * colour(rng, saturation=(0.0, 0.6), value=(0.6, 1.0))
    return canvas


def colour(rng: Generator, *, saturation: tuple[float, float], value: tuple[float, float]) -> Floats:
    """An RGB colour [3] of any hue."""
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value)), dtype=np.float32)


def pattern(rng: Generator, kind: Pattern, height: int, width: int, *, period: float = 1.0) -> Floats:
    """How much of its second colour a pattern has [height, width]; it repeats, somehow turned, after ``period`` pixels.

    Edges are one pixel wide. A gradient goes once through the window, whatever the period.
    """
    if kind == "plain":
        return np.zeros((height, width), dtype=np.float32)
    if kind == "noise":
        return np.clip(0.5 + _noise(rng, height, width, period) + 0.5 * _noise(rng, height, width, period / 2), 0, 1)
    angle = rng.uniform(0, 2 * math.pi)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    u: Floats = np.float32(math.cos(angle)) * x + np.float32(math.sin(angle)) * y
    if kind == "gradient":
        low, high = u.min(), u.max()
        share: Floats = (u - low) / max(high - low, np.float32(1))
        return share
    v: Floats = np.float32(math.cos(angle)) * y - np.float32(math.sin(angle)) * x
    u = u / np.float32(period) + np.float32(rng.random())
    v = v / np.float32(period) + np.float32(rng.random())
    # Signed distances, in pixels, to the nearest edge of the pattern.
    distance: Floats
    if kind == "dots":
        distance = (np.float32(0.32) - np.hypot(u - np.round(u), v - np.round(v))) * np.float32(period)
    elif kind == "checks":
        distance = _square_wave(u) * _square_wave(v) * np.float32(4 * period)
    else:
        distance = _square_wave(u) * np.float32(period)
    return (distance + 0.5).clip(0, 1)


def _square_wave(u: Floats) -> Floats:
    """The distance of ``u`` to the next half, positive in every second interval: a triangle wave of +-1/4."""
    wave: Floats = np.abs(u - np.floor(u) - np.float32(0.5)) - np.float32(0.25)
    return wave


def _noise(rng: Generator, height: int, width: int, period: float) -> Floats:
    """Smooth randomness of mean 0, with a deviation of about a fifth, that varies within ``period`` pixels."""
    cells = math.ceil(height / period) + 1, math.ceil(width / period) + 1
    grid = Image.fromarray(rng.uniform(-0.5, 0.5, cells).astype(np.float32))
    return np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
