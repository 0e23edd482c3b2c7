"""A society in shards on a Dask cluster and on the command line: the same to the last bit wherever it lives."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.shard_arrays import mail_state, state, told_state
from agents.sharded import Day, ShardedSociety, digest, digest_of
from agents.shards import Sharding
from agents.world import World, planted
from experiments import bench_shards, benchmark, command_line, on_dask, run_society
from experiments import shards as program
from experiments.sweeps import places
from experiments.workers import THREADS

SHARDING = Sharding(shards=4, ticks=4, letters=0.3, merge_days=3)
DAYS = 7


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=3, objects=400, features=32, factors=8, probe=60)


def config(agents: int = 60) -> SocietyConfig:
    return SocietyConfig(agents=agents, sensors=12, memory=24, discovery_interval=5, selection_interval=4)


@pytest.fixture(scope="module")
def serial(world: World) -> tuple[ShardedSociety, list[Day]]:
    """The society as it is after living here."""
    society = ShardedSociety(world, config(), SHARDING, seed=2)
    return society, society.live(DAYS)


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """So many processes with one thread each."""
    distributed = pytest.importorskip("distributed")
    with pytest.MonkeyPatch.context() as patch:
        for name in THREADS:
            patch.setenv(name, "1")
        with distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as there:
            yield there


@contextlib.contextmanager
def scheduler_and_worker() -> Iterator[tuple[str, subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """A scheduler's address, its process, and that of a worker whom nobody brings back."""
    pytest.importorskip("distributed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    commands = (
        ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"),
        ("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"),
    )
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as started:
        running: list[subprocess.Popen[bytes]] = []
        for command in commands:
            running.append(subprocess.Popen([sys.executable, "-m", *command], **quiet))  # type: ignore[call-overload]
            started.callback(running[-1].wait)
            started.callback(running[-1].kill)
        yield address, running[0], running[1]


def untimed(days: list[Day]) -> list[Day]:
    return [dataclasses.replace(day, seconds=0.0) for day in days]


def check_same(one: ShardedSociety, other: ShardedSociety) -> None:
    """Columns, generators, counters, ledgers and letters of all shards, what is on its way, and the library."""
    for ours, theirs in zip(one.gathered(), other.gathered(), strict=True):
        there = state(theirs)
        assert set(state(ours)) == set(there)
        for name, array in state(ours).items():
            assert array.dtype == there[name].dtype
            assert array.tobytes() == there[name].tobytes(), name
        assert ours.society.counters == theirs.society.counters
    for kept in (mail_state, told_state):
        name = "mail" if kept is mail_state else "told"
        ours, theirs = ([some.place.submit(kept, each) for each in getattr(some, name)] for some in (one, other))
        for arrays, there in zip(one.place.gather(ours), other.place.gather(theirs), strict=True):
            assert digest(arrays) == digest(there), name
    library = other.library.state()
    for name, array in one.library.state().items():
        assert array.tobytes() == library[name].tobytes(), name
    assert one.digest() == other.digest()


def test_on_two_workers_it_is_the_same_to_the_last_bit(world: World, serial: tuple[ShardedSociety, list[Day]]) -> None:
    with cluster(2) as there, on_dask.on_dask(there.scheduler_address) as place:
        society = ShardedSociety(world, config(), SHARDING, seed=2, place=place)
        days = society.live(DAYS)
        check_same(society, serial[0])
        assert untimed(days) == untimed(serial[1])
        assert society.understanding() == serial[0].understanding()
        # What was before is not there any more: shards, post, what is told, the world.
        for _ in range(50):  # it goes a little later than the last one who asks for it
            if (held := sum(len(keys) for keys in place.client.has_what().values())) < 4 + 16 + 4 + 2 + 4:
                break
            time.sleep(0.1)
        assert held < 4 + 16 + 4 + 2 + 4


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kept", [False, True])
def test_wherever_it_lives_and_whatever_is_written_down_it_is_the_same(
    world: World, serial: tuple[ShardedSociety, list[Day]], tmp_path: Path, workers: int, kept: bool
) -> None:
    directory = tmp_path / "kept" if kept else None
    with cluster(workers) as there:
        with on_dask.on_dask(there.scheduler_address, directory=directory, days=2) as place:
            society = ShardedSociety(world, config(), SHARDING, seed=2, place=place)
            society.live(DAYS)
            check_same(society, serial[0])
            if kept:
                assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
                    f"{place.token}-shard-{k}-day-6.npz" for k in range(4)
                ]
                # What came before that day is forgotten.
                assert len(there.scheduler.tasks) < 90
        assert not kept or not list((tmp_path / "kept").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_a_worker_that_is_killed_changes_nothing(
    world: World, serial: tuple[ShardedSociety, list[Day]], tmp_path: Path, kept: bool, seconds: float
) -> None:
    with (
        cluster(2) as there,
        on_dask.on_dask(there.scheduler_address, directory=tmp_path if kept else None, days=2) as place,
    ):
        society = ShardedSociety(world, config(), SHARDING, seed=2, place=place)
        days, killed = society.live(4), min(worker.pid for worker in there.workers.values())
        killer = threading.Timer(seconds, os.kill, (killed, signal.SIGKILL))
        killer.start()
        days += society.live(DAYS - 4)
        killer.join()
        check_same(society, serial[0])
        assert untimed(days) == untimed(serial[1])
        assert killed not in {worker.pid for worker in there.workers.values()}


@pytest.mark.slow
def test_every_worker_has_its_shards(world: World) -> None:
    with cluster(2) as there, on_dask.on_dask(there.scheduler_address) as place:
        society = ShardedSociety(world, config(4000), dataclasses.replace(SHARDING, ticks=2), seed=2, place=place)
        society.live(4)
        homes = place.client.who_has(society.shards)
        assert len({worker for holders in homes.values() for worker in holders}) == 2
        assert sorted(place.homes.values()) == sorted([*there.scheduler.workers] * 2)


def test_shards_are_at_home_with_workers_that_are_there_evenly_and_stay() -> None:
    homes: dict[int, str] = {}
    for _ in range(2):
        for k in range(5):
            assert on_dask.at_home(homes, k, ["b", "a"])
        assert homes == {0: "a", 1: "b", 2: "a", 3: "b", 4: "a"}
    for k in range(5):  # one is lost, another comes
        on_dask.at_home(homes, k, ["a", "c"])
    assert sorted(homes.values()) == ["a", "a", "a", "c", "c"]
    assert homes[2] == homes[4] == "a"
    for k in range(5):  # one more comes
        on_dask.at_home(homes, k, ["a", "c", "d"])
    assert sorted(homes.values()) == ["a", "a", "c", "c", "d"]
    assert not on_dask.at_home(homes, 0, [])


class AtOnce:
    """A client that does at once what it is given."""

    def __init__(self) -> None:
        self.workers = {"tcp://one": 1}

    def submit(self, work: Callable[..., Any], *args: Any, **how: Any) -> Any:
        return work(*args)

    def gather(self, results: list[Any]) -> list[Any]:
        return results

    def nthreads(self) -> dict[str, int]:
        return self.workers


def small(world: World, place: on_dask.OnDask, seed: int = 1) -> ShardedSociety:
    sharding = dataclasses.replace(SHARDING, shards=2, ticks=1)
    return ShardedSociety(world, config(20), sharding, seed=seed, place=place)


class LostError(Exception):
    """As if from the cluster."""


def test_a_cluster_that_is_lost_is_told_in_a_sentence_and_a_defect_is_not() -> None:
    class Client:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def gather(self, results: list[Any]) -> list[Any]:
            raise self.error

    LostError.__module__ = "distributed.scheduler"
    with pytest.raises(ValueError, match=r"the cluster has lost what it was to do \(LostError: gone\); see to"):
        on_dask.OnDask(Client(LostError("gone"))).gather([])
    with pytest.raises(KeyError):
        on_dask.OnDask(Client(KeyError("x"))).gather([])


@pytest.mark.parametrize("call", ["nthreads", "submit"])
@pytest.mark.parametrize("error", [LostError("gone"), OSError("gone")])
def test_a_scheduler_that_is_lost_between_days_is_told_in_a_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str, error: Exception
) -> None:
    def lost(*args: Any, **how: Any) -> None:
        raise error

    LostError.__module__ = "distributed.comm.core"
    place = on_dask.OnDask(AtOnce())
    society = small(world, place)
    society.live(1)
    monkeypatch.setattr(place.client, call, lost)
    with pytest.raises(InputError, match=r"^the cluster has lost what it was to do \([A-Za-z]+Error: gone\); see to"):
        society.live(1)


@pytest.mark.slow
def test_a_scheduler_that_is_killed_is_told_in_a_sentence(world: World) -> None:
    with scheduler_and_worker() as (address, scheduler, _), on_dask.on_dask(address) as place:
        society = small(world, place)
        society.live(1)
        scheduler.kill()
        scheduler.wait()
        time.sleep(3)
        with pytest.raises(InputError, match=r"^the cluster has lost what it was to do"):
            society.live(3)


def test_shards_and_their_mail_are_written_and_read(
    serial: tuple[ShardedSociety, list[Day]], world: World, tmp_path: Path
) -> None:
    society = serial[0]
    for number, (shard, mail) in enumerate(zip(society.shards, society.mail, strict=True)):
        path = str(tmp_path / f"{number}.npz")
        on_dask.write(path, shard, mail)
        again, posts = on_dask.read_shard(path, world, config(), SHARDING, number)
        assert digest_of(again) == digest_of(shard)
        assert [(len(post.letters), post.nbytes) for post in posts] == [(len(p.letters), p.nbytes) for p in mail]
    assert len(list(tmp_path.iterdir())) == 4


def test_two_societies_may_be_written_down_in_one_directory(world: World, tmp_path: Path) -> None:
    places = [on_dask.OnDask(AtOnce(), directory=tmp_path, days=1) for _ in range(2)]
    both = [small(world, place, seed) for seed, place in enumerate(places)]
    for _ in range(2):
        for society in both:
            society.live(1)
    assert len(list(tmp_path.iterdir())) == 4
    for society, place in zip(both, places, strict=True):
        for k, path in enumerate(place.kept):
            there, _ = on_dask.read_shard(str(path), world, society.config, society.sharding, k)
            assert digest_of(there) == digest_of(society.shards[k])
    places[0].forget()
    assert sorted(tmp_path.iterdir()) == sorted(places[1].kept)


def test_a_directory_is_the_same_for_workers_that_were_started_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert on_dask.OnDask(AtOnce(), directory=Path("kept")).directory == tmp_path.resolve() / "kept"


def test_nothing_is_left_behind_where_writing_fails(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = on_dask.OnDask(AtOnce(), directory=tmp_path, days=1)
    society = small(world, place)
    society.live(1)
    before = sorted(tmp_path.iterdir())

    def fails(path: str, *args: Any) -> None:
        if "shard-1" in path:
            raise InputError("full")
        written(path, *args)

    written = on_dask.write
    monkeypatch.setattr(on_dask, "write", fails)
    with pytest.raises(InputError, match="full"):
        society.live(1)
    # What there was is there until all that takes its place is.
    assert set(before) < set(tmp_path.iterdir())
    place.forget()
    assert not list(tmp_path.iterdir())


def test_where_workers_cannot_write_is_named(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(directory: Path) -> str:
        place = on_dask.OnDask(AtOnce(), directory=directory, days=1)
        with pytest.raises(InputError) as caught:
            small(world, place).live(1)
        place.forget()
        return str(caught.value)

    says = "where a worker cannot write its shards ({}); see to it, or give a directory that all workers can write to"
    missing = says.format("No such file or directory")
    assert refused(tmp_path / "none") == f"keep is {tmp_path / 'none'}, {missing}"
    # A file, in which nothing can be removed either.
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file") == f"keep is {tmp_path / 'file'}, {says.format('Not a directory')}"

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert refused(tmp_path) == f"keep is {tmp_path}, {says.format('No space left on device')}"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


ALONE = r"^the cluster has had no workers for [0-9.]+ s; start some by 'dask worker ADDRESS --nthreads 1' and begin"


class Waiting(AtOnce):
    """A client that waits for whoever is to work until it is told not to."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = threading.Event()

    def gather(self, results: list[Any]) -> list[Any]:
        if self.cancelled.wait(0.5):
            raise LostError("cancelled")
        return results

    def cancel(self, results: list[Any]) -> None:
        self.cancelled.set()


def test_a_cluster_without_workers_is_waited_for_with_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    LostError.__module__ = "distributed.client"
    monkeypatch.setattr(on_dask, "LOOK_S", 0.02)
    client = Waiting()
    client.workers = {}
    assert on_dask.OnDask(client).gather([1]) == [1]  # for half a second of sixty
    monkeypatch.setattr(on_dask, "PATIENCE_S", 0.2)
    client.workers = {"tcp://one": 1}
    assert on_dask.OnDask(client).gather([1]) == [1]
    client.workers = {}
    with pytest.raises(InputError, match=ALONE):
        on_dask.OnDask(client).gather([1])
    assert on_dask.OnDask(AtOnce()).gather([1]) == [1]


@pytest.mark.slow
def test_workers_that_nobody_brings_back_are_not_waited_for_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_dask, "PATIENCE_S", 2)
    with scheduler_and_worker() as (address, _, worker), on_dask.on_dask(address) as place:
        society = small(world, place)
        society.live(1)
        worker.kill()
        with pytest.raises(InputError, match=ALONE):
            society.live(3)


THREADED = (
    "the worker at tcp://two has 2 threads, but the days of two shards in one process would disturb each other; start "
    "workers by 'dask worker ADDRESS --nthreads 1'"
)


def test_workers_of_several_threads_are_refused_whenever_they_come(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = AtOnce()
    monkeypatch.setattr(on_dask, "connected", lambda address: contextlib.nullcontext(client))
    with on_dask.on_dask("tcp://there:8786") as place:
        society = small(world, place)
        society.live(1)
        client.workers["tcp://two"] = 2
        with pytest.raises(InputError) as caught:
            society.live(1)
    assert str(caught.value) == THREADED
    with pytest.raises(InputError) as caught, on_dask.on_dask("tcp://there:8786"):
        pass
    assert str(caught.value) == THREADED


# ---- the command line


SMALL = ("--agents", "40", "--days", "3", "--ticks", "3", "--merge-days", "2", "--letters", ".2", "--seed", "4")


def call(*args: object) -> int:
    return command_line.run(functools.partial(program.main, [str(part) for part in args]), prog=program.PROG)


def refusal(capfd: pytest.CaptureFixture[str], *args: object) -> str:
    capfd.readouterr()
    assert call(*args) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("shards: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("shards: ").rstrip()


def test_every_day_is_told_and_written_down(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(*SMALL, "--out", tmp_path / "told.json") == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0].split()[:4] == ["day", "agents", "agent-steps/s", "letters"]
    assert [line.split()[0] for line in said[1:4]] == ["1", "2", "3"]
    told = json.loads((tmp_path / "told.json").read_text())
    assert said[-1].endswith(told["digest"])
    assert said[-1].startswith("360 agent-steps in ")
    assert [day["number"] for day in told["days"]] == [1, 2, 3]
    assert told["days"][1]["concepts"] > 0
    assert told["days"][2]["understood_between"] > 0
    assert told["days"][1]["bytes_a_tick"] > told["days"][0]["bytes_a_tick"] > 0
    assert told["config"]["letters"] == 0.2
    assert not {"scheduler", "keep", "out"} & set(told["config"])
    # The same from Python.
    world = run_society.make_world(run_society.RunConfig(world="planted", seed=4))
    life, sharding = SocietyConfig(agents=40), Sharding(shards=4, ticks=3, merge_days=2, letters=0.2)
    society = ShardedSociety(world, dataclasses.replace(life, merge_interval=0), sharding, seed=4)
    society.live(3)
    assert society.digest() == told["digest"]


def test_a_world_is_lived_in_as_it_is_elsewhere() -> None:
    assert program.parse(["--world", "objects"]).attention == 0
    assert program.parse(["--world", "objects", "--attention", ".2"]).attention == 0.2
    assert program.parse(["--world", "digits"]).attention == SocietyConfig().attention
    assert program.parse(["--world", "objects"]).agents == program.parse([]).agents


def test_what_cannot_be_lived_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for flags, says in (
        (["--agents", "6"], "shards is 4, but 6 agents make at most 3 shards of two"),
        (["--days", "0"], "days is 0, but it must be at least 1"),
        (["--letters", "2"], "letters is 2.0, but it must be from 0 to 1"),
        (["--merge-interval", "5"], "merge_interval is 5, but shards merge together; give merge_days instead"),
        (["--game", "gesture"], "letters is 0.05, but game is gesture"),
        (["--world", "none.npz"], "world is none.npz, which does not exist"),
        (["--world", "digits", "--sensors", "70"], "sensors is 70, but it must be at most 64"),
        (["--agents", "2000000000"], "GB; ask for less"),
        (["--scheduler", "there"], "scheduler is 'there', but it must be an address like tcp://HOST:8786"),
        (["--keep", str(tmp_path)], "in this process nothing is lost; give it with --scheduler"),
        (["--out", str(tmp_path)], "which is a directory; give the name of a file"),
    ):
        assert says in refusal(capfd, *flags)
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = refusal(capfd, *SMALL, "--scheduler", "tcp://127.0.0.1:1")
    assert said.endswith("is not installed; install dimensional-views[distributed]")


def test_a_scheduler_that_does_not_answer_is_named(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(places, "PATIENCE_S", 0.5)
    said = refusal(capfd, *SMALL, "--scheduler", "tcp://127.0.0.1:1")
    assert said.startswith("scheduler is tcp://127.0.0.1:1, where no Dask scheduler answers (")


@pytest.mark.slow
def test_a_cluster_is_lived_on_from_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(*SMALL, "--out", tmp_path / "here.json") == 0
    with cluster(2) as there:
        flags = ("--scheduler", there.scheduler_address, "--keep", tmp_path / "kept", "--out", tmp_path / "there.json")
        assert call(*SMALL, *flags) == 0
        blocked = tmp_path / "here.json" / "kept"
        assert "where no directory can be made" in refusal(capfd, *SMALL, *flags[:2], "--keep", blocked)
    one, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("here", "there"))
    assert one["digest"] == other["digest"]
    assert one["config"] == other["config"]


# ---- the benchmark


def bench(*args: str) -> int:
    return command_line.run(functools.partial(benchmark.main, ["shards", *args]), prog=benchmark.PROG)


def test_the_benchmark_says_what_travels(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("--quick", "--workers", "0", "--days", "2", "--out", str(tmp_path / "b.json")) == 0
    said = capfd.readouterr().out
    (point,) = json.loads((tmp_path / "b.json").read_text())["points"]
    assert point["workers"] == 0
    assert point["letters_a_tick"] == pytest.approx(2000 * 0.05 / 2, rel=0.1)
    assert point["letter_bytes_a_tick"] == pytest.approx(point["letters_a_tick"] * (126 + 14), rel=0.1)
    assert point["view_bytes"] > 2000 * 500 * 8 * 4
    assert point["agent_steps_per_s"] == pytest.approx(2000 * 2 / point["seconds"])
    assert f"The same to the last bit wherever it lived: {point['digest']}" in said


@pytest.mark.slow
def test_the_benchmark_compares_workers(capfd: pytest.CaptureFixture[str]) -> None:
    before = dict(os.environ)
    assert bench("--quick", "--workers", "0", "1", "2", "--days", "1") == 0
    assert "2 workers" in capfd.readouterr().out
    assert dict(os.environ) == before


def test_a_result_that_hangs_on_the_workers_is_none() -> None:
    some = bench_shards.Measured(
        **{field.name: 0 for field in dataclasses.fields(bench_shards.Measured)} | {"held": [], "digest": "a"}  # type: ignore[arg-type]
    )
    bench_shards.check_same([some, some])
    with pytest.raises(AssertionError, match="this process came to a, others to"):
        bench_shards.check_same([some, dataclasses.replace(some, workers=2, digest="b")])


def test_what_cannot_be_measured_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    for flags, says in (
        (["--workers", "-1"], "workers is (-1,)"),
        (["--agents", "5"], "shards is 4, but 5 agents"),
        (["--days", "0"], "days is 0"),
    ):
        assert bench(*flags) == 2
        assert says in capfd.readouterr().err


def test_numbers_in_the_table_are_those_measured() -> None:
    config = bench_shards.ShardsBench(workers=(1, 2))
    some = bench_shards.Measured(
        workers=1,
        agents=200_000,
        seconds=4.0,
        merge_seconds=1.0,
        word_seconds=2.0,
        first_seconds=9.0,
        letters_a_tick=1000.0,
        answers_a_tick=1000.0,
        letter_bytes_a_tick=140_000.0,
        view_bytes=5,
        word_bytes=6,
        agent_steps_per_s=500_000.0,
        peak_mb=700.0,
        held=[4],
        digest="d",
    )
    text = bench_shards.table(config, [some, dataclasses.replace(some, workers=2, agent_steps_per_s=900_000.0)])
    assert "2 workers do 1.80 times as much as 1 worker." in text
    assert "500,000           4.00         +1.00          +2.00         1,000     140,000      700" in text
    assert np.sum([line.startswith("  ") for line in text.splitlines()]) == 3
