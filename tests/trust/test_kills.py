"""Programs that are killed, at any moment and again and again, end as if nothing had happened.

Killing is by SIGKILL, which no program can catch: at every moment of writing in turn (before and after a file is on
the disk, gets its name, or is removed), and from outside at times that are drawn at random. After every kill all files
under their final names can be read. What is left out of the comparison, because it tells how long something took or
how much memory: ``wall_s`` and ``agent_steps_per_s`` of a society's summary and the seconds in its checkpoint and
report; ``images_per_s`` and ``peak_memory_gib`` of a training's log; times.csv of a sweep; and of baselines the speed,
the seconds and the day of a record, and the table and report that tell them.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import random
import re
import time
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch

from detection import checkpoints, embed, parts
from detection.data.shapes import UNFINISHED
from detection.training import directory
from experiments import run_files
from experiments.lab import records
from experiments.lab.runs import DETECTOR, NUMBERS_FILE
from experiments.pieces import Kept
from knowledge_graph.library import Library
from tests.detection.small_runs import write_set
from tests.detection.test_embed import ALL_LEVELS, write_checkpoint
from tests.detection.test_train import SMALL, assert_same_run
from tests.experiments.small import WRITTEN, flags, lively, world_file
from tests.experiments.test_run_society import assert_same_results
from tests.experiments.test_sweep import spec
from tests.trust.killing import Start, endure, gone, starting

TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with starting() as begin:
        yield begin


def uninterrupted(start: Start, module: str, *flags: object, place: Path, **more: Any) -> float:
    """Let a program run to its end; how long it took."""
    begun = time.monotonic()
    process = start(module, *flags, said=place / "said", **more)
    process.join(120)
    assert process.exitcode == 0, (place / "said").read_text()
    gone(process)
    return time.monotonic() - begun


def names(out: Path) -> set[str]:
    """What is in a directory, hidden files too."""
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def readable(path: Path) -> None:
    """Whatever is under its final name is whole: it can be read, and has an end."""
    data = path.read_bytes()
    if path.suffix == ".json":
        json.loads(data)
    elif path.suffix == ".csv":
        assert data.endswith(b"\n")
        table = list(csv.reader(io.StringIO(data.decode())))
        assert len({len(row) for row in table}) == 1
    elif path.suffix == ".html":
        assert data.rstrip().endswith(b"</html>")
    elif path.suffix == ".graphml":
        nx.parse_graphml(data.decode())
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].size >= 0 for name in arrays.files)
    elif path.suffix == ".pt":
        checkpoints.load(path)
    elif path.suffix in (".jpg", ".md"):
        assert data
    elif path.name == UNFINISHED:
        assert not data
    else:
        assert path.name in ("log.jsonl", "runs.jsonl", "run.log"), f"{path} is none of the program's files"


def all_readable(out: Path) -> None:
    for path in out.rglob("*"):
        if path.is_file() and not TEMPORARY.fullmatch(path.name):
            readable(path)


# ---- societies

LIFE = {"checkpoint_interval": 5, "record_interval": 5}


@pytest.fixture(scope="module")
def society(start: Start, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """A world, a run of 20 steps in it that nobody interrupts, and how long it takes."""
    return lived_through(start, tmp_path_factory.mktemp("society"))


def lived_through(start: Start, place: Path) -> tuple[Path, Path, float]:
    world = world_file(place)
    whole = place / "whole"
    took = uninterrupted(start, "experiments.run_society", *lively(world, whole, **LIFE), place=place)
    return world, whole, took


def a_society(start: Start, world: Path, out: Path, moment: int | None) -> BaseProcess:
    goes_on = all((out / name).exists() for name in ("config.json", "checkpoint.npz"))
    args = flags(resume=out) if goes_on else lively(world, out, **LIFE)
    return start("experiments.run_society", *args, said=out.parent / "said", moment=moment)


def society_whole(out: Path) -> None:
    all_readable(out)
    if {"config.json", "checkpoint.npz"} <= names(out):
        assert run_files.saved(out).steps % 5 == 0
    if (out / "library.npz").exists():
        Library.load(out / "library.npz")


def society_finished(out: Path, whole: Path) -> None:
    assert names(out) == WRITTEN
    assert_same_results(out, whole)


def kill_societies(
    start: Start, society: tuple[Path, Path, float], place: Path, *, kills: int, moments: Sequence[int]
) -> int:
    world, whole, took = society
    return endure(
        functools.partial(a_society, start, world),
        place,
        whole=society_whole,
        finished=functools.partial(society_finished, whole=whole),
        rng=random.Random(1),
        lasts=took,
        kills=kills,
        moments=moments,
    )


def test_a_society_that_is_killed_while_it_writes_ends_as_one_that_is_not(tmp_path: Path) -> None:
    """The core of what follows."""
    with starting("fork") as start:
        society = lived_through(start, tmp_path)
        assert kill_societies(start, society, tmp_path, kills=0, moments=[8]) == 1


@pytest.mark.slow
def test_a_society_survives_being_killed_at_every_moment(
    start: Start, society: tuple[Path, Path, float], tmp_path: Path
) -> None:
    assert kill_societies(start, society, tmp_path, kills=12, moments=range(0, 40, 3)) >= 24


# ---- trainings


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_set(tmp_path_factory.mktemp("data") / "set")
    return write_set(root, split="val2017", images=3, seed=1)


def a_training(start: Start, images: Path, out: Path, moment: int | None) -> BaseProcess:
    """A run that was killed before its configuration was there has not begun."""
    begun = ["--resume"] if (out / directory.CONFIG).exists() else [*SMALL, "--data", images]
    return start("detection.train", *begun, "--out", out, said=out.parent / "said", moment=moment)


def training_whole(out: Path) -> None:
    all_readable(out)
    if (out / directory.CONFIG).exists():
        directory.read(out)


@pytest.mark.slow
def test_a_training_survives_being_killed_at_every_moment(start: Start, images: Path, tmp_path: Path) -> None:
    took = uninterrupted(
        start, "detection.train", *SMALL, "--data", images, "--out", tmp_path / "whole", place=tmp_path
    )
    survived = endure(
        functools.partial(a_training, start, images),
        tmp_path,
        whole=training_whole,
        finished=functools.partial(assert_same_run, expected=tmp_path / "whole"),
        rng=random.Random(2),
        lasts=took,
        kills=12,
        moments=range(0, 16, 2),
    )
    assert survived >= 18


# ---- embeddings

OBJECTS = ("--embedding", "backbone", "--split", "train2017", "val2017", "--min-side", "0", "--workers", "0")


def small_parts() -> None:
    embed.PART = 2


def an_embedding(start: Start, fixed: list[object], out: Path, moment: int | None) -> BaseProcess:
    out.mkdir(exist_ok=True)
    args = [*fixed, "--out", out / "a.npz", "--resume"]
    return start("detection.embed", *args, said=out.parent / "said", moment=moment, change=small_parts)


def embedding_whole(out: Path) -> None:
    kept = out / ".a.npz.parts"
    if kept.exists():
        for number in parts.finished(kept):
            parts.read(kept, number)
    all_readable(out)


def embedding_finished(out: Path, whole: Path) -> None:
    assert names(out) == {"a.npz"}
    assert (out / "a.npz").read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_embedding_survives_being_killed_at_every_moment(start: Start, images: Path, tmp_path: Path) -> None:
    network = write_checkpoint(tmp_path / "network.pt", ALL_LEVELS)
    fixed = ["--checkpoint", network, "--data", images, *OBJECTS, "--device", "cpu"]
    took = uninterrupted(
        start, "detection.embed", *fixed, "--out", tmp_path / "whole.npz", place=tmp_path, change=small_parts
    )
    survived = endure(
        functools.partial(an_embedding, start, fixed),
        tmp_path,
        whole=embedding_whole,
        finished=functools.partial(embedding_finished, whole=tmp_path / "whole.npz"),
        rng=random.Random(3),
        lasts=took,
        kills=12,
        moments=range(0, 30, 3),
    )
    assert survived >= 18


# ---- sweeps

SWEPT = {"table.csv", "times.csv", "results.json", "sweep.html", "runs.jsonl"}


def a_sweep(start: Start, file: Path, workers: int, out: Path, moment: int | None) -> BaseProcess:
    args = [file, "--workers", workers, "--out", out, "--resume"]
    return start("experiments.sweep", *args, said=out.parent / "said", moment=moment)


def sweep_whole(out: Path) -> None:
    all_readable(out)
    if (out / "runs.jsonl").exists():
        of = json.loads((out / "runs.jsonl").read_text().partition("\n")[0])
        Kept(path=out / "runs.jsonl", of=of).done()


def sweep_finished(out: Path, whole: Path) -> None:
    assert names(out) == SWEPT
    for name in ("table.csv", "results.json", "sweep.html"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.slow
def test_a_sweep_survives_being_killed_at_every_moment(start: Start, tmp_path: Path) -> None:
    file = spec(tmp_path)
    took = uninterrupted(start, "experiments.sweep", file, "--workers", 0, "--out", tmp_path / "whole", place=tmp_path)
    survived = 0
    for workers, kills, moments in ((0, 12, range(0, 16, 2)), (1, 2, range(0))):
        survived += endure(
            functools.partial(a_sweep, start, file, workers),
            tmp_path / str(workers),
            whole=sweep_whole,
            finished=functools.partial(sweep_finished, whole=tmp_path / "whole"),
            rng=random.Random(4),
            lasts=took + 3 * workers,
            kills=kills,
            moments=moments,
        )
    assert survived >= 18


# ---- the lab's table

TIMED = {"images_per_s", "seconds", "measured_on"}


def a_table(start: Start, out: Path, moment: int | None) -> BaseProcess:
    args = ["--preset", "mini", "--quick", "--rows", "b4-lr5e-3", "--seeds", 1, "--out", out]
    return start("experiments.baselines", *args, said=out.parent / "said", moment=moment)


def table_whole(out: Path) -> None:
    all_readable(out)
    records.read_all(out / "results", scale="mini")


def table_finished(out: Path, whole: Path) -> None:
    """The same records but for the time they took, the same detector, images and log."""
    assert names(out) == names(whole)
    (one,), (other,) = (sorted((place / "results").iterdir()) for place in (out, whole))
    first, second = (json.loads(path.read_text()) for path in (one, other))
    assert {name for name in first if first[name] != second[name]} <= TIMED
    (run,), (expected,) = (sorted((place / "runs" / "shapes").iterdir()) for place in (out, whole))
    a, b = (checkpoints.load(place / DETECTOR).weights for place in (run, expected))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    boxes = [json.loads((place / NUMBERS_FILE).read_text())["bbox"] for place in (run, expected)]
    assert boxes[0] == boxes[1]
    for name in names(out):
        if name.startswith("shapes/"):
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.slow
def test_the_table_of_baselines_survives_being_killed(start: Start, tmp_path: Path) -> None:
    """It needs no flag to go on: runs that are done are not repeated, and one that was stopped goes on."""
    begun = time.monotonic()
    process = a_table(start, tmp_path / "whole", None)
    process.join(120)
    assert process.exitcode == 0, (tmp_path / "said").read_text()
    survived = endure(
        functools.partial(a_table, start),
        tmp_path,
        whole=table_whole,
        finished=functools.partial(table_finished, whole=tmp_path / "whole"),
        rng=random.Random(5),
        lasts=time.monotonic() - begun,
        kills=12,
    )
    assert survived >= 12
