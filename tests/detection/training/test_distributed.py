"""Which process of how many this is, as the environment tells it."""

from __future__ import annotations

import pytest

from detection.errors import InputError
from detection.training.distributed import started


def test_without_torchrun_a_program_is_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with started("cpu") as world:
        assert (world.rank, world.size, world.device.type, world.first) == (0, 1, "cpu", True)
        assert world.together("said") == ["said"]


def test_several_processes_that_torchrun_has_not_started_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(InputError, match="WORLD_SIZE is 4 in the environment, but LOCAL_RANK is not there"):
        started("cpu").__enter__()
