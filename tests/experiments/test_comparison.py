"""Comparisons: paired by seed, honest in words, the same after an interruption, and a page that a browser can show."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments import command_line, compared, comparison, comparison_page
from experiments.compared import DOWN, UP, Compared, Interval
from experiments.comparison import PAGE, PIECES, RESULTS, Comparison, ComparisonConfig, Condition, Lived
from experiments.run_society import RunConfig
from tests.browser import launched, needs_browser, opened
from tests.experiments.small import world_file

# ---- statistics


def test_an_interval_is_that_of_a_t_test_over_the_seeds_that_are_known() -> None:
    samples = np.random.default_rng(0).normal(0.3, 1.0, size=6)
    found = compared.interval(samples)
    low, high = stats.ttest_1samp(samples, 0.0).confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((samples.mean(), low, high))
    assert compared.interval(np.append(samples, np.nan)) == found
    assert found.seeds == 6
    assert math.isnan(compared.interval(np.array([1.0])).low)
    assert compared.interval(np.array([np.nan])).seeds == 0


def test_differences_are_paired_by_seed() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(0.0, 10.0, size=8)
    values = base + rng.normal(0.5, 0.1, size=8)
    found = compared.paired(values, base)
    low, high = stats.ttest_rel(values, base).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.sign == 1
    assert compared.paired(base, values).sign == -1
    # Where seeds differ by more than conditions do, nothing would be seen of it unpaired.
    low, high = stats.ttest_ind(values, base).confidence_interval(0.95)
    assert low < 0 < high
    values[3] = np.nan
    assert compared.paired(values, base).seeds == 7


def test_other_last_digits_are_no_difference() -> None:
    base = np.array([0.1, 0.3, 1e9])
    assert compared.paired(base * (1 + 1e-15), base).none


@pytest.mark.parametrize(("seeds", "sign"), [(2, 0), (5, 0), (6, 1), (8, 1)])
def test_counts_that_differ_by_the_same_with_every_seed_must_do_so_often_enough(seeds: int, sign: int) -> None:
    found = compared.paired(np.full(seeds, 14.0), np.full(seeds, 13.0))
    assert found.low == found.high == 1.0
    assert found.sign == sign
    assert not found.none


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    found = [compared.interval(rng.normal(1.0, 3.0, size=4)) for _ in range(2000)]
    covered = np.mean([some.low <= 1.0 <= some.high for some in found])
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))


def test_a_trend_is_the_rise_of_the_straight_line_through_each_seeds_curve() -> None:
    rng = np.random.default_rng(3)
    at = np.array([0.0, 0.02, 0.05, 0.2])
    curves = rng.standard_normal((5, 4)) + 7.0 * at
    slopes = [np.polyfit(at, curve, 1)[0] * 0.2 for curve in curves]
    low, high = stats.ttest_1samp(slopes, 0.0).confidence_interval(0.95)
    found = compared.trend(curves, at)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(slopes), low, high))


@pytest.mark.parametrize("places", [(0.0, 0.02, 0.05, 0.1), (0.0, 0.02, 0.05, 0.1, 0.2)])
def test_what_stays_the_same_has_no_trend(places: tuple[float, ...]) -> None:
    rng = np.random.default_rng(4)
    for by_seed in (np.full(8, 0.3), rng.random(8)):
        found = compared.trend(np.repeat(by_seed[:, None], len(places), axis=1), np.array(places))
        assert found.none, by_seed
        assert found.seeds == 8


def test_a_bar_is_the_difference_of_pairs_also_where_a_seed_is_unknown() -> None:
    # Seed 2 is unknown under the other condition; by its means that would be lower, with every pair it is higher.
    found = Compared(
        question="?",
        found={"usual": {"a": np.array([1.0, 2.0, 9.0])}, "other": {"a": np.array([1.5, 2.6, np.nan])}},
        seeds=(0, 1, 2),
        figures={"a": "A"},
        answers=("a",),
    )
    drawn = comparison_page.conditions_figure(found, "a")
    (bar,) = [trace for trace in drawn.data if trace.error_x.array is not None]
    assert bar.x[0] == pytest.approx(4.0 + 0.55)
    assert bar.error_x.array[0] == pytest.approx(found.difference("other", "a").high - 0.55)
    assert "no difference that 2 seeds can show under other" in compared.sentence(found, "a")
    assert compared.verdict(found, "other", {"a": 1}) == "no different that 2 seeds can show in a"


def test_seeds_are_counted_from_the_fewest_to_the_most() -> None:
    def over(seeds: int) -> Interval:
        return Interval(mean=0.0, low=-1.0, high=1.0, seeds=seeds)

    assert compared.so_many([over(3), over(3)]) == "3"
    assert compared.so_many([over(5), over(2), over(3)]) == "2 to 5"


# ---- in words


def made_up(**others: list[float]) -> Compared:
    """A baseline of 1, 2, 3 cups of tea, and other conditions."""
    found = {"water": {"tea": np.array([1.0, 2.0, 3.0])}}
    found |= {name.replace("_", " "): {"tea": np.array(values)} for name, values in others.items()}
    return Compared(
        question="Is it tea?", found=found, seeds=(4, 5, 6), figures={"tea": "Cups of tea"}, answers=("tea",)
    )


def sentence(found: Compared) -> str:
    """What is said of tea, with hyphens for minus signs."""
    return compared.sentence(found, "tea").replace("\N{MINUS SIGN}", "-")


def test_sentences_say_higher_lower_or_nothing_that_can_be_shown() -> None:
    up, down, open_, equal = [2.0, 3.1, 4.0], [0.1, 1.0, 2.0], [2.0, 1.0, 3.5], [1.0, 2.0, 3.0]
    assert sentence(made_up(hot=up)) == (
        "Cups of tea: 2.0 ± 1.0 under water; higher under hot (+1.03, +0.89 to +1.18)."
    )
    assert sentence(made_up(cold=down)) == (
        "Cups of tea: 2.0 ± 1.0 under water; lower under cold (-0.97, -1.11 to -0.82)."
    )
    assert sentence(made_up(warm=open_)) == (
        "Cups of tea: 2.0 ± 1.0 under water; no difference that 3 seeds can show under warm."
    )
    assert sentence(made_up(still=equal)) == "Cups of tea: 2.0 ± 1.0 under water; the same under still."
    assert sentence(made_up(iced=[3.0, 4.0, 5.0])) == (
        "Cups of tea: 2.0 ± 1.0 under water; differing alike with so few seeds under iced (+2.00 with every seed)."
    )
    said = sentence(made_up(hot=up, boiled=up, warm=open_, cold=down))
    assert said == (
        "Cups of tea: 2.0 ± 1.0 under water; higher under hot (+1.03, +0.89 to +1.18) and boiled (+1.03, +0.89 to "
        "+1.18); lower under cold (-0.97, -1.11 to -0.82); no difference that 3 seeds can show under warm."
    )
    assert sentence(made_up(warm=open_, luke=open_)).endswith("can show under any other condition.")
    nan = [math.nan] * 3
    assert sentence(made_up(none=nan)).endswith("; not known under none.")
    assert compared.by_chance(made_up(hot=up, warm=open_)).startswith(
        "1 of these 2 differences are shown, each with 95%"
    )


def test_a_verdict_says_what_is_better_and_what_is_poorer() -> None:
    found = made_up(hot=[2.0, 3.1, 4.0])
    assert compared.verdict(found, "hot", {"tea": 1}) == "better in cups of tea"
    assert compared.verdict(found, "hot", {"tea": -1, "coffee": 1}) == "poorer in cups of tea"
    open_ = made_up(hot=[2.0, 1.0, 3.5])
    assert compared.verdict(open_, "hot", {"tea": 1}) == "no different that 3 seeds can show in cups of tea"
    assert compared.verdict(open_, "hot", {"coffee": 1}) == "nothing that could be compared is known"
    for known in (0, 1):
        unknown = made_up(hot=[2.0] * known + [math.nan] * (3 - known))
        assert compared.verdict(unknown, "hot", {"tea": 1}) == "nothing that could be compared is known"


def test_another_condition_can_be_the_baseline() -> None:
    found = made_up(hot=[2.0, 3.1, 4.0], cold=[0.1, 1.0, 2.0])
    other = found.beside("cold")
    assert other.baseline == "cold"
    assert set(other.others) == {"water", "hot"}
    there, back = found.difference("cold", "tea"), other.difference("water", "tea")
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))


@pytest.mark.parametrize(
    ("hot", "says"),
    [
        ([3.0, 4.1, 5.0], "It rises from heat 0 to 2 (+2.03, "),
        ([-1.0, 0.1, 1.0], "It falls from heat 0 to 2 (-1.97, "),
        ([1.0, 2.0, 3.0], "It stays the same from heat 0 to 2."),
        ([4.0, 0.0, 3.0], "No trend that 3 seeds can show from heat 0 to 2 (+0.3, "),
    ],
)
def test_a_curve_is_put_in_words(hot: list[float], says: str) -> None:
    middle = list(np.add(hot, [1.0, 2.0, 3.0]) / 2)
    found = dataclasses.replace(made_up(warm=middle, hot=hot), curve="heat", at={"hot": 2.0, "water": 0.0, "warm": 1.0})
    assert says in sentence(found)
    assert compared.as_json(found)["trends"]["tea"]["seeds"] == 3
    word = {"It rises": "a rise in ", "It falls": "a fall in "}.get(says[:8], "no trend that 3 seeds can show in ")
    assert compared.trends(found, ["tea", "coffee"]) == f"from heat 0 to 2: {word}cups of tea"
    assert compared.trends(made_up(warm=middle), ["tea"]) == "nothing is known"
    unknown = dataclasses.replace(found, found={**found.found, "warm": {"tea": np.full(3, math.nan)}})
    assert compared.trends(unknown, ["tea"]) == "nothing is known"
    assert compared.as_json(made_up(warm=middle))["trends"] == {}


def test_the_table_marks_what_is_shown() -> None:
    shown = compared.table(made_up(hot=[2.0, 3.1, 4.0], cold=[0.1, 1.0, 2.0], warm=[2.0, 1.0, 3.5]), ["tea"])
    title, water, hot, cold, warm = shown.replace("\N{MINUS SIGN}", "-").splitlines()
    assert title == "Cups of tea"
    assert water.split() == ["water", "2.0", "±", "1.0"]
    assert f"{UP} +1.03" in hot
    assert f"{DOWN} -0.97" in cold
    assert UP not in warm
    assert DOWN not in warm


@pytest.mark.parametrize(
    ("spread", "value", "digits"), [(0.0123, 5.0, 3), (12.0, 5.0, 0), (0.0, 0.0123, 4), (0.0, 0.0, 0), (1e-9, 1.0, 6)]
)
def test_figures_have_as_many_digits_as_their_spread_allows(spread: float, value: float, digits: int) -> None:
    assert compared.decimals(spread, value) == digits
    assert "0.00" in compared.change(Interval(mean=0.001, low=-0.012, high=0.014, seeds=3))


# ---- lives


def measure(lived: Lived) -> dict[str, float]:
    """Figures of a life; cannot be had of the last one while there is a file called stop."""
    society = lived.society
    if society.config.merge_interval == 0 and society.seed == 1 and Path("stop").exists():
        raise ArithmeticError("stopped")
    return {
        "concepts": float(len(lived.library)),
        "talked": float(len(lived.recorder.success)),
        "success": lived.recorder.talk(lived.recorder.success) or 0.0,
        "first body": float(society.population.body[0]),
        "nothing": math.inf,
    }


NASTY = "</script><b>late & seldom"

COMPARISON = Comparison(
    question="Does a <library> help?",
    conditions=(
        Condition(name="a library", changes={"merge_interval": 4}, at=4),
        Condition(name=NASTY, changes={"merge_interval": 8, "turnover": 0.0}, at=8),
        Condition(name="the same", changes={"merge_interval": 4}),
        Condition(name="no library", changes={"merge_interval": 0}, at=9),
    ),
    measure=measure,
    figures={
        "concepts": "Concepts",
        "success": "Talk <that> succeeds",
        "talked": "Steps",
        "first body": "Body",
        "nothing": "-",
    },
    answers=("concepts", "success"),
    curve="merge & wait",
)


def call(*args: str, what: Comparison = COMPARISON) -> int:
    return command_line.run(functools.partial(comparison.main, what, args, prog="library"), prog="library")


def given(world: Path, out: Path, **more: Any) -> list[str]:
    flags = {"world": world, "out": out, "agents": 8, "steps": 10, "seeds": 2} | more
    return ["--quick", *(part for name, value in flags.items() for part in (f"--{name}", str(value)))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def world(place: Path) -> Path:
    objects = 400
    rng = np.random.default_rng(0)
    features = rng.standard_normal((objects, 3)) @ rng.standard_normal((3, 10))
    return world_file(place, features=features + 0.5 * rng.standard_normal((objects, 10)), labels=np.arange(400) % 3)


@pytest.fixture(scope="module")
def whole(place: Path, world: Path) -> Path:
    """What a comparison that nothing disturbs leaves."""
    assert call(*given(world, place / "whole")) == 0
    return place / "whole"


def results(out: Path) -> dict[str, Any]:
    return json.loads((out / RESULTS).read_text(encoding="utf-8"))


def test_the_same_seed_gives_every_condition_the_same_founders_and_equal_conditions_equal_lives(whole: Path) -> None:
    found = results(whole)
    assert found["seeds"] == [0, 1]
    assert found["baseline"] == "a library"
    conditions = found["conditions"]
    assert conditions[NASTY]["first body"]["values"] == conditions["a library"]["first body"]["values"]
    assert len(set(conditions["a library"]["first body"]["values"])) == 2
    assert conditions["the same"]["success"]["values"] == conditions["a library"]["success"]["values"]
    assert conditions["the same"]["success"]["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "seeds": 2}
    assert conditions[NASTY]["success"]["values"] != conditions["a library"]["success"]["values"]
    assert conditions["no library"]["concepts"]["mean"] == 0 < conditions["a library"]["concepts"]["mean"]
    assert conditions["a library"]["talked"]["values"] == [10, 10]
    assert "nothing" not in found["figures"]
    values = conditions[NASTY]["success"]["values"]
    assert conditions[NASTY]["success"]["sd"] == pytest.approx(np.std(values, ddof=1))


def test_an_interrupted_comparison_goes_on_to_the_same_results(
    whole: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stop, out = Path("stop"), tmp_path / "out"
    stop.touch()
    with pytest.raises(ArithmeticError, match="stopped"):
        call(*given(world, out))
    assert not (out / RESULTS).exists()
    done = len((out / PIECES).read_text().splitlines()) - 1
    assert 1 <= done < 8
    stop.unlink()
    capfd.readouterr()
    assert call(*given(world, out), "--resume") == 0
    assert capfd.readouterr().err.count("of 8: ") == 8 - done
    assert (out / RESULTS).read_bytes() == (whole / RESULTS).read_bytes()
    assert (out / PAGE).read_bytes() == (whole / PAGE).read_bytes()


def test_what_cannot_be_compared_is_refused_before_anybody_lives(
    whole: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken" / PIECES).mkdir(parents=True)
    crowded = dataclasses.replace(
        COMPARISON, conditions=[Condition(name="few"), Condition(name="many", changes={"candidates": 400})]
    )
    before = {path: path.read_bytes() for path in whole.iterdir()}
    for args, what, says in (
        (given(world, tmp_path / "out", seeds=1), COMPARISON, "seeds is 1, but it must be at least 2"),
        (given(world, tmp_path / "out", steps=0), COMPARISON, "steps is 0, but it must be at least 1"),
        (given(world, tmp_path / "file"), COMPARISON, "cannot be written to (a file is in the way)"),
        (given(world, tmp_path / "taken"), COMPARISON, f"where {PIECES} is a directory"),
        (given(tmp_path / "none.npz", tmp_path / "out"), COMPARISON, "none.npz"),
        (given(world, tmp_path / "out"), crowded, "candidates is 400, but it must be at most 300"),
        (given(world, tmp_path / "out"), crowded, "(under many)"),
        ([*given(world, whole, agents=9), "--resume"], COMPARISON, "is of other work (agents is 8 there, 9 here)"),
    ):
        capsys.readouterr()
        assert call(*args, what=what) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("library: ")
        assert said.err.count("\n") == 1
        assert says in said.err
    assert not (tmp_path / "out").exists()
    assert {path: path.read_bytes() for path in whole.iterdir()} == before


def test_a_comparison_needs_conditions_with_names_of_their_own_and_answers_that_are_figures() -> None:
    for change in ({"conditions": [Condition(name="one")]}, {"conditions": [Condition(name="one")] * 2}):
        with pytest.raises(ValueError, match="names of their own"):
            dataclasses.replace(COMPARISON, **change)
    with pytest.raises(ValueError, match="tea is to answer"):
        dataclasses.replace(COMPARISON, answers=("tea",))


def conclude(found: Compared) -> list[str]:
    return [f"It is {'<tea>' if found.known('tea') else 'water'}."]


def test_what_an_experiment_concludes_stands_first(tmp_path: Path) -> None:
    plan = dataclasses.replace(COMPARISON, figures={"tea": "Cups"}, answers=("tea",), conclude=conclude)
    found, lives = made_up(hot=[2.0, 3.1, 4.0]), dict.fromkeys(("water", "hot"), RunConfig(steps=3))
    comparison.write(plan, found, lives, tmp_path, work={})
    assert results(tmp_path)["answer"][0] == "It is <tea>."
    assert '<p class="lede">It is &lt;tea&gt;.</p>' in (tmp_path / PAGE).read_text(encoding="utf-8")


def test_the_usual_lives_are_as_long_and_large_as_asked_for() -> None:
    lives = comparison.lives_of(COMPARISON, ComparisonConfig(world="planted", steps=7, quick=True))
    assert {config.steps for config in lives.values()} == {7}
    assert {config.planted_features for config in lives.values()} == {64}
    assert lives["no library"].merge_interval == 0
    lives = comparison.lives_of(COMPARISON, ComparisonConfig(world="planted", agents=7))
    assert {config.agents for config in lives.values()} == {7}
    assert {config.planted_features for config in lives.values()} == {256}


# ---- the page


def test_names_from_data_are_escaped_in_the_page(whole: Path) -> None:
    text = (whole / PAGE).read_text(encoding="utf-8")
    assert "<b>late" not in text
    assert "<library>" not in text
    assert "Talk &lt;that&gt; succeeds" in text
    assert 'aria-label="Talk &lt;that&gt; succeeds"' in text


@needs_browser
def test_the_page_shows_every_chart_and_the_answer_in_a_browser(whole: Path) -> None:
    drawn = "[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.cartesianlayer .trace'))"
    with launched(timeout=30) as browser, opened(whole / PAGE, width=1200, browser=browser) as page:
        page.wait_for(drawn)
        charts = page.evaluate("[...document.querySelectorAll('.plot')].map(plot => plot.id)")
        assert charts == ["plot-answer-0", "plot-answer-1", "plot-curve-0", "plot-curve-1"]
        rows = page.evaluate(
            "[...document.querySelectorAll('#plot-answer-0 .yaxislayer-above text')].map(text => text.textContent)"
        )
        assert sorted(rows) == sorted(results(whole)["conditions"])
        assert page.evaluate("document.documentElement.scrollWidth") == 1200
        page.resize(400, 900)
        page.wait_for("document.documentElement.scrollWidth === 400")
        assert page.evaluate("document.querySelector('h1').textContent") == "Does a <library> help?"
        assert page.requests == []
        assert page.console == []


def points(figure: Any) -> Iterator[Mapping[str, Any]]:
    return (trace for trace in figure.data if trace.error_x.array is not None)


def test_bars_that_keep_clear_of_the_baseline_are_coloured() -> None:
    found = made_up(hot=[2.0, 3.1, 4.0], cold=[0.1, 1.0, 2.0], warm=[2.0, 1.0, 3.5])
    bars = {trace.y[0]: trace for trace in points(comparison_page.conditions_figure(found, "tea"))}
    assert [bars[name].marker.color for name in ("hot", "cold", "warm")] == [
        comparison_page.COLOURS[sign] for sign in (1, -1, 0)
    ]
    for name, bar in bars.items():
        clear = abs(bar.x[0] - 2.0) > bar.error_x.array[0]
        assert clear == (found.difference(name, "tea").sign != 0)
