"""On what something was measured: figures of time mean nothing without it."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = ("torch", "numpy", "pycocotools")
"""What the figures of a detector depend on."""


def device_name(device: torch.device | str) -> str:
    """The GPU's or the processor's name, as it says itself."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor() or platform.processor() or platform.machine() or "cpu"


def versions() -> dict[str, str]:
    """Of Python and of the packages that the figures depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def _processor() -> str:
    """Where Linux names it; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
