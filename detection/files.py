"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import secrets
import tempfile
import zipfile
import zlib
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

TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
"""What is left of a file that was being written when its program was killed; see `replacing`."""


NO_ROOM = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EIO: "see to the disk",
    errno.EROFS: "give a place that can be written to",
}
"""What can happen to anybody who writes a file, and what to do about it."""


def no_room(error: BaseException | None) -> str | None:
    """What to say of an error that came of writing a file, if it is one of `NO_ROOM`; None if it is something else.

    Those who tidy up after a file that cannot be written often fail again, so the errors before are looked at too.
    """
    found: str | None = None
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            found = f"{error.filename or 'a file'} cannot be written ({error.strerror}); {NO_ROOM[error.errno]}"
            if error.filename:
                return found
        error = error.__cause__ or error.__context__
    return found


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Let errors of the system that do not say which file they are of name ``path``."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def replacing(path: Path | str, *, by: Path | None = None) -> Iterator[IO[bytes]]:
    """A binary stream whose bytes take the place of ``path`` in one step, once all of them are on the disk.

    If anything goes wrong the old file stays as it was, and the temporary one is removed. That one is in the same
    directory, or in ``by``, of the same disk, where somebody tidies up after programs that were killed.

    Raises
    ------
    OSError
        If the directory is missing or not writable, the disk is full, or ``path`` is a directory.
    """
    path = Path(path)
    temporary = (path if by is None else by / path.name).with_name(f".{secrets.token_hex(8)}.tmp")
    # "x": never through a link or over a file that somebody else has put there.
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        # Nobody knows the temporary one; and PyTorch makes an error of its own of what is wrong with the disk.
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and str(cause.filename) in ("None", str(temporary)):
                cause.filename, cause.filename2 = str(path), None
            cause = cause.__cause__ or cause.__context__
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def remove_unfinished(directory: Path) -> None:
    """Remove what killed programs had only begun to write to a directory, which nobody else may be writing to."""
    for path in directory.iterdir():
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_json(path: Path | str, contents: Any) -> None:
    """Write ``contents`` as strict JSON (NaN is refused), whole or not at all."""
    text = json.dumps(contents, indent=1, allow_nan=False)
    with replacing(path) as stream:
        stream.write(text.encode() + b"\n")


def write_arrays(path: Path | str, arrays: Mapping[str, NDArray[Any]], *, by: Path | None = None) -> None:
    """Write ``arrays`` of plain values as NumPy's .npz, compressed, whole or not at all; ``by`` as in `replacing`.

    The same arrays give the same bytes whenever they are written, which NumPy's own writer does not promise.
    """
    with replacing(path, by=by) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=OLDEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = UNIX
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)


def read_arrays(path: Path | str) -> dict[str, NDArray[Any]]:
    """The arrays of plain values in a file of NumPy's, as `write_arrays` writes it; nothing in it is run.

    Not by `numpy.load`, which stops reading where a header says that the array ends, and so never comes to the sum of
    the bytes if the header is damaged.

    Raises
    ------
    ValueError
        If it is damaged, or anything in it is no such array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if strange := [name for name in archive.namelist() if not name.endswith(".npy")]:
                raise ValueError(f"{strange[0]} is no array")
            return {
                name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in archive.namelist()
            }
    except ValueError:
        raise
    except (OSError, EOFError, LookupError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or type(error).__name__) from error


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
