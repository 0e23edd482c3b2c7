"""What the README promises of whole runs, at the sizes that it names."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments import run_society


def summary_of(out: Path, *flags: str) -> dict[str, Any]:
    assert run_society.main([*flags, "--out", str(out)]) == 0
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    flags = ["--world", "planted", "--agents", "200", "--steps", "300", "--seed", "1"]
    return summary_of(tmp_path_factory.mktemp("planted"), *flags)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return summary_of(tmp_path_factory.mktemp("digits"), "--world", "digits")


def test_eight_dimensional_minds_recover_32_planted_factors(planted: dict[str, Any]) -> None:
    library = planted["library"]
    assert library["mcc"] >= 0.97
    assert library["efficiency"] >= 0.98
    assert library["n_concepts"] == 32
    assert library["mcc_null"] < 0.2 < library["mcc"] <= library["central_mcc"] + 0.02


def test_living_adds_to_what_merging_alone_gives(planted: dict[str, Any]) -> None:
    for figure in ("mcc", "efficiency", "weights_mcc", "weights_efficiency"):
        assert planted["library"][figure] > planted["unlived"][figure] + 0.005


def test_through_the_library_an_agent_foretells_what_it_does_not_sense(
    planted: dict[str, Any], digits: dict[str, Any]
) -> None:
    for run in (planted, digits):
        assert run["library"]["prediction_bound"] > run["library"]["prediction"]
        assert run["library"]["prediction"] > 0.6 * run["library"]["prediction_bound"] > 0


def test_no_single_view_comes_near(planted: dict[str, Any]) -> None:
    assert planted["selection"]["max_dims"] <= 8
    assert planted["library"]["best_single_view_mcc"] <= 0.25
    assert planted["library"]["rank8_explained_variance"] < 0.5 * planted["library"]["explained_variance"]


def test_talk_gets_better_for_the_librarys_word(planted: dict[str, Any], tmp_path: Path) -> None:
    talk = planted["communication"]
    assert talk["candidates"] == 4
    assert talk["success"] >= talk["success_before"] + 0.25
    assert talk["success"] >= talk["chance"] + 0.25
    flags = ["--world", "planted", "--agents", "200", "--steps", "300", "--seed", "1", "--no-library-word"]
    alone = summary_of(tmp_path, *flags)["communication"]
    assert talk["success"] >= alone["success"] + 0.25


def test_the_library_tells_digits_like_raw_pixels_and_single_views_do_not(digits: dict[str, Any]) -> None:
    library = digits["library"]
    assert library["raw_label_accuracy"] > 0.96
    assert library["label_accuracy"] >= library["raw_label_accuracy"] - 0.02
    assert library["label_accuracy"] >= library["best_single_view_label_accuracy"] + 0.05
    assert library["label_accuracy"] >= library["mean_single_view_label_accuracy"] + 0.15


def test_superiority_settles_where_the_win_rates_say(tmp_path: Path) -> None:
    flags = "--steps 1500 --discovery-interval 0 --selection-interval 0 --merge-interval 0 --record-interval 1500"
    felt = summary_of(tmp_path, *flags.split())["superiority"]
    assert felt["contests"] > 200
    assert felt["mean_felt"] == pytest.approx(felt["predicted"], abs=0.03)
    assert felt["illusory"] == pytest.approx(felt["mean_felt"] - felt["mean_true"])
    assert felt["illusory"] > 0.1


def test_a_living_society_feels_about_what_its_win_rates_predict(
    planted: dict[str, Any], digits: dict[str, Any]
) -> None:
    for run in (planted, digits):
        assert run["superiority"]["mean_felt"] == pytest.approx(run["superiority"]["predicted"], abs=0.03)
        assert run["superiority"]["tau"] == 0.8
