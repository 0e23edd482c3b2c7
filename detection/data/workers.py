"""Batches read ahead by processes of their own, whose troubles arrive as one sentence."""

from __future__ import annotations

import atexit
import functools
import signal
import threading
import traceback
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from detection.data.batch import Batch
from detection.errors import InputError


def read_ahead(stream: Dataset[Batch], keys: Iterable[int], *, workers: int, pin_memory: bool) -> Iterator[Batch]:
    """The batches ``stream[key]`` for ``keys``, which may have no end, in their order.

    With ``workers`` processes above 0, two batches are read ahead by each; 0 reads when a batch is asked for.
    ``pin_memory`` copies images to where a GPU can fetch them by itself.

    Raises
    ------
    InputError
        What the stream refused, when it comes to that batch; or if a worker was ended from outside.
    """
    loader = DataLoader(
        _Guarded(stream),
        batch_size=None,
        sampler=keys,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        worker_init_fn=_begin,
        generator=torch.Generator(),  # otherwise the loader draws a number from the program's own
    )
    iterator = _started(loader)
    end = functools.partial(_end, weakref.ref(iterator))
    atexit.register(end)
    try:
        while True:
            try:
                found = next(iterator)
            except StopIteration:
                return
            except (RuntimeError, EOFError, ConnectionError) as error:
                if not _ended(error):
                    raise
                traceback.clear_frames(error.__traceback__)
                raise InputError(
                    f"workers is {workers}, but one of them was ended from outside, as happens where memory or shared "
                    "memory (/dev/shm) is too small; give fewer workers, or 0"
                ) from error
            yield _unguarded(found)
    finally:
        atexit.unregister(end)
        # Nothing else may hold it, not even a traceback: with it the workers end, at once.
        del iterator


class _Guarded(Dataset[Any]):
    """A stream whose refusals are returned: raised in a worker they would come with its traceback as their text.

    All but the images is returned as arrays, which are sent by value; each tensor would hold a file open until it is
    used, and a few batches read ahead would reach the limit of open files.
    """

    def __init__(self, stream: Dataset[Batch]) -> None:
        self.stream = stream

    def __getitem__(self, key: int) -> Batch | str:
        try:
            batch = self.stream[key]
        except InputError as error:
            return str(error)
        arrays: dict[str, Any] = {
            "sizes": batch.sizes.numpy(),
            "originals": batch.originals.numpy(),
            "boxes": [boxes.numpy() for boxes in batch.boxes],
            "labels": [labels.numpy() for labels in batch.labels],
            # A bit for every pixel.
            "masks": None if batch.masks is None else [np.packbits(masks.numpy(), axis=-1) for masks in batch.masks],
        }
        return batch._replace(**arrays)


def _unguarded(found: Any) -> Batch:
    if isinstance(found, str):
        raise InputError(found)
    tensors: dict[str, Any] = {
        "sizes": torch.from_numpy(found.sizes),
        "originals": torch.from_numpy(found.originals),
        "boxes": [torch.from_numpy(boxes) for boxes in found.boxes],
        "labels": [torch.from_numpy(labels) for labels in found.labels],
        "masks": None if found.masks is None else _unpacked(found),
    }
    batch: Batch = found._replace(**tensors)
    return batch


def _unpacked(found: Any) -> list[torch.Tensor]:
    """Masks uint8 [n, h, w] of bits."""
    widths = found.sizes[:, 1].tolist()
    unpacked = (np.unpackbits(bits, axis=-1, count=w) for bits, w in zip(found.masks, widths, strict=True))
    return [torch.from_numpy(masks) for masks in unpacked]


def _ended(error: Exception) -> bool:
    """Whether ``error`` says that a worker is no more, or that it was gone when its batch was fetched from it."""
    text = str(error)
    if "in DataLoader worker process" in text:  # what a worker raised itself, a defect
        return False
    return not isinstance(error, RuntimeError) or "DataLoader worker" in text


def _started(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's iterator, without its handler of children's ends.

    That would raise a worker's end wherever the program happens to be, in the midst of an update or of writing a
    checkpoint; without it, it is raised where a batch is waited for, at most some seconds later.
    """
    if not loader.num_workers or threading.current_thread() is not threading.main_thread():
        return iter(loader)
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        return iter(loader)
    finally:
        signal.signal(signal.SIGCHLD, handler or signal.SIG_DFL)


def _end(reference: weakref.ref[Any]) -> None:
    """End the workers of an iterator that is still there when the program ends, as where a traceback holds it.

    Otherwise the program would wait for them for ever: they do not hear its signal to end (see `_begin`).
    """
    iterator: Any = reference()
    if hasattr(iterator, "_shutdown_workers"):  # nothing is left, and a loader without workers has none to end
        iterator._shutdown_workers()


def _as_it_is(batch: Any) -> Any:
    return batch


def _begin(_: int) -> None:
    # Both reach all processes of a terminal or a job; the one that trains ends the others, without their tracebacks.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
