"""Files that are damaged, or were made to do harm, from files that are whole."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

Damaged = Iterator[tuple[str, bytes]]
"""What was done to it, and the bytes."""


def cut(data: bytes, rng: random.Random, times: int) -> Damaged:
    """Files that end too early: at the first and last bytes, and at random."""
    ends = [0, 1, 4, len(data) // 2, len(data) - 1, *(rng.randrange(len(data)) for _ in range(times))][:times]
    for end in ends:
        yield f"cut at {end} of {len(data)}", data[:end]


def flipped(data: bytes, rng: random.Random, times: int) -> Damaged:
    """Files with a bit that is another, some with several, some with a byte of zeros."""
    for number in range(times):
        changed = bytearray(data)
        places = [rng.randrange(len(data)) for _ in range(1 if number % 3 else rng.randint(2, 9))]
        for place in places:
            changed[place] = 0 if number % 5 == 4 else changed[place] ^ (1 << rng.randrange(8))
        if changed != data:
            yield f"flipped at {places} of {len(data)}", bytes(changed)


def strange() -> Damaged:
    """Files that are something else."""
    yield "empty", b""
    yield "zeros", bytes(1000)
    yield "text", b"hello, there\n"
    yield "brackets without end", b"[" * 100_000
    yield "objects without end", b'{"a":' * 100_000
    yield "a line of brackets", b"[" * 100_000 + b"\n"
    yield "no UTF-8", b'{"a": "\xff\xfe"}\n'
    yield "a number", b"1e999\n"
    yield "not a number", b"NaN\n"
    yield "a list", b"[]\n"
    yield "an empty archive", b"PK\x05\x06" + bytes(18)
    yield "an image", b"\x89PNG\r\n\x1a\n" + bytes(50)


class Bomb:
    """When it is unpickled it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.marker,))


def bombs(data: bytes, marker: Path) -> Damaged:
    """Files that make ``marker`` if anything in them is run; for archives also as ``data`` with a member changed."""
    bomb = Bomb(marker)
    for protocol in (0, 2, 4, 5):
        yield f"a pickle of protocol {protocol}", pickle.dumps(bomb, protocol=protocol)
    pickled = io.BytesIO()
    np.save(pickled, np.array([bomb], dtype=object), allow_pickle=True)
    yield "an array of objects", pickled.getvalue()
    for old in (False, True):
        stream = io.BytesIO()
        contents = {"format": "fcos-checkpoint", "version": 1, "model": {"a": torch.zeros(1)}, "more": bomb}
        torch.save(contents, stream, _use_new_zipfile_serialization=not old)
        yield f"PyTorch's {'old' if old else 'new'} file", stream.getvalue()
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        for name in members:
            if not name.endswith((".npy", ".pkl")):
                continue
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w") as archive:
                for other, content in members.items():
                    harm = pickled.getvalue() if name.endswith(".npy") else pickle.dumps(bomb, protocol=2)
                    archive.writestr(other, harm if other == name else content)
            yield f"{name} with objects", stream.getvalue()


def bare(marker: Path) -> None:
    """See that a bomb is one."""
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists()
    marker.unlink()
