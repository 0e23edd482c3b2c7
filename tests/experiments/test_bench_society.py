"""What the benchmark of the tick measures, and that what it compares does the same; never how fast it is."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from agents.config import SocietyConfig
from agents.society import Society
from agents.world import World, planted
from experiments import bench_society, command_line
from experiments.bench_society import as_json, points, table, with_discovery, without_frames
from experiments.bench_society_plot import draw
from experiments.benchmark import PROG, main
from experiments.plain_society import PlainSociety
from experiments.society_costs import (
    CALLED,
    ON_DEVICE,
    Kind,
    Measured,
    Point,
    Seldom,
    WorldName,
    life,
    measured,
    seldom,
    world_of,
)

RARE = Seldom(agents=1_000, discovery=0.5, selection=0.001, merging=0.02)


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=2, objects=300, features=32, factors=4, probe=80)


@pytest.mark.parametrize("changes", [{}, {"audience": False, "self_attribution": 0.3, "bias_gain": 1.5}])
def test_the_plain_mesa_model_lives_the_same_life(world: World, changes: dict[str, float]) -> None:
    off = {"discovery_interval": 0, "selection_interval": 0, "merge_interval": 0}
    config = SocietyConfig(agents=31, sensors=12, memory=40, childhood=34, exemplars=5, **off, **changes)  # type: ignore[arg-type]
    society, plain = Society(world, config, seed=4), PlainSociety(world, config, seed=4)
    for _ in range(40):
        society.step()
        plain.step()
    people = society.population
    assert society.counters.n_words == plain.n_words
    assert people.success.max() > 0.1
    for row, agent in enumerate(plain.everybody):
        assert people.body[row] == agent.body
        assert people.n_seen[row] == agent.n_seen
        assert people.seen[row, : len(agent.seen)].tolist() == agent.seen
        assert people.success[row] == pytest.approx(agent.success, abs=1e-5)
        assert np.flatnonzero(people.held[row]).tolist() == list(agent.view)
        for slot, dimension in agent.view.items():
            assert [word for word in people.words[row, slot].tolist() if word >= 0] == dimension.words
            assert people.contests[row, slot] == dimension.contests
            assert people.score[row, slot] == pytest.approx(dimension.score, abs=1e-5)
            assert people.understood[row, slot] == pytest.approx(dimension.understood, abs=1e-5)
            np.testing.assert_allclose(people.loading[row, slot], dimension.loading, atol=1e-6)
    entries = np.array(plain.entries)
    assert society.ledger.count == len(entries)
    np.testing.assert_allclose(society.ledger.squares, entries.T @ entries, atol=1e-6 * len(entries))


def test_the_sizes_are_those_stated() -> None:
    whole = points(quick=False, seed=3)
    assert [p.agents for p in whole if p.kind == "society"] == [1_000, 10_000, 100_000, 1_000_000]
    assert [p.agents for p in whole if p.kind == "plain"] == [1_000, 10_000]
    assert {p.seed for p in whole} == {3}
    assert max(p.agents for p in points(quick=True, seed=0, frames=True)) <= 5_000
    assert {p.kind for p in whole} == set(CALLED) - {"frames", *ON_DEVICE}
    assert {p.device for p in whole} == {None}
    assert [p.agents for p in points(quick=False, seed=3, frames=True) if p.kind == "frames"][-1] == 1_000_000


def test_a_device_is_measured_at_the_sizes_of_the_society_and_peers_can_be_left_out() -> None:
    whole = points(quick=False, seed=3, frames=True, device="cuda", peers=False)
    assert {p.kind for p in whole} == {"society", *ON_DEVICE}
    for kind in ON_DEVICE:
        assert [p.agents for p in whole if p.kind == kind] == [p.agents for p in whole if p.kind == "society"]
    assert {p.device for p in whole if p.kind in ON_DEVICE} == {"cuda"}
    assert {p.device for p in whole if p.kind == "society"} == {None}


@pytest.mark.parametrize("kind", ON_DEVICE)
def test_a_point_is_measured_on_a_device(kind: Kind) -> None:
    cost = measured(Point(kind=kind, agents=50, device="cpu"))
    assert cost.seconds > 0
    assert cost.times >= 2
    assert cost.device_peak_mb is None
    assert cost.touched_bytes is None
    told = as_json([measured(Point(kind="society", agents=50)), cost], RARE, threads=1, stream=1e10, compiling=1.0)
    assert told["machine"]["torch"]
    assert told["machine"]["device"]
    assert told["points"][1]["society_ratio"] > 0
    assert told["points"][1]["floor_seconds"] is None


def test_the_table_tells_how_much_of_a_gpu_it_took() -> None:
    shared = {**dict.fromkeys(MEASURED, 0.1), "times": 2}
    found = [
        Measured(point=Point(kind="society", agents=9_000), bytes_per_agent=1_900.0, touched_bytes=700.0, **shared),
        Measured(
            point=Point(kind="tensors", agents=9_000, device="cuda"),
            bytes_per_agent=None,
            touched_bytes=None,
            device_peak_mb=1_234.5,
            **shared,
        ),
    ]
    said = table(found, RARE, stream=1e10)
    assert CALLED["tensors"] in said
    assert "Society takes 1.0 times as many; 1,234 MB of the device" in said


def test_the_life_measured_has_every_phase_that_a_tick_has_and_full_views() -> None:
    config = life(100)
    usual = (config.perceive_interval, config.talk_interval, config.compare_interval, config.attribute_interval)
    assert usual == (1, 1, 1, 1)
    assert (config.dimensions, config.exemplars, config.sensors, config.memory) == (8, 8, 32, 64)


@pytest.mark.parametrize(("name", "shape"), [("planted", (4_000, 256)), ("digits", (1_797, 64))])
def test_the_worlds_are_those_stated(name: WorldName, shape: tuple[int, int]) -> None:
    assert world_of(Point(kind="society", agents=5, world=name)).features.shape == shape
    assert {p.world for p in points(quick=True, seed=0, world=name)} == {name}


def test_what_happens_now_and_then_is_measured_and_counts() -> None:
    rare = seldom(Point(kind="society", agents=40, world="digits"))
    assert rare.agents == 40
    assert min(rare.discovery, rare.selection, rare.merging) > 0
    assert rare.us_an_agent("discovery") == pytest.approx(rare.discovery / 40 * 1e6)
    shared = {**dict.fromkeys(MEASURED, 0.1), "times": 2, "seconds": 0.002}
    cost = Measured(point=Point(kind="society", agents=2_000), bytes_per_agent=1.0, touched_bytes=1.0, **shared)
    # A microsecond for a step, and 500 for a discovery every 10 or 500 steps.
    assert with_discovery(cost, RARE, 10) == pytest.approx(1e6 / 51)
    assert with_discovery(cost, RARE, 500) == pytest.approx(1e6 / 2)
    told = as_json([cost], RARE, threads=1, stream=1e10, compiling=1.0)
    assert told["seldom"]["discovery"] == 0.5
    assert "discovery 500, selection 1.0, merging 20" in table([cost], RARE, stream=1e10)


needs_frames = pytest.mark.skipif(without_frames() is not None, reason=f"needs mesa-frames: {without_frames()}")


@pytest.mark.parametrize("kind", ["society", "plain", "wealth", pytest.param("frames", marks=needs_frames)])
def test_a_point_is_measured(kind: Kind) -> None:
    cost = measured(Point(kind=kind, agents=50))
    assert 0 < cost.seconds <= cost.first_seconds * 1.5
    assert cost.cpu_seconds > 0
    assert cost.times >= 2
    assert cost.peak_mb > 10
    assert (cost.bytes_per_agent is None) == (kind != "society")
    if kind == "society":
        assert cost.bytes_per_agent is not None
        assert cost.touched_bytes is not None
        assert 0 < cost.touched_bytes < cost.bytes_per_agent


@needs_frames
def test_in_mesa_frames_everybody_with_wealth_gives_one_unit_to_another() -> None:
    from experiments.frames_wealth import FramesWealth, Givers

    model, again = (FramesWealth(agents=200, seed=3) for _ in range(2))
    wealth = np.ones(200, dtype=int)
    for _ in range(20):
        model.step()
        again.step()
        frame = model.get_agents_of_type(Givers).agents
        now = frame["wealth"].to_numpy()
        taken = now - wealth + (wealth > 0)
        assert frame["unique_id"].to_list() == list(range(200))
        assert (taken >= 0).all()
        assert taken.sum() == (wealth > 0).sum()
        wealth = now
    assert wealth.sum() == 200
    assert 0.3 < (wealth == 0).mean() < 0.6
    assert again.get_agents_of_type(Givers).agents.equals(frame)
    pair = FramesWealth(agents=2, seed=0)  # who has only one other gives to that one
    pair.step()
    assert pair.get_agents_of_type(Givers).agents["wealth"].to_list() == [1, 1]


def test_without_mesa_frames_or_what_it_needs_there_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mesa_frames", None)
    assert without_frames() == "it is not installed"
    (tmp_path / "mesa_frames.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mesa_frames")
    monkeypatch.delitem(sys.modules, "experiments.frames_wealth", raising=False)
    monkeypatch.setitem(sys.modules, "polars", None)
    assert "polars" in str(without_frames())


def test_the_command_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, plot = tmp_path / "cost.json", tmp_path / "cost.svg"
    args = ["society", "--quick", "--out", str(file), "--plot", str(plot)]
    assert command_line.run(functools.partial(main, args), prog=PROG) == 0
    found = json.loads(file.read_text())
    missing = without_frames()
    assert {row["kind"] for row in found["points"]} == set(CALLED) - {*ON_DEVICE, *(["frames"] if missing else [])}
    assert "device" not in found["machine"]
    assert found["machine"]["stream_gb_per_s"] > 0
    assert np.isfinite(found["growth"])
    told = capsys.readouterr()
    assert "agent-steps/s" in told.out
    assert "times as many" in told.out
    assert (f"mesa-frames is left out: {missing}\n" in told.err) == (missing is not None)
    draw(found, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == plot.read_bytes()


MEASURED = (
    "seconds",
    "cpu_seconds",
    "first_seconds",
    "founding_seconds",
    "first_founding_seconds",
    "select_seconds",
    "mean_seconds",
    "peak_mb",
)


def handmade(*kinds: Kind) -> dict[str, Any]:
    """What would be told of two sizes of these kinds."""
    found = [
        Measured(
            point=Point(kind=kind, agents=agents),
            **dict.fromkeys(("seconds", "cpu_seconds", "first_seconds"), agents / 100_000),
            **dict.fromkeys(("founding_seconds", "first_founding_seconds", "select_seconds", "mean_seconds"), 0.1),
            times=6,
            peak_mb=150 + agents / 100,
            bytes_per_agent=1_920.4 if kind == "society" else None,
            touched_bytes=700.0 if kind == "society" else None,
        )
        for kind in kinds
        for agents in (1_000, 10_000)
    ]
    return as_json(found, RARE, threads=2, stream=1e10, compiling=1.0)


def test_the_picture_names_what_was_measured_and_is_the_same_every_time(tmp_path: Path) -> None:
    told = handmade("society", "tensors", "plain")
    for name in ("one", "two"):
        draw(told, tmp_path / name)
    one, two = ((tmp_path / name).read_bytes() for name in ("one", "two"))
    assert one == two
    texts = [element.text for element in ElementTree.fromstring(one).iter("{http://www.w3.org/2000/svg}text")]
    for text in (
        "agent-steps a second",
        "peak memory of the process, MB",
        *(CALLED[kind] for kind in ("society", "tensors", "plain")),
    ):
        assert texts.count(text) == 1
    assert "1,920 bytes an agent" in texts
    assert texts.count("agents") == 2
    assert texts.count("10,000") >= 2
    assert not {CALLED["wealth"], CALLED["frames"]} & set(texts)
    assert b"<dc:date>" not in one


def test_without_matplotlib_a_plot_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(bench_society, "workers", None)
    args = ["society", "--plot", str(tmp_path / "cost.svg")]
    assert command_line.run(functools.partial(main, args), prog=PROG) == 2
    said = capsys.readouterr().err
    assert said.startswith("benchmark: plot is drawn by matplotlib, which is not installed (")
    assert said.endswith("pip install 'dimensional-views[viz]'\n")
    assert said.count("\n") == 1


def test_bad_input_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(functools.partial(main, ["society", "--threads", "0"]), prog=PROG) == 2
    assert "threads" in capsys.readouterr().err
    assert command_line.run(functools.partial(main, ["society", "--device", "cuda:99"]), prog=PROG) == 2
    assert capsys.readouterr().err.startswith("benchmark: device is cuda:99, but PyTorch sees ")
    assert command_line.run(functools.partial(main, ["society", "--plot", "."]), prog=PROG) == 2
    assert capsys.readouterr().err == "benchmark: plot is ., which is a directory; give the name of a file\n"
