"""A full disk is an error in one sentence that names the file; what was there before stays, and no half of a file.

The disk is full in two ways: by a limit on the size of files, which the system itself keeps to, and by the error that
it gives when bytes are to reach the disk, at each such moment in turn.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detection import checkpoints, command_line, files, train
from detection.checkpoints import Checkpoint
from detection.data import shapes
from experiments import command_line as of_experiments
from experiments import sweep
from knowledge_graph.files import atomic_write
from tests.detection.small_runs import write_set
from tests.detection.test_embed import ALL_LEVELS, write_checkpoint
from tests.detection.test_train import SMALL
from tests.experiments.small import call, flags, lively, world_file
from tests.experiments.test_sweep import spec
from tests.tally import counted
from tests.trust.killing import Start, gone, halves, starting
from tests.trust.test_kills import OBJECTS, all_readable, small_parts

FULL = "No space left on device"


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with starting() as begin:
        yield begin


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_set(tmp_path_factory.mktemp("data") / "set")
    return write_set(root, split="val2017", images=3, seed=1)


def filling(moment: int) -> Callable[[int], None]:
    """What stands for ``os.fsync`` on a disk that is full from its ``moment``-th call on."""
    synced, passed = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal passed
        passed += 1
        if passed > moment:
            raise OSError(errno.ENOSPC, FULL)
        synced(handle)

    return fsync


def full_from(moment: int) -> None:
    os.fsync = filling(moment)
    small_parts()


def no_file_above(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    small_parts()


def refused(said: str, prog: str, out: Path) -> None:
    """The last that was said is one sentence, which names a file in the directory and what is wrong with the disk."""
    assert "Traceback" not in said, said
    last = said.splitlines()[-1]
    found = re.match(rf"{prog}: (?:row .*?: )?(\S+) cannot be written \(({FULL}|File too large)\); \S", last)
    assert found, said
    assert Path(found[1]).is_relative_to(out.parent), said
    assert not halves(out.parent)


# ---- the writers


def write_bytes(path: Path) -> None:
    atomic_write(path, b"1" * 100_000)


def write_arrays(path: Path) -> None:
    files.write_arrays(path, {"a": np.random.default_rng(0).random(20_000)})


def write_checkpoint_of(path: Path) -> None:
    checkpoints.save(path, Checkpoint(ALL_LEVELS, {"a": torch.rand(20_000)}, None, "a test"))


@pytest.mark.parametrize("write", [write_bytes, write_arrays, write_checkpoint_of])
@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_file_that_has_no_room_is_named_and_the_old_one_stays(
    write: Any, failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")

    def fails(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, FULL)

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if failing == "write":
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    else:
        monkeypatch.setattr(os, failing, fails)
    try:
        with pytest.raises((OSError, RuntimeError)) as caught:  # PyTorch has an error of its own for it
            write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    why = ("File too large", "raise the limit") if failing == "write" else (FULL, "make room")
    assert str(files.no_room(caught.value)).startswith(f"{path} cannot be written ({why[0]}); {why[1]}")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.npz"]
    counted("full disks met")


def test_what_is_no_full_disk_keeps_its_traceback() -> None:
    def broken() -> int:
        raise ValueError("a bug")

    def missing() -> int:
        return len(Path("there/is/none").read_bytes())

    with pytest.raises(ValueError, match="a bug"):
        command_line.run(broken, prog="p")
    with pytest.raises(FileNotFoundError):
        command_line.run(missing, prog="p")


# ---- the programs, in this process


def test_a_society_that_has_no_room_says_so_and_goes_on_when_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world, out = world_file(tmp_path), tmp_path / "out" / "run"
    args = lively(world, out, checkpoint_interval=10)
    for moment in (5,):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", filling(moment))
            assert call(args) == 2
        refused(capsys.readouterr().err, "run_society", out)
        all_readable(out)
        counted("full disks met")
    kept = (out / "checkpoint.npz").read_bytes()
    assert call(flags(resume=out)) == 0
    assert (out / "checkpoint.npz").read_bytes() == kept
    assert (out / "report.html").exists()


@pytest.mark.slow
def test_a_training_and_a_sweep_that_have_no_room_say_so(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [*SMALL, "--data", str(images), "--out", str(tmp_path / "run" / "out")]
    swept = [str(spec(tmp_path, replications=1)), "--workers", "0", "--out", str(tmp_path / "sweep" / "out")]
    for prog, main, given, moment in (
        ("train", train.main, args, 2),
        ("sweep", sweep.main, swept, 1),
        ("shapes", shapes.main, ["--out", str(tmp_path / "shapes" / "out"), "--images", "1", "--workers", "1"], 0),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", filling(moment))
            assert of_experiments.run(functools.partial(main, given), prog=prog) == 2
        refused(capsys.readouterr().err, prog, tmp_path / prog / "out" if prog != "train" else tmp_path / "run" / "out")
        counted("full disks met")


# ---- the programs, at every moment


def met(
    start: Start, module: str, args: Sequence[object], out: Path, changes: Sequence[Any], *, resume: Callable[[], Any]
) -> int:
    """Start a program on a disk that is full in each of some ways; how often that stopped it.

    Each goes on with what the one before has left, by what ``resume`` gives to be told.
    """
    stopped, said = 0, out.parent / "said"
    out.parent.mkdir()
    for change in changes:
        said.write_text("")
        process = start(module, *args, *resume(), said=said, change=change)
        process.join(120)
        gone(process)
        assert process.exitcode in (0, 2), said.read_text()
        if process.exitcode == 2:
            refused(said.read_text(), module.rpartition(".")[2], out)
            stopped += 1
        if out.is_dir():
            all_readable(out)
    counted("full disks met", stopped)
    process = start(module, *args, *resume(), said=said, change=small_parts)
    process.join(120)
    assert process.exitcode == 0, said.read_text()
    return stopped


def ways(moments: int, *sizes: int) -> list[Any]:
    return [functools.partial(full_from, n) for n in range(moments)] + [
        functools.partial(no_file_above, size) for size in sizes
    ]


@pytest.mark.slow
def test_every_program_says_that_the_disk_is_full_at_whatever_moment(
    start: Start, images: Path, tmp_path: Path
) -> None:
    world, network = world_file(tmp_path), write_checkpoint(tmp_path / "network.pt", ALL_LEVELS)
    out = tmp_path / "society" / "out"
    args = lively(world, out, checkpoint_interval=10)
    assert met(start, "experiments.run_society", args, out, ways(9, 2_000, 30_000), resume=list) >= 9

    out = tmp_path / "training" / "out"

    def begun() -> list[object]:
        return ["--resume"] if (out / "config.json").exists() else []

    args = [*SMALL, "--data", str(images), "--out", str(out)]
    assert met(start, "detection.train", args, out, ways(4, 20_000, 1_000_000), resume=begun) >= 4

    out = tmp_path / "embedding" / "out"
    embedded = ["--checkpoint", network, "--data", images, *OBJECTS, "--device", "cpu", "--resume"]
    embedded += ["--out", out / "a.npz"]
    assert met(start, "detection.embed", embedded, out, ways(3, 2_000), resume=lambda: made(out)) >= 3

    out = tmp_path / "sweep" / "out"
    args = [str(spec(tmp_path)), "--workers", "0", "--resume", "--out", str(out)]
    assert met(start, "experiments.sweep", args, out, ways(5, 3_000), resume=list) >= 5

    out = tmp_path / "baselines" / "out"
    args = ["--preset", "mini", "--quick", "--rows", "b4-lr5e-3", "--seeds", "1", "--out", str(out)]
    assert met(start, "experiments.baselines", args, out, ways(6, 100_000), resume=list) >= 4


def made(directory: Path) -> list[object]:
    directory.mkdir(exist_ok=True)
    return []
