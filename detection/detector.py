"""A detector in use: from pixels to boxes in the image, as quickly as the machine allows."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detection import masks, postprocess
from detection.config import ModelConfig, Precision
from detection.data.batch import Batch
from detection.data.transforms import padded_size, resize, resized_size
from detection.fcos import FCOS, Maps, Predictions
from detection.folding import fold as folded
from detection.packing import pack
from detection.postprocess import Detections
from detection.targets import locations

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Detector:
    """A network made ready for inference.

    Parameters
    ----------
    model : FCOS
        Left as it is; what is used is a copy.
    device : torch.device or str
    precision : "fp32", "bf16" or "fp16"
        Of the network's weights and features; boxes and scores are always computed in float32.
    channels_last : bool
        Memory layout of images: faster, same numbers up to rounding.
    fold : bool
        Let convolutions do the normalisation that follows them, and on a CPU, where images have their channels last,
        compute those of 3x3 by fewer multiplications and lay out the weights of the others as its kernels want them:
        faster, same numbers up to rounding.
    masks : bool
        Find masks too, if the network says any; otherwise what says them is not computed.
    """

    def __init__(
        self,
        model: FCOS,
        *,
        device: torch.device | str,
        precision: Precision = "fp32",
        channels_last: bool = True,
        fold: bool = True,
        masks: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.config: ModelConfig = model.config
        self.channels_last = channels_last
        self.precision = precision
        net = folded(model) if fold else copy.deepcopy(model).eval().requires_grad_(False)
        net.to(self.device)
        if not masks:
            net.masks = None
        if fold and channels_last and self.device.type == "cpu":
            from detection import winograd  # here, because Numba takes a moment and nothing else needs it

            winograd.replace(net, DTYPES[precision])
        self.model: FCOS = _lowered(net, DTYPES[precision])
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model.to(memory_format=layout)  # type: ignore[call-overload]
        if fold and channels_last:
            pack(self.model)

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
        sides, stored = torch.tensor(sizes), torch.tensor(originals)
        height, width = batch.shape[-2:]
        return self._decided(self.predict(batch, sides), sides, stored, image_size=(height, width))

    def detect_batch(self, batch: Batch) -> list[Detections]:
        """What is found in the images of a batch: boxes in the pixels of the stored images."""
        height, width = batch.images.shape[-2:]
        predictions = self.predict(batch.images, batch.sizes)
        return self._decided(predictions, batch.sizes, batch.originals, image_size=(height, width))

    @torch.inference_mode()
    def maps_of(self, batch: Batch, *, pyramid: bool = True) -> Maps:
        """The feature maps of a batch, on the detector's device and in its precision; see `FCOS.maps`."""
        return self.model.maps(self._pixels(batch.images, batch.sizes), pyramid=pyramid)

    @torch.inference_mode()
    def detect_in_maps(self, batch: Batch, maps: Maps) -> list[Detections]:
        """What `detect_batch` finds, where the maps of the batch are already there."""
        height, width = batch.images.shape[-2:]
        predictions = self.model.read(maps.pyramid)
        return self._decided(predictions, batch.sizes, batch.originals, image_size=(height, width))

    @torch.inference_mode()
    def predict(self, images: Tensor, sizes: Tensor) -> Predictions:
        """What the network says of resized and padded ``images [B, 3, H, W]``, of ``sizes [B, 2]`` without padding."""
        return self.model.said(self._pixels(images, sizes))

    def _pixels(self, images: Tensor, sizes: Tensor) -> Tensor:
        """Images as the network takes them, on its device, in its precision and layout."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        pixels = self.model.normalised(images.to(self.device), sizes.to(self.device))
        return pixels.to(DTYPES[self.precision], memory_format=layout)

    @torch.inference_mode()
    def _decided(
        self, predictions: Predictions, sizes: Tensor, originals: Tensor, *, image_size: tuple[int, int]
    ) -> list[Detections]:
        """The detections that ``predictions`` mean, for a batch padded to ``image_size``."""
        config = self.config
        found = postprocess.detect(predictions, sizes=sizes.to(self.device), config=config, image_size=image_size)
        resized, stored = ([(h, w) for h, w in column.tolist()] for column in (sizes, originals))
        detections = [
            postprocess.to_original(one, size=size, original=original, config=config)
            for one, size, original in zip(found, resized, stored, strict=True)
        ]
        if (said := predictions.masks) is None:
            return detections
        where = locations(predictions.grid, config=config, image_size=image_size, device=self.device)
        with_masks = []
        for image, (one, size, original) in enumerate(zip(detections, resized, stored, strict=True)):
            assert one.places is not None
            drawn = masks.decode(said, image, one.places, where, size=size, original=original, config=config)
            with_masks.append(one._replace(masks=drawn))
        return with_masks


def _lowered(model: FCOS, dtype: torch.dtype) -> FCOS:
    """``model`` itself, its convolutions and group normalisations in ``dtype``.

    The scales of the levels and the statistics of batch normalisation, if it is not folded, keep all their digits.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.GroupNorm):
            module.to(dtype)
    return model
