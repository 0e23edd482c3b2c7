"""Collecting data: Mesa's DataCollector on the society, and the array path that gives the same table."""

from __future__ import annotations

from typing import Any

import mesa
import numpy as np
import pandas as pd
import pytest

from agents import InputError, Society, SocietyConfig
from agents.agent import Agent
from agents.collector import ColumnCollector
from agents.world import planted

WORLD = planted(seed=0, objects=200, features=24, factors=4, probe=60)
REPORTERS = {"success": "success", "age": "age", "worth": "fitness", "body": "body", "mother": "parent"}


def society_of() -> Society:
    config = SocietyConfig(agents=30, sensors=12, memory=64, selection_interval=3, turnover=0.2)
    return Society(WORLD, config, seed=2)


def live_and_collect(society: Society, *collectors: Any, steps: int = 8) -> None:
    for collector in collectors:
        collector.collect(society)
    for _ in range(steps):
        society.step()
        for collector in collectors:
            collector.collect(society)


def test_mesas_data_collector_gives_the_values_of_each_step() -> None:
    society = society_of()
    stock = mesa.DataCollector(
        model_reporters={
            "steps": "steps",
            "mean": lambda m: m.agents.agg("success", np.mean),
            "deaths": lambda m: m.counters.deaths,
        },
        agent_reporters={**REPORTERS, "half": lambda a: a.success / 2, "score": "score"},
        agenttype_reporters={Agent: {"success": "success"}},
    )
    expected = []
    for _ in range(7):
        society.step()
        stock.collect(society)
        now = society.population.copy()
        expected.append((now.id, now.success, now.score))
    frame = stock.get_agent_vars_dataframe()
    assert list(frame.index.names) == ["Step", "AgentID"]
    for step, (ids, success, score) in enumerate(expected, start=1):
        part = frame.loc[step]
        assert part.index.tolist() == ids.tolist()
        assert part["success"].tolist() == success.tolist()
        assert part["half"].tolist() == [s / 2 for s in success.tolist()]
        assert np.array_equal(np.stack(part["score"].tolist()), score)
    model = stock.get_model_vars_dataframe()
    assert model["steps"].tolist() == list(range(1, 8))
    assert model["mean"].tolist() == [np.mean(success.tolist()) for _, success, _ in expected]
    assert model["deaths"].tolist()[-1] > 0
    pd.testing.assert_frame_equal(stock.get_agenttype_vars_dataframe(Agent), frame[["success"]])


def test_the_array_path_gives_the_same_table_as_mesas_data_collector() -> None:
    society = society_of()
    reporters = {**REPORTERS, "score": "score", "held": "n_dimensions"}
    stock = mesa.DataCollector(agent_reporters={**reporters, "double": lambda a: a.success * 2})
    columns = ColumnCollector({**reporters, "double": lambda s: s.population.success.astype(np.float64) * 2})
    live_and_collect(society, stock, columns)
    assert society.counters.deaths > 0
    ours, theirs = columns.get_agent_vars_dataframe(), stock.get_agent_vars_dataframe()
    pd.testing.assert_frame_equal(ours.drop(columns="score"), theirs.drop(columns="score"))
    assert all(np.array_equal(a, b) for a, b in zip(ours["score"], theirs["score"], strict=True))
    assert ours.loc[8].loc[int(society.population.id[0]), "success"] == society.population.success[0]


def test_recorded_columns_are_whole_copies_that_do_not_change_afterwards() -> None:
    society = society_of()
    columns = ColumnCollector(["success", "score"])
    before, ids = society.population.score.copy(), society.population.id.copy()
    live_and_collect(society, columns)
    assert columns.steps == list(range(9))
    scores = columns.values("score")
    assert scores.shape == (9, 30, 8)
    assert scores.dtype == np.float32
    assert np.array_equal(scores[0], before)
    assert np.array_equal(scores[-1], society.population.score)
    assert not np.array_equal(scores[0], scores[-1])
    assert np.array_equal(columns.ids()[0], ids)
    assert np.array_equal(columns.ids()[-1], society.population.id)
    assert not np.array_equal(columns.ids()[0], columns.ids()[-1])


def test_collecting_a_step_twice_keeps_the_second_as_mesa_does() -> None:
    society = society_of()
    stock, columns = mesa.DataCollector(agent_reporters={"success": "success"}), ColumnCollector(["success"])
    live_and_collect(society, stock, columns, steps=2)
    society.agents.set("success", 0.75)
    for collector in (stock, columns):
        collector.collect(society)
    pd.testing.assert_frame_equal(columns.get_agent_vars_dataframe(), stock.get_agent_vars_dataframe())
    assert len(columns.get_agent_vars_dataframe()) == 90


def test_a_collector_that_has_collected_nothing_gives_an_empty_table() -> None:
    frame = ColumnCollector(["success"]).get_agent_vars_dataframe()
    assert frame.empty
    assert list(frame.columns) == ["success"]
    assert list(frame.index.names) == ["Step", "AgentID"]


def test_reporters_that_are_no_columns_are_refused() -> None:
    society = society_of()
    with pytest.raises(InputError, match="'view' is no column"):
        ColumnCollector(["view"]).collect(society)
    with pytest.raises(InputError, match="a row for each of the 30 agents"):
        ColumnCollector({"mean": lambda s: s.population.success.mean()}).collect(society)
    with pytest.raises(InputError, match="list of names"):
        ColumnCollector("success")
