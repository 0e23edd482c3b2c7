"""Four small lives whose summaries are kept: what they are, on which kind of machine, and how two are compared."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
import scipy.linalg  # noqa: F401  (its BLAS is one of those that are told of)
from threadpoolctl import threadpool_info

from experiments.run_society import main
from tests.experiments.small import objects

PLACE = Path(__file__).parent / "golden"
CLOCK = ("wall_s", "agent_steps_per_s")
"""What of a summary is another each time."""

SHORT = "--steps 40 --record-interval 5 --checkpoint-interval 0 --merge-interval 10 --discovery-interval 5 --seed 3"
LIVES = {
    "planted": f"--world planted --agents 60 --planted-objects 800 --planted-features 48 --planted-factors 8 {SHORT}",
    "digits": f"--world digits --agents 60 {SHORT}",
    "objects": f"--world objects --agents 60 --probe 300 {SHORT}",
    "table": f"--world table.csv --label species --agents 40 --probe 60 --turnover 0.2 {SHORT}",
}
"""The flags of `experiments.run_society`; table.csv is what `write_table` writes."""

ABSOLUTE, RELATIVE = 0.1, 0.3
"""How far figures may be off on another kind of machine. Levels of pixels, which are small whole numbers, are often
equal but for rounding; a last digit that differs then makes another choice, from which a life goes on differently. What
it adds up to stays about the same."""

UNSTEADY = ("communication.steps_to_convention", "communication.steps_to_understanding")
"""The first step at which something is so: on another kind of machine it may be any."""

ROUNDING = 1e-5
"""How far figures are off, absolutely or relatively, where nothing but rounding differs."""


def write_table(path: Path) -> None:
    """160 objects of 10 features, made of three factors, with a species each, as a table."""
    rows = objects(160)
    kind = np.argsort(np.argsort(rows[:, 0])) * 3 // len(rows)
    lines = [",".join([*(f"{value:.4f}" for value in row), "abc"[k]]) for row, k in zip(rows, kind, strict=True)]
    path.write_text("\n".join([",".join([*(f"x{i}" for i in range(10)), "species"]), *lines]) + "\n")


def lived(name: str, place: Path, *more: str) -> dict[str, Any]:
    """The summary of the life of that name, without what the clock says; it is lived in the directory ``place``."""
    write_table(place / "table.csv")
    args = [str(place / word) if word == "table.csv" else word for word in LIVES[name].split()]
    out = place / name
    assert main([*args, "--out", str(out), *more]) == 0
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    summary["world"] = name
    return {key: value for key, value in summary.items() if key not in CLOCK}


def machine() -> dict[str, Any]:
    """What last digits hang on: the processor, and the versions of what calculates."""
    blas = {
        (one["internal_api"], one["version"], one.get("architecture"))
        for one in threadpool_info()
        if one["user_api"] == "blas" and any(whose in one["filepath"] for whose in ("numpy", "scipy"))
    }
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": llvmlite.binding.get_host_cpu_name(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in ("numpy", "scipy", "scikit-learn", "numba")},
        "blas": sorted(" ".join(map(str, one)) for one in blas),
    }


def kept(name: str) -> dict[str, Any]:
    """``{"machine": ..., "flags": ..., "summary": ...}`` as it was written down."""
    contents: dict[str, Any] = json.loads((PLACE / f"{name}.json").read_text(encoding="utf-8"))
    return contents


def keep(name: str, summary: dict[str, Any]) -> None:
    """Write down what this machine has lived."""
    contents = {"machine": machine(), "flags": LIVES[name], "summary": summary}
    (PLACE / f"{name}.json").write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")


def figures(summary: dict[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    """All entries by their paths, as ``library.mcc``."""
    for key, value in summary.items():
        if isinstance(value, dict):
            yield from figures(value, f"{inside}{key}.")
        else:
            yield inside + key, value


def differences(
    found: dict[str, Any], golden: dict[str, Any], *, absolute: float = 0.0, relative: float = 0.0
) -> list[str]:
    """A line for every figure that is not as it was written down, by names.

    A number may be off by ``absolute``, or by ``relative`` of what it was; what is no number has to be the same. Where
    anything may be off, figures that are `UNSTEADY` are not looked at.
    """
    new, old = dict(figures(found)), dict(figures(golden))
    lines = [f"{name} is there once only" for name in new.keys() ^ old.keys()]
    for name in old.keys() & new.keys():
        a, b = old[name], new[name]
        close = a == b or (name in UNSTEADY and absolute > ROUNDING)
        if isinstance(a, (int, float)) and isinstance(b, (int, float)):
            close |= abs(a - b) <= max(absolute, relative * abs(a))
        if not close:
            lines.append(f"{name} is {b}, but was {a}")
    return sorted(lines)
