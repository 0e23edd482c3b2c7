"""Homes: what is of them and who lives in them, how those of two homes understand each other, and how it is told."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.consult import probe_levels
from agents.errors import InputError
from agents.population import NOTHING, RAW
from agents.society import Society
from agents.upbringing import Of, Raised, dealt
from agents.world import World, build
from experiments import command_line, comparison, upbringing
from experiments.compared import Compared
from experiments.comparison import PAGE, PIECES, RESULTS, ComparisonConfig, Lived, lived
from experiments.society_figures import BETTER, projections
from experiments.upbringing import (
    APART,
    APART_NO_WORD,
    BY_CHANCE,
    CATEGORIES,
    COMPARISON,
    EVERYWHERE,
    NO_WORD,
    Heard,
    conclude,
    main,
    measure,
    overlap,
    shared,
    talk,
)
from tests.experiments.small import world_file

LIVES = comparison.lives_of(COMPARISON, ComparisonConfig(world="digits", quick=True, agents=14, steps=40))
LIVELY = SocietyConfig(
    agents=15, sensors=8, memory=24, childhood=6, discovery_interval=4, selection_interval=3, turnover=0.2,
    merge_interval=10, mutation=0.5,
)  # fmt: skip


def world_of(n: int = 240, *, groups: bool = True, labels: bool = True) -> World:
    """Objects of three factors; twelve categories of different sizes, images of four objects."""
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((n, 3)) @ rng.standard_normal((3, 12)) + 0.5 * rng.standard_normal((n, 12))
    return build(
        name="small",
        raw=raw,
        seed=0,
        probe=60,
        labels=rng.choice(12, size=n, p=np.arange(12, 0, -1) / 78) if labels else None,
        groups=np.arange(n) // 4 if groups else None,
    )


WORLD = world_of()


def raised(made_of: Of = "categories", steps: int = 0, **given: Any) -> Heard:
    society = Heard(WORLD, LIVELY, **({"seed": 1, "made_of": made_of} | given))
    for _ in range(steps):
        society.step()
    return society


# ---- homes


@pytest.mark.parametrize("homes", [2, 3, 4])
@pytest.mark.parametrize("made_of", ["categories", "images"])
def test_homes_divide_the_training_objects_evenly_and_whole(made_of: Of, homes: int) -> None:
    found = raised(made_of, homes=homes).homes
    assert found.shape == (homes, WORLD.n_objects)
    assert (found[:, WORLD.train].sum(axis=0) == 1).all()
    assert not found[:, WORLD.held_out].any()
    kinds = WORLD.labels if made_of == "categories" else WORLD.groups
    assert kinds is not None
    for one, other in itertools.combinations(found, 2):
        assert not set(kinds[one]) & set(kinds[other])
    sizes = found.sum(axis=1)
    assert sizes.max() - sizes.min() <= (12 if made_of == "categories" else 4)


def test_without_images_homes_are_of_single_objects() -> None:
    world = world_of(groups=False)
    sizes = Raised(world, LIVELY, seed=0, made_of="images").homes.sum(axis=1)
    assert sizes.sum() == len(world.train)
    assert np.ptp(sizes) <= 1


def test_units_are_dealt_to_whoever_has_least_and_not_alike_with_every_seed() -> None:
    units = np.repeat(np.arange(10), 30)
    deals = [dealt(units, 2, np.random.default_rng(seed)) for seed in range(5)]
    for home in deals:
        assert np.bincount(home).tolist() == [150, 150]
        assert (home.reshape(10, 30) == home[::30, None]).all()
    assert len({tuple(home) for home in deals}) == 5
    # The largest comes first, so that the small ones can make up for it.
    home = dealt(np.repeat(np.arange(11), [50] + 10 * [5]), 2, np.random.default_rng(0))
    assert np.bincount(home).tolist() == [50, 50]


def test_agents_live_in_all_homes_from_the_start() -> None:
    assert np.bincount(raised(homes=4).home).tolist() == [4, 4, 4, 3]


@pytest.mark.parametrize(("made_of", "apart"), [("categories", False), ("images", False), ("categories", True)])
def test_whatever_an_agent_has_from_the_world_is_of_its_home(made_of: Of, apart: bool) -> None:
    society, born_at = raised(made_of, apart=apart, seed=3), set[int]()
    for _ in range(40):
        society.step()
        born_at |= set(society.home[society.population.birth > 0].tolist())
        population, everybody = society.population, np.arange(15)
        seen = population.seen
        assert (society.is_home(everybody, seen) | (seen == NOTHING)).all()
        assert ((seen != NOTHING).sum(axis=1) == np.minimum(population.n_seen, 24)).all()
        assert society.is_home(everybody, population.body[:, None]).all()
        likeness = population.kind == RAW
        assert (society.is_home(everybody, population.exemplar) | ~likeness).all()
        assert likeness.any()
    assert society.counters.deaths > 20
    assert born_at == {0, 1}


def test_half_of_what_is_met_is_looked_at_and_all_of_it_is_talked_about() -> None:
    society = Raised(
        WORLD, dataclasses.replace(LIVELY, agents=14, selection_interval=0), seed=2, made_of="images", homes=2
    )
    topics: set[int] = set()
    for _ in range(100):
        meeting = society.meet()
        topics |= set(meeting.scene.ravel().tolist())
        society.perceive(meeting)
    assert topics == set(WORLD.train.tolist())
    assert society.population.n_seen.mean() == pytest.approx(6 + 100 * 4 / 2, rel=0.03)
    assert set(society.population.seen[0]) <= set(np.flatnonzero(society.homes[0]))


def test_offspring_are_at_home_where_their_parent_was() -> None:
    society = raised(homes=4)
    homes = dict(zip(society.population.id.tolist(), society.home.tolist(), strict=True))
    for _ in range(60):
        society.step()
        for step, dead in society.deaths:
            if step == society.steps:
                homes |= {heir: homes[parent] for heir, parent in zip(dead.heir.tolist(), dead.parent, strict=True)}
        assert society.home.tolist() == [homes[agent] for agent in society.population.id.tolist()]
    assert society.counters.births > 30


def test_those_kept_apart_meet_their_own_kind_only() -> None:
    society, met = raised(apart=True), raised()
    strangers = 0
    for _ in range(30):
        society.step()
        met.step()
        meeting = society.meet()
        assert len(meeting) >= 6
        assert (society.home[meeting.speaker] == society.home[meeting.hearer]).all()
        other = met.meet()
        strangers += int((met.home[other.speaker] != met.home[other.hearer]).sum())
    assert strangers > 20


def columns(society: Society) -> dict[str, NDArray[Any]]:
    return society.population.columns()


@pytest.mark.parametrize("activation", ["synchronous", "sequential"])
def test_where_everybody_lives_everywhere_the_society_is_the_usual_one(activation: Any) -> None:
    config = dataclasses.replace(LIVELY, activation=activation)
    usual = Society(WORLD, config, seed=5)
    same = Heard(WORLD, config, seed=5)
    for _ in range(31):
        for name, column in columns(usual).items():
            np.testing.assert_array_equal(column, columns(same)[name], err_msg=name)
        usual.step()
        same.step()
    assert usual.library.ids == same.library.ids
    assert usual.rng.random() == same.rng.random()


def test_the_same_seed_gives_the_same_society() -> None:
    one, same, other = raised(steps=25), raised(steps=25), raised(steps=25, seed=2)
    for name, column in columns(one).items():
        np.testing.assert_array_equal(column, columns(same)[name], err_msg=name)
    assert np.array_equal(one.home, same.home)
    assert np.array_equal(one.homes, same.homes)
    assert not np.array_equal(one.homes, other.homes)


# ---- figures


def two_peoples(*, alike: bool, same_words: bool) -> Heard:
    """Agents of two homes with one dimension each: all the same one, or each home its own, unrelated to the other."""
    rng = np.random.default_rng(3)
    world = build(name="two", raw=rng.standard_normal((400, 2)), seed=0, probe=300, labels=np.arange(400) % 2)
    config = SocietyConfig(agents=12, sensors=2, dimensions=2, exemplars=1, merge_interval=1)
    society = Heard(world, config, seed=0, made_of="categories")
    population = society.population
    population.clear(*np.nonzero(population.held))
    everybody = np.arange(12)
    population.sensor[:] = [0, 1]
    own = np.where(alike, 0, society.home)
    population.install(
        everybody, np.zeros(12, dtype=int), loading=np.eye(2, dtype=np.float32)[own], kind=RAW, exemplar=0, step=0
    )
    population.words[everybody, 0, 0] = np.where(same_words, 0, society.home)
    return society


def lived_on(society: Heard) -> Lived:
    society.library.merge(upbringing.views_on_probe(society.population, society.world, np.arange(12)), n_words=2)
    return Lived(society=society, library=society.library, recorder=comparison.Recorder())


def test_those_who_say_the_same_and_mean_the_same_understand_each_other() -> None:
    found = talk(two_peoples(alike=True, same_words=True))
    assert found["between"] == found["within"] == found["known"] == 1
    assert found["of_speakers"] == found["of_hearers"] == 1
    assert found["behind"] == 0
    assert math.isnan(found["of_neither"]), "two homes are all there is"


def test_those_who_have_no_word_in_common_do_not() -> None:
    found = talk(two_peoples(alike=True, same_words=False))
    assert found["between"] == found["known"] == 0
    assert found["within"] == found["behind"] == 1


def test_those_who_mean_another_thing_by_the_same_word_guess() -> None:
    found = talk(two_peoples(alike=False, same_words=True))
    assert found["known"] == found["within"] == 1
    assert found["between"] == pytest.approx(0.25, abs=0.06)


def test_views_and_concepts_of_the_same_and_of_other_minds() -> None:
    same, other = two_peoples(alike=True, same_words=True), two_peoples(alike=False, same_words=True)
    assert overlap(same) == pytest.approx({"overlap_between": 1.0, "overlap_within": 1.0})
    assert overlap(other) == pytest.approx({"overlap_between": 0.0, "overlap_within": 1.0}, abs=0.03)
    one = shared(lived_on(same).library, same)
    assert one == pytest.approx(dict.fromkeys(one, 1.0))
    two = shared(lived_on(other).library, other)
    assert two["shared_concepts"] == two["common_concepts"] == 0
    assert math.isnan(two["alike_between"])
    assert two["alike_within"] == pytest.approx(1.0)


def test_an_agent_that_turns_round_says_the_same_through_the_library() -> None:
    society = two_peoples(alike=True, same_words=True)
    society.population.loading[::2] *= -1
    assert shared(lived_on(society).library, society)["alike_between"] == pytest.approx(1.0)


@pytest.fixture(scope="module")
def four() -> Lived:
    society = raised(homes=4, steps=30)
    return Lived(society=society, library=comparison.closing_library(society), recorder=comparison.Recorder())


def test_overlap_is_the_mean_over_pairs_of_agents(four: Lived) -> None:
    society = four.society
    assert isinstance(society, Heard)
    views = projections(probe_levels(society.population, WORLD, np.arange(15)), society.population.held)
    assert len(views) == 15
    pairs = {True: [], False: []}
    for a, b in itertools.combinations(range(15), 2):
        value = np.square(views[a].T @ views[b]).sum() / math.sqrt(views[a].shape[1] * views[b].shape[1])
        pairs[bool(society.home[a] == society.home[b])].append(value)
    found = overlap(society)
    assert found["overlap_within"] == pytest.approx(np.mean(pairs[True]))
    assert found["overlap_between"] == pytest.approx(np.mean(pairs[False]))


def test_likeness_is_the_mean_over_concepts_and_pairs_of_agents_who_hold_them(four: Lived) -> None:
    society, library = four.society, four.library
    assert isinstance(society, Heard)
    views = upbringing.views_on_probe(society.population, WORLD, np.arange(15))
    forms, found = library.consult(views, n_words=society.counters.n_words), shared(library, society)
    assert views.levels is not None
    alike, homes = {True: [], False: []}, []
    for concept in range(len(library)):
        holding = list(zip(*np.nonzero(forms.concept == concept), strict=True))
        homes.append({int(society.home[agent]) for agent, _ in holding})
        for (a, i), (b, j) in itertools.combinations(holding, 2):
            r = np.corrcoef(forms.sign[a, i] * views.levels[a, :, i], forms.sign[b, j] * views.levels[b, :, j])[0, 1]
            alike[bool(society.home[a] == society.home[b])].append(r)
    assert found["alike_within"] == pytest.approx(np.mean(alike[True]), abs=1e-5)
    assert found["alike_between"] == pytest.approx(np.mean(alike[False]), abs=1e-5)
    assert found["shared_concepts"] == np.mean([len(some) >= 2 for some in homes if some])
    assert found["common_concepts"] == np.mean([len(some) == 4 for some in homes if some])


def test_measuring_leaves_the_society_as_it_is(four: Lived) -> None:
    society = four.society
    before, state = society.population.copy(), society.rng.bit_generator.state
    measure(four)
    for name, column in columns(society).items():
        np.testing.assert_array_equal(column, before.columns()[name], err_msg=name)
    assert society.rng.bit_generator.state == state


def test_figures_of_a_life_are_all_there(four: Lived) -> None:
    found = measure(four)
    assert set(found) == {*COMPARISON.figures, "chance"}
    assert found["chance"] == 0.25
    assert 0 <= found["of_neither"] <= 1
    everywhere = measure(lived(LIVES[EVERYWHERE], society=COMPARISON.societies[EVERYWHERE]))
    assert everywhere["of_speakers"] == everywhere["of_hearers"] == everywhere["between"]
    assert everywhere["between"] == pytest.approx(everywhere["within"], abs=0.1)
    assert 0 <= everywhere["between_before"] <= 1


def test_before_the_first_merge_nothing_is_known_of_a_library() -> None:
    config = dataclasses.replace(LIVES[CATEGORIES], steps=5, merge_interval=0)
    found = measure(lived(config, society=COMPARISON.societies[CATEGORIES]))
    for name in ("between_before", "within_before", "shared_concepts", "alike_between", "efficiency"):
        assert math.isnan(found[name])
    assert 0 <= found["between"] <= 1


def test_those_who_never_met_have_no_word_in_common_but_the_librarys() -> None:
    strangers = measure(lived(LIVES[APART_NO_WORD], society=COMPARISON.societies[APART_NO_WORD]))
    assert strangers["known"] == strangers["between"] == 0
    assert strangers["within"] > 0
    told = measure(lived(LIVES[APART], society=COMPARISON.societies[APART]))
    assert told["known"] > 0.3
    assert told["between_before"] == strangers["between_before"] == 0


# ---- conditions, and what is concluded


def test_conditions_differ_in_their_homes_and_in_the_librarys_word_alone() -> None:
    for condition in COMPARISON.conditions:
        assert set(condition.changes) <= {"library_word"}
        society = COMPARISON.societies[condition.name](WORLD, LIVELY, seed=0)
        assert isinstance(society, Heard)
        assert len(society.homes) == condition.given["homes"]
        assert (society.homes[0] != society.homes[1]).any() == (condition.name != EVERYWHERE)
        assert (society.edges is not None) == (condition.name in (APART, APART_NO_WORD))
    assert [name for name, life in LIVES.items() if not life.library_word] == [NO_WORD, APART_NO_WORD]


def found_to_be(**change: float) -> Compared:
    """Homes that change nothing, but in these conditions talk between homes by so much: ``categories=-0.1``."""
    seeds = (0, 1, 2, 3)
    base = {name: np.array([0.5, 0.51, 0.49, 0.52]) for name in COMPARISON.figures} | {"chance": np.full(4, 0.25)}
    rng = np.random.default_rng(6)
    names = {
        "categories": CATEGORIES,
        "no_word": NO_WORD,
        "apart": APART,
        "apart_no_word": APART_NO_WORD,
        "chance": BY_CHANCE,
    }
    found = {EVERYWHERE: base}
    for short, name in names.items():
        # As far above as below, so that on average nothing is changed.
        noise = {figure: 0.003 * rng.permutation([-1.5, -0.5, 0.5, 1.5]) for figure in base}
        found[name] = {figure: values + noise[figure] for figure, values in base.items()}
        found[name]["chance"] = base["chance"]
        found[name]["between"] = found[name]["between"] + change.get(short, 0.0)
    found[CATEGORIES]["of_hearers"] = found[CATEGORIES]["of_hearers"] + change.get("of_hearers", 0.0)
    found[CATEGORIES]["efficiency"] = found[CATEGORIES]["efficiency"] + change.get("efficiency", 0.0)
    return Compared(
        question=COMPARISON.question,
        found=found,
        seeds=seeds,
        figures=COMPARISON.figures,
        answers=COMPARISON.answers,
    )


def test_where_homes_change_nothing_no_difference_is_claimed() -> None:
    said = conclude(found_to_be())
    assert len(said) == 5
    assert "more than the 0.25 of guessing" in said[0]
    assert "strangers are neither ahead nor behind as far as 4 seeds can show (" in said[0]
    assert said[1].count("no differently as far as 4 seeds can show") == 2
    assert "the former is understood no differently as far as 4 seeds can show" in said[2]
    assert said[3].count("of no effect that 4 seeds can show") == 2
    assert "is no different that 4 seeds can show in efficiency of the library" in said[4]
    assert set(BETTER) <= set(COMPARISON.figures)


@pytest.mark.parametrize(
    ("change", "place", "expected"),
    [
        ({"categories": -0.1}, 0, "strangers are behind ("),
        ({"categories": 0.1}, 0, "strangers are ahead ("),
        ({"categories": -0.255}, 0, "which 4 seeds cannot tell from the 0.25 of guessing"),
        ({"categories": -0.4}, 0, "less than the 0.25 of guessing"),
        ({"categories": -0.1}, 1, "strangers are understood worse ("),
        ({"categories": 0.1}, 1, "strangers are understood better ("),
        ({"chance": 0.1}, 1, "those from homes of categories worse ("),
        ({"of_hearers": -0.1}, 2, "the former is understood worse ("),
        ({"no_word": -0.2}, 3, "the library's word is a help: "),
        ({"no_word": 0.2}, 3, "the library's word is a harm: "),
        ({"apart_no_word": -0.4}, 3, "another home it is a help: "),
        ({"apart": -0.4}, 3, "another home it is a harm: "),
        ({"efficiency": -0.1}, 4, "is poorer in efficiency of the library; no different"),
    ],
)
def test_what_is_concluded_follows_the_figures(change: dict[str, float], place: int, expected: str) -> None:
    assert expected in conclude(found_to_be(**change))[place]


# ---- the command line


@pytest.mark.slow
def test_the_quick_experiment_leaves_its_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 10)) + 0.5 * rng.standard_normal((400, 10))
    world = world_file(tmp_path, features=raw, labels=np.arange(400) % 9, image_ids=np.arange(400) // 3)
    out = tmp_path / "out"
    small = ["--quick", "--world", str(world), "--agents", "10", "--steps", "30", "--out", str(out)]
    assert main(small) == 0
    printed = capsys.readouterr().out
    found = json.loads((out / RESULTS).read_text(encoding="utf-8"))
    assert found["seeds"] == [0, 1]
    assert list(found["conditions"]) == list(LIVES)
    assert all(sentence in printed for sentence in found["answer"])
    assert found["of"]["under no library's word"]["made_of"] == "categories"
    talked = found["conditions"][APART_NO_WORD]["between"]
    assert talked["values"] == [0, 0]
    page = (out / PAGE).read_text(encoding="utf-8")
    for shown in ('<th scope="col">made_of</th>', '<th scope="col">homes</th>', '<th scope="col">library_word</th>'):
        assert shown in page
    assert main([*small, "--resume"]) == 0
    assert json.loads((out / RESULTS).read_text(encoding="utf-8")) == found


def run(args: list[str]) -> int:
    return command_line.run(lambda: main(args), prog=upbringing.PROG)


@pytest.mark.parametrize(
    ("args", "labels", "said"),
    [
        ([], None, "homes are to be made of categories, but world has no labels; give a world that has some (under "),
        ([], 3, "homes is 4, but it must be at most 3, the number of categories to be met there (under four homes of"),
        (["--agents", "7"], 9, "agents is 7, but it must be at least 8, two for every home (under four homes of "),
        (["--seeds", "1"], 9, "seeds is 1, but it must be at least 2"),
    ],
)
def test_bad_input_is_told_in_one_sentence_before_anybody_has_lived(
    args: list[str], labels: int | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "world.npz"
    features = np.random.default_rng(0).standard_normal((120, 10))
    np.savez(path, features=features, **({} if labels is None else {"labels": np.arange(120) % labels}))
    assert run(["--world", str(path), *args, "--out", str(tmp_path / "out")]) == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    assert said in heard.err
    assert heard.err.count("\n") == 1
    assert not (tmp_path / "out" / PIECES).exists()


def test_homes_can_be_made_of_nothing_else() -> None:
    with pytest.raises(InputError, match="made_of is 'friends', but homes are made of one of everything, images"):
        raised("friends")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="homes is 0, but it must be at least 1"):
        Raised(world_of(32), LIVELY, seed=0, made_of="images", homes=0)
    with pytest.raises(InputError, match="homes is 7, but it must be at most 6, the number of images"):
        Raised(world_of(32), LIVELY, seed=0, made_of="images", homes=7)
