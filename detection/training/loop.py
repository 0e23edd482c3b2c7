"""The loop around updates: log, evaluate, save, and stop in good order."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from detection import checkpoints
from detection.data.batch import Batch
from detection.errors import InputError
from detection.training.distributed import LocalError
from detection.training.learner import Learner
from detection.training.log import Log, Meter, Progress, Row
from detection.training.memory import GIB, peak_memory

CHECKPOINT = "last.pt"

Evaluate = Callable[[Learner], Mapping[str, float | None]]
"""Figures by name of a model as it is."""


def train(
    learner: Learner,
    batches: Iterator[Batch],
    *,
    out: Path,
    meter: Meter,
    n_images: int,
    evaluate: Evaluate,
    identity: Mapping[str, Any],
) -> int:
    """Learn until the end; the signal that stopped it on the way, or 0. Either way ``out`` has the checkpoint.

    Parameters
    ----------
    batches : iterator of Batch
        This process's share of the batch of update ``learner.done``, and of those after it.
    meter : Meter
        Empty, or as of the checkpoint that the run goes on from.
    n_images : int
        Images that an epoch has.
    evaluate : callable
        Called in the first process while the others wait.
    identity : mapping
        Plain values about the run for its checkpoints.
    """
    config, world = learner.config, learner.world
    log = Log(out, after=learner.done, tensorboard=config.tensorboard) if world.first else None
    progress = Progress(iterations=config.iterations, done=learner.done)
    seconds, since = 0.0, learner.done
    with patience() as signals, contextlib.ExitStack() as stack:
        if log is not None:
            stack.callback(log.close)
            stack.callback(progress.close)
        while learner.done < config.iterations:
            begun = time.perf_counter()
            update = learner.update(_next(batches), stop=lambda: signals[0] if signals else 0)
            took = time.perf_counter() - begun
            seconds += took
            done, ends = learner.done, learner.done == config.iterations
            meter.add(update)
            if log is not None:
                progress.show(done, update, seconds=took, images=config.batch_size)
                if done % config.log_every == 0 or ends:
                    row: Row = {"iteration": done, "images": done * config.batch_size}
                    row["epoch"] = row["images"] / n_images
                    row["lr"], row["loss"] = update.learning_rate, None
                    row |= meter.taken()
                    row["loss"] = sum(row[name] for name in update.losses)
                    row["images_per_s"] = (done - since) * config.batch_size / seconds
                    row["peak_memory_gib"] = peak_memory(world.device) / GIB
                    log.write(row)
                    seconds, since = 0.0, done
            if config.evaluate_every and done % config.evaluate_every == 0:
                if log is not None:
                    log.write({"iteration": done, **evaluate(learner)})
                world.wait()
            if done % config.checkpoint_every == 0 or ends or update.stop:
                if log is not None:
                    log.settle()
                    checkpoints.save(out / CHECKPOINT, learner.checkpoint(meter=meter.state(), **identity))
                world.wait()
            if update.stop and not ends:
                return update.stop
    return 0


def _next(batches: Iterator[Batch]) -> Batch:
    try:
        return next(batches)
    except InputError as error:  # other processes read other images
        raise LocalError(str(error)) from error


@contextlib.contextmanager
def patience() -> Iterator[list[int]]:
    """Turn the first Ctrl-C (or SIGTERM) into a note in the list given: the update at hand can end and be saved.

    The second one interrupts at once. Only the main thread can; in others the signals stay as they are.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    heard = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
