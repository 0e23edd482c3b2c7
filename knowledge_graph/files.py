"""Files: written so that nobody ever sees half of one, and read so that damage is noticed."""

from __future__ import annotations

import contextlib
import errno
import io
import lzma
import os
import re
import secrets
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
"""The names of files that are being written, or were when their program was killed."""

DAMAGE = (
    OSError, ValueError, EOFError, LookupError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What the reading of a damaged or foreign archive ends in."""


def atomic_write(path: Path | str, data: bytes) -> None:
    """Write ``data`` to ``path`` whole or not at all.

    The bytes go to a temporary name in the same directory, are flushed to the disk, and take the place of what was
    there in one step. If anything goes wrong the old file stays as it was, and the temporary one is removed.

    Raises
    ------
    OSError
        If the directory is missing or not writable, or ``path`` is a directory.
    """
    path = Path(path)
    if not path.name:  # "." or "/"
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    # O_EXCL: never through a link or over a file that somebody else has put there.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        # Nobody knows the temporary one.
        if isinstance(error, OSError) and str(error.filename) in ("None", str(temporary)):
            error.filename, error.filename2 = str(path), None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def remove_unfinished(directory: Path) -> None:
    """Remove what killed programs had only begun to write to a directory, which nobody else may be writing to."""
    for path in directory.iterdir():
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def read_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """An array of an open .npz archive; nothing in it is ever run.

    Not by `numpy.load`, which stops reading a member where its header says that the array ends, and so never comes to
    the checksum if the header is damaged.

    Raises
    ------
    one of `DAMAGE`
        If the member is damaged, or no array.
    """
    return np.asarray(np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False))
