"""Image files as tensors, and what is wrong with those that cannot be read.

Pixels are taken as they are stored: an EXIF orientation is not applied. COCO's annotations, and the detectors that read
it through Pillow (the original FCOS, torchvision), are about the stored pixels, and half turns and mirrored
orientations could not even be told from the sizes in the annotations.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from detection.errors import InputError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
"""What is tried on a file. Pillow knows more, but some of them start other programs (EPS runs Ghostscript)."""

MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "La", "RGBa"})
"""Pillow's modes of 8 bits per channel. Converting others (16 bits, floats) would cut values off at 255."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a viewer should turn the picture."""
TURNED = (5, 6, 7, 8)
"""Its values that exchange height and width."""

Loaded = TypeVar("Loaded")


def read_image(path: Path | str, *, size: tuple[int, int] | None = None, name: str = "image") -> torch.Tensor:
    """The pixels of a file, uint8 [3, height, width], RGB; greys, palettes and CMYK are converted, alpha is dropped.

    Of colours of 16 bits, which Pillow reads so, the upper 8 are left; greys of 16 bits are refused.

    The memory is that of the decoder, pixel by pixel (channels last), which is what resizing is fastest on. A ``size``
    (height, width) is what annotations say it must be; ``name`` is what errors call the image.

    Raises
    ------
    InputError
        If the file is missing, damaged or cut off, is none of `FORMATS`, has a mode that is none of `MODES`, or has
        another size.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            _check(image, path, size=size, name=name)
            pixels = np.array(image.convert("RGB"))
    except Exception as error:
        raise _refusal(error, path, name) from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def check_header(path: Path | str, *, size: tuple[int, int] | None = None, name: str = "image") -> None:
    """Refuse what `read_image` would, as far as a file's first bytes tell; pixels are not decoded.

    Raises
    ------
    InputError
        As `read_image` does, except for damage behind the header.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            _check(image, path, size=size, name=name)
    except Exception as error:
        raise _refusal(error, path, name) from error


def _check(image: Image.Image, path: Path | str, *, size: tuple[int, int] | None, name: str) -> None:
    if image.mode not in MODES:
        raise InputError(
            f"{name} ({path}) has pixels of mode {image.mode}, which do not fit 8 bits; convert it to 8 per channel"
        )
    if size is None or size == (image.height, image.width):
        return
    found, said = f"{image.width} x {image.height}", f"{size[1]} x {size[0]}"
    if image.getexif().get(ORIENTATION) in TURNED and size == (image.width, image.height):
        raise InputError(
            f"{name} ({path}) is stored as {found} pixels with an EXIF orientation that turns it to the annotated "
            f"{said}; annotations must be for the pixels as stored, so store it turned and without the orientation"
        )
    raise InputError(
        f"{name} ({path}) is {found} pixels (width x height), but its annotations are for {said}; give the image that "
        "they were made for"
    )


def _refusal(error: Exception, path: Path | str, name: str) -> InputError:
    """The sentence for an exception of a decoder: they raise anything from OSError to SyntaxError for bad bytes."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name} ({path}) is missing; put the file there")
    if isinstance(error, UnidentifiedImageError):
        empty = os.path.getsize(path) == 0
        what = "is an empty file" if empty else f"is none of {', '.join(FORMATS[:-1])} and {FORMATS[-1]}"
        return InputError(f"{name} ({path}) {what}; replace it with the image")
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"{name} ({path}) cannot be read ({os.strerror(error.errno)}); give a file that can")
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, MemoryError | Image.DecompressionBombError):
        return InputError(f"{name} ({path}) is too large to be decoded ({reason}); give a smaller one")
    return InputError(f"{name} ({path}) is damaged ({reason}); replace it with the whole image")
