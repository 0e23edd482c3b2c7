"""The directory of a run: begun once, and gone on with only by what leads to the same result."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

from detection import checkpoints
from detection.checkpoints import Checkpoint
from detection.config import ModelConfig, TrainConfig, from_json, to_json
from detection.errors import InputError
from detection.files import write_json
from detection.training.loop import CHECKPOINT
from detection.training.optimisation import same_rates
from detection.training.step import uses_batch_statistics

CONFIG = "config.json"
FILES = (CHECKPOINT, "log.jsonl")
"""What only a run that has begun to learn leaves in a directory."""

FREE = frozenset(
    {
        "data",  # may have moved; whether it is the same is seen from its annotations
        "out",
        "val_split",
        "device",
        "workers",
        "channels_last",
        "compile",
        "checkpoint_activations",
        "deterministic",
        "fit_memory",
        "log_every",
        "checkpoint_every",
        "evaluate_every",
        "tensorboard",
    }
)
"""Fields that change nothing of what is learned, or only its rounding."""

LENGTH = frozenset({"max_iterations", "max_images"})


class Saved(NamedTuple):
    """A run on disk."""

    config: TrainConfig
    checkpoint: Checkpoint | None
    """None if it was stopped before its first checkpoint."""

    @property
    def training(self) -> dict[str, Any]:
        """Where it stood; empty if it has no checkpoint."""
        return {} if self.checkpoint is None else self.checkpoint.training or {}


def refuse_taken(out: Path) -> None:
    """Refuse, with an InputError, to begin a run where there is one."""
    there = [name for name in FILES if (out / name).exists()]
    if there:
        raise InputError(f"out is {out}, which holds a run ({there[0]}); give --resume to go on with it, or another")


def write_config(config: TrainConfig) -> None:
    """Write what the run is, for people and to go on from."""
    write_json(config.out / CONFIG, to_json(config))


def read_config(out: Path) -> TrainConfig:
    """What the run in ``out`` is.

    Raises
    ------
    InputError
        If there is none, or its file cannot be read.
    """
    path = out / CONFIG
    try:
        fields = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"out is {out}, which holds no run to go on with (no {CONFIG}); leave --resume out") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); give a directory that a run has been written to") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path} holds no configuration; give a directory that a run has been written to")
    return dataclasses.replace(from_json(TrainConfig, fields, source=str(path)), out=out)


def read(out: Path) -> Saved:
    """The run in ``out``, with its checkpoint if it has got so far."""
    config = read_config(out)
    path = out / CHECKPOINT
    if not path.exists():
        return Saved(config, None)
    checkpoint = checkpoints.load(path)
    if checkpoint.training is None:
        raise InputError(f"{path} is a detector without the state of its training; it can only be given as weights")
    return Saved(config, checkpoint)


def refuse_changes(saved: TrainConfig, asked: TrainConfig, *, done: int) -> None:
    """Refuse to go on, after ``done`` updates, by a configuration that would have led elsewhere.

    The length may change as far as the learning rates up to here do not.

    Raises
    ------
    InputError
        Naming the field.
    """
    for field in dataclasses.fields(ModelConfig):
        before, now = getattr(saved.model, field.name), getattr(asked.model, field.name)
        if before != now:
            raise InputError(_changed(field.name, before, now, asked.out))
    free = FREE if uses_batch_statistics(saved.model) else FREE | {"micro_batch"}
    for field in dataclasses.fields(TrainConfig):
        before, now = getattr(saved, field.name), getattr(asked, field.name)
        if before != now and field.name not in free | LENGTH | {"model"}:
            raise InputError(_changed(field.name, before, now, asked.out))
    name = "max_images" if asked.max_iterations is None else "max_iterations"
    if asked.iterations < done:
        raise InputError(
            f"{name} is {getattr(asked, name)}, but the run in {asked.out} has done {done} iterations already; give at "
            "least as many"
        )
    if not same_rates(saved, asked, iterations=done):
        raise InputError(
            f"{name} is {getattr(asked, name)}, but the run in {asked.out} was begun for {saved.iterations} iterations,"
            f" and its first {done} would have had other learning rates; leave it out, or start a new run"
        )


def _changed(name: str, before: object, now: object, out: Path) -> str:
    return f"{name} is {now}, but the run in {out} was begun with {before}; leave it out, or start a new run"
