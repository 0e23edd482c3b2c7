import base64
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from knowledge_graph.pictures import data_uri, pictures_of, png

PREFIX = "data:image/png;base64,"


def decoded(image: bytes) -> np.ndarray:
    """Pixels of a PNG file of 8 bits without filters; every chunk's check sum must be right."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(image):
        (length,) = struct.unpack_from(">I", image, at)
        kind, data = image[at + 4 : at + 8], image[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", image, at + 8 + length) == (zlib.crc32(kind + data),)
        chunks.append((kind, data))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, bits, colour, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (bits, rest) == (8, [0, 0, 0])
    shape = {0: (height, width), 2: (height, width, 3)}[colour]
    rows = np.frombuffer(zlib.decompress(chunks[1][1]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(shape)


def pixels_of(uri: str) -> np.ndarray:
    assert uri.startswith(PREFIX)
    return decoded(base64.b64decode(uri.removeprefix(PREFIX), validate=True))


def test_a_picture_is_white_where_the_data_are_least_and_black_where_they_are_greatest():
    features = np.array([[-1.0, 0.0, 1.0, 4.0, 4.0, -1.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    pictures = pictures_of(features, [0, 1], (2, 3))
    assert pixels_of(pictures[0]).tolist() == [[255, 204, 153], [0, 0, 255]]
    assert pixels_of(pictures[1]).tolist() == [[204] * 3] * 2


def test_pictures_are_told_by_the_number_of_their_object():
    features = np.eye(4)
    pictures = pictures_of(features, (3, 1, 3), (1, 4))
    assert set(pictures) == {1, 3}
    assert pixels_of(pictures[3]).tolist() == [[255, 255, 255, 0]]


def test_objects_that_are_all_alike_are_white():
    assert pixels_of(pictures_of(np.full((2, 4), 7.0), [1], (2, 2))[1]).tolist() == [[255, 255], [255, 255]]


def test_no_objects_give_no_pictures():
    assert pictures_of(np.zeros((0, 4)), [], (2, 2)) == {}


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)))
    | arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)))
)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_a_png_holds_its_pixels_grey_or_in_colour(pixels):
    assert np.array_equal(decoded(png(pixels)), pixels)
    assert np.array_equal(pixels_of(data_uri(pixels)), pixels)


@pytest.mark.parametrize(
    ("features", "objects", "message"),
    [
        (np.zeros((3, 5)), [0], "are not rows of 2 x 2 pixels"),
        (np.zeros(4), [0], "are not rows of 2 x 2 pixels"),
        (np.zeros((3, 4)), [3], "there is no object 3: they are numbered from 0 to 2"),
        (np.zeros((3, 4)), [-1], "there is no object -1"),
        (np.array([[0.0, np.nan, 1.0, 2.0]]), [0], "not finite"),
        (np.array([[0.0, np.inf, 1.0, 2.0]]), [0], "not finite"),
    ],
)
def test_what_cannot_be_a_picture_is_refused(features, objects, message):
    with pytest.raises(ValueError, match=message):
        pictures_of(features, objects, (2, 2))
