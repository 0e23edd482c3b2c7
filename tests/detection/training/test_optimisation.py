"""Groups of weights, the learning rate of every update, clipping, and averages of weights."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from detection.config import TrainConfig
from detection.errors import InputError
from detection.fcos import FCOS
from detection.training.optimisation import (
    MovingAverage,
    clip_gradients,
    gradient_norm,
    learning_rate,
    make_optimizer,
    same_rates,
    set_learning_rate,
)
from tests.detection.small_runs import MODEL, small_config

ORIGINAL = TrainConfig(data=".", out=".")  # type: ignore[arg-type]


def test_the_default_schedule_is_that_of_the_original():
    rates = {i: learning_rate(i, ORIGINAL) for i in (0, 499, 500, 59_999, 60_000, 79_999, 80_000, 89_999)}
    assert rates == pytest.approx(
        {0: 0.01 / 3, 499: 0.01 / 3, 500: 0.01, 59_999: 0.01, 60_000: 1e-3, 79_999: 1e-3, 80_000: 1e-4, 89_999: 1e-4}
    )


def test_a_schedule_in_images_is_that_in_iterations_of_the_same_length():
    images = dataclasses.replace(ORIGINAL, max_images=90_000 * 16, max_iterations=None)
    assert same_rates(ORIGINAL, images, iterations=90_000)
    half = dataclasses.replace(images, batch_size=8, scale_lr=True)
    assert half.iterations == 180_000
    assert learning_rate(119_999, half) == pytest.approx(0.005)
    assert learning_rate(120_000, half) == pytest.approx(0.0005)


def test_warmup_climbs_a_line_up_to_the_scheduled_rate():
    config = dataclasses.replace(ORIGINAL, warmup="linear", warmup_factor=0.1, warmup_iterations=10, decay_at=())
    assert [learning_rate(i, config) for i in (0, 5, 9, 10)] == pytest.approx([0.001, 0.0055, 0.0091, 0.01])


@given(length=st.integers(1, 10_000), lr=st.floats(0, 1))
def test_the_cosine_falls_from_the_rate_to_nearly_nothing_and_never_rises(length: int, lr: float):
    config = dataclasses.replace(
        ORIGINAL, schedule="cosine", lr=lr, max_iterations=length, warmup_iterations=0, warmup="linear"
    )
    rates = [learning_rate(i, config) for i in range(0, length, max(1, length // 50))]
    assert rates[0] == lr
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates))
    assert 0 <= learning_rate(length, config) <= 1e-12


def test_a_schedule_of_steps_can_grow_only_before_its_first_step():
    longer = dataclasses.replace(ORIGINAL, max_iterations=120_000)
    assert same_rates(ORIGINAL, longer, iterations=60_000)
    assert not same_rates(ORIGINAL, longer, iterations=60_001)


def test_biases_learn_twice_as_fast_without_decay_and_frozen_weights_not_at_all():
    model = FCOS(MODEL)
    optimizer = make_optimizer(model, small_config(lr=0.1))
    set_learning_rate(optimizer, 0.01)
    others, biases = optimizer.param_groups
    names = {weight: name for name, weight in model.named_parameters()}
    assert (others["lr"], others["weight_decay"]) == (0.01, 1e-4)
    assert (biases["lr"], biases["weight_decay"]) == (0.02, 0.0)
    assert all(names[weight].endswith("bias") for weight in biases["params"])
    assert {"head.scales", "head.cls_tower.1.weight"} <= {names[weight] for weight in others["params"]}
    assert "head.cls_tower.1.bias" in {names[weight] for weight in biases["params"]}
    listed = {weight for group in optimizer.param_groups for weight in group["params"]}
    assert listed == {weight for weight in model.parameters() if weight.requires_grad}
    assert not any(names[weight].startswith("backbone.conv_stem") for weight in listed)


def test_a_model_that_is_all_frozen_is_refused():
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(InputError, match="frozen_stages leaves nothing to learn"):
        make_optimizer(model, small_config())


def test_gradients_are_shortened_together_and_only_if_too_long():
    weights = [torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True), torch.zeros(3)]
    weights[0].grad, weights[1].grad = torch.tensor([2.0, 3.0]), torch.tensor([6.0])
    norm = gradient_norm(weights)
    assert float(norm) == pytest.approx(7.0)
    clip_gradients(weights[:2], norm, largest=8.0)
    assert weights[0].grad.tolist() == [2.0, 3.0]
    clip_gradients(weights[:2], norm, largest=0.7)
    assert weights[0].grad.tolist() == pytest.approx([0.2, 0.3], abs=1e-6)
    weights[1].grad = torch.tensor([float("nan")])
    assert not torch.isfinite(gradient_norm(weights))


def test_the_average_forgets_the_beginning_and_then_follows_slowly():
    model = nn.BatchNorm1d(1)
    average = MovingAverage(model, decay=0.9)
    assert float(average.weights["running_mean"]) == 0
    model.running_mean.fill_(1.0)  # type: ignore[union-attr]
    model.num_batches_tracked.fill_(5)  # type: ignore[union-attr]
    average.update(model, updates=1)
    assert float(average.weights["running_mean"]) == pytest.approx(1 - 2 / 11)
    assert int(average.weights["num_batches_tracked"]) == 5
    before = float(average.weights["running_mean"])
    average.update(model, updates=1000)
    assert float(average.weights["running_mean"]) == pytest.approx(1 - 0.9 * (1 - before))
    fresh = MovingAverage(nn.BatchNorm1d(1), decay=0.9)
    fresh.load(average.weights)
    assert torch.equal(fresh.weights["running_mean"], average.weights["running_mean"])
