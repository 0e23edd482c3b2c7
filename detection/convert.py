"""Checkpoints of other projects as checkpoints of this one: ``python -m detection.convert --from SOURCE IN OUT``.

Each brings the conventions by which its detector sees images and makes boxes (`detection.conversions`), so that it
detects here what it detects there. Reading the file executes nothing.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch import Tensor

from detection import checkpoints, command_line
from detection.checkpoints import Checkpoint
from detection.coco_categories import COCO
from detection.config import Category, ModelConfig
from detection.conversions import SOURCES, SourceName, adelaidet, original, recognised, torchvision
from detection.conversions.naming import (
    numbered,
    refuse_misfits,
    refuse_not_finite,
    renamed,
    structure,
    with_scales,
)
from detection.errors import InputError
from detection.files import check_out
from detection.masks import condinst

PROG = "convert"
DESCRIPTION = "Make a checkpoint of this program from one of another project's FCOS."


@dataclass(frozen=True)
class ConvertConfig:
    """What to convert."""

    input: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """File of weights: .pth or .safetensors."""
    output: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Checkpoint to write."""
    source: Annotated[SourceName, tyro.conf.arg(name="from")]
    """Whose weights they are: torchvision's, the original FCOS's, or AdelaiDet's."""
    plain: bool = False
    """Only for fcos: the weights are of the first version (exponential distances, centerness beside the classes), not
    of the improved one; their names do not tell."""
    boxes_only: bool = False
    """Only for adelaidet: leave out the masks of a CondInst."""


def convert(
    weights: Mapping[str, Tensor],
    source: SourceName,
    *,
    plain: bool = False,
    boxes_only: bool = False,
    path: object = "the file",
    made_from: str = "",
) -> Checkpoint:
    """The detector whose ``weights`` have the names of ``source``.

    ``path`` is what errors call the weights, ``made_from`` what the checkpoint says of them.

    Raises
    ------
    InputError
        If a weight is unknown, missing, of a wrong shape or not finite, or they are another project's.
    """
    about = SOURCES[source]
    actual = recognised(weights)
    if actual is None:
        raise InputError(f"{path} has no {about.mark}; give the weights of an FCOS of {about.title}")
    if actual != source:
        raise InputError(f"{path} has the names of {SOURCES[actual].title}, not of {about.title}; give --from {actual}")
    conventions: dict[str, Any] = dict(original.PLAIN) if plain else {}
    if source == "adelaidet":
        weights, means = _adelaidet(weights, boxes_only=boxes_only, path=path)
        conventions.update(means)
    ours = with_scales(renamed(weights, about, path=path))
    fields = structure(ours, path=path)
    if fields["norm"] == "bn":
        # Batch normalisation that counts has learned, and its own conventions are those of PyTorch.
        conventions.update(norm_eps=1e-5, frozen_stages=0)
    if "head.logits.bias" not in ours:
        raise InputError(f"{path} lacks what here is head.logits.bias; give all weights of a detector")
    fields["categories"] = _categories(source, len(ours["head.logits.bias"]))
    config = dataclasses.replace(about.config, **fields, **conventions)
    expected = checkpoints.blank(config).state_dict()
    counts = {name for name in ours if name.endswith("num_batches_tracked")}
    ours = {name: value for name, value in ours.items() if name in expected or name not in counts}
    refuse_misfits(ours, expected, path=path, of=_described(config))
    refuse_not_finite(ours, path=path)
    # Contiguous copies: a view would take its whole storage along into the file.
    kept = {
        name: ours[name].detach().to(expected[name].dtype).clone(memory_format=torch.contiguous_format)
        for name in expected
    }
    return Checkpoint(
        config, kept, training=None, source=f"converted from {about.title}{made_from and ': '}{made_from}"
    )


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    config = command_line.parse(ConvertConfig, args, prog=PROG, description=DESCRIPTION)
    if config.plain and config.source != "fcos":
        raise InputError(f"--plain is for --from fcos alone, but --from is {config.source}; leave it out")
    if config.boxes_only and config.source != "adelaidet":
        raise InputError(f"--boxes-only is for --from adelaidet alone, but --from is {config.source}; leave it out")
    check_out(config.output, name="OUT")
    weights = checkpoints.read_weights(config.input, name="IN")
    checkpoint = convert(
        weights,
        config.source,
        plain=config.plain,
        boxes_only=config.boxes_only,
        path=config.input,
        made_from=f"{config.input.name}, sha256 {checkpoints.fingerprint(config.input)}",
    )
    checkpoints.save(config.output, checkpoint)
    count = sum(value.numel() for value in checkpoint.weights.values())
    print(f"{config.output}: {_described(checkpoint.config)}, {count:,} numbers", file=sys.stderr)
    return 0


def _adelaidet(
    weights: Mapping[str, Tensor], *, boxes_only: bool, path: object
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights, without those of masks if not asked for, and the conventions that the file carries itself."""
    sizes = weights.get(adelaidet.SIZES)
    if not boxes_only and sizes is not None and sizes.flatten().tolist() != list(condinst.SIZES):
        raise InputError(
            f"{path} has {adelaidet.SIZES} {sizes.flatten().tolist()}, but here they are {list(condinst.SIZES)}; give "
            "--boxes-only to convert its boxes"
        )
    conventions: dict[str, Any] = {}
    if any(adelaidet.is_of_masks(name) for name in weights):
        conventions.update(adelaidet.THRESHOLD)
    for name, field in ((adelaidet.MEAN, "mean"), (adelaidet.STD, "std")):
        if name in weights:
            if weights[name].numel() != 3:
                raise InputError(f"{path} has {name} of {weights[name].numel()} numbers; there must be 3")
            conventions[field] = tuple(weights[name].flatten().tolist())
    kept = {name: value for name, value in weights.items() if not (boxes_only and adelaidet.is_of_masks(name))}
    return kept, conventions


def _categories(source: SourceName, n_logits: int) -> tuple[Category, ...]:
    if source == "torchvision":
        return torchvision.categories(n_logits)
    return COCO if n_logits == len(COCO) else numbered(range(1, n_logits + 1))


def _described(config: ModelConfig) -> str:
    kind = "an FCOS" if config.masks == "none" else "a CondInst"
    return f"{kind} with {config.backbone} ({config.norm}) and {len(config.categories)} classes"


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
