"""The command lines of the experiments: those of the bench, with the refusals of every package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from agents.errors import InputError
from detection import command_line, errors
from detection.command_line import INTERRUPTED, given

__all__ = ["INTERRUPTED", "at_least", "given", "parse", "run"]

Config = TypeVar("Config")

REFUSALS = (InputError, errors.InputError)
"""What means that the input is wrong; anything else is a defect."""


def parse(
    config: type[Config],
    args: Sequence[str] | None = None,
    *,
    prog: str,
    description: str,
    default: Config | None = None,
) -> Config:
    """`detection.command_line.parse`, where the configuration refuses with the society's `InputError`."""
    return command_line.parse(config, args, prog=prog, description=description, default=default, refusals=REFUSALS)


def at_least(config: object, **least: int) -> None:
    """Refuse a ``config`` of which a field, where it is given, is less than the number of its name."""
    for name, fewest in least.items():
        value = getattr(config, name)
        if value is not None and value < fewest:
            raise InputError(f"{name} is {value}, but it must be at least {fewest}")


def run(main: Callable[[], int], *, prog: str) -> int:
    """`detection.command_line.run`, for programs that use any of the packages."""
    return command_line.run(main, prog=prog, refusals=REFUSALS)
