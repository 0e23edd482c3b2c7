"""The log that machines read, and the line that people read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from detection.errors import InputError
from detection.training.learner import Update
from detection.training.log import Log, Progress, kept_lines

UPDATE = Update({"class": 1.0, "box": 0.5, "quality": 0.25}, 12.0, 3.0, 0.01, 0)


def test_a_log_goes_on_after_a_checkpoint_without_the_lines_after_it(tmp_path: Path):
    log = Log(tmp_path, after=0, tensorboard=False)
    for iteration in (2, 4, 6):
        log.write({"iteration": iteration, "loss": 1 / iteration})
    log.settle()
    log.close()
    log = Log(tmp_path, after=4, tensorboard=False)
    log.write({"iteration": 6, "loss": None})
    log.close()
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows == [{"iteration": 2, "loss": 0.5}, {"iteration": 4, "loss": 0.25}, {"iteration": 6, "loss": None}]


@pytest.mark.parametrize("torn", [b'{"iteration": 3, "lo', b'{"iteration": 3}', b"\x00\x00\n", b"[3]\n"])
def test_a_line_that_was_broken_off_is_dropped(torn: bytes):
    assert kept_lines(b'{"iteration": 2}\n' + torn, after=9) == [b'{"iteration": 2}\n']


def test_what_json_cannot_hold_is_a_defect(tmp_path: Path):
    log = Log(tmp_path, after=0, tensorboard=False)
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.write({"iteration": 1, "loss": float("nan")})
    log.close()


def test_tensorboard_has_the_same_numbers(tmp_path: Path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = Log(tmp_path, after=0, tensorboard=True)
    log.write({"iteration": 7, "loss": 0.5, "gradient_norm": None})
    log.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(7, 0.5)]
    assert events.Tags()["scalars"] == ["loss"]


def test_tensorboard_that_is_not_installed_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"pip install 'dimensional-views\[tensorboard\]'"):
        Log(tmp_path, after=0, tensorboard=True)
    assert not list(tmp_path.iterdir())


def test_progress_tells_of_the_parts_of_the_loss_the_pace_and_the_rest(capsys: pytest.CaptureFixture[str]):
    progress = Progress(iterations=100, done=10)
    progress.show(11, UPDATE, seconds=2.0, images=16)
    progress.show(12, UPDATE, seconds=2.0, images=16)  # too soon after the last one
    progress.show(100, UPDATE, seconds=2.0, images=16)
    progress.close()
    first, last = capsys.readouterr().err.splitlines()
    assert first == "11/100  loss 1.750 (class 1.000 box 0.500 quality 0.250)  lr 0.01  8.0 images/s  0:02:58 left"
    assert last.startswith("100/100  loss 1.750")
    assert last.endswith("0:00:00 left")
