"""A batch of images and their objects, and how it is made of a set's files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detection.data.bitmaps import largest_parts
from detection.data.coco import CocoDataset
from detection.data.transforms import Convention, flip, flip_boxes, resize, resize_boxes, resize_masks


class Batch(NamedTuple):
    """B images of a set, resized and padded with zeros at the bottom and on the right, and their objects."""

    images: Tensor
    """[B, 3, H, W] RGB 0 to 255: uint8, or float32 by torchvision's convention."""
    sizes: Tensor
    """int64 [B, 2]: height and width before padding."""
    originals: Tensor
    """int64 [B, 2]: height and width of the stored images."""
    boxes: list[Tensor]
    """float32 [n, 4] each: xyxy in resized pixels, without crowds."""
    labels: list[Tensor]
    """int64 [n] each."""
    masks: list[Tensor] | None
    """uint8 [n, h, w] each (h, w as in ``sizes``), where they were asked for."""
    image_ids: list[int]

    def to(self, device: torch.device | str, *, channels_last: bool = False) -> Batch:
        """The batch on ``device``, the images in the given memory layout; copies from pinned memory do not wait.

        Masks stay where they are: they are many, and needed for a moment only (see `detection.training.step.to_say`).
        """
        layout = torch.channels_last if channels_last else torch.contiguous_format

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return self._replace(
            images=move(self.images).contiguous(memory_format=layout),
            sizes=move(self.sizes),
            originals=move(self.originals),
            boxes=[move(boxes) for boxes in self.boxes],
            labels=[move(labels) for labels in self.labels],
        )

    def split(self, size: int) -> list[Batch]:
        """Micro-batches of ``size`` images (the last may have fewer), padded as the whole batch is."""
        if size < 1:
            raise ValueError(f"size is {size}, but a micro-batch has at least 1 image")
        parts = (slice(at, at + size) for at in range(0, len(self.image_ids), size))
        return [
            Batch(
                images=self.images[part],
                sizes=self.sizes[part],
                originals=self.originals[part],
                boxes=self.boxes[part],
                labels=self.labels[part],
                masks=None if self.masks is None else self.masks[part],
                image_ids=self.image_ids[part],
            )
            for part in parts
        ]


class Example(NamedTuple):
    """One image of a batch to be, read, resized and flipped: [3, h, w], with what `Batch` has of each image."""

    image: Tensor
    original: tuple[int, int]
    boxes: Tensor
    labels: Tensor
    masks: Tensor | None
    image_id: int


def load(
    dataset: CocoDataset,
    index: int,
    size: tuple[int, int],
    *,
    convention: Convention,
    flipped: bool = False,
    masks: bool = False,
    largest: bool = False,
) -> Example:
    """Image ``index`` of ``dataset`` resized to ``size`` (height, width), and its objects without crowds.

    Where there shall be ``masks``, only the largest part of each is left if ``largest``.

    Raises
    ------
    InputError
        If the image cannot be read or, with ``masks``, an object's mask.
    """
    pixels, annotations = dataset.read(index), dataset.annotations(index)
    original = (pixels.shape[1], pixels.shape[2])
    image = resize(pixels, size, convention)
    alone = ~annotations.crowd
    boxes = resize_boxes(annotations.boxes[alone], original, size)
    drawn = resize_masks(dataset.masks(index, crowd=False), size) if masks else None
    if drawn is not None and largest:
        drawn = largest_parts(drawn)
    if flipped:
        image, boxes = flip(image), flip_boxes(boxes, size[1])
        drawn = None if drawn is None else flip(drawn)
    return Example(image, original, boxes, annotations.labels[alone], drawn, dataset.images[index].id)


def assemble(examples: Sequence[Example], size: tuple[int, int]) -> Batch:
    """The batch of ``examples``, padded to ``size`` (height, width)."""
    first = examples[0].image
    # Channels last, as the pixels come out of the decoder and as convolutions like them.
    images = torch.empty((len(examples), 3, *size), dtype=first.dtype, memory_format=torch.channels_last).zero_()
    for row, example in zip(images, examples, strict=True):
        row[:, : example.image.shape[1], : example.image.shape[2]] = example.image
    masks = [example.masks for example in examples if example.masks is not None]
    return Batch(
        images=images,
        sizes=torch.tensor([example.image.shape[1:] for example in examples]),
        originals=torch.tensor([example.original for example in examples]),
        boxes=[example.boxes for example in examples],
        labels=[example.labels for example in examples],
        masks=masks or None,
        image_ids=[example.image_id for example in examples],
    )
