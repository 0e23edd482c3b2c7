"""Whatever is in a file that is read, nothing in it is run, and it is refused by one sentence or says what is valid.

Files are cut at many places, have bits flipped, are something else altogether, or were made to do harm. Archives have
sums of what is in them, so that what can still be read must be what was written; in plain texts a letter that is
another can make another valid file, which must then hold numbers where numbers belong.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import random
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image

from agents import interactions, shard_arrays, world_files
from agents.config import SocietyConfig
from agents.sharded import ShardedSociety
from agents.shards import Post, Shard, Sharding
from agents.world import build
from detection import backbones, checkpoints, files, parts
from detection.config import to_json
from detection.data import annotation_file, images
from detection.training import directory
from experiments import command_line, on_dask, pixels_to_minds, run_files, run_society
from experiments.lab import records
from experiments.pieces import Kept, as_line
from experiments.sweeps import plan
from knowledge_graph.library import Library
from tests.detection.small_runs import MODEL, small_config, write_set
from tests.experiments.lab.made_up import record
from tests.experiments.small import call, lively, objects, world_file
from tests.knowledge_graph.test_storage import lived
from tests.tally import counted
from tests.trust.damaged_files import bare, bombs, cut, flipped, strange

REFUSALS = command_line.REFUSALS


@dataclasses.dataclass(frozen=True)
class Format:
    """A kind of file: how one is made, and read; what is read, as something that can be compared.

    ``whole``: a sum tells damage, so that what can be read is what was written. ``refusals``: how it refuses.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    whole: bool = True
    refusals: tuple[type[Exception], ...] = REFUSALS


# ---- the formats


@functools.cache
def a_life_lived() -> dict[str, bytes]:
    """The files of a run, and of its world, by name."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        assert call(lively(world_file(place), place, steps=7)) == 0
        return {path.name: path.read_bytes() for path in place.iterdir()}


def a_run(place: Path) -> Path:
    """A run in a directory, whose world is there too."""
    for name, data in a_life_lived().items():
        (place / name).write_bytes(data)
    # It was lived elsewhere.
    with np.load(place / run_files.CHECKPOINT) as saved:
        arrays = dict(saved)
    run = json.loads(str(arrays["run"]))
    run["config"]["world"] = str(place / "world.npz")
    np.savez_compressed(place / run_files.CHECKPOINT, **arrays | {"run": np.array(json.dumps(run))})
    (place / run_files.CONFIG).write_text(json.dumps(run["config"]))
    return place / run_files.CHECKPOINT


def society(path: Path) -> Any:
    saved = run_files.saved(path.parent)
    config = run_society.RunConfig(**saved.config)
    lived, recorder, _ = run_society.settle(config, saved)
    lived.step()
    return run_files.checkpoint.state(lived), dataclasses.asdict(recorder)


def a_library(place: Path) -> Path:
    lived().save(place / "library.npz")
    return place / "library.npz"


def embeddings(place: Path) -> Path:
    source = {"format": "object-embeddings", "version": 1, "preset": "mini"}
    boxes = np.tile(np.array([1, 2, 30, 40], dtype=np.float32), (120, 1))
    arrays = {"features": objects(), "labels": np.arange(120) % 3, "object_ids": np.arange(120), "boxes": boxes}
    arrays |= {"image_ids": np.arange(120) // 2, "category_names": np.array(["a", "b", "c"])}
    arrays |= {"source": np.array(json.dumps(source)), "thumbnails": np.zeros((120, 4, 4, 3), dtype=np.uint8)}
    files.write_arrays(place / "objects.npz", arrays)
    return place / "objects.npz"


def table(kind: str, place: Path) -> Path:
    frame = pd.DataFrame(objects(40, 6), columns=[f"size{i}" for i in range(6)])
    frame["label"] = ["one", "two"] * 20
    path = place / f"table.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    return path


def world(path: Path) -> Any:
    found = run_society.make_world(dataclasses.replace(run_society.usual(str(path)), probe=20))
    for features in (found.features, *(() if found.embedding is None else (found.embedding,))):
        assert np.isfinite(features).all()
    return dataclasses.asdict(world_files.read(path))


def a_training(place: Path) -> Path:
    torch.manual_seed(0)
    weights = dict(checkpoints.blank(MODEL).state_dict())
    training = {"iteration": 2, "images": 8, "ema": {"a": torch.ones(3)}, "config": to_json(small_config())}
    files.write_json(place / "config.json", to_json(small_config(out=place)))
    checkpoints.save(place / "last.pt", checkpoints.Checkpoint(MODEL, weights, training, "a test"))
    return place / "last.pt"


def training(path: Path) -> Any:
    saved = directory.read(path.parent).checkpoint
    assert saved is not None
    return saved.weights, saved.training, to_json(saved.config)


WEIGHTS = {"conv.weight": torch.arange(60.0).reshape(3, 4, 5), "conv.bias": torch.ones(3)}


def weights(kind: str, place: Path) -> Path:
    path = place / f"weights.{kind}"
    safetensors.torch.save_file(WEIGHTS, path) if kind == "safetensors" else torch.save(WEIGHTS, path)
    return path


def a_backbone(kind: str, place: Path) -> Path:
    torch.manual_seed(0)
    path = place / f"backbone.{kind}"
    state = backbones.build(MODEL).state_dict()
    safetensors.torch.save_file(state, path) if kind == "safetensors" else torch.save(state, path)
    return path


def backbone(path: Path) -> Any:
    torch.manual_seed(1)
    built = backbones.build(MODEL)
    backbones.load_weights(built, path)
    assert all(torch.isfinite(value).all() for value in built.state_dict().values())
    return dict(built.state_dict())


def a_part(place: Path) -> Path:
    parts.write(place, 3, {"features": objects(), "labels": np.arange(120)})
    return place / "000003.npz"


def a_work(place: Path) -> Path:
    files.write_json(place / "work.json", {"preset": "mini", "split": ["val2017"]})
    return place / "work.json"


OF = {"program": "0", "base seed": 1}

SHARDED = build(name="small", raw=objects(), seed=0, probe=30)
SHARED_LIFE = SocietyConfig(agents=24, sensors=8, memory=24, discovery_interval=3, selection_interval=4)


def a_list_of_runs(place: Path) -> Path:
    lines = [json.dumps(OF), *(as_line(f"a={n}", n, {"mcc": n / 7, "none": math.nan}) for n in range(5))]
    (place / "runs.jsonl").write_text("\n".join([*lines, ""]))
    return place / "runs.jsonl"


def list_of_runs(path: Path) -> Any:
    return Kept(path=path, of=OF).done()


def a_plan(place: Path) -> Path:
    text = 'replications = 2\n[fixed]\nworld = "planted"\nagents = 10\n[sweep]\nmutation = [0.1, 0.2]\n'
    (place / "plan.toml").write_text(text)
    return place / "plan.toml"


def a_log(place: Path) -> Path:
    a_run(place)
    return place / "interactions.csv"


def a_record(place: Path) -> Path:
    return records.write(record("b4-lr5e-3", 0.3), place)


def annotations(place: Path) -> Path:
    return write_set(place / "set", images=2, masks=True) / "annotations" / "instances_train2017.json"


def an_image(kind: str, place: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(place / f"image.{kind}")
    return place / f"image.{kind}"


def a_configuration(place: Path) -> Path:
    a_training(place)
    return place / "config.json"


def a_life(place: Path) -> Path:
    a_run(place)
    return place / "config.json"


def stages(place: Path) -> Path:
    files.write_json(place / pixels_to_minds.PLAN, {"preset": "mini"})
    return place / pixels_to_minds.PLAN


def a_shard(place: Path) -> Path:
    on_dask.write(str(place / "shard.npz"), *a_shard_lived())
    return place / "shard.npz"


@functools.cache
def a_shard_lived() -> tuple[Shard, list[Post]]:
    lived = ShardedSociety(SHARDED, SHARED_LIFE, Sharding(shards=2, ticks=2, letters=0.6, merge_days=3), seed=3)
    lived.live(3)
    return lived.shards[1], lived.mail[1]


def shard(path: Path) -> Any:
    again, mail = on_dask.read_shard(str(path), SHARDED, SHARED_LIFE, a_shard_lived()[0].of, 1)
    return shard_arrays.state(again), shard_arrays.mail_state(mail)


FORMATS: dict[str, Format] = {
    "shards": Format(a_shard, shard),
    "checkpoints of societies": Format(a_run, society),
    "libraries": Format(a_library, Library.load, refusals=(ValueError,)),
    "worlds of arrays": Format(world_file, world),
    "embeddings": Format(embeddings, world),
    "worlds in CSV": Format(functools.partial(table, "csv"), world, whole=False),
    "worlds in Parquet": Format(functools.partial(table, "parquet"), world, whole=False),
    "checkpoints of trainings": Format(a_training, training),
    "weights in PyTorch's files": Format(functools.partial(weights, "pth"), checkpoints.read_weights),
    "weights in safetensors": Format(functools.partial(weights, "safetensors"), checkpoints.read_weights, whole=False),
    "backbones in PyTorch's files": Format(functools.partial(a_backbone, "pth"), backbone),
    "backbones in safetensors": Format(functools.partial(a_backbone, "safetensors"), backbone, whole=False),
    "parts of embeddings": Format(a_part, lambda path: parts.read(path.parent, 3)),
    "work of embeddings": Format(
        a_work,
        lambda path: parts.begin(path.parent, {"preset": "mini", "split": ["val2017"]}, resume=True),
        whole=False,
    ),
    "runs of sweeps": Format(a_list_of_runs, list_of_runs, whole=False),
    "plans of sweeps": Format(a_plan, lambda path: dataclasses.asdict(plan.read(path)), whole=False),
    "logs of interactions": Format(a_log, interactions.read, whole=False),
    "records of baselines": Format(a_record, records.read, whole=False),
    "annotations": Format(annotations, annotation_file.read, whole=False),
    "photographs in PNG": Format(functools.partial(an_image, "png"), images.read_image, whole=False),
    "photographs in JPEG": Format(functools.partial(an_image, "jpg"), images.read_image, whole=False),
    "configurations of trainings": Format(
        a_configuration, lambda path: to_json(directory.read_config(path.parent)), whole=False
    ),
    "plans of photographs to minds": Format(
        stages, lambda path: pixels_to_minds.begin(path.parent, {"preset": "mini"}, resume=True), whole=False
    ),
    "configurations of societies": Format(a_life, lambda path: run_files.saved(path.parent).config, whole=False),
}

LARGE = {"backbones in PyTorch's files", "backbones in safetensors", "checkpoints of trainings"}
"""Formats of megabytes, of which fewer files are tried."""


# ---- what is seen in what was read


def seen(value: Any) -> Any:
    """Plain values that can be compared, of whatever a reader gives."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes() if value.dtype != object else value.tolist())
    if isinstance(value, Library):
        return seen({"bytes": value_of(value)})
    if isinstance(value, pd.DataFrame):
        return value.to_csv()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: seen(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): seen(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [seen(one) for one in value]
    return value


def value_of(library: Library) -> bytes:
    from knowledge_graph import storage

    return storage.to_bytes(library)


def refuses(error: Exception, path: Path) -> None:
    """What it says is a sentence on one line that is not endless."""
    said = str(error)
    assert path.parent.name in said or path.name in said, said
    assert "\n" not in said, said
    assert "Traceback" not in said
    assert len(said) < 800, said


def tried(name: str, place: Path, damaged: Callable[[bytes, random.Random], Any], *, harmless: bool = True) -> int:
    """Read files of a format that ``damaged`` makes of a whole one; how many that were."""
    form = FORMATS[name]
    path = form.make(place)
    data = path.read_bytes()
    expected = seen(form.read(path))
    times = 0
    for what, bad in damaged(data, random.Random(name)):
        path.write_bytes(bad)
        times += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = seen(form.read(path))
        except form.refusals as error:
            refuses(error, path)
        except Exception as error:
            raise AssertionError(f"{name}, {what}: {type(error).__name__}: {error}") from error
        else:
            assert harmless, f"{name}, {what}: it was read"
            if form.whole:
                assert found == expected, f"{name}, {what}: it was read as something else"
    counted("malformed inputs tried", times)
    return times


def damages(times: int) -> Callable[[bytes, random.Random], Any]:
    def every(data: bytes, rng: random.Random) -> Any:
        yield from strange()
        yield from cut(data, rng, times)
        yield from flipped(data, rng, times)

    return every


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - LARGE))
def test_a_file_that_is_damaged_is_refused_or_still_says_what_is_valid(name: str, place: Path) -> None:
    """The core of what follows."""
    assert tried(name, place, damages(3)) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_hundreds_of_damaged_files_are_refused_or_still_say_what_is_valid(name: str, place: Path) -> None:
    assert tried(name, place, damages(40 if name in LARGE else 200)) >= 60


def test_what_is_no_number_does_not_come_into_a_library(place: Path) -> None:
    """Not even from an archive that is whole."""
    path = a_library(place)
    arrays = files.read_arrays(path)
    known = [name for name in arrays if re.fullmatch(r"features|state/\d+/(unified/\w+|mean|sd|overlap)", name)]
    floats = [name for name in known if arrays[name].dtype.kind == "f" and arrays[name].size]
    assert len(floats) > 15
    for number, name in enumerate(floats):
        spoiled = arrays[name].copy()
        spoiled.flat[spoiled.size // 2] = math.inf if number % 3 == 0 else math.nan
        np.savez(path, **arrays | {name: spoiled})
        with pytest.raises(ValueError, match="not finite"):
            Library.load(path)
    counted("malformed inputs tried", len(floats))


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in FORMATS])
def test_nothing_in_a_file_is_run(name: str, place: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    bare(marker)
    tried(name, place, lambda data, rng: bombs(data, marker), harmless=False)
    assert not marker.exists()
