"""Detectors of other projects: how their files name the weights, and by which conventions they see and decide."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from detection.conversions import adelaidet, original, torchvision
from detection.conversions.naming import Source

SourceName = Literal["torchvision", "fcos", "adelaidet"]
"""torchvision; the original FCOS (maskrcnn-benchmark); AdelaiDet (detectron2)."""

SOURCES: Mapping[SourceName, Source] = {
    "torchvision": torchvision.SOURCE,
    "fcos": original.SOURCE,
    "adelaidet": adelaidet.SOURCE,
}


def recognised(names: Collection[str]) -> SourceName | None:
    """Whose detector has weights of these names, if that of one of `SOURCES`."""
    for source, about in SOURCES.items():
        if about.mark in names:
            return source
    return None
