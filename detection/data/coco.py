"""A set of images with annotations in COCO's format, as tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detection.data import annotation_file, masks
from detection.data.annotation_file import ImageInfo
from detection.data.images import check_header, read_image
from detection.errors import InputError

__all__ = ["Annotations", "CocoDataset", "ImageInfo"]


class Annotations(NamedTuple):
    """The n objects annotated in an image, in the order of the file."""

    boxes: Tensor
    """float32 [n, 4], xyxy in pixels, clipped to the image, all with an area."""
    labels: Tensor
    """int64 [n], indices into the set's categories."""
    crowd: Tensor
    """bool [n]: the box is around many objects that were not told apart."""
    ids: Tensor
    """int64 [n], of the annotations."""
    areas: Tensor
    """float32 [n], as annotated (COCO's are of the masks); of the clipped box where nothing is said."""
    segmentations: list[Any]
    """COCO's form: a list of polygons, an object with run lengths, or None."""


def annotation_file_of(root: Path | str, split: str) -> Path:
    """Where a COCO-format set keeps the annotations of a split."""
    return Path(root) / "annotations" / f"instances_{split}.json"


class CocoDataset:
    """The images of ``root/split`` and what ``root/annotations/instances_{split}.json`` says of them.

    Boxes are clipped to their image. Those of which no area is left, because they are outside or have no width or no
    height, cannot be learned or found: they are left out, and `dropped` has their annotations' ids.

    Raises
    ------
    InputError
        If the directory of the images is missing, or the file is not what `annotation_file.read` asks for.
    """

    def __init__(self, root: Path | str, split: str) -> None:
        self.root, self.split = Path(root), split
        self.annotation_file = annotation_file_of(self.root, split)
        self.image_directory = self.root / split
        contents = annotation_file.read(self.annotation_file)
        if not self.image_directory.is_dir():
            raise InputError(
                f"{self.image_directory} is no directory; the images of {self.annotation_file} belong there"
            )
        self.images = contents.images
        self.categories = contents.categories

        sides = np.array([(image.width, image.height) * 2 for image in self.images], dtype=np.float64)
        corners = contents.boxes.copy()
        corners[:, 2:] += corners[:, :2]
        # Clipped before the numbers are rounded to float32, so that a far corner cannot move a near one.
        boxes = np.clip(corners, 0, sides[contents.image]).astype(np.float32)
        extent = boxes[:, 2:] - boxes[:, :2]
        kept = (extent > 0).all(axis=1)
        area = np.where(np.isnan(contents.areas), extent.prod(axis=1), contents.areas)
        self.dropped: tuple[int, ...] = tuple(contents.ids[~kept].tolist())
        self._starts = np.searchsorted(contents.image[kept], np.arange(len(self.images) + 1))
        self._boxes = boxes[kept]
        self._labels, self._crowd, self._ids = contents.labels[kept], contents.crowd[kept], contents.ids[kept]
        self._areas = area[kept].astype(np.float32)
        self._segmentations = [contents.segmentations[at] for at in np.flatnonzero(kept)]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def ids(self) -> NDArray[np.int64]:
        """int64 [n]: of all annotations, image by image."""
        return self._ids

    def path(self, index: int) -> Path:
        """Where the image lies."""
        return self.image_directory / self.images[index].file_name

    def annotations(self, index: int) -> Annotations:
        """What is annotated in an image, crowds too."""
        rows = self._rows(index)
        packed = self._segmentations[rows]
        return Annotations(
            boxes=torch.tensor(self._boxes[rows]),
            labels=torch.tensor(self._labels[rows]),
            crowd=torch.tensor(self._crowd[rows]),
            ids=torch.tensor(self._ids[rows]),
            areas=torch.tensor(self._areas[rows]),
            segmentations=[None if one is None else annotation_file.unpack(one) for one in packed],
        )

    def has_objects(self, index: int) -> bool:
        """Whether any box is annotated in an image that is not a crowd's."""
        return not self._crowd[self._rows(index)].all()

    @property
    def with_objects(self) -> list[int]:
        """The images that `has_objects`: those that there is something to learn from."""
        return [index for index in range(len(self)) if self.has_objects(index)]

    def read(self, index: int) -> Tensor:
        """An image's pixels as stored, uint8 [3, height, width], RGB (see `images.read_image`).

        Raises
        ------
        InputError
            If the file is missing, damaged or of another size than annotated; the sentence names it.
        """
        return read_image(self.path(index), **self._expected(index))

    def check_header(self, index: int) -> None:
        """Refuse, with an InputError, an image that is missing or whose header shows that `read` would refuse it."""
        check_header(self.path(index), **self._expected(index))

    def masks(self, index: int, *, crowd: bool = True) -> Tensor:
        """The masks of an image's annotations, uint8 [n, height, width] of 0 and 1, in their order.

        Without ``crowd`` those of crowds are left out.

        Raises
        ------
        InputError
            If an annotation has no segmentation, or one with broken run lengths; the sentence names it.
        """
        rows, image = self._rows(index), self.images[index]
        drawn = [self._mask(at, image) for at in range(rows.start, rows.stop) if crowd or not self._crowd[at]]
        shape = (len(drawn), image.height, image.width)
        return torch.from_numpy(np.stack(drawn)) if drawn else torch.zeros(shape, dtype=torch.uint8)

    @property
    def without_mask(self) -> list[int]:
        """Ids of the annotations, other than crowds, that have no segmentation."""
        rows = (at for at, packed in enumerate(self._segmentations) if packed is None and not self._crowd[at])
        return [int(self._ids[at]) for at in rows]

    def _mask(self, at: int, image: ImageInfo) -> np.ndarray[Any, np.dtype[np.uint8]]:
        packed = self._segmentations[at]
        where = f"{self.annotation_file}: annotation {self._ids[at]}"
        if packed is None:
            raise InputError(f"{where} has no segmentation, which masks are made of; give it one")
        try:
            return masks.decode(annotation_file.unpack(packed), image.height, image.width)
        except ValueError as error:
            raise InputError(f"{where} has a segmentation that {error}; give polygons or run lengths") from error

    def _rows(self, index: int) -> slice:
        if not 0 <= index < len(self.images):
            raise IndexError(f"there is no image {index} among {len(self.images)}")
        return slice(int(self._starts[index]), int(self._starts[index + 1]))

    def _expected(self, index: int) -> dict[str, Any]:
        image = self.images[index]
        return {"size": (image.height, image.width), "name": f"image {image.id}"}
