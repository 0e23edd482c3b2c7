"""Detectors and the societies among what they see: what is looked through, what is refused, what is told of it."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from detection import checkpoints
from detection.checkpoints import Checkpoint
from detection.config import ModelConfig
from detection.data.coco import annotation_file_of
from detection.fcos import FCOS
from experiments import command_line, detectors, detectors_page, detectors_sights, pieces
from experiments.baselines import BaselinesConfig
from experiments.compared import MINUS
from experiments.detectors_found import BACKBONE, FIGURES, PYRAMID, Detectors
from experiments.detectors_sights import Sight, found_in, look, seen, sights_of
from experiments.detectors_text import as_json, lines_of, sentences, table
from experiments.lab import records
from tests.detection.small_runs import MODEL, write_set
from tests.experiments.lab.made_up import record

ROWS = BaselinesConfig(preset="mini").known
PRETRAINED = [name for name, row in ROWS.items() if row.pretrained][:9]
SCRATCH = [name for name, row in ROWS.items() if not row.pretrained][:3]
NAMES = [*PRETRAINED, *SCRATCH]


# ---- what is told of figures


def made_up(**changes: NDArray[np.float64]) -> Detectors:
    """Twelve rows with two trainings each, of which AP, raw features and library go up together unless changed."""
    n = len(NAMES)
    rng = np.random.default_rng(6)
    up = np.linspace(0.1, 0.5, n)
    raw = up + 0.07 * rng.standard_normal(n)
    figures = {
        "ap": up / 2,
        "raw": raw,
        "library": raw + 0.04 + 0.05 * rng.standard_normal(n),
        "best_view": up + 0.01,
        "efficiency": 0.9 + 0.01 * rng.permutation(n),
        "talk": up[::-1],
        "concepts": 12.0 + np.arange(n),
        "narrow": 0.5 + 0.01 * rng.permutation(n),
        "majority": np.full(n, 0.125),
    } | changes
    # Seeds of a training pull its row both ways, and so not at all.
    twice = {name: np.repeat(values, 2) + 0.001 * np.tile([-1.0, 1.0], n) for name, values in figures.items()}
    ap = twice.pop("ap")
    return Detectors(
        name="shapes",
        rows=tuple(ROWS[name] for name in NAMES for _ in range(2)),
        seeds=(0, 1) * n,
        ap=ap,
        measured_on="val2017",
        figures={PYRAMID: twice, BACKBONE: {name: values / 2 for name, values in twice.items()}},
        untrained={"raw": 0.3, "library": 0.2, "objects": 474.0},
    )


def test_rows_are_means_over_their_trainings():
    found = made_up()
    np.testing.assert_allclose(found.of("ap"), np.linspace(0.05, 0.25, len(NAMES)))
    np.testing.assert_allclose(found.of("library", BACKBONE), found.of("library") / 2)
    assert list(found.by_name) == NAMES
    assert found.pretrained.tolist() == [True] * 9 + [False] * 3
    assert found.chance == pytest.approx(0.125)
    assert found.together("ap", "library").rows == len(NAMES)


def test_the_answers_follow_the_figures():
    up = np.linspace(0.1, 0.5, len(NAMES))
    yes, alone, of_features, beside, otherwise, before = sentences(made_up())
    assert "Yes, the better the detector, the more a library tells" in yes
    assert "the commonest category alone tells 0.125" in yes
    assert "it is so as well" in alone
    assert "among the 3 from scratch" in alone
    assert "tells more than raw features do" in beside
    assert f"what falls with AP: talk that succeeds ({MINUS}1.00 (" in otherwise
    assert "what rises with AP: concepts in the library (1.00 (" in otherwise
    assert f"with AP among the rows that began with a trained backbone: {MINUS}1.00 (" in otherwise
    assert "what shows no trend: efficiency of the library" in otherwise
    above = int((made_up().of("library") > 0.2).sum())
    assert f"More is told by {above} of 12 rows" in before
    assert "nothing is left of AP that 12 rows can show" in of_features
    assert "of raw features there is left 0.74 (" in of_features

    flipped = sentences(made_up(library=up[::-1]))
    assert "No, the better the detector, the less a library tells" in flipped[0]
    assert "it is the other way round" in flipped[1]

    mixed = np.array([0.3, 0.1, 0.4, 0.2, 0.5, 0.15, 0.35, 0.12, 0.45, 0.22, 0.3, 0.18])
    unclear = sentences(made_up(library=mixed))
    assert "Not as far as 12 rows can show" in unclear[0]
    assert "it cannot be shown" in unclear[1]


def test_what_of_ap_is_left_is_told():
    n = len(NAMES)
    raw = np.random.default_rng(1).permutation(n) * 0.03
    up = np.linspace(0.1, 0.5, n)
    assert "AP still goes with a library that tells more" in sentences(made_up(raw=raw, library=up + raw / 9))[2]
    assert "AP goes with a library that tells less" in sentences(made_up(raw=raw, library=raw - up / 2))[2]


def test_few_rows_answer_nothing():
    whole = made_up()
    few = dataclasses.replace(
        whole,
        rows=whole.rows[:8],
        seeds=whole.seeds[:8],
        ap=whole.ap[:8],
        figures={
            place: {name: values[:8] for name, values in figures.items()} for place, figures in whole.figures.items()
        },
        lost=1,
    )
    said = sentences(few)
    assert len(said) == 3
    assert "4 rows are too few to say (fewer than 8)" in said[0]
    assert "1 training left no detector" in said[0]
    assert not few.together("ap", "library").judged


def test_rows_that_began_alike_say_so():
    whole = made_up()
    chosen = [at for at, row in enumerate(whole.rows) if row.pretrained]
    alike = dataclasses.replace(
        whole,
        rows=tuple(whole.rows[at] for at in chosen),
        seeds=tuple(whole.seeds[at] for at in chosen),
        ap=whole.ap[chosen],
        figures={
            place: {name: values[chosen] for name, values in some.items()} for place, some in whole.figures.items()
        },
    )
    assert sentences(alike)[1] == "All rows began with a trained backbone."


def test_the_table_has_the_best_detector_on_top_and_the_untrained_last():
    found = made_up()
    head, *lines = lines_of(found)
    assert len(lines) == len(NAMES) + 1
    assert all(len(line) == len(head) for line in lines)
    assert lines[0][0] == ROWS[NAMES[-1]].title
    assert lines[-1][-2:] == ["0.200", "0.300"]
    assert lines[0][0] in table([found])


def test_page_and_json_have_everything():
    found = made_up()
    page = detectors_page.render([found], seeds=3, agents=100, steps=100)
    assert "Yes, the better the detector" in page
    assert page.count('class="plot"') == 5
    assert "untrained here" in page
    told = as_json(found)
    assert len(told["detectors"]) == 2 * len(NAMES)
    assert set(told["with AP"][PYRAMID]) == set(FIGURES)
    assert told["with AP"][PYRAMID]["library"]["all rows"]["rows"] == len(NAMES)
    json.dumps(told)


# ---- a directory as baselines leave it


def save_detector(path: Path, model: ModelConfig, *, seed: int = 0) -> None:
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoints.save(path, Checkpoint(config=model, weights=FCOS(model).state_dict(), training=None, source="a test"))


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows with a detector each, and one whose training diverged."""
    runs = tmp_path_factory.mktemp("baselines")
    data = write_set(runs / "shapes", images=4)
    write_set(data, images=24, split="val2017", seed=1)
    learned = checkpoints.fingerprint(annotation_file_of(data, "train2017"))
    for at, row in enumerate(("b4-lr1e-3", "b4-lr5e-3")):
        save_detector(runs / "runs" / "shapes" / f"{row}-seed0" / "detector.pt", MODEL, seed=at)
        records.write(dataclasses.replace(record(row, 0.1 + at / 10), annotations=learned), runs / "results")
    lost = dataclasses.replace(record("b4-lr1e-4", 0.0, diverged=5), annotations=learned)
    records.write(lost, runs / "results")
    return runs


def call(*args: str | Path) -> int:
    main = functools.partial(detectors.main, [str(arg) for arg in args])
    return command_line.run(main, prog=detectors.PROG)


def sights_in(baselines: Path, out: Path) -> list[Sight]:
    (one,) = found_in(baselines, None, one_a_row=False)
    return sights_of(one, baselines, min_side=12.0, out=out)


def test_what_is_there_is_found(baselines: Path, tmp_path: Path):
    (one,) = found_in(baselines, None, one_a_row=False)
    assert [record.row for record in one.records] == ["b4-lr1e-3", "b4-lr5e-3"]
    assert one.lost == 1
    sights = sights_in(baselines, tmp_path)
    assert [sight.title for sight in sights] == [
        "shapes/b4-lr1e-3-seed0, fpn",
        "shapes/b4-lr1e-3-seed0, backbone",
        "shapes/b4-lr5e-3-seed0, fpn",
        "shapes/b4-lr5e-3-seed0, backbone",
        "shapes/untrained, backbone",
    ]
    assert {sight.sides for sight in sights} == {(64, 96)}


def test_what_is_seen_is_known_for_what_it_is(baselines: Path, tmp_path: Path):
    sight, _, other, *_ = sights_in(baselines, tmp_path / "objects")
    assert not seen(sight)
    sight.file.parent.mkdir(parents=True)
    look(sight)
    assert seen(sight)
    assert not seen(dataclasses.replace(sight, min_side=24.0))
    assert not seen(dataclasses.replace(other, file=sight.file)), "of another detector"
    sight.file.write_bytes(sight.file.read_bytes()[:100])
    assert not seen(sight)


@pytest.mark.slow
def test_from_detectors_to_the_page_and_on(
    baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for module in (detectors_sights, pieces):
        monkeypatch.setattr(module, "processors", lambda: 1)  # to start one takes longer than all the work
    monkeypatch.setattr(detectors, "program", lambda packages: "this one")
    args = ("--runs", baselines, "--out", tmp_path / "out", "--quick", "--agents", "8", "--steps", "12")
    assert call(*args) == 0
    printed = capsys.readouterr()
    assert "2 rows are too few to say" in printed.out
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["answer"]["shapes"][0] in printed.out
    assert len(results["lives"]) == 5
    found = results["sets"]["shapes"]["detectors"]
    assert [one["AP"] for one in found] == [0.1, 0.2]
    assert 0 <= found[0]["fpn"]["library"] <= 1
    assert "<h1>" in (tmp_path / "out" / "detectors.html").read_text()

    assert call(*args) == 2
    assert "give --resume, or another directory" in capsys.readouterr().err

    lines = (tmp_path / "out" / "pieces.jsonl").read_text().splitlines()
    assert call(*args, "--resume", "--seeds", "2") == 0
    again = (tmp_path / "out" / "pieces.jsonl").read_text().splitlines()
    assert again[: len(lines)] == lines
    assert len(again) == 2 * len(lines) - 1
    said = capsys.readouterr().err
    assert "seen" not in said
    assert "10 of 10" in said

    assert call(*args, "--resume", "--steps", "13") == 2
    assert "is of other work (steps is 12 there, 13 here)" in capsys.readouterr().err


def refusal(capsys: pytest.CaptureFixture[str], *args: str | Path) -> str:
    assert call(*args) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_what_cannot_be_looked_through_is_refused(baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = ("--out", tmp_path / "out")
    assert "has no records in" in refusal(capsys, "--runs", tmp_path / "nothing", *out)
    bare = tmp_path / "bare"
    records.write(record("b4-lr1e-3", 0.1), bare / "results")
    assert "no detector.pt beside them" in refusal(capsys, "--runs", bare, *out)
    save_detector(bare / "runs" / "shapes" / "b4-lr1e-3-seed0" / "detector.pt", MODEL)
    assert "instances_train2017.json does not exist" in refusal(capsys, "--runs", bare, *out)
    (bare / "shapes").symlink_to(baselines / "shapes")
    assert "learned from other images than those of" in refusal(capsys, "--runs", bare, *out)
    assert "agents is 1, but it must be at least 2" in refusal(capsys, "--runs", baselines, *out, "--agents", "1")
    assert "min_side is nan" in refusal(capsys, "--runs", baselines, *out, "--min-side", "nan")
    assert not (tmp_path / "out").exists()
