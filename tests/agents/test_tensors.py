"""A society on a device lives the life of one of arrays; with draws of its own, another that is as random."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import pickle
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import attribution, communication, perception, superiority
from agents.attribution import Ledger
from agents.checkpoint import restored, state
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.interactions import InteractionLog
from agents.meeting import Experience, Meeting, meet
from agents.population import MANY, Population
from agents.society import Society
from agents.tensors import TensorSociety, contests, talking
from agents.tensors import columns as columns_module
from agents.tensors.columns import Columns, Sights, heights, in_parts, levels
from agents.tensors.drawing import DeviceDraws, Encounters
from agents.world import World, planted
from tests.agents.test_kernels import random_population
from tests.agents.test_reference import LIVES, TOLERANCE, config

CPU = torch.device("cpu")

ALIKE = [
    "language game with audience",
    "language game without audience",
    "an odd number of agents",
    "two agents",
    "random directions from nothing",
    "all sources and a small memory",
    "all sources of reward",
    "self-serving attribution",
    "quantiles of what attribution leaves",
    "one word a dimension",
    "a memory that overflows",
    "everybody dies",
    "the Moran process",
    "views that run empty",
    "no common ground",
    "a single candidate",
    "one dimension",
    "every feature sensed",
    "phases at odd intervals",
    "no attribution",
]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")


@pytest.fixture(scope="module")
def small_world() -> World:
    return planted(seed=3, objects=300, features=32, factors=4, probe=80)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """So little that everything is done in parts."""
    monkeypatch.setattr(columns_module, "ROOM", {"cpu": 30_000, "cuda": 30_000})


def on_cpu(world: World, life: SocietyConfig, *, seed: int = 5, **more: Any) -> TensorSociety:
    return TensorSociety(world, life, seed=seed, device="cpu", **more)


def run(society: Society, steps: int) -> Society:
    for _ in range(steps):
        society.step()
    return society


def assert_close(one: Population, other: Population) -> None:
    for name, column in one.columns().items():
        expected = other.columns()[name]
        assert column.dtype == expected.dtype, name
        if column.dtype.kind == "f":
            np.testing.assert_allclose(column, expected, rtol=0, atol=TOLERANCE, err_msg=name)
        else:
            np.testing.assert_array_equal(column, expected, err_msg=name)


def assert_same_life(one: Society, other: Society) -> None:
    assert_close(one.population, other.population)
    assert one.counters == other.counters
    assert one.ledger.count == other.ledger.count
    np.testing.assert_allclose(one.ledger.total, other.ledger.total, atol=TOLERANCE)
    np.testing.assert_allclose(one.ledger.squares, other.ledger.squares, atol=TOLERANCE)
    assert one.rng.bit_generator.state == other.rng.bit_generator.state
    assert [dead.id.tolist() for _, dead in one.deaths] == [dead.id.tolist() for _, dead in other.deaths]
    assert [c.word for c in one.library.concepts()] == [c.word for c in other.library.concepts()]


def assert_same_talk(one: Society, other: Society) -> None:
    assert len(one.talks) == len(other.talks)
    for said, expected in zip(one.talks, other.talks, strict=True):
        for name, values in vars(expected).items():
            np.testing.assert_array_equal(getattr(said, name), values, err_msg=name)


def live_alike(
    world: World, life: SocietyConfig, *, device: str = "cpu", steps: int = 25, looked_at: tuple[int, ...] = (1, 7)
) -> None:
    """Step both side by side; the population is looked at after some steps, and at the end."""
    plain, society = Society(world, life, seed=5), TensorSociety(world, life, seed=5, device=device)
    for each in (plain, society):
        each.log = InteractionLog(size=30, seed=1, candidates=life.candidates)
    for step in range(1, steps + 1):
        plain.step()
        society.step()
        assert_same_talk(society, plain)
        if step in (*looked_at, steps):
            assert_same_life(society, plain)
    logged, expected = society.log.rows, plain.log.rows
    for name in expected.dtype.names or ():
        np.testing.assert_allclose(logged[name], expected[name], atol=TOLERANCE, err_msg=name)
    assert society.counters.n_words > 0


@pytest.mark.parametrize("name", ALIKE)
def test_it_lives_the_life_of_a_society_of_arrays(small_world: World, name: str) -> None:
    live_alike(small_world, config(**LIVES[name]))


@pytest.mark.usefixtures("little_room")
def test_parts_change_nothing(small_world: World) -> None:
    live_alike(small_world, config(agents=61, reward_talk=0.3, reward_prediction=0.3), steps=10)


def test_it_lives_on_through_many_ticks_without_being_looked_at(small_world: World) -> None:
    off = {"discovery_interval": 0, "selection_interval": 0, "merge_interval": 0}
    live_alike(small_world, config(agents=40, **off), looked_at=())


@needs_gpu
@pytest.mark.parametrize("name", ALIKE)
def test_a_gpu_lives_the_life_of_a_society_of_arrays(small_world: World, name: str) -> None:
    live_alike(small_world, config(**LIVES[name]), device="cuda")


@needs_gpu
def test_a_gpu_lives_the_life_of_a_large_society(small_world: World) -> None:
    """Whom the compiled kernels serve; there rounding decides now and then, so most is the same, not all."""
    off = {"discovery_interval": 0, "selection_interval": 0, "merge_interval": 0}
    life = config(agents=4 * MANY, reward_talk=0.3, **off)
    plain = run(Society(small_world, life, seed=5), 5)
    society = run(TensorSociety(small_world, life, seed=5, device="cuda"), 5)
    np.testing.assert_array_equal(society.population.seen, plain.population.seen)
    for name in ("words", "contests", "score", "understood"):
        alike = np.isclose(getattr(society.population, name), getattr(plain.population, name), rtol=0, atol=TOLERANCE)
        assert alike.mean() > 0.999, name


@needs_gpu
def test_a_gpu_that_draws_by_itself_lives_the_same_life_from_the_same_seed(small_world: World) -> None:
    one, two = (TensorSociety(small_world, config(), seed=6, device="cuda", draws="device") for _ in range(2))
    assert_close(run(one, 12).population, run(two, 12).population)


# ---- the phases one by one

few_cases = settings(max_examples=12, deadline=None)
cases = given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), candidates=st.integers(1, 6))


def moved(people: Population, world: World) -> tuple[Columns, torch.Tensor]:
    return Columns.of(people, CPU), Sights.of(world, CPU).features


def tensors(**arrays: np.ndarray) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).long() for name, array in arrays.items()}


def met_by(met: Meeting) -> Encounters:
    return Encounters(**tensors(**vars(met)))


@few_cases
@cases
def test_levels_and_heights(small_world: World, seed: int, n: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    people = random_population(small_world, rng, n)
    there, features = moved(people, small_world)
    rows, slots = rng.permutation(n), rng.integers(people.n_slots, size=n)
    objects = rng.integers(300, size=(n, candidates))
    at, seen = torch.from_numpy(rows), torch.from_numpy(objects)
    plain = perception.levels(people, small_world, rows, objects)
    np.testing.assert_allclose(levels(there, features, at, seen), plain, rtol=0, atol=2e-6)
    places = there.at(at, torch.from_numpy(slots))
    plain = perception.heights(people, small_world, rows, slots, objects)
    np.testing.assert_allclose(heights(there, features, at, places, seen), plain, rtol=0, atol=2e-6)


@few_cases
@cases
def test_perceive(small_world: World, seed: int, n: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    people = random_population(small_world, rng, n)
    there, _ = moved(people, small_world)
    rows, objects = rng.permutation(n), rng.integers(300, size=(n, candidates)).astype(np.int32)
    perception.perceive(people, rows, objects, np.random.default_rng(seed))
    luck = torch.from_numpy(np.random.default_rng(seed).random(objects.shape))
    talking.perceive(there, **tensors(rows=rows, objects=objects), luck=luck)
    np.testing.assert_array_equal(there.seen, people.seen)
    np.testing.assert_array_equal(there.n_seen, people.n_seen)


@few_cases
@cases
def test_talk(small_world: World, seed: int, n: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    plain = random_population(small_world, rng, n + 1)
    other = plain.copy()
    life = SocietyConfig(candidates=candidates, common_ground=int(rng.integers(6)), audience=bool(rng.integers(2)))
    met = meet(n + 1, small_world.train, candidates, rng)
    there, features = moved(plain, small_world)
    said = communication.talk(plain, small_world, met, life, 1000, np.random.default_rng(seed))
    communication.remember_success(plain, met, said)
    draws = np.random.default_rng(seed)
    choice = torch.from_numpy(draws.random(len(met)))
    pointed = small_world.probe[draws.integers(len(small_world.probe), size=(len(met), life.common_ground))]
    spoken = talking.talk(
        there,
        features,
        met_by(met),
        torch.from_numpy(pointed).long(),
        choice,
        n_words=1000,
        audience=life.audience,
    )
    talking.remember_success(there, met_by(met), spoken)
    there.bring_to(other)
    # Two objects are as far from each other on all dimensions, and order them all alike: rounding decides.
    if candidates != 2 and candidates + life.common_ground != 2:
        for name, values in vars(said).items():
            np.testing.assert_array_equal(getattr(spoken.as_talk(), name), values, err_msg=name)
        assert_close(other, plain)


@few_cases
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 40),
    kind=st.sampled_from(["expectile", "quantile"]),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_what_follows_from_talk(small_world: World, seed: int, n: int, kind: Any, share: float) -> None:
    rng = np.random.default_rng(seed)
    plain = random_population(small_world, rng, n)
    other = plain.copy()
    there, features = moved(plain, small_world)
    life = SocietyConfig(
        superiority=kind,
        reward_talk=0.3,
        reward_comparison=0.4,
        reward_prediction=0.3,
        self_attribution=share,
        bias_gain=1.5,
        bias_loss=0.5,
    )
    met = meet(n, small_world.train, 3, rng)
    success = rng.random(len(met)) < 0.5
    slots = rng.integers(-1, plain.n_slots, size=(2, len(met)))
    ledger, expected = Ledger(), Ledger()
    experience = Experience.of(met, success, *slots)
    experience = superiority.compare(plain, small_world, experience, life)
    experience = attribution.attribute(plain, small_world, experience, life, expected)
    superiority.feel(plain, experience, life)

    spoken = talking.Spoken(
        success=torch.from_numpy(success),
        **tensors(speaker_slot=slots[0], hearer_slot=slots[1], word=slots[0], known=slots[0], picked=slots[0]),
        n_words=0,
    )
    lived = contests.Lived.of(there, met_by(met), spoken)
    lived = contests.compare(there, features, lived, life)
    lived = contests.attribute(there, features, lived, life, ledger)
    contests.feel(there, lived, life)
    there.bring_to(other)
    used = lived.used.numpy()
    np.testing.assert_array_equal(lived.rows.numpy()[used], experience.rows)
    for source, outcome in experience.outcomes.items():
        np.testing.assert_allclose(lived.outcomes[source].numpy()[used], outcome, atol=1e-6, err_msg=source)
    assert lived.felt is not None
    assert experience.felt is not None
    for source, reward in experience.felt.items():
        assert lived.felt[source].dtype == torch.float64
        np.testing.assert_allclose(lived.felt[source].numpy()[used], reward, atol=1e-6, err_msg=source)
    assert_close(other, plain)
    assert ledger.count == expected.count
    np.testing.assert_allclose(ledger.total, expected.total, atol=1e-9)
    np.testing.assert_allclose(ledger.squares, expected.squares, atol=1e-9)


@pytest.mark.parametrize("room", [1, 8, 20, 10_000])
def test_parts_are_put_together(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(columns_module, "ROOM", {"cpu": room})
    numbers = torch.arange(17)
    one, two = in_parts(lambda some: (numbers[some], 2 * numbers[some]), 17, 4, CPU)
    assert one.tolist() == list(range(17))
    assert two.tolist() == list(range(0, 34, 2))


# ---- draws of the device


def drawn(world: World, life: SocietyConfig, *, seed: int = 1) -> DeviceDraws:
    generator = torch.Generator(CPU).manual_seed(seed)
    return DeviceDraws(sights=Sights.of(world, CPU), config=life, generator=generator)


def test_own_draws_match_everybody_once(small_world: World) -> None:
    for agents in (2, 7, 40):
        met = drawn(small_world, config(agents=agents)).encounters()
        assert len(met) == agents // 2
        assert len(set(met.participants.tolist())) == 2 * len(met) == met.participants.numel()
        assert set(met.participants.tolist()) <= set(range(agents))


def test_own_draws_match_any_two_alike_and_let_either_speak(small_world: World) -> None:
    draws, counts = drawn(small_world, config(agents=5)), np.zeros((5, 5))
    for _ in range(2000):
        met = draws.encounters()
        np.add.at(counts, (met.speaker.numpy(), met.hearer.numpy()), 1)
    assert counts.diagonal().sum() == 0
    # Two pairs a step, on 20 ordered pairs.
    np.testing.assert_allclose(counts[~np.eye(5, dtype=bool)] / 2000, 2 / 20, atol=0.03)


def test_own_draws_make_scenes_of_distinct_objects_all_alike(small_world: World) -> None:
    few = dataclasses.replace(small_world, train=small_world.train[:6])
    met = drawn(few, config(agents=60_000, candidates=4)).encounters()
    scene = met.scene.numpy()
    assert (np.diff(np.sort(scene, axis=1), axis=1) > 0).all()
    sets = np.bincount((1 << np.searchsorted(few.train, scene)).sum(axis=1), minlength=64)
    there = np.array([mask for mask in range(64) if mask.bit_count() == 4])
    np.testing.assert_allclose(sets[there] / len(scene), 1 / 15, atol=0.006)
    np.testing.assert_allclose(np.bincount(met.topic.numpy(), minlength=4) / len(scene), 1 / 4, atol=0.01)
    topics = scene[np.arange(len(scene)), met.topic]
    np.testing.assert_allclose(np.bincount(np.searchsorted(few.train, topics)) / len(scene), 1 / 6, atol=0.01)


def test_own_draws_point_at_the_probe_and_choose_evenly(small_world: World) -> None:
    draws = drawn(small_world, config())
    choice, pointed = draws.words_and_ground(5000)
    assert pointed.shape == (5000, 8)
    counts = np.bincount(np.searchsorted(np.sort(small_world.probe), pointed.numpy().ravel()), minlength=80)
    np.testing.assert_allclose(counts / 40_000, 1 / 80, atol=0.004)
    for luck in (choice, draws.luck(5000)):
        assert luck.dtype == torch.float64
        assert 0 <= float(luck.min()) <= float(luck.max()) < 1
        assert float(luck.mean()) == pytest.approx(0.5, abs=0.02)


def test_own_draws_of_a_seed_are_one_life_and_of_another_another(small_world: World) -> None:
    one, two, other = (on_cpu(small_world, config(), seed=seed, draws="device") for seed in (6, 6, 7))
    plain = Society(small_world, config(), seed=6)
    assert_close(one.population, plain.population)
    run(one, 12)
    for _ in range(12):
        two.step()
        assert len(two.population) == 16  # to look changes nothing
    assert_same_life(one, two)
    assert not np.array_equal(run(other, 12).population.seen, one.population.seen)
    assert not np.array_equal(run(plain, 12).population.seen, one.population.seen)


def test_a_society_that_draws_by_itself_is_like_others(small_world: World) -> None:
    life = config(agents=100, discovery_interval=0, selection_interval=0, merge_interval=20)
    lives = [run(Society(small_world, life, seed=seed), 50) for seed in range(2)]
    lives += [run(on_cpu(small_world, life, seed=seed, draws="device"), 50) for seed in range(2)]
    for figure in (lambda s: s.population.success.mean(), lambda s: s.population.score[s.population.held].mean()):
        figures = [float(figure(society)) for society in lives]
        assert np.mean(figures[2:]) == pytest.approx(np.mean(figures[:2]), abs=0.05)


def test_the_largest_seeds_are_taken(small_world: World) -> None:
    run(on_cpu(small_world, config(), seed=2**70 + 3, draws="device"), 2)


# ---- whose the newest state is


def test_to_look_at_the_population_changes_nothing(small_world: World) -> None:
    looked, left = (on_cpu(small_world, config(agents=30, reward_talk=0.4)) for _ in range(2))
    for _ in range(15):
        looked.step()
        assert looked.agents.get("success") == looked.population.success.tolist()
        left.step()
    assert_same_life(looked, left)


@pytest.mark.parametrize("draws", ["host", "device"])
def test_a_tick_leaves_the_columns_where_they_are(
    small_world: World, monkeypatch: pytest.MonkeyPatch, draws: str
) -> None:
    moves: list[str] = []
    there, back = Columns.of, Columns.bring_to
    monkeypatch.setattr(Columns, "of", lambda *args: moves.append("there") or there(*args))
    monkeypatch.setattr(Columns, "bring_to", lambda *args: moves.append("back") or back(*args))
    off = {"discovery_interval": 0, "selection_interval": 0, "merge_interval": 6}
    society = on_cpu(small_world, config(**off), draws=draws)
    society.log = InteractionLog(size=20, candidates=4)
    for _ in range(5):
        society.step()
        assert len(society.talks) == 1
    assert moves == ["there"]
    run(society, 3)
    assert moves == ["there", "back", "there"]
    run(society, 2)
    assert society.population.n_seen.min() > 0
    assert moves == ["there", "back", "there", "back"]


def test_what_is_changed_in_the_population_counts(small_world: World) -> None:
    plain, society = Society(small_world, config(), seed=5), on_cpu(small_world, config())
    for each in (plain, society):
        run(each, 3)
        each.population.score[:] = 0.25
        each.population.body[3] = small_world.train[7]
        run(each, 3)
        each.population = each.population.copy()
        each.population.words[:] = -1
        run(each, 3)
    assert_same_life(society, plain)


@pytest.mark.parametrize("draws", ["host", "device"])
def test_another_world_counts_from_the_next_tick(small_world: World, draws: str) -> None:
    other = dataclasses.replace(small_world, features=np.roll(small_world.features, 1, axis=0))
    plain, society = Society(small_world, config(), seed=5), on_cpu(small_world, config(), draws=draws)
    for each in (plain, society):
        run(each, 3)
        each.world = other
        run(each, 6)
    if draws == "host":
        assert_same_life(society, plain)
    assert society.sights.features.numpy().tobytes() == other.features.tobytes()


def test_a_population_of_other_strides_is_written_back_to(small_world: World) -> None:
    plain, society = Society(small_world, config(), seed=5), on_cpu(small_world, config())
    people = society.population
    for name, column in people.columns().items():
        setattr(people, name, np.asfortranarray(column)[::-1].copy(order="F")[::-1])
    run(plain, 5)
    assert_same_life(run(society, 5), plain)
    assert society.population is people


def test_a_phase_by_hand_is_that_of_a_society_of_arrays(small_world: World) -> None:
    plain, society = Society(small_world, config(), seed=5), on_cpu(small_world, config())
    for each in (plain, society):
        run(each, 2)
        each.live(each.meet())
        run(each, 2)
        each.live(each.meet())
    assert_same_life(society, plain)
    assert_same_talk(society, plain)


@pytest.mark.parametrize("draws", ["host", "device"])
def test_pickles_and_copies_go_on_as_it_does(small_world: World, draws: str) -> None:
    society = on_cpu(small_world, config(), draws=draws)
    run(society, 4)
    twins = [pickle.loads(pickle.dumps(society)), copy.deepcopy(society)]
    assert_same_talk(twins[0], society)
    run(society, 8)
    for twin in twins:
        assert_same_life(run(twin, 8), society)


def test_a_checkpoint_goes_on_on_a_device_or_without(small_world: World) -> None:
    life = config(reward_talk=0.3)
    plain, society = (run(each, 7) for each in (Society(small_world, life, seed=5), on_cpu(small_world, life)))
    lives = [
        restored(state(saved), small_world, life, device=device)
        for saved, device in itertools.product((plain, society), (None, "cpu"))
    ]
    assert [type(each) for each in lives] == [Society, TensorSociety] * 2
    run(plain, 10)
    for each in lives:
        assert_same_life(run(each, 10), plain)


# ---- what there is not


@pytest.mark.parametrize(
    ("changes", "more", "says"),
    [
        ({"game": "gesture"}, {}, "game is 'gesture', but with a device there is only 'language'; give that, or leave"),
        ({"activation": "sequential"}, {}, "activation is 'sequential', but with a device there is only 'synchronous'"),
        ({}, {"graph": nx.cycle_graph(16)}, "graph is given, but with a device anyone meets anyone; leave either"),
        ({}, {"draws": "both"}, "draws is 'both', but it must be one of host, device"),
        ({}, {"device": "gpu"}, "device is 'gpu', which PyTorch does not know; give cpu, cuda or cuda:1"),
        ({}, {"device": "meta"}, "device is meta, on which no society has lived; give cpu, cuda or cuda:1"),
        ({}, {"device": "cpu:3"}, "device is cpu:3, but PyTorch sees only 1 here; give cpu"),
    ],
)
def test_what_a_device_cannot_do_is_refused(
    small_world: World, changes: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as refused:
        TensorSociety(small_world, config(**changes), seed=1, **({"device": "cpu"} | more))
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("there", "name"), [(0, "cuda"), (1, "cuda:1")])
def test_a_gpu_that_is_not_there_is_refused(
    small_world: World, monkeypatch: pytest.MonkeyPatch, there: int, name: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    with pytest.raises(InputError, match=f"^device is {name}, but PyTorch sees "):
        TensorSociety(small_world, config(), seed=1, device=name)


def test_too_many_agents_for_the_device_are_refused(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **more: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    society = on_cpu(small_world, config())
    monkeypatch.setattr(talking, "talk", full)
    with pytest.raises(InputError, match=r"^agents is 16, too many for the memory of cpu; ask for fewer, or leave"):
        society.step()
    # Half a tick has been lived, and nobody is shown it.
    monkeypatch.undo()
    acts: list[Callable[[], object]] = [
        society.step,
        lambda: society.population,
        lambda: state(society),
        lambda: pickle.dumps(society),
    ]
    for act in acts:
        with pytest.raises(InputError, match=r"^the society is lost: the memory of cpu was full in the middle of a"):
            act()


def test_neighbours_given_later_are_refused(small_world: World) -> None:
    society, plain = on_cpu(small_world, config()), Society(small_world, config(), seed=5, graph=nx.cycle_graph(16))
    society.edges = plain.edges
    with pytest.raises(InputError, match=r"^graph is given"):
        society.step()
    with pytest.raises(InputError, match=r"^graph is given"):
        restored(state(plain), small_world, config(), device="cpu").step()


def test_what_draws_by_itself_is_pickled_not_saved_as_arrays(small_world: World) -> None:
    with pytest.raises(ValueError, match="cannot be saved as arrays; pickle it"):
        state(on_cpu(small_world, config(), draws="device"))
