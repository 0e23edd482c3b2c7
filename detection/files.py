"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from detection.errors import InputError

OLDEST = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip archive can tell."""
UNIX = 3
"""A zip archive's mark of the system that wrote it."""


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[IO[bytes]]:
    """A binary stream whose bytes take the place of ``path`` in one step, once all of them are on the disk.

    If anything goes wrong the old file stays as it was, and the temporary one is removed.

    Raises
    ------
    OSError
        If the directory is missing or not writable, the disk is full, or ``path`` is a directory.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    # "x": never through a link or over a file that somebody else has put there.
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_json(path: Path | str, contents: Any) -> None:
    """Write ``contents`` as strict JSON (NaN is refused), whole or not at all."""
    text = json.dumps(contents, indent=1, allow_nan=False)
    with replacing(path) as stream:
        stream.write(text.encode() + b"\n")


def write_arrays(path: Path | str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write ``arrays`` of plain values as NumPy's .npz, compressed, whole or not at all.

    The same arrays give the same bytes whenever they are written, which NumPy's own writer does not promise.
    """
    with replacing(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=OLDEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = UNIX
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)


def check_out(path: Path | None, *, name: str = "out") -> None:
    """See that the file ``path``, given as ``name``, can be written, so that no long work is lost; nothing stays there.

    Raises
    ------
    InputError
        If it is a directory or a device, or its directory is missing or cannot be written to.
    """
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{name} is {path}, which is a directory; give the name of a file")
    # What is written takes the place of what was there, and a device or a pipe must not be lost to that.
    if path.exists() and not path.is_file():
        raise InputError(f"{name} is {path}, which is no regular file; give the name of one")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{name} is {path}, but {path.parent} cannot be written to ({os.strerror(error.errno or 0)}); give a file "
            "in a directory that can"
        ) from error


def make_directory(path: Path | None, *, name: str) -> None:
    """Make the directory ``path``, given as ``name``, if it is not there yet, and see that it can be written to.

    Raises
    ------
    InputError
        If that is not possible.
    """
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"{name} is {path}, which cannot be made or written to ({os.strerror(error.errno or 0)}); give a directory "
            "that can"
        ) from error
