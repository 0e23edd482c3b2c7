"""Self-serving bias: what is measured of it, and that it is told as it is found."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from agents.selection import GRACE
from agents.superiority import win_rates
from experiments import comparison
from experiments.compared import Compared
from experiments.comparison import ComparisonConfig, Lived, lived
from experiments.lifetimes import ELIMINATED, Followed
from experiments.self_serving import (
    COMPARISON,
    EXACT,
    EXACT_BIAS,
    LASTED,
    MODESTY,
    NO_BIAS,
    SELF_SERVING,
    SURVIVAL,
    conclude,
    main,
    measure,
    survival,
)

LIVES = comparison.lives_of(COMPARISON, ComparisonConfig(quick=True, agents=14, steps=80))


@pytest.fixture(scope="module")
def ends() -> dict[str, Lived]:
    """The society at its end under some conditions, where there is much to be dropped and many die."""
    names = ("no bias", "utter self-serving bias", "utter modesty", "exact shares")
    return {
        name: lived(dataclasses.replace(LIVES[name], dimension_floor=0.5, turnover=0.2), society=Followed)
        for name in names
    }


def test_conditions_change_nothing_but_the_bias_and_the_share_taken_for_ones_own() -> None:
    base = LIVES["no bias"]
    for condition in COMPARISON.conditions:
        assert set(condition.changes) <= {"self_attribution", "bias_gain", "bias_loss"}
        gain, loss = LIVES[condition.name].bias_gain, LIVES[condition.name].bias_loss
        if condition.at is not None:
            assert condition.at == (gain - loss) / 2
            assert LIVES[condition.name].self_attribution == base.self_attribution == 1


def test_bias_shows_in_what_is_felt_and_in_who_is_left(ends: dict[str, Lived]) -> None:
    found = {name: measure(end) for name, end in ends.items()}
    assert all(set(figures) == set(COMPARISON.figures) for figures in found.values())
    vain, modest = found["utter self-serving bias"], found["utter modesty"]
    assert vain["mean_felt"] > modest["mean_felt"]
    assert vain["illusory"] > modest["illusory"]
    assert vain["dims_dropped"] <= found["no bias"]["dims_dropped"] < modest["dims_dropped"]


def test_survival_is_what_the_society_shows(ends: dict[str, Lived]) -> None:
    found, society = survival(ends["no bias"]), ends["no bias"].society
    assert isinstance(society, Followed)
    assert set(found) == set(SURVIVAL)
    population, rates = society.population, win_rates(society.population, society.world)
    pairs = [
        (float(population.score[row, slot]), rates[row, slot])
        for row, slot in np.ndindex(population.score.shape)
        if population.kind[row, slot] and population.contests[row, slot] >= GRACE
    ]
    assert found["told_truly"] == pytest.approx(np.corrcoef(np.array(pairs).T)[0, 1])
    assert found["dims_dropped"] == society.counters.dims_dropped
    ages = np.concatenate([dead.age for _, dead in society.deaths])
    assert len(ages) == society.counters.deaths > 0
    assert found["age_at_death"] == pytest.approx(ages.mean())
    worth = np.concatenate([dead.fitness for _, dead in society.deaths])
    assert found["fitness_at_death"] == pytest.approx(worth.mean())
    lives = society.lives
    survives = 1.0
    for step in range(LASTED + 1):
        at_risk = (lives.steps >= step).sum()
        survives *= 1 - ((lives.steps == step) & (lives.end == ELIMINATED)).sum() / at_risk
    assert found["lasted"] == pytest.approx(survives)
    assert 0 < found["lasted"] < 1
    assert found["hazard"] == pytest.approx(100 * (lives.end == ELIMINATED).sum() / lives.contests.sum())


def test_what_nobody_has_lived_to_see_is_not_known() -> None:
    found = survival(lived(dataclasses.replace(LIVES["no bias"], steps=4), society=Followed))
    for name in ("told_truly", "lasted", "age_at_death", "fitness_at_death"):
        assert math.isnan(found[name])
    assert found["dims_dropped"] == 0


def found_to_be(**change: float) -> Compared:
    """Self-serving bias that changes these figures by so much, whatever shares are felt; and modesty that does not."""
    base = {name: np.array([1.0, 1.1, 0.9, 1.2]) for name in COMPARISON.figures if name != "mcc"}
    noise = np.array([0.01, -0.01, 0.02, -0.02])
    other = {name: values + change.get(name, 0.0) + noise for name, values in base.items()}
    modest = {name: values + noise for name, values in base.items()}
    return Compared(
        question=COMPARISON.question,
        found={NO_BIAS: base, SELF_SERVING: other, MODESTY: modest, EXACT: base, EXACT_BIAS: other},
        seeds=(0, 1, 2, 3),
        figures={name: COMPARISON.figures[name] for name in base},
        answers=("illusory", "efficiency"),
    )


def test_what_is_concluded_of_the_bias_follows_the_figures() -> None:
    said = conclude(found_to_be(illusory=0.2, dims_dropped=-0.3, efficiency=-0.2, success=0.2))
    bias, exact, modesty, library, modest_library = said
    does = (
        "raises superiority felt beyond what is true and talk that succeeds; lowers dimensions dropped; shows no effect"
    )
    assert bias.startswith(
        f"Self-serving bias {does} in 4 seeds on correlation of felt with true superiority, share of "
    )
    assert exact.startswith(f"Self-serving bias where agents feel exact shares alone {does} in 4 seeds on ")
    assert modesty.startswith("Modesty shows no effect in 4 seeds on superiority felt beyond what is true, ")
    assert "is better in talk that succeeds; poorer in efficiency of the library; no different that 4 seeds" in library
    assert "those without bias, is no different that 4 seeds can show in efficiency of the library, " in modest_library
    said = conclude(found_to_be(illusory=-0.2))
    assert said[0].startswith("Self-serving bias lowers superiority felt beyond what is true; shows no effect in 4 ")


@pytest.mark.slow
@pytest.mark.parametrize("world", ["digits", "planted"])
def test_the_quick_experiment_leaves_its_results(
    world: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--world", world, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    printed = capsys.readouterr().out
    assert found["seeds"] == [0, 1]
    assert list(found["conditions"]) == list(LIVES)
    assert all(sentence in printed for sentence in found["answer"])
    assert ("mcc" in found["figures"]) == (world == "planted")
    assert (tmp_path / "comparison.html").stat().st_size > 1e6
