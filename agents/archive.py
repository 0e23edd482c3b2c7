"""Reading ``.npz`` files that others have written: plain arrays, and a sentence where it is anything else."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agents.errors import InputError
from knowledge_graph.files import DAMAGE, read_member

LONGEST = 200
"""Letters of what an error says that can be part of a sentence; some repeat what is in a damaged file."""

REMEDY = "write it with numpy.savez, from arrays of numbers or texts"


def array_names(path: Path, *, remedy: str = REMEDY) -> list[str]:
    """The names of what an archive holds, in its order.

    Raises
    ------
    InputError
        If the file is not a whole archive; the sentence ends with the ``remedy``.
    """
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is not a whole .npz archive; {remedy}")
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                # The list of names has no sum of its own, but every name stands in two places. Without this, an array
                # whose name is damaged would be taken for one that nobody has asked for.
                archive.open(entry).close()
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except DAMAGE as error:
        raise InputError(f"{path} is a damaged .npz archive ({first_sentence(error)}); {remedy}") from error


def read_arrays(path: Path, wanted: Collection[str] | None = None, *, remedy: str = REMEDY) -> dict[str, NDArray[Any]]:
    """The arrays of an archive by name; with ``wanted``, those of them that are there.

    Raises
    ------
    InputError
        If the file is not a whole archive, or something wanted is no plain array; the sentence ends with the
        ``remedy``.
    """
    names = [name for name in array_names(path, remedy=remedy) if wanted is None or name in wanted]
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            for name in names:
                if not members[name].endswith(".npy"):
                    raise InputError(f"{path}: {name!r} is not an array; {remedy}")
                arrays[name] = read_member(archive, members[name])
    except InputError:
        raise
    except DAMAGE as error:
        where = f"{path}: {names[len(arrays)]!r}" if len(arrays) < len(names) else str(path)
        if isinstance(error, ValueError) and "allow_pickle" in str(error):
            raise InputError(f"{where} holds Python objects, which are never loaded; {remedy}") from error
        raise InputError(f"{where} cannot be read ({first_sentence(error)}); {remedy}") from error
    return arrays


def part_of(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Those arrays whose names begin with ``prefix`` and a slash, by what comes after it."""
    return {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(f"{prefix}/")}


def first_sentence(error: BaseException) -> str:
    """The first sentence of what an error says, without the full stop, to be part of another sentence."""
    text = str(error).strip()
    if not text:
        return type(error).__name__
    first = re.split(r"\.\s|\n", text)[0].rstrip(".")
    return first if len(first) <= LONGEST else f"{first[:LONGEST]} ..."
