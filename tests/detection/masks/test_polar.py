"""PolarMask: rays to outlines, how alike they are, and the masks between them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from detection.config import ModelConfig
from detection.data import masks as coco_masks
from detection.masks import polar
from detection.masks.codes import MaskCodes
from detection.masks.polar import (
    Rays,
    decode,
    directions,
    outlines,
    polar_centerness,
    polar_iou,
    ray_lengths,
    reaches,
    targets,
)
from detection.targets import BACKGROUND, assign, locations
from detection.training.step import grid_of

SIZE = (128, 128)
CONFIG = ModelConfig(masks="polar", centers="mask", quality="polar_centerness")


def painted(inside: np.ndarray) -> Tensor:
    return torch.from_numpy(inside.astype(np.uint8))[None]


def grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return x, y


def rays_of(mask: Tensor, x: float, y: float, n_rays: int = 36, reach: float = 130.0) -> Tensor:
    point = torch.tensor([[x, y]])
    return ray_lengths(mask, point, torch.tensor([0]), torch.tensor([reach]), n_rays=n_rays)[0]


def test_rays_of_a_disc_are_its_radius():
    x, y = grid()
    disc = painted((x - 60) ** 2 + (y - 70) ** 2 < 40**2)
    assert (rays_of(disc, 60, 70) - 40).abs().max() < 0.8
    # From elsewhere within: the distance to the circle along each direction.
    way = directions(36)
    off = torch.tensor([10.0, -20.0])
    along = way @ off
    exact = -along + (along**2 + 40**2 - (off @ off)).sqrt()
    assert (rays_of(disc, 70, 50) - exact).abs().max() < 1.0


def test_rays_of_a_rectangle_end_at_its_sides():
    mask = painted(np.zeros(SIZE))
    mask[0, 20:50, 30:110] = 1
    found = rays_of(mask, 60.0, 40.0, n_rays=4)
    # right, down, left, up: sides are at the edges of pixels
    torch.testing.assert_close(found, torch.tensor([50.0, 10.0, 30.0, 20.0]), rtol=0, atol=0.02)


def test_a_ray_ends_where_it_leaves_the_mask_for_the_last_time():
    mask = painted(np.zeros(SIZE))
    mask[0, 60:68, 60:70] = 1
    mask[0, 60:68, 90:100] = 1
    right, down, left, up = rays_of(mask, 64.0, 64.0, n_rays=4).tolist()
    assert right == pytest.approx(36, abs=0.02)
    assert (down, left, up) == (pytest.approx(4, abs=0.02),) * 3
    # From outside of it, what is missed has no length to speak of.
    right, down, left, up = rays_of(mask, 80.0, 64.0, n_rays=4).tolist()
    assert (right, left) == (pytest.approx(20, abs=0.02), pytest.approx(20, abs=0.02))
    assert down == up == pytest.approx(polar.SHORTEST)


def test_rays_do_not_leave_the_image():
    mask = painted(np.ones(SIZE))
    assert rays_of(mask, 64.0, 32.0, n_rays=4, reach=500.0).tolist() == pytest.approx([64, 96, 64, 32], abs=0.1)


def test_many_rays_are_those_of_each_location(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    masks = torch.from_numpy((rng.random((3, *SIZE)) < 0.2).astype(np.uint8))
    points = torch.from_numpy(rng.uniform(0, 128, (20, 2))).float()
    objects = torch.from_numpy(rng.integers(0, 3, 20))
    reach = torch.from_numpy(rng.uniform(20, 100, 20)).float()
    whole = ray_lengths(masks, points, objects, reach, n_rays=12)
    monkeypatch.setattr(polar, "RAYS_AT_ONCE", 36)
    assert torch.equal(ray_lengths(masks, points, objects, reach, n_rays=12), whole)
    none = torch.zeros(0, dtype=torch.int64)
    assert ray_lengths(masks, points[:0], none, reach[:0], n_rays=12).shape == (0, 12)


def test_polar_centerness_by_hand():
    lengths = torch.tensor([[4.0, 4, 4], [1.0, 2, 4]])
    torch.testing.assert_close(polar_centerness(lengths), torch.tensor([1.0, 0.5]))


def test_polar_iou_by_hand():
    a, b = torch.tensor([1.0, 2, 4]), torch.tensor([2.0, 2, 2])
    assert polar_iou(a, b).item() == pytest.approx(5 / 8)
    assert polar_iou(a**2, b**2).item() == pytest.approx((1 + 4 + 4) / (4 + 4 + 16))
    assert polar_iou(a, a).item() == 1


def convex(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A convex shape around the middle of the image, bool."""
    x, y = grid()
    angle = rng.uniform(0, math.pi)
    u = (x - 64) * math.cos(angle) + (y - 64) * math.sin(angle)
    v = (y - 64) * math.cos(angle) - (x - 64) * math.sin(angle)
    a, b = rng.uniform(28, 58, 2)
    if kind == "ellipse":
        return (u / a) ** 2 + (v / b) ** 2 < 1
    if kind == "rectangle":
        return (np.abs(u) < a * 0.8) & (np.abs(v) < b * 0.8)
    corners = np.stack([np.cos(rng.uniform(0, 0.6) + np.arange(5) * 2 * math.pi / 5) for _ in range(1)])[0]
    sides = [(math.cos(t), math.sin(t)) for t in np.arange(5) * 2 * math.pi / 5 + corners[0]]
    return np.all([u * c + v * s < a * 0.8 for c, s in sides], axis=0)


@pytest.mark.parametrize(("one", "other"), [("ellipse", "ellipse"), ("rectangle", "ellipse"), ("pentagon", "pentagon")])
@pytest.mark.parametrize("seed", range(4))
def test_the_polar_iou_of_areas_is_that_of_the_pixels_of_convex_shapes(one: str, other: str, seed: int):
    rng = np.random.default_rng(seed)
    a, b = convex(one, rng), convex(other, rng)
    pixels = (a & b).sum() / (a | b).sum()
    lengths = [rays_of(painted(shape), 64, 64) for shape in (a, b)]
    assert polar_iou(*(some**2 for some in lengths)).item() == pytest.approx(pixels, abs=0.01)


def test_the_gradient_of_the_loss_is_the_slope_of_it():
    generator = torch.Generator().manual_seed(0)
    lengths = (torch.rand(3, 6, generator=generator, dtype=torch.float64) + 0.5).requires_grad_()
    wanted = torch.rand(3, 6, generator=generator, dtype=torch.float64) + 0.5
    assert torch.autograd.gradcheck(lambda said: -polar_iou(said, wanted).log(), lengths)


def a_batch() -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    x, y = grid()
    masks = torch.cat([painted((x - 40) ** 2 + (y - 40) ** 2 < 24**2), painted((x > 70) & (y > 60) & (x + y < 200))])
    boxes = torch.tensor([[16.0, 16, 64, 64], [70, 60, 128, 128]])
    centers = torch.tensor([[40.0, 40], [90, 82]])
    nothing = masks[:0]
    return (
        [boxes, boxes[:0]],
        [torch.tensor([0, 1]), torch.zeros(0, dtype=torch.int64)],
        [masks, nothing],
        [centers, centers[:0]],
    )


@pytest.mark.parametrize("normalised", [True, False])
def test_positive_locations_learn_the_rays_to_their_mask(normalised: bool):
    config = dataclasses.replace(CONFIG, normalise_distances=normalised)
    boxes, labels, masks, centers = a_batch()
    where = locations(grid_of(*SIZE), config=config, image_size=SIZE)
    assigned = assign(where, boxes, labels, config=config, centers=centers)
    found = targets(where, assigned, masks, boxes, config=config)
    positive = assigned.labels != BACKGROUND
    assert found.lengths.shape == (int(positive.sum()), 36)
    places = positive[0].nonzero().squeeze(1)
    unit = where.strides[places, None] if normalised else 1.0
    for row, place in enumerate(places.tolist()):
        owner = int(assigned.matched[0, place])
        exact = rays_of(masks[0][owner : owner + 1], *where.points[place].tolist())
        # Along a slanting side, which is a staircase of pixels, a little more or less is a step.
        difference = ((found.lengths * unit)[row] - exact).abs()
        assert difference.median() < 0.02
        assert difference.max() < 1.5
    assert polar.normaliser(found).item() == pytest.approx(polar_centerness(found.lengths).sum().item())


def test_a_mask_ends_before_its_reach():
    boxes = torch.tensor([[10.4, 20.0, 30.0, 40.6]])
    assert reaches(boxes, torch.tensor([[12.0, 30.0]])).item() == pytest.approx(math.hypot(19, 12), abs=0.01)


def test_what_is_said_exactly_loses_nothing_and_comes_back_as_the_mask():
    boxes, labels, masks, centers = a_batch()
    where = locations(grid_of(*SIZE), config=CONFIG, image_size=SIZE)
    assigned = assign(where, boxes, labels, config=CONFIG, centers=centers)
    found = targets(where, assigned, masks, boxes, config=CONFIG)
    positive = assigned.labels != BACKGROUND
    codes = torch.zeros(*positive.shape, 36)
    codes[positive] = found.lengths
    said = MaskCodes(codes, None)
    assert polar.loss(said, found, positive).item() == pytest.approx(0, abs=1e-4)
    places = positive[0].nonzero().squeeze(1)
    # Stored at twice the size in one direction, at half of it in the other.
    read = decode(said, 0, places, where, size=SIZE, original=(256, 64), config=CONFIG)
    for place, packed in zip(places.tolist(), read, strict=True):
        mask = masks[0][int(assigned.matched[0, place])].numpy()
        expected = mask.repeat(2, axis=0)[:, ::2]
        got = coco_masks.decode(packed, 256, 64)
        assert (got & expected).sum() / (got | expected).sum() > 0.9


def test_rays_far_beyond_the_image_are_drawn_at_once():
    where = locations(grid_of(*SIZE), config=CONFIG, image_size=SIZE)
    said = MaskCodes(torch.full((1, len(where.points), 36), 1e30), None)
    (packed,) = decode(said, 0, torch.tensor([70]), where, size=SIZE, original=SIZE, config=CONFIG)
    assert coco_masks.decode(packed, *SIZE).all()


def test_corners_go_around_clockwise_from_the_right():
    corners = outlines(torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[10.0, 20.0]]))[0]
    torch.testing.assert_close(corners, torch.tensor([[11.0, 20], [10, 22], [7, 20], [10, 16]]))


def test_the_network_says_positive_lengths_with_a_scale_for_every_level():
    model = Rays(in_channels=16, channels=8, n_convs=1, norm="gn", n_rays=12, learned_scales=True)
    assert model.scales is not None
    with torch.no_grad():
        model.rays.bias.fill_(1.0)  # type: ignore[union-attr]
        model.rays.weight.zero_()
        model.scales.copy_(torch.arange(5.0))
    cells = grid_of(*SIZE)
    features = [torch.zeros(2, 16, *each) for each in cells]
    said = model(features, features)
    assert said.codes.shape == (2, sum(h * w for h, w in cells), 12)
    assert said.features is None
    ends = np.cumsum([h * w for h, w in cells])
    for level, end in enumerate(ends):
        assert said.codes[0, end - 1, 3].item() == pytest.approx(math.exp(level), rel=1e-6)


def test_a_batch_without_objects_loses_nothing_but_reaches_all_weights():
    model = Rays(in_channels=16, channels=8, n_convs=1, norm="gn", n_rays=12, learned_scales=True)
    features = [torch.zeros(1, 16, *each) for each in grid_of(*SIZE)]
    said = model(features, features)
    positive = torch.zeros(said.codes.shape[:2], dtype=torch.bool)
    loss = polar.loss(said, polar.Targets(torch.zeros(0, 12)), positive)
    assert loss.item() == 0
    loss.backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in model.parameters())
