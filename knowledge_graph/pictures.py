"""Objects that are images, as small pictures inside a page; made with the standard library alone."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def pictures_of(features: NDArray[np.floating], objects: Iterable[int], image_shape: tuple[int, int]) -> dict[int, str]:
    """A grey picture (data URI of a PNG) for each of the objects, by object number.

    White is the least of all ``features`` and black the greatest, so that pictures can be compared with each other.
    Standardised features (each pixel on a scale of its own) make harsh pictures: hand the pixels over as they were.

    Parameters
    ----------
    features : [M, D], the objects as rows of pixels, row by row
    objects : rows of ``features``
    image_shape : (height, width), with D = height * width

    Raises
    ------
    ValueError
        If the pixels do not fill the image, an object is not among the rows, or a pixel is not finite.
    """
    height, width = image_shape
    if features.ndim != 2 or features.shape[1] != height * width:
        raise ValueError(f"features of shape {features.shape} are not rows of {height} x {width} pixels")
    numbers = [int(number) for number in objects]
    for number in numbers:
        if not 0 <= number < len(features):
            raise ValueError(f"there is no object {number}: they are numbered from 0 to {len(features) - 1}")
    if not numbers:
        return {}
    low, high = float(features.min()), float(features.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("features hold pixels that are not finite; a picture needs all of its pixels")
    share = (features[numbers].astype(np.float64) - low) / (high - low if high > low else 1.0)
    grey = np.rint(255.0 * (1.0 - share)).astype(np.uint8).reshape(-1, height, width)
    return {number: data_uri(pixels) for number, pixels in zip(numbers, grey, strict=True)}


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Pixels [h, w] or [h, w, 3] as a PNG image inside the page."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels uint8 [h, w] (grey) or [h, w, 3] (colour) as a PNG file (ISO/IEC 15948: 8 bits, no filter)."""
    height, width = pixels.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    colour = 0 if pixels.ndim == 2 else 2
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
