"""What the benchmark of the tick measures, and that what it compares does the same; never how fast it is."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from agents.config import SocietyConfig
from agents.society import Society
from agents.world import World, planted
from experiments import bench_society, command_line
from experiments.bench_society import Point, life, measured, points
from experiments.benchmark import PROG, main
from experiments.plain_society import PlainSociety


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
    assert max(p.agents for p in points(quick=True, seed=0)) <= 5_000


def test_the_life_measured_has_every_phase_that_a_tick_has_and_full_views() -> None:
    config = life(100)
    usual = (config.perceive_interval, config.talk_interval, config.compare_interval, config.attribute_interval)
    assert usual == (1, 1, 1, 1)
    assert (config.dimensions, config.exemplars, config.sensors, config.memory) == (8, 8, 32, 64)


@pytest.mark.parametrize("kind", ["society", "plain", "wealth"])
def test_a_point_is_measured(kind: bench_society.Kind) -> None:
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


def test_the_command_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cost.json"
    assert command_line.run(functools.partial(main, ["society", "--quick", "--out", str(file)]), prog=PROG) == 0
    found = json.loads(file.read_text())
    assert {row["kind"] for row in found["points"]} == {"society", "plain", "wealth"}
    assert found["machine"]["stream_gb_per_s"] > 0
    assert np.isfinite(found["growth"])
    text = capsys.readouterr().out
    assert "agent-steps/s" in text
    assert "times as many" in text


def test_bad_input_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(functools.partial(main, ["society", "--threads", "0"]), prog=PROG) == 2
    assert "threads" in capsys.readouterr().err
