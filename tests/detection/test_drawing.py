"""Drawn detections: each in the colour of its class, inside the image, and only those that are good enough."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detection.drawing import draw
from detection.postprocess import Detections

NAMES = ("disc", "star")


def found(*boxes: tuple[float, float, float, float], scores: tuple[float, ...], labels: tuple[int, ...]) -> Detections:
    return Detections(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), torch.tensor(labels))


def grey(height: int = 80, width: int = 120) -> torch.Tensor:
    return torch.full((3, height, width), 128, dtype=torch.uint8)


def test_nothing_found_leaves_the_image_as_it_was():
    picture = draw(grey(), found(scores=(), labels=()), NAMES, min_score=0.3)
    assert picture.size == (120, 80)
    assert (np.asarray(picture) == 128).all()


def test_boxes_are_drawn_where_they_are_and_only_from_the_score_up():
    boxes = (20.0, 30.0, 60.0, 70.0), (80.0, 40.0, 110.0, 70.0)
    detections = found(*boxes, scores=(0.9, 0.2), labels=(0, 1))
    changed = (np.asarray(draw(grey(), detections, NAMES, min_score=0.3)) != 128).any(axis=2)
    assert changed[50, 18:23].any()  # the left side of the first
    assert not changed[40:70, 78:112].any()
    both = (np.asarray(draw(grey(), detections, NAMES, min_score=0.1)) != 128).any(axis=2)
    assert both[55, 78:83].any()


def test_classes_have_colours_of_their_own():
    pictures = [
        np.asarray(draw(grey(), found((20, 30, 60, 70), scores=(0.9,), labels=(label,)), NAMES, min_score=0))
        for label in (0, 1)
    ]
    side = [picture[50, 18:23].reshape(-1, 3) for picture in pictures]
    assert (side[0] != side[1]).any()


def test_boxes_at_the_border_and_beyond_can_be_drawn():
    boxes = (-20.0, -5.0, 130.0, 90.0), (119.0, 79.0, 120.0, 80.0)
    picture = draw(grey(), found(*boxes, scores=(1.0, 1.0), labels=(0, 1)), NAMES, min_score=0)
    assert picture.size == (120, 80)


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"it must be uint8 \[3, height, width\]"):
        draw(torch.zeros(3, 8, 8), found(scores=(), labels=()), NAMES, min_score=0)
