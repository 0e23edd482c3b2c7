"""What rows will take, before they start: measured on the device at hand, not guessed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import torch

from detection.data.coco import CocoDataset
from detection.errors import InputError
from detection.training.distributed import alone, chosen_device
from detection.training.learner import Learner, begin
from detection.training.step import uses_batch_statistics
from detection.training.trial import trial_batch
from experiments.lab import runs
from experiments.lab.records import Record
from experiments.lab.runs import Job
from experiments.machine import device_name
from experiments.workers import processors, workers

UPDATES = 3
"""That are timed, after one to warm up."""
FEW_IMAGES = 4
"""Images of an update where a batch is accumulated; on a CPU one is enough, for more at once are no faster."""


def images_per_second(job: Job) -> float:
    """How many images of the largest size a row learns from in a second, measured by updates of noise.

    Real batches are smaller than the largest, so that this is a little too low; reading images is left out.

    Raises
    ------
    InputError
        If the device has no memory for the batch.
    """
    config = runs.parsed(job)
    device = chosen_device(job.device)
    images = config.batch_size if config.fit_memory is None else min(config.batch_size, FEW_IMAGES)
    if device.type == "cpu":
        images = 1 + uses_batch_statistics(config.model)  # of a single image there may be none
    dataset = CocoDataset(config.data, config.train_split)
    model = dataclasses.replace(config.model, categories=dataset.categories)
    config = dataclasses.replace(
        config, model=model, batch_size=images, micro_batch=None, lr=0.0, backbone_weights=None, fit_memory=None
    )
    learner = Learner(begin(config, say=lambda text: None), config, world=alone(device))
    batch = trial_batch(config, dataset, images=images)
    try:
        learner.update(batch)
        start = time.perf_counter()
        for _ in range(UPDATES):
            learner.update(batch)  # returns when the device is done: it reads the loss
    except torch.cuda.OutOfMemoryError:
        raise InputError(
            f"row {job.row.name}: a batch of {images} does not fit into the memory of {device_name(device)}; give "
            "--fit-memory GIB for a batch of 16, or another device"
        ) from None
    return UPDATES * images / (time.perf_counter() - start)


def in_a_process_of_its_own(job: Job) -> float:
    """`images_per_second`, measured where it leaves nothing behind in the memory that the run is going to need."""
    with workers(1, threads=processors(), fresh=True) as pool:
        return pool.submit(images_per_second, job).result()


def speeds(
    jobs: Sequence[Job], known: Sequence[Record], measure: Callable[[Job], float] = in_a_process_of_its_own
) -> dict[str, float]:
    """Images per second by row: as recorded on this device with these settings, or measured.

    Rows of one network and one batch are measured once.
    """
    found: dict[str, float] = {}
    of_network: dict[tuple[object, ...], float] = {}
    for job in jobs:
        row = job.row
        if not row.trained or row.name in found:
            continue
        here = device_name(chosen_device(job.device))
        recorded = [one.images_per_s for one in known if one.row == row.name and one.device == here]
        network = (row.norm, row.masks, row.batch, row.pretrained, job.data_name)
        if network not in of_network:
            of_network[network] = next((speed for speed in recorded if speed is not None), None) or measure(job)
        found[row.name] = of_network[network]
    return found


def text(jobs: Sequence[Job], by_row: dict[str, float], *, device: str, side_by_side: int = 1) -> str:
    """The plan: for every run the images that it still has to learn from and its hours, and the sum."""
    lines, total = [], 0.0
    width = max(len(job.row.name) for job in jobs)
    for job in jobs:
        row = job.row
        if not row.trained:
            lines.append(f"  {row.name:<{width}}  measured only")
            continue
        done = runs.progress(job)
        images = job.images - done * row.batch
        hours = images / by_row[row.name] / 3600
        total += hours
        goes_on = f" (goes on after update {done:,})" if done else ""
        lines.append(
            f"  {row.name:<{width}}  seed {job.seed}  {images:>9,} images at {by_row[row.name]:7.2f} a second: "
            f"{hours:8.2f} h{goes_on}"
        )
    how = f"{side_by_side} at a time" if side_by_side > 1 else "one after another"
    total /= side_by_side
    return "\n".join([f"Plan for {device}:", *lines, f"  {'all':<{width}}  {total:,.2f} hours of learning, {how}"])
