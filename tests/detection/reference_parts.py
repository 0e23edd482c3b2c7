"""What three other projects' FCOS have in common, said plainly and with nothing of the program's own.

Weights are looked up by whatever names the project gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
STRIDES = (8, 16, 32, 64, 128)


class Found(NamedTuple):
    """Detections of an image in its own pixels; the level (0 to 4) each is from."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    levels: Tensor
    masks: Tensor | None = None
    """Probabilities [n, h, w], where there are masks."""


class Names(NamedTuple):
    """A project's names of the backbone's parts, without their member (".weight")."""

    stem: str
    stem_norm: str
    conv: Callable[[int, int, int], str]
    """Of a stage 1 to 4, a block from 0, a convolution 1 to 3."""
    norm: Callable[[int, int, int], str]
    shortcut: Callable[[int], str]
    shortcut_norm: Callable[[int], str]


def resnet(
    x: Tensor, w: Mapping[str, Tensor], names: Names, *, depth: int, stride_in_1x1: bool, eps: float
) -> list[Tensor]:
    """C3, C4 and C5."""

    def normalised(y: Tensor, name: str) -> Tensor:
        weight, bias, mean, var = (
            w[f"{name}.{member}"][:, None, None] for member in ("weight", "bias", "running_mean", "running_var")
        )
        return (y - mean) / torch.sqrt(var + eps) * weight + bias

    x = functional.relu(
        normalised(functional.conv2d(x, w[f"{names.stem}.weight"], stride=2, padding=3), names.stem_norm)
    )
    x = functional.max_pool2d(x, 3, stride=2, padding=1)
    outputs = []
    for stage, count in enumerate(BLOCKS[depth], start=1):
        for block in range(count):
            stride = 2 if block == 0 and stage > 1 else 1
            if depth < 50:
                kernels, strides = (3, 3), (stride, 1)
            else:
                kernels, strides = (1, 3, 1), ((stride, 1, 1) if stride_in_1x1 else (1, stride, 1))
            y = x
            for number, (kernel, step) in enumerate(zip(kernels, strides, strict=True), start=1):
                y = functional.conv2d(
                    y, w[f"{names.conv(stage, block, number)}.weight"], stride=step, padding=kernel // 2
                )
                y = normalised(y, names.norm(stage, block, number))
                y = functional.relu(y) if number < len(kernels) else y
            if block == 0 and f"{names.shortcut(stage)}.weight" in w:
                x = functional.conv2d(x, w[f"{names.shortcut(stage)}.weight"], stride=stride)
                x = normalised(x, names.shortcut_norm(stage))
            x = functional.relu(x + y)
        outputs.append(x)
    return outputs[1:]


def convolved(x: Tensor, w: Mapping[str, Tensor], name: str, *, stride: int = 1) -> Tensor:
    """A convolution that keeps the size, but for its stride."""
    weight = w[f"{name}.weight"]
    return functional.conv2d(x, weight, w[f"{name}.bias"], stride=stride, padding=weight.shape[-1] // 2)


def pyramid(
    features: list[Tensor], w: Mapping[str, Tensor], *, lateral: list[str], output: list[str], top: list[str]
) -> list[Tensor]:
    """P3 to P7."""
    c3, c4, c5 = features
    inner5 = convolved(c5, w, lateral[2])
    inner4 = convolved(c4, w, lateral[1]) + functional.interpolate(inner5, size=c4.shape[-2:], mode="nearest")
    inner3 = convolved(c3, w, lateral[0]) + functional.interpolate(inner4, size=c3.shape[-2:], mode="nearest")
    p3, p4, p5 = (convolved(x, w, name) for x, name in zip((inner3, inner4, inner5), output, strict=True))
    p6 = convolved(p5, w, top[0], stride=2)
    return [p3, p4, p5, p6, convolved(functional.relu(p6), w, top[1], stride=2)]


def tower(x: Tensor, w: Mapping[str, Tensor], name: str, *, convs: int = 4) -> Tensor:
    """Convolution, normalisation over 32 groups and ReLU, four times."""
    for number in range(convs):
        x = convolved(x, w, f"{name}.{3 * number}")
        x = functional.relu(
            functional.group_norm(x, 32, w[f"{name}.{3 * number + 1}.weight"], w[f"{name}.{3 * number + 1}.bias"])
        )
    return x


def padded(image: Tensor) -> Tensor:
    """``image`` [3, h, w] as a batch of one, zeros to the right and below up to multiples of 32."""
    height, width = image.shape[-2:]
    return functional.pad(image, (0, -width % 32, 0, -height % 32))[None]


def flat(x: Tensor) -> Tensor:
    """[1, channels, h, w] as [h w, channels]."""
    return x[0].permute(1, 2, 0).reshape(-1, x.shape[1])


def suppressed(boxes: Tensor, scores: Tensor, labels: Tensor, *, threshold: float, extra: float = 0.0) -> Tensor:
    """Indices of what stays, best first: each of the kept removes those of its class that overlap it more."""
    order = scores.argsort(descending=True, stable=True)
    x1, y1, x2, y2 = boxes[order].unbind(1)
    classes = labels[order]
    areas = (x2 - x1 + extra) * (y2 - y1 + extra)
    alive = torch.ones(len(order), dtype=torch.bool)
    kept = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(i)
        width = (torch.minimum(x2[i], x2) - torch.maximum(x1[i], x1) + extra).clamp(min=0)
        height = (torch.minimum(y2[i], y2) - torch.maximum(y1[i], y1) + extra).clamp(min=0)
        shared = width * height
        alive &= ~((shared / (areas[i] + areas - shared) > threshold) & (classes == classes[i]))
    return order[torch.tensor(kept, dtype=torch.int64)]


def backbone_weights(names: Names, *, depth: int, seed: int, pixels: float) -> Weights:
    """Random weights whose activations stay of the order of 1 from images whose pixels are of the order ``pixels``."""
    generator = torch.Generator().manual_seed(seed)
    w: Weights = {}

    def add(conv: str, norm: str, shape: tuple[int, ...], *, share: float = 1.0, scale: float = 1.0) -> None:
        fan_in = shape[1] * shape[2] * shape[3]
        w[f"{conv}.weight"] = torch.randn(shape, generator=generator) * scale * (2 / fan_in) ** 0.5
        uniform = torch.rand(4, shape[0], generator=generator)
        w[f"{norm}.weight"] = (0.7 + 0.6 * uniform[0]) * share
        w[f"{norm}.bias"] = 0.4 * (uniform[1] - 0.5)
        w[f"{norm}.running_mean"] = 0.4 * (uniform[2] - 0.5)
        w[f"{norm}.running_var"] = 0.5 + uniform[3]
        # Some variances are so small that it matters what is added to them.
        w[f"{norm}.running_var"][:8] = 2e-5
        w[f"{norm}.weight"][:8] *= 2e-5**0.5

    add(names.stem, names.stem_norm, (64, 3, 7, 7), scale=1 / pixels)
    channels = 64
    for stage, count in enumerate(BLOCKS[depth], start=1):
        width = 32 * 2**stage
        for block in range(count):
            if depth < 50:
                shapes = [(width, channels, 3, 3), (width, width, 3, 3)]
            else:
                shapes = [(width, channels, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)]
            for number, shape in enumerate(shapes, start=1):
                # What a block adds is less than what it is added to, so that nothing grows from block to block.
                share = 0.3 if number == len(shapes) else 1.0
                add(names.conv(stage, block, number), names.norm(stage, block, number), shape, share=share)
            if block == 0 and channels != shapes[-1][0]:
                add(names.shortcut(stage), names.shortcut_norm(stage), (shapes[-1][0], channels, 1, 1), share=0.7)
            channels = shapes[-1][0]
    return w


def other_weights(
    *,
    depth: int,
    seed: int,
    channels: int,
    classes: int,
    lateral: list[str],
    output: list[str],
    top: list[str],
    towers: list[str],
    logits: str,
    distances: str,
    quality: str,
    distance: float,
    probability: float = -3.0,
) -> Weights:
    """Random weights of a pyramid and a head: every level has logits on both sides of ``probability``, and boxes whose
    x (of which the distance is made) lies around ``distance``.
    """
    generator = torch.Generator().manual_seed(seed)
    w: Weights = {}

    def add(name: str, shape: tuple[int, ...], *, scale: float = 1.0, bias: float = 0.0, spread: float = 0.1) -> None:
        fan_in = shape[1] * shape[2] * shape[3]
        w[f"{name}.weight"] = torch.randn(shape, generator=generator) * scale * (2 / fan_in) ** 0.5
        w[f"{name}.bias"] = bias + spread * torch.randn(shape[0], generator=generator)

    ends = (128, 256, 512) if depth < 50 else (512, 1024, 2048)
    for name, width in zip(lateral, ends, strict=True):
        add(name, (channels, width, 1, 1))
    for name in (*output, *top):
        add(name, (channels, channels, 3, 3), spread=0.5)
    for name in towers:
        for number in range(4):
            add(f"{name}.{3 * number}", (channels, channels, 3, 3))
            uniform = torch.rand(2, channels, generator=generator)
            w[f"{name}.{3 * number + 1}.weight"] = 0.7 + 0.6 * uniform[0]
            w[f"{name}.{3 * number + 1}.bias"] = uniform[1] - 0.5
    add(logits, (classes, channels, 3, 3), bias=probability, spread=0.7)
    add(distances, (4, channels, 3, 3), scale=0.4, bias=distance, spread=0.2)
    add(quality, (1, channels, 3, 3))
    return w
