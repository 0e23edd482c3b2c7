"""The program: what it refuses, what it writes before anything is run, and what after."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import pytest

from detection.data import shapes
from experiments import baselines, command_line
from experiments.baselines import PROG, BaselinesConfig, main
from experiments.lab import document, drawing, records, scales
from experiments.lab.rows import ROWS
from tests.experiments.lab.made_up import record


def call(*args: str) -> int:
    return command_line.run(functools.partial(main, list(args)), prog=PROG)


def test_the_rows_are_listed(capsys: pytest.CaptureFixture[str]):
    assert call("--list-rows", "--preset", "coco") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(ROWS)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--rows", "b5"), "rows has 'b5'; give some of downloaded, b16-lr1e-2"),
        (("--seeds", "0"), "seeds is 0; give a number from 1 up"),
        (("--preset", "coco", "--workers", "-1"), "workers is -1"),
        (("--preset", "coco", "--fit-memory", "0"), "fit_memory is 0; give a number above 0"),
        (("--data", "d"), "data is given, which is of preset coco"),
        (("--precision", "bf16"), "precision is given, which is of preset coco"),
        (("--preset", "coco", "--plan"), "plan is asked for without data"),
        (("--preset", "coco", "--photographs", "d"), "photographs is given, which is of preset mini"),
        (
            ("--preset", "coco", "--data", "nowhere", "--rows", "b4-lr5e-3-scratch"),
            "nowhere/annotations/instances_train2017.json is missing",
        ),
        (("--photographs", "nowhere"), "nowhere/annotations/instances_train2017.json is missing"),
    ],
)
def test_what_cannot_be_run_is_refused(args: tuple[str, ...], sentence: str, tmp_path: Path, capsys):
    assert call(*args, "--out", str(tmp_path / "out"), "--quick") == 2
    assert sentence in capsys.readouterr().err


def test_full_scale_is_refused_before_it_begins(tmp_path: Path, capsys):
    drawing.draw(tmp_path / "shapes", quick=True)
    where = ("--preset", "coco", "--data", str(tmp_path / "shapes"), "--out", str(tmp_path / "out"))

    def refused(*args: str) -> str:
        assert call(*where, *args) == 2
        return capsys.readouterr().err

    assert "row b16-lr1e-2 begins with a backbone trained on ImageNet; give --backbone-weights" in refused()
    assert "rows has downloaded, which is only measured; give --downloaded" in refused("--rows", "downloaded")
    assert "backbone_weights is nowhere, which is no file" in refused("--backbone-weights", "nowhere")
    scratch = ("--rows", "b4-lr5e-3-scratch")
    assert "has 12 images with objects, where COCO's has 117,266; give COCO, or --quick" in refused(*scratch)
    (tmp_path / "shapes" / "annotations" / "instances_val2017.json").unlink()
    assert "instances_val2017.json is missing" in refused(*scratch)


def test_one_process_makes_the_table(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert call("--quick") == 2
    assert "start it without torchrun" in capsys.readouterr().err


def test_a_trial_is_not_taken_for_the_row(tmp_path: Path):
    results = tmp_path / "results"
    records.write(record("b4-lr5e-3", 0.9, scale="coco", iterations=3), results)
    whole = BaselinesConfig(preset="coco", results=results)
    assert not [one for one in baselines.known_records(whole) if one.iterations == 3]
    trial = dataclasses.replace(whole, quick=True)
    assert [one.row for one in baselines.known_records(trial)] == ["b4-lr5e-3"]
    assert baselines.SHIPPED not in (trial.records, dataclasses.replace(trial, results=None).records)


def test_without_data_the_table_shows_what_is_known(tmp_path: Path, capsys):
    results = tmp_path / "results"
    records.write(record("b4-lr5e-3", 0.314, scale="coco"), results)
    assert call("--preset", "coco", "--out", str(tmp_path / "out"), "--results", str(results)) == 0
    text = (tmp_path / "out" / "table.md").read_text()
    shown = json.loads((tmp_path / "out" / "table.json").read_text())["parts"]["coco"]["rows"]
    assert [row["row"] for row in shown] == list(ROWS)
    measured = {row["row"]: row["measured"] for row in shown if row["measured"]}
    assert measured["b4-lr5e-3"]["AP"] == {"mean": 0.314, "sd": None}
    assert len(measured) == 1 + len(
        {one.row for one in records.read_all(baselines.SHIPPED, scale="coco")} - {"b4-lr5e-3"}
    )
    assert text.count("not run") >= len(ROWS) - len(measured)
    assert "python -m experiments.baselines --preset coco --data COCO --rows b4-lr5e-3-scratch\n" in text
    assert "--rows downloaded --downloaded FCOS.pt" in text
    assert "b4-lr5e-3" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "AP of every row" in page


def test_rows_are_run_recorded_and_not_run_again(tmp_path: Path, capsys):
    args = ("--quick", "--seeds", "1", "--rows", "b4-lr5e-3", "b16-lr1e-2", "--out", str(tmp_path))
    assert call(*args) == 0
    said = capsys.readouterr()
    assert "2 runs to do, 60 images" in said.err
    found = records.read_all(tmp_path / "results", scale="mini")
    assert {one.row for one in found} == {"b4-lr5e-3", "b16-lr1e-2"}
    before = (tmp_path / "table.json").read_text()
    assert call(*args) == 0
    assert "2 runs of 2 were done before." in capsys.readouterr().err
    assert (tmp_path / "table.json").read_text() == before
    shown = json.loads(before)["parts"]["shapes"]
    assert {row["row"] for row in shown["rows"] if row["measured"]} == {"b4-lr5e-3", "b16-lr1e-2"}
    claims = {claim["claim"]: claim["holds"] for claim in shown["claims"]}
    assert claims["At equal iterations batch 16 is better than batch 4 at lr 5e-3"] in ("yes", "no")
    assert (
        claims["At equal iterations from scratch is far under pretrained, both at batch 4 and lr 5e-3"]
        == "not measured"
    )


def test_a_drawn_set_of_another_size_is_not_taken(tmp_path: Path, capsys):
    shapes.draw(shapes.Shapes(out=tmp_path / "shapes", images=3, val_images=2, size=64))
    assert call("--quick", "--out", str(tmp_path)) == 2
    assert "has 3 and 2 images, not 12 and 6; remove it" in capsys.readouterr().err


def test_the_document_says_what_the_records_say(tmp_path: Path):
    some = [
        record(row.name, 0.5 if row.batch == 16 else 0.1 + 0.01 * place, seed=seed)
        for seed in (0, 1)
        for place, row in enumerate(scales.MINI_ROWS)
    ]
    for one in some:
        records.write(one, tmp_path / "results")
    parts = baselines.parts_of(BaselinesConfig(out=tmp_path))
    text = document.markdown(parts, scale="mini")
    assert "not run" not in text
    assert "holds with 2 of 2 seeds" in text
    assert "of the drop was the schedule" in text
    assert "a processor (36 runs), torch 2.13.0, 2026-11-27" in text
    document.write(tmp_path, parts, scale="mini")
    page = (tmp_path / "report.html").read_text()
    assert "Which of the orders hold" in page
    assert page.count('id="plot-') == 1


@pytest.mark.slow
def test_a_row_at_full_scale_starts_with_one_line(tmp_path: Path, capsys):
    drawing.draw(tmp_path / "shapes", quick=True)
    where = ("--data", str(tmp_path / "shapes"), "--out", str(tmp_path / "out"), "--quick")
    assert call("--preset", "coco", "--rows", "b4-lr1e-2-scratch-gn", *where) == 0
    said = capsys.readouterr()
    assert "12 images at" in said.err, "the plan"
    (found,) = records.read_all(tmp_path / "out" / "results", scale="coco")
    assert (found.row, found.iterations, found.batch) == ("b4-lr1e-2-scratch-gn", 3, 4)
    assert found.commands[0].startswith(
        "python -m detection.train --preset lab-b4-lr1e-2-scratch-gn --max-iterations 3"
    )
    assert not [one for one in records.read_all(baselines.SHIPPED, scale="coco") if one.iterations < 90_000]
