"""From predictions to detections: against plain loops, and the conventions one by one."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from detection.boxes import pairwise_iou
from detection.config import Category, ModelConfig
from detection.fcos import Predictions
from detection.postprocess import SLACK, Detections, _coarse, candidates, detect, to_original
from detection.targets import locations

GRID = ((8, 10), (4, 5), (2, 3), (1, 2), (1, 1))
SIZE = (64, 80)
"""The padded batch."""
N_LOCATIONS = sum(h * w for h, w in GRID)
SMALL = ModelConfig(
    categories=tuple(Category(i + 1, str(i)) for i in range(4)), candidates=20, max_detections=15, score_threshold=0.3
)


def predicted(config: ModelConfig, *, images: int = 2, seed: int = 0) -> Predictions:
    """Predictions of a network that has not learned: many candidates, crowded boxes."""
    draw = torch.Generator().manual_seed(seed)
    distances = torch.rand(images, N_LOCATIONS, 4, generator=draw) * 3
    if not config.normalise_distances:
        distances = distances * 16
    return Predictions(
        torch.randn(images, N_LOCATIONS, len(config.categories), generator=draw),
        distances,
        torch.randn(images, N_LOCATIONS, generator=draw),
        GRID,
    )


def slowly(predictions: Predictions, sizes: torch.Tensor, config: ModelConfig) -> list[list[tuple]]:
    """(score, label, box) of each image's detections, loop by loop, in the order of the description of the method."""
    where = locations(predictions.grid, config=config, image_size=SIZE)
    one = 1 if config.inclusive_boxes else 0
    out = []
    for image, (height, width) in enumerate(sizes.tolist()):
        found = []
        for level in range(5):
            here = []
            for place in (where.levels == level).nonzero().flatten().tolist():
                quality = float(torch.sigmoid(predictions.quality[image, place].float()))
                left, top, right, bottom = predictions.distances[image, place].tolist()
                unit = float(where.strides[place]) if config.normalise_distances else 1.0
                x, y = where.points[place].tolist()
                box = (
                    min(max(x - left * unit, 0), width - one),
                    min(max(y - top * unit, 0), height - one),
                    min(max(x + right * unit, 0), width - one),
                    min(max(y + bottom * unit, 0), height - one),
                )
                for label in range(len(config.categories)):
                    probability = float(torch.sigmoid(predictions.logits[image, place, label].float()))
                    score = math.sqrt(probability * quality)
                    if (probability if config.threshold_on == "class" else score) > config.score_threshold:
                        here.append((score, label, box))
            found += sorted(here, key=lambda f: -f[0])[: config.candidates]
        kept: list[tuple] = []
        for score, label, box in sorted(found, key=lambda f: -f[0]):
            same = [k[2] for k in kept if k[1] == label]
            a, b = torch.tensor([box]).float(), torch.tensor(same).float().reshape(-1, 4)
            a[:, 2:] += one
            b[:, 2:] += one
            if not (pairwise_iou(a, b) > config.nms_threshold).any():
                kept.append((score, label, box))
        out.append(kept[: config.max_detections])
    return out


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"threshold_on": "score"},
        {"threshold_on": "score", "locations": "grid", "score_threshold": 0.5},
        {"normalise_distances": False},
        {"inclusive_boxes": True},
        {"quality": "iou"},
        {"nms_threshold": 0.2, "max_detections": 1000},
        {"candidates": 3},
        {"score_threshold": 0.0},
        {"score_threshold": 0.95},
    ],
    ids=str,
)
def test_detections_are_those_of_the_plain_loops(change):
    config = dataclasses.replace(SMALL, **change)
    predictions = predicted(config)
    sizes = torch.tensor([[64, 70], [50, 80]])  # the second image is padded below, the first to the right
    found = detect(predictions, sizes=sizes, config=config, image_size=SIZE)
    for detections, expected in zip(found, slowly(predictions, sizes, config), strict=True):
        assert detections.labels.tolist() == [label for _, label, _ in expected]
        assert detections.scores.tolist() == pytest.approx([score for score, _, _ in expected], abs=1e-6)
        boxes = torch.tensor([box for _, _, box in expected]).reshape(-1, 4)
        assert torch.allclose(detections.boxes, boxes, atol=1e-4)
        if config.score_threshold < 0.9:
            assert len(expected) > 5


def test_coarse_predictions_are_read_in_float32():
    predictions = predicted(SMALL)
    coarse = predictions._replace(logits=predictions.logits.bfloat16(), quality=predictions.quality.bfloat16())
    same = coarse._replace(logits=coarse.logits.float(), quality=coarse.quality.float())
    sizes = torch.tensor([SIZE, SIZE])
    for one, other in zip(
        detect(coarse, sizes=sizes, config=SMALL, image_size=SIZE),
        detect(same, sizes=sizes, config=SMALL, image_size=SIZE),
        strict=True,
    ):
        assert one.scores.dtype == one.boxes.dtype == torch.float32
        assert all(torch.equal(a, b) for a, b in zip(one[:4], other[:4], strict=True))
        assert one.masks is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("threshold", [1e-30, 1e-4, 0.05, 0.2, 0.5, 0.7, 0.99, 0.9999999, 1.0])
def test_the_coarse_threshold_loses_no_logit_and_lets_few_more_through(threshold, dtype):
    at = math.log(threshold) - math.log1p(-threshold) if threshold < 1 else 16.0
    # The logits around the threshold, down to the neighbours of single precision.
    logits = (at + torch.cat([torch.linspace(-4, 4, 4001), torch.linspace(-1e-5, 1e-5, 2001)])).to(dtype)
    exact = logits.float().sigmoid() > threshold
    coarse = logits > _coarse(threshold, dtype)
    assert coarse[exact].all()
    if threshold <= 0.99:
        extra = logits[coarse & ~exact].float()
        step = torch.finfo(dtype).eps * abs(at) * 4 + 2 * SLACK / (1 - threshold)
        assert (extra >= at - step).all()


def test_the_threshold_is_strict():
    predictions = predicted(SMALL)._replace(
        logits=torch.zeros(2, N_LOCATIONS, 4), quality=torch.full((2, N_LOCATIONS), 40.0)
    )
    sizes = torch.tensor([SIZE, SIZE])
    half = dataclasses.replace(SMALL, score_threshold=0.5)  # every class has probability .5 exactly
    assert [len(d.scores) for d in detect(predictions, sizes=sizes, config=half, image_size=SIZE)] == [0, 0]
    less = dataclasses.replace(half, score_threshold=0.4999)
    assert all(len(d.scores) for d in detect(predictions, sizes=sizes, config=less, image_size=SIZE))


def test_of_equal_scores_the_first_locations_are_candidates():
    predictions = predicted(SMALL)._replace(logits=torch.zeros(2, N_LOCATIONS, 4), quality=torch.zeros(2, N_LOCATIONS))
    found = candidates(predictions, sizes=torch.tensor([SIZE, SIZE]), config=SMALL, image_size=SIZE)
    assert found.places[:20].tolist() == [place for place in range(5) for _ in range(4)]
    assert found.labels[:20].tolist() == [0, 1, 2, 3] * 5
    assert found.images.tolist() == sorted(found.images.tolist())


def test_images_without_candidates_have_no_detections():
    nothing = predicted(SMALL)._replace(logits=torch.full((2, N_LOCATIONS, 4), -50.0))
    for detections in detect(nothing, sizes=torch.tensor([SIZE, SIZE]), config=SMALL, image_size=SIZE):
        assert detections.boxes.shape == (0, 4)
        assert detections.labels.dtype == torch.int64


def test_infinite_distances_end_at_the_border():
    config = dataclasses.replace(SMALL, normalise_distances=False)
    predictions = predicted(config)._replace(distances=torch.full((2, N_LOCATIONS, 4), math.inf))
    for detections in detect(predictions, sizes=torch.tensor([[60, 70], SIZE]), config=config, image_size=SIZE):
        assert torch.isfinite(detections.boxes).all()
        assert len(detections.labels) == 4  # one box, the whole image, in each class


def found(*boxes: list[float]) -> Detections:
    return Detections(
        torch.tensor(boxes, dtype=torch.float32), torch.ones(len(boxes)), torch.zeros(len(boxes), dtype=torch.int64)
    )


def test_boxes_go_back_to_the_original_image_side_by_side():
    # 200 x 400 became 100 x 100: x doubles twice, y once.
    back = to_original(found([10, 20, 30, 40]), size=(100, 100), original=torch.tensor([200, 400]), config=SMALL)
    assert back.boxes.tolist() == [[40, 40, 120, 80]]


def test_boxes_that_name_their_last_pixel_come_out_one_pixel_larger_but_not_beyond_the_image():
    inclusive = dataclasses.replace(SMALL, inclusive_boxes=True)
    boxes = found([0, 0, 9, 9], [50, 50, 99, 99])
    assert to_original(boxes, size=(100, 100), original=(100, 100), config=inclusive).boxes.tolist() == [
        [0, 0, 10, 10],
        [50, 50, 100, 100],
    ]
    assert to_original(boxes, size=(100, 100), original=(50, 50), config=inclusive).boxes.tolist() == [
        [0, 0, 5.5, 5.5],
        [25, 25, 50, 50],
    ]


def test_boxes_that_are_cut_last_suppress_as_they_are_and_vanish_outside_of_the_image():
    # At (4, 4) and (36, 4) of the finest level: the second box hangs out so far that only whole boxes overlap little.
    config = dataclasses.replace(SMALL, score_threshold=0.4, nms_threshold=0.5, normalise_distances=False)
    logits = torch.full((1, N_LOCATIONS, 4), -9.0)
    distances = torch.zeros(1, N_LOCATIONS, 4)
    logits[0, 0, 0], distances[0, 0] = 3.0, torch.tensor([4.0, 4, 6, 6])  # 0, 0, 10, 10
    logits[0, 1, 0], distances[0, 1] = 2.0, torch.tensor([42.0, 4, -2, 6])  # -30, 0, 10, 10: an IoU of .25, 1 when cut
    logits[0, 9, 1], distances[0, 9] = 1.0, torch.tensor([-4.0, 4, 20, 4])  # 80, 0, 96, 8: outside
    predictions = Predictions(logits, distances, torch.full((1, N_LOCATIONS), 9.0), GRID)
    sizes = torch.tensor([[64, 80]])
    boxes = {}
    for when in ("first", "last"):
        own = dataclasses.replace(config, cut_boxes=when)
        found = detect(predictions, sizes=sizes, config=own, image_size=SIZE)[0]
        boxes[when] = to_original(found, size=(64, 80), original=(64, 80), config=own).boxes.tolist()
    assert boxes["first"] == [[0, 0, 10, 10], [80, 0, 80, 8]]
    assert boxes["last"] == [[0, 0, 10, 10], [0, 0, 10, 10]]
