"""Sweeps: the same table wherever it was computed, whoever died on the way, and however often it was interrupted."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from agents.errors import InputError
from experiments import command_line, run_society, sweep
from experiments.pieces import program
from experiments.run_society import RunConfig
from experiments.sweep import PAGE, PROG, RESULTS, RUNS, TABLE, TIMES
from experiments.sweeps import page as sweep_page
from experiments.sweeps import places, plan, running, table
from experiments.sweeps.plan import Run
from experiments.sweeps.running import TRIES, Outcome
from experiments.sweeps.table import Swept
from experiments.workers import THREADS
from tests.browser import launched, needs_browser, opened

ROOT = Path(__file__).parents[2]

SMALL = """
replications = {replications}
seed = 5

[fixed]
world = "planted"
agents = 10
steps = 10
planted_objects = 200
planted_features = 16
planted_factors = 4
probe = 50

[sweep]
discovery_interval = {intervals}
merge_interval = [4, 0]
"""

Key = tuple[str, int]


def spec(place: Path, *, replications: int = 2, intervals: str = "[3, 10]", more: str = "") -> Path:
    """The file of a small sweep: of 8 runs, unless told otherwise."""
    path = place / "small.toml"
    path.write_text(SMALL.format(replications=replications, intervals=intervals) + more)
    return path


def call(*args: object) -> int:
    return command_line.run(functools.partial(sweep.main, [str(part) for part in args]), prog=PROG)


def refusal(capfd: pytest.CaptureFixture[str], *args: object) -> str:
    """The one sentence with which the program refuses."""
    capfd.readouterr()
    assert call(*args) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{PROG}: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix(f"{PROG}: ").rstrip()


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / TABLE, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def finished(out: Path) -> int:
    """How many runs have been written down."""
    return (out / RUNS).read_text().count("\n") - 1 if (out / RUNS).exists() else 0


def same(one: Path, other: Path) -> bool:
    """Whether everything but the seconds is equal, byte for byte."""
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in (TABLE, RESULTS, PAGE))


@pytest.fixture(scope="module", autouse=True)
def same_program() -> Iterator[None]:
    """Somebody may be editing the program while it is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "program", lambda: "this one")
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture(scope="module")
def serial(place: Path) -> Path:
    """What the small sweep leaves that is done one run after the other in this process."""
    assert call(spec(place), "--workers", 0, "--out", place / "serial") == 0
    return place / "serial"


# ---- what it leaves


def test_the_table_has_a_row_for_each_run_in_order(serial: Path) -> None:
    found = rows(serial)
    places_of = [(row["combination"], row["replication"]) for row in found]
    assert places_of == [(str(number), str(place)) for number in (1, 2, 3, 4) for place in (1, 2)]
    parameters = [(row["discovery_interval"], row["merge_interval"]) for row in found]
    assert parameters == [pair for pair in (("3", "4"), ("3", "0"), ("10", "4"), ("10", "0")) for _ in range(2)]
    assert [row["seed"] for row in found] == [str(seed) for seed in plan.seeds(5, 2)] * 4
    assert not [name for name in found[0] if "wall_s" in name or "per_s" in name]
    with open(serial / TIMES, encoding="utf-8", newline="") as file:
        seconds = list(csv.DictReader(file))
    assert [(row["combination"], row["replication"]) for row in seconds] == places_of
    assert all(float(row["wall_s"]) > 0 for row in seconds)


def test_figures_are_those_of_run_society_with_the_same_settings(serial: Path, place: Path, tmp_path: Path) -> None:
    runs = plan.runs_of(plan.read(spec(place)))
    one, row = runs[0].config, rows(serial)[0]
    fields = {"world", "agents", "steps", "seed", "probe", "discovery_interval", "merge_interval"}
    fields |= {"planted_objects", "planted_features", "planted_factors"}
    flags = [f"--{name.replace('_', '-')}={getattr(one, name)}" for name in sorted(fields)]
    assert run_society.main([*flags, f"--out={tmp_path / 'one'}"]) == 0
    summary = json.loads((tmp_path / "one" / "summary.json").read_text())
    assert float(row["communication.success"]) == summary["communication"]["success"]
    assert float(row["library.mcc"]) == summary["library"]["mcc"]
    assert float(row["communication.success_by_candidates.8"]) == summary["communication"]["success_by_candidates"]["8"]
    assert row["library.label_accuracy"] == ""
    known = {name for name, figure in running.figures_of(summary).items() if np.isfinite(figure)}
    assert known == {name for name, cell in list(row.items())[5:] if cell}


def test_means_and_spreads_are_those_of_the_rows(serial: Path) -> None:
    results = json.loads((serial / RESULTS).read_text())
    found = rows(serial)
    for combination in results["combinations"]:
        of = [row for row in found if row["combination"] == str(combination["combination"])]
        talk = [float(row["communication.success"]) for row in of]
        assert combination["figures"]["communication.success"]["mean"] == pytest.approx(statistics.mean(talk))
        assert combination["figures"]["communication.success"]["sd"] == pytest.approx(statistics.stdev(talk))
        assert combination["figures"]["library.label_accuracy"] == {"mean": None, "sd": None}
        assert combination["finished"] == 2
    assert results["seeds"] == plan.seeds(5, 2)
    assert results["failed"] == []


def test_the_same_seed_gives_every_combination_the_same_founders(serial: Path) -> None:
    found = rows(serial)
    unlived = [row["unlived.mcc"] for row in found]
    assert unlived == unlived[:2] * 4
    assert len(set(unlived)) == 2


# ---- the same from everywhere


@pytest.mark.parametrize("workers", [1, 2])
def test_the_table_does_not_hang_on_how_many_work_on_it(
    serial: Path, place: Path, tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call(spec(place), "--workers", workers, "--out", tmp_path) == 0
    assert same(tmp_path, serial)
    said = capfd.readouterr()
    assert said.err.count(" of 8: ") == 8
    assert "discovery_interval  merge_interval  n_concepts" in said.out
    assert " ± " in said.out


def from_threads(executor: Executor, runs: list[Run]) -> Mapping[Key, Outcome]:
    @contextmanager
    def lent() -> Iterator[Executor]:
        yield executor

    return {run.key: outcome for run, outcome in running.outcomes(runs, lent, at_once=len(runs))}


def test_threads_do_as_well_in_any_order(serial: Path, place: Path) -> None:
    asked = plan.read(spec(place))
    runs = plan.runs_of(asked)
    with ThreadPoolExecutor(3) as executor, threadpool_limits(2, user_api="blas"):
        found = from_threads(executor, runs[::-1])
        limits = {some["num_threads"] for some in threadpool_info() if some["user_api"] == "blas"}
    done = {key: outcome.figures for key, outcome in found.items()}
    assert table.table(Swept(plan=asked, runs=runs, done=done, failed={})) == (serial / TABLE).read_bytes()
    assert limits <= {1, 2}
    assert max(limits) == 2 or os.cpu_count() == 1


# ---- workers that die


class Killer(threading.Thread):
    """Kills a process as soon as some runs are written down."""

    def __init__(self, out: Path, victim: Callable[[], int], *, after: int = 2) -> None:
        super().__init__(daemon=True)
        self.out, self.victim, self.after = out, victim, after
        self.killed = 0

    def run(self) -> None:
        deadline = time.monotonic() + 120
        while finished(self.out) < self.after and time.monotonic() < deadline:
            time.sleep(0.01)
        self.killed = self.victim()
        os.kill(self.killed, signal.SIGKILL)


def a_child() -> int:
    pid = multiprocessing.active_children()[0].pid
    assert pid is not None
    return pid


@pytest.mark.slow
def test_a_process_that_is_killed_changes_nothing(serial: Path, place: Path, tmp_path: Path) -> None:
    killer = Killer(tmp_path, a_child)
    killer.start()
    assert call(spec(place), "--workers", 2, "--out", tmp_path) == 0
    killer.join()
    assert killer.killed
    assert same(tmp_path, serial)


def kill_a_dask_worker(file: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Sweep on a cluster of two, one of whom is killed on the way; the exit status."""
    distributed = pytest.importorskip("distributed")
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        before = {worker.pid for worker in cluster.workers.values()}
        killer = Killer(out, lambda: min(before))
        killer.start()
        status = call(file, "--scheduler", cluster.scheduler_address, "--out", out)
        killer.join()
        assert killer.killed in before
        assert killer.killed not in {worker.pid for worker in cluster.workers.values()}
    return status


def test_a_dask_worker_that_is_killed_changes_nothing(
    serial: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kill_a_dask_worker(spec(place), tmp_path / "out", monkeypatch) == 0
    assert same(tmp_path / "out", serial)


@pytest.mark.slow
def test_a_sweep_of_64_runs_survives_a_dask_worker_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = spec(tmp_path, replications=8, intervals="[2, 3, 5, 10]")
    assert call(file, "--workers", 0, "--out", tmp_path / "serial") == 0
    assert kill_a_dask_worker(file, tmp_path / "cluster", monkeypatch) == 0
    assert len(rows(tmp_path / "cluster")) == 64
    assert same(tmp_path / "cluster", tmp_path / "serial")


def deadly(config: RunConfig) -> Outcome:
    """Kills its process in a combination that never merges."""
    if config.merge_interval == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(figures={"seed": float(config.seed)})


@pytest.mark.slow
def test_a_run_that_kills_whoever_does_it_is_given_up_and_no_other_is_blamed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "TRIES", 2)
    runs = plan.runs_of(plan.read(spec(place, replications=1)))
    opened_times = 0

    def processes() -> Any:
        nonlocal opened_times
        opened_times += 1
        return places.processes(2)

    found = {run.key: outcome for run, outcome in running.outcomes(runs, processes, at_once=2, life=deadly)}
    assert set(found) == {run.key for run in runs}
    for run in runs:
        assert bool(found[run.key].error) == (run.config.merge_interval == 0)
    assert "its worker process ended" in found[runs[1].key].error
    assert 1 < opened_times <= 5


class Lossy:
    """Does at once what it is given, but loses some of it."""

    def __init__(self, losses: list[BaseException | None]) -> None:
        self.losses = losses
        self.begun = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        self.begun += 1
        loss = self.losses.pop(0) if self.losses else None
        if isinstance(loss, BrokenExecutor):
            raise loss
        future: Future[Any] = Future()
        if loss is None:
            future.set_result(fn(*args))
        else:
            future.set_exception(loss)
        return future


def lives_with(losses: list[BaseException | None], runs: list[Run], life: Any) -> tuple[dict[Key, Outcome], int]:
    lossy = Lossy(losses)

    @contextmanager
    def lent() -> Iterator[Lossy]:
        yield lossy

    found = {run.key: outcome for run, outcome in running.outcomes(runs, lent, at_once=8, life=life)}
    return found, lossy.begun


def well(config: RunConfig) -> Outcome:
    return Outcome(figures={"seed": float(config.seed)})


def test_what_is_lost_is_begun_again_but_not_for_ever(place: Path) -> None:
    runs = plan.runs_of(plan.read(spec(place, replications=1)))
    found, begun = lives_with([KeyError("lost"), None, BrokenExecutor()], runs, well)
    assert [found[run.key].error for run in runs] == [""] * 4
    assert begun == 6
    found, begun = lives_with([KeyError("lost")] * 3 * len(runs), runs, well)
    assert begun == TRIES * len(runs)
    assert {outcome.error for outcome in found.values()} == {"its worker was lost (KeyError: 'lost')"}


def test_a_run_that_fails_in_the_same_way_again_is_given_up_and_one_that_does_not_is_tried_more_often(
    place: Path,
) -> None:
    runs = plan.runs_of(plan.read(spec(place, replications=1)))[:1]
    said: list[str] = []

    def fails(config: RunConfig, *, ways: list[str], final: bool = False) -> Outcome:
        said.append(ways[len(said)])
        return Outcome(error=said[-1], trace="there", final=final) if said[-1] else Outcome(figures={"a": 1.0})

    for ways, final, begun in (
        (["a", "a", ""], False, 2),
        (["a", "b", ""], False, 3),
        (["a", "b", "c", ""], False, 3),
        (["a", ""], True, 1),
    ):
        said.clear()
        found, times = lives_with([], runs, functools.partial(fails, ways=ways, final=final))
        assert times == begun
        assert found[runs[0].key].error == ways[begun - 1]


def test_what_a_run_fails_with_is_told_and_does_not_escape() -> None:
    refused = running.life(RunConfig(world="planted", agents=4, steps=1, sensors=999))
    assert refused.final
    assert refused.error.startswith("sensors is 999")
    broken = running.life(dataclasses.replace(RunConfig(world="planted", agents=4), steps=None))
    assert not broken.final
    assert broken.error == "AssertionError: AssertionError"
    assert "running.py" in broken.trace


# ---- runs that fail


def test_a_run_that_fails_is_reported_and_the_others_finish(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "some.toml"
    text = SMALL.partition("[sweep]")[0].format(replications=2).replace("planted_features = 16\n", "")
    file.write_text(text + "[sweep]\nplanted_features = [32, 16]\nsensors = [8, 24]\n")
    assert call(file, "--workers", 0, "--out", tmp_path / "out") == 1
    said = capfd.readouterr().err
    for seed in plan.seeds(5, 2):
        assert f"sweep: planted_features=16, sensors=24, seed {seed} failed: sensors is 24" in said
    assert "Traceback" not in said
    assert [row["combination"] for row in rows(tmp_path / "out")] == ["1", "1", "2", "2", "3", "3"]
    results = json.loads((tmp_path / "out" / RESULTS).read_text())
    assert [run["seed"] for run in results["failed"]] == plan.seeds(5, 2)
    assert results["failed"][0]["parameters"] == {"planted_features": 16, "sensors": 24}
    assert results["combinations"][3]["finished"] == 0
    assert "Runs that failed" in (tmp_path / "out" / PAGE).read_text()
    # They may be the machine's fault: gone on with, they are tried again, and the others are not.
    assert call(file, "--workers", 0, "--out", tmp_path / "out", "--resume") == 1
    assert "0 runs in " in capfd.readouterr().out


# ---- going on


def interrupted(file: Path, out: Path, number: int, *flags: str, after: int = 2) -> tuple[int, str]:
    """Exit status and stderr of the program, sent a signal as soon as some runs are written down."""
    command = [sys.executable, "-m", "experiments.sweep", str(file), "--out", str(out), *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while finished(out) < after and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize(("workers", "number"), [("0", signal.SIGINT), ("2", signal.SIGTERM)])
def test_an_interrupted_sweep_goes_on_to_the_same_results(
    serial: Path,
    place: Path,
    tmp_path: Path,
    workers: str,
    number: int,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep, "program", program)
    status, said = interrupted(spec(place), tmp_path, number, "--workers", workers)
    assert status == 128 + number
    done = finished(tmp_path)
    assert 2 <= done < 8
    assert said.splitlines()[-1] == f"sweep: interrupted with {done} of 8 runs done; go on with --resume"
    assert "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} == {RUNS}
    assert call(spec(place), "--workers", 0, "--out", tmp_path, "--resume") == 0
    assert capfd.readouterr().err.count(" of 8: ") == 8 - done
    assert same(tmp_path, serial)


def test_a_line_that_was_cut_short_is_run_again(serial: Path, place: Path, tmp_path: Path) -> None:
    (tmp_path / RUNS).write_bytes((serial / RUNS).read_bytes()[:-20])
    assert call(spec(place), "--workers", 0, "--out", tmp_path, "--resume") == 0
    assert same(tmp_path, serial)


def test_a_finished_sweep_can_be_given_more_values_and_replications(
    serial: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / RUNS).write_bytes((serial / RUNS).read_bytes())
    more = spec(tmp_path, replications=3, intervals="[1, 3, 10]")
    assert call(more, "--workers", 0, "--out", tmp_path / "out", "--resume") == 0
    said = capfd.readouterr()
    assert said.err.count(" of 18: ") == 10
    assert "10 runs in " in said.out
    kept = {row["seed"] + row["discovery_interval"] + row["merge_interval"]: row for row in rows(tmp_path / "out")}
    for row in rows(serial):
        there = kept[row["seed"] + row["discovery_interval"] + row["merge_interval"]]
        assert dict(there, combination="") == dict(row, combination="")


def test_runs_of_other_work_are_not_taken(
    serial: Path, place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in serial.iterdir()}
    other = spec(tmp_path)
    for change, says in (
        (("agents = 10", "agents = 11"), "(fixed agents is 10 there, 11 here)"),
        (("seed = 5", "seed = 6"), "(base seed is 5 there, 6 here)"),
        (
            ("merge_interval = [4, 0]", "mutation = [0.1]"),
            "(parameters is ['discovery_interval', 'merge_interval'] there",
        ),
    ):
        other.write_text(spec(place).read_text().replace(*change))
        said = refusal(capfd, other, "--workers", 0, "--out", serial, "--resume")
        assert "is of other work" in said
        assert says in said
    lines = (serial / RUNS).read_text().splitlines()
    (tmp_path / "old").mkdir()
    of = json.loads(lines[0]) | {"program": "0"}
    (tmp_path / "old" / RUNS).write_text("\n".join([json.dumps(of), *lines[1:], ""]))
    assert "(program is '0' there" in refusal(capfd, spec(place), "--out", tmp_path / "old", "--resume")
    assert {path.name: path.read_bytes() for path in serial.iterdir()} == before


def test_files_of_one_name_in_several_directories_are_all_told_from_others(tmp_path: Path) -> None:
    files = [tmp_path / place / "world.csv" for place in ("first", "second")]
    for file in files:
        file.parent.mkdir()
        file.write_text("a,b\n1,2\n")
    asked = plan.plan_of({"replications": 1, "sweep": {"world": [str(file) for file in files]}})
    runs = plan.runs_of(asked)
    before = sweep.work_of(asked, runs)
    for file in files:
        file.write_text("a,b\n1,3\n")
        assert sweep.work_of(asked, runs) != before
        file.write_text("a,b\n1,2\n")
    assert sweep.work_of(asked, runs) == before


def test_a_file_called_like_a_world_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planted").write_text("something else")
    assert run_society.digest_of("planted") is None


def test_figures_can_be_of_as_many_candidates_as_a_run_has(place: Path) -> None:
    text = spec(place).read_text().replace("[sweep]", "[sweep]\ncandidates = [3, 4]")
    name = "communication.success_by_candidates.{}"
    (place / "candidates.toml").write_text(f'figures = ["{name.format(3)}", "{name.format(16)}"]\n{text}')
    asked = plan.read(place / "candidates.toml")
    runs = plan.runs_of(asked)
    sweep.check(asked, runs)
    swept = Swept(plan=asked, runs=runs, done={runs[0].key: dict.fromkeys(asked.figures, 0.5)}, failed={})
    assert table.means(swept)[0][-2:] == ["success_by_candidates.3", "success_by_candidates.16"]
    asked = dataclasses.replace(asked, figures=[name.format(5)])
    with pytest.raises(InputError, match=r"success_by_candidates.5', which is no figure"):
        sweep.check(asked, plan.runs_of(asked))


# ---- refusals


def test_what_cannot_be_run_is_refused_before_anything_is(
    serial: Path, place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = spec(place)
    (tmp_path / "taken" / TABLE).mkdir(parents=True)
    bad = tmp_path / "bad.toml"
    before = {path.name: path.read_bytes() for path in serial.iterdir()}
    for text, says in (
        ("candidates = [4, 400]", "candidates is 400, but it must be at most 150"),
        ("candidates = [4, 400]", "(with discovery_interval=3, merge_interval=4, candidates=400)"),
        ("[figures]", "figures is {}, but it must be a list of names"),
        ('world = ["none.npz"]', "world is given 2 times"),
    ):
        bad.write_text(good.read_text() + text)
        assert says in refusal(capfd, bad, "--out", serial)
    bad.write_text('figures = ["library.mc"]\n' + good.read_text())
    assert "figures has 'library.mc', which is no figure of a run; 'library.mcc' is" in refusal(capfd, bad)
    bad.write_text(good.read_text().replace('"planted"', '"none.npz"'))
    assert "planted_objects is given, but world is" in refusal(capfd, bad)
    bad.write_text('replications = 1\n[fixed]\nworld = "none.npz"')
    assert "none.npz" in refusal(capfd, bad)
    for flags, says in (
        (["--workers", "-1"], "workers is -1, but it must be at least 0"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "leave out one"),
        (["--scheduler", "there"], "scheduler is 'there', but it must be an address like tcp://HOST:8786"),
        (["--out", str(tmp_path / "taken")], f"where {TABLE} is a directory"),
        (["--out", str(bad)], "cannot be written to (a file is in the way)"),
    ):
        assert says in refusal(capfd, good, *flags)
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = refusal(capfd, good, "--scheduler", "tcp://127.0.0.1:1", "--out", serial)
    assert said.endswith("is not installed; install dimensional-views[distributed]")
    assert {path.name: path.read_bytes() for path in serial.iterdir()} == before


def test_a_scheduler_that_does_not_answer_is_named(
    serial: Path, place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(places, "PATIENCE_S", 0.5)
    before = {path.name: path.read_bytes() for path in serial.iterdir()}
    said = refusal(capfd, spec(place), "--scheduler", "tcp://127.0.0.1:1", "--out", serial)
    assert said.startswith("scheduler is tcp://127.0.0.1:1, where no Dask scheduler answers (")
    assert {path.name: path.read_bytes() for path in serial.iterdir()} == before


# ---- the page


def made_up(file: Path, *, failed: int = 0) -> Swept:
    """A sweep whose one figure is 10 times the combination plus the replication, but for the first runs."""
    asked = dataclasses.replace(plan.read(file), figures=("tea <b>",))
    runs = plan.runs_of(asked)
    done = {run.key: {"tea <b>": 10.0 * run.combination.number + run.replication, "wall_s": 1.0} for run in runs}
    for run in runs[:failed]:
        del done[run.key]
    lost = {run.key: Outcome(error="</script><b>spilt") for run in runs[:failed]}
    return Swept(plan=asked, runs=runs, done=done, failed=lost)


def test_charts_have_a_line_for_each_value_of_another_parameter_and_a_point_for_each_run(place: Path) -> None:
    swept = made_up(spec(place, replications=3))
    drawn = sweep_page.figure_of(swept, "tea <b>", 0, sweep_page.lines_axis(swept, 0))
    points, lines = drawn.data[0::2], drawn.data[1::2]
    assert [line.name for line in lines] == ["4", "0"]
    assert [list(line.y) for line in lines] == [[12.0, 32.0], [22.0, 42.0]]
    assert [list(some.y) for some in points] == [[11, 12, 13, 31, 32, 33], [21, 22, 23, 41, 42, 43]]
    assert list(lines[0].error_y.array) == [1.0, 1.0]
    assert list(drawn.layout.xaxis.ticktext) == ["3", "10"]
    assert drawn.layout.xaxis.type == "linear"


def test_what_differs_by_much_is_drawn_on_a_logarithmic_axis_in_rising_order(tmp_path: Path) -> None:
    swept = made_up(spec(tmp_path, intervals="[100, 1, 10]"))
    (line,) = sweep_page.figure_of(swept, "tea <b>", 0, None).data[1::2]
    assert list(line.x) == [1.0, 10.0, 100.0]
    assert sweep_page.figure_of(swept, "tea <b>", 0, None).layout.xaxis.type == "log"
    assert sweep_page.figure_of(swept, "tea <b>", 1, None).layout.xaxis.type == "linear"


def test_words_and_what_is_zipped_stand_side_by_side(tmp_path: Path) -> None:
    swept = made_up(spec(tmp_path, more='[[zip]]\ngame = ["gesture", "language"]\nsensors = [8, 9]\n'))
    drawn = sweep_page.figure_of(swept, "tea <b>", 2, sweep_page.lines_axis(swept, 2))
    assert list(drawn.layout.xaxis.ticktext) == ["gesture and 8", "language and 9"]
    text = sweep_page.render(swept)
    assert "How it goes with discovery_interval, merge_interval, game and sensors" in text
    assert "Runs with all values of merge_interval are taken together." in text


def test_nothing_in_the_data_is_taken_for_markup(place: Path) -> None:
    text = sweep_page.render(made_up(spec(place), failed=1))
    assert "tea <b>" not in text
    assert "<b>spilt" not in text
    assert "&lt;/script&gt;&lt;b&gt;spilt" in text
    assert "7 runs finished, 1 run failed." in text


def test_a_sweep_of_which_nothing_was_finished_has_a_page_and_an_empty_table(place: Path) -> None:
    swept = made_up(spec(place), failed=8)
    assert "Nothing was measured." in sweep_page.render(swept)
    assert table.table(swept) == b"combination,replication,discovery_interval,merge_interval,seed\n"
    assert table.printed(swept).splitlines()[0] == "discovery_interval  merge_interval"


@needs_browser
def test_the_page_shows_every_chart_in_a_browser(serial: Path) -> None:
    drawn = "[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.cartesianlayer .trace'))"
    with launched(timeout=30) as browser, opened(serial / PAGE, width=1200, browser=browser) as page:
        page.wait_for(drawn)
        charts = page.evaluate("[...document.querySelectorAll('.plot')].map(plot => plot.id)")
        figures = [name for name in table.USUAL if name != "library.label_accuracy"]
        assert charts == [f"plot-axis-{axis}-{number}" for axis in (0, 1) for number in range(len(figures))]
        assert page.evaluate("document.querySelectorAll('#means tbody tr').length") == 4
        assert page.evaluate("document.documentElement.scrollWidth") == 1200
        page.resize(400, 900)
        page.wait_for("document.documentElement.scrollWidth === 400")
        assert page.requests == []
        assert page.console == []
