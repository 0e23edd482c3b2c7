"""Losses: worked out by hand, against plain formulas, and their gradients against differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from detection.config import ModelConfig
from detection.fcos import Predictions
from detection.losses import (
    Normalisers,
    centerness,
    iou_loss,
    limited,
    losses,
    normalisers,
    overlap,
    sigmoid_focal_loss,
)
from detection.targets import BACKGROUND, Targets


def plain_focal(logits, labels, alpha, gamma):
    """Eq. 5 of Lin et al. 2017, entry by entry."""
    one_hot = functional.one_hot(labels + 1, logits.shape[1] + 1)[:, 1:].to(logits.dtype)
    p = logits.sigmoid()
    p_t = p * one_hot + (1 - p) * (1 - one_hot)
    alpha_t = alpha * one_hot + (1 - alpha) * (1 - one_hot)
    return -(alpha_t * (1 - p_t) ** gamma * p_t.log()).sum()


def some_logits(n=40, c=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, c, dtype=torch.float64, generator=generator) * 3
    return logits.requires_grad_(), torch.randint(-1, c, (n,), generator=generator)


def test_focal_loss_of_one_entry_by_hand():
    # p = 1/2: alpha (1/2)^2 log 2 for the class, (1 - alpha) (1/2)^2 log 2 for the others.
    logits = torch.zeros(1, 3)
    assert sigmoid_focal_loss(logits, torch.tensor([1])).item() == pytest.approx((0.25 + 2 * 0.75) * 0.25 * math.log(2))
    assert sigmoid_focal_loss(logits, torch.tensor([BACKGROUND])).item() == pytest.approx(3 * 0.75 * 0.25 * math.log(2))


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.9, 1.3)])
def test_focal_loss_is_the_plain_formula_and_so_is_its_gradient(alpha, gamma):
    logits, labels = some_logits()
    mine = sigmoid_focal_loss(logits, labels, alpha=alpha, gamma=gamma)
    (slope,) = torch.autograd.grad(3 * mine, logits)
    theirs = plain_focal(logits, labels, alpha, gamma)
    (expected,) = torch.autograd.grad(3 * theirs, logits)
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-12)
    assert torch.allclose(slope, expected, rtol=1e-9, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, labels, alpha=alpha, gamma=gamma), logits)


def test_focal_loss_stays_finite_at_the_ends_and_computes_in_float32():
    logits = torch.tensor([[90.0, -90.0], [-90.0, 90.0]], dtype=torch.bfloat16, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1, BACKGROUND]))
    loss.backward()
    # An entry as wrong as 90: its weight is one, its cross entropy 90.
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.75 * 90 + 0.25 * 90 + 0.75 * 90)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_overlap_by_hand():
    # Squares of 4 and of 2 around one point, the second in the first: IoU 4 / 16, and no hull beyond the union.
    iou, giou = overlap(torch.tensor([[2.0, 2, 2, 2]]), torch.tensor([[1.0, 1, 1, 1]]))
    assert iou.item() == pytest.approx(0.25)
    assert giou.item() == pytest.approx(0.25)
    # A lying and a standing bar, 4 x 2 and 2 x 4: shared 4, union 12, hull 16.
    iou, giou = overlap(torch.tensor([[2.0, 1, 2, 1]]), torch.tensor([[1.0, 2, 1, 2]]))
    assert iou.item() == pytest.approx(4 / 12)
    assert giou.item() == pytest.approx(4 / 12 - 4 / 16)
    smooth, _ = overlap(torch.tensor([[2.0, 1, 2, 1]]), torch.tensor([[1.0, 2, 1, 2]]), smoothing=1.0)
    assert smooth.item() == pytest.approx(5 / 13)


@pytest.mark.parametrize("kind", ["iou", "linear_iou", "giou"])
def test_box_losses_have_their_gradients_and_none_where_boxes_agree(kind):
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(6, 4, dtype=torch.float64, generator=generator) + 0.5
    predicted = (torch.rand(6, 4, dtype=torch.float64, generator=generator) + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: iou_loss(*overlap(x, target, smoothing=1.0), kind=kind), predicted)
    assert iou_loss(*overlap(target, target), kind=kind).abs().max() < 1e-12
    nothing = iou_loss(*overlap(torch.zeros(1, 4), torch.ones(1, 4)), kind=kind)
    assert nothing.isfinite().all()
    assert nothing > 0.9


def test_centerness_by_hand():
    assert centerness(torch.tensor([3.0, 5, 3, 5])).item() == 1
    assert centerness(torch.tensor([1.0, 2, 4, 8])).item() == pytest.approx(math.sqrt(1 / 4 * 2 / 8))


def a_batch(seed=0, n=3, length=30, classes=4):
    """Random predictions and targets of n images, the first of which has no object."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    labels = torch.where(torch.rand(n, length, generator=generator) < 0.3, 2, BACKGROUND)
    labels[0] = BACKGROUND
    distances = (random(n, length, 4).abs() + 0.1) * (labels != BACKGROUND)[..., None]
    predictions = Predictions(
        random(n, length, classes).requires_grad_(),
        (random(n, length, 4).abs()).requires_grad_(),
        random(n, length).requires_grad_(),
        ((5, 6),),
    )
    return predictions, Targets(labels, distances, labels)


@pytest.mark.parametrize("quality", ["centerness", "iou"])
def test_losses_of_the_parts_of_a_batch_add_up_to_its_own(quality):
    config = ModelConfig(quality=quality)
    predictions, targets = a_batch()
    by = limited(normalisers([targets], config=config))
    whole = losses(predictions, targets, by, config=config)
    parts = []
    for i in range(3):
        part = Predictions(*(p[i : i + 1] for p in predictions[:3]), predictions.grid)
        parts.append((part, Targets(*(t[i : i + 1] for t in targets[:3]))))
    again = limited(normalisers([t for _, t in parts], config=config))
    assert again.positives == by.positives
    for name, value in whole.items():
        total = sum(losses(p, t, again, config=config)[name] for p, t in parts)
        assert value.item() == pytest.approx(total.item(), rel=1e-12)


def test_each_part_of_the_loss_by_its_formula():
    predictions, targets = a_batch()
    positive = targets.labels != BACKGROUND
    wanted = centerness(targets.distances[positive])
    iou, giou = overlap(predictions.distances[positive], targets.distances[positive], smoothing=1.0)
    found = losses(predictions, targets, limited(normalisers([targets], config=ModelConfig())), config=ModelConfig())
    n = positive.sum()
    focal = plain_focal(predictions.logits.flatten(0, 1), targets.labels.flatten(), 0.25, 2.0)
    assert found["class"].item() == pytest.approx((focal / n).item())
    assert found["box"].item() == pytest.approx((((1 - giou) * wanted).sum() / wanted.sum()).item())
    entropy = functional.binary_cross_entropy_with_logits(predictions.quality[positive], wanted, reduction="sum")
    assert found["quality"].item() == pytest.approx((entropy / n).item())

    found = losses(
        predictions, targets, limited(normalisers([targets], config=ModelConfig())), config=ModelConfig(quality="iou")
    )
    assert found["box"].item() == pytest.approx(((1 - giou).sum() / n).item())
    entropy = functional.binary_cross_entropy_with_logits(predictions.quality[positive], iou.detach(), reduction="sum")
    assert found["quality"].item() == pytest.approx((entropy / n).item())


def test_a_batch_without_objects_teaches_only_that_there_are_none():
    predictions, targets = a_batch(n=1)
    by = limited(normalisers([targets], config=ModelConfig()))
    assert by == Normalisers(*torch.tensor([1.0, 1e-6, 1e-6], dtype=torch.float64))
    found = losses(predictions, targets, by, config=ModelConfig())
    assert found["box"] == 0
    assert found["quality"] == 0
    assert found["class"] > 0
    sum(found.values()).backward()
    # Every output has a gradient, if of zeros, as training on several processes needs.
    assert predictions.distances.grad is not None
    assert predictions.distances.grad.abs().max() == 0
    assert predictions.quality.grad is not None


def test_losses_are_computed_in_float32_under_autocast():
    predictions, targets = a_batch()
    coarse = Predictions(*(p.bfloat16() for p in predictions[:3]), predictions.grid)
    coarse_targets = targets._replace(distances=targets.distances.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = losses(
            coarse, coarse_targets, limited(normalisers([coarse_targets], config=ModelConfig())), config=ModelConfig()
        )
    assert {value.dtype for value in found.values()} == {torch.float32}
