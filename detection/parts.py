"""Long work on disk part by part, so that what is done need not be done again after an interruption.

A directory has `WORK`, what the work is, which is written first, and the arrays of every part that is finished. Each
file is there whole or not at all, so that even a program that is killed leaves nothing but finished parts.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from detection import files
from detection.errors import InputError

WORK = "work.json"
PART = re.compile(r"(\d{6,})\.npz")
OURS = re.compile(rf"{re.escape(WORK)}|{PART.pattern}|{files.TEMPORARY.pattern}")
"""What is written here, and what is left of a file that was being written (see `files.replacing`)."""


def directory_of(out: Path) -> Path:
    """Where the parts of the file ``out`` are kept until it is written."""
    return out.with_name(f".{out.name}.parts")


def begin(directory: Path, work: Mapping[str, Any], *, resume: bool) -> set[int]:
    """Make ``directory`` ready for the parts of ``work`` (plain values); the numbers of those that are there.

    Without ``resume`` there are none: older parts are removed.

    Raises
    ------
    InputError
        If the directory cannot be made or, with ``resume``, if what is in it is of other work.
    """
    files.make_directory(directory, name="the directory of the parts")
    plain = json.loads(json.dumps(work, allow_nan=False))
    path = directory / WORK
    if resume and path.exists():
        _refuse_other(path, plain)
        return finished(directory)
    _clear(directory)
    files.write_json(path, plain)
    return set()


def finished(directory: Path) -> set[int]:
    """The numbers of the parts that are there."""
    found = (PART.fullmatch(path.name) for path in directory.iterdir())
    return {int(part[1]) for part in found if part}


def write(directory: Path, number: int, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Keep a finished part."""
    files.write_arrays(_path(directory, number), arrays)


def read(directory: Path, number: int) -> dict[str, NDArray[Any]]:
    """The arrays of a finished part.

    Raises
    ------
    InputError
        If the file has been damaged since it was written.
    """
    path = _path(directory, number)
    try:
        arrays = files.read_arrays(path)
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); remove it, and go on with --resume") from error
    if not arrays:
        raise InputError(f"{path} is damaged (it is empty); remove it, and go on with --resume")
    return arrays


def remove(directory: Path) -> None:
    """Remove all that was written there, and the directory unless there is something else in it."""
    _clear(directory)
    with contextlib.suppress(OSError):
        directory.rmdir()


def _path(directory: Path, number: int) -> Path:
    return directory / f"{number:06}.npz"


def _clear(directory: Path) -> None:
    # What the work is goes last: without it, parts that are left would not be known for what they are.
    ours = [path for path in directory.iterdir() if OURS.fullmatch(path.name)]
    for path in sorted(ours, key=lambda path: path.name == WORK):
        path.unlink(missing_ok=True)


def _refuse_other(path: Path, work: Mapping[str, Any]) -> None:
    try:
        there = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}); leave --resume out to begin anew") from error
    if there == work:
        return
    names = [name for name in work if not isinstance(there, dict) or there.get(name) != work[name]]
    name = names[0] if names else "version"
    said = there.get(name) if isinstance(there, dict) else None
    what = "" if isinstance(said, dict | list) or said is None else f" ({said} there, {work.get(name)} here)"
    raise InputError(
        f"{path.parent} holds parts of other work: {name} is another{what}; give what it was begun with, or leave "
        "--resume out to begin anew"
    )
