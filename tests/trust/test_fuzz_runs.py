"""Whatever is in the directory of a run, in a checkpoint or in the plan of a sweep: it goes on, or is one sentence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from agents import checkpoint
from agents.archive import read_arrays
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.interactions import InteractionLog
from agents.society import Society
from agents.world import World, build
from experiments import run_files, run_society
from experiments.sweeps import plan
from tests.agents.test_society_invariants import assert_sound
from tests.experiments.small import call, lively, objects, world_file
from tests.trust.malformed import (
    CHANGES,
    DAMAGES,
    Arrays,
    Change,
    accepted,
    amounts,
    as_json,
    as_npz,
    changed,
    damaged,
    go_through,
    mostly_archives,
    mostly_documents,
)

# ---- checkpoints of societies

WORLD: World = build(name="small", raw=objects(), seed=0, probe=30)
LIFE = SocietyConfig(agents=10, sensors=8, memory=24, childhood=12, discovery_interval=3, selection_interval=4,
                     merge_interval=5, turnover=0.2)  # fmt: skip


@pytest.fixture(scope="module")
def kept() -> Arrays:
    """The state of a society in which everything has happened."""
    society = Society(WORLD, LIFE, seed=3)
    society.log = InteractionLog(size=20, seed=3, candidates=LIFE.candidates)
    for _ in range(11):
        society.step()
    assert len(society.deaths) == 2
    assert len(society.library) > 0
    return dict(checkpoint.state(society))


def check_checkpoint(path: Path, written: bytes) -> None:
    """What is restored is sound, and can live on through a discovery, a selection and a merge."""
    path.write_bytes(written)
    society = accepted(lambda: checkpoint.restored(read_arrays(path), WORLD, LIFE), InputError)
    if society is None:
        return
    assert_sound(society)
    for _ in range(5):
        society.step()
    assert_sound(society)
    assert np.isfinite(society.library.loadings).all()
    json.dumps({name: array.shape for name, array in checkpoint.state(society).items()})


@amounts()
def test_a_checkpoint_is_a_society_or_one_sentence(cases: int, tmp_path: Path, kept: Arrays) -> None:
    path = tmp_path / "checkpoint.npz"
    check_checkpoint(path, as_npz(kept))
    ways = mostly_archives(kept, texts=("scalars", "library/scalars", "log/generator"))
    go_through(ways, lambda written: check_checkpoint(path, written), cases)


# ---- runs to go on with


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of 12 steps."""
    directory = tmp_path_factory.mktemp("finished")
    assert call(lively(world_file(directory), directory / "run", steps=12)) == 0
    return directory / "run"


def check_run(out: Path) -> None:
    config = run_society.RunConfig(resume=out)

    def go_on() -> tuple[Society, Any, float]:
        longer, saved = run_society.resumed(config, ["--resume"])
        return run_society.settle(longer, saved)

    settled = accepted(go_on, InputError)
    if settled is not None:
        society, recorder, lived_s = settled
        assert society.steps == len(recorder.success) == 12
        assert lived_s >= 0
        assert_sound(society)
        for history in (recorder.success, recorder.known):
            recorder.talk(history)
        recorder.heard(society)


@amounts()
def test_the_configuration_of_a_run_is_gone_on_with_or_one_sentence(cases: int, tmp_path: Path, finished: Path) -> None:
    fields = json.loads((finished / run_files.CONFIG).read_text())
    (tmp_path / run_files.CHECKPOINT).write_bytes((finished / run_files.CHECKPOINT).read_bytes())

    def check(written: bytes) -> None:
        (tmp_path / run_files.CONFIG).write_bytes(written)
        check_run(tmp_path)

    check(as_json(fields))
    go_through(mostly_documents(fields), check, cases)


@amounts()
def test_a_run_that_is_wrong_in_both_of_its_files_is_gone_on_with_or_one_sentence(
    cases: int, tmp_path: Path, finished: Path
) -> None:
    """The configuration is written twice, so that one of them is not believed alone; here both say the same."""
    arrays = read_arrays(finished / run_files.CHECKPOINT)
    said = json.loads(str(arrays["run"]))

    def told(changes: list[Change], within: str) -> tuple[bytes, bytes]:
        new = said | {within: changed(said[within], changes)}
        return as_json(new["config"]), as_npz(arrays | {"run": np.array(json.dumps(new))})

    def check(both: tuple[bytes, bytes]) -> None:
        (tmp_path / run_files.CONFIG).write_bytes(both[0])
        (tmp_path / run_files.CHECKPOINT).write_bytes(both[1])
        check_run(tmp_path)

    check(told([], "config"))
    go_through(st.builds(told, CHANGES, st.sampled_from(["config", "config", "recorder", "lived_s"])), check, cases)


# ---- plans of sweeps

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
