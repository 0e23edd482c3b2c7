"""Results are what they were: to the last bit on one kind of machine, about so on others; on any number of threads.

What one and several processes live is compared in tests/experiments/test_sweep.py and test_shards.py, and what the
compiled kernels do on several threads in tests/agents/test_kernels.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.documented import ROOT
from tests.tally import counted
from tests.trust.goldens import ABSOLUTE, LIVES, PLACE, RELATIVE, ROUNDING, differences, kept, lived, machine

STEADY = ("planted", "objects", "table")
"""Lives in which rounding makes no choice, as far as is known."""

TELL = """
import contextlib, io, json, sys
from pathlib import Path
from tests.trust.goldens import LIVES, lived
found = {}
for name in LIVES:
    with contextlib.redirect_stdout(io.StringIO()):
        found[name] = lived(name, Path(sys.argv[1]))
print(json.dumps(found))
"""


@pytest.mark.parametrize("name", LIVES)
def test_a_life_is_what_it_was(name: str, tmp_path: Path) -> None:
    golden = kept(name)
    assert golden["flags"] == LIVES[name], "of another life: python -m tests.trust.renew_goldens"
    same = golden["machine"] == machine()
    allowed = {} if same else {"absolute": ABSOLUTE, "relative": RELATIVE}
    assert differences(lived(name, tmp_path), golden["summary"], **allowed) == []
    counted("golden summaries met exactly" if same else "golden summaries met within a tolerance")


def test_every_golden_is_of_a_life() -> None:
    assert {path.stem for path in PLACE.glob("*.json")} == set(LIVES)


def test_what_has_changed_is_told() -> None:
    old = {"a": 1, "b": {"c": 2.0, "d": None}, "communication": {"steps_to_convention": 10.0}}
    assert differences(old, old) == []
    new = {"a": 1.05, "b": {"c": 2.5}, "communication": {"steps_to_convention": 30.0}}
    once = "b.d is there once only"
    assert differences(new, old) == [
        "a is 1.05, but was 1",
        "b.c is 2.5, but was 2.0",
        once,
        "communication.steps_to_convention is 30.0, but was 10.0",
    ]
    assert differences(new, old, absolute=0.1, relative=0.3) == [once]
    assert len(differences(new, old, absolute=0.1)) == 2


def in_another_process(place: Path, **environment: str) -> dict[str, Any]:
    """What all lives come to, by name, in a process with these variables."""
    done = subprocess.run(
        [sys.executable, "-c", TELL, str(place)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True,
        timeout=600, check=True,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.slow
def test_two_threads_live_the_same_lives(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for place in (one, two):
        place.mkdir()
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    told = [in_another_process(place, **dict.fromkeys(threads, n)) for place, n in ((one, "1"), (two, "2"))]
    assert told[0] == told[1]
    for name in LIVES:
        for file in ("metrics.csv", "interactions.csv", "library.json", "library.npz"):
            assert (one / name / file).read_bytes() == (two / name / file).read_bytes()


@pytest.mark.slow
def test_thousands_live_the_same_life_on_two_threads(tmp_path: Path) -> None:
    # From 5,000 agents on the loops are compiled and shared out over threads.
    life = (
        "--world planted --agents 6000 --steps 6 --planted-objects 400 --planted-features 32 --planted-factors 6 "
        "--probe 80 --discovery-interval 3 --merge-interval 3 --selection-interval 3 --record-interval 3 --seed 2"
    )
    for threads in ("1", "2"):
        out = ["--out", str(tmp_path / threads)]
        number = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
        subprocess.run(
            [sys.executable, "-m", "experiments.run_society", *life.split(), *out],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), **number}, capture_output=True, timeout=600,
            check=True,
        )  # fmt: skip
    for file in ("metrics.csv", "interactions.csv", "library.json", "library.npz"):
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["Haswell", "Prescott"])
def test_other_kernels_for_matrices_change_last_digits_only(kernels: str, tmp_path: Path) -> None:
    """OpenBLAS can be told to calculate as on another processor: what the tolerance has to allow for."""
    told = in_another_process(tmp_path, OPENBLAS_CORETYPE=kernels, OMP_NUM_THREADS="1")
    for name, summary in told.items():
        golden = kept(name)["summary"] if kept(name)["machine"] == machine() else lived(name, tmp_path)
        off = ROUNDING if name in STEADY else None
        allowed = {"absolute": off or ABSOLUTE, "relative": off or RELATIVE}
        assert differences(summary, golden, **allowed) == [], name
