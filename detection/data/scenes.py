"""Pictures of flat shapes on busy backgrounds, and what is to be found in them, to the pixel.

A scene is a stack of layers. Each has a coverage, how much of every pixel it fills, from which come both its colours'
share of the picture and its mask: the pixels of which it fills at least half. Later layers hide earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from detection.config import Category
from detection.data import textures

Floats = NDArray[np.float32]

CATEGORIES = (
    Category(1, "disc"),
    Category(2, "rectangle"),
    Category(3, "triangle"),
    Category(5, "star"),
    Category(7, "ring"),
    Category(8, "cross"),
    Category(11, "crescent"),
    Category(13, "heart"),
)
"""Ids have holes, as COCO's do."""

FINE = 4
"""Layers are drawn this many times larger in both directions; a pixel's coverage is counted in its 16 parts."""
SMALLEST = 12.0
"""Pixels across the smallest objects, before they are stretched."""
LEAST_VISIBLE = 0.3
"""An object of which less is visible is not in the picture: nobody could say what it is."""
FEWEST_PIXELS = 24
"""Neither is one of fewer visible pixels."""
SIDES = (1.0, 0.75, 2 / 3)
"""What the shorter side of an image may be, in longer ones."""
DISTRACTOR = -1


class Found(NamedTuple):
    """What is to be found: an object, or a crowd of objects of one category."""

    label: int
    """Index into `CATEGORIES`."""
    mask: NDArray[np.bool_]
    """[height, width]: the visible pixels."""
    crowd: bool


class Scene(NamedTuple):
    """A picture and what is in it."""

    pixels: NDArray[np.uint8]
    """[height, width, 3] RGB."""
    found: tuple[Found, ...]


class Layer(NamedTuple):
    """Something flat at a place: ``owner`` numbers objects from 0 (the members of a crowd have the same one)."""

    owner: int
    label: int
    coverage: Floats
    """[h, w] in [0, 1]."""
    x: int
    """Column of the image where the coverage begins; may be outside."""
    y: int


def scene(key: Sequence[int], *, size: int) -> Scene:
    """The picture that belongs to ``key`` (numbers from 0 up): the same one whenever and wherever it is asked for.

    The longer side has ``size`` pixels, the shorter one as many or fewer.
    """
    rng = np.random.default_rng(list(key))
    short = round(size * SIDES[rng.integers(len(SIDES))])
    height, width = (size, short) if rng.random() < 0.5 else (short, size)
    layers = _visible(_layers(rng, height, width), height, width)
    canvas = textures.background(rng, height, width)
    for layer in layers:
        _paint(rng, canvas, layer)
    owners = _owners(layers, height, width)
    labels = {layer.owner: layer.label for layer in layers if layer.owner != DISTRACTOR}
    members = [layer.owner for layer in layers]
    found = tuple(Found(label, owners == owner, members.count(owner) > 1) for owner, label in sorted(labels.items()))
    return Scene(_developed(rng, canvas), found)


def _layers(rng: Generator, height: int, width: int) -> list[Layer]:
    """Things from the bottom up: some that are nothing, a crowd now and then, objects, and something in front."""
    layers = [_distractor(rng, height, width) for _ in range(rng.integers(0, 5))]
    objects = 0 if rng.random() < 0.04 else int(rng.integers(1, 9))
    if objects and rng.random() < 0.08:
        layers += _crowd(rng, height, width)
    taken = _owners(layers, height, width) != DISTRACTOR
    for owner in range(1, objects + 1):
        label = int(rng.integers(len(CATEGORIES)))
        largest = max(height, width) / 2
        across = SMALLEST * (largest / SMALLEST) ** rng.random()
        coverage = _shape(rng, label, across)
        # Half of the objects lie where they fall, perhaps over the border or on others; the rest take the emptiest of a
        # few places.
        margin = 0.15 * across
        places = [
            _at(owner, label, coverage, rng.uniform(margin, width - margin), rng.uniform(margin, height - margin))
            for _ in range(rng.choice([1, 6]))
        ]
        layer = min(places, key=lambda place: _covered(taken, place))
        layers.append(layer)
        rows, columns, part = _window(layer, height, width)
        taken[rows, columns] |= part >= 0.5
    return layers + [_distractor(rng, height, width) for _ in range(rng.choice([0, 0, 1, 2]))]


def _crowd(rng: Generator, height: int, width: int) -> list[Layer]:
    """Many small ones of a kind, close to each other: the object with number 0."""
    label = int(rng.integers(len(CATEGORIES)))
    columns, rows = rng.integers(3, 7), rng.integers(2, 5)
    across = rng.uniform(0.7, 1.1) * SMALLEST
    x, y = rng.uniform(0, max(1.0, width - columns * across)), rng.uniform(0, max(1.0, height - rows * across))
    members = []
    for row in range(rows):
        for column in range(columns):
            shift_x, shift_y = rng.uniform(0.2, 0.8, 2)
            center = x + (column + shift_x) * across, y + (row + shift_y) * across
            members.append(_at(0, label, _shape(rng, label, across * rng.uniform(0.8, 1.1)), *center))
    return members


def _at(owner: int, label: int, coverage: Floats, x: float, y: float) -> Layer:
    """A layer whose middle is at (x, y), to the pixel."""
    height, width = coverage.shape
    return Layer(owner, label, coverage, round(x - width / 2), round(y - height / 2))


def _window(layer: Layer, height: int, width: int) -> tuple[slice, slice, Floats]:
    """Rows and columns of the image that a layer reaches, and its coverage there."""
    h, w = layer.coverage.shape
    top, left = min(max(layer.y, 0), height), min(max(layer.x, 0), width)
    bottom, right = min(max(layer.y + h, top), height), min(max(layer.x + w, left), width)
    part = layer.coverage[top - layer.y : bottom - layer.y, left - layer.x : right - layer.x]
    return slice(top, bottom), slice(left, right), part


def _covered(taken: NDArray[np.bool_], layer: Layer) -> int:
    """Pixels of others that a layer would hide."""
    rows, columns, part = _window(layer, *taken.shape)
    return int((taken[rows, columns] & (part >= 0.5)).sum())


def _owners(layers: Sequence[Layer], height: int, width: int) -> NDArray[np.int16]:
    """Who is on top at every pixel [height, width]; nobody is `DISTRACTOR`."""
    owners = np.full((height, width), DISTRACTOR, dtype=np.int16)
    for layer in layers:
        rows, columns, part = _window(layer, height, width)
        owners[rows, columns][part >= 0.5] = layer.owner
    return owners


def _visible(layers: list[Layer], height: int, width: int) -> list[Layer]:
    """The layers without those objects of which too little can be seen: all that is drawn is also annotated.

    Taking one away uncovers others, so what is left remains visible. Outside of the image counts as hidden.
    """
    owners = _owners(layers, height, width)
    whole: dict[int, int] = {}
    for layer in layers:
        whole[layer.owner] = whole.get(layer.owner, 0) + int((layer.coverage >= 0.5).sum())
    seen = {owner: int((owners == owner).sum()) for owner in whole}
    return [
        layer
        for layer in layers
        if layer.owner == DISTRACTOR or seen[layer.owner] >= max(LEAST_VISIBLE * whole[layer.owner], FEWEST_PIXELS)
    ]


def _shape(rng: Generator, label: int, across: float) -> Floats:
    """The coverage [h, w] of an object of a category, about ``across`` pixels large, somehow turned and stretched."""
    stretch = math.exp(rng.uniform(-0.25, 0.25))
    angle = rng.uniform(0, 2 * math.pi)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    change = across / 2 * turn @ np.diag([stretch, 1 / stretch])
    return _filled([corners @ change.T for corners in _polygons(rng, CATEGORIES[label].name)])


def _polygons(rng: Generator, name: str) -> list[NDArray[np.float64]]:
    """Corners [n, 2] of a shape within the unit circle and, after it, of what is cut out of it."""
    if name == "rectangle":
        side = rng.uniform(0.45, 0.8)
        x, y = math.cos(side), math.sin(side)
        return [np.array([(-x, -y), (x, -y), (x, y), (-x, y)])]
    if name == "triangle":
        return [_polar(np.arange(3) / 3, 1.0)]
    if name == "star":
        return [_polar(np.arange(10) / 10, np.where(np.arange(10) % 2, rng.uniform(0.38, 0.5), 1.0))]
    if name == "cross":
        arm = rng.uniform(0.24, 0.36)
        corner = np.array([(arm, 0.95), (arm, arm), (0.95, arm)])
        return [np.concatenate([corner @ np.array([(c, -s), (s, c)]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))])]
    around = np.arange(96) / 96
    if name == "ring":
        return [_polar(around, 1.0), _polar(around, rng.uniform(0.5, 0.68))]
    if name == "crescent":
        return [_polar(around, 1.0), _polar(around, rng.uniform(0.75, 0.85)) + np.array([rng.uniform(0.42, 0.5), 0.0])]
    if name == "heart":
        t = 2 * math.pi * around
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t) + 2.5
        return [np.stack([16 * np.sin(t) ** 3, -y], axis=1) / 16]
    assert name == "disc"
    return [_polar(around, 1.0)]


def _polar(turns: NDArray[np.floating], radius: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Points [n, 2] at these angles, in full turns, and radii."""
    return np.stack([radius * np.cos(2 * math.pi * turns), radius * np.sin(2 * math.pi * turns)], axis=1)


def _filled(polygons: Sequence[NDArray[np.float64]]) -> Floats:
    """The coverage [h, w] of the first polygon, pixels, without the others; its window is just large enough."""
    low = np.floor(polygons[0].min(axis=0)) - 1
    width, height = (np.ceil(polygons[0].max(axis=0)) + 1 - low).astype(int)
    fine = Image.new("L", (FINE * width, FINE * height))
    draw = ImageDraw.Draw(fine)
    for number, corners in enumerate(polygons):
        draw.polygon(((corners - low) * FINE - 0.5).ravel().tolist(), fill=255 if number == 0 else 0)
    return _coverage(fine)


def _coverage(fine: Image.Image) -> Floats:
    return np.asarray(fine.reduce(FINE), dtype=np.float32) / np.float32(255)


def _distractor(rng: Generator, height: int, width: int) -> Layer:
    """A line, straight or wavy, or a blob: something that is no object."""
    size = max(height, width)
    if rng.random() < 0.35:
        radius = np.ones(64)
        for lobes in (2, 3, 4, 5):
            radius += rng.uniform(0.1, 0.32) * np.cos(2 * math.pi * (lobes * np.arange(64) / 64 + rng.random()))
        radius = np.maximum(radius, 0.1) * size * rng.uniform(0.03, 0.14)
        coverage = _filled([_polar(np.arange(64) / 64, radius)])
        return _at(DISTRACTOR, DISTRACTOR, coverage, rng.uniform(0, width), rng.uniform(0, height))
    along = np.linspace(-0.5, 0.5, 40) * rng.uniform(0.2, 1.2) * size
    bend = rng.choice([0.0, 1.0]) * rng.uniform(2, 12) * np.sin(along / rng.uniform(8, 30))
    angle = rng.uniform(0, math.pi)
    x = rng.uniform(0, width) + along * math.cos(angle) - bend * math.sin(angle)
    y = rng.uniform(0, height) + along * math.sin(angle) + bend * math.cos(angle)
    fine = Image.new("L", (FINE * width, FINE * height))
    thickness = round(FINE * rng.uniform(0.8, 3.5))
    points = (np.stack([x, y], axis=1) * FINE).ravel().tolist()
    ImageDraw.Draw(fine).line(points, fill=255, width=thickness, joint="curve")
    # Of the whole image only the part that the line touches, in whole pixels.
    left, top, right, bottom = fine.getbbox() or (0, 0, FINE, FINE)
    x1, y1, x2, y2 = left // FINE, top // FINE, -(-right // FINE), -(-bottom // FINE)
    return Layer(DISTRACTOR, DISTRACTOR, _coverage(fine.crop((x1 * FINE, y1 * FINE, x2 * FINE, y2 * FINE))), x1, y1)


def _paint(rng: Generator, canvas: Floats, layer: Layer) -> None:
    """Draw a layer on ``canvas`` [height, width, 3], in place: its shadow, then itself, lit from one side."""
    height, width = canvas.shape[:2]
    rows, columns, coverage = _window(layer, height, width)
    if coverage.size == 0:
        return
    under = canvas[rows, columns]
    surroundings = under[coverage >= 0.5]
    mean = surroundings.mean(axis=0) if len(surroundings) else np.full(3, 0.5, dtype=np.float32)
    fill = textures.fill(rng, *coverage.shape, away_from=mean if layer.owner != DISTRACTOR else None)
    if layer.owner != DISTRACTOR and rng.random() < 0.6:
        _shade(canvas, layer, strength=rng.uniform(0.15, 0.5), shift=max(1, round(max(layer.coverage.shape) / 24)))
    fill -= under
    fill *= coverage[:, :, None]
    under += fill


def _shade(canvas: Floats, layer: Layer, *, strength: float, shift: int) -> None:
    """Darken ``canvas`` in place where the layer's soft shadow falls, below it to the right."""
    margin = 3 * shift
    spread = Image.fromarray(np.pad(layer.coverage * 255, margin).astype(np.uint8))
    soft = np.asarray(spread.filter(ImageFilter.GaussianBlur(shift)), dtype=np.float32) / np.float32(255)
    shadow = layer._replace(coverage=soft, x=layer.x - margin + shift, y=layer.y - margin + shift)
    rows, columns, part = _window(shadow, *canvas.shape[:2])
    canvas[rows, columns] *= 1 - strength * part[:, :, None]


def _developed(rng: Generator, canvas: Floats) -> NDArray[np.uint8]:
    """What a camera makes of ``canvas`` [height, width, 3]: exposure, grain, at times a little blur."""
    exposed = canvas * (255 * rng.uniform(0.85, 1.15))
    exposed += 255 * rng.uniform(0, 0.025) * rng.standard_normal((*canvas.shape[:2], 1), dtype=np.float32)
    pixels = np.clip(exposed, 0, 255, out=exposed).astype(np.uint8)
    if rng.random() < 0.2:
        pixels = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.7))))
    return pixels
