"""Whatever is wrong with what run_society is given, it says so in one sentence, ends with 2 and writes nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.run_society import PROG
from tests.experiments.small import call, contents, flags, lively, objects, refusal, sentence, world_file

Says = tuple[str, ...]
Write = Callable[[Path], object]
HELP = "(run_society --help lists the flags)"


def named(features: Any = None) -> pd.DataFrame:
    features = objects() if features is None else features
    return pd.DataFrame(features, columns=[f"size{i}" for i in range(features.shape[1])])


def spoiled(row: int, column: int, value: float) -> Any:
    features = objects()
    features[row, column] = value
    return features


# ---- flags

FLAGS: dict[str, tuple[dict[str, Any] | list[str], Says]] = {
    "no agents": ({"agents": 0}, ("agents is 0", "at least 2")),
    "one agent": ({"agents": 1}, ("agents is 1", "at least 2")),
    "fewer agents than none": ({"agents": -3}, ("agents is -3", "at least 2")),
    "half an agent": ({"agents": 1.5}, ("--agents is '1.5'", "a whole number")),
    "agents in words": ({"agents": "many"}, ("--agents is 'many'", "a whole number")),
    "more agents than there is memory": ({"agents": 10**9, "memory": 10**9}, ("agents is 1000000000", "GB")),
    "more than 32 bits": ({"memory": 10**11}, ("memory is 100000000000", "at most 2147483647")),
    "nine dimensions": ({"dimensions": 9}, ("dimensions is 9", "1 to 8")),
    "no dimensions": ({"dimensions": 0}, ("dimensions is 0", "1 to 8")),
    "more sensors than features": ({"sensors": 11}, ("sensors is 11", "at most 10", "features of world")),
    "no sensors": ({"sensors": 0}, ("sensors is 0", "at least 1")),
    "sensors in words": ({"sensors": "all"}, ("--sensors is 'all'", "a whole number")),
    "fewer sensors than dimensions": ({"sensors": 5}, ("dimensions is 8", "at most 5", "sensors of an agent")),
    "memory of one": ({"memory": 1}, ("memory is 1", "at least 2")),
    "a negative childhood": ({"childhood": -1}, ("childhood is -1", "at least 0")),
    "more exemplars than slots": ({"exemplars": 9}, ("exemplars is 9", "0 to dimensions (8)")),
    "a device that nobody has": ({"device": "cuda:99"}, ("device is cuda:99, but PyTorch sees ", "; ")),
    "an unknown device": ({"device": "gpu"}, ("device is 'gpu', which PyTorch does not know", "cuda or cuda:1")),
    "gestures on a device": (
        {"device": "cpu", "game": "gesture"},
        ("game is 'gesture', but with a device there is only 'language'", "leave device out"),
    ),
    "no vocabulary": ({"vocabulary": 0}, ("vocabulary is 0", "at least 1")),
    "an unknown activation": ({"activation": "x"}, ("--activation is 'x'", "synchronous or sequential")),
    "an unknown game": ({"game": "chess"}, ("--game is 'chess'", "language or gesture")),
    "an unknown discovery": (
        {"discovery": "ica"},
        ("--discovery is 'ica'", "factor, pca, exemplar, random, embedding or mixed"),
    ),
    "an embedding that is not there": (
        {"discovery": "embedding"},
        ("discovery is 'embedding', but world has none", "an array 'embedding'"),
    ),
    "an unknown way of unifying": ({"unify": "magic"}, ("--unify is 'magic'", "gcca, clustering or covariance")),
    "an unknown way of counting concepts": ({"concepts": "all"}, ("--concepts is 'all'", "shared or common")),
    "a way of counting that this way of unifying does not have": (
        {"unify": "clustering", "concepts": "common"},
        ("concepts is 'common', but unify is clustering", "unify gcca"),
    ),
    "more candidates than objects": ({"candidates": 91}, ("candidates is 91", "at most 90", "objects of world")),
    "no candidates": ({"candidates": 0}, ("candidates is 0", "at least 1")),
    "a negative common ground": ({"common_ground": -1}, ("common_ground is -1", "at least 0")),
    "an endless tournament": ({"tournament": 2 * 10**9, "agents": 20000}, ("tournament is 2000000000", "GB")),
    "an unknown selection": ({"selection": "nice"}, ("--selection is 'nice'", "tournament or moran")),
    "an unknown superiority": ({"superiority": "best"}, ("--superiority is 'best'", "expectile or quantile")),
    "no glimpses": ({"glimpses": 0}, ("glimpses is 0", "at least 1")),
    "no tournament": ({"tournament": 0}, ("tournament is 0", "at least 1")),
    "an infinite bias": ({"bias_gain": "inf"}, ("bias_gain is inf", "finite")),
    "a negative bias": ({"bias_loss": -0.5}, ("bias_loss is -0.5", "at least 0")),
    "a rate in words": (["--rate-up=fast"], ("--rate-up is 'fast'", "a number")),
    "a rate with an underscore": (["--rate_up", "fast"], ("--rate-up is 'fast'", "a number")),
    "a negative interval": ({"talk_interval": -1}, ("talk_interval is -1", "at least 0")),
    "no steps": ({"steps": 0}, ("steps is 0", "at least 1")),
    "steps in words": ({"steps": "ten"}, ("--steps is 'ten'", "a whole number")),
    "a negative seed": ({"seed": -1}, ("seed is -1", "at least 0")),
    "a probe of one": ({"probe": 1}, ("probe is 1", "at least 2")),
    "no record interval": ({"record_interval": 0}, ("record_interval is 0", "at least 1")),
    "a log of less than nothing": ({"interactions": -1}, ("interactions is -1", "at least 0")),
    "a negative checkpoint interval": ({"checkpoint_interval": -1}, ("checkpoint_interval is -1", "at least 0")),
    "a flag that is none": (["--bogus", "3"], ("--bogus is not a flag", HELP)),
    "a flag that is none with a value": (["--bogus=3"], ("--bogus=3 is not a flag", HELP)),
    "nearly a flag": (["--agent", "3"], ("--agent is not a flag; --agents is", HELP)),
    "a long word that is no flag": (["--" + "long" * 40], ("--" + "long" * 40 + " is not a flag",)),
    "a word without a flag": (["runs"], ("'runs' belongs to no flag", HELP)),
    "a value for a switch": (["--audience", "yes"], ("'yes' belongs to no flag", HELP)),
    "a flag without its value": (["--agents"], ("--agents has no value", HELP)),
    "a label that the file has not": ({"label": "kind"}, ("label is 'kind'", "world.npz", "'features', 'labels'")),
    "planted flags without that world": ({"planted_factors": 4}, ("planted_factors is given", "--world planted")),
    "few planted objects": ({"world": "planted", "planted_objects": 7}, ("planted_objects is 7", "at least 8")),
    "few planted features": ({"world": "planted", "planted_features": 1}, ("planted_features is 1", "at least 2")),
    "no planted factors": ({"world": "planted", "planted_factors": 0}, ("planted_factors is 0", "at least 1")),
    "more factors than features": (
        {"world": "planted", "planted_objects": 50, "planted_features": 10, "planted_factors": 11},
        ("planted_factors is 11", "from 1 to", "(10)"),
    ),
    "no communality": ({"world": "planted", "planted_communality": 0}, ("planted_communality is 0.0", "above 0")),
    "too much communality": ({"world": "planted", "planted_communality": 1.1}, ("planted_communality is 1.1", "at m")),
    "nan communality": ({"world": "planted", "planted_communality": "nan"}, ("planted_communality is nan", "at most")),
    "a planted world larger than memory": (
        {"world": "planted", "planted_objects": 10**9, "planted_features": 10**6},
        ("planted_objects is 1000000000 and planted_features is 1000000", "GB"),
    ),
    "a label for digits": ({"world": "digits", "label": "kind"}, ("label is 'kind'", "digits", "leave it out")),
    "a label for objects": ({"world": "objects", "label": "kind"}, ("label is 'kind'", "objects", "leave it out")),
    "a world that is not there": ({"world": "nowhere"}, ("world is nowhere", "does not exist", "digits, planted")),
    "a world with a name too long": ({"world": "n" * 300}, ("does not exist", "digits, planted")),
} | {
    f"{name} of {value}": ({name: value}, (f"{name} is {float(value)}", "from 0 to 1"))
    for name, value in (
        ("rate_up", 1.5),
        ("rate_down", -0.1),
        ("reward_talk", "nan"),
        ("reward_comparison", "inf"),
        ("reward_prediction", 2),
        ("self_attribution", "-inf"),
        ("attention", "nan"),
        ("dimension_floor", 1.01),
        ("turnover", -1),
        ("mutation", "nan"),
    )
}  # fmt: skip


@pytest.mark.parametrize("case", FLAGS)
def test_a_wrong_flag_is_one_sentence(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, says = FLAGS[case]
    args = lively(world_file(tmp_path), tmp_path / "out", **(given if isinstance(given, dict) else {}))
    before = contents(tmp_path)
    said = refusal(args + (given if isinstance(given, list) else []), capsys)
    for words in says:
        assert words in said
    assert contents(tmp_path) == before


# ---- worlds


def npz(**arrays: Any) -> tuple[str, Write]:
    return "w.npz", lambda path: np.savez(path, **({"features": objects()} | arrays))


def csv(text: str | bytes, encoding: str = "utf-8") -> tuple[str, Write]:
    return "w.csv", lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))


def table(frame: pd.DataFrame, kind: str = "csv") -> tuple[str, Write]:
    if kind == "csv":
        return "w.csv", lambda path: frame.to_csv(path, index=False)
    return "w.parquet", lambda path: frame.to_parquet(path)


def truncated(name: str, write: Write, share: float) -> tuple[str, Write]:
    def cut(path: Path) -> None:
        write(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])

    return name, cut


def damaged(path: Path) -> None:
    np.savez_compressed(path, features=objects())
    whole = bytearray(path.read_bytes())
    for at in range(400, 700):
        whole[at] ^= 0xFF
    path.write_bytes(bytes(whole))


def bare_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, objects())


def foreign_zip(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features", b"no array")


WIDE = named().round(3).to_csv(index=False)
LINES = WIDE.splitlines(keepends=True)

WORLDS: dict[str, tuple[tuple[str, Write], Says]] = {
    # any file
    "a directory": (("w.npz", lambda path: path.mkdir()), ("is a directory", "give objects, digits, planted")),
    "no ending": (("world", lambda path: path.write_text("a")), ("has no ending", ".npz, .csv or .parquet")),
    "another ending": (("w.xlsx", lambda path: path.write_text("a")), ("ends in '.xlsx'", ".npz, .csv or .parquet")),
    "an empty npz": (("w.npz", lambda path: path.touch()), ("not a whole .npz archive", "numpy.savez")),
    "an empty csv": (csv(""), ("is empty", "first row must name the columns")),
    "an empty parquet": (("w.parquet", lambda path: path.touch()), ("not a whole .parquet table", "anew")),
    "text called npz": (("w.npz", lambda path: path.write_text(WIDE)), ("not a whole .npz archive", "numpy.savez")),
    "text called parquet": (("w.parquet", lambda path: path.write_text(WIDE)), ("not a whole .parquet table", "anew")),
    "an npy called npz": (("w.npz", bare_array), ("not a whole .npz archive", "numpy.savez")),
    "a zip of something else": (("w.npz", foreign_zip), ("'features' is not an array", "numpy.savez")),
    "half an npz": (truncated(*npz(), 0.5), ("not a whole .npz archive", "numpy.savez")),
    "half a parquet": (truncated(*table(named(), "parquet"), 0.5), ("not a whole .parquet table", "anew")),
    "a damaged npz": (("w.npz", damaged), ("'features' cannot be read", "numpy.savez")),
    "a parquet called npz": (
        ("w.npz", lambda path: named().to_parquet(path)),
        ("not a whole .npz archive", "numpy.savez"),
    ),
    # npz
    "pickled features": (npz(features=np.array([[1, "a"]] * 20, dtype=object)), ("'features' holds Python objects",)),
    "pickled labels": (npz(labels=np.array(["a", None] * 60, dtype=object)), ("'labels' holds Python objects",)),
    "no features": (
        ("w.npz", lambda path: np.savez(path, data=objects(), y=np.zeros(3))),
        ("no array 'features'", "it has 'data', 'y'"),
    ),
    "nothing at all": (("w.npz", lambda path: np.savez(path)), ("no array 'features'", "nothing")),
    "features in a row": (npz(features=np.arange(40.0)), ("shape (40,)", "[objects, features]")),
    "a single number": (npz(features=np.array(4.0)), ("shape ()", "[objects, features]")),
    "features in a cube": (npz(features=np.zeros((20, 4, 2))), ("shape (20, 4, 2)", "[objects, features]")),
    "texts": (npz(features=objects().astype(str)), ("'features' holds <U", "numbers")),
    "complex numbers": (npz(features=objects() * 1j), ("'features' holds complex128", "numbers")),
    "dates": (npz(features=objects().astype("M8[s]")), ("'features' holds datetime64[s]", "numbers")),
    "nan": (npz(features=spoiled(4, 2, np.nan)), ("feature 'x2' is missing (nan) in row 5", "give a number")),
    "infinity": (npz(features=spoiled(0, 9, np.inf)), ("feature 'x9' is infinite in row 1", "give a number")),
    "a constant feature": (npz(features=objects() * (np.arange(10) != 3)), ("'x3' is the same for every", "remove")),
    "a feature constant but for rounding": (
        npz(features=np.where(np.arange(10) == 3, 0.1 + 1e-17 * objects(), objects())),
        ("'x3' is the same for every", "remove"),
    ),
    "one object": (npz(features=objects(1)), ("has 1 object(s)", "at least 8")),
    "no object": (npz(features=np.zeros((0, 10))), ("has 0 object(s)", "at least 8")),
    "one feature": (npz(features=objects(120, 1)), ("has 1 feature(s)", "at least 2")),
    "no feature": (npz(features=np.zeros((120, 0))), ("has 0 feature(s)", "at least 2")),
    "fewer objects than dimensions": (npz(features=objects(9)), ("dimensions is 8", "at most 7", "objects of w")),
    "labels for others": (npz(labels=np.arange(7)), ("'labels' has shape (7,)", "each object, (120,)")),
    "labels in two columns": (npz(labels=np.zeros((120, 2))), ("'labels' has shape (120, 2)", "each object")),
    "a label that is nan": (npz(labels=np.where(np.arange(120) == 7, np.nan, 1)), ("'labels' is nan in row 8",)),
    "labels between numbers": (npz(labels=np.linspace(0, 1, 120)), ("'labels' holds fractions", "whole numbers")),
    "labels beyond all numbers": (npz(labels=np.full(120, 1e300)), ("'labels' holds fractions", "whole numbers")),
    "complex labels": (npz(labels=np.ones(120) * 1j), ("'labels' holds complex128", "whole numbers or texts")),
    "too few categories": (
        npz(labels=np.arange(120) % 3, category_names=["a", "b"]),
        ("'labels' has 2", "with 2 'category_names'", "from 0 to 1"),
    ),
    "categories that start at one": (
        npz(labels=np.arange(120) % 3 - 1, category_names=["a", "b", "c"]),
        ("'labels' has -1", "with 3 'category_names'", "from 0 to 2"),
    ),
    "a label of no category": (
        npz(labels=["a", "z"] * 60, category_names=["a", "b"]),
        ("'labels' has 'z'", "not in 'category_names'"),
    ),
    "categories in a table": (
        npz(labels=np.zeros(120, dtype=int), category_names=[["a", "b"]]),
        ("'category_names' has shape (1, 2)", "one for each category"),
    ),
    "names twice": (npz(feature_names=["a", "b"] * 5), ("'feature_names' names 'a' twice", "a name of its own")),
    "names too few": (npz(feature_names=["a", "b"]), ("'feature_names' has shape (2,)", "each feature, (10,)")),
    "names in no encoding": (
        npz(feature_names=np.array([b"\xff" + bytes([65 + i]) for i in range(10)])),
        ("'feature_names' holds bytes", "UTF-8"),
    ),
    "images of others": (npz(image_ids=np.arange(9)), ("'image_ids' has shape (9,)", "each object, (120,)")),
    "an image that is nan": (npz(image_ids=np.where(np.arange(120) == 2, np.nan, 1)), ("'image_ids' is nan in row 3",)),
    "one image": (npz(image_ids=np.zeros(120, dtype=int)), ("120 objects in 1 image(s)", "give more images")),
    "two images": (npz(image_ids=np.arange(120) % 2), ("120 objects in 2 image(s)", "give more images")),
    "two sets of labels": (
        npz(label=np.zeros(120, dtype=int), labels=np.zeros(120, dtype=int)),
        ("both 'label' and 'labels'", "--label"),
    ),
    # tables
    "a header alone": (csv(LINES[0]), ("has 0 rows", "needs both")),
    "rows too long": (csv(LINES[0] + "".join(f"{line.strip()},7\n" for line in LINES[1:])), ("more values", "10 col")),
    "a row too long": (csv(WIDE + "1," * 10 + "1\n"), ("cannot be read as a .csv table", "line 122")),
    "the first row too long": (csv(LINES[0] + "7," + "".join(LINES[1:])), ("more values", "10 columns")),
    "a row too short": (csv(WIDE + "1,2\n"), ("feature 'size2' is missing (nan) in row 121", "give a number")),
    "a column of words": (
        table(named().assign(kind=["owl", "cat"] * 60)),
        ("column 'kind' is not numeric ('owl' in row 1)", "--label"),
    ),
    "a word among numbers": (
        table(named().assign(size3=["1.5"] * 50 + ["n/k"] + ["2"] * 69)),
        ("column 'size3' is not numeric ('n/k' in row 51)", "remove it"),
    ),
    "a missing value": (
        table(named(spoiled(5, 1, np.nan))),
        ("feature 'size1' is missing (nan) in row 6", "give a number"),
    ),
    "a number too large": (csv(WIDE + "1e999," + "1," * 8 + "1\n"), ("feature 'size0' is infinite in row 121",)),
    "a column name twice": (csv(WIDE.replace("size4", "size3", 1)), ("names 'size3' twice", "a name of its own")),
    "a column without a name": (
        ("w.csv", lambda path: named().to_csv(path)),
        ("column 1 has no name", "name it in the first row or remove it"),
    ),
    "no names": (csv("".join(LINES[1:])), ("the first row holds numbers", "must name the columns")),
    "labels alone": (table(pd.DataFrame({"label": ["a"] * 120})), ("0 columns of features", "needs both")),
    "a missing label": (
        table(named().assign(label=["a", None] * 60)),
        ("'label' has no value in row 2", "fill it in"),
    ),
    "two label columns": (
        table(named().assign(label=1, Labels=2)),
        ("both 'label' and 'Labels'", "--label"),
    ),
    "two bytes a letter": (csv(WIDE, "utf-16"), ("is not UTF-8 text", "save it as UTF-8")),
    "two bytes a letter without a mark": (csv(WIDE, "utf-16-le"), ("is not UTF-8 text", "save it as UTF-8")),
    "another encoding": (csv("größe," + WIDE, "latin-1"), ("is not UTF-8 text", "save it as UTF-8")),
    "semicolons": (csv(WIDE.replace(",", ";")), ("separated by ';'", "commas")),
    "tabs": (csv(WIDE.replace(",", "\t")), ("separated by '\\t'", "commas")),
    "decimal commas": (csv(WIDE.replace(".", '","')), ("w.csv",)),
    "an open quotation": (csv(WIDE + '"1,2,3\n'), ("cannot be read as a .csv table",)),
    "bytes": (csv(bytes(range(256)) * 4), ("w.csv",)),
    "a column of dates": (
        table(named().assign(day=pd.Timestamp("2026-01-01")), "parquet"),
        ("column 'day' holds datetime64", "not numbers", "--label"),
    ),
    "a column of words in parquet": (
        table(named().assign(kind=["owl", "cat"] * 60), "parquet"),
        ("column 'kind' is not numeric ('owl' in row 1)", "--label"),
    ),
    "a missing value in parquet": (
        table(named().assign(size1=pd.array([None] + [1] * 119, dtype="Int64")), "parquet"),
        ("feature 'size1' is missing (nan) in row 1", "give a number"),
    ),
    "a parquet of nothing": (table(named()[:0], "parquet"), ("has 0 rows", "needs both")),
    "an image that is missing in a table": (
        table(named().assign(image_ids=[None, *range(119)])),
        ("'image_ids' has no value in row 1", "fill it in"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WORLDS)
def test_a_wrong_world_is_one_sentence_that_names_the_file(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (name, write), says = WORLDS[case]
    write(tmp_path / name)
    before = contents(tmp_path)
    said = refusal(lively(tmp_path / name, tmp_path / "out"), capsys)
    for words in says:
        assert words in said
    if not says[0].startswith("dimensions"):
        assert str(tmp_path / name) in said
    assert contents(tmp_path) == before


# ---- directories for the results


def out_cases() -> dict[str, tuple[str, Write, Says]]:
    cases: dict[str, tuple[str, Write, Says]] = {
        "a file in the way": ("out", lambda path: path.write_text("mine"), ("a file is in the way",)),
        "a file in the way above": ("file/out", lambda path: path.parent.write_text("mine"), ("a file is in the way",)),
        "a name too long": ("new/" + "o" * 300, lambda path: None, ("File name too long",)),
        "a directory called like a result": (
            "out",
            lambda path: (path / "summary.json").mkdir(parents=True),
            ("summary.json is a directory", "remove that"),
        ),
        "a link to nowhere": (
            "out",
            lambda path: path.symlink_to(path.parent / "gone" / "out"),
            ("another directory",),
        ),
    }
    if Path("/proc/self").exists():
        cases["a place where nothing can be made"] = ("/proc/nowhere/out", lambda path: None, ("cannot be written to",))
    if os.geteuid() != 0:
        cases["a directory of others"] = ("out", lambda path: path.mkdir(mode=0o500), ("Permission denied",))
    return cases


@pytest.mark.parametrize("case", out_cases())
def test_an_out_that_cannot_be_written_to_is_one_sentence(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, prepare, says = out_cases()[case]
    prepare(tmp_path / name)
    world_file(tmp_path)
    before = contents(tmp_path)
    said = refusal(lively(tmp_path / "world.npz", tmp_path / name), capsys)
    assert f"out is {tmp_path / name}" in said
    assert "give another directory" in said
    for words in says:
        assert words in said
    assert contents(tmp_path) == before


# ---- runs to go on with


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a world and a run of 12 steps in it, to be copied."""
    directory = tmp_path_factory.mktemp("finished")
    assert call(lively(world_file(directory), directory / "run", steps=12)) == 0
    return directory


def changed_config(**changes: Any) -> Write:
    def change(run: Path) -> None:
        fields = json.loads((run / "config.json").read_text()) | changes
        (run / "config.json").write_text(json.dumps({k: v for k, v in fields.items() if v != "gone"}))

    return change


def changed_checkpoint(**changes: Any) -> Write:
    """Changes scalars by name; arrays called like a change that is no scalar are replaced, or removed for None."""

    def change(run: Path) -> None:
        with np.load(run / "checkpoint.npz") as archive:
            arrays = {name: archive[name] for name in archive.files}
        scalars = json.loads(str(arrays["scalars"]))
        for name, value in changes.items():
            if name in scalars:
                scalars[name] = value
            elif value is None:
                del arrays[name]
            else:
                arrays[name] = value
        arrays["scalars"] = np.array(json.dumps(scalars))
        np.savez(run / "checkpoint.npz", **arrays)

    return change


def cut_checkpoint(run: Path) -> None:
    whole = (run / "checkpoint.npz").read_bytes()
    (run / "checkpoint.npz").write_bytes(whole[: len(whole) // 2])


def other_world(run: Path) -> None:
    world_file(run.parent, features=spoiled(3, 3, 9.0))


def nothing(run: Path) -> None:
    pass


RESUMES: dict[str, tuple[Write, list[str], Says]] = {
    "a run that is not there": (shutil.rmtree, [], ("run, which is not a directory", "directory of a run")),
    "no checkpoint": (lambda run: (run / "checkpoint.npz").unlink(), [], ("has no checkpoint.npz", "new run")),
    "no configuration": (lambda run: (run / "config.json").unlink(), [], ("has no config.json", "new run")),
    "half a checkpoint": (cut_checkpoint, [], ("checkpoint.npz is not a whole .npz archive", "start the run anew")),
    "an empty checkpoint": (
        lambda run: (run / "checkpoint.npz").write_bytes(b""),
        [],
        ("checkpoint.npz is not a whole .npz archive", "start the run anew"),
    ),
    "another archive": (
        lambda run: shutil.copy(run.parent / "world.npz", run / "checkpoint.npz"),
        [],
        ("checkpoint.npz is not the checkpoint of a run", "KeyError: 'run'"),
    ),
    "a checkpoint without scalars": (
        lambda run: np.savez(run / "checkpoint.npz", run=np.load(run / "checkpoint.npz")["run"]),
        [],
        ("checkpoint.npz: the checkpoint is damaged", "KeyError: 'scalars'"),
    ),
    "a checkpoint of another version": (
        changed_checkpoint(version=99),
        [],
        ("checkpoint.npz: the checkpoint is of version 99", "reads version 3", "anew"),
    ),
    "a checkpoint without a column": (
        changed_checkpoint(**{"population/score": None}),
        [],
        ("checkpoint.npz: the checkpoint is damaged", "KeyError: 'score'"),
    ),
    "a checkpoint with a column of another shape": (
        changed_checkpoint(**{"population/score": np.zeros((3, 8), dtype=np.float32)}),
        [],
        ("checkpoint.npz: the checkpoint is damaged", "score is float32 (3, 8), not float32 (14, 8)"),
    ),
    "a checkpoint with another generator": (
        changed_checkpoint(rng={"bit_generator": "MT19937"}),
        [],
        ("checkpoint.npz: the checkpoint is damaged",),
    ),
    "another configuration": (
        changed_config(agents=20),
        [],
        ("config.json says agents is 20", "has 14", "put it back"),
    ),
    "another seed": (changed_config(seed=7), [], ("config.json says seed is 7", "has 0")),
    "another interval": (changed_config(record_interval=5), [], ("record_interval is 5", "has 4")),
    "a setting lost": (changed_config(game="gone"), [], ("has lost its game", "'language'")),
    "a setting that is none": (changed_config(colour="red"), [], ("has 'colour'", "remove it")),
    "steps in words": (changed_config(steps="many"), [], ("steps is 'many'", "whole number")),
    "fewer steps in the file than lived": (changed_config(steps=5), [], ("steps is 5", "lived 12 steps")),
    "no JSON": (lambda run: (run / "config.json").write_text("{"), [], ("config.json is not JSON", "put back")),
    "no object in JSON": (lambda run: (run / "config.json").write_text("[]"), [], ("is not the configuration",)),
    "fewer steps than lived": (nothing, ["--steps", "11"], ("steps is 11", "has lived 12 steps already", "at least")),
    "no steps": (nothing, ["--steps", "0"], ("steps is 0", "at least 1")),
    "another out": (nothing, ["--out", "elsewhere"], ("--out is given", "leave it out")),
    "another world": (nothing, ["--world=planted"], ("--world is given", "leave it out")),
    "the same agents": (nothing, ["--agents", "14"], ("--agents is given", "leave it out")),
    "planted factors": (nothing, ["--planted_factors", "3"], ("--planted-factors is given", "leave it out")),
    "a label": (nothing, ["--label", "labels"], ("--label is given", "leave it out")),
    "no audience": (nothing, ["--no-audience"], ("--no-audience is given", "leave it out")),
    "a world that has changed": (other_world, [], ("npz: the world 'world' is not the one", "put them back")),
    "labels that have changed": (
        lambda run: world_file(run.parent, labels=np.arange(120) % 4),
        [],
        ("checkpoint.npz: the world 'world' is not the one", "put them back"),
    ),
    "a world that has gone": (
        lambda run: (run.parent / "world.npz").unlink(),
        [],
        ("the run in", "world.npz, which does not exist any more; put it back"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RESUMES)
def test_a_run_that_cannot_go_on_is_one_sentence_and_stays_as_it_was(
    case: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, args, says = RESUMES[case]
    for name in ("config.json", "checkpoint.npz", "summary.json"):
        (tmp_path / "run").mkdir(exist_ok=True)
        shutil.copy(finished / "run" / name, tmp_path / "run" / name)
    shutil.copy(finished / "world.npz", tmp_path / "world.npz")
    moved_world(tmp_path)
    change(tmp_path / "run")
    before = contents(tmp_path)
    said = refusal([*flags(resume=tmp_path / "run"), *args], capsys)
    for words in says:
        assert words in said
    assert contents(tmp_path) == before


def moved_world(directory: Path) -> None:
    """Let the copy of the run speak of its own copy of the world, as if it had been made there."""
    world = str(directory / "world.npz")
    changed_config(world=world)(directory / "run")
    with np.load(directory / "run" / "checkpoint.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    run = json.loads(str(arrays["run"]))
    run["config"]["world"] = world
    np.savez(directory / "run" / "checkpoint.npz", **(arrays | {"run": np.array(json.dumps(run))}))


def test_a_run_of_a_program_with_other_settings_is_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    changed_config(hunger=1)(tmp_path / "run")
    with np.load(tmp_path / "run" / "checkpoint.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    run = json.loads(str(arrays["run"]))
    run["config"]["hunger"] = 1
    np.savez(tmp_path / "run" / "checkpoint.npz", **(arrays | {"run": np.array(json.dumps(run))}))
    said = refusal(flags(resume=tmp_path / "run"), capsys)
    assert "another version of this program (hunger is new or gone)" in said


# ---- as a user meets it


def shell(args: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.run_society", *args],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
        check=False,
    )


@pytest.mark.parametrize("environment", [{}, {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}])
def test_an_unknown_flag_is_one_line_on_any_terminal(environment: dict[str, str], tmp_path: Path) -> None:
    done = shell([*lively(world_file(tmp_path), tmp_path / "out"), "--agent", "4"], **environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence(done.stderr) == f"--agent is not a flag; --agents is {HELP}"
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    done = shell(lively(tmp_path / "none.npz", tmp_path / "out"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert str(tmp_path / "none.npz") in sentence(done.stderr)
    assert contents(tmp_path) == {}


def test_every_flag_has_a_case_above() -> None:
    from experiments.run_society import RunConfig

    tried = " ".join(f"{given} {args}" for given, args in FLAGS.values()) + repr(RESUMES)
    untried = {f.name for f in dataclasses.fields(RunConfig)} - {"out", "resume", "audience", "library_word"}
    intervals = {name for name in untried if name.endswith("_interval")} - {"talk_interval"}
    assert [name for name in sorted(untried - intervals) if not re.search(name.replace("_", "[_-]"), tried)] == []
    assert PROG in HELP
