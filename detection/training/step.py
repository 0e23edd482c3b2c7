"""The gradients of one update: those of the whole effective batch, however it is cut up.

The loss of FCOS is a sum over the locations of a batch, divided by a count over the locations of that batch. A part of
it (a micro-batch, the share of a process) that divided by a count of its own would learn something else: a part with a
single positive location would weigh as much as one with a thousand. What locations should say depends on boxes and
masks alone, so all parts are counted first, in all processes, and then every part divides by the count of the whole.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from detection import masks
from detection.boxes import middles
from detection.config import STRIDES, ModelConfig, Precision, TrainConfig
from detection.data.batch import Batch
from detection.data.bitmaps import mass_centers
from detection.detector import DTYPES
from detection.fcos import FCOS, Predictions
from detection.losses import Normalisers, limited, losses, normalisers
from detection.targets import Locations, Targets, assign, locations
from detection.training.distributed import World

CPU_PIXELS = 2_000_000
"""Pixels that a CPU takes in one pass where nothing else is asked for: more are no faster, and need more memory."""

Scale = Callable[[Tensor], Tensor]


class Summed(NamedTuple):
    """What the parts of this process's share come to, divided by the counts of the whole batch."""

    losses: Tensor
    """float32 [3] or [4], in the order of `parts_of_loss`: summed over processes, those of the whole batch."""
    normalised_by: Normalisers
    """Of the whole batch."""


def parts_of_loss(config: ModelConfig) -> tuple[str, ...]:
    """The parts of the loss, in the order in which they are handed around."""
    return ("class", "box", "quality") if config.masks == "none" else ("class", "box", "quality", "mask")


def grid_of(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Height and width of P3 to P7 for images padded to this size: every halving rounds up."""
    return tuple((-(-height // stride), -(-width // stride)) for stride in STRIDES)


def uses_batch_statistics(config: ModelConfig) -> bool:
    """Whether what the network says of an image depends on which others are beside it."""
    return bool(batch_norms(config))


def batch_norms(config: ModelConfig) -> dict[str, str]:
    """The fields that say what learns normalises by batches, and how: bn or syncbn."""
    found: dict[str, str] = {}
    if config.norm in ("bn", "syncbn") and config.frozen_stages < 5:
        found["norm"] = config.norm
    if config.masks == "condinst" and config.mask_norm != "gn":
        found["mask_norm"] = config.mask_norm
    return found


def images_per_pass(config: TrainConfig, *, share: int, height: int, width: int, device: torch.device) -> int:
    """How many of the ``share`` images of a process go through the network at once."""
    if config.micro_batch is not None:
        return min(config.micro_batch, share)
    if device.type == "cpu" and not uses_batch_statistics(config.model):
        return max(1, min(share, CPU_PIXELS // (height * width)))
    return share


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The arithmetic of the network; what is numerically delicate in it stays in float32."""
    return torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "fp32")


def backward(
    network: nn.Module,
    share: Batch,
    *,
    config: ModelConfig,
    images_per_pass: int,
    world: World,
    precision: Precision = "fp32",
    scale: Scale = lambda loss: loss,
) -> Summed:
    """Add the gradients of the effective batch to the weights of ``network``.

    Parameters
    ----------
    network : nn.Module
        An `FCOS`, perhaps compiled, perhaps in a `DistributedDataParallel`.
    share : Batch
        This process's images of the batch, on the device.
    images_per_pass : int
        Images that go through the network at once; their number changes memory and time, but (where nothing is
        normalised by batches, see `batch_norms`) no result.
    scale : callable
        What makes of a loss the one that gradients are taken of (for float16).
    """
    parts = share.split(images_per_pass)
    targets, normalised_by = counted(parts, config=config, world=world)
    names = parts_of_loss(config)
    total = torch.zeros(len(names), device=world.device)
    for index, (part, target) in enumerate(zip(parts, targets, strict=True)):
        with contextlib.ExitStack() as stack:
            if index < len(parts) - 1 and (distributed := _distributed(network)) is not None:
                stack.enter_context(distributed.no_sync())  # processes add up what they have once, at the end
            with autocast(world.device, precision):
                predictions = network(part.images, part.sizes)
            loss = losses(predictions, target, normalised_by, config=config)
            # The processes' gradients are averaged, but these losses are shares of a sum.
            scale(cast(Tensor, sum(loss.values())) * world.size).backward()  # type: ignore[no-untyped-call]
        total += torch.stack([loss[name].detach() for name in names])
    return Summed(total, normalised_by)


def counted(parts: Sequence[Batch], *, config: ModelConfig, world: World) -> tuple[list[Targets], Normalisers]:
    """What the locations of all ``parts`` of this process should say, and the counts over all processes."""
    height, width = parts[0].images.shape[-2:]
    where = locations(grid_of(height, width), config=config, image_size=(height, width), device=world.device)
    targets = [to_say(part, where, config=config) for part in parts]
    sums = world.summed(torch.stack(list(normalisers(targets, config=config))))
    return targets, limited(Normalisers(*sums))


def to_say(part: Batch, where: Locations, *, config: ModelConfig) -> Targets:
    """What the locations of a part should say of boxes and, where there are any, of masks."""
    if config.masks == "none":
        return assign(where, part.boxes, part.labels, config=config)
    assert part.masks is not None
    height, width = part.images.shape[-2:]
    drawn = [bits.to(part.images.device, non_blocking=True) for bits in part.masks]
    if config.centers == "mask":
        centers = [mass_centers(bits, boxes) for bits, boxes in zip(drawn, part.boxes, strict=True)]
    else:
        centers = [middles(boxes) for boxes in part.boxes]
    found = assign(where, part.boxes, part.labels, config=config, centers=centers)
    of_masks = masks.targets(
        where,
        found,
        masks=drawn,
        boxes=part.boxes,
        centers=centers,
        config=config,
        image_size=(height, width),
    )
    return found._replace(masks=of_masks)


@torch.no_grad()
def broken_images(model: FCOS, share: Batch, normalised_by: Normalisers, *, precision: Precision) -> list[int]:
    """The ids of the images whose own part of the loss is not finite: to name them when the sum is not."""
    config = model.config
    found = []
    for image in share.split(1):
        with autocast(image.images.device, precision):
            predictions: Predictions = model(image.images, image.sizes)
        height, width = image.images.shape[-2:]
        where = locations(predictions.grid, config=config, image_size=(height, width), device=image.images.device)
        target = to_say(image, where, config=config)
        loss = losses(predictions, target, normalised_by, config=config)
        if not all(math.isfinite(float(value)) for value in loss.values()):
            found.extend(image.image_ids)
    return found


def _distributed(network: nn.Module) -> DistributedDataParallel | None:
    """The wrapper that adds up gradients over processes, if ``network`` has one (outside or inside of a compiler's)."""
    inside: Any = getattr(network, "_orig_mod", network)
    return inside if isinstance(inside, DistributedDataParallel) else None
