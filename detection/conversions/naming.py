"""Weights under the names of this project, and what their names and shapes say of the network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detection.backbones.resnet import BLOCKS
from detection.config import STRIDES, Backbone, Category, ModelConfig
from detection.errors import InputError

SHOWN = 3
"""Names that an error lists."""

MEMBER = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
"""Tensors of a convolution or a normalisation, as part of a pattern."""

TOWER_LAYERS = r"(?P<layer>\d+)\.(?P<member>weight|bias)"
"""Tensors of a tower."""


class Source(NamedTuple):
    """How one project writes and uses an FCOS."""

    title: str
    """What it is called in a sentence."""
    mark: str
    """A name that no other project's files have."""
    names: tuple[tuple[str, str], ...]
    """Patterns of whole names of weights, and the templates of ours; the first that fits counts."""
    ignored: tuple[str, ...]
    """Patterns of whole names that no detection depends on."""
    config: ModelConfig
    """Its conventions; what `structure` finds, and the categories, are set by the weights."""


def renamed(weights: Mapping[str, Tensor], source: Source, *, path: object) -> dict[str, Tensor]:
    """``weights`` under the names of `detection.fcos.FCOS`; ``path`` is what errors call the file.

    Raises
    ------
    InputError
        If some have names that ``source`` does not give, or two would have the same name.
    """
    ours: dict[str, Tensor] = {}
    unknown, twice = [], []
    for theirs, value in weights.items():
        if any(re.fullmatch(pattern, theirs) for pattern in source.ignored):
            continue
        name = _translated(theirs, source.names)
        if name is None:
            unknown.append(theirs)
        elif name in ours:
            twice.append(theirs)
        else:
            ours[name] = value
    if unknown:
        raise InputError(
            f"{path} has {listed(unknown)}, which the FCOS of {source.title} has not; give one of its detectors with a "
            "ResNet-18, -34, -50 or -101 and five levels, without deformable convolutions"
        )
    if twice:
        raise InputError(f"{path} has {listed(twice)} twice under different names; give the weights of one detector")
    return ours


def structure(weights: Mapping[str, Tensor], *, path: object) -> dict[str, Any]:
    """Fields of a `ModelConfig` that ``weights`` (under our names) show, without the categories.

    Raises
    ------
    InputError
        If they are not those of one of the backbones here, or of no whole head.
    """
    _needs(weights, ("backbone.conv1.weight", "fpn.lateral.0.weight", "head.cls_tower.0.weight"), path)
    last = max(int(name.split(".")[2]) for name in weights if name.startswith("head.cls_tower."))
    normalised = weights.get("head.cls_tower.1.weight")
    in_groups = normalised is not None and normalised.ndim == 1
    layers = 3 if in_groups else 2  # convolution, normalisation, ReLU: the last ReLU has no weights
    return {
        **_masks(weights),
        "backbone": _depth(weights, path),
        "norm": _norm(weights),
        "fpn_channels": weights["fpn.lateral.0.weight"].shape[0],
        "head_convs": last // layers + 1,
        "head_norm": "gn" if in_groups else "none",
        "learned_scales": "head.scales" in weights,
    }


def _masks(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fields that a CondInst's weights show; none for a detector of boxes alone."""
    if "masks.refine.0.0.weight" not in weights:
        return {}
    blocks = {int(name.split(".")[2]) for name in weights if re.match(r"masks\.tower\.\d+\.0\.weight", name)}
    return {
        "masks": "condinst",
        "centers": "mask",
        "mask_channels": weights["masks.refine.0.0.weight"].shape[0],
        "mask_convs": max(len(blocks), 1),
        "mask_norm": "bn" if "masks.refine.0.1.running_var" in weights else "gn",
    }


def with_scales(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``weights`` in which one tensor holds the scales of all levels, if there was one for each."""
    single = [f"head.scales.{level}" for level in range(len(STRIDES))]
    if not all(name in weights for name in single):
        return dict(weights)
    rest = {name: value for name, value in weights.items() if name not in single}
    return {**rest, "head.scales": torch.cat([weights[name].reshape(-1) for name in single])}


def refuse_misfits(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, path: object, of: str) -> None:
    """See that ``weights`` are all of those that are ``expected``, in their shapes, and no others.

    Raises
    ------
    InputError
        With the first names that are missing, have another shape, or are too many in a model ``of`` that kind.
    """
    _needs(weights, expected, path)
    wrong = [name for name, value in expected.items() if weights[name].shape != value.shape]
    if wrong:
        name = wrong[0]
        raise InputError(
            f"{path} has {name} of shape {list(weights[name].shape)} where {of} has {list(expected[name].shape)}; "
            "give the weights of such a model"
        )
    unknown = [name for name in weights if name not in expected]
    if unknown:
        raise InputError(f"{path} has {listed(unknown)}, which {of} has not; give the weights of such a model")


def refuse_not_finite(weights: Mapping[str, Tensor], *, path: object) -> None:
    """See that no weight is infinite or no number: such a detector finds nothing, and would not say why.

    Raises
    ------
    InputError
        With the first names of such weights.
    """
    broken = [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise InputError(f"{path} has numbers that are not finite in {listed(broken)}; give weights that can be used")


def numbered(ids: Iterable[int]) -> tuple[Category, ...]:
    """Categories that have no name but their number."""
    return tuple(Category(number, f"class {number}") for number in ids)


def listed(names: Sequence[str]) -> str:
    """The first of ``names``, and how many more there are."""
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def _translated(name: str, patterns: Sequence[tuple[str, str]]) -> str | None:
    for pattern, template in patterns:
        if found := re.fullmatch(pattern, name):
            return found.expand(template)
    return None


def _needs(weights: Mapping[str, Tensor], names: Iterable[str], path: object) -> None:
    missing = [name for name in names if name not in weights]
    if missing:
        raise InputError(f"{path} lacks what here is {listed(missing)}; give all weights of a detector")


def _depth(weights: Mapping[str, Tensor], path: object) -> Backbone:
    """The ResNet whose stages have as many blocks, and of this kind."""
    counts = [0, 0, 0, 0]
    for name in weights:
        if found := re.match(r"backbone\.layer([1-4])\.(\d+)\.", name):
            stage, block = int(found[1]) - 1, int(found[2])
            counts[stage] = max(counts[stage], block + 1)
    bottleneck = "backbone.layer1.0.conv3.weight" in weights
    for depth, blocks in BLOCKS.items():
        if tuple(counts) == blocks and bottleneck == (depth >= 50):
            return f"resnet{depth}"  # type: ignore[return-value]
    raise InputError(
        f"{path} has a backbone whose stages have {', '.join(map(str, counts))} "
        f"{'bottlenecks' if bottleneck else 'blocks'}; give a detector with a ResNet-18, -34, -50 or -101"
    )


def _norm(weights: Mapping[str, Tensor]) -> str:
    """Batch normalisation that learns counts its batches; a frozen one does not; one over groups has no statistics."""
    if "backbone.bn1.num_batches_tracked" in weights:
        return "bn"
    return "frozen_bn" if "backbone.bn1.running_var" in weights else "gn"
