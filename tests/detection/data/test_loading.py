"""Batches that depend on the seed and the iteration, whoever reads them; and files that turn out to be broken."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detection.config import ModelConfig, TrainConfig
from detection.data.coco import CocoDataset
from detection.data.loading import Batch, EvalStream, TrainStream, eval_batches, train_batches, trainable
from detection.errors import InputError
from tests.detection.data.tiny import SPLIT, annotation, write_set

# Images 1 to 9: six wide ones, three high ones; 4 has only a crowd, 8 nothing.
SIZES = {i: ((36, 24), (40, 20), (20, 30))[i % 3] for i in range(1, 10)}
MODEL = ModelConfig(short_side=16, max_side=30, pad_to=8)
MASKED = dataclasses.replace(MODEL, masks="condinst")


def objects(image: int) -> list[dict[str, Any]]:
    width, height = SIZES[image]
    rectangle = [4, 4, 16, 4, 16, 12, 4, 12]
    return [
        annotation(image * 10, image, [4, 4, 12, 8], 7, segmentation=[rectangle]),
        annotation(image * 10 + 1, image, [0, 0, width, height], 90, segmentation=[[0, 0, width, 0, width, height]]),
    ]


def records() -> list[dict[str, Any]]:
    crowd = {"iscrowd": 1, "segmentation": {"size": [20, 40], "counts": [0, 800]}}
    some = [record for image in SIZES if image not in (4, 8) for record in objects(image)]
    return [*some, annotation(1, 4, [0, 0, 40, 20]) | crowd, annotation(2, 7, [0, 0, 40, 20]) | crowd]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    return CocoDataset(write_set(tmp_path_factory.mktemp("set"), SIZES, records()), SPLIT)


@pytest.fixture
def spoiled(tmp_path: Path) -> CocoDataset:
    """Image 2 is missing, and the pixels of 5 are cut off."""
    write_set(tmp_path, SIZES, records())
    (tmp_path / SPLIT / "2.png").unlink()
    cut_off(tmp_path / SPLIT / "5.png")
    return CocoDataset(tmp_path, SPLIT)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def config(**fields: Any) -> TrainConfig:
    plain = {"batch_size": 4, "short_sides": (12, 16, 20), "workers": 0, "device": "cpu", "model": MODEL}
    return TrainConfig(data=Path("data"), out=Path("out"), **(plain | fields))


def first(batches: Iterator[Batch], n: int) -> list[Batch]:
    return list(itertools.islice(batches, n))


def assert_same(ones: Sequence[Batch], others: Sequence[Batch]) -> None:
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        assert one.image_ids == other.image_ids
        for a, b in zip(tensors(one), tensors(other), strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [batch.images, batch.sizes, batch.originals, *batch.boxes, *batch.labels, *(batch.masks or [])]


# ---- what a batch is


def test_a_training_batch_has_images_boxes_and_labels_of_one_shape(dataset: CocoDataset) -> None:
    for batch in first(train_batches(dataset, config=config(), start=0), 12):
        assert batch.images.dtype == torch.uint8
        height, width = batch.sizes.amax(dim=0).tolist()
        assert batch.images.shape == (4, 3, -(-height // 8) * 8, -(-width // 8) * 8)
        assert len({int(h) > int(w) for h, w in batch.originals}) == 1
        for row in range(4):
            h, w = batch.sizes[row].tolist()
            assert batch.images[row, :, h:].sum() == batch.images[row, :, :, w:].sum() == 0
            assert (batch.images[row, :, :h, :w].float().mean(0) > 0).all()
            assert (batch.originals[row].flip(0) == torch.tensor(SIZES[batch.image_ids[row]])).all()
            assert min(h, w) in (12, 15, 16, 20)  # 15: 30 x 15, where a side of 16 or 20 would exceed 30
            assert batch.labels[row].tolist() == [1, 2]
            torch.testing.assert_close(batch.boxes[row][1], torch.tensor([0.0, 0, w, h]))


def test_training_leaves_out_crowds_and_images_without_other_objects(dataset: CocoDataset) -> None:
    batches = first(train_batches(dataset, config=config(), start=0), 30)
    assert {i for batch in batches for i in batch.image_ids} == {1, 2, 3, 5, 6, 7, 9}
    assert trainable(dataset) == ([0, 1, 2, 4, 5, 6, 8], {})
    assert all(len(boxes) == 2 for batch in batches for boxes in batch.boxes)


def test_a_flipped_image_has_its_boxes_and_masks_flipped_with_it(dataset: CocoDataset) -> None:
    plain, flipped = (
        first(train_batches(dataset, config=config(flip=flip, model=MASKED), start=5), 6) for flip in (0.0, 1.0)
    )
    for one, other in zip(plain, flipped, strict=True):
        assert one.image_ids == other.image_ids
        assert one.masks is not None
        assert other.masks is not None
        for row, (h, w) in enumerate(one.sizes.tolist()):
            assert torch.equal(one.images[row, :, :h, :w].flip(-1), other.images[row, :, :h, :w])
            assert torch.equal(one.masks[row].flip(-1), other.masks[row])
            assert one.masks[row].shape == (2, h, w)
            x1, y1, x2, y2 = one.boxes[row][0].tolist()
            assert other.boxes[row][0].tolist() == pytest.approx([w - x2, y1, w - x1, y2])
            # The rectangle's mask fills its box up to rounding.
            assert int(one.masks[row][0].sum()) == pytest.approx((x2 - x1) * (y2 - y1), rel=0.2)


def test_without_masks_none_are_drawn(dataset: CocoDataset) -> None:
    assert first(train_batches(dataset, config=config(), start=0), 1)[0].masks is None


def test_torchvisions_convention_gives_floats(dataset: CocoDataset) -> None:
    model = dataclasses.replace(MODEL, resize="torchvision")
    batch = next(train_batches(dataset, config=config(model=model), start=0))
    assert batch.images.dtype == torch.float32
    assert 128 < batch.images.max() <= 255


# ---- the same batches, however they are read


def test_batches_are_the_same_from_any_start_with_any_number_of_workers(dataset: CocoDataset) -> None:
    straight = first(train_batches(dataset, config=config(), start=0), 9)
    assert_same(first(train_batches(dataset, config=config(), start=4), 5), straight[4:])
    assert_same(first(train_batches(dataset, config=config(workers=1), start=2), 4), straight[2:6])
    assert_same(first(train_batches(dataset, config=config(workers=2), start=0), 9), straight)
    assert any(a.image_ids != b.image_ids for a, b in itertools.pairwise(straight))
    other = first(train_batches(dataset, config=config(seed=1), start=0), 9)
    assert [batch.image_ids for batch in other] != [batch.image_ids for batch in straight]


def test_ranks_share_the_batch_of_one_process_with_its_padding(dataset: CocoDataset) -> None:
    whole = first(train_batches(dataset, config=config(), start=3), 5)
    for world in (2, 4):
        shares = [
            first(train_batches(dataset, config=config(), start=3, rank=rank, world=world), 5) for rank in range(world)
        ]
        for batch, *parts in zip(whole, *shares, strict=True):
            assert_same(parts, batch.split(4 // world))


def test_micro_batches_are_the_batch_in_pieces(dataset: CocoDataset) -> None:
    batch = next(train_batches(dataset, config=config(model=MASKED), start=0))
    parts = batch.split(3)
    assert [len(part.image_ids) for part in parts] == [3, 1]
    assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
    assert [i for part in parts for i in part.image_ids] == batch.image_ids
    assert [len(part.masks or []) for part in parts] == [3, 1]
    assert_same(batch.split(9), [batch])
    with pytest.raises(ValueError, match="at least 1 image"):
        batch.split(0)


def test_reading_draws_nothing_from_the_programs_own_random_numbers(dataset: CocoDataset) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first(train_batches(dataset, config=config(workers=1), start=0), 2)
    first(train_batches(dataset, config=config(), start=0), 2)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_fewer_images_than_a_batch_come_again_from_later_epochs(tmp_path: Path) -> None:
    few = CocoDataset(write_set(tmp_path, {1: (36, 24), 3: (20, 30)}, [*objects(1), *objects(3)]), SPLIT)
    batches = first(train_batches(few, config=config(), start=0), 4)
    assert sorted(tuple(batch.image_ids) for batch in batches) == [(1,) * 4] * 2 + [(3,) * 4] * 2
    sides = {tuple(size) for batch in batches for size in batch.sizes.tolist()}
    assert len(sides) > 2  # drawn anew each time


def test_a_batch_moves_to_a_device_in_the_layout_asked_for(dataset: CocoDataset) -> None:
    batch = next(train_batches(dataset, config=config(model=MASKED), start=0))
    for channels_last in (False, True):
        moved = batch.to("cpu", channels_last=channels_last)
        assert_same([moved], [batch])
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert moved.images.is_contiguous(memory_format=layout)
    elsewhere = batch.to("meta")
    assert {tensor.device.type for tensor in tensors(elsewhere._replace(masks=None))} == {"meta"}
    assert elsewhere.masks is batch.masks  # they are taken there by those who need them, one image after the other


# ---- evaluation


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_sees_every_image_in_order_also_empty_ones(dataset: CocoDataset, workers: int) -> None:
    batches = list(eval_batches(dataset, model=MODEL, batch_size=4, workers=workers))
    assert [batch.image_ids for batch in batches] == [[1, 2, 3, 4], [5, 6, 7, 8], [9]]
    assert [len(boxes) for batch in batches for boxes in batch.boxes] == [2, 2, 2, 0, 2, 2, 2, 0, 2]
    assert [tuple(batch.images.shape) for batch in batches] == [(4, 3, 24, 32), (4, 3, 24, 32), (1, 3, 16, 24)]
    stream = EvalStream(dataset, model=MODEL, batch_size=4)
    assert_same(batches, [stream[k] for k in range(len(stream))])


# ---- broken images and other bad input


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_image_stops_before_training_and_is_named(spoiled: CocoDataset, workers: int) -> None:
    with pytest.raises(
        InputError, match=r"image 2 \(.*2\.png\) is missing; put the file there, or leave .*--skip-broken$"
    ):
        train_batches(spoiled, config=config(workers=workers), start=0)


def test_all_that_is_missing_is_counted(spoiled: CocoDataset) -> None:
    (spoiled.image_directory / "9.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"image 2 .* --skip-broken \(2 of 7 are broken\)$"):
        trainable(spoiled)


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_pixels_stop_training_with_one_sentence_also_from_a_worker(tmp_path: Path, workers: int) -> None:
    write_set(tmp_path, SIZES, records())
    cut_off(tmp_path / SPLIT / "5.png")
    batches = train_batches(CocoDataset(tmp_path, SPLIT), config=config(workers=workers), start=0)
    with pytest.raises(InputError, match=r"^image 5 \(.*5\.png\) is damaged \([^\n]*\); [^\n]*--skip-broken$"):
        first(batches, 9)


def test_broken_images_are_left_out_named_and_counted_when_asked(
    spoiled: CocoDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = first(train_batches(spoiled, config=config(skip_broken=True), start=0), 20)
    assert {i for batch in batches for i in batch.image_ids} == {1, 3, 6, 7, 9}
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"left out 2 broken images of 9 in {spoiled.image_directory}:"
    assert re.match(r"  image 2 \(.*2\.png\) is missing", said[1])
    assert re.match(r"  image 5 \(.*5\.png\) is damaged", said[2])
    later = train_batches(spoiled, config=config(skip_broken=True, workers=2), start=11, rank=1, world=2)
    assert_same(first(later, 3), [batch.split(2)[1] for batch in batches[11:14]])
    assert capsys.readouterr().err == ""  # the first rank says it


def test_of_many_broken_images_the_first_are_named(spoiled: CocoDataset, capsys: pytest.CaptureFixture[str]) -> None:
    for image in (1, 3, 6, 9):
        (spoiled.image_directory / f"{image}.png").write_bytes(b"none")
    first(train_batches(spoiled, config=config(skip_broken=True), start=0), 1)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 7
    assert said[-1] == "  and 1 more"


def test_a_set_of_broken_images_alone_or_without_objects_is_refused(spoiled: CocoDataset, tmp_path: Path) -> None:
    for image in SIZES:
        (spoiled.image_directory / f"{image}.png").unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"train has no image to train on, all 7 are broken: image 1 .* is missing"):
        trainable(spoiled, skip_broken=True)
    crowd = annotation(1, 4, [0, 0, 40, 20]) | {"iscrowd": 1}
    empty = CocoDataset(write_set(tmp_path / "empty", {4: (40, 20), 5: (20, 20)}, [crowd]), SPLIT)
    with pytest.raises(InputError, match=r"instances_train\.json has no object to learn: none of its 2 images"):
        train_batches(empty, config=config(), start=0)


def test_masks_that_an_object_lacks_are_missed_before_training(tmp_path: Path) -> None:
    bare = [annotation(3, 1, [1, 1, 5, 5]), *objects(1), annotation(4, 1, [1, 1, 5, 5]) | {"iscrowd": 1}]
    lacking = CocoDataset(write_set(tmp_path, {1: SIZES[1]}, bare), SPLIT)
    with pytest.raises(InputError, match=r"annotation 3 has no segmentation, .* \(1 have none\)"):
        train_batches(lacking, config=config(model=MASKED), start=0)
    assert len(first(train_batches(lacking, config=config(), start=0), 1)) == 1


def test_a_batch_that_processes_cannot_share_is_refused(dataset: CocoDataset) -> None:
    with pytest.raises(
        InputError, match="batch_size is 4, which 3 processes cannot share evenly; give a multiple of 3"
    ):
        train_batches(dataset, config=config(), start=0, world=3)
    with pytest.raises(ValueError, match="rank is 2"):
        TrainStream(dataset, config=config(), indices=[0], rank=2, world=2)


def test_evaluation_stops_at_a_broken_image(spoiled: CocoDataset) -> None:
    with pytest.raises(InputError, match=r"^image 2 \(.*2\.png\) is missing; put the file there$"):
        list(eval_batches(spoiled, model=MODEL, batch_size=2, workers=1))


def test_a_worker_that_is_killed_is_told_in_one_sentence(dataset: CocoDataset) -> None:
    before = multiprocessing.active_children()
    batches = train_batches(dataset, config=config(workers=1), start=0)
    next(batches)
    (worker,) = (child for child in multiprocessing.active_children() if child not in before)
    worker.kill()
    with pytest.raises(InputError, match=r"^workers is 1, but one of them was ended from outside[^\n]*give fewer"):
        first(batches, 50)


def test_a_program_that_ends_with_a_traceback_does_not_wait_for_its_workers(dataset: CocoDataset) -> None:
    program = f"""
from detection.data.coco import CocoDataset
from detection.data.loading import eval_batches
from tests.detection.data.test_loading import MODEL, SPLIT

if __name__ == "__main__":
    batches = eval_batches(CocoDataset({str(dataset.root)!r}, SPLIT), model=MODEL, batch_size=1, workers=2)
    next(batches)
    raise RuntimeError("a defect")
"""
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: a defect\n")


class Defective(CocoDataset):
    def read(self, index: int) -> torch.Tensor:
        raise RuntimeError(f"a defect at {index}")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_defect_in_a_worker_keeps_its_kind_and_its_traceback(dataset: CocoDataset, workers: int) -> None:
    batches = eval_batches(Defective(dataset.root, SPLIT), model=MODEL, batch_size=4, workers=workers)
    with pytest.raises(RuntimeError, match="a defect at 0") as raised:
        next(batches)
    traceback.clear_frames(raised.tb)  # they hold the workers
