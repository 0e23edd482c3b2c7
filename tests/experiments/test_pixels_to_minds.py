"""From pixels to minds: every stage leaves its files, is not repeated, and goes on to the same result."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agents.world import table
from experiments import command_line, pixels_to_minds, run_society
from experiments.pixels_figures import closing, spent_before
from experiments.pixels_to_minds import PROG, PixelsConfig, main, plan, splits_of, stages
from tests.detection.small_runs import write_set

SMALL = ("--iterations", "2", "--short-side", "64", "--min-side", "8", "--agents", "12", "--steps", "12")
ANNOTATIONS = "annotations/instances_train2017.json"
LEFT = {"plan.json", "detector", "detector.json", "objects.npz", "society", "pixels_to_minds.json"}


def call(*args: object) -> int:
    return command_line.run(functools.partial(main, [*map(str, args), "--device", "cpu"]), prog=PROG)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_set(tmp_path_factory.mktemp("data") / "noise", images=11, masks=True)
    return write_set(root, images=7, split="val2017", seed=1, masks=True)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    assert call("--data", data, "--out", out, *SMALL) == 0
    return out


def test_every_stage_leaves_its_files_and_the_figures_of_all_are_gathered(whole: Path, data: Path) -> None:
    assert {path.name for path in whole.iterdir()} == LEFT
    found = json.loads((whole / "pixels_to_minds.json").read_text())
    world = table(whole / "objects.npz", seed=0)
    assert world.instances is not None
    assert world.instances.thumbnails is not None
    assert world.embedding is not None
    assert (found["objects"], found["dimensions"]) == world.features.shape == (len(world.features), 320)
    assert found["splits"] == ["train2017", "val2017"]
    assert set(found["seconds"]) == {"train", "measure", "embed", "society"}
    assert 0 <= found["detector"]["AP"] <= 1
    summary = json.loads((whole / "society" / "summary.json").read_text())
    assert found["society"] == summary
    assert summary["n_agents"] == 12
    assert summary["selection"]["max_dims"] <= 8
    config = json.loads((whole / "society" / "config.json").read_text())
    assert config["attention"] == 0.0
    page = (whole / "society" / "report.html").read_text()
    assert "other thing" in page
    assert "data:image/png" in page
    said = closing(found)
    assert f"{found['objects']} of 2 categories, 320 features" in said
    assert str(data) not in json.dumps(found)


def test_what_is_done_is_not_done_again(whole: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert call("--data", data, "--out", whole, *SMALL, "--resume") == 0
    for path, contents in before.items():
        assert path.read_bytes() == contents, path
    assert capsys.readouterr().err.count("done before") == 4


def test_a_run_stopped_in_a_stage_goes_on_to_the_same_result(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"

    def stopped(args: Sequence[str]) -> int:
        return 143

    for name in ("embed", "run_society"):
        module = pixels_to_minds.detection.embed if name == "embed" else run_society
        with monkeypatch.context() as patch:
            patch.setattr(module, "main", stopped)
            resume = () if name == "embed" else ("--resume",)
            assert call("--data", data, "--out", out, *SMALL, *resume) == 143
        assert "go on with --resume" in capsys.readouterr().err
        assert not (out / "pixels_to_minds.json").exists()
    assert call("--data", data, "--out", out, *SMALL, "--resume") == 0
    with np.load(out / "objects.npz") as one, np.load(whole / "objects.npz") as other:
        # The checkpoint says when and where it was made, and the source names it by its hash.
        for name in set(other.files) - {"source"}:
            np.testing.assert_array_equal(one[name], other[name])
    for name in ("metrics.csv", "interactions.csv"):
        assert (out / "society" / name).read_bytes() == (whole / "society" / name).read_bytes()


def test_a_detector_looks_at_a_set_that_it_has_not_seen(whole: Path, tmp_path: Path) -> None:
    other = write_set(tmp_path / "other", images=14, split="photos", seed=7)
    out, checkpoint = tmp_path / "run", whole / "detector" / "last.pt"
    assert call("--data", other, "--checkpoint", checkpoint, "--out", out, *SMALL, "--features", "fpn") == 0
    assert {path.name for path in out.iterdir()} == LEFT - {"detector", "detector.json"}
    found = json.loads((out / "pixels_to_minds.json").read_text())
    assert found["detector"] is None
    assert found["splits"] == ["photos"]
    source = table(out / "objects.npz", seed=0)
    assert source.instances is not None
    assert source.instances.source["features"] == "fpn"
    assert np.isfinite(source.features).all()


def test_only_what_is_asked_for_is_gone_on_with(whole: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--data", data, "--out", whole, *SMALL) == 2
    assert "where there is such a run already; go on with it by --resume" in capsys.readouterr().err
    assert call("--data", data, "--out", whole, *SMALL, "--seed", 1, "--resume") == 2
    assert "is of other work (seed is not the same)" in capsys.readouterr().err


def test_other_annotations_and_another_order_of_splits_are_other_work(data: Path, tmp_path: Path) -> None:
    mine = shutil.copytree(data, tmp_path / "mine")
    config = PixelsConfig(data=mine, split=("train2017",), out=tmp_path / "run")
    before = plan(config, config.split)
    assert plan(config, ("val2017", "train2017")) != plan(config, ("train2017", "val2017")) != before
    for split in ("train2017", "val2017"):  # learned from, and measured on
        file = mine / "annotations" / f"instances_{split}.json"
        contents = file.read_text()
        file.write_text(contents + " ")
        assert plan(config, config.split) != before
        file.write_text(contents)
    assert plan(config, config.split) == before


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--data", "nowhere"), "data is nowhere, which has no annotations/instances_SPLIT.json"),
        (("--data", "DATA", "--split", "test2017"), "instances_test2017.json is missing"),
        (("--data", "DATA", "--train-split", "test2017"), "train_split is test2017, which"),
        (("--data", "DATA", "--checkpoint", "nowhere.pt"), "checkpoint nowhere.pt does not exist"),
        (("--data", "DATA", "--preset", "maxi"), "preset is 'maxi'; give one of"),
        (("--data", "DATA", "--iterations", "0"), "iterations is 0; give a number from 1 up"),
        (("--data", "DATA", "--min-side=-1"), "min_side is -1.0; give a number of pixels from 0 up"),
        (("--data", "DATA", "--min-side", "nan"), "min_side is nan; give a number of pixels from 0 up"),
        (("--data", "DATA", "--min-side", "60"), "has no object in train2017 or val2017 with sides of 60.0 pixels"),
        (("--data", "DATA", "--min-side", "36"), "object(s), but a world needs at least 8"),
        (("--data", "DATA", "--agents", "3000000000"), "agents is 3000000000, but it must be at most 2147483647"),
        (("--data", "BARE", "--pool", "mask"), "annotation 1 has no segmentation"),
        (
            (
                "--data",
                "FEW",
            ),
            "image(s), too few to hold a quarter of them out whole; give more images",
        ),
        (("--data", "EMPTY", "--split", "train2017"), "val2017 is no directory; the images of"),
        (("--data", "DATA", "--resume"), "which has no plan.json to go on with; leave --resume out"),
        (("--data", "DATA", "--features", "head"), "--features is 'head', but it must be backbone or fpn"),
        ((), "--data is missing; give it"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    args: tuple[str, ...], sentence: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {"DATA": data, **{name: tmp_path / name.lower() for name in ("BARE", "FEW", "EMPTY")}}
    if "BARE" in args:
        write_set(sets["BARE"], images=11)
    if "FEW" in args:  # many objects in two images
        whole = json.loads((write_set(sets["FEW"], images=2) / ANNOTATIONS).read_text())
        one = whole["annotations"][0] | {"bbox": [0, 0, 30, 30]}
        whole["annotations"] = [one | {"id": i + 1, "image_id": 10 + i % 2} for i in range(12)]
        (sets["FEW"] / ANNOTATIONS).write_text(json.dumps(whole))
    if "EMPTY" in args:  # nothing to measure the detector on
        write_set(write_set(sets["EMPTY"], images=14), images=2, split="val2017")
        shutil.rmtree(sets["EMPTY"] / "val2017")
    assert call(*(sets.get(word, word) for word in args), "--out", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ['{"seconds": {"train": "x"}}', '{"seconds": ["ab"]}', "[]", "{", "{}"])
def test_seconds_that_are_no_numbers_are_forgotten(text: str, tmp_path: Path) -> None:
    (tmp_path / "pixels_to_minds.json").write_text(text)
    assert spent_before(tmp_path) == {}


def test_what_is_in_the_way_of_a_file_is_told_before_the_work(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "objects.npz").mkdir()
    assert call("--data", data, "--out", tmp_path) == 2
    assert "where objects.npz is a directory; remove that, or give another directory" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["objects.npz"]


def test_the_commands_can_be_typed(data: Path, tmp_path: Path) -> None:
    config = PixelsConfig(data=data, out=tmp_path / "my run")
    said = [stage.command for stage in stages(config, splits_of(data))]
    programs = ["detection.train", "detection.evaluate", "detection.embed", "experiments.run_society"]
    assert [command.split()[2] for command in said] == programs
    assert f"--world '{tmp_path}/my run/objects.npz'" in said[-1]
