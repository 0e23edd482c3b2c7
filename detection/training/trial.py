"""Trial updates of noise, in a process of their own that is asked for its peak of memory: see memory.py."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

import detection.train  # noqa: F401  (what the program loads takes memory too)
from detection import checkpoints, command_line
from detection.config import TrainConfig, from_json
from detection.data.batch import Batch
from detection.data.coco import CocoDataset
from detection.data.loading import TrainStream, images_to_train_on
from detection.data.transforms import padded_size, resized_size
from detection.training.distributed import alone
from detection.training.learner import Learner, begin
from detection.training.memory import OUT_OF_MEMORY, TRIAL, peak_memory

NOISE_UPDATES, REAL_UPDATES = 2, 6
"""The largest batch, twice because the first leaves the optimizer's momentum behind; then the first ones of the run.

Batches of changing sizes leave gaps in the memory: on a CPU, with 4 of 8 images of 256 x 448 at once, the peak grew
from .92 to 1.03 GiB by the sixth of them, and no further in 24.
"""


def largest_padded(sizes: Sequence[tuple[int, int]], config: TrainConfig) -> tuple[int, int]:
    """Height and width that no padded batch of images with ``sizes`` (height, width) exceeds in area.

    A batch has images that are higher than wide, or others, never both, and is padded to its highest and its widest.
    """
    model = config.model
    found = []
    for upright in (False, True):
        resized = [
            resized_size(height, width, short_side=short_side, max_side=model.max_side, convention=model.resize)
            for height, width in set(sizes)
            for short_side in config.short_sides or (model.short_side,)
            if (height > width) == upright
        ]
        if resized:
            found.append(padded_size(resized, model.pad_to))
    return max(found, key=lambda size: size[0] * size[1])


def trial_batch(config: TrainConfig, dataset: CocoDataset, *, images: int) -> Batch:
    """Noise of the largest size that ``dataset`` can give, with as many boxes as its fullest image has."""
    with_objects = dataset.with_objects
    height, width = largest_padded([(dataset.images[i].height, dataset.images[i].width) for i in with_objects], config)
    most = max(int((~dataset.annotations(index).crowd).sum()) for index in with_objects)
    generator = torch.Generator().manual_seed(config.seed)
    corners = torch.rand(most, 2, 2, generator=generator).sort(dim=1).values * torch.tensor([width, height])
    boxes = corners.flatten(1).float() + torch.tensor([0.0, 0.0, 1.0, 1.0])
    pixels = torch.randint(256, (images, 3, height, width), generator=generator, dtype=torch.uint8)
    size = torch.tensor([[height, width]]).expand(images, 2)
    return Batch(
        images=pixels.float() if config.model.resize == "torchvision" else pixels,
        sizes=size,
        originals=size,
        boxes=[boxes] * images,
        labels=[torch.zeros(most, dtype=torch.int64)] * images,
        masks=None if config.model.masks == "none" else [_filled(boxes, height, width) for _ in range(images)],
        image_ids=list(range(images)),
    )


def _filled(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Masks uint8 [n, height, width] as large as ``boxes`` [n, 4], so that as many locations learn as can."""
    masks = torch.zeros(len(boxes), height, width, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.round().long().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    return masks


def trial(config: TrainConfig, *, share: int) -> float:
    """Peak in bytes of this process after some updates and a checkpoint: as a run, but the first batches are noise."""
    device = torch.device(config.device)
    dataset = CocoDataset(config.data, config.train_split)
    model = dataclasses.replace(config.model, categories=dataset.categories)
    # Noise is not to be learned, and may not be learnable.
    config = dataclasses.replace(config, model=model, batch_size=share, lr=0.0)
    indices = images_to_train_on(dataset, skip_broken=config.skip_broken, speak=False)
    stream = TrainStream(dataset, config=config, indices=indices)
    learner = Learner(begin(config, say=lambda text: None), config, world=alone(device))
    for _ in range(NOISE_UPDATES):
        learner.update(trial_batch(config, dataset, images=share))
    for iteration in range(REAL_UPDATES):
        learner.update(stream[iteration])
    with tempfile.TemporaryDirectory() as directory:
        checkpoints.save(Path(directory) / "trial.pt", learner.checkpoint())
    return peak_memory(device)


def main() -> int:
    """Read the configuration and the share of one process from the standard input, and print the peak in bytes."""
    asked = json.load(sys.stdin)
    try:
        print(trial(from_json(TrainConfig, asked["config"], source=TRIAL), share=asked["share"]))
    except (torch.cuda.OutOfMemoryError, MemoryError):
        return OUT_OF_MEMORY
    except RuntimeError as error:
        if "can't allocate memory" in str(error):  # how torch says it of a CPU's
            return OUT_OF_MEMORY
        raise
    return 0


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=TRIAL))
