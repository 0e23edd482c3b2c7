"""A detector in use: from pixels to boxes in the image, as quickly as the machine allows."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from detection import postprocess
from detection.config import ModelConfig, Precision
from detection.data.batch import Batch
from detection.data.transforms import padded_size, resize, resized_size
from detection.fcos import FCOS
from detection.folding import fold as folded
from detection.postprocess import Detections

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Detector:
    """A network made ready for inference.

    Parameters
    ----------
    model : FCOS
        Left as it is; what is used is a copy.
    device : torch.device or str
    precision : "fp32", "bf16" or "fp16"
        Of the network's arithmetic; boxes and scores are always computed in float32.
    channels_last : bool
        Memory layout of images: faster, same numbers up to rounding.
    fold : bool
        Let convolutions do the normalisation that follows them: faster, same numbers up to rounding.
    """

    def __init__(
        self,
        model: FCOS,
        *,
        device: torch.device | str,
        precision: Precision = "fp32",
        channels_last: bool = True,
        fold: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.config: ModelConfig = model.config
        self.channels_last = channels_last
        self.precision = precision
        net = folded(model) if fold else copy.deepcopy(model).eval().requires_grad_(False)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model: FCOS = net.to(self.device)
        self.model.to(memory_format=layout)  # type: ignore[call-overload]

    def detect(self, images: Sequence[Tensor]) -> list[Detections]:
        """What is found in ``images``, uint8 [3, h, w] RGB of any sizes each: boxes in their own pixels.

        They are resized as the detector was trained to see them, and go through the network together, padded to the
        largest; one image at a time is quicker where they differ much.
        """
        if not images:
            return []
        originals = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        config = self.config
        sizes = [
            resized_size(*size, short_side=config.short_side, max_side=config.max_side, convention=config.resize)
            for size in originals
        ]
        resized = [resize(image, size, config.resize) for image, size in zip(images, sizes, strict=True)]
        batch = torch.zeros(len(images), 3, *padded_size(sizes, config.pad_to), dtype=resized[0].dtype)
        for row, image in zip(batch, resized, strict=True):
            row[:, : image.shape[1], : image.shape[2]] = image
        return self._detect(batch, torch.tensor(sizes), torch.tensor(originals))

    def detect_batch(self, batch: Batch) -> list[Detections]:
        """What is found in the images of a batch: boxes in the pixels of the stored images."""
        return self._detect(batch.images, batch.sizes, batch.originals)

    @torch.inference_mode()
    def _detect(self, images: Tensor, sizes: Tensor, originals: Tensor) -> list[Detections]:
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        images = images.to(self.device).contiguous(memory_format=layout)
        sizes, originals = sizes.to(self.device), originals.to(self.device)
        with torch.autocast(self.device.type, dtype=DTYPES[self.precision], enabled=self.precision != "fp32"):
            predictions = self.model(images, sizes)
        height, width = images.shape[-2:]
        found = postprocess.detect(predictions, sizes=sizes, config=self.config, image_size=(height, width))
        return [
            postprocess.to_original(one, size=size, original=original, config=self.config)
            for one, size, original in zip(found, sizes, originals, strict=True)
        ]
