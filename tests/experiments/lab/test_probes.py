"""Probes: figures that can be worked out by other means, and models that stay as they are."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from detection.config import Norm
from detection.data.batch import Batch
from detection.fcos import FCOS
from detection.norm import BatchNorm
from experiments.lab import probes
from tests.detection.small_runs import MODEL


def model(norm: Norm, *, frozen_stages: int = 0) -> FCOS:
    torch.manual_seed(0)
    return FCOS(dataclasses.replace(MODEL, norm=norm, frozen_stages=frozen_stages)).train()


def batch(images: int = 2, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (images, 3, 64, 64), generator=generator, dtype=torch.uint8)
    sizes = torch.full((images, 2), 64)
    boxes = torch.tensor([[8.0, 8.0, 40.0, 48.0]])
    return Batch(
        images=pixels,
        sizes=sizes,
        originals=sizes,
        boxes=[boxes] * images,
        labels=[torch.zeros(1, dtype=torch.int64)] * images,
        masks=None,
        image_ids=list(range(images)),
    )


def test_depth_has_a_figure_for_every_unit():
    found = probes.through_depth(model("bn"), batch())
    units = 1 + 16  # the stem and the blocks of EfficientNet-Lite0
    assert {len(values) for values in found} == {units}
    assert all(np.isfinite(values).all() and min(values) > 0 for values in found)


def test_the_gradient_through_depth_is_that_of_the_loss():
    some = model("gn")
    twin = copy.deepcopy(some)
    probes.loss(twin, batch()).backward()
    stem = twin.backbone.conv_stem.weight
    expected = float(stem.grad.norm() / stem.detach().norm())
    assert probes.through_depth(some, batch()).gradient[0] == pytest.approx(expected, rel=1e-3)


def test_scale_follows_the_weights():
    """Without normalisation, a stem with three times the weights gives three times the features, up to ReLU6."""
    some = model("frozen_bn")
    before = probes.through_depth(some, batch()).scale
    with torch.no_grad():
        some.backbone.conv_stem.weight *= 0.5
    after = probes.through_depth(some, batch()).scale
    assert after[0] < 0.75 * before[0]
    normalised = model("bn")
    before = probes.through_depth(normalised, batch()).scale
    with torch.no_grad():
        normalised.backbone.conv_stem.weight *= 0.5
    np.testing.assert_allclose(probes.through_depth(normalised, batch()).scale, before, rtol=0.05)


@pytest.mark.parametrize("norm", ["frozen_bn", "bn", "gn"])
def test_probes_leave_the_model_as_it_is(norm: Norm):
    some = model(norm)
    before = copy.deepcopy(some.state_dict())
    probes.through_depth(some, batch())
    probes.loss_in(some, [batch()], training=True)
    probes.loss_in(some, [batch()], training=False)
    probes.batch_statistics(some, batch())
    for name, value in some.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert some.training
    assert all(weight.grad is None for weight in some.parameters())


def test_statistics_are_those_of_the_stem_s_own_features():
    some = model("bn")
    mean, variance = probes.batch_statistics(some, batch(images=4))[0]
    features = some.backbone.conv_stem(some.normalised(batch(images=4).images, batch(images=4).sizes))
    torch.testing.assert_close(mean, features.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(variance, features.var(dim=(0, 2, 3)))


def test_only_what_learns_statistics_has_any():
    assert probes.running_statistics(model("gn")) == []
    assert probes.running_statistics(model("frozen_bn")) == []
    norms = [module for module in model("bn").modules() if isinstance(module, BatchNorm)]
    assert len(probes.running_statistics(model("bn"))) == len(norms)
    assert 0 < len(probes.running_statistics(model("bn", frozen_stages=2))) < len(norms)


def test_shift_counts_in_standard_deviations_and_factors():
    true = [(torch.zeros(4), torch.full((4,), 4.0)), (torch.ones(2), torch.ones(2))]
    assert probes.shift(true, true) == (0.0, 0.0)
    doubled = [(torch.full((4,), 2.0), torch.full((4,), 8.0)), (torch.full((2,), 2.0), torch.full((2,), 2.0))]
    mean, variance = probes.shift(doubled, true)
    assert mean == pytest.approx(1.0)
    assert variance == pytest.approx(np.log(2.0))


def test_larger_batches_see_truer_statistics():
    some = model("bn")
    true = probes.batch_statistics(some, batch(images=16, seed=9))
    small = probes.shift(probes.batch_statistics(some, batch(images=1)), true)
    large = probes.shift(probes.batch_statistics(some, batch(images=8)), true)
    assert large.variance < small.variance
    assert large.mean < small.mean


@pytest.mark.parametrize(("norm", "same"), [("frozen_bn", True), ("gn", True), ("bn", False)])
def test_only_batch_normalisation_says_something_else_in_use(norm: Norm, same: bool):
    some = model(norm)
    training, use = (probes.loss_in(some, [batch()], training=mode) for mode in (True, False))
    assert (training == pytest.approx(use, rel=1e-5)) == same
