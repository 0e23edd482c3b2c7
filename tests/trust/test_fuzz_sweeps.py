"""Whatever is written in the plan of a sweep: runs that can be asked for, or one sentence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from agents.errors import InputError
from experiments.sweeps import plan
from tests.trust.malformed import CHANGES, DAMAGES, accepted, amounts, changed, damaged, go_through

SPEC = """
replications = 2
seed = 7
figures = ["library.mcc", "talk.success"]

[fixed]
world = "planted"
planted_objects = 60
planted_features = 12
steps = 10

[sweep]
agents = [10, 20]
attention = { from = 0.0, to = 0.2, number = 3 }

[[zip]]
sensors = [8, 10]
memory = [24, 48]
"""

DOCUMENT: dict[str, Any] = {
    "replications": 2,
    "seed": 7,
    "figures": ["library.mcc"],
    "fixed": {"world": "planted", "planted_objects": 60, "turnover": 0.1, "audience": True},
    "sweep": {"agents": [10, 20], "attention": {"from": 0.0, "to": 0.2, "number": 3}, "game": ["language", "gesture"]},
    "zip": [{"sensors": [8, 10], "memory": [24, 48]}],
}

PIECES = ["[fixed]", "[sweep]", "[[zip]]", "agents = 1e400", "seed = -1", "x = 1979-05-27", "steps = 0", "world = ''"]


def check_plan(asked: plan.Plan) -> None:
    runs = plan.runs_of(asked)
    assert 1 <= len(runs) <= plan.MOST_RUNS
    assert len({run.key for run in runs}) == len(runs)
    for run in runs[:5]:
        assert dataclasses.replace(run.config) == run.config
        json.dumps(dataclasses.asdict(run.config), allow_nan=False, default=str)


def check_written(path: Path, written: bytes) -> None:
    path.write_bytes(written)
    accepted(lambda: check_plan(plan.read(path)), InputError)


@amounts()
def test_the_plan_of_a_sweep_is_one_or_one_sentence(cases: int, tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(SPEC)
    check_plan(plan.read(path))
    lines = SPEC.splitlines()

    def mixed(order: list[int], put: list[tuple[int, str]]) -> bytes:
        rows = [lines[place % len(lines)] for place in order] if order else list(lines)
        for place, line in put:
            rows.insert(place % (len(rows) + 1), line)
        return "\n".join(rows).encode()

    damages = DAMAGES.map(lambda damages: damaged(SPEC.encode(), damages))
    put = st.lists(st.tuples(st.integers(0, 99), st.sampled_from(PIECES)), max_size=2)
    ways = damages | damages | st.builds(mixed, st.lists(st.integers(0, 99), max_size=20), put)
    go_through(ways, lambda written: check_written(path, written), cases)


def check_contents(contents: Any) -> None:
    if isinstance(contents, dict):
        accepted(lambda: check_plan(plan.plan_of(contents)), InputError)


@amounts()
def test_any_contents_of_a_plan_are_a_sweep_or_one_sentence(cases: int) -> None:
    check_plan(plan.plan_of(DOCUMENT))
    go_through(CHANGES.map(lambda changes: changed(DOCUMENT, changes)), check_contents, cases)
