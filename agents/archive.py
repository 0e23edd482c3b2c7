"""Reading ``.npz`` files that others have written: plain arrays, and a sentence where it is anything else."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.errors import InputError

DAMAGE = (OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
"""What the reading of a damaged or foreign archive ends in."""


def array_names(path: Path) -> list[str]:
    """The names of what an archive holds, in its order.

    Raises
    ------
    InputError
        If the file is not a whole archive.
    """
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is not a whole .npz archive; write one with numpy.savez")
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except DAMAGE as error:
        raise InputError(f"{path} is a damaged .npz archive ({first_line(error)}); write it anew") from error


def read_arrays(path: Path, wanted: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an archive by name; with ``wanted``, those of them that are there.

    Raises
    ------
    InputError
        If the file is not a whole archive, or something wanted is no plain array.
    """
    names = [name for name in array_names(path) if wanted is None or name in wanted]
    arrays: dict[str, NDArray[Any]] = {}
    try:
        # Pickles stay unread: an archive is data, and reading it must not run anything.
        with np.load(path, allow_pickle=False) as archive:
            for name in names:
                arrays[name] = archive[name]
    except DAMAGE as error:
        where = f"{path}: {names[len(arrays)]!r}" if len(arrays) < len(names) else str(path)
        if isinstance(error, ValueError) and "allow_pickle" in str(error):
            raise InputError(
                f"{where} holds Python objects, which are never loaded; save it as numbers or strings"
            ) from error
        raise InputError(f"{where} cannot be read ({first_line(error)}); write the file anew") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member that is no .npy file comes as bytes
            raise InputError(f"{path}: {name!r} is not an array; write the file with numpy.savez")
    return arrays


def first_line(error: BaseException) -> str:
    """What an error says, cut to its first line, without the full stop."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
