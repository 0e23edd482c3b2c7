"""What all backbones have in common: five stages, of which the first may be frozen, and recomputation of activations.

Stage 1 is the stem; the outputs of stages 3, 4 and 5 are C3, C4 and C5, at strides 8, 16 and 32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from detection.norm import BatchNorm


class Unit(NamedTuple):
    """A step of a stage, the smallest piece that is recomputed as a whole."""

    run: Callable[[Tensor], Tensor]
    """The step: a feature map of a feature map."""
    modules: tuple[nn.Module, ...]
    """The modules that it uses."""


class Backbone(nn.Module):
    """A network of five stages; the first ``frozen_stages`` never learn.

    Frozen means: no gradient, none kept for in the forward pass, and batch normalisation by the running statistics
    even in training mode, which are left as they are.
    """

    out_channels: tuple[int, int, int]
    """Channels of C3, C4 and C5."""

    checkpoint_activations: bool = False
    """Keep only what goes in and out of each unit, and compute the rest again in the backward pass. The gradients and
    the running statistics are those that there would be without."""

    def __init__(self, *, frozen_stages: int) -> None:
        super().__init__()
        self.frozen_stages = frozen_stages

    def stages(self) -> tuple[tuple[Unit, ...], ...]:
        """The five stages, each as the units that make it, in their order."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """C3, C4 and C5 of normalised images ``x [B, 3, H, W]``: ``[B, C, H/8, W/8]``, /16, /32, rounded up."""
        features = []
        grad = torch.is_grad_enabled()
        for number, stage in enumerate(self.stages(), start=1):
            with torch.set_grad_enabled(grad and number > self.frozen_stages):
                for unit in stage:
                    x = self._run(unit, x)
            features.append(x)
        return features[2], features[3], features[4]

    def train(self, mode: bool = True) -> Backbone:
        """Set training mode, except for frozen stages."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        return self

    def freeze(self) -> None:
        """Freeze the stages that shall be; for constructors, when all modules are there."""
        for module in self._frozen():
            module.requires_grad_(False).eval()

    def _frozen(self) -> Iterator[nn.Module]:
        for stage in self.stages()[: self.frozen_stages]:
            for unit in stage:
                yield from unit.modules

    def _run(self, unit: Unit, x: Tensor) -> Tensor:
        if not (self.checkpoint_activations and torch.is_grad_enabled()):
            return unit.run(x)
        # A compiled graph writes its buffers once, whatever it recomputes, and knows no such contexts.
        if torch.compiler.is_compiling() or not _learning_statistics(unit):
            plain: Tensor = checkpoint(unit.run, x, use_reentrant=False, preserve_rng_state=False)
            return plain

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return contextlib.nullcontext(), _statistics_left_alone(unit)

        out: Tensor = checkpoint(unit.run, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
        return out


def _learning_statistics(unit: Unit) -> list[BatchNorm]:
    """The normalisations whose running statistics a forward pass through ``unit`` changes."""
    return [
        module
        for root in unit.modules
        for module in root.modules()
        if isinstance(module, BatchNorm) and module.training and module.track_running_stats
    ]


@contextlib.contextmanager
def _statistics_left_alone(unit: Unit) -> Iterator[None]:
    """Let batches be normalised as in training, but have copies of the running statistics changed instead of them.

    To normalise without any would be simpler, but saves other tensors for the backward pass than the first time did.
    """
    with contextlib.ExitStack() as stack:
        for norm in _learning_statistics(unit):
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                kept = norm._buffers[name]
                assert kept is not None
                norm._buffers[name] = kept.clone()
                stack.callback(norm._buffers.__setitem__, name, kept)
        yield
