"""Stochastic gradient descent as the original FCOS does it: groups of weights, the learning rate, and their average."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from detection.config import TrainConfig
from detection.errors import InputError

REFERENCE_BATCH = 16
"""Images per update for which the published learning rates were chosen."""


def learning_rate(iteration: int, config: TrainConfig) -> float:
    """The learning rate of update ``iteration`` (from 0): that of all weights but biases.

    Warmup: ``warmup_factor`` times the scheduled rate for ``warmup_iterations`` updates, or a line from there up to
    it. Cosine: lr (1 + cos(pi t / T)) / 2 (Loshchilov & Hutter 2017, without restarts).
    """
    rate = config.lr * config.batch_size / REFERENCE_BATCH if config.scale_lr else config.lr
    length = config.iterations
    if config.schedule == "cosine":
        rate *= (1 + math.cos(math.pi * min(iteration / length, 1.0))) / 2
    else:
        rate *= config.decay_factor ** sum(iteration >= round(at * length) for at in config.decay_at)
    if iteration < config.warmup_iterations:
        share = iteration / config.warmup_iterations if config.warmup == "linear" else 0.0
        rate *= config.warmup_factor + (1 - config.warmup_factor) * share
    return rate


def same_rates(a: TrainConfig, b: TrainConfig, *, iterations: int) -> bool:
    """Whether two schedules agree on the first ``iterations`` updates, whatever comes after them."""
    return all(learning_rate(i, a) == learning_rate(i, b) for i in range(iterations))


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """SGD with momentum over what learns; biases (of normalisations too) without weight decay, at a rate of their own.

    Each group has its factor of the learning rate as "lr_factor"; see `set_learning_rate`.
    """
    learning = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    if not learning:
        raise InputError("frozen_stages leaves nothing to learn; give a smaller number")
    biases = [weight for name, weight in learning if name.endswith("bias")]
    others = [weight for name, weight in learning if not name.endswith("bias")]
    groups = [
        {"params": others, "lr_factor": 1.0, "weight_decay": config.weight_decay},
        {"params": biases, "lr_factor": config.bias_lr_factor, "weight_decay": 0.0},
    ]
    return torch.optim.SGD([group for group in groups if group["params"]], lr=config.lr, momentum=config.momentum)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its multiple of ``rate``."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]


def gradient_norm(weights: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of the gradients of all ``weights`` together: scalar, not finite if any of them is not."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def clip_gradients(weights: Iterable[Tensor], norm: Tensor, *, largest: float) -> None:
    """Shorten the gradients, of ``norm`` together, to ``largest`` if they are longer (Pascanu et al. 2013)."""
    torch.nn.utils.clip_grads_with_norm_(weights, largest, norm)


class MovingAverage:
    """An exponential moving average of a model's weights and buffers (Polyak & Juditsky 1992).

    While young it forgets faster, min(decay, (1 + t) / (10 + t)) after t updates, so that the random beginning does not
    stay in it. What is no floating-point number is copied.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, *, updates: int) -> None:
        """Take in the weights of ``model`` after so many ``updates``."""
        keep = min(self.decay, (1 + updates) / (10 + updates))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - keep)
            else:
                self.weights[name].copy_(value)

    def load(self, weights: dict[str, Tensor]) -> None:
        """Go on from an average of before."""
        for name, value in self.weights.items():
            value.copy_(weights[name])
