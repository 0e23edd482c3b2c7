"""Objects found in images: the file that comes with the package, files of embeddings, and what is refused of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import detection.embed
from agents import InputError, instances
from agents.world import OBJECTS, objects, table

N = 40
SOURCE = {"format": "object-embeddings", "version": 1, "checkpoint": "abc", "preset": "mini"}


def arrays(**changes: Any) -> dict[str, NDArray[Any]]:
    """What a file of embeddings holds, with ``changes``; None leaves an array out."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 100, size=(N, 2))
    whole: dict[str, Any] = {
        "features": rng.standard_normal((N, 6)).astype(np.float32),
        "labels": np.arange(N) % 3,
        "category_names": np.array(["cat", "dog", "cow"]),
        "image_ids": np.arange(N) // 4 + 100,
        "object_ids": np.arange(N) + 7000,
        "boxes": np.concatenate([corner, corner + 30], axis=1).astype(np.float32),
        "source": np.array(json.dumps(SOURCE)),
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def written(path: Path, **changes: Any) -> Path:
    np.savez(path, **arrays(**changes))
    return path


def said(**changes: Any) -> NDArray[np.str_]:
    return np.array(json.dumps(SOURCE | changes))


def test_the_bench_writes_what_is_read_here() -> None:
    assert (instances.FORMAT, instances.VERSION) == (detection.embed.FORMAT, detection.embed.VERSION)


def test_a_file_of_embeddings_says_where_its_objects_are_from(tmp_path: Path) -> None:
    small = np.random.default_rng(1).integers(0, 256, size=(N, 5, 5, 3), dtype=np.uint8)
    world = table(written(tmp_path / "o.npz", thumbnails=small), seed=0)
    found = world.instances
    assert found is not None
    assert found.source == SOURCE
    np.testing.assert_array_equal(found.object_ids, np.arange(N) + 7000)
    np.testing.assert_array_equal(found.image_ids, np.arange(N) // 4 + 100)
    np.testing.assert_array_equal(found.boxes, arrays()["boxes"])
    assert found.thumbnails is not None
    np.testing.assert_array_equal(found.thumbnails, small)
    assert not set(found.image_ids[world.train].tolist()) & set(found.image_ids[world.held_out].tolist())


def test_without_pictures_or_where_others_wrote_it_a_file_is_read_all_the_same(tmp_path: Path) -> None:
    assert table(written(tmp_path / "o.npz"), seed=0).instances is not None
    theirs = table(written(tmp_path / "t.npz", source=np.array("our network"), object_ids=None), seed=0).instances
    assert theirs is not None
    assert theirs.source == {"made_by": "our network"}
    assert theirs.object_ids.tolist() == list(range(N))
    named = table(
        written(tmp_path / "i.npz", source=np.array("ours"), image_ids=np.array([f"photo {i // 4}" for i in range(N)])),
        seed=0,
    )
    assert named.instances is None
    assert named.groups is not None
    assert table(written(tmp_path / "n.npz", source=None), seed=0).instances is None
    assert table(written(tmp_path / "w.npz", source=np.array("of no images"), boxes=None), seed=0).instances is None


def test_channels_that_are_silent_are_no_mistake_of_who_made_the_file(tmp_path: Path) -> None:
    features, embedding = arrays()["features"].copy(), np.random.default_rng(2).standard_normal((N, 3))
    features[:, 2], embedding[:, 1] = 0.0, 5.0
    world = table(written(tmp_path / "o.npz", features=features, embedding=embedding), seed=0)
    assert not world.features[:, 2].any()
    assert world.embedding is not None
    assert world.embedding.shape == (N, 2)
    # A coordinate without a value is not a silent one.
    embedding[0, 2] = np.nan
    with pytest.raises(InputError, match=r"feature 'embedding 2' is missing \(nan\) in row 1"):
        table(written(tmp_path / "n.npz", embedding=embedding), seed=0)


NAN = np.zeros((N, 4), dtype=np.float32)
NAN[:, 2:], NAN[3, 1] = 1.0, np.nan
REVERSED = np.tile(np.array([5.0, 0.0, 4.0, 9.0]), (N, 1))
TWICE = np.arange(N)
TWICE[9] = TWICE[4]
BROKEN = arrays()["features"].copy()
BROKEN[11, 3] = np.nan

WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "features that are no table": ({"features": np.zeros((N, 2, 3))}, ("'features' has shape (40, 2, 3)",)),
    "features of fewer objects": ({"features": np.zeros((N - 1, 3))}, ("has shape (40,)", "(39,)")),
    "a feature that is not a number": ({"features": BROKEN}, ("'x3' is missing (nan) in row 12",)),
    "ids that are there twice": ({"object_ids": TWICE}, ("'object_ids' has 4 more than once", "an id of its own")),
    "ids of fewer objects": ({"object_ids": np.arange(N - 1)}, ("'object_ids' has shape (39,)", "(40,)")),
    "ids that are no numbers": ({"object_ids": np.arange(N) + 0.5}, ("'object_ids' holds float64",)),
    "boxes of three sides": ({"boxes": np.ones((N, 3))}, ("'boxes'", "(40, 3)", "x1, y1, x2, y2")),
    "boxes of words": ({"boxes": np.full((N, 4), "a")}, ("'boxes' holds <U1 values",)),
    "a box that is not a number": ({"boxes": NAN}, ("'boxes' has 0, nan, 1, 1 in row 4", "no box")),
    "boxes the wrong way round": ({"boxes": REVERSED}, ("5, 0, 4, 9 in row 1", "x1 <= x2")),
    "pictures of another shape": ({"thumbnails": np.zeros((N, 5, 4, 3), np.uint8)}, ("'thumbnails'", "side, side, 3")),
    "pictures of floats": ({"thumbnails": np.zeros((N, 5, 5, 3))}, ("'thumbnails' holds float64",)),
    "another version": ({"source": said(version=2)}, ("version 2 of the format", "this program reads 1", "anew")),
    "no version": ({"source": said(version=None)}, ("version None of the format",)),
    "another format": ({"source": said(format="faces")}, ("says that it is 'faces'", "'object-embeddings'")),
    "no boxes": ({"boxes": None}, ("has no array 'boxes'", "python -m detection.embed")),
    "no ids": ({"object_ids": None}, ("has no array 'object_ids'",)),
    "no labels": ({"labels": None}, ("has no array 'labels'",)),
    "a label beyond the categories": ({"labels": np.full(N, 3)}, ("'labels' has 3", "from 0 to 2")),
    "no feature that varies": ({"features": np.ones((N, 6))}, ("every feature is the same for every object",)),
    "an embedding that is silent": ({"embedding": np.ones((N, 2))}, ("every coordinate of 'embedding' is the same",)),
    "ids of more than 64 bits": (
        {"image_ids": np.arange(N, dtype=np.uint64) + np.uint64(2**63)},
        ("'image_ids' has 9223372036854775847", "up to 9223372036854775807"),
    ),
    "a box beyond all pixels": ({"boxes": np.tile([0.0, 0.0, 1e300, 9.0], (N, 1))}, ("1e+300, 9 in row 1", "no box")),
    "an embedding of fewer objects": ({"embedding": np.ones((N - 1, 2))}, ("'embedding' has shape", "[40, coord")),
}


@pytest.mark.parametrize(("changes", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, changes: dict[str, Any], says: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as refusal:
        table(written(tmp_path / "o.npz", **changes), seed=0)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    for part in (str(tmp_path / "o.npz"), *says):
        assert part in sentence


def test_the_objects_that_come_with_the_package_are_as_they_are_described() -> None:
    world = objects(seed=0)
    assert (world.name, world.features.shape, world.n_objects) == ("objects", (996, 320), 996)
    assert world.labels is not None
    assert world.instances is not None
    assert world.instances.thumbnails is None
    assert len(np.unique(world.instances.image_ids)) == 160
    assert world.instances.source["splits"] == ["train2017", "val2017"]
    assert len(np.unique(world.labels)) == 79
    assert len(world.label_names) == 80
    assert len(world.probe) == len(world.train)
    sides = world.instances.boxes[:, 2:] - world.instances.boxes[:, :2]
    assert sides.min() >= 24
    raw = world.features * world.scale + world.mean
    assert np.allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-4)
    assert OBJECTS.stat().st_size < 4 * 2**20
    described = (OBJECTS.parent / "README.md").read_text(encoding="utf-8")
    for figure in ("996 objects", "79 categories", "160 photographs", "320 numbers", "CC BY 4.0"):
        assert figure in described
