"""The program that measures a detector: numbers of a known answer, categories, files, refusals."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from detection import checkpoints, coco_eval, command_line
from detection.checkpoints import Checkpoint
from detection.coco_eval import NUMBERS
from detection.config import Category, ModelConfig
from detection.data.coco import CocoDataset
from detection.data.loading import Batch
from detection.errors import InputError
from detection.evaluate import EvaluateConfig, class_table, evaluate, find, main, table
from detection.fcos import FCOS
from detection.postprocess import Detections, to_original

pytest.importorskip("pycocotools")

DATA = (Category(3, "thing"), Category(7, "other thing"))
"""The set's categories; annotations take them in turns."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of 64 x 96 or 96 x 64: with two objects, one, none, and one and a crowd."""
    root = tmp_path_factory.mktemp("set")
    (root / "annotations").mkdir()
    (root / "val2017").mkdir()
    boxes = [[[5, 5, 30, 20], [50, 10, 33, 45]], [[8, 40, 40, 40]], [], [[20, 4, 12, 60], [60, 10, 30, 30]]]
    images, annotations = [], []
    for at, here in enumerate(boxes):
        size = (96, 64) if at != 1 else (64, 96)
        Image.new("RGB", size, (40 * at, 90, 90)).save(root / "val2017" / f"{at}.png")
        images.append({"id": 100 - at, "file_name": f"{at}.png", "width": size[0], "height": size[1]})
        for which, box in enumerate(here):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 100 - at,
                    "category_id": DATA[which].id,
                    "bbox": box,
                    "iscrowd": int(at == 3 and which == 1),
                }
            )
    categories = [{"id": category.id, "name": category.name} for category in DATA]
    contents = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(contents))
    return root


def model(*categories: Category) -> ModelConfig:
    return ModelConfig(
        backbone="resnet18", fpn_channels=32, head_convs=1, short_side=64, max_side=96, categories=categories
    )


class Knowing:
    """Finds what is annotated; ``labels`` are its own names for the set's."""

    def __init__(self, config: ModelConfig, labels: tuple[int, ...] = (0, 1), *, move: float = 0.0) -> None:
        self.config, self.labels, self.move = config, torch.tensor(labels), move
        self.batches: list[int] = []

    def detect_batch(self, batch: Batch) -> list[Detections]:
        self.batches.append(len(batch.image_ids))
        found = []
        for at, (boxes, labels) in enumerate(zip(batch.boxes, batch.labels, strict=True)):
            known = Detections(boxes + self.move, torch.linspace(0.9, 0.5, len(labels)), self.labels[labels])
            found.append(to_original(known, size=batch.sizes[at], original=batch.originals[at], config=self.config))
        return found


@pytest.mark.parametrize("evaluator", ["pycocotools", "hotcoco"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_detector_that_knows_everything_has_ap_1(root, evaluator, batch_size):
    pytest.importorskip(evaluator)
    # Resized by a quarter and back, so that boxes must come out in pixels of the originals.
    detector = Knowing(dataclasses.replace(model(*DATA), short_side=48))
    evaluation = evaluate(detector, CocoDataset(root, "val2017"), evaluator=evaluator, batch_size=batch_size)["bbox"]
    assert evaluation.numbers["AP"] == pytest.approx(1)
    assert evaluation.numbers["AR100"] == pytest.approx(1)
    assert evaluation.images == 4
    assert [result.objects for result in evaluation.per_class] == [3, 1]
    assert sum(detector.batches) == 4


def test_categories_are_matched_by_their_ids_and_others_are_not_counted(root):
    # The detector's labels: fox, other thing, thing, in the order of their ids.
    detector = Knowing(model(Category(1, "fox"), Category(3, "thing"), Category(7, "other thing")), (1, 2))
    dataset = CocoDataset(root, "val2017")
    assert evaluate(detector, dataset)["bbox"].numbers["AP"] == pytest.approx(1)
    wrong = Knowing(detector.config, (2, 1))
    assert evaluate(wrong, dataset)["bbox"].numbers["AP"] == pytest.approx(0)
    foxes = find(Knowing(detector.config, (0, 0)), dataset, batch_size=2, workers=0).found
    assert len(foxes.scores) == 0


def test_a_category_that_the_detector_does_not_know_counts_as_never_found(root):
    evaluation = evaluate(Knowing(model(Category(1, "fox"), DATA[0]), (1, 0)), CocoDataset(root, "val2017"))["bbox"]
    assert [result.ap for result in evaluation.per_class] == [pytest.approx(1), 0]
    assert evaluation.numbers["AP"] == pytest.approx(0.5)


def test_moved_boxes_are_found_only_at_low_overlaps(root):
    numbers = evaluate(Knowing(model(*DATA), move=2.0), CocoDataset(root, "val2017"))["bbox"].numbers
    assert 0 < numbers["AP75"] < numbers["AP50"] <= 1


def test_a_detector_of_other_things_is_refused(root):
    with pytest.raises(InputError, match="ids 1, those of the data 3, 7, and none is the same"):
        evaluate(Knowing(model(Category(1, "fox"))), CocoDataset(root, "val2017"))


def test_boxes_and_scores_that_are_no_numbers_are_refused_and_not_measured(root):
    with pytest.raises(InputError, match="finds boxes in image 97 that are no numbers"):
        evaluate(Knowing(model(*DATA), move=float("nan")), CocoDataset(root, "val2017"))

    class Unsure(Knowing):
        def detect_batch(self, batch: Batch) -> list[Detections]:
            return [one._replace(scores=one.scores * float("nan")) for one in super().detect_batch(batch)]

    with pytest.raises(InputError, match="finds boxes in image 97 that are no numbers"):
        evaluate(Unsure(model(*DATA)), CocoDataset(root, "val2017"))


def test_numbers_are_printed_as_in_the_table_of_baselines(root):
    measured = evaluate(Knowing(model(*DATA)), CocoDataset(root, "val2017"))
    heads, cells = (line.split() for line in table(measured).splitlines())
    assert " ".join(heads) == "AP AP50 AP75 S M L AR1 AR10 AR100 ARs ARm ARl"
    assert " ".join(cells) == "boxes 1.000 1.000 1.000 1.000 1.000 - 1.000 1.000 1.000 1.000 1.000 -"
    lower = dataclasses.replace(measured["bbox"], numbers=dict.fromkeys(NUMBERS, 0.3871))
    assert table({"bbox": lower}).splitlines()[1].split()[1:] == [".387"] * 12
    assert [line.split() for line in class_table(measured).splitlines()[1:]] == [
        ["thing", "3", "1.000", "1.000"],
        ["other", "thing", "1", "1.000", "1.000"],
    ]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector with random weights that takes one class for likely, and averaged weights that take none for it."""
    path = tmp_path_factory.mktemp("run") / "last.pt"
    torch.manual_seed(0)
    network = FCOS(model(Category(1, "fox"), Category(3, "thing"), Category(7, "another thing")))
    silent = {name: value.clone() for name, value in network.state_dict().items()}
    torch.nn.init.constant_(network.head.logits.bias[1:2], 1.0)
    torch.nn.init.constant_(network.head.distances.bias, 2.0)
    weights = network.state_dict()
    checkpoints.save(path, Checkpoint(network.config, weights, {"ema": silent}, "a test"))
    return path


def test_the_program_writes_numbers_curves_and_pictures(root, checkpoint, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    args = ["--checkpoint", str(checkpoint), "--data", str(root), "--out", str(tmp_path / "o.json"), "--device", "cpu"]
    args += ["--weights", "raw", "--workers", "0", "--curves", str(tmp_path / "c"), "--draw", str(tmp_path / "d")]
    assert main([*args, "--draw-images", "3", "--batch-size", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.out.split()[:3] == ["AP", "AP50", "AP75"]
    assert "1 categories have another name" in printed.err
    assert "id 7 is 'other thing' in the data, 'another thing' in the detector" in printed.err
    said = json.loads((tmp_path / "o.json").read_text())
    assert list(said["bbox"]) == list(NUMBERS)
    assert said["bbox"]["AR100"] > 0  # it says "thing" everywhere
    assert said["bbox"]["L"] is None
    assert said["per_class"].keys() == {"thing", "other thing"}
    assert (said["images"], said["split"], said["checkpoint"]) == (4, "val2017", str(checkpoint))
    assert said["images_per_s"] == pytest.approx(4 / said["seconds"])
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["97.png", "98.png", "99.png"]
    with Image.open(tmp_path / "d" / "97.png") as drawn:
        assert drawn.width > 2 * 96
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["precision_recall.csv", "precision_recall.svg"]


def test_the_averaged_weights_are_measured_unless_the_raw_ones_are_asked_for(root, checkpoint, tmp_path, capsys):
    pytest.importorskip("hotcoco")
    args = ["--checkpoint", str(checkpoint), "--data", str(root), "--out", str(tmp_path / "o.json"), "--device", "cpu"]
    assert main([*args, "--workers", "0", "--evaluator", "hotcoco"]) == 0
    said = json.loads((tmp_path / "o.json").read_text())
    assert said["bbox"]["AR100"] == 0
    assert (said["weights"], said["evaluator"]) == ("ema", "hotcoco")


def refused(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the program ends with, with exit status 2."""
    assert command_line.run(lambda: main(args), prog="evaluate") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--checkpoint", "missing.pt"], "checkpoint missing.pt does not exist"),
        (["--data", "missing"], "instances_val2017.json is missing"),
        (["--split", "test2017"], "instances_test2017.json is missing"),
        (["--batch-size", "0"], "batch_size is 0; give a number from 1 up"),
        (["--workers", "-1"], "workers is -1; give a number from 0 up"),
        (["--draw-images", "0"], "draw_images is 0; give a number from 1 up"),
        (["--evaluator", "mine"], "--evaluator is 'mine', but it must be pycocotools or hotcoco"),
        (["--precision", "fp8"], "--precision is 'fp8', but it must be fp32 or bf16"),
        (["--out", "nowhere/o.json"], "nowhere cannot be written to"),
        (["--out", "."], "which is a directory"),
        (["--curves", "a_file/c"], "curves is a_file/c, which cannot be made"),
        (["--draw", "a_file"], "draw is a_file, which cannot be made"),
        (["--device", "abacus"], "device is 'abacus'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_in_one_sentence(flags, sentence, root, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("")
    args = ["--checkpoint", str(checkpoint), "--data", str(root), "--device", "cpu", "--workers", "0", *flags]
    assert sentence in refused(args, capsys)


def test_a_damaged_image_is_named(root, checkpoint, tmp_path, capsys):
    for path in ("annotations", "val2017"):
        (tmp_path / path).mkdir()
        for file in (root / path).iterdir():
            (tmp_path / path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "val2017" / "2.png").write_bytes(b"no image")
    args = ["--checkpoint", str(checkpoint), "--data", str(tmp_path), "--out", str(tmp_path / "o.json")]
    args += ["--device", "cpu", "--workers", "0"]
    assert command_line.run(lambda: main(args), prog="evaluate") == 2
    assert "2.png" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "o.json").exists()


def test_a_missing_evaluator_is_refused_before_anything_is_detected(root, monkeypatch):
    detector = Knowing(model(*DATA))

    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(coco_eval.importlib, "import_module", missing)
    with pytest.raises(InputError, match="evaluator is pycocotools, which cannot be imported"):
        evaluate(detector, CocoDataset(root, "val2017"))
    assert detector.batches == []


def test_the_defaults_measure_the_usual_split_one_image_at_a_time():
    config = EvaluateConfig(checkpoint=Path("last.pt"), data=Path("coco"))
    assert (config.split, config.batch_size, config.weights, config.precision) == ("val2017", 1, "ema", "fp32")
