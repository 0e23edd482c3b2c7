"""What a sweep is to run: its file read and refused, the grid in order, seeds that hang on nothing but the file."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import InputError
from experiments.run_society import RunConfig, usual
from experiments.sweeps import plan
from experiments.sweeps.plan import Axis

NUMBERS = st.lists(st.integers(2, 500), min_size=1, max_size=4, unique=True)
SHARES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4, unique=True)


def contents(**more: Any) -> dict[str, Any]:
    return {"replications": 2, "fixed": {"world": "planted"}} | more


# ---- what is asked for


@given(agents=NUMBERS, attention=SHARES, replications=st.integers(1, 5), base=st.integers(0, 2**63))
def test_every_value_meets_every_other_and_the_last_runs_fastest(
    agents: list[int], attention: list[float], replications: int, base: int
) -> None:
    asked = plan.plan_of(
        contents(sweep={"agents": agents, "attention": attention}, replications=replications, seed=base)
    )
    runs = plan.runs_of(asked)
    found = [(run.config.agents, run.config.attention) for run in runs]
    assert found == [pair for pair in itertools.product(agents, attention) for _ in range(replications)]
    assert [run.replication for run in runs] == [*range(1, replications + 1)] * (len(agents) * len(attention))
    numbers = [run.combination.number for run in runs]
    assert numbers == sorted(numbers)
    assert len({run.key for run in runs}) == len(runs)
    assert [run.config.seed for run in runs] == plan.seeds(base, replications) * (len(agents) * len(attention))


def test_what_is_zipped_goes_together_and_meets_everything_else() -> None:
    asked = plan.plan_of(
        contents(sweep={"agents": [10, 20]}, zip=[{"sensors": [8, 16], "memory": [96, 192]}], replications=1)
    )
    found = [(run.config.agents, run.config.sensors, run.config.memory) for run in plan.runs_of(asked)]
    assert found == [(10, 8, 96), (10, 16, 192), (20, 8, 96), (20, 16, 192)]
    assert asked.parameters == ["agents", "sensors", "memory"]


def test_values_are_spread_evenly_and_are_what_people_would_write() -> None:
    asked = plan.plan_of(
        contents(
            sweep={
                "attention": {"from": 0.0, "to": 0.3, "number": 7},
                "agents": {"from": 10, "to": 50, "number": 5},
                "mutation": {"from": 1, "to": 0, "number": 3},
            }
        )
    )
    attention, agents, mutation = ([value for (value,) in axis.values] for axis in asked.axes)
    assert attention == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    assert agents == [10, 20, 30, 40, 50]
    assert mutation == [1.0, 0.5, 0.0]


def test_whole_numbers_are_taken_for_numbers_and_every_kind_of_field_can_be_swept() -> None:
    asked = plan.plan_of(
        contents(
            sweep={"attention": [0, 1], "audience": [True, False], "game": ["language", "gesture"], "sensors": [8]}
        )
    )
    assert [type(value) for (value,) in asked.axes[0].values] == [float, float]
    last = plan.runs_of(asked)[-1].config
    assert (last.attention, last.audience, last.game, last.sensors) == (1.0, False, "gesture", 8)


def test_without_parameters_the_same_is_run_again_and_again() -> None:
    runs = plan.runs_of(plan.plan_of(contents(replications=3)))
    assert len(runs) == 3
    assert len({run.seed for run in runs}) == 3
    assert {run.combination.name for run in runs} == {"as it is"}


def test_a_run_lives_as_is_usual_in_its_world_unless_told_otherwise() -> None:
    asked = plan.plan_of({"replications": 1, "sweep": {"world": ["objects", "planted"]}})
    objects, planted = (run.config for run in plan.runs_of(asked))
    assert (objects.agents, objects.attention) == (usual().agents, usual().attention)
    assert (planted.agents, planted.attention) == (RunConfig().agents, RunConfig().attention)
    assert plan.configured({"agents": 7}).agents == 7


def test_files_are_found_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert plan.configured({"world": "some.npz"}).world == str(tmp_path / "some.npz")
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    assert plan.configured({"world": "loop.npz"}).world == str(tmp_path / "loop.npz")


# ---- seeds


@given(base=st.integers(0, 2**64 - 1), few=st.integers(0, 20), more=st.integers(0, 20))
def test_seeds_are_those_that_numpy_spawns_and_more_of_them_begin_with_the_same(base: int, few: int, more: int) -> None:
    found = plan.seeds(base, few + more)
    assert found[:few] == plan.seeds(base, few)
    assert len(set(found)) == few + more
    spawned = [int(child.generate_state(1)[0]) for child in np.random.SeedSequence(base).spawn(few + more)]
    assert found == spawned


def test_neighbouring_bases_share_no_seeds() -> None:
    assert not set(plan.seeds(0, 1000)) & set(plan.seeds(1, 1000))


# ---- refusals

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"replication": 3}, "replication is no part of a sweep; these are replications, seed, figures, fixed,"),
    ({"replications": 0}, "replications is 0, but it must be a whole number of at least 1"),
    ({"replications": True}, "replications is True, but"),
    ({"replications": 1.5}, "replications is 1.5, but"),
    ({"seed": -1}, "seed is -1, but it must be a whole number of at least 0"),
    ({"seed": "x"}, "seed is 'x', but"),
    ({"figures": "library.mcc"}, "figures is 'library.mcc', but it must be a list of names"),
    ({"fixed": 3}, "fixed is 3, but it must be a table"),
    ({"sweep": [1]}, "sweep is [1], but it must be a table"),
    ({"zip": {"agents": [3]}}, "zip must be written [[zip]]"),
    ({"zip": [{"agents": [3]}]}, "zip needs two fields or more"),
    ({"zip": [{"agents": [3, 4], "sensors": [8]}]}, "zip has 2 values of agents, but 1 of sensors; give as"),
    ({"zip": [3]}, "zip is 3, but it must be a table"),
    ({"fixed": {"agent": 3}}, "agent is no setting of a run; agents is"),
    ({"sweep": {"qqqq": [3]}}, "qqqq is no setting of a run; python -m experiments.run_society --help lists them"),
    ({"fixed": {"seed": 3}}, "seed is given, but every run has a seed of its own"),
    ({"sweep": {"out": ["x"]}}, "out is given, but"),
    ({"sweep": {"agents": []}}, "agents has no values; give at least one"),
    ({"sweep": {"agents": 3}}, "agents is 3, but it must be a list of values; put a single one under fixed"),
    ({"sweep": {"agents": [3, 3]}}, "agents=3 is there twice"),
    ({"sweep": {"attention": [0, 0.0]}}, "attention=0.0 is there twice"),
    ({"sweep": {"agents": [3, 4.0]}}, "agents is 4.0, but it must be a whole number"),
    ({"sweep": {"agents": [True]}}, "agents is True, but it must be a whole number"),
    ({"fixed": {"agents": 10**400}}, "agents is "),
    ({"fixed": {"attention": "much"}}, "attention is 'much', but it must be a number"),
    ({"fixed": {"audience": 1}}, "audience is 1, but it must be true or false"),
    ({"fixed": {"world": 1}}, "world is 1, but it must be a text"),
    ({"fixed": {"game": ["language"]}}, "game is ['language'], but it must be a text"),
    ({"fixed": {"agents": 3}, "sweep": {"agents": [4]}}, "agents is given 2 times; fix it, sweep it, or zip it"),
    ({"sweep": {"agents": {"from": 1, "to": 2}}}, "agents must be a list of values, or a table of from, to and number"),
    ({"sweep": {"agents": {"from": 1, "to": 4, "number": 3}}}, "agents goes from 1 to 4 in 3 values that"),
    ({"sweep": {"attention": {"from": 0, "to": math.nan, "number": 3}}}, "attention goes from 0 to nan, but"),
    ({"sweep": {"agents": {"from": 10**400, "to": 1, "number": 2}}}, "agents goes from a very long number to 1, but"),
    ({"sweep": {"agents": {"from": 2, "to": 10**5000, "number": 2}}}, "agents goes from 2 to a very long number, but"),
    ({"sweep": {"agents": 10**5000}}, "agents is a very long number, but it must be a list of values"),
    ({"sweep": {"attention": {"from": 0, "to": 1, "number": 1}}}, "number of attention is 1, but it must be"),
    ({"sweep": {"attention": {"from": 0, "to": 1, "number": 10**9}}}, "number of attention is 1000000000, but"),
    ({"sweep": {"agents": [*range(2, 1002)]}, "replications": 101}, "there are 101,000 runs, but"),
    (
        {"sweep": {"agents": [4], "attention": [0.5, 3]}},
        "attention is 3.0, but it must be from 0 to 1 (with agents=4, attention=3.0)",
    ),
    ({"fixed": {"world": "\0"}}, "world is '\\x00', but it must be a text"),
    ({"sweep": {"game": ["chess"]}}, "game is 'chess', but it must be one of language, gesture (with game=\"chess\")"),
    ({"fixed": {"agents": 1}}, "agents is 1, but it must be at least 2"),
    ({"fixed": {"planted_factors": 3}}, "planted_factors is given, but world is objects"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "says"), REFUSED, ids=[says[:40] for _, says in REFUSED])
def test_what_is_wrong_is_said_in_one_sentence(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as refused:
        plan.runs_of(plan.plan_of({"replications": 2} | changed))
    said = str(refused.value)
    assert said.startswith(says)
    assert "\n" not in said
    assert ". " not in said
    assert len(said) < 300


def test_replications_must_be_said() -> None:
    with pytest.raises(InputError, match="replications is missing; say how many"):
        plan.plan_of({})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"agents = [", "is not TOML ("),
        (b"\xff\xfe", "is not TOML ("),
        (b"a = " + b"[" * 5000, "is not TOML ("),
        (b"replications = 1\n[sweep]\nagents = []\n", ": agents has no values"),
        (
            b"replications = 1\n[fixed]\nworld = 1979-05-27\n",
            ": world is datetime.date(1979, 5, 27), but it must be a text",
        ),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "sweep.toml"
    path.write_bytes(text)
    with pytest.raises(InputError) as refused:
        plan.read(path)
    assert str(refused.value).startswith(f"{path}")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            plan.read(path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda some: (
            st.lists(some, max_size=3)
            | st.dictionaries(
                st.sampled_from(["agents", "world", "attention", "from", "to", "number", "seed", "zip"]),
                some,
                max_size=3,
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from(["replications", "seed", "figures", "fixed", "sweep", "zip"]),
)
def test_whatever_stands_in_the_file_is_run_or_refused(value: Any, part: str) -> None:
    try:
        asked = plan.plan_of({"replications": 1} | {part: value})
    except InputError as refused:
        assert "\n" not in str(refused)  # noqa: PT017
        return
    assert asked.replications >= 1


def test_the_example_of_the_documents_can_be_run() -> None:
    asked = plan.read(Path(__file__).parents[2] / "docs" / "sweep.toml")
    assert len(plan.runs_of(asked)) > asked.replications
    assert all(isinstance(axis, Axis) for axis in asked.axes)
