"""Batches of a set for training and for evaluation."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from detection.config import ModelConfig, TrainConfig
from detection.data.batch import Batch, assemble, load
from detection.data.coco import CocoDataset
from detection.data.sampling import BatchSampler
from detection.data.transforms import padded_size, resized_size
from detection.data.workers import read_ahead
from detection.errors import InputError

__all__ = ["Batch", "EvalStream", "TrainStream", "eval_batches", "train_batches", "trainable"]

CHECKING_THREADS = 8
"""Threads that look at files before training; they wait for disks, and decoding leaves the interpreter to others."""

NAMED = 5
"""Broken images that are named; the others are counted."""

OR_SKIP = ", or leave broken images out with --skip-broken"


class TrainStream(Dataset[Batch]):
    """The training batches by iteration, from 0 up: a pure function of the set, the configuration and the rank.

    The effective batch of an iteration is that of `BatchSampler`; rank r of ``world`` has the r-th of its ``world``
    slices, padded to what the largest image of the whole effective batch needs, so that neither ranks nor micro-batches
    change what the network sees.

    Parameters
    ----------
    dataset
        Where images come from.
    config
        ``batch_size``, ``flip``, ``short_sides``, ``seed``, and of the model the sizes, the convention and whether (and
        of what part) it finds masks, which batches have then.
    indices
        Images to train on (see `trainable`), at least one.
    rank, world
        Which process this is, of how many.

    Raises
    ------
    InputError
        If the processes cannot share a batch evenly.
    """

    def __init__(
        self,
        dataset: CocoDataset,
        *,
        config: TrainConfig,
        indices: Sequence[int],
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank is {rank}, but it must be from 0 to {world - 1}")
        if config.batch_size % world:
            raise InputError(
                f"batch_size is {config.batch_size}, which {world} processes cannot share evenly; give a multiple of "
                f"{world}"
            )
        self.dataset, self.config, self.indices = dataset, config, tuple(indices)
        self.rank, self.world = rank, world
        sampled = [dataset.images[index] for index in self.indices]
        self.sampler = BatchSampler(
            np.array([image.height > image.width for image in sampled], dtype=np.bool_),
            batch_size=config.batch_size,
            flip=config.flip,
            short_sides=config.short_sides or (config.model.short_side,),
            seed=config.seed,
            same_side=config.same_side,
        )

    def __getitem__(self, iteration: int) -> Batch:
        """This rank's share of the effective batch.

        Raises
        ------
        InputError
            If an image cannot be read.
        """
        draws, model = self.sampler.batch(iteration), self.config.model
        indices = [self.indices[draw.image] for draw in draws]
        sizes = [_size(self.dataset, index, model, draw.short_side) for index, draw in zip(indices, draws, strict=True)]
        share = range(self.rank * len(draws) // self.world, (self.rank + 1) * len(draws) // self.world)
        try:
            examples = [
                load(
                    self.dataset,
                    indices[at],
                    sizes[at],
                    convention=model.resize,
                    flipped=draws[at].flip,
                    masks=model.masks != "none",
                    largest=model.masks == "polar" and model.mask_part == "largest",
                )
                for at in share
            ]
        except InputError as error:
            raise InputError(f"{error}{'' if self.config.skip_broken else OR_SKIP}") from error
        return assemble(examples, padded_size(sizes, model.pad_to))


class EvalStream(Dataset[Batch]):
    """All images of a set in their order, ``batch_size`` at a time, as ``model`` wants them."""

    def __init__(self, dataset: CocoDataset, *, model: ModelConfig, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, but a batch has at least 1 image")
        self.dataset, self.model, self.batch_size = dataset, model, batch_size

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.dataset) // self.batch_size)

    def __getitem__(self, batch: int) -> Batch:
        """A batch; the last may have fewer images.

        Raises
        ------
        InputError
            If an image cannot be read.
        """
        start = batch * self.batch_size
        indices = range(start, min(start + self.batch_size, len(self.dataset)))
        sizes = [_size(self.dataset, index, self.model, self.model.short_side) for index in indices]
        examples = [
            load(self.dataset, index, size, convention=self.model.resize)
            for index, size in zip(indices, sizes, strict=True)
        ]
        return assemble(examples, padded_size(sizes, self.model.pad_to))


def train_batches(
    dataset: CocoDataset,
    *,
    config: TrainConfig,
    start: int,
    indices: Sequence[int] | None = None,
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """This rank's share of the batches of iteration ``start``, ``start`` + 1, ... without end (see `TrainStream`).

    Without ``indices`` files are looked at before this returns (see `images_to_train_on`). ``config.workers`` processes
    read ahead; 0 reads when asked. Neither changes a batch.

    Raises
    ------
    InputError
        At once, as `trainable` and `TrainStream` do, or for a mask that an object lacks; later, in the iteration
        that needs it, for an image whose pixels turn out to be damaged.
    """
    if indices is None:
        indices = images_to_train_on(dataset, skip_broken=config.skip_broken, speak=rank == 0)
    if config.model.masks != "none":
        refuse_bare(dataset)
    stream = TrainStream(dataset, config=config, indices=indices, rank=rank, world=world)
    pin_memory = config.device != "cpu" and torch.cuda.is_available()
    return read_ahead(stream, itertools.count(start), workers=config.workers, pin_memory=pin_memory)


def refuse_bare(dataset: CocoDataset) -> None:
    """Refuse, with an InputError, a set in which an object other than a crowd has no mask."""
    if bare := dataset.without_mask:
        raise InputError(
            f"{dataset.annotation_file}: annotation {bare[0]} has no segmentation, which masks are made of; give one "
            f"({len(bare)} have none)"
        )


def eval_batches(dataset: CocoDataset, *, model: ModelConfig, batch_size: int, workers: int) -> Iterator[Batch]:
    """All images in their order, also those without objects; the boxes and labels are without crowds.

    Raises
    ------
    InputError
        When it comes to an image that cannot be read.
    """
    stream = EvalStream(dataset, model=model, batch_size=batch_size)
    return read_ahead(stream, range(len(stream)), workers=workers, pin_memory=False)


def images_to_train_on(dataset: CocoDataset, *, skip_broken: bool, speak: bool) -> list[int]:
    """The images that `trainable` finds; with ``speak``, stderr is told which broken ones are left out."""
    indices, broken = trainable(dataset, skip_broken=skip_broken, progress=speak)
    if broken and speak:
        print(_left_out(dataset, broken), file=sys.stderr)
    return indices


def trainable(
    dataset: CocoDataset, *, skip_broken: bool = False, progress: bool = False
) -> tuple[list[int], dict[int, str]]:
    """The images to train on, those with objects other than crowds, and what is wrong with those left out, by index.

    Every file is looked at before training begins: whether it is there, and whether its header tells of the annotated
    size. With ``skip_broken`` it is also decoded, because which images are left out must be known before the first
    batch: the order of the others depends on their number. ``progress`` shows how far that is, on a terminal.

    Raises
    ------
    InputError
        If no image has objects, or one is broken and not to be skipped, or all are.
    """
    indices = dataset.with_objects
    if not indices:
        raise InputError(
            f"{dataset.annotation_file} has no object to learn: none of its {len(dataset)} images has a box with an "
            "area that is not a crowd's; give a set with boxes"
        )
    look = dataset.read if skip_broken else dataset.check_header
    with ThreadPoolExecutor(CHECKING_THREADS) as threads:
        complaints = list(
            tqdm(
                threads.map(lambda index: _complaint(look, index), indices),
                total=len(indices),
                desc="checking images",
                unit="image",
                leave=False,
                disable=None if progress else True,
            )
        )
    broken = {index: said for index, said in zip(indices, complaints, strict=True) if said is not None}
    if broken and not skip_broken:
        others = "" if len(broken) == 1 else f" ({len(broken)} of {len(indices)} are broken)"
        raise InputError(f"{next(iter(broken.values()))}{OR_SKIP}{others}")
    if len(broken) == len(indices):
        raise InputError(
            f"{dataset.image_directory} has no image to train on, all {len(indices)} are broken: "
            f"{next(iter(broken.values()))}"
        )
    return [index for index in indices if index not in broken], broken


def _size(dataset: CocoDataset, index: int, model: ModelConfig, short_side: int) -> tuple[int, int]:
    image = dataset.images[index]
    return resized_size(
        image.height, image.width, short_side=short_side, max_side=model.max_side, convention=model.resize
    )


def _complaint(look: Callable[[int], Any], index: int) -> str | None:
    try:
        look(index)
    except InputError as error:
        return str(error)
    return None


def _left_out(dataset: CocoDataset, broken: dict[int, str]) -> str:
    named = [f"  {said}" for said in itertools.islice(broken.values(), NAMED)]
    if len(broken) > NAMED:
        named.append(f"  and {len(broken) - NAMED} more")
    return "\n".join([f"left out {len(broken)} broken images of {len(dataset)} in {dataset.image_directory}:", *named])
