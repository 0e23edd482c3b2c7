"""Programs in processes of their own, killed while they write and at any other time."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from experiments import command_line
from tests.tally import counted

PATIENCE_S = 120

PRELOADED = [
    "detection.train", "detection.evaluate", "detection.embed", "torch._dynamo", "experiments.run_society",
    "experiments.report", "experiments.sweep", "experiments.sweeps.page", "experiments.baselines",
]  # fmt: skip
"""What takes longer to import than what is killed here takes to run."""

Change = Callable[[], object]
"""Something that the process does to itself before the program begins; a function of a module."""

Start = Callable[..., BaseProcess]


def _program(module: str, args: Sequence[str], said: str, moment: int | None, change: Change | None) -> None:
    os.setpgrp()  # so that a signal can reach it with its workers, and not the tests
    for stream in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    if change is not None:
        change()
    if moment is not None:
        _die_at(moment)
    main = importlib.import_module(module).main
    sys.exit(command_line.run(lambda: main(list(args)), prog=module.rpartition(".")[2]))


def _die_at(moment: int) -> None:
    """Be killed at the ``moment``-th of the times before and after a file reaches the disk, or its name, or goes."""
    passed = 0

    def mortal(work: Callable[..., Any]) -> Callable[..., Any]:
        def done(*args: Any, **kwargs: Any) -> Any:
            nonlocal passed
            for last in (False, True):
                if passed == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                passed += 1
                if not last:
                    result = work(*args, **kwargs)
            return result

        return done

    os.fsync, os.replace, os.unlink = mortal(os.fsync), mortal(os.replace), mortal(os.unlink)


@contextmanager
def starting(method: str = "forkserver") -> Iterator[Start]:
    """Gives what starts a program by its module and its flags, from a process that has imported it already.

    With the ``method`` fork that is this process, which is quicker, but not for programs whose libraries have threads.
    ``moment`` is when it is killed by its own writing, see `_die_at`; ``said`` is a file for what it says.
    """
    context: Any = multiprocessing.get_context(method)
    running: list[BaseProcess] = []
    with pytest.MonkeyPatch.context() as patch:
        # What is not on the path of the forking process is imported by each of the forked.
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("OMP_NUM_THREADS", "1")
        if method == "forkserver":
            context.set_forkserver_preload(PRELOADED)
            forkserver.ensure_running()

    def begin(
        module: str, *flags: object, said: Path, moment: int | None = None, change: Change | None = None
    ) -> BaseProcess:
        args = (module, [str(flag) for flag in flags], str(said), moment, change)
        process = context.Process(target=_program, args=args)
        process.start()
        running.append(process)
        return process

    yield begin
    for process in running:
        gone(process)


def gone(process: BaseProcess, *, alone: bool = False) -> None:
    """Kill a process, ``alone`` or with its workers, and wait until all of them are gone."""
    pid = process.pid
    assert pid is not None
    if process.is_alive():
        # Before it has a group of its own, that of its number does not exist.
        with suppress(ProcessLookupError):
            (os.kill if alone else os.killpg)(pid, signal.SIGKILL)
    if process.is_alive():
        process.kill()
    process.join(PATIENCE_S)
    until = time.monotonic() + PATIENCE_S
    while _there(pid):
        assert time.monotonic() < until, "workers live on after their program was killed"
        time.sleep(0.01)


def _there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def halves(directory: Path) -> list[Path]:
    """Files that were being written."""
    found = []
    with suppress(FileNotFoundError):  # of directories that go while they are looked at
        found = [path for path in directory.rglob(".*") if path.name.endswith(".tmp")]
    return found


def newest(directory: Path) -> int:
    """A number that changes when a file comes, goes or is replaced."""
    found = 0
    with suppress(FileNotFoundError):
        for path in (directory, *directory.rglob("*")):
            with suppress(FileNotFoundError):
                found = max(found, path.stat().st_mtime_ns)
    return found


def kill_somewhen(process: BaseProcess, place: Path, rng: random.Random, *, lasts: float) -> bool:
    """Kill a program at a random time, or just after it began or ended to write; whether it was still there to be."""
    kind, until = rng.choice(("any time", "a file begins", "a file is there")), time.monotonic() + PATIENCE_S
    before, delay = newest(place), rng.uniform(0, lasts if kind == "any time" else 0.003)
    skipped = rng.randrange(4)
    while kind != "any time" and process.is_alive() and time.monotonic() < until:
        now = newest(place)
        if halves(place) if kind == "a file begins" else now != before:
            before = now
            if skipped == 0:
                break
            skipped -= 1
        time.sleep(0.0005)
    end = time.monotonic() + delay
    while process.is_alive() and time.monotonic() < end:
        time.sleep(0.0005)
    alive = process.is_alive()
    gone(process, alone=rng.random() < 0.5)
    return alive and process.exitcode == -signal.SIGKILL


def endure(
    begin: Callable[[Path, int | None], BaseProcess],
    place: Path,
    *,
    whole: Callable[[Path], None],
    finished: Callable[[Path], None],
    rng: random.Random,
    lasts: float,
    kills: int,
    in_a_row: int = 6,
    moments: Sequence[int] = (),
) -> int:
    """Kill a program so many times, letting it go on, and compare what it ends with; how often it was killed.

    Parameters
    ----------
    begin
        Starts it in a directory, or goes on with what is there, to be killed at a moment if that is given.
    place
        For directories to run in.
    whole
        Sees that every file in a directory can be read.
    finished
        Sees that a directory holds what an uninterrupted run leaves.
    lasts
        Seconds that an uninterrupted run takes.
    kills
        At random times.
    moments
        Of writing, counted from where the program begins or goes on, at each of which it is killed once.
    in_a_row
        So many kills at most before it may end.
    """
    survived = 0

    def ended(out: Path) -> None:
        process = begin(out, None)
        process.join(PATIENCE_S)
        assert process.exitcode == 0, (out.parent / "said").read_text()
        gone(process)
        finished(out)

    left_over = list(moments)
    while left_over:
        out = place / f"moment{left_over[0]}" / "out"
        out.parent.mkdir(parents=True)
        now, killed = 0, True
        while killed and left_over and now < in_a_row:
            process = begin(out, left_over.pop(0))
            process.join(PATIENCE_S)
            killed = process.exitcode == -signal.SIGKILL
            assert killed or process.exitcode == 0, (out.parent / "said").read_text()
            gone(process)
            whole(out)
            now += killed
        ended(out)
        shutil.rmtree(out.parent)
        counted("kills survived", now)
        survived += now
    left, attempt = kills, 0
    while left > 0:
        attempt += 1
        assert attempt < 10 * kills, "the program ends before it can be killed"
        out = place / f"random{attempt}" / "out"
        out.parent.mkdir(parents=True)
        now = 0
        for _ in range(min(in_a_row, left)):
            if not kill_somewhen(begin(out, None), out.parent, rng, lasts=lasts):
                break
            whole(out)
            now += 1
        ended(out)
        shutil.rmtree(out.parent)
        counted("kills survived", now)
        survived, left = survived + now, left - now
    return survived
