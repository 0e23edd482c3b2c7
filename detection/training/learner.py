"""A detector that learns: its network, optimizer and averages, one update after the other, and all of it on disk."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from detection import backbones, checkpoints
from detection.checkpoints import Checkpoint
from detection.config import TrainConfig, to_json
from detection.data.batch import Batch
from detection.errors import DivergedError, InputError
from detection.fcos import FCOS
from detection.training.distributed import World
from detection.training.optimisation import (
    MovingAverage,
    clip_gradients,
    gradient_norm,
    learning_rate,
    make_optimizer,
    set_learning_rate,
)
from detection.training.step import (
    Summed,
    backward,
    batch_norms,
    broken_images,
    images_per_pass,
    parts_of_loss,
)

NAMED_IMAGES = 16
"""How many images a sentence names at most."""

SMALLEST_SCALE = 1.0
"""Factor of the loss below which float16 has no hope: even that overflows."""


class Update(NamedTuple):
    """What one update was like, over all processes."""

    losses: dict[str, float]
    """The parts of the loss, by name."""
    positives: float
    gradient_norm: float | None
    """Before clipping; None where float16 overflowed and the update was left out."""
    learning_rate: float
    stop: int
    """The largest number that a process came with: one that wants to stop stops all."""


class Learner:
    """A model and all that changes with it while it learns.

    Parameters
    ----------
    model : FCOS
        The network to train; moved to the device of ``world``.
    """

    def __init__(self, model: FCOS, config: TrainConfig, *, world: World) -> None:
        self.config, self.world = config, world
        layout = torch.channels_last if config.channels_last else torch.preserve_format
        self.model = model.to(world.device).to(memory_format=layout).train()  # type: ignore[call-overload]
        self.model.backbone.checkpoint_activations = config.checkpoint_activations
        self.optimizer = make_optimizer(self.model, config)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=config.precision == "fp16")
        self.average = MovingAverage(self.model, decay=config.ema) if config.ema > 0 else None
        self.done = 0
        self.network: nn.Module = self.model
        if world.size > 1:
            # Only statistics of batches differ between processes, and one of them has to be the one that counts.
            self.network = DistributedDataParallel(
                self.model,
                device_ids=[world.device] if world.device.type == "cuda" else None,
                broadcast_buffers="bn" in batch_norms(config.model).values(),
                gradient_as_bucket_view=True,
            )
        if config.compile:
            self.network = cast(nn.Module, torch.compile(self.network))

    def update(self, share: Batch, *, stop: Callable[[], int] = lambda: 0) -> Update:
        """Learn from this process's ``share`` (on the CPU) of a batch, together with the others.

        ``stop`` is asked when the gradients are there: above 0 if this process is to stop after this update.

        Raises
        ------
        DivergedError
            If the loss or the gradient is not finite; the weights are then as they were.
        """
        config = self.config
        share = share.to(self.world.device, channels_last=config.channels_last)
        rate = learning_rate(self.done, config)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        height, width = share.images.shape[-2:]
        summed = backward(
            self.network,
            share,
            config=config.model,
            images_per_pass=images_per_pass(
                config, share=len(share.images), height=height, width=width, device=self.world.device
            ),
            world=self.world,
            precision=config.precision,
            scale=self.scaler.scale,
        )
        self.scaler.unscale_(self.optimizer)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        norm = gradient_norm(weights)
        losses, positives, length, stopped = self._exchanged(summed, norm, stop())
        self._refuse_infinite(losses, length, share, summed)
        if config.clip_gradients is not None:
            clip_gradients(weights, norm, largest=config.clip_gradients)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.done += 1
        if self.average is not None:
            self.average.update(self.model, updates=self.done)
        return Update(losses, positives, length if math.isfinite(length) else None, rate, stopped)

    def _exchanged(self, summed: Summed, norm: Tensor, stop: int) -> tuple[dict[str, float], float, float, int]:
        """Losses over all processes, positives, norm of the gradient, and whether to stop: one wait for the device."""
        wishes = torch.zeros(self.world.size, device=self.world.device)
        wishes[self.world.rank] = stop
        shared = self.world.summed(torch.cat([summed.losses, wishes]))
        same = torch.stack([summed.normalised_by.positives.float(), norm.float()])
        positives, length, *values = torch.cat([same, shared]).tolist()
        names = parts_of_loss(self.config.model)
        return dict(zip(names, values, strict=False)), positives, length, int(max(values[len(names) :]))

    def _refuse_infinite(self, losses: Mapping[str, float], norm: float, share: Batch, summed: Summed) -> None:
        broken = [name for name, value in losses.items() if not math.isfinite(value)]
        if broken:
            own = broken_images(self.model, share, summed.normalised_by, precision=self.config.precision)
            what = f"the {broken[0]} loss is {losses[broken[0]]}"
        elif not math.isfinite(norm) and not self.scaler.is_enabled():
            own, what = [], f"the gradient is {norm}, though the loss is not"
        elif not math.isfinite(norm) and self.scaler.get_scale() < SMALLEST_SCALE:
            own, what = [], "the gradient overflows float16 at any scale"
        else:
            return
        ids = [one for ids in self.world.together(own) for one in ids]
        among = "in" if ids else "in the batch of"
        ids = ids or [one for ids in self.world.together(share.image_ids) for one in ids]
        more = f" and {len(ids) - NAMED_IMAGES} more" if len(ids) > NAMED_IMAGES else ""
        named = ", ".join(str(one) for one in ids[:NAMED_IMAGES])
        raise DivergedError(
            f"iteration {self.done + 1}: {what} ({among} image {named}{more}); give a smaller lr (it is "
            f"{learning_rate(self.done, self.config):g} here) or clip_gradients, or look at the images",
            self.done,
        )

    def checkpoint(self, **more: Any) -> Checkpoint:
        """All of it, and ``more`` plain values about the training, to go on from or to detect with.

        The tensors are those that learn, not copies.
        """
        training = {
            "iteration": self.done,
            "images": self.done * self.config.batch_size,
            "optimizer": self.optimizer.state_dict(),
            "ema": self.average.weights if self.average is not None else None,
            "scaler": self.scaler.state_dict(),
            "config": to_json(self.config),
            **more,
        }
        source = f"trained with preset {self.config.preset}" if self.config.preset else "trained"
        return Checkpoint(self.config.model, dict(self.model.state_dict()), training, source)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where `checkpoint` was taken, to the same end as if there had been no break."""
        training = checkpoint.training
        assert training is not None
        self.model.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(training["optimizer"])
        self.scaler.load_state_dict(training["scaler"])
        if self.average is not None:
            self.average.load(training["ema"])
        self.done = int(training["iteration"])


def begin(config: TrainConfig, *, say: Callable[[str], None]) -> FCOS:
    """The network as training finds it: drawn by the seed, its backbone or all of it from weights where asked for.

    ``say`` is told what of ``config.weights`` could not be used.

    Raises
    ------
    InputError
        If a file of weights cannot be read or is of another network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = FCOS(config.model)
    if config.backbone_weights is not None:
        backbones.load_weights(model.backbone, config.backbone_weights)
    if config.weights is not None:
        _load_detector(model, config, say=say)
    return model


def _load_detector(model: FCOS, config: TrainConfig, *, say: Callable[[str], None]) -> None:
    """Weights of a detector's checkpoint (the averaged ones if there are some); logits only of the same categories."""
    assert config.weights is not None
    loaded = checkpoints.load(config.weights)
    if loaded.config.backbone != config.model.backbone:
        raise InputError(
            f"weights is {config.weights}, a detector with {loaded.config.backbone}, but backbone is "
            f"{config.model.backbone}; give one of the same backbone"
        )
    given = checkpoints.build(loaded).state_dict()
    own = model.state_dict()
    fresh = {name: value for name, value in own.items() if name.startswith("masks.")}
    if fresh and loaded.config.masks == "none":
        say(f"{config.weights} finds no masks: what says them begins anew.")
        given.update(fresh)
    if loaded.config.categories != config.model.categories:
        say(f"The categories of {config.weights} are others: the class logits begin anew.")
        given.update({name: value for name, value in own.items() if name.startswith("head.logits.")})
    for name in sorted(given.keys() | own.keys()):
        if name not in given or name not in own or given[name].shape != own[name].shape:
            differing = [
                field.name
                for field in dataclasses.fields(config.model)
                if getattr(config.model, field.name) != getattr(loaded.config, field.name)
                and field.name != "categories"
            ]
            raise InputError(
                f"weights is {config.weights}, whose {name} does not fit the network to train; give a detector with "
                f"the same {' and '.join(differing) or 'version'}"
            )
    model.load_state_dict(given)
