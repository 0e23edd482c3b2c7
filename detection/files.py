"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


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
