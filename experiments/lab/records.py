"""What was measured of a row: one small file for every run, with all that somebody needs to believe or repeat it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detection.coco_eval import NUMBERS
from detection.errors import InputError
from detection.files import write_json

VERSION = 1

Numbers = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One detector, trained once and measured."""

    row: str
    """Name of the `rows.Row`."""
    scale: str
    """"coco" or "mini": figures of different scales are never set side by side."""
    data: str
    """Name of the set that it learned from and was measured on."""
    seed: int
    commands: tuple[str, ...]
    """That train and measure it, as they can be typed; where data lie is for whoever types them."""
    settings: Mapping[str, Any]
    """All fields of its training that change what is learned; empty where nothing was trained."""
    annotations: str
    """Fingerprint of the annotations that it learned from, or was measured by."""
    program: str
    """Fingerprint of the program."""
    iterations: int
    batch: int
    train_images: int
    """Images with objects that it learned from; 0 where nothing was trained."""
    in_parts: bool
    """Whether the batch went through the network in parts."""
    diverged: int | None
    """The updates after which the loss was no number; its numbers are then none."""
    split: str
    """That it was measured on."""
    boxes: Numbers
    """COCO's 12 numbers; None where one is not defined."""
    masks: Numbers | None
    images_per_s: float | None
    """Of training; None for what was only measured."""
    seconds: float
    """Of training and measuring together."""
    device: str
    versions: Mapping[str, str]
    measured_on: str
    """The day, as 2026-11-27."""

    @property
    def epochs(self) -> float:
        """How often every image was seen."""
        return self.iterations * self.batch / self.train_images if self.train_images else math.nan


def path_of(directory: Path, *, scale: str, data: str, row: str, seed: int) -> Path:
    """Where a record lies among others."""
    return directory / f"{scale}-{data}-{row}-seed{seed}.json"


def write(record: Record, directory: Path) -> Path:
    """Write a record, whole or not at all; returns where."""
    path = path_of(directory, scale=record.scale, data=record.data, row=record.row, seed=record.seed)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(path, {"version": VERSION, **dataclasses.asdict(record)})
    return path


def read(path: Path) -> Record:
    """The record in a file.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no record of this version.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it to measure that row again") from error
    names = {field.name for field in dataclasses.fields(Record)}
    if not isinstance(fields, dict) or fields.pop("version", None) != VERSION or fields.keys() != names:
        raise InputError(f"{path} holds no record of this version; remove it to measure that row again")
    _refuse_wrong(fields, path)
    return Record(**{**fields, "commands": tuple(fields["commands"])})


def read_all(directory: Path, *, scale: str) -> list[Record]:
    """All records of a scale in a directory, in the order of their names; none where there is no directory."""
    return [read(path) for path in sorted(directory.glob(f"{scale}-*.json"))]


def of_row(records: Iterable[Record], row: str) -> list[Record]:
    """Those of one row, by seed."""
    return sorted((record for record in records if record.row == row), key=lambda record: record.seed)


def values(records: Sequence[Record], number: str, *, masks: bool = False) -> NDArray[np.float64]:
    """One of the 12 numbers, [records]; nan where it is not defined, 0 of what diverged: it finds nothing."""
    return np.array([_value(record, number, masks=masks) for record in records], dtype=np.float64)


def _value(record: Record, number: str, *, masks: bool) -> float:
    if record.diverged is not None:
        return 0.0
    numbers = record.masks if masks else record.boxes
    found = None if numbers is None else numbers[number]
    return math.nan if found is None else found


def _refuse_wrong(fields: Mapping[str, Any], path: Path) -> None:
    def wrong(name: str) -> InputError:
        return InputError(
            f"{path}: {name} is {fields[name]!r}, which no run writes; remove it to measure that row again"
        )

    for name in ("row", "scale", "data", "split", "device", "measured_on", "annotations", "program"):
        if not isinstance(fields[name], str):
            raise wrong(name)
    for name in ("seed", "iterations", "batch", "train_images", "diverged"):
        if fields[name] is None and name == "diverged":
            continue
        if type(fields[name]) is not int or fields[name] < (1 if name == "batch" else 0):
            raise wrong(name)
    if not isinstance(fields["in_parts"], bool):
        raise wrong("in_parts")
    for name in ("seconds", "images_per_s"):
        if not (_is_number(fields[name]) or (name == "images_per_s" and fields[name] is None)):
            raise wrong(name)
    if not isinstance(fields["commands"], list) or not all(isinstance(one, str) for one in fields["commands"]):
        raise wrong("commands")
    for name in ("versions", "settings"):
        if not isinstance(fields[name], dict):
            raise wrong(name)
    for name in ("boxes", "masks"):
        found = fields[name]
        if found is None and name == "masks":
            continue
        if not isinstance(found, dict) or set(found) != set(NUMBERS):
            raise wrong(name)
        if not all(value is None or (_is_number(value) and value <= 1) for value in found.values()):
            raise wrong(name)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
