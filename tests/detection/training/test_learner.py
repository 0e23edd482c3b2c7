"""A detector that learns, stops at what is not finite, and goes on from a checkpoint as if there had been no break."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from detection import checkpoints
from detection.config import Category
from detection.errors import InputError
from detection.training.distributed import alone
from detection.training.learner import Learner, begin
from detection.training.log import Meter
from tests.detection.small_runs import MODEL, noise_batch, small_config


def learner_of(**fields: Any) -> Learner:
    config = small_config(**fields)
    return Learner(begin(config, say=print), config, world=alone())


def assert_equal_bits(a: Any, b: Any, *, at: str = "checkpoint") -> None:
    """Tensors and plain values, nested in dictionaries and lists, are the same."""
    assert type(a) is type(b), at
    if isinstance(a, dict):
        assert a.keys() == b.keys(), at
        for key in a:
            assert_equal_bits(a[key], b[key], at=f"{at}[{key!r}]")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), at
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal_bits(x, y, at=f"{at}[{index}]")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), at
    else:
        assert a == b, at


@pytest.mark.parametrize(
    "fields",
    [
        {"ema": 0.9, "clip_gradients": 1.0},
        {"model": dataclasses.replace(MODEL, norm="bn", frozen_stages=0), "channels_last": True},
        {"precision": "bf16"},
        {"precision": "fp16"},
    ],
)
def test_a_learner_goes_on_from_disk_bit_for_bit(tmp_path: Path, fields: dict[str, Any]):
    straight = learner_of(**fields)
    for step in range(4):
        straight.update(noise_batch(seed=step))
    broken = learner_of(**fields)
    for step in range(2):
        broken.update(noise_batch(seed=step))
    checkpoints.save(tmp_path / "last.pt", broken.checkpoint())
    other = learner_of(**fields, seed=5)
    other.restore(checkpoints.load(tmp_path / "last.pt"))
    for step in range(2, 4):
        other.update(noise_batch(seed=step))
    assert_equal_bits(other.model.state_dict(), straight.model.state_dict())
    saved, expected = (one.checkpoint().training or {} for one in (other, straight))
    for name in ("iteration", "images", "optimizer", "ema", "scaler"):
        assert_equal_bits(saved[name], expected[name], at=name)


def test_updates_make_the_loss_of_a_batch_smaller():
    learner = learner_of(lr=0.01, max_iterations=12, schedule="cosine")
    losses = [sum(learner.update(noise_batch()).losses.values()) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    assert learner.done == 12


def test_float16_scales_its_loss_and_learns_about_the_same():
    exact, coarse = learner_of(), learner_of(precision="fp16")
    assert coarse.scaler.is_enabled()
    # The first scales are too large: such updates are left out, until one fits.
    for _ in range(12):
        found = coarse.update(noise_batch())
        if found.gradient_norm is not None:
            break
    expected = exact.update(noise_batch())
    assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=0.05)
    for name, value in expected.losses.items():
        assert found.losses[name] == pytest.approx(value, rel=0.02)


@pytest.mark.slow
def test_a_compiled_network_learns_the_same():
    plain, quick = learner_of(), learner_of(compile=True)
    for step in range(2):
        expected, found = (one.update(noise_batch(seed=step)) for one in (plain, quick))
        assert found.losses == pytest.approx(expected.losses, rel=1e-4)
    weights = (dict(one.checkpoint().weights) for one in (plain, quick))
    for (name, a), (other, b) in zip(*(sorted(w.items()) for w in weights), strict=True):
        assert name == other  # what is compiled is saved under the same names
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_without_a_learning_rate_nothing_changes_but_the_count():
    learner = learner_of(lr=0.0)
    before = {name: weight.clone() for name, weight in learner.model.state_dict().items()}
    update = learner.update(noise_batch())
    assert update.learning_rate == 0
    assert_equal_bits(dict(learner.model.state_dict()), before)
    assert learner.done == 1


def test_the_frozen_part_of_the_network_stays_as_it_is():
    learner = learner_of(model=dataclasses.replace(MODEL, norm="bn", frozen_stages=2), lr=0.1)
    before = {name: weight.clone() for name, weight in learner.model.state_dict().items()}
    learner.update(noise_batch())
    changed = {name for name, weight in learner.model.state_dict().items() if not torch.equal(weight, before[name])}
    frozen = ("backbone.conv_stem", "backbone.bn0", "backbone.blocks.0.", "backbone.blocks.1.", "backbone.blocks.2.")
    assert not any(name.startswith(frozen) for name in changed)
    assert {"backbone.blocks.3.expand_conv.weight", "backbone.blocks.3.bn0.running_mean"} <= changed


def test_clipping_bounds_the_step_but_tells_of_the_whole_gradient():
    free, bound = (
        learner_of(momentum=0.0, weight_decay=0.0),
        learner_of(momentum=0.0, weight_decay=0.0, clip_gradients=0.01),
    )
    assert free.update(noise_batch()).gradient_norm == bound.update(noise_batch()).gradient_norm
    norms = [
        float(torch.cat([w.grad.flatten() for w in one.model.parameters() if w.grad is not None]).norm())
        for one in (free, bound)
    ]
    assert norms[0] > 0.1
    assert norms[1] == pytest.approx(0.01, rel=1e-3)


def test_a_loss_that_is_no_number_stops_and_names_iteration_part_and_image():
    learner = learner_of()
    learner.update(noise_batch())
    before = {name: weight.clone() for name, weight in learner.model.state_dict().items()}
    batch = noise_batch()._replace(images=noise_batch().images.float())
    batch.images[1, 0, :30, :30] = math.nan
    with pytest.raises(InputError, match=r"iteration 2: the class loss is nan \(in image 101\); give a smaller lr"):
        learner.update(batch)
    assert_equal_bits(dict(learner.model.state_dict()), before)
    assert learner.done == 1


def test_a_gradient_that_is_no_number_stops_and_names_the_images_of_the_batch():
    learner = learner_of()
    learner.model.head.quality.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(InputError, match=r"iteration 1: the gradient is (nan|inf), .*in the batch of image 100, 101"):
        learner.update(noise_batch())


def test_many_images_are_not_all_named():
    learner = learner_of(batch_size=20)
    learner.model.head.logits.bias.data.fill_(math.nan)
    with pytest.raises(InputError, match="115 and 4 more"):
        learner.update(noise_batch(images=20, height=32, width=32))


def test_weights_of_a_detector_are_taken_over_and_logits_of_other_categories_begin_anew(tmp_path: Path):
    learner = learner_of(ema=0.5)
    learner.update(noise_batch())
    checkpoints.save(tmp_path / "a.pt", learner.checkpoint())
    averaged = learner.average
    assert averaged is not None
    same = begin(small_config(weights=tmp_path / "a.pt", seed=9), say=pytest.fail)
    assert_equal_bits(dict(same.state_dict()), averaged.weights)

    said: list[str] = []
    three = dataclasses.replace(MODEL, categories=(*MODEL.categories, Category(90, "third")))
    model = begin(small_config(weights=tmp_path / "a.pt", model=three), say=said.append)
    assert model.head.logits.weight.shape[0] == 3
    assert torch.equal(model.head.distances.weight, averaged.weights["head.distances.weight"])
    assert len(said) == 1
    assert "class logits begin anew" in said[0]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"backbone": "resnet18"}, "a detector with efficientnet-lite0, but backbone is resnet18"),
        ({"fpn_channels": 64}, "give a detector with the same fpn_channels"),
        ({"norm": "gn"}, "give a detector with the same norm"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path: Path, fields: dict[str, Any], complaint: str):
    checkpoints.save(tmp_path / "a.pt", learner_of().checkpoint())
    config = small_config(weights=tmp_path / "a.pt", model=dataclasses.replace(MODEL, **fields))
    with pytest.raises(InputError, match=complaint):
        begin(config, say=print)


def test_the_beginning_depends_on_the_seed_and_on_nothing_drawn_before():
    first = begin(small_config(seed=3), say=print).state_dict()
    torch.rand(7)
    state = torch.get_rng_state()
    assert_equal_bits(dict(begin(small_config(seed=3), say=print).state_dict()), dict(first))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(begin(small_config(seed=4), say=print).state_dict()["fpn.p6.weight"], first["fpn.p6.weight"])


def test_the_meter_of_a_run_that_goes_on_is_that_of_one_without_a_break():
    learner = learner_of(lr=0.001)
    straight, broken = Meter(), Meter()
    for step in range(3):
        update = learner.update(noise_batch(seed=step))
        straight.add(update)
        broken.add(update)
        after = Meter()
        after.load(broken.state())
        broken = after
    means = broken.taken()
    assert means == straight.taken()
    assert set(means) == {"class", "box", "quality", "positives", "gradient_norm"}
    assert broken.count == 0
    broken.add(update._replace(gradient_norm=None))
    assert broken.taken()["gradient_norm"] is None
