"""What makes a batch fit into memory, judged by measurements, and the measurements themselves."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from detection.config import TrainConfig
from detection.data.coco import CocoDataset
from detection.data.loading import TrainStream
from detection.errors import InputError
from detection.training.memory import GIB, Plan, fit, measured, peak_memory
from detection.training.trial import largest_padded, trial_batch
from tests.detection.small_runs import MODEL, small_config, write_set


class Pretended:
    """Peaks of a training that takes 1 GiB, and 1/2 GiB (computed twice: 1/8) for every image of a pass."""

    def __init__(self, *, most: float = math.inf) -> None:
        self.most = most
        self.asked: list[tuple[int | None, bool]] = []

    def __call__(self, config: TrainConfig) -> float:
        self.asked.append((config.micro_batch, config.checkpoint_activations))
        assert config.micro_batch is not None
        peak = GIB * (1 + config.micro_batch * (1 / 8 if config.checkpoint_activations else 1 / 2))
        return peak if peak <= self.most else math.inf


def fitted(limit: float, measure: Pretended, **fields: Any) -> Plan:
    config = small_config(batch_size=16, fit_memory=limit, **fields)
    return fit(config, share=16, measure=measure, say=lambda text: None)


@pytest.mark.parametrize(
    ("limit", "size", "twice"),
    [(10.0, 16, False), (9.0, 8, False), (5.5, 8, False), (3.3, 4, False), (1.6, 1, False), (1.5, 2, True)],
)
def test_the_fewest_parts_that_fit_are_chosen_and_nothing_is_computed_twice_without_need(
    limit: float, size: int, twice: bool
):
    measure = Pretended()
    plan = fitted(limit, measure)
    assert (plan.micro_batch, plan.checkpoint_activations) == (size, twice)
    assert plan.peak <= 0.95 * limit * GIB
    # What was chosen has been measured, and nothing that could not have fitted beside the two smallest.
    assert (size, twice) in measure.asked
    assert all(asked is not None and asked <= max(size, 2) for asked, _ in measure.asked)


def test_a_line_that_promised_too_much_is_not_believed():
    class Bent(Pretended):
        def __call__(self, config: TrainConfig) -> float:
            return super().__call__(config) + (3 * GIB if config.micro_batch == 16 else 0)

    measure = Bent()
    assert fitted(10.0, measure).micro_batch == 8
    assert (16, False) in measure.asked


def test_what_runs_out_of_memory_is_measured_smaller():
    plan = fitted(10.0, Pretended(most=1.6 * GIB))
    assert (plan.micro_batch, plan.checkpoint_activations) == (1, False)


def test_where_nothing_fits_the_least_is_told():
    # 1.125 GiB are the least; with the headroom 1.125 / .95.
    with pytest.raises(InputError, match=r"fit_memory is 1 GiB, but the least that training can do with is 1.19 GiB;"):
        fitted(1.0, Pretended())
    plan = fitted(1.19, Pretended())
    assert (plan.micro_batch, plan.checkpoint_activations) == (1, True)


def test_a_backbone_that_normalises_by_batches_gets_them_whole():
    model = dataclasses.replace(MODEL, norm="bn")
    measure = Pretended()
    assert fitted(4.0, measure, model=model) == Plan(16, True, 3 * GIB)
    assert measure.asked == [(16, False), (16, True)]
    with pytest.raises(InputError, match="norm allows no parts of a batch"):
        fitted(3.0, Pretended(), model=model)


def test_a_trial_is_as_large_as_the_largest_batch_and_has_as_many_boxes_as_the_fullest_image(tmp_path: Path):
    dataset = CocoDataset(write_set(tmp_path, images=9), "train2017")
    config = small_config(
        data=tmp_path, batch_size=2, model=dataclasses.replace(MODEL, pad_to=4, max_side=90), short_sides=(40, 60)
    )
    batch = trial_batch(config, dataset, images=3)
    largest = batch.images.shape[-2] * batch.images.shape[-1]
    assert len(batch.image_ids) == 3
    assert {len(boxes) for boxes in batch.boxes} == {3}
    stream = TrainStream(dataset, config=config, indices=range(9))
    sizes = [stream[iteration].images.shape for iteration in range(40)]
    assert largest == max(size[-2] * size[-1] for size in sizes)


def test_upright_and_other_images_are_never_padded_to_each_other():
    config = small_config(model=dataclasses.replace(MODEL, short_side=64, max_side=96, pad_to=32))
    assert largest_padded([(64, 96), (96, 64), (640, 640)], config) in ((64, 96), (96, 64))


def test_the_peak_is_that_of_this_process_and_never_falls():
    before = peak_memory(torch.device("cpu"))
    held = torch.ones(8, 1024, 1024)
    assert peak_memory(torch.device("cpu")) >= before
    del held
    assert peak_memory(torch.device("cpu")) >= before > 50 * 2**20


def test_what_a_trial_refuses_is_said_in_its_words(tmp_path: Path):
    config = small_config(data=tmp_path / "nowhere")
    with pytest.raises(InputError, match=f"^{tmp_path}/nowhere/annotations/instances_train2017.json is missing"):
        measured(config, share=2, device=torch.device("cpu"))


@pytest.mark.slow
def test_training_stays_within_what_it_was_fitted_to_and_learns_the_same(tmp_path: Path):
    write_set(tmp_path)
    model = dataclasses.replace(MODEL, short_side=256, max_side=384)
    config = small_config(data=tmp_path, model=model, batch_size=8)
    whole = dataclasses.replace(config, micro_batch=8)
    one = dataclasses.replace(config, micro_batch=1)
    peaks = [measured(each, share=8, device=torch.device("cpu")) for each in (whole, one)]
    assert peaks[1] < peaks[0] - 2**26
    middle = sum(peaks) / 2 / 0.95 / GIB
    plan = fit(
        dataclasses.replace(config, fit_memory=middle),
        share=8,
        measure=lambda each: measured(each, share=8, device=torch.device("cpu")),
        say=print,
    )
    assert not plan.checkpoint_activations
    assert 1 <= plan.micro_batch < 8
    assert plan.peak <= middle * GIB
