"""CondInst: the convolutions of objects, what they learn, and the masks that come of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from detection.config import ModelConfig
from detection.data import masks as coco_masks
from detection.masks import condinst
from detection.masks.codes import MaskCodes
from detection.masks.condinst import CondInst, decode, dice_loss, mask_logits, targets
from detection.masks.grids import enlarged
from detection.targets import assign, locations
from detection.training.step import grid_of

CONFIG = ModelConfig(masks="condinst", centers="mask")
SIZE = (64, 96)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_logits(features: Tensor, code: Tensor, point: Tensor, size: float) -> Tensor:
    """One object by the paper: positions and features through three convolutions, one after the other."""
    height, width = features.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) * 8.0 + 4, torch.arange(width) * 8.0 + 4, indexing="ij")
    maps = torch.cat([torch.stack([(point[0] - x) / size, (point[1] - y) / size]), features])[None]
    weights, biases = code[:152], code[152:]
    maps = functional.conv2d(maps, weights[:80].view(8, 10, 1, 1), biases[:8]).relu()
    maps = functional.conv2d(maps, weights[80:144].view(8, 8, 1, 1), biases[8:16]).relu()
    return functional.conv2d(maps, weights[144:152].view(1, 8, 1, 1), biases[16:])[0, 0]


def test_the_convolutions_of_all_objects_are_those_of_each():
    features, codes = random(8, 12, 17), random(9, 169, seed=1)
    points = random(9, 2, seed=2) * 20 + 60
    sizes = torch.tensor([64.0, 128, 256, 512, 1024, 64, 128, 256, 512])
    found = mask_logits(features, codes, points, sizes)
    rows = zip(codes, points, sizes.tolist(), strict=True)
    expected = torch.stack([plain_logits(features, code, point, size) for code, point, size in rows])
    assert float((found - expected).abs().max()) < 1e-5 * float(expected.abs().max())


def test_their_gradients_are_those_of_each():
    features = random(8, 5, 6).requires_grad_()
    codes = random(3, 169, seed=1).requires_grad_()
    points, sizes = torch.tensor([[10.0, 12], [30, 5], [2, 44]]), torch.tensor([64.0, 64, 128])
    towards = random(3, 5, 6, seed=3)
    (mask_logits(features, codes, points, sizes) * towards).sum().backward()
    ours = features.grad, codes.grad
    assert ours[0] is not None
    assert ours[1] is not None
    rows = zip(codes, points, sizes.tolist(), strict=True)
    each = torch.stack([plain_logits(features, code, point, size) for code, point, size in rows])
    theirs = torch.autograd.grad((each * towards).sum(), (features, codes))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_network_has_169_weights_for_each_object_and_the_published_shapes():
    model = CondInst(in_channels=256, channels=128, n_convs=4, norm="bn")
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    assert shapes["controller.weight"] == (169, 256, 3, 3)
    assert [shapes[f"refine.{i}.0.weight"] for i in range(3)] == [(128, 256, 3, 3)] * 3
    assert [shapes[f"tower.{i}.0.weight"] for i in range(4)] == [(128, 128, 3, 3)] * 4
    assert shapes["tower.4.weight"] == (8, 128, 1, 1)
    assert sum(condinst.LENGTHS) == 169


def test_levels_of_any_size_are_laid_over_each_other():
    model = CondInst(in_channels=16, channels=16, n_convs=1, norm="gn")
    grid = grid_of(40, 72)  # 5 x 9, 3 x 5, 2 x 3: halves are rounded up
    features = [random(2, 16, *cells) for cells in grid]
    said = model(features, features)
    assert said.codes.shape == (2, sum(h * w for h, w in grid), 169)
    assert said.features is not None
    assert said.features.shape == (2, 8, 5, 9)


def test_dice_by_hand():
    masks = torch.tensor([[[1, 0, 1, 0]], [[0, 0, 0, 1]]])
    logits = torch.tensor([[[50.0, -50, 50, -50]], [[0.0, 0, 0, 0]]])
    found = dice_loss(logits, masks)
    assert found[0].item() == pytest.approx(0, abs=1e-5)
    assert found[1].item() == pytest.approx(1 - 2 * 0.5 / (4 * 0.25 + 1), abs=1e-5)
    # A mask that is nowhere where it should be loses everything.
    assert dice_loss(-logits[:1], masks[:1]).item() == pytest.approx(1)


def test_the_gradient_of_dice_is_the_slope_of_it():
    logits = random(3, 4, 5).double().requires_grad_()
    masks = (random(3, 4, 5, seed=1) > 0).to(torch.uint8)
    # Inside it computes in float32, so the differences must be large.
    (gradient,) = torch.autograd.grad(dice_loss(logits, masks).sum(), logits)
    for place in [(0, 0, 0), (1, 2, 3), (2, 3, 4)]:
        step = torch.zeros_like(logits)
        step[place] = 1e-2
        slope = (dice_loss(logits + step, masks) - dice_loss(logits - step, masks)).sum().detach() / 2e-2
        assert float(gradient[place]) == pytest.approx(float(slope), rel=2e-2, abs=1e-4)
    p, m = logits.detach().sigmoid().flatten(1), masks.flatten(1).double()
    bottom = (p * p + m * m).sum(1, keepdim=True) + 1e-5
    top = 2 * (p * m).sum(1, keepdim=True)
    exact = -(2 * m / bottom - 2 * p * top / bottom**2) * p * (1 - p)
    torch.testing.assert_close(gradient.flatten(1), exact, rtol=1e-4, atol=1e-6)


def a_batch() -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """Boxes, labels, masks and centres of two images, the second without objects."""
    boxes = torch.tensor([[8.0, 8, 40, 40], [50, 20, 90, 60]])
    masks = torch.zeros(2, *SIZE, dtype=torch.uint8)
    masks[0, 8:40, 8:24] = 1  # the left half of the box
    masks[1, 20:60, 50:90] = 1
    centers = torch.tensor([[16.0, 24], [70, 40]])
    nothing = torch.zeros(0, *SIZE, dtype=torch.uint8)
    return (
        [boxes, boxes[:0]],
        [torch.tensor([0, 1]), torch.zeros(0, dtype=torch.int64)],
        [masks, nothing],
        [centers, centers[:0]],
    )


def test_locations_around_the_centre_of_the_mask_learn_its_pixels_at_every_fourth_place():
    boxes, labels, masks, centers = a_batch()
    where = locations(grid_of(*SIZE), config=CONFIG, image_size=SIZE)
    assigned = assign(where, boxes, labels, config=CONFIG, centers=centers)
    found = targets(where, assigned, masks, centers, config=CONFIG, image_size=SIZE)
    assert set(found.images.tolist()) == {0}
    assert torch.equal(assigned.matched[0, found.places], found.objects)
    assert len(found.places) == int((assigned.labels >= 0).sum()) > 0
    assert torch.equal(found.points, where.points[found.places])
    assert set(found.sizes.tolist()) == {64.0}
    first = found.points[found.objects == 0]
    assert ((first - centers[0][0]).abs().amax(1) < 12).all()
    assert found.masks[0].shape == (2, 16, 24)
    assert torch.equal(found.masks[0], masks[0][:, 2::4, 2::4])
    assert found.masks[1].shape == (0, 16, 24)


def test_of_too_many_locations_the_most_central_of_every_object_are_left():
    boxes, labels, masks, centers = a_batch()
    where = locations(grid_of(*SIZE), config=CONFIG, image_size=SIZE)
    assigned = assign(where, boxes, labels, config=CONFIG, centers=centers)
    few = dataclasses.replace(CONFIG, mask_positives=4)
    found = targets(where, assigned, masks, centers, config=few, image_size=SIZE)
    assert sorted(found.objects.tolist()) == [0, 0, 1, 1]
    for which in (0, 1):
        distance = (where.points - centers[0][which]).abs().amax(1)
        mine = assigned.matched[0] == which
        chosen = distance[found.places[found.objects == which]]
        assert chosen.max() <= distance[mine].sort().values[1]


def test_an_object_between_the_sampled_pixels_teaches_no_mask():
    boxes, labels, masks, centers = a_batch()
    masks[0][0] = 0
    masks[0][0, 24, 16] = 1
    where = locations(grid_of(*SIZE), config=CONFIG, image_size=SIZE)
    assigned = assign(where, boxes, labels, config=CONFIG, centers=centers)
    found = targets(where, assigned, masks, centers, config=CONFIG, image_size=SIZE)
    assert set(found.objects.tolist()) == {1}


def test_a_batch_without_objects_loses_nothing_but_reaches_all_weights():
    model = CondInst(in_channels=16, channels=16, n_convs=1, norm="gn")
    features = [random(1, 16, *cells) for cells in grid_of(*SIZE)]
    where = locations(grid_of(*SIZE), config=CONFIG, image_size=SIZE)
    nothing = [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.int64)]
    assigned = assign(where, *nothing, config=CONFIG)
    empty = [torch.zeros(0, *SIZE, dtype=torch.uint8)]
    found = targets(where, assigned, empty, [torch.zeros(0, 2)], config=CONFIG, image_size=SIZE)
    assert condinst.normaliser(found) == 0
    loss = condinst.loss(model(features, features), found)
    assert loss.item() == 0
    loss.backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in model.parameters())


def test_the_loss_is_the_sum_over_images_and_objects():
    boxes, labels, masks, centers = a_batch()
    where = locations(grid_of(*SIZE), config=CONFIG, image_size=SIZE)
    assigned = assign(where, boxes, labels, config=CONFIG, centers=centers)
    found = targets(where, assigned, masks, centers, config=CONFIG, image_size=SIZE)
    said = MaskCodes(random(2, len(where.points), 169), random(2, 8, 8, 12, seed=1))
    assert said.features is not None
    total = 0.0
    for place, owner in zip(found.places, found.objects, strict=True):
        logits = plain_logits(said.features[0], said.codes[0, place], where.points[place], 64.0)
        total += dice_loss(enlarged(logits[None, None], 2)[0], masks[0][owner : owner + 1, 2::4, 2::4]).item()
    assert condinst.loss(said, found).item() == pytest.approx(total, rel=1e-4)


def test_bf16_changes_the_masks_little():
    features, codes = random(8, 12, 17), 0.3 * random(5, 169, seed=1)
    points, sizes = torch.full((5, 2), 60.0), torch.full((5,), 64.0)
    coarse = mask_logits(features.bfloat16(), codes.bfloat16(), points, sizes)
    assert coarse.dtype == torch.float32
    exact = mask_logits(features, codes, points, sizes)
    assert float((coarse - exact).abs().mean()) < 0.02 * float(exact.abs().mean())


def a_disc_code(radius: float, size: float) -> Tensor:
    """Weights by which a mask is the diamond of ``radius`` pixels around the location, whatever the features."""
    w1, w2, w3 = torch.zeros(8, 10), torch.zeros(8, 8), torch.zeros(1, 8)
    b1, b2, b3 = torch.zeros(8), torch.zeros(8), torch.zeros(1)
    w1[0, 0], w1[1, 0], w1[2, 1], w1[3, 1] = 1.0, -1.0, 1.0, -1.0  # |dx| and |dy| as two rectified halves each
    w2[0, :4] = 1.0
    w3[0, 0] = -20.0
    b3[0] = 20.0 * radius / size
    return torch.cat([w.flatten() for w in (w1, w2, w3, b1, b2, b3)])


def test_masks_are_read_in_the_pixels_of_the_stored_image():
    where = locations(grid_of(*SIZE), config=CONFIG, image_size=SIZE)
    places = torch.tensor([12 * 2 + 3, 12 * 5 + 8])  # at (28, 20) and (68, 44)
    assert where.points[places].tolist() == [[28, 20], [68, 44]]
    codes = torch.zeros(1, len(where.points), 169)
    codes[0, places[0]], codes[0, places[1]] = a_disc_code(14, 64), a_disc_code(30, 64)
    said = MaskCodes(codes, torch.zeros(1, 8, 8, 12))
    # The image was stored at twice the size, and padded to 64 x 96 from 56 x 80.
    found = decode(said, 0, places, where, size=(56, 80), original=(112, 160))
    y, x = np.mgrid[:112, :160] / 2 + 0.25
    for packed, (px, py), radius in zip(found, [(28, 20), (68, 44)], (14, 30), strict=True):
        assert packed["size"] == [112, 160]
        mask = coco_masks.decode(packed, 112, 160)
        # Value i of the finest grid is that of the pixel from i to i + 1 in the image; enlarging from a stride of 8 to
        # one of 4 has moved it by 2 pixels.
        inside = np.abs(x - 2.5 - px) + np.abs(y - 2.5 - py) < radius
        shared, either = (mask & inside).sum(), (mask | inside).sum()
        assert shared / either > 0.93
    assert decode(said, 0, places[:0], where, size=(56, 80), original=(112, 160)) == []
