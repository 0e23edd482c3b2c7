"""The program that trains: what it refuses, what it leaves, and that no interruption changes the result."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from detection import checkpoints, command_line, train
from detection.config import from_json, to_json
from detection.errors import InputError
from detection.training.distributed import World
from tests.detection.small_runs import small_config, write_set
from tests.detection.training.test_learner import assert_equal_bits

SMALL = [
    *("--preset", "mini", "--backbone-weights", "None", "--fpn-channels", "32", "--head-convs", "1"),
    *("--short-side", "64", "--short-sides", "64", "--max-side", "96", "--batch-size", "2", "--max-iterations", "6"),
    *("--warmup-iterations", "2", "--workers", "0", "--device", "cpu", "--no-channels-last"),
    *("--log-every", "2", "--checkpoint-every", "2"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_set(tmp_path_factory.mktemp("data") / "set")
    return write_set(root, split="val2017", images=3, seed=1)


def run(*flags: object) -> int:
    args = [str(flag) for flag in flags]
    return command_line.run(lambda: train.main(args), prog="train")


def log_of(out: Path) -> list[dict[str, Any]]:
    """The log without what depends on the clock and the machine."""
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("images_per_s", "peak_memory_gib")} for row in rows]


def assert_same_run(out: Path, expected: Path) -> None:
    """Weights, state and log are equal, bit for bit, and nothing else has been left."""
    a, b = (checkpoints.load(one / "last.pt") for one in (out, expected))
    assert_equal_bits(a.weights, b.weights)
    assert a.training is not None
    assert b.training is not None
    for name in a.training.keys() - {"config"}:
        assert_equal_bits(a.training[name], b.training[name], at=name)
    assert log_of(out) == log_of(expected)
    assert {path.name for path in out.iterdir()} == {"config.json", "log.jsonl", "last.pt"}


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody has interrupted."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert run(*SMALL, "--data", data, "--out", out, "--ema", 0.9) == 0
    return out


def test_a_run_leaves_its_configuration_its_log_and_a_detector(finished: Path, data: Path):
    fields = json.loads((finished / "config.json").read_text())
    assert fields["batch_size"] == 2
    assert fields["data"] == str(data)
    assert [category["id"] for category in fields["model"]["categories"]] == [3, 7]
    rows = log_of(finished)
    assert [row["iteration"] for row in rows] == [2, 4, 6]
    assert [row["images"] for row in rows] == [4, 8, 12]
    assert rows[-1]["epoch"] == 2.0
    for row in rows:
        assert row["loss"] == pytest.approx(row["class"] + row["box"] + row["quality"])
        assert row["positives"] >= 1
        assert row["gradient_norm"] > 0
        assert row["lr"] > 0
    checkpoint = checkpoints.load(finished / "last.pt")
    assert checkpoint.training is not None
    assert (checkpoint.training["iteration"], checkpoint.training["images"]) == (6, 12)
    # What is built to detect has the averaged weights.
    averaged = checkpoints.build(checkpoint).state_dict()["head.logits.weight"]
    assert torch.equal(averaged, checkpoint.training["ema"]["head.logits.weight"])
    assert not torch.equal(averaged, checkpoint.weights["head.logits.weight"])


def test_what_is_trained_and_how_to_go_on_is_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "run"
    flags = [*SMALL, "--preset", "fcos-imprv-r50-1x", "--backbone", "efficientnet-lite0", "--data", data, "--out", out]
    assert run(*flags, "--max-iterations", 1) == 0
    said = capsys.readouterr()
    assert f"python -m detection.evaluate --checkpoint {out / 'last.pt'} --data {data}" in said.out
    assert "6 images with objects of 7, 2 categories; 1 iterations of 2 images" in said.err
    assert "fcos-imprv-r50-1x is of a backbone trained on ImageNet; this one begins at random" in said.err
    assert "what is frozen stays random" in said.err
    assert "1/1  loss" in said.err


def test_presets_are_listed(capsys: pytest.CaptureFixture[str]):
    assert run("--list-presets") == 0
    assert {"mini", "fcos-imprv-r50-1x"} <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("flags", "iterations"),
    [
        ([], 1600),
        (["--max-iterations", "7"], 7),
        (["--max-images", "160"], 40),
        (["--max_images=160", "--batch-size", "16"], 10),
    ],
)
def test_the_length_that_is_given_takes_the_place_of_the_presets(flags: Sequence[str], iterations: int):
    command = train.parse(["--preset", "mini", "--data", "d", "--out", "o", *flags])
    assert command.iterations == iterations
    assert command.lr == 0.01


def test_a_run_that_is_not_told_where_goes_to_a_directory_named_as_its_preset():
    assert train.parse(["--preset", "mini", "--data", "d"]).out == Path("runs/mini")
    assert train.parse(["--data", "d"]).out == Path("runs/detector")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--preset", "maxi"], "preset is 'maxi'; give one of"),
        (["--max-images", "5", "--max-iterations", "5"], "say the length twice"),
        (["--lr", "fast"], "--lr is 'fast', but it must be a number"),
        (["--learning-rate", "1"], "--learning-rate is not a flag"),
        (["--data", "nowhere"], "nowhere"),
        (["--device", "tpu"], "device is 'tpu', which torch does not know"),
        (["--device", "cuda:77"], "device is cuda:77, but"),
        (["--fit-memory", "1", "--micro-batch", "1"], "fit_memory and micro_batch are both given"),
        (["--fit-memory", "-1"], "fit_memory is -1.0; give a number above 0"),
        (["--weights", "nowhere.pt"], "nowhere.pt does not exist"),
        (["--backbone-weights", "nowhere.pth"], "nowhere.pth"),
        (["--evaluate-every", "1", "--val-split", "test2017"], "instances_test2017.json"),
        (["--resume"], "which holds no run to go on with"),
        (["--preset"], "--preset"),
        (["stray"], "'stray' belongs to no flag"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_leaves_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: Sequence[str], complaint: str
):
    out = tmp_path / "run"
    assert run(*SMALL, "--data", data, "--out", out, *flags) == 2
    lines = capsys.readouterr().err.splitlines()
    assert complaint in lines[-1]
    assert lines[-1].startswith("train: ")
    assert not out.exists() or not list(out.iterdir())


def test_the_directory_of_a_run_is_not_begun_anew(finished: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    before = (finished / "last.pt").stat()
    assert run(*SMALL, "--data", data, "--out", finished) == 2
    assert "which holds a run (last.pt); give --resume to go on with it, or another" in capsys.readouterr().err
    assert (finished / "last.pt").stat() == before


def test_a_run_does_not_go_on_by_other_rules_or_data(
    finished: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = write_set(tmp_path / "other", seed=3)
    for flags, complaint in (
        (["--lr", "0.5"], "lr is 0.5, but the run in"),
        (["--preset", "fcos-r50-1x"], "preset is fcos-r50-1x, but the run in"),
        (["--max-iterations", "9"], "its first 6 would have had other learning rates"),
        (["--data", str(other)], "was begun with other annotations or images"),
    ):
        assert run("--resume", "--out", finished, *flags) == 2
        assert complaint in capsys.readouterr().err
    (tmp_path / "a").mkdir()
    shutil.copy(finished / "config.json", tmp_path / "a" / "config.json")
    annotations = other / "annotations" / "instances_train2017.json"
    contents = json.loads(annotations.read_text())
    contents["categories"].append({"id": 1, "name": "a third thing"})
    annotations.write_text(json.dumps(contents))
    assert run("--resume", "--out", tmp_path / "a", "--data", other) == 2
    assert "was begun with other categories; give data with those" in capsys.readouterr().err
    (tmp_path / "a" / "last.pt").write_bytes((finished / "last.pt").read_bytes()[:5000])
    assert run("--resume", "--out", tmp_path / "a") == 2
    assert f"{tmp_path / 'a' / 'last.pt'}" in capsys.readouterr().err


def test_a_finished_run_that_goes_on_is_finished(finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "run")
    assert run("--resume", "--out", tmp_path / "run", "--workers", 1) == 0
    assert_same_run(tmp_path / "run", finished)


def test_a_constant_rate_can_go_on_for_longer_as_if_it_had_been_planned(data: Path, tmp_path: Path):
    flags = [*SMALL, "--data", data, "--schedule", "steps", "--decay-at", 1.0]
    assert run(*flags, "--out", tmp_path / "long", "--max-iterations", 4) == 0
    assert run(*flags, "--out", tmp_path / "short", "--max-iterations", 2) == 0
    assert run("--resume", "--out", tmp_path / "short", "--max-iterations", 4) == 0
    assert_same_run(tmp_path / "short", tmp_path / "long")


def test_evaluations_are_in_the_log(data: Path, tmp_path: Path):
    out = tmp_path / "run"
    assert run(*SMALL, "--data", data, "--out", out, "--max-iterations", 2, "--evaluate-every", 2) == 0
    measured = log_of(out)[-1]
    assert measured["iteration"] == 2
    assert 0 <= measured["AP"] <= measured["AP50"] <= 1


def test_a_configuration_of_the_command_line_survives_its_file(data: Path, tmp_path: Path):
    command = train.parse([*SMALL, "--data", str(data), "--out", str(tmp_path), "--short-sides", "48", "64"])
    config = small_config(**{f.name: getattr(command, f.name) for f in dataclasses.fields(small_config())})
    assert config.short_sides == (48, 64)
    assert from_json(type(config), json.loads(json.dumps(to_json(config))), source="test") == config


# What follows kills real processes. They are forked by one that has imported the program and done nothing else.

Start = Callable[..., BaseProcess]


def _program(args: Sequence[str]) -> None:
    os.setpgrp()  # so that signals reach it with its workers, as from a terminal, and not the tests
    sys.exit(command_line.run(lambda: train.main(list(args)), prog="train"))


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts the program in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    # The optimizer imports the compiler, which takes longer than what is tested here.
    context.set_forkserver_preload(["detection.train", "torch._dynamo"])
    running: list[BaseProcess] = []
    with pytest.MonkeyPatch.context() as patch:
        # What is not on the path of the forking process is imported by each of the forked.
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))  # others would round differently
        forkserver.ensure_running()

    def begin(*flags: object) -> BaseProcess:
        process = context.Process(target=_program, args=([str(flag) for flag in flags],))
        process.start()
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.is_alive():
            process.kill()
        process.join()


def wait_for(seen: Callable[[], object], process: BaseProcess) -> None:
    """Look until there is something to be seen; the program must not end before."""
    until = time.monotonic() + 120
    while not seen():
        assert process.is_alive(), f"the program ended with status {process.exitcode} before there was anything to see"
        assert time.monotonic() < until
        time.sleep(0.0003)


def lines_in(out: Path) -> int:
    path = out / "log.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def half_written(out: Path) -> list[Path]:
    return [path for path in out.glob(".*.tmp") if path.exists() and path.stat().st_size > 100_000]


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(data: Path, tmp_path: Path, start: Start):
    flags = [*SMALL, "--data", data, "--max-iterations", 9, "--checkpoint-every", 1, "--log-every", 1, "--ema", 0.9]
    straight = start(*flags, "--out", tmp_path / "straight")
    straight.join()
    assert straight.exitcode == 0

    out = tmp_path / "killed"
    moments: list[Callable[[], object]] = [
        (out / "config.json").exists,  # before there is a checkpoint
        lambda: lines_in(out) >= 2,  # between a line of the log and the checkpoint after it
        lambda: (out / "last.pt").exists() and lines_in(out) >= 3 and half_written(out),  # while one is written
        lambda: lines_in(out) >= 6 and half_written(out),
    ]
    for number, moment in enumerate(moments):
        process = start(*(["--resume", "--out", out] if number else [*flags, "--out", out]))
        wait_for(moment, process)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert half_written(out)  # the last one really was killed while it wrote
    assert checkpoints.load(out / "last.pt").training is not None
    process = start("--resume", "--out", out)
    process.join()
    assert process.exitcode == 0
    assert_same_run(out, tmp_path / "straight")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_saves_what_it_has_and_ends_as_one_that_was_not(
    data: Path, tmp_path: Path, start: Start, finished: Path, number: int, status: int
):
    out = tmp_path / "run"
    flags = [*SMALL, "--data", data, "--out", out, "--ema", 0.9, "--checkpoint-every", 1000, "--workers", 1]
    process = start(*flags)
    wait_for(lambda: lines_in(out) >= 1, process)
    assert process.pid is not None
    os.killpg(process.pid, number)
    process.join()
    assert process.exitcode == status
    training = checkpoints.load(out / "last.pt").training
    assert training is not None
    assert 2 <= training["iteration"] < 6
    # The same command once more, now to go on.
    process = start(*flags, "--resume")
    process.join()
    assert process.exitcode == 0
    assert_same_run(out, finished)


def test_two_processes_learn_what_one_learns(data: Path, tmp_path: Path):
    flags = ["-m", "detection.train", *SMALL, "--data", str(data), "--batch-size", "4", "--max-iterations", "3"]
    flags += ["--log-every", "1", "--lr", "0.002"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    two = [sys.executable, *launcher, *flags, "--out", str(tmp_path / "two"), "--micro-batch", "1"]
    together = subprocess.run(two, env=environment, capture_output=True, text=True)
    assert together.returncode == 0, together.stderr
    # One of them speaks for both.
    assert together.stdout.count("Checkpoint:") == 1
    assert len(re.findall("3/3  loss", together.stderr)) == 1
    assert run(*flags[2:], "--out", tmp_path / "one") == 0
    for a, b in zip(log_of(tmp_path / "two"), log_of(tmp_path / "one"), strict=True):
        assert a == pytest.approx(b, rel=2e-5)
    a, b = (checkpoints.load(tmp_path / name / "last.pt").weights for name in ("two", "one"))
    beginning = train.begin(small_config(model=checkpoints.load(tmp_path / "one" / "last.pt").config), say=print)
    changed = 0
    for name, start_value in beginning.state_dict().items():
        torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=2e-6)
        changed += not torch.equal(b[name], start_value)
    assert changed > 50


def test_processes_that_cannot_share_a_batch_are_told_so(data: Path, tmp_path: Path):
    config = small_config(data=data, out=tmp_path / "run", batch_size=3)
    with pytest.raises(InputError, match="batch_size is 3, but 2 processes share it; give a multiple of 2"):
        train.run(config, world=World(rank=0, size=2, device=torch.device("cpu")), resume=False)
    sync = dataclasses.replace(config, batch_size=4, model=dataclasses.replace(config.model, norm="syncbn"))
    with pytest.raises(InputError, match="norm is syncbn, which several processes can only share on GPUs"):
        train.run(sync, world=World(rank=0, size=2, device=torch.device("cpu")), resume=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_all_processes_refuse_is_said_once(data: Path, tmp_path: Path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    flags = ["-m", "detection.train", *SMALL, "--data", str(data), "--batch-size", "3", "--out", str(tmp_path / "two")]
    refused = subprocess.run([*launcher, *flags], capture_output=True, text=True)
    assert refused.returncode != 0
    assert refused.stderr.count("train: batch_size is 3") == 1
