"""What rows will take, before they start: measured on the device at hand, not guessed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import detection.train
from detection.config import TrainConfig
from detection.data.coco import CocoDataset
from detection.training.distributed import alone, chosen_device
from detection.training.learner import Learner, begin
from detection.training.trial import trial_batch
from experiments.lab.records import Record
from experiments.lab.runs import Job, flags

UPDATES = 3
"""That are timed, after one to warm up."""
CPU_IMAGES = 2
"""Images of an update at most on a CPU, where more at once are no faster."""


def images_per_second(job: Job) -> float:
    """How many images of the largest size a row learns from in a second, measured by updates of noise.

    Real batches are smaller than the largest, so that this is a little too low; reading images is left out.
    """
    command = detection.train.parse([*flags(job), "--data", str(job.data), "--out", str(job.out)])
    config = TrainConfig(**{field.name: getattr(command, field.name) for field in dataclasses.fields(TrainConfig)})
    device = chosen_device(job.device)
    images = config.batch_size if device.type == "cuda" else min(config.batch_size, CPU_IMAGES)
    if config.fit_memory is not None:  # what fits is found out when the run begins
        images = min(images, 4)
    dataset = CocoDataset(config.data, config.train_split)
    model = dataclasses.replace(config.model, categories=dataset.categories)
    config = dataclasses.replace(
        config, model=model, batch_size=images, micro_batch=None, lr=0.0, backbone_weights=None, fit_memory=None
    )
    learner = Learner(begin(config, say=lambda text: None), config, world=alone(device))
    batch = trial_batch(config, dataset, images=images)
    learner.update(batch)
    start = time.perf_counter()
    for _ in range(UPDATES):
        learner.update(batch)  # returns when the device is done: it reads the loss
    return UPDATES * images / (time.perf_counter() - start)


def speeds(
    jobs: Sequence[Job], known: Sequence[Record], measure: Callable[[Job], float] = images_per_second
) -> dict[str, float]:
    """Images per second by row: as recorded on such a device, or measured once for all rows of one network."""
    found: dict[str, float] = {}
    of_network: dict[tuple[object, ...], float] = {}
    recorded: Mapping[str, float] = {
        record.row: record.images_per_s for record in known if record.images_per_s is not None
    }
    for job in jobs:
        row = job.row
        if not row.trained or row.name in found:
            continue
        network = (row.norm, row.masks, row.batch)
        if network not in of_network:
            of_network[network] = recorded.get(row.name) or measure(job)
        found[row.name] = of_network[network]
    return found


def text(jobs: Sequence[Job], by_row: Mapping[str, float], *, device: str) -> str:
    """The plan: for every run its images and hours, and the sum."""
    lines, total = [], 0.0
    width = max(len(job.row.name) for job in jobs)
    for job in jobs:
        row = job.row
        if not row.trained:
            lines.append(f"  {row.name:<{width}}  measured only")
            continue
        images = row.iterations(job.scale.iterations) * row.batch
        hours = images / by_row[row.name] / 3600
        total += hours
        lines.append(
            f"  {row.name:<{width}}  seed {job.seed}  {images:>9,} images at {by_row[row.name]:7.2f} a second: "
            f"{hours:8.1f} h"
        )
    return "\n".join([f"Plan for {device}:", *lines, f"  {'all':<{width}}  {total:,.1f} hours, one after another"])
