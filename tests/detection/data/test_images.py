"""Image files of all kinds as they are stored, and what is said of those that cannot be read."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detection.data.images import check_header, read_image
from detection.errors import InputError
from tests.detection.data.tiny import pixels

WIDTH, HEIGHT = 40, 30


def picture() -> Image.Image:
    return Image.fromarray(pixels(WIDTH, HEIGHT))


def stored(image: Image.Image, path: Path) -> torch.Tensor:
    image.save(path)
    return read_image(path, size=(HEIGHT, WIDTH))


def test_pixels_are_red_green_blue_and_lie_side_by_side(tmp_path: Path) -> None:
    read = stored(picture(), tmp_path / "a.png")
    assert (read.dtype, tuple(read.shape)) == (torch.uint8, (3, HEIGHT, WIDTH))
    np.testing.assert_array_equal(read.permute(1, 2, 0), pixels(WIDTH, HEIGHT))
    assert read.permute(1, 2, 0).is_contiguous()
    read.zero_()  # its own memory, not the decoder's


MODES = {"L": ("jpg", "png"), "LA": ("png",), "P": ("png", "gif"), "1": ("png",), "CMYK": ("jpg", "tiff")}
MODES |= {"RGB": ("bmp", "ppm", "jpg"), "RGBA": ("png", "tiff"), "YCbCr": ("tiff",)}


@pytest.mark.parametrize(("mode", "suffix"), [(mode, suffix) for mode, some in MODES.items() for suffix in some])
def test_every_mode_of_eight_bits_becomes_three_channels(mode: str, suffix: str, tmp_path: Path) -> None:
    image = picture().convert(mode)
    image.save(tmp_path / f"a.{suffix}", **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))
    read = read_image(tmp_path / f"a.{suffix}", size=(HEIGHT, WIDTH))
    assert tuple(read.shape) == (3, HEIGHT, WIDTH)
    difference = read.permute(1, 2, 0).numpy().astype(int) - np.asarray(image.convert("RGB")).astype(int)
    assert abs(difference).mean() < 3
    if mode in ("L", "LA", "1"):
        assert abs(read[0].int() - read[2].int()).max() <= 1


def test_of_colours_of_sixteen_bits_the_upper_eight_are_left(tmp_path: Path) -> None:
    """Pillow cannot write such a file, but reads it as RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + np.full((3, 3), (0x12FF, 0x3400, 0xFFFF), dtype=">u2").tobytes() for _ in range(2))
    header = struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert read_image(tmp_path / "a.png", size=(2, 3))[:, 0, 0].tolist() == [0x12, 0x34, 0xFF]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_not_applied(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture().save(tmp_path / "turned.jpg", exif=exif, quality=95)
    picture().save(tmp_path / "plain.jpg", quality=95)
    turned = read_image(tmp_path / "turned.jpg", size=(HEIGHT, WIDTH))
    assert torch.equal(turned, read_image(tmp_path / "plain.jpg"))
    if orientation >= 5:
        with pytest.raises(InputError, match=r"40 x 30 pixels with an EXIF orientation that turns it to .* 30 x 40"):
            read_image(tmp_path / "turned.jpg", size=(WIDTH, HEIGHT))


def missing(path: Path) -> None:
    del path


def empty(path: Path) -> None:
    path.write_bytes(b"")


def directory(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("<html>404</html>")


def postscript(path: Path) -> None:
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\nshowpage\n")


def smaller(path: Path) -> None:
    picture().resize((20, 15)).save(path)


def transposed(path: Path) -> None:
    picture().transpose(Image.Transpose.ROTATE_90).save(path)


def deep(path: Path) -> None:
    Image.fromarray(pixels(WIDTH, HEIGHT)[..., 0].astype(np.uint16) * 257).save(path, format="PNG")


def cut_off(path: Path) -> None:
    picture().save(path, quality=95)
    path.write_bytes(path.read_bytes()[:-300])


def cut_off_png(path: Path) -> None:
    picture().save(path, format="PNG")
    path.write_bytes(path.read_bytes()[:-300])


def damaged_png(path: Path) -> None:
    picture().save(path, format="PNG")
    data = bytearray(path.read_bytes())
    data[100:140] = bytes(40)
    path.write_bytes(data)


IN_THE_HEADER: dict[Callable[[Path], None], str] = {
    missing: "is missing; put the file there",
    empty: "is an empty file; replace it with the image",
    directory: "cannot be read (Is a directory)",
    text: "is none of JPEG, PNG, WEBP, BMP, GIF, PPM and TIFF",
    postscript: "is none of JPEG, PNG, WEBP, BMP, GIF, PPM and TIFF",
    smaller: "is 20 x 15 pixels (width x height), but its annotations are for 40 x 30",
    transposed: "is 30 x 40 pixels (width x height), but its annotations are for 40 x 30",
    deep: "has pixels of mode I;16, which do not fit 8 bits",
}
BEHIND_IT: dict[Callable[[Path], None], str] = {
    cut_off: "is damaged (image file is truncated",
    cut_off_png: "is damaged (",
    damaged_png: "is damaged (",
}


@pytest.mark.parametrize("spoil", [*IN_THE_HEADER, *BEHIND_IT])
def test_what_cannot_be_read_is_named_in_one_sentence(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    spoil(path)
    says = (IN_THE_HEADER | BEHIND_IT)[spoil]
    with pytest.raises(InputError, match=re.escape(f"image 7 ({path}) {says}")) as refused:
        read_image(path, size=(HEIGHT, WIDTH), name="image 7")
    assert "\n" not in str(refused.value)
    if spoil in IN_THE_HEADER:
        with pytest.raises(InputError, match=re.escape(f"image 7 ({path}) {says}")):
            check_header(path, size=(HEIGHT, WIDTH), name="image 7")
    else:
        check_header(path, size=(HEIGHT, WIDTH))


def test_a_tiny_file_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT // 3)
    with pytest.raises(InputError, match=r"a\.png\) is too large to be decoded \(Image size .* exceeds limit"):
        read_image(tmp_path / "a.png")


def test_an_image_for_which_there_is_no_memory_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise MemoryError

    picture().save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", full)
    with pytest.raises(InputError, match=r"a\.png\) is too large to be decoded \(MemoryError\); give a smaller one"):
        read_image(tmp_path / "a.png")
