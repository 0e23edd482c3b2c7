"""The processes of a run: one alone, or several that torchrun has started and that share every batch."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from detection.errors import InputError

PATIENCE = datetime.timedelta(hours=2)
"""How long a process waits for the others: the first one evaluates on its own in the meantime."""


@dataclass(frozen=True)
class World:
    """Which of how many processes this is, and the device it works on."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes for all."""
        return self.rank == 0

    def summed(self, values: Tensor) -> Tensor:
        """The sum of ``values`` (any shape, the same in all) over the processes; ``values`` itself is overwritten."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def together(self, value: Any) -> list[Any]:
        """What each process has to say, by rank: small Python objects."""
        if self.size == 1:
            return [value]
        said: list[Any] = [None] * self.size
        dist.all_gather_object(said, value)
        return said

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            dist.barrier()


class LocalError(InputError):
    """Bad input that only this process has met: the others do not know of it, so it must speak for itself."""


def alone(device: torch.device | str = "cpu") -> World:
    """A run of one process."""
    return World(rank=0, size=1, device=torch.device(device))


@contextlib.contextmanager
def started(device: str) -> Iterator[World]:
    """The world that torchrun's environment tells of, with ``device`` as in `TrainConfig`; left in good order.

    Raises
    ------
    InputError
        If there is no such device, or none left for this process, or another program than torchrun has set WORLD_SIZE.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield alone(chosen_device(device))
        return
    if "LOCAL_RANK" not in os.environ:
        raise InputError(
            f"WORLD_SIZE is {size} in the environment, but LOCAL_RANK is not there; start several processes with "
            "torchrun, or a single one without WORLD_SIZE"
        )
    own = chosen_device(device, local_rank=int(os.environ["LOCAL_RANK"]))
    if own.type == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=PATIENCE)
    # Not after an error: others may wait in the middle of something, and to take leave of them could hang.
    yield World(rank=dist.get_rank(), size=dist.get_world_size(), device=own)
    dist.destroy_process_group()


def chosen_device(name: str, *, local_rank: int | None = None) -> torch.device:
    """The device that ``name`` means; with a ``local_rank`` each process of a machine has a GPU of its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device is {name!r}, which torch does not know; give auto, cpu, cuda or cuda:0") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device is {name}, on which nothing here has been tried; give auto, cpu, cuda or cuda:0")
    if device.type == "cpu":
        return device
    if not torch.cuda.is_available():
        raise InputError(f"device is {name}, but torch sees no GPU here; give cpu")
    if local_rank is not None:
        if device.index is not None:
            raise InputError(f"device is {name}, but every process needs a GPU of its own; give cuda")
        device = torch.device("cuda", local_rank)
    there = torch.cuda.device_count()
    if (device.index or 0) >= there:
        raise InputError(f"device is {device}, but there are only {there} GPUs; give one below, or fewer processes")
    return device
