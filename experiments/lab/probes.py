"""What normalisation does to a network, as figures: signal and gradient through depth, and the statistics of batches.

All of it is measured on a model as it is; nothing here changes one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detection.data.batch import Batch
from detection.fcos import FCOS, Predictions
from detection.losses import losses
from detection.norm import BatchNorm
from detection.training.distributed import alone
from detection.training.step import counted

Floats = list[float]

TINY = 1e-5
"""What a variance is taken for at least: channels that are always 0 have none."""


class Depth(NamedTuple):
    """Figures of every unit of the backbone (the stem, then its blocks), from the image on: [units] each."""

    scale: Floats
    """Root mean square of the features that a unit gives."""
    gradient: Floats
    """Norm of the gradient by the unit's weights over the norm of these weights: how fast they would change."""


class Shift(NamedTuple):
    """How far one set of a normalisation's statistics is from another, over all channels of all its layers."""

    mean: float
    """Mean distance of the means, in standard deviations."""
    variance: float
    """Mean distance of the logarithms of the variances; .69 is a factor of two."""


def loss(model: FCOS, batch: Batch) -> Tensor:
    """The whole loss of a batch, by the model in the mode in which it is."""
    return _loss(model, batch, model(batch.images, batch.sizes))


def through_depth(model: FCOS, batch: Batch) -> Depth:
    """Signal and gradient of a batch in training mode, unit by unit; ``model`` must learn in all of them."""
    twin = copy.deepcopy(model).train()
    scale: Floats = []
    features = []
    x = twin.normalised(batch.images, batch.sizes)
    for stage in twin.backbone.stages():
        for unit in stage:
            x = unit.run(x)
            scale.append(float(x.detach().square().mean().sqrt()))
        features.append(x)
    predictions, _ = twin.head(twin.fpn((features[2], features[3], features[4])))
    _loss(twin, batch, predictions).backward()  # type: ignore[no-untyped-call]
    return Depth(scale, [_speed(unit.modules) for stage in twin.backbone.stages() for unit in stage])


def batch_statistics(model: FCOS, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance [channels] that every batch normalisation sees of a batch."""
    twin = copy.deepcopy(model).train()
    norms = _learning(twin)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches, of which there is one
    with torch.no_grad():
        twin(batch.images, batch.sizes)
    return [_statistics(norm) for norm in norms]


def running_statistics(model: FCOS) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance [channels] that every batch normalisation has kept for later."""
    return [_statistics(norm) for norm in _learning(model)]


def shift(found: Sequence[tuple[Tensor, Tensor]], true: Sequence[tuple[Tensor, Tensor]]) -> Shift:
    """How far statistics are from the true ones."""
    means, variances = [], []
    for (mean, variance), (true_mean, true_variance) in zip(found, true, strict=True):
        deviation = true_variance.clamp(min=TINY).sqrt()
        means.append((mean - true_mean).abs() / deviation)
        variances.append((variance.clamp(min=TINY).log() - true_variance.clamp(min=TINY).log()).abs())
    return Shift(float(torch.cat(means).mean()), float(torch.cat(variances).mean()))


def loss_in(model: FCOS, batches: Sequence[Batch], *, training: bool) -> float:
    """Mean loss over batches, normalised as in training (by each batch) or as in use (by what was kept)."""
    twin = copy.deepcopy(model).train(training)  # a copy, since in training mode statistics are kept
    with torch.no_grad():
        return float(torch.stack([loss(twin, batch) for batch in batches]).mean())


def _loss(model: FCOS, batch: Batch, predictions: Predictions) -> Tensor:
    targets, normalised_by = counted([batch], config=model.config, world=alone(model.mean.device))
    return torch.stack(list(losses(predictions, targets[0], normalised_by, config=model.config).values())).sum()


def _learning(model: FCOS) -> list[BatchNorm]:
    """The batch normalisations that keep statistics of what they see, of a model in training mode."""
    return [module for module in model.modules() if isinstance(module, BatchNorm) and module.training]


def _statistics(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean.clone(), norm.running_var.clone()


def _speed(modules: Sequence[nn.Module]) -> float:
    """Norm of the gradient over the norm of the weights, of the convolutions among ``modules``."""
    weights = [conv.weight for root in modules for conv in root.modules() if isinstance(conv, nn.Conv2d)]
    gradient = sum(float(weight.grad.square().sum()) for weight in weights if weight.grad is not None)
    return float((gradient / sum(float(weight.detach().square().sum()) for weight in weights)) ** 0.5)
