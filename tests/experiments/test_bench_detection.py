"""The detection benchmark: what it compares is the same network, and it says so where it is not; never how fast."""

from __future__ import annotations

import pytest
import torch

from detection.detector import Detector
from detection.errors import InputError
from detection.postprocess import Detections
from experiments import bench_detection
from experiments.bench_detection import DetectionBench, Step, agreement, plain, the_images, the_model

CONFIG = DetectionBench(backbone="resnet18", height=64, width=96, rounds=2)


def a_batch() -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
    boxes = torch.tensor([[10.0, 12.0, 50.0, 40.0], [30.0, 5.0, 90.0, 60.0]])
    return torch.stack(the_images(CONFIG, 2)), [boxes] * 2, [torch.tensor([3, 7])] * 2


def test_the_plain_form_says_and_learns_the_same():
    model = the_model(CONFIG)
    twin = plain(model)
    images, size = a_batch()[0], torch.tensor([[64, 96]] * 2)
    with torch.no_grad():
        for mine, theirs in zip(model(images, size)[:3], twin(images, size)[:3], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    loss, gradient = Step(model, a_batch(), channels_last=True).gradient()
    expected, direction = Step(twin, a_batch(), own_loss=False).gradient()
    assert abs(loss - expected) < 1e-4
    assert torch.nn.functional.cosine_similarity(gradient.double(), direction.double(), dim=0) > 0.99999


def test_random_weights_find_something_to_compare():
    found = Detector(the_model(CONFIG), device="cpu").detect(the_images(CONFIG, 1))
    assert len(found[0].boxes) > 5


def test_agreement_is_whole_with_itself_and_none_with_other_classes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]])
    one = Detections(boxes, torch.tensor([0.9, 0.5]), torch.tensor([0, 1]))
    assert agreement([one], [one]) == {"kept": 1.0, "score_difference": 0.0, "box_difference": 0.0}
    assert agreement([one._replace(labels=torch.tensor([1, 0]))], [one])["kept"] == 0
    moved = one._replace(boxes=boxes + torch.tensor([0.0, 0, 0.4, 0]), scores=torch.tensor([0.8, 0.5]))
    found = agreement([moved], [one])
    assert found["kept"] == 1
    assert abs(found["score_difference"] - 0.05) < 1e-6
    assert abs(found["box_difference"] - 0.1) < 1e-6


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--device", "abacus"], "device is 'abacus', which torch does not know"),
        (["--device", "cuda:99"], "device is cuda:99, but "),
        (["--checkpoint", "last.pt", "--data", "nowhere"], "instances_val2017.json is missing"),
        (["--data", "somewhere"], "data is given without a checkpoint"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_measured_is_refused_before_anything_is(flags, sentence, monkeypatch):
    monkeypatch.setattr(bench_detection, "the_model", None)
    with pytest.raises(InputError, match=sentence):
        bench_detection.main(["--quick", *flags])


@pytest.mark.slow
def test_what_was_measured_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_detection, "torchvision_fcos", lambda config: None)
    flags = ["--quick", "--backbone", "resnet18", "--threads", "1", "--batch", "1", "--out", str(tmp_path / "b.json")]
    before = torch.get_num_threads()
    assert bench_detection.main(flags) == 0
    torch.set_num_threads(before)
    text = capsys.readouterr().out
    assert "inference" in text
    assert "gradient cosine" in text
    assert '"training step"' in (tmp_path / "b.json").read_text()
