"""Detectors on disk: weights, the configuration that builds the network for them, and where a training run stood.

A file is PyTorch's zip archive of tensors and plain values. Reading one executes nothing, and the sums in the archive
tell a damaged file from a whole one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detection import files, tensor_files
from detection.config import ModelConfig, from_json, to_json
from detection.conversions import recognised
from detection.conversions.naming import refuse_misfits, refuse_not_finite
from detection.errors import InputError
from detection.fcos import FCOS

FORMAT = "fcos-checkpoint"
"""What the file says that it is."""
VERSION = 1

KEYS = frozenset({"format", "version", "config", "weights", "training", "source"})

WRAPPERS = ("model", "state_dict")
"""Under which other programs keep the weights beside other things."""

LEADING = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""


@dataclass(frozen=True)
class Checkpoint:
    """A detector, and the training run that it is from."""

    config: ModelConfig
    weights: dict[str, Tensor]
    """Parameters and buffers by the names of `FCOS`."""
    training: dict[str, Any] | None
    """Where the run stood (iteration, images, optimizer, ema, scaler, configuration), or None if there is none."""
    source: str
    """What it was made by, for people to read."""


def save(path: Path | str, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint``, whole or not at all.

    Raises
    ------
    TypeError
        If it holds anything but tensors and plain values, which `load` would refuse.
    OSError
        If ``path`` cannot be written.
    """
    contents = {
        "format": FORMAT,
        "version": VERSION,
        "config": to_json(checkpoint.config),
        "weights": checkpoint.weights,
        "training": checkpoint.training,
        "source": checkpoint.source,
    }
    _refuse_objects(contents, "checkpoint")
    with files.replacing(path) as stream:
        torch.save(contents, stream)


def load(path: Path | str) -> Checkpoint:
    """The checkpoint in a file, its tensors on the CPU.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another version or no checkpoint; for weights of other projects the
        sentence says how to convert them.
    """
    contents = tensor_files.read(Path(path), name="checkpoint")
    if not isinstance(contents, Mapping) or contents.get("format") != FORMAT:
        raise InputError(_foreign(contents, path))
    if contents.get("version") != VERSION:
        raise InputError(
            f"checkpoint {path} has version {contents.get('version')!r} of its format, but this program reads "
            f"{VERSION}; use the program that wrote it, or train anew"
        )
    fields, weights, training = (contents.get(key) for key in ("config", "weights", "training"))
    whole = (
        contents.keys() == KEYS
        and isinstance(fields, Mapping)
        and isinstance(weights, Mapping)
        and all(isinstance(n, str) and isinstance(w, Tensor) for n, w in weights.items())
        and (training is None or isinstance(training, dict))
        and isinstance(contents["source"], str)
    )
    if not whole:
        raise InputError(f"checkpoint {path} has been changed since it was written; give one as the program wrote it")
    assert isinstance(fields, Mapping)
    assert isinstance(weights, Mapping)
    config = from_json(ModelConfig, fields, source=f"checkpoint {path}")
    return Checkpoint(config, dict(weights), training, contents["source"])


def build(checkpoint: Checkpoint, *, ema: bool = True) -> FCOS:
    """The detector, in evaluation mode, on the CPU; with the averaged weights of its training where there are some.

    Raises
    ------
    InputError
        If the weights are not those of the network that the configuration describes, or not finite.
    """
    model = blank(checkpoint.config)
    weights = dict(checkpoint.weights)
    averaged = (checkpoint.training or {}).get("ema")
    if ema and averaged:
        weights.update(averaged)
    refuse_misfits(weights, model.state_dict(), path="the checkpoint", of="the network of its configuration")
    refuse_not_finite(weights, path="the checkpoint")
    model.load_state_dict(weights)
    return model.eval()


def blank(config: ModelConfig) -> FCOS:
    """A detector for weights to be put in. Those it begins with are random, but nobody else's random numbers change."""
    with torch.random.fork_rng(devices=[]):
        return FCOS(config)


def fingerprint(path: Path | str) -> str:
    """The SHA-256 of a file, in hexadecimal: which checkpoint a result is from."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_weights(path: Path, *, name: str = "file") -> dict[str, Tensor]:
    """The weights by name in a file of any project, .pth or .safetensors, perhaps beside other things.

    Executes nothing; ``name`` is what errors call the file.

    Raises
    ------
    InputError
        If the file is missing or damaged, could only be read by running code, or has no weights by name.
    """
    contents = tensor_files.read(path, name=name)
    if isinstance(contents, Mapping) and contents.get("format") == FORMAT:
        raise InputError(f"{name} {path} is a checkpoint of this program already; use it as it is")
    found = _weights(contents)
    if not found:
        raise InputError(f"{name} {path} holds no weights by name; give a file with the state dict of a detector")
    return found


def _weights(contents: Any) -> dict[str, Tensor]:
    """The tensors by name in ``contents``, without what programs put around them."""
    for wrapper in WRAPPERS:
        if isinstance(contents, Mapping) and isinstance(contents.get(wrapper), Mapping):
            contents = contents[wrapper]
    if not isinstance(contents, Mapping):
        return {}
    found = {str(name): value for name, value in contents.items() if isinstance(value, Tensor)}
    for prefix in LEADING:
        if found and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def _foreign(contents: Any, path: Path | str) -> str:
    weights = _weights(contents)
    source = recognised(weights)
    if source is not None:
        return (
            f"checkpoint {path} has the weights of another project; convert it with "
            f"python -m detection.convert --from {source} {path} OUT"
        )
    if {"conv1.weight", "layer1.0.conv1.weight"} <= weights.keys():
        return f"checkpoint {path} has the weights of a backbone alone; give those of a detector"
    return f"checkpoint {path} was not written by this program; give the last.pt of a training run"


def _refuse_objects(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_objects(key, f"the keys of {where}")
            _refuse_objects(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_objects(item, f"{where}[{index}]")
    elif type(value) not in (type(None), bool, int, float, str, bytes, Tensor, torch.nn.Parameter):
        raise TypeError(f"{where} is a {type(value).__name__}, but a checkpoint holds only tensors and plain values")
