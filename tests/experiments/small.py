"""Small worlds and short runs, for the tests of the command line."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments import command_line
from experiments.run_society import PROG, main

WRITTEN = {
    "config.json",
    "summary.json",
    "metrics.csv",
    "interactions.csv",
    "library.json",
    "library.graphml",
    "library.npz",
    "report.html",
    "checkpoint.npz",
}


def objects(n_objects: int = 120, n_features: int = 10) -> NDArray[np.float64]:
    """[n_objects, n_features], made of three factors and noise."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((n_objects, 3)) @ rng.standard_normal((3, n_features))
    return common + 0.5 * rng.standard_normal((n_objects, n_features))


def world_file(directory: Path, **more: Any) -> Path:
    """A world of 120 objects of 10 features with three labels, as an .npz file."""
    np.savez(directory / "world.npz", **({"features": objects(), "labels": np.arange(120) % 3} | more))
    return directory / "world.npz"


def flags(**given: Any) -> list[str]:
    """``record_interval=4`` as ``--record-interval 4``, True and False as flags with and without ``no-``."""
    args = []
    for name, value in given.items():
        flag = name.replace("_", "-")
        args += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return args


def lively(world: Path | str, out: Path, /, **given: Any) -> list[str]:
    """The command line of a short run in which everything there is happens."""
    few = {
        "world": world,
        "out": out,
        "agents": 14,
        "steps": 20,
        "probe": 40,
        "record_interval": 4,
        "checkpoint_interval": 0,
    }
    often = {"discovery_interval": 4, "selection_interval": 5, "merge_interval": 6, "turnover": 0.2}
    return flags(**(few | often | given))


def call(args: list[str]) -> int:
    """The exit status of the program, in this process."""
    return command_line.run(functools.partial(main, args), prog=PROG)


def refusal(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which the program refuses this command line."""
    capsys.readouterr()
    assert call(args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return sentence(printed.err)


def sentence(stderr: str) -> str:
    """What stands on stderr, if it is one line and one sentence of the program."""
    assert stderr.startswith(f"{PROG}: ")
    assert stderr.count("\n") == 1
    assert stderr.endswith("\n")
    said = stderr.removeprefix(f"{PROG}: ").rstrip("\n")
    assert "Traceback" not in said
    assert not said.endswith(".")
    assert ". " not in said
    assert len(said) < 500
    return said


def contents(directory: Path) -> dict[str, bytes | None]:
    """Every file (with its bytes) and directory (None) below a directory, hidden ones too."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }
