"""One update learns the same however its batch is cut up."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detection.config import ModelConfig
from detection.data.batch import Batch
from detection.fcos import FCOS
from detection.training.distributed import alone
from detection.training.step import (
    backward,
    broken_images,
    counted,
    grid_of,
    images_per_pass,
    uses_batch_statistics,
)
from tests.detection.small_runs import MASKS, MODEL, noise_batch, small_config


def model_of(**fields: Any) -> FCOS:
    torch.manual_seed(0)
    model = FCOS(dataclasses.replace(MODEL, **fields)).train()
    # As soon as a detector has learned a little, boxes and scores are not all alike any more.
    with torch.no_grad():
        for weight in model.head.parameters():
            weight += 0.02 * torch.randn(weight.shape)
    return model


def gradients(model: nn.Module, batch: Batch, config: ModelConfig, *, size: int) -> tuple[dict[str, Tensor], Tensor]:
    model.zero_grad(set_to_none=True)
    summed = backward(model, batch, config=config, images_per_pass=size, world=alone())
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    return found, summed.losses


@pytest.mark.parametrize("norm", ["frozen_bn", "gn"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_gradients_of_micro_batches_are_those_of_the_whole(norm: str, size: int):
    model, batch = model_of(norm=norm).double(), noise_batch()
    whole, loss = gradients(model, batch, model.config, size=4)
    parts, of_parts = gradients(model, batch, model.config, size=size)
    assert parts.keys() == whole.keys() == {name for name, w in model.named_parameters() if w.requires_grad}
    torch.testing.assert_close(of_parts, loss, rtol=1e-6, atol=0)
    scale = max(float(gradient.abs().max()) for gradient in whole.values())
    for name, gradient in whole.items():
        # Boxes are predicted and counted in float32 even here.
        assert float((parts[name] - gradient).abs().max()) < 2e-6 * scale, name


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("quality", ["centerness", "polar_centerness"])
def test_gradients_of_micro_batches_with_masks_are_those_of_the_whole(kind: str, quality: str):
    fields = {**MASKS[kind], "quality": quality if kind == "polar" else "centerness"}
    model, batch = model_of(**fields).double(), noise_batch(masks=True)
    whole, loss = gradients(model, batch, model.config, size=4)
    parts, of_parts = gradients(model, batch, model.config, size=1)
    assert len(loss) == 4
    assert float(loss[3]) > 0.1
    assert parts.keys() == whole.keys() == {name for name, w in model.named_parameters() if w.requires_grad}
    torch.testing.assert_close(of_parts, loss, rtol=1e-5, atol=0)
    scale = max(float(gradient.abs().max()) for gradient in whole.values())
    for name, gradient in whole.items():
        assert float((parts[name] - gradient).abs().max()) < 1e-5 * scale, name


def test_parts_that_counted_for_themselves_would_learn_something_else():
    # The same comparison with counts of the parts fails by far: so the one above can.
    model, batch = model_of(), noise_batch()
    whole, _ = gradients(model, batch, model.config, size=4)
    model.zero_grad(set_to_none=True)
    for part in batch.split(1):
        backward(model, part, config=model.config, images_per_pass=1, world=alone())
    name = "head.logits.weight"
    own = dict(model.named_parameters())[name].grad
    assert own is not None
    assert float((own / 4 - whole[name]).abs().max()) > 0.1 * float(whole[name].abs().max())


@pytest.mark.parametrize("norm", ["frozen_bn", "bn"])
def test_activations_computed_twice_change_neither_gradients_nor_statistics(norm: str):
    model, batch = model_of(norm=norm, frozen_stages=0), noise_batch()
    twin = copy.deepcopy(model)
    twin.backbone.checkpoint_activations = True
    kept, _ = gradients(model, batch, model.config, size=4)
    again, _ = gradients(twin, batch, model.config, size=4)
    for name, gradient in kept.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-5, atol=1e-6)
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(dict(twin.named_buffers())[name], buffer)


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet-lite0"])
@pytest.mark.parametrize("size", [(64, 96), (70, 101), (33, 257)])
def test_the_grid_is_known_before_the_network_has_run(backbone: str, size: tuple[int, int]):
    model = FCOS(dataclasses.replace(MODEL, backbone=backbone)).eval()
    with torch.no_grad():
        predictions = model(torch.zeros(1, 3, *size), torch.tensor([size]))
    assert predictions.grid == grid_of(*size)


def test_a_batch_without_any_object_teaches_that_there_is_nothing():
    model, batch = model_of(), noise_batch(images=2)
    batch = batch._replace(boxes=[torch.zeros(0, 4)] * 2, labels=[torch.zeros(0, dtype=torch.int64)] * 2)
    found, losses = gradients(model, batch, model.config, size=1)
    assert float(losses[0]) > 0
    assert losses[1:].tolist() == [0.0, 0.0]
    assert all(torch.isfinite(gradient).all() for gradient in found.values())
    assert float(found["head.logits.bias"].abs().max()) > 0


def test_counts_are_those_of_all_parts():
    batch = noise_batch()
    whole = counted([batch], config=MODEL, world=alone())
    parts = counted(batch.split(1), config=MODEL, world=alone())
    assert float(whole[1].positives) == sum(int((target.labels >= 0).sum()) for target in parts[0])
    torch.testing.assert_close(parts[1].positives, whole[1].positives)
    torch.testing.assert_close(parts[1].centerness, whole[1].centerness)


@pytest.mark.parametrize(
    ("fields", "device", "images"),
    [
        ({}, "cpu", 2),
        ({}, "cuda", 16),
        ({"micro_batch": 4}, "cpu", 4),
        ({"model": dataclasses.replace(MODEL, norm="bn")}, "cpu", 16),
        ({"model": dataclasses.replace(MODEL, norm="bn", frozen_stages=5)}, "cpu", 2),
    ],
)
def test_a_cpu_takes_two_megapixels_at_once_where_that_changes_no_result(
    fields: dict[str, Any], device: str, images: int
):
    config = small_config(batch_size=16, **fields)
    assert images_per_pass(config, share=16, height=800, width=1088, device=torch.device(device)) == images
    assert uses_batch_statistics(config.model) == (images == 16 and device == "cpu")


def test_the_image_that_breaks_the_loss_is_found():
    model, batch = model_of(), noise_batch()
    batch = batch._replace(images=batch.images.float())
    batch.images[2, :, :20, :20] = math.nan
    _, normalised_by = counted([batch], config=model.config, world=alone())
    assert broken_images(model, batch, normalised_by, precision="fp32") == [102]
