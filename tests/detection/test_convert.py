"""Checkpoints of other projects detect here what they detect there, and what cannot be converted is said."""

from __future__ import annotations

import argparse
import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from detection import checkpoints, command_line, convert, predict
from detection.coco_categories import COCO
from detection.conversions import recognised
from detection.data import masks as coco_masks
from detection.data.images import read_image
from detection.errors import InputError
from tests.detection import adelaidet_reference, original_reference, torchvision_reference
from tests.detection.reference_parts import Found, Weights

COCO_TINY = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco-tiny" / "val2017"
SOURCES = {"torchvision": torchvision_reference, "fcos": original_reference, "adelaidet": adelaidet_reference}
SHORT, LONG = 128, 208
"""Sides that images are resized to in these tests, instead of 800 and 1333."""
PER_LEVEL, PER_IMAGE = 200, 1000
"""Candidates and detections, instead of 1000 and 100: so the coarsest level, with two locations, has a say."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four sizes, one of them so long that the longer side decides: pieces of photographs where there are some."""
    directory = tmp_path_factory.mktemp("images")
    photographs = sorted(COCO_TINY.glob("*.jpg"))[:4] if COCO_TINY.is_dir() else []
    rng = np.random.default_rng(0)
    paths = []
    for index, (width, height) in enumerate([(170, 128), (128, 201), (260, 130), (97, 90)]):
        path = directory / f"{index}.png"
        if photographs:
            Image.open(photographs[index]).convert("RGB").crop((20, 20, 20 + width, 20 + height)).save(path)
        else:
            coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((width, height))
            # Smooth and with some grain, as photographs are.
            grain = rng.integers(0, 16, (height, width, 3), dtype=np.uint8)
            Image.fromarray(np.asarray(coarse) // 16 * 15 + grain).save(path)
        paths.append(path)
    return paths


def converted(source: str, weights: Weights, directory: Path, *flags: str) -> Path:
    """The checkpoint that the program makes of ``weights``, for the small images of these tests."""
    torch.save({"model": weights}, directory / "in.pth")
    assert convert.main([*flags, "--from", source, str(directory / "in.pth"), str(directory / "out.pt")]) == 0
    checkpoint = checkpoints.load(directory / "out.pt")
    config = dataclasses.replace(
        checkpoint.config, short_side=SHORT, max_side=LONG, candidates=PER_LEVEL, max_detections=PER_IMAGE
    )
    checkpoints.save(directory / "small.pt", dataclasses.replace(checkpoint, config=config))
    return directory / "small.pt"


def predicted(checkpoint: Path, images: list[Path], directory: Path) -> list[list[dict[str, Any]]]:
    out = directory / "found.json"
    flags = ["--checkpoint", str(checkpoint), "--out", str(out), "--device", "cpu"]
    assert predict.main([*map(str, images), *flags]) == 0
    found: list[list[dict[str, Any]]] = json.loads(out.read_text())
    return found


def lonely(got: list[dict[str, Any]], expected: Found, ids: list[int], *, box: float, score: float) -> int:
    """How many detections have no like, with the same label, in the other list: boxes within ``box`` pixels, scores
    within ``score``. Those count only that are better than the last one by more than ``score``.
    """
    boxes = torch.tensor([d["bbox"] for d in got])
    scores = torch.tensor([d["score"] for d in got])
    labels = torch.tensor([d["label"] for d in got])
    apart = (
        ((boxes[:, None] - expected.boxes).abs().amax(-1) > box)
        | ((scores[:, None] - expected.scores).abs() > score)
        | (labels[:, None] != torch.tensor(ids)[expected.labels])
    )
    last = max(float(scores.min()), float(expected.scores.min())) + score
    return int((apart.all(1) & (scores > last)).sum() + (apart.all(0) & (expected.scores > last)).sum())


def sides(source: str) -> dict[str, int]:
    names = ("min_size", "max_size") if source == "torchvision" else ("short_side", "max_side")
    return {**dict(zip(names, (SHORT, LONG), strict=True)), "per_level": PER_LEVEL, "per_image": PER_IMAGE}


def category_ids(checkpoint: Path) -> list[int]:
    return [category.id for category in checkpoints.load(checkpoint).config.categories]


@pytest.mark.parametrize(
    ("source", "depth", "plain"),
    [
        ("torchvision", 18, False),
        ("torchvision", 50, False),
        ("fcos", 50, False),
        ("fcos", 18, True),
        ("adelaidet", 50, False),
    ],
)
def test_what_is_converted_detects_what_its_project_defines(
    source: str, depth: int, plain: bool, images: list[Path], tmp_path: Path
) -> None:
    extra = {"plain": True} if plain else {}
    weights = SOURCES[source].random_weights(depth=depth, channels=64, **extra)
    checkpoint = converted(source, weights, tmp_path, *(["--plain"] if plain else []))
    ids = category_ids(checkpoint)
    # The first two images have the size that they are resized to. How bytes are resized another test says; floats,
    # as torchvision resizes, are the same in both.
    paths = images[2:] if source == "torchvision" and depth == 18 else images[:2]
    levels: set[int] = set()
    for path, got in zip(paths, predicted(checkpoint, paths, tmp_path), strict=True):
        expected = SOURCES[source].detect(weights, read_image(path), depth=depth, **sides(source), **extra)
        levels |= set(expected.levels.tolist())
        assert len(got) == len(expected.scores) > 500
        assert [d["score"] for d in got] == sorted((d["score"] for d in got), reverse=True)
        assert lonely(got, expected, ids, box=0.02, score=2e-4) == 0
    assert levels == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("source", ["fcos", "adelaidet"])
def test_resized_images_give_the_same_up_to_the_rounding_of_their_bytes(
    source: str, images: list[Path], tmp_path: Path
) -> None:
    weights = SOURCES[source].random_weights(depth=18, channels=64)
    checkpoint = converted(source, weights, tmp_path)
    ids = category_ids(checkpoint)
    for path, got in zip(images[2:], predicted(checkpoint, images[2:], tmp_path), strict=True):
        expected = SOURCES[source].detect(weights, read_image(path), depth=18, **sides(source))
        # A box can be on the other side of a threshold then.
        assert abs(len(got) - len(expected.scores)) <= 0.01 * len(got)
        assert lonely(got, expected, ids, box=0.5, score=0.005) <= 0.03 * len(got)


@pytest.mark.slow
@pytest.mark.skipif(not COCO_TINY.is_dir(), reason="needs ../shared/data/coco-tiny")
def test_photographs_at_full_size_give_what_torchvision_defines(tmp_path: Path) -> None:
    weights = torchvision_reference.random_weights(depth=50, channels=256)
    torch.save(weights, tmp_path / "in.pth")
    assert convert.main(["--from", "torchvision", str(tmp_path / "in.pth"), str(tmp_path / "out.pt")]) == 0
    paths = sorted(COCO_TINY.glob("*.jpg"))[:20:5]
    for path, got in zip(paths, predicted(tmp_path / "out.pt", paths, tmp_path), strict=True):
        expected = torchvision_reference.detect(weights, read_image(path), depth=50)
        assert len(got) == len(expected.scores) == 100
        assert lonely(got, expected, list(range(91)), box=0.1, score=0.001) == 0


# ---- names and what they tell


@pytest.fixture(scope="module")
def small() -> dict[str, Weights]:
    """Small detectors by their projects' names."""
    return {name: module.random_weights(depth=18, channels=32) for name, module in SOURCES.items()}


def test_every_project_is_recognised_by_its_names(small: dict[str, Weights]) -> None:
    assert {name: recognised(weights) for name, weights in small.items()} == {name: name for name in SOURCES}
    assert recognised({"conv1.weight": torch.zeros(1)}) is None


def test_conventions_come_with_the_weights(small: dict[str, Weights]) -> None:
    made = {name: convert.convert(weights, name).config for name, weights in small.items()}
    for config in made.values():
        assert (config.backbone, config.norm, config.frozen_stages, config.head_convs) == (
            "resnet18",
            "frozen_bn",
            2,
            4,
        )
        assert (config.fpn_channels, config.head_norm, config.normalise_distances) == (32, "gn", True)
        assert (config.candidates, config.nms_threshold, config.max_detections) == (1000, 0.6, 100)
        assert (config.short_side, config.max_side, config.pad_to) == (800, 1333, 32)
    tv, original, adelaidet = made["torchvision"], made["fcos"], made["adelaidet"]
    assert not tv.stride_in_1x1
    assert original.stride_in_1x1
    assert adelaidet.stride_in_1x1
    assert [c.learned_scales for c in (tv, original, adelaidet)] == [False, True, True]
    assert [c.norm_eps for c in (tv, original, adelaidet)] == [1e-5, 0.0, 1e-5]
    assert [c.resize for c in (tv, original, adelaidet)] == ["torchvision", "original", "detectron2"]
    assert [c.channels for c in (tv, original, adelaidet)] == ["rgb", "bgr", "bgr"]
    assert [(c.score_threshold, c.threshold_on) for c in (tv, original, adelaidet)] == [
        (0.2, "score"),
        (0.05, "class"),
        (0.05, "class"),
    ]
    assert tv.mean == pytest.approx((123.675, 116.28, 103.53))
    assert original.inclusive_boxes
    assert not adelaidet.inclusive_boxes
    plain = convert.convert(small["fcos"], "fcos", plain=True).config
    assert not plain.normalise_distances
    assert not plain.quality_on_box_tower
    assert plain.center_sampling == 0


def test_91_logits_of_torchvision_keep_the_ids_of_annotations_and_80_of_others_get_them(
    small: dict[str, Weights],
) -> None:
    raw = convert.convert(small["torchvision"], "torchvision").config.categories
    assert [category.id for category in raw] == list(range(91))
    names = {category.id: category.name for category in COCO}
    assert all(raw[number].name == name for number, name in names.items())
    for source in ("fcos", "adelaidet"):
        assert convert.convert(small[source], source).config.categories == COCO


def test_other_numbers_of_logits_get_numbers_for_names() -> None:
    tv = torchvision_reference.random_weights(depth=18, channels=32, classes=3)
    original = original_reference.random_weights(depth=18, channels=32, classes=3)
    assert [c.id for c in convert.convert(tv, "torchvision").config.categories] == [0, 1, 2]
    categories = convert.convert(original, "fcos").config.categories
    assert [(c.id, c.name) for c in categories] == [(1, "class 1"), (2, "class 2"), (3, "class 3")]


WRITERS: dict[str, tuple[str, Callable[[Weights, Path], object]]] = {
    "bare": ("in.pth", torch.save),
    "under model, beside an optimizer": (
        "in.pt",
        lambda w, path: torch.save({"model": w, "optimizer": {"state": {}}, "iteration": 3}, path),
    ),
    "of several GPUs": ("in.pth", lambda w, path: torch.save({f"module.{n}": v for n, v in w.items()}, path)),
    "compiled": ("in.pth", lambda w, path: torch.save({f"_orig_mod.{n}": v for n, v in w.items()}, path)),
    "beside flags": ("in.pth", lambda w, path: torch.save({"model": w, "args": argparse.Namespace(lr=0.1)}, path)),
    "safetensors": ("in.safetensors", lambda w, path: safetensors.torch.save_file(w, path)),
    "PyTorch's old format": (
        "in.pth",
        lambda w, path: torch.save(w, path, _use_new_zipfile_serialization=False),
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_weights_are_found_however_the_file_holds_them(kind: str, tmp_path: Path) -> None:
    # Two weights are enough to see what is read; whole detectors are read in other tests.
    weights = {"rpn.head.cls_logits.weight": torch.randn(2, 3), "rpn.head.scales.0.scale": torch.ones(1)}
    name, write = WRITERS[kind]
    write(weights, tmp_path / name)
    read = checkpoints.read_weights(tmp_path / name)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[n], weights[n]) for n in weights)


def test_batch_normalisation_that_learned_is_kept_as_such(small: dict[str, Weights]) -> None:
    weights = dict(small["torchvision"])
    for name in small["torchvision"]:
        if name.endswith("running_var"):
            weights[name.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    checkpoint = convert.convert(weights, "torchvision")
    assert (checkpoint.config.norm, checkpoint.config.frozen_stages) == ("bn", 0)
    assert checkpoint.weights["backbone.bn1.num_batches_tracked"] == 7
    frozen = checkpoints.build(convert.convert(small["torchvision"], "torchvision"))
    image, sizes = torch.rand(1, 3, 64, 64) * 255, torch.tensor([[64, 64]])
    with torch.no_grad():
        ours, theirs = checkpoints.build(checkpoint)(image, sizes), frozen(image, sizes)
    assert torch.allclose(ours.logits, theirs.logits, atol=1e-3)


def test_older_names_of_torchvision_are_known(small: dict[str, Weights]) -> None:
    new = small["torchvision"]
    old = {n.replace("_blocks.0.0.", "_blocks.0.").replace("_blocks.1.0.", "_blocks.1."): v for n, v in new.items()}
    assert old.keys() != new.keys()
    made = convert.convert(old, "torchvision").weights
    assert all(torch.equal(made[n], v) for n, v in convert.convert(new, "torchvision").weights.items())


def test_towers_without_normalisation_and_heads_without_scales_are_told_by_their_names(
    small: dict[str, Weights],
) -> None:
    weights = {n: v for n, v in small["adelaidet"].items() if ".scales." not in n}
    for tower in ("cls_tower", "bbox_tower"):
        prefix = f"{adelaidet_reference.HEAD}.{tower}"
        kept = [(weights.pop(f"{prefix}.{3 * i}.weight"), weights.pop(f"{prefix}.{3 * i}.bias")) for i in range(4)]
        weights = {n: v for n, v in weights.items() if not n.startswith(prefix)}
        for i, (weight, bias) in enumerate(kept[:3]):
            weights[f"{prefix}.{2 * i}.weight"], weights[f"{prefix}.{2 * i}.bias"] = weight, bias
    config = convert.convert(weights, "adelaidet").config
    assert (config.head_norm, config.head_convs, config.learned_scales) == ("none", 3, False)


def test_older_files_of_adelaidet_say_their_means_themselves(small: dict[str, Weights]) -> None:
    weights = {**small["adelaidet"], "pixel_mean": torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)}
    assert convert.convert(weights, "adelaidet").config.mean == (1.0, 2.0, 3.0)


def test_half_precision_becomes_single(small: dict[str, Weights]) -> None:
    halves = {name: value.half() for name, value in small["fcos"].items()}
    made = convert.convert(halves, "fcos")
    assert {value.dtype for value in made.weights.values()} == {torch.float32}
    checkpoints.build(made)


def test_a_condinst_finds_the_masks_that_its_project_defines(images: list[Path], tmp_path: Path) -> None:
    weights = {
        **adelaidet_reference.random_weights(depth=50, channels=64),
        **adelaidet_reference.masks(channels=64),
    }
    checkpoint = converted("adelaidet", weights, tmp_path)
    config = checkpoints.load(checkpoint).config
    assert (config.masks, config.mask_channels, config.mask_convs, config.mask_norm) == ("condinst", 32, 4, "bn")
    config = dataclasses.replace(config, max_detections=60)
    checkpoints.save(checkpoint, dataclasses.replace(checkpoints.load(checkpoint), config=config))
    path = images[0]
    (got,) = predicted(checkpoint, [path], tmp_path)
    options = {**sides("adelaidet"), "per_image": 60}
    expected = adelaidet_reference.detect(weights, read_image(path), depth=50, **options)
    assert lonely(got, expected, category_ids(checkpoint), box=0.02, score=2e-4) == 0
    assert expected.masks is not None
    some = 0
    for entry, score, probability in zip(got, expected.scores.tolist(), expected.masks, strict=True):
        assert entry["score"] == pytest.approx(score, abs=2e-4)
        mask = torch.from_numpy(coco_masks.decode(entry["segmentation"], *probability.shape))
        wrong = (mask == 1) != (probability > 0.5)
        assert not (wrong & ((probability - 0.5).abs() > 1e-3)).any()
        some += bool(mask.any()) and not mask.all()
    assert some > 30


def test_a_condinst_is_converted_without_its_masks_if_asked(small: dict[str, Weights]) -> None:
    weights = {**small["adelaidet"], **adelaidet_reference.masks(channels=32)}
    weights |= {"mask_head._iter": torch.zeros(1), "mask_branch.logits.bias": torch.zeros(3)}
    made = convert.convert(weights, "adelaidet", boxes_only=True)
    assert made.config.threshold_on == "score"
    boxes = made.weights
    expected = convert.convert(small["adelaidet"], "adelaidet").weights
    assert boxes.keys() == expected.keys()
    assert all(torch.equal(boxes[n], expected[n]) for n in expected)
    whole = convert.convert(weights, "adelaidet").weights
    assert {n for n in whole if not n.startswith("masks.")} == expected.keys()
    assert torch.equal(whole["masks.refine.1.1.running_var"], weights["mask_branch.refine.1.1.running_var"])


def test_positions_of_other_sizes_are_refused(small: dict[str, Weights]) -> None:
    weights = {**small["adelaidet"], **adelaidet_reference.masks(channels=32)}
    weights["mask_head.sizes_of_interest"] = torch.tensor([32, 64, 128, 256, 512])
    with pytest.raises(InputError, match=r"sizes_of_interest \[32, .*--boxes-only"):
        convert.convert(weights, "adelaidet")
    convert.convert(weights, "adelaidet", boxes_only=True)


# ---- what is refused


def without(weights: Weights, part: str) -> Weights:
    return {name: value for name, value in weights.items() if part not in name}


def renamed(weights: Weights, old: str, new: str) -> Weights:
    return {name.replace(old, new): value for name, value in weights.items()}


BAD_WEIGHTS: dict[str, tuple[Callable[[Weights], Weights], str]] = {
    "a tensor is missing": (
        lambda w: without(w, "rpn.head.bbox_pred.bias"),
        "lacks what here is head.distances.bias; give all weights",
    ),
    "the backbone is missing": (
        lambda w: without(w, "backbone.body"),
        "lacks what here is backbone.conv1.weight; give all weights",
    ),
    "the biases of the logits are missing": (
        lambda w: without(w, "cls_logits.bias"),
        "lacks what here is head.logits.bias; give all weights",
    ),
    "a scale is missing": (
        lambda w: without(w, "scales.3"),
        "has head.scales.0, head.scales.1, head.scales.2 and 1 more, which",
    ),
    "a block is missing": (
        lambda w: without(w, "body.layer3.1."),
        "has a backbone whose stages have 2, 2, 1, 2 blocks; give a detector with a ResNet-18",
    ),
    "deformable convolutions": (
        lambda w: {**w, "backbone.body.layer4.0.conv2.offset.weight": torch.zeros(18, 512, 3, 3)},
        "has backbone.body.layer4.0.conv2.offset.weight, which the FCOS of the original project has not",
    ),
    "many unknown tensors": (
        lambda w: {**w, **{f"mask.{i}": torch.zeros(1) for i in range(9)}},
        "has mask.0, mask.1, mask.2 and 6 more, which",
    ),
    "another shape": (
        lambda w: {**w, "backbone.fpn.top_blocks.p6.weight": torch.zeros(32, 512, 3, 3)},
        r"has fpn.p6.weight of shape \[32, 512, 3, 3\] where an FCOS with resnet18 .* has \[32, 32, 3, 3\]",
    ),
    "a scale for every class": (
        lambda w: {**w, "rpn.head.scales.2.scale": torch.ones(80)},
        r"has head.scales of shape \[84\] where",
    ),
    "not a number": (
        lambda w: {**w, "rpn.head.cls_logits.bias": torch.full((80,), torch.nan)},
        "has numbers that are not finite in head.logits.bias; give",
    ),
    "another project": (
        lambda w: renamed(w, "rpn.head.cls_logits.", "head.classification_head.cls_logits."),
        "has the names of torchvision, not of the original project; give --from torchvision",
    ),
    "no detector": (
        lambda w: without(w, "rpn."),
        "has no rpn.head.cls_logits.weight; give the weights of an FCOS of the original project",
    ),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_weights_that_do_not_fit_are_refused_by_name(kind: str, small: dict[str, Weights]) -> None:
    spoil, says = BAD_WEIGHTS[kind]
    with pytest.raises(InputError, match=f"^in.pth {says}"):
        convert.convert(spoil(small["fcos"]), "fcos", path="in.pth")


def test_the_same_weight_under_two_names_is_refused(small: dict[str, Weights]) -> None:
    twice = {**small["torchvision"], "backbone.fpn.inner_blocks.0.weight": torch.zeros(32, 128, 1, 1)}
    with pytest.raises(InputError, match=r"has backbone.fpn.inner_blocks.0.weight twice under different names"):
        convert.convert(twice, "torchvision")


def written(path: Path, contents: bytes) -> str:
    path.write_bytes(contents)
    return str(path)


def saved(path: Path, contents: Any) -> str:
    torch.save(contents, path)
    return str(path)


BAD_CALLS: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "no file": (lambda d: ["--from", "fcos", str(d / "none.pth"), str(d / "out.pt")], "none.pth does not exist; give"),
    "a directory": (lambda d: ["--from", "fcos", str(d), str(d / "out.pt")], "is a directory; give a file"),
    "an empty file": (lambda d: ["--from", "fcos", written(d / "a.pth", b""), str(d / "out.pt")], "is empty; give"),
    "a text": (
        lambda d: ["--from", "fcos", written(d / "a.pth", b"weights: none\n"), str(d / "out.pt")],
        "give a .pth or .safetensors file",
    ),
    "a broken safetensors file": (
        lambda d: ["--from", "fcos", written(d / "a.safetensors", b"weights: none\n"), str(d / "out.pt")],
        "is no whole file of safetensors",
    ),
    "no weights": (
        lambda d: ["--from", "fcos", saved(d / "a.pth", [torch.zeros(1)]), str(d / "out.pt")],
        "holds no weights by name; give",
    ),
    "a pickle of detectron2": (
        lambda d: [
            "--from",
            "adelaidet",
            written(d / "a.pkl", pickle.dumps({"model": {"x": np.ones(3)}})),
            str(d / "o"),
        ],
        "holds objects that only running code could load, as detectron2's .pkl does; give",
    ),
    "a plain one of another project": (
        lambda d: ["--plain", "--from", "torchvision", str(d / "a.pth"), str(d / "out.pt")],
        "--plain is for --from fcos alone, but --from is torchvision; leave it out",
    ),
    "masks of another project": (
        lambda d: ["--boxes-only", "--from", "fcos", str(d / "a.pth"), str(d / "out.pt")],
        "--boxes-only is for --from adelaidet alone, but --from is fcos; leave it out",
    ),
    "an unknown project": (
        lambda d: ["--from", "darknet", "a", "b"],
        "--from is 'darknet', but it must be torchvision",
    ),
    "no project": (lambda d: ["a", "b"], "--from is missing; give it"),
    "no output": (lambda d: ["--from", "fcos", "a"], "OUT is missing; give it"),
    "an output that is a directory": (lambda d: ["--from", "fcos", "a", str(d)], "which is a directory; give the name"),
    "an output nowhere": (lambda d: ["--from", "fcos", "a", str(d / "no" / "out.pt")], "cannot be written to"),
}


@pytest.mark.parametrize("kind", BAD_CALLS)
def test_bad_input_is_one_sentence_and_leaves_no_file(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args, says = BAD_CALLS[kind]
    flags = args(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert command_line.run(lambda: convert.main(flags), prog=convert.PROG) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("convert: ")
    assert says in err
    assert sorted(tmp_path.iterdir()) == before


def test_a_checkpoint_of_this_program_needs_no_conversion(small: dict[str, Weights], tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "own.pt", convert.convert(small["fcos"], "fcos"))
    with pytest.raises(InputError, match=r"own\.pt is a checkpoint of this program already; use it as it is"):
        convert.main(["--from", "fcos", str(tmp_path / "own.pt"), str(tmp_path / "out.pt")])


def test_what_a_checkpoint_was_made_from_is_said_in_it(tmp_path: Path, small: dict[str, Weights]) -> None:
    path = converted("fcos", small["fcos"], tmp_path)
    fingerprint = checkpoints.fingerprint(tmp_path / "in.pth")
    assert checkpoints.load(path).source == f"converted from the original project: in.pth, sha256 {fingerprint}"
