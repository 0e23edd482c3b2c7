"""Fixed normalisation done by the convolutions before it: the same network with fewer steps, for inference."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import nn

from detection.norm import BatchNorm, FrozenBatchNorm2d, affine

Model = TypeVar("Model", bound=nn.Module)


def fold(model: Model) -> Model:
    """A copy of ``model`` in evaluation mode whose batch normalisations, frozen or not, are part of convolutions.

    It says what ``model.eval()`` says, up to rounding. What is normalised by other statistics (groups), or is of a
    module that does not say which convolution its normalisation follows, stays as it is. The copy is for inference
    only: its weights have no gradient, and other names and values than those of a checkpoint.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for module in list(folded.modules()):
        for conv_name, norm_name in _pairs(module):
            conv, norm = getattr(module, conv_name), getattr(module, norm_name)
            if isinstance(norm, FrozenBatchNorm2d) or (isinstance(norm, BatchNorm) and norm.running_var is not None):
                _fold(conv, norm)
                setattr(module, norm_name, nn.Identity())
    return folded


def _pairs(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of the convolutions of ``module`` and of the normalisations right after them."""
    if isinstance(module, nn.Sequential):
        for first, second in itertools.pairwise(module._modules):
            if isinstance(module._modules[first], nn.Conv2d):
                yield first, second
    yield from getattr(module, "convs_and_norms", ())


def _fold(conv: nn.Conv2d, norm: FrozenBatchNorm2d | BatchNorm) -> None:
    # In float64, so that rounding happens once.
    scale, shift = affine(copy.deepcopy(norm).double())
    weight = conv.weight.double() * scale[:, None, None, None]
    bias = shift if conv.bias is None else shift + conv.bias.double() * scale
    with torch.no_grad():
        conv.weight.copy_(weight)
    conv.bias = nn.Parameter(bias.detach().to(conv.weight.dtype), requires_grad=False)
