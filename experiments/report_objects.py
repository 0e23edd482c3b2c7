"""Objects in the report as people know them: by category, by the image they were found in, and by a small picture.

A page holds every picture once, as a symbol of one hidden drawing; wherever an object is shown, that symbol is used.
"""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agents.world import World
from experiments.report_text import esc
from knowledge_graph.pictures import pictures_of

SIDE = 48
"""Pixels of a picture in the page, a side; larger ones are shrunken."""

COLOURS = 128
"""Different colours of a picture: at this size more cannot be told apart, and cost twice the room."""

USED = re.compile(r'<use href="#object-(\d+)"/>')


def of_images(world: World) -> bool:
    """Whether the objects were found in images: features are then coordinates that mean nothing to people."""
    return world.instances is not None or (world.labels is not None and world.groups is not None)


def label_name(world: World, index: int) -> str:
    """What a label is called; its number where it has no name."""
    name = world.label_names[index] if index < len(world.label_names) else ""
    return name if name.strip() else str(index)


def category(world: World, number: int) -> str:
    """What an object is, empty where nobody knows."""
    return "" if world.labels is None else label_name(world, int(world.labels[number]))


def named(world: World, number: int) -> str:
    """An object within a sentence (text, not HTML): object 12 (a cat)."""
    name = category(world, number)
    article = "an" if name[:1].lower() in tuple("aeiou8") else "a"
    return f"object {number} ({article} {name})" if name else f"object {number}"


def images_of(world: World) -> NDArray[np.int64] | None:
    """Which image each object is from, int64 [M]; None where that is not known."""
    return world.groups if world.instances is None else world.instances.image_ids


def found(world: World, number: int) -> str:
    """Where an object is from (text), with its size in pixels: object 12 of image 456, 30 x 40."""
    images = images_of(world)
    if images is None:
        return f"object {number}"
    text = f"object {number} of image {images[number]}"
    if world.instances is None:
        return text
    left, top, right, bottom = world.instances.boxes[number].astype(float).tolist()
    return f"{text}, {right - left:.0f} \N{MULTIPLICATION SIGN} {bottom - top:.0f}"


def pictured(world: World) -> bool:
    """Whether there are pictures of the objects."""
    return world.image_shape is not None or (world.instances is not None and world.instances.thumbnails is not None)


def picture(world: World, number: int) -> str:
    """An object to look at (HTML): its picture, or what and where it is in words where there is none."""
    name, where = category(world, number), found(world, number)
    told = esc(f"{name}: {where}" if name else where)
    if not pictured(world):
        short = esc(where.removeprefix("object "))
        return f'<span class="thing" title="{told}"><span>{esc(name) or "object"}</span><small>{short}</small></span>'
    use = f'<use href="#object-{number}"/>'
    return f'<svg class="picture" role="img" aria-label="{told}"><title>{told}</title>{use}</svg>'


def row_of_pictures(world: World, numbers: Sequence[int]) -> str:
    """Objects to look at, side by side (HTML)."""
    return f'<div class="row">{"".join(picture(world, number) for number in numbers)}</div>'


def symbols(world: World, html: str) -> str:
    """The hidden drawing with the pictures that ``html`` uses, each once; empty where it uses none."""
    numbers = sorted({int(number) for number in USED.findall(html)})
    if not numbers:
        return ""
    if world.instances is not None and world.instances.thumbnails is not None:
        uris = {number: thumbnail(world.instances.thumbnails[number]) for number in numbers}
        width, height, style = SIDE, SIDE, ""
    else:
        assert world.image_shape is not None
        uris = pictures_of(world.features * world.scale + world.mean, numbers, world.image_shape)
        (height, width), style = world.image_shape, ' style="image-rendering:pixelated"'
    drawn = "".join(
        f'<symbol id="object-{number}" viewBox="0 0 {width} {height}">'
        f'<image width="{width}" height="{height}"{style} href="{uri}"/></symbol>'
        for number, uri in uris.items()
    )
    return f'<svg class="symbols" aria-hidden="true">{drawn}</svg>'


def thumbnail(pixels: NDArray[np.uint8]) -> str:
    """Pixels [t, t, 3] as a small PNG inside the page (a data URI)."""
    image = Image.fromarray(pixels)
    if max(pixels.shape[:2]) > SIDE:
        image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.quantize(COLOURS).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def categories_of(world: World, numbers: Sequence[int] | NDArray[np.integer]) -> Counter[str]:
    """How many of the objects are of each category; those of none are left out."""
    return Counter(name for number in numbers if (name := category(world, int(number))))


def counted(names: Counter[str], most: int) -> str:
    """The most frequent names in a row (text): person (3), cat; equal ones by name."""
    first = sorted(names.items(), key=lambda item: (-item[1], item[0]))[:most]
    return ", ".join(f"{name} ({n})" if n > 1 else name for name, n in first)
