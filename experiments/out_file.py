"""The one file that a program leaves: refused before the work begins, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from agents.errors import InputError
from knowledge_graph.export import write_json


def check(out: Path | None, *, name: str = "out") -> None:
    """See that ``out``, given as ``name``, can be written, so that no long work is lost; nothing is left there.

    Raises
    ------
    InputError
        If it is a directory or a device, or its directory is missing or cannot be written to.
    """
    if out is None:
        return
    if out.is_dir():
        raise InputError(f"{name} is {out}, which is a directory; give the name of a file")
    # What is written takes the place of what was there, and a device or a pipe must not be lost to that.
    if out.exists() and not out.is_file():
        raise InputError(f"{name} is {out}, which is no regular file; give the name of one")
    try:
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{name} is {out}, but {out.parent} cannot be written to ({os.strerror(error.errno or 0)}); give a file in "
            "a directory that can"
        ) from error


def write(out: Path | None, contents: Any) -> None:
    """Write ``contents`` as JSON, without NaN: what is not a number is null."""
    if out is not None:
        write_json(contents, out)
