"""Checkpoints come back as they were written, or are refused in a sentence; reading one runs nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from detection import checkpoints
from detection.checkpoints import FORMAT, VERSION, Checkpoint
from detection.config import ModelConfig, to_json
from detection.errors import InputError
from tests.detection import adelaidet_reference, original_reference, torchvision_reference
from tests.detection.small_runs import MODEL


def small(**changes: Any) -> Checkpoint:
    """Not a whole detector, but all that a file has."""
    training = {
        "iteration": 7,
        "images": 112,
        "optimizer": {"state": {0: {"momentum_buffer": torch.arange(3.0)}}, "param_groups": [{"lr": 0.01}]},
        "ema": None,
        "betas": (0.9, 0.999),
        "done": False,
    }
    weights = {"a.weight": torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), "a.count": torch.tensor(5)}
    return dataclasses.replace(Checkpoint(MODEL, weights, training, "a test"), **changes)


def same(one: Any, other: Any) -> bool:
    """Equal, with tensors in it."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def equal(one: Checkpoint, other: Checkpoint) -> bool:
    return all(same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))


def contents(**changes: Any) -> dict[str, Any]:
    """What a file holds."""
    checkpoint = small()
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "config": to_json(checkpoint.config),
        "weights": checkpoint.weights,
        "training": checkpoint.training,
        "source": checkpoint.source,
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


@pytest.fixture(scope="module")
def whole() -> Checkpoint:
    """A detector that can be built."""
    torch.manual_seed(3)
    model = checkpoints.blank(MODEL)
    return Checkpoint(MODEL, dict(model.state_dict()), None, "a test")


# ---- there and back


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    for checkpoint in (small(), small(training=None)):
        checkpoints.save(tmp_path / "c.pt", checkpoint)
        assert equal(checkpoints.load(tmp_path / "c.pt"), checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_a_detector_that_is_built_answers_as_the_one_that_was_saved(whole: Checkpoint, tmp_path: Path) -> None:
    model = checkpoints.blank(MODEL)
    model.load_state_dict(whole.weights)
    checkpoints.save(tmp_path / "c.pt", whole)
    built = checkpoints.build(checkpoints.load(tmp_path / "c.pt"))
    assert not built.training
    image, sizes = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8), torch.tensor([[64, 60]])
    with torch.no_grad():
        ours, theirs = built(image, sizes), model.eval()(image, sizes)
    assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(ours.distances, theirs.distances)


def test_averaged_weights_are_built_where_there_are_some_unless_not_wanted(whole: Checkpoint) -> None:
    name = "head.logits.bias"
    trained = dataclasses.replace(whole, training={"ema": {name: whole.weights[name] + 1}})
    assert torch.equal(checkpoints.build(trained).state_dict()[name], whole.weights[name] + 1)
    assert torch.equal(checkpoints.build(trained, ema=False).state_dict()[name], whole.weights[name])
    assert torch.equal(whole.weights[name], trained.weights[name])


def test_building_changes_nobodys_random_numbers(whole: Checkpoint) -> None:
    state = torch.get_rng_state()
    checkpoints.build(whole)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_fingerprint_is_that_of_the_bytes(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "c.pt", small())
    expected = hashlib.sha256((tmp_path / "c.pt").read_bytes()).hexdigest()
    assert checkpoints.fingerprint(tmp_path / "c.pt") == expected


# ---- whole or not at all


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save(tmp_path / "c.pt", small())
    before = (tmp_path / "c.pt").read_bytes()

    def full(_: object, stream: Any) -> None:
        stream.write(b"half of a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(tmp_path / "c.pt", small(source="another"))
    assert (tmp_path / "c.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("value", [Path("a"), torch.float32, {1, 2}, object()])
def test_what_could_not_be_loaded_again_is_not_saved(value: object, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"checkpoint\['training'\]\['x'\]\[0\] is a .* but a checkpoint holds only"):
        checkpoints.save(tmp_path / "c.pt", small(training={"x": [value]}))
    assert not any(tmp_path.iterdir())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_says_the_same(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    if not path.exists():
        checkpoints.save(path, small())
    good = path.read_bytes()
    if data.draw(st.booleans(), label="cut off"):
        bad = good[: data.draw(st.integers(0, len(good) - 1), label="length")]
    else:
        at = data.draw(st.integers(0, len(good) - 1), label="at")
        bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255), label="bits")]) + good[at + 1 :]
    (tmp_path / "bad.pt").write_bytes(bad)
    found, said = None, ""
    try:
        found = checkpoints.load(tmp_path / "bad.pt")
    except InputError as error:
        said = str(error)
    if found is None:
        assert said.startswith(f"checkpoint {tmp_path / 'bad.pt'}")
        assert "\n" not in said
    else:
        assert equal(found, small())


def test_a_bit_that_fell_over_in_a_weight_is_noticed(tmp_path: Path) -> None:
    checkpoint = small()
    checkpoints.save(tmp_path / "c.pt", checkpoint)
    good = (tmp_path / "c.pt").read_bytes()
    at = good.index(checkpoint.weights["a.weight"].numpy().tobytes())
    (tmp_path / "c.pt").write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    with pytest.raises(InputError, match=r"checkpoint .*c.pt is damaged at .*; copy or download it again"):
        checkpoints.load(tmp_path / "c.pt")


def test_a_record_that_is_marked_as_a_directory_is_noticed(tmp_path: Path) -> None:
    # PyTorch would give a tensor of whatever is in memory.
    checkpoints.save(tmp_path / "c.pt", small())
    good = (tmp_path / "c.pt").read_bytes()
    entry = good.rindex(b"PK\x01\x02", 0, good.rindex(b"archive/data/0"))
    attributes = entry + 38
    (tmp_path / "c.pt").write_bytes(good[:attributes] + b"\x10" + good[attributes + 1 :])
    with pytest.raises(InputError, match=r"c.pt is damaged at archive/data/0"):
        checkpoints.load(tmp_path / "c.pt")


# ---- what is no checkpoint


class Harmful:
    """What runs code when a pickle of it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (open, (str(self.path), "w"))


def test_loading_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    torch.save(contents(source=Harmful(mark)), tmp_path / "zip.pt")
    torch.save(contents(source=Harmful(mark)), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Harmful(mark)))
    for name in ("zip.pt", "old.pt", "raw.pt"):
        with pytest.raises(InputError, match=rf"{name} holds objects that only running code could load"):
            checkpoints.load(tmp_path / name)
    assert not mark.exists()


def a_directory(path: Path) -> None:
    path.mkdir()


def write(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def save(value: Any) -> Callable[[Path], object]:
    return lambda path: torch.save(value, path)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "does not exist; give a file that does"),
    "a directory": (a_directory, "is a directory; give a file"),
    "empty": (write(b""), "is empty; give the whole file"),
    "a text": (write(b"last.pt is on the other machine\n"), "give a .pth or .safetensors file"),
    "an image": (write(b"\x89PNG\r\n\x1a\n" + bytes(100)), "give a .pth or .safetensors file"),
    "a list": (save([1, 2]), "was not written by this program; give the last.pt"),
    "a tensor": (save(torch.zeros(3)), "was not written by this program; give the last.pt"),
    "some weights": (save({"w": torch.zeros(3)}), "was not written by this program; give the last.pt"),
    "a backbone": (
        save({"conv1.weight": torch.zeros(3), "layer1.0.conv1.weight": torch.zeros(3), "fc.bias": torch.zeros(3)}),
        "has the weights of a backbone alone; give those of a detector",
    ),
    "a later version": (save(contents(version=99)), "has version 99 of its format, but this program reads 1; use"),
    "without weights": (save(contents(weights=...)), "has been changed since it was written; give one as"),
    "with more": (save(contents(more=1)), "has been changed since it was written; give one as"),
    "weights that are numbers": (save(contents(weights={"a": 1.0})), "has been changed since it was written"),
    "weights without names": (save(contents(weights={1: torch.zeros(1)})), "has been changed since it was written"),
    "a configuration that is a text": (save(contents(config="resnet50")), "has been changed since it was written"),
    "training that is a list": (save(contents(training=[1])), "has been changed since it was written"),
    "an unknown field": (
        save(contents(config={**to_json(MODEL), "depth": 50})),
        "holds no ModelConfig of this version",
    ),
    "an unknown backbone": (
        save(contents(config={**to_json(MODEL), "backbone": "resnet99"})),
        "backbone is 'resnet99'; give resnet18, resnet34, resnet50, resnet101 or efficientnet-lite0",
    ),
    "two means": (save(contents(config={**to_json(MODEL), "mean": [1.0, 2.0]})), "mean is (1.0, 2.0); give a value"),
    "a switch that is a number": (
        save(contents(config={**to_json(MODEL), "learned_scales": 1})),
        "learned_scales is 1; give a value of the right kind",
    ),
    "a field out of range": (
        save(contents(config={**to_json(MODEL), "nms_threshold": 2.0})),
        "nms_threshold is 2.0; give a number from 0 to 1",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_checkpoint_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    make, says = BAD[kind]
    make(tmp_path / "some.pt")
    with pytest.raises(InputError) as refusal:
        checkpoints.load(tmp_path / "some.pt")
    assert str(refusal.value).startswith(f"checkpoint {tmp_path / 'some.pt'}")
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("source", "mark"),
    [
        ("torchvision", f"{torchvision_reference.CLASSES}.cls_logits.weight"),
        ("fcos", f"{original_reference.HEAD}.cls_logits.weight"),
        ("adelaidet", f"{adelaidet_reference.HEAD}.cls_logits.weight"),
    ],
)
def test_weights_of_another_project_are_told_how_to_be_converted(source: str, mark: str, tmp_path: Path) -> None:
    torch.save({"model": {f"module.{mark}": torch.zeros(1)}}, tmp_path / "theirs.pth")
    safetensors.torch.save_file({mark: torch.zeros(1)}, tmp_path / "theirs.safetensors")
    for name in ("theirs.pth", "theirs.safetensors"):
        with pytest.raises(InputError) as refusal:
            checkpoints.load(tmp_path / name)
        command = f"python -m detection.convert --from {source} {tmp_path / name} OUT"
        assert f"has the weights of another project; convert it with {command}" in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: {n: v for n, v in w.items() if n != "head.quality.bias"}, "lacks what here is head.quality.bias"),
        (lambda w: {**w, "head.more": torch.zeros(1)}, "has head.more, which the network of its configuration has not"),
        (
            lambda w: {**w, "head.quality.bias": torch.zeros(2)},
            r"has head.quality.bias of shape \[2\] where the network",
        ),
    ],
)
def test_weights_of_another_network_are_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], says: str, whole: Checkpoint
) -> None:
    with pytest.raises(InputError, match=f"the checkpoint {says}"):
        checkpoints.build(dataclasses.replace(whole, weights=change(whole.weights)))


def test_the_configuration_comes_back_with_all_that_is_not_default(tmp_path: Path) -> None:
    config = dataclasses.replace(
        ModelConfig(), norm="gn", mean=(1.0, 2.0, 3.0), cut_boxes="last", categories=MODEL.categories
    )
    checkpoints.save(tmp_path / "c.pt", small(config=config))
    assert checkpoints.load(tmp_path / "c.pt").config == config
