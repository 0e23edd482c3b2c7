"""A society as plain arrays and back: the same in every bit, now and ever after."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
from typing import Any

import mesa
import networkx as nx
import numpy as np
import pytest
from numpy.typing import NDArray

from agents import InputError, Society, SocietyConfig
from agents.checkpoint import restored, state
from agents.population import RAW
from agents.upbringing import Raised
from agents.world import World, planted

WORLD = planted(seed=0, objects=160, features=12, factors=4, probe=40)
LIVELY: dict[str, Any] = {
    "agents": 16, "memory": 48, "discovery_interval": 4, "selection_interval": 5, "merge_interval": 6, "turnover": 0.2,
}  # fmt: skip


def society_of(*, seed: int = 1, graph: nx.Graph | None = None, **config: Any) -> Society:
    return Society(WORLD, SocietyConfig(**LIVELY | config), seed=seed, graph=graph)


def run(society: Society, steps: int) -> Society:
    for _ in range(steps):
        society.step()
    return society


def written_and_read(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What comes back from a file, with pickles switched off."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def twin_of(society: Society) -> Society:
    return restored(written_and_read(state(society)), society.world, society.config)


def assert_same(a: Society, b: Society) -> None:
    """Every bit of two societies is the same, their memories of the past too."""
    one, other = state(a), state(b)
    assert list(one) == list(other)
    for name, array in one.items():
        assert array.dtype == other[name].dtype, name
        equal_nan = array.dtype.kind == "f"
        assert np.array_equal(array, other[name], equal_nan=equal_nan), name
    assert a.counters == b.counters
    assert a.ledger.shares() == b.ledger.shares()
    assert a.library.history == b.library.history
    assert [c.id for c in a.library.concepts()] == [c.id for c in b.library.concepts()]
    assert a.library.graph().nodes(data=True) == b.library.graph().nodes(data=True)
    assert [step for step, _ in a.deaths] == [step for step, _ in b.deaths]


@pytest.mark.parametrize("steps", [0, 1, 4, 5, 6, 7, 12, 15])
@pytest.mark.parametrize("config", [{}, {"activation": "sequential"}, {"game": "gesture"}, {"talk_interval": 3}])
def test_a_restored_society_is_the_same_and_lives_on_the_same(steps: int, config: dict[str, Any]) -> None:
    society = run(society_of(**config), steps)
    twin = twin_of(society)
    assert_same(society, twin)
    assert_same(run(society, 8), run(twin, 8))
    assert society.steps == steps + 8
    assert society.counters.deaths > 0
    assert len(society.library) > 0


def test_a_society_that_never_merges_selects_or_feels_comes_back_too() -> None:
    society = run(society_of(merge_interval=0, selection_interval=0, feel_interval=0), 5)
    twin = twin_of(society)
    assert len(twin.library) == 0
    assert twin.deaths == []
    assert_same(run(society, 3), run(twin, 3))


def test_who_can_meet_whom_is_kept() -> None:
    society = run(society_of(graph=nx.cycle_graph(16)), 3)
    twin = twin_of(society)
    assert twin.edges is not None
    assert_same(run(society, 7), run(twin, 7))


def test_a_state_stays_what_it_was_while_the_society_lives_on() -> None:
    society = run(society_of(), 7)
    kept = state(society)
    before = {name: array.copy() for name, array in kept.items()}
    run(society, 6)
    for name, array in kept.items():
        assert np.array_equal(array, before[name]), name
    twin = restored(kept, WORLD, society.config)
    run(twin, 6)
    assert_same(society, twin)
    for name, array in kept.items():
        assert np.array_equal(array, before[name]), name


def test_a_kind_and_a_device_are_not_taken_together() -> None:
    class Kind(Society):
        pass

    society = run(society_of(), 2)
    assert type(restored(state(society), WORLD, society.config, kind=Kind)) is Kind
    with pytest.raises(ValueError, match="kind and device cannot both be given") as refused:
        restored(state(society), WORLD, society.config, kind=Kind, device="cpu")
    assert not isinstance(refused.value, InputError)


def test_nothing_in_a_state_can_run() -> None:
    assert all(array.dtype.kind in "biufU" for array in GROWN.values())
    assert json.loads(str(GROWN["scalars"]))["steps"] == 12


def test_places_in_a_space_are_refused_rather_than_lost() -> None:
    society = society_of()
    space = mesa.space.NetworkGrid(nx.cycle_graph(16))
    space.place_agent(society.agents[3], 3)
    with pytest.raises(ValueError, match="Mesa space cannot be saved"):
        state(society)


def test_homes_are_refused_rather_than_lost() -> None:
    society = Raised(WORLD, SocietyConfig(**LIVELY), seed=1, made_of="images")
    with pytest.raises(ValueError, match="whose agents have homes cannot be saved as arrays; pickle it"):
        state(society)
    twin = pickle.loads(pickle.dumps(run(society, 3)))
    run(society, 6), run(twin, 6)
    assert np.array_equal(society.home, twin.home)
    assert np.array_equal(society.population.seen, twin.population.seen)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"agents": 17}, "agents is 17, but the checkpoint is of a society with 16"),
        ({"merge_interval": 7}, "merge_interval is 7, but .* with 6"),
        ({"rate_up": 0.06}, "rate_up is 0.06, but .* with 0.05"),
        ({"game": "gesture"}, "game is gesture, but .* with language"),
    ],
)
def test_another_configuration_is_refused(change: dict[str, Any], says: str) -> None:
    arrays = state(society_of())
    with pytest.raises(InputError, match=says):
        restored(arrays, WORLD, SocietyConfig(**LIVELY | change))


@pytest.mark.parametrize(
    "world",
    [
        planted(seed=1, objects=160, features=12, factors=4, probe=40),
        planted(seed=0, objects=160, features=12, factors=4, probe=41),
        dataclasses.replace(WORLD, features=WORLD.features + np.float32(1e-3)),
    ],
)
def test_another_world_is_refused(world: World) -> None:
    society = society_of()
    with pytest.raises(InputError, match=r"is not the one that the society lived in.*put them back"):
        restored(state(society), world, society.config)


GROWN = state(run(society_of(), 12))


@pytest.mark.parametrize("name", GROWN)
def test_a_state_that_lacks_something_is_refused(name: str) -> None:
    arrays = {key: array for key, array in GROWN.items() if key != name}
    with pytest.raises(InputError, match=r"the checkpoint is damaged .*KeyError"):
        restored(arrays, WORLD, SocietyConfig(**LIVELY))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("scalars", np.array("{")),
        ("scalars", np.array("[]")),
        ("scalars", np.array('{"version": 3}')),
        ("scalars", np.zeros(3)),
        ("population/score", np.zeros((16, 8))),
        ("population/score", np.zeros((15, 8), dtype=np.float32)),
        ("ledger/count", np.array(["a"])),
        ("deaths/sizes", np.array(["a"])),
        ("library/scalars", np.array('{"arrays": [], "rounds": [{}]}')),
        ("library/1/membership", np.zeros((3, 8), dtype=np.int32)),
        ("library/1/unified/support", np.zeros(0)),
    ],
)
def test_a_damaged_state_is_refused(name: str, wrong: NDArray[Any]) -> None:
    with pytest.raises(InputError, match="the checkpoint is damaged"):
        restored(GROWN | {name: wrong}, WORLD, SocietyConfig(**LIVELY))


@pytest.mark.parametrize("counter", ["births", "deaths", "next_id"])
def test_counters_that_contradict_each_other_are_refused(counter: str) -> None:
    scalars = json.loads(str(GROWN["scalars"]))
    scalars["counters"][counter] += 1
    with pytest.raises(InputError, match=r"the checkpoint is damaged .*births, deaths and next_id"):
        restored(GROWN | {"scalars": np.array(json.dumps(scalars))}, WORLD, SocietyConfig(**LIVELY))


def test_a_raw_dimension_that_is_not_the_likeness_to_its_exemplar_is_refused() -> None:
    exemplar = GROWN["population/exemplar"].copy()
    row, slot = (int(places[0]) for places in np.nonzero(GROWN["population/kind"] == RAW))
    exemplar[row, slot] = next(other for other in WORLD.train.tolist() if other not in exemplar[row])
    with pytest.raises(InputError, match=r"the checkpoint is damaged .*exemplar says what cannot be, of agent"):
        restored(GROWN | {"population/exemplar": exemplar}, WORLD, SocietyConfig(**LIVELY))


def test_a_state_of_another_version_is_refused() -> None:
    society = society_of()
    arrays = state(society)
    scalars = json.loads(str(arrays["scalars"])) | {"version": 2}
    with pytest.raises(InputError, match="of version 2, but this program reads version 3"):
        restored(arrays | {"scalars": np.array(json.dumps(scalars))}, WORLD, society.config)
