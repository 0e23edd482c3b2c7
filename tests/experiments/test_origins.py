"""Origins of dimensions compared: the embedding that labels teach, the figures, the sentences, the command line."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import experiments
from agents.population import ORIGIN_NAMES
from agents.world import World, digits, planted
from experiments import command_line, comparison, origins, origins_answer
from experiments.compared import Compared, told
from experiments.comparison import ComparisonConfig, Lived
from experiments.lifetimes import ELIMINATED, Followed
from experiments.measuring import Recorder, closing_library, labels_told
from experiments.origins import CONTESTS, EMBEDDED, MIXED, OF_ORIGIN, hidden_layer, measure, told_world
from experiments.run_society import RunConfig, society_config

SEEDS = 4


def labelled(path: Path, *, n: int = 160, embedding: bool = False) -> Path:
    """A small world of three classes, with or without an embedding of its own."""
    rng = np.random.default_rng(1)
    labels = rng.integers(3, size=n)
    features = rng.standard_normal((3, 12))[labels] + 0.7 * rng.standard_normal((n, 4)) @ rng.standard_normal((4, 12))
    features += 0.5 * rng.standard_normal((n, 12))
    extra = {"embedding": rng.standard_normal((n, 3))} if embedding else {}
    np.savez(path, features=features, labels=labels, **extra)  # type: ignore[arg-type]
    return path


# The embedding


def test_the_embedding_of_digits_is_learned_from_the_labels_of_training_objects_alone() -> None:
    world = digits(seed=0, probe=60)
    assert world.labels is not None
    hidden = hidden_layer(world, seed=0)
    assert hidden.shape[0] == world.n_objects
    assert 10 < hidden.shape[1] <= origins.HIDDEN_UNITS
    assert (np.ptp(hidden[world.train], axis=0) > 0).all()
    assert hidden.min() == 0
    assert labels_told(world, hidden) > 0.9
    other = world.labels.copy()
    other[world.held_out] = 9 - other[world.held_out]
    np.testing.assert_array_equal(hidden_layer(dataclasses.replace(world, labels=other), seed=0), hidden)
    assert not np.array_equal(hidden_layer(world, seed=1)[:, 0], hidden[:, 0])


def test_a_world_with_an_embedding_keeps_it_and_one_with_labels_is_taught_one(tmp_path: Path) -> None:
    own = RunConfig(world=str(labelled(tmp_path / "own.npz", embedding=True)), discovery="mixed")
    taught = RunConfig(world=str(labelled(tmp_path / "taught.npz")), discovery="mixed")
    world, again = told_world(own), told_world(taught)
    assert world.embedding is not None
    assert world.embedding.shape == (160, 3)
    assert again.embedding is not None
    assert again.embedding.shape[1] > 3
    np.testing.assert_array_equal(told_world(taught).embedding, again.embedding)
    assert told_world(RunConfig(world=taught.world, discovery="random")).embedding is None


def test_worlds_that_teach_nothing_do_without_an_embedding(tmp_path: Path) -> None:
    assert told_world(RunConfig(world="planted", discovery="mixed", planted_objects=60)).embedding is None
    rng = np.random.default_rng(2)
    np.savez(tmp_path / "one.npz", features=rng.standard_normal((40, 5)), labels=np.zeros(40, dtype=int))
    assert not origins.has_embedding(told_world(RunConfig(world=str(tmp_path / "one.npz"), discovery="mixed")))
    without = origins.comparison_for(ComparisonConfig(world="planted"))
    assert [some.name for some in without.conditions] == [
        "random directions", "exemplars", "common factors", "principal components", MIXED,
    ]  # fmt: skip
    assert EMBEDDED in [some.name for some in origins.comparison_for(ComparisonConfig(world="digits")).conditions]


# Figures


@pytest.fixture(scope="module")
def lived() -> Lived:
    world: World = planted(seed=4, objects=300, features=24, factors=4, probe=40)
    config = RunConfig(
        agents=20, sensors=10, memory=48, discovery="mixed", exemplars=0, discovery_interval=3, selection_interval=5,
        turnover=0.1, merge_interval=10,
    )  # fmt: skip
    society, recorder = Followed(world, society_config(config), seed=3), Recorder()
    for _ in range(40):
        society.step()
        recorder.heard(society)
    return Lived(society=society, library=closing_library(society), recorder=recorder)


def test_every_figure_is_measured_and_shares_of_origins_add_up(lived: Lived) -> None:
    found = measure(lived)
    assert set(origins.FIGURES) <= found.keys()
    assert {f"{name}: {key}" for name in ORIGIN_NAMES[1:] for key in OF_ORIGIN} <= found.keys()
    for stage in ("taken up", "held", "in concepts"):
        assert sum(found[f"{name}: {stage}"] for name in ORIGIN_NAMES[1:]) == pytest.approx(100)
        assert found[f"embedding: {stage}"] == 0, "this world has none"
    assert found["purity"] == 100
    assert np.isnan(found["label_accuracy"])


def test_figures_of_an_origin_are_those_of_its_dimensions(lived: Lived) -> None:
    society, found = lived.society, measure(lived)
    assert isinstance(society, Followed)
    population, lives = society.population, society.lives
    for name in ("exemplar", "factor", "component"):
        number = ORIGIN_NAMES.index(name)
        own = (lives.origin == number) & ~lives.inherited
        gone = own & (lives.end == ELIMINATED)
        assert found[f"{name}: hazard"] == pytest.approx(100 * gone.sum() / lives.contests[own].sum())
        assert found[f"{name}: hazard by steps"] == pytest.approx(100 * gone.sum() / lives.steps[own].sum())
        assert found[f"{name}: taken up"] == pytest.approx(100 * own.sum() / (~lives.inherited).sum())
        mine = population.held & (population.origin == number)
        assert found[f"{name}: felt"] == pytest.approx(population.score[mine].mean(), abs=1e-6)
        assert found[f"{name}: inherited"] == pytest.approx(100 * (population.generation[mine] > 0).mean())
        curve = [found[f"{name}: beyond {t} contests"] for t in CONTESTS]
        assert found[f"{name}: lasting"] == pytest.approx(curve[origins.LASTING], nan_ok=True)
        known = np.array(curve)[np.isfinite(curve)]
        assert (np.diff(known) <= 1e-9).all()
        assert 0 <= known.min() <= known.max() <= 100
    assert found["taken_up"] == pytest.approx(100 * (~lives.inherited).sum() / (20 * 40))


def test_a_society_of_factors_says_how_much_of_its_views_are_factors() -> None:
    config = RunConfig(agents=12, sensors=10, memory=48, discovery_interval=4, merge_interval=10)
    society = Followed(planted(seed=4, objects=200, features=24, factors=4, probe=40), society_config(config), seed=3)
    recorder = Recorder()
    for _ in range(20):
        society.step()
        recorder.heard(society)
    found = measure(Lived(society=society, library=society.library, recorder=recorder))
    assert 0 < found["purity"] < 100
    assert found["purity"] == pytest.approx(found["factor: held"])
    assert found["purity"] + found["exemplar: held"] == pytest.approx(100)


# Sentences


def made_up(embedding: bool = True, **changed: list[float]) -> Compared:
    """Figures in which all origins and conditions do equally well, but for what is changed ("random_held")."""
    names = [name for name in origins_answer.PLURAL if embedding or name != "embedding"]
    rng = np.random.default_rng(5)

    def about(value: float) -> NDArray[np.float64]:
        return value + 0.01 * rng.standard_normal(SEEDS)

    usual = {"taken up": 100 / len(names), "held": 100 / len(names), "in concepts": 100 / len(names), "r": 0.6}
    mixed = {f"{name}: {key}": about(usual.get(key, 5.0)) for name in origins_answer.PLURAL for key in OF_ORIGIN}
    for name in (*origins_answer.PLURAL, "own", "inherited"):
        mixed |= {f"{name}: beyond {t} contests": about(100.0 - t) for t in CONTESTS}
    mixed |= {"own: hazard": about(5.0), "inherited: hazard": about(5.0)}
    mixed |= {key.replace("_", ": ", 1).replace("_", " "): np.array(values) for key, values in changed.items()}
    conditions = [name for name in origins.CONDITIONS.values() if embedding or name != EMBEDDED]
    found = {name: {"efficiency": about(0.9), "success": about(0.5)} for name in conditions}
    found[MIXED] |= mixed
    return Compared(
        question=origins.QUESTION, found=found, seeds=range(SEEDS), figures=origins.FIGURES, answers=("efficiency",)
    )


def sentences(compared: Compared) -> list[str]:
    return origins_answer.sentences(compared, origins_answer.by_origin(compared))


def test_where_origins_do_equally_well_the_sentences_claim_no_difference() -> None:
    said = sentences(made_up(**{"random_held": [19.0, 21.0, 20.5, 19.5]}))  # type: ignore[arg-type]
    assert 3 <= len(said) <= 6
    assert said[0].startswith("Whether by chance, 4 seeds cannot tell: where 5 sources propose equally often")
    assert "20.00 ± 0.91% of what is held at the end, when 20% would be even" in said[0]
    assert said[2].startswith("Whether what is inherited lasts longer than what is found oneself 4 seeds cannot tell")
    for sentence in said[1], said[3], said[4]:
        assert "no difference that 4 seeds can show" in sentence
        for claim in ("sooner", "later", "more than", "less than", "higher", "lower"):
            assert claim not in sentence, sentence


@pytest.mark.parametrize(
    ("changed", "place", "expected"),
    [
        ({"random_held": [3, 4, 3.5, 3]}, 0, "Not by chance alone: "),
        ({"random_held": [30, 31, 32, 33]}, 0, "By chance as well as in any other way, or better: "),
        ({"factor_held": [44, 45, 46, 45]}, 0, "the most held are common factors, 45.00 ± 0.82%."),
        ({"random_hazard": [20, 21, 22, 21]}, 1, "sooner than exemplars (5"),
        ({"random_hazard": [1, 2, 1, 2]}, 1, "later than exemplars (5"),
        ({"factor_hazard": [1, 2, 1, 2]}, 1, "sooner than common factors (1.50 ± 0.58), no difference"),
        ({"inherited_hazard": [1, 2, 1, 2]}, 2, "What is inherited lasts longer than what is found oneself: 1.50"),
        ({"inherited_hazard": [8, 9, 8, 9]}, 2, "What is inherited goes sooner than what is found oneself: 8.50"),
        ({"factor_kept": [70, 75, 72, 74]}, 3, "less than of common factors (72.8 ± 2.2), no difference"),
        ({"exemplar_kept": [1, 2, 1, 2]}, 3, "more than of exemplars (1.50 ± 0.58), no difference"),
        ({"component_felt": [0.7, 0.71, 0.72, 0.7]}, 4, "higher than along principal components (0.7075"),
        ({"embedding_kept": [np.nan] * 4}, 3, "not to be compared with coordinates of the embedding (\N{EN DASH})"),
    ],
)
def test_the_sentences_say_what_the_numbers_say(changed: dict[str, list[float]], place: int, expected: str) -> None:
    assert expected in sentences(made_up(**changed))[place]


def test_societies_of_one_source_are_beside_that_of_random_directions() -> None:
    found = made_up()
    found.found["common factors"]["success"] += 0.2
    found.found["exemplars"]["success"] -= 0.2
    said = sentences(found)[5]
    efficiency = told(found.values("random directions", "efficiency"))
    assert said.startswith(
        f"Where all dimensions are random directions, the library's efficiency is {efficiency}, no d"
    )
    assert f", higher than with exemplars ({told(found.values('exemplars', 'success'))})" in said
    assert f", lower than with common factors ({told(found.values('common factors', 'success'))})" in said


def test_without_an_embedding_four_sources_share_evenly() -> None:
    said = sentences(made_up(embedding=False))
    assert "where 4 sources propose equally often" in said[0]
    assert "25% would be even" in said[0]
    assert not any("embedding" in sentence for sentence in said)


# Charts


def test_the_charts_show_the_means_of_the_seeds() -> None:
    found = made_up(**{"random_held": [3.0, 4.0, 3.0, 4.0]})  # type: ignore[arg-type]
    by_origin = origins_answer.by_origin(found)
    bars = {trace.name: trace for trace in origins_answer.stages_figure(by_origin).data}
    assert list(bars) == list(origins_answer.PLURAL.values())
    assert bars["random directions"].y[1] == 3.5
    found.found[MIXED]["random: beyond 7 contests"][2] = np.nan
    lines = {trace.name: trace for trace in origins_answer.survival_figure(found, by_origin).data}
    assert set(lines) == {*origins_answer.PLURAL.values(), "inherited"}
    assert lines["random directions"].y[7] is None, "a mean of other seeds than before would be no curve"
    assert lines["random directions"].y[8] == pytest.approx(92, abs=0.1)
    section = origins_answer.section(found, by_origin).html
    assert 'id="plot-origins-survival"' in section
    assert "coordinates of the embedding" in section


# The command line


SMALL = ["--agents", "6", "--steps", "12", "--seeds", "2"]


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_to_the_same_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = str(labelled(tmp_path / "small.npz"))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert origins.main(["--world", world, *SMALL, "--out", str(whole)]) == 0
    printed = capsys.readouterr().out
    results = json.loads((whole / comparison.RESULTS).read_text())
    assert all(sentence in printed for sentence in results["answer"])
    assert list(results["conditions"]) == list(origins.CONDITIONS.values())
    assert list(results["by_origin"]["conditions"]) == list(origins_answer.PLURAL.values())
    assert results["survival"]["factor"]["0"][0] <= 100
    page = (whole / comparison.PAGE).read_text()
    assert "plot-origins-stages" in page
    assert "src=" not in page.split("<script>")[0], "it works offline"

    cut.mkdir()
    lines = (whole / comparison.PIECES).read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 6 * 2
    (cut / comparison.PIECES).write_text("".join(lines[:9]) + lines[9][:40])
    assert origins.main(["--world", world, *SMALL, "--out", str(cut), "--resume"]) == 0
    assert json.loads((cut / comparison.RESULTS).read_text()) == results
    assert capsys.readouterr().out.count("\n") == printed.count("\n")
    # A finished one can be resumed, by the same question only.
    more = [*SMALL[:2], "--steps", "14", *SMALL[4:]]
    assert run(["--world", world, *more, "--out", str(cut), "--resume"]) == 2
    assert "is of other work (steps is 12 there, 14 here)" in capsys.readouterr().err


def run(args: list[str]) -> int:
    return command_line.run(lambda: origins.main(args), prog=origins.PROG)


def test_without_what_draws_the_page_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "plotly" else find_spec(name))
    for module in ("comparison_page", "origins_answer"):  # which cannot be imported then
        monkeypatch.setitem(sys.modules, f"experiments.{module}", None)
        monkeypatch.delattr(experiments, module, raising=False)
    assert run(["--world", "planted", "--quick", "--out", str(tmp_path / "out")]) == 2
    assert "plotly, which draws the report, is not installed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--agents", "1"], "agents is 1, but it must be at least 2"),
        (["--seeds", "1"], "seeds is 1, but it must be at least 2"),
        (["--world", "nowhere.npz"], "world is nowhere.npz, which does not exist"),
        (["--sources", "random"], "--sources is not a flag"),
    ],
)
def test_bad_input_is_told_in_one_sentence_before_anybody_has_lived(
    args: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*args, "--out", str(tmp_path / "out")]) == 2
    heard: Any = capsys.readouterr()
    assert heard.out == ""
    assert said in heard.err
    assert heard.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_broken_embedding_in_a_file_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.npz"
    rng = np.random.default_rng(3)
    for embedding, said in (
        (rng.standard_normal((59, 2)), "'embedding' has shape (59, 2), but it must be [60, coordinates]"),
        (np.full((60, 2), "a"), "'embedding' holds <U1 values, but it must hold numbers"),
        (np.ones((60, 2)), "every coordinate of 'embedding' is the same for every object"),
        (np.stack([np.ones(60), rng.standard_normal(60)], axis=1), "coordinate 0 of 'embedding' is the same for every"),
        (np.where(np.eye(60, 2) > 0, np.inf, 1.0), "'embedding 0' is infinite in row 1"),
    ):
        np.savez(path, features=rng.standard_normal((60, 5)), embedding=embedding)
        assert run(["--world", str(path), "--out", str(tmp_path / "out")]) == 2
        heard = capsys.readouterr().err
        assert f"{path}: " in heard
        assert said in heard
        assert heard.count("\n") == 1
