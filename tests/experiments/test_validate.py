"""Rows, their verdicts, the command line that shows them; and that what is broken turns its own row red."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from agents.world import World, planted
from experiments import command_line, validate
from experiments.limits import merging
from experiments.limits.planted_views import planted_views
from experiments.limits.rows import Law, Relation, Row, judged, law, sampling_error
from experiments.pieces import Found, Kept, Measure, program
from experiments.validate import PROG, main
from experiments.validate_text import expectation, verdict
from knowledge_graph import clustering, gcca
from knowledge_graph.views import Views

# ---- rows


def row(samples: Sequence[float] = (1.0, 2.0), **given: Any) -> Row:
    plain: dict[str, Any] = {
        "group": "tea",
        "name": "sugar",
        "source": "the cook",
        "relation": "about",
        "expected": 1.5,
    }
    return judged(samples, **(plain | given))


@pytest.mark.parametrize(
    ("relation", "expected", "tolerance", "ok"),
    [
        ("about", 1.5, 0.0, True),
        ("about", 1.6, 0.0, False),
        ("about", 1.6, 0.11, True),
        ("about", 1.4, 0.11, True),
        ("at least", 1.5, 0.0, True),
        ("at least", 1.51, 0.0, False),
        ("at least", 1.51, 0.02, True),
        ("at most", 1.5, 0.0, True),
        ("at most", 1.49, 0.0, False),
        ("at most", 1.49, 0.02, True),
        ("exactly", 1.5, 0.0, False),
        ("exactly", 1.5, 0.5, True),
        ("report", 99.0, 0.0, True),
        ("report", None, 0.0, True),
    ],
)
def test_the_mean_is_judged_by_its_relation(relation: Relation, expected: float, tolerance: float, ok: bool) -> None:
    found = row(relation=relation, expected=expected, tolerance=tolerance)
    assert found.ok is ok
    assert found.measured == 1.5
    assert found.spread == pytest.approx(np.sqrt(0.5))
    assert found.seeds == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("relation", ["about", "at least", "at most", "exactly", "report"])
def test_a_figure_that_is_not_finite_is_never_ok(bad: float, relation: Relation) -> None:
    assert not row([1.5, bad], relation=relation, tolerance=np.inf).ok


def test_what_is_expected_is_told_with_the_side_on_which_it_may_be_missed() -> None:
    told = {
        relation: expectation(row(relation=relation, expected=2.0, tolerance=0.5))
        for relation in ("about", "exactly", "at least", "at most")
    }
    assert told == {
        "about": "2 +- 0.5",
        "exactly": "exactly 2 (+- 0.5)",
        "at least": "at least 2 (less 0.5)",
        "at most": "at most 2 (plus 0.5)",
    }


def test_a_report_has_no_verdict_unless_there_is_nothing_to_report() -> None:
    assert verdict(row(relation="report")) == ""
    assert verdict(row([1.0, np.nan], relation="report")) == "NOT OK"


def test_rows_without_figures_or_without_anything_to_judge_them_by_are_refused() -> None:
    with pytest.raises(ValueError, match="one figure per seed"):
        row([])
    with pytest.raises(ValueError, match="nothing is expected"):
        row(expected=None)


def test_the_sampling_error_is_half_the_confidence_interval_but_never_wider_than_allowed() -> None:
    samples = np.random.default_rng(0).standard_normal(7)
    low, high = stats.ttest_1samp(samples, 0).confidence_interval(0.99)
    assert sampling_error(samples, widest=9.0) == pytest.approx((high - low) / 2)
    assert sampling_error(samples, widest=0.1) == 0.1
    assert sampling_error([1.0], widest=0.1) == 0.1
    assert sampling_error([1.0, np.nan], widest=0.1) == 0.1
    assert sampling_error([1.0, 1.0, 1.0], widest=0.1) == 0.0


# ---- the command line


def pot(seed: int) -> dict[str, float]:
    return {"seeds": float(seed)}


class Tea:
    def measures(self, *, quick: bool) -> dict[str, Measure]:
        return {"pot": pot} if quick else {"pot": pot, "kettle": pot}

    def rows(self, found: Mapping[str, Found]) -> Iterator[Row]:
        yield row(group="tea: hot", name="sugar", expected=1.5 if "kettle" in found else 0.5)
        yield row(found["pot"]["seeds"], group="tea: cold", name="seeds", relation="report", expected=None)


class Jam:
    def measures(self, *, quick: bool) -> dict[str, Measure]:
        return {"pot": pot}

    def rows(self, found: Mapping[str, Found]) -> Iterator[Row | Law]:
        seeds = found["pot"]["seeds"]
        yield row(seeds, group="jam: red <b>", name="of </script>", relation="at most", expected=0)
        axes = {"group": "jam: red <b>", "name": "sweetness", "source": "the cook", "x": "sugar", "y": "taste"}
        yield law([seeds, seeds**2], at=(1, 2), expected=(1.0, 2.0), **axes)


class Cake:
    def measures(self, *, quick: bool) -> dict[str, Measure]:
        return {"slice": pot}

    def rows(self, found: Mapping[str, Found]) -> Iterator[Row]:
        whole = np.full(len(found["slice"]["seeds"]), 7.0)
        yield row(whole, group="cake", name="slices", relation="exactly", expected=7)


@pytest.fixture
def kitchen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "GROUPS", {"tea": Tea(), "cake": Cake()})


def call(*args: str) -> int:
    return command_line.run(functools.partial(main, list(args)), prog=PROG)


@pytest.mark.usefixtures("kitchen")
def test_all_limits_met_is_status_0_and_a_table_of_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--seeds", "3", "--seed", "4") == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].startswith("9 of 9: ")
    lines = printed.out.splitlines()
    for name in ("tea: hot", "tea: cold", "cake"):
        assert name in lines
    (seeds,) = (line for line in lines if " seeds " in line and "the cook" in line)
    assert seeds.split()[:2] == ["seeds", "5"]  # the mean of 4, 5, 6; a report has no verdict
    (slices,) = (line for line in lines if " slices " in line)
    assert slices.startswith("  ok ")
    assert "exactly 7" in slices
    assert lines[-1].startswith("3 rows: 2 of 2 limits met, 1 figures reported; 3 seeds")


@pytest.mark.usefixtures("kitchen")
def test_a_missed_limit_is_status_1_names_the_row_and_still_leaves_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.json"
    assert call("--quick", "--out", str(out)) == 1
    printed = capsys.readouterr()
    assert printed.err.endswith("\nvalidate: not ok: sugar: 1.5, expected 0.5 +- 0\n")
    assert "NOT OK  sugar" in printed.out
    rows = json.loads(out.read_text())
    assert [found["name"] for found in rows] == ["sugar", "seeds", "slices"]
    assert [found["ok"] for found in rows] == [False, True, True]
    for found in rows:
        assert {"name", "source", "expected", "measured", "tolerance", "ok"} <= found.keys()
    assert rows[1]["expected"] is None
    assert rows[0]["seeds"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_a_report_without_a_figure_is_told_to_lack_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Crumbs(Cake):
        def rows(self, found: Mapping[str, Found]) -> Iterator[Row]:
            for expected in (None, 3.0):
                yield row([1.0, np.nan], group="cake", name="crumbs", relation="report", expected=expected)

    monkeypatch.setattr(validate, "GROUPS", {"cake": Crumbs()})
    assert call("--quick", "--report", str(tmp_path / "limits.html")) == 1
    assert capsys.readouterr().err.count("validate: not ok: crumbs: nan, expected a figure\n") == 2
    assert (tmp_path / "limits.html").read_text().count("Not ok: crumbs: nan, expected a figure.") == 2


@pytest.mark.usefixtures("kitchen")
def test_one_group_can_be_measured_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--quick", "--only", "cake") == 0
    assert "sugar" not in capsys.readouterr().out


def test_a_law_is_the_mean_and_the_spread_over_the_seeds_at_each_place() -> None:
    axes = {"group": "g", "name": "n", "source": "s", "x": "x", "y": "y"}
    found = law([[1.0, 3.0], [5.0]], at=(10, 20), **axes)
    assert found.at == (10.0, 20.0)
    assert found.measured == (2.0, 5.0)
    assert found.spread == (pytest.approx(np.sqrt(2)), 0.0)


def test_the_page_has_every_row_and_a_plot_of_every_law_and_runs_nothing_of_theirs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(validate, "GROUPS", {"jam": Jam(), "cake": Cake()})
    out = tmp_path / "limits.html"
    assert call("--quick", "--report", str(out)) == 1
    text = out.read_text()
    assert "1 of 2 limits met" in text
    assert "Not ok: of &lt;/script&gt;: 1, expected at most 0." in text
    assert "red &lt;b&gt;" in text
    assert "of </script>" not in text
    assert 'show("plot-law-0-0"' in text
    assert '"error_y":{"array":[1.0,' in text
    assert [path.name for path in tmp_path.iterdir()] == ["limits.html"]


def test_an_interrupted_validation_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(validate, "GROUPS", {"cake": Cake()})
    out = tmp_path / "rows.json"
    kept = Kept(path=validate.part_of(out), of={"quick": True, "program": program()})
    kept.begin({("cake: slice", 0): {"seeds": 0.0}, ("cake: slice", 2): {"seeds": 2.0}})
    assert call("--quick", "--out", str(out), "--resume") == 0
    assert capsys.readouterr().err.splitlines() == ["3 of 3: cake: slice, seed 1"]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_what_is_not_finite_is_null_in_the_file() -> None:
    found = validate.as_json(row([1.0, np.nan]))
    assert found["measured"] is None
    assert found["ok"] is False
    json.dumps(found, allow_nan=False)


@pytest.mark.usefixtures("kitchen")
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--only", "coffee"], "only is 'coffee', but it must be one of tea, cake"),
        (["--seeds", "1"], "seeds is 1, but it must be at least 2"),
        (["--seed", "-1"], "seed is -1, but it must be at least 0"),
        (["--report", "nowhere/page.html"], "report is nowhere/page.html, but nowhere cannot be written to"),
        (["--resume"], "resume needs an --out"),
        (["--out", "."], "out is ., which is a directory"),
        (["--out", "/dev/zero"], "out is /dev/zero, which is no regular file"),
        (["--out", "rows", "--report", "./rows"], "report is rows, which is also the out"),
        (["--out", "rows", "--report", "rows.part"], "report is rows.part, which is also where the pieces"),
        (["--out", ".", "--report", "page.html"], "out is ., which is a directory"),
        (["--out", "nowhere/rows.json"], "out is nowhere/rows.json, but nowhere cannot be written to (No such file"),
        (["--fast"], "--fast is not a flag"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    args: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"validate: {says}")
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


# ---- merging


@pytest.mark.slow
def test_every_limit_is_met() -> None:
    assert call() == 0


@pytest.mark.slow
def test_every_limit_is_met_by_two_seeds_in_a_hurry(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    assert call("--quick", "--seeds", "2", "--out", str(out)) == 0
    listed = json.loads(out.read_text())
    assert len(listed) >= 250
    assert sum(found["relation"] != "report" for found in listed) >= 240
    listed = [found for found in listed if found["group"].startswith("merging")]
    rows = {found["name"]: found for found in listed}
    assert len(rows) == len(listed) >= 30
    for name, least in {
        "GCCA, random 64, MCC": 0.96,
        "GCCA, random 64, efficiency": 0.97,
        "GCCA, seeds and correlates 48, MCC": 0.96,
        "GCCA, seeds and correlates 48, efficiency": 0.97,
        "clustering, random 64, MCC": 0.95,
        "implied covariance, 400 agents, MCC": 0.98,
        "64 factors, 512 features, 400 agents: GCCA, MCC": 0.95,
    }.items():
        assert rows[name]["relation"] == "at least"
        assert rows[name]["expected"] == least
        assert rows[name]["measured"] >= least
    assert rows["GCCA, random 64, concepts found"]["measured"] == 32


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=0)


@pytest.fixture(scope="module")
def views(world: World) -> Views:
    return planted_views(world, seed=0)


@pytest.fixture(scope="module")
def healthy() -> dict[str, np.ndarray]:
    """The figures of the planted world, with nothing broken."""
    found = {name: np.array([figure]) for name, figure in merging.kind_world(0).items()}
    assert red(found) == set()
    return found


def red(found: dict[str, np.ndarray]) -> set[str]:
    return {row.name for row in merging.kind_rows(found) if not row.ok}


def broken(healthy: dict[str, np.ndarray], world: World, views: Views, method: str) -> set[str]:
    """The rows that are red when this merge is measured again."""
    figures = merging.merged(world, views, method, f"random 64 {method}")
    return red(healthy | {name: np.array([figure]) for name, figure in figures.items()})


def test_a_merge_without_rotation_turns_its_match_red_and_nothing_else(
    healthy: dict[str, np.ndarray], world: World, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcca, "varimax", lambda loadings, **_: (loadings, np.eye(loadings.shape[1])))
    assert broken(healthy, world, views, "gcca") == {"GCCA, random 64, MCC"}


def test_an_edge_that_is_too_low_turns_the_number_of_concepts_red(
    healthy: dict[str, np.ndarray], world: World, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = gcca.noise_edge
    monkeypatch.setattr(gcca, "noise_edge", lambda *args: 0.1 * edge(*args))
    assert "GCCA, random 64, concepts found" in broken(healthy, world, views, "gcca")


def test_single_linkage_turns_clustering_red(
    healthy: dict[str, np.ndarray], world: World, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    chained = functools.partial(clustering.clusters_of, linkage="single", apart=False)
    monkeypatch.setattr(clustering, "clusters_of", chained)
    assert broken(healthy, world, views, "clustering") >= {
        "clustering, random 64, MCC",
        "clustering, random 64, concepts found",
    }


def test_lost_signs_turn_implied_covariance_red(healthy: dict[str, np.ndarray], world: World, views: Views) -> None:
    lost = dataclasses.replace(views, structure=np.abs(views.structure))
    assert "implied covariance, 200 agents, MCC" in broken(healthy, world, lost, "covariance")
