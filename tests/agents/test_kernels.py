"""The compiled kernels and their plain NumPy twins do the same; how many threads there are changes nothing."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher
from numba.core.errors import TypingError

from agents import attribution, communication, discovery, kernels, meeting, perception, population, society, superiority
from agents.config import SocietyConfig
from agents.kernels import threads
from agents.meeting import Experience, Meeting, meet
from agents.population import ABSTRACT, EMPTY, NOTHING, Population, found
from agents.society import Society
from agents.world import World, build, planted
from tests.agents.test_reference import LIVES, config, live_alike

MODULES = (communication, discovery, meeting, perception, population, society, superiority)
"""Where it is asked whether agents are many."""


@pytest.fixture(scope="module")
def small_world() -> World:
    return planted(seed=3, objects=300, features=32, factors=4, probe=80)


@pytest.fixture
def everybody_is_many(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_many(monkeypatch, 0)


def patch_many(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    for module in MODULES:
        monkeypatch.setattr(module, "MANY", number)


def test_every_module_that_asks_is_known_here() -> None:
    names = ("agent", "collector", "consult", "language", "selection", "view")
    others = [importlib.import_module(f"agents.{name}") for name in names]
    assert all(hasattr(module, "MANY") for module in MODULES)
    assert not any(hasattr(module, "MANY") for module in others)


@pytest.mark.usefixtures("everybody_is_many")
@pytest.mark.parametrize(
    "name",
    [
        "language game with audience",
        "language game without audience",
        "gesture game",
        "an odd number of agents",
        "two agents",
        "all sources of reward",
        "self-serving attribution",
        "quantiles of what attribution leaves",
        "one word a dimension",
        "a memory that overflows",
        "views that run empty",
        "gestures of views that run empty",
        "no common ground",
        "a single candidate",
        "three dimensions",
        "phases at odd intervals",
        "random directions from nothing",
    ],
)
def test_the_compiled_tick_equals_the_plain_reference(small_world: World, name: str) -> None:
    live_alike(small_world, config(**LIVES[name]), steps=40)


def random_population(world: World, rng: np.random.Generator, n: int, **changes: int) -> Population:
    """Views with gaps, inventories of any size, memories that are not full."""
    life = SocietyConfig(agents=n, **({"sensors": 13, "memory": 40, "dimensions": 5, "exemplars": 5} | changes))
    people = found(world, life, rng)
    people.loading[:] = population.unit(rng.standard_normal(people.loading.shape).astype(np.float32))
    people.kind[:] = ABSTRACT
    people.score[:] = rng.random(people.score.shape)
    people.success[:] = rng.random(n)
    people.understood[:] = rng.random(people.understood.shape)
    people.contests[:] = 3
    places = people.words.shape[2]
    for row in range(n):
        people.seen[row, int(rng.integers(people.seen.shape[1] + 1)) :] = NOTHING
        there = people.seen[row] != NOTHING
        people.n_seen[row] = there.sum() + there.all() * rng.integers(30)
        fresh = rng.permutation(2 * places * people.n_slots).astype(np.int32)
        for slot in range(people.n_slots):
            size = int(rng.integers(places + 1))
            people.words[row, slot, :size] = fresh[slot * places : slot * places + size]
    at, slot = np.nonzero(rng.random(people.kind.shape) < 0.3)
    people.clear(at, slot)
    assert (people.kind == EMPTY).any() or n < 8
    return people


cases = given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), candidates=st.integers(1, 6))
few_cases = settings(max_examples=30, deadline=None)


def scene(world: World, rng: np.random.Generator, n: int, candidates: int) -> np.ndarray:
    return world.train[rng.integers(len(world.train), size=(n, candidates))]


def assert_same(one: Population, other: Population) -> None:
    for name, column in one.columns().items():
        np.testing.assert_array_equal(column, other.columns()[name], err_msg=name)


@few_cases
@cases
def test_levels_and_heights(small_world: World, seed: int, n: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    people = random_population(small_world, rng, n, dimensions=1 + n % 8, exemplars=1)
    rows, objects = rng.permutation(n), scene(small_world, rng, n, candidates)
    plain = perception.levels(people, small_world, rows, objects)
    compiled = kernels.levels(people, small_world.features, rows, objects)
    np.testing.assert_allclose(compiled, plain, rtol=0, atol=2e-6)
    assert (compiled[~people.held[rows].repeat(candidates, axis=0).reshape(plain.shape)] == 0).all()
    slots = rng.integers(people.n_slots, size=n)
    height = kernels.heights(people, small_world.features, rows, slots, objects)
    np.testing.assert_allclose(height, compiled[np.arange(n), :, slots], rtol=0, atol=2e-6)


@few_cases
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 40), candidates=st.integers(1, 6))
def test_scenes(small_world: World, seed: int, n: int, candidates: int) -> None:
    objects = small_world.train[: candidates + seed % 4]
    picks = np.random.default_rng(seed).integers(
        np.arange(-candidates, 0)[:, None] + len(objects) + 1, size=(candidates, n)
    )
    np.testing.assert_array_equal(
        kernels.scenes(objects, picks), objects[meeting.distinct_picks(picks, len(objects))].reshape(n, candidates)
    )


@pytest.mark.parametrize("n_sensors", [1_500, 3_999, 5_148])
def test_sums_in_whole_numbers_do_not_overflow(n_sensors: int) -> None:
    """Where all features are as large as the largest, and an acquaintance is the very thing that is weighed."""
    rng = np.random.default_rng(3)
    signs = rng.choice([-1.0, 1.0], size=(40, n_sensors))
    world = build(name="signs", raw=signs, seed=0, probe=10)
    life = SocietyConfig(agents=30, sensors=n_sensors, memory=16, childhood=16, exemplars=4, dimensions=4)
    people = found(world, life, rng)
    rows, slots, partners = np.arange(30), rng.integers(4, size=30), rng.permutation(30)
    met = Experience(rows=rows, slots=slots, partners=partners, topic=world.train[rows % 20], outcomes={})
    expected = attribution.expected_standings(people, world, compared(people, world, met, number=10**9))
    found_out = compared(people, world, met, number=0).standings
    assert found_out is not None
    np.testing.assert_allclose(found_out, expected, rtol=0, atol=1e-12)


def test_arrays_that_kernels_would_misread_are_refused(small_world: World) -> None:
    people = random_population(small_world, np.random.default_rng(0), 12)
    rows, objects = np.arange(12), small_world.train[:36].reshape(12, 3).copy()
    people.loading = np.asfortranarray(people.loading)
    with pytest.raises(ValueError, match="row by row"):
        kernels.levels(people, small_world.features, rows, objects)
    people.loading = np.ascontiguousarray(people.loading, dtype=np.float64)
    with pytest.raises(TypingError, match=r"loading is .*float64"):
        kernels.levels(people, small_world.features, rows, objects)
    people.loading = people.loading.astype(np.float32)
    for wrong in (-1, len(small_world.features)):
        objects[5, 1] = wrong
        with pytest.raises(IndexError, match="objects go from 0 to 299"):
            kernels.levels(people, small_world.features, rows, objects)
        with pytest.raises(IndexError, match="objects go from 0 to 299"):
            kernels.heights(people, small_world.features, rows, np.zeros(12, dtype=np.intp), objects)


def test_what_was_compiled_is_kept_only_as_long_as_all_that_goes_into_it() -> None:
    """All files that kernels take something from count, and everything compiled bears their stamp."""
    folder = Path(kernels.__file__).parent
    stamped = 0
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("agents."):
                name = node.module.removeprefix("agents.")
                assert name.startswith("kernels") or name in (*threads.CONSTANTS_OF, "meeting"), (file, name)
        module = importlib.import_module(f"agents.kernels.{file.stem}") if file.stem != "__init__" else kernels
        for thing in vars(module).values():
            if isinstance(thing, Dispatcher):
                assert thing._cache._cache_file._source_stamp == threads.SOURCES
                stamped += 1
    assert stamped > 15
    assert threads.stamp([folder / "lanes.py"]) != threads.stamp([folder / "talk.py"])


@few_cases
@cases
def test_perceive(small_world: World, seed: int, n: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    plain = random_population(small_world, rng, n)
    compiled = plain.copy()
    objects = scene(small_world, rng, n, candidates)
    objects[rng.random(objects.shape) < 0.2] = NOTHING
    rows = rng.permutation(n)
    perception.perceive(plain, rows, objects, np.random.default_rng(seed))
    kernels.perceive(compiled, rows, objects, np.random.default_rng(seed).random(objects.shape))
    assert_same(compiled, plain)


@few_cases
@cases
def test_talk(small_world: World, seed: int, n: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    plain = random_population(small_world, rng, n + 1)
    compiled = plain.copy()
    life = SocietyConfig(candidates=candidates, common_ground=int(rng.integers(6)), audience=bool(rng.integers(2)))
    met = meet(n + 1, small_world.train, candidates, rng)
    with pytest.MonkeyPatch.context() as patch:
        patch_many(patch, 10**9)
        said = communication.talk(plain, small_world, met, life, 1000, np.random.default_rng(seed))
        communication.remember_success(plain, met, said)
        patch_many(patch, 0)
        again = communication.talk(compiled, small_world, met, life, 1000, np.random.default_rng(seed))
        communication.remember_success(compiled, met, again)
    # Two objects are as far from each other on all dimensions, and order them all alike: rounding decides.
    if candidates != 2 and candidates + life.common_ground != 2:
        for name, values in vars(said).items():
            np.testing.assert_array_equal(getattr(again, name), values, err_msg=name)
        assert_same(compiled, plain)


@few_cases
@cases
def test_standings(small_world: World, seed: int, n: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    people = random_population(small_world, rng, n, memory=5 * candidates)
    rows, slots, partners = rng.integers(n, size=(2, n)), rng.integers(5, size=(2, n)), rng.permutation(n)
    met = Experience(rows=rows[0], slots=slots[0], partners=partners, topic=small_world.train[:n], outcomes={})
    plain = compared(people, small_world, met, number=10**9)
    compiled = compared(people, small_world, met, number=0)
    np.testing.assert_allclose(compiled.bodies, plain.bodies, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(compiled.outcomes["comparison"], plain.outcomes["comparison"])
    assert plain.standings is None
    assert compiled.standings is not None
    expected = attribution.expected_standings(people, small_world, plain)
    np.testing.assert_allclose(compiled.standings, expected, rtol=0, atol=1e-12)
    assert attribution.expected_standings(people, small_world, compiled) is compiled.standings


def compared(people: Population, world: World, met: Experience, *, number: int) -> Experience:
    with pytest.MonkeyPatch.context() as patch:
        patch_many(patch, number)
        return superiority.compare(people, world, met, SocietyConfig())


@few_cases
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), kind=st.sampled_from(["expectile", "quantile"]))
def test_feelings(small_world: World, seed: int, n: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    plain = random_population(small_world, rng, n)
    compiled = plain.copy()
    life = SocietyConfig(superiority=kind, reward_talk=0.4, reward_comparison=0.6)
    reward = rng.integers(3, size=n) / 2
    experience = Experience(
        rows=rng.permutation(n),
        slots=rng.integers(5, size=n),
        partners=rng.permutation(n),
        topic=small_world.train[:n],
        outcomes={"talk": reward, "comparison": rng.random(n), "prediction": rng.random(n)},
    )
    superiority.feel(plain, experience, life)
    with pytest.MonkeyPatch.context() as patch:
        patch_many(patch, 0)
        superiority.feel(compiled, experience, life)
    assert_same(compiled, plain)


@few_cases
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 30), high=st.integers(1, 60))
def test_dealing(seed: int, n: int, high: int) -> None:
    rng = np.random.default_rng(seed)
    draws = rng.random((n, int(rng.integers(high + 1))))
    dealt = kernels.dealt(draws, high)
    np.testing.assert_array_equal(dealt, population.dealt(draws, high))
    assert all(len(set(row)) == len(row) and set(row) <= set(range(high)) for row in dealt.tolist())


def test_dealt_features_are_uniform() -> None:
    dealt = kernels.dealt(np.random.default_rng(1).random((40_000, 3)), 5)
    for place in range(3):
        np.testing.assert_allclose(np.bincount(dealt[:, place]) / 40_000, 0.2, atol=0.01)
    pairs = np.bincount(dealt[:, 0] * 5 + dealt[:, 1], minlength=25).reshape(5, 5) / 40_000
    np.testing.assert_allclose(pairs[~np.eye(5, dtype=bool)], 0.05, atol=0.006)


def test_founding(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    life = config(agents=300, childhood=6)
    patch_many(monkeypatch, 0)
    compiled = found(small_world, life, np.random.default_rng(2))
    monkeypatch.setattr(kernels, "dealt", population.dealt)
    monkeypatch.setattr(
        kernels, "first_exemplars", lambda people, features, n: plain_exemplars(people, small_world, life, monkeypatch)
    )
    patch_many(monkeypatch, 0)
    plain = found(small_world, life, np.random.default_rng(2))
    np.testing.assert_allclose(compiled.loading, plain.loading, rtol=0, atol=1e-6)
    compiled.loading[:] = plain.loading
    assert_same(compiled, plain)
    assert (compiled.kind[:, :4] == EMPTY).any()  # somebody met the same object twice


def plain_exemplars(people: Population, world: World, life: SocietyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    patch_many(monkeypatch, 10**9)
    population.first_exemplars(people, world, life)


def test_childhoods_in_parts_are_drawn_as_whole_ones(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found(small_world, config(agents=50), np.random.default_rng(4))
    monkeypatch.setattr(population, "PART", 7)
    assert_same(found(small_world, config(agents=50), np.random.default_rng(4)), whole)


@pytest.fixture
def number_of_threads() -> Iterator[None]:
    before = numba.config.NUMBA_NUM_THREADS
    yield
    numba.config.NUMBA_NUM_THREADS = before


@pytest.mark.usefixtures("everybody_is_many", "number_of_threads")
@pytest.mark.parametrize("game", ["language", "gesture"])
def test_results_do_not_depend_on_threads(small_world: World, monkeypatch: pytest.MonkeyPatch, game: str) -> None:
    lives = []
    for number, size in ((1, 10_000), (1, 16), (4, 5), (3, 1)):
        numba.config.NUMBA_NUM_THREADS = number
        monkeypatch.setattr(threads, "RANGE", size)
        monkeypatch.setattr(threads, "HARD", size)
        monkeypatch.setattr(threads, "EASY", size)
        society = Society(small_world, config(agents=61, game=game, reward_talk=0.5), seed=9)
        for _ in range(12):
            society.step()
        lives.append(society.population)
    for other in lives[1:]:
        assert_same(other, lives[0])


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "HARD", 1)

    def fails(start: int, stop: int) -> None:
        raise RuntimeError(f"{start} to {stop}")

    with pytest.raises(RuntimeError, match="0 to"):
        threads.shared_out(fails, 5)


def test_calls_side_by_side_have_threads_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "HARD", 1)
    seen = list[set[threading.Thread]]()

    def notes(start: int, stop: int, names: set[threading.Thread]) -> None:
        names.add(threading.current_thread())

    def two_calls() -> None:
        names = set[threading.Thread]()
        with threads.kept(), threads.kept():  # the inner one changes nothing
            threads.shared_out(notes, 50, names)
            threads.shared_out(notes, 50, names)
        seen.append(names)

    others = [threading.Thread(target=two_calls) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert len(seen) == 2
    assert not seen[0] & seen[1]
    assert all(len(names) <= numba.config.NUMBA_NUM_THREADS for names in seen)


def test_discovery_in_threads_is_that_of_one(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    life = config(agents=90, discovery="mixed", attention=0.2)
    monkeypatch.setattr(discovery, "CHUNK", 7)
    people = random_population(small_world, np.random.default_rng(5), 90, memory=60)
    lives = []
    for number in (10**9, 0):
        monkeypatch.setattr(discovery, "MANY", number)
        lives.append(people.copy())
        arose = discovery.discover(lives[-1], np.arange(90), small_world, life, 3, np.random.default_rng(8))
        assert arose > 20
    assert_same(*lives)


def test_no_more_is_begun_at_once_than_there_are_threads() -> None:
    begun = list[int]()

    def items() -> Iterator[int]:
        for number in range(50):
            begun.append(number)
            yield number

    for count, done in enumerate(threads.at_once(lambda number: number * 2, items())):
        assert done == 2 * count
        assert len(begun) <= count + numba.config.NUMBA_NUM_THREADS + 1
    assert len(begun) == 50


def test_rows_in_order() -> None:
    rows = np.array([7, 2, 9, 0])
    assert kernels.in_order(rows).tolist() == [3, 1, 0, 2]
    assert rows[kernels.in_order(np.array([3, 1, 3, 0]))].tolist() in ([0, 2, 7, 9], [0, 2, 9, 7])
    assert kernels.in_order(rows[:0]).tolist() == []


def test_many_agents_live_as_few_do(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the switch differs in nothing but the last digits."""
    patch_many(monkeypatch, 0)
    life = config(agents=80, reward_talk=0.3, discovery_interval=0, selection_interval=0, merge_interval=0)
    compiled = Society(small_world, life, seed=1)
    people = compiled.population.copy()
    for _ in range(15):
        compiled.step()
    patch_many(monkeypatch, 10**9)
    plain = Society(small_world, life, seed=1)
    plain.population, plain.rng = people, _generator_after_founding(small_world, life, monkeypatch)
    monkeypatch.setattr(meeting, "MANY", 0)  # pairs in the same order
    for _ in range(15):
        plain.step()
    for name, column in compiled.population.columns().items():
        np.testing.assert_allclose(column, plain.population.columns()[name], rtol=0, atol=1e-5, err_msg=name)
    assert compiled.ledger.count == plain.ledger.count


def _generator_after_founding(
    world: World, life: SocietyConfig, monkeypatch: pytest.MonkeyPatch
) -> np.random.Generator:
    patch_many(monkeypatch, 0)
    rng = Society(world, life, seed=1).rng
    patch_many(monkeypatch, 10**9)
    return rng


def test_a_meeting_of_many_is_felt_in_the_order_of_rows(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    met = Meeting(
        speaker=np.array([4, 1]),
        hearer=np.array([0, 3]),
        scene=small_world.train[:4].reshape(2, 2),
        topic=np.array([0, 1]),
    )
    said = (np.array([True, False]), np.array([2, 3]), np.array([1, NOTHING]))
    few = Experience.of(met, *said)
    patch_many(monkeypatch, 0)
    many = Experience.of(met, *said)
    assert few.rows.tolist() == [4, 1, 0]
    assert many.rows.tolist() == [0, 1, 4]
    assert many.partners.tolist() == [4, 3, 0]
    assert many.slots.tolist() == [1, 3, 2]
    assert many.outcomes["talk"].tolist() == [1.0, 0.0, 1.0]


def test_a_small_society_lives_and_is_measured_without_a_compiler(tmp_path: Path) -> None:
    life = ["--world", "digits", "--agents", "12", "--steps", "8", "--merge-interval", "4", "--out", str(tmp_path)]
    lives = f"import sys; from experiments import run_society; run_society.main({life})"
    program = f"{lives}; assert 'numba' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
