"""How societies live unless told otherwise, which differs from world to world."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.population import n_sensors
from agents.world import objects, table
from experiments.comparison import ComparisonConfig, lives_of
from experiments.jungle import COMPARISON
from experiments.run_society import AMONG_OBJECTS, RunConfig, make_world, parse, usual
from tests.agents.test_instances import written
from tests.experiments.small import world_file


@pytest.mark.parametrize("args", [[], ["--world", "objects"], ["--steps", "7"]])
def test_unless_told_otherwise_societies_live_among_objects(args: list[str]) -> None:
    config = parse(args)
    assert config.world == "objects"
    assert {name: getattr(config, name) for name in AMONG_OBJECTS} == AMONG_OBJECTS


def test_elsewhere_they_live_as_the_configuration_has_it(tmp_path: Path) -> None:
    for world in ("digits", "planted", str(world_file(tmp_path))):
        assert parse(["--world", world]) == RunConfig(world=world) == usual(world)


def test_files_of_embeddings_are_lived_in_as_objects_are(tmp_path: Path) -> None:
    path = written(tmp_path / "o.npz")
    config = parse(["--world", str(path)])
    assert config == dataclasses.replace(usual(), world=str(path))
    assert parse(["--world", str(path), "--attention", "0.1", "--agents", "200"]) == RunConfig(
        world=str(path), probe=AMONG_OBJECTS["probe"]
    )


def test_a_name_too_long_for_a_file_is_one_of_none() -> None:
    config = parse(["--world", "a" * 300 + ".npz"])
    with pytest.raises(InputError, match="which does not exist"):
        make_world(config)


def test_of_objects_an_agent_senses_24_features_or_all_there_are(tmp_path: Path) -> None:
    assert n_sensors(SocietyConfig(), objects(seed=0)) == 24
    assert n_sensors(SocietyConfig(), table(written(tmp_path / "o.npz"), seed=0)) == 6
    assert n_sensors(SocietyConfig(sensors=5), objects(seed=0)) == 5


def test_comparisons_live_so_too_but_in_numbers_of_their_own() -> None:
    lives = lives_of(COMPARISON, ComparisonConfig(world="objects", agents=30)).values()
    assert {(life.agents, life.attention, life.probe) for life in lives} == {(30, 0.0, 1000)}
    assert {life.attention for life in lives_of(COMPARISON, ComparisonConfig()).values()} == {0.1}
